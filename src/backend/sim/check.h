/* check.h - what memory a thread of a launch may touch, and who touched each byte last.
 *
 * Every byte that a launch may write has a cell. A clock counts the meetings of threads (barriers,
 * lane operations); a cell holds the clock of the last write and of up to two reads, and who did
 * them. Two accesses are in order if the earlier one came before a meeting that both took part in:
 * then its clock is smaller than that of the meeting. Nothing orders two groups of one launch. */
#ifndef BACKEND_SIM_CHECK_H
#define BACKEND_SIM_CHECK_H

#include "backend/sim/table.h"

#include <stdbool.h>

typedef struct fnd_sim_cell {
    uint32_t wrote, read[2]; /* clocks; 0: never */
    uint32_t threads;        /* ten bits each: writer, readers */
} fnd_sim_cell;

typedef enum fnd_sim_kind {
    FND_SIM_BUFFER,  /* a tensor argument of the launch */
    FND_SIM_SCRATCH, /* device memory of the group */
    FND_SIM_GROUP,   /* group memory */
    FND_SIM_FIXED,   /* the argument structs, constants of the text */
} fnd_sim_kind;

typedef struct fnd_sim_region {
    const char   *name;
    fnd_sim_kind  kind;
    bool          reads, writes; /* writes only: may be read once it was written */
    uint64_t      address, bytes;
    fnd_sim_cell *cells; /* one for each byte; NULL where nobody writes */
} fnd_sim_region;

typedef enum fnd_sim_fault {
    FND_SIM_NO_FAULT,
    FND_SIM_OUTSIDE,        /* in no region */
    FND_SIM_INPUT_WRITTEN,  /* writes a region that is only read */
    FND_SIM_UNWRITTEN_READ, /* reads an output before it was written */
    FND_SIM_RACE,
    FND_SIM_MISALIGNED,
    FND_SIM_BAD_INDEX,    /* of an array of the thread's own */
    FND_SIM_BAD_DIVISION, /* of integers, by zero */
    FND_SIM_BAD_LANE,     /* asks for a lane that is not there */
    FND_SIM_GROUP_FULL,   /* more group memory than there is */
    FND_SIM_DIVERGED,     /* threads wait for each other at different places, or for ever */
    FND_SIM_NOT_WRITTEN,  /* bytes of an output, at the end */
} fnd_sim_fault;

/* The first failure of a launch. Which fields are used depends on the fault. */
typedef struct fnd_sim_failure {
    fnd_sim_fault  fault;
    uint32_t       group, thread;
    bool           wrote, other_wrote;
    bool           same_group;
    uint32_t       other_group, other_thread;
    uint64_t       address, bytes; /* of the access; the first byte at fault */
    uint64_t       access_address;
    fnd_sim_region region;
    const char    *file, *text;
    uint32_t       line;
    uint64_t       number, limit;
} fnd_sim_failure;

enum { FND_SIM_MAX_ARRAYS = 64,
       FND_SIM_MAX_COMERS = 1024 };

/* A group came to a place; what it did from its start to then is in order before what the last to come does. */
typedef struct fnd_sim_comer {
    uint32_t place, start, clock;
    bool     known; /* to the running group */
} fnd_sim_comer;

typedef struct fnd_sim_check {
    fnd_sim_region       *regions; /* fixed ones first, then the arrays in group memory */
    size_t                count, fixed_count;
    const fnd_sim_region *last;
    uint64_t              stack; /* the running thread's own memory */
    uint64_t              stack_bytes;
    uint32_t              group, thread; /* who is running */
    uint32_t              clock, group_start, group_met, warp_met[FND_SIM_MAX_WARPS];
    uint32_t             *starts; /* clocks at which groups began, in order of running */
    uint32_t             *started; /* and which they were */
    uint32_t              starts_count;
    fnd_sim_comer         comers[FND_SIM_MAX_COMERS];
    uint32_t              comer_count;
    fnd_sim_failure       failure;
} fnd_sim_check;

/* A group begins; threads of the whole group, of one warp, have met. */
void fnd_sim_begin_group(fnd_sim_check *c, uint32_t group);
void fnd_sim_group_met(fnd_sim_check *c);
void fnd_sim_warp_met(fnd_sim_check *c, uint32_t warp);
/* The running group comes to a place: is it the last of `count`? Nobody is where there are too many to remember. */
bool fnd_sim_comes_last(fnd_sim_check *c, uint32_t place, uint32_t count);

/* The running thread is about to access memory. False: it must not; see failure. */
bool fnd_sim_check_access(fnd_sim_check *c, uint64_t address, uint64_t bytes, uint32_t how);
/* After the launch: every byte of every output was written. */
bool fnd_sim_check_outputs(fnd_sim_check *c);

#endif
