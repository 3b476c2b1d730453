/* mma.cuda.h - the matrix unit of an NVIDIA GPU, and what brings operands to it: matrices that a warp holds
 * together, pairs of halves, copies into the group's memory that run by themselves. Compute capability 7.5
 * has the first two only; there a copy is a load and a store, and a product takes two steps.
 *
 * As matrices lie in a warp (PTX ISA, mma.m16n8k16): lane l has, of rows of 8 values, two neighbouring
 * ones of row l / 4, from column 2 (l % 4) on.
 *     a    16 x 16   4 words: rows 0-7, rows 8-15, then the same of columns 8-15
 *     b    16 x 8    2 words, turned: its columns lie in memory as rows. Rows 0-7, then 8-15
 *     sum  16 x 8    f32: two of row l / 4, two of row l / 4 + 8
 * The simulator has the same, so that these texts are executed without a GPU. */
#ifndef FND_MMA_CUDA_H
#define FND_MMA_CUDA_H
#include "fnd_device.h"

#if defined(__CUDACC__)
FND_INLINE u32 fnd_shared_at(const void *p) { return (u32)__cvta_generic_to_shared(p); }

FND_INLINE void fnd_mma_(f32 *sum, const u32 *a, const u32 *b) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (u32 k = 0; k < 2; k++) {
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
            : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(a[2 * k]), "r"(a[2 * k + 1]), "r"(b[k]));
    }
#endif
}
#define fnd_mma(t, sum, a, b) fnd_mma_(sum, a, b)

/* Four matrices of 8 x 8 halves: lane l says where row l % 8 of matrix l / 8 lies. Turned: lane l gets of
 * column l / 4 the two of rows 2 (l % 4). */
FND_INLINE void fnd_mma_load_(u32 *r, const u8 *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(fnd_shared_at(p)) : "memory");
}
FND_INLINE void fnd_mma_load_turned_(u32 *r, const u8 *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(fnd_shared_at(p)) : "memory");
}
#define fnd_mma_load(t, r, p)        fnd_mma_load_(r, p)
#define fnd_mma_load_turned(t, r, p) fnd_mma_load_turned_(r, p)

/* 16 bytes into the group's memory, of which the first `bytes` are copied; the others become zeros. They are
 * there after fnd_copy_wait, for the thread that asked, and after a barrier behind that for all. */
FND_INLINE void fnd_copy16(u8 *to, const u8 *from, u32 bytes) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(fnd_shared_at(to)), "l"(from), "r"(bytes) : "memory");
#else
    u32 words[4];
    for (u32 i = 0; i < 4; i++) words[i] = 4 * i + 4 <= bytes ? ((const u32 *)from)[i] : 4 * i + 2 <= bytes ? ((const u16 *)from)[2 * i] : 0u;
    for (u32 i = 0; i < 4; i++) ((u32 *)to)[i] = words[i];
#endif
}
/* What was asked for since the last of these is one set; wait until at most `sets` (a constant) are on the way. */
#if __CUDA_ARCH__ >= 800
#define fnd_copy_commit()   asm volatile("cp.async.commit_group;" ::: "memory")
#define fnd_copy_wait(sets) asm volatile("cp.async.wait_group %0;" :: "n"(sets) : "memory")
#else
#define fnd_copy_commit()   ((void)0)
#define fnd_copy_wait(sets) ((void)(sets))
#endif

FND_INLINE u32 fnd_halves(f32 low, f32 high) {
#if __CUDA_ARCH__ >= 800
    u32 h;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(h) : "f"(high), "f"(low));
    return h;
#else
    return fnd_f32_to_f16(low) | (u32)fnd_f32_to_f16(high) << 16;
#endif
}
FND_INLINE u32 fnd_halves_sub(u32 a, u32 b) { u32 h; asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(h) : "r"(a), "r"(b)); return h; }
FND_INLINE u32 fnd_halves_mul(u32 a, u32 b) { u32 h; asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(h) : "r"(a), "r"(b)); return h; }
FND_INLINE u32 fnd_halves_fma(u32 a, u32 b, u32 c) { u32 h; asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(h) : "r"(a), "r"(b), "r"(c)); return h; }
/* Bytes of a (0-3) and b (4-7), one for each digit of `which`, the lowest first. */
FND_INLINE u32 fnd_bytes_of(u32 a, u32 b, u32 which) { return __byte_perm(a, b, which); }
FND_INLINE f32 fnd_lane_xor(f32 v, u32 mask) { return __shfl_xor_sync(0xffffffffu, v, (i32)mask); }

#else
#include "mma.sim.h"
#endif

FND_INLINE f32 fnd_half_low(u32 h) { return fnd_f16_to_f32((u16)h); }
FND_INLINE f32 fnd_half_high(u32 h) { return fnd_f16_to_f32((u16)(h >> 16)); }
#endif
