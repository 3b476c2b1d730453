/* program.c - recording a program, and running it. */
#include "run/program.h"
#include "base/base.h"
#include "base/memory.h"
#include "run/profiler.h"

#include <stdio.h>

fnd_status fnd_program_begin(foundry *f, const fnd_program_desc *desc, fnd_program **out, fnd_error *err) {
    *out = NULL;
    FND_TRY(fnd_program_form_check(f, desc->form, err));
    if (!desc->name || !fnd_expr_is_name(desc->name) || strlen(desc->name) >= FND_NAME_BYTES) {
        return fnd_fail(err, FND_ERR_USAGE, "a program needs a name of letters, digits and _, at most %d of them", FND_NAME_BYTES - 1);
    }
    fnd_program *p = fnd_alloc_zeroed(1, sizeof *p);
    if (!p) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", desc->name);
    p->f = f;
    p->layer = -1;
    p->asked = desc->form != FND_PROGRAM_AUTO;
    p->form = p->asked ? desc->form : f->info.runs_programs ? FND_PROGRAM_PERSISTENT
                                                            : FND_PROGRAM_LAUNCH;
    p->separate = p->form != FND_PROGRAM_PERSISTENT;
    p->stages = desc->stages;
    p->steps = desc->steps;
    p->drop_barrier = desc->drop_barrier;
    snprintf(p->name, sizeof p->name, "%s", desc->name);
    for (uint32_t i = 0; i < FND_MAX_VARIABLES && desc->variables[i]; i++) {
        snprintf(p->variables[p->variable_count++].name, FND_NAME_BYTES, "%s", desc->variables[i]);
    }
    *out = p;
    return FND_OK;
}

fnd_status fnd_program_layer(fnd_program *p, int layer, fnd_error *err) {
    if (p->finished) return fnd_fail(err, FND_ERR_USAGE, "program %s is finished: no layer can be added", p->name);
    bool ends = layer == -1, next = layer >= 0 && layer == p->layer + 1 && !p->behind_layers;
    if (!ends && !next && layer != p->layer) return fnd_fail(err, FND_ERR_USAGE, "program %s: layer %d cannot follow layer %d%s", p->name, layer, p->layer, p->behind_layers ? ", which is behind all layers" : "");
    p->behind_layers |= ends && p->layer >= 0;
    p->layer = layer;
    return FND_OK;
}

/* Where the program's variables stand in a call, and which of its rules depend on them. */
static void find_variables(const fnd_program *p, fnd_call *call) {
    const fnd_composition *c = &call->bound.kernel->composition;
    for (uint32_t i = 0; i < p->variable_count; i++) {
        int arg = fnd_composition_arg(c, p->variables[i].name), dim = fnd_dims_find(&c->dims, p->variables[i].name);
        bool number = arg >= 0 && c->args[arg].kind == FND_ARG_VAL;
        call->slots[i] = number ? (uint8_t)(FND_SLOT_ARG + arg) : dim >= 0 ? (uint8_t)dim
                                                                           : FND_NO_SLOT;
        if (call->slots[i] != FND_NO_SLOT) call->late_rules |= fnd_bound_rules_of(&call->bound, call->slots[i]);
    }
}

/* Numbers as these; few are different in a program, and the latest come again in the next layer. */
static fnd_bound_numbers *keep_numbers(fnd_program *p, const fnd_bound_numbers *numbers) {
    for (uint32_t i = p->numbers_count; i-- > 0;) {
        if (memcmp(p->numbers[i], numbers, sizeof *numbers) == 0) return p->numbers[i];
    }
    fnd_bound_numbers **list = fnd_alloc_resized(p->numbers, p->numbers_count + 1, sizeof *list);
    if (!list) return NULL;
    p->numbers = list;
    list[p->numbers_count] = fnd_alloc_zeroed(1, sizeof *numbers);
    if (!list[p->numbers_count]) return NULL;
    memcpy(list[p->numbers_count], numbers, sizeof *numbers);
    return list[p->numbers_count++];
}

