/* test_architectures.c - what a file says of its architecture: RoPE's frequencies against their
 * definitions at the sizes of real models, and files that contradict themselves or ask for what there is
 * not, each refused in a sentence. That the architectures compute what they should is in test_models.c. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "gguf_writer.h"
#include "kernel_bench.h"
#include "lm/model.h"
#include "test.h"
#include "toy_rope.h"

#include <math.h>
#include <stdlib.h>

/* ---- a file, with one thing changed ---- */

typedef struct entry {
    const char *key; /* behind "<architecture>." */
    char type;       /* 'u', 'f', 's'; 0: the entry is left out */
    double number;
    const char *text;
} entry;

enum { CHANGES = 4 };

static const entry usual[] = {
    { "block_count", 'u', 1, NULL },
    { "embedding_length", 'u', 64, NULL },
    { "feed_forward_length", 'u', 32, NULL },
    { "context_length", 'u', 128, NULL },
    { "attention.head_count", 'u', 4, NULL },
    { "attention.head_count_kv", 'u', 2, NULL },
    { "attention.layer_norm_rms_epsilon", 'f', 1e-5, NULL },
};

static void add_entry(gguf_writer *w, const char *architecture, const entry *e) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", architecture, e->key);
    if (e->type == 'u') gguf_add_u32(w, key, (uint32_t)e->number);
    if (e->type == 'f') gguf_add_f32(w, key, (float)e->number);
    if (e->type == 's') gguf_add_str(w, key, e->text);
}

static void add_hyper(gguf_writer *w, const char *architecture, const entry changes[CHANGES]) {
    gguf_add_str(w, "general.architecture", architecture);
    for (size_t i = 0; i < FND_COUNT(usual); i++) {
        bool changed = false;
        for (size_t k = 0; k < CHANGES && changes[k].key; k++) changed |= strcmp(changes[k].key, usual[i].key) == 0;
        if (!changed) add_entry(w, architecture, &usual[i]);
    }
    for (size_t k = 0; k < CHANGES && changes[k].key; k++) add_entry(w, architecture, &changes[k]);
}

static void add_zeros(gguf_writer *w, const char *name, fnd_format format, uint64_t cols, uint64_t rows) {
    uint64_t dims[2] = { cols, rows };
    const fnd_format_info *info = fnd_format_get(format);
    size_t bytes = (size_t)(cols * (rows ? rows : 1) / info->block_weights * info->block_bytes);
    void *zeros = fnd_alloc_zeroed(bytes, 1);
    if (!zeros) abort();
    gguf_add_tensor(w, name, format, rows ? 2 : 1, dims, zeros, bytes);
    fnd_free_memory(zeros);
}

/* Hyper-parameters, then the frequencies, of a file in memory. */
static fnd_status read_rope(const gguf_writer *w, fnd_model_info *info, fnd_rope_table *table, fnd_error *err) {
    size_t bytes;
    uint8_t *file = gguf_finish(w, &bytes);
    fnd_gguf *g = NULL;
    fnd_status status = fnd_gguf_open_memory(file, bytes, "toy", 0, &g, err);
    if (status == FND_OK) status = fnd_model_read_info(g, info, err);
    if (status == FND_OK) status = fnd_rope_compute(g, info, table, err);
    fnd_gguf_close(g);
    fnd_free_memory(file);
    return status;
}

/* ---- frequencies of real models ---- */

typedef struct real_rope {
    const char *what, *architecture;
    toy_rope rope;
    uint32_t head_dim, told_context, context; /* in the file; as scaled */
    double mscale;                            /* as published */
} real_rope;

