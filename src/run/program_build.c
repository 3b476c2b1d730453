/* program_build.c - a program's table of arguments, its text and its code. */
#include "run/program.h"
#include "base/base.h"
#include "base/memory.h"
#include "kernels/dialect/stream_pieces.h"

#include <stdio.h>

/* ---- the table: before, layers, after, in the order of the calls ---- */

static fnd_status add_place(fnd_program *p, fnd_variable *v, uint32_t at, fnd_error *err) {
    if (v->count == v->capacity) {
        uint32_t capacity = v->capacity ? 2 * v->capacity : 32;
        uint32_t *list = fnd_alloc_resized(v->at, capacity, sizeof *list);
        if (!list) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
        v->at = list;
        v->capacity = capacity;
    }
    v->at[v->count++] = at;
    return FND_OK;
}

/* Remember where the variables of a call stand. */
static fnd_status note_variables(fnd_program *p, const fnd_call *call, const fnd_layout_of_args *layout, fnd_error *err) {
    const fnd_composition *c = &call->bound.kernel->composition;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        int v = c->args[i].kind == FND_ARG_VAL ? fnd_program_variable(p, c->args[i].name) : -1;
        if (v < 0) continue;
        p->variables[v].value = call->bound.numbers->bits[i];
        FND_TRY(add_place(p, &p->variables[v], call->at + layout->arg[i], err));
    }
    for (uint32_t i = 0; i < c->dims.count; i++) {
        int v = fnd_program_variable(p, c->dims.name[i]);
        if (v < 0) continue;
        fnd_variable *var = &p->variables[v];
        uint64_t bound = call->bound.numbers->dims.value[i];
        if (var->limit == 0 || bound < var->limit) var->limit = bound;
        var->value = (uint32_t)var->limit;
        FND_TRY(add_place(p, var, call->at + layout->dim[i], err));
    }
    return FND_OK;
}

static fnd_status fill_table(fnd_program *p, fnd_error *err) {
    uint32_t at = 0;
    fnd_storage_ref refs[FND_MAX_ARGS];
    fnd_layout_of_args layout;
    p->first_buffer = fnd_alloc_zeroed(p->call_count + 1ull, sizeof *p->first_buffer);
    if (!p->first_buffer) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the arguments of program %s", p->name);
    for (uint32_t i = 0; i < p->call_count; i++) {
        fnd_variant_layout(p->variants[p->calls[i].variant], &layout);
        p->calls[i].at = at;
        at += layout.bytes;
        p->first_buffer[i + 1] = p->first_buffer[i] + fnd_dispatch_buffers(&p->calls[i].bound, NULL, NULL);
    }
    p->stages &= !p->separate;
    p->table_bytes = at + (p->stages ? FND_STAMPS_BYTES : 0);
    p->table = fnd_alloc_zeroed(1, p->table_bytes);
    p->buffers = fnd_alloc_zeroed(p->first_buffer[p->call_count], sizeof *p->buffers);
    if (!p->table || !p->buffers) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the arguments of program %s", p->name);
    for (uint32_t i = 0; i < p->call_count; i++) {
        fnd_call *call = &p->calls[i];
        const fnd_variant *v = p->variants[call->variant];
        FND_TRY(fnd_bound_resolve(p->f, &call->bound, FND_PLAIN_LAUNCH, refs, err));
        fnd_bound_write_args(&call->bound, v, refs, p->table + call->at);
        fnd_dispatch_buffers(&call->bound, refs, p->buffers + p->first_buffer[i]);
        fnd_variant_layout(v, &layout);
        FND_TRY(note_variables(p, call, &layout, err));
    }
    return p->stages ? fnd_program_open_stages(p, err) : FND_OK;
}

/* ---- classes of layers ---- */

typedef struct layering {
    fnd_part *parts; /* one per call */
    fnd_block_of_calls *blocks, *classes;
    uint8_t *layer_class;
    uint32_t layers, class_count;
} layering;

