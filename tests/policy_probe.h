/* policy_probe.h - what test_policy.c asks of a policy. With POLICY defined it is a template: compiled
 * at run time, once per policy, with the flags of every instruction set that this machine has.
 * PROBE_TILES is defined where weights are read in tiles (gemv/tile.cpu.h). */
#ifndef TESTS_POLICY_PROBE_H
#define TESTS_POLICY_PROBE_H

typedef struct policy_product {
    const unsigned char *weights; /* as repack leaves them */
    const float *x;               /* [tokens, cols] */
    float *y;                     /* [tokens, rows] */
    double *seen;                 /* [tokens, cols]: x as the strategy sees it */
    unsigned char *scratch;
    unsigned rows, cols, tokens;
} policy_product;

typedef struct policy_probe {
    unsigned tile_rows;
    unsigned long long (*tile_bytes)(unsigned cols);
    float (*at)(const unsigned char *row, unsigned k);
    void (*decode16)(const unsigned char *row, unsigned g, float *w);
    void (*repack)(unsigned char *tiles, const unsigned char *file, unsigned rows, unsigned cols);
    /* w [tile_rows, cols]: the weights of one tile, by unpack and scales. */
    void (*decode_tile)(const unsigned char *tile, unsigned cols, float *w);
    void (*multiply)(const policy_product *product);
} policy_probe;
#endif

#ifdef POLICY
#define P_(name) FND_CAT(POLICY, name)

#ifdef PROBE_TILES
static unsigned long long P_(_probe_tile_bytes)(unsigned cols) {
    return fnd_tile_bytes(P_(_row_bytes)(cols));
}
static void P_(_probe_decode_tile)(const unsigned char *tile, unsigned cols, float *w) {
#if FND_CAT(POLICY, _FLOATS)
    for (unsigned k = 0; k < cols; k++)
        for (unsigned lane = 0; lane < FND_VEC; lane++) w[lane * cols + k] = P_(_load)(tile, k)[lane];
#else
    const u8 *fields = tile + (u64)(cols / 32) * P_(_PLANES);
    for (unsigned k = 0; k < cols; k += 4) {
        vec_u8x4 u = P_(_unpack)(tile + (u64)(k / 32) * P_(_PLANES), k % 32 / 4);
        vec scale, min = fnd_vec_splat(0.0f);
        P_(_scales)(fields + (u64)(k / P_(_BLOCK)) * P_(_FIELD_BYTES) * FND_VEC, k % P_(_BLOCK) / P_(_GROUP), &scale, &min);
        for (unsigned lane = 0; lane < FND_VEC; lane++)
            for (unsigned i = 0; i < 4; i++)
                w[lane * cols + k + i] = scale[lane] * (f32)(u[4 * lane + i] - P_(_ZERO)) + min[lane];
    }
#endif
}
#else
static unsigned long long P_(_probe_tile_bytes)(unsigned cols) { return P_(_row_bytes)(cols); }
static void P_(_probe_decode_tile)(const unsigned char *tile, unsigned cols, float *w) {
    for (unsigned k = 0; k < cols; k++) w[k] = P_(_at)(tile, k);
}
#endif

/* By a team of three, one after another. */
static void P_(_probe_repack)(unsigned char *tiles, const unsigned char *file, unsigned rows, unsigned cols) {
    fnd_weight w = { .data = file };
    unsigned bytes = (unsigned)((rows + FND_VALS - 1) / FND_VALS * P_(_probe_tile_bytes)(cols));
    for (unsigned group = 0; group < 3; group++) {
        fnd_thread t = { .group = group, .groups = 3 };
        P_(_repack)(t, tiles, w, bytes, rows, cols);
    }
}
static float P_(_probe_at)(const unsigned char *row, unsigned k) { return P_(_at)(row, k); }
static void P_(_probe_decode16)(const unsigned char *row, unsigned g, float *w) { P_(_decode16)(row, g, w); }

static void P_(_probe_multiply)(const policy_product *p) {
    float reduce[8];
    fnd_thread t = { .groups = 1, .reduce = reduce, .scratch = p->scratch };
    fnd_weight w = { .data = p->weights };
    fnd_x x = fnd_x_begin(t, p->cols, p->tokens);
    FND_EACH_TOKEN(m, x) {
        __builtin_memcpy(fnd_x_row(t, x, m), p->x + (u64)m * p->cols, 4 * p->cols);
        fnd_x_put(t, x, m);
    }
    fnd_x_end(t, x);
    for (unsigned m = 0; m < p->tokens; m++) {
        for (unsigned k = 0; k < p->cols; k++) {
#if defined(PROBE_TILES) && !FND_CAT(POLICY, _FLOATS)
            u64 span = (u64)(m / FND_TOKENS) * FND_TOKENS, i = m % FND_TOKENS;
            i8 code = x.codes[span * p->cols + (k / FND_X_WIDTH * FND_TOKENS + i) * FND_X_WIDTH + k % FND_X_WIDTH];
            p->seen[m * p->cols + k] = (double)x.scales[span * (p->cols / 32) + k / 32 * FND_TOKENS + i] * code;
#else
            p->seen[m * p->cols + k] = p->x[m * p->cols + k];
#endif
        }
    }
    FND_EACH_TILE(r, t, p->rows) {
        FND_EACH_SPAN(s, r, x) {
            fnd_tile y = P_(_dot)(t, w, r, s, x);
            FND_EACH_PLACE(at, i, t, r, s) {
                fnd_val_store(fnd_out((u8 *)p->y, FND_ACT_F32), (u64)at.token * p->rows + at.row, y.of[i], at);
            }
        }
    }
}

extern const policy_probe P_(_probe);
const policy_probe P_(_probe) = {
    .tile_rows = FND_VALS,
    .tile_bytes = P_(_probe_tile_bytes),
    .at = P_(_probe_at),
    .decode16 = P_(_probe_decode16),
    .repack = P_(_probe_repack),
    .decode_tile = P_(_probe_decode_tile),
    .multiply = P_(_probe_multiply),
};
#undef P_
#endif
