/* api.h - the classes, selectors and functions of Apple's frameworks that this backend uses, found at run
 * time: nothing of Apple's is needed to build Foundry or to run it elsewhere. Nothing else in the project names
 * a Metal class or selector.
 *
 * A selector is one row: what it is called here, whose it is, its name, what it returns, its encoding, and the
 * types of its parameters as A0() .. A5(...). From the row comes the typed call,
 *
 *     fnd_mtl_new_buffer(m, device, bytes, options)
 *
 * and what `foundry doctor` compares with the running system's method_getTypeEncoding. Encodings are written
 * without offsets and qualifiers: @ object, : selector, @? block, ^ pointer to, Q NSUInteger, q NSInteger,
 * d double, B BOOL, C unsigned char, * string, {?=QQQ} MTLSize.
 *
 * SAFETY: objc_msgSend is called as the function that the method is: with the row's types. They are those of
 * the headers of Metal, Foundation and libdispatch, as Apple's documentation gives them. */
#ifndef BACKEND_METAL_API_H
#define BACKEND_METAL_API_H

#include "foundry/status.h"

#include <stdint.h>

typedef struct fnd_objc_object *fnd_id;
typedef struct fnd_objc_selector *fnd_sel;
typedef struct fnd_mtl_size { uint64_t width, height, depth; } fnd_mtl_size;
typedef struct fnd_ns_range { uint64_t location, length; } fnd_ns_range;

/* A block of C: what compilers make of ^(id command_buffer) { ... }, by the published ABI of blocks. */
typedef struct fnd_block_descriptor {
    unsigned long reserved, size;
    const char   *signature;
} fnd_block_descriptor;
typedef struct fnd_completion_block {
    void *isa;      /* _NSConcreteStackBlock: whoever keeps the block copies it */
    int   flags, reserved;
    void (*invoke)(struct fnd_completion_block *self, fnd_id command_buffer);
    const fnd_block_descriptor *descriptor;
    void *context;
} fnd_completion_block;

typedef struct fnd_any_block fnd_any_block; /* a block of which only NULL is given */

/* The values that are used, by their names in Apple's headers. */
enum {
    FND_MTL_STORAGE_SHARED = 0 << 4,        /* MTLResourceStorageModeShared */
    FND_MTL_STORAGE_PRIVATE = 2 << 4,       /* MTLResourceStorageModePrivate */
    FND_MTL_FAMILY_APPLE7 = 1007,           /* MTLGPUFamilyApple7: M1, A14 */
    FND_MTL_LANGUAGE_3_0 = 3 << 16,         /* MTLLanguageVersion3_0 */
    FND_MTL_DISPATCH_CONCURRENT = 1,        /* MTLDispatchTypeConcurrent */
    FND_MTL_BARRIER_BUFFERS = 1,            /* MTLBarrierScopeBuffers */
    FND_MTL_STATUS_COMPLETED = 4,           /* MTLCommandBufferStatusCompleted */
    FND_MTL_ERROR_TIMEOUT = 2,              /* MTLCommandBufferErrorTimeout */
    FND_MTL_ERROR_OUT_OF_MEMORY = 8,        /* MTLCommandBufferErrorOutOfMemory */
    FND_BLOCK_HAS_SIGNATURE = 1 << 30,
    FND_CF_STRING_UTF8 = 0x08000100,        /* kCFStringEncodingUTF8 */
    FND_CF_NUMBER_SINT32 = 3,               /* kCFNumberSInt32Type */
};

