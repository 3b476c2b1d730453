/* test_quantize.c - whole files from format to format: every tensor in the format it should have, with
 * the error that is told, the rest of the file as it was; and what is refused. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "foundry/gguf.h"
#include "foundry/quantize.h"
#include "foundry/synth.h"
#include "gguf_writer.h"
#include "program.h"
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <unistd.h>

/* Paths that outlive the ring of program_temp. */
static char source[512], target[512], other[512];

static bool make_source(fnd_format format) {
    fnd_error err = { 0 };
    snprintf(source, sizeof source, "%s", program_temp("quantize-in.gguf"));
    snprintf(target, sizeof target, "%s", program_temp("quantize-out.gguf"));
    snprintf(other, sizeof other, "%s", program_temp("quantize-other.gguf"));
    CHECK_OK(fnd_synth(&(fnd_synth_desc){ .architecture = "llama", .size = "tiny", .format = format, .seed = 5, .to = source, .replace = true }, NULL, &err), &err);
    return err.status == FND_OK;
}

static void remove_files(void) {
    unlink(source);
    unlink(target);
    unlink(other);
}

/* All but what must change: the entries of both files, one by one. */
static void check_metadata(const fnd_gguf *a, const fnd_gguf *b, uint32_t file_type) {
    CHECK(fnd_gguf_value_count(a) == fnd_gguf_value_count(b));
    for (size_t i = 0; i < fnd_gguf_value_count(a); i++) {
        const fnd_gguf_value *v = fnd_gguf_value_at(a, i);
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)v->key.bytes, v->key.data);
        const fnd_gguf_value *w = fnd_gguf_find(b, key);
        CHECK_MSG(w && w->type == v->type && w->element == v->element && w->count == v->count, "%s is not as it was", key);
        if (!w || strcmp(key, "general.file_type") == 0) continue;
        fnd_span x, y;
        if (v->type == FND_GGUF_STRING) CHECK(fnd_gguf_string(v).bytes == fnd_gguf_string(w).bytes && memcmp(fnd_gguf_string(v).data, fnd_gguf_string(w).data, fnd_gguf_string(v).bytes) == 0);
        if (v->type == FND_GGUF_ARRAY && v->element == FND_GGUF_STRING) {
            fnd_gguf_cursor c = { .value = v }, d = { .value = w };
            bool same = true;
            while (fnd_gguf_next_string(&c, &x) && fnd_gguf_next_string(&d, &y)) same = same && x.bytes == y.bytes && memcmp(x.data, y.data, x.bytes) == 0;
            CHECK_MSG(same, "%s is not as it was", key);
        }
    }
    uint32_t type = 99, version = 0;
    fnd_error err = { 0 };
    CHECK_OK(fnd_gguf_get_u32(b, "general.file_type", &type, &err), &err);
    CHECK_OK(fnd_gguf_get_u32(b, "general.quantization_version", &version, &err), &err);
    CHECK(type == file_type && version == 2);
}

/* The weights of a tensor, to be freed. */
static float *weights_of(const fnd_gguf_tensor *t, size_t *count) {
    fnd_error err = { 0 };
    *count = (size_t)(t->dims[0] * t->dims[1]);
    float *x = fnd_alloc_zeroed(*count, sizeof *x);
    if (!x) abort();
    CHECK_OK(fnd_decode(t->format, t->data, *count, x, &err), &err);
    return x;
}

typedef struct told {
    fnd_gguf *from, *to;
    double most; /* relative error allowed */
} told;

/* What is told of a tensor is what can be measured. */
static void check_tensor(void *ctx, const fnd_quantize_tensor *t) {
    told *k = ctx;
    char name[96];
    snprintf(name, sizeof name, "%.*s", (int)t->name.bytes, t->name.data);
    CHECK_MSG(t->relative <= k->most, "%s to %s: relative error %g", name, fnd_format_get(t->to)->name, t->relative);
    CHECK(t->rmse <= t->worst + 1e-12 && (t->from != t->to || t->worst == 0));
    if (t->dim_count == 1) CHECK(t->to == FND_F32);
}

