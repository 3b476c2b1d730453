/* kernel.h - describing kernels: stages in order, in one entry point.
 *
 * A kernel is a list of stages (docs/kernels.md). The composer checks that each stage gets what it
 * takes, merges their arguments by name, and prints the text that is compiled. Number formats are not
 * part of a description: they come from the tensors that are bound.
 *
 *     fnd_kernel_desc desc = { .name = "norm_head", .stages = { { "rmsnorm" }, { "dot" }, { "store" } } };
 *
 * A matrix kernel is better written as a unified declaration, which knows the order of epilogues:
 *
 *     fnd_gemv_desc qkv = { .name = "norm_qkv", .prologue = "rmsnorm",
 *                           .heads = { { "q", .bias = true }, { "k", .bias = true }, { "v", .bias = true } } };
 *
 * Heads: a stage used with head "q" has its arguments renamed, w -> w_q; the dimension `rows` is each
 * head's own (rows_q) unless an activation joins the heads (gate and up). From a main to its store every
 * stage that has arguments has the main's head.
 */
#ifndef FOUNDRY_KERNEL_H
#define FOUNDRY_KERNEL_H

#include "foundry/format.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FND_MAX_STAGES = 24, FND_MAX_HEADS = 4, FND_MAX_RANGES = 16 };

typedef struct fnd_stage_use {
    const char *stage; /* NULL ends the list */
    const char *head;  /* suffix of its arguments; NULL = none */
} fnd_stage_use;

typedef struct fnd_kernel_desc {
    const char   *name; /* a C identifier: the entry point */
    fnd_stage_use stages[FND_MAX_STAGES];
} fnd_kernel_desc;

typedef struct fnd_gemv_head {
    const char *name;   /* NULL ends the list; "" = the only head, arguments keep their names */
    bool        bias;
} fnd_gemv_head;

/* One declaration for configuration, prologue, main and epilogues of a matrix kernel:
 *     y = round(activation(W x' + bias) * gate + residual),  x' = prologue(x). */
typedef struct fnd_gemv_desc {
    const char   *name;
    const char   *prologue;   /* a stage NONE -> ROWS; NULL = "rows": the input as it is */
    const char   *main;       /* a stage ROWS -> TILE; NULL = "dot" */
    fnd_gemv_head heads[FND_MAX_HEADS];
    const char   *activation; /* of every head, or (TILES2 -> TILE) joining two; NULL = none */
    bool          gate, residual;
    const char   *store;      /* NULL = "store" */
} fnd_gemv_desc;

/* Several kernels for one purpose, each for a range of shapes: which one runs follows from a dimension
 * of what is bound. All take the same arguments.
 *
 *     fnd_conditional_desc desc = { .name = "project", .dimension = "tokens",
 *                                   .ranges = { { "project_one", 1, 1 }, { "project_many", 2, UINT32_MAX } } };
 */
typedef struct fnd_shape_range {
    const char *kernel;   /* NULL ends the list */
    uint32_t    from, to; /* both included; to = UINT32_MAX: without end */
} fnd_shape_range;

typedef struct fnd_conditional_desc {
    const char     *name;
    const char     *dimension; /* as the shapes of the arguments name it */
    fnd_shape_range ranges[FND_MAX_RANGES];
} fnd_conditional_desc;

/* The stages of a unified declaration. The strings of `gemv` must outlive `out`. */
FND_USE_RESULT fnd_status fnd_gemv_stages(const fnd_gemv_desc *gemv, fnd_kernel_desc *out, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
