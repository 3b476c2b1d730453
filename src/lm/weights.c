/* weights.c - a model's tensors: checked against the hyper-parameters, used in place or repacked once
 * into the device's tiles, never into more bits. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/model.h"

#include <stdio.h>

enum { TILE_ALIGNMENT = 256 };

typedef struct loader {
    fnd_model *m;
    fnd_kernel *repack;
    uint32_t tile_rows;
    uint64_t done_bytes, tile_bytes; /* so far; of m->tiles */
    fnd_error *err;
} loader;

/* The tensor `name` as a view into the file, of the shape it must have (cols = 0: a vector). */
static fnd_status find(loader *l, const char *name, uint64_t rows, uint64_t cols, fnd_tensor *out) {
    const fnd_gguf_tensor *t;
    FND_TRY(fnd_gguf_get_tensor(l->m->gguf, name, &t, l->err));
    uint64_t want0 = cols ? cols : rows, want1 = cols ? rows : 1;
    if (t->dims[0] != want0 || t->dims[1] != want1 || t->dims[2] != 1 || t->dims[3] != 1) {
        return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tensor %s is %llu x %llu; the hyper-parameters say %llu x %llu", l->m->info.path, name, (unsigned long long)t->dims[1], (unsigned long long)t->dims[0],
                        (unsigned long long)want1, (unsigned long long)want0);
    }
    fnd_const_view view;
    fnd_typed as = { .offset_bytes = t->offset, .format = t->format, .shape = cols ? fnd_shape2(rows, cols) : fnd_shape1(rows), .name = name };
    FND_TRY(fnd_const_view_typed(fnd_view_tensor(&l->m->file), &as, &view, l->err));
    *out = *fnd_view_tensor(&view);
    return FND_OK;
}

/* A vector that kernels read as F32. */
static fnd_status find_vector(loader *l, const char *name, uint64_t count, fnd_tensor *out) {
    FND_TRY(find(l, name, count, 0, out));
    if (out->format == FND_F32) return FND_OK;
    return fnd_fail(l->err, FND_ERR_UNSUPPORTED, "%s: tensor %s is %s; norms and biases must be F32", l->m->info.path, name, fnd_format_get(out->format)->name);
}

/* Into tiles, where the device wants them. */
static fnd_status find_matrix(loader *l, const char *name, uint64_t rows, uint64_t cols, fnd_matrix *out) {
    FND_TRY(find(l, name, rows, cols, &out->t));
    fnd_model_progress(l->m, "reading weights", l->done_bytes, l->m->info.bytes_per_token);
    l->done_bytes += fnd_tensor_bytes(&out->t);
    if (!l->tile_rows) return FND_OK;
    fnd_tensor tiles = out->t;
    tiles.layout = FND_LAYOUT_TILES;
    tiles.tile_rows = l->tile_rows;
    tiles.storage = l->m->tiles.t.storage;
    tiles.generation = l->m->tiles.t.generation;
    tiles.offset_bytes = l->tile_bytes;
    fnd_view bytes;
    fnd_cut cut = { .dim = 0, .first = l->tile_bytes, .count = fnd_tensor_bytes(&tiles) };
    FND_TRY(fnd_view_cut(&l->m->tiles.t, cut, &bytes, l->err));
    fnd_binding b[] = { fnd_bind_out("tiles", &bytes.t), fnd_bind_in("w", &out->t) };
    FND_TRY(fnd_run(l->m->f, l->repack, b, FND_COUNT(b), l->err));
    l->tile_bytes += fnd_round_up(cut.count, TILE_ALIGNMENT);
    out->t = tiles;
    return FND_OK;
}

static fnd_status load_biases(loader *l, uint32_t i, fnd_layer_weights *w) {
    char name[64];
    const fnd_model_info *m = &l->m->info;
    snprintf(name, sizeof name, "blk.%u.attn_q.bias", i);
    FND_TRY(find_vector(l, name, (uint64_t)m->heads * m->head_dim, &w->q_bias));
    snprintf(name, sizeof name, "blk.%u.attn_k.bias", i);
    FND_TRY(find_vector(l, name, (uint64_t)m->kv_heads * m->head_dim, &w->k_bias));
    snprintf(name, sizeof name, "blk.%u.attn_v.bias", i);
    return find_vector(l, name, (uint64_t)m->kv_heads * m->head_dim, &w->v_bias);
}