static void check_against_file(void *ctx, const fnd_quantize_tensor *t) {
    told *k = ctx;
    char name[96];
    snprintf(name, sizeof name, "%.*s", (int)t->name.bytes, t->name.data);
    const fnd_gguf_tensor *a = fnd_gguf_find_tensor(k->from, name), *b = fnd_gguf_find_tensor(k->to, name);
    CHECK_MSG(a && b && b->format == t->to && b->bytes == t->bytes, "%s", name);
    if (!a || !b) return;
    size_t n, m;
    float *x = weights_of(a, &n), *y = weights_of(b, &m);
    double sum = 0, worst = 0;
    for (size_t i = 0; i < n && n == m; i++) {
        double e = fabs((double)x[i] - (double)y[i]);
        sum += e * e;
        worst = fmax(worst, e);
    }
    CHECK_MSG(fabs(sqrt(sum / (double)n) - t->rmse) <= 1e-5 * t->rmse && fabs(worst - t->worst) <= 1e-6 * worst, "%s: told rmse %g, worst %g; are %g, %g", name, t->rmse, t->worst, sqrt(sum / (double)n), worst);
    fnd_free_memory(x);
    fnd_free_memory(y);
}

TEST(quantize_into_every_format) {
    if (!make_source(FND_F32)) return;
    for (fnd_format f = FND_F32; f < FND_FORMAT_COUNT && fnd_format_get(f)->is_weight; f++) {
        const fnd_format_info *info = fnd_format_get(f);
        fnd_quantize_report r;
        fnd_error err = { 0 };
        told k = { .most = fmax(0.004, 2.0 * exp2(-8.0 * info->block_bytes / info->block_weights)) };
        fnd_quantize_desc d = { .from = source, .to = target, .format = f, .replace = true, .threads = 2, .tensor = check_tensor, .ctx = &k };
        CHECK_OK(fnd_quantize(&d, &r, &err), &err);
        if (err.status != FND_OK) continue;
        CHECK_OK(fnd_gguf_open(source, 0, &k.from, &err), &err);
        CHECK_OK(fnd_gguf_open(target, 0, &k.to, &err), &err);
        const fnd_gguf_tensor *t = fnd_gguf_find_tensor(k.to, "blk.1.ffn_up.weight"), *norm = fnd_gguf_find_tensor(k.to, "blk.1.ffn_norm.weight");
        CHECK(t && t->format == f && norm && norm->format == FND_F32 && r.file_bytes == fnd_gguf_file_bytes(k.to));
        CHECK(memcmp(norm->data, fnd_gguf_find_tensor(k.from, "blk.1.ffn_norm.weight")->data, norm->bytes) == 0);
        if (f == FND_Q4_K) {
            d = (fnd_quantize_desc){ .from = source, .to = other, .format = f, .replace = true, .threads = 1, .tensor = check_against_file, .ctx = &k };
            CHECK_OK(fnd_quantize(&d, &r, &err), &err);
            check_metadata(k.from, k.to, 14);
            CHECK(fnd_gguf_find_tensor(k.to, "token_embd.weight")->format == FND_Q6_K);
            fnd_map a, b; /* as many threads as one likes */
            CHECK_OK(fnd_map_open(target, &a, &err), &err);
            CHECK_OK(fnd_map_open(other, &b, &err), &err);
            CHECK(a.bytes == b.bytes && memcmp(a.data, b.data, a.bytes) == 0);
            fnd_map_close(&a);
            fnd_map_close(&b);
        }
        fnd_gguf_close(k.from);
        fnd_gguf_close(k.to);
    }
    remove_files();
}

TEST(quantize_from_every_format) {
    for (fnd_format f = FND_F16; f < FND_FORMAT_COUNT && fnd_format_get(f)->is_weight; f++) {
        fnd_quantize_report r;
        fnd_error err = { 0 };
        told k = { .most = 0.012 };
        if (!make_source(f)) continue;
        CHECK_OK(fnd_quantize(&(fnd_quantize_desc){ .from = source, .to = target, .format = FND_Q8_0, .replace = true, .tensor = check_tensor, .ctx = &k }, &r, &err), &err);
        CHECK_OK(fnd_quantize(&(fnd_quantize_desc){ .from = source, .to = target, .format = FND_F32, .replace = true }, &r, &err), &err);
        CHECK_MSG(r.worst == 0.0, "%s to f32 and back differs by %g", fnd_format_get(f)->name, r.worst);
    }
    remove_files();
}

