/* attention/flash.cuda.h - prefill on an NVIDIA GPU's matrix unit: rows (tokens x heads of one kv head) against 64
 * keys at a time, with the softmax kept up to date as they come (Dao et al. 2022, FlashAttention).
 *
 * A warp has 16 rows and some of the 64 keys: where there are few rows, more warps share them and put what they have
 * together at the end. Scores and results stay in registers. Queries and weights are two halves each, and where keys
 * and values are no halves in the cache so are they, so that a prompt attends as precisely as a single token does.
 * In the group's memory:
 *     q, q_rest    [rows][head_dim + 8]         f16, rotated and scaled
 *     a stage      keys [4][head_dim][16], values [64][head_dim + 8], and the rest of both where they have one: two of
 *                  them for caches of halves, which are copied while those before are used; else one
 * 8 halves behind each row, and 16-byte pieces of keys exchanged by dimension, let eight rows meet all banks. */
#ifndef ATTENTION_FLASH_CUDA_H
#define ATTENTION_FLASH_CUDA_H
#include "attention/tile.h"
#include "gemv/panel_bytes.cuda.h"
#include "mma.cuda.h"

#define FLASH_KEYS    64u
#define FLASH_MAX_DIM 128u
#define FLASH_LIFT    4096.0f /* of weights: small ones would be subnormal halves */
#define FLASH_V_LIFT  64.0f   /* likewise of values that are no halves yet */

typedef struct flash {
    fnd_const_act k_cache, v_cache;
    attention_head head;
    u8 *memory;
    u32 dim, pitch;             /* of rows of halves, in bytes */
    u32 key_bytes, value_bytes; /* of a stage */
    u32 stage_bytes, stages_at;
    u32 down, across;           /* warps down the rows, warps that share the keys */
    u32 rows, group, position, end;
} flash;

FND_INLINE u32 flash_halves(flash f) { return f.k_cache.format == FND_ACT_F16; }
FND_INLINE u8 *flash_key(flash f, u8 *stage, u32 key, u32 d) { return stage + key / 16 * f.dim * 32 + d * 32 + ((key / 8 % 2 ^ (d >> 2 & 1)) << 4) + key % 8 * 2; }
FND_INLINE u8 *flash_value(flash f, u8 *stage, u32 key, u32 d) { return stage + f.key_bytes + key * f.pitch + d * 2; }

FND_INLINE f32 flash_load(fnd_const_act cache, attention_head h, u32 position, u32 d, u32 is_key) {
    if (cache.format != FND_ACT_Q8_0) return fnd_act_get(cache, is_key ? attention_k_at(h, position, d) : attention_v_at(h, position, d));
    f32 scale = fnd_f16_to_f32(*(const u16 *)(cache.p + attention_scale_at(h, position, d)));
    return scale * (f32)(i8)cache.p[is_key ? attention_k_code(h, position, d) : attention_v_code(h, position, d)];
}
/* Two neighbours as halves, and what these leave. */
FND_INLINE void flash_put(u8 *to, u8 *rest, f32 a, f32 b) {
    u32 both = fnd_halves(a, b);
    *(u32 *)to = both;
    *(u32 *)rest = fnd_halves(a - fnd_half_low(both), b - fnd_half_high(both));
}

/* Keys first .. first + 63 into a stage. Behind `end` keys may be anything, but values are zeros. */
FND_INLINE void flash_fetch(fnd_thread t, flash f, u8 *stage, u32 first) {
    if (flash_halves(f)) {
        u32 per_block = f.dim * 2, per_row = f.dim / 8;
        for (u32 u = fnd_thread_index(t); u < FLASH_KEYS / 16 * per_block; u += FND_THREADS) {
            u32 block = u / per_block, piece = u % per_block, d = piece / 2;
            if (first + block * 16 >= f.end) continue;
            const u8 *from = f.k_cache.p + 2 * attention_k_at(f.head, first + block * 16, 0) + piece * 16;
            fnd_copy16(flash_key(f, stage, block * 16 + piece % 2 * 8, d), from, 16);
        }
        for (u32 u = fnd_thread_index(t); u < FLASH_KEYS * per_row; u += FND_THREADS) {
            u32 key = u / per_row, d = u % per_row * 8, there = first + key < f.end;
            fnd_copy16(flash_value(f, stage, key, d), f.v_cache.p + 2 * attention_v_at(f.head, there ? first + key : first, d), there ? 16 : 0);
        }
        return;
    }
    u32 rest = f.key_bytes + f.value_bytes;
    for (u32 u = fnd_thread_index(t); u < FLASH_KEYS / 2 * f.dim; u += FND_THREADS) {
        u32 key = u % 8 * 2 + u / (8 * f.dim) * 16, d = u / 8 % f.dim;
        if (first + key / 16 * 16 >= f.end) continue;
        u8 *to = flash_key(f, stage, key, d);
        flash_put(to, to + rest, flash_load(f.k_cache, f.head, first + key, d, 1), flash_load(f.k_cache, f.head, first + key + 1, d, 1));
    }
    for (u32 u = fnd_thread_index(t); u < FLASH_KEYS / 2 * f.dim; u += FND_THREADS) {
        u32 key = u / (f.dim / 2), d = u % (f.dim / 2) * 2, there = first + key < f.end;
        u8 *to = flash_value(f, stage, key, d);
        flash_put(to, to + rest, there ? FLASH_V_LIFT * flash_load(f.v_cache, f.head, first + key, d, 0) : 0.0f, there ? FLASH_V_LIFT * flash_load(f.v_cache, f.head, first + key, d + 1, 0) : 0.0f);
    }
}

