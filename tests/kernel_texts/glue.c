/* glue.c - see glue.h. Compiled at run time with -Isrc/kernels -Itests; with FND_GENERIC the portable
 * texts are taken, else those for the CPU. */
#include "fnd_device.h"

#include "policy/f32/f32.h"
#include "policy/q8_0/q8_0.h"
#define POLICY f32
#include "embed/embed.h"
#undef POLICY
#define POLICY q8_0
#include "embed/embed.h"
#undef POLICY
#include "elementwise/take.h"
#include "gemv/rows.h"
#include "norm/put_rows.h"
#include "rope/rope.h"
#include "attention/attention_merge.h"
#include "attention/kv_shift.h"
#ifdef FND_GENERIC
#include "attention/attention.h"
#include "attention/attention_decode.h"
#include "attention/kv_write.h"
#else
#include "attention/attention.cpu.h"
#include "attention/attention_decode.cpu.h"
#include "attention/kv_write.cpu.h"
#endif
#include "elementwise/create.h"
#include "norm/softmax.h"
#include "sample/argmax.h"
#include "sample/penalize.h"
#include "sample/sample.h"
#include "sample/typical.h"

#include "kernel_texts/glue.h"

#define DECLARE(name, signature) void name signature;
KT_CALLS(DECLARE)

#define EACH_GROUP(t, count) \
    for (fnd_thread t = { .groups = (count) }; t.group < (count); t.group++)

static fnd_const_act in(kt_act a) { return fnd_in(a.p, a.format); }
static fnd_act out(kt_act a) { return fnd_out(a.p, a.format); }

void kt_embed(u32 groups, u32 policy, kt_act y, const u32 *ids, const void *w, const u32 dims[3]) {
    fnd_weight weight = { .data = w };
    EACH_GROUP(t, groups) {
        if (policy == 0)
            f32_embed(t, out(y), ids, weight, dims[0], dims[1], dims[2]);
        else
            q8_0_embed(t, out(y), ids, weight, dims[0], dims[1], dims[2]);
    }
}
void kt_take(kt_act x, f32 factor, f32 *y, u32 tokens, u32 rows_) {
    for (u32 m = 0; m < tokens; m++) {
        for (u32 i = 0; i < rows_; i += FND_VALS) {
            fnd_at at = { i, fnd_min(FND_VALS, rows_ - i), m, 1 };
            fnd_val_store(fnd_out((u8 *)y, FND_ACT_F32), (u64)m * rows_ + i, scale(take(at, in(x), tokens, rows_), at, factor), at);
        }
    }
}
void kt_rows(kt_act x, kt_act y, f32 *row, int softmaxed, u32 tokens, u32 dim) {
    fnd_thread t = { .groups = 1 };
    for (u32 m = 0; m < tokens; m++) {
        rows(t, row, m, in(x), tokens, dim);
        if (softmaxed) softmax(t, row, m, in(x), tokens, dim);
        put_rows(t, row, m, out(y), tokens, dim);
    }
}
void kt_rope_stage(u32 groups, kt_act x, const i32 *positions, kt_rope r, const u32 dims[3]) {
    EACH_GROUP(t, groups)
    rope(t, out(x), positions, r.inv_freq, r.pairing, r.mscale, dims[0], dims[1], dims[2], r.pairs);
}
void kt_sincos(i32 position, f32 frequency, f32 result[2]) {
    rope_turn turn = rope_sincos((u64)(i64)position * rope_step(frequency));
    result[0] = turn.sin;
    result[1] = turn.cos;
}
/* The format of a cache is a constant of the text, as composed kernels have it. */
#define WITH_CACHE(in_or_out, c, call) \
    EACH_GROUP(t, groups) { \
        if (c.format == FND_ACT_F16) call(in_or_out(c.k, FND_ACT_F16), in_or_out(c.v, FND_ACT_F16)); \
        if (c.format == FND_ACT_F32) call(in_or_out(c.k, FND_ACT_F32), in_or_out(c.v, FND_ACT_F32)); \
        if (c.format == FND_ACT_Q8_0) call(in_or_out(c.k, FND_ACT_Q8_0), in_or_out(c.v, FND_ACT_Q8_0)); \
    }

void kt_kv_write(u32 groups, kt_qkv a, kt_rope r, kt_cache c) {
#define CALL(k_, v_) kv_write(t, a.k, a.v, r.inv_freq, k_, v_, a.pos, r.pairing, r.mscale, a.tokens, c.kv_heads, c.head_dim, r.pairs, c.blocks)
    WITH_CACHE(fnd_out, c, CALL)
#undef CALL
}

