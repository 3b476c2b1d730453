/* template_run.c - running statements. */
#include "base/base.h"
#include "lm/template_tree.h"

/* ---- names ---- */

fnd_status fnd_tpl_push_scope(tpl_run *r, tpl_scope *outer) {
    tpl_scope *s = fnd_arena_alloc(r->arena, 1, sizeof *s);
    if (!s) return fnd_tpl_no_memory(r);
    s->outer = outer;
    r->scope = s;
    return FND_OK;
}

fnd_status fnd_tpl_set_name(tpl_run *r, tpl_str name, const tpl_value *value) {
    tpl_value key, *there = fnd_tpl_dict_find(&r->scope->names, name.data, name.bytes);
    FND_TRY(fnd_tpl_step(r, r->scope->names.count / 16));
    if (there) {
        *there = *value;
        return FND_OK;
    }
    FND_TRY(fnd_tpl_new_str(r, name, &key));
    return fnd_tpl_dict_set(r, &r->scope->names, &key, value);
}

static fnd_status set_attribute(tpl_run *r, const tpl_node *target, const tpl_value *value) {
    tpl_value space, key;
    FND_TRY(fnd_tpl_eval(r, target->a, &space));
    r->at = target;
    if (space.kind != TPL_NAMESPACE) return fnd_tpl_fail(r, FND_ERR_TYPE, "only attributes of a namespace can be set, this is %s", fnd_tpl_kind_name(&space));
    FND_TRY(fnd_tpl_new_str(r, target->name, &key));
    return fnd_tpl_dict_set(r, space.dict, &key, value);
}

