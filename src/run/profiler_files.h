/* profiler_files.h - records as JSON lines and as a Chrome trace, written while they come. */
#ifndef RUN_PROFILER_FILES_H
#define RUN_PROFILER_FILES_H

#include "run/profiler_ring.h"

/* Open those files of the desc that have a path. *out is NULL when none has. */
FND_USE_RESULT fnd_status fnd_profile_files_open(const fnd_profile_desc *desc, fnd_profile_files **out, fnd_error *err);
void fnd_profile_files_add(fnd_profile_files *files, const fnd_profile_entry *entry);
/* Write the ends, with what compiled kernels take, totals and counters, and close. FND_ERR_FILE when anything was not written. */
fnd_status fnd_profile_files_close(fnd_profile_files *files, const fnd_profile_totals *totals, foundry *f, fnd_error *err);

#endif
