/* synth_shapes.c - the shapes of models that people run, as their publishers give them; and a tiny one
 * of each architecture, which every format fits. */
#include "base/base.h"
#include "base/text.h"
#include "lm/synth.h"

#define QWEN2  .architecture = "qwen2", .context = 32768, .rope_base = 1e6f, .norm_eps = 1e-6f, .qkv_bias = true, .family = FND_SYNTH_QWEN
#define QWEN3  .architecture = "qwen3", .context = 40960, .rope_base = 1e6f, .norm_eps = 1e-6f, .head_norms = true, .family = FND_SYNTH_QWEN
#define LLAMA  .architecture = "llama", .norm_eps = 1e-5f
#define LLAMA3 LLAMA, .context = 131072, .vocab = 128256, .rope_base = 5e5f, .family = FND_SYNTH_LLAMA3
#define PHI3   .architecture = "phi3", .context = 4096, .rope_base = 1e4f, .norm_eps = 1e-5f, .fused = true, .untied = true, .family = FND_SYNTH_PHI3
#define TINY   .size = "tiny", .layers = 2, .dim = 256, .hidden_dim = 512, .heads = 4, .head_dim = 64, .vocab = 1024

/* clang-format off */
static const fnd_synth_shape shapes[] = {
    { QWEN2, TINY, .kv_heads = 2 },
    { QWEN2, .size = "0.5b", .layers = 24, .dim = 896,  .hidden_dim = 4864,  .heads = 14, .kv_heads = 2, .head_dim = 64,  .vocab = 151936 },
    { QWEN2, .size = "1.5b", .layers = 28, .dim = 1536, .hidden_dim = 8960,  .heads = 12, .kv_heads = 2, .head_dim = 128, .vocab = 151936 },
    { QWEN2, .size = "3b",   .layers = 36, .dim = 2048, .hidden_dim = 11008, .heads = 16, .kv_heads = 2, .head_dim = 128, .vocab = 151936 },
    { QWEN2, .size = "7b",   .layers = 28, .dim = 3584, .hidden_dim = 18944, .heads = 28, .kv_heads = 4, .head_dim = 128, .vocab = 152064, .untied = true },
    { QWEN3, .size = "tiny", .layers = 2, .dim = 256, .hidden_dim = 512, .heads = 4, .kv_heads = 2, .head_dim = 128, .vocab = 1024 },
    { QWEN3, .size = "0.6b", .layers = 28, .dim = 1024, .hidden_dim = 3072,  .heads = 16, .kv_heads = 8, .head_dim = 128, .vocab = 151936 },
    { LLAMA, TINY, .kv_heads = 2, .context = 8192, .rope_base = 1e4f, .family = FND_SYNTH_LLAMA3 },
    { LLAMA, .size = "135m", .layers = 30, .dim = 576,  .hidden_dim = 1536,  .heads = 9,  .kv_heads = 3, .head_dim = 64,  .vocab = 49152, .context = 8192, .rope_base = 1e5f, .family = FND_SYNTH_SMOLLM },
    { LLAMA3, .size = "1b",  .layers = 16, .dim = 2048, .hidden_dim = 8192,  .heads = 32, .kv_heads = 8, .head_dim = 64,  .rope_factor = 32.0f },
    { LLAMA3, .size = "8b",  .layers = 32, .dim = 4096, .hidden_dim = 14336, .heads = 32, .kv_heads = 8, .head_dim = 128, .rope_factor = 8.0f, .untied = true },
    { PHI3, TINY, .kv_heads = 4 },
    { PHI3, .size = "mini",  .layers = 32, .dim = 3072, .hidden_dim = 8192,  .heads = 32, .kv_heads = 32, .head_dim = 96, .vocab = 32064 },
};
/* clang-format on */

bool fnd_synth_at(size_t i, const char **architecture, const char **size) {
    if (i >= FND_COUNT(shapes)) return false;
    *architecture = shapes[i].architecture;
    *size = shapes[i].size;
    return true;
}

fnd_status fnd_synth_find(const char *architecture, const char *size, const fnd_synth_shape **out, fnd_error *err) {
    fnd_text sizes = { 0 }, all = { 0 };
    char quoted[64];
    *out = NULL;
    for (size_t i = 0; i < FND_COUNT(shapes); i++) {
        const fnd_synth_shape *s = &shapes[i];
        bool same = strcmp(s->architecture, architecture) == 0;
        if (same && strcmp(s->size, size) == 0) *out = s;
        if (same) fnd_text_printf(&sizes, "%s%s", sizes.bytes ? ", " : "", s->size);
        if (i == 0 || strcmp(s->architecture, shapes[i - 1].architecture) != 0) fnd_text_printf(&all, "%s%s", all.bytes ? ", " : "", s->architecture);
    }
    fnd_status status = *out ? FND_OK : FND_ERR_USAGE;
    if (status != FND_OK && sizes.bytes)
        (void)fnd_fail(err, status, "%s is made in the sizes %s, not '%s'", architecture, fnd_text_get(&sizes), fnd_span_quote((fnd_span){ size, strlen(size) }, quoted, sizeof quoted));
    else if (status != FND_OK)
        (void)fnd_fail(err, status, "no architecture '%s' is made; there are: %s", fnd_span_quote((fnd_span){ architecture, strlen(architecture) }, quoted, sizeof quoted), fnd_text_get(&all));
    fnd_text_free(&sizes);
    fnd_text_free(&all);
    return status;
}