/*    name here, whose, selector, returns, encoding, parameters */
#define FND_METAL_METHODS(X)                                                                                  \
    X(retain, OBJECT, "retain", fnd_id, "@@:", A0())                                                          \
    X(release, OBJECT, "release", void, "v@:", A0())                                                          \
    X(new_object, CLASS, "new", fnd_id, "@@:", A0())                                                          \
    X(string_from, STRING_CLASS, "stringWithUTF8String:", fnd_id, "@@:*", A1(const char *))                   \
    X(string_text, STRING, "UTF8String", const char *, "*@:", A0())                                           \
    X(array_count, ARRAY, "count", uint64_t, "Q@:", A0())                                                     \
    X(array_at, ARRAY, "objectAtIndex:", fnd_id, "@@:Q", A1(uint64_t))                                        \
    X(error_code, ERROR, "code", int64_t, "q@:", A0())                                                        \
    X(error_domain, ERROR, "domain", fnd_id, "@@:", A0())                                                     \
    X(error_text, ERROR, "localizedDescription", fnd_id, "@@:", A0())                                         \
    X(device_name, DEVICE, "name", fnd_id, "@@:", A0())                                                       \
    X(device_registry_id, DEVICE, "registryID", uint64_t, "Q@:", A0())                                        \
    X(device_family, DEVICE, "supportsFamily:", bool, "B@:q", A1(int64_t))                                    \
    X(device_unified, DEVICE, "hasUnifiedMemory", bool, "B@:", A0())                                          \
    X(device_max_buffer, DEVICE, "maxBufferLength", uint64_t, "Q@:", A0())                                    \
    X(device_group_bytes, DEVICE, "maxThreadgroupMemoryLength", uint64_t, "Q@:", A0())                        \
    X(device_working_set, DEVICE, "recommendedMaxWorkingSetSize", uint64_t, "Q@:", A0())                      \
    X(device_allocated, DEVICE, "currentAllocatedSize", uint64_t, "Q@:", A0())                                \
    X(device_queue, DEVICE, "newCommandQueue", fnd_id, "@@:", A0())                                           \
    X(device_buffer, DEVICE, "newBufferWithLength:options:", fnd_id, "@@:QQ", A2(uint64_t, uint64_t))         \
    X(device_buffer_from, DEVICE, "newBufferWithBytes:length:options:", fnd_id, "@@:^vQQ", A3(const void *, uint64_t, uint64_t)) \
    X(device_buffer_over, DEVICE, "newBufferWithBytesNoCopy:length:options:deallocator:", fnd_id, "@@:^vQQ@?", A4(void *, uint64_t, uint64_t, fnd_any_block *)) \
    X(device_library, DEVICE, "newLibraryWithSource:options:error:", fnd_id, "@@:@@^@", A3(fnd_id, fnd_id, fnd_id *)) \
    X(device_library_data, DEVICE, "newLibraryWithData:error:", fnd_id, "@@:@^@", A2(fnd_id, fnd_id *))       \
    X(device_pipeline, DEVICE, "newComputePipelineStateWithDescriptor:options:reflection:error:", fnd_id, "@@:@Q^@^@", A4(fnd_id, uint64_t, fnd_id *, fnd_id *)) \
    X(options_fast_math, COMPILE_OPTIONS, "setFastMathEnabled:", void, "v@:B", A1(bool))                      \
    X(options_language, COMPILE_OPTIONS, "setLanguageVersion:", void, "v@:Q", A1(uint64_t))                   \
    X(library_function, LIBRARY, "newFunctionWithName:", fnd_id, "@@:@", A1(fnd_id))                          \
    X(library_label, LIBRARY, "setLabel:", void, "v@:@", A1(fnd_id))                                          \
    X(descriptor_function, PIPELINE_DESCRIPTOR, "setComputeFunction:", void, "v@:@", A1(fnd_id))              \
    X(descriptor_threads, PIPELINE_DESCRIPTOR, "setMaxTotalThreadsPerThreadgroup:", void, "v@:Q", A1(uint64_t)) \
    X(descriptor_whole_warps, PIPELINE_DESCRIPTOR, "setThreadGroupSizeIsMultipleOfThreadExecutionWidth:", void, "v@:B", A1(bool)) \
    X(descriptor_label, PIPELINE_DESCRIPTOR, "setLabel:", void, "v@:@", A1(fnd_id))                           \
    X(pipeline_threads, PIPELINE, "maxTotalThreadsPerThreadgroup", uint64_t, "Q@:", A0())                     \
    X(pipeline_width, PIPELINE, "threadExecutionWidth", uint64_t, "Q@:", A0())                                \
    X(pipeline_group_bytes, PIPELINE, "staticThreadgroupMemoryLength", uint64_t, "Q@:", A0())                 \
    X(buffer_contents, BUFFER, "contents", void *, "^v@:", A0())                                              \
    X(buffer_label, BUFFER, "setLabel:", void, "v@:@", A1(fnd_id))                                            \
    X(queue_label, QUEUE, "setLabel:", void, "v@:@", A1(fnd_id))                                              \
    X(queue_commands, QUEUE, "commandBuffer", fnd_id, "@@:", A0())                                            \
    X(commands_label, COMMANDS, "setLabel:", void, "v@:@", A1(fnd_id))                                        \
    X(commands_compute, COMMANDS, "computeCommandEncoderWithDispatchType:", fnd_id, "@@:Q", A1(uint64_t))     \
    X(commands_blit, COMMANDS, "blitCommandEncoder", fnd_id, "@@:", A0())                                     \
    X(commands_on_completion, COMMANDS, "addCompletedHandler:", void, "v@:@?", A1(fnd_completion_block *))    \
    X(commands_commit, COMMANDS, "commit", void, "v@:", A0())                                                 \
    X(commands_status, COMMANDS, "status", uint64_t, "Q@:", A0())                                             \
    X(commands_error, COMMANDS, "error", fnd_id, "@@:", A0())                                                 \
    X(commands_start, COMMANDS, "GPUStartTime", double, "d@:", A0())                                          \
    X(commands_end, COMMANDS, "GPUEndTime", double, "d@:", A0())                                              \
    X(compute_pipeline, COMPUTE, "setComputePipelineState:", void, "v@:@", A1(fnd_id))                        \
    X(compute_buffer, COMPUTE, "setBuffer:offset:atIndex:", void, "v@:@QQ", A3(fnd_id, uint64_t, uint64_t))   \
    X(compute_bytes, COMPUTE, "setBytes:length:atIndex:", void, "v@:^vQQ", A3(const void *, uint64_t, uint64_t)) \
    X(compute_barrier, COMPUTE, "memoryBarrierWithScope:", void, "v@:Q", A1(uint64_t))                        \
    X(compute_dispatch, COMPUTE, "dispatchThreadgroups:threadsPerThreadgroup:", void, "v@:{?=QQQ}{?=QQQ}", A2(fnd_mtl_size, fnd_mtl_size)) \
    X(compute_push, COMPUTE, "pushDebugGroup:", void, "v@:@", A1(fnd_id))                                     \
    X(compute_pop, COMPUTE, "popDebugGroup", void, "v@:", A0())                                               \
    X(compute_finish, COMPUTE, "endEncoding", void, "v@:", A0())                                              \
    X(blit_copy, BLIT, "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", void, "v@:@Q@QQ", A5(fnd_id, uint64_t, fnd_id, uint64_t, uint64_t)) \
    X(blit_fill, BLIT, "fillBuffer:range:value:", void, "v@:@{_NSRange=QQ}C", A3(fnd_id, fnd_ns_range, uint8_t)) \
    X(blit_finish, BLIT, "endEncoding", void, "v@:", A0())

