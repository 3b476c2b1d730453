/* template_sequence.c - going through values, and reaching into them: items, attributes, slices. */
#include "base/base.h"
#include "lm/template_tree.h"
#include "lm/unicode.h"

/* ---- items ---- */

static fnd_status characters(tpl_run *r, tpl_str s, tpl_list *out) {
    size_t count = fnd_tpl_count_chars(s), at = 0;
    tpl_value list;
    s.markup = false;
    FND_TRY(fnd_tpl_step(r, count));
    FND_TRY(fnd_tpl_new_list(r, count, TPL_LIST, &list));
    for (size_t i = 0; i < count; i++) {
        tpl_str c = fnd_tpl_char_at(s, at);
        FND_TRY(fnd_tpl_new_str(r, c, &list.list->items[i]));
        at += c.bytes;
    }
    *out = *list.list;
    return FND_OK;
}

/* What an iterator ends with: nothing, or a failure. */
static fnd_status end_of(tpl_run *r, const tpl_iterator *it) {
    if (!it->failure) return FND_OK;
    if (r->err) *r->err = *it->failure;
    return it->failure->status;
}

fnd_status fnd_tpl_items(tpl_run *r, const tpl_value *v, tpl_list *out) {
    *out = (tpl_list){ 0 };
    switch (v->kind) {
    case TPL_UNDEFINED:
        return FND_OK;
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_RANGE:
    case TPL_VIEW:
        *out = *v->list;
        return FND_OK;
    case TPL_ITERATOR:
        *out = (tpl_list){ .items = v->iterator->list.items + v->iterator->at, .count = v->iterator->list.count - v->iterator->at };
        v->iterator->at = v->iterator->list.count;
        return end_of(r, v->iterator);
    case TPL_DICT:
        *out = (tpl_list){ .items = v->dict->keys, .count = v->dict->count };
        return FND_OK;
    case TPL_STR:
        return characters(r, *v->str, out);
    default:
        return fnd_tpl_fail(r, FND_ERR_TYPE, "%s has no items to go through", fnd_tpl_kind_name(v));
    }
}

fnd_status fnd_tpl_next(tpl_run *r, const tpl_value *v, tpl_value *out, bool *found) {
    tpl_list items;
    FND_TRY(fnd_tpl_step(r, 1));
    if (v->kind == TPL_ITERATOR) {
        tpl_iterator *it = v->iterator;
        *found = it->at < it->list.count;
        if (!*found) return end_of(r, it);
        *out = it->list.items[it->at++];
        return FND_OK;
    }
    if (v->kind == TPL_STR) {
        *found = v->str->bytes > 0;
        tpl_str first = *found ? fnd_tpl_char_at(*v->str, 0) : *v->str;
        first.markup = false;
        return fnd_tpl_new_str(r, first, out);
    }
    FND_TRY(fnd_tpl_items(r, v, &items));
    *found = items.count > 0;
    if (*found) *out = items.items[0];
    return FND_OK;
}

fnd_status fnd_tpl_length(tpl_run *r, const tpl_value *v, size_t *out) {
    *out = 0;
    switch (v->kind) {
    case TPL_UNDEFINED:
        return FND_OK;
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_RANGE:
    case TPL_VIEW:
        *out = v->list->count;
        return FND_OK;
    case TPL_DICT:
        *out = v->dict->count;
        return FND_OK;
    case TPL_LOOP:
        FND_TRY(fnd_tpl_loop_fill(r, v->loop, SIZE_MAX));
        *out = v->loop->items.count;
        return FND_OK;
    case TPL_STR:
        *out = fnd_tpl_count_chars(*v->str);
        return fnd_tpl_step(r, v->str->bytes / 64);
    case TPL_ITERATOR:
        return fnd_tpl_fail(r, FND_ERR_TYPE, "an iterator has no length; the filter \"list\" makes a list of it");
    default:
        return fnd_tpl_fail(r, FND_ERR_TYPE, "%s has no length", fnd_tpl_kind_name(v));
    }
}

/* ---- attributes ---- */

static fnd_status no_such_part(tpl_run *r, const tpl_value *v, tpl_str name, tpl_value *out) {
    return fnd_tpl_undefined(r, out, "'%.*s' of %s is undefined", (int)fnd_min_size(name.bytes, 100), name.data, fnd_tpl_kind_name(v));
}

static size_t index_of(const char *const *names, const tpl_str *name) {
    size_t i = 0;
    while (names[i] && !fnd_tpl_str_is(name, names[i])) i++;
    return i;
}

