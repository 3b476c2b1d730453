/* standin.h - a stand-in for Apple's frameworks on Linux: the Objective-C runtime and as much of Metal as the
 * metal backend uses, written from Apple's documentation and apart from the backend. It is a shared library that
 * the backend opens in their place (FOUNDRY_METAL_LIBRARY) and cannot tell from them.
 *
 * It counts references, keeps autorelease pools, checks every selector against a table of its own
 * (selectors.h), validates what Metal's validation layer does and more, and runs the text that it is given: as
 * OpenCL C++ by clang, which keeps Metal's address spaces, on the simulator's threads with all its checks. What
 * breaks a rule is a violation: the process ends with a sentence, or, for tests of the stand-in itself, the
 * sentence is kept.
 *
 * Tests reach standin_control by its name. Settings can also come from the environment:
 * FOUNDRY_STANDIN="cores=1,max_threads=64". */
#ifndef METAL_STANDIN_H
#define METAL_STANDIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STANDIN_EXPORT __attribute__((visibility("default")))

/* ---- what can be set, with its usual value: counts are of the calls from now on, 0 = none ---- */
#define STANDIN_SETTINGS(X)                                                                   \
    X(no_device, 0, "there is no device")                                                     \
    X(no_default, 0, "there is a device, and it is not the default one")                      \
    X(old_device, 0, "the GPU of an Intel Mac: of the family Mac2, and of none of Apple's")   \
    X(unified, 1, "processor and GPU have one memory")                                        \
    X(cores, 1, "of the GPU, as the registry tells; 0: it does not")                          \
    X(max_threads, 64, "of a threadgroup, by the device")                                     \
    X(max_buffer, 1 << 30, "bytes of the longest buffer")                                     \
    X(group_bytes, 32768, "threadgroup memory, by the device")                                \
    X(width, 32, "threadExecutionWidth")                                                      \
    X(pipeline_threads, 0, "maxTotalThreadsPerThreadgroup of pipelines; 0: what is asked for") \
    X(fail_compile, 0, "the n-th text from now on does not compile")                          \
    X(refuse_libraries, 0, "libraries of the command line tools are not taken")               \
    X(fail_pipeline, 0, "the n-th pipeline from now on is refused")                           \
    X(fail_buffer, 0, "the n-th buffer from now on finds no memory")                          \
    X(fail_commands, 0, "the n-th command buffer from now on fails")                          \
    X(fail_code, 8, "with this MTLCommandBufferError")                                        \
    X(checks, 1, "texts are run with all checks of the simulator; 0: as fast as they can be")  \
    X(wrong_encoding, 0, "this many methods, up to two, have other types than Apple's")                           \
    X(slow_ms, 0, "every command buffer takes this long at least")                            \
    X(told_us, 0, "the GPU's times say that it took this long; 0: what it took")

typedef struct standin_settings {
#define STANDIN_FIELD(name, usual, doc) long name;
    STANDIN_SETTINGS(STANDIN_FIELD)
#undef STANDIN_FIELD
} standin_settings;
extern standin_settings standin_set;

/* What tests call: "set NAME VALUE"; "reset" (settings as usual); "live" (objects alive: how many, out[] names
 * them); "collect" (violations are kept from now on, not fatal); "violations" (how many since, out[] the
 * first); "in_flight" (the most command buffers at a time); one of the counters below; "label" (out[]: of the last
 * command buffer); "group" (out[]: the debug group that the last dispatch was in). -1: no such request. */
STANDIN_EXPORT long standin_control(const char *request, char *out, size_t bytes);

#define STANDIN_COUNTERS(X)                                                        \
    X(commands, "command buffers that were executed")                              \
    X(dispatches, "that were executed")                                            \
    X(barriers, "that were executed")                                              \
    X(blits, "copies and fills that were executed")                                \
    X(shared, "neighbouring dispatches with no barrier between them that may write at one place of a buffer") \
    X(private, "buffers that were made private to the GPU")                        \
    X(serial, "dispatches of encoders that are not concurrent")                    \
    X(unlabelled, "uses of a queue, command buffer, pipeline or buffer that has no label") \
    X(threads, "no count: of a group of the last dispatch")
typedef struct standin_counters {
#define STANDIN_COUNTER(name, doc) atomic_long name;
    STANDIN_COUNTERS(STANDIN_COUNTER)
#undef STANDIN_COUNTER
} standin_counters;
extern standin_counters standin_count;

/* ---- objects ---- */

typedef struct object object;
typedef struct method method;
typedef struct class_ class_;
typedef const struct selector *selector;

struct object {
    class_  *isa;
    uint32_t magic; /* ALIVE, or something else: freed, or never ours */
    int32_t  references;
    object  *next, *previous; /* all that are alive, but for classes */
};
enum { ALIVE = 0x0b1ec7ed, DEAD = 0xdeadbeef };

struct class_ {
    object      base; /* a class is an object whose isa is its metaclass */
    const char *name;
    class_     *super;
    void (*dealloc)(object *self);
    size_t      bytes;
};

#define STANDIN_CLASSES(X)                                                                        \
    X(NSObject, object) X(NSString, string_object) X(NSError, error_object) X(NSArray, array_object) \
    X(OS_dispatch_data, data_object) X(MTLCompileOptions, options_object)                          \
    X(MTLComputePipelineDescriptor, descriptor_object) X(StandinDevice, device_object)             \
    X(StandinQueue, queue_object) X(StandinBuffer, buffer_object) X(StandinLibrary, library_object) \
    X(StandinFunction, function_object) X(StandinPipeline, pipeline_object)                        \
    X(StandinCommands, commands_object) X(StandinCompute, encoder_object) X(StandinBlit, encoder_object)
