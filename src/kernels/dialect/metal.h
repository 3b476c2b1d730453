/* dialect/metal.h - the dialect in the Metal shading language (3.0 and later).
 *
 * Nothing of namespace metal is brought in: some of its names (metal::bias) are names of stages too.
 * The host compiles the text with fast math off: results are shown for IEEE arithmetic without contraction, and
 * whether Apple's compiler contracts a product and a sum all the same is not known.
 *
 * The host launches `name` with `groups` threadgroups of FND_WARPS * 32 threads. Buffers are numbered
 * in the order of the lists: each tensor, then the values (the argument struct from behind its
 * tensors on), then scratch memory, then how many bytes of it each group has (a u64). */
#ifndef FND_DIALECT_METAL_H
#define FND_DIALECT_METAL_H
#include <metal_stdlib>

typedef unsigned char  u8;
typedef signed char    i8;
typedef unsigned short u16;
typedef short          i16;
typedef unsigned int   u32;
typedef int            i32;
typedef unsigned long  u64;
typedef long           i64;
typedef float          f32;

#define FND_GPU      device
#define FND_GROUP    threadgroup
#define FND_OWN      thread
#define FND_CONSTANT constant
#define FND_INLINE   static inline __attribute__((always_inline))
#define FND_CHECK(e, message) static_assert(e, message)
#define FND_UNROLL   _Pragma("unroll")
#define FND_ROLLED   _Pragma("nounroll") /* a loop that is not worth its code */
#define FND_ALIGNED(bytes) __attribute__((aligned(bytes)))

/* ---- bits ------------------------------------------------------------------------------------ */
FND_INLINE u32 fnd_f32_bits(f32 v) { return as_type<u32>(v); }
FND_INLINE f32 fnd_bits_f32(u32 b) { return as_type<f32>(b); }
FND_INLINE u16 fnd_load_u16(const FND_GPU u8 *p) { return (u16)(p[0] | p[1] << 8); }
FND_INLINE u32 fnd_load_u32(const FND_GPU u8 *p) { return p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24; }
FND_INLINE f32 fnd_fmin(f32 a, f32 b) { return a < b ? a : b; }
FND_INLINE f32 fnd_fmax(f32 a, f32 b) { return a > b ? a : b; }
FND_INLINE f32 fnd_fabs(f32 a) { return metal::fabs(a); }
FND_INLINE f32 fnd_sqrt(f32 a) { return metal::precise::sqrt(a); }
FND_INLINE f32 fnd_floor(f32 a) { return metal::floor(a); }
FND_INLINE f32 fnd_round(f32 a) { return metal::rint(a); }
FND_INLINE f32 fnd_cos(f32 a) { return metal::precise::cos(a); }
FND_INLINE f32 fnd_sin(f32 a) { return metal::precise::sin(a); }
FND_INLINE f32 fnd_log(f32 a) { return metal::precise::log(a); }
FND_INLINE f32 fnd_pow(f32 a, f32 b) { return metal::precise::pow(a, b); }

FND_INLINE f32 fnd_metal_f16_to_f32(u16 h) { return (f32)as_type<half>(h); }
FND_INLINE u16 fnd_metal_f32_to_f16(f32 v) { return as_type<u16>((half)v); }
#define FND_F16_TO_F32(h) fnd_metal_f16_to_f32(h)
#define FND_F32_TO_F16(v) fnd_metal_f32_to_f16(v)

/* ---- vectors --------------------------------------------------------------------------------- */
#define FND_VEC 4
typedef metal::float4 vec;

