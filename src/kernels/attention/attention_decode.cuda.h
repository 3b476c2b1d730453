/* attention/attention_decode.cuda.h - one token on an NVIDIA GPU: all heads of a kv head, up to four to a warp,
 * against a split of the keys.
 *
 * Warps do not wait for each other: each has units of 32 keys with a maximum and sums of its own, and only at the
 * end are these joined. Keys and values are asked for before the queries are there. The token's own key and value
 * stand in group memory as the cache keeps them; the group whose split ends with them stores them last. */
#ifndef ATTENTION_ATTENTION_DECODE_H
#define ATTENTION_ATTENTION_DECODE_H
#include "attention/token.cuda.h"

#define ATTENTION_SLACK 10.0f /* so far may a score exceed what stands for the maximum, before sums are scaled anew */

/* ---- what a warp keeps of its keys ---- */
typedef struct attention_sums {
    f32 total[ATTENTION_HEADS];        /* of weights, of this lane's keys */
    f32 values[ATTENTION_HEADS][2][4]; /* [half][4]: of this lane's dimensions */
} attention_sums;

FND_INLINE FND_GROUP f32 *attention_most_of(attention_memory mem, u32 warp) { return mem.fresh + 536 + warp * ATTENTION_HEADS; }

FND_INLINE void attention_shrink(FND_OWN attention_sums *s, u32 h, f32 shrink, u32 dim) {
    s->total[h] *= shrink;
    FND_UNROLL for (u32 i = 0; i < 8; i++) {
        if (i < 4 || dim > 128) s->values[h][i / 4][i % 4] *= shrink;
    }
}

/* To greater maxima, all heads at once; all lanes say the same. */
FND_INLINE attention_four attention_more(fnd_thread t, FND_OWN attention_sums *s, attention_memory mem, attention_four most, u32 heads, u32 dim) {
    FND_GROUP attention_four *at = (FND_GROUP attention_four *)attention_most_of(mem, t.warp);
    attention_four was = *at;
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        most.of[h] = h < heads ? fnd_fmax(was.of[h], most.of[h]) : was.of[h];
        if (h < heads) attention_shrink(s, h, fnd_exp(was.of[h] - most.of[h]), dim);
    }
    fnd_warp_barrier(t);
    if (t.lane == 0) *at = most;
    return most;
}

/* The token's own key. */
FND_INLINE void attention_add_fresh(fnd_thread t, FND_OWN attention_sums *s, attention_memory mem, const FND_GROUP f32 *q, const u32 width, u32 heads, u32 dim) {
    f32 score[ATTENTION_HEADS];
    attention_four all;
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) score[h] = all.of[h] = 0.0f;
    FND_ROLLED for (u32 d = t.lane; d < dim; d += FND_LANES) {
        attention_four of = attention_heads_of(q, d, width);
        FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) score[h] += of.of[h] * mem.fresh[d];
    }
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        if (h < heads) all.of[h] = fnd_lane_sum(score[h]);
    }
    attention_four most = attention_more(t, s, mem, all, heads, dim);
    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        score[h] = fnd_exp(all.of[h] - most.of[h]);
        if (h < heads) s->total[h] += t.lane == 0 ? score[h] : 0.0f;
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
        attention_four peak = most;
        FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
            if (h < heads) peak.of[h] = fnd_lane_max(score[h]);
        }
        most = attention_more(t, s, mem, peak, heads, dim);
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
            attention_four theirs = *(const FND_GROUP attention_four *)attention_most_of(mem, t.warp + from * c.count);
            attention_four most = attention_more(t, s, mem, theirs, c.each, dim);
            FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
                if (h >= c.each) continue;
                f32 weight = fnd_exp(theirs.of[h] - most.of[h]);
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

