/* forms.c - the forms that a program can run in, and which of them a device has. */
#include "run/context.h"
#include "base/base.h"
#include "base/text.h"

static const char *const names[FND_PROGRAM_FORMS] = {
    [FND_PROGRAM_AUTO] = "auto",
    [FND_PROGRAM_LAUNCH] = "launch",
    [FND_PROGRAM_GRAPH] = "graph",
    [FND_PROGRAM_PERSISTENT] = "persistent",
};

const char *fnd_program_form_name(fnd_program_form form) { return (unsigned)form < FND_COUNT(names) ? names[form] : "?"; }

static bool has(const foundry *f, fnd_program_form form) {
    if (form == FND_PROGRAM_GRAPH) return f->info.runs_graphs;
    return form != FND_PROGRAM_PERSISTENT || f->info.runs_programs;
}

fnd_status fnd_program_form_check(const foundry *f, fnd_program_form form, fnd_error *err) {
    FND_TRY(fnd_context_check(f, err));
    if ((unsigned)form >= FND_COUNT(names)) return fnd_fail(err, FND_ERR_USAGE, "there is no form %d of programs", (int)form);
    if (has(f, form)) return FND_OK;
    fnd_text known = { 0 };
    for (unsigned i = FND_PROGRAM_LAUNCH; i < FND_COUNT(names); i++) {
        if (has(f, (fnd_program_form)i)) fnd_text_printf(&known, "%s, ", names[i]);
    }
    fnd_status status = fnd_fail(err, FND_ERR_UNSUPPORTED, "%s runs no program in the form '%s'; it can: %sauto", f->backend->name, names[form], fnd_text_get(&known));
    fnd_text_free(&known);
    return status;
}
