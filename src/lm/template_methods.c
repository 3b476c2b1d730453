/* template_methods.c - methods of lists, dicts, loops, floats; which value has which. None changes its object. */
#include "base/base.h"
#include "lm/template.h"

#include <math.h>

static TPL_FUNCTION(list_count) {
    static const char *const names[] = { "value", NULL };
    tpl_value v;
    int64_t count = 0;
    FND_TRY(fnd_tpl_bind(r, "count()", args, names, 1, &v));
    for (size_t i = 0; i < self->list->count; i++) {
        bool equal = false;
        FND_TRY(fnd_tpl_equal(r, &self->list->items[i], &v, &equal));
        FND_TRY(fnd_tpl_step(r, 1));
        count += equal;
    }
    *out = fnd_tpl_int(count);
    return FND_OK;
}

static TPL_FUNCTION(list_index) {
    static const char *const names[] = { "value", "start", "stop", NULL };
    tpl_value v[3] = { { 0 }, fnd_tpl_int(0), fnd_tpl_int(INT64_MAX) };
    int64_t start, stop, count = (int64_t)self->list->count;
    FND_TRY(fnd_tpl_bind(r, "index()", args, names, 1, v));
    FND_TRY(fnd_tpl_need_int(r, "index()", &v[1], &start));
    FND_TRY(fnd_tpl_need_int(r, "index()", &v[2], &stop));
    stop = fnd_tpl_clamp(stop, count, 1);
    for (int64_t i = fnd_tpl_clamp(start, count, 1); i < stop; i++) {
        bool equal = false;
        FND_TRY(fnd_tpl_equal(r, &self->list->items[i], &v[0], &equal));
        FND_TRY(fnd_tpl_step(r, 1));
        *out = fnd_tpl_int(i);
        if (equal) return FND_OK;
    }
    return fnd_tpl_fail(r, FND_ERR_FORMAT, "index() of a value that is not in the list");
}

static TPL_FUNCTION(list_copy) {
    FND_TRY(fnd_tpl_no_args(r, "copy()", args));
    return fnd_tpl_copy_list(r, self->list->items, self->list->count, TPL_LIST, out);
}

static TPL_FUNCTION(dict_items) {
    FND_TRY(fnd_tpl_no_args(r, "items()", args));
    return fnd_tpl_dict_view(r, self->dict, TPL_ITEMS, out);
}

static TPL_FUNCTION(dict_keys) {
    FND_TRY(fnd_tpl_no_args(r, "keys()", args));
    return fnd_tpl_dict_view(r, self->dict, TPL_KEYS, out);
}

static TPL_FUNCTION(dict_values) {
    FND_TRY(fnd_tpl_no_args(r, "values()", args));
    return fnd_tpl_dict_view(r, self->dict, TPL_VALUES, out);
}

static TPL_FUNCTION(dict_get) {
    static const char *const names[] = { "key", "default", NULL };
    tpl_value v[2] = { { 0 }, fnd_tpl_none() }, *there;
    if (args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "get() takes no named arguments");
    FND_TRY(fnd_tpl_bind(r, "get()", args, names, 1, v));
    FND_TRY(fnd_tpl_dict_get(r, self->dict, &v[0], &there));
    *out = there ? *there : v[1];
    return FND_OK;
}

static TPL_FUNCTION(dict_copy) {
    FND_TRY(fnd_tpl_no_args(r, "copy()", args));
    FND_TRY(fnd_tpl_step(r, self->dict->count));
    FND_TRY(fnd_tpl_new_dict(r, self->dict->count, out));
    if (self->dict->count) {
        memcpy(out->dict->keys, self->dict->keys, self->dict->count * sizeof *self->dict->keys);
        memcpy(out->dict->values, self->dict->values, self->dict->count * sizeof *self->dict->values);
    }
    out->dict->count = self->dict->count;
    return FND_OK;
}

static TPL_FUNCTION(loop_cycle) {
    if (args->count == 0 || args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "cycle() takes one or more values");
    *out = args->items[self->loop->index % args->count];
    return FND_OK;
}