/* Rows as attention_load leaves them, to halves; at the stages' place there is room for the former. */
FND_INLINE void flash_queries(fnd_thread t, flash f, const f32 *rows) {
    u32 rest = f.down * 16 * f.pitch;
    for (u32 u = fnd_thread_index(t); u < f.down * 8 * f.dim; u += FND_THREADS) {
        u32 r = u / (f.dim / 2), d = u % (f.dim / 2) * 2;
        u8 *to = f.memory + r * f.pitch + d * 2;
        flash_put(to, to + rest, r < f.rows ? rows[r * f.dim + d] : 0.0f, r < f.rows ? rows[r * f.dim + d + 1] : 0.0f);
    }
    fnd_group_barrier(t);
}

/* What a warp has of its 16 rows: a lane of rows lane / 4 and 8 more. */
typedef struct flash_sums {
    f32 out[FLASH_MAX_DIM / 8][4];
    f32 most[2], sum[2];
} flash_sums;

/* 16 or 32 keys of a stage (`blocks` of 16, a constant), from `key` on. */
FND_INLINE void flash_use(fnd_thread t, flash f, u8 *stage, u32 key, u32 first, const u32 blocks, flash_sums *o) {
    const u32 rest = f.key_bytes + f.value_bytes, q_rest = f.down * 16 * f.pitch;
    u32 row = t.warp % f.down * 16, lane_row = t.lane % 16, half = t.lane / 16;
    u8 *q = f.memory + (row + lane_row) * f.pitch + half * 16;
    f32 s[4][4], most[2], shrink[2];
    FND_PANEL_UNROLL for (u32 i = 0; i < 2 * blocks; i++) s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0.0f;
    FND_PANEL_UNROLL for (u32 k = 0; k < FLASH_MAX_DIM / 16; k++) {
        if (16 * k >= f.dim) break;
        u32 a[4], a_rest[4];
        fnd_mma_load(t, a, q + k * 32);
        fnd_mma_load(t, a_rest, q + q_rest + k * 32);
        FND_PANEL_UNROLL for (u32 i = 0; i < blocks; i++) {
            u32 b[4];
            u8 *from = flash_key(f, stage, key + 16 * i + half * 8, 16 * k + lane_row);
            fnd_mma_load_turned(t, b, from);
            fnd_mma(t, s[2 * i], a, b);
            fnd_mma(t, s[2 * i + 1], a, b + 2);
            fnd_mma(t, s[2 * i], a_rest, b);
            fnd_mma(t, s[2 * i + 1], a_rest, b + 2);
            if (flash_halves(f)) continue;
            fnd_mma_load_turned(t, b, from + rest);
            fnd_mma(t, s[2 * i], a, b);
            fnd_mma(t, s[2 * i + 1], a, b + 2);
        }
    }
    /* Row h's token sees keys up to its own position. */
    FND_PANEL_UNROLL for (u32 h = 0; h < 2; h++) {
        u32 own = f.position + (row + t.lane / 4 + 8 * h) / f.group;
        most[h] = ATTENTION_NONE;
        FND_PANEL_UNROLL for (u32 i = 0; i < 2 * blocks; i++) {
            FND_PANEL_UNROLL for (u32 n = 0; n < 2; n++) {
                u32 position = first + key + 8 * i + t.lane % 4 * 2 + n;
                if (position > own) s[i][2 * h + n] = ATTENTION_NONE;
                most[h] = fnd_fmax(most[h], s[i][2 * h + n]);
            }
        }
        most[h] = fnd_fmax(most[h], fnd_lane_xor(most[h], 1));
        most[h] = fnd_fmax(fnd_fmax(most[h], fnd_lane_xor(most[h], 2)), o->most[h]);
        shrink[h] = fnd_exp(o->most[h] - most[h]);
        o->most[h] = most[h];
        o->sum[h] *= shrink[h];
        FND_PANEL_UNROLL for (u32 i = 0; i < 2 * blocks; i++) {
            FND_PANEL_UNROLL for (u32 n = 0; n < 2; n++) {
                f32 score = s[i][2 * h + n], p = score > ATTENTION_NONE ? fnd_exp(score - most[h]) : 0.0f;
                o->sum[h] += p;
                s[i][2 * h + n] = p * FLASH_LIFT;
            }
        }
    }
    FND_PANEL_UNROLL for (u32 i = 0; i < FLASH_MAX_DIM / 8; i++) {
        FND_PANEL_UNROLL for (u32 n = 0; n < 4; n++) o->out[i][n] *= shrink[n / 2];
    }
    FND_PANEL_UNROLL for (u32 i = 0; i < blocks; i++) {
        u32 a[4], a_rest[4];
        FND_PANEL_UNROLL for (u32 n = 0; n < 4; n++) {
            f32 x = s[2 * i + n / 2][n % 2 * 2], y = s[2 * i + n / 2][n % 2 * 2 + 1];
            a[n] = fnd_halves(x, y);
            a_rest[n] = fnd_halves(x - fnd_half_low(a[n]), y - fnd_half_high(a[n]));
        }
        FND_PANEL_UNROLL for (u32 k = 0; k < FLASH_MAX_DIM / 16; k++) {
            if (16 * k >= f.dim) break;
            u32 b[4];
            u8 *from = flash_value(f, stage, key + 16 * i + lane_row, 16 * k + half * 8);
            fnd_mma_load_turned(t, b, from);
            fnd_mma(t, o->out[2 * k], a, b);
            fnd_mma(t, o->out[2 * k + 1], a, b + 2);
            fnd_mma(t, o->out[2 * k], a_rest, b);
            fnd_mma(t, o->out[2 * k + 1], a_rest, b + 2);
            if (flash_halves(f)) continue;
            fnd_mma_load_turned(t, b, from + rest);
            fnd_mma(t, o->out[2 * k], a, b);
            fnd_mma(t, o->out[2 * k + 1], a, b + 2);
        }
    }
}

