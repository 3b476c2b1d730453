/* gemv/runs.h - rows of a matrix kernel shared out to the warps of a GPU as runs of neighbours. A run is cut into equal
 * steps, whose rows a warp has at once: the result of row k is in lane k. For x.cuda.h and x.metal.h, which say how the
 * runs are made (fnd_run_of). */
#ifndef GEMV_RUNS_H
#define GEMV_RUNS_H
#include "gemv/spans.h"

typedef struct fnd_tile { fnd_val of[FND_TOKENS]; } fnd_tile;
typedef struct fnd_rows { u32 row, count; } fnd_rows;
typedef struct fnd_run { u32 row, end, step; } fnd_run;

FND_INLINE fnd_at fnd_at_of(fnd_thread t, fnd_rows r, fnd_span s, u32 i) {
    fnd_at at;
    at.row = r.row + fnd_min(t.lane, r.count - 1);
    at.count = 1;
    at.token = s.first + i;
    at.writes = t.lane < r.count;
    return at;
}
FND_INLINE fnd_rows fnd_rows_of(fnd_run run, u32 row) {
    fnd_rows r;
    r.row = row;
    r.count = fnd_min(run.step, run.end - row);
    return r;
}
#define FND_EACH_TILE(r, t, total)                                                             \
    for (fnd_run r##_run = fnd_run_of(t, total); r##_run.row < r##_run.end; r##_run.row = r##_run.end) \
        for (u32 r##_i = r##_run.row; r##_i < r##_run.end; r##_i += r##_run.step)              \
            for (fnd_rows r = fnd_rows_of(r##_run, r##_i); r.count; r.count = 0)
#define FND_EACH_PLACE(at, i, t, r, s)       \
    for (u32 i = 0; i < (s).count; i++)      \
        for (fnd_at at = fnd_at_of(t, r, s, i); at.count; at.count = 0)
#endif