/* Of what was bound in a room, what the call needs. */
static fnd_status keep(fnd_program *p, const fnd_bound_room *room, fnd_bound *out, fnd_error *err) {
    uint32_t count = room->bound.kernel->composition.arg_count;
    *out = room->bound;
    out->numbers = keep_numbers(p, &room->numbers);
    out->tensors = out->numbers ? fnd_alloc_zeroed(count, sizeof *out->tensors) : NULL;
    if (!out->tensors) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    memcpy(out->tensors, room->tensors, count * sizeof *out->tensors);
    return FND_OK;
}

fnd_status fnd_program_call(fnd_program *p, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, fnd_error *err) {
    if (p->finished) return fnd_fail(err, FND_ERR_USAGE, "program %s is finished: no call can be added", p->name);
    if (p->call_count == p->call_capacity) {
        uint32_t capacity = p->call_capacity ? 2 * p->call_capacity : 32;
        fnd_call *calls = fnd_alloc_resized(p->calls, capacity, sizeof *calls);
        if (!calls) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
        p->calls = calls;
        p->call_capacity = capacity;
    }
    fnd_bound_room room;
    fnd_call *call = &p->calls[p->call_count];
    FND_TRY(fnd_bind(p->f, kernel, bindings, count, &room, err));
    if (p->steps) fnd_bound_step(&room.bound);
    *call = (fnd_call){ .bound = room.bound, .layer = p->layer };
    find_variables(p, call);
    FND_TRY(fnd_bound_check_rules(&room.bound, ~call->late_rules, false, err));
    call->late_rules |= fnd_bound_growing_rules(&room.bound);
    FND_TRY(keep(p, &room, &call->bound, err));
    p->call_count++;
    return FND_OK;
}

static fnd_status finish(fnd_program *p, fnd_error *err) {
    FND_TRY(fnd_program_choose_texts(p, err));
    fnd_program_derive_barriers(p);
    FND_TRY(fnd_program_place(p, err));
    FND_TRY(fnd_program_check_schedule(p, NULL, err));
    FND_TRY(fnd_program_fold(p, err));
    FND_TRY(fnd_program_fill_table(p, err));
    for (uint32_t i = 0; i < p->variable_count; i++) {
        if (p->variables[i].count == 0) return fnd_fail(err, FND_ERR_USAGE, "program %s: no call has a number or dimension %s", p->name, p->variables[i].name);
    }
    return fnd_program_prepare(p, err);
}

fnd_status fnd_program_finish(fnd_program *p, fnd_error *err) {
    if (p->finished || p->call_count == 0) return fnd_fail(err, FND_ERR_USAGE, "program %s %s", p->name, p->finished ? "is finished already" : "has no calls");
    if (p->failed) return fnd_fail(err, FND_ERR_USAGE, "program %s could not be finished: begin it anew", p->name);
    fnd_status status = finish(p, err);
    p->finished = p->unchecked = status == FND_OK;
    p->failed = !p->finished;
    return status;
}

fnd_status fnd_program_set(fnd_program *p, const char *variable, uint32_t value, fnd_error *err) {
    int index = fnd_program_variable(p, variable);
    if (index < 0) return fnd_fail(err, FND_ERR_USAGE, "program %s has no variable %s", p->name, variable);
    fnd_variable *v = &p->variables[index];
    if (v->limit && (value == 0 || value > v->limit)) return fnd_fail(err, FND_ERR_LIMIT, "program %s: %s = %u is not within 1 .. %llu", p->name, variable, value, (unsigned long long)v->limit);
    v->value = value;
    p->unchecked = true;
    for (uint32_t i = 0; i < p->numbers_count; i++) p->numbers[i]->ops_known = false;
    for (uint32_t i = 0; i < v->count; i++) memcpy(p->table + v->at[i], &value, 4);
    return p->meanwhile ? fnd_program_set(p->meanwhile, variable, value, err) : FND_OK;
}

