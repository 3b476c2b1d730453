/* sim.h - what the sim backend offers beyond the table of calls. */
#ifndef BACKEND_SIM_SIM_H
#define BACKEND_SIM_SIM_H

#include <stdint.h>

/* In which order the groups of later launches run and the threads of a group begin: 0 is ascending
 * (the default), any other number a permutation of its own. A right kernel cannot tell. */
void fnd_sim_set_order(void *self, uint64_t order);

#endif
