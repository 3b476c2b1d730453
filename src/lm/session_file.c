/* session_file.c - sessions to and from files. */
#include "lm/session_file.h"
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "lm/gguf_file.h"
#include "lm/session.h"

#include <stdio.h>

enum { PIECE_BYTES = 4 << 20,
       SAMPLE_BYTES = 64 };

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "session files are written as the processor has numbers: little-endian"
#endif

/* ---- which model ---- */

/* Everything before the tensors' data, and the beginning of each tensor: what tells a model from another
 * with the same shapes. */
static fnd_status fingerprint(const fnd_model *m, fnd_hash128 *out, fnd_error *err) {
    const fnd_gguf *g = m->gguf;
    size_t head = g->map.bytes;
    fnd_hasher *h = fnd_hasher_open();
    if (!h) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a model's fingerprint");
    for (size_t i = 0; i < g->tensor_count; i++) head = fnd_min_size(head, (size_t)((const uint8_t *)g->tensors[i].data - g->map.data));
    fnd_hasher_add(h, g->map.data, head);
    for (size_t i = 0; i < g->tensor_count; i++) fnd_hasher_add(h, g->tensors[i].data, fnd_min_size(g->tensors[i].bytes, SAMPLE_BYTES));
    *out = fnd_hasher_get(h);
    fnd_hasher_close(h);
    return FND_OK;
}

static const char *format_name(const fnd_session *s) { return fnd_format_get(s->k_cache[0].format)->name; }

static fnd_status shape_of(const fnd_session *s, fnd_session_shape *out, fnd_error *err) {
    *out = (fnd_session_shape){ .kv_format = format_name(s), .layers = s->m->info.layers, .vocab = s->m->info.vocab, .block = FND_KV_BLOCK, .context = s->context, .long_rope = s->inv_freq == &s->m->rope.long_inv_freq.t };
    out->block_bytes = fnd_session_cache_bytes(s, 1);
    return fingerprint(s->m, &out->model, err);
}

/* ---- saving ---- */

typedef struct saver {
    const fnd_session *s;
    fnd_new_file file;
    fnd_hasher *hash;
    uint8_t *block; /* PIECE_BYTES */
    uint64_t at;
    fnd_error *err;
} saver;

static fnd_status put(saver *w, const void *data, size_t bytes) {
    fnd_hasher_add(w->hash, data, bytes);
    FND_TRY(fnd_new_file_put(&w->file, w->at, data, bytes, w->err));
    w->at += bytes;
    return FND_OK;
}

static fnd_status put_tensor(saver *w, const fnd_tensor *t, uint64_t bytes) {
    for (uint64_t at = 0; at < bytes; at += PIECE_BYTES) {
        size_t n = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        FND_TRY(fnd_tensor_read(w->s->m->f, t, at, w->block, n, w->err));
        FND_TRY(put(w, w->block, n));
    }
    return FND_OK;
}

static fnd_status make_header(const fnd_session *s, fnd_span note, fnd_session_header *h, fnd_error *err) {
    fnd_session_shape shape;
    FND_TRY(shape_of(s, &shape, err));
    *h = (fnd_session_header){
        .version = FND_SESSION_VERSION,
        .header_bytes = sizeof *h,
        .model = shape.model,
        .layers = shape.layers,
        .vocab = shape.vocab,
        .block = shape.block,
        .has_logits = s->has_logits,
        .position = s->position,
        .kept = s->kept,
        .dropped = s->dropped,
        .long_rope = shape.long_rope,
        .block_bytes = shape.block_bytes,
        .note_bytes = note.bytes,
    };
    memcpy(h->magic, FND_SESSION_MAGIC, sizeof h->magic);
    snprintf(h->model_name, sizeof h->model_name, "%.*s", (int)sizeof h->model_name - 1, s->m->info.name);
    snprintf(h->kv_format, sizeof h->kv_format, "%.*s", (int)sizeof h->kv_format - 1, shape.kv_format);
    if (!fnd_session_file_size(h, &h->file_bytes)) return fnd_fail(err, FND_ERR_LIMIT, "a session of %u tokens is too large for a file", s->position);
    h->header_hash = fnd_hash_bytes(h, sizeof *h - sizeof h->header_hash);
    return FND_OK;
}