static bool same_block(const fnd_block_of_calls *a, const fnd_block_of_calls *b) {
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->parts[i].variant != b->parts[i].variant || a->parts[i].barrier != b->parts[i].barrier) return false;
    }
    return true;
}

static fnd_status find_class(const fnd_program *p, layering *l, uint32_t layer, fnd_error *err) {
    uint32_t c = 0;
    while (c < l->class_count && !same_block(&l->classes[c], &l->blocks[layer])) c++;
    if (c == 26) return fnd_fail(err, FND_ERR_LIMIT, "program %s has more than 26 kinds of layers", p->name);
    if (c == l->class_count) l->classes[l->class_count++] = l->blocks[layer];
    l->layer_class[layer] = (uint8_t)c;
    return FND_OK;
}

static void free_layering(layering *l) {
    fnd_free_memory(l->parts);
    fnd_free_memory(l->blocks);
    fnd_free_memory(l->classes);
    fnd_free_memory(l->layer_class);
}

/* Calls in a row, cut where the layer changes. */
static fnd_status find_layers(const fnd_program *p, layering *l, fnd_program_text *text, fnd_error *err) {
    l->parts = fnd_alloc_zeroed(p->call_count, sizeof *l->parts);
    l->blocks = fnd_alloc_zeroed(p->layers + 1, sizeof *l->blocks);
    l->classes = fnd_alloc_zeroed(p->layers + 1, sizeof *l->classes);
    l->layer_class = fnd_alloc_zeroed(p->layers + 1, 1);
    if (!l->parts || !l->blocks || !l->classes || !l->layer_class) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    for (uint32_t i = 0; i < p->call_count; i++) {
        const fnd_call *call = &p->calls[i];
        bool behind = call->layer < 0 && p->layers > 0 && i > 0 && (p->calls[i - 1].layer >= 0 || text->after.count);
        fnd_block_of_calls *block = call->layer >= 0 ? &l->blocks[call->layer] : behind ? &text->after
                                                                                        : &text->before;
        l->parts[i] = (fnd_part){ call->variant, call->barrier };
        if (!block->count) block->parts = &l->parts[i];
        block->count++;
    }
    for (uint32_t i = 0; i < p->layers; i++) FND_TRY(find_class(p, l, i, err));
    text->layers = p->layers;
    text->classes = l->classes;
    text->class_count = l->class_count;
    text->layer_class = l->layer_class;
    return FND_OK;
}

/* ---- code ---- */

/* Portable texts if one call needs them. */
static fnd_status common_suffix(const fnd_program *p, uint32_t first, uint32_t count, const char **suffix, fnd_error *err) {
    *suffix = p->f->info.suffix;
    for (uint32_t i = first; i < first + count && (*suffix)[0]; i++) FND_TRY(fnd_dispatch_suffix(p->f, &p->calls[i].bound, suffix, err));
    return FND_OK;
}

fnd_status fnd_program_choose_texts(fnd_program *p, fnd_error *err) {
    bool tiled = false, portable = false;
    for (uint32_t i = 0; i < p->call_count; i++) {
        const char *suffix;
        FND_TRY(fnd_dispatch_suffix(p->f, &p->calls[i].bound, &suffix, err));
        tiled |= p->calls[i].bound.tiled;
        portable |= !suffix[0];
    }
    if (p->separate || !tiled || !portable || !p->f->info.suffix[0]) return FND_OK;
    if (p->asked) return fnd_fail(err, FND_ERR_UNSUPPORTED, "program %s cannot be one function: some of its weights lie in tiles, and others are of a format that only portable texts read; the form auto or launch runs it", p->name);
    p->separate = true;
    p->form = FND_PROGRAM_LAUNCH;
    return FND_OK;
}