FND_INLINE vec fnd_vec_splat(f32 v) { return vec(v, v, v, v); }
FND_INLINE vec fnd_vec_load(const FND_GPU f32 *p) { return vec(p[0], p[1], p[2], p[3]); }
FND_INLINE vec fnd_vec_load(const FND_GROUP f32 *p) { return vec(p[0], p[1], p[2], p[3]); }
FND_INLINE vec fnd_vec_load_own(const FND_OWN f32 *p) { return vec(p[0], p[1], p[2], p[3]); }
FND_INLINE void fnd_vec_store(FND_GPU f32 *p, vec v) { p[0] = v.x; p[1] = v.y; p[2] = v.z; p[3] = v.w; }
FND_INLINE void fnd_vec_store(FND_GROUP f32 *p, vec v) { p[0] = v.x; p[1] = v.y; p[2] = v.z; p[3] = v.w; }
FND_INLINE void fnd_vec_store(FND_OWN f32 *p, vec v) { p[0] = v.x; p[1] = v.y; p[2] = v.z; p[3] = v.w; }
FND_INLINE vec fnd_vec_min(vec a, vec b) { return vec(fnd_fmin(a.x, b.x), fnd_fmin(a.y, b.y), fnd_fmin(a.z, b.z), fnd_fmin(a.w, b.w)); }
FND_INLINE vec fnd_vec_max(vec a, vec b) { return vec(fnd_fmax(a.x, b.x), fnd_fmax(a.y, b.y), fnd_fmax(a.z, b.z), fnd_fmax(a.w, b.w)); }
FND_INLINE f32 fnd_metal_pow2(f32 n) { return fnd_bits_f32((u32)((i32)n + 127) << 23); }
FND_INLINE vec fnd_vec_pow2_(vec n) { return vec(fnd_metal_pow2(n.x), fnd_metal_pow2(n.y), fnd_metal_pow2(n.z), fnd_metal_pow2(n.w)); }
FND_INLINE f32 fnd_vec_sum(vec v) { return (v.x + v.z) + (v.y + v.w); }
FND_INLINE f32 fnd_vec_max_lane(vec v) { return fnd_fmax(fnd_fmax(v.x, v.z), fnd_fmax(v.y, v.w)); }
FND_INLINE f32 fnd_vec_get(vec v, u32 i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }
/* FND_VEC halves to floats, from any address. */
FND_INLINE vec fnd_vec_load_f16(const FND_GPU u16 *p) {
    return vec(fnd_metal_f16_to_f32(p[0]), fnd_metal_f16_to_f32(p[1]), fnd_metal_f16_to_f32(p[2]), fnd_metal_f16_to_f32(p[3]));
}

/* ---- threads --------------------------------------------------------------------------------- */
#define FND_LANES 32
#ifndef FND_WARPS
  #define FND_WARPS 4
#endif
#ifndef FND_GROUP_BYTES
  #define FND_GROUP_BYTES 16 /* the composer says how much a text's kernels declare at most */
#endif
#define fnd_lane_sum(v)       metal::simd_sum(v)
#define fnd_lane_max(v)       metal::simd_max(v)
#define fnd_last_group(t, place, count) ((void)(t), (void)(place), (void)(count), 0u)
#define fnd_lane_get(v, lane) metal::simd_shuffle(v, (u16)(lane))
/* Of both memories: a group's rows stand in its scratch memory. */
#define fnd_group_barrier(t)  ((void)(t), metal::threadgroup_barrier(metal::mem_flags::mem_device | metal::mem_flags::mem_threadgroup))

FND_INLINE void fnd_prefetch(const FND_GPU void *p) { (void)p; }

/* Of the memory of a warp's own, and of what its lanes have written there. */
#define fnd_warp_barrier(t)   ((void)(t), metal::simdgroup_barrier(metal::mem_flags::mem_threadgroup))

/* Only the entry point may declare threadgroup memory. It declares one block; the arrays of the body
 * are cut from it. And one with FND_WARP_BYTES for each warp, where a strategy asks for that many. */
#define FND_TEAM_FIELDS         \
    FND_GROUP u8 *group_memory; \
    u32 group_used;             \
    FND_GROUP u8 *warp_memory;
#ifndef FND_WARP_BYTES
  #define FND_WARP_BYTES 16
