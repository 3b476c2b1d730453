/* policy/any/ops.h - the functions of one POLICY behind pointers. A template: FND_BAKED(name) gives
 * the global name of a function; FND_BAKED_ROWS adds the functions that do not depend on FND_TOKENS;
 * FND_BAKED_PANELS: the products of panels instead of all those. */
#include "policy/any/any.h"
#include "gemv/dot.h"
#ifdef FND_BAKED_PANELS
void FND_BAKED(FND_CAT(POLICY, _panel_dot))(fnd_tile *out, fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    (void)t;
    *out = FND_CAT(POLICY, _panel_dot)(w, r, s, x);
}
#else
#include "gemv/dot_rows.h"

void FND_BAKED(FND_CAT(POLICY, _dot))(fnd_tile *out, fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    *out = FND_CAT(POLICY, _dot)(t, w, r, s, x);
}
void FND_BAKED(FND_CAT(POLICY, _rows_dot))(fnd_tile *out, fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    *out = FND_CAT(POLICY, _rows_dot)(t, w, r, s, x);
}
#ifdef FND_BAKED_ROWS
#include "embed/embed.h"
#include "gemv/repack.h"
void FND_BAKED(FND_CAT(POLICY, _embed))(fnd_thread t, fnd_act y, const u32 *ids, fnd_weight w, u32 tokens, u32 dim, u32 vocab) {
    FND_CAT(POLICY, _embed)(t, y, ids, w, tokens, dim, vocab);
}
void FND_BAKED(FND_CAT(POLICY, _repack))(fnd_thread t, u8 *tiles, fnd_weight w, u32 bytes, u32 rows, u32 dim) {
    FND_CAT(POLICY, _repack)(t, tiles, w, bytes, rows, dim);
}
#endif
#endif
