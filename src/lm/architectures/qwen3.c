/* qwen3.c - Qwen3 (2025): as Qwen2, without biases, and every head of Q and K is normalised before RoPE
 * turns it, by one weight for all heads. */
#include "lm/architecture.h"

const fnd_architecture fnd_architecture_qwen3 = {
    .name = "qwen3",
    .rope_pairing = FND_ROPE_HALVES,
    .vectors = { { "attn_q_norm.weight", FND_SIZE_HEAD_DIM }, { "attn_k_norm.weight", FND_SIZE_HEAD_DIM } },
    .head_calls = {
        { "head_norm", { { "x", "q" }, { "gamma", "attn_q_norm.weight" }, { "eps", "norm_eps" } } },
        { "head_norm", { { "x", "k" }, { "gamma", "attn_k_norm.weight" }, { "eps", "norm_eps" } } },
    },
};