#endif
#define FND_WARP_ARRAY(T, name, count)                                                     \
    FND_CHECK(sizeof(T) * (count) <= FND_WARP_BYTES, #name ": more than a warp has");      \
    FND_GROUP T *name = (FND_GROUP T *)(t.warp_memory + t.warp * FND_WARP_BYTES)
#define FND_GROUP_ARRAY(T, name, count)                                           \
    FND_GROUP T *name = (FND_GROUP T *)(t.group_memory + t.group_used);           \
    t.group_used += (u32)(sizeof(T) * (count) + 15) / 16 * 16

/* ---- matrices of a warp ---------------------------------------------------------------------- */
/* 8 x 8 floats, of which every lane has two. All lanes of the warp call these together. A row of the
 * matrix is `pitch` floats behind the one before it in memory; turned: columns are. */
typedef metal::simdgroup_float8x8 fnd_mat8;
#define fnd_mat8_zero()                       metal::make_filled_simdgroup_matrix<f32, 8, 8>(0.0f)
#define fnd_mat8_load(t, m, from, pitch)        ((void)(t), metal::simdgroup_load(m, from, (u64)(pitch)))
#define fnd_mat8_load_turned(t, m, from, pitch) ((void)(t), metal::simdgroup_load(m, from, (u64)(pitch), metal::ulong2(0, 0), true))
#define fnd_mat8_store(t, m, to, pitch)         ((void)(t), metal::simdgroup_store(m, to, (u64)(pitch)))
#define fnd_mat8_add_product(sum, a, b)         metal::simdgroup_multiply_accumulate(sum, a, b, sum)

/* ---- entry points ---------------------------------------------------------------------------- */
/* A weight matrix, as large as the host's; `ops` means something on a CPU only. */
typedef struct fnd_weight {
    const FND_GPU u8 *data;
    u64               ops;
} fnd_weight;

#define FND_FIELD_IN_(T, name)     const FND_GPU T *name;
#define FND_FIELD_OUT_(T, name)    FND_GPU T *name;
#define FND_FIELD_INOUT_(T, name)  FND_GPU T *name;
#define FND_FIELD_WEIGHT_(T, name) fnd_weight name;
#define FND_FIELD_VAL_(T, name)    T name;
#define FND_FIELD_(kind, T, name)  FND_FIELD_##kind##_(T, name)

/* From the same lists: the parameters, which the compiler numbers in this order, and the argument
 * struct filled from them. */
#define FND_PARAM_IN_(T, name)     const FND_GPU T *name,
#define FND_PARAM_OUT_(T, name)    FND_GPU T *name,
#define FND_PARAM_INOUT_(T, name)  FND_GPU T *name,
#define FND_PARAM_WEIGHT_(T, name) const FND_GPU u8 *name,
#define FND_PARAM_(kind, T, name)  FND_PARAM_##kind##_(T, name)
#define FND_FILL_IN_(name)         fnd_a.name = name;
#define FND_FILL_OUT_(name)        fnd_a.name = name;
#define FND_FILL_INOUT_(name)      fnd_a.name = name;
#define FND_FILL_WEIGHT_(name)     fnd_a.name.data = name; fnd_a.name.ops = 0;
#define FND_FILL_VAL_(name)        fnd_a.name = fnd_values->name;
#define FND_FILL_(kind, T, name)   FND_FILL_##kind##_(name)

/* FND_KERNEL(name, TENSORS, VALUES, bytes) { body }: see dialect/c.h. */
#define FND_KERNEL(name, TENSORS, VALUES, bytes)                                       \
    typedef struct name##_args { TENSORS(FND_FIELD_) VALUES(FND_FIELD_) } name##_args; \
    typedef struct name##_values { VALUES(FND_FIELD_) } name##_values;                 \
    FND_CHECK(sizeof(name##_args) == (bytes), #name ": host and device disagree on the argument struct"); \
    FND_INLINE void name##_body(fnd_thread t, name##_args a);                          \
    kernel void name(TENSORS(FND_PARAM_)                                               \
                     constant name##_values *fnd_values, FND_GPU u8 *fnd_scratch,      \
                     constant u64 *fnd_scratch_bytes,                                  \
                     u32 fnd_group [[threadgroup_position_in_grid]],                   \
                     u32 fnd_groups [[threadgroups_per_grid]],                         \
                     u32 fnd_warp [[simdgroup_index_in_threadgroup]],                  \
                     u32 fnd_lane [[thread_index_in_simdgroup]]) {                     \
        threadgroup f32 fnd_reduce[FND_WARPS + 1];                                     \
        threadgroup u8 fnd_group_memory[FND_GROUP_BYTES] __attribute__((aligned(16))); \
        threadgroup u8 fnd_warp_memory[FND_WARPS * FND_WARP_BYTES] __attribute__((aligned(16))); \
        fnd_thread fnd_t;                                                              \
        name##_args fnd_a;                                                             \
        TENSORS(FND_FILL_) VALUES(FND_FILL_)                                           \
        (void)fnd_values;                                                              \
        fnd_t.group = fnd_group;                                                       \
        fnd_t.groups = fnd_groups;                                                     \
        fnd_t.warp = fnd_warp;                                                         \
        fnd_t.lane = fnd_lane;                                                         \
        fnd_t.reduce = fnd_reduce;                                                     \
        fnd_t.scratch = fnd_scratch + fnd_group * *fnd_scratch_bytes;                  \
        fnd_t.group_memory = fnd_group_memory;                                         \
        fnd_t.group_used = 0;                                                          \
        fnd_t.warp_memory = fnd_warp_memory;                                           \
        name##_body(fnd_t, fnd_a);                                                     \
    }                                                                                  \
    FND_INLINE void name##_body(fnd_thread t, name##_args a)

#endif
