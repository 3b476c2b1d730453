/* A status says whether there is a tensor at all. */
/* expect: unused-result */
/* expect: warn_unused_result */
#include "foundry/tensor.h"

fnd_status make(foundry *f, fnd_dedicated *x);

fnd_status make(foundry *f, fnd_dedicated *x) {
#ifdef CONTROL
    return fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, x, NULL);
#else
    fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, x, NULL);
    return FND_OK;
#endif
}
