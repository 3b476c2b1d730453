/* template_filters.c - what may stand behind a bar: {{ x | filter }}. */
#define _GNU_SOURCE /* memmem */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define FILTER(id)         static fnd_status id(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out)
#define NO_ARGUMENTS(what) FND_TRY(fnd_tpl_bind(r, what, args, (const char *const[]){ NULL }, 0, NULL))

/* Filters of text take any value, by its printed form. */
static fnd_status as_text(tpl_run *r, const tpl_value *v, tpl_value *out) {
    tpl_builder text = { 0 };
    if (v->kind == TPL_STR) {
        *out = *v;
        return fnd_tpl_step(r, v->str->bytes / 16);
    }
    FND_TRY(fnd_tpl_add_value(r, &text, v));
    return fnd_tpl_built(r, &text, out);
}

/* ---- text ---- */

enum { UPPER,
       LOWER,
       CAPITALIZE,
       TITLE };

/* TITLE: words begin behind white space and -({[<, as Jinja's filter (not Python's method) has it. */
static fnd_status change_case(tpl_run *r, const tpl_value *self, int how, tpl_value *out) {
    tpl_value v;
    tpl_builder text = { 0 };
    bool first = true;
    FND_TRY(as_text(r, self, &v));
    for (size_t i = 0; i < v.str->bytes;) {
        size_t n = fnd_utf8_char(v.str->data + i, v.str->bytes - i);
        tpl_str original = fnd_tpl_slice_str(*v.str, i, n ? n : 1);
        if (n) {
            char letter[4] = { 'S', how == UPPER ? 'S' : 's' };
            uint32_t c = fnd_utf8_code(original.data);
            bool up = how == UPPER || (how != LOWER && first), sharp_s = up && c == 0xDF;
            size_t length = sharp_s ? 2 : fnd_utf8_put(up ? fnd_unicode_upper(c) : fnd_unicode_lower(c), letter);
            fnd_tpl_add(r, &text, letter, length, NULL, original.marks ? original.marks[0] : original.mark);
            first = how == TITLE && (fnd_tpl_is_space(c) || (c < 128 && c && strchr("-({[<", (int)c)));
        } else {
            fnd_tpl_add_str(r, &text, original);
            first = false;
        }
        i += original.bytes;
    }
    return fnd_tpl_built(r, &text, out);
}

FILTER(filter_upper) {
    NO_ARGUMENTS("the filter \"upper\"");
    return change_case(r, self, UPPER, out);
}
FILTER(filter_lower) {
    NO_ARGUMENTS("the filter \"lower\"");
    return change_case(r, self, LOWER, out);
}
FILTER(filter_capitalize) {
    NO_ARGUMENTS("the filter \"capitalize\"");
    return change_case(r, self, CAPITALIZE, out);
}
FILTER(filter_title) {
    NO_ARGUMENTS("the filter \"title\"");
    return change_case(r, self, TITLE, out);
}

FILTER(filter_string) {
    NO_ARGUMENTS("the filter \"string\"");
    return as_text(r, self, out);
}

FILTER(filter_trim) {
    static const char *const names[] = { "chars", NULL };
    tpl_value v, chars = { .kind = TPL_NONE };
    FND_TRY(fnd_tpl_bind(r, "the filter \"trim\"", args, names, 0, &chars));
    FND_TRY(as_text(r, self, &v));
    if (chars.kind != TPL_NONE) FND_TRY(fnd_tpl_need_str(r, "the filter \"trim\"", &chars));
    const tpl_str *set = chars.kind == TPL_STR ? chars.str : NULL;
    FND_TRY(fnd_tpl_step(r, set ? v.str->bytes / 16 * (set->bytes + 1) : 1));
    return fnd_tpl_new_str(r, fnd_tpl_strip(*v.str, set, true, true), out);
}

