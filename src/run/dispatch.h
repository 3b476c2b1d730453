/* dispatch.h - launching one piece of code with bound arguments, timed when somebody listens. */
#ifndef RUN_DISPATCH_H
#define RUN_DISPATCH_H

#include "run/composer.h"

typedef struct fnd_dispatch {
    const char    *label;
    void          *code;
    bool           is_program; /* code of a program's text */
    const uint8_t *args;
    uint32_t       args_bytes, warps;
    size_t         own_scratch_bytes, shared_scratch_bytes;
    fnd_traffic    traffic;
    const fnd_launch_buffer *buffers;
    size_t         buffer_count;
} fnd_dispatch;

FND_USE_RESULT fnd_status fnd_dispatch_run(foundry *f, const fnd_dispatch *d, fnd_error *err);

/* The launch buffers of a call: one per tensor, as large as the present dimensions say. Returns how
 * many they are (at most FND_MAX_ARGS); with `out` NULL that only. */
size_t fnd_dispatch_buffers(const fnd_bound *b, const fnd_storage_ref *refs, fnd_launch_buffer *out);

/* Which texts a call can be compiled from: the device's suffix, or "" (the portable ones). Tiles of a
 * format that has no text of the device are refused. */
FND_USE_RESULT fnd_status fnd_dispatch_suffix(foundry *f, const fnd_bound *b, const char **suffix, fnd_error *err);

/* Code for one call alone, compiled as the variant says. */
FND_USE_RESULT fnd_status fnd_dispatch_pipeline(foundry *f, const fnd_bound *b, const fnd_variant *v, void **code, fnd_error *err);

#endif