static const real_rope real_ropes[] = {
    { "SmolLM2 135M", "llama", { TOY_NONE, 64, .base = 100000 }, 64, 8192, 8192, 1.0 },
    { "Llama 3.1 8B", "llama", { TOY_LLAMA3, 128, .base = 500000, .factor = 8, .original = 8192 }, 128, 131072, 131072, 1.0 },
    { "Llama 3.2 1B", "llama", { TOY_LLAMA3, 64, .base = 500000, .factor = 32, .original = 8192 }, 64, 131072, 131072, 1.0 },
    { "LongChat 7B", "llama", { TOY_LINEAR, 128, .base = 10000, .factor = 8, .original = 2048 }, 128, 16384, 16384, 1.0 },
    { "Yarn Mistral 7B", "llama", { TOY_YARN, 128, .base = 10000, .factor = 16, .original = 8192 }, 128, 32768, 131072, 1.2772588722239782 },
    { "Qwen2.5 7B", "qwen2", { TOY_YARN, 128, .base = 1e6, .factor = 4, .original = 32768 }, 128, 32768, 131072, 1.1386294361119891 },
    { "Qwen3 8B", "qwen3", { TOY_YARN, 128, .base = 1e6, .factor = 4, .original = 32768 }, 128, 131072, 131072, 1.1386294361119891 },
    { "Phi-3 mini 128k", "phi3", { TOY_LONGROPE, 96, .base = 10000, .original = 4096, .context = 131072 }, 96, 131072, 131072, 1.1902380714238083 },
    { "Phi-4 mini", "phi3", { TOY_LONGROPE, 96, .base = 10000, .original = 4096, .context = 131072, .untold = true }, 128, 131072, 131072, 1.1902380714238083 },
    { "Phi-3 mini 4k", "phi3", { TOY_NONE, 96, .base = 10000, .original = 4096 }, 96, 4096, 4096, 1.0 },
};

static void check_frequencies(const real_rope *r, const toy_rope *rope, uint32_t session, const float *got, float mscale) {
    double want[TOY_ROPE_PAIRS], factor = toy_rope_frequencies(rope, session, want);
    for (uint32_t i = 0; i < rope->dim / 2; i++) {
        CHECK_MSG(fabs((double)got[i] - want[i]) <= 2e-7 * want[i], "%s, session of %u: pair %u turns by %.9g instead of %.9g", r->what, session, i, (double)got[i], want[i]);
    }
    CHECK_MSG(fabs((double)mscale - factor) <= 2e-7 && fabs(factor - r->mscale) <= 1e-12, "%s: sines are multiplied by %.9g, the definition says %.17g, the model's authors %.17g", r->what, (double)mscale, factor, r->mscale);
}

TEST(architectures_scale_rope_as_published) {
    for (size_t n = 0; n < FND_COUNT(real_ropes); n++) {
        const real_rope *r = &real_ropes[n];
        toy_rope rope = r->rope;
        gguf_writer w = { 0 };
        fnd_model_info info;
        fnd_rope_table table;
        fnd_error err = { 0 };
        const entry changes[CHANGES] = { { "context_length", 'u', r->told_context, NULL }, { "attention.key_length", 'u', r->head_dim, NULL } };
        bench_seed(n + 1);
        for (size_t i = 0; i < TOY_ROPE_PAIRS; i++) rope.short_divisor[i] = 1.5f + 0.5f * bench_uniform(), rope.long_divisor[i] = 33.0f + 32.0f * bench_uniform();
        add_hyper(&w, r->architecture, changes);
        toy_rope_write(&rope, r->architecture, &w);
        add_zeros(&w, "token_embd.weight", FND_F32, 64, 4);
        CHECK_OK(read_rope(&w, &info, &table, &err), &err);
        CHECK_MSG(info.context_length == r->context, "%s: a context of %u instead of %u", r->what, info.context_length, r->context);
        check_frequencies(r, &rope, 1, table.inv_freq, table.mscale);
        CHECK(table.has_long == (rope.scaling == TOY_LONGROPE));
        if (table.has_long) check_frequencies(r, &rope, r->context, table.long_inv_freq, table.mscale);
        gguf_free(&w);
    }
}

/* ---- windows ---- */