TEST(quantize_keeps_what_it_is_told) {
    fnd_error err = { 0 };
    if (!make_source(FND_F32)) return;
    const fnd_quantize_keep keep[] = { { "blk.*.ffn_*.weight", FND_Q6_K }, { "blk.1.ffn_down.weight", FND_F16 }, { "token_embd*", FND_BF16 } };
    CHECK_OK(fnd_quantize(&(fnd_quantize_desc){ .from = source, .to = target, .format = FND_Q4_0, .keep = keep, .keep_count = 3 }, NULL, &err), &err);
    fnd_gguf *g = NULL;
    CHECK_OK(fnd_gguf_open(target, 0, &g, &err), &err);
    REQUIRE(g);
    static const struct {
        const char *name;
        fnd_format format;
    } want[] = { { "blk.0.ffn_down.weight", FND_Q6_K }, { "blk.1.ffn_down.weight", FND_F16 }, { "blk.1.ffn_norm.weight", FND_F32 }, { "blk.0.attn_q.weight", FND_Q4_0 }, { "token_embd.weight", FND_BF16 } };
    for (size_t i = 0; i < FND_COUNT(want); i++) CHECK_MSG(fnd_gguf_find_tensor(g, want[i].name)->format == want[i].format, "%s is %s", want[i].name, fnd_format_get(fnd_gguf_find_tensor(g, want[i].name)->format)->name);
    fnd_gguf_close(g);
    remove_files();
}

/* A file of one matrix with one strange weight. */
static void one_matrix(float strange, uint64_t cols) {
    float x[512];
    gguf_writer w = { 0 };
    snprintf(source, sizeof source, "%s", program_temp("quantize-in.gguf"));
    snprintf(target, sizeof target, "%s", program_temp("quantize-out.gguf"));
    for (size_t i = 0; i < FND_COUNT(x); i++) x[i] = 0.01f * (float)(i % 7);
    x[300] = strange;
    gguf_add_str(&w, "general.architecture", "llama");
    gguf_add_tensor(&w, "strange.weight", FND_F32, 2, (uint64_t[]){ cols, 512 / cols }, x, sizeof x);
    gguf_save(&w, source);
    gguf_free(&w);
}

TEST(quantize_refuses_weights_that_are_none) {
    static const struct {
        float weight;
        fnd_format format;
        const char *part;
    } bad[] = {
        { NAN, FND_Q4_K, "tensor \"strange.weight\": weight 300 is NaN; the model is damaged" },
        { INFINITY, FND_Q8_0, "weight 300 is infinite" },
        { 1e6f, FND_F16, "weight 300 is 1e+06, more than f16 can hold" },
        { -3e7f, FND_Q8_0, "weight 300 is -3e+07, more than q8_0 can hold" },
        { 3e38f, FND_BF16, NULL },
        { 3e38f, FND_Q4_K, "more than q4_k can hold" },
        { 3e38f, FND_Q6_K, "more than q6_k can hold" },
        { 3e38f, FND_Q5_1, "more than q5_1 can hold" },
        { 3e38f, FND_IQ4_NL, "more than iq4_nl can hold" },
    };
    for (size_t i = 0; i < FND_COUNT(bad); i++) {
        fnd_error err = { 0 };
        one_matrix(bad[i].weight, 256);
        fnd_status status = fnd_quantize(&(fnd_quantize_desc){ .from = source, .to = target, .format = bad[i].format }, NULL, &err);
        if (bad[i].part) {
            CHECK(status != FND_OK && access(target, F_OK) != 0);
            CHECK_HAS(err.text, bad[i].part);
        } else {
            CHECK_OK(status, &err);
        }
        unlink(target);
    }
    fnd_error err = { 0 };
    fnd_gguf *g = NULL;
    one_matrix(1.0f, 8); /* rows of 8: no packed format */
    CHECK_OK(fnd_quantize(&(fnd_quantize_desc){ .from = source, .to = target, .format = FND_Q4_K }, NULL, &err), &err);
    CHECK_OK(fnd_gguf_open(target, 0, &g, &err), &err);
    CHECK(g && fnd_gguf_tensor_at(g, 0)->format == FND_F16);
    fnd_gguf_close(g);
    remove_files();
}

