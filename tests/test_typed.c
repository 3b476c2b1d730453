/* test_typed.c - typed bind structs: the committed headers are what the generator writes; typed calls
 * and recordings do what calls by name do; a format of the user's own serves any kernel. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "bind_header.h"
#include "foundry/context.h"
#include "foundry/kernels.h"
#include "test.h"

#include <math.h>
#include <unistd.h>

TEST(typed_headers_are_current) {
    bind_header files[BIND_HEADER_FILES];
    fnd_error err = { 0 };
    NEED(access("include/foundry/kernels.h", R_OK) == 0, "run from the root of the project");
    CHECK_OK(bind_headers(files, &err), &err);
    for (int i = 0; i < BIND_HEADER_FILES; i++) {
        char *committed;
        size_t bytes;
        CHECK_OK(fnd_file_read(files[i].path, 1 << 20, &committed, &bytes, &err), &err);
        if (err.status != FND_OK) break;
        CHECK_MSG(strcmp(committed, fnd_text_get(&files[i].text)) == 0, "%s is out of date: `make bind-header` writes it anew", files[i].path);
        fnd_free_memory(committed);
    }
    bind_headers_free(files);
}

/* ---- a device and tensors on it ---- */

typedef struct bench {
    foundry *f;
    fnd_error err;
    unsigned random;
} bench;

static bool open_bench(bench *b, const char *backend) {
    *b = (bench){ .random = 7 };
    fnd_status status = fnd_open(&(fnd_desc){ .backend = backend, .threads = 2, .quick_build = true }, &b->f, &b->err);
    CHECK_OK(status, &b->err);
    return status == FND_OK;
}

static void close_bench(bench *b) { CHECK_OK(fnd_close(b->f, &b->err), &b->err); }

/* Random values in -1 .. 1. */
static fnd_dedicated values(bench *b, fnd_shape shape) {
    float data[4096];
    size_t count = 1;
    fnd_dedicated t = { 0 };
    for (uint32_t i = 0; i < shape.rank; i++) count *= shape.dim[i];
    CHECK(count <= FND_COUNT(data));
    for (size_t i = 0; i < count && i < FND_COUNT(data); i++) {
        b->random = b->random * 1664525u + 1013904223u;
        data[i] = (float)(b->random >> 8) / 8388608.0f - 1;
    }
    CHECK_OK(fnd_alloc(b->f, FND_F32, shape, FND_COPY(data, count * sizeof *data), &t, &b->err), &b->err);
    return t;
}

static fnd_dedicated poison(bench *b, fnd_format format, fnd_shape shape) {
    fnd_dedicated t = { 0 };
    CHECK_OK(fnd_alloc(b->f, format, shape, FND_POISON, &t, &b->err), &b->err);
    return t;
}

static void check_same(bench *b, const fnd_tensor *x, const fnd_tensor *y) {
    static unsigned char of_x[1 << 16], of_y[1 << 16];
    size_t bytes = (size_t)fnd_tensor_bytes(x);
    CHECK(bytes <= sizeof of_x && bytes == fnd_tensor_bytes(y));
    CHECK_OK(fnd_tensor_read(b->f, x, 0, of_x, bytes, &b->err), &b->err);
    CHECK_OK(fnd_tensor_read(b->f, y, 0, of_y, bytes, &b->err), &b->err);
    CHECK(memcmp(of_x, of_y, bytes) == 0);
    CHECK(of_x[0] != 0xFF || of_x[1] != 0xFF); /* no longer poison */
}

static fnd_status run_by_name(bench *b, const char *kernel, const fnd_binding *bindings, size_t count) {
    fnd_kernel *k;
    FND_TRY(fnd_kernel_get(b->f, kernel, &k, &b->err));
    return fnd_run(b->f, k, bindings, count, &b->err);
}

/* ---- calls ---- */