static fnd_status loop_attribute(tpl_run *r, const tpl_value *v, tpl_str name, tpl_value *out, bool *found) {
    static const char *const names[] = { "index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "previtem", "nextitem", NULL };
    tpl_loop *loop = v->loop;
    size_t which = index_of(names, &name), i = loop->index;
    *found = names[which] != NULL;
    if (!*found) return FND_OK;
    /* Python's loop looks ahead only when it is asked for what needs it. */
    bool all = which == 2 || which == 3 || which == 6, one = which == 5 || which == 10;
    if (all || one) FND_TRY(fnd_tpl_loop_fill(r, loop, all ? SIZE_MAX : i + 2));
    size_t count = loop->items.count;
    const size_t numbers[] = { i + 1, i, count - i, count - i - 1, i == 0, i + 1 == count, count, loop->depth0 + 1, loop->depth0 };
    if (which < FND_COUNT(numbers)) {
        *out = which == 4 || which == 5 ? fnd_tpl_bool(numbers[which]) : fnd_tpl_int((int64_t)numbers[which]);
    } else if (which == 9) {
        if (i == 0) return fnd_tpl_undefined(r, out, "loop.previtem of the first item is undefined");
        *out = loop->items.items[i - 1];
    } else {
        if (i + 1 == count) return fnd_tpl_undefined(r, out, "loop.nextitem of the last item is undefined");
        *out = loop->items.items[i + 1];
    }
    return FND_OK;
}

static fnd_status macro_attribute(tpl_run *r, const tpl_callable *c, tpl_str name, tpl_value *out, bool *found) {
    static const char *const names[] = { "name", "arguments", "catch_kwargs", "catch_varargs", "caller", "explicit_caller", NULL };
    static const unsigned flags[] = { 0, 0, TPL_USES_KWARGS, TPL_USES_VARARGS, TPL_USES_CALLER };
    bool takes_caller = false;
    size_t which = index_of(names, &name);
    *found = names[which] && (which == 0 || c->macro->kind != N_NAMED_BLOCK);
    if (!*found) return FND_OK;
    if (which == 0 && c->macro->kind == N_CALL_BLOCK) *out = fnd_tpl_none();
    if (which == 0 && c->macro->kind != N_CALL_BLOCK) return fnd_tpl_new_str(r, c->macro->name, out);
    for (size_t i = 0; i < c->macro->named.count; i++) takes_caller |= fnd_tpl_str_is(&c->macro->named.items[i]->name, "caller");
    if (which >= 2) *out = fnd_tpl_bool(which < FND_COUNT(flags) ? c->macro->flags & flags[which] : takes_caller);
    if (which != 1) return FND_OK;
    FND_TRY(fnd_tpl_new_list(r, c->macro->named.count, TPL_TUPLE, out));
    for (size_t i = 0; i < c->macro->named.count; i++) FND_TRY(fnd_tpl_new_str(r, c->macro->named.items[i]->name, &out->list->items[i]));
    return FND_OK;
}

static bool number_attribute(const tpl_value *v, const tpl_str *name, tpl_value *out) {
    bool whole = v->kind != TPL_FLOAT;
    *out = *v;
    if (v->kind == TPL_BOOL) *out = fnd_tpl_int(v->flag);
    if (fnd_tpl_str_is(name, "real") || (whole && fnd_tpl_str_is(name, "numerator"))) return true;
    *out = whole ? fnd_tpl_int(0) : fnd_tpl_float(0);
    if (fnd_tpl_str_is(name, "imag")) return true;
    *out = fnd_tpl_int(1);
    return whole && fnd_tpl_str_is(name, "denominator");
}

/* self.name: a function that prints the block, with the names of the whole template. */
static fnd_status block_attribute(tpl_run *r, tpl_str name, tpl_value *out, bool *found) {
    const tpl_nodes *blocks = &r->tree->blocks;
    size_t i = 0;
    while (i < blocks->count && !(blocks->items[i]->name.bytes == name.bytes && memcmp(blocks->items[i]->name.data, name.data, name.bytes) == 0)) i++;
    *found = i < blocks->count;
    if (!*found) return FND_OK;
    FND_TRY(fnd_tpl_new_callable(r, "block", NULL, &(tpl_value){ .kind = TPL_NONE }, out));
    out->callable->macro = blocks->items[i];
    out->callable->scope = r->top;
    return FND_OK;
}

static fnd_status own_attribute(tpl_run *r, const tpl_value *v, tpl_str name, tpl_value *out, bool *found) {
    static const char *const range_names[] = { "start", "stop", "step", NULL };
    *found = false;
    if (v->kind == TPL_LOOP) return loop_attribute(r, v, name, out, found);
    if (v->kind == TPL_SELF) return block_attribute(r, name, out, found);
    if (v->kind == TPL_CALLABLE && v->callable->macro) return macro_attribute(r, v->callable, name, out, found);
    if (v->kind == TPL_CALLABLE && strcmp(v->callable->name, "a cycler") == 0 && fnd_tpl_str_is(&name, "current")) {
        *out = v->callable->self.list->items[v->callable->at];
        *found = true;
    }
    if (fnd_tpl_is_number(v)) *found = number_attribute(v, &name, out);
    if (v->kind == TPL_TUPLE && v->list->form == TPL_GROUP && (fnd_tpl_str_is(&name, "grouper") || fnd_tpl_str_is(&name, "list"))) {
        *out = v->list->items[name.data[0] == 'l'];
        *found = true;
    }
    if (v->kind == TPL_RANGE) {
        const tpl_range *range = (const tpl_range *)v->list;
        const int64_t parts[] = { range->start, range->stop, range->step, 0 };
        size_t which = index_of(range_names, &name);
        *out = fnd_tpl_int(parts[which]);
        *found = which < 3;
    }
    if (v->kind == TPL_NAMESPACE) {
        const tpl_value *there = fnd_tpl_dict_find(v->dict, name.data, name.bytes);
        if (there) *out = *there;
        *found = there != NULL;
    }
    return FND_OK;
}

/* Methods that change their object are not there, as in Jinja's immutable sandbox. */
static bool changes_object(const tpl_value *v, const tpl_str *name) {
    static const char *const of_dicts[] = { "clear", "pop", "popitem", "setdefault", "update", NULL };
    static const char *const of_lists[] = { "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove", NULL };
    if (v->kind == TPL_DICT) return of_dicts[index_of(of_dicts, name)] != NULL;
    return v->kind == TPL_LIST && of_lists[index_of(of_lists, name)] != NULL;
}

/* What Python finds and we do not have; NULL: nothing. */
static const char *const *lacking(const tpl_value *v) {
    static const char *const of_dicts[] = { "fromkeys", NULL };
    static const char *const of_markup[] = { "escape", "striptags", "unescape", NULL };
    static const char *const of_integers[] = { "as_integer_ratio", "bit_count", "from_bytes", "is_integer", "to_bytes", NULL };
    static const char *const of_floats[] = { "as_integer_ratio", "from_number", "fromhex", "hex", NULL };
    static const char *const of_views[] = { "isdisjoint", "mapping", NULL };
    static const char *const of_iterators[] = { "close", "gi_running", "gi_suspended", "gi_yieldfrom", "send", "throw", NULL };
    static const char *const of_joiners[] = { "sep", "used", NULL };
    static const char *const of_cyclers[] = { "items", "pos", NULL };
    static const char *const of_cycler[] = { "current", "next", "reset", NULL };
    static const char *const of_dict[] = { "clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values", NULL };
    static const struct {
        const char *name; /* of a callable */
        const char *const *attributes;
    } callables[] = { { "a joiner", of_joiners }, { "a cycler", of_cyclers }, { "cycler", of_cycler }, { "dict", of_dict } };
    switch (v->kind) {
    case TPL_DICT:
        return of_dicts;
    case TPL_STR:
        return v->str->markup ? of_markup : NULL;
    case TPL_INT:
    case TPL_BOOL:
        return of_integers;
    case TPL_FLOAT:
        return of_floats;
    case TPL_VIEW:
        return of_views;
    case TPL_ITERATOR:
        return of_iterators;
    case TPL_CALLABLE:
        for (size_t i = 0; i < FND_COUNT(callables); i++) {
            if (strcmp(v->callable->name, callables[i].name) == 0) return callables[i].attributes;
        }
        return NULL;
    default:
        return NULL;
    }
}

static fnd_status check_lacking(tpl_run *r, const tpl_value *v, const tpl_str *name) {
    const char *const *names = lacking(v);
    const char *found = names ? names[index_of(names, name)] : NULL;
    return found ? fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "'%s' of %s is not supported", found, fnd_tpl_kind_name(v)) : FND_OK;
}