static void measure_segment(const fnd_program *p, fnd_segment *s) {
    fnd_layout_of_args layout;
    s->at = p->calls[s->first].at;
    s->bytes = 0;
    s->warps = p->f->info.warps;
    s->own_scratch_bytes = s->shared_scratch_bytes = 0;
    for (uint32_t i = s->first; i < s->first + s->count; i++) {
        size_t own, shared;
        fnd_bound_scratch(&p->calls[i].bound, &own, &shared);
        s->own_scratch_bytes = fnd_max_size(s->own_scratch_bytes, own);
        s->shared_scratch_bytes = fnd_max_size(s->shared_scratch_bytes, shared);
        fnd_variant_layout(p->variants[p->calls[i].variant], &layout);
        s->bytes += layout.bytes;
        s->values_at = layout.values_at;
    }
}

/* ---- the weight stream ---- */

enum { STREAM_OVERHEAD_BYTES = 36 << 10, /* group memory of the stream's slots and of kernels, at most */
       STREAM_TABLE_ALIGNMENT = 256 };

/* The largest piece that can come of a matrix. */
static uint64_t piece_bytes(const fnd_tensor *w) {
    uint64_t rows = 1;
    for (uint32_t i = 0; i + 1 < w->rank; i++) rows *= w->shape[i];
    uint64_t pitch = (fnd_tensor_extent_bytes(w) + rows - 1) / (rows ? rows : 1);
    return pitch * FND_STREAM_TILE_ROWS(pitch);
}

static bool one_token(const fnd_variant *v) {
    int tokens = fnd_dims_find(&v->kernel->dims, "tokens");
    return v->tokens == 1 && tokens >= 0 && v->dim_folded[tokens] && v->dim_value[tokens] == 1;
}

/* Every matrix of the program in turn can come by a stream: one token, rows in the device's layout, and room
 * for three pieces beside the activations. */
static bool can_stream(const fnd_program *p, uint64_t *scratch_bytes, uint64_t *ring_bytes) {
    uint64_t piece = 0, matrices = 0;
    *scratch_bytes = 0;
    *ring_bytes = FND_STREAM_CHUNK;
    for (uint32_t i = 0; i < p->call_count; i++) {
        const fnd_bound *b = &p->calls[i].bound;
        const fnd_composition *c = &b->kernel->composition;
        size_t own, shared;
        uint64_t together = 0; /* pieces of all its matrices: what is brought at once is no more, or a chunk */
        fnd_bound_scratch(b, &own, &shared);
        if (c->form == FND_FORM_LINEAR) {
            if (!one_token(p->variants[p->calls[i].variant]) || !b->tiled) return false;
            for (uint32_t k = 0; k < c->arg_count; k++) {
                if (c->args[k].kind != FND_ARG_WEIGHT) continue;
                uint64_t cols = b->tensors[k].shape[b->tensors[k].rank - 1], bytes = piece_bytes(&b->tensors[k]);
                own = (size_t)(5 * cols + (cols + 31) / 32 * 12 + 512); /* gemv/x.cuda.h for one token */
                piece = bytes > piece ? bytes : piece;
                together += bytes;
                matrices++;
                if (own > *scratch_bytes) *scratch_bytes = own;
            }
            if (together > *ring_bytes) *ring_bytes = together;
        } else if (own > *scratch_bytes) {
            *scratch_bytes = own;
        }
    }
    *scratch_bytes = fnd_round_up(*scratch_bytes, STREAM_TABLE_ALIGNMENT) + fnd_round_up(p->table_bytes, STREAM_TABLE_ALIGNMENT); /* dialect/cuda.h */
    return matrices && *scratch_bytes + STREAM_OVERHEAD_BYTES + 3 * piece <= p->f->info.group_bytes;
}

/* Print calls first .. first + count - 1 as one entry point, into p->text. */
static fnd_status print_segment(fnd_program *p, fnd_segment *s, const fnd_program_text *text, fnd_error *err) {
    fnd_composer *c;
    FND_TRY(fnd_composer_get(p->f, &c, err));
    FND_TRY(common_suffix(p, s->first, s->count, &p->suffix, err));
    s->is_program = true;
    fnd_text_clear(&p->text);
    return fnd_print_program(c->catalog, text, &p->text, err);
}

