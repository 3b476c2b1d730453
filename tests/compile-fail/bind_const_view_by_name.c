/* Nor does a call by name take a read-only view as an output. */
/* expect: discarded-qualifiers */
/* expect: discards-qualifiers */
#include "foundry/run.h"

fnd_binding bind(fnd_view *out, const fnd_const_view *x);

fnd_binding bind(fnd_view *out, const fnd_const_view *x) {
#ifdef CONTROL
    (void)x;
    return fnd_bind_out("y", &out->t);
#else
    (void)out;
    return fnd_bind_out("y", fnd_view_tensor(x));
#endif
}
