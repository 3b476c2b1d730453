/* dispatch.h - launching one piece of code with bound arguments, timed when somebody listens. */
#ifndef RUN_DISPATCH_H
#define RUN_DISPATCH_H

#include "run/composer.h"

typedef struct fnd_dispatch {
    const char    *label;
    void          *code;
    bool           is_program; /* code of a program's text */
    fnd_graph     *graph;      /* or launches that go as one */
    const uint8_t *args;
    uint32_t       args_bytes, values_at, warps;
    bool           concurrent; /* needs nothing of the launches since the last that is not */
    size_t         own_scratch_bytes, shared_scratch_bytes, ring_bytes;
    fnd_traffic    traffic;
    const fnd_launch_buffer *buffers;
    size_t         buffer_count;
} fnd_dispatch;

/* Where dispatches go: to the device now, or into a submission. */
typedef struct fnd_sink {
    uint64_t submission; /* or FND_PLAIN_LAUNCH */
    void    *to;
    fnd_status (*take)(foundry *f, void *to, const fnd_dispatch *d, fnd_error *err);
} fnd_sink;

extern const fnd_sink fnd_sink_now;

/* What fnd_run and fnd_program_run do, into a sink. */
FND_USE_RESULT fnd_status fnd_run_into(foundry *f, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, const fnd_sink *sink, fnd_error *err);
FND_USE_RESULT fnd_status fnd_program_run_into(fnd_program *program, const fnd_sink *sink, fnd_error *err);

/* What fnd_run and fnd_program_run do, but what is launched may be held back until more is: to go to the device together
 * with what follows at once (a token's pass and the choice of the next one are one command buffer). A wait, a read
 * of what it writes, or the next fnd_run or fnd_program_run sends it off. */
FND_USE_RESULT fnd_status fnd_run_held(foundry *f, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, fnd_error *err);
FND_USE_RESULT fnd_status fnd_program_run_held(fnd_program *program, fnd_error *err);

/* A dispatch into a slot of submissions (submit.c). */
FND_USE_RESULT fnd_status fnd_slot_take(foundry *f, void *slot, const fnd_dispatch *d, fnd_error *err);
/* The profiler's scopes of this thread, then `name` if there is one. */
void fnd_slot_set_label(fnd_slot *slot, const char *name);
/* To the device now, and the profiler is told nothing. */
FND_USE_RESULT fnd_status fnd_dispatch_unseen(foundry *f, const fnd_dispatch *d, fnd_error *err);
/* What was launched so far begins now. */
FND_USE_RESULT fnd_status fnd_dispatch_flush(foundry *f, fnd_error *err);
/* What the backend is told of a dispatch. */
fnd_launch fnd_dispatch_launch(const foundry *f, const fnd_dispatch *d);

/* The launch buffers of a call: one per tensor, as large as the present dimensions say. Returns how
 * many they are (at most FND_MAX_ARGS); with `out` NULL that only. */
size_t fnd_dispatch_buffers(const fnd_bound *b, const fnd_storage_ref *refs, fnd_launch_buffer *out);

/* Which texts a call can be compiled from: the device's suffix, or "" (the portable ones). Tiles of a
 * format that has no text of the device are refused. */
FND_USE_RESULT fnd_status fnd_dispatch_suffix(foundry *f, const fnd_bound *b, const char **suffix, fnd_error *err);

/* Code for one call alone, compiled as the variant says. */
FND_USE_RESULT fnd_status fnd_dispatch_pipeline(foundry *f, const fnd_bound *b, const fnd_variant *v, void **code, fnd_error *err);

#endif
