/* attention/attention_decode.cuda.h - one token on an NVIDIA GPU: all heads of a kv head, up to four to a warp,
 * against a split of the keys.
 *
 * Warps do not wait for each other: each has units of 32 keys with a maximum and sums of its own, and only at the
 * end are these joined. Keys and values are asked for before the queries are there. The token's own key and value
 * stand in group memory as the cache keeps them; the group whose split ends with them stores them last. */
#ifndef ATTENTION_ATTENTION_DECODE_H
#define ATTENTION_ATTENTION_DECODE_H
#include "attention/keys.cuda.h"
#include "attention/spread.h"
#include "rope/angle.h"

FND_CHECK(FND_WARPS <= 16, "the memory of a group is made for 16 warps");
#define ATTENTION_SLACK 10.0f /* so far may a score exceed what stands for the maximum, before sums are scaled anew */

/* What all heads of a token have in common, and which kv head it is about. */
typedef struct attention_token {
    const FND_GPU f32 *q, *k, *v; /* [.., group, head_dim], [.., head_dim], [.., head_dim] */
    FND_GPU f32 *part;            /* [.., group, splits, head_dim + 2] */
    u32 row;                      /* of the four: token * kv_heads + kv head */
    fnd_act k_cache, v_cache;
    rope_params p;
    f32 scale;
    u32 head_dim, group, kv_heads, position, splits;
    u32 first;                    /* the block where its sequence begins */
    u32 writes;                   /* its key and value are to be written */
} attention_token;

FND_INLINE attention_head attention_head_at(attention_token n) { return attention_head_from(n.first, n.row % n.kv_heads, n.kv_heads, n.head_dim); }

/* Memory of the group. */
typedef struct attention_memory {
    FND_GROUP f32 *q;       /* [chunk][head_dim][width]; later sums of values on their way, [..][head_dim] */
    FND_GROUP f32 *weights; /* [FND_WARPS][ATTENTION_UNIT][ATTENTION_HEADS]; later maxima and sums of weights */
    FND_GROUP f32 *fresh;   /* the token's key and value as the cache keeps them, 256 each, then 8 scales each, then what is needed again at the end, then
                             [FND_WARPS][ATTENTION_HEADS] what stands for the maximum */
} attention_memory;
#define ATTENTION_FRESH (532u + FND_WARPS * ATTENTION_HEADS)

/* Heads by chunks: a warp has one of them. Of long heads fewer, as each takes more sums. */
typedef struct attention_chunks { u32 count, each, width; } attention_chunks; /* width: room for each */
FND_INLINE attention_chunks attention_chunks_of(u32 group, u32 dim) {
    attention_chunks c;
    c.width = dim > 128 && FND_WARPS >= 8 ? ATTENTION_HEADS / 2 : ATTENTION_HEADS;
    c.count = (group + c.width - 1) / c.width;
    c.each = (group + c.count - 1) / c.count;
    return c;
}

/* Split s of the keys of n positions, in whole units. A split costs the kernel behind this one as much as some keys
 * cost here, so with n there are more splits, and longer ones. Late splits may be empty. */
FND_INLINE attention_keys attention_share(u32 n, u32 s, u32 splits, u32 kv_heads) {
    u32 units = (n + ATTENTION_UNIT - 1) / ATTENTION_UNIT, least = (u32)(0.35f * fnd_sqrt((f32)units * (f32)kv_heads)) + 1;
    u32 per_split = fnd_max((units + splits - 1) / splits, least), used = (units + per_split - 1) / per_split;
    attention_keys keys;
    keys.first = s < used ? s * per_split * ATTENTION_UNIT : n;
    keys.end = s < used ? fnd_min((s + 1) * per_split * ATTENTION_UNIT, n) : n;
    return keys;
}

/* ---- queries, and the token's own key and value ---- */

/* As a cache of floats keeps it. */
FND_INLINE f32 attention_kept(u32 format, f32 v) { return format == FND_ACT_F16 ? fnd_f16_to_f32(fnd_f32_to_f16(v)) : v; }

