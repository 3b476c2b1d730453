/* phi3.c - Phi-3 and Phi-4-mini (2024): as Llama, with Q, K, V in one tensor, the gate and up in another,
 * and RoPE on halves, with LongRoPE for contexts beyond the first training's. The attention is full:
 * converters wrote values for a sliding window that the models do not have. */
#include "lm/architecture.h"

const fnd_architecture fnd_architecture_phi3 = {
    .name = "phi3",
    .rope_pairing = FND_ROPE_HALVES,
    .joined_qkv = true,
    .joined_gate_up = true,
    .no_window = true,
};
