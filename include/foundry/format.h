/* format.h - the number formats of tensors: one list, from which everything else follows.
 *
 * A format stores `block_weights` consecutive values of a row in `block_bytes` bytes, as GGUF files
 * do (ggml type `ggml`). Packed formats have no element size: sizes come only from block counts.
 * How a format is decoded is written in src/kernels/policy/<name>/. Formats registered at run time
 * (foundry/run.h, fnd_register_file) get ids from FND_FORMAT_FIRST_CUSTOM on.
 */
#ifndef FOUNDRY_FORMAT_H
#define FOUNDRY_FORMAT_H

#include "foundry/status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Weight formats, each with a policy folder.
 *    id      name    ggml  block_weights  block_bytes */
#define FND_FORMATS(X)                \
    X(F32,    f32,    0,    1,   4)   \
    X(F16,    f16,    1,    1,   2)   \
    X(BF16,   bf16,   30,   1,   2)   \
    X(Q8_0,   q8_0,   8,    32,  34)  \
    X(Q4_0,   q4_0,   2,    32,  18)  \
    X(Q4_1,   q4_1,   3,    32,  20)  \
    X(Q5_0,   q5_0,   6,    32,  22)  \
    X(Q5_1,   q5_1,   7,    32,  24)  \
    X(Q4_K,   q4_k,   12,   256, 144) \
    X(Q5_K,   q5_k,   13,   256, 176) \
    X(Q6_K,   q6_k,   14,   256, 210) \
    X(IQ4_NL, iq4_nl, 20,   32,  18)  \
    /* a further format is a further line above this one */

/* Element types that are not weights: ids, positions, counters. */
#define FND_PLAIN_FORMATS(X)          \
    X(I32,    i32,    26,   1,   4)   \
    X(U32,    u32,    -1,   1,   4)   \
    X(U8,     u8,     -2,   1,   1)

typedef enum fnd_format {
    FND_FORMAT_NONE,
#define FND_FORMAT_ROW_(id, name, ggml, weights, bytes) FND_##id,
    FND_FORMATS(FND_FORMAT_ROW_)
    FND_PLAIN_FORMATS(FND_FORMAT_ROW_)
#undef FND_FORMAT_ROW_
    FND_FORMAT_COUNT,
    FND_FORMAT_FIRST_CUSTOM = 64,
    FND_FORMAT_LIMIT = 96
} fnd_format;

typedef struct fnd_format_info {
    const char *name;                   /* "q4_1", also the name of its policy folder */
    int32_t     ggml;                   /* type number in GGUF files; negative: never in a file */
    uint32_t    block_weights, block_bytes;
    bool        is_weight;              /* has a policy */
} fnd_format_info;

/* NULL for an id that no format has. */
const fnd_format_info *fnd_format_get(fnd_format format);
/* By name ("q4_1", case ignored) and by GGUF type number; FND_FORMAT_NONE when unknown. */
fnd_format fnd_format_by_name(const char *name);
fnd_format fnd_format_by_ggml(uint32_t ggml);
/* Bytes of `rows` rows of `cols` values. False when cols is no multiple of the block, the format is
 * unknown, or the size overflows. */
bool fnd_format_bytes(fnd_format format, uint64_t rows, uint64_t cols, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
