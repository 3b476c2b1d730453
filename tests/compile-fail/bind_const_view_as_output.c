/* Outputs are not const; a read-only view gives a const tensor only. */
/* expect: discarded-qualifiers */
/* expect: discards-qualifiers */
#include "foundry/tensor.h"

typedef struct add_bind {
    fnd_tensor *y;
    const fnd_tensor *a, *b;
} add_bind;

add_bind bind(fnd_view *out, const fnd_const_view *x);

add_bind bind(fnd_view *out, const fnd_const_view *x) {
#ifdef CONTROL
    return (add_bind){ .y = &out->t, .a = fnd_view_tensor(x), .b = fnd_view_tensor(x) };
#else
    return (add_bind){ .y = fnd_view_tensor(x), .a = &out->t, .b = &out->t };
#endif
}
