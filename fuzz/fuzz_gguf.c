/* fuzz_gguf.c - any bytes as a model file: an error, or a file that can be walked to its ends and asked
 * whether it is a model. */
#include "foundry/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static volatile uint64_t sink;

static void walk_values(const fnd_gguf *g) {
    for (size_t i = 0; i < fnd_gguf_value_count(g); i++) {
        const fnd_gguf_value *v = fnd_gguf_value_at(g, i);
        fnd_span text = fnd_gguf_string(v);
        char shown[32];
        fnd_span_quote(v->key, shown, sizeof shown);
        for (size_t k = 0; k < text.bytes; k++) sink += (uint8_t)text.data[k];
        for (uint64_t k = 0; k < v->count && k < 4096; k++) sink += (uint64_t)fnd_gguf_integer_at(v, k) + (fnd_gguf_float_at(v, k) > 0);
        fnd_gguf_cursor cursor = { .value = v };
        while (fnd_gguf_next_string(&cursor, &text)) {
            if (text.bytes) sink += (uint8_t)text.data[text.bytes - 1];
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    for (unsigned flags = 0; flags <= FND_GGUF_ANY_TYPE; flags++) {
        fnd_gguf *g;
        fnd_error err = { 0 };
        if (fnd_gguf_open_memory(data, bytes, "fuzz", flags, &g, &err) != FND_OK) continue;
        walk_values(g);
        for (size_t i = 0; i < fnd_gguf_tensor_count(g); i++) {
            const fnd_gguf_tensor *t = fnd_gguf_tensor_at(g, i);
            if (t->data) sink += ((const uint8_t *)t->data)[0] + ((const uint8_t *)t->data)[t->bytes - 1];
        }
        if (flags == 0) sink += (uint64_t)fnd_model_check(g, &err);
        fnd_gguf_close(g);
    }
    return 0;
}
