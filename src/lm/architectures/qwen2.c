/* qwen2.c - Qwen2 and Qwen2.5 (2024): as Llama, with biases on Q, K and V, which are found by their
 * tensors, and RoPE on halves. */
#include "lm/architecture.h"

const fnd_architecture fnd_architecture_qwen2 = {
    .name = "qwen2",
    .rope_pairing = FND_ROPE_HALVES,
};