/* The numbers and dimensions of a call as they are now. */
static void refresh(const fnd_program *p, fnd_call *call) {
    for (uint32_t i = 0; i < p->variable_count; i++) {
        uint32_t slot = call->slots[i];
        if (slot < FND_SLOT_ARG)
            call->bound.numbers->dims.value[slot] = p->variables[i].value;
        else if (slot != FND_NO_SLOT)
            call->bound.numbers->bits[slot - FND_SLOT_ARG] = p->variables[i].value;
    }
}

/* Variables may be set in any order, so what must hold between them is checked when all are. */
static fnd_status check_variables(fnd_program *p, fnd_error *err) {
    for (uint32_t i = 0; p->unchecked && i < p->call_count; i++) {
        if (!p->calls[i].late_rules) continue;
        refresh(p, &p->calls[i]);
        FND_TRY(fnd_bound_check_rules(&p->calls[i].bound, p->calls[i].late_rules, true, err));
    }
    p->unchecked = false;
    return FND_OK;
}

fnd_traffic fnd_program_call_traffic(const fnd_program *p, uint32_t call) {
    refresh(p, &p->calls[call]);
    return fnd_bound_traffic(&p->calls[call].bound);
}

static void segment_traffic(const fnd_program *p, fnd_segment *s) {
    s->traffic = (fnd_traffic){ 0 };
    for (uint32_t i = s->first; i < s->first + s->count; i++) {
        fnd_traffic t = fnd_program_call_traffic(p, i);
        fnd_traffic_add(&s->traffic, &t);
    }
}

/* Layers have the same numbers: few of them are counted anew when a variable has changed. */
static uint64_t segment_ops(const fnd_program *p, const fnd_segment *s) {
    uint64_t ops = 0;
    for (uint32_t i = s->first; i < s->first + s->count; i++) {
        fnd_bound_numbers *n = p->calls[i].bound.numbers;
        if (!n->ops_known) {
            refresh(p, &p->calls[i]);
            n->ops = fnd_bound_ops(&p->calls[i].bound);
            n->ops_known = true;
        }
        ops += n->ops;
    }
    return ops;
}

/* Tensors may have been written by the host, or have gone, since the last run. Launches one by one are
 * told what they may touch. */
static fnd_status check_tensors(fnd_program *p, uint64_t submission, fnd_error *err) {
    fnd_storage_ref refs[FND_MAX_ARGS];
    for (uint32_t i = 0; i < p->call_count; i++) {
        FND_TRY(fnd_bound_resolve(p->f, &p->calls[i].bound, submission, refs, err));
        if (p->f->info.runs_programs) continue; /* nor are graphs */
        refresh(p, &p->calls[i]);
        fnd_dispatch_buffers(&p->calls[i].bound, refs, p->buffers + p->first_buffer[i]);
    }
    return FND_OK;
}

fnd_dispatch fnd_program_dispatch(const fnd_program *p, uint32_t segment) {
    const fnd_segment *s = &p->segments[segment];
    size_t first = p->first_buffer[s->first], end = p->first_buffer[s->first + s->count];
    return (fnd_dispatch){
        .label = s->label,
        .code = s->code,
        .is_program = s->is_program,
        .args = p->table + s->at,
        .args_bytes = s->bytes,
        .values_at = s->values_at,
        .concurrent = segment > 0 && !p->calls[s->first].barrier,
        .warps = s->warps,
        .own_scratch_bytes = s->own_scratch_bytes,
        .shared_scratch_bytes = s->shared_scratch_bytes,
        .ring_bytes = s->ring_bytes,
        .traffic = s->traffic,
        .buffers = p->buffers + first,
        .buffer_count = end - first,
    };
}

/* All segments as one dispatch. */
static fnd_status run_graph(fnd_program *p, const fnd_sink *sink, bool profiled, fnd_error *err) {
    fnd_dispatch d = { .label = p->name, .graph = &p->graph, .args = p->table, .args_bytes = p->table_bytes };
    for (uint32_t i = 0; profiled && i < p->segment_count; i++) {
        segment_traffic(p, &p->segments[i]);
        fnd_traffic_add(&d.traffic, &p->segments[i].traffic);
    }
    return sink->take(p->f, sink->to, &d, err);
}

