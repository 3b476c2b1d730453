/* cpurate.c - instructions in a row on registers, with as many sums at once as hide their latency. */
#include "base/cpurate.h"

#include "base/base.h"
#include "base/cpuinfo.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SUMS = 10,
       TURNS = 20000,
       TILE_TURNS = 4000 };

/* clang-format off */
/* Ten sums in registers by name: an array of them would live in memory. They are made of what the
 * caller has, and returned, so that no compiler can know or drop them. `step` and `add` name functions or macros. */
#define EACH_(X, what) X(s0, what) X(s1, what) X(s2, what) X(s3, what) X(s4, what) X(s5, what) X(s6, what) X(s7, what) X(s8, what) X(s9, what)
#define CHAIN_(type, first, step, add) \
    type s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, all = first; \
    EACH_(SET_, first) \
    for (int n = 0; n < TURNS; n++) { EACH_(STEP_, step) } \
    EACH_(ADD_TO_ALL_, add) \
    memcpy(result, &all, 4)
#define SET_(s, first)      s = first;
#define ADD_TO_ALL_(s, add) all = add(all, s);
#define STEP_(s, step)      s = step(s); KEEP_(s)
#if defined(__x86_64__)
#define KEEP_(s) __asm__ volatile("" : "+v"(s));
#else
#define KEEP_(s) __asm__ volatile("" : "+w"(s));
#endif
/* clang-format on */

#if defined(__x86_64__)
#define MULTIPLY_ADD_(s) _mm256_fmadd_ps(s, x, x)
__attribute__((target("avx2,fma"))) static void run_f32_avx2(const void *seed, void *result) {
    __m256 x = _mm256_loadu_ps(seed);
    CHAIN_(__m256, x, MULTIPLY_ADD_, _mm256_add_ps);
}
#undef MULTIPLY_ADD_
#define MULTIPLY_ADD_(s) _mm512_fmadd_ps(s, x, x)
__attribute__((target("avx512f"))) static void run_f32_avx512(const void *seed, void *result) {
    __m512 x = _mm512_loadu_ps(seed);
    CHAIN_(__m512, x, MULTIPLY_ADD_, _mm512_add_ps);
}
#undef MULTIPLY_ADD_
#define DOT_(s) _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(x, s), ones))
__attribute__((target("avx2"))) static void run_int8_avx2(const void *seed, void *result) {
    __m256i x = _mm256_loadu_si256(seed), ones = _mm256_set1_epi16(1);
    CHAIN_(__m256i, x, DOT_, _mm256_add_epi32);
}
#undef DOT_
#define DOT_(s) _mm512_dpbusd_epi32(s, x, x)
__attribute__((target("avx512f,avx512vnni"))) static void run_int8_vnni(const void *seed, void *result) {
    __m512i x = _mm512_loadu_si512(seed);
    CHAIN_(__m512i, x, DOT_, _mm512_add_epi32);
}
#undef DOT_
#define DOT_(s) _mm512_dpbf16_ps(s, pairs, pairs)
__attribute__((target("avx512f,avx512bf16"))) static void run_bf16(const void *seed, void *result) {
    __m512 x = _mm512_loadu_ps(seed);
    __m512bh pairs = _mm512_cvtne2ps_pbh(x, x);
    CHAIN_(__m512, x, DOT_, _mm512_add_ps);
}
#undef DOT_

/* Four tiles of sums from two of each side, as matrix kernels do. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

#define TILES_(dot) \
    tile_config c = { .palette = 1 }; \
    for (int i = 0; i < 8; i++) c.row_bytes[i] = 64, c.rows[i] = 16; \
    uint8_t tile[1024] __attribute__((aligned(64))); \
    for (int i = 0; i < 16; i++) memcpy(tile + 64 * i, seed, 64); \
    _tile_loadconfig(&c); \
    _tile_zero(0); \
    _tile_zero(1); \
    _tile_zero(2); \
    _tile_zero(3); \
    _tile_loadd(4, tile, 64); \
    _tile_loadd(5, tile, 64); \
    _tile_loadd(6, tile, 64); \
    _tile_loadd(7, tile, 64); \
    for (int n = 0; n < TILE_TURNS; n++) { \
        dot(0, 4, 6); \
        dot(1, 4, 7); \
        dot(2, 5, 6); \
        dot(3, 5, 7); \
    } \
    _tile_stored(0, tile, 64); \
    _tile_release(); \
    memcpy(result, tile, 4)
__attribute__((target("amx-tile,amx-bf16"))) static void run_bf16_tiles(const void *seed, void *result) {
    TILES_(_tile_dpbf16ps);
}
__attribute__((target("amx-tile,amx-int8"))) static void run_int8_tiles(const void *seed, void *result) {
    TILES_(_tile_dpbusd);
}
#else
/* What the compiler makes of vectors here. */
typedef float four __attribute__((vector_size(16)));
#define MULTIPLY_ADD_(s) ((s)*x + x)
#define ADD_(a, b)       ((a) + (b))
static void run_f32(const void *seed, void *result) {
    four x;
    memcpy(&x, seed, sizeof x);
    CHAIN_(four, x, MULTIPLY_ADD_, ADD_);
}
#endif

