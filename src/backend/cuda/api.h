/* api.h - the functions of NVIDIA's driver and run-time compiler that this backend uses, found at run
 * time: neither library is needed to build Foundry or to run it without such a device.
 *
 * SAFETY: the types below are those of cuda.h and nvrtc.h, which keep them for ever: a function that
 * changes gets a new name there ("_v2"). Handles are opaque pointers, enumerations are ints, device
 * pointers are 64 bits. */
#ifndef BACKEND_CUDA_API_H
#define BACKEND_CUDA_API_H

#include "foundry/status.h"

#include <stdint.h>

typedef struct CUctx_st    *fnd_cu_context;
typedef struct CUstream_st *fnd_cu_stream;
typedef struct CUevent_st  *fnd_cu_event;
typedef struct CUmod_st    *fnd_cu_module;
typedef struct CUfunc_st   *fnd_cu_function;
typedef struct CUgraph_st     *fnd_cu_graph;
typedef struct CUgraphNode_st *fnd_cu_node;
typedef struct CUgraphExec_st *fnd_cu_graph_exec;
typedef uint64_t            fnd_cu_address;
typedef uint64_t            fnd_cu_allocation; /* CUmemGenericAllocationHandle */
typedef struct fnd_nvrtc_program *fnd_nvrtc_program;

/* CUmemLocation, CUmemAllocationProp, CUmemAccessDesc */
typedef struct fnd_cu_location { int type, id; } fnd_cu_location;
typedef struct fnd_cu_allocation_prop {
    int             type, handle_types;
    fnd_cu_location location;
    void           *win32;
    struct {
        unsigned char compression, direct_rdma;
        unsigned short usage;
        unsigned char reserved[4];
    } flags;
} fnd_cu_allocation_prop;
/* CUDA_KERNEL_NODE_PARAMS_v1 */
typedef struct fnd_cu_kernel_node {
    fnd_cu_function function;
    unsigned        groups[3], threads[3], shared_bytes;
    void          **params, **extra;
} fnd_cu_kernel_node;
typedef struct fnd_cu_access { fnd_cu_location location; int flags; } fnd_cu_access;

/* The values that are used, by their names in cuda.h. */
enum {
    FND_CU_OUT_OF_MEMORY = 2,
    FND_CU_NO_DEVICE = 100,
    FND_CU_NOT_READY = 600,
    FND_CU_MULTIPROCESSOR_COUNT = 16,
    FND_CU_MAX_SHARED_PER_BLOCK = 97, /* when asked for */
    FND_CU_CAPABILITY_MAJOR = 75,
    FND_CU_CAPABILITY_MINOR = 76,
    FND_CU_COOPERATIVE_LAUNCH = 95,
    FND_CU_VIRTUAL_MEMORY = 102,
    FND_CU_FUNCTION_MAX_THREADS = 0,
    FND_CU_FUNCTION_SHARED_BYTES = 1,
    FND_CU_FUNCTION_LOCAL_BYTES = 3,
    FND_CU_FUNCTION_REGISTERS = 4,
    FND_CU_FUNCTION_MAX_DYNAMIC_SHARED_BYTES = 8,
    FND_CU_STREAM_NON_BLOCKING = 1,
    FND_CU_EVENT_DISABLE_TIMING = 2,
    FND_CU_PINNED = 1,          /* CU_MEM_ALLOCATION_TYPE_PINNED */
    FND_CU_LOCATION_DEVICE = 1,
    FND_CU_CAPTURE_THREAD = 1,  /* CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on asking after events */
    FND_CU_READ_WRITE = 3,      /* CU_MEM_ACCESS_FLAGS_PROT_READWRITE */
};

