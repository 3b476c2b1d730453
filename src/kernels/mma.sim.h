/* mma.sim.h - mma.cuda.h on the simulator: the lanes of a warp lay their parts of a matrix beside each other,
 * and each computes its own results. */
#ifndef FND_MMA_SIM_H
#define FND_MMA_SIM_H
#include "fnd_device.h"

typedef struct fnd_sim_parts { u32 of[32][6]; } fnd_sim_parts;
static FND_SIM_PLAIN_ u32 (*fnd_sim_parts_of(u32 warp))[6] { return ((fnd_sim_parts *)fnd_sim_group_array(0x10001u, sizeof(fnd_sim_parts) * FND_WARPS, "parts of matrices") + warp)->of; }
static FND_SIM_PLAIN_ f32 fnd_sim_half(u32 (*parts)[6], u32 lane, u32 word, u32 half) { return fnd_f16_to_f32((u16)(parts[lane][word] >> 16 * half)); }

static FND_SIM_PLAIN_ void fnd_sim_mma(u32 warp, f32 *sum, const u32 *a, const u32 *b, const char *file, u32 line) {
    u32 (*parts)[6] = fnd_sim_parts_of(warp);
    u32 lane = fnd_sim.lane();
    for (u32 i = 0; i < 4; i++) parts[lane][i] = a[i];
    for (u32 i = 0; i < 2; i++) parts[lane][4 + i] = b[i];
    fnd_sim.lane_max(0.0f, file, line);
    for (u32 i = 0; i < 4; i++) {
        u32 row = lane / 4, column = lane % 4 * 2 + i % 2;
        for (u32 k = 0; k < 16; k++) {
            f32 left = fnd_sim_half(parts, row * 4 + k % 8 / 2, i / 2 + k / 8 * 2, k % 2);
            sum[i] += left * fnd_sim_half(parts, column * 4 + k % 8 / 2, 4 + k / 8, k % 2);
        }
    }
    fnd_sim.lane_max(0.0f, file, line);
}
#define fnd_mma(t, sum, a, b) fnd_sim_mma((t).warp, sum, a, b, __FILE__, __LINE__)

static FND_SIM_PLAIN_ void fnd_sim_mma_load(u32 warp, u32 *r, const u8 *p, u32 turned, const char *file, u32 line) {
    u32 (*parts)[6] = fnd_sim_parts_of(warp);
    u32 lane = fnd_sim.lane();
    fnd_sim.access(p, 16, FND_SIM_READ | FND_SIM_ALIGNED);
    parts[lane][0] = (u32)(u64)p;
    parts[lane][1] = (u32)((u64)p >> 32);
    fnd_sim.lane_max(0.0f, file, line);
    for (u32 i = 0; i < 4; i++) {
        r[i] = 0;
        for (u32 n = 0; n < 2; n++) {
            u32 row = turned ? lane % 4 * 2 + n : lane / 4, column = turned ? lane / 4 : lane % 4 * 2 + n;
            r[i] |= (u32)((const u16 *)(parts[8 * i + row][0] | (u64)parts[8 * i + row][1] << 32))[column] << 16 * n;
        }
    }
    fnd_sim.lane_max(0.0f, file, line);
}
#define fnd_mma_load(t, r, p)        fnd_sim_mma_load((t).warp, r, p, 0, __FILE__, __LINE__)
#define fnd_mma_load_turned(t, r, p) fnd_sim_mma_load((t).warp, r, p, 1, __FILE__, __LINE__)

FND_INLINE void fnd_copy16(u8 *to, const u8 *from, u32 bytes) {
    for (u32 i = 0; i < 8; i++) ((u16 *)to)[i] = 2 * i < bytes ? ((const u16 *)from)[i] : (u16)0;
}
#define fnd_copy_commit()   ((void)0)
#define fnd_copy_wait(sets) ((void)(sets))

FND_INLINE u32 fnd_halves(f32 low, f32 high) { return fnd_f32_to_f16(low) | (u32)fnd_f32_to_f16(high) << 16; }
#define FND_SIM_HALVES_(name, result)                                                                         \
    FND_INLINE f32 name##_1_(f32 a, f32 b, f32 c) { (void)c; return result; }                                 \
    FND_INLINE u32 name##_(u32 a, u32 b, u32 c) {                                                             \
        return fnd_halves(name##_1_(fnd_f16_to_f32((u16)a), fnd_f16_to_f32((u16)b), fnd_f16_to_f32((u16)c)),  \
                          name##_1_(fnd_f16_to_f32((u16)(a >> 16)), fnd_f16_to_f32((u16)(b >> 16)), fnd_f16_to_f32((u16)(c >> 16)))); \
    }
FND_SIM_HALVES_(fnd_halves_sub, a - b)
FND_SIM_HALVES_(fnd_halves_mul, a * b)
FND_SIM_HALVES_(fnd_halves_fma, a * b + c)
#define fnd_halves_sub(a, b)    fnd_halves_sub_(a, b, 0u)
#define fnd_halves_mul(a, b)    fnd_halves_mul_(a, b, 0u)
#define fnd_halves_fma(a, b, c) fnd_halves_fma_(a, b, c)
FND_INLINE u32 fnd_bytes_of(u32 a, u32 b, u32 which) {
    u64 both = a | (u64)b << 32;
    u32 bytes = 0;
    for (u32 i = 0; i < 4; i++) bytes |= (u32)(both >> 8 * (which >> 4 * i & 7u) & 255u) << 8 * i;
    return bytes;
}
#define fnd_lane_xor(v, mask) fnd_lane_get(v, fnd_sim.lane() ^ (mask))
#endif
