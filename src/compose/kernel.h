/* kernel.h - a checked list of stages: what the description of a kernel means. */
#ifndef COMPOSE_KERNEL_H
#define COMPOSE_KERNEL_H

#include "compose/catalog.h"
#include "foundry/kernel.h"

/* Tensors: Metal has places for 31 buffers in a launch (Metal Feature Set Tables), and three of them are Foundry's. */
enum { FND_MAX_ARGS = 32, FND_MAX_TENSORS = 28, FND_MAX_RULES = 24 };

/* What a rule of a kernel may name, by slot: its dimensions, then its numbers, then the bytes that its
 * weights have in the device's layout. */
enum { FND_SLOT_ARG = FND_MAX_DIMS, FND_SLOT_BYTES = FND_SLOT_ARG + FND_MAX_ARGS };

/* What shape of loop the entry point has. */
typedef enum fnd_form {
    FND_FORM_LINEAR,   /* rows of activations, tiles of results: matrix kernels */
    FND_FORM_ELEMENTS, /* tiles from nothing: elementwise kernels */
    FND_FORM_ROWS,     /* rows in, nothing out of the main: norms, softmax */
    FND_FORM_WHOLE     /* mains that loop by themselves */
} fnd_form;

typedef struct fnd_step {
    const fnd_stage *stage;
    char             head[FND_NAME_BYTES];
    bool             joined;                  /* belongs to two heads that become one: `rows` is theirs */
    uint8_t          arg[FND_MAX_STAGE_ARGS]; /* which argument of the kernel each of its arguments is */
    uint8_t          dim[FND_MAX_DIMS];       /* which dimension of the kernel each of its dimensions is */
} fnd_step;

struct fnd_composition {
    char     name[FND_NAME_BYTES];
    fnd_form form;
    bool     joined;      /* two heads become one */
    uint32_t step_count, arg_count;
    fnd_step steps[FND_MAX_STAGES];
    fnd_arg *args;                    /* merged: tensors in order of appearance, then numbers, then group memory */
    fnd_dims dims;               /* names */
    uint32_t outermost[FND_MAX_DIMS]; /* bit i: the dimension is argument i's outermost, alone */
    uint32_t limited;                 /* bit i: a rule names argument i's outermost dimension */
    uint32_t rule_count;
    fnd_rule *rules;                  /* of all stages, each once */
};
typedef struct fnd_composition fnd_composition;

/* A composition with room for what it refers to. Not to be copied. */
typedef struct fnd_composition_room {
    fnd_composition composition;
    fnd_arg         args[FND_MAX_ARGS];
    fnd_rule        rules[FND_MAX_RULES];
} fnd_composition_room;

/* Check and merge. `out` refers to the catalog's stages. FND_ERR_COMPOSE with a sentence otherwise. */
FND_USE_RESULT fnd_status fnd_compose(const fnd_catalog *catalog, const fnd_kernel_desc *desc, fnd_composition_room *out, fnd_error *err);

int fnd_composition_arg(const fnd_composition *c, const char *name); /* -1: none */
bool fnd_arg_is_tensor(const fnd_arg *arg);                          /* IN, OUT, INOUT or WEIGHT */

#endif
