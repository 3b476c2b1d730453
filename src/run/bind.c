/* bind.c - checking what is bound, and writing argument structs. Sentences name kernel and argument. */
#include "run/bind.h"
#include "base/base.h"
#include "run/composer.h"
#include "run/context.h"
#include "run/dispatch.h"

#include <stdio.h>

typedef struct binder {
    foundry *f;
    fnd_bound *b;
    const fnd_binding *bindings;
    size_t count;
    fnd_error *err;
} binder;

static const char *kernel_name(const binder *x) { return x->b->kernel->composition.name; }

static const fnd_binding *find_binding(const binder *x, const char *name) {
    for (size_t i = 0; i < x->count; i++) {
        if (strcmp(x->bindings[i].name, name) == 0) return &x->bindings[i];
    }
    return NULL;
}

static fnd_status check_names(const binder *x) {
    const fnd_composition *c = &x->b->kernel->composition;
    for (size_t i = 0; i < x->count; i++) {
        if (fnd_composition_arg(c, x->bindings[i].name) >= 0) continue;
        return fnd_fail(x->err, FND_ERR_USAGE, "kernel %s has no argument %s", c->name, x->bindings[i].name);
    }
    return FND_OK;
}

static bool is_act(fnd_format format) { return format == FND_F32 || format == FND_F16 || format == FND_BF16 || format == FND_Q8_0; }

/* Written value by value, which blocks of 32 under one scale cannot be: by a store, or in place. */
static bool written_singly(const fnd_composition *c, uint32_t arg) {
    if (c->args[arg].kind == FND_ARG_INOUT) return true;
    for (uint32_t s = 0; s < c->step_count; s++) {
        const fnd_stage *stage = c->steps[s].stage;
        for (uint32_t i = 0; stage->kind == FND_KIND_EPILOGUE_STORE && i < stage->arg_count; i++) {
            if (c->steps[s].arg[i] == arg && stage->args[i].kind == FND_ARG_OUT) return true;
        }
    }
    return false;
}

static fnd_status check_type(const binder *x, uint32_t index, const fnd_arg *arg, const fnd_tensor *t) {
    const fnd_format_info *info = fnd_format_get(t->format);
    if (fnd_arg_is_act(arg) && t->format == FND_Q8_0 && written_singly(&x->b->kernel->composition, index)) {
        return fnd_fail(x->err, FND_ERR_TYPE, "kernel %s: argument %s is written value by value, but q8_0 is bound, which is stored by blocks of 32; bind F32, F16 or BF16 and copy it", kernel_name(x), arg->name);
    }
    bool fits = strcmp(arg->type, info->name) == 0;
    if (fnd_arg_is_act(arg)) fits = is_act(t->format);
    if (fnd_arg_is_cache(arg)) fits = fnd_format_is_cache(t->format);
    if (arg->kind == FND_ARG_WEIGHT) fits = info->is_weight;
    if (strcmp(arg->type, "u32") == 0) fits |= t->format == FND_I32;
    if (fits) return FND_OK;
    const char *wanted = arg->kind == FND_ARG_WEIGHT ? "a weight format" : arg->type;
    if (fnd_arg_is_act(arg)) wanted = "F32, F16, BF16 or Q8_0";
    if (fnd_arg_is_cache(arg)) wanted = "F16, F32 or Q8_0";
    return fnd_fail(x->err, FND_ERR_TYPE, "kernel %s: argument %s takes %s, but a tensor of %s is bound", kernel_name(x), arg->name, wanted, info->name);
}

