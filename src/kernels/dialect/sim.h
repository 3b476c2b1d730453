/* dialect/sim.h - texts in C on the sim backend: 32 lanes as fibers, and every access to memory
 * reported before it happens.
 *
 * The compiler instruments the text for a race detector (-fsanitize=thread) and for array indices
 * and divisions (-fsanitize=bounds,integer-divide-by-zero); no sanitizer's library is linked. What
 * the instrumentation calls is defined here and forwarded to the simulator through one table, so
 * that the loaded library needs no symbol of the program it is loaded into. */
#ifndef FND_DIALECT_SIM_H
#define FND_DIALECT_SIM_H

#define FND_LANES 32
#ifndef FND_WARPS
  #define FND_WARPS 4
#endif

#define FND_SIM_READ    1u
#define FND_SIM_WRITE   2u
#define FND_SIM_ALIGNED 4u /* the type promises that the address is a multiple of the size */

/* Filled by the simulator after the text was loaded: backend/sim/table.h has the same. The place of
 * a call (file, line) is its identity: threads that meet must have come to the same one. */
typedef struct fnd_sim_calls {
    f32   (*lane_sum)(f32 v, const char *file, u32 line);
    f32   (*lane_max)(f32 v, const char *file, u32 line);
    f32   (*lane_get)(f32 v, u32 lane, const char *file, u32 line);
    void  (*group_barrier)(const char *file, u32 line);
    void *(*group_array)(u32 slot, u32 bytes, const char *name); /* the same block in every thread of the group */
    void  (*access)(const void *at, u64 bytes, u32 how);
    void  (*bad_index)(const char *file, u32 line, u64 index, const char *type);
    void  (*bad_division)(const char *file, u32 line);
    void *(*move)(void *to, const void *from, __SIZE_TYPE__ bytes);
    void *(*set)(void *to, int value, __SIZE_TYPE__ bytes);
    void  (*add_product)(f32 *sum, const f32 *a, const f32 *b, const char *file, u32 line);
    u32   (*lane)(void); /* of the thread that calls */
    u32   (*last_group)(u32 place, u32 count); /* one thread calls it for its group */
} fnd_sim_calls;
extern fnd_sim_calls fnd_sim;
extern const u32 fnd_sim_warps;
fnd_sim_calls fnd_sim;
const u32 fnd_sim_warps = FND_WARPS;

/* Not instrumented, and not inlined into what is. */
#define FND_SIM_PLAIN_  __attribute__((noinline, unused, no_sanitize("thread", "undefined")))
#define FND_SIM_HIDDEN_ __attribute__((visibility("hidden"))) FND_SIM_PLAIN_

static FND_SIM_PLAIN_ f32 fnd_sim_lane_sum(f32 v, const char *file, u32 line) { return fnd_sim.lane_sum(v, file, line); }
static FND_SIM_PLAIN_ f32 fnd_sim_lane_max(f32 v, const char *file, u32 line) { return fnd_sim.lane_max(v, file, line); }
static FND_SIM_PLAIN_ f32 fnd_sim_lane_get(f32 v, u32 lane, const char *file, u32 line) { return fnd_sim.lane_get(v, lane, file, line); }
static FND_SIM_PLAIN_ void fnd_sim_group_barrier(const char *file, u32 line) { fnd_sim.group_barrier(file, line); }
static FND_SIM_PLAIN_ void *fnd_sim_group_array(u32 slot, u32 bytes, const char *name) { return fnd_sim.group_array(slot, bytes, name); }

static FND_SIM_PLAIN_ u32 fnd_sim_last_group(u32 warp, u32 lane, u32 place, u32 count, const char *file, u32 line) {
    u32 *last = (u32 *)fnd_sim.group_array(0x10001u, 4, "which group is the last");
    fnd_sim.group_barrier(file, line);
    if (warp == 0 && lane == 0) *last = fnd_sim.last_group(place, count);
    fnd_sim.group_barrier(file, line);
    return *last;
}

#define FND_TEAM_FIELDS
#define FND_SHARED_CODE       FND_INLINE
#define fnd_lane_sum(v)       fnd_sim_lane_sum(v, __FILE__, __LINE__)
#define fnd_lane_max(v)       fnd_sim_lane_max(v, __FILE__, __LINE__)
#define fnd_lane_get(v, lane) fnd_sim_lane_get(v, lane, __FILE__, __LINE__)
#define fnd_group_barrier(t)  ((void)(t), fnd_sim_group_barrier(__FILE__, __LINE__))
#define fnd_last_group(t, place, count) fnd_sim_last_group((t).warp, (t).lane, place, count, __FILE__, __LINE__)
#define FND_GROUP_ARRAY(T, name, count) T *name = (T *)fnd_sim_group_array(__COUNTER__, (u32)sizeof(T) * (count), #name)

