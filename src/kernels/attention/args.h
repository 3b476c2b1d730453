/* attention/args.h - arguments of the attention stages, and the layout of the KV cache.
 *
 *   K, V  [blocks, kv_heads, 16, head_dim]   F16, F32 or Q8_0 (`cache`)
 *
 * Position p is place p % 16 of block p / 16. What the block of a head looks like inside is for its
 * readers, so that one load serves:
 *
 *   floats  K  [head_dim][16]: keys run fastest, one load holds one dimension of 16 keys
 *           V  [16][head_dim]: rows, one load holds neighbouring results
 *   Q8_0    value = scale * code, one scale for 32 dimensions of a position; all codes, then all scales:
 *           K codes   [head_dim / 32][8][16][4] i8: one load holds 4 dimensions of 16 keys, as the dot
 *                     products of codes take them
 *           V codes   [head_dim / 32][16][32] i8: rows
 *           scales    [head_dim / 32][16] f16
 *
 * Places not yet written may hold anything, NaN included: they are never used. Keys are stored rotated,
 * those of codes then spread (spread.h).
 *
 * Prefill: kv_write for all tokens, then (all groups done) attention. Decode: attention_decode writes
 * the new token's key and value itself and leaves partial results per split of the keys; the next
 * kernel's prologue attention_merge joins them. attention_batch does the same for one token each of
 * several sequences, whose caches are ranges of blocks of one pool; kv_write_prompts and
 * attention_prompts are kv_write and attention for tokens of several such sequences. */
#ifndef ATTENTION_ARGS_H
#define ATTENTION_ARGS_H
#include "act.h"

/* What every stage with a cache needs. */
#define KV_RULES(X) \
    X(RULE, "2*pairs <= head_dim",  "pairs lie within a head") \
    X(RULE, "pairing <= 1",         "there are two pairings") \
    X(RULE, "head_dim % 16 == 0",   "heads are read by 16 values") \
    X(RULE, "head_dim <= 256",      "the memory of a group is made for that") \
    X(RULE, "blocks <= 134217728",  "positions are numbers of 31 bits")

/* How positions turn keys and queries (rope/angle.h). */
#define KV_ROPE(X) \
    X(VAL,   u32, pairing,  "", "RoPE: 0 (2i, 2i+1), 1 (i, i+pairs)") \
    X(VAL,   f32, mscale,   "", "RoPE: multiplies sine and cosine")

/* What is to be stored. */
#define KV_NEW(X) \
    X(IN,    f32, k,        "[tokens, kv_heads*head_dim]", "keys of the new tokens, not rotated") \
    X(IN,    f32, v,        "[tokens, kv_heads*head_dim]", "their values") \
    X(IN,    f32, inv_freq, "[pairs]",                     "radians per position for every pair")

/* Queries against keys: in whole rows of queries, or head by head with the keys split. */
#define ATTENTION_QUERY_RULES(X) \
    X(RULE, "q_dim % (kv_heads*head_dim) == 0", "heads share kv heads evenly") \
    X(RULE, "q_dim <= 16*kv_heads*head_dim", "at most 16 heads share a kv head")
#define ATTENTION_SPLIT_RULES(X) \
    X(RULE, "heads % kv_heads == 0", "heads share kv heads evenly") \
    X(RULE, "heads <= 16*kv_heads", "at most 16 heads share a kv head") \
    X(RULE, "splits <= 65536", "positions are numbers of 31 bits")

/* How scores are made, and where a group keeps what it has of a tile: rows of queries, or the heads of a token. */
#define ATTENTION_SCORES(X) \
    X(VAL,   f32, scale,    "",     "of the scores; mostly 1/sqrt(head_dim)") \
    KV_ROPE(X) \
    X(GROUP, f32, q_rows,   "4096", "rotated, scaled queries of a tile") \
    X(GROUP, f32, scores,   "2048", "scores, then weights, of a tile") \
    X(GROUP, f32, stats,    "48",   "maximum, sum, correction of its rows")