static void check_window(const char *architecture, uint32_t window, uint32_t context) {
    gguf_writer w = { 0 };
    fnd_model_info info;
    fnd_rope_table table;
    fnd_error err = { 0 };
    const entry changes[CHANGES] = { { "attention.sliding_window", 'u', window, NULL } };
    add_hyper(&w, architecture, changes);
    add_zeros(&w, "token_embd.weight", FND_F32, 64, 4);
    CHECK_OK(read_rope(&w, &info, &table, &err), &err);
    CHECK_MSG(info.context_length == context && info.sliding_window == (context < 128 ? window : 0), "%s with a window of %u has a context of %u", architecture, window, info.context_length);
    gguf_free(&w);
}

TEST(architectures_end_the_context_where_a_window_would_begin) {
    check_window("llama", 64, 64);
    check_window("llama", 128, 128);
    check_window("llama", 0, 128);
    check_window("qwen2", 100, 100);
    check_window("phi3", 64, 128); /* converters wrote values that the models do not have */
}

/* ---- hyper-parameters that are refused ---- */

typedef struct refusal {
    const char *architecture;
    entry changes[CHANGES];
    const char *says;
    const char *tensor; /* one more, of so many values of this format, all of them `value` */
    uint64_t count;
    fnd_format format;
    float value;
} refusal;

#define SCALING "rope.scaling."
#define U(key, number) \
    { key, 'u', number, NULL }
#define F(key, number) \
    { key, 'f', number, NULL }
#define S(key, text) \
    { key, 's', 0, text }
#define NO(key) \
    { key, 0, 0, NULL }
