/* cpurate.h - how fast this processor computes when nothing else holds it up: the roofs under which
 * kernels are drawn. */
#ifndef BASE_CPURATE_H
#define BASE_CPURATE_H

#include "base/cpuinfo.h"
#include "foundry/profile.h"

/* Multiplications and additions a second, each counted, of every unit that this machine has (0: none), with the
 * first `workers` of the team at once: by the fastest instruction that `level` uses or, where it uses none of the
 * unit, that the machine has. Takes about 30 ms each. */
void fnd_cpu_rates(fnd_team *team, uint32_t workers, const fnd_cpu_level *level, double out[FND_UNIT_COUNT]);

/* The greatest of them: 0 with none. */
double fnd_cpu_best_rate(const double rates[FND_UNIT_COUNT]);

#endif
