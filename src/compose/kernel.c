/* kernel.c - from a list of stages to a kernel: do they fit, and which arguments do they share? */
#include "compose/kernel.h"
#include "base/base.h"
#include "base/nearest.h"

#include <stdio.h>

bool fnd_arg_is_tensor(const fnd_arg *arg) { return arg->kind != FND_ARG_VAL && arg->kind != FND_ARG_GROUP; }

int fnd_composition_arg(const fnd_composition *c, const char *name) {
    for (uint32_t i = 0; i < c->arg_count; i++) {
        if (strcmp(c->args[i].name, name) == 0) return (int)i;
    }
    return -1;
}

/* ---- values: does each stage get what it takes? ---- */

typedef struct flow {
    const fnd_composition *c;
    fnd_value_kind value; /* what the stages so far have given */
    bool has_rows;        /* rows were prepared and may be used by further heads */
    uint32_t tiles;       /* results waiting */
    bool joined;          /* ... of which one was two */
    uint32_t mains;
    fnd_stage_kind last_epilogue;
    const fnd_stage *complete_only_when_all_done;
    fnd_error *err;
} flow;

static fnd_status refuse(const flow *f, const fnd_step *step, const char *why) {
    return fnd_fail(f->err, FND_ERR_COMPOSE, "kernel %s: stage %s %s", f->c->name, step->stage->name, why);
}

static fnd_status mismatch(const flow *f, const fnd_step *step) {
    const char *takes = fnd_value_kind_text(step->stage->takes);
    if (step == f->c->steps) return fnd_fail(f->err, FND_ERR_COMPOSE, "kernel %s: stage %s takes %s, but no stage is before it", f->c->name, step->stage->name, takes);
    return fnd_fail(f->err, FND_ERR_COMPOSE, "kernel %s: stage %s takes %s, but stage %s before it leaves %s", f->c->name, step->stage->name, takes, step[-1].stage->name, fnd_value_kind_text(f->value));
}

static fnd_status flow_main(flow *f, const fnd_step *step) {
    const fnd_stage *s = step->stage;
    if (s->takes == FND_VALUE_ROWS && !f->has_rows) return mismatch(f, step);
    if (s->takes == FND_VALUE_NONE && f->has_rows) return mismatch(f, step);
    if (s->gives == FND_VALUE_TILE) {
        if (f->value == FND_VALUE_TILES2 || f->joined) return refuse(f, step, "would be a third result in flight: at most two heads can be joined");
        f->value = ++f->tiles == 1 ? FND_VALUE_TILE : FND_VALUE_TILES2;
        f->last_epilogue = FND_KIND_EPILOGUE_BIAS;
    } else if (f->tiles) {
        return mismatch(f, step);
    } else {
        f->value = FND_VALUE_NONE;
        f->has_rows = false;
    }
    return FND_OK;
}

static fnd_status flow_epilogue(flow *f, const fnd_step *step, uint32_t at) {
    const fnd_stage *s = step->stage;
    bool repeated = s->kind == f->last_epilogue && s->kind != FND_KIND_EPILOGUE_ACTIVATION && at > 0 && f->c->steps[at - 1].stage == s;
    /* The epilogues of one head of two run before the heads meet. */
    bool on_one_of_two = f->value == FND_VALUE_TILES2 && s->takes == FND_VALUE_TILE && s->gives == FND_VALUE_TILE;
    if (s->takes != f->value && !on_one_of_two) return mismatch(f, step);
    if (s->kind < f->last_epilogue || repeated) {
        return fnd_fail(f->err, FND_ERR_COMPOSE, "kernel %s: stage %s (%s) cannot come after %s: the order is + bias, activation, * gate, + residual, store, each once", f->c->name, s->name,
                        fnd_stage_kind_text(s->kind), fnd_stage_kind_text(f->last_epilogue));
    }
    f->last_epilogue = s->kind;
    if (on_one_of_two) return FND_OK;
    f->value = s->gives;
    f->tiles = s->gives == FND_VALUE_TILE;
    f->joined = f->tiles && (f->joined || s->takes == FND_VALUE_TILES2);
    return FND_OK;
}