static TPL_FUNCTION(loop_changed) {
    tpl_value now;
    bool same = false;
    FND_TRY(fnd_tpl_copy_list(r, args->items, args->count, TPL_TUPLE, &now));
    if (args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "changed() takes no named arguments");
    if (self->loop->has_changed) FND_TRY(fnd_tpl_equal(r, &now, &self->loop->changed, &same));
    self->loop->changed = now;
    self->loop->has_changed = true;
    *out = fnd_tpl_bool(!same);
    return FND_OK;
}

static TPL_FUNCTION(float_is_integer) {
    FND_TRY(fnd_tpl_no_args(r, "is_integer()", args));
    *out = fnd_tpl_bool(isfinite(self->number) && self->number == floor(self->number));
    return FND_OK;
}

static TPL_FUNCTION(int_bit_length) {
    FND_TRY(fnd_tpl_no_args(r, "bit_length()", args));
    int64_t n = fnd_tpl_as_integer(self);
    uint64_t magnitude = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    *out = fnd_tpl_int(magnitude ? 64 - __builtin_clzll(magnitude) : 0);
    return FND_OK;
}

static TPL_FUNCTION(int_conjugate) {
    FND_TRY(fnd_tpl_no_args(r, "conjugate()", args));
    return fnd_tpl_unary(r, OP_POS, self, out);
}

/* cycler(..).next() and .reset(); their state is in the callable of the cycler. */
static TPL_FUNCTION(cycler_next) {
    tpl_callable *c = self->callable;
    FND_TRY(fnd_tpl_no_args(r, "next()", args));
    *out = c->self.list->items[c->at];
    c->at = (c->at + 1) % c->self.list->count;
    return FND_OK;
}

static TPL_FUNCTION(cycler_reset) {
    FND_TRY(fnd_tpl_no_args(r, "reset()", args));
    self->callable->at = 0;
    *out = fnd_tpl_none();
    return FND_OK;
}

tpl_function *fnd_tpl_find_method(const tpl_value *self, const char *name, size_t bytes) {
    static const tpl_named of_lists[] = { { "copy", list_copy }, { "count", list_count }, { "index", list_index } };
    static const tpl_named of_dicts[] = { { "copy", dict_copy }, { "get", dict_get }, { "items", dict_items }, { "keys", dict_keys }, { "values", dict_values } };
    static const tpl_named of_loops[] = { { "changed", loop_changed }, { "cycle", loop_cycle } };
    static const tpl_named of_floats[] = { { "conjugate", int_conjugate }, { "is_integer", float_is_integer } };
    static const tpl_named of_ints[] = { { "bit_length", int_bit_length }, { "conjugate", int_conjugate } };
    static const tpl_named of_cyclers[] = { { "next", cycler_next }, { "reset", cycler_reset } };
    switch (self->kind) {
    case TPL_STR:
        return fnd_tpl_find_string_method(name, bytes);
    case TPL_LIST:
        return fnd_tpl_find_named(of_lists, FND_COUNT(of_lists), name, bytes);
    case TPL_TUPLE:
    case TPL_RANGE:
        return fnd_tpl_find_named(of_lists + 1, FND_COUNT(of_lists) - 1, name, bytes);
    case TPL_DICT:
        return fnd_tpl_find_named(of_dicts, FND_COUNT(of_dicts), name, bytes);
    case TPL_LOOP:
        return fnd_tpl_find_named(of_loops, FND_COUNT(of_loops), name, bytes);
    case TPL_FLOAT:
        return fnd_tpl_find_named(of_floats, FND_COUNT(of_floats), name, bytes);
    case TPL_INT:
    case TPL_BOOL:
        return fnd_tpl_find_named(of_ints, FND_COUNT(of_ints), name, bytes);
    case TPL_CALLABLE:
        if (strcmp(self->callable->name, "a cycler") != 0) return NULL;
        return fnd_tpl_find_named(of_cyclers, FND_COUNT(of_cyclers), name, bytes);
    default:
        return NULL;
    }
}
