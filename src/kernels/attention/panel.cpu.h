/* attention/panel.cpu.h - prefill on a matrix unit (amx.cpu.h): up to 128 rows (tokens x heads of one kv head)
 * against 128 keys at a time.
 *
 * All keep twice the digits of bf16: queries, keys, weights and values are split in two bf16 each, and three
 * products of them are summed. So a prompt attends as precisely as a single token does, however it is cut.
 * In tiles:
 *     q, q_rest              [rows / 16][dim / 32]   A     k, k_rest            [keys / 16][dim / 32]   B
 *     weights, weights_rest  [rows / 16][keys / 32]  A     values, values_rest  [dim / 16][keys / 32]   B
 *     scores                 [keys / 16][rows / 16]  sums  out                  [dim / 16][rows / 16]   sums */
#ifndef ATTENTION_PANEL_CPU_H
#define ATTENTION_PANEL_CPU_H
#include "amx.cpu.h"
#include "attention/args.h"
#include "rope/table.cpu.h"

#ifdef FND_AMX
#define ATTENTION_PANEL_ROWS   128u
#define ATTENTION_PANEL_VALUES 8192u /* rows, in blocks of 16, * head_dim */
#define ATTENTION_PANEL_KEYS   128u

/* Tiles first: they are stored as whole lines. */
typedef struct attention_panel {
    u16 q[ATTENTION_PANEL_VALUES], q_rest[ATTENTION_PANEL_VALUES];
    u16 k[ATTENTION_PANEL_KEYS * 256], k_rest[ATTENTION_PANEL_KEYS * 256], values[ATTENTION_PANEL_KEYS * 256], values_rest[ATTENTION_PANEL_KEYS * 256];
    u16 weights[ATTENTION_PANEL_ROWS * ATTENTION_PANEL_KEYS], weights_rest[ATTENTION_PANEL_ROWS * ATTENTION_PANEL_KEYS];
    f32 scores[ATTENTION_PANEL_ROWS * ATTENTION_PANEL_KEYS], out[ATTENTION_PANEL_VALUES];
    vec sum[ATTENTION_PANEL_ROWS]; /* of weights, by lane */
    f32 most[ATTENTION_PANEL_ROWS];
    attention_head head;
    u32 rows, blocks, group, position; /* blocks: of 16 rows; position: of row 0's token */
} __attribute__((aligned(64))) attention_panel;

/* Keys first .. first + count - 1 as the unit takes them; what lies behind them in their blocks of 16 may be
 * anything, and so may scores with it. */
FND_INLINE void attention_panel_keys(attention_panel *a, fnd_const_act k, u32 first, u32 count) {
    u32 dim = a->head.head_dim;
    for (u32 key = 0; key < count; key += 16) {
        u64 from = attention_k_at(a->head, first + key, 0);
        u16 *to = a->k + key * dim, *rest = a->k_rest + key * dim;
        for (u32 d = 0; d < dim; d += 2, to += 32, rest += 32) {
            vec x = fnd_act_load(k, from + 16 * d), y = fnd_act_load(k, from + 16 * d + 16);
            fnd_amx_put(to, x, y);
            fnd_amx_put(rest, x - fnd_amx_round(x), y - fnd_amx_round(y));
        }
    }
}
/* Their values; zeros up to a multiple of 32 keys. */
FND_INLINE void attention_panel_values(attention_panel *a, fnd_const_act v, u32 first, u32 count) {
    u32 dim = a->head.head_dim, steps = (count + 31) / 32;
    for (u32 key = 0; key < steps * 32; key += 2) {
        u64 from = attention_v_at(a->head, first + key, 0);
        u32 to = key / 32 * 512 + key % 32 * 16;
        for (u32 d = 0; d < dim; d += 16, to += steps * 512) {
            vec x = key < count ? fnd_act_load(v, from + d) : fnd_vec_splat(0.0f);
            vec y = key + 1 < count ? fnd_act_load(v, from + dim + d) : fnd_vec_splat(0.0f);
            fnd_amx_put(a->values + to, x, y);
            fnd_amx_put(a->values_rest + to, x - fnd_amx_round(x), y - fnd_amx_round(y));
        }
    }
}

