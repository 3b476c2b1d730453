/* attention/keys.cuda.h - the KV cache as a warp of an NVIDIA GPU reads it (its layout: attention/args.h).
 *
 * 32 keys, two blocks, are a unit. A lane has 4 of them and loads one dimension at a time, of codes 4: so four
 * lanes have other dimensions of the same keys, and each block's 16 lanes load 128 or 256 bytes together, a step.
 * Of values a lane loads 4 dimensions of a key at a time, and where a head has up to 64, a warp two keys.
 * Few values a lane are few sums a lane: 17 warps have 96 registers each. */
#ifndef ATTENTION_KEYS_CUDA_H
#define ATTENTION_KEYS_CUDA_H
#include "attention/args.h"

#define ATTENTION_HEADS 4u  /* that a warp has at once */
#define ATTENTION_UNIT  32u /* keys that a warp has at once */

typedef struct FND_ALIGNED(4)  attention_4  { u32 w[1]; } attention_4;
typedef struct FND_ALIGNED(8)  attention_8  { u32 w[2]; } attention_8;
typedef struct FND_ALIGNED(16) attention_16 { u32 w[4]; } attention_16;
typedef struct FND_ALIGNED(8)  attention_pair { f32 of[2]; } attention_pair;
typedef struct FND_ALIGNED(16) attention_four { f32 of[4]; } attention_four; /* one of each head, or of 4 dimensions */

FND_INLINE attention_16 attention_no_bytes(void) {
    attention_16 v;
    v.w[0] = v.w[1] = v.w[2] = v.w[3] = 0;
    return v;
}
FND_INLINE attention_16 attention_load_8(const FND_GPU u8 *p) {
    attention_8 two = *(const FND_GPU attention_8 *)p;
    attention_16 v;
    v.w[0] = two.w[0];
    v.w[1] = two.w[1];
    v.w[2] = v.w[3] = 0;
    return v;
}
FND_INLINE f32 attention_half_of(u32 word, u32 i) { return fnd_f16_to_f32((u16)(i ? word >> 16 : word)); }
FND_INLINE f32 attention_code_of(u32 word, u32 i) { return (f32)(i8)(word >> 8 * i); }

/* Values i of `width` (2 or 4) heads. */
FND_INLINE attention_four attention_heads_of(const FND_GROUP f32 *p, u32 i, const u32 width) {
    if (width == 4) return ((const FND_GROUP attention_four *)p)[i];
    attention_pair two = ((const FND_GROUP attention_pair *)p)[i];
    attention_four v;
    v.of[0] = two.of[0];
    v.of[1] = two.of[1];
    v.of[2] = v.of[3] = 0.0f;
    return v;
}

/* One kv head of a cache, in bytes. */
typedef struct attention_cache {
    const FND_GPU u8 *p; /* of its part of block 0 */
    u64 stride;          /* from block to block */
    u32 format, dim;
} attention_cache;

FND_INLINE attention_cache attention_cache_of(fnd_act cache, attention_head h) {
    attention_cache c;
    c.p = cache.p + attention_bytes_of(cache.format, h.first);
    c.stride = attention_bytes_of(cache.format, h.stride);
    c.format = cache.format;
    c.dim = h.head_dim;
    return c;
}
/* Ask for the blocks first .. end - 1 before they are used: a lane has every 64th of 64 bytes. */
FND_INLINE void attention_ask(fnd_thread t, attention_cache c, u32 first, u32 end) {
    u32 bytes = (u32)attention_bytes_of(c.format, (u64)c.dim * 16);
    FND_ROLLED for (u32 block = first; block < end; block++) {
        FND_ROLLED for (u32 at = t.lane * 64; at < bytes; at += FND_LANES * 64) fnd_prefetch(c.p + block * c.stride + at);
    }
}

/* ---- keys ---- */

/* A lane's dimension (the first of them) in step 0; dimensions and bytes of a step; loads in flight. */
FND_INLINE u32 attention_k_dim(fnd_thread t, u32 format) { return (t.lane & 3u) * (format == FND_ACT_Q8_0 ? 4 : 1); }
FND_INLINE u32 attention_k_step(u32 format) { return format == FND_ACT_Q8_0 ? 16u : 4u; }
FND_INLINE u32 attention_k_bytes(u32 format) { return format == FND_ACT_F16 ? 128u : 256u; }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
  #define ATTENTION_K_LOADS 4u /* with more, compilers for older GPUs run out of registers */
#else
  #define ATTENTION_K_LOADS 8u
#endif
FND_INLINE u32 attention_k_loads(u32 format, u32 dim) { return format == FND_ACT_Q8_0 ? 2u : format == FND_ACT_F16 && dim % 32 == 0 ? ATTENTION_K_LOADS : 4u; }

/* Where a lane's share of the unit at position `first` begins; `last` is the last block that may be read. */
FND_INLINE const FND_GPU u8 *attention_k_block(fnd_thread t, attention_cache c, u32 first, u32 last) {
    return c.p + fnd_min(first / 16 + t.lane / 16, last) * c.stride + ((t.lane & 3u) * 4 + (t.lane >> 2 & 3u)) * attention_k_bytes(c.format) / 16;
}
/* What is on its way: the next steps, and the scales of codes, which two steps share. */
typedef struct attention_k_parts {
    attention_16 data[8];
    attention_8 scales; /* of 4 keys, f16 */
} attention_k_parts;

