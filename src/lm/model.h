/* model.h - the inside of a model. */
#ifndef LM_MODEL_H
#define LM_MODEL_H

#include "foundry/model.h"
#include "foundry/run.h"

/* What tells one architecture from another. */
typedef struct fnd_architecture {
    const char *name;         /* general.architecture */
    uint32_t    rope_pairing; /* 0: pairs (2i, 2i+1); 1: (i, i + half) */
} fnd_architecture;
const fnd_architecture *fnd_architecture_find(fnd_span name); /* NULL: unknown */

/* A matrix ready for the device's matrix kernels: in tiles, or in place in the file. */
typedef struct fnd_matrix {
    fnd_tensor t;
} fnd_matrix;

typedef struct fnd_layer_weights {
    fnd_tensor attn_norm, ffn_norm;
    fnd_matrix q, k, v, o, gate, up, down;
    fnd_tensor q_bias, k_bias, v_bias; /* rank 0: none */
} fnd_layer_weights;

struct fnd_model {
    foundry           *f;
    fnd_gguf          *gguf;
    fnd_tokenizer     *tokenizer;
    fnd_model_info     info;
    bool               no_fuse, separate;
    fnd_const_view     file;       /* all of it, as bytes */
    fnd_dedicated      tiles;      /* all repacked matrices, one behind the other, in the order of use */
    fnd_tensor         embedding;  /* [vocab, dim], as in the file */
    fnd_tensor         output_norm;
    fnd_matrix         head;       /* [vocab, dim] */
    fnd_dedicated      inv_freq;   /* [rope_dim / 2] radians per position */
    float              rope_mscale;
    fnd_layer_weights *layers;
    fnd_progress_fn   *progress;
    void              *progress_ctx;
};

static inline void fnd_model_progress(const fnd_model *m, const char *what, uint64_t done, uint64_t total) {
    if (m->progress) m->progress(m->progress_ctx, what, done, total);
}

/* weights.c */
FND_USE_RESULT fnd_status fnd_model_load_weights(fnd_model *m, fnd_error *err);
void fnd_model_free_weights(fnd_model *m);

#endif