/* What Python's getattr() finds: methods and the like. */
static fnd_status python_attribute(tpl_run *r, const tpl_value *v, tpl_str name, tpl_value *out, bool *found) {
    *found = changes_object(v, &name);
    if (*found) return fnd_tpl_undefined(r, out, "%.*s() changes %s, which templates may not do", (int)name.bytes, name.data, fnd_tpl_kind_name(v));
    FND_TRY(own_attribute(r, v, name, out, found));
    if (*found) return FND_OK;
    tpl_function *function = fnd_tpl_find_method(v, name.data, name.bytes);
    *found = function != NULL;
    return function ? fnd_tpl_new_callable(r, "method", function, v, out) : check_lacking(r, v, &name);
}

/* x.name: an attribute, else the item of that name. */
fnd_status fnd_tpl_get_attribute(tpl_run *r, const tpl_value *v, tpl_str name, tpl_value *out) {
    bool found;
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, v);
    FND_TRY(python_attribute(r, v, name, out, &found));
    if (found) return FND_OK;
    if (v->kind == TPL_DICT) {
        const tpl_value *there = fnd_tpl_dict_find(v->dict, name.data, name.bytes);
        FND_TRY(fnd_tpl_step(r, v->dict->count / 16));
        if (there) {
            *out = *there;
            return FND_OK;
        }
    }
    return no_such_part(r, v, name, out);
}

