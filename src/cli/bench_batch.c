/* bench_batch.c - steps of several sequences, timed in turn with each other, so that what else the machine
 * does disturbs all alike. */
#include "cli/bench_batch.h"
#include "base/memory.h"
#include "cli/generation.h"
#include "cli/times.h"
#include "foundry/run.h"

#include <ctype.h>

fnd_status fnd_cli_bench_sizes(const char *text, fnd_cli_bench_batch *out, fnd_error *err) {
    bool wanted[FND_BATCH_SEQUENCES + 1] = { false, true };
    for (const char *p = text;; p++) {
        uint32_t n = 0;
        const char *start = p;
        for (; isdigit((unsigned char)*p) && n <= FND_BATCH_SEQUENCES; p++) n = 10 * n + (uint32_t)(*p - '0');
        if (p == start || n < 1 || n > FND_BATCH_SEQUENCES || (*p && *p != ',')) {
            return fnd_fail(err, FND_ERR_USAGE, "--batch needs numbers from 1 to %d with commas between, as 2,4,8", FND_BATCH_SEQUENCES);
        }
        wanted[n] = true;
        if (!*p) break;
    }
    out->count = 0;
    for (uint32_t n = 1; n <= FND_BATCH_SEQUENCES; n++) {
        if (wanted[n]) out->sizes[out->count++] = n;
    }
    return FND_OK;
}

static uint32_t id_at(const fnd_cli_lm *lm, uint32_t sequence, uint32_t position) { return (uint32_t)((sequence * 7919ull + position * 104729ull + 17) % fnd_model_get_info(lm->m)->vocab); }

/* Every sequence holds `depth` tokens. */
static fnd_status rewind_all(const fnd_cli_lm *lm, fnd_batch *b, uint32_t depth, uint32_t *ids, fnd_error *err) {
    for (uint32_t i = 0; i < fnd_batch_sequences(b); i++) {
        fnd_session *s = fnd_batch_session(b, i);
        for (uint32_t k = 0; k < depth; k++) ids[k] = id_at(lm, i, k);
        if (fnd_session_position(s) < depth)
            FND_TRY(fnd_session_prompt(s, ids, depth, err));
        else
            FND_TRY(fnd_session_truncate(s, depth, err));
    }
    return fnd_cli_check_interrupt(err);
}

/* One step of the first `size` sequences, at `position`, which they then hold or do not. */
static fnd_status step(const fnd_cli_lm *lm, fnd_batch *b, uint32_t size, uint32_t position, double *seconds, fnd_error *err) {
    fnd_batch_token tokens[FND_BATCH_SEQUENCES];
    for (uint32_t i = 0; i < size; i++) tokens[i] = (fnd_batch_token){ i, id_at(lm, i, position) };
    for (uint32_t i = 0; i < size; i++) FND_TRY(fnd_session_truncate(fnd_batch_session(b, i), position, err));
    uint64_t start = fnd_now_ns();
    FND_TRY(fnd_batch_eval(b, tokens, size, err));
    FND_TRY(fnd_wait(lm->f, err));
    *seconds = fnd_cli_seconds_since(start);
    return FND_OK;
}

/* times: [count][repeat * tokens] */
static fnd_status measure(const fnd_cli_lm *lm, const fnd_cli_bench_batch *o, fnd_batch *b, double *times, uint32_t *ids, fnd_error *err) {
    size_t each = (size_t)o->repeat * o->tokens;
    double unused;
    FND_TRY(rewind_all(lm, b, o->depth, ids, err));
    for (uint32_t i = 0; i < o->count; i++) FND_TRY(step(lm, b, o->sizes[i], o->depth, &unused, err)); /* programs are made, pages get warm */
    for (uint32_t round = 0; round < o->repeat; round++) {
        fnd_cli_progress(NULL, "measuring", round, o->repeat);
        FND_TRY(rewind_all(lm, b, o->depth, ids, err));
        for (uint32_t t = 0; t < o->tokens; t++) {
            for (uint32_t i = 0; i < o->count; i++) FND_TRY(step(lm, b, o->sizes[i], o->depth + t, &times[i * each + (size_t)round * o->tokens + t], err));
            FND_TRY(fnd_cli_check_interrupt(err));
        }
    }
    fnd_cli_progress_clear();
    for (uint32_t i = 0; i < o->count; i++) fnd_cli_sort_times(times + i * each, each);
    return FND_OK;
}

static fnd_status print(const fnd_cli_lm *lm, const fnd_cli_bench_batch *o, const double *times, fnd_error *err) {
    fnd_context_info device;
    fnd_text out = { 0 };
    size_t each = (size_t)o->repeat * o->tokens;
    FND_TRY(fnd_info(lm->f, &device, err));
    if (o->json) {
        fnd_text_str(&out, "{\"model\": ");
        fnd_cli_json_string(&out, o->model);
        fnd_text_printf(&out, ", \"backend\": \"%s\", \"device\": ", device.backend);
        fnd_cli_json_string(&out, device.device);
        fnd_text_printf(&out, ", \"groups\": %u,\n \"tokens\": %u, \"depth\": %u, \"repeat\": %u, \"batch\": [", device.groups, o->tokens, o->depth, o->repeat);
    } else {
        fnd_text_printf(&out, "%s\n%s\n%u step%s behind %u token%s, medians\n", o->model, device.device, o->tokens, fnd_plural(o->tokens), o->depth, fnd_plural(o->depth));
    }
    for (uint32_t i = 0; i < o->count; i++) {
        double seconds = times[i * each + each / 2], one = times[each / 2], tok_s = fnd_cli_per_second(o->sizes[i], seconds);
        if (o->json)
            fnd_text_printf(&out, "%s\n  {\"sequences\": %u, \"step_ms\": %.6g, \"ratio\": %.6g, \"tok_s\": %.6g, \"speedup\": %.6g}", i ? "," : "", o->sizes[i], 1e3 * seconds, seconds / one, tok_s, o->sizes[i] * one / seconds);
        else
            fnd_text_printf(&out, "batch %2u %10.3f ms a step, %5.2f x that of 1; %8.1f tok/s, %5.2f x\n", o->sizes[i], 1e3 * seconds, seconds / one, tok_s, o->sizes[i] * one / seconds);
    }
    if (o->json) fnd_text_str(&out, "\n ]}\n");
    return fnd_cli_put_text(&out, err);
}

fnd_status fnd_cli_bench_batches(fnd_cli_lm *lm, const fnd_cli_bench_batch *o, fnd_error *err) {
    fnd_batch *b;
    fnd_batch_desc desc = { .sequences = o->sizes[o->count - 1], .session = { .context = o->depth + o->tokens + 1, .kv_type = lm->kv_type, .progress = fnd_cli_progress } };
    double *times = fnd_alloc_zeroed((size_t)o->count * o->repeat, o->tokens * sizeof *times);
    uint32_t *ids = fnd_alloc_zeroed((size_t)o->depth + 1, sizeof *ids);
    fnd_status status = times && ids ? fnd_batch_open(lm->m, &desc, &b, err) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for the times of %u steps", o->repeat * o->tokens);
    if (status == FND_OK) {
        fnd_cli_progress_clear();
        status = measure(lm, o, b, times, ids, err);
        if (status == FND_OK) status = print(lm, o, times, err);
        fnd_batch_close(b);
    }
    fnd_free_memory(times);
    fnd_free_memory(ids);
    return status;
}