/* With an empty `old`, `new` goes before every character and at the end. */
static void replace_empty(tpl_run *r, tpl_builder *text, tpl_str s, const tpl_str *by, int64_t count) {
    for (size_t i = 0; i <= s.bytes && !r->failed;) {
        if (count-- != 0) fnd_tpl_add_str(r, text, *by);
        if (i == s.bytes) break;
        size_t n = fnd_utf8_char(s.data + i, s.bytes - i);
        fnd_tpl_add_str(r, text, fnd_tpl_slice_str(s, i, n ? n : 1));
        i += n ? n : 1;
    }
}

FILTER(filter_replace) {
    static const char *const names[] = { "old", "new", "count", NULL };
    tpl_value v, a[3] = { { 0 }, { 0 }, fnd_tpl_int(-1) };
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "replace", args, names, 2, a));
    FND_TRY(as_text(r, self, &v));
    FND_TRY(fnd_tpl_need_str(r, "replace", &a[0]));
    FND_TRY(fnd_tpl_need_str(r, "replace", &a[1]));
    if (a[2].kind == TPL_NONE) a[2] = fnd_tpl_int(-1);
    if (a[2].kind != TPL_INT) return fnd_tpl_fail(r, FND_ERR_TYPE, "replace needs an integer as its count");
    tpl_str s = *v.str;
    int64_t left = a[2].integer;
    if (a[0].str->bytes == 0) {
        FND_TRY(fnd_tpl_step(r, s.bytes));
        replace_empty(r, &text, s, a[1].str, left);
        return fnd_tpl_built(r, &text, out);
    }
    for (const char *at; left != 0 && (at = memmem(s.data, s.bytes, a[0].str->data, a[0].str->bytes)); left--) {
        size_t before = (size_t)(at - s.data), after = before + a[0].str->bytes;
        fnd_tpl_add_str(r, &text, fnd_tpl_slice_str(s, 0, before));
        fnd_tpl_add_str(r, &text, *a[1].str);
        s = fnd_tpl_slice_str(s, after, s.bytes - after);
        FND_TRY(fnd_tpl_step(r, 1));
    }
    fnd_tpl_add_str(r, &text, s);
    return fnd_tpl_built(r, &text, out);
}

FILTER(filter_indent) {
    static const char *const names[] = { "width", "first", "blank", NULL };
    tpl_value a[3] = { fnd_tpl_int(4), fnd_tpl_bool(false), fnd_tpl_bool(false) }, v, lines;
    tpl_builder pad = { 0 }, text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "the filter \"indent\"", args, names, 0, a));
    FND_TRY(as_text(r, self, &v));
    if (a[0].kind != TPL_INT && a[0].kind != TPL_STR) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"indent\" needs a width or a string");
    if (a[0].kind == TPL_STR) fnd_tpl_add_str(r, &pad, *a[0].str);
    if (a[0].kind == TPL_INT && a[0].integer > 1000) return fnd_tpl_fail(r, FND_ERR_LIMIT, "the filter \"indent\" by more than 1000");
    for (int64_t i = 0; a[0].kind == TPL_INT && i < a[0].integer; i++) fnd_tpl_add_text(r, &pad, " ");
    FND_TRY(fnd_tpl_find_method(&v, "splitlines", 10)(r, &v, &(tpl_args){ 0 }, &lines));
    bool ends_in_break = v.str->bytes && (v.str->data[v.str->bytes - 1] == '\n' || v.str->data[v.str->bytes - 1] == '\r');
    size_t count = lines.list->count + (ends_in_break || v.str->bytes == 0);
    for (size_t i = 0; i < count; i++) {
        tpl_str line = i < lines.list->count ? *lines.list->items[i].str : (tpl_str){ .data = "" };
        bool padded = i == 0 ? fnd_tpl_truth(&a[1]) : fnd_tpl_truth(&a[2]) || line.bytes;
        if (i) fnd_tpl_add_text(r, &text, "\n");
        if (padded) fnd_tpl_add(r, &text, pad.data, pad.bytes, pad.marks, 0);
        fnd_tpl_add_str(r, &text, line);
    }
    return fnd_tpl_built(r, &text, out);
}