static fnd_status bind_tensor(const binder *x, uint32_t i, const fnd_arg *arg, const fnd_binding *bound) {
    char text[96];
    if (bound->number || !bound->in) return fnd_fail(x->err, FND_ERR_USAGE, "kernel %s: argument %s is a tensor [%s], not a number", kernel_name(x), arg->name, arg->shape_text);
    const fnd_tensor *t = bound->in;
    FND_TRY(fnd_tensor_check(x->f, t, x->err));
    bool writes = arg->kind == FND_ARG_OUT || arg->kind == FND_ARG_INOUT;
    if (writes && !bound->out) return fnd_fail(x->err, FND_ERR_USAGE, "kernel %s: argument %s is written: bind it with fnd_bind_out", kernel_name(x), arg->name);
    if (writes && (t->flags & FND_TENSOR_READ_ONLY)) return fnd_fail(x->err, FND_ERR_USAGE, "kernel %s: argument %s is written, but %s is read-only", kernel_name(x), arg->name, fnd_tensor_describe(t, text, sizeof text));
    FND_TRY(check_type(x, i, arg, t));
    if (t->rank != arg->shape.rank) return fnd_fail(x->err, FND_ERR_SHAPE, "kernel %s: argument %s has the shape %s, but %s is bound", kernel_name(x), arg->name, arg->shape_text, fnd_tensor_describe(t, text, sizeof text));
    if (!fnd_tensor_contiguous(t)) return fnd_fail(x->err, FND_ERR_SHAPE, "kernel %s: argument %s must be contiguous, but %s is not; copy it first", kernel_name(x), arg->name, fnd_tensor_describe(t, text, sizeof text));
    x->b->tensors[i] = *t;
    if (fnd_arg_is_act(arg) || fnd_arg_is_cache(arg) || arg->kind == FND_ARG_WEIGHT) x->b->numbers->variant.formats[i] = t->format;
    return FND_OK;
}

static fnd_status bind_number(const binder *x, uint32_t i, const fnd_arg *arg, const fnd_binding *bound) {
    char want = arg->type[0];
    bool small = bound->number == 'i' && want == 'u' && (int32_t)bound->bits >= 0;
    bool fits = bound->number == want || small || (bound->number == 'u' && want == 'i' && bound->bits <= INT32_MAX);
    if (!fits) return fnd_fail(x->err, FND_ERR_TYPE, "kernel %s: argument %s takes a number of type %s", kernel_name(x), arg->name, arg->type);
    x->b->numbers->bits[i] = bound->bits;
    return FND_OK;
}

/* Names get their values from the tensors that have them alone. */
static fnd_status solve_dims(const binder *x) {
    const fnd_composition *c = &x->b->kernel->composition;
    fnd_dims *dims = &x->b->numbers->dims;
    *dims = c->dims;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        const fnd_arg *arg = &c->args[i];
        for (uint32_t d = 0; fnd_arg_is_tensor(arg) && d < arg->shape.rank; d++) {
            uint64_t value = x->b->tensors[i].shape[d];
            int dim = fnd_expr_is_name(arg->shape.dim[d]) ? fnd_dims_find(dims, arg->shape.dim[d]) : -1;
            if (dim < 0) continue;
            if (value > UINT32_MAX) return fnd_fail(x->err, FND_ERR_LIMIT, "kernel %s: argument %s: dimension %s is %llu, more than 32 bits hold", c->name, arg->name, arg->shape.dim[d], (unsigned long long)value);
            if (dims->known[dim] && dims->value[dim] != value) {
                return fnd_fail(x->err, FND_ERR_SHAPE, "kernel %s: argument %s has %s = %llu, but another argument has %s = %llu", c->name, arg->name, arg->shape.dim[d], (unsigned long long)value,
                                arg->shape.dim[d], (unsigned long long)dims->value[dim]);
            }
            dims->known[dim] = true;
            dims->value[dim] = value;
        }
    }
    for (uint32_t i = 0; i < dims->count; i++) {
        if (!dims->known[i]) return fnd_fail(x->err, FND_ERR_COMPOSE, "kernel %s: no argument has the dimension %s alone, so its value is unknown", c->name, dims->name[i]);
    }
    return FND_OK;
}

