/* report.h - a failure of a launch as a sentence. */
#ifndef BACKEND_SIM_REPORT_H
#define BACKEND_SIM_REPORT_H

#include "backend/sim/check.h"
#include "foundry/status.h"

/* `label` names the launch; *elsewhere says in what other memory an access outside fell, or is NULL. */
fnd_status fnd_sim_report(const char *label, const fnd_sim_check *check, const char *elsewhere, fnd_error *err);

#endif
