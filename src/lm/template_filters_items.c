/* template_filters_items.c - filters of any value and of sequences: default, first, join, map, select ... */
#include "base/base.h"
#include "lm/template.h"

/* ---- any value ---- */

static TPL_FUNCTION(filter_default) {
    static const char *const names[] = { "default_value", "boolean", NULL };
    tpl_value a[2] = { { 0 }, fnd_tpl_bool(false) };
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str(""), &a[0]));
    FND_TRY(fnd_tpl_bind(r, "the filter \"default\"", args, names, 0, a));
    bool missing = self->kind == TPL_UNDEFINED || (fnd_tpl_truth(&a[1]) && !fnd_tpl_truth(self));
    *out = missing ? a[0] : *self;
    return FND_OK;
}

static TPL_FUNCTION(filter_length) {
    size_t length = 0;
    FND_TRY(fnd_tpl_no_args(r, "the filter \"length\"", args));
    FND_TRY(fnd_tpl_length(r, self, &length));
    *out = fnd_tpl_int((int64_t)length);
    return FND_OK;
}

/* An attribute as Python's getattr() finds it: no items of dicts. */
static TPL_FUNCTION(filter_attr) {
    static const char *const names[] = { "name", NULL };
    tpl_value name, empty;
    FND_TRY(fnd_tpl_bind(r, "the filter \"attr\"", args, names, 1, &name));
    FND_TRY(fnd_tpl_need_str(r, "the filter \"attr\"", &name));
    if (self->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, self);
    FND_TRY(fnd_tpl_new_dict(r, 0, &empty));
    return fnd_tpl_get_attribute(r, self->kind == TPL_DICT && !fnd_tpl_find_method(self, name.str->data, name.str->bytes) ? &empty : self, *name.str, out);
}

static TPL_FUNCTION(filter_first) {
    bool found;
    FND_TRY(fnd_tpl_no_args(r, "the filter \"first\"", args));
    FND_TRY(fnd_tpl_next(r, self, out, &found));
    return found ? FND_OK : fnd_tpl_undefined(r, out, "the first item of an empty sequence is undefined");
}

static TPL_FUNCTION(filter_last) {
    tpl_list items;
    FND_TRY(fnd_tpl_no_args(r, "the filter \"last\"", args));
    if (self->kind == TPL_ITERATOR) return fnd_tpl_fail(r, FND_ERR_TYPE, "an iterator cannot be gone through backwards; the filter \"list\" makes a list of it");
    FND_TRY(fnd_tpl_items(r, self, &items));
    if (items.count == 0) return fnd_tpl_undefined(r, out, "the last item of an empty sequence is undefined");
    *out = items.items[items.count - 1];
    return FND_OK;
}

static TPL_FUNCTION(filter_list) {
    tpl_list items;
    FND_TRY(fnd_tpl_no_args(r, "the filter \"list\"", args));
    FND_TRY(fnd_tpl_items(r, self, &items));
    return fnd_tpl_copy_list(r, items.items, items.count, TPL_LIST, out);
}

static TPL_FUNCTION(filter_reverse) {
    tpl_list items;
    tpl_value minus = fnd_tpl_int(-1), none = fnd_tpl_none();
    FND_TRY(fnd_tpl_no_args(r, "the filter \"reverse\"", args));
    if (self->kind == TPL_STR) return fnd_tpl_slice(r, self, &none, &none, &minus, out);
    FND_TRY(fnd_tpl_items(r, self, &items));
    FND_TRY(fnd_tpl_step(r, items.count));
    bool reversible = self->kind != TPL_ITERATOR;
    tpl_list *to;
    if (reversible) {
        FND_TRY(fnd_tpl_new_iterator(r, items.count, out));
        to = &out->iterator->list;
    } else {
        FND_TRY(fnd_tpl_new_list(r, items.count, TPL_LIST, out));
        to = out->list;
    }
    to->count = items.count;
    for (size_t i = 0; i < items.count; i++) to->items[i] = items.items[items.count - 1 - i];
    return FND_OK;
}

static TPL_FUNCTION(filter_items) {
    tpl_value view;
    FND_TRY(fnd_tpl_no_args(r, "the filter \"items\"", args));
    if (self->kind == TPL_DICT) FND_TRY(fnd_tpl_dict_view(r, self->dict, TPL_ITEMS, &view));
    FND_TRY(fnd_tpl_new_iterator(r, 0, out));
    if (self->kind == TPL_DICT) out->iterator->list = *view.list;
    if (self->kind == TPL_DICT || self->kind == TPL_UNDEFINED) return FND_OK;
    fnd_error *err = r->err, failure = { 0 };
    r->err = &failure;
    fnd_status status = fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"items\" needs a dict, not %s", fnd_tpl_kind_name(self));
    r->err = err;
    return status == FND_OK ? FND_OK : fnd_tpl_set_failure(r, out->iterator, &failure);
}