typedef struct rate {
    const char *name;
    void (*run)(const void *seed, void *result);
    double ops; /* of one call */
    uint64_t needs;
} rate;

#define VECTORS_(ops) ((ops) * (double)SUMS * TURNS)
#define MATRICES_(k)  (2.0 * 16 * 16 * (k)*4 * TILE_TURNS)

/* The later ones are the faster: of one name, the last that this machine has counts. */
static const rate rates[] = {
#if defined(__x86_64__)
    { "float products", run_f32_avx2, VECTORS_(16), 1ull << FND_CPU_avx2 | 1ull << FND_CPU_fma },
    { "float products", run_f32_avx512, VECTORS_(32), 1ull << FND_CPU_avx512f },
    { "bf16 dot products", run_bf16, VECTORS_(64), 1ull << FND_CPU_avx512f | 1ull << FND_CPU_avx512bf16 },
    { "int8 dot products", run_int8_avx2, VECTORS_(64), 1ull << FND_CPU_avx2 },
    { "int8 dot products", run_int8_vnni, VECTORS_(128), 1ull << FND_CPU_avx512f | 1ull << FND_CPU_avx512vnni },
    { "bf16 matrix products", run_bf16_tiles, MATRICES_(32), 1ull << FND_CPU_amx_tile | 1ull << FND_CPU_amx_bf16 },
    { "int8 matrix products", run_int8_tiles, MATRICES_(64), 1ull << FND_CPU_amx_tile | 1ull << FND_CPU_amx_int8 },
#else
    { "float products", run_f32, VECTORS_(8), 0 },
#endif
};

typedef struct rate_run {
    const rate *what;
    _Alignas(64) uint8_t seed[64];
    uint32_t results[FND_TEAM_MAX];
} rate_run;

static void work(void *ctx, uint32_t worker) {
    rate_run *run = ctx;
    run->what->run(run->seed, &run->results[worker]);
}

static double measure(fnd_team *team, uint32_t workers, rate_run *run) {
    static const uint64_t MEASURE_NS = 30000000;
    double best = 0;
    uint64_t start = fnd_now_ns(), now = start;
    do {
        uint64_t before = now;
        fnd_team_run(team, workers, work, run);
        now = fnd_now_ns();
        double ops = run->what->ops * workers * 1e9 / (double)(now - before);
        if (ops > best) best = ops; /* the best pass: others run on this machine too */
    } while (now - start < MEASURE_NS);
    return best;
}

uint32_t fnd_cpu_rates(fnd_team *team, uint32_t workers, fnd_cpu_rate out[FND_CPU_RATES_MAX]) {
    uint32_t count = 0;
    rate_run run = { 0 };
    const float halves[16] = { .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F };
    memcpy(run.seed, halves, sizeof run.seed);
    if (workers < 1) workers = 1;
    if (workers > fnd_team_size(team)) workers = fnd_team_size(team);
    for (size_t i = 0; i < FND_COUNT(rates); i++) {
        if (!fnd_cpu_may_use(rates[i].needs)) continue;
        run.what = &rates[i];
        bool again = count && strcmp(out[count - 1].name, rates[i].name) == 0;
        out[again ? count - 1 : count++] = (fnd_cpu_rate){ rates[i].name, measure(team, workers, &run) };
    }
    return count;
}

double fnd_cpu_best_rate(const fnd_cpu_rate *list, uint32_t count) {
    double best = 0;
    for (uint32_t i = 0; i < count; i++) best = list[i].ops_per_s > best ? list[i].ops_per_s : best;
    return best;
}