static fnd_status check_shapes(const binder *x) {
    const fnd_composition *c = &x->b->kernel->composition;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        const fnd_arg *arg = &c->args[i];
        for (uint32_t d = 0; fnd_arg_is_tensor(arg) && d < arg->shape.rank; d++) {
            uint64_t value;
            FND_TRY(fnd_expr_value(arg->shape.dim[d], &x->b->numbers->dims, &value, x->err));
            if (value == x->b->tensors[i].shape[d]) continue;
            return fnd_fail(x->err, FND_ERR_SHAPE, "kernel %s: argument %s: %s should be %llu, but the tensor has %llu", c->name, arg->name, arg->shape.dim[d], (unsigned long long)value,
                            (unsigned long long)x->b->tensors[i].shape[d]);
        }
    }
    return FND_OK;
}

/* Is this weight the operand of a matrix product (which a device may want in tiles)? */
static bool is_operand(const fnd_composition *c, uint32_t arg) {
    for (uint32_t s = 0; s < c->step_count; s++) {
        const fnd_stage *stage = c->steps[s].stage;
        for (uint32_t i = 0; i < stage->arg_count; i++) {
            if (c->steps[s].arg[i] == arg && stage->args[i].kind == FND_ARG_WEIGHT) return stage->takes == FND_VALUE_ROWS;
        }
    }
    return false;
}

/* Have all operands a text of this device that reads rows? Else portable ones do. */
static fnd_status find_row_texts(const binder *x, bool *found) {
    const fnd_composition *c = &x->b->kernel->composition;
    const fnd_variant *v = &x->b->numbers->variant;
    fnd_composer *composer;
    *found = true;
    for (uint32_t s = 0; s < c->step_count; s++) *found &= !c->steps[s].stage->by_policy || c->steps[s].stage->takes != FND_VALUE_ROWS || fnd_stage_reads_rows(c->steps[s].stage);
    FND_TRY(fnd_composer_get(x->f, &composer, x->err));
    *found &= x->f->info.reads_rows && fnd_common_suffix(composer->catalog, x->f->info.suffix, &v, 1)[0];
    return FND_OK;
}

static fnd_status check_layouts(const binder *x) {
    const fnd_composition *c = &x->b->kernel->composition;
    uint32_t tiles = 0, rows = 0, tile_rows = x->f->info.tile_rows;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        if (!fnd_arg_is_tensor(&c->args[i])) continue;
        const fnd_tensor *t = &x->b->tensors[i];
        bool operand = c->args[i].kind == FND_ARG_WEIGHT && is_operand(c, i), tiled = t->layout == FND_LAYOUT_TILES;
        if (tiled && (!operand || t->tile_rows != tile_rows)) {
            return fnd_fail(x->err, FND_ERR_SHAPE, "kernel %s: argument %s lies in tiles of %u rows, but this kernel needs %s", c->name, c->args[i].name, t->tile_rows, operand ? "other tiles on this device" : "rows as in the file");
        }
        if (operand) tiled ? tiles++ : rows++;
    }
    if (tiles && rows) return fnd_fail(x->err, FND_ERR_SHAPE, "kernel %s: some weights lie in tiles and some as in the file; repack all or none", c->name);
    bool found = false;
    x->b->portable = rows > 0 && tile_rows > 0; /* where there are no tiles, texts for the device read rows */
    if (x->b->portable) FND_TRY(find_row_texts(x, &found));
    x->b->portable &= !found;
    x->b->numbers->variant.file_rows = found;
    x->b->tiled = tiles > 0;
    return FND_OK;
}

/* Is this argument read by gates and residuals alone? Those read the place whose result is stored next. */
static bool read_in_place(const fnd_composition *c, uint32_t arg) {
    for (uint32_t s = 0; s < c->step_count; s++) {
        const fnd_stage *stage = c->steps[s].stage;
        for (uint32_t i = 0; i < stage->arg_count; i++) {
            bool at_place = stage->kind == FND_KIND_EPILOGUE_GATE || stage->kind == FND_KIND_EPILOGUE_RESIDUAL;
            if (c->steps[s].arg[i] == arg && !at_place) return false;
        }
    }
    return c->args[arg].kind == FND_ARG_IN;
}

