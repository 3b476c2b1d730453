/* cpuinfo.h - what this processor is, what it can do, and how fast it reads memory. */
#ifndef BASE_CPUINFO_H
#define BASE_CPUINFO_H

#include "base/team.h"
#include "foundry/status.h"

#include <stdint.h>

/* Features of processors that decide which code runs here; a processor has none of another architecture.
 *
 * x86-64. `os`: what the operating system must save on a task switch: nothing (0), AVX state (AVX),
 * AVX-512 state (AVX512), tiles (AMX).
 *     id          leaf, subleaf, register, bit      os */
#define FND_CPU_FEATURES_X86(X) \
    X(cx16, 0x00000001, 0, ECX, 13, 0) \
    X(popcnt, 0x00000001, 0, ECX, 23, 0) \
    X(sse4_2, 0x00000001, 0, ECX, 20, 0) \
    X(movbe, 0x00000001, 0, ECX, 22, 0) \
    X(lzcnt, 0x80000001, 0, ECX, 5, 0) \
    X(bmi1, 0x00000007, 0, EBX, 3, 0) \
    X(bmi2, 0x00000007, 0, EBX, 8, 0) \
    X(avx, 0x00000001, 0, ECX, 28, AVX) \
    X(f16c, 0x00000001, 0, ECX, 29, AVX) \
    X(fma, 0x00000001, 0, ECX, 12, AVX) \
    X(avx2, 0x00000007, 0, EBX, 5, AVX) \
    X(avx_vnni, 0x00000007, 1, EAX, 4, AVX) \
    X(avx512f, 0x00000007, 0, EBX, 16, AVX512) \
    X(avx512dq, 0x00000007, 0, EBX, 17, AVX512) \
    X(avx512cd, 0x00000007, 0, EBX, 28, AVX512) \
    X(avx512bw, 0x00000007, 0, EBX, 30, AVX512) \
    X(avx512vl, 0x00000007, 0, EBX, 31, AVX512) \
    X(avx512vbmi, 0x00000007, 0, ECX, 1, AVX512) \
    X(avx512vnni, 0x00000007, 0, ECX, 11, AVX512) \
    X(avx512fp16, 0x00000007, 0, EDX, 23, AVX512) \
    X(avx512bf16, 0x00000007, 1, EAX, 5, AVX512) \
    X(amx_tile, 0x00000007, 0, EDX, 24, AMX) \
    X(amx_int8, 0x00000007, 0, EDX, 25, AMX) \
    X(amx_bf16,    0x00000007, 0, EDX, 22,           AMX)

/* arm64, by the names of /proc/cpuinfo, and how fnd_system_processor_has knows them.
 *     id        word, bit   name */
#define FND_CPU_FEATURES_ARM64(X) \
    X(asimdhp, 1, 10, "FEAT_FP16") \
    X(asimddp, 1, 20, "FEAT_DotProd") \
    X(sve, 1, 22, "FEAT_SVE") \
    X(i8mm, 2, 13, "FEAT_I8MM") \
    X(bf16,      2,    14,   "FEAT_BF16")

typedef enum fnd_cpu_feature {
#define FND_CPU_FEATURE_ROW_(id, ...) FND_CPU_##id,
    FND_CPU_FEATURES_X86(FND_CPU_FEATURE_ROW_)
        FND_CPU_FEATURES_ARM64(FND_CPU_FEATURE_ROW_)
#undef FND_CPU_FEATURE_ROW_
            FND_CPU_FEATURE_COUNT
} fnd_cpu_feature;
extern const char *const fnd_cpu_feature_names[FND_CPU_FEATURE_COUNT];
/* Bits of fnd_cpu_feature that this processor has and the operating system supports: cpuinfo's `has`. */
uint64_t fnd_cpu_features_ask(void);

typedef enum fnd_cpu_arch {
    FND_CPU_ARCH_NONE,
    FND_CPU_ARCH_X86_64,
    FND_CPU_ARCH_ARM64,
#if defined(__x86_64__)
    FND_CPU_ARCH_HERE = FND_CPU_ARCH_X86_64
#elif defined(__AARCH64EL__)
    FND_CPU_ARCH_HERE = FND_CPU_ARCH_ARM64
#else
    FND_CPU_ARCH_HERE = FND_CPU_ARCH_NONE
#endif
} fnd_cpu_arch;

/* Which kernels of a level the library holds. Of those that it does not, a weaker level's serve, with the same tiles. */
typedef enum fnd_cpu_bakes {
    FND_CPU_BAKES_ALL,
    FND_CPU_BAKES_PANELS, /* those of weights in tiles and many tokens, whose products the matrix unit computes, and attention */
    FND_CPU_BAKES_NONE,
} fnd_cpu_bakes;

/* A level of instructions that kernels are compiled for: a word of --isa. */
typedef struct fnd_cpu_level {
    const char *name;     /* "v4_vnni" */
    const char *flags[8]; /* for gcc and clang; NULL after the last */
    uint64_t needs;       /* bits of fnd_cpu_feature */
    uint32_t vec;         /* floats of a vector, and rows of a weight tile; 0: portable texts only */
    bool bf16_prompts;    /* what may be many tokens is multiplied as bf16, which single ones are not: only where --isa names it */
    fnd_cpu_bakes bakes;
    const char *doc;
} fnd_cpu_level;

typedef struct fnd_cpuinfo {
    char name[64];      /* "Intel(R) Xeon(R) Processor @ 2.10GHz" */
    char model[64];     /* "GenuineIntel-6-207-2": vendor, family, model, stepping */
    char features[256]; /* names of the features present, separated by spaces */
    uint64_t has;       /* bits of fnd_cpu_feature, where the operating system supports them too */
    size_t l1_bytes, l2_bytes, llc_bytes;
} fnd_cpuinfo;

/* This machine. Looked up once; never NULL. */
const fnd_cpuinfo *fnd_cpuinfo_get(void);
/* All of these features, and the system lets this process use their registers. */
bool fnd_cpu_may_use(uint64_t features);
static inline bool fnd_cpu_has(fnd_cpu_feature feature) { return fnd_cpuinfo_get()->has >> feature & 1; }

/* All levels of an architecture, weakest first ("generic", which every architecture has); of this one. */
const fnd_cpu_level *fnd_cpu_levels_of(fnd_cpu_arch arch, size_t *count);
static inline const fnd_cpu_level *fnd_cpu_levels(size_t *count) { return fnd_cpu_levels_of(FND_CPU_ARCH_HERE, count); }
const fnd_cpu_level *fnd_cpu_level_best(void);
/* By name (NULL: the best here). Unknown, or more than this machine can: FND_ERR_UNSUPPORTED. */
FND_USE_RESULT fnd_status fnd_cpu_level_find(const char *name, const fnd_cpu_level **out, fnd_error *err);

/* Cores this process may use now: by affinity, and by the CPU time its container is given. */
uint32_t fnd_cpu_cores(void);

/* Memory read bandwidth of the first `workers` of the team together, in GB/s (10^9 bytes). Takes
 * about 0.3 s, and for that time memory of twice the last-level cache, at most 1 GiB and a quarter of
 * what is free. */
FND_USE_RESULT fnd_status fnd_cpu_read_bandwidth(fnd_team *team, uint32_t workers, double *gb_per_s, fnd_error *err);

#endif
