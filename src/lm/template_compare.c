/* template_compare.c - truth, equality, order, "in": as Python has them. */
#include "base/base.h"
#include "lm/template.h"

bool fnd_tpl_truth(const tpl_value *v) {
    switch (v->kind) {
    case TPL_UNDEFINED:
    case TPL_NONE:
        return false;
    case TPL_BOOL:
        return v->flag;
    case TPL_INT:
        return v->integer != 0;
    case TPL_FLOAT:
        return v->number != 0;
    case TPL_STR:
        return v->str->bytes != 0;
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_RANGE:
    case TPL_VIEW:
        return v->list->count != 0;
    case TPL_DICT:
        return v->dict->count != 0;
    default:
        return true;
    }
}

bool fnd_tpl_is_number(const tpl_value *v) { return v->kind == TPL_BOOL || v->kind == TPL_INT || v->kind == TPL_FLOAT; }
int64_t fnd_tpl_as_integer(const tpl_value *v) { return v->kind == TPL_BOOL ? v->flag : v->integer; }
double fnd_tpl_as_double(const tpl_value *v) { return v->kind == TPL_FLOAT ? v->number : (double)fnd_tpl_as_integer(v); }

static int compare_strs(const tpl_str *a, const tpl_str *b) {
    int order = memcmp(a->data, b->data, fnd_min_size(a->bytes, b->bytes)); /* order of UTF-8 = order of characters */
    return order ? order < 0 ? -1 : 1 : a->bytes < b->bytes ? -1
                                                            : a->bytes > b->bytes;
}

static int compare_numbers(const tpl_value *a, const tpl_value *b) {
    if (a->kind == TPL_FLOAT || b->kind == TPL_FLOAT) {
        double x = fnd_tpl_as_double(a), y = fnd_tpl_as_double(b);
        return x < y ? -1 : x > y;
    }
    int64_t i = fnd_tpl_as_integer(a), k = fnd_tpl_as_integer(b);
    return i < k ? -1 : i > k;
}

static fnd_status lists_equal(tpl_run *r, const tpl_list *a, const tpl_list *b, bool *out) {
    *out = a->count == b->count;
    for (size_t i = 0; *out && i < a->count; i++) FND_TRY(fnd_tpl_equal(r, &a->items[i], &b->items[i], out));
    return FND_OK;
}

/* Views of keys and items are sets, views of values are equal to themselves only. */
static fnd_status views_equal(tpl_run *r, const tpl_value *a, const tpl_value *b, bool *out) {
    *out = a->list == b->list;
    if (*out || a->list->form == TPL_VALUES || b->list->form == TPL_VALUES || a->list->count != b->list->count) return FND_OK;
    *out = true;
    for (size_t i = 0; *out && i < a->list->count; i++) FND_TRY(fnd_tpl_contains(r, b, &a->list->items[i], out));
    return FND_OK;
}

static fnd_status dicts_equal(tpl_run *r, const tpl_dict *a, const tpl_dict *b, bool *out) {
    *out = a->count == b->count;
    for (size_t i = 0; *out && i < a->count; i++) {
        tpl_value *there;
        FND_TRY(fnd_tpl_dict_get(r, b, &a->keys[i], &there));
        *out = there != NULL;
        if (there) FND_TRY(fnd_tpl_equal(r, &a->values[i], there, out));
    }
    return FND_OK;
}

static fnd_status same_kind_equal(tpl_run *r, const tpl_value *a, const tpl_value *b, bool *out) {
    switch (a->kind) {
    case TPL_UNDEFINED:
    case TPL_NONE:
        *out = true;
        return FND_OK;
    case TPL_STR:
        *out = a->str->bytes == b->str->bytes && memcmp(a->str->data, b->str->data, a->str->bytes) == 0;
        return fnd_tpl_step(r, a->str->bytes == b->str->bytes ? a->str->bytes / 64 : 0);
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_RANGE:
        return lists_equal(r, a->list, b->list, out);
    case TPL_VIEW:
        return views_equal(r, a, b, out);
    case TPL_DICT:
        return dicts_equal(r, a->dict, b->dict, out);
    case TPL_CALLABLE: /* a method is made anew each time it is read */
        *out = a->callable == b->callable || (a->callable->function && a->callable->function == b->callable->function && a->callable->self.kind == b->callable->self.kind && a->callable->self.dict == b->callable->self.dict);
        return FND_OK;
    default:
        *out = a->dict == b->dict; /* the same object */
        return FND_OK;
    }
}

fnd_status fnd_tpl_equal(tpl_run *r, const tpl_value *a, const tpl_value *b, bool *out) {
    *out = false;
    if (fnd_tpl_is_number(a) && fnd_tpl_is_number(b)) {
        *out = compare_numbers(a, b) == 0 && !(a->kind == TPL_FLOAT && a->number != a->number) && !(b->kind == TPL_FLOAT && b->number != b->number);
        return FND_OK;
    }
    if (a->kind != b->kind) return FND_OK;
    FND_TRY(fnd_tpl_deeper(r));
    fnd_status status = same_kind_equal(r, a, b, out);
    r->depth--;
    return status;
}