#define KV_WRITE_ARGS(X) \
    KV_RULES(X) \
    X(RULE, "pos + tokens <= 16*blocks", "every position has a place in the caches") \
    KV_NEW(X) \
    X(INOUT, cache, k_cache,  "[blocks, kv_heads, 16, head_dim] moves tokens*kv_heads*head_dim", "keys, by blocks of 16 positions") \
    X(INOUT, cache, v_cache,  "[blocks, kv_heads, 16, head_dim] moves tokens*kv_heads*head_dim", "values, by blocks of 16 positions") \
    X(VAL,   u32, pos,      "",                                                                "position of the first token") \
    KV_ROPE(X)
FND_STAGE(kv_write, KV_WRITE_ARGS, MAIN, NONE, NONE, ALL, "rotate new keys and store keys and values in the cache")

#define ATTENTION_ARGS(X) \
    KV_RULES(X) \
    X(RULE, "pos + tokens <= 16*blocks", "every position has a place in the caches") \
    ATTENTION_QUERY_RULES(X) \
    X(OPS,  "2*tokens*q_dim*(2*pos+tokens+1)", "scores, then sums of values, of the keys that each token sees") \
    X(IN,    f32, q,        "[tokens, q_dim]",                                                       "queries, not rotated; q_dim = heads*head_dim") \
    X(IN,    f32, inv_freq, "[pairs]",                                                               "radians per position for every pair") \
    X(IN,    cache, k_cache,  "[blocks, kv_heads, 16, head_dim] moves (pos+tokens)*kv_heads*head_dim", "keys of positions 0 .. pos+tokens-1") \
    X(IN,    cache, v_cache,  "[blocks, kv_heads, 16, head_dim] moves (pos+tokens)*kv_heads*head_dim", "values of the same positions") \
    X(OUT,   f32, y,        "[tokens, q_dim]",                                                       "sum of values by softmax of scores") \
    X(VAL,   u32, pos,      "",                                                                      "position of the first token") \
    ATTENTION_SCORES(X)
FND_STAGE(attention, ATTENTION_ARGS, MAIN, NONE, NONE, ALL, "causal attention of new tokens over the cache (Vaswani et al. 2017)")

#define KV_WRITE_PROMPTS_ARGS(X) \
    KV_RULES(X) \
    KV_NEW(X) \
    X(IN,    u32, prompts,  "[parts, 4]",                                                      "of each sequence: its first row here, how many, the position of the first, the block where it begins; no two overlap") \
    X(INOUT, cache, k_cache,  "[blocks, kv_heads, 16, head_dim] moves tokens*kv_heads*head_dim", "keys of all sequences") \
    X(INOUT, cache, v_cache,  "[blocks, kv_heads, 16, head_dim] moves tokens*kv_heads*head_dim", "values of all sequences") \
    KV_ROPE(X)
FND_STAGE(kv_write_prompts, KV_WRITE_PROMPTS_ARGS, MAIN, NONE, NONE, ALL, "kv_write for tokens of several sequences")

#define ATTENTION_PROMPTS_ARGS(X) \
    KV_RULES(X) \
    ATTENTION_QUERY_RULES(X) \
    X(OPS,  "4*q_dim*seen", "scores, then sums of values, of the keys that each token sees") \
    X(IN,    f32, q,        "[tokens, q_dim]",                                                   "queries of the tokens of all sequences, not rotated; q_dim = heads*head_dim") \
    X(IN,    f32, inv_freq, "[pairs]",                                                           "radians per position for every pair") \
    X(IN,    u32, prompts,  "[parts, 4]",                                                        "of each sequence: its first row here, how many, the position of the first, the block where it begins; together all rows") \
    X(IN,    cache, k_cache,  "[blocks, kv_heads, 16, head_dim] moves keys*kv_heads*head_dim",   "keys of all sequences") \
    X(IN,    cache, v_cache,  "[blocks, kv_heads, 16, head_dim] moves keys*kv_heads*head_dim",   "values of all sequences") \
    X(OUT,   f32, y,        "[tokens, q_dim]",                                                   "sum of values by softmax of scores") \
    X(VAL,   u32, keys,     "",                                                                  "positions that the sequences hold together: what is moved") \
    X(VAL,   u32, seen,     "",                                                                  "keys that the tokens see together: what is computed") \
    ATTENTION_SCORES(X)
FND_STAGE(attention_prompts, ATTENTION_PROMPTS_ARGS, MAIN, NONE, NONE, ALL, "causal attention of new tokens of several sequences, each over its range of the cache")

