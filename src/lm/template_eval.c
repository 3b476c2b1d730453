/* template_eval.c - running a tree. */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode.h"

static fnd_status eval(tpl_run *r, const tpl_node *n, tpl_value *out);
static fnd_status run_block(tpl_run *r, const tpl_node *block);

/* Evaluate a part of n; failures after it belong to n again. */
#define EVAL(part, out) \
    do { \
        FND_TRY(eval(r, (part), out)); \
        r->at = n; \
    } while (0)

/* ---- names ---- */

static fnd_status push_scope(tpl_run *r, tpl_scope *outer) {
    tpl_scope *s = fnd_arena_alloc(r->arena, 1, sizeof *s);
    if (!s) return fnd_tpl_no_memory(r);
    s->outer = outer;
    r->scope = s;
    return FND_OK;
}

static fnd_status set_name(tpl_run *r, tpl_str name, const tpl_value *value) {
    tpl_value key, *there = fnd_tpl_dict_find(&r->scope->names, name.data, name.bytes);
    if (there) {
        *there = *value;
        return FND_OK;
    }
    FND_TRY(fnd_tpl_new_str(r, name, &key));
    return fnd_tpl_dict_set(r, &r->scope->names, &key, value);
}

static fnd_status eval_name(tpl_run *r, const tpl_node *n, tpl_value *out) {
    for (const tpl_scope *s = r->scope; s; s = s->outer) {
        const tpl_value *v = fnd_tpl_dict_find(&s->names, n->name.data, n->name.bytes);
        FND_TRY(fnd_tpl_step(r, 1));
        if (!v) continue;
        *out = *v;
        return FND_OK;
    }
    const tpl_callable *global = fnd_tpl_find_global(n->name.data, n->name.bytes);
    if (global) {
        *out = (tpl_value){ .kind = TPL_CALLABLE, .callable = (tpl_callable *)(uintptr_t)global }; /* never written to */
        return FND_OK;
    }
    return fnd_tpl_undefined(r, out, "'%.*s'", (int)n->name.bytes, n->name.data);
}

/* ---- parts of values ---- */

