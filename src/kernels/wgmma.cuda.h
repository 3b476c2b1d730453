/* wgmma.cuda.h - the matrix unit of a Hopper GPU as four warps use it together: both sides lie in the group's memory, in
 * rows of 64 halves whose 16-byte pieces are exchanged by the row's number (PTX ISA, wgmma, swizzle of 128 bytes), each
 * matrix from a multiple of 1,024 bytes on. The product runs by itself until it is waited for.
 *
 * Results lie as those of mma.cuda.h: warp w of the four has rows 16 w .. 16 w + 15, for every 8 columns four
 * values a lane. */
#ifndef FND_WGMMA_CUDA_H
#define FND_WGMMA_CUDA_H
#include "fnd_device.h"

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL) && FND_WARPS == 16
#define FND_WGMMA 1

/* 8 rows are 1,024 bytes apart. */
FND_INLINE u64 fnd_wgmma_matrix(const u8 *p) {
    return (u64)(((u32)__cvta_generic_to_shared(p) & 0x3ffffu) >> 4) | (u64)1 << 16 | (u64)64 << 32 | (u64)1 << 62;
}
/* What threads wrote into the group's memory is there for the unit after this and a barrier. */
FND_INLINE void fnd_wgmma_publish() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
FND_INLINE void fnd_wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
FND_INLINE void fnd_wgmma_end() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/* All but the last product are done. */
FND_INLINE void fnd_wgmma_wait_others() { asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory"); }
FND_INLINE void fnd_wgmma_wait(f32 *sum, const u32 blocks) {
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    FND_UNROLL for (u32 i = 0; i < 4 * blocks; i++) asm volatile("" : "+f"(sum[i]) :: "memory");
}

/* sum [64 x 8 blocks] += a [64 x 16] b [8 blocks x 16] */
FND_INLINE void fnd_wgmma(const u32 blocks, f32 *s, u64 a, u64 b) {
    if (blocks == 16) {
        asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
            "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
            "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, "
            "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "
            "%62, %63"
            "}, %64, %65, 1, 1, 1, 0, 0;"
            : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]), "+f"(s[8]),
              "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]), "+f"(s[15]), "+f"(s[16]), "+f"(s[17]),
              "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]), "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]),
              "+f"(s[26]), "+f"(s[27]), "+f"(s[28]), "+f"(s[29]), "+f"(s[30]), "+f"(s[31]), "+f"(s[32]), "+f"(s[33]),
              "+f"(s[34]), "+f"(s[35]), "+f"(s[36]), "+f"(s[37]), "+f"(s[38]), "+f"(s[39]), "+f"(s[40]), "+f"(s[41]),
              "+f"(s[42]), "+f"(s[43]), "+f"(s[44]), "+f"(s[45]), "+f"(s[46]), "+f"(s[47]), "+f"(s[48]), "+f"(s[49]),
              "+f"(s[50]), "+f"(s[51]), "+f"(s[52]), "+f"(s[53]), "+f"(s[54]), "+f"(s[55]), "+f"(s[56]), "+f"(s[57]),
              "+f"(s[58]), "+f"(s[59]), "+f"(s[60]), "+f"(s[61]), "+f"(s[62]), "+f"(s[63])
            : "l"(a), "l"(b));
    }
    if (blocks == 8) {
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
            "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
            "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
            "}, %32, %33, 1, 1, 1, 0, 0;"
            : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]), "+f"(s[8]),
              "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]), "+f"(s[15]), "+f"(s[16]), "+f"(s[17]),
              "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]), "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]),
              "+f"(s[26]), "+f"(s[27]), "+f"(s[28]), "+f"(s[29]), "+f"(s[30]), "+f"(s[31])
            : "l"(a), "l"(b));
    }
    if (blocks == 4) {
        asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {"
            "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
            "}, %16, %17, 1, 1, 1, 0, 0;"
            : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]), "+f"(s[8]),
              "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]), "+f"(s[15])
            : "l"(a), "l"(b));
    }
    if (blocks == 2) {
        asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {"
            "%0, %1, %2, %3, %4, %5, %6, %7"
            "}, %8, %9, 1, 1, 1, 0, 0;"
            : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7])
            : "l"(a), "l"(b));
    }
}
#else
#define FND_WGMMA 0
#endif
#endif
