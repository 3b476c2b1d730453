/* test_matrix_unit.c - products of codes on the processor's matrix unit (AMX): the very bits that its vector
 * units give, for many tokens as for one, so that no answer depends on how its prompt was cut. */
#include "backend/cpu/baked.h"
#include "backend/cpu/cpu.h"
#include "base/cpuinfo.h"
#include "kernel_bench.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include "foundry/batch.h"
#include "foundry/model.h"

#include <stdlib.h>
#include <string.h>

static const fnd_format formats[] = { FND_Q8_0, FND_Q4_0, FND_Q4_1, FND_Q5_0, FND_Q5_1, FND_Q4_K, FND_Q5_K, FND_Q6_K, FND_IQ4_NL };
enum { FORMATS = sizeof formats / sizeof *formats,
       FROM = 48 }; /* tokens, from which on the unit is used: gemv/panel.cpu.h */

typedef struct product {
    fnd_format format;
    uint64_t rows, cols, tokens, seed;
    uint64_t first, count; /* which of the tokens; 0: all */
} product;

/* y [count, rows], or NULL. The same numbers for the same seed. */
static double *multiply(kernel_bench *b, const product *p) {
    uint64_t first = p->count ? p->first : 0, count = p->count ? p->count : p->tokens;
    float *x = malloc(p->tokens * p->cols * sizeof *x);
    double *y = malloc(count * p->rows * sizeof *y);
    if (!x || !y) abort();
    bench_seed(p->seed);
    for (size_t i = 0; i < p->tokens * p->cols; i++) x[i] = bench_below(50) ? bench_uniform() : 30.0f * bench_uniform();
    for (size_t m = 0; m < p->tokens; m += 7) memset(x + m * p->cols, 0, 32 * sizeof *x); /* groups without a scale */
    bench_weight(b, "w", p->format, p->rows, p->cols);
    bench_in_copy(b, "x", FND_F32, fnd_shape2(count, p->cols), x + first * p->cols);
    const bench_tensor *out = bench_out(b, "y", FND_F32, fnd_shape2(count, p->rows));
    bool ran = bench_run(b, "linear");
    if (ran) memcpy(y, out->v, count * p->rows * sizeof *y);
    bench_clear(b);
    free(x);
    if (ran) return y;
    free(y);
    return NULL;
}

static void check_same(kernel_bench *one, const product *p, kernel_bench *other, const product *q) {
    uint64_t skip = q->count ? q->first * p->rows : 0, count = (q->count ? q->count : q->tokens) * p->rows, wrong = count;
    double *y = multiply(one, p), *z = multiply(other, q);
    for (uint64_t i = count; y && z && i-- > 0;) {
        if (memcmp(&y[skip + i], &z[i], sizeof *y) != 0) wrong = i;
    }
    CHECK_MSG(y && z && wrong == count, "%s, %u x %u, %u tokens: %s gives %.9g for row %u of token %u, %s of %u tokens %.9g", fnd_format_get(p->format)->name, (unsigned)p->rows,
              (unsigned)p->cols, (unsigned)p->tokens, one->label, y && wrong < count ? y[skip + wrong] : 0.0, (unsigned)(wrong % p->rows), (unsigned)((skip + wrong) / p->rows),
              other->label, (unsigned)(count / p->rows), z && wrong < count ? z[wrong] : 0.0);
    free(y);
    free(z);
}

static void check_all(kernel_bench *unit, kernel_bench *vectors) {
    static const uint64_t rows[] = { 1, 100, 16, 31, 130, 290 }, tokens[] = { FROM, 65, 49, 64, 50, 300 };
    for (size_t f = 0; f < FORMATS; f++) {
        uint64_t block = fnd_format_get(formats[f])->block_weights, seed = 100 * f;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) { /* from one group to more than a panel has */
            uint64_t blocks = i < 2 ? 1 : i < 5 ? i
                                                : (1024 + block) / block;
            product p = { .format = formats[f], .rows = rows[(i + f) % 5], .cols = blocks * block, .tokens = tokens[i], .seed = ++seed };
            check_same(unit, &p, vectors, &p);
        }
        for (uint64_t n = f + 1; n <= 40; n += FORMATS) { /* 1 to 40, each with one format */
            product p = { .format = formats[f], .rows = 33, .cols = block, .tokens = n, .seed = ++seed };
            check_same(unit, &p, vectors, &p);
        }
    }
}

