/* weights.c - a model's tensors: all checked against the hyper-parameters before the first is loaded, used in
 * place or repacked once into the device's tiles, never into more bits. */
#include "base/base.h"
#include "base/memory.h"
#include "base/system.h"
#include "lm/gguf_file.h"
#include "lm/model.h"
#include "run/context.h"

#include <stdio.h>

enum { TILE_ALIGNMENT = 256 };

typedef struct loader {
    fnd_model *m;
    const fnd_gguf *g;
    bool checking; /* nothing is loaded, and there is no device */
    fnd_kernel *repack;
    uint32_t tile_rows;
    uint64_t done_bytes, tile_bytes; /* so far; of m->tiles */
    uint8_t *used;                   /* checking: a flag for each tensor of the file */
    fnd_error *err;
} loader;

/* Rows first .. first + rows - 1 of a tensor that has `all` rows of `cols`; of a vector (cols = 0), values. */
typedef struct part {
    uint64_t first, rows, all, cols;
} part;

static part whole(uint64_t rows, uint64_t cols) { return (part){ 0, rows, rows, cols }; }

/* Part of the tensor `name` as a view into the file. */
static fnd_status find(loader *l, const char *name, part p, fnd_tensor *out) {
    const fnd_gguf_tensor *t;
    FND_TRY(fnd_gguf_get_tensor(l->g, name, &t, l->err));
    uint64_t want0 = p.cols ? p.cols : p.all, want1 = p.cols ? p.all : 1;
    if (t->dims[0] != want0 || t->dims[1] != want1 || t->dims[2] != 1 || t->dims[3] != 1) {
        return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tensor %s is %llu x %llu; the hyper-parameters say %llu x %llu", l->m->info.path, name, (unsigned long long)t->dims[1], (unsigned long long)t->dims[0],
                        (unsigned long long)want1, (unsigned long long)want0);
    }
    if (l->checking) {
        *out = (fnd_tensor){ .format = t->format };
        l->used[t - fnd_gguf_tensor_at(l->g, 0)] = 1;
        return fnd_format_get(t->format) ? FND_OK : fnd_fail(l->err, FND_ERR_UNSUPPORTED, "%s: tensor %s has a format that is not supported", l->m->info.path, name);
    }
    fnd_const_view view;
    fnd_typed as = { .offset_bytes = t->offset + p.first * (t->bytes / p.all), .format = t->format, .shape = p.cols ? fnd_shape2(p.rows, p.cols) : fnd_shape1(p.rows), .name = name };
    FND_TRY(fnd_const_view_typed(fnd_view_tensor(&l->m->file), &as, &view, l->err));
    *out = *fnd_view_tensor(&view);
    return FND_OK;
}

/* A vector that kernels read as F32. */
static fnd_status find_vector(loader *l, const char *name, part p, fnd_tensor *out) {
    FND_TRY(find(l, name, p, out));
    if (out->format == FND_F32) return FND_OK;
    return fnd_fail(l->err, FND_ERR_UNSUPPORTED, "%s: tensor %s is %s; norms and biases must be F32", l->m->info.path, name, fnd_format_get(out->format)->name);
}

