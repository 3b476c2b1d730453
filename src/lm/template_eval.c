/* template_eval.c - the values of expressions. */
#include "base/base.h"
#include "lm/template_tree.h"

static fnd_status eval_name(tpl_run *r, const tpl_node *n, tpl_value *out) {
    for (const tpl_scope *s = r->scope; s; s = s->outer) {
        const tpl_value *v = fnd_tpl_dict_find(&s->names, n->name.data, n->name.bytes);
        FND_TRY(fnd_tpl_step(r, 1 + s->names.count / 16));
        if (!v) continue;
        *out = *v;
        return FND_OK;
    }
    const tpl_callable *global = fnd_tpl_find_global(n->name.data, n->name.bytes);
    if (global) {
        *out = (tpl_value){ .kind = TPL_CALLABLE, .callable = (tpl_callable *)(uintptr_t)global }; /* never written to */
        return FND_OK;
    }
    if (fnd_tpl_str_is(&n->name, "self")) {
        *out = (tpl_value){ .kind = TPL_SELF };
        return FND_OK;
    }
    return fnd_tpl_undefined(r, out, "'%.*s' is undefined", (int)fnd_min_size(n->name.bytes, 100), n->name.data);
}

/* ---- parts of values ---- */

static fnd_status eval_attribute(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value v;
    TPL_EVAL(n->a, &v);
    return fnd_tpl_get_attribute(r, &v, n->name, out);
}

static fnd_status eval_item(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value v, key;
    TPL_EVAL(n->a, &v);
    TPL_EVAL(n->b, &key);
    return fnd_tpl_get_item(r, &v, &key, out);
}

static fnd_status eval_slice(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value v, start = fnd_tpl_none(), stop = fnd_tpl_none(), step = fnd_tpl_none();
    TPL_EVAL(n->a, &v);
    if (n->b) TPL_EVAL(n->b, &start);
    if (n->c) TPL_EVAL(n->c, &stop);
    if (n->d) TPL_EVAL(n->d, &step);
    return fnd_tpl_slice(r, &v, &start, &stop, &step, out);
}

/* ---- calls ---- */

/* Behind the arguments that are written there come those of *list and **dict. */
static fnd_status unpack(tpl_run *r, const tpl_node *n, tpl_list *list, tpl_value *dict) {
    tpl_value v;
    if (n->b) {
        TPL_EVAL(n->b, &v);
        FND_TRY(fnd_tpl_items(r, &v, list));
    }
    if (!n->c) return FND_OK;
    TPL_EVAL(n->c, dict);
    if (dict->kind != TPL_DICT) return fnd_tpl_fail(r, FND_ERR_TYPE, "** needs a dict, not %s", fnd_tpl_kind_name(dict));
    for (size_t i = 0; i < dict->dict->count; i++) FND_TRY(fnd_tpl_need_str(r, "the name of an argument", &dict->dict->keys[i]));
    return FND_OK;
}

static fnd_status check_names(tpl_run *r, const tpl_str *names, size_t count) {
    FND_TRY(fnd_tpl_step(r, count * count / 8));
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (names[i].bytes == names[k].bytes && memcmp(names[i].data, names[k].data, names[i].bytes) == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the argument '%.*s' is given twice", (int)fnd_min_size(names[i].bytes, 100), names[i].data);
        }
    }
    return FND_OK;
}

fnd_status fnd_tpl_eval_arguments(tpl_run *r, const tpl_node *n, tpl_args *args) {
    tpl_list list = { 0 };
    tpl_value dict = fnd_tpl_none();
    *args = (tpl_args){ 0 };
    if (n->items.count + n->named.count == 0 && !n->b && !n->c) return FND_OK;
    tpl_value *written = fnd_arena_alloc(r->arena, n->items.count + n->named.count, sizeof *written);
    if (!written) return fnd_tpl_no_memory(r);
    for (size_t i = 0; i < n->items.count; i++) TPL_EVAL(n->items.items[i], &written[i]);
    for (size_t i = 0; i < n->named.count; i++) TPL_EVAL(n->named.items[i]->a, &written[n->items.count + i]);
    FND_TRY(unpack(r, n, &list, &dict));
    size_t more = dict.kind == TPL_DICT ? dict.dict->count : 0, count = n->items.count + list.count, named = n->named.count + more;
    FND_TRY(fnd_tpl_step(r, list.count + more));
    tpl_value *values = fnd_arena_alloc(r->arena, count + named, sizeof *values);
    tpl_str *names = fnd_arena_alloc(r->arena, named, sizeof *names);
    if (!values || !names) return fnd_tpl_no_memory(r);
    for (size_t i = 0; i < count; i++) values[i] = i < n->items.count ? written[i] : list.items[i - n->items.count];
    for (size_t i = 0; i < named; i++) {
        size_t k = i - n->named.count;
        names[i] = i < n->named.count ? n->named.items[i]->name : *dict.dict->keys[k].str;
        values[count + i] = i < n->named.count ? written[n->items.count + i] : dict.dict->values[k];
    }
    *args = (tpl_args){ .items = values, .count = count, .names = names, .named = values + count, .named_count = named };
    return check_names(r, names, named);
}