fnd_status fnd_tpl_assign(tpl_run *r, const tpl_node *target, const tpl_value *value) {
    tpl_list parts;
    if (target->kind == N_NAME) return fnd_tpl_set_name(r, target->name, value);
    r->at = target;
    if (target->kind == N_ATTR) return set_attribute(r, target, value);
    if (value->kind == TPL_UNDEFINED && target->items.count) return fnd_tpl_undefined_used(r, value);
    FND_TRY(fnd_tpl_items(r, value, &parts));
    if (parts.count != target->items.count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%zu values for %zu names", parts.count, target->items.count);
    for (size_t i = 0; i < parts.count; i++) FND_TRY(fnd_tpl_assign(r, target->items.items[i], &parts.items[i]));
    return FND_OK;
}

/* ---- text, print, if, set ---- */

static fnd_status run_text(tpl_run *r, const tpl_node *n) {
    fnd_tpl_add_str(r, r->out, n->name);
    return FND_OK;
}

static fnd_status run_print(tpl_run *r, const tpl_node *n) {
    tpl_value v;
    TPL_EVAL(n->a, &v);
    return fnd_tpl_add_value(r, r->out, &v);
}

static fnd_status run_if(tpl_run *r, const tpl_node *n) {
    for (size_t i = 0; i < n->items.count; i++) {
        const tpl_node *branch = n->items.items[i];
        tpl_value condition = fnd_tpl_bool(true);
        if (branch->a) TPL_EVAL(branch->a, &condition);
        if (fnd_tpl_truth(&condition)) return fnd_tpl_run_block(r, branch->b);
    }
    return FND_OK;
}

static fnd_status run_set(tpl_run *r, const tpl_node *n) {
    tpl_value v;
    TPL_EVAL(n->b, &v);
    return fnd_tpl_assign(r, n->a, &v);
}

/* ---- for ---- */

fnd_status fnd_tpl_loop_fill(tpl_run *r, tpl_loop *loop, size_t count) {
    tpl_scope *scope = r->scope;
    const tpl_node *n = loop->node;
    while (loop->items.count < count && loop->asked < loop->source.count) {
        const tpl_value *item = &loop->source.items[loop->asked++];
        tpl_value condition = fnd_tpl_bool(true);
        FND_TRY(fnd_tpl_push_scope(r, loop->scope));
        FND_TRY(fnd_tpl_assign(r, n->a, item));
        TPL_EVAL(n->c, &condition);
        if (fnd_tpl_truth(&condition)) loop->items.items[loop->items.count++] = *item;
    }
    r->scope = scope;
    return FND_OK;
}

/* Every turn has its own scope: what a body sets is gone in the next. *whole: a turn came to its end;
 * Jinja runs the else branch of loops in which none did, be it by break or continue. */
static fnd_status run_turns(tpl_run *r, tpl_loop *loop, bool *whole) {
    const tpl_node *n = loop->node;
    tpl_value loop_value = { .kind = TPL_LOOP, .loop = loop };
    for (;; loop->index++) {
        r->at = n;
        FND_TRY(fnd_tpl_loop_fill(r, loop, loop->index + 1));
        if (loop->index >= loop->items.count) break;
        r->flow = FLOW_ON;
        FND_TRY(fnd_tpl_push_scope(r, loop->scope));
        FND_TRY(fnd_tpl_set_name(r, fnd_tpl_const_str("loop"), &loop_value));
        FND_TRY(fnd_tpl_assign(r, n->a, &loop->items.items[loop->index]));
        FND_TRY(fnd_tpl_run_block(r, n->d));
        *whole = *whole || r->flow == FLOW_ON;
        if (r->flow == FLOW_BREAK) break;
    }
    r->flow = FLOW_ON;
    r->scope = loop->scope;
    return FND_OK;
}

/* A for loop in the scope it stands in, over these items. */
static fnd_status run_loop(tpl_run *r, const tpl_node *n, const tpl_value *over, size_t depth0) {
    tpl_loop *loop = fnd_arena_alloc(r->arena, 1, sizeof *loop);
    if (!loop) return fnd_tpl_no_memory(r);
    *loop = (tpl_loop){ .node = n, .scope = r->scope, .depth0 = depth0 };
    FND_TRY(fnd_tpl_items(r, over, &loop->source));
    if (n->c) {
        loop->items.items = fnd_arena_alloc(r->arena, loop->source.count, sizeof *loop->items.items);
        if (!loop->items.items) return fnd_tpl_no_memory(r);
    } else {
        loop->items = loop->source;
        loop->asked = loop->source.count;
    }
    bool whole = false;
    FND_TRY(run_turns(r, loop, &whole));
    if (whole || !n->items.count) return FND_OK;
    tpl_scope *scope = r->scope;
    FND_TRY(fnd_tpl_push_scope(r, scope));
    FND_TRY(fnd_tpl_run_block(r, n->items.items[0]));
    r->scope = scope;
    return FND_OK;
}

static fnd_status run_for(tpl_run *r, const tpl_node *n) {
    tpl_value over;
    TPL_EVAL(n->b, &over);
    return run_loop(r, n, &over, 0);
}

fnd_status fnd_tpl_loop_again(tpl_run *r, const tpl_loop *loop, const tpl_value *over, tpl_value *out) {
    tpl_builder *before = r->out, text = { 0 };
    tpl_scope *scope = r->scope;
    const tpl_node *at = r->at;
    if (!(loop->node->flags & TPL_RECURSIVE)) return fnd_tpl_fail(r, FND_ERR_TYPE, "loop() works in recursive loops only: {%% for x in y recursive %%}");
    FND_TRY(fnd_tpl_deeper(r));
    r->out = &text;
    r->scope = loop->scope;
    FND_TRY(run_loop(r, loop->node, over, loop->depth0 + 1));
    r->out = before;
    r->scope = scope;
    r->at = at;
    r->depth--;
    return fnd_tpl_built(r, &text, false, out);
}

/* ---- captured text ---- */

/* Filters (a chain that ends at `bottom`) over a finished value. */
static fnd_status run_filters(tpl_run *r, const tpl_node *n, const tpl_node *bottom, const tpl_value *value, tpl_value *out) {
    tpl_value self;
    tpl_args args;
    if (n == bottom) {
        *out = *value;
        return FND_OK;
    }
    FND_TRY(fnd_tpl_deeper(r));
    FND_TRY(run_filters(r, n->a, bottom, value, &self));
    r->depth--;
    r->at = n;
    FND_TRY(fnd_tpl_eval_arguments(r, n, &args));
    return fnd_tpl_filter(r, n->name.data, n->name.bytes, &self, &args, out);
}

/* The rendered body (c) of n, in a scope of its own, through its filters (b down to d). A body that
 * leaves the loop around it leaves no text. */
static fnd_status capture(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_builder *before = r->out, text = { 0 };
    tpl_scope *scope = r->scope;
    tpl_value body;
    FND_TRY(fnd_tpl_push_scope(r, scope));
    r->out = &text;
    FND_TRY(fnd_tpl_run_block(r, n->c));
    r->out = before;
    r->at = n;
    if (r->flow == FLOW_ON) {
        FND_TRY(fnd_tpl_built(r, &text, false, &body));
        FND_TRY(run_filters(r, n->b, n->d, &body, out));
    }
    r->scope = scope;
    return FND_OK;
}

static fnd_status run_set_block(tpl_run *r, const tpl_node *n) {
    tpl_value v;
    FND_TRY(capture(r, n, &v));
    return r->flow == FLOW_ON ? fnd_tpl_assign(r, n->a, &v) : FND_OK;
}

static fnd_status run_filter_block(tpl_run *r, const tpl_node *n) {
    tpl_value v;
    FND_TRY(capture(r, n, &v));
    return r->flow == FLOW_ON ? fnd_tpl_add_value(r, r->out, &v) : FND_OK;
}

/* ---- macros ---- */

static fnd_status new_macro(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_callable *c = fnd_arena_alloc(r->arena, 1, sizeof *c);
    if (!c) return fnd_tpl_no_memory(r);
    *c = (tpl_callable){ .name = "macro", .macro = n, .scope = r->scope };
    *out = (tpl_value){ .kind = TPL_CALLABLE, .callable = c };
    return FND_OK;
}

static fnd_status run_macro_definition(tpl_run *r, const tpl_node *n) {
    tpl_value macro;
    FND_TRY(new_macro(r, n, &macro));
    return fnd_tpl_set_name(r, n->name, &macro);
}

/* The named argument of a name; taken[i] says that it has its place. NULL: not given. */
static const tpl_value *take_named(const tpl_args *args, bool *taken, const tpl_str *name) {
    for (size_t i = 0; i < args->named_count; i++) {
        if (taken[i] || args->names[i].bytes != name->bytes || memcmp(args->names[i].data, name->data, name->bytes) != 0) continue;
        taken[i] = true;
        return &args->named[i];
    }
    return NULL;
}

/* The value of parameter i: by position, by name, else its default, which sees the parameters before it. */
static fnd_status bind_parameter(tpl_run *r, const tpl_node *parameter, size_t i, const tpl_args *args, bool *taken) {
    const tpl_value *given = i < args->count ? &args->items[i] : take_named(args, taken, &parameter->name);
    tpl_value value;
    if (given) {
        value = *given;
    } else if (parameter->a) {
        FND_TRY(fnd_tpl_eval(r, parameter->a, &value));
    } else {
        FND_TRY(fnd_tpl_undefined(r, &value, "the parameter '%.*s' was not given and is undefined", (int)fnd_min_size(parameter->name.bytes, 100), parameter->name.data));
    }
    return fnd_tpl_set_name(r, parameter->name, &value);
}

/* kwargs, varargs: what has no parameter, if the body reads these names; else there may be nothing. */
static fnd_status bind_rest(tpl_run *r, const tpl_node *macro, const tpl_args *args, bool *taken) {
    size_t parameters = macro->named.count, more = args->count > parameters ? args->count - parameters : 0;
    tpl_value rest;
    if (macro->flags & TPL_USES_KWARGS) {
        FND_TRY(fnd_tpl_new_dict(r, args->named_count, &rest));
        for (size_t i = 0; i < args->named_count; i++) {
            tpl_value key;
            if (taken[i]) continue;
            FND_TRY(fnd_tpl_new_str(r, args->names[i], &key));
            FND_TRY(fnd_tpl_dict_set(r, rest.dict, &key, &args->named[i]));
        }
        FND_TRY(fnd_tpl_set_name(r, fnd_tpl_const_str("kwargs"), &rest));
    }
    for (size_t i = 0; i < args->named_count && !(macro->flags & TPL_USES_KWARGS); i++) {
        if (!taken[i]) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the macro '%.*s' has no parameter '%.*s'", (int)macro->name.bytes, macro->name.data, (int)fnd_min_size(args->names[i].bytes, 100), args->names[i].data);
    }
    if (macro->flags & TPL_USES_VARARGS) {
        FND_TRY(fnd_tpl_copy_list(r, more ? args->items + parameters : NULL, more, TPL_TUPLE, &rest));
        return fnd_tpl_set_name(r, fnd_tpl_const_str("varargs"), &rest);
    }
    return more ? fnd_tpl_fail(r, FND_ERR_FORMAT, "the macro '%.*s' takes %zu arguments, not %zu", (int)macro->name.bytes, macro->name.data, parameters, args->count) : FND_OK;
}

static fnd_status bind_all(tpl_run *r, const tpl_node *macro, const tpl_args *args) {
    tpl_str name = fnd_tpl_const_str("caller");
    bool explicit_caller = false;
    const tpl_value *caller = NULL;
    tpl_value none;
    FND_TRY(fnd_tpl_step(r, macro->named.count * (1 + args->named_count) / 16));
    bool *taken = fnd_arena_alloc(r->arena, args->named_count, sizeof *taken);
    if (!taken) return fnd_tpl_no_memory(r);
    for (size_t i = 0; i < macro->named.count; i++) {
        explicit_caller = explicit_caller || fnd_tpl_str_is(&macro->named.items[i]->name, "caller");
        FND_TRY(bind_parameter(r, macro->named.items[i], i, args, taken));
    }
    if (macro->flags & TPL_USES_CALLER && !explicit_caller) {
        caller = take_named(args, taken, &name);
        FND_TRY(fnd_tpl_undefined(r, &none, "the macro '%.*s' has no caller", (int)macro->name.bytes, macro->name.data));
        FND_TRY(fnd_tpl_set_name(r, name, caller && caller->kind != TPL_NONE ? caller : &none));
    }
    return bind_rest(r, macro, args, taken);
}

fnd_status fnd_tpl_call_macro(tpl_run *r, const tpl_callable *c, const tpl_args *args, tpl_value *out) {
    tpl_scope *scope = r->scope;
    tpl_builder *before = r->out, text = { 0 };
    const tpl_node *at = r->at;
    if (++r->depth > TPL_RUN_DEPTH) return fnd_tpl_fail(r, FND_ERR_LIMIT, "macros call one another more than %d deep", TPL_RUN_DEPTH);
    FND_TRY(fnd_tpl_push_scope(r, c->scope));
    FND_TRY(bind_all(r, c->macro, args));
    r->out = &text;
    FND_TRY(fnd_tpl_run_block(r, c->macro->d));
    r->scope = scope;
    r->out = before;
    r->at = at;
    r->depth--;
    return fnd_tpl_built(r, &text, false, out);
}

/* The call gets one more named argument: the block as `caller`. */
static fnd_status run_call_block(tpl_run *r, const tpl_node *n) {
    const tpl_node *call = n->a;
    tpl_value callable, block, out;
    tpl_args args = { 0 };
    if (call) {
        TPL_EVAL(call->a, &callable);
        FND_TRY(fnd_tpl_eval_arguments(r, call, &args));
    }
    r->at = n;
    FND_TRY(new_macro(r, n, &block));
    if (!call) { /* generation */
        FND_TRY(fnd_tpl_call(r, &block, &args, &out));
        return fnd_tpl_add_value(r, r->out, &out);
    }
    tpl_str *names = fnd_arena_alloc(r->arena, args.named_count + 1, sizeof *names);
    tpl_value *named = fnd_arena_alloc(r->arena, args.named_count + 1, sizeof *named);
    if (!names || !named) return fnd_tpl_no_memory(r);
    for (size_t i = 0; i < args.named_count; i++) {
        names[i] = args.names[i];
        named[i] = args.named[i];
        if (fnd_tpl_str_is(&names[i], "caller")) return fnd_tpl_fail(r, FND_ERR_FORMAT, "a call block gives its call a \"caller\"; another cannot be given");
    }
    names[args.named_count] = n->name;
    named[args.named_count] = block;
    args = (tpl_args){ .items = args.items, .count = args.count, .names = names, .named = named, .named_count = args.named_count + 1 };
    FND_TRY(fnd_tpl_call(r, &callable, &args, &out));
    return fnd_tpl_add_value(r, r->out, &out);
}

/* ---- with, block, loaders, jumps ---- */

static fnd_status run_with(tpl_run *r, const tpl_node *n) {
    tpl_scope *outer = r->scope, *inner;
    FND_TRY(fnd_tpl_push_scope(r, outer));
    inner = r->scope;
    for (size_t i = 0; i < n->named.count; i++) {
        tpl_value v;
        r->scope = outer; /* the values do not see one another */
        TPL_EVAL(n->named.items[i]->a, &v);
        r->scope = inner;
        FND_TRY(fnd_tpl_assign(r, n->named.items[i]->b, &v));
    }
    FND_TRY(fnd_tpl_run_block(r, n->d));
    r->scope = outer;
    return FND_OK;
}

/* A block sees the names of the whole template; a scoped one also those around it. */
static fnd_status run_named_block(tpl_run *r, const tpl_node *n) {
    tpl_scope *scope = r->scope;
    if (n->flags & TPL_REQUIRED) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the block '%.*s' is required from another template, and there is none", (int)n->name.bytes, n->name.data);
    FND_TRY(fnd_tpl_push_scope(r, n->flags & TPL_SCOPED ? scope : r->top));
    FND_TRY(fnd_tpl_run_block(r, n->d));
    r->scope = scope;
    return FND_OK;
}

static fnd_status run_loader(tpl_run *r, const tpl_node *n) {
    return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the statement \"%.*s\" needs another template; a chat template stands alone", (int)n->name.bytes, n->name.data);
}