#define ATTENTION_DECODE_ARGS(X) \
    KV_RULES(X) \
    X(RULE, "pos < 16*blocks", "every position has a place in the caches") \
    ATTENTION_SPLIT_RULES(X) \
    X(OPS,  "4*heads*head_dim*(pos+1)", "scores, then sums of values") \
    X(IN,    f32, q,        "[1, heads*head_dim]",                                              "queries of the token, not rotated") \
    X(IN,    f32, k,        "[1, kv_heads*head_dim]",                                           "its keys, not rotated") \
    X(IN,    f32, v,        "[1, kv_heads*head_dim]",                                           "its values") \
    X(IN,    f32, inv_freq, "[pairs]",                                                          "radians per position for every pair") \
    X(INOUT, cache, k_cache,  "[blocks, kv_heads, 16, head_dim] moves (pos+1)*kv_heads*head_dim", "keys; position pos is written") \
    X(INOUT, cache, v_cache,  "[blocks, kv_heads, 16, head_dim] moves (pos+1)*kv_heads*head_dim", "values; position pos is written") \
    X(OUT,   f32, part,     "[1, heads, splits, head_dim+2]",                                   "sum of values, maximum, sum of weights") \
    X(VAL,   u32, pos,      "",                                                                 "position of the token") \
    ATTENTION_SCORES(X)
FND_STAGE(attention_decode, ATTENTION_DECODE_ARGS, MAIN, NONE, NONE, ALL, "attention of one token, split over the keys; writes its key and value")

#define ATTENTION_BATCH_ARGS(X) \
    KV_RULES(X) \
    ATTENTION_SPLIT_RULES(X) \
    X(RULE, "tokens*kv_heads*splits <= 2147483648", "they are counted in 32 bits") \
    X(OPS,  "4*heads*head_dim*keys", "scores, then sums of values") \
    X(IN,    f32, q,         "[tokens, heads*head_dim]",                                           "queries, not rotated; mostly each of another sequence") \
    X(IN,    f32, k,         "[tokens, kv_heads*head_dim]",                                        "their keys, not rotated") \
    X(IN,    f32, v,         "[tokens, kv_heads*head_dim]",                                        "their values") \
    X(IN,    f32, inv_freq,  "[pairs]",                                                            "radians per position for every pair") \
    X(IN,    u32, positions, "[tokens]",                                                           "position of each token in its sequence") \
    X(IN,    u32, firsts,    "[tokens]",                                                           "the block where the sequence begins; no two ranges overlap") \
    X(INOUT, cache, k_cache, "[blocks, kv_heads, 16, head_dim] moves keys*kv_heads*head_dim",      "keys of all sequences; those of the tokens are written") \
    X(INOUT, cache, v_cache, "[blocks, kv_heads, 16, head_dim] moves keys*kv_heads*head_dim",      "values of all sequences; those of the tokens are written") \
    X(OUT,   f32, part,      "[tokens, heads, splits, head_dim+2]",                                "sum of values, maximum, sum of weights") \
    X(VAL,   u32, keys,      "",                                                                   "positions that the tokens see together: what is moved") \
    X(VAL,   u32, writes,    "",                                                                   "1: their keys and values are written, all of other sequences; 0: they are in the caches") \
    ATTENTION_SCORES(X)
FND_STAGE(attention_batch, ATTENTION_BATCH_ARGS, MAIN, NONE, NONE, ALL, "attention of one token each of several sequences, split over the keys; writes their keys and values")

#define ATTENTION_MERGE_ARGS(X) \
    X(IN, f32, part, "[tokens, heads, splits, dim/heads + 2]", "what attention_decode or attention_batch left; dim = heads*head_dim") \
    X(RULE, "dim % heads == 0",       "rows are heads of one size") \
    X(RULE, "dim / heads % 16 == 0",  "heads are read by 16 values")
FND_STAGE(attention_merge, ATTENTION_MERGE_ARGS, PROLOGUE, NONE, ROWS, OWN, "join the splits of the keys: rows of heads * head_dim values")

#define ATTENTION_NONE (-3.0e38f) /* a score that stands for no key */
#define ATTENTION_REST (-3.1e38f) /* as the maximum of a split: it has no keys, nor has any behind it */

/* The cache as one kv head sees it. */
typedef struct attention_head {
    u64 first;  /* of this head in block 0, in values, in K and in V */
    u64 stride; /* from block to block */
    u32 head_dim;
} attention_head;

