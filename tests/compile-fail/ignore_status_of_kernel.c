/* What a kernel wrote is there only if it could be run. */
/* expect: unused-result */
/* expect: warn_unused_result */
#include "foundry/kernels.h"

fnd_status twice(foundry *f, const fnd_copy_bind *bind);

fnd_status twice(foundry *f, const fnd_copy_bind *bind) {
#ifdef CONTROL
    return fnd_copy(f, bind, NULL);
#else
    fnd_copy(f, bind, NULL);
    return FND_OK;
#endif
}