static fnd_status compile_printed(const fnd_program *p, const char *entry, bool only_if_there, fnd_process_stop *stop, void **code, fnd_error *err) {
    fnd_pipeline_desc desc = { .entry = entry, .text = p->text.data, .suffix = p->suffix, .warps = p->segments[0].warps, .only_if_there = only_if_there, .stop = stop };
    return fnd_pipeline_get(p->f, &desc, code, err);
}

fnd_status fnd_program_compile_printed(const fnd_program *p, fnd_process_stop *stop, void **code, fnd_error *err) {
    return compile_printed(p, p->name, false, stop, code, err);
}

/* Everything but the compiling, with the dimensions that are bound: they may be others by then. */
static fnd_status print_whole_program(fnd_program *p, fnd_error *err) {
    layering l = { 0 };
    fnd_program_text text = { .name = p->name, .variants = (const fnd_variant *const *)p->variants, .variant_count = p->variant_count, .stages = p->stages };
    p->segments = fnd_alloc_zeroed(1, sizeof *p->segments);
    if (!p->segments) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    p->segment_count = 1;
    p->segments[0].count = p->call_count;
    snprintf(p->segments[0].label, sizeof p->segments[0].label, "%s", p->name);
    measure_segment(p, &p->segments[0]);
    p->segments[0].bytes = p->table_bytes;
    uint64_t scratch_bytes, ring_bytes;
    bool streamed = p->f->info.stream_warps && can_stream(p, &scratch_bytes, &ring_bytes);
    if (streamed) {
        p->segments[0].own_scratch_bytes = (size_t)scratch_bytes;
        p->segments[0].ring_bytes = (size_t)ring_bytes;
        p->segments[0].warps = p->f->info.stream_warps;
    }
    for (uint32_t i = 0; i < p->variant_count; i++) p->variants[i]->streamed = streamed;
    fnd_status status = find_layers(p, &l, &text, err);
    if (status == FND_OK) status = fnd_program_check_schedule(p, &text, err);
    if (status == FND_OK) status = print_segment(p, &p->segments[0], &text, err);
    free_layering(&l);
    if (status == FND_OK) return FND_OK;
    fnd_free_memory(p->segments);
    p->segments = NULL;
    p->segment_count = 0;
    return status;
}

static fnd_status build_whole(fnd_program *p, bool only_if_there, fnd_error *err) {
    if (!p->segments) FND_TRY(print_whole_program(p, err));
    return compile_printed(p, p->name, only_if_there, NULL, &p->segments[0].code, err);
}

static fnd_status print_whole(const fnd_program *p, const fnd_program_text *text, bool flat, fnd_text *out, fnd_error *err) {
    fnd_composer *c;
    const char *suffix;
    fnd_text printed = { 0 };
    FND_TRY(fnd_composer_get(p->f, &c, err));
    FND_TRY(common_suffix(p, 0, p->call_count, &suffix, err));
    if (!flat) return fnd_print_program(c->catalog, text, out, err);
    fnd_status status = fnd_print_program(c->catalog, text, &printed, err);
    if (status == FND_OK) status = fnd_sources_flatten(fnd_catalog_sources(c->catalog), suffix, p->name, fnd_text_get(&printed), out, err);
    fnd_text_free(&printed);
    return status;
}

fnd_status fnd_program_print(const fnd_program *p, bool flat, fnd_text *out, fnd_error *err) {
    layering l = { 0 };
    fnd_program_text text = { .name = p->name, .variants = (const fnd_variant *const *)p->variants, .variant_count = p->variant_count, .stages = p->stages };
    fnd_status status = find_layers(p, &l, &text, err);
    if (status == FND_OK) status = print_whole(p, &text, flat, out, err);
    free_layering(&l);
    return status;
}