/* Into tiles, where the device wants them. */
static fnd_status find_matrix(loader *l, const char *name, part p, fnd_matrix *out) {
    FND_TRY(find(l, name, p, &out->t));
    const fnd_format_info *format = fnd_format_get(out->t.format);
    if (!format->is_weight) return fnd_fail(l->err, FND_ERR_UNSUPPORTED, "%s: tensor %s is %s, which is no format of weights", l->m->info.path, name, format->name);
    if (l->checking) return FND_OK;
    fnd_model_progress(l->m, "reading weights", l->done_bytes, l->m->info.bytes_per_token);
    l->done_bytes += fnd_tensor_bytes(&out->t);
    if (!l->m->info.repacked) return FND_OK;
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

static fnd_status load_vectors(loader *l, uint32_t i, fnd_layer_weights *w) {
    const fnd_model_info *m = &l->m->info;
    const fnd_layer_vector *vectors = l->m->architecture->vectors;
    char name[64];
    for (size_t k = 0; k < FND_LAYER_VECTORS && vectors[k].name; k++) {
        snprintf(name, sizeof name, "blk.%u.%s", i, vectors[k].name);
        FND_TRY(find_vector(l, name, whole(vectors[k].size == FND_SIZE_HEAD_DIM ? m->head_dim : m->dim, 0), &w->vectors[k]));
    }
    snprintf(name, sizeof name, "blk.%u.attn_norm.weight", i);
    FND_TRY(find_vector(l, name, whole(m->dim, 0), &w->attn_norm));
    snprintf(name, sizeof name, "blk.%u.ffn_norm.weight", i);
    return find_vector(l, name, whole(m->dim, 0), &w->ffn_norm);
}

/* A matrix of its own, or the rows of one that several are joined in; its bias, if any, is alike. */
static fnd_status load_layer(loader *l, uint32_t i, fnd_layer_weights *w) {
    const fnd_model_info *m = &l->m->info;
    const fnd_architecture *a = l->m->architecture;
    uint64_t q = (uint64_t)m->heads * m->head_dim, kv = (uint64_t)m->kv_heads * m->head_dim, dim = m->dim, hidden = m->hidden_dim;
    uint64_t qkv = q + 2 * kv, gate_up = 2 * hidden;
    const struct {
        const char *name;
        part part;
        fnd_matrix *to;
        fnd_tensor *bias;
    } matrices[] = {
        { a->joined_qkv ? "attn_qkv" : "attn_q", a->joined_qkv ? (part){ 0, q, qkv, dim } : whole(q, dim), &w->q, &w->q_bias },
        { a->joined_qkv ? "attn_qkv" : "attn_k", a->joined_qkv ? (part){ q, kv, qkv, dim } : whole(kv, dim), &w->k, &w->k_bias },
        { a->joined_qkv ? "attn_qkv" : "attn_v", a->joined_qkv ? (part){ q + kv, kv, qkv, dim } : whole(kv, dim), &w->v, &w->v_bias },
        { "attn_output", whole(dim, q), &w->o, NULL },
        { a->joined_gate_up ? "ffn_up" : "ffn_gate", a->joined_gate_up ? (part){ 0, hidden, gate_up, dim } : whole(hidden, dim), &w->gate, NULL },
        { "ffn_up", a->joined_gate_up ? (part){ hidden, hidden, gate_up, dim } : whole(hidden, dim), &w->up, NULL },
        { "ffn_down", whole(dim, hidden), &w->down, NULL },
    };
    char name[64];
    FND_TRY(load_vectors(l, i, w));
    for (size_t k = 0; k < FND_COUNT(matrices); k++) {
        part p = matrices[k].part;
        snprintf(name, sizeof name, "blk.%u.%s.weight", i, matrices[k].name);
        FND_TRY(find_matrix(l, name, p, matrices[k].to));
        snprintf(name, sizeof name, "blk.%u.%s.bias", i, matrices[k].name);
        if (m->qkv_bias && matrices[k].bias) FND_TRY(find_vector(l, name, (part){ p.first, p.rows, p.all, 0 }, matrices[k].bias));
    }
    return FND_OK;
}

/* Bytes of tiles for all matrices. A matrix takes the file's bytes, its last tile filled up and every tile rounded
 * up; of a tensor that several are joined in, each matrix has a last tile. */
static uint64_t tiles_bytes(const loader *l) {
    const fnd_architecture *a = l->m->architecture;
    uint64_t bytes = 0, more = a->joined_qkv ? 2 : a->joined_gate_up;
    for (size_t i = 0; i < fnd_gguf_tensor_count(l->m->gguf); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(l->m->gguf, i);
        uint64_t rows = t->dims[1], tiles = (rows + l->tile_rows - 1) / l->tile_rows + more;
        if (t->dim_count == 2 && rows && !(fnd_span_equal(t->name, "token_embd.weight") && !l->m->info.tied_head)) {
            bytes += fnd_round_up(tiles * fnd_round_up(t->bytes / rows * l->tile_rows, 64), TILE_ALIGNMENT) + more * TILE_ALIGNMENT;
        }
    }
    return bytes;
}

/* Does the device get a copy? Where nobody said, it does if there is room for it beside what else is in use; that
 * weights are read from the file for want of room should be known. */
static fnd_status choose_layout(loader *l, bool *copies) {
    fnd_context_info info;
    FND_TRY(fnd_info(l->m->f, &info, l->err));
    l->tile_rows = info.tile_rows;
    fnd_repacking asked = l->m->repack, repack = asked != FND_REPACK_AUTO ? asked : (fnd_repacking)fnd_tuned(l->m->f)->repack;
    *copies = info.tile_rows > 0 && (repack != FND_REPACK_OFF || (asked == FND_REPACK_AUTO && !info.reads_rows));
    if (asked == FND_REPACK_ON && !info.tile_rows) return fnd_fail(l->err, FND_ERR_UNSUPPORTED, "weights cannot be repacked for %s: its kernels read them as the file has them", info.device);
    if (asked == FND_REPACK_OFF && !info.reads_rows) return fnd_fail(l->err, FND_ERR_UNSUPPORTED, "weights have to be repacked for %s: its kernels do not read them as the file has them", info.device);
    if (!*copies || asked == FND_REPACK_ON || !info.reads_rows || !info.host_memory || tiles_bytes(l) < fnd_system_memory_free()) return FND_OK;
    char text[FND_ERROR_TEXT_BYTES];
    snprintf(text, sizeof text, "weights are used as the file has them: to repack them takes %llu MiB, and %llu are free", (unsigned long long)(tiles_bytes(l) >> 20), (unsigned long long)(fnd_system_memory_free() >> 20));
    fnd_notice(l->m->f, text);
    *copies = false;
    return FND_OK;
}

/* Memory for all tiles: one block, so that large pages and the stream of weights are not cut. */
static fnd_status take_tiles(loader *l) {
    bool copies;
    FND_TRY(choose_layout(l, &copies));
    uint64_t bytes = copies ? tiles_bytes(l) : 0;
    l->m->info.repacked = copies;
    if (!copies) return FND_OK;
    FND_TRY(fnd_kernel_get(l->m->f, "repack", &l->repack, l->err));
    fnd_status status = fnd_alloc(l->m->f, FND_U8, fnd_shape1(bytes ? bytes : 1), FND_ZEROS, &l->m->tiles, l->err);
    fnd_tensor_set_name(&l->m->tiles.t, "weights");
    return status;
}

/* In the order of use. */
static fnd_status load_all(loader *l) {
    fnd_model *m = l->m;
    const fnd_model_info *info = &m->info;
    fnd_layer_weights checked;
    FND_TRY(find(l, "token_embd.weight", whole(info->vocab, info->dim), &m->embedding));
    FND_TRY(find_vector(l, "output_norm.weight", whole(info->dim, 0), &m->output_norm));
    for (uint32_t i = 0; i < info->layers; i++) FND_TRY(load_layer(l, i, l->checking ? &checked : &m->layers[i]));
    return find_matrix(l, info->tied_head ? "token_embd.weight" : "output.weight", whole(info->vocab, info->dim), &m->head);
}

/* ---- checking ---- */

/* What is left out changes the answer: a bias, an adapter, an architecture under another's name. */
static fnd_status check_used(const loader *l) {
    for (size_t i = 0; i < fnd_gguf_tensor_count(l->g); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(l->g, i);
        bool rope = fnd_span_equal(t->name, "rope_freqs.weight") || fnd_span_equal(t->name, "rope_factors_long.weight") || fnd_span_equal(t->name, "rope_factors_short.weight");
        char quoted[96];
        if (!l->used[i] && !rope) return fnd_fail(l->err, FND_ERR_UNSUPPORTED, "%s: tensor %s is not one that architecture %s has here; without it the answers would be wrong", l->m->info.path, fnd_span_quote(t->name, quoted, sizeof quoted), l->m->info.architecture);
    }
    return FND_OK;
}

fnd_status fnd_model_check_weights(const fnd_gguf *g, const fnd_model_info *info, const fnd_architecture *architecture, fnd_error *err) {
    fnd_model m = { .info = *info, .architecture = architecture };
    loader l = { .m = &m, .g = g, .checking = true, .err = err, .used = fnd_alloc_zeroed(fnd_gguf_tensor_count(g) + 1, 1) };
    fnd_status status = l.used ? load_all(&l) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for a list of tensors");
    if (status == FND_OK) status = check_used(&l);
    fnd_free_memory(l.used);
    return status;
}

/* ---- loading ---- */

fnd_status fnd_model_load_weights(fnd_model *m, fnd_error *err) {
    loader l = { .m = m, .g = m->gguf, .err = err };
    fnd_span bytes = fnd_gguf_bytes(m->gguf);
    fnd_adopt_desc adopt = { .host = bytes.data, .bytes = bytes.bytes, .format = FND_U8, .shape = fnd_shape1(bytes.bytes), .name = "model file" };
    FND_TRY(fnd_tensor_adopt(m->f, &adopt, &m->file, err));
    m->layers = fnd_alloc_zeroed(m->info.layers, sizeof *m->layers);
    if (!m->layers) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u layers", m->info.layers);
    FND_TRY(take_tiles(&l));
    FND_TRY(load_all(&l));
    FND_TRY(fnd_wait(m->f, err));
    if (m->info.repacked) fnd_gguf_forget(m->gguf); /* in memory once: as tiles */
    fnd_model_progress(m, "reading weights", m->info.bytes_per_token, m->info.bytes_per_token);
    return FND_OK;
}

void fnd_model_free_weights(fnd_model *m) {
    fnd_tensor_free(m->f, &m->tiles, NULL);
    if (fnd_view_tensor(&m->file)->rank) fnd_tensor_unadopt(m->f, &m->file, NULL);
    fnd_free_memory(m->layers);
}