/* Python's index: negative ones count from the end. False: out of range. */
static bool place(int64_t index, size_t count, size_t *out) {
    if (index < 0) index += (int64_t)count;
    if (index < 0 || (uint64_t)index >= count) return false;
    *out = (size_t)index;
    return true;
}

static fnd_status item_at(tpl_run *r, const tpl_value *v, int64_t index, tpl_value *out) {
    size_t count, i;
    if (v->kind != TPL_STR && v->kind != TPL_LIST && v->kind != TPL_TUPLE && v->kind != TPL_RANGE) return fnd_tpl_undefined(r, out, "item %lld of %s is undefined", (long long)index, fnd_tpl_kind_name(v));
    FND_TRY(fnd_tpl_length(r, v, &count));
    if (!place(index, count, &i)) return fnd_tpl_undefined(r, out, "item %lld of %s of %zu is undefined", (long long)index, fnd_tpl_kind_name(v), count);
    if (v->kind == TPL_STR) return fnd_tpl_new_str(r, fnd_tpl_char_at(*v->str, fnd_tpl_offset(*v->str, i)), out);
    *out = v->list->items[i];
    return FND_OK;
}

fnd_status fnd_tpl_get_item(tpl_run *r, const tpl_value *v, const tpl_value *key, tpl_value *out) {
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, v);
    if (v->kind == TPL_DICT && fnd_tpl_is_hashable(key)) {
        tpl_value *there;
        FND_TRY(fnd_tpl_dict_get(r, v->dict, key, &there));
        if (there) {
            *out = *there;
            return FND_OK;
        }
    } else if (key->kind == TPL_INT || key->kind == TPL_BOOL) {
        return item_at(r, v, fnd_tpl_as_integer(key), out);
    }
    if (key->kind != TPL_STR) return fnd_tpl_undefined(r, out, "an item of %s, named by %s, is undefined", fnd_tpl_kind_name(v), fnd_tpl_kind_name(key));
    bool found;
    FND_TRY(python_attribute(r, v, *key->str, out, &found));
    return found ? FND_OK : no_such_part(r, v, *key->str, out);
}

/* A path, in filters: 'a.b.0'. Numbers are indices. */
fnd_status fnd_tpl_get_path(tpl_run *r, const tpl_value *item, const tpl_value *path, tpl_value *out) {
    *out = *item;
    if (path->kind == TPL_NONE) return FND_OK;
    tpl_value whole = *item, key;
    if (path->kind != TPL_STR) return fnd_tpl_get_item(r, &whole, path, out);
    for (tpl_str rest = *path->str;;) {
        const char *dot = memchr(rest.data, '.', rest.bytes);
        tpl_str name = fnd_tpl_slice_str(rest, 0, dot ? (size_t)(dot - rest.data) : rest.bytes);
        int64_t index = 0;
        bool number = name.bytes > 0 && name.bytes < 19;
        for (size_t i = 0; number && i < name.bytes; i++) {
            number = name.data[i] >= '0' && name.data[i] <= '9';
            index = index * 10 + (name.data[i] - '0');
        }
        whole = *out;
        FND_TRY(fnd_tpl_step(r, 1));
        key = fnd_tpl_int(index);
        if (!number) FND_TRY(fnd_tpl_new_str(r, name, &key));
        FND_TRY(fnd_tpl_get_item(r, &whole, &key, out));
        if (!dot) return FND_OK;
        rest = fnd_tpl_slice_str(rest, name.bytes + 1, rest.bytes - name.bytes - 1);
    }
}