static TPL_FUNCTION(filter_join) {
    static const char *const names[] = { "d", "attribute", NULL };
    tpl_value a[2] = { { 0 }, fnd_tpl_none() }, part, separator;
    tpl_list items;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str(""), &a[0]));
    FND_TRY(fnd_tpl_bind(r, "the filter \"join\"", args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    FND_TRY(fnd_tpl_to_str(r, &a[0], &separator));
    for (size_t i = 0; i < items.count; i++) {
        FND_TRY(fnd_tpl_get_path(r, &items.items[i], &a[1], &part));
        if (i) fnd_tpl_add_str(r, &text, *separator.str);
        FND_TRY(fnd_tpl_add_value(r, &text, &part));
    }
    return fnd_tpl_built(r, &text, false, out);
}

/* ---- iterators: map, select and others ---- */

/* Makes what an iterator gives, from the items of `self`; adds to out->list. */
typedef fnd_status tpl_maker(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out);

static bool is_limit(fnd_status status) { return status == FND_ERR_LIMIT || status == FND_ERR_MEMORY; }

/* Python's generators do their work when they are asked. Here it is done at once, and a failure is kept
 * until its turn comes (but limits hold at once). */
static fnd_status make_iterator(tpl_run *r, const tpl_value *self, const tpl_args *args, size_t extra, tpl_maker *make, tpl_value *out) {
    tpl_list items;
    fnd_error *err = r->err, failure = { 0 };
    const struct tpl_node *at = r->at;
    unsigned depth = r->depth;
    r->err = &failure;
    fnd_status status = fnd_tpl_items(r, self, &items);
    tpl_value it = { 0 };
    fnd_status made = fnd_tpl_new_iterator(r, items.count + extra, &it);
    if (made == FND_OK && status == FND_OK) status = make(r, &items, args, &it.iterator->list);
    r->err = err;
    r->depth = depth;
    if (made != FND_OK || is_limit(status)) {
        if (err) *err = failure;
        return made != FND_OK ? made : status;
    }
    r->at = at;
    *out = it;
    return status == FND_OK ? FND_OK : fnd_tpl_set_failure(r, it.iterator, &failure);
}

static tpl_args skip_args(const tpl_args *args, size_t n) {
    return (tpl_args){ .items = args->count > n ? args->items + n : NULL, .count = args->count > n ? args->count - n : 0, .names = args->names, .named = args->named, .named_count = args->named_count };
}

/* select(test, arguments...) and selectattr(attribute, test, arguments...); without a test: truth. */
static fnd_status choose(tpl_run *r, const tpl_list *items, const tpl_args *args, bool by_attribute, bool wanted, tpl_list *out) {
    size_t first = by_attribute ? 1 : 0;
    if (args->count < first) return fnd_tpl_fail(r, FND_ERR_FORMAT, "this filter needs the name of an attribute");
    const tpl_value *test = args->count > first ? &args->items[first] : NULL;
    if (test) FND_TRY(fnd_tpl_need_str(r, "the name of a test", test));
    tpl_args rest = skip_args(args, first + 1);
    for (size_t i = 0; i < items->count; i++) {
        tpl_value part, path = by_attribute ? args->items[0] : fnd_tpl_none();
        FND_TRY(fnd_tpl_get_path(r, &items->items[i], &path, &part));
        FND_TRY(fnd_tpl_step(r, 1));
        bool holds = fnd_tpl_truth(&part);
        if (test) FND_TRY(fnd_tpl_test(r, test->str->data, test->str->bytes, &part, &rest, &holds));
        if (holds == wanted) out->items[out->count++] = items->items[i];
    }
    return FND_OK;
}
static fnd_status make_select(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out) { return choose(r, items, args, false, true, out); }
static fnd_status make_reject(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out) { return choose(r, items, args, false, false, out); }
static fnd_status make_selectattr(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out) { return choose(r, items, args, true, true, out); }
static fnd_status make_rejectattr(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out) { return choose(r, items, args, true, false, out); }

/* map(attribute=path, default=value) */
static fnd_status map_attribute(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out) {
    static const char *const names[] = { "attribute", "default", NULL };
    tpl_value a[2] = { fnd_tpl_none(), fnd_tpl_none() };
    FND_TRY(fnd_tpl_bind(r, "the filter \"map\"", args, names, 1, a));
    for (size_t i = 0; i < items->count; i++) {
        tpl_value *to = &out->items[i];
        FND_TRY(fnd_tpl_get_path(r, &items->items[i], &a[0], to));
        if (to->kind == TPL_UNDEFINED && a[1].kind != TPL_NONE) *to = a[1];
        out->count++;
    }
    return FND_OK;
}

/* map(filter, arguments...) */
static fnd_status make_map(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out) {
    if (args->count == 0) return map_attribute(r, items, args, out);
    tpl_args rest = skip_args(args, 1);
    FND_TRY(fnd_tpl_need_str(r, "the filter \"map\"", &args->items[0]));
    for (size_t i = 0; i < items->count; i++) {
        FND_TRY(fnd_tpl_filter(r, args->items[0].str->data, args->items[0].str->bytes, &items->items[i], &rest, &out->items[i]));
        out->count++;
    }
    return FND_OK;
}

/* These go through nothing that is false: not through none, say, which is no failure then. */
static fnd_status over_truth(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_maker *make, tpl_value *out) {
    if (!fnd_tpl_truth(self)) return fnd_tpl_new_iterator(r, 0, out);
    return make_iterator(r, self, args, 0, make, out);
}
static TPL_FUNCTION(filter_select) { return over_truth(r, self, args, make_select, out); }
static TPL_FUNCTION(filter_reject) { return over_truth(r, self, args, make_reject, out); }
static TPL_FUNCTION(filter_selectattr) { return over_truth(r, self, args, make_selectattr, out); }
static TPL_FUNCTION(filter_rejectattr) { return over_truth(r, self, args, make_rejectattr, out); }
static TPL_FUNCTION(filter_map) { return over_truth(r, self, args, make_map, out); }

/* ---- rows and columns ---- */

static fnd_status take_part(tpl_run *r, const tpl_list *items, size_t start, size_t count, size_t filled, const tpl_value *fill, tpl_list *out) {
    tpl_value part;
    FND_TRY(fnd_tpl_step(r, 1 + filled / 4));
    FND_TRY(fnd_tpl_new_list(r, filled, TPL_LIST, &part));
    for (size_t i = 0; i < filled; i++) part.list->items[i] = i < count ? items->items[start + i] : *fill;
    out->items[out->count++] = part;
    return FND_OK;
}

static fnd_status size_arguments(tpl_run *r, const char *what, const tpl_args *args, const char *name, int64_t *size, tpl_value *fill) {
    const char *const names[] = { name, "fill_with", NULL };
    tpl_value a[2] = { { 0 }, fnd_tpl_none() };
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, a));
    *fill = a[1];
    return fnd_tpl_need_int(r, what, &a[0], size);
}