static fnd_status run_break(tpl_run *r, const tpl_node *n) {
    (void)n;
    r->flow = FLOW_BREAK;
    return FND_OK;
}

static fnd_status run_continue(tpl_run *r, const tpl_node *n) {
    (void)n;
    r->flow = FLOW_CONTINUE;
    return FND_OK;
}

/* Statements in order, until one of them leaves the turn of a loop. */
fnd_status fnd_tpl_run_block(tpl_run *r, const tpl_node *block) {
    static fnd_status (*const table[])(tpl_run * r, const tpl_node *n) = {
        [N_TEXT] = run_text,
        [N_PRINT] = run_print,
        [N_IF] = run_if,
        [N_FOR] = run_for,
        [N_SET] = run_set,
        [N_SET_BLOCK] = run_set_block,
        [N_MACRO] = run_macro_definition,
        [N_CALL_BLOCK] = run_call_block,
        [N_FILTER_BLOCK] = run_filter_block,
        [N_WITH] = run_with,
        [N_BLOCK] = fnd_tpl_run_block,
        [N_NAMED_BLOCK] = run_named_block,
        [N_LOADER] = run_loader,
        [N_BREAK] = run_break,
        [N_CONTINUE] = run_continue,
    };
    FND_TRY(fnd_tpl_deeper(r));
    for (size_t i = 0; i < block->items.count && r->flow == FLOW_ON; i++) {
        const tpl_node *n = block->items.items[i];
        r->at = n;
        FND_TRY(fnd_tpl_step(r, 1));
        FND_TRY(table[n->kind](r, n));
        if (r->failed) return fnd_tpl_no_memory(r);
    }
    r->depth--;
    return FND_OK;
}

fnd_status fnd_tpl_render(const tpl_tree *tree, const tpl_dict *variables, fnd_arena *arena, tpl_builder *out, fnd_error *err) {
    tpl_scope outer = { .names = *variables };
    tpl_run r = { .arena = arena, .err = err, .out = out, .tree = tree };
    FND_TRY(fnd_tpl_push_scope(&r, &outer)); /* what the template sets does not change the caller's variables */
    r.top = r.scope;
    return fnd_tpl_run_block(&r, tree->body);
}
