/* fuzz_session.c - any bytes as a session file, as they are, and with right checksums, so that what is
 * behind the checksums is reached too. What is accepted must lie within the file. */
#include "lm/session_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const fnd_session_shape shape = { .model = { 1, 2 }, .kv_format = "F16", .layers = 2, .vocab = 16, .block = 16, .context = 64, .block_bytes = 32 };

static void parse(const uint8_t *data, size_t bytes) {
    fnd_session_parts p;
    fnd_error err = { 0 };
    if (fnd_session_parse("fuzz", data, bytes, &shape, &p, &err) != FND_OK) {
        if (!err.text[0]) abort();
        return;
    }
    const uint8_t *end = data + bytes - sizeof(fnd_hash128);
    uint64_t left = (uint64_t)(end - p.layers);
    if (p.header.position > shape.context || p.layers < data || p.layers > end || 2 * shape.layers * p.layer_bytes != left) abort();
    if (p.note < p.ids || p.header.note_bytes > (uint64_t)(p.layers - p.note)) abort();
    for (uint32_t i = 0; i < p.header.position; i++) {
        uint32_t id;
        memcpy(&id, p.ids + 4 * i, sizeof id);
        if (id >= shape.vocab) abort();
    }
}

/* The same with what every right file has, and with its checksums; odd inputs also get their true size. */
static void seal(uint8_t *data, size_t bytes) {
    fnd_session_header h;
    if (bytes < sizeof h + sizeof(fnd_hash128)) return;
    memcpy(&h, data, sizeof h);
    memcpy(h.magic, FND_SESSION_MAGIC, sizeof h.magic);
    h.version = FND_SESSION_VERSION;
    h.header_bytes = sizeof h;
    if (bytes % 2) {
        h.model = shape.model;
        memcpy(h.kv_format, "F16\0\0\0\0", 8);
        h.model_name[sizeof h.model_name - 1] = '\0';
        h.layers = shape.layers;
        h.vocab = shape.vocab;
        h.block = shape.block;
        h.block_bytes = shape.block_bytes;
        h.has_logits &= 1;
        h.position %= 70;
        h.note_bytes = 0;
        uint64_t size;
        if (fnd_session_file_size(&h, &size) && size <= bytes) h.note_bytes = bytes - size;
        h.file_bytes = bytes;
    }
    h.header_hash = fnd_hash_bytes(&h, sizeof h - sizeof h.header_hash);
    memcpy(data, &h, sizeof h);
    fnd_hash128 hash = fnd_hash_bytes(data, bytes - sizeof hash);
    memcpy(data + bytes - sizeof hash, &hash, sizeof hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    uint8_t *copy = malloc(bytes ? bytes : 1);
    if (!copy) abort();
    if (bytes) memcpy(copy, data, bytes);
    parse(copy, bytes);
    seal(copy, bytes);
    parse(copy, bytes);
    free(copy);
    return 0;
}