FILTER(filter_escape) {
    static const char escaped[] = "&<>'\"";
    static const char *const entities[] = { "&amp;", "&lt;", "&gt;", "&#39;", "&#34;" };
    tpl_value v;
    tpl_builder text = { 0 };
    NO_ARGUMENTS("the filter \"escape\"");
    FND_TRY(as_text(r, self, &v));
    for (size_t i = 0; i < v.str->bytes; i++) {
        tpl_str original = fnd_tpl_slice_str(*v.str, i, 1);
        const char *which = memchr(escaped, v.str->data[i], 5);
        if (which) {
            const char *entity = entities[which - escaped];
            fnd_tpl_add(r, &text, entity, strlen(entity), NULL, original.marks ? original.marks[0] : original.mark);
        } else {
            fnd_tpl_add_str(r, &text, original);
        }
    }
    return fnd_tpl_built(r, &text, out);
}

/* ---- numbers ---- */

FILTER(filter_int) {
    static const char *const names[] = { "default", "base", NULL };
    tpl_value a[2] = { fnd_tpl_int(0), fnd_tpl_int(10) };
    FND_TRY(fnd_tpl_bind(r, "the filter \"int\"", args, names, 0, a));
    *out = a[0];
    if (self->kind == TPL_INT || self->kind == TPL_BOOL) *out = fnd_tpl_int(self->kind == TPL_BOOL ? self->flag : self->integer);
    double x = self->kind == TPL_FLOAT ? self->number : NAN;
    if (self->kind == TPL_STR) {
        char digits[64], *end;
        tpl_str s = fnd_tpl_strip(*self->str, NULL, true, true);
        if (s.bytes == 0 || s.bytes >= sizeof digits || a[1].kind != TPL_INT || a[1].integer < 0 || a[1].integer > 36 || a[1].integer == 1) return FND_OK;
        memcpy(digits, s.data, s.bytes);
        digits[s.bytes] = '\0';
        errno = 0;
        long long value = strtoll(digits, &end, (int)a[1].integer);
        if (*end == '\0' && errno == 0) *out = fnd_tpl_int(value);
        if (*end != '\0' && strspn(digits, "+-0123456789.eE") == s.bytes) {
            x = strtod(digits, &end);
            if (*end != '\0') return FND_OK;
        }
    }
    if (fabs(x) < 9e18) *out = fnd_tpl_int((int64_t)x);
    return FND_OK;
}

FILTER(filter_float) {
    static const char *const names[] = { "default", NULL };
    tpl_value fallback = fnd_tpl_float(0);
    FND_TRY(fnd_tpl_bind(r, "the filter \"float\"", args, names, 0, &fallback));
    *out = fallback;
    if (self->kind == TPL_FLOAT) *out = *self;
    if (self->kind == TPL_INT || self->kind == TPL_BOOL) *out = fnd_tpl_float(self->kind == TPL_BOOL ? (double)self->flag : (double)self->integer);
    if (self->kind == TPL_STR) {
        char digits[64], *end;
        tpl_str s = fnd_tpl_strip(*self->str, NULL, true, true);
        if (s.bytes == 0 || s.bytes >= sizeof digits) return FND_OK;
        memcpy(digits, s.data, s.bytes);
        digits[s.bytes] = '\0';
        double x = strtod(digits, &end);
        if (*end == '\0' && !strpbrk(digits, "xXpP(")) *out = fnd_tpl_float(x);
    }
    return FND_OK;
}

FILTER(filter_abs) {
    NO_ARGUMENTS("the filter \"abs\"");
    if (self->kind == TPL_FLOAT) {
        *out = fnd_tpl_float(fabs(self->number));
        return FND_OK;
    }
    tpl_value zero = fnd_tpl_int(0);
    if (self->kind == TPL_INT && self->integer >= 0) {
        *out = *self;
        return FND_OK;
    }
    return fnd_tpl_binary(r, self->kind == TPL_BOOL ? OP_ADD : OP_SUB, &zero, self, out);
}