/* One launch for the calls between two barriers. A single call is compiled alone, under its own
 * kernel's name, so that equal calls of any program share their code. */
static fnd_status build_segment(fnd_program *p, fnd_segment *s, fnd_error *err) {
    const fnd_call *call = &p->calls[s->first];
    measure_segment(p, s);
    if (s->count == 1) {
        snprintf(s->label, sizeof s->label, "%s", call->bound.kernel->composition.name);
        if (call->baked) {
            s->code = call->baked;
            return FND_OK;
        }
        fnd_variant alone = *p->variants[call->variant];
        snprintf(alone.name, sizeof alone.name, "%s", call->bound.numbers->variant.name);
        return fnd_dispatch_pipeline(p->f, &call->bound, &alone, &s->code, err);
    }
    fnd_part parts[64];
    const fnd_variant *variants[64];
    if (s->count > FND_COUNT(parts)) return fnd_fail(err, FND_ERR_LIMIT, "program %s has more than %zu calls without a barrier between them", p->name, FND_COUNT(parts));
    fnd_program_text text = { .name = s->label, .variants = variants };
    for (uint32_t i = 0; i < s->count; i++) {
        const fnd_variant *v = p->variants[p->calls[s->first + i].variant];
        uint32_t k = 0;
        while (k < text.variant_count && variants[k] != v) k++;
        if (k == text.variant_count) variants[text.variant_count++] = v;
        parts[i] = (fnd_part){ .variant = k };
    }
    snprintf(s->label, sizeof s->label, "%.24s_and_%u", variants[0]->name, s->count - 1);
    text.before = (fnd_block_of_calls){ parts, s->count };
    FND_TRY(print_segment(p, s, &text, err));
    return compile_printed(p, text.name, false, NULL, &s->code, err);
}

/* The segments as one graph: what is told of each launch, but for its arguments, never changes. */
static fnd_status join_segments(fnd_program *p, fnd_error *err) {
    p->graph.launches = fnd_alloc_zeroed(p->segment_count, sizeof *p->graph.launches);
    if (!p->graph.launches) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    p->graph.count = p->segment_count;
    for (uint32_t i = 0; i < p->segment_count; i++) {
        const fnd_segment *s = &p->segments[i];
        const fnd_dispatch d = fnd_program_dispatch(p, i);
        p->graph.launches[i] = fnd_dispatch_launch(p->f, &d);
        p->graph.launches[i].args = NULL;
        p->graph.launches[i].args_at = s->at;
    }
    return FND_OK;
}

static fnd_status build_separate(fnd_program *p, fnd_error *err) {
    p->segments = fnd_alloc_zeroed(p->call_count, sizeof *p->segments);
    if (!p->segments) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    for (uint32_t i = 0; i < p->call_count; i++) {
        /* Each call is a launch; only where a test leaves out a barrier are calls put together. */
        if (i == 0 || p->calls[i].barrier || !p->drop_barrier) p->segments[p->segment_count++] = (fnd_segment){ .first = i };
        p->segments[p->segment_count - 1].count++;
    }
    for (uint32_t i = 0; i < p->segment_count; i++) FND_TRY(build_segment(p, &p->segments[i], err));
    return p->form == FND_PROGRAM_GRAPH ? join_segments(p, err) : FND_OK;
}

fnd_status fnd_program_fill_table(fnd_program *p, fnd_error *err) {
    for (uint32_t i = 0; i < p->call_count; i++) {
        if (p->calls[i].layer >= (int)p->layers) p->layers = (uint32_t)p->calls[i].layer + 1;
    }
    return fill_table(p, err);
}

fnd_status fnd_program_compile(fnd_program *p, bool only_if_there, fnd_error *err) {
    return p->separate ? build_separate(p, err) : build_whole(p, only_if_there, err);
}
