/* cpu_features.c - which instructions this processor has, as it (cpuid, xgetbv) or the system says. */
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/system.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

const char *const fnd_cpu_feature_names[FND_CPU_FEATURE_COUNT] = {
#define NAME_(id, ...) #id,
    FND_CPU_FEATURES_X86(NAME_)
        FND_CPU_FEATURES_ARM64(NAME_)
#undef NAME_
};

#if defined(__x86_64__)
typedef struct registers {
    uint32_t EAX, EBX, ECX, EDX;
} registers;

enum { OS_0 = 0,
       OS_AVX = 0x6,       /* XMM and YMM state */
       OS_AVX512 = 0xe6,   /* and mask registers, both halves of ZMM */
       OS_AMX = 0x60000 }; /* tile configuration and data */

static registers cpuid(uint32_t leaf, uint32_t subleaf) {
    registers r = { 0, 0, 0, 0 };
    __get_cpuid_count(leaf, subleaf, &r.EAX, &r.EBX, &r.ECX, &r.EDX); /* zeros for unknown leaves */
    return r;
}

/* What the operating system saves on a task switch.
 * SAFETY: xgetbv exists when cpuid's OSXSAVE bit is set, which is checked first. */
static uint64_t saved_state(void) {
    if (!(cpuid(1, 0).ECX >> 27 & 1)) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv"
                     : "=a"(low), "=d"(high)
                     : "c"(0));
    return (uint64_t)high << 32 | low;
}

uint64_t fnd_cpu_features_ask(void) {
    uint64_t has = 0, saved = saved_state();
#define ASK_(id, leaf, subleaf, reg, bit, os) \
    if ((cpuid(leaf, subleaf).reg >> (bit)&1) && (saved & OS_##os) == OS_##os) has |= UINT64_C(1) << FND_CPU_##id;
    FND_CPU_FEATURES_X86(ASK_)
#undef ASK_
    return has;
}

#elif defined(__aarch64__)
uint64_t fnd_cpu_features_ask(void) {
    uint64_t has = 0;
#define ASK_(id, word, bit, name) \
    if (fnd_system_processor_has(word, bit, name)) has |= UINT64_C(1) << FND_CPU_##id;
    FND_CPU_FEATURES_ARM64(ASK_)
#undef ASK_
    return has;
}

#else
uint64_t fnd_cpu_features_ask(void) { return 0; }
#endif