TEST(typed_call_runs_a_kernel) {
    bench b;
    float got[64], x[64], gamma[64];
    if (!open_bench(&b, "cpu")) return;
    fnd_dedicated tx = values(&b, fnd_shape2(1, 64)), tg = values(&b, fnd_shape1(64)), ty = poison(&b, FND_F32, fnd_shape2(1, 64));
    CHECK_OK(fnd_rmsnorm(b.f, &(fnd_rmsnorm_bind){ .y = &ty.t, .x = &tx.t, .gamma = &tg.t, .eps = 0.5f }, &b.err), &b.err);
    CHECK_OK(fnd_tensor_read(b.f, &tx.t, 0, x, sizeof x, &b.err), &b.err);
    CHECK_OK(fnd_tensor_read(b.f, &tg.t, 0, gamma, sizeof gamma, &b.err), &b.err);
    CHECK_OK(fnd_tensor_read(b.f, &ty.t, 0, got, sizeof got, &b.err), &b.err);
    double squares = 0;
    for (int i = 0; i < 64; i++) squares += (double)x[i] * x[i];
    for (int i = 0; i < 64; i++) CHECK(fabs(got[i] - x[i] * gamma[i] / sqrt(squares / 64 + 0.5)) < 1e-5);
    close_bench(&b);
}

TEST(typed_qkv_and_attention_equal_calls_by_name) {
    enum { TOKENS = 3,
           HEADS = 2,
           HEAD_DIM = 16,
           DIM = 32 };
    bench b;
    if (!open_bench(&b, "cpu")) return;
    fnd_dedicated x = values(&b, fnd_shape2(TOKENS, DIM)), gamma = values(&b, fnd_shape1(DIM)), freq = values(&b, fnd_shape1(HEAD_DIM / 2));
    fnd_dedicated wq = values(&b, fnd_shape2(HEADS * HEAD_DIM, DIM)), wk = values(&b, fnd_shape2(HEAD_DIM, DIM)), wv = values(&b, fnd_shape2(HEAD_DIM, DIM));
    fnd_weight_tensor q_weight = fnd_as_weight(&wq.t), k_weight = fnd_as_weight(&wk.t), v_weight = fnd_as_weight(&wv.t);
    fnd_dedicated t[2][6]; /* q, k, v, both caches, y: typed, by name */
    for (int i = 0; i < 2; i++) {
        t[i][0] = poison(&b, FND_F32, fnd_shape2(TOKENS, HEADS * HEAD_DIM));
        t[i][1] = poison(&b, FND_F32, fnd_shape2(TOKENS, HEAD_DIM));
        t[i][2] = poison(&b, FND_F32, fnd_shape2(TOKENS, HEAD_DIM));
        t[i][3] = poison(&b, FND_F16, fnd_shape4(1, 1, 16, HEAD_DIM));
        t[i][4] = poison(&b, FND_F16, fnd_shape4(1, 1, 16, HEAD_DIM));
        t[i][5] = poison(&b, FND_F32, fnd_shape2(TOKENS, HEADS * HEAD_DIM));
    }
    fnd_query q = fnd_as_query(&t[0][0].t);
    fnd_key k = fnd_as_key(&t[0][1].t), k_cache = fnd_as_key(&t[0][3].t);
    fnd_value v = fnd_as_value(&t[0][2].t), v_cache = fnd_as_value(&t[0][4].t);
    fnd_norm_qkv_bind qkv = { .y_q = &q, .y_k = &k, .y_v = &v, .x = &x.t, .gamma = &gamma.t, .w_q = &q_weight, .w_k = &k_weight, .w_v = &v_weight, .eps = 1e-5f };
    CHECK_OK(fnd_norm_qkv(b.f, &qkv, &b.err), &b.err);
    fnd_kv_write_bind write = { .k = &k, .v = &v, .inv_freq = &freq.t, .k_cache = &k_cache, .v_cache = &v_cache, .pos = 0, .pairing = 1, .mscale = 1 };
    CHECK_OK(fnd_kv_write(b.f, &write, &b.err), &b.err);
    fnd_attention_bind attend = { .y = &t[0][5].t, .q = &q, .inv_freq = &freq.t, .k_cache = &k_cache, .v_cache = &v_cache, .pos = 0, .scale = 0.25f, .pairing = 1, .mscale = 1 };
    CHECK_OK(fnd_attention(b.f, &attend, &b.err), &b.err);

    fnd_dedicated *n = t[1];
    fnd_binding one[] = { fnd_bind_in("x", &x.t), fnd_bind_in("gamma", &gamma.t), fnd_bind_f32("eps", 1e-5f), fnd_bind_in("w_q", &wq.t), fnd_bind_in("w_k", &wk.t), fnd_bind_in("w_v", &wv.t),
                          fnd_bind_out("y_q", &n[0].t), fnd_bind_out("y_k", &n[1].t), fnd_bind_out("y_v", &n[2].t) };
    fnd_binding two[] = { fnd_bind_in("k", &n[1].t), fnd_bind_in("v", &n[2].t), fnd_bind_in("inv_freq", &freq.t), fnd_bind_out("k_cache", &n[3].t), fnd_bind_out("v_cache", &n[4].t),
                          fnd_bind_u32("pos", 0), fnd_bind_u32("pairing", 1), fnd_bind_f32("mscale", 1) };
    fnd_binding three[] = { fnd_bind_in("q", &n[0].t), fnd_bind_in("inv_freq", &freq.t), fnd_bind_in("k_cache", &n[3].t), fnd_bind_in("v_cache", &n[4].t), fnd_bind_out("y", &n[5].t),
                            fnd_bind_u32("pos", 0), fnd_bind_f32("scale", 0.25f), fnd_bind_u32("pairing", 1), fnd_bind_f32("mscale", 1) };
    CHECK_OK(run_by_name(&b, "norm_qkv", one, FND_COUNT(one)), &b.err);
    CHECK_OK(run_by_name(&b, "kv_write", two, FND_COUNT(two)), &b.err);
    CHECK_OK(run_by_name(&b, "attention", three, FND_COUNT(three)), &b.err);
    for (int i = 0; i < 6; i++) check_same(&b, &t[0][i].t, &t[1][i].t);
    close_bench(&b);
}

