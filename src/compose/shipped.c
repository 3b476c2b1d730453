/* shipped.c - the list of shipped kernels. */
#include "compose/shipped.h"
#include "base/base.h"
#include "base/nearest.h"

typedef struct shipped {
    const char *doc;
    fnd_gemv_desc gemv;     /* a unified declaration, or */
    fnd_kernel_desc kernel; /* a list of stages */
} shipped;

static const shipped list[] = {
    /* matrix kernels: one text for one token (GEMV) and many (GEMM) */
    { "y = W x + bias", { .name = "linear_bias", .heads = { { "", .bias = true } } }, { 0 } },
    { "y = W x", { .name = "linear", .heads = { { "", 0 } } }, { 0 } },
    { "y = W x + residual: attention's projection, the way down", { .name = "linear_residual", .heads = { { "", 0 } }, .residual = true }, { 0 } },
    { "q, k, v = W norm(x) + bias", { .name = "norm_qkv_bias", .prologue = "rmsnorm", .heads = { { "q", .bias = true }, { "k", .bias = true }, { "v", .bias = true } } }, { 0 } },
    { "q, k, v = W norm(x)", { .name = "norm_qkv", .prologue = "rmsnorm", .heads = { { "q", 0 }, { "k", 0 }, { "v", 0 } } }, { 0 } },
    { "y = silu(W_gate norm(x)) * (W_up norm(x))", { .name = "norm_gate_up", .prologue = "rmsnorm", .heads = { { "gate", 0 }, { "up", 0 } }, .activation = "swiglu" }, { 0 } },
    { "y = W norm(x): logits", { .name = "norm_head", .prologue = "rmsnorm", .heads = { { "", 0 } } }, { 0 } },
    { "y = W merge(partial attention) + residual", { .name = "merge_residual", .prologue = "attention_merge", .heads = { { "", 0 } }, .residual = true }, { 0 } },
    /* rows */
    { "normalise rows, any activation type to any", { 0 }, { .name = "rmsnorm", .stages = { { "rmsnorm", NULL }, { "put_rows", NULL } } } },
    { "copy rows, any activation type to any", { 0 }, { .name = "copy", .stages = { { "rows", NULL }, { "put_rows", NULL } } } },
    { "join the splits of attention_decode or attention_batch", { 0 }, { .name = "merge", .stages = { { "attention_merge", NULL }, { "put_rows", NULL } } } },
    { "softmax of rows", { 0 }, { .name = "softmax", .stages = { { "rows", NULL }, { "softmax", NULL }, { "put_rows", NULL } } } },
    /* elementwise */
    { "silu(x)", { 0 }, { .name = "silu", .stages = { { "take", NULL }, { "silu", NULL }, { "store", NULL } } } },
    { "gelu(x)", { 0 }, { .name = "gelu", .stages = { { "take", NULL }, { "gelu", NULL }, { "store", NULL } } } },
    { "x + residual", { 0 }, { .name = "add", .stages = { { "take", NULL }, { "residual", NULL }, { "store", NULL } } } },
    { "silu(gate) * up", { 0 }, { .name = "swiglu", .stages = { { "take", "gate" }, { "take", "up" }, { "swiglu", NULL }, { "store", NULL } } } },
    /* mains that loop by themselves */
    { "rows of an embedding table", { 0 }, { .name = "embed", .stages = { { "embed", NULL } } } },
    { "rotate keys and write keys and values into the cache", { 0 }, { .name = "kv_write", .stages = { { "kv_write", NULL } } } },
    { "drop positions from the cache and move later ones down", { 0 }, { .name = "kv_shift", .stages = { { "kv_shift", NULL } } } },
    { "attention of many tokens over the cache", { 0 }, { .name = "attention", .stages = { { "attention", NULL } } } },
    { "kv_write for tokens of several sequences", { 0 }, { .name = "kv_write_prompts", .stages = { { "kv_write_prompts", NULL } } } },
    { "attention of many tokens of several sequences", { 0 }, { .name = "attention_prompts", .stages = { { "attention_prompts", NULL } } } },
    { "one token: rotate, write to the cache, attend, split over keys", { 0 }, { .name = "attention_decode", .stages = { { "attention_decode", NULL } } } },
    { "one token each of several sequences, as attention_decode", { 0 }, { .name = "attention_batch", .stages = { { "attention_batch", NULL } } } },
    { "normalise heads, in place", { 0 }, { .name = "head_norm", .stages = { { "head_norm", NULL } } } },
    { "weights into the layout of this device's matrix kernels", { 0 }, { .name = "repack", .stages = { { "repack", NULL } } } },
    { "the best of every slice of the logits", { 0 }, { .name = "argmax_partial", .stages = { { "argmax_partial", NULL } } } },
    { "the best of the slices", { 0 }, { .name = "argmax_pick", .stages = { { "argmax_pick", NULL } } } },
    { "the highest logits of every slice", { 0 }, { .name = "sample_partial", .stages = { { "sample_partial", NULL } } } },
    { "top-k, top-p, min-p, temperature, draw", { 0 }, { .name = "sample_pick", .stages = { { "sample_pick", NULL } } } },
    { "leave out candidates that are not typical", { 0 }, { .name = "sample_typical", .stages = { { "sample_typical", NULL } } } },
    { "bias, and make recent tokens less likely", { 0 }, { .name = "sample_penalize", .stages = { { "sample_penalize", NULL } } } },
    { "values at equal steps", { 0 }, { .name = "arange", .stages = { { "arange", NULL } } } },
    { "whole numbers at equal steps", { 0 }, { .name = "arange_i32", .stages = { { "arange_i32", NULL } } } },
    { "one value everywhere", { 0 }, { .name = "fill", .stages = { { "fill", NULL } } } },
    { "1 everywhere", { 0 }, { .name = "ones", .stages = { { "ones", NULL } } } },
    { "random numbers, by counter", { 0 }, { .name = "random_uniform", .stages = { { "random_uniform", NULL } } } },
    { "[tokens, heads, head_dim] to [heads, tokens, head_dim]", { 0 }, { .name = "kv_rearrange", .stages = { { "kv_rearrange", NULL } } } },
    { "rotary position embedding", { 0 }, { .name = "rope", .stages = { { "rope", NULL } } } },
};

size_t fnd_shipped_count(void) { return FND_COUNT(list); }
const char *fnd_shipped_name(size_t index) { return list[index].gemv.name ? list[index].gemv.name : list[index].kernel.name; }
const char *fnd_shipped_doc(size_t index) { return list[index].doc; }

fnd_status fnd_shipped_stages(size_t index, fnd_kernel_desc *out, fnd_error *err) {
    if (list[index].gemv.name) return fnd_gemv_stages(&list[index].gemv, out, err);
    *out = list[index].kernel;
    return FND_OK;
}

fnd_status fnd_shipped_find(const char *name, fnd_kernel_desc *out, fnd_error *err) {
    fnd_nearest near = { .word = name, .bytes = strlen(name) };
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        if (strcmp(fnd_shipped_name(i), name) == 0) return fnd_shipped_stages(i, out, err);
        fnd_nearest_try(&near, fnd_shipped_name(i));
    }
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is no kernel %s%s; `foundry kernels` lists them", name, fnd_nearest_text(&near, ""));
}
