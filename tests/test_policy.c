/* test_policy.c - every weight format against its reference decoder: random blocks, decoded by the
 * device text, repacked into tiles, and multiplied, by every instruction set of this machine. */
#include "base/cpuinfo.h"
#include "base/dynlib.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "foundry/format.h"
#include "kernels/policy/policy_ref.h"
#include "policy_probe.h"
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

enum { TOKENS_LIMIT = 11,
       CANARY = 64 };

/* ---- random blocks --------------------------------------------------------------------------- */
static uint64_t state = 88172645463325252u;
static uint32_t random_bits(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}
static float random_float(void) { return (float)(int32_t)random_bits() / 2147483648.0f; }

/* Fill `file` with blocks whose largest weight lies in (least, most): that leaves out what no file
 * has, infinite scales and NaN, without knowing where a format keeps its scales. `edges`: only bytes
 * that make extreme codes. */
static void fill_blocks(fnd_format format, unsigned char *file, unsigned rows, unsigned cols, double least, double most, bool edges) {
    static const unsigned char edge[8] = { 0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0, 0x10, 0x3c };
    const fnd_format_info *info = fnd_format_get(format);
    fnd_ref_decode_fn *decode = fnd_ref_decoder(format);
    double w[256];
    for (size_t block = 0; block < (size_t)rows * cols / info->block_weights; block++) {
        unsigned char *bytes = file + block * info->block_bytes;
        double peak;
        int tries = 0;
        do {
            if (++tries > 1000000) {
                fnd_test_failed(__FILE__, __LINE__, "%s: no random block decodes to sane weights", info->name);
                return;
            }
            for (unsigned i = 0; i < info->block_bytes; i++) bytes[i] = edges ? edge[random_bits() % 8] : (unsigned char)random_bits();
            decode(bytes, info->block_weights, w);
            peak = 0.0;
            for (unsigned i = 0; i < info->block_weights; i++) peak = fabs(w[i]) <= peak ? peak : fabs(w[i]);
        } while (!(peak > least && peak < most));
    }
}

/* The largest difference of got and want, relative to the largest weight of each `block`. */
static double worst_error(const float *got, const double *want, unsigned cols, unsigned block) {
    double worst = 0.0;
    for (unsigned first = 0; first < cols; first += block) {
        double peak = 0.0, error = 0.0;
        for (unsigned k = first; k < cols && k < first + block; k++) {
            double e = fabs((double)got[k] - want[k]);
            if (!(e <= error)) error = e;
            peak = fmax(peak, fabs(want[k]));
        }
        if (error == 0.0) continue;
        if (!(error / peak <= worst)) worst = error / peak;
    }
    return worst;
}

/* ---- instruction sets ------------------------------------------------------------------------ */
typedef struct variant {
    const char *name, *flags[4];
    bool tiles; /* the files for CPUs; otherwise the portable ones */
    uint64_t needs;
    unsigned tokens; /* FND_TOKENS */
    fnd_text said;
    fnd_error err;
    int exit_code;
    bool runs; /* on this machine */
    fnd_dynlib *library;
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 16];
} variant;

#define HAS(id) (UINT64_C(1) << FND_CPU_##id)
static const variant variants[] = {
    { .name = "portable", .flags = { "-DFND_GENERIC" }, .tokens = 1 },
    { .name = "portable", .flags = { "-DFND_GENERIC" }, .tokens = 8 },
    { .name = "baseline", .tiles = true, .tokens = 8 },
#if defined(__x86_64__)
    { .name = "v3", .flags = { "-march=x86-64-v3" }, .tiles = true, .tokens = 8, .needs = HAS(avx2) | HAS(fma) | HAS(f16c) },
    { .name = "v3 vnni", .flags = { "-march=x86-64-v3", "-mavxvnni" }, .tiles = true, .tokens = 1, .needs = HAS(avx2) | HAS(fma) | HAS(f16c) | HAS(avx_vnni) },
    { .name = "v4", .flags = { "-march=x86-64-v4" }, .tiles = true, .tokens = 8, .needs = HAS(avx512f) | HAS(avx512bw) | HAS(avx512vl) | HAS(avx512dq) },
    { .name = "v4 vnni", .flags = { "-march=x86-64-v4", "-mavx512vnni" }, .tiles = true, .tokens = 8, .needs = HAS(avx512f) | HAS(avx512bw) | HAS(avx512vl) | HAS(avx512dq) | HAS(avx512vnni) },
#elif defined(__AARCH64EL__)
    { .name = "dotprod", .flags = { "-march=armv8.2-a+dotprod" }, .tiles = true, .tokens = 8, .needs = HAS(asimddp) },
    { .name = "dotprod", .flags = { "-march=armv8.2-a+dotprod" }, .tiles = true, .tokens = 1, .needs = HAS(asimddp) },
    { .name = "i8mm", .flags = { "-march=armv8.2-a+dotprod+i8mm" }, .tiles = true, .tokens = 8, .needs = HAS(asimddp) | HAS(i8mm) },
#endif
};
#undef HAS
enum { VARIANTS = sizeof variants / sizeof variants[0] };

