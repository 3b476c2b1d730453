/* synth.h - the inside of random models: their shapes and their vocabularies. */
#ifndef LM_SYNTH_H
#define LM_SYNTH_H

#include "foundry/gguf_write.h"
#include "foundry/synth.h"

/* How prompts are spelled: control tokens, chat template, pre-tokenizer. */
typedef enum fnd_synth_family { FND_SYNTH_QWEN, FND_SYNTH_SMOLLM, FND_SYNTH_LLAMA3, FND_SYNTH_PHI3 } fnd_synth_family;

typedef struct fnd_synth_shape {
    const char *architecture, *size;
    uint32_t    layers, dim, hidden_dim, heads, kv_heads, head_dim, vocab, context;
    float       rope_base, norm_eps;
    float       rope_factor;  /* of Llama 3's scaling of RoPE; 0: none */
    bool        untied;       /* the head is a matrix of its own */
    bool        qkv_bias;     /* qwen2 */
    bool        head_norms;   /* qwen3: norms of every head of Q and K */
    bool        fused;        /* phi3: Q, K and V in one matrix, gate and up in one */
    fnd_synth_family family;
} fnd_synth_shape;

/* FND_ERR_USAGE: a name that is none, with those that are. */
FND_USE_RESULT fnd_status fnd_synth_find(const char *architecture, const char *size, const fnd_synth_shape **out, fnd_error *err);

/* The tokenizer of `count` tokens: 256 bytes, merges of English letters and of UTF-8, control tokens. It is
 * of the kind that the family's models have: a byte-level BPE, or for Phi-3 SentencePiece's. */
FND_USE_RESULT fnd_status fnd_synth_put_tokenizer(fnd_gguf_writer *w, fnd_synth_family family, uint32_t count, fnd_error *err);

#endif