/* Is it the result of the store? */
static bool is_stored(const fnd_composition *c, uint32_t arg) {
    for (uint32_t s = 0; s < c->step_count; s++) {
        const fnd_stage *stage = c->steps[s].stage;
        for (uint32_t i = 0; stage->kind == FND_KIND_EPILOGUE_STORE && i < stage->arg_count; i++) {
            if (c->steps[s].arg[i] == arg) return c->args[arg].kind == FND_ARG_OUT;
        }
    }
    return false;
}

/* May this output be the very tensor that this input is: every place is read before it is written, by the
 * same thread. */
static bool in_place(const fnd_composition *c, uint32_t out, uint32_t in, const fnd_tensor *a, const fnd_tensor *b) {
    if (!is_stored(c, out) || !read_in_place(c, in) || strcmp(c->args[out].shape_text, c->args[in].shape_text) != 0) return false;
    return a->offset_bytes == b->offset_bytes && a->format == b->format;
}

/* An output shares memory with nothing else, but for a gate or residual that is the same tensor. */
static fnd_status check_aliases(const binder *x) {
    const fnd_composition *c = &x->b->kernel->composition;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        const fnd_tensor *a = &x->b->tensors[i];
        if (c->args[i].kind != FND_ARG_OUT && c->args[i].kind != FND_ARG_INOUT) continue;
        for (uint32_t k = 0; k < c->arg_count; k++) {
            const fnd_tensor *b = &x->b->tensors[k];
            if (k == i || !fnd_arg_is_tensor(&c->args[k]) || a->storage != b->storage) continue;
            bool apart = a->offset_bytes + fnd_tensor_extent_bytes(a) <= b->offset_bytes || b->offset_bytes + fnd_tensor_extent_bytes(b) <= a->offset_bytes;
            if (!apart && !in_place(c, i, k, a, b)) return fnd_fail(x->err, FND_ERR_USAGE, "kernel %s: argument %s is written and shares memory with %s", c->name, c->args[i].name, c->args[k].name);
        }
    }
    return FND_OK;
}

/* Tokens that a matrix kernel computes together: few do not pay for a whole tile of many. */
static uint32_t tile_of(uint64_t tokens, uint32_t most) {
    uint32_t tile = 1;
    while (tile < tokens && tile < most) tile *= 2;
    return tile > most ? most : tile;
}

fnd_status fnd_bind(foundry *f, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, fnd_bound_room *room, fnd_error *err) {
    const fnd_composition *c = &kernel->composition;
    fnd_bound *out = &room->bound;
    memset(room, 0, sizeof *room);
    *out = (fnd_bound){ .kernel = kernel, .numbers = &room->numbers, .tensors = room->tensors };
    fnd_variant_init(c, &out->numbers->variant);
    binder x = { f, out, bindings, count, err };
    FND_TRY(check_names(&x));
    for (uint32_t i = 0; i < c->arg_count; i++) {
        const fnd_arg *arg = &c->args[i];
        if (arg->kind == FND_ARG_GROUP) continue;
        const fnd_binding *bound = find_binding(&x, arg->name);
        if (!bound) return fnd_fail(err, FND_ERR_USAGE, "kernel %s: argument %s (%s) is not bound", c->name, arg->name, arg->doc);
        FND_TRY(arg->kind == FND_ARG_VAL ? bind_number(&x, i, arg, bound) : bind_tensor(&x, i, arg, bound));
    }
    FND_TRY(solve_dims(&x));
    FND_TRY(check_shapes(&x));
    FND_TRY(check_layouts(&x));
    FND_TRY(check_aliases(&x));
    int tokens = fnd_dims_find(&out->numbers->dims, "tokens");
    uint32_t tile = tokens >= 0 && f->info.tile_tokens ? tile_of(out->numbers->dims.value[tokens], f->info.tile_tokens) : 1;
    bool whole = tile == f->info.tile_tokens && !out->numbers->variant.file_rows;
    if (f->info.span_tokens && tile > f->info.span_tokens && !whole) tile = f->info.span_tokens;
    out->numbers->variant.tokens = tile;
    return FND_OK;
}

