/* cpurate.c - instructions in a row on registers, with as many sums at once as hide their latency. */
#include "base/cpurate.h"

#include "base/base.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__AARCH64EL__)
#include <arm_neon.h>
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
#define DOT_(s) _mm256_dpbusd_avx_epi32(s, x, x)
__attribute__((target("avx2,avxvnni"))) static void run_int8_avx_vnni(const void *seed, void *result) {
    __m256i x = _mm256_loadu_si256(seed);
    CHAIN_(__m256i, x, DOT_, _mm256_add_epi32);
}
#undef DOT_
#define DOT_(s) _mm512_add_epi32(s, _mm512_madd_epi16(_mm512_maddubs_epi16(x, s), ones))
__attribute__((target("avx512f,avx512bw"))) static void run_int8_avx512(const void *seed, void *result) {
    __m512i x = _mm512_loadu_si512(seed), ones = _mm512_set1_epi16(1);
    CHAIN_(__m512i, x, DOT_, _mm512_add_epi32);
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
#if defined(__AARCH64EL__)
/* As assembly: compilers disagree on how a function names features beside the file's own ones. */
#if defined(__clang__)
#define ALLOW_(feature) ""
#define WITH_(feature)  __attribute__((target(feature)))
#else
#define ALLOW_(feature) ".arch armv8.2-a+" feature "\n\t"
#define WITH_(feature)
#endif
WITH_("dotprod")
static inline int32x4_t sdot(int32x4_t s, int8x16_t x) {
    __asm__ volatile(ALLOW_("dotprod") "sdot %0.4s, %1.16b, %1.16b"
                     : "+w"(s)
                     : "w"(x));
    return s;
}
WITH_("i8mm")
static inline int32x4_t smmla(int32x4_t s, int8x16_t x) {
    __asm__ volatile(ALLOW_("i8mm") "smmla %0.4s, %1.16b, %1.16b"
                     : "+w"(s)
                     : "w"(x));
    return s;
}
#define DOT_(s) vpadalq_s16(s, vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(x)), x, vreinterpretq_s8_s32(s)))
static void run_int8_neon(const void *seed, void *result) {
    int8x16_t x = vld1q_s8(seed);
    CHAIN_(int32x4_t, vreinterpretq_s32_s8(x), DOT_, vaddq_s32);
}
#undef DOT_
#define DOT_(s) sdot(s, x)
WITH_("dotprod")
static void run_int8_dotprod(const void *seed, void *result) {
    int8x16_t x = vld1q_s8(seed);
    CHAIN_(int32x4_t, vreinterpretq_s32_s8(x), DOT_, vaddq_s32);
}
#undef DOT_
#define DOT_(s) smmla(s, x)
WITH_("i8mm")
static void run_int8_i8mm(const void *seed, void *result) {
    int8x16_t x = vld1q_s8(seed);
    CHAIN_(int32x4_t, vreinterpretq_s32_s8(x), DOT_, vaddq_s32);
}
#undef DOT_
#endif

typedef struct rate {
    fnd_unit unit;
    void (*run)(const void *seed, void *result);
    double ops; /* of one call */
    uint64_t needs;
} rate;

#define VECTORS_(ops) ((ops) * (double)SUMS * TURNS)
#define MATRICES_(k)  (2.0 * 16 * 16 * (k)*4 * TILE_TURNS)

/* The later ones are the faster: of one unit, the last counts that may be used. */
static const rate rates[] = {
#if defined(__x86_64__)
    { FND_UNIT_FLOATS, run_f32_avx2, VECTORS_(16), 1ull << FND_CPU_avx2 | 1ull << FND_CPU_fma },
    { FND_UNIT_FLOATS, run_f32_avx512, VECTORS_(32), 1ull << FND_CPU_avx512f },
    { FND_UNIT_BF16_DOTS, run_bf16, VECTORS_(64), 1ull << FND_CPU_avx512f | 1ull << FND_CPU_avx512bf16 },
    { FND_UNIT_INT8_DOTS, run_int8_avx2, VECTORS_(64), 1ull << FND_CPU_avx2 },
    { FND_UNIT_INT8_DOTS, run_int8_avx_vnni, VECTORS_(64), 1ull << FND_CPU_avx2 | 1ull << FND_CPU_avx_vnni },
    { FND_UNIT_INT8_DOTS, run_int8_avx512, VECTORS_(128), 1ull << FND_CPU_avx512f | 1ull << FND_CPU_avx512bw },
    { FND_UNIT_INT8_DOTS, run_int8_vnni, VECTORS_(128), 1ull << FND_CPU_avx512f | 1ull << FND_CPU_avx512vnni },
    { FND_UNIT_BF16_MATRICES, run_bf16_tiles, MATRICES_(32), 1ull << FND_CPU_amx_tile | 1ull << FND_CPU_amx_bf16 },
    { FND_UNIT_INT8_MATRICES, run_int8_tiles, MATRICES_(64), 1ull << FND_CPU_amx_tile | 1ull << FND_CPU_amx_int8 },
#else
    { FND_UNIT_FLOATS, run_f32, VECTORS_(8), 0 },
#endif
#if defined(__AARCH64EL__)
    { FND_UNIT_INT8_DOTS, run_int8_neon, VECTORS_(32), 0 },
    { FND_UNIT_INT8_DOTS, run_int8_dotprod, VECTORS_(32), 1ull << FND_CPU_asimddp },
    { FND_UNIT_INT8_MATRICES, run_int8_i8mm, VECTORS_(64), 1ull << FND_CPU_i8mm },
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

void fnd_cpu_rates(fnd_team *team, uint32_t workers, const fnd_cpu_level *level, double out[FND_UNIT_COUNT]) {
    rate_run run = { 0 };
    bool of_level[FND_UNIT_COUNT] = { false };
    const rate *chosen[FND_UNIT_COUNT] = { NULL };
    const float halves[16] = { .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F, .5F };
    memcpy(run.seed, halves, sizeof run.seed);
    if (workers < 1) workers = 1;
    if (workers > fnd_team_size(team)) workers = fnd_team_size(team);
    for (size_t i = 0; i < FND_COUNT(rates); i++) {
        bool used = !(rates[i].needs & ~level->needs) && (level->vec || rates[i].needs);
        if (!fnd_cpu_may_use(rates[i].needs) || (of_level[rates[i].unit] && !used)) continue;
        of_level[rates[i].unit] = used;
        chosen[rates[i].unit] = &rates[i];
    }
    for (int u = 0; u < FND_UNIT_COUNT; u++) {
        run.what = chosen[u];
        out[u] = run.what ? measure(team, workers, &run) : 0;
    }
}

double fnd_cpu_best_rate(const double list[FND_UNIT_COUNT]) {
    double best = 0;
    for (int i = 0; i < FND_UNIT_COUNT; i++) best = list[i] > best ? list[i] : best;
    return best;
}