static fnd_status loop_attribute(tpl_run *r, const tpl_value *v, const tpl_node *n, tpl_value *out) {
    static const char *const names[] = { "index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "previtem", "nextitem" };
    const tpl_loop *loop = v->loop;
    size_t count = loop->items->count, i = loop->index, which = 0;
    while (which < FND_COUNT(names) && !(strlen(names[which]) == n->name.bytes && memcmp(names[which], n->name.data, n->name.bytes) == 0)) which++;
    const size_t numbers[] = { i + 1, i, count - i, count - i - 1, i == 0, i + 1 == count, count, 1, 0 }; /* depth counts recursive calls of one loop */
    if (which < FND_COUNT(numbers)) {
        *out = which == 4 || which == 5 ? fnd_tpl_bool(numbers[which]) : fnd_tpl_int((int64_t)numbers[which]);
    } else if (which == 9) {
        if (i == 0) return fnd_tpl_undefined(r, out, "loop.previtem of the first item");
        *out = loop->items->items[i - 1];
    } else if (which == 10) {
        if (i + 1 == count) return fnd_tpl_undefined(r, out, "loop.nextitem of the last item");
        *out = loop->items->items[i + 1];
    } else {
        return fnd_tpl_undefined(r, out, "'loop.%.*s'", (int)n->name.bytes, n->name.data);
    }
    return FND_OK;
}

static fnd_status bind_method(tpl_run *r, const tpl_value *self, tpl_str name, tpl_value *out, bool *found) {
    tpl_function *function = fnd_tpl_find_method(self, name.data, name.bytes);
    *found = function != NULL;
    if (!function) return FND_OK;
    tpl_callable *c = fnd_arena_alloc(r->arena, 1, sizeof *c);
    if (!c) return fnd_tpl_no_memory(r);
    *c = (tpl_callable){ .name = "method", .function = function, .self = *self };
    *out = (tpl_value){ .kind = TPL_CALLABLE, .callable = c };
    return FND_OK;
}

static fnd_status no_such_part(tpl_run *r, const tpl_value *v, tpl_str name, tpl_value *out) {
    return fnd_tpl_undefined(r, out, "'%.*s' of %s", (int)fnd_min_size(name.bytes, 100), name.data, fnd_tpl_kind_name(v));
}

/* x.name: a method, else the item of that name. */
static fnd_status eval_attribute(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value v;
    bool found;
    EVAL(n->a, &v);
    if (v.kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, &v);
    FND_TRY(bind_method(r, &v, n->name, out, &found));
    if (found) return FND_OK;
    if (v.kind == TPL_LOOP) return loop_attribute(r, &v, n, out);
    if (v.kind == TPL_DICT || v.kind == TPL_NAMESPACE) {
        const tpl_value *there = fnd_tpl_dict_find(v.dict, n->name.data, n->name.bytes);
        FND_TRY(fnd_tpl_step(r, v.dict->count / 16));
        if (there) {
            *out = *there;
            return FND_OK;
        }
    }
    return no_such_part(r, &v, n->name, out);
}

/* Python's index: negative ones count from the end. False: out of range. */
static bool place(int64_t index, size_t count, size_t *out) {
    if (index < 0) index += (int64_t)count;
    if (index < 0 || (uint64_t)index >= count) return false;
    *out = (size_t)index;
    return true;
}

static fnd_status string_item(tpl_run *r, const tpl_value *v, int64_t index, tpl_value *out) {
    tpl_list list;
    size_t i;
    FND_TRY(fnd_tpl_items(r, v, &list));
    if (!place(index, list.count, &i)) return fnd_tpl_undefined(r, out, "character %lld of a string of %zu", (long long)index, list.count);
    *out = list.items[i];
    return FND_OK;
}

static fnd_status get_item(tpl_run *r, const tpl_value *v, const tpl_value *key, tpl_value *out) {
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, v);
    bool found = false;
    if (v->kind == TPL_DICT) {
        tpl_value *there;
        FND_TRY(fnd_tpl_dict_get(r, v->dict, key, &there));
        if (there) {
            *out = *there;
            return FND_OK;
        }
    } else if (key->kind == TPL_INT || key->kind == TPL_BOOL) {
        int64_t index = key->kind == TPL_BOOL ? key->flag : key->integer;
        size_t i;
        if (v->kind == TPL_STR) return string_item(r, v, index, out);
        if (v->kind != TPL_LIST && v->kind != TPL_TUPLE) return fnd_tpl_undefined(r, out, "item %lld of %s", (long long)index, fnd_tpl_kind_name(v));
        if (!place(index, v->list->count, &i)) return fnd_tpl_undefined(r, out, "item %lld of a list of %zu", (long long)index, v->list->count);
        *out = v->list->items[i];
        return FND_OK;
    }
    if (key->kind == TPL_STR) {
        FND_TRY(bind_method(r, v, *key->str, out, &found));
        return found ? FND_OK : no_such_part(r, v, *key->str, out);
    }
    return fnd_tpl_undefined(r, out, "an item of %s", fnd_tpl_kind_name(v));
}

static fnd_status eval_item(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value v, key;
    EVAL(n->a, &v);
    EVAL(n->b, &key);
    return get_item(r, &v, &key, out);
}

static fnd_status slice_part(tpl_run *r, const tpl_node *n, const tpl_node *part, bool *given, int64_t *out) {
    tpl_value v;
    *given = false;
    if (!part) return FND_OK;
    EVAL(part, &v);
    if (v.kind == TPL_NONE) return FND_OK;
    if (v.kind != TPL_INT && v.kind != TPL_BOOL) return fnd_tpl_fail(r, FND_ERR_TYPE, "a slice needs integers, not %s", fnd_tpl_kind_name(&v));
    *given = true;
    *out = v.kind == TPL_BOOL ? v.flag : v.integer;
    return FND_OK;
}

/* Where a slice of `count` items starts or stops, clamped as Python does. */
static int64_t clamp_bound(int64_t at, int64_t count, int64_t step) {
    if (at < 0) at = at < -count ? -1 : at + count;
    if (at < 0) return step < 0 ? -1 : 0;
    return at >= count ? step < 0 ? count - 1 : count : at;
}

