/* baked.h - kernels that are in the library: which call can use one. */
#ifndef RUN_BAKED_H
#define RUN_BAKED_H

#include "run/bind.h"

/* Is there a kernel in the library that can serve this call? Then *v is the variant it was compiled as
 * and *code the kernel. */
bool fnd_baked_find(foundry *f, const fnd_bound *b, fnd_variant *v, void **code);

#endif
