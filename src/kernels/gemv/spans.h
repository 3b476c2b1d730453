/* gemv/spans.h - spans of tokens of a matrix kernel, and how two joined matrices go through them: for gemv/x.h and those of
 * its texts for GPUs that go through all spans with one tile, once `fnd_x` is there. */
#ifndef GEMV_SPANS_H
#define GEMV_SPANS_H

typedef struct fnd_span { u32 first, count; } fnd_span; /* up to FND_TOKENS */

FND_INLINE fnd_span fnd_span_of(fnd_x x, u32 first) {
    fnd_span s;
    s.first = first;
    s.count = fnd_min(FND_TOKENS, x.tokens - first);
    return s;
}
#define FND_EACH_SPAN(s, r, x)                                          \
    for (u32 s##_i = 0; s##_i < (x).tokens; s##_i += FND_TOKENS)        \
        for (fnd_span s = fnd_span_of(x, s##_i); s.count; s.count = 0)
#define FND_EACH_TILE_2 FND_EACH_TILE /* of two matrices that are joined */
#define FND_DOT_2(policy, w0, tile0, w1, tile1) fnd_tile tile0 = FND_CAT(policy, _dot)(t, w0, r, s, x), tile1 = FND_CAT(policy, _dot)(t, w1, r, s, x)
#endif
