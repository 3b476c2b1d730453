/* program.h - the text of a program: kernels' bodies and one function that calls them. */
#ifndef COMPOSE_PROGRAM_H
#define COMPOSE_PROGRAM_H

#include "compose/print.h"

/* A call: which kernel, and whether all groups must be done with what came before. */
typedef struct fnd_part {
    uint32_t variant;       /* index into fnd_program_text.variants */
    bool     barrier;
} fnd_part;

/* Calls in a row whose argument structs lie one behind the other. */
typedef struct fnd_block_of_calls {
    const fnd_part *parts;
    uint32_t        count;
} fnd_block_of_calls;

typedef struct fnd_program_text {
    const char               *name;
    const fnd_variant *const *variants;
    uint32_t                  variant_count;
    fnd_block_of_calls        before, after;
    const fnd_block_of_calls *classes;     /* of layers: equal ones share their text */
    uint32_t                  class_count;
    const uint8_t            *layer_class; /* [layers] */
    uint32_t                  layers;
    bool                      stages;      /* print a clock before and behind every call */
} fnd_program_text;

/* The argument table: before, layer 0, 1, ..., after; each block as large as its structs. With `stages` the address
 * of the clocks stands behind it (FND_STAMPS in kernels/dialect/). */
enum { FND_STAMPS_BYTES = 8 };
uint32_t fnd_block_bytes(const fnd_program_text *p, const fnd_block_of_calls *block);
uint32_t fnd_program_table_bytes(const fnd_program_text *p);

FND_USE_RESULT fnd_status fnd_print_program(fnd_catalog *catalog, const fnd_program_text *p, fnd_text *out, fnd_error *err);

#endif
