/* print.h - the text of kernels, for one choice of formats and constants. */
#ifndef COMPOSE_PRINT_H
#define COMPOSE_PRINT_H

#include "base/text.h"
#include "compose/kernel.h"

/* One way to compile a composition: what is bound, and which numbers are known. */
typedef struct fnd_variant {
    const fnd_composition *kernel;
    char       name[FND_NAME_BYTES + 12]; /* <kernel>_kernel; numbered where a program has several */
    fnd_format formats[FND_MAX_ARGS];     /* of `act` and WEIGHT arguments; FND_FORMAT_NONE for a weight: any */
    bool       arg_folded[FND_MAX_ARGS];
    uint32_t   arg_bits[FND_MAX_ARGS];    /* of a folded number */
    bool       dim_folded[FND_MAX_DIMS];
    uint64_t   dim_value[FND_MAX_DIMS];
    uint32_t   tokens;                    /* FND_TOKENS: tokens computed together */
    bool       file_rows;                 /* what is multiplied lies as in the file, where the device has tiles */
    bool       streamed;                  /* it is of a program with a weight stream */
} fnd_variant;

/* Where each argument stands in the argument struct; the same rules as the struct in the text:
 * tensors 8 bytes, weights 16, then numbers and dimensions 4, the whole a multiple of 8. */
typedef struct fnd_layout_of_args {
    uint32_t arg[FND_MAX_ARGS]; /* UINT32_MAX: not in the struct (folded, or memory of the group) */
    uint32_t dim[FND_MAX_DIMS];
    uint32_t bytes, values_at; /* where the numbers begin, behind the tensors */
} fnd_layout_of_args;
void fnd_variant_layout(const fnd_variant *v, fnd_layout_of_args *out);

void fnd_variant_init(const fnd_composition *kernel, fnd_variant *out);
/* Weights of any format, activations F32, caches of one format, nothing folded: as kernels are compiled
 * into the library. */
void fnd_variant_any(const fnd_composition *kernel, uint32_t tokens, fnd_format cache, fnd_variant *out);

/* The suffix all of these kernels can be compiled with: `suffix` if every policy has a text for it,
 * else "" (portable texts). */
const char *fnd_common_suffix(fnd_catalog *catalog, const char *suffix, const fnd_variant *const *variants, size_t count);

/* Has this stage, a product with a weight, a text for weights as in the file on a device that has tiles? */
bool fnd_stage_reads_rows(const fnd_stage *s);

/* Defines and includes that these kernels need together; then each kernel. */
FND_USE_RESULT fnd_status fnd_print_head(fnd_catalog *catalog, const fnd_variant *const *variants, size_t count, fnd_text *out, fnd_error *err);
void fnd_print_kernel(const fnd_variant *v, fnd_text *out);
/* Is there something that the weight stream of its program brings for it? */
bool fnd_variant_brings(const fnd_variant *v);
/* Of all its matrices, where the shapes are folded. */
uint64_t fnd_variant_weight_bytes(const fnd_variant *v);
/* One kernel with all it needs: what is compiled, and hashed, when it is compiled alone. */
FND_USE_RESULT fnd_status fnd_print_alone(fnd_catalog *catalog, const fnd_variant *v, fnd_text *out, fnd_error *err);

#endif