static fnd_status order_lists(tpl_run *r, const tpl_list *a, const tpl_list *b, int *out) {
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        bool equal;
        FND_TRY(fnd_tpl_equal(r, &a->items[i], &b->items[i], &equal));
        if (!equal) return fnd_tpl_order(r, &a->items[i], &b->items[i], out);
    }
    *out = a->count < b->count ? -1 : a->count > b->count;
    return FND_OK;
}

fnd_status fnd_tpl_order(tpl_run *r, const tpl_value *a, const tpl_value *b, int *out) {
    if (fnd_tpl_is_number(a) && fnd_tpl_is_number(b)) {
        *out = compare_numbers(a, b);
        return FND_OK;
    }
    if (a->kind == TPL_STR && b->kind == TPL_STR) {
        *out = compare_strs(a->str, b->str);
        return fnd_tpl_step(r, 1 + fnd_min_size(a->str->bytes, b->str->bytes) / 64);
    }
    if (a->kind == b->kind && (a->kind == TPL_LIST || a->kind == TPL_TUPLE)) {
        FND_TRY(fnd_tpl_deeper(r));
        fnd_status status = order_lists(r, a->list, b->list, out);
        r->depth--;
        return status;
    }
    if (a->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, a);
    if (b->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, b);
    return fnd_tpl_fail(r, FND_ERR_TYPE, "%s and %s have no order", fnd_tpl_kind_name(a), fnd_tpl_kind_name(b));
}

fnd_status fnd_tpl_contains(tpl_run *r, const tpl_value *in, const tpl_value *what, bool *out) {
    *out = false;
    if (in->kind == TPL_STR) {
        if (what->kind != TPL_STR) return fnd_tpl_fail(r, FND_ERR_TYPE, "\"in\" of a string needs a string on its left, not %s", fnd_tpl_kind_name(what));
        FND_TRY(fnd_tpl_step(r, in->str->bytes / 64));
        *out = fnd_tpl_find_first(*in->str, *what->str) != NULL;
        return FND_OK;
    }
    if (in->kind == TPL_DICT) {
        tpl_value *there;
        FND_TRY(fnd_tpl_dict_get(r, in->dict, what, &there));
        *out = there != NULL;
        return FND_OK;
    }
    if (in->kind == TPL_VIEW && in->list->form == TPL_KEYS) FND_TRY(fnd_tpl_hashable(r, what));
    if (in->kind == TPL_ITERATOR) { /* only what was looked at is gone */
        for (bool found = true; found && !*out;) {
            tpl_value item;
            FND_TRY(fnd_tpl_next(r, in, &item, &found));
            if (found) FND_TRY(fnd_tpl_equal(r, &item, what, out));
        }
        return FND_OK;
    }
    tpl_list items;
    FND_TRY(fnd_tpl_items(r, in, &items));
    FND_TRY(fnd_tpl_step(r, items.count / 16));
    for (size_t i = 0; i < items.count && !*out; i++) FND_TRY(fnd_tpl_equal(r, &items.items[i], what, out));
    return FND_OK;
}

static fnd_status ordered(tpl_run *r, tpl_op op, const tpl_value *a, const tpl_value *b, bool *out) {
    int order = 0;
    FND_TRY(fnd_tpl_order(r, a, b, &order));
    bool no_number = (a->kind == TPL_FLOAT && a->number != a->number) || (b->kind == TPL_FLOAT && b->number != b->number);
    *out = !no_number && (op == OP_LT ? order < 0 : op == OP_LE ? order <= 0
                                                : op == OP_GT   ? order > 0
                                                                : order >= 0);
    return FND_OK;
}

fnd_status fnd_tpl_compare(tpl_run *r, tpl_op op, const tpl_value *a, const tpl_value *b, bool *out) {
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
        return ordered(r, op, a, b, out);
    }
    *out = !*out;
    return FND_OK;
}

/* A tuple is if its items are; nested deeper than anything runs, it is not. */
static bool hashable(const tpl_value *v, unsigned depth) {
    bool set = v->kind == TPL_VIEW && v->list->form != TPL_VALUES;
    if (v->kind == TPL_LIST || v->kind == TPL_DICT || set || depth > TPL_RUN_DEPTH) return false;
    for (size_t i = 0; v->kind == TPL_TUPLE && i < v->list->count; i++) {
        if (!hashable(&v->list->items[i], depth + 1)) return false;
    }
    return true;
}

bool fnd_tpl_is_hashable(const tpl_value *v) { return hashable(v, 0); }

fnd_status fnd_tpl_hashable(tpl_run *r, const tpl_value *v) {
    if (v->kind == TPL_TUPLE) FND_TRY(fnd_tpl_step(r, v->list->count / 4));
    return hashable(v, 0) ? FND_OK : fnd_tpl_fail(r, FND_ERR_TYPE, "%s cannot be a key of a dict", fnd_tpl_kind_name(v));
}
