/* dispatch.c - fnd_run, and the one place that launches. */
#include "run/dispatch.h"
#include "base/base.h"
#include "run/baked.h"
#include "run/profiler.h"

/* Bytes that the present dimensions make of a tensor: less than all of it where a dimension is a
 * program's variable. */
static uint64_t present_bytes(const fnd_bound *b, uint32_t arg, uint64_t all) {
    const fnd_shape_text *shape = &b->kernel->composition.args[arg].shape;
    uint64_t rows = 1, cols = 1, bytes;
    fnd_error ignored = { 0 };
    if (b->tensors[arg].layout != FND_LAYOUT_ROWS) return all;
    for (uint32_t d = 0; d < shape->rank; d++) {
        if (!fnd_mul_u64(rows, cols, &rows) || fnd_expr_value(shape->dim[d], &b->numbers->dims, &cols, &ignored) != FND_OK) return all;
    }
    return fnd_format_bytes(b->tensors[arg].format, rows, cols, &bytes) && bytes < all ? bytes : all;
}

size_t fnd_dispatch_buffers(const fnd_bound *b, const fnd_storage_ref *refs, fnd_launch_buffer *out) {
    const fnd_composition *c = &b->kernel->composition;
    size_t count = 0;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        if (!fnd_arg_is_tensor(&c->args[i])) continue;
        if (!out) {
            count++;
            continue;
        }
        out[count++] = (fnd_launch_buffer){
            .name = c->args[i].name,
            .address = refs[i].address,
            .bytes = present_bytes(b, i, refs[i].bytes),
            .reads = c->args[i].kind != FND_ARG_OUT,
            .writes = c->args[i].kind == FND_ARG_OUT || c->args[i].kind == FND_ARG_INOUT,
        };
    }
    return count;
}

fnd_launch fnd_dispatch_launch(const foundry *f, const fnd_dispatch *d) {
    return (fnd_launch){
        .label = d->label,
        .code = d->code,
        .graph = d->graph,
        .is_program = d->is_program,
        .args = d->args,
        .args_bytes = d->args_bytes,
        .values_at = d->values_at,
        .concurrent = d->concurrent,
        .ops = d->traffic.ops,
        .groups = f->info.groups,
        .warps = d->warps,
        .scratch_bytes = d->own_scratch_bytes,
        .ring_bytes = d->ring_bytes,
        .shared_scratch_bytes = d->shared_scratch_bytes,
        .buffers = d->buffers,
        .buffer_count = d->buffer_count,
    };
}

static fnd_status launch(foundry *f, const fnd_dispatch *d, fnd_error *err) {
    fnd_launch l = fnd_dispatch_launch(f, d);
    FND_TRY(fnd_flight_check_thread(f, "running a kernel", err));
    fnd_device_lock(f);
    fnd_flight_quiet(f);
    fnd_status status = fnd_flight_check(f, err);
    if (status == FND_OK) status = f->backend->launch(f->device, &l, err);
    fnd_device_unlock(f);
    fnd_count(f, FND_COUNTER_DISPATCHES, 1);
    fnd_count(f, FND_COUNTER_SUBMISSIONS, 1);
    return status;
}

fnd_status fnd_dispatch_unseen(foundry *f, const fnd_dispatch *d, fnd_error *err) {
    FND_TRY(launch(f, d, err));
    return fnd_dispatch_flush(f, err);
}

/* The device says when it ran; nobody waits for it here. */
static fnd_status launch_timed(foundry *f, const fnd_dispatch *d, fnd_error *err) {
    fnd_slot *slot;
    FND_TRY(fnd_flight_check_thread(f, "running a kernel", err));
    pthread_mutex_lock(&f->flight.order);
    fnd_status status = fnd_flight_check(f, err);
    if (status == FND_OK) status = fnd_flight_slot(f, &slot, err);
    if (status == FND_OK) status = fnd_slot_take(f, slot, d, err);
    if (status == FND_OK) {
        slot->timed = true;
        fnd_slot_set_label(slot, NULL);
        fnd_flight_hand_over(f, slot);
        fnd_count(f, FND_COUNTER_SUBMISSIONS, 1);
    }
    pthread_mutex_unlock(&f->flight.order);
    return status;
}

static fnd_status take_now(foundry *f, void *to, const fnd_dispatch *d, fnd_error *err) {
    (void)to;
    if (!fnd_profile_on(&f->profiler)) return launch(f, d, err);
    if (f->backend->submit) return launch_timed(f, d, err);
    uint64_t start = fnd_now_ns();
    FND_TRY(launch(f, d, err));
    FND_TRY(fnd_device_wait(f, err));
    fnd_profile_record(&f->profiler, &(fnd_profile_event){
                                         .kernel = d->label,
                                         .start_ns = start,
                                         .duration_ns = fnd_now_ns() - start,
                                         .bytes_read = d->traffic.bytes_read,
                                         .bytes_written = d->traffic.bytes_written,
                                         .ops = d->traffic.ops,
                                         .unit_ops = d->traffic.unit_ops,
                                     });
    return FND_OK;
}