/* Methods that return a struct too large for registers: on x86-64 another function sends to them. */
#define FND_METAL_STRUCT_METHODS(X)                                                                           \
    X(device_max_threads, DEVICE, "maxThreadsPerThreadgroup", fnd_mtl_size, "{?=QQQ}@:", A0())

/* Whose selectors they are: a word of ours, and the class where it is made by name. */
#define FND_METAL_OWNERS(X)                                     \
    X(OBJECT, NULL) X(CLASS, NULL) X(STRING_CLASS, "NSString")  \
    X(STRING, NULL) X(ARRAY, NULL) X(ERROR, NULL) X(DEVICE, NULL) \
    X(COMPILE_OPTIONS, "MTLCompileOptions") X(LIBRARY, NULL)    \
    X(PIPELINE_DESCRIPTOR, "MTLComputePipelineDescriptor")      \
    X(PIPELINE, NULL) X(BUFFER, NULL) X(QUEUE, NULL)            \
    X(COMMANDS, NULL) X(COMPUTE, NULL) X(BLIT, NULL)

/*    field, symbol, returns, parameters */
#define FND_METAL_FUNCTIONS(X)                                                                                \
    X(get_class, "objc_getClass", fnd_id, (const char *name))                                                 \
    X(register_selector, "sel_registerName", fnd_sel, (const char *name))                                     \
    X(class_of, "object_getClass", fnd_id, (fnd_id object))                                                   \
    X(class_name, "class_getName", const char *, (fnd_id of))                                                 \
    X(method_of, "class_getInstanceMethod", void *, (fnd_id of, fnd_sel selector))                            \
    X(encoding_of, "method_getTypeEncoding", const char *, (void *method))                                    \
    X(push_pool, "objc_autoreleasePoolPush", void *, (void))                                                  \
    X(pop_pool, "objc_autoreleasePoolPop", void, (void *pool))                                                \
    X(send, "objc_msgSend", void, (void))                                                                     \
    X(default_device, "MTLCreateSystemDefaultDevice", fnd_id, (void))                                         \
    X(all_devices, "MTLCopyAllDevices", fnd_id, (void))                                                       \
    X(data_create, "dispatch_data_create", fnd_id, (const void *bytes, size_t count, void *queue, void *destructor)) \
    X(data_release, "dispatch_release", void, (fnd_id data))                                                  \
    X(registry_matching, "IORegistryEntryIDMatching", void *, (uint64_t id))                                  \
    X(registry_service, "IOServiceGetMatchingService", uint32_t, (uint32_t port, void *matching))             \
    X(registry_property, "IORegistryEntryCreateCFProperty", void *, (uint32_t entry, void *key, void *allocator, uint32_t options)) \
    X(registry_release, "IOObjectRelease", int, (uint32_t object))                                            \
    X(cf_string, "CFStringCreateWithCString", void *, (void *allocator, const char *text, uint32_t encoding)) \
    X(cf_number, "CFNumberGetValue", uint8_t, (void *number, int64_t type, void *out))                        \
    X(cf_release, "CFRelease", void, (void *object))

