/* gemv/row.cuda.h - weights as the CUDA strategies read them: rows in planes, so that the lanes of a
 * warp load 16 neighbouring bytes each.
 *
 * A row takes as many bytes as the file has for it, padded to 64:
 *     low     for every 32 columns 16 bytes: byte j has in its low nibble the code of column j, in its
 *             high nibble that of column 16 + j. Codes of 8 bits: 32 bytes, as they are
 *     high    codes of 5 bits: 4 bytes, bit c is bit 4 of column c; of 6 bits: 8 bytes, bits 2c and
 *             2c + 1 of the 64 are bits 4-5 of column c
 *     fields  for every block of the format, all that is not codes, in the order of FIELDS
 * Formats of floats stay as they are. */
#ifndef GEMV_ROW_CUDA_H
#define GEMV_ROW_CUDA_H
#include "gemv/x.cuda.h"

FND_INLINE u64 fnd_row_pitch(u64 row_bytes) { return (row_bytes + 63) & ~(u64)63; }

FND_INLINE fnd_four fnd_load_four(const u8 *p) {
#ifdef FND_STREAM /* the group's memory */
    return *(const fnd_four *)p;
#endif
    fnd_four v;
#if defined(__CUDACC__)
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
#else
    v = *(const fnd_four *)p;
#endif
    return v;
}
FND_INLINE u32 fnd_load_word(const u8 *p) { return *(const u32 *)p; }

#if defined(__CUDACC__)
/* acc + the dot product of 4 unsigned codes with 4 signed activations. */
FND_INLINE i32 fnd_dot4(i32 acc, u32 codes, u32 x) {
    asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(acc) : "r"(codes), "r"(x));
    return acc;
}
#endif

/* Bytes of 32 columns in each plane. */
#define FND_LOW_BYTES(bits)  ((bits) == 8 ? 32u : 16u)
#define FND_HIGH_BYTES(bits) ((bits) == 5 ? 4u : (bits) == 6 ? 8u : 0u)

/* 32 columns as they come from memory. */
typedef struct fnd_raw { fnd_four low, low2; u32 high, high2; } fnd_raw;
FND_INLINE fnd_raw fnd_raw_load(const u8 *low, const u8 *high, u32 bits) {
    fnd_raw r;
    r.low = r.low2 = fnd_load_four(low);
    if (bits == 8) r.low2 = fnd_load_four(low + 16);
    r.high = r.high2 = 0;
    if (bits == 5 || bits == 6) r.high = fnd_load_word(high);
    if (bits == 6) r.high2 = fnd_load_word(high + 4);
    return r;
}
/* Their codes, four in a word. */
FND_INLINE fnd_codes fnd_codes_of(fnd_raw r, u32 bits) {
    fnd_codes c;
    const u32 low[4] = { r.low.x, r.low.y, r.low.z, r.low.w }, low2[4] = { r.low2.x, r.low2.y, r.low2.z, r.low2.w };
    FND_UNROLL for (u32 j = 0; j < 4; j++) {
        c.of[j] = bits == 8 ? low[j] : low[j] & 0x0f0f0f0fu;
        c.of[4 + j] = bits == 8 ? low2[j] : low[j] >> 4 & 0x0f0f0f0fu;
    }
    FND_UNROLL for (u32 j = 0; j < 8; j++) {
        /* 4 bits to bit 4 of 4 bytes: a multiplication copies them, a mask picks. */
        if (bits == 5) c.of[j] |= ((r.high >> 4 * j & 15u) * 0x02040810u) & 0x10101010u;
        if (bits == 6) {
            u32 two = (j < 4 ? r.high : r.high2) >> 8 * (j % 4); /* 2 bits a column */
            c.of[j] |= ((two & 3u) << 4) | ((two & 12u) << 10) | ((two & 48u) << 16) | ((two & 192u) << 22);
        }
    }
    return c;
}
#endif
