/* model.h - the inside of a model. */
#ifndef LM_MODEL_H
#define LM_MODEL_H

#include "foundry/model.h"
#include "foundry/run.h"
#include "lm/architecture.h"

#include <stdio.h>

/* A matrix ready for the device's matrix kernels: in tiles, or in place in the file. */
typedef struct fnd_matrix {
    fnd_tensor t;
} fnd_matrix;

typedef struct fnd_layer_weights {
    fnd_tensor attn_norm, ffn_norm;
    fnd_matrix q, k, v, o, gate, up, down;
    fnd_tensor q_bias, k_bias, v_bias;     /* rank 0: none */
    fnd_tensor vectors[FND_LAYER_VECTORS]; /* those of the architecture, in its order */
} fnd_layer_weights;

/* Rotary embedding: what is the same for all layers. */
typedef struct fnd_rope {
    fnd_dedicated inv_freq;      /* [rope_dim / 2] radians per position */
    fnd_dedicated long_inv_freq; /* the same for sessions longer than the original context; rank 0: no others */
    float mscale;                /* multiplies sine and cosine */
} fnd_rope;

struct fnd_model {
    foundry *f;
    fnd_gguf *gguf;
    fnd_tokenizer *tokenizer;
    fnd_model_info info;
    const fnd_architecture *architecture;
    bool no_fuse, stages;
    fnd_program_form form; /* of its programs */
    fnd_repacking repack; /* as it was asked for; info.repacked says what became of it */
    fnd_const_view file;  /* all of it, as bytes */
    fnd_dedicated tiles;  /* all repacked matrices, one behind the other, in the order of use */
    fnd_tensor embedding; /* [vocab, dim], as in the file */
    fnd_tensor output_norm;
    fnd_matrix head; /* [vocab, dim] */
    fnd_rope rope;
    fnd_layer_weights *layers;
    fnd_progress_fn *progress;
    void *progress_ctx;
};

static inline void fnd_model_progress(const fnd_model *m, const char *what, uint64_t done, uint64_t total) {
    if (m->progress) m->progress(m->progress_ctx, what, done, total);
}

/* "llama.block_count" of "block_count". */
enum { FND_KEY_BYTES = 128 };
static inline const char *fnd_model_key(const fnd_model_info *m, const char *suffix, char key[FND_KEY_BYTES]) {
    snprintf(key, FND_KEY_BYTES, "%s.%s", m->architecture, suffix);
    return key;
}

/* FND_ERR_UNSUPPORTED: it is no model. Files of other kinds tell it, and may have the architecture of the model that they
 * go with. */
FND_USE_RESULT fnd_status fnd_model_check_type(const fnd_gguf *g, fnd_error *err);

/* rope.c: the hyper-parameters, which may change the context's length; then the frequencies. */
FND_USE_RESULT fnd_status fnd_rope_read_info(const fnd_gguf *g, fnd_model_info *m, fnd_error *err);
enum { FND_ROPE_PAIRS = 128 };
typedef struct fnd_rope_table {
    float inv_freq[FND_ROPE_PAIRS], long_inv_freq[FND_ROPE_PAIRS], mscale;
    bool has_long;
} fnd_rope_table;
FND_USE_RESULT fnd_status fnd_rope_compute(const fnd_gguf *g, const fnd_model_info *m, fnd_rope_table *out, fnd_error *err);

/* weights.c: are all tensors there, of the shapes they must have, and none that nobody uses? Then: load. */
FND_USE_RESULT fnd_status fnd_model_check_weights(const fnd_gguf *g, const fnd_model_info *info, const fnd_architecture *architecture, fnd_error *err);
FND_USE_RESULT fnd_status fnd_model_load_weights(fnd_model *m, fnd_error *err);
void fnd_model_free_weights(fnd_model *m);

#endif
