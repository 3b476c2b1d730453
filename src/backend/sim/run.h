/* run.h - one launch: its groups one after the other, the threads of a group as fibers. */
#ifndef BACKEND_SIM_RUN_H
#define BACKEND_SIM_RUN_H

#include "backend/sim/check.h"
#include "backend/sim/fiber.h"

typedef enum fnd_sim_meeting {
    FND_SIM_RUNS,
    FND_SIM_LANE_SUM,
    FND_SIM_LANE_MAX,
    FND_SIM_LANE_GET,
    FND_SIM_PRODUCT,
    FND_SIM_BARRIER,
    FND_SIM_DONE,
} fnd_sim_meeting;

typedef struct fnd_sim_fiber {
    fnd_fiber       fiber;
    struct fnd_sim_run *run;
    fnd_sim_meeting waits_for;
    const char     *file; /* where */
    uint32_t        line, lane;
    float           value;
    float           sum[2], a[2], b[2]; /* of matrices */
} fnd_sim_fiber;

enum {
    FND_SIM_GROUP_BYTES = 48 << 10,
    FND_SIM_ARRAY_GAP = 256, /* belongs to nobody: what runs over an array's end lands there */
    FND_SIM_GROUP_SPACE = FND_SIM_GROUP_BYTES + FND_SIM_MAX_ARRAYS * (FND_SIM_ARRAY_GAP + 64),
};

typedef struct fnd_sim_run {
    fnd_sim_check    check;
    fnd_sim_entry   *entry;
    const void      *args;
    uint32_t         groups, thread_count;
    fnd_fiber_stacks stacks;
    fnd_sim_fiber   *fibers;  /* [FND_SIM_MAX_THREADS] */
    fnd_sim_thread  *threads; /* the same: what each is told of itself */
    uint32_t        *order;   /* the same: in which order they begin */
    fnd_fiber        main;
    uint32_t         running;
    uint32_t        *queue; /* a ring of threads that can go on, [FND_SIM_MAX_THREADS] */
    uint32_t         queue_first, queue_count;
    uint32_t         done, at_barrier, at_lane[FND_SIM_MAX_WARPS];
    uint8_t         *group_memory; /* [FND_SIM_GROUP_SPACE] */
    fnd_sim_cell    *group_cells;  /* the same */
    uint32_t         array_slots[FND_SIM_MAX_ARRAYS], array_count;
    size_t           group_used, group_bytes; /* with and without gaps */
    uint8_t         *scratch;
    size_t           scratch_bytes;
    char             text[640]; /* who waits for whom */
} fnd_sim_run;

/* Run group `group` of the launch to its end. False: see check.failure; the other threads of the
 * group were given up where they stood. */
bool fnd_sim_run_group(fnd_sim_run *run, uint32_t group);

extern const fnd_sim_table fnd_sim_run_table; /* what loaded texts call */

#endif