void fnd_bound_step(fnd_bound *b) {
    const fnd_device_info *info = &b->kernel->f->info;
    fnd_variant *v = &b->numbers->variant;
    if (info->tile_rounds && v->tokens > info->span_tokens) v->tokens = info->span_tokens;
}

/* A tensor that has not grown to its shape can be bound where a rule says how much of it is used. */
static fnd_status check_grown(const fnd_bound *b, uint32_t arg, const fnd_storage_ref *ref, fnd_error *err) {
    const fnd_composition *c = &b->kernel->composition;
    const fnd_tensor *t = &b->tensors[arg];
    if (!ref->partial || c->limited >> arg & 1) return FND_OK;
    char text[192];
    return fnd_fail(err, FND_ERR_LIMIT, "kernel %s: argument %s: %s has grown to %llu of its outermost dimension only", c->name, c->args[arg].name, fnd_tensor_describe(t, text, sizeof text),
                    (unsigned long long)fnd_usable(t));
}

fnd_status fnd_bound_resolve(foundry *f, const fnd_bound *b, uint64_t submission, fnd_storage_ref *refs, fnd_error *err) {
    const fnd_composition *c = &b->kernel->composition;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        refs[i] = (fnd_storage_ref){ 0 };
        if (!fnd_arg_is_tensor(&c->args[i])) continue;
        bool writes = c->args[i].kind == FND_ARG_OUT || c->args[i].kind == FND_ARG_INOUT;
        FND_TRY(fnd_storage_bind(f, &b->tensors[i], writes, submission, &refs[i], err));
        FND_TRY(check_grown(b, i, &refs[i], err));
    }
    return FND_OK;
}

void fnd_bound_write_args(const fnd_bound *b, const fnd_variant *v, const fnd_storage_ref *refs, uint8_t *args) {
    fnd_layout_of_args layout;
    fnd_variant_layout(v, &layout);
    memset(args, 0, layout.bytes);
    for (uint32_t i = 0; i < v->kernel->arg_count; i++) {
        if (layout.arg[i] == UINT32_MAX) continue;
        if (fnd_arg_is_tensor(&v->kernel->args[i])) memcpy(args + layout.arg[i], &refs[i].address, 8);
        if (v->kernel->args[i].kind == FND_ARG_WEIGHT && v->formats[i] == FND_FORMAT_NONE) {
            const foundry *f = b->kernel->f;
            const void *ops = f->backend->policy_ops(f->device, fnd_format_get(b->numbers->variant.formats[i])->name, b->numbers->variant.file_rows);
            memcpy(args + layout.arg[i] + 8, &ops, 8);
        }
        if (!fnd_arg_is_tensor(&v->kernel->args[i])) memcpy(args + layout.arg[i], &b->numbers->bits[i], 4);
    }
    for (uint32_t i = 0; i < b->numbers->dims.count; i++) {
        uint32_t value = (uint32_t)b->numbers->dims.value[i];
        if (layout.dim[i] != UINT32_MAX) memcpy(args + layout.dim[i], &value, 4);
    }
}

static uint64_t dim_value(const fnd_bound *b, const char *expr) {
    uint64_t value = 1;
    fnd_error ignored = { 0 };
    return fnd_expr_value(expr, &b->numbers->dims, &value, &ignored) == FND_OK ? value : 1;
}

/* Is it a text for this device, not the portable one? */
static bool has_own_text(const fnd_bound *b) {
    const char *suffix = "";
    fnd_error ignored = { 0 };
    return fnd_dispatch_suffix(b->kernel->f, b, &suffix, &ignored) == FND_OK && suffix[0];
}

/* Attention over what a cache holds already: that of prompts. */
static bool reads_cache(const fnd_composition *c) {
    for (uint32_t i = 0; i < c->arg_count; i++) {
        if (fnd_arg_is_cache(&c->args[i]) && c->args[i].kind == FND_ARG_IN) return true;
    }
    return false;
}

/* What gemv/panel.cuda.h asks for at most: halves of all tokens twice, a factor for each; two f32 rows of a
 * group where they are too wide for its stages. Groups that share no memory have all of it. */