/* Rows of `linecount`; the last may be filled. */
static fnd_status make_batch(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out) {
    int64_t size;
    tpl_value fill;
    FND_TRY(size_arguments(r, "the filter \"batch\"", args, "linecount", &size, &fill));
    if (size > TPL_OUTPUT_LIMIT) size = TPL_OUTPUT_LIMIT;
    if (size < 0) size = INT64_MAX; /* never reached, nothing to fill */
    if (size == 0 && items->count) {
        FND_TRY(take_part(r, items, 0, 0, 0, &fill, out));
        return take_part(r, items, 0, items->count, items->count, &fill, out);
    }
    for (size_t at = 0; at < items->count;) {
        size_t n = items->count - at;
        bool whole = n >= (size_t)size;
        if (whole) n = (size_t)size;
        FND_TRY(take_part(r, items, at, n, fill.kind != TPL_NONE && !whole && size < INT64_MAX ? (size_t)size : n, &fill, out));
        at += n;
    }
    return FND_OK;
}

/* `slices` columns, the first of them longer by one where it does not come out even. */
static fnd_status make_slice(tpl_run *r, const tpl_list *items, const tpl_args *args, tpl_list *out) {
    int64_t slices;
    tpl_value fill;
    FND_TRY(size_arguments(r, "the filter \"slice\"", args, "slices", &slices, &fill));
    if (slices == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "division by zero");
    if (slices < 0) return FND_OK;
    if (slices > TPL_RANGE_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "%lld slices are more than the %d allowed", (long long)slices, TPL_RANGE_LIMIT);
    size_t each = items->count / (size_t)slices, extra = items->count % (size_t)slices, at = 0;
    tpl_value *room = fnd_arena_alloc(r->arena, (size_t)slices, sizeof *room);
    if (!room) return fnd_tpl_no_memory(r);
    out->items = room;
    for (size_t i = 0; i < (size_t)slices; i++) {
        size_t n = each + (i < extra);
        FND_TRY(take_part(r, items, at, n, n + (fill.kind != TPL_NONE && i >= extra), &fill, out));
        at += n;
    }
    return FND_OK;
}

static TPL_FUNCTION(filter_batch) { return make_iterator(r, self, args, 2, make_batch, out); }
static TPL_FUNCTION(filter_slice) { return make_iterator(r, self, args, 0, make_slice, out); }

/* ---- what changes from one time to the next ---- */

static TPL_FUNCTION(filter_random) {
    (void)self, (void)args, (void)out;
    return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the filter \"random\" is not supported: a prompt is the same each time");
}

tpl_function *fnd_tpl_find_items_filter(const char *name, size_t bytes) {
    static const tpl_named filters[] = {
        { "attr", filter_attr },
        { "batch", filter_batch },
        { "count", filter_length },
        { "d", filter_default },
        { "default", filter_default },
        { "first", filter_first },
        { "items", filter_items },
        { "join", filter_join },
        { "last", filter_last },
        { "length", filter_length },
        { "list", filter_list },
        { "map", filter_map },
        { "random", filter_random },
        { "reject", filter_reject },
        { "rejectattr", filter_rejectattr },
        { "reverse", filter_reverse },
        { "select", filter_select },
        { "selectattr", filter_selectattr },
        { "slice", filter_slice },
    };
    return fnd_tpl_find_named(filters, FND_COUNT(filters), name, bytes);
}