/* Where dimension d of head g stands; head `group` is the key. */
FND_INLINE FND_GROUP f32 *attention_row_at(attention_memory mem, attention_chunks c, u32 group, u32 dim, u32 g, u32 d) {
    return g < group ? mem.q + (g / c.each * dim + d) * c.width + g % c.each : mem.fresh + d;
}

/* 32 values of caches of codes, by one warp: queries and the key spread, key and value rounded. */
FND_INLINE void attention_prepare_codes(fnd_thread t, attention_token n, attention_memory mem, attention_chunks c, u32 fresh) {
    u32 dim = n.head_dim, parts = dim / 32, k_codes = n.k_cache.format == FND_ACT_Q8_0, v_codes = n.v_cache.format == FND_ACT_Q8_0;
    FND_ROLLED for (u32 u = t.warp; u < parts * (n.group + 2 * fresh); u += FND_WARPS) {
        u32 g = u / parts, part = u % parts, is_value = g > n.group;
        FND_GROUP f32 *at = is_value ? mem.fresh + 256 + part * 32 + t.lane : attention_row_at(mem, c, n.group, dim, g, part * 32 + t.lane);
        f32 v[1];
        v[0] = *at;
        if (!is_value && k_codes) attention_spread_lanes(t, v);
        if (g >= n.group && (is_value ? v_codes : k_codes)) {
            f32 most = fnd_lane_max(fnd_fabs(v[0])), scale = fnd_f16_to_f32(fnd_f32_to_f16(most / 127.0f));
            v[0] = scale * fnd_round(v[0] * (most > 0.0f ? 127.0f / most : 0.0f));
            if (t.lane == 0) mem.fresh[512 + 8 * is_value + part] = scale;
        }
        *at = v[0];
    }
    fnd_group_barrier(t);
}

/* Rotate and scale the queries, and (fresh) the key. Ends with a barrier. */
FND_INLINE void attention_prepare(fnd_thread t, attention_token n, u32 split, attention_memory mem, attention_chunks c, u32 fresh) {
    u32 dim = n.head_dim, pairs = n.p.pairs, rows = n.group + fresh, per = pairs < FND_THREADS ? FND_THREADS / fnd_max(pairs, 1) : 1;
    u32 rest = dim - 2 * pairs;
    const FND_GPU f32 *q = n.q + (u64)n.row * n.group * dim, *k = n.k + (u64)n.row * dim, *v_row = n.v + (u64)n.row * dim;
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < pairs * per; u += FND_THREADS) {
        u32 i = u % pairs, first = rope_first(n.p, i), second = rope_second(n.p, i);
        rope_turn turn = rope_turn_of(n.p, (i32)n.position, i);
        FND_ROLLED for (u32 g = u / pairs; g < rows; g += per) {
            const FND_GPU f32 *in = g < n.group ? q + g * dim : k;
            u32 format = g < n.group ? FND_ACT_F32 : n.k_cache.format;
            f32 scale = g < n.group ? n.scale : 1.0f, v = in[first] * scale, w = in[second] * scale;
            *attention_row_at(mem, c, n.group, dim, g, first) = attention_kept(format, v * turn.cos - w * turn.sin);
            *attention_row_at(mem, c, n.group, dim, g, second) = attention_kept(format, v * turn.sin + w * turn.cos);
        }
    }
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < rows * rest; u += FND_THREADS) {
        u32 g = u / rest, d = 2 * pairs + u % rest;
        *attention_row_at(mem, c, n.group, dim, g, d) = g < n.group ? q[g * dim + d] * n.scale : attention_kept(n.k_cache.format, k[d]);
    }
    FND_ROLLED for (u32 d = fnd_thread_index(t); d < dim * fresh; d += FND_THREADS) mem.fresh[256 + d] = attention_kept(n.v_cache.format, v_row[d]);
    /* The last chunk may have fewer heads. */
    if (fnd_thread_index(t) == 0) {
        const u32 late[4] = { n.row, n.first, n.position, split };
        FND_UNROLL for (u32 i = 0; i < 4; i++) mem.fresh[528 + i] = fnd_bits_f32(late[i]);
    }
    u32 missing = c.count * c.each - n.group;
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < missing * dim; u += FND_THREADS) *attention_row_at(mem, c, c.count * c.each, dim, n.group + u / dim, u % dim) = 0.0f;
    fnd_group_barrier(t);
    if (n.k_cache.format == FND_ACT_Q8_0 || n.v_cache.format == FND_ACT_Q8_0) attention_prepare_codes(t, n, mem, c, fresh);
}

