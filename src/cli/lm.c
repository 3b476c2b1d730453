/* lm.c - a loaded model and a session. */
#include "cli/lm.h"
#include "base/cpuinfo.h"
#include "cli/text.h"

static fnd_status before_weights(void *ctx, fnd_model *m, fnd_error *err) {
    fnd_cli_lm *lm = ctx;
    lm->m = m;
    lm->t = fnd_model_tokenizer(m);
    fnd_cli_tokenizer_note(fnd_gguf_path(fnd_model_gguf(m)), lm->t);
    fnd_status status = lm->check ? lm->check(lm, lm->check_ctx, err) : FND_OK;
    lm->m = NULL; /* not yet ours */
    return status;
}

static fnd_status read_kv_type(const char *name, fnd_format *out, fnd_error *err) {
    *out = name ? fnd_format_by_name(name) : FND_F16;
    if (*out == FND_F16 || *out == FND_F32 || *out == FND_Q8_0) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "--kv-type %s: keys and values are kept as f16, f32 or q8_0", name);
}

static fnd_status read_repack(const char *name, fnd_repacking *out, fnd_error *err) {
    static const char *const names[] = { [FND_REPACK_AUTO] = "auto", [FND_REPACK_ON] = "on", [FND_REPACK_OFF] = "off" };
    *out = FND_REPACK_AUTO;
    for (size_t i = 0; name && i < FND_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (fnd_repacking)i;
            return FND_OK;
        }
    }
    return name ? fnd_fail(err, FND_ERR_USAGE, "--repack %s: weights are repacked (on), used as the file has them (off), or as fits (auto)", name) : FND_OK;
}

static fnd_status read_form(const char *name, fnd_program_form unnamed, fnd_program_form *out, fnd_error *err) {
    char shown[80];
    *out = unnamed;
    if (!name) return FND_OK;
    for (unsigned i = 0; i < FND_PROGRAM_FORMS; i++) {
        *out = (fnd_program_form)i;
        if (strcmp(name, fnd_program_form_name(*out)) == 0) return FND_OK;
    }
    return fnd_fail(err, FND_ERR_USAGE, "--program %s: a token runs as launches (launch), as a graph of them (graph), as one kernel (persistent), or as fits (auto)", fnd_span_quote((fnd_span){ name, strlen(name) }, shown, sizeof shown));
}

fnd_status fnd_cli_lm_open(const fnd_cli_globals *globals, const char *path, fnd_cli_lm *out, fnd_error *err) {
    fnd_desc device;
    fnd_repacking repack;
    fnd_program_form form;
    FND_TRY(read_form(globals->program, out->separate ? FND_PROGRAM_LAUNCH : FND_PROGRAM_AUTO, &form, err));
    FND_TRY(read_kv_type(globals->kv_type, &out->kv_type, err));
    FND_TRY(read_repack(globals->repack, &repack, err));
    FND_TRY(fnd_cli_desc(globals, &device, err));
    device.wait_for_build = out->wait_for_kernels;
    device.quick_build = out->quick;
    device.untuned = out->untuned;
    FND_TRY(fnd_open(&device, &out->f, err));
    uint64_t start = fnd_now_ns();
    fnd_model_desc desc = { .path = path, .repack = repack, .no_fuse = globals->no_fuse, .program = form, .stages = out->separate, .progress = fnd_cli_progress, .before_weights = before_weights, .before_weights_ctx = out };
    FND_TRY(fnd_model_load(out->f, &desc, &out->m, err));
    fnd_cli_progress_clear();
    out->load_seconds = fnd_cli_seconds_since(start);
    out->t = fnd_model_tokenizer(out->m);
    return fnd_cli_check_interrupt(err);
}