static fnd_form form_of(const fnd_stage *main) {
    if (main->gives == FND_VALUE_TILE) return main->takes == FND_VALUE_ROWS ? FND_FORM_LINEAR : FND_FORM_ELEMENTS;
    return main->takes == FND_VALUE_ROWS ? FND_FORM_ROWS : FND_FORM_WHOLE;
}

static fnd_status flow_step(flow *f, const fnd_step *step, uint32_t at) {
    const fnd_stage *s = step->stage;
    if (f->complete_only_when_all_done) {
        return fnd_fail(f->err, FND_ERR_COMPOSE,
                        "kernel %s: stage %s cannot follow %s, whose result is complete only when all groups are done; make two kernels of it, in a program with a barrier between them",
                        f->c->name, s->name, f->complete_only_when_all_done->name);
    }
    if (s->kind == FND_KIND_PROLOGUE) {
        if (s->takes != f->value || f->tiles || (f->has_rows && s->takes == FND_VALUE_NONE)) return mismatch(f, step);
        f->value = FND_VALUE_ROWS;
        f->has_rows = true;
    } else if (s->kind == FND_KIND_MAIN) {
        FND_TRY(flow_main(f, step));
    } else {
        FND_TRY(flow_epilogue(f, step, at));
    }
    if (s->reach == FND_REACH_ALL) f->complete_only_when_all_done = s;
    return FND_OK;
}

/* What a main gave belongs to the main's head: a stage of another would have arguments of other sizes.
 * What two heads became may have any one name, and a stage without arguments none. */
static fnd_status check_heads(const fnd_composition *c, fnd_error *err) {
    const fnd_step *of = NULL; /* whose head it is; NULL: not yet said */
    for (uint32_t i = 0; i < c->step_count; i++) {
        const fnd_step *step = &c->steps[i];
        bool joins = step->stage->takes == FND_VALUE_TILES2, named = step->head[0] || step->stage->arg_count;
        if (step->stage->kind == FND_KIND_PROLOGUE) continue;
        if (joins) of = NULL;
        if (step->stage->kind == FND_KIND_MAIN || (named && !of)) of = step;
        if (!named || strcmp(step->head, of->head) == 0) continue;
        return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s: stage %s has %s%s, but works on what belongs to stage %s, which has %s%s; stages of one head have its name", c->name, step->stage->name,
                        step->head[0] ? "the head " : "no head", step->head, of->stage->name, of->head[0] ? "the head " : "no head", of->head);
    }
    return FND_OK;
}

static fnd_status check_flow(fnd_composition *c, fnd_error *err) {
    flow f = { .c = c, .err = err };
    for (uint32_t i = 0; i < c->step_count; i++) {
        const fnd_stage *s = c->steps[i].stage;
        FND_TRY(flow_step(&f, &c->steps[i], i));
        if (s->kind != FND_KIND_MAIN) continue;
        if (f.mains++ && c->form != form_of(s)) return refuse(&f, &c->steps[i], "loops in another way than the main before it; make two kernels of it");
        c->form = form_of(s);
    }
    if (f.value == FND_VALUE_ROWS) return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s ends with %s that nobody uses: a main is missing", c->name, fnd_value_kind_text(f.value));
    if (f.value != FND_VALUE_NONE) return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s ends with %s that nobody stores: a store is missing", c->name, fnd_value_kind_text(f.value));
    return FND_OK;
}

/* ---- arguments: renamed by head, merged by name ---- */

static bool is_word(char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '_'; }

/* Steps up to and with a store belong together: to one head, or to two that become one. */
static void mark_joined(fnd_composition *c) {
    for (uint32_t first = 0, i = 0; i < c->step_count; i++) {
        bool joins = c->steps[i].stage->takes == FND_VALUE_TILES2;
        for (uint32_t k = first; joins && k < c->step_count; k++) {
            c->steps[k].joined = true;
            if (k > i && c->steps[k].stage->kind == FND_KIND_EPILOGUE_STORE) break;
        }
        c->joined |= joins;
        if (c->steps[i].stage->kind == FND_KIND_EPILOGUE_STORE) first = i + 1;
    }
}

static bool is_arg(const fnd_stage *stage, const char *name, size_t length) {
    for (uint32_t i = 0; i < stage->arg_count; i++) {
        if (strlen(stage->args[i].name) == length && strncmp(stage->args[i].name, name, length) == 0) return true;
    }
    return false;
}