/*    name of the field, name in libcuda, parameters */
#define FND_CUDA_CALLS(X)                                                                                   \
    X(init, "cuInit", (unsigned flags))                                                                     \
    X(error_name, "cuGetErrorName", (int error, const char **name))                                         \
    X(error_text, "cuGetErrorString", (int error, const char **text))                                       \
    X(device_count, "cuDeviceGetCount", (int *count))                                                       \
    X(device_get, "cuDeviceGet", (int *device, int ordinal))                                                \
    X(device_name, "cuDeviceGetName", (char *name, int bytes, int device))                                  \
    X(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))                    \
    X(context_retain, "cuDevicePrimaryCtxRetain", (fnd_cu_context *context, int device))                    \
    X(context_release, "cuDevicePrimaryCtxRelease_v2", (int device))                                        \
    X(context_set, "cuCtxSetCurrent", (fnd_cu_context context))                                             \
    X(memory_info, "cuMemGetInfo_v2", (size_t *available, size_t *all))                                     \
    X(alloc, "cuMemAlloc_v2", (fnd_cu_address *address, size_t bytes))                                      \
    X(release, "cuMemFree_v2", (fnd_cu_address address))                                                    \
    X(alloc_host, "cuMemHostAlloc", (void **address, size_t bytes, unsigned flags))                         \
    X(release_host, "cuMemFreeHost", (void *address))                                                       \
    X(set_bytes, "cuMemsetD8Async", (fnd_cu_address to, unsigned char value, size_t bytes, fnd_cu_stream))  \
    X(copy_in, "cuMemcpyHtoDAsync_v2", (fnd_cu_address to, const void *from, size_t bytes, fnd_cu_stream))  \
    X(copy_out, "cuMemcpyDtoHAsync_v2", (void *to, fnd_cu_address from, size_t bytes, fnd_cu_stream))       \
    X(granularity, "cuMemGetAllocationGranularity", (size_t *bytes, const fnd_cu_allocation_prop *, int))   \
    X(address_reserve, "cuMemAddressReserve", (fnd_cu_address *, size_t bytes, size_t alignment, fnd_cu_address at, uint64_t flags)) \
    X(address_free, "cuMemAddressFree", (fnd_cu_address, size_t bytes))                                     \
    X(memory_create, "cuMemCreate", (fnd_cu_allocation *, size_t bytes, const fnd_cu_allocation_prop *, uint64_t flags)) \
    X(memory_release, "cuMemRelease", (fnd_cu_allocation))                                                  \
    X(memory_map, "cuMemMap", (fnd_cu_address, size_t bytes, size_t offset, fnd_cu_allocation, uint64_t flags)) \
    X(memory_unmap, "cuMemUnmap", (fnd_cu_address, size_t bytes))                                           \
    X(memory_access, "cuMemSetAccess", (fnd_cu_address, size_t bytes, const fnd_cu_access *, size_t count)) \
    X(stream_create, "cuStreamCreate", (fnd_cu_stream *, unsigned flags))                                   \
    X(stream_destroy, "cuStreamDestroy_v2", (fnd_cu_stream))                                                \
    X(stream_wait, "cuStreamSynchronize", (fnd_cu_stream))                                                  \
    X(stream_query, "cuStreamQuery", (fnd_cu_stream))                                                       \
    X(event_query, "cuEventQuery", (fnd_cu_event))                                                          \
    X(event_create, "cuEventCreate", (fnd_cu_event *, unsigned flags))                                      \
    X(event_destroy, "cuEventDestroy_v2", (fnd_cu_event))                                                   \
    X(event_record, "cuEventRecord", (fnd_cu_event, fnd_cu_stream))                                         \
    X(event_wait, "cuEventSynchronize", (fnd_cu_event))                                                     \
    X(event_elapsed, "cuEventElapsedTime", (float *milliseconds, fnd_cu_event start, fnd_cu_event end))     \
    X(module_load, "cuModuleLoadData", (fnd_cu_module *, const void *image))                                \
    X(module_unload, "cuModuleUnload", (fnd_cu_module))                                                     \
    X(module_function, "cuModuleGetFunction", (fnd_cu_function *, fnd_cu_module, const char *name))         \
    X(function_attribute, "cuFuncGetAttribute", (int *value, int attribute, fnd_cu_function))               \
    X(function_set, "cuFuncSetAttribute", (fnd_cu_function, int attribute, int value))                      \
    X(function_resident, "cuOccupancyMaxActiveBlocksPerMultiprocessor", (int *groups, fnd_cu_function, int threads, size_t shared)) \
    X(capture_begin, "cuStreamBeginCapture_v2", (fnd_cu_stream, int mode))                                  \
    X(capture_info, "cuStreamGetCaptureInfo_v2", (fnd_cu_stream, int *status, uint64_t *id, fnd_cu_graph *, const fnd_cu_node **last, size_t *count)) \
    X(capture_end, "cuStreamEndCapture", (fnd_cu_stream, fnd_cu_graph *))                                   \
    X(graph_instantiate, "cuGraphInstantiateWithFlags", (fnd_cu_graph_exec *, fnd_cu_graph, unsigned long long flags)) \
    X(graph_set, "cuGraphExecKernelNodeSetParams", (fnd_cu_graph_exec, fnd_cu_node, const fnd_cu_kernel_node *)) \
    X(graph_launch, "cuGraphLaunch", (fnd_cu_graph_exec, fnd_cu_stream))                                    \
    X(graph_exec_destroy, "cuGraphExecDestroy", (fnd_cu_graph_exec))                                        \
    X(graph_destroy, "cuGraphDestroy", (fnd_cu_graph))                                                      \
    X(launch, "cuLaunchKernel", (fnd_cu_function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned shared, fnd_cu_stream, void **params, void **extra)) \
    X(launch_together, "cuLaunchCooperativeKernel", (fnd_cu_function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned shared, fnd_cu_stream, void **params))

#define FND_NVRTC_CALLS(X)                                                                                  \
    X(version, "nvrtcVersion", (int *major, int *minor))                                                    \
    X(arch_count, "nvrtcGetNumSupportedArchs", (int *count))                                                \
    X(archs, "nvrtcGetSupportedArchs", (int *archs))                                                        \
    X(create, "nvrtcCreateProgram", (fnd_nvrtc_program *, const char *text, const char *name, int headers, const char *const *, const char *const *)) \
    X(compile, "nvrtcCompileProgram", (fnd_nvrtc_program, int options, const char *const *option_texts))    \
    X(log_bytes, "nvrtcGetProgramLogSize", (fnd_nvrtc_program, size_t *bytes))                              \
    X(log, "nvrtcGetProgramLog", (fnd_nvrtc_program, char *log))                                            \
    X(cubin_bytes, "nvrtcGetCUBINSize", (fnd_nvrtc_program, size_t *bytes))                                 \
    X(cubin, "nvrtcGetCUBIN", (fnd_nvrtc_program, char *cubin))                                             \
    X(destroy, "nvrtcDestroyProgram", (fnd_nvrtc_program *))

#define FND_API_FIELD_(field, name, parameters) int(*field) parameters;
typedef struct fnd_cuda_api { FND_CUDA_CALLS(FND_API_FIELD_) } fnd_cuda_api;
typedef struct fnd_nvrtc_api { FND_NVRTC_CALLS(FND_API_FIELD_) } fnd_nvrtc_api;
#undef FND_API_FIELD_

/* Open each library once in this process. When it is not there, or too old: FND_ERR_UNSUPPORTED and a
 * sentence that says what is missing and what to install. The tables live as long as the process. */
FND_USE_RESULT fnd_status fnd_cuda_api_open(const fnd_cuda_api **out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_nvrtc_api_open(const fnd_nvrtc_api **out, fnd_error *err);

#endif