TEST(typed_calls_say_what_is_missing) {
    bench b;
    if (!open_bench(&b, "cpu")) return;
        /* Every kernel: its name is known, and so is each of its fields. */
#define EMPTY(kernel) \
    { \
        fnd_error err = { 0 }; \
        CHECK(fnd_##kernel(b.f, &(fnd_##kernel##_bind){ 0 }, &err) == FND_ERR_USAGE); \
        CHECK_HAS(err.text, "kernel " #kernel ": argument "); \
        CHECK_HAS(err.text, "is not bound"); \
        fnd_error null = { 0 }; \
        CHECK(fnd_##kernel(b.f, NULL, &null) == FND_ERR_USAGE); \
        CHECK_HAS(null.text, "NULL"); \
    }
    FND_KERNELS(EMPTY)
    fnd_dedicated x = values(&b, fnd_shape2(1, 64)), y = poison(&b, FND_F32, fnd_shape2(1, 64));
    fnd_error err = { 0 };
    CHECK(fnd_rmsnorm(b.f, &(fnd_rmsnorm_bind){ .y = &y.t, .x = &x.t, .eps = 1 }, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "argument gamma");
    close_bench(&b);
    fnd_error closed = { 0 };
    CHECK(fnd_rmsnorm(NULL, &(fnd_rmsnorm_bind){ 0 }, &closed) != FND_OK);
}

TEST(typed_calls_are_recorded_in_a_program) {
    bench b;
    fnd_program *p = NULL;
    if (!open_bench(&b, "cpu")) return;
    fnd_dedicated x = values(&b, fnd_shape2(2, 64)), gamma = values(&b, fnd_shape1(64)), middle = poison(&b, FND_F32, fnd_shape2(2, 64));
    fnd_dedicated y = poison(&b, FND_F32, fnd_shape2(2, 64)), wanted = poison(&b, FND_F32, fnd_shape2(2, 64)), other = poison(&b, FND_F32, fnd_shape2(2, 64));
    fnd_rmsnorm_bind norm = { .y = &middle.t, .x = &x.t, .gamma = &gamma.t, .eps = 1e-6f };
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "two" }, &p, &b.err), &b.err);
    CHECK_OK(fnd_program_rmsnorm(p, &norm, &b.err), &b.err);
    CHECK_OK(fnd_program_add(p, &(fnd_add_bind){ .y = &y.t, .x = &middle.t, .residual = &x.t }, &b.err), &b.err);
    fnd_error err = { 0 };
    CHECK(fnd_program_add(p, &(fnd_add_bind){ .y = &y.t, .x = &middle.t }, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "argument residual");
    CHECK_OK(fnd_program_finish(p, &b.err), &b.err);
    CHECK_OK(fnd_program_run(p, &b.err), &b.err);
    norm.y = &other.t;
    CHECK_OK(fnd_rmsnorm(b.f, &norm, &b.err), &b.err);
    CHECK_OK(fnd_add(b.f, &(fnd_add_bind){ .y = &wanted.t, .x = &other.t, .residual = &x.t }, &b.err), &b.err);
    check_same(&b, &y.t, &wanted.t);
    fnd_program_free(p);
    close_bench(&b);
}

/* ---- a format that Foundry does not know, without a text of its own for any machine ---- */

enum { ROWS = 37,
       COLS = 96 };

static int ternary(int row, int col) { return (row * col / 2 + row + col * col) % 3 - 1; }

static fnd_dedicated ternary_matrix(bench *b) {
    unsigned char blocks[ROWS][COLS / 32][10] = { 0 };
    fnd_dedicated w = { 0 };
    for (int row = 0; row < ROWS; row++) {
        for (int col = 0; col < COLS; col++) {
            unsigned char *block = blocks[row][col / 32];
            block[1] = 0x3c; /* 1.0 as a half: 0x3c00 */
            block[2 + col % 32 / 4] |= (unsigned char)((ternary(row, col) + 1) << (col % 4 * 2));
        }
    }
    CHECK_OK(fnd_register_file(b->f, "policy/ternary/ternary.h", "examples/ternary.h", &b->err), &b->err);
    CHECK_OK(fnd_alloc(b->f, fnd_format_by_name("ternary"), fnd_shape2(ROWS, COLS), FND_COPY(blocks, sizeof blocks), &w, &b->err), &b->err);
    return w;
}

static void check_ternary_product(bench *b, const fnd_weight_tensor *w, int tokens) {
    float x[8][COLS], y[8][ROWS];
    fnd_dedicated tx = values(b, fnd_shape2((uint64_t)tokens, COLS)), ty = poison(b, FND_F32, fnd_shape2((uint64_t)tokens, ROWS));
    CHECK_OK(fnd_linear(b->f, &(fnd_linear_bind){ .y = &ty.t, .x = &tx.t, .w = w }, &b->err), &b->err);
    CHECK_OK(fnd_tensor_read(b->f, &tx.t, 0, x, (size_t)tokens * sizeof x[0], &b->err), &b->err);
    CHECK_OK(fnd_tensor_read(b->f, &ty.t, 0, y, (size_t)tokens * sizeof y[0], &b->err), &b->err);
    for (int t = 0; t < tokens && b->err.status == FND_OK; t++) {
        for (int row = 0; row < ROWS; row++) {
            double sum = 0;
            for (int col = 0; col < COLS; col++) sum += (double)ternary(row, col) * x[t][col];
            CHECK(fabs(y[t][row] - sum) < 1e-4);
        }
    }
}

static void check_ternary_lookup(bench *b, const fnd_weight_tensor *w) {
    static const uint32_t ids[] = { 36, 0, 5 };
    float y[3][COLS];
    fnd_dedicated ti = { 0 }, ty = poison(b, FND_F32, fnd_shape2(3, COLS));
    CHECK_OK(fnd_alloc(b->f, FND_U32, fnd_shape1(3), FND_COPY(ids, sizeof ids), &ti, &b->err), &b->err);
    CHECK_OK(fnd_embed(b->f, &(fnd_embed_bind){ .y = &ty.t, .ids = &ti.t, .w = w }, &b->err), &b->err);
    CHECK_OK(fnd_tensor_read(b->f, &ty.t, 0, y, sizeof y, &b->err), &b->err);
    for (int t = 0; t < 3 && b->err.status == FND_OK; t++) {
        for (int col = 0; col < COLS; col++) CHECK(fabsf(y[t][col] - (float)ternary((int)ids[t], col)) < 1e-6f);
    }
}

static void check_ternary(const char *backend) {
    for (int time = 0; time < 2; time++) { /* the second context knows the format already */
        bench b;
        if (!open_bench(&b, backend)) return;
        fnd_dedicated w = ternary_matrix(&b);
        fnd_weight_tensor weight = fnd_as_weight(&w.t);
        check_ternary_product(&b, &weight, 1);
        check_ternary_product(&b, &weight, 5);
        check_ternary_lookup(&b, &weight);
        close_bench(&b);
    }
}

TEST(typed_own_format_on_the_cpu) {
    NEED(access("examples/ternary.h", R_OK) == 0, "run from the root of the project");
    check_ternary("cpu");
}

TEST(typed_own_format_on_the_simulated_gpu) {
    NEED(access("examples/ternary.h", R_OK) == 0, "run from the root of the project");
    check_ternary("sim");
}

/* Rows as in the file beside tiles of the device, in one kernel; tiles that no text can read. */
TEST(typed_own_format_does_not_mix_with_tiles) {
    NEED(access("examples/ternary.h", R_OK) == 0, "run from the root of the project");
    bench b;
    fnd_context_info info;
    if (!open_bench(&b, "cpu")) return;
    CHECK_OK(fnd_info(b.f, &info, &b.err), &b.err);
    fnd_dedicated w = ternary_matrix(&b), tiled = { 0 }, own_tiled = { 0 };
    if (info.tile_rows) {
        CHECK_OK(fnd_alloc_tiled(b.f, FND_F32, fnd_shape2(ROWS, COLS), info.tile_rows, &tiled, &b.err), &b.err);
        CHECK_OK(fnd_alloc_tiled(b.f, fnd_format_by_name("ternary"), fnd_shape2(ROWS, COLS), info.tile_rows, &own_tiled, &b.err), &b.err);
        fnd_dedicated x = values(&b, fnd_shape2(1, COLS)), gamma = values(&b, fnd_shape1(COLS)), y = poison(&b, FND_F32, fnd_shape2(1, ROWS));
        fnd_weight_tensor gate = fnd_as_weight(&w.t), up = fnd_as_weight(&tiled.t), own = fnd_as_weight(&own_tiled.t);
        fnd_error mixed = { 0 }, unreadable = { 0 };
        CHECK(fnd_norm_gate_up(b.f, &(fnd_norm_gate_up_bind){ .y = &y.t, .x = &x.t, .gamma = &gamma.t, .w_gate = &gate, .w_up = &up, .eps = 1 }, &mixed) == FND_ERR_SHAPE);
        CHECK_HAS(mixed.text, "some weights lie in tiles");
        CHECK(fnd_linear(b.f, &(fnd_linear_bind){ .y = &y.t, .x = &x.t, .w = &own }, &unreadable) != FND_OK);
        CHECK_HAS(unreadable.text, "ternary");
    }
    close_bench(&b);
}

/* A matrix in tiles of the device whose row r holds r % tile_rows + 1 everywhere. */
static fnd_dedicated stripes(bench *b, uint32_t tile_rows) {
    static float data[64 * COLS];
    fnd_dedicated w = { 0 };
    CHECK_OK(fnd_alloc_tiled(b->f, FND_F32, fnd_shape2(ROWS, COLS), tile_rows, &w, &b->err), &b->err);
    size_t bytes = (size_t)fnd_tensor_bytes(&w.t);
    for (size_t i = 0; i < FND_COUNT(data); i++) data[i] = (float)(i % tile_rows + 1);
    CHECK(bytes <= sizeof data);
    CHECK_OK(fnd_tensor_write(b->f, &w.t, 0, data, bytes, &b->err), &b->err);
    return w;
}

/* In a program both may be: then it is not one text. */
TEST(typed_own_format_beside_tiles_in_a_program) {
    NEED(access("examples/ternary.h", R_OK) == 0, "run from the root of the project");
    bench b;
    fnd_context_info info;
    fnd_program *p = NULL;
    float x[COLS], y[2][ROWS];
    if (!open_bench(&b, "cpu")) return;
    CHECK_OK(fnd_info(b.f, &info, &b.err), &b.err);
    if (info.tile_rows) {
        fnd_dedicated own = ternary_matrix(&b), tiled = stripes(&b, info.tile_rows), tx = values(&b, fnd_shape2(1, COLS));
        fnd_dedicated ty[2] = { poison(&b, FND_F32, fnd_shape2(1, ROWS)), poison(&b, FND_F32, fnd_shape2(1, ROWS)) };
        fnd_weight_tensor weights[2] = { fnd_as_weight(&own.t), fnd_as_weight(&tiled.t) };
        CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "both" }, &p, &b.err), &b.err);
        for (int i = 0; i < 2; i++) CHECK_OK(fnd_program_linear(p, &(fnd_linear_bind){ .y = &ty[i].t, .x = &tx.t, .w = &weights[i] }, &b.err), &b.err);
        CHECK_OK(fnd_program_finish(p, &b.err), &b.err);
        CHECK_OK(fnd_program_run(p, &b.err), &b.err);
        CHECK_OK(fnd_tensor_read(b.f, &tx.t, 0, x, sizeof x, &b.err), &b.err);
        for (int i = 0; i < 2; i++) CHECK_OK(fnd_tensor_read(b.f, &ty[i].t, 0, y[i], sizeof y[i], &b.err), &b.err);
        for (int row = 0; row < ROWS && b.err.status == FND_OK; row++) {
            double sum[2] = { 0 };
            for (int col = 0; col < COLS; col++) sum[0] += (double)ternary(row, col) * x[col];
            for (int col = 0; col < COLS; col++) sum[1] += (double)(row % (int)info.tile_rows + 1) * x[col];
            CHECK(fabs(y[0][row] - sum[0]) < 1e-4);
            CHECK(fabs(y[1][row] - sum[1]) < 1e-3);
        }
        fnd_program_free(p);
    }
    close_bench(&b);
}

