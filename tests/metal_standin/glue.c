/* glue.c - what a Metal text calls on the simulator: linked into every text, not into the stand-in. The table and
 * the callbacks of the instrumentation are those that sim's own texts have. */
typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef float f32;
#define FND_SIM
#define FND_INLINE static inline __attribute__((unused))
#include "dialect/sim.h"

static const char text[] = "the Metal text";

FND_SIM_HIDDEN_ f32 standin_lane_sum(f32 v, u32 line);
FND_SIM_HIDDEN_ f32 standin_lane_sum(f32 v, u32 line) { return fnd_sim.lane_sum(v, text, line); }
FND_SIM_HIDDEN_ f32 standin_lane_max(f32 v, u32 line);
FND_SIM_HIDDEN_ f32 standin_lane_max(f32 v, u32 line) { return fnd_sim.lane_max(v, text, line); }
FND_SIM_HIDDEN_ f32 standin_lane_get(f32 v, u32 lane, u32 line);
FND_SIM_HIDDEN_ f32 standin_lane_get(f32 v, u32 lane, u32 line) { return fnd_sim.lane_get(v, lane, text, line); }
FND_SIM_HIDDEN_ void standin_barrier(u32 line);
FND_SIM_HIDDEN_ void standin_barrier(u32 line) { fnd_sim.group_barrier(text, line); }
FND_SIM_HIDDEN_ void *standin_group_array(u32 slot, u32 bytes);
FND_SIM_HIDDEN_ void *standin_group_array(u32 slot, u32 bytes) { return fnd_sim.group_array(slot, bytes, "threadgroup memory"); }
FND_SIM_HIDDEN_ void standin_add_product(f32 *sum, const f32 *a, const f32 *b, u32 line);
FND_SIM_HIDDEN_ void standin_add_product(f32 *sum, const f32 *a, const f32 *b, u32 line) { fnd_sim.add_product(sum, a, b, text, line); }
FND_SIM_HIDDEN_ u32 standin_lane(void);
FND_SIM_HIDDEN_ u32 standin_lane(void) { return fnd_sim.lane(); }