#define ALONE NULL, 0, FND_F32, 0
static const refusal refusals[] = {
    { "gpt2", { NO(NULL) }, "architecture \"gpt2\" is not supported (llama, phi3, qwen2, qwen3 are)", ALONE },
    { "", { NO(NULL) }, "architecture \"\" is not supported", ALONE },
    { "llama", { NO("block_count") }, "llama.block_count", ALONE },
    { "llama", { U("block_count", 0) }, "llama.block_count is 0; 1 to 1024", ALONE },
    { "llama", { S("block_count", "two") }, "llama.block_count", ALONE },
    { "qwen2", { NO("embedding_length") }, "qwen2.embedding_length", ALONE },
    { "qwen2", { U("feed_forward_length", 4e9) }, "qwen2.feed_forward_length is 4000000000", ALONE },
    { "llama", { U("context_length", 0) }, "a context of 0 tokens makes no sense (llama.context_length)", ALONE },
    { "llama", { NO("attention.head_count") }, "llama.attention.head_count", ALONE },
    { "llama", { U("attention.head_count_kv", 3) }, "llama.attention.head_count_kv is 3, which 4 heads cannot share evenly", ALONE },
    { "llama", { U("attention.head_count_kv", 0) }, "llama.attention.head_count_kv is 0, which 4 heads cannot share evenly", ALONE },
    { "llama", { U("attention.head_count_kv", 8) }, "llama.attention.head_count_kv is 8, which 4 heads cannot share evenly", ALONE },
    { "llama", { U("attention.head_count", 3), NO("attention.head_count_kv") }, "a width of 64 cannot be shared out to 3 heads", ALONE },
    { "llama", { U("attention.head_count", 64), U("attention.key_length", 32) }, "32 heads for each key/value head", ALONE },
    { "qwen3", { U("attention.key_length", 33) }, "heads of 33 values are not supported", ALONE },
    { "qwen3", { U("attention.key_length", 512) }, "heads of 512 values are not supported", ALONE },
    { "qwen3", { U("attention.key_length", 32), U("attention.value_length", 16) }, "keys of 32 values with values of 16", ALONE },
    { "llama", { NO("attention.layer_norm_rms_epsilon") }, "layer_norm_rms_epsilon", ALONE },
    { "llama", { F("attention.layer_norm_rms_epsilon", NAN) }, "layer_norm_rms_epsilon is", ALONE },
    { "llama", { U("expert_count", 8) }, "llama with 8 experts is not supported", ALONE },
    { "llama", { U("rope.dimension_count", 15) }, "llama.rope.dimension_count is 15; with heads of 16 values it must be an even number", ALONE },
    { "llama", { U("rope.dimension_count", 18) }, "llama.rope.dimension_count is 18", ALONE },
    { "llama", { F("rope.freq_base", 0) }, "llama.rope.freq_base is 0", ALONE },
    { "llama", { F("rope.freq_base", NAN) }, "llama.rope.freq_base is", ALONE },
    { "llama", { F("rope.freq_base", 1e-6), U("attention.key_length", 256), F(SCALING "factor", 1e-5) }, "RoPE would turn pair", ALONE },
    { "llama", { S(SCALING "type", "su") }, "llama.rope.scaling.type is \"su\", which is not supported (none, linear, yarn and longrope are)", ALONE },
    { "llama", { U(SCALING "type", 1) }, "llama.rope.scaling.type", ALONE },
    { "llama", { S(SCALING "type", "linear") }, "RoPE scaling is linear, but llama.rope.scaling.factor is missing or 0", ALONE },
    { "qwen2", { S(SCALING "type", "yarn"), F(SCALING "factor", 0) }, "RoPE scaling is yarn, but qwen2.rope.scaling.factor is missing or 0", ALONE },
    { "qwen2", { S(SCALING "type", "yarn"), F(SCALING "factor", -4) }, "qwen2.rope.scaling.factor is -4", ALONE },
    { "qwen2", { S(SCALING "type", "yarn"), F(SCALING "factor", NAN) }, "qwen2.rope.scaling.factor is", ALONE },
    { "qwen2", { S(SCALING "type", "yarn"), F(SCALING "factor", 4), F(SCALING "yarn_beta_fast", 1) }, "yarn_beta_fast (1) must be more than yarn_beta_slow (1)", ALONE },
    { "qwen2", { S(SCALING "type", "yarn"), F(SCALING "factor", 4), F(SCALING "yarn_ext_factor", 2) }, "yarn_ext_factor is 2", ALONE },
    { "qwen2", { S(SCALING "type", "yarn"), F(SCALING "factor", 4), F(SCALING "yarn_log_multiplier", 0.5) }, "yarn_log_multiplier is 0.5, which is not supported", ALONE },
    { "qwen2", { S(SCALING "type", "yarn"), F(SCALING "factor", 4), F("rope.freq_base", 1) }, "needs a qwen2.rope.freq_base above 1", ALONE },
    { "qwen2", { F(SCALING "attn_factor", -1) }, "qwen2.rope.scaling.attn_factor is -1", ALONE },
    { "qwen2", { U(SCALING "original_context_length", 3e9) }, "qwen2.rope.scaling.original_context_length is 3000000000", ALONE },
    { "phi3", { S(SCALING "type", "longrope") }, "phi3.rope.scaling.original_context_length, up to which the short factors serve, is missing", ALONE },
    { "phi3", { S(SCALING "type", "longrope"), U(SCALING "original_context_length", 32) }, "rope_factors_short.weight", ALONE },
    { "phi3", { U(SCALING "original_context_length", 32) }, "rope_factors_long.weight", "rope_factors_short.weight", 8, FND_F32, 1 },
    { "phi3", { S(SCALING "type", "linear"), F(SCALING "factor", 2) }, "phi3.rope.scaling.type is linear, but the file also has rope_factors", "rope_factors_short.weight", 8, FND_F32, 1 },
    { "llama", { S(SCALING "type", "yarn"), F(SCALING "factor", 4) }, "llama.rope.scaling.type is yarn, but the file also has rope_freqs.weight", "rope_freqs.weight", 8, FND_F32, 1 },
    { "llama", { NO(NULL) }, "rope_freqs.weight must be 8 values of F32", "rope_freqs.weight", 7, FND_F32, 1 },
    { "llama", { NO(NULL) }, "rope_freqs.weight must be 8 values of F32", "rope_freqs.weight", 8, FND_F16, 1 },
    { "llama", { NO(NULL) }, "rope_freqs.weight has 0 for pair 0", "rope_freqs.weight", 8, FND_F32, 0 },
    { "llama", { NO(NULL) }, "for pair 0; it must be a positive number", "rope_freqs.weight", 8, FND_F32, NAN },
    { "llama", { NO(NULL) }, "RoPE would turn pair 0 by", "rope_freqs.weight", 8, FND_F32, 1e-30f },
};

