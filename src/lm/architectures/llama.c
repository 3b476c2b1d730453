/* llama.c - Llama (Touvron et al. 2023) and what is built like it: Llama 2 and 3, Mistral, SmolLM2,
 * TinyLlama. Converters permute the rows of Q and K so that the pairs of RoPE are adjacent. */
#include "lm/architecture.h"

const fnd_architecture fnd_architecture_llama = {
    .name = "llama",
    .rope_pairing = FND_ROPE_ADJACENT,
};
