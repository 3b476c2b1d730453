/* policy/any/any.h - a weight of any format: its functions are looked up when the kernel runs.
 *
 * For kernels that are compiled into the library: one kernel serves every format and every mix of
 * formats, and a call through a pointer costs little beside the tile it computes. C only; kernels that
 * are composed for bound tensors name their formats instead. */
#ifndef POLICY_ANY_H
#define POLICY_ANY_H
#include "gemv/x.h"

/* What a format provides (policy/any/ops.h). dot[0] is compiled for one token, dot[1] for several; panel_dot takes
 * the place of that where activations lie as panels want them. Formats of floats have none. */
typedef struct fnd_policy_ops {
    void (*dot[2])(fnd_tile *out, fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x);
    void (*embed)(fnd_thread t, fnd_act y, const u32 *ids, fnd_weight w, u32 tokens, u32 dim, u32 vocab);
    void (*repack)(fnd_thread t, u8 *tiles, fnd_weight w, u32 bytes, u32 rows, u32 dim);
    void (*panel_dot)(fnd_tile *out, fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x);
} fnd_policy_ops;
#endif
