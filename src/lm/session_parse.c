/* session_parse.c - is this a session file, a whole one, and one for this model? */
#include "lm/session_file.h"
#include "base/base.h"
#include "foundry/gguf.h"

enum { HASHED_HEADER = sizeof(fnd_session_header) - sizeof(fnd_hash128) };

static bool add_product(uint64_t *sum, uint64_t a, uint64_t b) {
    uint64_t product;
    return fnd_mul_u64(a, b, &product) && fnd_add_u64(*sum, product, sum);
}

static uint64_t blocks_of(const fnd_session_header *h) { return ((uint64_t)h->position + h->block - 1) / h->block; }

bool fnd_session_file_size(const fnd_session_header *h, uint64_t *bytes) {
    uint64_t layer_bytes = 0;
    *bytes = sizeof *h + sizeof(fnd_hash128);
    return h->block && add_product(bytes, 4, h->position) && add_product(bytes, 1, h->note_bytes) && add_product(bytes, h->has_logits ? 4 : 0, h->vocab) &&
           add_product(&layer_bytes, blocks_of(h), h->block_bytes) && add_product(bytes, 2ull * h->layers, layer_bytes);
}

/* ---- is it one, and whole? ---- */

static fnd_status check_whole(const char *path, const uint8_t *data, size_t bytes, fnd_session_header *h, fnd_error *err) {
    uint64_t expected;
    fnd_hash128 hash;
    if (bytes < sizeof h->magic || memcmp(data, FND_SESSION_MAGIC, sizeof h->magic) != 0) return fnd_fail(err, FND_ERR_FORMAT, "%s is no session file", path);
    if (bytes < sizeof *h) return fnd_fail(err, FND_ERR_FORMAT, "%s is cut short: it has %zu bytes, and its header alone takes %zu", path, bytes, sizeof *h);
    memcpy(h, data, sizeof *h);
    if (h->version != FND_SESSION_VERSION) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s is a session file of version %u; this program reads version %d", path, h->version, FND_SESSION_VERSION);
    if (h->header_bytes != sizeof *h || !fnd_hash_equal(fnd_hash_bytes(data, HASHED_HEADER), h->header_hash)) {
        return fnd_fail(err, FND_ERR_FORMAT, "%s is damaged: the checksum of its header is wrong", path);
    }
    if (bytes < h->file_bytes) return fnd_fail(err, FND_ERR_FORMAT, "%s is cut short: it has %zu of %llu bytes", path, bytes, (unsigned long long)h->file_bytes);
    if (!fnd_session_file_size(h, &expected) || expected != h->file_bytes || bytes != h->file_bytes) {
        return fnd_fail(err, FND_ERR_FORMAT, "%s is damaged: it has %zu bytes, and its header does not describe as many", path, bytes);
    }
    memcpy(&hash, data + bytes - sizeof hash, sizeof hash);
    if (!fnd_hash_equal(fnd_hash_bytes(data, bytes - sizeof hash), hash)) return fnd_fail(err, FND_ERR_FORMAT, "%s is damaged: its checksum is wrong", path);
    return FND_OK;
}

/* ---- is it for this model? ---- */

static bool ends(const char *text, size_t bytes) { return memchr(text, '\0', bytes) != NULL; }

static fnd_status check_fits(const char *path, const fnd_session_header *h, const fnd_session_shape *shape, fnd_error *err) {
    char shown[80];
    if (!ends(h->model_name, sizeof h->model_name) || !ends(h->kv_format, sizeof h->kv_format)) return fnd_fail(err, FND_ERR_FORMAT, "%s is damaged: a name in its header does not end", path);
    if (!fnd_hash_equal(h->model, shape->model)) {
        fnd_span_quote((fnd_span){ h->model_name, strlen(h->model_name) }, shown, sizeof shown);
        return fnd_fail(err, FND_ERR_TYPE, "%s was saved with another model (%s), and only that can load it", path, shown[0] ? shown : "without a name");
    }
    if (strcmp(h->kv_format, shape->kv_format) != 0) {
        return fnd_fail(err, FND_ERR_TYPE, "%s holds keys and values as %s, but this session keeps them as %s; one with the kv type %s can load it", path, fnd_span_quote((fnd_span){ h->kv_format, strlen(h->kv_format) }, shown, sizeof shown), shape->kv_format, shown);
    }
    if (h->long_rope != shape->long_rope && h->long_rope <= 1) {
        return fnd_fail(err, FND_ERR_TYPE, "%s was saved by a session whose context takes the %s frequencies of this model's RoPE; a context of %u takes the others", path, h->long_rope ? "long" : "short", shape->context);
    }
    bool same = h->long_rope == shape->long_rope && h->layers == shape->layers && h->vocab == shape->vocab && h->block == shape->block && h->block_bytes == shape->block_bytes;
    if (!same || h->has_logits > 1 || (h->has_logits && !h->position) || h->kept > h->position) return fnd_fail(err, FND_ERR_FORMAT, "%s is damaged: its header does not fit its model", path);
    if (h->position > shape->context) return fnd_fail(err, FND_ERR_LIMIT, "%s holds %u tokens, but the context holds %u", path, h->position, shape->context);
    return FND_OK;
}

fnd_status fnd_session_parse(const char *path, const uint8_t *data, size_t bytes, const fnd_session_shape *shape, fnd_session_parts *out, fnd_error *err) {
    fnd_session_header *h = &out->header;
    *out = (fnd_session_parts){ 0 };
    FND_TRY(check_whole(path, data, bytes, h, err));
    FND_TRY(check_fits(path, h, shape, err));
    const uint8_t *at = data + sizeof *h;
    out->ids = at;
    out->note = at += 4ull * h->position;
    at += h->note_bytes;
    if (h->has_logits) {
        out->logits = at;
        at += 4ull * h->vocab;
    }
    out->layers = at;
    out->layer_bytes = blocks_of(h) * h->block_bytes;
    for (uint32_t i = 0; i < h->position; i++) {
        uint32_t id;
        memcpy(&id, out->ids + 4ull * i, sizeof id);
        if (id >= h->vocab) return fnd_fail(err, FND_ERR_FORMAT, "%s is damaged: token %u of it is %u, and the vocabulary has %u", path, i, id, h->vocab);
    }
    return FND_OK;
}
