/* cpurate.c - instructions in a row on registers, with as many sums at once as hide their latency. */
#include "base/cpurate.h"

#include "base/base.h"
#include "base/cpuinfo.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SUMS = 10,
       TURNS = 20000 };

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
    double ops; /* of one instruction, or of the few that make one step */
    uint64_t needs;
} rate;

/* The later ones are the faster: of one name, the last that this machine has counts. */
static const rate rates[] = {
#if defined(__x86_64__)
    { "float products", run_f32_avx2, 16, 1ull << FND_CPU_avx2 | 1ull << FND_CPU_fma },
    { "float products", run_f32_avx512, 32, 1ull << FND_CPU_avx512f },
    { "bf16 dot products", run_bf16, 64, 1ull << FND_CPU_avx512f | 1ull << FND_CPU_avx512bf16 },
    { "int8 dot products", run_int8_avx2, 64, 1ull << FND_CPU_avx2 },
    { "int8 dot products", run_int8_vnni, 128, 1ull << FND_CPU_avx512f | 1ull << FND_CPU_avx512vnni },
#else
    { "float products", run_f32, 8, 0 },
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
        double ops = run->what->ops * SUMS * TURNS * workers * 1e9 / (double)(now - before);
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
        if ((fnd_cpuinfo_get()->has & rates[i].needs) != rates[i].needs) continue;
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