fnd_status fnd_cli_lm_begin(fnd_cli_lm *lm, uint32_t context, fnd_error *err) {
    uint64_t start = fnd_now_ns();
    fnd_session_desc desc = { .context = context, .kv_type = lm->kv_type, .progress = fnd_cli_progress, .progress_ctx = lm, .cancel = &fnd_cli_interrupted };
    FND_TRY(fnd_session_open(lm->m, &desc, &lm->s, err));
    fnd_cli_progress_clear();
    lm->open_seconds = fnd_cli_seconds_since(start);
    return fnd_cli_check_interrupt(err);
}

fnd_status fnd_cli_lm_close(fnd_cli_lm *lm, fnd_status status, fnd_error *err) {
    fnd_session_close(lm->s);
    char notice[FND_ERROR_TEXT_BYTES];
    while (lm->f && fnd_next_notice(lm->f, notice, sizeof notice)) fnd_cli_note("%s", notice);
    fnd_model_free(lm->m);
    fnd_status closed = fnd_close(lm->f, err);
    *lm = (fnd_cli_lm){ 0 };
    return status != FND_OK ? status : closed;
}

void fnd_cli_lm_note_window(const fnd_cli_lm *lm, uint32_t context) {
    const fnd_model_info *m = fnd_model_get_info(lm->m);
    if (m->sliding_window && !context) fnd_cli_note("the context ends at %u tokens, not at the %u that the file says: there this model's window of attention would begin to slide, and attention here is full", m->context_length, m->whole_context);
}

fnd_status fnd_cli_lm_fits(const fnd_cli_lm *lm, const char *what, size_t count, uint32_t context, fnd_error *err) {
    const fnd_model_info *m = fnd_model_get_info(lm->m);
    const char *window = m->sliding_window && context != m->context_length ? ", where its attention would begin to slide" : "";
    uint32_t limit = context ? context : m->context_length;
    if (context > m->context_length) return fnd_fail(err, FND_ERR_USAGE, "--context %u is more than this model has been made for (%u%s)", context, m->context_length, window);
    if (count > limit) return fnd_fail(err, FND_ERR_LIMIT, "%s has %zu token%s, but the context holds %u%s", what, count, fnd_plural(count), limit, context ? "" : window);
    return FND_OK;
}

/* level: NULL: no rates */
static fnd_status measure(foundry *f, const fnd_cpu_level *level, fnd_cli_roofs *out, fnd_error *err) {
    fnd_context_info info;
    fnd_team *team;
    *out = (fnd_cli_roofs){ 0 };
    FND_TRY(fnd_info(f, &info, err));
    if (info.lanes != 1) return FND_OK; /* lanes of a GPU: its memory is another, or it is simulated */
    FND_TRY(fnd_team_open(info.groups, &team, err));
    fnd_status status = fnd_cpu_read_bandwidth(team, info.groups, &out->read_gb_s, err);
    if (status == FND_OK && level) fnd_cpu_rates(team, info.groups, level, out->rates);
    fnd_team_close(team);
    return status;
}

fnd_status fnd_cli_bandwidth(foundry *f, double *gb_per_s, fnd_error *err) {
    fnd_cli_roofs roofs;
    fnd_status status = measure(f, NULL, &roofs, err);
    *gb_per_s = roofs.read_gb_s;
    return status;
}

fnd_status fnd_cli_measure_roofs(const fnd_cli_globals *globals, foundry *f, fnd_cli_roofs *out, fnd_error *err) {
    fnd_desc desc;
    const fnd_cpu_level *level;
    *out = (fnd_cli_roofs){ 0 };
    FND_TRY(fnd_cli_desc(globals, &desc, err));
    fnd_error ignored = { 0 };
    if (fnd_cpu_level_find(desc.isa, &level, &ignored) != FND_OK) level = fnd_cpu_level_best(); /* a word of another device */
    return measure(f, level, out, err);
}

void fnd_cli_put_roofs(const fnd_cli_roofs *roofs, fnd_profile_desc *to) {
    to->bandwidth = roofs->read_gb_s * 1e9;
    memcpy(to->ops_rates, roofs->rates, sizeof to->ops_rates);
}