/* The token's key and value into the caches; what had to be read there has been. */
FND_INLINE void attention_store_fresh(fnd_thread t, attention_token n, attention_memory mem) {
    u32 dim = n.head_dim;
    const attention_head head = attention_head_at(n);
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < 2 * dim; u += FND_THREADS) {
        u32 is_value = u >= dim, d = is_value ? u - dim : u;
        f32 v = mem.fresh[256 * is_value + d];
        fnd_act cache = is_value ? n.v_cache : n.k_cache;
        if (cache.format == FND_ACT_Q8_0) {
            f32 scale = mem.fresh[512 + 8 * is_value + d / 32];
            cache.p[is_value ? attention_v_code(head, n.position, d) : attention_k_code(head, n.position, d)] = (u8)(i8)(i32)(scale > 0.0f ? fnd_round(v / scale) : 0.0f);
            if (d % 32 == 0) ((FND_GPU u16 *)(cache.p + attention_scale_at(head, n.position, d)))[0] = fnd_f32_to_f16(scale);
        } else {
            fnd_act_put(cache, is_value ? attention_v_at(head, n.position, d) : attention_k_at(head, n.position, d), v);
        }
    }
}

/* ---- what a warp keeps of its keys ---- */
typedef struct attention_sums {
    f32 total[ATTENTION_HEADS];        /* of weights, of this lane's keys */
    f32 values[ATTENTION_HEADS][2][4]; /* [half][4]: of this lane's dimensions */
} attention_sums;

FND_INLINE FND_GROUP f32 *attention_most_of(attention_memory mem, u32 warp) { return mem.fresh + 532 + warp * ATTENTION_HEADS; }

FND_INLINE void attention_shrink(FND_OWN attention_sums *s, u32 h, f32 shrink, u32 dim) {
    s->total[h] *= shrink;
    FND_UNROLL for (u32 i = 0; i < 8; i++) {
        if (i < 4 || dim > 128) s->values[h][i / 4][i % 4] *= shrink;
    }
}

/* To a greater maximum; all lanes say the same. */
FND_INLINE f32 attention_more(fnd_thread t, FND_OWN attention_sums *s, attention_memory mem, u32 h, f32 most, u32 dim) {
    FND_GROUP f32 *at = attention_most_of(mem, t.warp) + h;
    f32 was = *at;
    most = fnd_fmax(was, most);
    attention_shrink(s, h, fnd_exp(was - most), dim);
    fnd_warp_barrier(t);
    if (t.lane == 0) *at = most;
    return most;
}

/* The token's own key. */
FND_INLINE void attention_add_fresh(fnd_thread t, FND_OWN attention_sums *s, attention_memory mem, const FND_GROUP f32 *q, const u32 width, u32 heads, u32 dim) {
    f32 score[ATTENTION_HEADS];
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) score[h] = 0.0f;
    FND_ROLLED for (u32 d = t.lane; d < dim; d += FND_LANES) {
        attention_four of = attention_heads_of(q, d, width);
        FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) score[h] += of.of[h] * mem.fresh[d];
    }
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        if (h >= heads) continue;
        f32 all = fnd_lane_sum(score[h]), most = attention_more(t, s, mem, h, all, dim);
        score[h] = fnd_exp(all - most);
        s->total[h] += t.lane == 0 ? score[h] : 0.0f;
    }
    FND_UNROLL for (u32 half = 0; half < 2; half++) {
        u32 d = attention_v_dim(t, dim, half);
        if ((half && dim <= 128) || d >= dim || attention_v_part(t, dim)) continue;
        attention_four v = *(const FND_GROUP attention_four *)(mem.fresh + 256 + d);
        FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
            FND_UNROLL for (u32 i = 0; i < 4; i++) {
                if (h < heads) s->values[h][half][i] += score[h] * v.of[i];
            }
        }
    }
}