FND_INLINE attention_16 attention_k_load(u32 format, const FND_GPU u8 *block, u32 step) {
    const FND_GPU u8 *at = block + step * attention_k_bytes(format);
    if (format == FND_ACT_F16) return attention_load_8(at);
    return *(const FND_GPU attention_16 *)at;
}
FND_INLINE attention_8 attention_k_scales(fnd_thread t, attention_cache c, const FND_GPU u8 *block, u32 step) {
    return *(const FND_GPU attention_8 *)(block + c.dim * 16 - (t.lane & 3u) * 64 - (t.lane >> 2 & 3u) * 8 + step * 16);
}

/* Products with the queries q ([head_dim][width], `heads` of them), added to acc. */
FND_INLINE void attention_k_add(fnd_thread t, attention_16 data, attention_8 scales, u32 format, u32 step, const FND_GROUP f32 *q, const u32 width, u32 heads, FND_OWN f32 (*acc)[4]) {
    q += (attention_k_dim(t, format) + step * attention_k_step(format)) * width;
    FND_UNROLL for (u32 i = 0; i < 4; i++) {
        if (i && format != FND_ACT_Q8_0) continue;
        attention_four of = attention_heads_of(q, i, width);
        FND_UNROLL for (u32 j = 0; j < 4; j++) {
            f32 key = fnd_bits_f32(data.w[j]);
            if (format == FND_ACT_F16) key = attention_half_of(data.w[j / 2], j % 2);
            if (format == FND_ACT_Q8_0) key = attention_half_of(scales.w[j / 2], j % 2) * attention_code_of(data.w[j], i);
            FND_UNROLL for (u32 h = 0; h < ATTENTION_HEADS; h++) {
                if (h < heads) acc[h][j] += of.of[h] * key;
            }
        }
    }
}
/* Sums over the lanes that share keys: lane l gets that of key l of the unit. */
FND_INLINE f32 attention_k_sum(fnd_thread t, const FND_OWN f32 *acc) {
    u32 upper = t.lane & 2u, odd = t.lane & 1u;
    f32 low = (upper ? acc[2] : acc[0]) + fnd_lane_get(upper ? acc[0] : acc[2], t.lane ^ 2u);
    f32 high = (upper ? acc[3] : acc[1]) + fnd_lane_get(upper ? acc[1] : acc[3], t.lane ^ 2u);
    return (odd ? high : low) + fnd_lane_get(odd ? low : high, t.lane ^ 1u);
}

/* ---- values ---- */

FND_INLINE u32 attention_v_loads(u32 format) { return format == FND_ACT_F32 ? 4u : 8u; } /* in flight: neighbouring keys */
FND_INLINE u32 attention_v_lanes(u32 dim) { return dim <= 64 ? 2u : 1u; }                 /* parts of a warp, each with keys of its own */
/* A lane's 4 dimensions of the first 128 (half 0) or the others; may lie behind head_dim. */
FND_INLINE u32 attention_v_dim(fnd_thread t, u32 dim, u32 half) { return 128 * half + 4 * (dim <= 64 ? t.lane & 15u : t.lane); }
FND_INLINE u32 attention_v_part(fnd_thread t, u32 dim) { return dim <= 64 ? t.lane / 16 : 0; }

/* What is on its way: 4 dimensions of 8 keys, and of codes their scales, f16. */
typedef struct attention_v_parts {
    attention_16 data[8], scales;
} attention_v_parts;

/* Dimensions d .. d + 3 of the value at place 0 of a block; bytes from place to place. */
FND_INLINE const FND_GPU u8 *attention_v_block(attention_cache c, u32 block, u32 d) {
    u32 at = c.format == FND_ACT_F32 ? d * 4 : c.format == FND_ACT_F16 ? d * 2 : d / 32 * 512 + d % 32;
    return c.p + block * c.stride + at;
}
FND_INLINE u32 attention_v_row(attention_cache c) { return c.format == FND_ACT_F32 ? c.dim * 4 : c.format == FND_ACT_F16 ? c.dim * 2 : 32; }
/* Scales of 8 keys, the first at `place`. */
FND_INLINE attention_16 attention_v_scales(attention_cache c, u32 block, u32 d, u32 place) {
    return *(const FND_GPU attention_16 *)(c.p + block * c.stride + c.dim * 16 + d / 32 * 32 + place * 2);
}
FND_INLINE attention_16 attention_v_load(attention_cache c, const FND_GPU u8 *at) {
    attention_16 data;
    if (c.format == FND_ACT_F32) return *(const FND_GPU attention_16 *)at;
    if (c.format == FND_ACT_F16) return attention_load_8(at);
    data.w[0] = ((const FND_GPU attention_4 *)at)->w[0];
    data.w[1] = data.w[2] = data.w[3] = 0;
    return data;
}
/* `there`: what stands at places not yet written may be NaN. */
FND_INLINE attention_four attention_v_values(attention_16 data, attention_16 scales, u32 format, u32 i, u32 there) {
    attention_four v;
    f32 scale = 0.0f;
    if (format == FND_ACT_Q8_0 && there) scale = attention_half_of(scales.w[i / 2], i % 2);
    FND_UNROLL for (u32 k = 0; k < 4; k++) {
        u32 word = there ? data.w[format == FND_ACT_F32 ? k : format == FND_ACT_F16 ? k / 2 : 0] : 0u;
        v.of[k] = format == FND_ACT_F32 ? fnd_bits_f32(word) : format == FND_ACT_F16 ? attention_half_of(word, k % 2) : scale * attention_code_of(word, k);
    }
    return v;
}
#endif