/* What goes with a model of this architecture. */
static void save_adapter(void) {
    gguf_writer w = { 0 };
    const float x[64] = { 0 };
    gguf_add_str(&w, "general.architecture", "llama");
    gguf_add_str(&w, "general.type", "adapter");
    gguf_add_str(&w, "adapter.type", "lora");
    gguf_add_tensor(&w, "blk.0.attn_q.weight.lora_a", FND_F32, 2, (uint64_t[]){ 32, 2 }, x, sizeof x);
    gguf_save(&w, other);
    gguf_free(&w);
}

#define REFUSED(code, part, ...) PROGRAM_REFUSED(code, part, "quantize", __VA_ARGS__)

TEST(cli_quantize) {
    NEED(program_there(), "the program is not built beside the tests");
    program_result r;
    if (!make_source(FND_F16)) return;
    unlink(target);
    REFUSED(2, "quantize needs the file to read", "--format", "q4_0");
    REFUSED(2, "quantize needs the file to write", source, "--format", "q4_0");
    REFUSED(2, "quantize needs --format", source, target);
    REFUSED(2, "no weight format 'q9'", source, target, "--format", "q9");
    REFUSED(2, "does not know what to do with 'third'", source, target, "third", "--format", "q8_0");
    REFUSED(2, "--keep needs PATTERN=FORMAT", source, target, "--format", "q4_0", "--keep", "blk.*");
    REFUSED(2, "--keep needs PATTERN=FORMAT", source, target, "--format", "q4_0", "--keep", "=q8_0");
    REFUSED(2, "--keep: there is no weight format 'q99'", source, target, "--format", "q4_0", "--keep", "blk.*=q99");
    REFUSED(2, "has a name like 'bkl.*'", source, target, "--format", "q4_0", "--keep", "blk.*=q8_0", "--keep", "bkl.*=q8_0");
    REFUSED(2, "has a name like '*_norm.weight'", source, target, "--format", "q4_0", "--keep", "*_norm.weight=f16");
    REFUSED(1, "no-such-file.gguf", "no-such-file.gguf", target, "--format", "q4_0");
    REFUSED(1, "is not a GGUF file", "README.md", target, "--format", "q4_0");
    REFUSED(1, "exists already", source, source, "--format", "q4_0");
    save_adapter();
    REFUSED(1, "its general.type is \"adapter\": it is an adapter, which changes the weights of a model, and not supported; only models are", other, target, "--format", "q4_0");
    REFUSED(1, "it is an adapter", other, "--format", "q4_0", "--dry-run");
    CHECK(access(target, F_OK) != 0);
    program_run(&r, (const char *const[]){ "quantize", source, target, "--format", "q4_k", "--keep", "blk.0.*=q8_0", "--json", NULL });
    json_t *json = json_loads(r.out, 0, NULL);
    CHECK_MSG(r.exit_code == 0 && json_array_size(json_object_get(json, "tensors")) == 20 && json_number_value(json_object_get(json, "rmse")) > 0, "%s%s", r.err, r.out);
    json_decref(json);
    program_free(&r);
    program_run(&r, (const char *const[]){ "quantize", target, target, "--format", "q8_0", "--force", NULL }); /* in place */
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "blk.1.ffn_down.weight");
    CHECK_HAS(r.out, "20 tensors");
    program_free(&r);
    program_run(&r, (const char *const[]){ "quantize", target, "--format", "q4_0", "--dry-run", NULL });
    CHECK(r.exit_code == 0);
    CHECK_HAS(r.out, "q8_0    q4_0");
    program_free(&r);
    remove_files();
}