/* An expression with the names of the kernel instead of the stage's: arguments, and the dimension `rows`,
 * belong to a head; `rows` does not where heads are joined. False: it got too long. */
static bool rename_words(const fnd_step *step, const char *from, char *to, size_t bytes) {
    size_t used = 0;
    while (*from) {
        size_t length = 0;
        while (is_word(from[length])) length++;
        bool rows = !step->joined && length == 4 && strncmp(from, "rows", 4) == 0;
        bool own = step->head[0] && length && (rows || is_arg(step->stage, from, length));
        length += length == 0;
        int n = snprintf(to + used, bytes - used, "%.*s%s%s", (int)length, from, own ? "_" : "", own ? step->head : "");
        if (n < 0 || used + (size_t)n >= bytes) return false;
        used += (size_t)n;
        from += length;
    }
    to[used] = '\0';
    return true;
}

static fnd_status too_long(const fnd_composition *c, const fnd_step *step, const char *text, fnd_error *err) {
    return fnd_fail(err, FND_ERR_LIMIT, "kernel %s: stage %s: \"%s\" gets too long with the head %s", c->name, step->stage->name, text, step->head);
}

/* The name of the stage that brought this argument. */
static const char *first_with(const fnd_composition *c, uint32_t arg) {
    for (uint32_t s = 0; s < c->step_count; s++) {
        for (uint32_t i = 0; i < c->steps[s].stage->arg_count; i++) {
            if (c->steps[s].arg[i] == arg) return c->steps[s].stage->name;
        }
    }
    return "";
}

static fnd_status differ(const fnd_composition *c, const fnd_step *step, uint32_t arg, const char *what, const char *a, const char *b, fnd_error *err) {
    return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s: stage %s has argument %s with %s %s, but stage %s before it has it with %s", c->name, step->stage->name, c->args[arg].name, what, b, first_with(c, arg), a);
}

static uint32_t tensor_count(const fnd_composition *c) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->arg_count; i++) count += fnd_arg_is_tensor(&c->args[i]);
    return count;
}

/* Is there an argument of this name already? Then it must be the same one. */
static fnd_status merge_arg(fnd_composition *c, fnd_step *step, const fnd_arg *arg, uint8_t *index, fnd_error *err) {
    int found = fnd_composition_arg(c, arg->name);
    if (found < 0) {
        if (c->arg_count == FND_MAX_ARGS) return fnd_fail(err, FND_ERR_LIMIT, "kernel %s has more than %d arguments", c->name, FND_MAX_ARGS);
        if (fnd_arg_is_tensor(arg) && tensor_count(c) == FND_MAX_TENSORS) return fnd_fail(err, FND_ERR_LIMIT, "kernel %s has more than %d tensors: a GPU takes no more buffers in one launch", c->name, FND_MAX_TENSORS);
        *index = (uint8_t)c->arg_count;
        c->args[c->arg_count++] = *arg;
        return FND_OK;
    }
    const fnd_arg *known = &c->args[found];
    *index = (uint8_t)found;
    if (strcmp(known->type, arg->type) != 0) return differ(c, step, *index, "type", known->type, arg->type, err);
    bool writes = known->kind == FND_ARG_OUT || known->kind == FND_ARG_INOUT || arg->kind == FND_ARG_OUT || arg->kind == FND_ARG_INOUT;
    if (writes) {
        return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s: stage %s has argument %s as %s, but stage %s before it has it as %s: other groups may not be done with it; make two kernels of it, in a program", c->name, step->stage->name,
                        arg->name, fnd_arg_kind_name(arg->kind), first_with(c, *index), fnd_arg_kind_name(known->kind));
    }
    if (known->kind != arg->kind) return differ(c, step, *index, "kind", fnd_arg_kind_name(known->kind), fnd_arg_kind_name(arg->kind), err);
    for (uint32_t d = 0; d < FND_MAX_RANK; d++) {
        if (known->shape.rank != arg->shape.rank || strcmp(known->shape.dim[d], arg->shape.dim[d]) != 0) return differ(c, step, *index, "shape", known->shape_text, arg->shape_text, err);
    }
    return FND_OK;
}

