/* cpurate.h - how fast this processor computes when nothing else holds it up: the roofs under which
 * kernels are drawn. */
#ifndef BASE_CPURATE_H
#define BASE_CPURATE_H

#include "base/team.h"
#include "foundry/status.h"

/* What one instruction does best, in the order of growing rates on most machines. */
typedef struct fnd_cpu_rate {
    const char *name; /* "int8 dot products" */
    double ops_per_s; /* multiplications and additions, each counted */
} fnd_cpu_rate;

enum { FND_CPU_RATES_MAX = 8 };

/* Rates of the instructions that this machine has, with the first `workers` of the team at once.
 * Takes about 30 ms each. Returns how many were written. */
uint32_t fnd_cpu_rates(fnd_team *team, uint32_t workers, fnd_cpu_rate out[FND_CPU_RATES_MAX]);

/* The greatest of them: 0 with none. */
double fnd_cpu_best_rate(const fnd_cpu_rate *rates, uint32_t count);

#endif