/* Scores of a unit to weights, in the warp's memory: that of key l from lane l. */
FND_INLINE void attention_weigh(fnd_thread t, FND_OWN attention_sums *s, attention_memory mem, FND_OWN f32 (*acc)[4], FND_GROUP attention_four *weights, u32 heads, u32 count, u32 dim) {
    f32 score[ATTENTION_HEADS], over = 0.0f;
    attention_four most = *(const FND_GROUP attention_four *)attention_most_of(mem, t.warp);
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        score[h] = ATTENTION_NONE;
        if (h >= heads) continue;
        f32 sum = attention_k_sum(t, acc[h]);
        if (t.lane < count) score[h] = sum;
        over = fnd_fmax(over, score[h] - most.of[h]);
    }
    if (fnd_lane_max(over) > ATTENTION_SLACK) {
        FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
            if (h < heads) most.of[h] = attention_more(t, s, mem, h, fnd_lane_max(score[h]), dim);
        }
    }
    attention_four w;
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        w.of[h] = h < heads && t.lane < count ? fnd_exp(score[h] - most.of[h]) : 0.0f;
        s->total[h] += w.of[h];
    }
    fnd_warp_barrier(t); /* the weights of the unit before have been used */
    weights[t.lane] = w;
    fnd_warp_barrier(t);
}

/* Where this lane's values of the keys from, from + 1 .. of the unit at position `first` stand. */
typedef struct attention_v_from {
    const FND_GPU u8 *at;
    u32 block, d, place;
} attention_v_from;
FND_INLINE attention_v_from attention_v_from_of(fnd_thread t, attention_cache c, u32 first, u32 from, const u32 half) {
    attention_v_from v;
    v.d = attention_v_dim(t, c.dim, half);
    v.d = v.d < c.dim ? v.d : 0;
    v.block = (first + from) / 16;
    v.place = from % 16 + attention_v_part(t, c.dim) * attention_v_loads(c.format);
    v.at = attention_v_block(c, v.block, v.d) + v.place * attention_v_row(c);
    return v;
}
FND_INLINE void attention_load_values(fnd_thread t, FND_OWN attention_v_parts *v, attention_cache c, u32 first, const u32 half) {
    attention_v_from now = attention_v_from_of(t, c, first, 0, half);
    FND_UNROLL for (u32 i = 0; i < 8; i++) {
        if (i < attention_v_loads(c.format)) v->data[i] = attention_v_load(c, now.at + i * attention_v_row(c));
    }
    if (c.format == FND_ACT_Q8_0) v->scales = attention_v_scales(c, now.block, now.d, now.place);
}
/* The values of a unit, one half of the dimensions; the first ones are in v already. */
FND_INLINE void attention_add_values(fnd_thread t, FND_OWN attention_sums *s, FND_OWN attention_v_parts *v, attention_cache c, const FND_GROUP attention_four *weights, u32 heads, u32 first, u32 count, const u32 half) {
    const u32 loads = attention_v_loads(c.format), step = loads * attention_v_lanes(c.dim), row = attention_v_row(c);
    const u32 end = count; /* the same for all lanes */
    weights += attention_v_part(t, c.dim) * loads;
    count -= fnd_min(attention_v_part(t, c.dim) * loads, count);
    FND_ROLLED for (u32 from = 0; from < end; from += step) {
        u32 more = from + step < end;
        attention_v_from next = attention_v_from_of(t, c, first, from + step, half);
        attention_16 scales = v->scales;
        FND_UNROLL for (u32 i = 0; i < 8; i++) {
            if (i >= loads) continue;
            attention_four of = attention_v_values(v->data[i], scales, c.format, i, from + i < count), w = weights[from + i];
            if (more) v->data[i] = attention_v_load(c, next.at + i * row);
            FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
                FND_UNROLL for (u32 k = 0; k < 4; k++) {
                    if (h < heads) s->values[h][half][k] += w.of[h] * of.of[k];
                }
            }
        }
        if (more && c.format == FND_ACT_Q8_0) v->scales = attention_v_scales(c, next.block, next.d, next.place);
    }
}