/* Scores of 1 or 2 blocks of rows with 1 or 2 blocks of keys: q k + q_rest k + q k_rest. */
FND_INLINE void attention_panel_score_block(attention_panel *a, u32 block, u32 key, const u32 blocks, const u32 keys) {
    u32 steps = a->head.head_dim / 32;
    f32 *c = a->scores + (key * a->blocks + block) * 256;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (u32 part = 0; part < 3; part++) {
        const u16 *q = (part == 1 ? a->q_rest : a->q) + block * steps * 512, *k = (part == 2 ? a->k_rest : a->k) + key * steps * 512;
        for (u32 step = 0; step < steps; step++, q += 512, k += 512) {
            _tile_loadd(4, q, 64);
            _tile_loadd(6, k, 64);
            _tile_dpbf16ps(0, 4, 6);
            if (keys > 1) {
                _tile_loadd(7, k + steps * 512, 64);
                _tile_dpbf16ps(1, 4, 7);
            }
            if (blocks > 1) {
                _tile_loadd(5, q + steps * 512, 64);
                _tile_dpbf16ps(2, 5, 6);
                if (keys > 1) _tile_dpbf16ps(3, 5, 7);
            }
        }
    }
    _tile_stored(0, c, 64);
    if (keys > 1) _tile_stored(1, c + a->blocks * 256, 64);
    if (blocks > 1) _tile_stored(2, c + 256, 64);
    if (blocks > 1 && keys > 1) _tile_stored(3, c + a->blocks * 256 + 256, 64);
}
static __attribute__((noinline, unused)) void attention_panel_score(attention_panel *a, u32 count) {
    u32 groups = (count + 15) / 16;
    for (u32 key = 0; key < groups; key += 2) {
        for (u32 block = 0; block < a->blocks; block += 2) {
            if (block + 1 < a->blocks && key + 1 < groups)
                attention_panel_score_block(a, block, key, 2, 2);
            else if (block + 1 < a->blocks)
                attention_panel_score_block(a, block, key, 2, 1);
            else if (key + 1 < groups)
                attention_panel_score_block(a, block, key, 1, 2);
            else
                attention_panel_score_block(a, block, key, 1, 1);
        }
    }
}

/* Scores to weights, and older sums of values to the new maximum. */
FND_INLINE void attention_panel_weigh(attention_panel *a, u32 first, u32 count) {
    u32 groups = (count + 31) / 32 * 2, steps = groups / 2;
    for (u32 r = 0; r < a->blocks * 16; r++) {
        u32 end = r < a->rows ? a->position + r / a->group + 1 : 0, n = end > first ? fnd_min(count, end - first) : 0;
        const f32 *scores = a->scores + r * 16;
        vec s[ATTENTION_PANEL_KEYS / 16], most = fnd_vec_splat(a->most[r]), sum;
        for (u32 i = 0; i < groups; i++) {
            __mmask16 seen = n >= 16 * i + 16 ? 0xffff : n > 16 * i ? (__mmask16)((1u << (n - 16 * i)) - 1u) : 0;
            s[i] = (vec)_mm512_mask_loadu_ps((__m512)fnd_vec_splat(ATTENTION_NONE), seen, scores + i * a->blocks * 256);
            most = fnd_vec_max(most, s[i]);
        }
        f32 now = fnd_vec_max_lane(most), shrink = fnd_exp(a->most[r] - now);
        a->most[r] = now;
        sum = a->sum[r] * shrink;
        u32 to = r / 16 * steps * 512 + r % 16 * 32;
        for (u32 i = 0; i < steps; i++) {
            vec x = fnd_vec_splat(0.0f), y = x;
            if (n > 32 * i) {
                x = fnd_vec_exp(s[2 * i] - now);
                y = fnd_vec_exp(s[2 * i + 1] - now);
                u32 seen = n - 32 * i >= 32 ? ~0u : (1u << (n - 32 * i)) - 1u; /* the least exp gives is not zero */
                x = (vec)_mm512_maskz_mov_ps((__mmask16)seen, (__m512)x);
                y = (vec)_mm512_maskz_mov_ps((__mmask16)(seen >> 16), (__m512)y);
                sum += x + y;
            }
            fnd_amx_put_halves(a->weights + to + i * 512, a->weights_rest + to + i * 512, x, y);
        }
        a->sum[r] = sum;
        if (first == 0) continue;
        for (u32 d = 0; d < a->head.head_dim / 16; d++) {
            f32 *out = a->out + (d * a->blocks * 16 + r) * 16;
            fnd_vec_store(out, fnd_vec_load(out) * shrink);
        }
    }
}

