/* A pooled tensor ends with its pool. */
/* expect: incompatible pointer type */
/* expect: incompatible-pointer-types */
#include "foundry/tensor.h"

void let_go(foundry *f, fnd_dedicated *owner, fnd_pooled *pooled);

void let_go(foundry *f, fnd_dedicated *owner, fnd_pooled *pooled) {
#ifdef CONTROL
    (void)pooled;
    fnd_tensor_free(f, owner, NULL);
#else
    (void)owner;
    fnd_tensor_free(f, pooled, NULL);
#endif
}