/* One text with the probes of all formats. */
static void print_probes(fnd_text *text, bool tiles) {
    const char *suffix = tiles ? ".cpu" : "";
    fnd_text_printf(text, "#define FND_X_CODES 1\n#define FND_X_FLOATS 1\n%s#include \"gemv/x%s.h\"\n#include \"policy_probe.h\"\n", tiles ? "#define PROBE_TILES 1\n" : "", suffix);
#define PROBE(id, name, ggml, weights, bytes) \
    fnd_text_printf(text, "#include \"policy/" #name "/" #name "%s.h\"\n#define POLICY " #name "\n", suffix); \
    fnd_text_printf(text, "#include \"gemv/dot%s.h\"\n#include \"gemv/repack%s.h\"\n", suffix, suffix); \
    fnd_text_printf(text, "#include \"policy_probe.h\"\n#undef POLICY\n");
    FND_FORMATS(PROBE)
#undef PROBE
}

static const char *compiler(void) {
    const char *cc = getenv("CC");
    return cc && cc[0] ? cc : "cc";
}
static void *compile(void *argument) {
    variant *v = argument;
    fnd_text text = { 0 };
    char tokens[32];
    const char *argv[24];
    int argc = 0;
    argv[argc++] = compiler();
    for (int i = 0; v->flags[i]; i++) argv[argc++] = v->flags[i];
    snprintf(tokens, sizeof tokens, "-DFND_TOKENS=%u", v->tokens);
    const char *rest[] = { tokens, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=fast", "-Isrc/kernels", "-Itests", "-fPIC", "-shared", "-x", "c", "-", "-o", v->path };
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) argv[argc++] = rest[i];
    argv[argc] = NULL;
    print_probes(&text, v->tiles);
    if (fnd_text_check(&text, &v->err) == FND_OK &&
        fnd_process_temp_dir(v->dir, &v->err) == FND_OK) {
        snprintf(v->path, sizeof v->path, "%s/probe.so", v->dir);
        if (fnd_process_run(argv, text.data, 0, &v->said, &v->exit_code, &v->err) != FND_OK) v->exit_code = -1;
    }
    fnd_text_free(&text);
    return NULL;
}

/* ---- checks ---------------------------------------------------------------------------------- */
typedef struct matrix {
    fnd_format format;
    const fnd_format_info *info;
    unsigned rows, cols;
    size_t row_bytes;
    unsigned char *file;
    double *w; /* [rows, cols] */
} matrix;

static matrix matrix_make(fnd_format format, unsigned rows, unsigned cols, double least, double most, bool edges) {
    matrix m = { format, fnd_format_get(format), rows, cols, 0, NULL, NULL };
    m.row_bytes = (size_t)cols / m.info->block_weights * m.info->block_bytes;
    m.file = malloc(m.row_bytes * rows);
    m.w = malloc(sizeof *m.w * rows * cols);
    fill_blocks(format, m.file, rows, cols, least, most, edges);
    for (unsigned r = 0; r < rows; r++) fnd_ref_decoder(format)(m.file + r * m.row_bytes, cols, m.w + (size_t)r * cols);
    return m;
}
static void matrix_free(matrix *m) {
    free(m->file);
    free(m->w);
}

/* The tiles of a matrix; bytes behind them are guarded. */
static unsigned char *repack(const policy_probe *probe, const matrix *m) {
    size_t tiles = (m->rows + probe->tile_rows - 1) / probe->tile_rows, bytes = tiles * probe->tile_bytes(m->cols);
    unsigned char *packed = aligned_alloc(64, (bytes + CANARY + 63) / 64 * 64);
    memset(packed, 0xa5, bytes + CANARY);
    probe->repack(packed, m->file, m->rows, m->cols);
    size_t padded = (probe->tile_rows * m->row_bytes + 63) / 64 * 64; /* tiles keep the width of the file */
    CHECK(probe->tile_bytes(m->cols) == (probe->tile_rows == 1 ? m->row_bytes : padded));
    for (int i = 0; i < CANARY; i++) CHECK(packed[bytes + (size_t)i] == 0xa5);
    return packed;
}

static void check_decoders(const variant *v, const policy_probe *probe, const matrix *m) {
    unsigned block = m->info->block_weights;
    float *got = malloc(sizeof *got * m->cols * probe->tile_rows);
    for (unsigned r = 0; r < m->rows; r++) {
        const unsigned char *row = m->file + r * m->row_bytes;
        const double *want = m->w + (size_t)r * m->cols;
        for (unsigned k = 0; k < m->cols; k++) got[k] = probe->at(row, k);
        double error = worst_error(got, want, m->cols, block);
        CHECK_MSG(error <= 1e-6, "%s %s: at() is off by %g", v->name, m->info->name, error);
        for (unsigned g = 0; g < m->cols / 16; g++) probe->decode16(row, g, got + 16 * g);
        error = worst_error(got, want, m->cols / 16 * 16, block);
        CHECK_MSG(error <= 1e-6, "%s %s: decode16() is off by %g", v->name, m->info->name, error);
    }
    unsigned char *tiles = repack(probe, m);
    for (unsigned first = 0; first < m->rows; first += probe->tile_rows) {
        probe->decode_tile(tiles + first / probe->tile_rows * probe->tile_bytes(m->cols), m->cols, got);
        for (unsigned r = first; r < m->rows && r < first + probe->tile_rows; r++) {
            double error = worst_error(got + (size_t)(r - first) * m->cols, m->w + (size_t)r * m->cols, m->cols, block);
            CHECK_MSG(error <= 1e-6, "%s %s: row %u of %u as a tile is off by %g", v->name, m->info->name, r, m->rows, error);
        }
    }
    free(tiles);
    free(got);
}

static void check_product(const variant *v, const policy_probe *probe, const matrix *m, unsigned tokens, bool edges) {
    size_t count = (size_t)tokens * m->rows, scratch_bytes = (size_t)64 * (tokens + 16) * (m->cols / 4 + 17);
    float *x = malloc(sizeof *x * tokens * m->cols), *y = malloc(sizeof *y * (count + CANARY));
    double *seen = malloc(sizeof *seen * tokens * m->cols);
    unsigned char *tiles = repack(probe, m), *scratch = aligned_alloc(64, scratch_bytes);
    memset(scratch, 0xff, scratch_bytes); /* NaN: what is not written must not be used */
    memset(y, 0xff, sizeof *y * (count + CANARY));
    for (size_t i = 0; i < (size_t)tokens * m->cols; i++) x[i] = edges ? (random_bits() % 8 ? 1.0f : -1.0f) : random_float();
    if (tokens > 2) memset(x + m->cols, 0, sizeof *x * m->cols); /* a token of zeros */
    policy_product product = { tiles, x, y, seen, scratch, m->rows, m->cols, tokens };
    probe->multiply(&product);
    double worst = 0.0, step = 0.0;
    for (unsigned i = 0; i < tokens; i++) {
        for (unsigned k = 0; k < m->cols; k++) step = fmax(step, fabs(seen[i * m->cols + k] - (double)x[i * m->cols + k]));
        for (unsigned r = 0; r < m->rows; r++) {
            double sum = 0.0, scale = 0.0;
            for (unsigned k = 0; k < m->cols; k++) {
                double part = m->w[(size_t)r * m->cols + k] * seen[i * m->cols + k];
                sum += part;
                scale += fabs(part);
            }
            double error = fabs((double)y[(size_t)i * m->rows + r] - sum);
            if (!(error <= 1e-6 * scale) && !(error / scale <= worst)) worst = error / scale;
        }
    }
    CHECK_MSG(worst == 0.0, "%s %s: %u rows x %u tokens of %u columns: off by %g of sum |w||x|", v->name, m->info->name, m->rows, tokens, m->cols, worst);
    CHECK_MSG(step <= 0.50001 / 127.0, "%s %s: activations are off by %g", v->name, m->info->name, step);
    for (size_t i = 0; i < CANARY; i++) CHECK_MSG(isnan(y[count + i]), "%s %s: wrote past %u rows", v->name, m->info->name, m->rows);
    free(x);
    free(y);
    free(seen);
    free(tiles);
    free(scratch);
}

static const policy_probe *probe_of(const variant *v, fnd_format format) {
    char symbol[64];
    snprintf(symbol, sizeof symbol, "%s_probe", fnd_format_get(format)->name);
    return fnd_dynlib_find(v->library, symbol);
}

/* Every check of one format, by all variants on the same matrices. */
static void check_format(const variant *all, fnd_format format) {
    static const unsigned many_rows[] = { 1, 31, 33, 896 }, many_cols[] = { 1, 33, 96, 512, 896 };
    const fnd_format_info *info = fnd_format_get(format);
    for (int i = 0; i < 10; i++) {
        unsigned cols = many_cols[i / 2];
        bool edges = i % 2;
        if (cols % info->block_weights != 0) continue;
        matrix any = matrix_make(format, 33, cols, -1.0, 1e12, edges), tame = matrix_make(format, 33, cols, 1e-3, 10.0, edges);
        for (const variant *v = all; v < all + VARIANTS; v++) {
            if (!v->library) continue;
            check_decoders(v, probe_of(v, format), &any);
            check_product(v, probe_of(v, format), &tame, v->tokens, edges);
        }
        matrix_free(&any);
        matrix_free(&tame);
    }
    for (int i = 0; i < 4; i++) {
        matrix m = matrix_make(format, many_rows[i], 512, 1e-3, 10.0, false);
        for (const variant *v = all; v < all + VARIANTS; v++) {
            if (!v->library) continue;
            check_product(v, probe_of(v, format), &m, 1, false);
            if (many_rows[i] < 100) check_product(v, probe_of(v, format), &m, v->tokens + 3, false);
        }
        matrix_free(&m);
    }
}

TEST(policies_agree_with_their_references) {
    char cc[FND_PROCESS_PATH_BYTES];
    NEED(fnd_process_find(compiler(), cc), "there is no C compiler");
    variant run[VARIANTS];
    pthread_t threads[VARIANTS];
    memcpy(run, variants, sizeof run);
    for (int i = 0; i < VARIANTS; i++) {
        run[i].runs = (fnd_cpuinfo_get()->has & run[i].needs) == run[i].needs;
        if (run[i].runs) pthread_create(&threads[i], NULL, compile, &run[i]);
    }
    for (int i = 0; i < VARIANTS; i++) {
        variant *v = &run[i];
        if (!v->runs) continue;
        pthread_join(threads[i], NULL);
        CHECK_MSG(v->exit_code == 0 && v->said.bytes == 0, "%s: %s", v->name, v->said.data ? v->said.data : "");
        CHECK_MSG(v->err.status == FND_OK, "%s: %s", v->name, v->err.text);
        if (v->exit_code == 0 && v->err.status == FND_OK) CHECK_OK(fnd_dynlib_open(v->path, &v->library, &v->err), &v->err);
    }
#define FORMAT(id, name, ggml, weights, bytes) check_format(run, FND_##id);
    FND_FORMATS(FORMAT)
#undef FORMAT
    for (int i = 0; i < VARIANTS; i++) {
        fnd_dynlib_close(run[i].library);
        fnd_process_remove_dir(run[i].dir);
        fnd_text_free(&run[i].said);
    }
}

/* docs/adding-a-format.md shows a whole format; it must be the one that is here. */
TEST(policy_guide_shows_the_files_as_they_are) {
    static const char *const files[] = { "iq4_nl.h", "iq4_nl.cpu.h", "iq4_nl.cuda.h", "iq4_nl.metal.h", "iq4_nl_codec.c", "iq4_nl_ref.c" };
    char *guide, *text, path[128];
    size_t bytes;
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read("docs/adding-a-format.md", 1 << 20, &guide, &bytes, &err), &err);
    REQUIRE(err.status == FND_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "src/kernels/policy/iq4_nl/%s", files[i]);
        CHECK_OK(fnd_file_read(path, 1 << 20, &text, &bytes, &err), &err);
        REQUIRE(err.status == FND_OK);
        fnd_text shown = { 0 };
        fnd_text_printf(&shown, "+++ %s\n", path);
        for (const char *line = text; *line;) {
            int length = (int)strcspn(line, "\n");
            fnd_text_printf(&shown, "+%.*s\n", length, line);
            line += length + (line[length] == '\n');
        }
        CHECK_MSG(fnd_text_check(&shown, NULL) == FND_OK && strstr(guide, shown.data), "the guide does not show %s", path);
        fnd_text_free(&shown);
        fnd_free_memory(text);
    }
    fnd_free_memory(guide);
}