/* ---- joining warps ---- */

/* Streams 1 .. active - 1 of every chunk into stream 0. */
FND_INLINE void attention_join(fnd_thread t, FND_OWN attention_sums *s, attention_memory mem, attention_chunks c, u32 stream, u32 active, u32 dim) {
    u32 way = c.width * dim, room = 4096u / (way * c.count);
    FND_ROLLED while (active > 1) {
        u32 moves = fnd_min(active / 2, room), from = active - moves;
        if (stream >= from && stream < active) {
            FND_GROUP f32 *to = mem.q + (t.warp - from * c.count) * way, *totals = mem.weights + t.warp * ATTENTION_HEADS;
            FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
                FND_UNROLL for (u32 half = 0; half < 2; half++) {
                    u32 d = attention_v_dim(t, dim, half);
                    attention_four v;
                    FND_UNROLL for (u32 i = 0; i < 4; i++) v.of[i] = s->values[h][half][i];
                    if (h < c.each && (!half || dim > 128) && d < dim && !attention_v_part(t, dim)) *(FND_GROUP attention_four *)(to + h * dim + d) = v;
                }
                if (t.lane == 0) totals[h] = s->total[h];
            }
        }
        fnd_group_barrier(t);
        if (stream < moves) {
            const FND_GROUP f32 *of = mem.q + t.warp * way, *totals = mem.weights + (t.warp + from * c.count) * ATTENTION_HEADS;
            const FND_GROUP f32 *theirs = attention_most_of(mem, t.warp + from * c.count);
            FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
                if (h >= c.each) continue;
                f32 weight = fnd_exp(theirs[h] - attention_more(t, s, mem, h, theirs[h], dim));
                s->total[h] += weight * totals[h];
                FND_UNROLL for (u32 half = 0; half < 2; half++) {
                    u32 d = attention_v_dim(t, dim, half);
                    if ((half && dim <= 128) || d >= dim) continue;
                    attention_four v = *(const FND_GROUP attention_four *)(of + h * dim + d);
                    FND_UNROLL for (u32 i = 0; i < 4; i++) s->values[h][half][i] += weight * v.of[i];
                }
            }
        }
        active = from;
        if (active > 1) fnd_group_barrier(t);
    }
}

/* A split's result: head_dim sums of values (by weights exp(score - maximum)), maximum, sum of weights. */
FND_INLINE void attention_store_part(fnd_thread t, const FND_OWN attention_sums *s, attention_memory mem, FND_GPU f32 *part, u64 pitch, u32 heads, u32 dim) {
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        if (h >= heads) continue;
        FND_GPU f32 *to = part + h * pitch;
        FND_UNROLL for (u32 half = 0; half < 2; half++) {
            u32 d = attention_v_dim(t, dim, half);
            if ((half && dim <= 128) || d >= dim || attention_v_part(t, dim)) continue;
            FND_UNROLL for (u32 i = 0; i < 4; i++) to[d + i] = s->values[h][half][i];
        }
        if (t.lane == 0) {
            to[dim] = attention_most_of(mem, t.warp)[h];
            to[dim + 1] = s->total[h];
        }
    }
}

/* ---- a split ---- */

/* Where split `split` of the rows begins. */
FND_INLINE FND_GPU f32 *attention_part_at(attention_token n, u32 head, u32 split) {
    return n.part + (((u64)n.row * n.group + head) * n.splits + split) * (n.head_dim + 2);
}

