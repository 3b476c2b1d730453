/* bind.h - from a kernel and named tensors to the bytes of an argument struct. */
#ifndef RUN_BIND_H
#define RUN_BIND_H

#include "compose/print.h"
#include "foundry/profile.h"
#include "foundry/run.h"
#include "tensor/storage.h"

struct fnd_kernel {
    foundry        *f;
    fnd_composition composition;
    fnd_kernel     *next;
};

/* What is bound beside the tensors: a program's calls that agree in all of it share one. */
typedef struct fnd_bound_numbers {
    fnd_variant variant;                 /* formats, tokens; nothing folded yet */
    fnd_dims    dims;                    /* values */
    uint32_t    bits[FND_MAX_ARGS];      /* numbers */
    uint64_t    ops;                     /* a program's: of a call with these, while ops_known */
    bool        ops_known;
} fnd_bound_numbers;

typedef struct fnd_bound {
    fnd_kernel        *kernel;
    fnd_bound_numbers *numbers;
    fnd_tensor        *tensors;          /* one per argument */
    bool               portable;         /* weights lie as in the file, where only portable texts read them so */
    bool               tiled;            /* weights lie in the device's tiles: its own texts only */
} fnd_bound;

/* A bound call with room for what it refers to. Not to be copied. */
typedef struct fnd_bound_room {
    fnd_bound         bound;
    fnd_bound_numbers numbers;
    fnd_tensor        tensors[FND_MAX_ARGS];
} fnd_bound_room;

/* Check everything that can be checked without the storage, but for the kernel's rules. */
FND_USE_RESULT fnd_status fnd_bind(foundry *f, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, fnd_bound_room *out, fnd_error *err);
/* Its rows are tokens of several sequences, or guesses: each as it would be alone. */
void fnd_bound_step(fnd_bound *b);

/* rules.c: check the rules of the kernel named by a set of bits, with the present numbers; `grown`: of
 * tensors that grow, what they have grown to counts. */
FND_USE_RESULT fnd_status fnd_bound_check_rules(const fnd_bound *b, uint32_t rules, bool grown, fnd_error *err);
/* Rules that name a dimension which a tensor has not grown to yet. */
uint32_t fnd_bound_growing_rules(const fnd_bound *b);
/* Which rules name the dimension or number of a slot (compose/kernel.h). */
uint32_t fnd_bound_rules_of(const fnd_bound *b, uint32_t slot);
enum { FND_ALL_RULES = -1 };

/* Look up the storages, for a submission or FND_PLAIN_LAUNCH (uploading what needs it), and write the argument struct. refs: one per
 * argument, zero for numbers. */
FND_USE_RESULT fnd_status fnd_bound_resolve(foundry *f, const fnd_bound *b, uint64_t submission, fnd_storage_ref *refs, fnd_error *err);
void fnd_bound_write_args(const fnd_bound *b, const fnd_variant *v, const fnd_storage_ref *refs, uint8_t *args);

/* Scratch memory that one call needs: per group, and shared by the groups. */
void fnd_bound_scratch(const fnd_bound *b, size_t *own_bytes, size_t *shared_bytes);
/* Bytes the call moves and operations it makes with the present dimensions, by the argument lists. */
typedef struct fnd_traffic {
    uint64_t bytes_read, bytes_written, ops;
    uint64_t unit_ops[FND_UNIT_COUNT]; /* by what computes them */
} fnd_traffic;
static inline void fnd_traffic_add(fnd_traffic *to, const fnd_traffic *t) {
    to->bytes_read += t->bytes_read;
    to->bytes_written += t->bytes_written;
    to->ops += t->ops;
    for (int i = 0; i < FND_UNIT_COUNT; i++) to->unit_ops[i] += t->unit_ops[i];
}
fnd_traffic fnd_bound_traffic(const fnd_bound *b);
uint64_t fnd_bound_ops(const fnd_bound *b);

#endif
