/* A weight is no value, and a value made from a read-only tensor would drop its const. */
/* expect: discards qualifiers */
/* expect: discarded-qualifiers */
/* expect: incompatible-pointer-types-discards-qualifiers */
#include "foundry/tensor.h"

fnd_value as_value(const fnd_weight_tensor *w, fnd_tensor *t);

fnd_value as_value(const fnd_weight_tensor *w, fnd_tensor *t) {
#ifdef CONTROL
    (void)w;
    return fnd_as_value(t);
#else
    (void)t;
    return fnd_as_value(&w->t);
#endif
}