fnd_status fnd_program_run_into(fnd_program *program, const fnd_sink *sink, fnd_error *err) {
    if (!program->finished) return fnd_fail(err, FND_ERR_USAGE, "program %s is not finished", program->name);
    FND_TRY(check_variables(program, err));
    fnd_program *p = fnd_program_present(program);
    FND_TRY(check_tensors(p, sink->submission, err));
    bool profiled = fnd_profile_on(&p->f->profiler);
    if (p->graph.count) return run_graph(p, sink, profiled, err);
    for (uint32_t i = 0; i < p->segment_count; i++) {
        fnd_segment *s = &p->segments[i];
        if (profiled)
            segment_traffic(p, s);
        else
            s->traffic = (fnd_traffic){ .ops = p->f->info.counts_ops ? segment_ops(p, s) : 0 };
        const fnd_dispatch d = fnd_program_dispatch(p, i);
        FND_TRY(profiled && p->stages && sink == &fnd_sink_now ? fnd_program_run_stages(p, &d, err) : sink->take(p->f, sink->to, &d, err));
    }
    return FND_OK;
}

fnd_status fnd_program_run_held(fnd_program *program, fnd_error *err) { return fnd_program_run_into(program, &fnd_sink_now, err); }

fnd_status fnd_program_run(fnd_program *program, fnd_error *err) {
    FND_TRY(fnd_program_run_held(program, err));
    return fnd_dispatch_flush(program->f, err);
}

void fnd_program_get_info(const fnd_program *p, fnd_program_info *out) {
    *out = (fnd_program_info){ .calls = p->call_count, .barriers = p->barriers, .layers = p->layers, .form = p->form, .launches = p->segment_count, .temporary_bytes = p->temporary_bytes, .text = fnd_text_get(&p->text) };
    for (uint32_t i = 0; i < p->segment_count; i++) {
        segment_traffic(p, &p->segments[i]);
        out->bytes_read += p->segments[i].traffic.bytes_read;
        out->bytes_written += p->segments[i].traffic.bytes_written;
        out->ops += p->segments[i].traffic.ops;
    }
}

static void free_graph(fnd_program *p) {
    fnd_error ignored = { 0 };
    if (p->graph.made && fnd_context_check(p->f, &ignored) == FND_OK) { /* a closed device has freed it */
        fnd_device_lock(p->f);
        p->f->backend->free_graph(p->f->device, p->graph.made);
        fnd_device_unlock(p->f);
    }
    fnd_free_memory(p->graph.launches);
}

void fnd_program_free(fnd_program *p) {
    if (!p) return;
    fnd_program_stop_compiling(p);
    free_graph(p);
    fnd_program_free(p->meanwhile);
    for (uint32_t i = 0; i < p->variant_count; i++) fnd_free_memory(p->variants[i]);
    for (uint32_t i = 0; i < p->variable_count; i++) fnd_free_memory(p->variables[i].at);
    for (uint32_t i = 0; i < p->call_count && !p->stands_in; i++) fnd_free_memory(p->calls[i].bound.tensors);
    for (uint32_t i = 0; i < p->numbers_count; i++) fnd_free_memory(p->numbers[i]);
    fnd_free_memory(p->numbers);
    if (p->arena.t.rank) fnd_tensor_free(p->f, &p->arena, NULL);
    if (p->stamps.t.rank) fnd_tensor_free(p->f, &p->stamps, NULL);
    fnd_free_memory(p->temporaries);
    fnd_free_memory(p->variants);
    fnd_free_memory(p->calls);
    fnd_free_memory(p->table);
    fnd_free_memory(p->segments);
    fnd_free_memory(p->buffers);
    fnd_free_memory(p->first_buffer);
    fnd_text_free(&p->text);
    fnd_free_memory(p);
}
