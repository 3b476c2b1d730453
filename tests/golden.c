/* golden.c - finding recorded figures and real models. */
#include "golden.h"
#include "base/file.h"
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *folder, *file;
} models[] = {
    { "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf" },
    { "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf" },
};

const char *golden_model_path(int model, char *why) {
    static char path[4096];
    const char *own = getenv("FOUNDRY_MODELS"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const char *roots[] = { own, cache, home };
    static const char *const below[] = { "", "/foundry/models", "/.cache/foundry/models" };
    for (int i = 0; i < 3; i++) {
        if (!roots[i] || !roots[i][0]) continue;
        int n = snprintf(path, sizeof path, "%s%s/%s", roots[i], below[i], models[model].file);
        if (n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0) return path;
    }
    snprintf(why, 256, "%s is not on this machine", models[model].file);
    return NULL;
}

const char *golden_model_file(int model) { return getenv(model == GOLDEN_SMOLLM2 ? "FOUNDRY_TEST_SMOLLM2" : "FOUNDRY_TEST_QWEN"); }

fnd_gguf *golden_gguf(int model, unsigned flags, char *why) {
    const char *path = golden_model_path(model, why);
    if (!path) return NULL;
    fnd_gguf *g = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_gguf_open(path, flags, &g, &err), &err);
    if (!g) snprintf(why, 256, "%.250s", err.text);
    return g;
}

fnd_tokenizer *golden_tokenizer(int model, char *why) {
    fnd_gguf *g = golden_gguf(model, FND_GGUF_METADATA_ONLY, why);
    if (!g) return NULL;
    fnd_tokenizer *t = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_tokenizer_open(g, &t, &err), &err);
    if (!t) snprintf(why, 256, "%.250s", err.text);
    fnd_gguf_close(g);
    return t;
}

json_t *golden_json(int model, const char *file) {
    char path[256];
    json_error_t where;
    snprintf(path, sizeof path, "tests/golden/%s/%s", models[model].folder, file);
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &where);
    CHECK_MSG(json != NULL, "%s: %s", path, where.text);
    return json;
}

char *golden_text(const char *file, size_t *bytes) {
    char path[256], *data = NULL;
    fnd_error err = { 0 };
    snprintf(path, sizeof path, "tests/golden/%s", file);
    CHECK_OK(fnd_file_read(path, (size_t)1 << 30, &data, bytes, &err), &err);
    return data;
}
