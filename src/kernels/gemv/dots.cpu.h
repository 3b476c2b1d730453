/* gemv/dots.cpu.h - the products of a tile's codes with those of FND_TOKENS tokens, added up.
 *
 *     fnd_dots d = fnd_dots_begin(start, n);
 *     every FND_DOT_QUADS quads of columns:  fnd_dots_add(&d, u, x.codes, j, wide, n);
 *     fnd_dots_end(d, acc, n);
 *
 * start: what each token's sums begin with; u: codes of quads j .. j + FND_DOT_QUADS - 1 of 32 columns; wide:
 * they stand for code - 128; n: of the first n tokens, an even number of them where there are pairs. */
#ifndef GEMV_DOTS_CPU_H
#define GEMV_DOTS_CPU_H
#include "gemv/x.cpu.h"

#if FND_DOT_QUADS == 2
typedef struct fnd_dots { fnd_pair of[FND_TOKENS / 2]; i32 start[FND_TOKENS]; } fnd_dots;
FND_INLINE fnd_dots fnd_dots_begin(const i32 *start, const u32 n) {
    fnd_dots d = { 0 };
    FND_UNROLL for (u32 i = 0; i < n; i++) d.start[i] = start[i];
    return d;
}
FND_INLINE void fnd_dots_add(fnd_dots *d, const vec_u8x4 *u, const i8 *x, u32 j, u32 wide, const u32 n) {
    const vec_u8x4 codes[2] = { wide ? u[0] ^ 128 : u[0], wide ? u[1] ^ 128 : u[1] };
    FND_UNROLL for (u32 i = 0; i < n; i += 2) fnd_pair_add(&d->of[i / 2], codes, x + (j / 2 * FND_TOKENS + i) * 8);
}
FND_INLINE void fnd_dots_end(fnd_dots d, vec_i32 *acc, const u32 n) {
    FND_UNROLL for (u32 i = 0; i < n; i += 2) fnd_pair_end(d.of[i / 2], acc + i);
    FND_UNROLL for (u32 i = 0; i < n; i++) acc[i] = acc[i] + d.start[i];
}
#else
typedef struct fnd_dots { vec_i32 of[FND_TOKENS]; } fnd_dots;
FND_INLINE fnd_dots fnd_dots_begin(const i32 *start, const u32 n) {
    fnd_dots d;
    FND_UNROLL for (u32 i = 0; i < n; i++) d.of[i] = start[i] - (vec_i32){ 0 };
    return d;
}
FND_INLINE void fnd_dots_add(fnd_dots *d, const vec_u8x4 *u, const i8 *x, u32 j, u32 wide, const u32 n) {
    FND_UNROLL for (u32 i = 0; i < n; i++)
        d->of[i] = wide ? fnd_dot4_wide(d->of[i], u[0], x, j * FND_TOKENS + i) : fnd_dot4(d->of[i], u[0], x, j * FND_TOKENS + i);
}
FND_INLINE void fnd_dots_end(fnd_dots d, vec_i32 *acc, const u32 n) {
    FND_UNROLL for (u32 i = 0; i < n; i++) acc[i] = d.of[i];
}
#endif
#endif