FND_INLINE void attention_no_keys(fnd_thread t, attention_token n, u32 split) {
    u32 width = n.head_dim + 2;
    for (u32 u = fnd_thread_index(t); u < n.group * width; u += FND_THREADS) {
        u32 d = u % width;
        attention_part_at(n, u / width, split)[d] = d == width - 2 ? ATTENTION_REST : 0.0f;
    }
}

FND_INLINE void attention_some_keys(fnd_thread t, attention_token n, attention_memory mem, attention_keys keys, u32 split) {
    const u32 dim = n.head_dim, k_steps = dim / attention_k_step(n.k_cache.format);
    const attention_chunks c = attention_chunks_of(n.group, dim);
    const u32 streams = FND_WARPS / c.count, chunk = t.warp % c.count, stream = t.warp / c.count;
    const u32 fresh = n.writes && keys.end == n.position + 1, last = keys.end - fresh; /* last: end of what is read */
    const u32 loads = attention_k_loads(n.k_cache.format, dim);
    const u32 units = (last - keys.first + ATTENTION_UNIT - 1) / ATTENTION_UNIT;
    const attention_head head = attention_head_at(n);
    const attention_cache k = attention_cache_of(n.k_cache, head), v = attention_cache_of(n.v_cache, head);
    const FND_GROUP f32 *q = mem.q + chunk * dim * c.width;
    FND_GROUP attention_four *weights = (FND_GROUP attention_four *)mem.weights + t.warp * ATTENTION_UNIT;
    attention_k_parts k_parts;
    attention_v_parts v_parts;
    attention_sums s;
    v_parts.scales = attention_no_bytes();
    k_parts.scales.w[0] = k_parts.scales.w[1] = 0;
    u32 unit = stream < streams ? stream : units;
    const FND_GPU u8 *block = k.p;

    if (unit < units) {
        u32 first = keys.first + unit * ATTENTION_UNIT;
        block = attention_k_block(t, k, first, (last - 1) / 16);
        FND_UNROLL for (u32 i = 0; i < 8; i++) {
            if (i < loads) k_parts.data[i] = attention_k_load(k.format, block, i);
        }
        if (k.format == FND_ACT_Q8_0) k_parts.scales = attention_k_scales(t, k, block, 0);
        attention_ask(t, k, first / 16, fnd_min(first / 16 + 2, (last + 15) / 16));
        attention_ask(t, v, first / 16, fnd_min(first / 16 + 2, (last + 15) / 16));
    }
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        if (t.lane == 0) attention_most_of(mem, t.warp)[h] = ATTENTION_NONE;
        s.total[h] = 0.0f;
        FND_UNROLL for (u32 i = 0; i < 8; i++) s.values[h][i / 4][i % 4] = 0.0f;
    }
    attention_prepare(t, n, split, mem, c, fresh);

    FND_ROLLED for (; unit < units; unit += streams) {
        u32 first = keys.first + unit * ATTENTION_UNIT, count = fnd_min(ATTENTION_UNIT, last - first);
        f32 acc[ATTENTION_HEADS][4];
        FND_UNROLL for (u32 i = 0; i < ATTENTION_HEADS * 4; i++) acc[i / 4][i % 4] = 0.0f;
        if (unit != stream && chunk == 0) attention_ask(t, v, first / 16, fnd_min(first / 16 + 2, (last + 15) / 16));
        FND_ROLLED for (u32 from = 0; from < k_steps; from += loads) {
            /* The next of this unit, or the first of the next one. */
            u32 more = from + loads < k_steps, step = more ? from + loads : 0, loading = more || unit + streams < units;
            if (!more && loading) block = attention_k_block(t, k, first + streams * ATTENTION_UNIT, (last - 1) / 16);
            const FND_GPU u8 *at = block + step * attention_k_bytes(k.format);
            attention_8 scales = k_parts.scales;
            FND_UNROLL for (u32 i = 0; i < 8; i++) {
                if (i >= loads) continue;
                attention_k_add(t, k_parts.data[i], scales, k.format, from + i, q, c.width, c.each, acc);
                if (loading) k_parts.data[i] = attention_k_load(k.format, at, i);
            }
            if (loading && k.format == FND_ACT_Q8_0) k_parts.scales = attention_k_scales(t, k, block, step);
        }
        attention_weigh(t, &s, mem, acc, weights, c.each, count, dim);
        attention_load_values(t, &v_parts, v, first, 0);
        attention_add_values(t, &s, &v_parts, v, weights, c.each, first, count, 0);
        if (dim > 128) {
            attention_load_values(t, &v_parts, v, first, 1);
            attention_add_values(t, &s, &v_parts, v, weights, c.each, first, count, 1);
        }
    }
    if (fresh && stream == fnd_min(units, streams - 1)) attention_add_fresh(t, &s, mem, q, c.width, c.each, dim);

    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        s.total[h] = fnd_lane_sum(s.total[h]);
        FND_UNROLL for (u32 i = 0; i < 4; i++) {
            if (attention_v_lanes(dim) == 2) s.values[h][0][i] += fnd_lane_get(s.values[h][0][i], t.lane ^ 16u);
        }
    }
    fnd_group_barrier(t); /* queries and weights have been used, the caches read */
    attention_join(t, &s, mem, c, stream, fnd_min(streams, units + fresh), dim);
    /* From group memory, so that no registers are kept for them. */
    n.row = fnd_f32_bits(mem.fresh[528]);
    n.first = fnd_f32_bits(mem.fresh[529]);
    n.position = fnd_f32_bits(mem.fresh[530]);
    split = fnd_f32_bits(mem.fresh[531]);
    if (stream == 0) {
        attention_store_part(t, &s, mem, attention_part_at(n, chunk * c.each, split), (u64)n.splits * (dim + 2), fnd_min(c.each, n.group - chunk * c.each), dim);
    }
    if (fresh) attention_store_fresh(t, n, mem);
}