FND_INLINE void attention_panel_run(attention_panel *a, fnd_const_act k_cache, fnd_const_act v_cache, u32 end) {
    for (u32 r = 0; r < a->blocks * 16; r++) {
        a->most[r] = ATTENTION_NONE;
        a->sum[r] = fnd_vec_splat(0.0f);
    }
    for (u32 first = 0; first < end; first += ATTENTION_PANEL_KEYS) {
        u32 count = fnd_min(ATTENTION_PANEL_KEYS, end - first), steps = (count + 31) / 32;
        attention_panel_keys(a, k_cache, first, count);
        attention_panel_values(a, v_cache, first, count);
        attention_panel_score(a, count);
        attention_panel_weigh(a, first, count);
        for (u32 d = 0; d < a->head.head_dim / 16; d += 2) {
            for (u32 block = 0; block < a->blocks; block += 2) {
                for (u32 part = 0; part < 3; part++) {
                    const u16 *weights = part == 1 ? a->weights_rest : a->weights, *values = part == 2 ? a->values_rest : a->values;
                    fnd_amx_block(weights + block * steps * 512, steps * 512, values + d * steps * 512, steps * 512, a->out + (d * a->blocks + block) * 256,
                                  a->blocks * 256, steps, first + part > 0, fnd_min(2, a->blocks - block), 2);
                }
            }
        }
    }
}

FND_INLINE void attention_panels(fnd_thread t, const f32 *q, rope_params p, fnd_const_act k_cache, fnd_const_act v_cache, f32 *y, u32 pos, f32 scale,
                                 u32 tokens, u32 q_dim, u32 kv_heads, u32 head_dim) {
    u32 group = q_dim / head_dim / kv_heads, per_tile = fnd_max(fnd_min(ATTENTION_PANEL_ROWS, ATTENTION_PANEL_VALUES / head_dim / 16 * 16) / group, 1);
    u32 tiles = (tokens + per_tile - 1) / per_tile;
    rope_steps steps;
    rope_table table;
    attention_panel a;
    f32 row[256];
    rope_steps_fill(&steps, p);
    a.group = group;
    _tile_loadconfig(&fnd_tile_config);
    for (u32 item = t.group; item < tiles * kv_heads; item += t.groups) {
        /* From the end: the tiles with the most keys first, so that workers finish together. */
        u32 head = item % kv_heads, token = (tiles - 1 - item / kv_heads) * per_tile, count = fnd_min(per_tile, tokens - token);
        u64 at = (u64)token * q_dim + (u64)head * group * head_dim;
        a.head = attention_head_of(head, kv_heads, head_dim);
        a.rows = count * group;
        a.blocks = (a.rows + 15) / 16;
        a.position = pos + token;
        for (u32 m = 0; m < count; m++) {
            rope_table_fill(&table, p, &steps, a.position + m);
            for (u32 g = 0; g < group; g++) {
                u32 r = m * group + g, to = r / 16 * (head_dim / 32) * 512 + r % 16 * 32;
                rope_row(row, q + at + (u64)m * q_dim + g * head_dim, p, &table, head_dim, scale);
                for (u32 d = 0; d < head_dim; d += 32, to += 512) fnd_amx_put_halves(a.q + to, a.q_rest + to, fnd_vec_load(row + d), fnd_vec_load(row + d + 16));
            }
        }
        attention_panel_run(&a, k_cache, v_cache, a.position + count);
        for (u32 r = 0; r < a.rows; r++) {
            f32 *to = y + at + (u64)(r / group) * q_dim + r % group * head_dim, share = 1.0f / fnd_vec_sum(a.sum[r]);
            for (u32 d = 0; d < head_dim; d += 16) fnd_vec_store(to + d, fnd_vec_load(a.out + (d / 16 * a.blocks * 16 + r) * 16) * share);
        }
    }
    _tile_release();
}
#endif
#endif