/* ---- stages of the user's own ---- */

/* A kernel lives on while one of its stages is declared anew. The stage's list of arguments is that of
 * its own file, though another file has one of the same name. */
TEST(typed_own_stage_declared_anew) {
    static const char text[] = "#ifndef OWN_DOUBLED_H\n#define OWN_DOUBLED_H\n#include \"val.h\"\n#define SCALE_ARGS(X)\n"
                               "FND_STAGE(doubled, SCALE_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"2 v\")\n"
                               "FND_INLINE fnd_val doubled(fnd_val v, fnd_at at) { (void)at; return v + v; }\n#endif\n";
    bench b;
    fnd_kernel *k = NULL, *again = NULL;
    float before[16], after[16];
    fnd_kernel_desc desc = { .name = "double_it", .stages = { { "take", NULL }, { "doubled", NULL }, { "store", NULL } } };
    if (!open_bench(&b, "cpu")) return;
    fnd_dedicated x = values(&b, fnd_shape2(1, 16)), y = poison(&b, FND_F32, fnd_shape2(1, 16));
    CHECK_OK(fnd_register_text(b.f, "own/doubled.h", text, &b.err), &b.err);
    CHECK_OK(fnd_kernel_make(b.f, &desc, &k, &b.err), &b.err);
    CHECK_OK(fnd_register_text(b.f, "own/doubled.h", text, &b.err), &b.err);
    CHECK_OK(fnd_kernel_make(b.f, &desc, &again, &b.err), &b.err);
    CHECK(k && k == again);
    fnd_binding bindings[] = { fnd_bind_in("x", &x.t), fnd_bind_out("y", &y.t) };
    if (k) CHECK_OK(fnd_run(b.f, k, bindings, 2, &b.err), &b.err);
    CHECK_OK(fnd_tensor_read(b.f, &x.t, 0, before, sizeof before, &b.err), &b.err);
    CHECK_OK(fnd_tensor_read(b.f, &y.t, 0, after, sizeof after, &b.err), &b.err);
    for (int i = 0; i < 16 && b.err.status == FND_OK; i++) CHECK(fabsf(after[i] - 2 * before[i]) < 1e-6f);
    close_bench(&b);
}