FILTER(filter_round) {
    static const char *const names[] = { "precision", "method", NULL };
    tpl_value a[2] = { fnd_tpl_int(0), { .kind = TPL_NONE } };
    FND_TRY(fnd_tpl_bind(r, "the filter \"round\"", args, names, 0, a));
    if (self->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, self);
    if ((self->kind != TPL_INT && self->kind != TPL_FLOAT) || a[0].kind != TPL_INT || a[0].integer < -300 || a[0].integer > 300) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"round\" needs a number and a precision");
    if (self->kind == TPL_INT && a[0].integer >= 0 && a[1].kind == TPL_NONE) {
        *out = *self;
        return FND_OK;
    }
    double x = self->kind == TPL_INT ? (double)self->integer : self->number;
    int precision = (int)a[0].integer;
    bool up = a[1].kind == TPL_STR && a[1].str->bytes == 4 && memcmp(a[1].str->data, "ceil", 4) == 0;
    bool down = a[1].kind == TPL_STR && a[1].str->bytes == 5 && memcmp(a[1].str->data, "floor", 5) == 0;
    double unit = pow(10, precision);
    if (up || down) {
        *out = fnd_tpl_float((up ? ceil(x * unit) : floor(x * unit)) / unit);
    } else if (precision >= 0) { /* exact: by the decimal digits, half to even */
        char digits[700];
        snprintf(digits, sizeof digits, "%.*f", precision, x);
        *out = fnd_tpl_float(strtod(digits, NULL));
    } else {
        *out = fnd_tpl_float(nearbyint(x * unit) / unit);
    }
    return FND_OK;
}

/* ---- any value ---- */

FILTER(filter_default) {
    static const char *const names[] = { "default_value", "boolean", NULL };
    tpl_value a[2] = { { 0 }, fnd_tpl_bool(false) };
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str(""), &a[0]));
    FND_TRY(fnd_tpl_bind(r, "the filter \"default\"", args, names, 0, a));
    bool missing = self->kind == TPL_UNDEFINED || (fnd_tpl_truth(&a[1]) && !fnd_tpl_truth(self));
    *out = missing ? a[0] : *self;
    return FND_OK;
}

FILTER(filter_length) {
    size_t length = 0;
    NO_ARGUMENTS("the filter \"length\"");
    FND_TRY(fnd_tpl_length(r, self, &length));
    *out = fnd_tpl_int((int64_t)length);
    return FND_OK;
}

static fnd_status edge(tpl_run *r, const tpl_value *self, bool last, tpl_value *out) {
    tpl_list items;
    FND_TRY(fnd_tpl_items(r, self, &items));
    if (items.count == 0) return fnd_tpl_undefined(r, out, "the %s item of an empty sequence", last ? "last" : "first");
    *out = items.items[last ? items.count - 1 : 0];
    return FND_OK;
}

FILTER(filter_first) {
    NO_ARGUMENTS("the filter \"first\"");
    return edge(r, self, false, out);
}
FILTER(filter_last) {
    NO_ARGUMENTS("the filter \"last\"");
    return edge(r, self, true, out);
}

static fnd_status to_list(tpl_run *r, const tpl_list *items, bool backwards, tpl_value *out) {
    FND_TRY(fnd_tpl_step(r, items->count));
    FND_TRY(fnd_tpl_new_list(r, items->count, TPL_LIST, out));
    for (size_t i = 0; i < items->count; i++) out->list->items[i] = items->items[backwards ? items->count - 1 - i : i];
    return FND_OK;
}

FILTER(filter_list) {
    tpl_list items;
    NO_ARGUMENTS("the filter \"list\"");
    FND_TRY(fnd_tpl_items(r, self, &items));
    return to_list(r, &items, false, out);
}