/* All splits of a kv head into its first one; the others have no keys then. */
FND_INLINE void attention_join_splits(fnd_thread t, attention_token n, attention_memory mem, u32 used) {
    const u32 dim = n.head_dim, pairs = (dim + 2) / 2, lanes = (used + FND_LANES - 1) / FND_LANES;
    FND_ROLLED for (u32 g = t.warp; g < n.group; g += FND_WARPS) {
        FND_GPU attention_pair *stats = (FND_GPU attention_pair *)(attention_part_at(n, g, 0) + dim);
        attention_pair of[ATTENTION_JOINED / FND_LANES];
        f32 most = ATTENTION_NONE, total = 0.0f;
        FND_UNROLL for (u32 k = 0; k < ATTENTION_JOINED / FND_LANES; k++) {
            of[k].of[0] = ATTENTION_NONE;
            of[k].of[1] = 0.0f;
            if (k < lanes && k * FND_LANES + t.lane < used) of[k] = stats[(u64)(k * FND_LANES + t.lane) * pairs];
        }
        FND_UNROLL for (u32 k = 0; k < ATTENTION_JOINED / FND_LANES; k++) most = fnd_fmax(most, of[k].of[0]);
        most = fnd_lane_max(most);
        FND_UNROLL for (u32 k = 0; k < ATTENTION_JOINED / FND_LANES; k++) {
            u32 s = k * FND_LANES + t.lane;
            if (s >= used) continue;
            f32 weight = fnd_exp(of[k].of[0] - most);
            total += weight * of[k].of[1];
            mem.weights[g * used + s] = weight;
            of[k].of[0] = ATTENTION_REST;
            of[k].of[1] = 0.0f;
            if (s) stats[(u64)s * pairs] = of[k];
        }
        total = fnd_lane_sum(total);
        if (t.lane == 0) {
            of[0].of[0] = most;
            of[0].of[1] = total;
            stats[0] = of[0];
        }
    }
    fnd_group_barrier(t);
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < n.group * (dim / 2); u += FND_THREADS) {
        u32 g = u / (dim / 2);
        FND_GPU attention_pair *values = (FND_GPU attention_pair *)attention_part_at(n, g, 0) + u % (dim / 2);
        const FND_GROUP f32 *weights = mem.weights + g * used;
        attention_pair sum;
        sum.of[0] = sum.of[1] = 0.0f;
        FND_ROLLED for (u32 s = 0; s < used; s += 16) {
            attention_pair of[16];
            FND_UNROLL for (u32 k = 0; k < 16; k++) of[k] = values[(u64)fnd_min(s + k, used - 1) * pairs];
            FND_UNROLL for (u32 k = 0; k < 16; k++) {
                f32 weight = s + k < used ? weights[s + k] : 0.0f;
                sum.of[0] += weight * of[k].of[0];
                sum.of[1] += weight * of[k].of[1];
            }
        }
        values[0] = sum;
    }
}