/* ---- slices ---- */

int64_t fnd_tpl_clamp(int64_t at, int64_t count, int64_t step) {
    if (at < 0) at = at < -count ? -1 : at + count;
    if (at < 0) return step < 0 ? -1 : 0;
    return at >= count ? step < 0 ? count - 1 : count : at;
}

static fnd_status slice_part(tpl_run *r, const tpl_value *v, int64_t missing, int64_t *out) {
    *out = missing;
    if (v->kind == TPL_NONE) return FND_OK;
    if (v->kind != TPL_INT && v->kind != TPL_BOOL) return fnd_tpl_fail(r, FND_ERR_TYPE, "a slice needs integers, not %s", fnd_tpl_kind_name(v));
    *out = fnd_tpl_as_integer(v);
    return FND_OK;
}

static fnd_status slice_string(tpl_run *r, tpl_str s, size_t count, int64_t start, int64_t step, tpl_value *out) {
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_step(r, s.bytes / 64));
    if (step == 1) {
        size_t from = fnd_tpl_offset(s, (size_t)start);
        tpl_str rest = fnd_tpl_slice_str(s, from, s.bytes - from);
        return fnd_tpl_new_str(r, fnd_tpl_slice_str(rest, 0, fnd_tpl_offset(rest, count)), out);
    }
    tpl_list all;
    FND_TRY(characters(r, s, &all));
    for (size_t i = 0; i < count; i++) fnd_tpl_add_str(r, &text, *all.items[start + (int64_t)i * step].str);
    return fnd_tpl_built(r, &text, s.markup, out);
}

static fnd_status slice_range(tpl_run *r, const tpl_range *range, int64_t start, int64_t stop, int64_t step, tpl_value *out) {
    int64_t pace, first, end;
    if (__builtin_mul_overflow(range->step, step, &pace) || __builtin_mul_overflow(range->step, start, &first) || __builtin_mul_overflow(range->step, stop, &end)) return fnd_tpl_too_large(r);
    return fnd_tpl_new_range(r, range->start + first, range->start + end, pace, out);
}

fnd_status fnd_tpl_slice(tpl_run *r, const tpl_value *v, const tpl_value *start_value, const tpl_value *stop_value, const tpl_value *step_value, tpl_value *out) {
    int64_t start, stop, step;
    size_t length;
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, v);
    if (v->kind != TPL_STR && v->kind != TPL_LIST && v->kind != TPL_TUPLE && v->kind != TPL_RANGE) return fnd_tpl_fail(r, FND_ERR_TYPE, "%s cannot be sliced", fnd_tpl_kind_name(v));
    FND_TRY(slice_part(r, step_value, 1, &step));
    if (step == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the step of a slice is zero");
    FND_TRY(fnd_tpl_length(r, v, &length));
    int64_t count = (int64_t)length;
    FND_TRY(slice_part(r, start_value, step < 0 ? INT64_MAX : 0, &start));
    FND_TRY(slice_part(r, stop_value, step < 0 ? INT64_MIN : INT64_MAX, &stop));
    start = fnd_tpl_clamp(start, count, step);
    stop = fnd_tpl_clamp(stop, count, step);
    if (v->kind == TPL_RANGE) return slice_range(r, (const tpl_range *)v->list, start, stop, step, out);
    uint64_t distance = step > 0 ? stop > start ? (uint64_t)(stop - start) : 0 : start > stop ? (uint64_t)(start - stop)
                                                                                              : 0;
    uint64_t pace = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    size_t taken = distance ? (size_t)((distance - 1) / pace + 1) : 0;
    FND_TRY(fnd_tpl_step(r, taken / 4));
    if (v->kind == TPL_STR) return slice_string(r, *v->str, taken, start, step, out);
    FND_TRY(fnd_tpl_new_list(r, taken, v->kind, out));
    for (size_t i = 0; i < taken; i++) out->list->items[i] = v->list->items[start + (int64_t)i * step];
    return FND_OK;
}