FILTER(filter_reverse) {
    tpl_list items;
    tpl_value list;
    tpl_builder text = { 0 };
    NO_ARGUMENTS("the filter \"reverse\"");
    FND_TRY(fnd_tpl_items(r, self, &items));
    FND_TRY(to_list(r, &items, true, &list));
    *out = list;
    if (self->kind != TPL_STR) return FND_OK;
    for (size_t i = 0; i < list.list->count; i++) fnd_tpl_add_str(r, &text, *list.list->items[i].str);
    return fnd_tpl_built(r, &text, out);
}

FILTER(filter_items) {
    tpl_list nothing = { 0 };
    NO_ARGUMENTS("the filter \"items\"");
    if (self->kind == TPL_UNDEFINED) return to_list(r, &nothing, false, out);
    if (self->kind != TPL_DICT) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"items\" needs a dict, not %s", fnd_tpl_kind_name(self));
    return fnd_tpl_find_method(self, "items", 5)(r, self, args, out);
}

FILTER(filter_safe) {
    NO_ARGUMENTS("the filter \"safe\"");
    (void)r;
    *out = *self;
    return FND_OK;
}

/* ---- parts of items ---- */

static bool is_index(tpl_str name) {
    for (size_t i = 0; i < name.bytes; i++) {
        if (name.data[i] < '0' || name.data[i] > '9') return false;
    }
    return name.bytes > 0 && name.bytes < 10;
}

/* The part of an item that a dotted path names; numbers are indices. */
static fnd_status get_path(tpl_run *r, const tpl_value *item, const tpl_value *path, tpl_value *out) {
    *out = *item;
    if (path->kind == TPL_NONE) return FND_OK;
    if (path->kind == TPL_INT) {
        tpl_list items;
        FND_TRY(fnd_tpl_items(r, item, &items));
        int64_t i = path->integer < 0 ? path->integer + (int64_t)items.count : path->integer;
        if (i < 0 || (uint64_t)i >= items.count) return fnd_tpl_undefined(r, out, "item %lld", (long long)path->integer);
        *out = items.items[i];
        return FND_OK;
    }
    FND_TRY(fnd_tpl_need_str(r, "an attribute", path));
    for (tpl_str rest = *path->str;;) {
        const char *dot = memchr(rest.data, '.', rest.bytes);
        tpl_str name = fnd_tpl_slice_str(rest, 0, dot ? (size_t)(dot - rest.data) : rest.bytes);
        if (out->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, out);
        const tpl_value *there = out->kind == TPL_DICT || out->kind == TPL_NAMESPACE ? fnd_tpl_dict_find(out->dict, name.data, name.bytes) : NULL;
        FND_TRY(fnd_tpl_step(r, 1));
        if (there) {
            *out = *there;
        } else if (is_index(name) && (out->kind == TPL_LIST || out->kind == TPL_TUPLE)) {
            char digits[12] = { 0 };
            memcpy(digits, name.data, name.bytes);
            tpl_value index = fnd_tpl_int(atoi(digits)), whole = *out;
            FND_TRY(get_path(r, &whole, &index, out));
        } else {
            FND_TRY(fnd_tpl_undefined(r, out, "'%.*s'", (int)fnd_min_size(name.bytes, 100), name.data));
        }
        if (!dot) return FND_OK;
        rest = fnd_tpl_slice_str(rest, name.bytes + 1, rest.bytes - name.bytes - 1);
    }
}