static fnd_status take_slice(tpl_run *r, const tpl_value *v, const tpl_list *all, int64_t start, int64_t stop, int64_t step, tpl_value *out) {
    uint64_t distance = step > 0 ? stop > start ? (uint64_t)(stop - start) : 0 : start > stop ? (uint64_t)(start - stop)
                                                                                              : 0;
    uint64_t pace = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    size_t count = distance ? (size_t)((distance - 1) / pace + 1) : 0;
    FND_TRY(fnd_tpl_step(r, count / 4));
    if (v->kind != TPL_STR) {
        FND_TRY(fnd_tpl_new_list(r, count, v->kind, out));
        for (size_t i = 0; i < count; i++) out->list->items[i] = all->items[start + (int64_t)i * step];
        return FND_OK;
    }
    tpl_builder text = { 0 };
    for (size_t i = 0; i < count; i++) fnd_tpl_add_str(r, &text, *all->items[start + (int64_t)i * step].str);
    return fnd_tpl_built(r, &text, out);
}

static fnd_status eval_slice(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value v;
    int64_t start = 0, stop = 0, step = 1;
    bool has_start, has_stop, has_step;
    EVAL(n->a, &v);
    FND_TRY(slice_part(r, n, n->b, &has_start, &start));
    FND_TRY(slice_part(r, n, n->c, &has_stop, &stop));
    FND_TRY(slice_part(r, n, n->d, &has_step, &step));
    if (v.kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, &v);
    if (v.kind != TPL_STR && v.kind != TPL_LIST && v.kind != TPL_TUPLE) return fnd_tpl_fail(r, FND_ERR_TYPE, "%s cannot be sliced", fnd_tpl_kind_name(&v));
    if (has_step && step == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the step of a slice is zero");
    tpl_list all;
    FND_TRY(fnd_tpl_items(r, &v, &all));
    int64_t count = (int64_t)all.count;
    start = has_start ? clamp_bound(start, count, step) : step < 0 ? count - 1
                                                                   : 0;
    stop = has_stop ? clamp_bound(stop, count, step) : step < 0 ? -1
                                                                : count;
    return take_slice(r, &v, &all, start, stop, step, out);
}

/* ---- calls ---- */

static fnd_status eval_arguments(tpl_run *r, const tpl_node *n, tpl_args *args) {
    size_t count = n->items.count, named = n->named.count;
    *args = (tpl_args){ 0 };
    if (count + named == 0) return FND_OK;
    tpl_value *values = fnd_arena_alloc(r->arena, count + named, sizeof *values);
    tpl_str *names = fnd_arena_alloc(r->arena, named, sizeof *names);
    if (!values || !names) return fnd_tpl_no_memory(r);
    for (size_t i = 0; i < count; i++) EVAL(n->items.items[i], &values[i]);
    for (size_t i = 0; i < named; i++) {
        names[i] = n->named.items[i]->name;
        EVAL(n->named.items[i]->a, &values[count + i]);
    }
    *args = (tpl_args){ .items = values, .count = count, .names = names, .named = values + count, .named_count = named };
    return FND_OK;
}

/* The value of parameter i: by position, by name, else its default. */
static fnd_status bind_parameter(tpl_run *r, const tpl_node *macro, size_t i, const tpl_args *args, size_t *used) {
    const tpl_node *parameter = macro->named.items[i];
    tpl_value value;
    bool given = i < args->count;
    if (given) value = args->items[i];
    for (size_t k = 0; k < args->named_count; k++) {
        if (args->names[k].bytes != parameter->name.bytes || memcmp(args->names[k].data, parameter->name.data, parameter->name.bytes) != 0) continue;
        if (given) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the argument '%.*s' is given twice", (int)parameter->name.bytes, parameter->name.data);
        value = args->named[k];
        given = true;
        ++*used;
    }
    if (!given && parameter->a) {
        FND_TRY(eval(r, parameter->a, &value));
    } else if (!given) {
        FND_TRY(fnd_tpl_undefined(r, &value, "the parameter '%.*s'", (int)parameter->name.bytes, parameter->name.data));
    }
    return set_name(r, parameter->name, &value);
}

static fnd_status bind_caller(tpl_run *r, const tpl_args *args, size_t *used) {
    for (size_t k = 0; k < args->named_count; k++) {
        if (args->names[k].bytes != 6 || memcmp(args->names[k].data, "caller", 6) != 0) continue;
        ++*used;
        return set_name(r, args->names[k], &args->named[k]);
    }
    return FND_OK;
}

static fnd_status run_macro(tpl_run *r, const tpl_callable *c, const tpl_args *args, tpl_builder *text) {
    const tpl_node *macro = c->macro, *at = r->at;
    size_t used = 0;
    FND_TRY(push_scope(r, c->scope));
    if (args->count > macro->named.count) {
        return fnd_tpl_fail(r, FND_ERR_FORMAT, "the macro '%.*s' takes %zu arguments, not %zu", (int)macro->name.bytes, macro->name.data, macro->named.count, args->count);
    }
    for (size_t i = 0; i < macro->named.count; i++) FND_TRY(bind_parameter(r, macro, i, args, &used));
    FND_TRY(bind_caller(r, args, &used));
    if (used < args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the macro '%.*s' has no parameter of one of the names given", (int)macro->name.bytes, macro->name.data);
    r->out = text;
    FND_TRY(run_block(r, macro->d));
    r->at = at;
    return FND_OK;
}

static fnd_status call_macro(tpl_run *r, const tpl_callable *c, const tpl_args *args, tpl_value *out) {
    tpl_scope *scope = r->scope;
    tpl_builder *before = r->out, text = { 0 };
    if (++r->depth > TPL_RUN_DEPTH) return fnd_tpl_fail(r, FND_ERR_LIMIT, "macros call one another more than %d deep", TPL_RUN_DEPTH);
    fnd_status status = run_macro(r, c, args, &text);
    r->scope = scope;
    r->out = before;
    r->depth--;
    return status == FND_OK ? fnd_tpl_built(r, &text, out) : status;
}

fnd_status fnd_tpl_call(tpl_run *r, const tpl_value *callable, const tpl_args *args, tpl_value *out) {
    if (callable->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, callable);
    if (callable->kind != TPL_CALLABLE) return fnd_tpl_fail(r, FND_ERR_TYPE, "%s cannot be called", fnd_tpl_kind_name(callable));
    FND_TRY(fnd_tpl_step(r, 4));
    const tpl_callable *c = callable->callable;
    return c->function ? c->function(r, &c->self, args, out) : call_macro(r, c, args, out);
}

static fnd_status eval_call(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value callable;
    tpl_args args;
    EVAL(n->a, &callable);
    FND_TRY(eval_arguments(r, n, &args));
    return fnd_tpl_call(r, &callable, &args, out);
}

fnd_status fnd_tpl_filter(tpl_run *r, const char *name, size_t name_bytes, const tpl_value *self, const tpl_args *args, tpl_value *out) {
    tpl_function *filter = fnd_tpl_find_filter(name, name_bytes);
    if (!filter) return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the filter \"%.*s\" is not known here", (int)name_bytes, name);
    FND_TRY(fnd_tpl_step(r, 4));
    return filter(r, self, args, out);
}

static fnd_status eval_filter(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value self;
    tpl_args args;
    EVAL(n->a, &self);
    FND_TRY(eval_arguments(r, n, &args));
    return fnd_tpl_filter(r, n->name.data, n->name.bytes, &self, &args, out);
}

static fnd_status eval_test(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value self;
    tpl_args args;
    bool result = false;
    EVAL(n->a, &self);
    FND_TRY(eval_arguments(r, n, &args));
    FND_TRY(fnd_tpl_test(r, n->name.data, n->name.bytes, &self, &args, &result));
    *out = fnd_tpl_bool(result);
    return FND_OK;
}

/* ---- operators ---- */

static fnd_status eval_unary(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value v;
    EVAL(n->a, &v);
    if (v.kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, &v);
    if (v.kind == TPL_BOOL) v = fnd_tpl_int(v.flag);
    if (v.kind != TPL_INT && v.kind != TPL_FLOAT) return fnd_tpl_fail(r, FND_ERR_TYPE, "a sign does not work on %s", fnd_tpl_kind_name(&v));
    if (n->op == OP_NEG && v.kind == TPL_FLOAT) v.number = -v.number;
    if (n->op == OP_NEG && v.kind == TPL_INT && __builtin_sub_overflow((int64_t)0, v.integer, &v.integer)) return fnd_tpl_fail(r, FND_ERR_LIMIT, "the result does not fit an integer of 64 bits");
    *out = v;
    return FND_OK;
}

static fnd_status eval_binary(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value a, b;
    EVAL(n->a, &a);
    EVAL(n->b, &b);
    return fnd_tpl_binary(r, n->op, &a, &b, out);
}

static fnd_status eval_concat(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value a, b;
    tpl_builder text = { 0 };
    EVAL(n->a, &a);
    EVAL(n->b, &b);
    FND_TRY(fnd_tpl_add_value(r, &text, &a));
    FND_TRY(fnd_tpl_add_value(r, &text, &b));
    return fnd_tpl_built(r, &text, out);
}

static fnd_status compare(tpl_run *r, tpl_op op, const tpl_value *a, const tpl_value *b, bool *out) {
    int order = 0;
    switch (op) {
    case OP_EQ:
        return fnd_tpl_equal(r, a, b, out);
    case OP_IN:
        return fnd_tpl_contains(r, b, a, out);
    case OP_NE:
        FND_TRY(fnd_tpl_equal(r, a, b, out));
        break;
    case OP_NOT_IN:
        FND_TRY(fnd_tpl_contains(r, b, a, out));
        break;
    default:
        FND_TRY(fnd_tpl_order(r, a, b, &order));
        *out = op == OP_LT ? order < 0 : op == OP_LE ? order <= 0
                                     : op == OP_GT   ? order > 0
                                                     : order >= 0;
        return FND_OK;
    }
    *out = !*out;
    return FND_OK;
}

static fnd_status eval_comparison(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value left, right;
    bool holds = true;
    EVAL(n->a, &left);
    for (size_t i = 0; i < n->items.count && holds; i++) {
        const tpl_node *link = n->items.items[i];
        EVAL(link->a, &right);
        r->at = link;
        FND_TRY(compare(r, link->op, &left, &right, &holds));
        left = right;
    }
    *out = fnd_tpl_bool(holds);
    return FND_OK;
}

static fnd_status eval_logic(tpl_run *r, const tpl_node *n, tpl_value *out) {
    EVAL(n->a, out);
    if (n->kind == N_NOT) {
        *out = fnd_tpl_bool(!fnd_tpl_truth(out));
    } else if (fnd_tpl_truth(out) == (n->kind == N_AND)) {
        EVAL(n->b, out);
    }
    return FND_OK;
}

static fnd_status eval_choice(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value condition;
    EVAL(n->b, &condition);
    if (fnd_tpl_truth(&condition)) return eval(r, n->a, out);
    if (n->c) return eval(r, n->c, out);
    return fnd_tpl_undefined(r, out, "the value of an inline if without else, whose condition is false,");
}

static fnd_status eval_list(tpl_run *r, const tpl_node *n, tpl_value *out) {
    FND_TRY(fnd_tpl_new_list(r, n->items.count, n->kind == N_TUPLE ? TPL_TUPLE : TPL_LIST, out));
    for (size_t i = 0; i < n->items.count; i++) EVAL(n->items.items[i], &out->list->items[i]);
    return FND_OK;
}

static fnd_status eval_dict(tpl_run *r, const tpl_node *n, tpl_value *out) {
    FND_TRY(fnd_tpl_new_dict(r, n->items.count / 2, out));
    for (size_t i = 0; i + 1 < n->items.count; i += 2) {
        tpl_value key, value;
        EVAL(n->items.items[i], &key);
        EVAL(n->items.items[i + 1], &value);
        FND_TRY(fnd_tpl_dict_set(r, out->dict, &key, &value));
    }
    return FND_OK;
}

static fnd_status eval_const(tpl_run *r, const tpl_node *n, tpl_value *out) {
    (void)r;
    *out = n->value;
    return FND_OK;
}

static fnd_status eval(tpl_run *r, const tpl_node *n, tpl_value *out) {
    static fnd_status (*const table[])(tpl_run * r, const tpl_node *n, tpl_value *out) = {
        [N_CONST] = eval_const,
        [N_NAME] = eval_name,
        [N_LIST] = eval_list,
        [N_TUPLE] = eval_list,
        [N_DICT] = eval_dict,
        [N_ATTR] = eval_attribute,
        [N_ITEM] = eval_item,
        [N_SLICE] = eval_slice,
        [N_CALL] = eval_call,
        [N_FILTER] = eval_filter,
        [N_TEST] = eval_test,
        [N_UNARY] = eval_unary,
        [N_BINARY] = eval_binary,
        [N_COMPARE] = eval_comparison,
        [N_AND] = eval_logic,
        [N_OR] = eval_logic,
        [N_NOT] = eval_logic,
        [N_COND] = eval_choice,
        [N_CONCAT] = eval_concat,
    };
    r->at = n;
    if (++r->depth > TPL_RUN_DEPTH) return fnd_tpl_fail(r, FND_ERR_LIMIT, "this is nested more than %d deep", TPL_RUN_DEPTH);
    FND_TRY(fnd_tpl_step(r, 1));
    fnd_status status = table[n->kind](r, n, out);
    r->depth--;
    return status;
}

/* ---- statements ---- */

static fnd_status run_text(tpl_run *r, const tpl_node *n) {
    fnd_tpl_add_str(r, r->out, n->name);
    return FND_OK;
}

static fnd_status run_print(tpl_run *r, const tpl_node *n) {
    tpl_value v;
    EVAL(n->a, &v);
    return fnd_tpl_add_value(r, r->out, &v);
}

static fnd_status run_if(tpl_run *r, const tpl_node *n) {
    for (size_t i = 0; i < n->items.count; i++) {
        const tpl_node *branch = n->items.items[i];
        tpl_value condition = fnd_tpl_bool(true);
        if (branch->a) EVAL(branch->a, &condition);
        if (fnd_tpl_truth(&condition)) return run_block(r, branch->b);
    }
    return FND_OK;
}

static fnd_status assign(tpl_run *r, const tpl_node *target, const tpl_value *value) {
    if (target->kind == N_NAME) return set_name(r, target->name, value);
    r->at = target;
    if (target->kind == N_ATTR) {
        tpl_value space, key;
        FND_TRY(eval(r, target->a, &space));
        r->at = target;
        if (space.kind != TPL_NAMESPACE) return fnd_tpl_fail(r, FND_ERR_TYPE, "only attributes of a namespace can be set, this is %s", fnd_tpl_kind_name(&space));
        FND_TRY(fnd_tpl_new_str(r, target->name, &key));
        return fnd_tpl_dict_set(r, space.dict, &key, value);
    }
    tpl_list parts;
    FND_TRY(fnd_tpl_items(r, value, &parts));
    if (parts.count != target->items.count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%zu values for %zu names", parts.count, target->items.count);
    for (size_t i = 0; i < parts.count; i++) FND_TRY(assign(r, target->items.items[i], &parts.items[i]));
    return FND_OK;
}

/* Items for which the condition behind `if` holds. */
static fnd_status filter_items(tpl_run *r, const tpl_node *n, tpl_list *items) {
    tpl_scope *scope = r->scope;
    tpl_value kept;
    size_t count = 0;
    FND_TRY(fnd_tpl_new_list(r, items->count, TPL_LIST, &kept));
    for (size_t i = 0; i < items->count; i++) {
        tpl_value condition;
        FND_TRY(push_scope(r, scope));
        FND_TRY(assign(r, n->a, &items->items[i]));
        EVAL(n->c, &condition);
        if (fnd_tpl_truth(&condition)) kept.list->items[count++] = items->items[i];
    }
    r->scope = scope;
    *items = (tpl_list){ .items = kept.list->items, .count = count };
    return FND_OK;
}

/* Every turn has its own scope: what a body sets is gone in the next. */
static fnd_status run_turns(tpl_run *r, const tpl_node *n, const tpl_list *items) {
    tpl_scope *scope = r->scope;
    tpl_loop *loop = fnd_arena_alloc(r->arena, 1, sizeof *loop);
    if (!loop) return fnd_tpl_no_memory(r);
    *loop = (tpl_loop){ .items = items };
    tpl_value loop_value = { .kind = TPL_LOOP, .loop = loop };
    for (; loop->index < items->count && r->flow != FLOW_BREAK; loop->index++) {
        r->flow = FLOW_ON;
        FND_TRY(push_scope(r, scope));
        FND_TRY(set_name(r, fnd_tpl_const_str("loop"), &loop_value));
        FND_TRY(assign(r, n->a, &items->items[loop->index]));
        FND_TRY(run_block(r, n->d));
    }
    r->flow = FLOW_ON;
    r->scope = scope;
    return FND_OK;
}

static fnd_status run_for(tpl_run *r, const tpl_node *n) {
    tpl_value over;
    tpl_list *items = fnd_arena_alloc(r->arena, 1, sizeof *items);
    if (!items) return fnd_tpl_no_memory(r);
    EVAL(n->b, &over);
    FND_TRY(fnd_tpl_items(r, &over, items));
    if (n->c) FND_TRY(filter_items(r, n, items));
    if (items->count == 0) return n->items.count ? run_block(r, n->items.items[0]) : FND_OK;
    return run_turns(r, n, items);
}

static fnd_status run_set(tpl_run *r, const tpl_node *n) {
    tpl_value v;
    EVAL(n->b, &v);
    return assign(r, n->a, &v);
}

/* Filters (a chain that ends at `bottom`) over a finished value. */
static fnd_status run_filters(tpl_run *r, const tpl_node *n, const tpl_node *bottom, const tpl_value *value, tpl_value *out) {
    tpl_value self;
    tpl_args args;
    if (n == bottom) {
        *out = *value;
        return FND_OK;
    }
    FND_TRY(run_filters(r, n->a, bottom, value, &self));
    r->at = n;
    FND_TRY(eval_arguments(r, n, &args));
    return fnd_tpl_filter(r, n->name.data, n->name.bytes, &self, &args, out);
}

/* The rendered body (c) of n, in a scope of its own, through its filters (b down to d). */
static fnd_status capture(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_builder *before = r->out, text = { 0 };
    tpl_scope *scope = r->scope;
    tpl_value body;
    FND_TRY(push_scope(r, scope));
    r->out = &text;
    FND_TRY(run_block(r, n->c));
    r->out = before;
    r->scope = scope;
    FND_TRY(fnd_tpl_built(r, &text, &body));
    return run_filters(r, n->b, n->d, &body, out);
}

static fnd_status run_set_block(tpl_run *r, const tpl_node *n) {
    tpl_value v;
    FND_TRY(capture(r, n, &v));
    return assign(r, n->a, &v);
}

static fnd_status run_filter_block(tpl_run *r, const tpl_node *n) {
    tpl_value v;
    FND_TRY(capture(r, n, &v));
    return fnd_tpl_add_value(r, r->out, &v);
}

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
    return set_name(r, n->name, &macro);
}

/* The call gets one more named argument: the block as `caller`. */
static fnd_status run_call_block(tpl_run *r, const tpl_node *n) {
    const tpl_node *call = n->a;
    tpl_value callable, out;
    tpl_args args;
    EVAL(call->a, &callable);
    FND_TRY(eval_arguments(r, call, &args));
    r->at = n;
    tpl_str *names = fnd_arena_alloc(r->arena, args.named_count + 1, sizeof *names);
    tpl_value *named = fnd_arena_alloc(r->arena, args.named_count + 1, sizeof *named);
    if (!names || !named) return fnd_tpl_no_memory(r);
    if (args.named_count) {
        memcpy(names, args.names, args.named_count * sizeof *names);
        memcpy(named, args.named, args.named_count * sizeof *named);
    }
    names[args.named_count] = n->name;
    FND_TRY(new_macro(r, n, &named[args.named_count]));
    args.names = names;
    args.named = named;
    args.named_count++;
    FND_TRY(fnd_tpl_call(r, &callable, &args, &out));
    return fnd_tpl_add_value(r, r->out, &out);
}

static fnd_status run_with(tpl_run *r, const tpl_node *n) {
    tpl_scope *outer = r->scope, *inner;
    FND_TRY(push_scope(r, outer));
    inner = r->scope;
    for (size_t i = 0; i < n->named.count; i++) {
        tpl_value v;
        r->scope = outer; /* the values do not see one another */
        EVAL(n->named.items[i]->a, &v);
        r->scope = inner;
        FND_TRY(set_name(r, n->named.items[i]->name, &v));
    }
    FND_TRY(run_block(r, n->d));
    r->scope = outer;
    return FND_OK;
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
static fnd_status run_block(tpl_run *r, const tpl_node *block) {
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
        [N_BLOCK] = run_block,
        [N_BREAK] = run_break,
        [N_CONTINUE] = run_continue,
    };
    if (++r->depth > TPL_RUN_DEPTH) return fnd_tpl_fail(r, FND_ERR_LIMIT, "this is nested more than %d deep", TPL_RUN_DEPTH);
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
    tpl_scope root = { .names = *variables };
    tpl_run r = { .arena = arena, .err = err, .out = out, .scope = &root, .root = &root };
    FND_TRY(push_scope(&r, &root)); /* what the template sets does not change the caller's variables */
    return run_block(&r, tree->body);
}