static fnd_status eval_call(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value callable;
    tpl_args args;
    TPL_EVAL(n->a, &callable);
    FND_TRY(fnd_tpl_eval_arguments(r, n, &args));
    return fnd_tpl_call(r, &callable, &args, out);
}

static fnd_status eval_filter(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value self;
    tpl_args args;
    TPL_EVAL(n->a, &self);
    FND_TRY(fnd_tpl_eval_arguments(r, n, &args));
    return fnd_tpl_filter(r, n->name.data, n->name.bytes, &self, &args, out);
}

static fnd_status eval_test(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value self;
    tpl_args args;
    bool result = false;
    TPL_EVAL(n->a, &self);
    FND_TRY(fnd_tpl_eval_arguments(r, n, &args));
    FND_TRY(fnd_tpl_test(r, n->name.data, n->name.bytes, &self, &args, &result));
    *out = fnd_tpl_bool(result);
    return FND_OK;
}

/* ---- operators ---- */

static fnd_status eval_unary(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value v;
    TPL_EVAL(n->a, &v);
    return fnd_tpl_unary(r, n->op, &v, out);
}

static fnd_status eval_binary(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value a, b;
    TPL_EVAL(n->a, &a);
    TPL_EVAL(n->b, &b);
    return fnd_tpl_binary(r, n->op, &a, &b, out);
}

static fnd_status eval_concat(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value a, b;
    tpl_builder text = { 0 };
    TPL_EVAL(n->a, &a);
    TPL_EVAL(n->b, &b);
    FND_TRY(fnd_tpl_add_value(r, &text, &a));
    FND_TRY(fnd_tpl_add_value(r, &text, &b));
    return fnd_tpl_built(r, &text, false, out);
}

static fnd_status eval_comparison(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value left, right;
    bool holds = true;
    TPL_EVAL(n->a, &left);
    for (size_t i = 0; i < n->items.count && holds; i++) {
        const tpl_node *link = n->items.items[i];
        TPL_EVAL(link->a, &right);
        r->at = link;
        FND_TRY(fnd_tpl_compare(r, link->op, &left, &right, &holds));
        left = right;
    }
    *out = fnd_tpl_bool(holds);
    return FND_OK;
}

static fnd_status eval_logic(tpl_run *r, const tpl_node *n, tpl_value *out) {
    TPL_EVAL(n->a, out);
    if (n->kind == N_NOT) {
        *out = fnd_tpl_bool(!fnd_tpl_truth(out));
    } else if (fnd_tpl_truth(out) == (n->kind == N_AND)) {
        TPL_EVAL(n->b, out);
    }
    return FND_OK;
}

static fnd_status eval_choice(tpl_run *r, const tpl_node *n, tpl_value *out) {
    tpl_value condition;
    TPL_EVAL(n->b, &condition);
    if (fnd_tpl_truth(&condition)) return fnd_tpl_eval(r, n->a, out);
    if (n->c) return fnd_tpl_eval(r, n->c, out);
    return fnd_tpl_undefined(r, out, "the value of an inline if without else, whose condition is false, is undefined");
}

static fnd_status eval_list(tpl_run *r, const tpl_node *n, tpl_value *out) {
    FND_TRY(fnd_tpl_new_list(r, n->items.count, n->kind == N_TUPLE ? TPL_TUPLE : TPL_LIST, out));
    for (size_t i = 0; i < n->items.count; i++) TPL_EVAL(n->items.items[i], &out->list->items[i]);
    return FND_OK;
}

static fnd_status eval_dict(tpl_run *r, const tpl_node *n, tpl_value *out) {
    FND_TRY(fnd_tpl_new_dict(r, n->items.count / 2, out));
    for (size_t i = 0; i + 1 < n->items.count; i += 2) {
        tpl_value key, value;
        TPL_EVAL(n->items.items[i], &key);
        TPL_EVAL(n->items.items[i + 1], &value);
        FND_TRY(fnd_tpl_dict_set(r, out->dict, &key, &value));
    }
    return FND_OK;
}

static fnd_status eval_const(tpl_run *r, const tpl_node *n, tpl_value *out) {
    (void)r;
    *out = n->value;
    return FND_OK;
}

fnd_status fnd_tpl_eval(tpl_run *r, const tpl_node *n, tpl_value *out) {
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
    FND_TRY(fnd_tpl_deeper(r));
    fnd_status status = table[n->kind](r, n, out);
    r->depth--;
    return status;
}