TEST(architectures_refuse_what_contradicts_itself) {
    for (size_t i = 0; i < FND_COUNT(refusals); i++) {
        const refusal *r = &refusals[i];
        gguf_writer w = { 0 };
        fnd_model_info info;
        fnd_rope_table table;
        fnd_error err = { 0 };
        float values[16];
        add_hyper(&w, r->architecture, r->changes);
        add_zeros(&w, "token_embd.weight", FND_F32, 64, 4);
        for (size_t k = 0; k < 16; k++) values[k] = r->value;
        if (r->tensor) gguf_add_tensor(&w, r->tensor, r->format, 1, &r->count, values, (size_t)r->count * (r->format == FND_F32 ? 4 : 2));
        fnd_status status = read_rope(&w, &info, &table, &err);
        CHECK_MSG(status == FND_ERR_FORMAT || status == FND_ERR_UNSUPPORTED || status == FND_ERR_TYPE, "refusal %zu (%s): status %d: %s", i, r->says, status, err.text);
        CHECK_HAS(err.text, r->says);
        CHECK_HAS(err.text, "toy");
        gguf_free(&w);
    }
}

/* ---- tensors that are refused ---- */

typedef struct tensor_change {
    const char *architecture, *name; /* which tensor */
    uint64_t cols, rows;             /* its shape instead (rows 0: a vector); 0, 0: it is left out; of a new name: one more */
    fnd_format format;
    const char *says;
} tensor_change;

static const tensor_change tensor_changes[] = {
    { "llama", "blk.0.attn_k.weight", 0, 0, FND_F32, "blk.0.attn_k.weight" },
    { "llama", "output_norm.weight", 0, 0, FND_F32, "output_norm.weight" },
    { "llama", "blk.0.attn_k.weight", 64, 64, FND_F32, "tensor blk.0.attn_k.weight is 64 x 64; the hyper-parameters say 32 x 64" },
    { "llama", "blk.0.ffn_norm.weight", 64, 0, FND_F16, "tensor blk.0.ffn_norm.weight is f16; norms and biases must be F32" },
    { "llama", "blk.0.attn_output.bias", 64, 0, FND_F32, "tensor blk.0.attn_output.bias is not one that architecture llama has" },
    { "llama", "blk.0.attn_q_norm.weight", 16, 0, FND_F32, "tensor blk.0.attn_q_norm.weight is not one that architecture llama has" },
    { "llama", "blk.1.attn_q.weight", 64, 64, FND_F32, "tensor blk.1.attn_q.weight is not one" },
    { "llama", "blk.0.attn_q.bias", 64, 0, FND_F32, "blk.0.attn_k.bias" },
    { "qwen3", "blk.0.attn_q_norm.weight", 0, 0, FND_F32, "blk.0.attn_q_norm.weight" },
    { "qwen3", "blk.0.attn_k_norm.weight", 32, 0, FND_F32, "tensor blk.0.attn_k_norm.weight is 1 x 32; the hyper-parameters say 1 x 16" },
    { "phi3", "blk.0.attn_qkv.weight", 0, 0, FND_F32, "blk.0.attn_qkv.weight" },
    { "phi3", "blk.0.attn_qkv.weight", 64, 64, FND_F32, "tensor blk.0.attn_qkv.weight is 64 x 64; the hyper-parameters say 128 x 64" },
    { "phi3", "blk.0.ffn_up.weight", 64, 32, FND_F32, "tensor blk.0.ffn_up.weight is 32 x 64; the hyper-parameters say 64 x 64" },
    { "phi3", "blk.0.attn_qkv.bias", 64, 0, FND_F32, "tensor blk.0.attn_qkv.bias is 1 x 64; the hyper-parameters say 1 x 128" },
    { "phi3", "blk.0.ffn_down.weight", 32, 64, FND_I32, "tensor blk.0.ffn_down.weight is i32, which is no format of weights" },
    { "phi3", "blk.0.ffn_gate.weight", 64, 32, FND_F32, "tensor blk.0.ffn_gate.weight is not one that architecture phi3 has" },
};