static f32 group_q[4096], group_scores[2048], group_stats[48];

void kt_attention(u32 groups, kt_qkv a, kt_rope r, kt_cache c, f32 *y) {
#define CALL(k_, v_) \
    attention(t, a.q, r.inv_freq, k_, v_, y, a.pos, a.scale, r.pairing, r.mscale, group_q, group_scores, group_stats, a.tokens, \
              a.heads *c.head_dim, r.pairs, c.blocks, c.kv_heads, c.head_dim)
    WITH_CACHE(fnd_in, c, CALL)
#undef CALL
}
void kt_attention_decode(u32 groups, kt_qkv a, kt_rope r, kt_cache c, f32 *part, u32 splits) {
#define CALL(k_, v_) \
    attention_decode(t, a.q, a.k, a.v, r.inv_freq, k_, v_, part, a.pos, a.scale, r.pairing, r.mscale, group_q, group_scores, group_stats, \
                     a.heads, c.head_dim, c.kv_heads, r.pairs, c.blocks, splits)
    WITH_CACHE(fnd_out, c, CALL)
#undef CALL
}
void kt_attention_merge(const f32 *part, f32 *result, const u32 dims[4]) {
    fnd_thread t = { .groups = 1 };
    for (u32 m = 0; m < dims[0]; m++) {
        attention_merge(t, result + (u64)m * dims[3], m, part, dims[0], dims[1], dims[2], dims[3]);
    }
}
void kt_argmax(u32 groups, const f32 *logits, u32 tokens, u32 vocab, u32 slices, u32 *id) {
    static f32 best[4096];
    static u32 best_id[4096];
    EACH_GROUP(t, groups)
    argmax_partial(t, logits, best, best_id, tokens, vocab, slices);
    EACH_GROUP(t, groups)
    argmax_pick(t, best, best_id, id, tokens, slices);
}
void kt_create(u32 groups, kt_act y, i32 *whole, u32 what, const u32 n[4]) {
    EACH_GROUP(t, groups) {
        if (what == 0) arange(t, out(y), -2.5f, 0.25f, n[0]);
        if (what == 1) arange_i32(t, whole, 100, -3, n[0]);
        if (what == 2) fill(t, out(y), 0.75f, n[0], n[1]);
        if (what == 3) ones(t, out(y), n[0], n[1]);
        if (what == 4) random_uniform(t, out(y), n[2], n[3], 7, n[0], n[1]);
    }
}
void kt_kv_rearrange(u32 groups, kt_act x, kt_act y, const u32 dims[3]) {
    EACH_GROUP(t, groups)
    kv_rearrange(t, in(x), out(y), dims[0], dims[1], dims[2]);
}
void kt_penalize(u32 groups, const f32 *logits, u32 vocab, kt_places p, const f32 penalties[3], f32 *adjusted) {
    EACH_GROUP(t, groups)
    sample_penalize(t, logits, p.ids, p.counts, p.bias, adjusted, penalties[0], penalties[1], penalties[2], vocab, p.places);
}
void kt_typical(u32 groups, f32 *kept, u32 slices, u32 per_slice, u32 top_k, f32 typical_p) {
    static u32 sums[2048];
    EACH_GROUP(t, groups)
    sample_typical(t, kept, top_k, typical_p, sums, slices, per_slice);
}
void kt_kv_shift(u32 groups, kt_rope r, kt_cache c, const u32 n[3]) {
#define CALL(k_, v_) kv_shift(t, r.inv_freq, k_, v_, n[0], n[1], n[2], r.pairing, r.pairs, c.blocks, c.kv_heads, c.head_dim)
    WITH_CACHE(fnd_out, c, CALL)
#undef CALL
}
void kt_sample_token(u32 groups, const f32 *logits, u32 vocab, u32 slices, u32 near_count, kt_sample s, u32 *id) {
    static f32 kept[1 << 20], near_logits[1 << 20];
    static u32 kept_ids[1 << 20], near_ids[1 << 20], sums[2048];
    u32 per_slice = s.top_k ? s.top_k : (vocab + slices - 1) / slices;
    EACH_GROUP(t, groups)
    sample_partial(t, logits, kept, kept_ids, sums, vocab, slices, per_slice);
    EACH_GROUP(t, groups) {
        sample_pick(t, kept, kept_ids, near_logits, near_ids, id, s.top_k, s.top_p, s.min_p, s.temperature, s.seed, s.seed_high, s.position,
                    sums, slices, per_slice, near_count);
    }
}
