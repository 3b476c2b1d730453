/* cpu_levels.c - the levels of instructions that kernels are compiled for. */
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/system.h"

#include <pthread.h>
#include <stdio.h>

#define HAS_(id) | UINT64_C(1) << FND_CPU_##id
#define V3_      HAS_(cx16) HAS_(popcnt) HAS_(sse4_2) HAS_(movbe) HAS_(lzcnt) HAS_(bmi1) HAS_(bmi2) HAS_(avx) HAS_(f16c) HAS_(fma) HAS_(avx2)
#define V4_      V3_ HAS_(avx512f) HAS_(avx512dq) HAS_(avx512cd) HAS_(avx512bw) HAS_(avx512vl)
#define GENERIC_ \
    { .name = "generic", .flags = { "-ffp-contract=off" }, .doc = "portable texts only: for comparison, and for any machine" }

static const fnd_cpu_level none[] = { GENERIC_ };
static const fnd_cpu_level x86_64[] = {
    GENERIC_,
    { .name = "v3", .flags = { "-march=x86-64-v3" }, .needs = 0 V3_, .vec = 8, .doc = "AVX2, FMA, F16C" },
    { .name = "v3_vnni", .flags = { "-march=x86-64-v3", "-mavxvnni" }, .needs = 0 V3_ HAS_(avx_vnni), .vec = 8, .bakes = FND_CPU_BAKES_NONE, .doc = "AVX2 with 8-bit dot products" },
    { .name = "v4", .flags = { "-march=x86-64-v4" }, .needs = 0 V4_, .vec = 16, .doc = "AVX-512 F, BW, CD, DQ, VL" },
    { .name = "v4_vnni", .flags = { "-march=x86-64-v4", "-mavx512vnni" }, .needs = 0 V4_ HAS_(avx512vnni), .vec = 16, .doc = "AVX-512 with 8-bit dot products" },
    { .name = "amx",
      .flags = { "-march=x86-64-v4", "-mavx512vnni", "-mamx-tile", "-mamx-int8" },
      .needs = 0 V4_ HAS_(avx512vnni) HAS_(amx_tile) HAS_(amx_int8),
      .vec = 16,
      .bakes = FND_CPU_BAKES_PANELS,
      .doc = "AVX-512 with 8-bit dot products, and AMX with 8-bit matrix products for prompts" },
    { .name = "amx_bf16",
      .flags = { "-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16", "-mamx-tile", "-mamx-bf16" },
      .needs = 0 V4_ HAS_(avx512vnni) HAS_(avx512bf16) HAS_(amx_tile) HAS_(amx_bf16),
      .vec = 16,
      .bakes = FND_CPU_BAKES_PANELS,
      .bf16_prompts = true,
      .doc = "the same, but bf16 matrix products for prompts: faster, and rounded otherwise than what is said after them" },
};
static const fnd_cpu_level arm64[] = {
    GENERIC_,
    { .name = "neon", .vec = 4, .doc = "the vectors of every arm64 processor" },
    { .name = "neon_dotprod", .flags = { "-march=armv8.2-a+dotprod" }, .needs = 0 HAS_(asimddp), .vec = 4, .doc = "with 8-bit dot products" },
    { .name = "neon_i8mm", .flags = { "-march=armv8.2-a+dotprod+i8mm" }, .needs = 0 HAS_(asimddp) HAS_(i8mm), .vec = 4, .doc = "with 8-bit matrix products" },
};

const fnd_cpu_level *fnd_cpu_levels_of(fnd_cpu_arch arch, size_t *count) {
    *count = arch == FND_CPU_ARCH_X86_64 ? FND_COUNT(x86_64) : arch == FND_CPU_ARCH_ARM64 ? FND_COUNT(arm64)
                                                                                          : FND_COUNT(none);
    return arch == FND_CPU_ARCH_X86_64 ? x86_64 : arch == FND_CPU_ARCH_ARM64 ? arm64
                                                                             : none;
}

/* The system is asked for tile registers once, and not before a level needs them. */
static pthread_once_t tiles_once = PTHREAD_ONCE_INIT;
static int tiles_refused;
static void ask_for_tiles(void) { tiles_refused = fnd_system_ask_for_tiles(); }

static bool refuses_tiles(uint64_t needs) {
    if (!(needs >> FND_CPU_amx_tile & 1)) return false;
    pthread_once(&tiles_once, ask_for_tiles);
    return tiles_refused != 0;
}

static bool has_instructions(const fnd_cpu_level *level) { return (fnd_cpuinfo_get()->has & level->needs) == level->needs; }
bool fnd_cpu_may_use(uint64_t needs) { return (fnd_cpuinfo_get()->has & needs) == needs && !refuses_tiles(needs); }
static bool runs_here(const fnd_cpu_level *level) { return fnd_cpu_may_use(level->needs); }

const fnd_cpu_level *fnd_cpu_level_best(void) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count), *best = levels;
    for (size_t i = 0; i < count; i++) {
        if (!levels[i].bf16_prompts && runs_here(&levels[i])) best = &levels[i];
    }
    return best;
}

/* What is missing first, for the sentence. */
static const char *missing(const fnd_cpu_level *level) {
    uint64_t lacks = level->needs & ~fnd_cpuinfo_get()->has;
    return lacks ? fnd_cpu_feature_names[__builtin_ctzll(lacks)] : "nothing";
}

fnd_status fnd_cpu_level_find(const char *name, const fnd_cpu_level **out, fnd_error *err) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    *out = fnd_cpu_level_best();
    if (!name) return FND_OK;
    char known[128] = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(levels[i].name, name) == 0) {
            *out = &levels[i];
            if (runs_here(&levels[i])) return FND_OK;
            if (has_instructions(&levels[i])) return fnd_fail(err, FND_ERR_UNSUPPORTED, "the system refuses this process the tile registers that \"%s\" needs: arch_prctl: %s", name, strerror(tiles_refused));
            return fnd_fail(err, FND_ERR_UNSUPPORTED, "this processor (%s) cannot run the instructions of \"%s\": it lacks %s", fnd_cpuinfo_get()->name, name, missing(&levels[i]));
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", levels[i].name);
    }
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is no instruction set \"%s\" here; known: %s", name, known);
}