#define STANDIN_CLASS(name, type) extern class_ class_##name;
STANDIN_CLASSES(STANDIN_CLASS)
#undef STANDIN_CLASS

/* All runtime state is under one lock, which is recursive. */
void standin_lock(void);
void standin_unlock(void);

object *standin_new(class_ *of); /* one reference, zeros behind the head */
object *standin_retain(object *o);
void standin_release(object *o);
object *standin_autorelease(object *o); /* gives its reference to the pool in place */
/* Is it an object of the class, alive? Otherwise a violation that begins with `what`. */
bool standin_is(object *o, const class_ *of, const char *what);
__attribute__((format(printf, 1, 2))) void standin_violation(const char *format, ...);
/* One of a count down: true for the n-th call after it was set to n. */
bool standin_hits(long *count);

/* ---- Foundation ---- */
typedef struct string_object { object base; char *text; } string_object;
typedef struct error_object { object base; object *domain, *text; int64_t code; } error_object;
typedef struct array_object { object base; object *items[4]; size_t count; } array_object;
typedef struct data_object { object base; void *bytes; size_t count; } data_object;
object *standin_string(const char *text); /* one reference */
const char *standin_text(object *string);
object *standin_error(const char *domain, int64_t code, const char *text); /* one reference */

/* ---- Metal ---- */
enum { MAX_BUFFERS = 31, MAX_BYTES = 4096, NAME_BYTES = 96 };
typedef struct size3 { uint64_t width, height, depth; } size3;
typedef struct range { uint64_t location, length; } range;

typedef struct options_object { object base; uint64_t language; bool ieee; } options_object; /* Metal's math is fast unless it is told not to be */
typedef struct device_object { object base; } device_object;
typedef struct buffer_object {
    object   base;
    uint64_t length, options;
    uint8_t *memory;
    void    *handle; /* of the simulator's memory */
    bool     no_copy;
    object  *label;
} buffer_object;

/* What a kernel's text says of itself. */
typedef struct parameter {
    char     name[NAME_BYTES];
    bool     is_buffer, is_constant, is_const;
    uint32_t index, alignment;
} parameter;
typedef struct library_object { object base; char *text, *entry; object *label; } library_object;
typedef struct function_object { object base; library_object *library; } function_object;
typedef struct descriptor_object { object base; function_object *function; uint64_t threads; bool whole_warps; object *label; } descriptor_object;
typedef struct pipeline_object {
    object    base;
    void     *code;  /* fnd_sim_code */
    parameter parameters[MAX_BUFFERS];
    uint32_t  parameter_count, group_bytes;
    uint64_t  threads;
    char      name[NAME_BYTES];
    object   *label;
} pipeline_object;

typedef struct queue_object { object base; object *label; } queue_object;

typedef struct binding { buffer_object *buffer; uint64_t offset; uint8_t *bytes; uint64_t count; } binding;
typedef enum command_kind { COMMAND_DISPATCH, COMMAND_BARRIER, COMMAND_ENCODER, COMMAND_COPY, COMMAND_FILL } command_kind;
typedef struct command {
    command_kind     kind;
    pipeline_object *pipeline;
    binding          bindings[MAX_BUFFERS];
    uint64_t         groups, threads;
    buffer_object   *from, *to;
    uint64_t         from_at, to_at, count;
    uint8_t          value;
} command;

typedef struct commands_object {
    object          base;
    queue_object   *queue;
    object         *label, *error;
    uint64_t        status; /* MTLCommandBufferStatus */
    double          start_s, end_s;
    struct encoder_object *open; /* not ended; not owned */
    command        *list;
    size_t          count, capacity;
    void           *handler; /* the copied block */
    struct commands_object *next; /* in the queue */
} commands_object;

typedef struct encoder_object {
    object           base;
    commands_object *commands;
    bool             ended, concurrent;
    int              groups_open;
    char             group[NAME_BYTES];
    pipeline_object *pipeline;
    binding          bindings[MAX_BUFFERS];
    object          *label;
} encoder_object;

/* memory.c: the simulator's memory, shared by all. */
struct fnd_sim *standin_sim(void);
bool standin_memory(buffer_object *b, void *over);
void standin_memory_free(buffer_object *b);
/* text.c: from the preprocessed Metal text to one that the simulator can run. *entry is the name of the kernel;
 * both are malloc'd. False: says[] is what it cannot. */
void standin_roll_loops(char *metal); /* forget that they should be unrolled */
bool standin_rewrite(const char *metal, char **text, char **entry, char *says, size_t bytes);
/* compile.c: compile; false: says[] is the compiler's complaint. */
bool standin_compile(const char *text, char **entry, char *says, size_t bytes);
bool standin_load(const char *text, pipeline_object *out, char *says, size_t bytes);
void standin_unload(pipeline_object *p);
/* run.c: one dispatch on the simulator. False: says[] is what went wrong. */
bool standin_run(const command *c, char *says, size_t bytes);
/* commands.c */
void standin_command_free(command *c);
void standin_wait_idle(void); /* until the GPU has nothing to do */
extern atomic_long standin_most_in_flight;
extern char standin_last_label[256], standin_last_group[NAME_BYTES];

#endif
