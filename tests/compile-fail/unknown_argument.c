/* A kernel's struct has its arguments and no others. */
/* expect: has no member named */
/* expect: no member named */
#include "foundry/kernels.h"

fnd_status multiply(foundry *f, fnd_linear_bind *bind, const fnd_tensor *bias);

fnd_status multiply(foundry *f, fnd_linear_bind *bind, const fnd_tensor *bias) {
#ifdef CONTROL
    (void)bias;
#else
    bind->bias = bias;
#endif
    return fnd_linear(f, bind, NULL);
}