static void compare_units(bool baked) {
    const fnd_cpu_level *level;
    fnd_error why = { 0 };
    kernel_bench unit, vectors;
    if (fnd_cpu_level_find("amx", &level, &why) != FND_OK) {
        fnd_test_skip(why.text);
        return;
    }
    if (!bench_open(&unit, &(bench_device){ "cpu", "amx", baked })) return;
    if (bench_open(&vectors, &(bench_device){ "cpu", "v4_vnni", baked })) {
        check_all(&unit, &vectors);
        bench_close(&vectors);
    }
    bench_close(&unit);
}

TEST(matrix_unit_gives_the_bits_of_vector_units) { compare_units(false); }
TEST(matrix_unit_gives_the_bits_of_vector_units_in_the_library) {
    if (fnd_baked_kernel_count)
        compare_units(true);
    else
        fnd_test_skip("the library was built without kernels");
}

/* ---- which kernels of the library serve which level ---- */

static const fnd_cpu_level *level_called(const char *name) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(levels[i].name, name) == 0) return &levels[i];
    }
    return NULL;
}

static const char *level_of(const fnd_baked_kernel *k) { return k ? k->level : "none"; }

/* On any processor of this architecture: nothing runs. */
TEST(matrix_unit_kernels_are_in_the_library) {
    const fnd_cpu_level *amx = level_called("amx"), *halves = level_called("amx_bf16"), *vectors = level_called("v4_vnni");
    size_t own = 0, own_halves = 0, others = 0;
    if (!amx || !fnd_baked_kernel_count) {
        fnd_test_skip(amx ? "the library was built without kernels" : "this architecture has no AMX");
        return;
    }
    REQUIRE(halves && vectors);
    for (size_t i = 0; i < fnd_baked_kernel_count; i++) {
        const fnd_baked_kernel *k = &fnd_baked_kernels[i], *found = fnd_baked_kernel_for(amx, k->key, false);
        if (strcmp(k->level, "amx_bf16") == 0) {
            own_halves++;
            CHECK(fnd_baked_kernel_for(halves, k->key, false) == k);
        } else if (strcmp(k->level, "amx") == 0) {
            own++;
            CHECK(found == k);
            CHECK_STR(level_of(fnd_baked_kernel_for(vectors, k->key, false)), "v4_vnni");
            CHECK_STR(level_of(fnd_baked_kernel_for(amx, k->key, true)), "v4_vnni");     /* panels are made of tiles */
            CHECK_STR(level_of(fnd_baked_kernel_for(halves, k->key, false)), "v4_vnni"); /* needs no 8-bit products */
        } else if (strcmp(k->level, "v4_vnni") == 0 && strcmp(level_of(found), "amx") != 0) {
            others++;
            CHECK(found == k);
        }
    }
    CHECK_MSG(own >= 8 && own_halves >= 10 && others >= 40, "%zu, %zu and %zu kernels", own, own_halves, others);
    fnd_cpu with = { .level = amx }, with_halves = { .level = halves }, without = { .level = vectors };
    for (size_t f = 0; f < FORMATS; f++) {
        const char *name = fnd_format_get(formats[f])->name;
        const void *ops = fnd_cpu_policy_ops(&with_halves, name, false);
        CHECK(ops && ops != fnd_cpu_policy_ops(&with, name, false) && ops != fnd_cpu_policy_ops(&without, name, false));
        CHECK(fnd_cpu_policy_ops(&with, name, false) && fnd_cpu_policy_ops(&with, name, false) != fnd_cpu_policy_ops(&without, name, false));
        CHECK(fnd_cpu_policy_ops(&with, name, true) && fnd_cpu_policy_ops(&with, name, true) == fnd_cpu_policy_ops(&without, name, true));
    }
    CHECK(fnd_cpu_policy_ops(&with, "f16", false) && fnd_cpu_policy_ops(&with, "f16", false) == fnd_cpu_policy_ops(&without, "f16", false));
    CHECK(fnd_cpu_policy_ops(&with_halves, "f16", false) && fnd_cpu_policy_ops(&with_halves, "f16", false) != fnd_cpu_policy_ops(&without, "f16", false));
}