static fnd_status load_layer(loader *l, uint32_t i, fnd_layer_weights *w) {
    const fnd_model_info *m = &l->m->info;
    uint64_t q_rows = (uint64_t)m->heads * m->head_dim, kv_rows = (uint64_t)m->kv_heads * m->head_dim;
    const struct {
        const char *suffix;
        uint64_t rows, cols;
        fnd_matrix *to;
    } matrices[] = {
        { "attn_q", q_rows, m->dim, &w->q },
        { "attn_k", kv_rows, m->dim, &w->k },
        { "attn_v", kv_rows, m->dim, &w->v },
        { "attn_output", m->dim, q_rows, &w->o },
        { "ffn_gate", m->hidden_dim, m->dim, &w->gate },
        { "ffn_up", m->hidden_dim, m->dim, &w->up },
        { "ffn_down", m->dim, m->hidden_dim, &w->down },
    };
    char name[64];
    snprintf(name, sizeof name, "blk.%u.attn_norm.weight", i);
    FND_TRY(find_vector(l, name, m->dim, &w->attn_norm));
    snprintf(name, sizeof name, "blk.%u.ffn_norm.weight", i);
    FND_TRY(find_vector(l, name, m->dim, &w->ffn_norm));
    if (m->qkv_bias) FND_TRY(load_biases(l, i, w));
    for (size_t k = 0; k < FND_COUNT(matrices); k++) {
        snprintf(name, sizeof name, "blk.%u.%s.weight", i, matrices[k].suffix);
        FND_TRY(find_matrix(l, name, matrices[k].rows, matrices[k].cols, matrices[k].to));
    }
    return FND_OK;
}

/* Where the device wants tiles: memory for all of them. */
static fnd_status choose_layout(loader *l) {
    fnd_context_info info;
    FND_TRY(fnd_info(l->m->f, &info, l->err));
    l->tile_rows = info.tile_rows;
    if (!l->tile_rows) return FND_OK;
    FND_TRY(fnd_kernel_get(l->m->f, "repack", &l->repack, l->err));
    /* One block for all matrices, so that large pages and the stream of weights are not cut. A matrix
     * takes the file's bytes, its last tile filled up and every tile rounded up. */
    uint64_t bytes = 0;
    for (size_t i = 0; i < fnd_gguf_tensor_count(l->m->gguf); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(l->m->gguf, i);
        uint64_t rows = t->dims[1], tiles = (rows + l->tile_rows - 1) / l->tile_rows;
        if (t->dim_count == 2 && rows && !(fnd_span_equal(t->name, "token_embd.weight") && !l->m->info.tied_head)) {
            bytes += fnd_round_up(tiles * fnd_round_up(t->bytes / rows * l->tile_rows, 64), TILE_ALIGNMENT);
        }
    }
    fnd_status status = fnd_alloc(l->m->f, FND_U8, fnd_shape1(bytes ? bytes : 1), FND_ZEROS, &l->m->tiles, l->err);
    fnd_tensor_set_name(&l->m->tiles.t, "weights");
    return status;
}

fnd_status fnd_model_load_weights(fnd_model *m, fnd_error *err) {
    loader l = { .m = m, .err = err };
    const fnd_model_info *info = &m->info;
    fnd_span bytes = fnd_gguf_bytes(m->gguf);
    fnd_adopt_desc adopt = { .host = bytes.data, .bytes = bytes.bytes, .format = FND_U8, .shape = fnd_shape1(bytes.bytes), .name = "model file" };
    FND_TRY(fnd_tensor_adopt(m->f, &adopt, &m->file, err));
    FND_TRY(choose_layout(&l));
    m->layers = fnd_alloc_zeroed(info->layers, sizeof *m->layers);
    if (!m->layers) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u layers", info->layers);
    FND_TRY(find(&l, "token_embd.weight", info->vocab, info->dim, &m->embedding));
    FND_TRY(find_vector(&l, "output_norm.weight", info->dim, &m->output_norm));
    for (uint32_t i = 0; i < info->layers; i++) FND_TRY(load_layer(&l, i, &m->layers[i]));
    FND_TRY(find_matrix(&l, info->tied_head ? "token_embd.weight" : "output.weight", info->vocab, info->dim, &m->head));
    FND_TRY(fnd_wait(m->f, err));
    fnd_model_progress(m, "reading weights", info->bytes_per_token, info->bytes_per_token);
    return FND_OK;
}

void fnd_model_free_weights(fnd_model *m) {
    fnd_tensor_free(m->f, &m->tiles, NULL);
    if (fnd_view_tensor(&m->file)->rank) fnd_tensor_unadopt(m->f, &m->file, NULL);
    fnd_free_memory(m->layers);
}