static fnd_status merge_step(fnd_composition *c, fnd_step *step, fnd_error *err) {
    const fnd_stage *s = step->stage;
    for (uint32_t i = 0; i < s->arg_count; i++) {
        fnd_arg arg = s->args[i];
        bool fits = rename_words(step, s->args[i].name, arg.name, sizeof arg.name) && rename_words(step, s->args[i].shape_text, arg.shape_text, sizeof arg.shape_text) &&
                    rename_words(step, s->args[i].shape.moves, arg.shape.moves, sizeof arg.shape.moves);
        for (uint32_t d = 0; d < arg.shape.rank; d++) fits &= rename_words(step, s->args[i].shape.dim[d], arg.shape.dim[d], FND_EXPR_BYTES);
        if (!fits) return too_long(c, step, s->args[i].shape_text, err);
        FND_TRY(merge_arg(c, step, &arg, &step->arg[i], err));
    }
    for (uint32_t i = 0; i < s->dims.count; i++) {
        char name[FND_NAME_BYTES];
        if (!rename_words(step, s->dims.name[i], name, sizeof name)) return too_long(c, step, s->dims.name[i], err);
        FND_TRY(fnd_dims_add(&c->dims, name, err));
        step->dim[i] = (uint8_t)fnd_dims_find(&c->dims, name);
    }
    return FND_OK;
}

/* A number may not have the name of a dimension: in the text they would be one. */
static fnd_status check_names(const fnd_composition *c, fnd_error *err) {
    for (uint32_t i = 0; i < c->arg_count; i++) {
        if (fnd_dims_find(&c->dims, c->args[i].name) >= 0) return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s: %s is both an argument and a dimension", c->name, c->args[i].name);
    }
    return FND_OK;
}

/* ---- rules ---- */

static int kernel_slot(const void *ctx, const char *name) {
    const fnd_composition *c = ctx;
    char weight[FND_NAME_BYTES];
    int dim = fnd_dims_find(&c->dims, name);
    if (dim >= 0) return dim;
    bool bytes = fnd_rule_weight(name, weight);
    int arg = fnd_composition_arg(c, bytes ? weight : name);
    return arg < 0 ? -1 : arg + (bytes ? FND_SLOT_BYTES : FND_SLOT_ARG);
}

static fnd_status add_rule(fnd_composition *c, const fnd_step *step, const fnd_rule_text *from, fnd_error *err) {
    fnd_rule rule = { .op_count = 0 };
    if (!rename_words(step, from->text, rule.text, sizeof rule.text)) return too_long(c, step, from->text, err);
    memcpy(rule.doc, from->doc, sizeof rule.doc);
    for (uint32_t i = 0; i < c->rule_count; i++) {
        if (strcmp(c->rules[i].text, rule.text) == 0) return FND_OK;
    }
    if (c->rule_count == FND_MAX_RULES) return fnd_fail(err, FND_ERR_LIMIT, "kernel %s has more than %d rules", c->name, FND_MAX_RULES);
    FND_TRY(fnd_rule_compile(&rule, kernel_slot, c, err));
    c->rules[c->rule_count++] = rule;
    return FND_OK;
}

static fnd_status gather_rules(fnd_composition *c, fnd_error *err) {
    for (uint32_t i = 0; i < c->step_count; i++) {
        const fnd_stage *s = c->steps[i].stage;
        for (uint32_t r = 0; r < s->rule_count; r++) FND_TRY(add_rule(c, &c->steps[i], &s->rules[r], err));
    }
    for (uint32_t i = 0; i < c->arg_count; i++) {
        int dim = fnd_arg_is_tensor(&c->args[i]) ? fnd_dims_find(&c->dims, c->args[i].shape.dim[0]) : -1;
        if (dim >= 0) c->outermost[dim] |= 1u << i;
    }
    for (uint32_t r = 0; r < c->rule_count; r++) {
        for (uint32_t i = 0; i < c->rules[r].op_count; i++) {
            const fnd_rule_op *op = &c->rules[r].ops[i];
            if (op->op == 'v' && op->operand < FND_SLOT_ARG) c->limited |= c->outermost[op->operand];
        }
    }
    return FND_OK;
}

