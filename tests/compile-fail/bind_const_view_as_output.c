/* Outputs are not const; a read-only view gives a const tensor only. */
/* expect: discarded-qualifiers */
/* expect: discards-qualifiers */
#include "foundry/kernels.h"

fnd_status sum(foundry *f, fnd_view *out, const fnd_const_view *x);

fnd_status sum(foundry *f, fnd_view *out, const fnd_const_view *x) {
#ifdef CONTROL
    return fnd_add(f, &(fnd_add_bind){ .y = &out->t, .x = fnd_view_tensor(x), .residual = fnd_view_tensor(x) }, NULL);
#else
    return fnd_add(f, &(fnd_add_bind){ .y = fnd_view_tensor(x), .x = &out->t, .residual = &out->t }, NULL);
#endif
}
