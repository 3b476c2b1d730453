/* gemv/dot_rows.h - POLICY_rows_dot: POLICY_dot where weights lie as in the file on a device that wants them
 * otherwise. Portable texts read rows in any case.
 *
 * A template: included behind gemv/dot.h, once for every POLICY. */
#include "gemv/x.h"

FND_INLINE fnd_tile FND_CAT(POLICY, _rows_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    return FND_CAT(POLICY, _dot)(t, w, r, s, x);
}