/* All keys of the tile. */
FND_INLINE void flash_run(fnd_thread t, flash f, flash_sums *o) {
    u8 *stages = f.memory + f.stages_at;
    u32 mine = t.warp / f.down * (FLASH_KEYS / f.across), now = 0, two = flash_halves(f);
    FND_PANEL_UNROLL for (u32 i = 0; i < FLASH_MAX_DIM / 8; i++) o->out[i][0] = o->out[i][1] = o->out[i][2] = o->out[i][3] = 0.0f;
    FND_PANEL_UNROLL for (u32 h = 0; h < 2; h++) {
        o->most[h] = ATTENTION_NONE;
        o->sum[h] = 0.0f;
    }
    if (two) flash_fetch(t, f, stages, 0);
    fnd_copy_commit();
    for (u32 first = 0; first < f.end; first += FLASH_KEYS) {
        u8 *stage = stages + now * f.stage_bytes;
        if (!two) {
            fnd_group_barrier(t); /* the keys before have been used */
            flash_fetch(t, f, stage, first);
        }
        fnd_copy_wait(0);
        fnd_group_barrier(t);
        if (two && first + FLASH_KEYS < f.end) flash_fetch(t, f, stages + (now ^ 1) * f.stage_bytes, first + FLASH_KEYS);
        fnd_copy_commit();
        if (first + mine < f.end) {
            if (f.across == 2)
                flash_use(t, f, stage, mine, first, 2, o);
            else
                flash_use(t, f, stage, mine, first, 1, o);
        }
        if (two) now ^= 1;
    }
    fnd_group_barrier(t);
}

/* Sums of the 4 lanes of a row; then what warps with other keys have of the same rows is joined, in their order. */
FND_INLINE void flash_join(fnd_thread t, flash f, flash_sums *o) {
    const u32 each = (FLASH_MAX_DIM / 8 * 4 + 4) * FND_LANES;
    f32 *own = (f32 *)f.memory;
    FND_PANEL_UNROLL for (u32 h = 0; h < 2; h++) {
        o->sum[h] += fnd_lane_xor(o->sum[h], 1);
        o->sum[h] += fnd_lane_xor(o->sum[h], 2);
    }
    if (t.warp >= f.down) {
        f32 *to = own + (t.warp - f.down) * each + t.lane;
        FND_PANEL_UNROLL for (u32 i = 0; i < FLASH_MAX_DIM / 2; i++) to[i * FND_LANES] = o->out[i / 4][i % 4];
        FND_PANEL_UNROLL for (u32 h = 0; h < 2; h++) {
            to[(FLASH_MAX_DIM / 2 + h) * FND_LANES] = o->most[h];
            to[(FLASH_MAX_DIM / 2 + 2 + h) * FND_LANES] = o->sum[h];
        }
    }
    fnd_group_barrier(t);
    if (t.warp < f.down) {
        for (u32 w = 1; w < f.across; w++) {
            const f32 *from = own + ((w - 1) * f.down + t.warp) * each + t.lane;
            f32 left[2], right[2];
            FND_PANEL_UNROLL for (u32 h = 0; h < 2; h++) {
                f32 other = from[(FLASH_MAX_DIM / 2 + h) * FND_LANES], most = fnd_fmax(o->most[h], other);
                left[h] = fnd_exp(o->most[h] - most);
                right[h] = fnd_exp(other - most);
                o->most[h] = most;
                o->sum[h] = o->sum[h] * left[h] + from[(FLASH_MAX_DIM / 2 + 2 + h) * FND_LANES] * right[h];
            }
            FND_PANEL_UNROLL for (u32 i = 0; i < FLASH_MAX_DIM / 2; i++) o->out[i / 4][i % 4] = o->out[i / 4][i % 4] * left[i % 4 / 2] + from[i * FND_LANES] * right[i % 4 / 2];
        }
    }
}