static void panel_scratch(const fnd_device_info *info, uint64_t tokens, uint64_t cols, size_t *own_bytes, size_t *shared_bytes) {
    uint64_t padded = fnd_round_up(tokens, 256), pitch = fnd_round_up(cols, 64);
    uint64_t rows = 8 * cols > info->panel_bytes ? 8 * pitch : 0;
    uint64_t halves = padded * 4 + 2 * padded * pitch * 2, groups = info->host_memory ? 1 : info->groups;
    *own_bytes = (size_t)info->panel_bytes + (info->host_memory ? (size_t)(halves + rows) : 0);
    *shared_bytes = info->host_memory ? 0 : (size_t)(halves + groups * rows);
}

void fnd_bound_scratch(const fnd_bound *b, size_t *own_bytes, size_t *shared_bytes) {
    const fnd_composition *c = &b->kernel->composition;
    *own_bytes = *shared_bytes = 0;
    if (c->form == FND_FORM_WHOLE && reads_cache(c)) *own_bytes = (size_t)b->kernel->f->info.flash_bytes;
    if (c->form != FND_FORM_LINEAR && c->form != FND_FORM_ROWS) return;
    uint64_t cols = 1, tokens = dim_value(b, "tokens");
    for (uint32_t i = 0; i < c->arg_count; i++) {
        const fnd_arg *arg = &c->args[i];
        bool row = c->form == FND_FORM_LINEAR ? arg->kind == FND_ARG_WEIGHT : fnd_arg_is_tensor(arg);
        if (!row) continue;
        uint64_t width = b->tensors[i].shape[arg->shape.rank - 1];
        if (width > cols) cols = width;
    }
    const fnd_device_info *info = &b->kernel->f->info;
    if (c->form == FND_FORM_LINEAR && info->panel_tokens && b->numbers->variant.tokens >= info->panel_tokens && has_own_text(b)) {
        panel_scratch(info, tokens, cols, own_bytes, shared_bytes);
        return;
    }
    /* What gemv/x.cpu.h asks for at most: f32 rows, 8-bit codes, scales, sums and counts; a row of its own.
     * The portable form needs the f32 rows. */
    uint64_t padded = tokens > 1 ? fnd_round_up(tokens, 32) : 1, blocks = (cols + 31) / 32;
    uint64_t rows = c->form == FND_FORM_LINEAR ? padded * (blocks * 248 + blocks * 32 + blocks * 24) : 0;
    uint64_t panels = c->form == FND_FORM_LINEAR && tokens > 1 && !info->panel_tokens ? info->panel_bytes + padded * info->panel_token_bytes : 0;
    /* gemv/dot_rows.cpu.h: two tiles of the widest format. */
    uint64_t tiles = b->numbers->variant.file_rows && tokens > 1 ? 2 * (cols * 4 * info->tile_rows + 64) : 0;
    *own_bytes = (size_t)(rows + blocks * 248 + panels + tiles + 1024);
    *shared_bytes = info->panel_tokens ? 0 : (size_t)(rows + 1024);
}

static void add_name(fnd_dims *names, const char *name, uint64_t value) {
    fnd_error ignored = { 0 };
    if (fnd_dims_add(names, name, &ignored) != FND_OK) return;
    int at = fnd_dims_find(names, name);
    if (names->known[at]) return;
    names->known[at] = true;
    names->value[at] = value;
}

/* What a stage says of its operations, in its own names. */
static uint64_t step_ops(const fnd_bound *b, const fnd_step *step) {
    const fnd_stage *stage = step->stage;
    fnd_dims names = { 0 };
    fnd_error ignored = { 0 };
    uint64_t ops = 0;
    if (!stage->ops[0]) return 0;
    for (uint32_t i = 0; i < stage->dims.count; i++) add_name(&names, stage->dims.name[i], b->numbers->dims.value[step->dim[i]]);
    for (uint32_t i = 0; i < stage->arg_count; i++) {
        if (stage->args[i].kind == FND_ARG_VAL) add_name(&names, stage->args[i].name, b->numbers->bits[step->arg[i]]);
    }
    add_name(&names, "tokens", dim_value(b, "tokens"));
    return fnd_expr_value(stage->ops, &names, &ops, &ignored) == FND_OK ? ops : 0;
}

