/* bugs.h - one mistake in each kernel, for the simulator to find. x is an input of n floats, y an
 * output of n floats; launched with 3 groups of 4 warps and 64 bytes of scratch. */
#include "fnd_device.h"

#define BUG_TENSORS(F) F(IN, f32, x) F(OUT, f32, y)
#define BUG_VALUES(F)  F(VAL, u32, n)
#define BUG(name)      FND_KERNEL(name, BUG_TENSORS, BUG_VALUES, 24)

#define EACH(i) for (u32 i = t.group * FND_THREADS + fnd_thread_index(t); i < a.n; i += t.groups * FND_THREADS)

BUG(none) { EACH(i) a.y[i] = a.x[i]; }

/* ---- out of bounds ---------------------------------------------------------------------------- */
BUG(write_past_end) { for (u32 i = t.group * FND_THREADS + fnd_thread_index(t); i <= a.n; i += t.groups * FND_THREADS) a.y[i] = 1.0f; }
BUG(read_past_end) { EACH(i) a.y[i] = a.x[i + 1]; }
BUG(read_before_start) { EACH(i) a.y[i] = a.x[(i32)i - 1]; }
BUG(vector_past_end) { EACH(i) if (i % 4 == 0) fnd_vec_store(a.y + i, fnd_vec_splat(1.0f)); }
BUG(wild_pointer) { EACH(i) ((FND_GPU f32 *)(u64)64)[i] = 1.0f; }
BUG(writes_input) { EACH(i) ((FND_GPU f32 *)(u64)a.x)[i] = a.y[i] = 0.0f; }
BUG(scratch_past_end) { ((FND_GPU f32 *)t.scratch)[16 + fnd_thread_index(t)] = a.x[0]; }
BUG(group_array_past_end) {
    FND_GROUP_ARRAY(f32, tile, 64);
    tile[fnd_thread_index(t)] = a.x[0];
}
BUG(own_array_past_end) {
    f32 own[4] = { 0.0f, 1.0f, 2.0f, 3.0f };
    EACH(i) a.y[i] = own[i];
}
BUG(constant_past_end) {
    FND_CONSTANT f32 table[3] = { 1.0f, 2.0f, 3.0f };
    EACH(i) a.y[i] = table[i];
}
BUG(another_threads_memory) {
    FND_GROUP_ARRAY(u64, where, 1);
    f32 own[4];
    EACH(i) fnd_vec_store(own, fnd_vec_splat((f32)i));
    if (fnd_thread_index(t) == 0) where[0] = (u64)own;
    fnd_group_barrier(t);
    if (fnd_thread_index(t) == 1) a.y[0] = ((FND_OWN f32 *)where[0])[2];
}
typedef struct big_block { f32 v[24]; } big_block;
BUG(struct_past_end) {
    if (fnd_thread_index(t) == 0) *(FND_GPU big_block *)(a.y + a.n - 23) = *(const FND_GPU big_block *)a.x;
}
BUG(copy_past_end) {
    if (fnd_thread_index(t) == 0) __builtin_memcpy(a.y, a.x + a.n - 23, 24 * sizeof(f32));
}
BUG(short_copy_past_end) {
    if (fnd_thread_index(t) == 0) __builtin_memcpy(a.y + a.n - 3, a.x, 16);
}
BUG(set_past_end) {
    if (fnd_thread_index(t) == 0) __builtin_memset(a.y + 1, 0, a.n * sizeof(f32));
}
BUG(misaligned) { EACH(i) a.y[i] = *(const FND_GPU f32 *)((const FND_GPU u8 *)a.x + 2); }
BUG(divides_by_zero) { EACH(i) a.y[i] = (f32)(i / (a.n / 400)); }
BUG(group_memory_full) {
    FND_GROUP_ARRAY(f32, small, 4000);
    FND_GROUP_ARRAY(f32, big, 9000);
    small[fnd_thread_index(t)] = big[fnd_thread_index(t)] = 0.0f;
}

