/* A view borrows its storage: only the owner can be freed. */
/* expect: incompatible pointer type */
/* expect: incompatible-pointer-types */
#include "foundry/tensor.h"

void let_go(foundry *f, fnd_dedicated *owner, fnd_view *view);

void let_go(foundry *f, fnd_dedicated *owner, fnd_view *view) {
#ifdef CONTROL
    (void)view;
    fnd_tensor_free(f, owner, NULL);
#else
    (void)owner;
    fnd_tensor_free(f, view, NULL);
#endif
}
