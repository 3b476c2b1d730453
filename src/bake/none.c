/* none.c - the tables of a library without baked kernels. */
#include "backend/cpu/baked.h"

const fnd_baked_kernel fnd_baked_kernels[] = { { NULL, { 0, 0 }, NULL } };
const size_t fnd_baked_kernel_count = 0;
const fnd_baked_policy fnd_baked_policies[] = { { NULL, NULL, { NULL, NULL } } };
const size_t fnd_baked_policy_count = 0;
