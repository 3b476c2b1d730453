/* A matrix kernel takes a weight where it wants one, not any tensor. */
/* expect: incompatible pointer type */
/* expect: incompatible-pointer-types */
#include "foundry/kernels.h"

fnd_status multiply(foundry *f, fnd_tensor *y, const fnd_tensor *x, const fnd_weight_tensor *w);

fnd_status multiply(foundry *f, fnd_tensor *y, const fnd_tensor *x, const fnd_weight_tensor *w) {
#ifdef CONTROL
    return fnd_linear(f, &(fnd_linear_bind){ .y = y, .x = x, .w = w }, NULL);
#else
    (void)w;
    return fnd_linear(f, &(fnd_linear_bind){ .y = y, .x = x, .w = x }, NULL);
#endif
}