FND_INLINE void flash_store(fnd_thread t, flash f, f32 *y, u32 pitch, const flash_sums *o) {
    if (t.warp < f.down) {
        FND_PANEL_UNROLL for (u32 h = 0; h < 2; h++) {
            u32 r = t.warp * 16 + t.lane / 4 + 8 * h;
            if (r >= f.rows) continue;
            f32 share = 1.0f / (FLASH_LIFT * (flash_halves(f) ? 1.0f : FLASH_V_LIFT) * o->sum[h]);
            f32 *to = y + (u64)(r / f.group) * pitch + r % f.group * f.dim + t.lane % 4 * 2;
            FND_PANEL_UNROLL for (u32 i = 0; i < FLASH_MAX_DIM / 8; i++) {
                if (8 * i >= f.dim) break;
                to[8 * i] = o->out[i][2 * h] * share;
                to[8 * i + 1] = o->out[i][2 * h + 1] * share;
            }
        }
    }
    fnd_group_barrier(t); /* the next tile uses the memory of this one */
}

/* Whether this way can be gone: the stages need room, the results registers. */
FND_INLINE u32 flash_fits(u32 head_dim) { return FND_FLASH_BYTES > 0 && head_dim <= FLASH_MAX_DIM; }

FND_INLINE void flash_attention(fnd_thread t, const f32 *q, rope_params p, fnd_const_act k_cache, fnd_const_act v_cache, f32 *y,
                                u32 pos, f32 scale, f32 *stats, u32 tokens, u32 q_dim, u32 kv_heads, u32 head_dim) {
    flash f;
    f.k_cache = k_cache;
    f.v_cache = v_cache;
    f.group = q_dim / head_dim / kv_heads;
    f.dim = head_dim;
    f.pitch = head_dim * 2 + 16;
    f.key_bytes = FLASH_KEYS * head_dim * 2;
    f.value_bytes = FLASH_KEYS * f.pitch;
    f.stage_bytes = (f.key_bytes + f.value_bytes) * (flash_halves(f) ? 1 : 2);
#if defined(__CUDACC__)
    f.memory = fnd_cuda_shared;
#else
    f.memory = t.scratch;
#endif
    /* Few tiles: smaller ones, whose keys more warps share. */
    f.across = 2;
    u32 per_tile = fnd_max(FND_WARPS * 8 / f.group, 1), tiles = (tokens + per_tile - 1) / per_tile;
    if (tiles * kv_heads < t.groups && f.group <= FND_WARPS * 4) {
        f.across = 4;
        per_tile = FND_WARPS * 4 / f.group;
        tiles = (tokens + per_tile - 1) / per_tile;
    }
    f.down = FND_WARPS / f.across;
    f.stages_at = 2 * f.down * 16 * f.pitch;
    for (u32 item = t.group; item < tiles * kv_heads; item += t.groups) {
        /* From the end: the tiles with the most keys first, so that groups finish together. */
        u32 head = item % kv_heads, token = (tiles - 1 - item / kv_heads) * per_tile, count = fnd_min(per_tile, tokens - token);
        u64 at = (u64)token * q_dim + (u64)head * f.group * head_dim;
        flash_sums o;
        attention_tile a;
        f.head = attention_head_of(head, kv_heads, head_dim);
        f.rows = count * f.group;
        f.position = pos + token;
        f.end = f.position + count;
        a.k_cache = k_cache;
        a.q = (f32 *)(f.memory + f.stages_at);
        a.stats = stats;
        a.head = f.head;
        a.group = f.group;
        a.rows = f.rows;
        a.position = f.position;
        attention_load(t, a, q + at, q_dim, p, scale);
        flash_queries(t, f, a.q);
        flash_run(t, f, &o);
        flash_join(t, f, &o);
        flash_store(t, f, y + at, q_dim, &o);
    }
}
#endif