/* One token, and a few, of a prompt that the unit takes at once. */
TEST(matrix_unit_gives_the_bits_of_single_tokens) {
    const fnd_cpu_level *level;
    fnd_error why = { 0 };
    kernel_bench b;
    if (fnd_cpu_level_find("amx", &level, &why) != FND_OK) {
        fnd_test_skip(why.text);
        return;
    }
    if (!bench_open(&b, &(bench_device){ "cpu", "amx", false })) return;
    for (size_t n = 0; n < 4; n++) {
        static const size_t some[] = { 0, 2, 5, 7 }; /* with and without minima, groups of 32 and of 16 */
        size_t f = some[n];
        static const uint64_t counts[] = { 1, 5, 1, 19 };
        uint64_t block = fnd_format_get(formats[f])->block_weights;
        product whole = { .format = formats[f], .rows = 47, .cols = block < 256 ? 3 * block : block, .tokens = 70, .seed = 7 + f };
        for (size_t i = 0; i < 4; i++) {
            product part = whole;
            part.first = 17 * i;
            part.count = counts[i];
            check_same(&b, &whole, &b, &part);
        }
    }
    bench_close(&b);
}

/* ---- bf16: a prompt's own arithmetic ---- */

enum { WHOLE = 77,
       BATCH = 64 }; /* tokens of a pass: the first 64 of a prompt, then what is left */

static bool logits_in_pieces(const fnd_desc *device, const uint32_t *ids, const size_t *pieces, size_t count, float *logits) {
    fnd_error err = { 0 };
    foundry *f = NULL;
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    fnd_status status = fnd_open(device, &f, &err);
    if (status == FND_OK) status = fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model() }, &m, &err);
    if (status == FND_OK) status = fnd_session_open(m, &(fnd_session_desc){ .context = 128, .batch = BATCH }, &s, &err);
    for (size_t i = 0; i < count && status == FND_OK; ids += pieces[i++]) status = fnd_session_eval(s, ids, pieces[i], &err);
    if (status == FND_OK) status = fnd_session_logits(s, logits, &err);
    CHECK_OK(status, &err);
    fnd_session_close(s);
    fnd_model_free(m);
    fnd_close(f, NULL);
    return status == FND_OK;
}

/* However a prompt is cut, and whether its kernels are the library's or compiled now. */
TEST(matrix_unit_reads_a_prompt_in_any_pieces) {
    static const size_t pieces[][8] = { { 77 }, { 2, 75 }, { 60, 3, 14 }, { 16, 17, 15, 2, 25, 2 }, { 31, 33, 13 } };
    const fnd_cpu_level *level;
    fnd_error why = { 0 };
    uint32_t ids[WHOLE];
    float first[TINY_MODEL_VOCAB], logits[TINY_MODEL_VOCAB];
    if (fnd_cpu_level_find("amx_bf16", &level, &why) != FND_OK) {
        fnd_test_skip(why.text);
        return;
    }
    for (uint32_t i = 0; i < WHOLE; i++) ids[i] = (i * 37 + 11) % TINY_MODEL_VOCAB;
    for (int library = 0; library <= (fnd_baked_kernel_count > 0); library++) {
        fnd_desc device = { .backend = "cpu", .isa = "amx_bf16", .threads = 2, .quick_build = true, .wait_for_build = !library, .no_build = library, .no_baked = !library, .cache_dir = "build/test-cache" };
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            size_t count = 0;
            while (count < 8 && pieces[i][count]) count++;
            if (!logits_in_pieces(&device, ids, pieces[i], count, i ? logits : first)) return;
            CHECK_MSG(!i || memcmp(logits, first, sizeof first) == 0, "other logits in pieces %zu, %s", i, library ? "the library's kernels" : "compiled now");
        }
    }
}