/* A tensor of the file as it should be, unless this is the one to be changed. */
static void add_usual(gguf_writer *w, const tensor_change *c, const char *name, uint64_t cols, uint64_t rows, bool *changed) {
    if (!c || strcmp(c->name, name) != 0) {
        add_zeros(w, name, FND_F32, cols, rows);
        return;
    }
    *changed = true;
    if (c->cols) add_zeros(w, name, c->format, c->cols, c->rows);
}

static void write_model(const char *architecture, const entry changes[CHANGES], const tensor_change *c, const char *path) {
    bool joined = strcmp(architecture, "phi3") == 0, norms = strcmp(architecture, "qwen3") == 0, changed = false;
    gguf_writer w = { 0 };
    add_hyper(&w, architecture, changes);
    gguf_add_byte_tokenizer(&w, "qwen2");
    add_usual(&w, c, "token_embd.weight", 64, GGUF_BYTE_TOKENS, &changed);
    add_usual(&w, c, "output_norm.weight", 64, 0, &changed);
    add_usual(&w, c, "blk.0.attn_norm.weight", 64, 0, &changed);
    add_usual(&w, c, "blk.0.ffn_norm.weight", 64, 0, &changed);
    if (norms) add_usual(&w, c, "blk.0.attn_q_norm.weight", 16, 0, &changed);
    if (norms) add_usual(&w, c, "blk.0.attn_k_norm.weight", 16, 0, &changed);
    if (joined) add_usual(&w, c, "blk.0.attn_qkv.weight", 64, 128, &changed);
    if (!joined) add_usual(&w, c, "blk.0.attn_q.weight", 64, 64, &changed);
    if (!joined) add_usual(&w, c, "blk.0.attn_k.weight", 64, 32, &changed);
    if (!joined) add_usual(&w, c, "blk.0.attn_v.weight", 64, 32, &changed);
    add_usual(&w, c, "blk.0.attn_output.weight", 64, 64, &changed);
    if (!joined) add_usual(&w, c, "blk.0.ffn_gate.weight", 64, 32, &changed);
    add_usual(&w, c, "blk.0.ffn_up.weight", 64, joined ? 64 : 32, &changed);
    add_usual(&w, c, "blk.0.ffn_down.weight", 32, 64, &changed);
    if (c && !changed) add_zeros(&w, c->name, c->format, c->cols, c->rows);
    gguf_save(&w, path);
    gguf_free(&w);
}

/* Loading says what checking says. */
static fnd_status load(foundry *f, const char *path, fnd_error *err) {
    fnd_model *m;
    fnd_gguf *g;
    fnd_error other = { 0 };
    fnd_status status = fnd_model_load(f, &(fnd_model_desc){ .path = path }, &m, err);
    fnd_model_free(m);
    CHECK_OK(fnd_gguf_open(path, 0, &g, &other), &other);
    CHECK(g && fnd_model_check(g, &other) == status);
    CHECK(strcmp(err->text, other.text) == 0);
    fnd_gguf_close(g);
    return status;
}

static const entry unchanged[CHANGES] = { NO(NULL) };