/* Memory of a warp's own, in the group's: one block, where a strategy asks for it. */
#define fnd_warp_barrier(t) ((void)(t), (void)fnd_sim_lane_max(0.0f, __FILE__, __LINE__))
#ifndef FND_WARP_BYTES
  #define FND_WARP_BYTES 16
#endif
#define FND_WARP_ARRAY(T, name, count)                                               \
    FND_CHECK(sizeof(T) * (count) <= FND_WARP_BYTES, #name ": more than a warp has"); \
    T *name = (T *)fnd_sim_group_array(0x10000u, FND_WARP_BYTES * FND_WARPS, "memory of warps") + t.warp * (FND_WARP_BYTES / sizeof(T))

/* Matrices of a warp, 8 x 8 floats (dialect/metal.h): lane l has two of row l / 4, from column 2 (l % 4) on. */
typedef struct fnd_mat8 { f32 of[2]; } fnd_mat8;
static FND_SIM_PLAIN_ fnd_mat8 fnd_sim_add_product(fnd_mat8 sum, fnd_mat8 a, fnd_mat8 b, const char *file, u32 line) {
    fnd_sim.add_product(sum.of, a.of, b.of, file, line);
    return sum;
}
FND_INLINE fnd_mat8 fnd_mat8_zero(void) { fnd_mat8 m = { { 0.0f, 0.0f } }; return m; }
FND_INLINE fnd_mat8 fnd_sim_mat8_load(u32 lane, const f32 *from, u64 row_step, u64 column_step) {
    fnd_mat8 m;
    for (u32 i = 0; i < 2; i++) m.of[i] = from[lane / 4 * row_step + (lane % 4 * 2 + i) * column_step];
    return m;
}
FND_INLINE void fnd_sim_mat8_store(u32 lane, fnd_mat8 m, f32 *to, u64 pitch) {
    for (u32 i = 0; i < 2; i++) to[lane / 4 * pitch + lane % 4 * 2 + i] = m.of[i];
}
#define fnd_mat8_load(t, m, from, pitch)        (m) = fnd_sim_mat8_load((t).lane, from, pitch, 1)
#define fnd_mat8_load_turned(t, m, from, pitch) (m) = fnd_sim_mat8_load((t).lane, from, 1, pitch)
#define fnd_mat8_store(t, m, to, pitch)         fnd_sim_mat8_store((t).lane, m, to, pitch)
#define fnd_mat8_add_product(sum, a, b)         (sum) = fnd_sim_add_product(sum, a, b, __FILE__, __LINE__)

/* What gcc and clang call for an access of a known size; clang knows more names than gcc. */
#define FND_SIM_CALLBACK_(name, bytes, how)           \
    FND_SIM_HIDDEN_ void __tsan_##name(void *at);     \
    FND_SIM_HIDDEN_ void __tsan_##name(void *at) { fnd_sim.access(at, bytes, how); }
#define FND_SIM_CALLBACKS_(bytes)                                                            \
    FND_SIM_CALLBACK_(read##bytes, bytes, FND_SIM_READ | FND_SIM_ALIGNED)                    \
    FND_SIM_CALLBACK_(write##bytes, bytes, FND_SIM_WRITE | FND_SIM_ALIGNED)                  \
    FND_SIM_CALLBACK_(read_write##bytes, bytes, FND_SIM_READ | FND_SIM_WRITE | FND_SIM_ALIGNED) \
    FND_SIM_CALLBACK_(volatile_read##bytes, bytes, FND_SIM_READ | FND_SIM_ALIGNED)           \
    FND_SIM_CALLBACK_(volatile_write##bytes, bytes, FND_SIM_WRITE | FND_SIM_ALIGNED)         \
    FND_SIM_CALLBACK_(unaligned_read##bytes, bytes, FND_SIM_READ)                            \
    FND_SIM_CALLBACK_(unaligned_write##bytes, bytes, FND_SIM_WRITE)                          \
    FND_SIM_CALLBACK_(unaligned_read_write##bytes, bytes, FND_SIM_READ | FND_SIM_WRITE)      \
    FND_SIM_CALLBACK_(unaligned_volatile_read##bytes, bytes, FND_SIM_READ)                   \
    FND_SIM_CALLBACK_(unaligned_volatile_write##bytes, bytes, FND_SIM_WRITE)
FND_SIM_CALLBACKS_(1)
FND_SIM_CALLBACKS_(2)
FND_SIM_CALLBACKS_(4)
FND_SIM_CALLBACKS_(8)
FND_SIM_CALLBACKS_(16)

#define FND_SIM_RANGE_(name, how)                                            \
    FND_SIM_HIDDEN_ void __tsan_##name(void *at, __SIZE_TYPE__ bytes);       \
    FND_SIM_HIDDEN_ void __tsan_##name(void *at, __SIZE_TYPE__ bytes) { fnd_sim.access(at, bytes, how); }
FND_SIM_RANGE_(read_range, FND_SIM_READ)
FND_SIM_RANGE_(write_range, FND_SIM_WRITE)

FND_SIM_HIDDEN_ void __tsan_init(void);
FND_SIM_HIDDEN_ void __tsan_init(void) {}
FND_SIM_HIDDEN_ void __tsan_func_entry(void *caller);
FND_SIM_HIDDEN_ void __tsan_func_entry(void *caller) { (void)caller; }
FND_SIM_HIDDEN_ void __tsan_func_exit(void);
FND_SIM_HIDDEN_ void __tsan_func_exit(void) {}

/* Copies of blocks: under the names that clang calls, and under C's own, which gcc calls where it
 * does not copy inline (then it reports the ranges itself). */
#define FND_SIM_COPY_(name)                                                                        \
    FND_SIM_HIDDEN_ void *name(void *to, const void *from, __SIZE_TYPE__ bytes);                   \
    FND_SIM_HIDDEN_ void *name(void *to, const void *from, __SIZE_TYPE__ bytes) {                  \
        fnd_sim.access(from, bytes, FND_SIM_READ);                                                 \
        fnd_sim.access(to, bytes, FND_SIM_WRITE);                                                  \
        return fnd_sim.move(to, from, bytes);                                                      \
    }
#define FND_SIM_SET_(name)                                                                         \
    FND_SIM_HIDDEN_ void *name(void *to, int value, __SIZE_TYPE__ bytes);                          \
    FND_SIM_HIDDEN_ void *name(void *to, int value, __SIZE_TYPE__ bytes) {                         \
        fnd_sim.access(to, bytes, FND_SIM_WRITE);                                                  \
        return fnd_sim.set(to, value, bytes);                                                      \
    }
FND_SIM_COPY_(fnd_sim_copy)
FND_SIM_COPY_(memcpy)
FND_SIM_COPY_(memmove)
FND_SIM_COPY_(__tsan_memcpy)
FND_SIM_COPY_(__tsan_memmove)
FND_SIM_SET_(fnd_sim_fill)
FND_SIM_SET_(memset)
FND_SIM_SET_(__tsan_memset)

/* Where the text itself asks for a copy, gcc would expand one of a known size inline without a report,
 * unless it is one load and one store. */
#define __builtin_memcpy(to, from, bytes) \
    ((bytes) <= 16 && ((bytes) & ((bytes) - 1)) == 0 ? __builtin_memcpy(to, from, bytes) : fnd_sim_copy(to, from, bytes))
#define __builtin_memset(to, value, bytes) fnd_sim_fill(to, value, bytes)

/* What -fsanitize=bounds and =integer-divide-by-zero hand over: the place, then the types. */
typedef struct fnd_sim_type_ { u16 kind, info; char name[1]; } fnd_sim_type_;
typedef struct fnd_sim_fault_ {
    const char *file;
    u32 line, column;
    const fnd_sim_type_ *type;
} fnd_sim_fault_;
#define FND_SIM_INDEX_(callback)                                              \
    FND_SIM_HIDDEN_ void callback(const fnd_sim_fault_ *fault, __SIZE_TYPE__ index);  \
    FND_SIM_HIDDEN_ void callback(const fnd_sim_fault_ *fault, __SIZE_TYPE__ index) { \
        fnd_sim.bad_index(fault->file, fault->line, index, fault->type->name);    \
    }
#define FND_SIM_DIVISION_(callback)                                           \
    FND_SIM_HIDDEN_ void callback(const fnd_sim_fault_ *fault, __SIZE_TYPE__ a, __SIZE_TYPE__ b);  \
    FND_SIM_HIDDEN_ void callback(const fnd_sim_fault_ *fault, __SIZE_TYPE__ a, __SIZE_TYPE__ b) { \
        (void)a, (void)b;                                                 \
        fnd_sim.bad_division(fault->file, fault->line);                   \
    }
FND_SIM_INDEX_(__ubsan_handle_out_of_bounds)
FND_SIM_INDEX_(__ubsan_handle_out_of_bounds_abort)
FND_SIM_DIVISION_(__ubsan_handle_divrem_overflow)
FND_SIM_DIVISION_(__ubsan_handle_divrem_overflow_abort)

#endif
