/* architecture.h - what tells one architecture from another, as data: one file in architectures/ and one
 * line here for each. What all of them share is in weights.c (tensors) and programs.c (kernels of a
 * layer). docs/adding-an-architecture.md shows how one is added. */
#ifndef LM_ARCHITECTURE_H
#define LM_ARCHITECTURE_H

#include "foundry/gguf.h"

#define FND_ARCHITECTURES(X) \
    X(llama)                 \
    X(phi3)                  \
    X(qwen2)                 \
    X(qwen3)                 \
    /* a further architecture is a further line above this one */

enum { FND_LAYER_VECTORS = 4, FND_HEAD_CALLS = 4, FND_CALL_BINDINGS = 4 };

/* How long a vector is. */
typedef enum fnd_vector_size { FND_SIZE_DIM, FND_SIZE_HEAD_DIM } fnd_vector_size;

/* Values next to each other, or half a head apart, are turned together (docs/design.md). */
typedef enum fnd_rope_pairing { FND_ROPE_ADJACENT, FND_ROPE_HALVES } fnd_rope_pairing;

/* A vector of every layer beside the norms that all have: "attn_q_norm.weight". */
typedef struct fnd_layer_vector {
    const char     *name;
    fnd_vector_size size;
} fnd_layer_vector;

/* A kernel called between the projections and attention. Bound are "q", "k" and "v" as
 * [tokens, heads, head_dim], the number "norm_eps", and the layer's vectors by their names. */
typedef struct fnd_head_call {
    const char *kernel;
    struct { const char *argument, *value; } bind[FND_CALL_BINDINGS];
} fnd_head_call;

typedef struct fnd_architecture {
    const char      *name;           /* general.architecture */
    fnd_rope_pairing rope_pairing;
    bool             joined_qkv;     /* attn_qkv holds the rows of Q, then K, then V */
    bool             joined_gate_up; /* ffn_up holds the rows of the gate, then those of up */
    bool             no_window;      /* attention.sliding_window in files means nothing */
    fnd_layer_vector vectors[FND_LAYER_VECTORS];
    fnd_head_call    head_calls[FND_HEAD_CALLS];
} fnd_architecture;

/* NULL: unknown. fnd_architecture_at gives NULL behind the last. */
const fnd_architecture *fnd_architecture_find(fnd_span name);
const fnd_architecture *fnd_architecture_at(size_t index);

#endif
