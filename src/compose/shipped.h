/* shipped.h - the kernels Foundry ships, as the declarations a user would write. */
#ifndef COMPOSE_SHIPPED_H
#define COMPOSE_SHIPPED_H

#include "foundry/kernel.h"

size_t fnd_shipped_count(void);
/* Name and one line about the kernel at `index`; its stages by fnd_shipped_stages. */
const char *fnd_shipped_name(size_t index);
const char *fnd_shipped_doc(size_t index);
FND_USE_RESULT fnd_status fnd_shipped_stages(size_t index, fnd_kernel_desc *out, fnd_error *err);
/* By name; FND_ERR_UNSUPPORTED with a sentence when there is none. */
FND_USE_RESULT fnd_status fnd_shipped_find(const char *name, fnd_kernel_desc *out, fnd_error *err);

#endif
