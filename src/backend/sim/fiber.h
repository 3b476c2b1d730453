/* fiber.h - threads of execution on stacks of their own, switched by hand on one system thread. */
#ifndef BACKEND_SIM_FIBER_H
#define BACKEND_SIM_FIBER_H

#include "foundry/status.h"

#include <stdint.h>

enum {
    FND_FIBER_STACK_BYTES = 128 << 10,
    FND_FIBER_FRAME_BYTES = 96 << 10, /* what device text may use; the rest is for the simulator */
};

typedef struct fnd_fiber {
    void *at; /* its stack pointer while it does not run */
} fnd_fiber;

/* For functions that are left for another fiber in their middle. The thread sanitizer keeps a stack of
 * calls for each system thread: what never returns would fill it, and overrun it after 65,536 calls.
 * clang's no_sanitize("thread") leaves that counting in. */
#if defined(__clang__) && __has_attribute(disable_sanitizer_instrumentation)
#define FND_SWITCHES __attribute__((disable_sanitizer_instrumentation, noinline))
#else
#define FND_SWITCHES __attribute__((no_sanitize("thread"), noinline))
#endif

/* Address space for many stacks; a page is used only once it is touched. */
typedef struct fnd_fiber_stacks {
    uint8_t *base;
    size_t   count, stride, guard;
} fnd_fiber_stacks;

FND_USE_RESULT fnd_status fnd_fiber_stacks_open(size_t count, fnd_fiber_stacks *out, fnd_error *err);
void fnd_fiber_stacks_close(fnd_fiber_stacks *stacks);
static inline uint8_t *fnd_fiber_stack(const fnd_fiber_stacks *stacks, size_t index) {
    return stacks->base + index * stacks->stride + stacks->guard;
}

/* Prepare a fiber: the first switch to it calls run(argument) on stack `index`. What ran there
 * before is forgotten. `run` must not return; it ends by switching away for the last time. */
void fnd_fiber_start(fnd_fiber *fiber, const fnd_fiber_stacks *stacks, size_t index, void (*run)(void *argument), void *argument);

/* Leave `from`, which is running, and go on with `to`. Returns when something switches to `from`. */
void fnd_fiber_switch(fnd_fiber *from, const fnd_fiber *to);

#endif