static fnd_status put_all(saver *w, fnd_span note) {
    const fnd_session *s = w->s;
    fnd_session_header h;
    uint64_t layer_bytes = fnd_session_cache_bytes(s, s->position);
    FND_TRY(make_header(s, note, &h, w->err));
    FND_TRY(fnd_new_file_reserve(&w->file, h.file_bytes, w->err));
    FND_TRY(put(w, &h, sizeof h));
    if (s->position) FND_TRY(put(w, s->tokens, s->position * sizeof *s->tokens));
    if (note.bytes) FND_TRY(put(w, note.data, note.bytes));
    if (s->has_logits) {
        fnd_const_view logits;
        FND_TRY(fnd_session_find_logits(s, &logits, w->err));
        FND_TRY(put_tensor(w, fnd_view_tensor(&logits), 4ull * s->m->info.vocab));
    }
    for (uint32_t i = 0; i < s->m->info.layers; i++) {
        FND_TRY(put_tensor(w, &s->k_cache[i], layer_bytes));
        FND_TRY(put_tensor(w, &s->v_cache[i], layer_bytes));
    }
    fnd_hash128 hash = fnd_hasher_get(w->hash);
    return put(w, &hash, sizeof hash);
}

fnd_status fnd_session_save(const fnd_session *s, const char *path, fnd_span note, fnd_error *err) {
    saver w = { .s = s, .hash = fnd_hasher_open(), .block = fnd_alloc_aligned(PIECE_BYTES, 64), .err = err };
    fnd_status status = w.hash && w.block ? fnd_new_file_open(&w.file, path, true, FND_FILE_PRIVATE, err) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for saving a session");
    if (status == FND_OK) {
        status = put_all(&w, note);
        if (status == FND_OK)
            status = fnd_new_file_keep(&w.file, err);
        else
            fnd_new_file_drop(&w.file);
    }
    fnd_hasher_close(w.hash);
    fnd_free_memory(w.block);
    return status;
}

/* ---- loading ---- */

static fnd_status take_layers(fnd_session *s, const fnd_session_parts *p, fnd_error *err) {
    const uint8_t *at = p->layers;
    for (uint32_t i = 0; i < p->header.layers && p->layer_bytes; i++, at += 2 * p->layer_bytes) {
        FND_TRY(fnd_tensor_write(s->m->f, &s->k_cache[i], 0, at, p->layer_bytes, err));
        FND_TRY(fnd_tensor_write(s->m->f, &s->v_cache[i], 0, at + p->layer_bytes, p->layer_bytes, err));
    }
    return FND_OK;
}

/* Nothing can be refused any more; only the device can fail, and then the session is empty. */
static fnd_status take(fnd_session *s, const fnd_session_parts *p, fnd_error *err) {
    const fnd_session_header *h = &p->header;
    FND_TRY(fnd_session_grow(s, h->position, err));
    FND_TRY(fnd_session_truncate(s, 0, err));
    FND_TRY(take_layers(s, p, err));
    if (p->logits) FND_TRY(fnd_tensor_write(s->m->f, &s->logits.t, 0, p->logits, 4ull * h->vocab, err));
    if (h->position) memcpy(s->tokens, p->ids, h->position * sizeof *s->tokens);
    s->position = h->position;
    s->has_logits = p->logits != NULL;
    s->batch_row = FND_OWN_ROW;
    s->kept = h->kept;
    s->dropped = h->dropped;
    s->reused += h->position;
    return FND_OK;
}

static fnd_status load(fnd_session *s, const char *path, const fnd_map *map, char **note, size_t *note_bytes, fnd_error *err) {
    fnd_session_shape shape;
    fnd_session_parts p;
    FND_TRY(shape_of(s, &shape, err));
    FND_TRY(fnd_session_parse(path, map->data, map->bytes, &shape, &p, err));
    if (note) {
        *note_bytes = (size_t)p.header.note_bytes;
        *note = fnd_alloc_string((const char *)p.note, *note_bytes);
        if (!*note) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the note in %s", path);
    }
    fnd_status status = take(s, &p, err);
    if (status == FND_OK || !note) return status;
    fnd_text_release(*note);
    *note = NULL;
    return status;
}

fnd_status fnd_session_load(fnd_session *s, const char *path, char **note, size_t *note_bytes, fnd_error *err) {
    fnd_map map;
    if (note) {
        *note = NULL;
        *note_bytes = 0;
    }
    FND_TRY(fnd_map_open(path, &map, err));
    fnd_status status = load(s, path, &map, note, note_bytes, err);
    fnd_map_close(&map);
    return status;
}