/* ---- races ------------------------------------------------------------------------------------ */
BUG(group_memory_race) { /* no barrier between writing and reading */
    FND_GROUP_ARRAY(f32, tile, FND_THREADS);
    EACH(i) tile[fnd_thread_index(t)] = a.x[i];
    EACH(i) a.y[i] = tile[(fnd_thread_index(t) + 32) % FND_THREADS];
}
BUG(second_round_race) { /* no barrier between reading and writing again */
    FND_GROUP_ARRAY(f32, tile, FND_THREADS);
    for (u32 round = 0; round < 2; round++) {
        tile[fnd_thread_index(t)] = (f32)round;
        fnd_group_barrier(t);
        if (tile[(fnd_thread_index(t) + 32) % FND_THREADS] < 0.0f) a.y[0] = 1.0f;
    }
}
BUG(all_write_one) {
    FND_GROUP_ARRAY(f32, tile, 1);
    tile[0] = 1.0f;
}
BUG(warp_race) { /* lanes of a warp do not run in step */
    FND_GROUP_ARRAY(f32, tile, FND_THREADS);
    u32 k = fnd_thread_index(t);
    tile[k] = 1.0f;
    if (tile[k ^ 1] > 1.0f) a.y[0] = 1.0f;
}
BUG(byte_race) { /* neighbouring bytes are not one place, the same byte is */
    FND_GROUP_ARRAY(u8, tile, FND_THREADS);
    u32 k = fnd_thread_index(t);
    tile[k] = 1;
    fnd_group_barrier(t);
    tile[k == 77 ? 76 : k] = 2;
}
BUG(many_readers_race) { /* one warp read it first, all of the next one did, and a third writes */
    FND_GROUP_ARRAY(f32, tile, 1);
    if (fnd_thread_index(t) == 0) tile[0] = 1.0f;
    fnd_group_barrier(t);
    f32 v = t.warp < 2 ? tile[0] : 1.0f;
    if (fnd_lane_sum(v) < 0.0f) a.y[0] = v;
    if (fnd_thread_index(t) == 95) tile[0] = 2.0f;
}
BUG(scratch_race) { ((FND_GPU f32 *)t.scratch)[fnd_thread_index(t) / 8 % 16] = 1.0f; }
BUG(group_race_on_output) {
    for (u32 i = fnd_thread_index(t); i < a.n; i += FND_THREADS) a.y[i] = a.x[i];
}
BUG(group_reads_group) {
    EACH(i) a.y[i] = a.x[i];
    fnd_group_barrier(t);
    if (t.group > 0 && a.y[0] > 1e30f) a.y[0] = 0.0f;
}

/* Right: the last group to come sees what all wrote. */
BUG(last_group_reads) {
    EACH(i) a.y[i] = a.x[i];
    if (fnd_last_group(t, 3, t.groups) && a.y[0] + a.y[a.n - 1] > 1e30f) a.y[0] = 0.0f;
}
/* One that came after the last of two knows of neither. */
BUG(late_group_reads) {
    EACH(i) a.y[i] = a.x[i];
    if (!fnd_last_group(t, 3, 2) && t.group > 0 && a.y[0] > 1e30f) a.y[0] = 0.0f;
}

/* ---- divergence ------------------------------------------------------------------------------- */
BUG(barrier_in_branch) { if (t.lane < 16) fnd_group_barrier(t); }
BUG(return_before_barrier) {
    if (t.warp == 2) return;
    fnd_group_barrier(t);
}
BUG(two_barriers) {
    if (fnd_thread_index(t) < 32)
        fnd_group_barrier(t);
    else
        fnd_group_barrier(t);
}
BUG(lane_sum_in_branch) {
    EACH(i) a.y[i] = t.lane == 5 ? 0.0f : fnd_lane_sum(1.0f);
}
BUG(two_lane_operations) {
    f32 v = t.lane & 1 ? fnd_lane_sum(1.0f) : fnd_lane_max(1.0f);
    EACH(i) a.y[i] = v;
}
BUG(sum_against_barrier) {
    if (t.lane & 1) fnd_group_barrier(t);
    else a.y[0] = fnd_lane_sum(1.0f);
}
BUG(no_such_lane) {
    f32 v = fnd_lane_get(1.0f, t.lane + 1);
    EACH(i) a.y[i] = v;
}

/* ---- outputs ---------------------------------------------------------------------------------- */
BUG(unwritten_output) { EACH(i) if (i != 200) a.y[i] = 1.0f; }
BUG(reads_output) { EACH(i) a.y[i] += 1.0f; }