const fnd_sink fnd_sink_now = { .submission = FND_PLAIN_LAUNCH, .take = take_now };

fnd_status fnd_dispatch_flush(foundry *f, fnd_error *err) {
    if (!f->backend->submit) return FND_OK;
    fnd_device_lock(f);
    fnd_status status = f->backend->submit(f->device, NULL, err);
    fnd_device_unlock(f);
    return status;
}

fnd_status fnd_dispatch_suffix(foundry *f, const fnd_bound *b, const char **suffix, fnd_error *err) {
    fnd_composer *c;
    const fnd_variant *v = &b->numbers->variant;
    const fnd_composition *k = v->kernel;
    FND_TRY(fnd_composer_get(f, &c, err));
    *suffix = b->portable ? "" : fnd_common_suffix(c->catalog, f->info.suffix, &v, 1);
    if (!b->tiled || (*suffix)[0] || !f->info.suffix[0]) return FND_OK;
    fnd_text formats = { 0 };
    for (uint32_t i = 0; i < k->arg_count; i++) {
        if (k->args[i].kind == FND_ARG_WEIGHT) fnd_text_printf(&formats, "%s%s %s", formats.bytes ? ", " : "", k->args[i].name, fnd_format_get(v->formats[i])->name);
    }
    fnd_fail(err, FND_ERR_UNSUPPORTED, "kernel %s: weights lie in tiles, which only texts for this device read, and a format has none (%s); bind its weights as in the file", k->name, fnd_text_get(&formats));
    fnd_text_free(&formats);
    return FND_ERR_UNSUPPORTED;
}

fnd_status fnd_dispatch_pipeline(foundry *f, const fnd_bound *b, const fnd_variant *v, void **code, fnd_error *err) {
    fnd_composer *c;
    fnd_text text = { 0 };
    const char *suffix;
    FND_TRY(fnd_composer_get(f, &c, err));
    FND_TRY(fnd_dispatch_suffix(f, b, &suffix, err));
    fnd_status status = fnd_print_alone(c->catalog, v, &text, err);
    fnd_pipeline_desc desc = { .entry = v->name, .text = fnd_text_get(&text), .suffix = suffix, .warps = f->info.warps };
    if (status == FND_OK) status = fnd_pipeline_get(f, &desc, code, err);
    fnd_text_free(&text);
    return status;
}

fnd_status fnd_run_into(foundry *f, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, const fnd_sink *sink, fnd_error *err) {
    fnd_bound_room room;
    fnd_storage_ref refs[FND_MAX_ARGS];
    fnd_launch_buffer buffers[FND_MAX_ARGS];
    uint8_t args[16 * FND_MAX_ARGS + 4 * FND_MAX_DIMS + 8];
    fnd_layout_of_args layout;
    FND_TRY(fnd_context_check(f, err));
    if (kernel->f != f) return fnd_fail(err, FND_ERR_USAGE, "kernel %s belongs to another context", kernel->composition.name);
    FND_TRY(fnd_bind(f, kernel, bindings, count, &room, err));
    const fnd_bound *b = &room.bound;
    FND_TRY(fnd_bound_check_rules(b, (uint32_t)FND_ALL_RULES, true, err));
    fnd_dispatch d = { .label = kernel->composition.name, .args = args, .buffers = buffers, .warps = f->info.warps };
    fnd_variant v;
    if (!fnd_baked_find(f, b, &v, &d.code)) {
        v = b->numbers->variant;
        FND_TRY(fnd_dispatch_pipeline(f, b, &v, &d.code, err));
    }
    FND_TRY(fnd_bound_resolve(f, b, sink->submission, refs, err));
    fnd_bound_write_args(b, &v, refs, args);
    fnd_variant_layout(&v, &layout);
    d.args_bytes = layout.bytes;
    d.values_at = layout.values_at;
    d.buffer_count = fnd_dispatch_buffers(b, refs, buffers);
    fnd_bound_scratch(b, &d.own_scratch_bytes, &d.shared_scratch_bytes);
    d.traffic = fnd_bound_traffic(b);
    return sink->take(f, sink->to, &d, err);
}

fnd_status fnd_run_held(foundry *f, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, fnd_error *err) { return fnd_run_into(f, kernel, bindings, count, &fnd_sink_now, err); }

fnd_status fnd_run(foundry *f, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, fnd_error *err) {
    FND_TRY(fnd_run_held(f, kernel, bindings, count, err));
    return fnd_dispatch_flush(f, err);
}

fnd_status fnd_wait(foundry *f, fnd_error *err) {
    FND_TRY(fnd_context_check(f, err));
    FND_TRY(fnd_flight_check_thread(f, "waiting", err));
    fnd_flight_wait_callbacks(f, UINT64_MAX);
    return fnd_device_wait(f, err);
}