static fnd_status no_stage(const fnd_catalog *catalog, const char *kernel, const char *name, fnd_error *err) {
    fnd_nearest near = { .word = name, .bytes = strlen(name) };
    for (size_t i = 0; i < fnd_catalog_stage_count(catalog); i++) fnd_nearest_try(&near, fnd_catalog_stage_at(catalog, i)->name);
    return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s: there is no stage %s%s; `foundry kernels` lists them", kernel, name, fnd_nearest_text(&near, ""));
}

fnd_status fnd_compose(const fnd_catalog *catalog, const fnd_kernel_desc *desc, fnd_composition_room *room, fnd_error *err) {
    fnd_composition *c = &room->composition;
    memset(room, 0, sizeof *room);
    c->args = room->args;
    c->rules = room->rules;
    if (!desc->name || !fnd_expr_is_name(desc->name) || strlen(desc->name) >= sizeof c->name) {
        return fnd_fail(err, FND_ERR_COMPOSE, "a kernel needs a name of letters, digits and _, at most %zu of them, not \"%s\"", sizeof c->name - 1, desc->name ? desc->name : "");
    }
    snprintf(c->name, sizeof c->name, "%s", desc->name);
    for (; c->step_count < FND_MAX_STAGES && desc->stages[c->step_count].stage; c->step_count++) {
        const fnd_stage_use *use = &desc->stages[c->step_count];
        fnd_step *step = &c->steps[c->step_count];
        step->stage = fnd_catalog_stage(catalog, use->stage);
        if (!step->stage) return no_stage(catalog, c->name, use->stage, err);
        if (use->head && strlen(use->head) > 11) return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s: head \"%s\" is longer than 11 characters", c->name, use->head);
        snprintf(step->head, sizeof step->head, "%s", use->head ? use->head : "");
    }
    if (c->step_count == 0) return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s has no stages", c->name);
    FND_TRY(check_flow(c, err));
    FND_TRY(check_heads(c, err));
    mark_joined(c);
    for (uint32_t i = 0; i < c->step_count; i++) FND_TRY(merge_step(c, &c->steps[i], err));
    FND_TRY(check_names(c, err));
    return gather_rules(c, err);
}

/* ---- the unified declaration ---- */

static fnd_status add_use(fnd_kernel_desc *out, uint32_t *count, const char *stage, const char *head, fnd_error *err) {
    if (*count == FND_MAX_STAGES) return fnd_fail(err, FND_ERR_LIMIT, "kernel %s has more than %d stages", out->name, FND_MAX_STAGES);
    out->stages[(*count)++] = (fnd_stage_use){ stage, head && head[0] ? head : NULL };
    return FND_OK;
}

fnd_status fnd_gemv_stages(const fnd_gemv_desc *gemv, fnd_kernel_desc *out, fnd_error *err) {
    uint32_t n = 0, heads = 0;
    const char *store = gemv->store ? gemv->store : "store";
    *out = (fnd_kernel_desc){ .name = gemv->name };
    while (heads < FND_MAX_HEADS && gemv->heads[heads].name) heads++;
    if (heads == 0) return fnd_fail(err, FND_ERR_COMPOSE, "kernel %s: a matrix kernel needs a head", gemv->name ? gemv->name : "");
    bool join = heads == 2 && gemv->activation;
    FND_TRY(add_use(out, &n, gemv->prologue ? gemv->prologue : "rows", NULL, err));
    for (uint32_t h = 0; h < heads; h++) {
        const char *head = gemv->heads[h].name, *shared = join ? NULL : head;
        FND_TRY(add_use(out, &n, gemv->main ? gemv->main : "dot", head, err));
        if (gemv->heads[h].bias) FND_TRY(add_use(out, &n, "bias", head, err));
        if (join && h == 0) continue;
        if (gemv->activation) FND_TRY(add_use(out, &n, gemv->activation, shared, err));
        if (gemv->gate) FND_TRY(add_use(out, &n, "gate", shared, err));
        if (gemv->residual) FND_TRY(add_use(out, &n, "residual", shared, err));
        FND_TRY(add_use(out, &n, store, shared, err));
    }
    return FND_OK;
}