FND_INLINE void attention_decode_split(fnd_thread t, attention_token n, attention_memory mem, u32 split) {
    attention_keys keys = attention_share(n.position + 1, split, n.splits, n.kv_heads);
    if (keys.first < keys.end)
        attention_some_keys(t, n, mem, keys, split);
    else
        attention_no_keys(t, n, split);
}

FND_INLINE void attention_decode(fnd_thread t, const FND_GPU f32 *q, const FND_GPU f32 *k, const FND_GPU f32 *v,
                                 const FND_GPU f32 *inv_freq, fnd_act k_cache, fnd_act v_cache, FND_GPU f32 *part,
                                 u32 pos, f32 scale, u32 pairing, f32 mscale,
                                 FND_GROUP f32 *q_rows, FND_GROUP f32 *scores, FND_GROUP f32 *stats,
                                 u32 heads, u32 head_dim, u32 kv_heads, u32 pairs, u32 blocks, u32 splits) {
    (void)blocks;
    (void)stats;
    FND_GROUP_ARRAY(f32, fresh, ATTENTION_FRESH);
    attention_memory mem;
    attention_token n;
    mem.q = q_rows;
    mem.weights = scores;
    mem.fresh = fresh;
    n.p = rope_params_of(inv_freq, pairs, pairing, mscale);
    n.q = q;
    n.k = k;
    n.v = v;
    n.part = part;
    n.k_cache = k_cache;
    n.v_cache = v_cache;
    n.scale = scale;
    n.group = heads / kv_heads;
    n.kv_heads = kv_heads;
    n.head_dim = head_dim;
    n.position = pos;
    n.first = 0;
    n.splits = splits;
    n.writes = 1;
    for (u32 item = t.group; item < kv_heads * splits; item += t.groups) {
        n.row = item % kv_heads;
        if (item != t.group) fnd_group_barrier(t); /* the memory of the item before */
        attention_decode_split(t, n, mem, item / kv_heads);
    }
}
#endif