/* Split `split`; joined: how many groups join theirs, or 0. */
FND_INLINE void attention_some_keys(fnd_thread t, attention_token n, attention_memory mem, attention_keys keys, u32 split, u32 joined) {
    const u32 dim = n.head_dim, k_steps = dim / attention_k_step(n.k_cache.format);
    const attention_chunks c = attention_chunks_of(n.group, dim);
    const u32 streams = FND_WARPS / c.count, chunk = t.warp % c.count, stream = t.warp / c.count;
    const u32 fresh = n.writes && keys.end == n.position + 1, last = keys.end - fresh; /* last: end of what is read */
    const u32 loads = attention_k_loads(n.k_cache.format, dim);
    const attention_head head = attention_head_at(n);
    const attention_cache k = attention_cache_of(n.k_cache, head), v = attention_cache_of(n.v_cache, head);
    const FND_GROUP f32 *q = mem.q + chunk * dim * c.width;
    FND_GROUP attention_four *weights = (FND_GROUP attention_four *)mem.weights + t.warp * ATTENTION_UNIT;
    attention_k_parts k_parts;
    attention_v_parts v_parts;
    attention_sums s;
    v_parts.scales = attention_no_bytes();
    k_parts.scales.w[0] = k_parts.scales.w[1] = 0;
    u32 first = stream < streams ? keys.first + stream * ATTENTION_UNIT : last;
    const FND_GPU u8 *block = k.p;

    if (first < last) {
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
    attention_prepare(t, n, keys, split, joined, mem, c, fresh);

    u32 again = 0;
    FND_ROLLED for (; first < last; first += streams * ATTENTION_UNIT) {
        u32 count = fnd_min(ATTENTION_UNIT, last - first);
        f32 acc[ATTENTION_HEADS][4];
        FND_UNROLL for (u32 i = 0; i < ATTENTION_HEADS * 4; i++) acc[i / 4][i % 4] = 0.0f;
        if (again && chunk == 0) attention_ask(t, v, first / 16, fnd_min(first / 16 + 2, (last + 15) / 16));
        FND_ROLLED for (u32 from = 0; from < k_steps; from += loads) {
            /* The next of this unit, or the first of the next one. */
            u32 more = from + loads < k_steps, step = more ? from + loads : 0, loading = more || first + streams * ATTENTION_UNIT < last;
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
        again = 1;
    }
    /* From group memory, so that no registers are kept for them. */
    const u32 writes = fnd_f32_bits(mem.fresh[533]), units = fnd_f32_bits(mem.fresh[534]);
    if (writes && stream == fnd_min(units, streams - 1)) attention_add_fresh(t, &s, mem, q, c.width, c.each, dim);

    FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
        s.total[h] = fnd_lane_sum(s.total[h]);
        FND_UNROLL for (u32 i = 0; i < 4; i++) {
            if (attention_v_lanes(dim) == 2) s.values[h][0][i] += fnd_lane_get(s.values[h][0][i], t.lane ^ 16u);
        }
    }
    fnd_group_barrier(t); /* queries and weights have been used, the caches read */
    attention_join(t, &s, mem, c, stream, fnd_min(streams, units + writes), dim);
    n.row = fnd_f32_bits(mem.fresh[528]);
    n.first = fnd_f32_bits(mem.fresh[529]);
    n.position = fnd_f32_bits(mem.fresh[530]);
    split = fnd_f32_bits(mem.fresh[531]);
    joined = fnd_f32_bits(mem.fresh[532]);
    if (stream == 0) {
        attention_store_part(t, &s, mem, attention_part_at(n, chunk * c.each, split), (u64)n.splits * (dim + 2), fnd_min(c.each, n.group - chunk * c.each), dim);
    }
    if (writes) attention_store_fresh(t, n, mem);
    if (joined && fnd_last_group(t, n.row, joined)) attention_join_splits(t, n, mem, joined);
}

FND_INLINE void attention_decode_split(fnd_thread t, attention_token n, attention_memory mem, u32 split) {
    attention_cut c = attention_cut_of(n);
    if (split < c.used) {
        attention_some_keys(t, n, mem, attention_share(n, c, split), split, c.joined ? c.used : 0);
    } else {
        attention_no_keys(t, n, split);
    }
}

FND_INLINE void attention_decode(fnd_thread t, const FND_GPU f32 *q, const FND_GPU f32 *k, const FND_GPU f32 *v,
                                 const FND_GPU f32 *inv_freq, fnd_act k_cache, fnd_act v_cache, FND_GPU f32 *part,
                                 u32 pos, f32 scale, u32 pairing, f32 mscale,
                                 FND_GROUP f32 *q_rows, FND_GROUP f32 *scores, FND_GROUP f32 *stats,
                                 u32 heads, u32 head_dim, u32 kv_heads, u32 pairs, u32 blocks, u32 splits) {
    (void)blocks;
    (void)stats;
    FND_GROUP_ARRAY(f32, fresh, ATTENTION_FRESH);
    attention_memory mem = attention_memory_of(q_rows, scores, fresh);
    attention_token n = attention_token_of(q, k, v, k_cache, v_cache, part, rope_params_of(inv_freq, pairs, pairing, mscale), scale, heads, head_dim, kv_heads, splits);
    n.position = pos;
    n.first = 0;
    n.writes = 1;
    FND_ROLLED for (u32 item = t.group; item < kv_heads * splits; item += t.groups) {
        n.row = item % kv_heads;
        if (item != t.group) fnd_group_barrier(t); /* the memory of the item before */
        attention_decode_split(t, n, mem, item / kv_heads);
    }
}
#endif