/* A token that is said is no part of a prompt, however many are said at once. */
TEST(matrix_unit_leaves_steps_of_many_sequences_alone) {
    enum { SEQUENCES = 40 };
    const fnd_cpu_level *level;
    fnd_error err = { 0 };
    if (fnd_cpu_level_find("amx_bf16", &level, &err) != FND_OK) {
        fnd_test_skip(err.text);
        return;
    }
    foundry *f = NULL;
    fnd_model *m = NULL;
    fnd_session *alone = NULL;
    fnd_batch *b = NULL;
    fnd_batch_token next[SEQUENCES];
    fnd_desc device = { .backend = "cpu", .isa = "amx_bf16", .threads = 2, .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" };
    fnd_status status = fnd_open(&device, &f, &err);
    if (status == FND_OK) status = fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model() }, &m, &err);
    if (status == FND_OK) status = fnd_session_open(m, &(fnd_session_desc){ .context = 64 }, &alone, &err);
    if (status == FND_OK) status = fnd_batch_open(m, &(fnd_batch_desc){ .sequences = SEQUENCES, .session = { .context = 64 } }, &b, &err);
    for (uint32_t i = 0; i < SEQUENCES && status == FND_OK; i++) {
        uint32_t ids[3] = { i % TINY_MODEL_VOCAB, 3, 7 };
        next[i] = (fnd_batch_token){ .sequence = i, .id = 5 };
        status = fnd_session_prompt(fnd_batch_session(b, i), ids, 3, &err);
    }
    if (status == FND_OK) status = fnd_batch_eval(b, next, SEQUENCES, &err);
    for (uint32_t i = 0; i < SEQUENCES && status == FND_OK; i++) {
        uint32_t ids[3] = { i % TINY_MODEL_VOCAB, 3, 7 };
        float one[TINY_MODEL_VOCAB], many[TINY_MODEL_VOCAB];
        status = fnd_session_truncate(alone, 0, &err);
        if (status == FND_OK) status = fnd_session_eval(alone, ids, 3, &err);
        if (status == FND_OK) status = fnd_session_eval(alone, &next[i].id, 1, &err);
        if (status == FND_OK) status = fnd_session_logits(alone, one, &err);
        if (status == FND_OK) status = fnd_session_logits(fnd_batch_session(b, i), many, &err);
        CHECK_MSG(status != FND_OK || memcmp(one, many, sizeof one) == 0, "sequence %u: other logits than alone", i);
    }
    CHECK_OK(status, &err);
    fnd_batch_close(b);
    fnd_session_close(alone);
    fnd_model_free(m);
    fnd_close(f, NULL);
}

/* The same bits from any number of tokens on; and it is the unit that serves there. */
TEST(matrix_unit_serves_from_where_it_is_told) {
    static const uint32_t from[] = { 0, 1, 20, 4096 };
    const fnd_cpu_level *level;
    fnd_error err = { 0 };
    uint32_t ids[WHOLE];
    float first[TINY_MODEL_VOCAB], logits[TINY_MODEL_VOCAB];
    if (fnd_cpu_level_find("amx", &level, &err) != FND_OK) {
        fnd_test_skip(err.text);
        return;
    }
    for (uint32_t i = 0; i < WHOLE; i++) ids[i] = (i * 41 + 5) % TINY_MODEL_VOCAB;
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        fnd_desc device = { .backend = "cpu", .isa = "amx", .threads = 2, .unit_from = from[i], .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" };
        if (!logits_in_pieces(&device, ids, (const size_t[]){ 30, 47 }, 2, i ? logits : first)) return;
        CHECK_MSG(!i || memcmp(logits, first, sizeof first) == 0, "other logits where the unit serves from %u tokens on", from[i]);

        fnd_device_info info;
        void *cpu = NULL;
        uint32_t least = from[i] ? from[i] : FND_CPU_UNIT_FROM;
        CHECK_OK(fnd_backend_cpu.open(&(fnd_backend_desc){ .threads = 1, .isa = "amx", .unit_from = from[i] }, &cpu, &info, &err), &err);
        REQUIRE(cpu);
        CHECK(fnd_backend_cpu.unit(cpu, 8, true, least) == FND_UNIT_INT8_MATRICES && fnd_backend_cpu.unit(cpu, 8, true, least - 1) == FND_UNIT_INT8_DOTS);
        fnd_backend_cpu.close(cpu);
    }
}