FND_INLINE attention_head attention_head_of(u32 kv_head, u32 kv_heads, u32 head_dim) {
    attention_head h;
    h.first = (u64)kv_head * head_dim * 16;
    h.stride = (u64)kv_heads * head_dim * 16;
    h.head_dim = head_dim;
    return h;
}
/* The same where the sequence begins at a block of the pool. */
FND_INLINE attention_head attention_head_from(u32 first_block, u32 kv_head, u32 kv_heads, u32 head_dim) {
    attention_head h = attention_head_of(kv_head, kv_heads, head_dim);
    h.first += (u64)first_block * h.stride;
    return h;
}
/* A token of a sequence. Both are data, so they are limited to what there is. */
typedef struct attention_place { u32 first, position; } attention_place;
FND_INLINE attention_place attention_place_of(u32 first, u32 position, u32 blocks) {
    attention_place place;
    place.first = fnd_min(first, blocks - 1);
    place.position = fnd_min(position, (blocks - place.first) * 16 - 1);
    return place;
}
/* A sequence among several: `tokens` rows from `row` on, for position .. of its range. */
typedef struct attention_prompt { u32 row, tokens, position, first; } attention_prompt;
FND_INLINE attention_prompt attention_prompt_of(const FND_GPU u32 *prompts, u32 i, u32 tokens, u32 blocks) {
    attention_place place = attention_place_of(prompts[4 * i + 3], prompts[4 * i + 2], blocks);
    attention_prompt p;
    p.first = place.first;
    p.position = place.position;
    p.row = fnd_min(prompts[4 * i], tokens);
    p.tokens = fnd_min(fnd_min(prompts[4 * i + 1], tokens - p.row), (blocks - p.first) * 16 - p.position);
    return p;
}
/* Bytes of so many values of a cache, whole blocks. */
FND_INLINE u64 attention_bytes_of(u32 format, u64 values) {
    return format == FND_ACT_Q8_0 ? values / 32 * 34 : values * (format == FND_ACT_F32 ? 4u : 2u);
}
/* Caches of floats: which value. */
FND_INLINE u64 attention_k_at(attention_head h, u32 position, u32 d) {
    return h.first + position / 16 * h.stride + (u64)d * 16 + position % 16;
}
FND_INLINE u64 attention_v_at(attention_head h, u32 position, u32 d) {
    return h.first + position / 16 * h.stride + (u64)(position % 16) * h.head_dim + d;
}
/* Caches of codes: which byte. */
FND_INLINE u64 attention_codes_at(attention_head h, u32 position) { return (h.first + position / 16 * h.stride) / 32 * 34; }
FND_INLINE u64 attention_k_code(attention_head h, u32 position, u32 d) {
    return attention_codes_at(h, position) + d / 4 * 64 + position % 16 * 4 + d % 4;
}
FND_INLINE u64 attention_v_code(attention_head h, u32 position, u32 d) {
    return attention_codes_at(h, position) + d / 32 * 512 + position % 16 * 32 + d % 32;
}
FND_INLINE u64 attention_scale_at(attention_head h, u32 position, u32 d) {
    return attention_codes_at(h, position) + (u64)h.head_dim * 16 + (d / 32 * 16 + position % 16) * 2;
}
/* Dimensions that share a scale; caches of floats have none: all of them. */
FND_INLINE u32 attention_span(u32 format, u32 head_dim) { return format == FND_ACT_Q8_0 ? 32u : head_dim; }

/* Split s of the keys of n positions: whole blocks, at least 4 of them where there are keys, so that
 * short contexts are not cut into crumbs. Late splits may be empty. */
typedef struct attention_keys { u32 first, end; } attention_keys;
FND_INLINE attention_keys attention_split(u32 n, u32 s, u32 splits) {
    u32 blocks = (n + 15) / 16, per_split = fnd_max((blocks + splits - 1) / splits, 4);
    attention_keys keys;
    keys.first = fnd_min(s * per_split * 16, n);
    keys.end = fnd_min((s + 1) * per_split * 16, n);
    return keys;
}
FND_INLINE u32 attention_split_is_empty(u32 n, u32 s, u32 splits) {
    attention_keys keys = attention_split(n, s, splits);
    return keys.first >= keys.end;
}
#endif
