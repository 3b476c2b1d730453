/* team.h - a team of worker threads that starts on a job, and meets at barriers, within the time
 * that one core needs to see what another wrote.
 *
 * The thread that calls fnd_team_run is worker 0; the others wait for the next job: they spin for a
 * while (jobs come back to back while a model runs), then sleep in the kernel. When the team has
 * exactly as many workers as there are allowed cores, workers 1.. are each pinned to one and worker
 * 0 is moved to the free one when it is found elsewhere; its own affinity is left as it was. Smaller
 * teams are left to the scheduler, so that two of them do not meet on the same cores.
 * A team with more workers than cores works, with yields in place of spinning. */
#ifndef BASE_TEAM_H
#define BASE_TEAM_H

#include "foundry/status.h"

#include <stdint.h>

enum { FND_TEAM_MAX = 1024 };

typedef struct fnd_team fnd_team;
typedef void fnd_team_fn(void *ctx, uint32_t worker);

/* workers: 1 .. FND_TEAM_MAX, the caller included. */
FND_USE_RESULT fnd_status fnd_team_open(uint32_t workers, fnd_team **out, fnd_error *err);
void fnd_team_close(fnd_team *team); /* NULL is fine */
uint32_t fnd_team_size(const fnd_team *team);

/* Call fn(ctx, worker) once on each of the first `workers` workers (at most the team's size) and
 * return when all have returned. One run at a time, and not from within a run. */
void fnd_team_run(fnd_team *team, uint32_t workers, fnd_team_fn *fn, void *ctx);

/* Within a run: returns when all of its workers have called it. What each wrote before is seen by
 * all after. */
void fnd_team_barrier(fnd_team *team, uint32_t worker);

#endif