enum {
#define FND_METAL_ROW_(name, owner, selector, returns, encoding, shape) FND_MTL_##name,
    FND_METAL_METHODS(FND_METAL_ROW_)
    FND_METAL_STRUCT_METHODS(FND_METAL_ROW_)
#undef FND_METAL_ROW_
    FND_MTL_METHODS
};

typedef struct fnd_metal_api {
#define FND_METAL_FIELD_(field, symbol, returns, parameters) returns (*field) parameters;
    FND_METAL_FUNCTIONS(FND_METAL_FIELD_)
#undef FND_METAL_FIELD_
    void   (*send_struct)(void);  /* objc_msgSend_stret where there is one, else objc_msgSend */
    void    *stack_block;         /* _NSConcreteStackBlock */
    fnd_sel  selectors[FND_MTL_METHODS];
    fnd_id   string_class, options_class, descriptor_class;
} fnd_metal_api;

/* ---- the calls: each row's types, names and values from its parameters ---- */
#define FND_TYPES_A0()
#define FND_TYPES_A1(a) , a
#define FND_TYPES_A2(a, b) , a, b
#define FND_TYPES_A3(a, b, c) , a, b, c
#define FND_TYPES_A4(a, b, c, d) , a, b, c, d
#define FND_TYPES_A5(a, b, c, d, e) , a, b, c, d, e
#define FND_NAMED_A0()
#define FND_NAMED_A1(a) , a a1
#define FND_NAMED_A2(a, b) , a a1, b a2
#define FND_NAMED_A3(a, b, c) , a a1, b a2, c a3
#define FND_NAMED_A4(a, b, c, d) , a a1, b a2, c a3, d a4
#define FND_NAMED_A5(a, b, c, d, e) , a a1, b a2, c a3, d a4, e a5
#define FND_VALUES_A0()
#define FND_VALUES_A1(a) , a1
#define FND_VALUES_A2(a, b) , a1, a2
#define FND_VALUES_A3(a, b, c) , a1, a2, a3
#define FND_VALUES_A4(a, b, c, d) , a1, a2, a3, a4
#define FND_VALUES_A5(a, b, c, d, e) , a1, a2, a3, a4, a5

#define FND_METAL_CALL_(name, owner, selector, returns, encoding, shape)                                      \
    static inline returns fnd_mtl_##name(const fnd_metal_api *m, fnd_id self FND_NAMED_##shape) {             \
        return ((returns (*)(fnd_id, fnd_sel FND_TYPES_##shape))m->send)(self, m->selectors[FND_MTL_##name] FND_VALUES_##shape); \
    }
#define FND_METAL_STRUCT_CALL_(name, owner, selector, returns, encoding, shape)                               \
    static inline returns fnd_mtl_##name(const fnd_metal_api *m, fnd_id self FND_NAMED_##shape) {             \
        return ((returns (*)(fnd_id, fnd_sel FND_TYPES_##shape))m->send_struct)(self, m->selectors[FND_MTL_##name] FND_VALUES_##shape); \
    }
FND_METAL_METHODS(FND_METAL_CALL_)
FND_METAL_STRUCT_METHODS(FND_METAL_STRUCT_CALL_)
#undef FND_METAL_CALL_
#undef FND_METAL_STRUCT_CALL_

/* Open the frameworks, once in this process for each `library` (NULL: Apple's own; a path: all that is above
 * from that library). When they are not there, or lack something: FND_ERR_UNSUPPORTED and a sentence. */
FND_USE_RESULT fnd_status fnd_metal_api_open(const char *library, const fnd_metal_api **out, fnd_error *err);

/* Compare every row with what the running system says of its own methods, with objects made for it on
 * `device`: *compared rows are the same. When others are not: FND_ERR_DEVICE with all of them, as far as the
 * error's text has room; how many they are stands before them. */
FND_USE_RESULT fnd_status fnd_metal_api_compare(const fnd_metal_api *m, fnd_id device, uint32_t *compared, fnd_error *err);
/* The encoding without offsets and qualifiers, BOOL as B: at most `bytes` - 1 characters. */
void fnd_metal_plain_encoding(const char *encoding, char *out, size_t bytes);

/* What an NSError says: "<domain> <code>: <description>", cut to `bytes` - 1. NULL is fine. */
void fnd_metal_error_text(const fnd_metal_api *m, fnd_id error, char *out, size_t bytes);
/* An NSString of the pool in place. */
fnd_id fnd_metal_string(const fnd_metal_api *m, const char *text);

#endif