TEST(architectures_refuse_tensors_that_do_not_fit) {
    static const char *const architectures[] = { "llama", "qwen2", "qwen3", "phi3" };
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 16];
    fnd_error err = { 0 };
    foundry *f;
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    CHECK_OK(fnd_open(&(fnd_desc){ .backend = "cpu", .isa = "generic", .threads = 1 }, &f, &err), &err);
    REQUIRE(err.status == FND_OK);
    snprintf(path, sizeof path, "%s/toy.gguf", dir);
    for (size_t i = 0; i < FND_COUNT(architectures); i++) {
        write_model(architectures[i], unchanged, NULL, path);
        CHECK_OK(load(f, path, &err), &err);
    }
    for (size_t i = 0; i < FND_COUNT(tensor_changes); i++) {
        const tensor_change *c = &tensor_changes[i];
        err = (fnd_error){ 0 };
        write_model(c->architecture, unchanged, c, path);
        fnd_status status = load(f, path, &err);
        CHECK_MSG(status == FND_ERR_FORMAT || status == FND_ERR_UNSUPPORTED, "%s, %s: status %d: %s", c->architecture, c->name, status, err.text);
        CHECK_HAS(err.text, c->says);
        CHECK_HAS(err.text, "toy.gguf");
    }
    CHECK_OK(fnd_close(f, &err), &err);
    fnd_process_remove_dir(dir);
}

TEST(architectures_tell_why_a_context_ends_with_a_window) {
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 16];
    const entry window[CHANGES] = { U("attention.sliding_window", 64) };
    fnd_error err = { 0 };
    foundry *f;
    fnd_model *m;
    fnd_session *s;
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    CHECK_OK(fnd_open(&(fnd_desc){ .backend = "cpu", .isa = "generic", .threads = 1 }, &f, &err), &err);
    REQUIRE(err.status == FND_OK);
    snprintf(path, sizeof path, "%s/toy.gguf", dir);
    write_model("llama", window, NULL, path);
    CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = path }, &m, &err), &err);
    CHECK(m && fnd_session_open(m, &(fnd_session_desc){ .context = 65 }, &s, &err) == FND_ERR_LIMIT);
    CHECK_HAS(err.text, "a context of 65 tokens was asked for; this model has been made for 64, where its attention would begin to slide");
    fnd_model_free(m);
    CHECK_OK(fnd_close(f, &err), &err);
    fnd_process_remove_dir(dir);
}

/* ---- the guide ---- */

/* Runs of lines that a diff adds or leaves must be in the file as they stand; of a new file, all of it. */
static void check_shown(const char *path, bool is_new, const char *lines) {
    char *text;
    size_t bytes;
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read(path, 1 << 20, &text, &bytes, &err), &err);
    if (err.status != FND_OK) return;
    CHECK_MSG(is_new ? strcmp(text, lines) == 0 : lines[0] && strstr(text, lines), "the guide does not show %s as it is, but:\n%s", path, lines);
    fnd_free_memory(text);
}

/* docs/adding-an-architecture.md shows a whole architecture; it must be the one that is here. */
TEST(architectures_guide_shows_the_files_as_they_are) {
    char *guide, path[128] = "";
    size_t bytes, shown = 0;
    fnd_error err = { 0 };
    fnd_text lines = { 0 };
    bool in_diff = false, is_new = true;
    CHECK_OK(fnd_file_read("docs/adding-an-architecture.md", 1 << 20, &guide, &bytes, &err), &err);
    REQUIRE(err.status == FND_OK);
    for (const char *line = guide; *line;) {
        int length = (int)strcspn(line, "\n");
        bool ends = strncmp(line, "```", 3) == 0 || strncmp(line, "@@", 2) == 0;
        if (in_diff && ends && path[0]) {
            check_shown(path, is_new, fnd_text_get(&lines));
            fnd_text_free(&lines);
            shown++;
        }
        if (strncmp(line, "```", 3) == 0) {
            in_diff = strncmp(line, "```diff", 7) == 0;
            is_new = true;
            path[0] = '\0';
        } else if (in_diff && strncmp(line, "--- ", 4) == 0) {
            is_new = false;
        } else if (in_diff && strncmp(line, "+++ ", 4) == 0) {
            snprintf(path, sizeof path, "%.*s", length - 4, line + 4);
        } else if (in_diff && !ends) {
            fnd_text_printf(&lines, "%.*s\n", length ? length - 1 : 0, length ? line + 1 : line);
        }
        line += length + (line[length] == '\n');
    }
    CHECK_MSG(shown >= 6, "the guide shows %zu pieces", shown);
    fnd_text_free(&lines);
    fnd_free_memory(guide);
}