FILTER(filter_join) {
    static const char *const names[] = { "d", "attribute", NULL };
    tpl_value a[2] = { { 0 }, { .kind = TPL_NONE } }, part;
    tpl_list items;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str(""), &a[0]));
    FND_TRY(fnd_tpl_bind(r, "the filter \"join\"", args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    for (size_t i = 0; i < items.count; i++) {
        FND_TRY(get_path(r, &items.items[i], &a[1], &part));
        if (i) FND_TRY(fnd_tpl_add_value(r, &text, &a[0]));
        FND_TRY(fnd_tpl_add_value(r, &text, &part));
    }
    return fnd_tpl_built(r, &text, out);
}

/* ---- choosing ---- */

static const tpl_args no_args;

static tpl_args skip_args(const tpl_args *args, size_t n) {
    return (tpl_args){ .items = args->count > n ? args->items + n : NULL, .count = args->count > n ? args->count - n : 0, .names = args->names, .named = args->named, .named_count = args->named_count };
}

/* select(test, arguments...) and selectattr(attribute, test, arguments...); without a test: truth. */
static fnd_status choose(tpl_run *r, const tpl_value *self, const tpl_args *args, bool by_attribute, bool wanted, tpl_value *out) {
    size_t first = by_attribute ? 1 : 0, count = 0;
    tpl_list items;
    if (args->count < first) return fnd_tpl_fail(r, FND_ERR_FORMAT, "this filter needs the name of an attribute");
    const tpl_value *test = args->count > first ? &args->items[first] : NULL;
    if (test) FND_TRY(fnd_tpl_need_str(r, "the name of a test", test));
    tpl_args rest = skip_args(args, first + 1);
    FND_TRY(fnd_tpl_items(r, self, &items));
    FND_TRY(fnd_tpl_new_list(r, items.count, TPL_LIST, out));
    for (size_t i = 0; i < items.count; i++) {
        tpl_value part, path = by_attribute ? args->items[0] : (tpl_value){ .kind = TPL_NONE };
        FND_TRY(get_path(r, &items.items[i], &path, &part));
        FND_TRY(fnd_tpl_step(r, 1));
        bool holds = fnd_tpl_truth(&part);
        if (test) FND_TRY(fnd_tpl_test(r, test->str->data, test->str->bytes, &part, &rest, &holds));
        if (holds == wanted) out->list->items[count++] = items.items[i];
    }
    out->list->count = count;
    return FND_OK;
}

FILTER(filter_select) { return choose(r, self, args, false, true, out); }
FILTER(filter_reject) { return choose(r, self, args, false, false, out); }
FILTER(filter_selectattr) { return choose(r, self, args, true, true, out); }
FILTER(filter_rejectattr) { return choose(r, self, args, true, false, out); }

/* map(filter, arguments...) or map(attribute=path, default=value). */
FILTER(filter_map) {
    static const char *const names[] = { "attribute", "default", NULL };
    tpl_value a[2] = { { .kind = TPL_NONE }, { .kind = TPL_UNDEFINED } };
    tpl_list items;
    tpl_args rest = skip_args(args, 1);
    if (args->count == 0) FND_TRY(fnd_tpl_bind(r, "the filter \"map\"", args, names, 1, a));
    if (args->count) FND_TRY(fnd_tpl_need_str(r, "the filter \"map\"", &args->items[0]));
    FND_TRY(fnd_tpl_items(r, self, &items));
    FND_TRY(fnd_tpl_new_list(r, items.count, TPL_LIST, out));
    for (size_t i = 0; i < items.count; i++) {
        tpl_value *to = &out->list->items[i];
        if (args->count) {
            FND_TRY(fnd_tpl_filter(r, args->items[0].str->data, args->items[0].str->bytes, &items.items[i], &rest, to));
            continue;
        }
        FND_TRY(get_path(r, &items.items[i], &a[0], to));
        if (to->kind == TPL_UNDEFINED && a[1].kind != TPL_UNDEFINED) *to = a[1];
    }
    return FND_OK;
}

/* ---- order ---- */

typedef struct keyed {
    tpl_value key, item;
} keyed;

/* Merge sort: stable, and failures of a comparison come through. */
static fnd_status sort_range(tpl_run *r, keyed *a, keyed *room, size_t count, bool backwards) {
    if (count < 2) return FND_OK;
    size_t half = count / 2, i = 0, j = half, k = 0;
    FND_TRY(sort_range(r, a, room, half, backwards));
    FND_TRY(sort_range(r, a + half, room, count - half, backwards));
    FND_TRY(fnd_tpl_step(r, count));
    while (i < half && j < count) {
        int order = 0;
        FND_TRY(fnd_tpl_order(r, &a[i].key, &a[j].key, &order));
        bool left = backwards ? order >= 0 : order <= 0;
        room[k++] = left ? a[i++] : a[j++];
    }
    while (i < half) room[k++] = a[i++];
    while (j < count) room[k++] = a[j++];
    memcpy(a, room, count * sizeof *a);
    return FND_OK;
}

/* What an item is ordered by: a part of it, strings in lower case unless case_sensitive. */
static fnd_status sort_key(tpl_run *r, const tpl_value *item, const tpl_value *path, bool case_sensitive, tpl_value *out) {
    tpl_value part;
    FND_TRY(get_path(r, item, path, &part));
    *out = part;
    return part.kind == TPL_STR && !case_sensitive ? change_case(r, &part, LOWER, out) : FND_OK;
}

static fnd_status sort_items(tpl_run *r, const tpl_list *items, const tpl_value *path, bool case_sensitive, bool backwards, tpl_value *out) {
    keyed *a = fnd_arena_alloc(r->arena, items->count, sizeof *a), *room = fnd_arena_alloc(r->arena, items->count, sizeof *room);
    if (!a || !room) return fnd_tpl_no_memory(r);
    for (size_t i = 0; i < items->count; i++) {
        a[i].item = items->items[i];
        FND_TRY(sort_key(r, &items->items[i], path, case_sensitive, &a[i].key));
    }
    FND_TRY(sort_range(r, a, room, items->count, backwards));
    FND_TRY(fnd_tpl_new_list(r, items->count, TPL_LIST, out));
    for (size_t i = 0; i < items->count; i++) out->list->items[i] = a[i].item;
    return FND_OK;
}

FILTER(filter_sort) {
    static const char *const names[] = { "reverse", "case_sensitive", "attribute", NULL };
    tpl_value a[3] = { fnd_tpl_bool(false), fnd_tpl_bool(false), { .kind = TPL_NONE } };
    tpl_list items;
    FND_TRY(fnd_tpl_bind(r, "the filter \"sort\"", args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    return sort_items(r, &items, &a[2], fnd_tpl_truth(&a[1]), fnd_tpl_truth(&a[0]), out);
}

FILTER(filter_dictsort) {
    static const char *const names[] = { "case_sensitive", "by", "reverse", NULL };
    tpl_value a[3] = { fnd_tpl_bool(false), { .kind = TPL_NONE }, fnd_tpl_bool(false) }, pairs, path;
    FND_TRY(fnd_tpl_bind(r, "the filter \"dictsort\"", args, names, 0, a));
    if (self->kind != TPL_DICT) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"dictsort\" needs a dict, not %s", fnd_tpl_kind_name(self));
    bool by_value = a[1].kind == TPL_STR && a[1].str->bytes == 5 && memcmp(a[1].str->data, "value", 5) == 0;
    FND_TRY(fnd_tpl_find_method(self, "items", 5)(r, self, &no_args, &pairs));
    path = fnd_tpl_int(by_value);
    return sort_items(r, pairs.list, &path, fnd_tpl_truth(&a[0]), fnd_tpl_truth(&a[2]), out);
}

FILTER(filter_unique) {
    static const char *const names[] = { "case_sensitive", "attribute", NULL };
    tpl_value a[2] = { fnd_tpl_bool(false), { .kind = TPL_NONE } }, keys;
    tpl_list items;
    size_t count = 0;
    FND_TRY(fnd_tpl_bind(r, "the filter \"unique\"", args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    FND_TRY(fnd_tpl_new_list(r, items.count, TPL_LIST, out));
    FND_TRY(fnd_tpl_new_list(r, items.count, TPL_LIST, &keys));
    for (size_t i = 0; i < items.count; i++) {
        bool seen = false;
        FND_TRY(sort_key(r, &items.items[i], &a[1], fnd_tpl_truth(&a[0]), &keys.list->items[count]));
        FND_TRY(fnd_tpl_step(r, count));
        for (size_t k = 0; k < count && !seen; k++) FND_TRY(fnd_tpl_equal(r, &keys.list->items[k], &keys.list->items[count], &seen));
        if (!seen) out->list->items[count++] = items.items[i];
    }
    out->list->count = count;
    return FND_OK;
}

static fnd_status extreme(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, int sign, tpl_value *out) {
    static const char *const names[] = { "case_sensitive", "attribute", NULL };
    tpl_value a[2] = { fnd_tpl_bool(false), { .kind = TPL_NONE } }, best, key;
    tpl_list items;
    FND_TRY(fnd_tpl_bind(r, what, args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    if (items.count == 0) return fnd_tpl_undefined(r, out, "an item of an empty sequence");
    for (size_t i = 0; i < items.count; i++) {
        int order = 0;
        FND_TRY(fnd_tpl_step(r, 1));
        FND_TRY(sort_key(r, &items.items[i], &a[1], fnd_tpl_truth(&a[0]), &key));
        if (i) FND_TRY(fnd_tpl_order(r, &key, &best, &order));
        if (i && order * sign <= 0) continue;
        best = key;
        *out = items.items[i];
    }
    return FND_OK;
}

FILTER(filter_min) { return extreme(r, "the filter \"min\"", self, args, -1, out); }
FILTER(filter_max) { return extreme(r, "the filter \"max\"", self, args, 1, out); }

FILTER(filter_sum) {
    static const char *const names[] = { "attribute", "start", NULL };
    tpl_value a[2] = { { .kind = TPL_NONE }, fnd_tpl_int(0) };
    tpl_list items;
    FND_TRY(fnd_tpl_bind(r, "the filter \"sum\"", args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    *out = a[1];
    for (size_t i = 0; i < items.count; i++) {
        tpl_value part, before = *out;
        FND_TRY(get_path(r, &items.items[i], &a[0], &part));
        FND_TRY(fnd_tpl_step(r, 1));
        FND_TRY(fnd_tpl_binary(r, OP_ADD, &before, &part, out));
    }
    return FND_OK;
}

tpl_function *fnd_tpl_find_filter(const char *name, size_t bytes) {
    static const struct {
        const char *name;
        tpl_function *function;
    } filters[] = {
        { "abs", filter_abs },
        { "capitalize", filter_capitalize },
        { "count", filter_length },
        { "d", filter_default },
        { "default", filter_default },
        { "dictsort", filter_dictsort },
        { "e", filter_escape },
        { "escape", filter_escape },
        { "first", filter_first },
        { "float", filter_float },
        { "indent", filter_indent },
        { "int", filter_int },
        { "items", filter_items },
        { "join", filter_join },
        { "last", filter_last },
        { "length", filter_length },
        { "list", filter_list },
        { "lower", filter_lower },
        { "map", filter_map },
        { "max", filter_max },
        { "min", filter_min },
        { "reject", filter_reject },
        { "rejectattr", filter_rejectattr },
        { "replace", filter_replace },
        { "reverse", filter_reverse },
        { "round", filter_round },
        { "safe", filter_safe },
        { "select", filter_select },
        { "selectattr", filter_selectattr },
        { "sort", filter_sort },
        { "string", filter_string },
        { "sum", filter_sum },
        { "title", filter_title },
        { "tojson", fnd_tpl_to_json },
        { "trim", filter_trim },
        { "unique", filter_unique },
        { "upper", filter_upper },
    };
    for (size_t i = 0; i < FND_COUNT(filters); i++) {
        if (strlen(filters[i].name) == bytes && memcmp(filters[i].name, name, bytes) == 0) return filters[i].function;
    }
    return NULL;
}