/* What computes a stage. Stages with weights multiply by the device's unit for these; attention does where it
 * multiplies floats by one, and half of it are scores, by codes where keys are. */
static void add_step_ops(const fnd_bound *b, const fnd_step *step, uint64_t ops, uint64_t *unit_ops) {
    const fnd_composition *c = &b->kernel->composition;
    const fnd_backend *backend = b->kernel->f->backend;
    uint32_t tokens = (uint32_t)dim_value(b, "tokens"), bits = 0;
    bool own = backend->unit && has_own_text(b), tiles = !b->numbers->variant.file_rows;
    for (uint32_t i = 0; i < step->stage->arg_count && own && !bits; i++) {
        const fnd_arg *arg = &step->stage->args[i];
        const fnd_format_info *info = fnd_format_get(b->tensors[step->arg[i]].format);
        bool weight = c->form == FND_FORM_LINEAR && arg->kind == FND_ARG_WEIGHT, keys = c->form == FND_FORM_WHOLE && fnd_arg_is_cache(arg) && arg->kind == FND_ARG_IN;
        if (weight || keys) bits = info->block_weights > 1 ? 8 : info->block_bytes * 8;
        if (!keys) continue;
        uint64_t scores = bits == 8 ? ops / 2 : 0;
        unit_ops[backend->unit(b->kernel->f->device, 8, tiles, 1)] += scores;
        unit_ops[bits == 8 ? FND_UNIT_FLOATS : backend->unit(b->kernel->f->device, 32, tiles, tokens)] += ops - scores;
        return;
    }
    unit_ops[bits ? backend->unit(b->kernel->f->device, bits, tiles, tokens) : FND_UNIT_FLOATS] += ops;
}

/* unit_ops, if not NULL, has them by what computes them. */
static uint64_t sum_ops(const fnd_bound *b, uint64_t *unit_ops) {
    const fnd_composition *c = &b->kernel->composition;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->step_count; i++) {
        uint64_t ops = step_ops(b, &c->steps[i]);
        if (ops && unit_ops) add_step_ops(b, &c->steps[i], ops, unit_ops);
        sum += ops;
    }
    return sum;
}

uint64_t fnd_bound_ops(const fnd_bound *b) { return sum_ops(b, NULL); }

fnd_traffic fnd_bound_traffic(const fnd_bound *b) {
    const fnd_composition *c = &b->kernel->composition;
    fnd_dims names = b->numbers->dims;
    fnd_error ignored = { 0 };
    fnd_traffic t = { 0 };
    for (uint32_t i = 0; i < c->arg_count; i++) { /* expressions may use the numbers */
        if (c->args[i].kind == FND_ARG_VAL) add_name(&names, c->args[i].name, b->numbers->bits[i]);
    }
    for (uint32_t i = 0; i < c->arg_count; i++) {
        const fnd_arg *arg = &c->args[i];
        if (!fnd_arg_is_tensor(arg)) continue;
        uint64_t bytes = fnd_tensor_bytes(&b->tensors[i]), values;
        const fnd_format_info *info = fnd_format_get(b->tensors[i].format);
        if (arg->shape.moves[0] && fnd_expr_value(arg->shape.moves, &names, &values, &ignored) == FND_OK)
            bytes = values / info->block_weights * info->block_bytes;
        else if (fnd_dims_find(&b->numbers->dims, "tokens") >= 0 && strcmp(arg->shape.dim[0], "tokens") == 0)
            bytes = bytes / b->tensors[i].shape[0] * dim_value(b, "tokens");
        if (arg->kind != FND_ARG_OUT) t.bytes_read += bytes;
        if (arg->kind == FND_ARG_OUT || arg->kind == FND_ARG_INOUT) t.bytes_written += bytes;
    }
    t.ops = sum_ops(b, t.unit_ops);
    return t;
}
