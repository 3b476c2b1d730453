/* conditional.h - tables of kernels with the range of shapes each is for. */
#ifndef COMPOSE_CONDITIONAL_H
#define COMPOSE_CONDITIONAL_H

#include "compose/kernel.h"

typedef struct fnd_range {
    char     kernel[FND_NAME_BYTES];
    uint32_t from, to; /* both included */
} fnd_range;

/* A checked table: ranges in order, each beginning behind the one before. */
typedef struct fnd_ranges {
    char      name[FND_NAME_BYTES], dimension[FND_NAME_BYTES];
    fnd_range range[FND_MAX_RANGES];
    uint32_t  count;
} fnd_ranges;

/* Check and sort. A gap between two ranges, or two that overlap: FND_ERR_COMPOSE, naming both. */
FND_USE_RESULT fnd_status fnd_ranges_make(const fnd_conditional_desc *desc, fnd_ranges *out, fnd_error *err);
/* Which range holds the value; FND_ERR_SHAPE when none does. */
FND_USE_RESULT fnd_status fnd_ranges_find(const fnd_ranges *r, uint64_t value, uint32_t *index, fnd_error *err);
/* All kernels of a table take the same arguments; the dimension is one of each, and known from a tensor. */
FND_USE_RESULT fnd_status fnd_ranges_check_kernel(const fnd_ranges *r, const fnd_composition *first, const fnd_composition *other, fnd_error *err);

#endif
