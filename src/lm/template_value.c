/* template_value.c - values: making, printing, comparing and calculating with them as Python does. */
#define _GNU_SOURCE /* memmem */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- failures ---- */

fnd_status fnd_tpl_fail(tpl_run *r, fnd_status status, const char *format, ...) {
    char text[FND_ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fnd_tpl_fail_at(r->err, status, r->at ? r->at->line : 1, r->at ? r->at->column : 1, "%s", text);
}

fnd_status fnd_tpl_no_memory(tpl_run *r) {
    if (r->arena->limited) return fnd_tpl_fail(r, FND_ERR_LIMIT, "this needs more than the %zu bytes of memory it is allowed", r->arena->limit_bytes);
    return fnd_fail(r->err, FND_ERR_MEMORY, "out of memory while rendering a chat template");
}

fnd_status fnd_tpl_step(tpl_run *r, uint64_t steps) {
    r->steps += steps;
    if (r->steps <= TPL_STEP_LIMIT) return FND_OK;
    return fnd_tpl_fail(r, FND_ERR_LIMIT, "the template takes more than the %d steps it is allowed", TPL_STEP_LIMIT);
}

const char *fnd_tpl_kind_name(const tpl_value *v) {
    static const char *const names[] = { "an undefined value", "none", "a boolean", "an integer", "a float", "a string", "a list", "a tuple", "a dict", "a namespace", "a loop", "a function" };
    return names[v->kind];
}

fnd_status fnd_tpl_undefined_used(tpl_run *r, const tpl_value *v) {
    return fnd_tpl_fail(r, FND_ERR_FORMAT, "%.*s is undefined", (int)v->str->bytes, v->str->data);
}

/* ---- making ---- */

tpl_value fnd_tpl_bool(bool b) { return (tpl_value){ .kind = TPL_BOOL, .flag = b }; }
tpl_value fnd_tpl_int(int64_t i) { return (tpl_value){ .kind = TPL_INT, .integer = i }; }
tpl_value fnd_tpl_float(double x) { return (tpl_value){ .kind = TPL_FLOAT, .number = x }; }
tpl_str fnd_tpl_const_str(const char *text) { return (tpl_str){ .data = text, .bytes = strlen(text) }; }

tpl_str fnd_tpl_slice_str(tpl_str s, size_t start, size_t bytes) {
    return (tpl_str){ .data = s.data + start, .bytes = bytes, .marks = s.marks ? s.marks + start : NULL, .mark = s.mark };
}

fnd_status fnd_tpl_new_str(tpl_run *r, tpl_str s, tpl_value *out) {
    tpl_str *str = fnd_arena_alloc(r->arena, 1, sizeof *str);
    if (!str) return fnd_tpl_no_memory(r);
    *str = s;
    *out = (tpl_value){ .kind = TPL_STR, .str = str };
    return FND_OK;
}

fnd_status fnd_tpl_new_list(tpl_run *r, size_t count, tpl_kind kind, tpl_value *out) {
    tpl_list *list = fnd_arena_alloc(r->arena, 1, sizeof *list);
    tpl_value *items = list ? fnd_arena_alloc(r->arena, count, sizeof *items) : NULL;
    if (!items) return fnd_tpl_no_memory(r);
    *list = (tpl_list){ .items = items, .count = count };
    *out = (tpl_value){ .kind = kind, .list = list };
    return FND_OK;
}

fnd_status fnd_tpl_new_dict(tpl_run *r, size_t capacity, tpl_value *out) {
    tpl_dict *dict = fnd_arena_alloc(r->arena, 1, sizeof *dict);
    if (!dict) return fnd_tpl_no_memory(r);
    dict->keys = fnd_arena_alloc(r->arena, capacity, sizeof *dict->keys);
    dict->values = fnd_arena_alloc(r->arena, capacity, sizeof *dict->values);
    if (!dict->keys || !dict->values) return fnd_tpl_no_memory(r);
    dict->capacity = capacity;
    *out = (tpl_value){ .kind = TPL_DICT, .dict = dict };
    return FND_OK;
}

fnd_status fnd_tpl_undefined(tpl_run *r, tpl_value *out, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t bytes = n < 0 ? 0 : fnd_min_size((size_t)n, sizeof text - 1);
    char *copy = fnd_arena_alloc(r->arena, bytes, 1);
    if (!copy) return fnd_tpl_no_memory(r);
    memcpy(copy, text, bytes);
    FND_TRY(fnd_tpl_new_str(r, (tpl_str){ .data = copy, .bytes = bytes }, out));
    out->kind = TPL_UNDEFINED;
    return FND_OK;
}

/* ---- dicts ---- */

tpl_value *fnd_tpl_dict_find(const tpl_dict *d, const char *key, size_t bytes) {
    for (size_t i = 0; i < d->count; i++) {
        const tpl_value *k = &d->keys[i];
        if (k->kind == TPL_STR && k->str->bytes == bytes && memcmp(k->str->data, key, bytes) == 0) return &d->values[i];
    }
    return NULL;
}

fnd_status fnd_tpl_dict_get(tpl_run *r, const tpl_dict *d, const tpl_value *key, tpl_value **out) {
    *out = NULL;
    FND_TRY(fnd_tpl_step(r, d->count / 16));
    if (key->kind == TPL_STR) {
        *out = fnd_tpl_dict_find(d, key->str->data, key->str->bytes);
        return FND_OK;
    }
    for (size_t i = 0; i < d->count && !*out; i++) {
        bool equal = false;
        FND_TRY(fnd_tpl_equal(r, &d->keys[i], key, &equal));
        if (equal) *out = &d->values[i];
    }
    return FND_OK;
}

fnd_status fnd_tpl_dict_set(tpl_run *r, tpl_dict *d, const tpl_value *key, const tpl_value *value) {
    tpl_value *there;
    if (key->kind == TPL_LIST || key->kind == TPL_DICT) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s cannot be a key of a dict", fnd_tpl_kind_name(key));
    FND_TRY(fnd_tpl_dict_get(r, d, key, &there));
    if (there) {
        *there = *value;
        return FND_OK;
    }
    if (d->count == d->capacity) {
        size_t capacity = d->capacity ? 2 * d->capacity : 4;
        tpl_value *keys = fnd_arena_alloc(r->arena, capacity, sizeof *keys), *values = fnd_arena_alloc(r->arena, capacity, sizeof *values);
        if (!keys || !values) return fnd_tpl_no_memory(r);
        if (d->count) {
            memcpy(keys, d->keys, d->count * sizeof *keys);
            memcpy(values, d->values, d->count * sizeof *values);
        }
        d->keys = keys;
        d->values = values;
        d->capacity = capacity;
    }
    d->keys[d->count] = *key;
    d->values[d->count++] = *value;
    return FND_OK;
}

/* ---- building strings ---- */

void fnd_tpl_add(tpl_run *r, tpl_builder *b, const char *data, size_t bytes, const uint8_t *marks, uint8_t mark) {
    size_t need;
    if (bytes == 0 || r->failed) return;
    if (!fnd_add_size(b->bytes, bytes, &need) || need > TPL_OUTPUT_LIMIT) {
        r->arena->limited = r->failed = true;
        return;
    }
    if (need > b->capacity) {
        size_t capacity = fnd_max_size(need, b->capacity ? 2 * b->capacity : 64);
        char *larger = fnd_arena_alloc(r->arena, capacity, 1);
        uint8_t *larger_marks = larger ? fnd_arena_alloc(r->arena, capacity, 1) : NULL;
        if (!larger_marks) {
            r->failed = true;
            return;
        }
        if (b->bytes) {
            memcpy(larger, b->data, b->bytes);
            memcpy(larger_marks, b->marks, b->bytes);
        }
        b->data = larger;
        b->marks = larger_marks;
        b->capacity = capacity;
    }
    memcpy(b->data + b->bytes, data, bytes);
    if (marks) {
        memcpy(b->marks + b->bytes, marks, bytes);
    } else {
        memset(b->marks + b->bytes, mark, bytes);
    }
    b->bytes = need;
}

void fnd_tpl_add_str(tpl_run *r, tpl_builder *b, tpl_str s) { fnd_tpl_add(r, b, s.data, s.bytes, s.marks, s.mark); }
void fnd_tpl_add_text(tpl_run *r, tpl_builder *b, const char *text) { fnd_tpl_add(r, b, text, strlen(text), NULL, TPL_FROM_TEMPLATE); }

fnd_status fnd_tpl_built(tpl_run *r, const tpl_builder *b, tpl_value *out) {
    if (r->failed) return fnd_tpl_no_memory(r);
    return fnd_tpl_new_str(r, (tpl_str){ .data = b->data ? b->data : "", .bytes = b->bytes, .marks = b->marks }, out);
}

/* ---- printing ---- */

/* The shortest digits that read back as x, laid out as Python does. */
size_t fnd_tpl_print_float(double x, char out[40]) {
    if (isnan(x)) return (size_t)snprintf(out, 40, "nan");
    if (isinf(x)) return (size_t)snprintf(out, 40, x < 0 ? "-inf" : "inf");
    char digits[40];
    int precision = 0;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision, x);
    } while (precision++ < 17 && strtod(digits, NULL) != x);
    int exponent = atoi(strchr(digits, 'e') + 1), decimals = precision - 1 - exponent;
    if (exponent >= -4 && exponent < 16) return (size_t)snprintf(out, 40, "%.*f", decimals > 1 ? decimals : 1, x);
    *strchr(digits, 'e') = '\0';
    return (size_t)snprintf(out, 40, "%se%c%02d", digits, exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
}

/* A string as Python writes it in source: quotes and escapes. */
static void add_quoted(tpl_run *r, tpl_builder *b, const tpl_str *s) {
    bool single = memchr(s->data, '\'', s->bytes) != NULL, both = single && memchr(s->data, '"', s->bytes);
    char quote = single && !both ? '"' : '\'';
    fnd_tpl_add(r, b, &quote, 1, NULL, TPL_FROM_TEMPLATE);
    for (size_t i = 0; i < s->bytes;) {
        size_t n = fnd_utf8_char(s->data + i, s->bytes - i);
        uint32_t c = n ? fnd_utf8_code(s->data + i) : 0xFFFD;
        char text[8];
        int length = 0;
        if (c == (unsigned char)quote || c == '\\') {
            length = snprintf(text, sizeof text, "\\%c", (char)c);
        } else if (c == '\n' || c == '\r' || c == '\t') {
            length = snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r'
                                                                                     : 't');
        } else if (c < 32 || (c >= 0x7F && c <= 0xA0) || c == 0xAD) {
            length = snprintf(text, sizeof text, "\\x%02x", c);
        }
        tpl_str original = fnd_tpl_slice_str(*s, i, n ? n : 1);
        if (length) {
            fnd_tpl_add(r, b, text, (size_t)length, NULL, original.marks ? original.marks[0] : original.mark);
        } else {
            fnd_tpl_add_str(r, b, original);
        }
        i += n ? n : 1;
    }
    fnd_tpl_add(r, b, &quote, 1, NULL, TPL_FROM_TEMPLATE);
}

static fnd_status add_list(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    bool tuple = v->kind == TPL_TUPLE;
    fnd_tpl_add_text(r, b, tuple ? "(" : "[");
    for (size_t i = 0; i < v->list->count; i++) {
        if (i) fnd_tpl_add_text(r, b, ", ");
        FND_TRY(fnd_tpl_add_repr(r, b, &v->list->items[i]));
    }
    fnd_tpl_add_text(r, b, tuple ? v->list->count == 1 ? ",)" : ")" : "]");
    return FND_OK;
}

static fnd_status add_dict(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    fnd_tpl_add_text(r, b, "{");
    for (size_t i = 0; i < v->dict->count; i++) {
        if (i) fnd_tpl_add_text(r, b, ", ");
        FND_TRY(fnd_tpl_add_repr(r, b, &v->dict->keys[i]));
        fnd_tpl_add_text(r, b, ": ");
        FND_TRY(fnd_tpl_add_repr(r, b, &v->dict->values[i]));
    }
    fnd_tpl_add_text(r, b, "}");
    return FND_OK;
}

static fnd_status deeper(tpl_run *r) {
    if (++r->depth <= TPL_RUN_DEPTH) return fnd_tpl_step(r, 1);
    return fnd_tpl_fail(r, FND_ERR_LIMIT, "this is nested more than %d deep", TPL_RUN_DEPTH);
}

fnd_status fnd_tpl_add_repr(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    if (v->kind != TPL_STR) return fnd_tpl_add_value(r, b, v);
    FND_TRY(fnd_tpl_step(r, 1));
    add_quoted(r, b, v->str);
    return FND_OK;
}

fnd_status fnd_tpl_add_value(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    char text[48];
    fnd_status status = FND_OK;
    FND_TRY(deeper(r));
    switch (v->kind) {
    case TPL_UNDEFINED:
        break;
    case TPL_NONE:
        fnd_tpl_add_text(r, b, "None");
        break;
    case TPL_BOOL:
        fnd_tpl_add_text(r, b, v->flag ? "True" : "False");
        break;
    case TPL_INT:
        fnd_tpl_add(r, b, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)v->integer), NULL, TPL_FROM_TEMPLATE);
        break;
    case TPL_FLOAT:
        fnd_tpl_add(r, b, text, fnd_tpl_print_float(v->number, text), NULL, TPL_FROM_TEMPLATE);
        break;
    case TPL_STR:
        fnd_tpl_add_str(r, b, *v->str);
        break;
    case TPL_LIST:
    case TPL_TUPLE:
        status = add_list(r, b, v);
        break;
    case TPL_DICT:
        status = add_dict(r, b, v);
        break;
    default:
        status = fnd_tpl_fail(r, FND_ERR_FORMAT, "%s cannot be printed", fnd_tpl_kind_name(v));
    }
    r->depth--;
    return status;
}

/* ---- truth and comparison ---- */

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
        return v->list->count != 0;
    case TPL_DICT:
        return v->dict->count != 0;
    default:
        return true;
    }
}

static bool is_number(const tpl_value *v) { return v->kind == TPL_BOOL || v->kind == TPL_INT || v->kind == TPL_FLOAT; }
static int64_t as_integer(const tpl_value *v) { return v->kind == TPL_BOOL ? v->flag : v->integer; }
static double as_double(const tpl_value *v) { return v->kind == TPL_FLOAT ? v->number : (double)as_integer(v); }

static int compare_strs(const tpl_str *a, const tpl_str *b) {
    int order = memcmp(a->data, b->data, fnd_min_size(a->bytes, b->bytes)); /* order of UTF-8 = order of characters */
    return order ? order < 0 ? -1 : 1 : a->bytes < b->bytes ? -1
                                                            : a->bytes > b->bytes;
}

static fnd_status lists_equal(tpl_run *r, const tpl_list *a, const tpl_list *b, bool *out) {
    *out = a->count == b->count;
    for (size_t i = 0; *out && i < a->count; i++) FND_TRY(fnd_tpl_equal(r, &a->items[i], &b->items[i], out));
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

fnd_status fnd_tpl_equal(tpl_run *r, const tpl_value *a, const tpl_value *b, bool *out) {
    *out = false;
    if (is_number(a) && is_number(b)) {
        *out = a->kind == TPL_FLOAT || b->kind == TPL_FLOAT ? as_double(a) == as_double(b) : as_integer(a) == as_integer(b);
        return FND_OK;
    }
    if (a->kind != b->kind) return FND_OK;
    fnd_status status = FND_OK;
    FND_TRY(deeper(r));
    switch (a->kind) {
    case TPL_UNDEFINED:
    case TPL_NONE:
        *out = true;
        break;
    case TPL_STR:
        *out = a->str->bytes == b->str->bytes && memcmp(a->str->data, b->str->data, a->str->bytes) == 0;
        break;
    case TPL_LIST:
    case TPL_TUPLE:
        status = lists_equal(r, a->list, b->list, out);
        break;
    case TPL_DICT:
        status = dicts_equal(r, a->dict, b->dict, out);
        break;
    default:
        *out = a->dict == b->dict; /* the same object */
    }
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
    if (is_number(a) && is_number(b)) {
        if (a->kind == TPL_FLOAT || b->kind == TPL_FLOAT) {
            double x = as_double(a), y = as_double(b);
            *out = x < y ? -1 : x > y;
        } else {
            *out = as_integer(a) < as_integer(b) ? -1 : as_integer(a) > as_integer(b);
        }
        return FND_OK;
    }
    if (a->kind == TPL_STR && b->kind == TPL_STR) {
        *out = compare_strs(a->str, b->str);
        return FND_OK;
    }
    if (a->kind == b->kind && (a->kind == TPL_LIST || a->kind == TPL_TUPLE)) {
        FND_TRY(deeper(r));
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
        *out = what->str->bytes == 0 || memmem(in->str->data, in->str->bytes, what->str->data, what->str->bytes) != NULL;
        return FND_OK;
    }
    if (in->kind == TPL_DICT) {
        tpl_value *there;
        FND_TRY(fnd_tpl_dict_get(r, in->dict, what, &there));
        *out = there != NULL;
        return FND_OK;
    }
    tpl_list items;
    FND_TRY(fnd_tpl_items(r, in, &items));
    FND_TRY(fnd_tpl_step(r, items.count / 16));
    for (size_t i = 0; i < items.count && !*out; i++) FND_TRY(fnd_tpl_equal(r, &items.items[i], what, out));
    return FND_OK;
}

/* ---- sequences ---- */

static fnd_status characters(tpl_run *r, const tpl_str *s, tpl_list *out) {
    size_t count = 0;
    for (size_t i = 0; i < s->bytes; count++) {
        size_t n = fnd_utf8_char(s->data + i, s->bytes - i);
        i += n ? n : 1;
    }
    tpl_value list;
    FND_TRY(fnd_tpl_step(r, count));
    FND_TRY(fnd_tpl_new_list(r, count, TPL_LIST, &list));
    for (size_t i = 0, k = 0; i < s->bytes; k++) {
        size_t n = fnd_utf8_char(s->data + i, s->bytes - i);
        FND_TRY(fnd_tpl_new_str(r, fnd_tpl_slice_str(*s, i, n ? n : 1), &list.list->items[k]));
        i += n ? n : 1;
    }
    *out = *list.list;
    return FND_OK;
}

fnd_status fnd_tpl_items(tpl_run *r, const tpl_value *v, tpl_list *out) {
    *out = (tpl_list){ 0 };
    switch (v->kind) {
    case TPL_UNDEFINED:
        return FND_OK;
    case TPL_LIST:
    case TPL_TUPLE:
        *out = *v->list;
        return FND_OK;
    case TPL_DICT:
        *out = (tpl_list){ .items = v->dict->keys, .count = v->dict->count };
        return FND_OK;
    case TPL_STR:
        return characters(r, v->str, out);
    default:
        return fnd_tpl_fail(r, FND_ERR_TYPE, "%s has no items to go through", fnd_tpl_kind_name(v));
    }
}

fnd_status fnd_tpl_length(tpl_run *r, const tpl_value *v, size_t *out) {
    *out = 0;
    switch (v->kind) {
    case TPL_UNDEFINED:
        return FND_OK;
    case TPL_LIST:
    case TPL_TUPLE:
        *out = v->list->count;
        return FND_OK;
    case TPL_DICT:
        *out = v->dict->count;
        return FND_OK;
    case TPL_STR:
        for (size_t i = 0; i < v->str->bytes; ++*out) {
            size_t n = fnd_utf8_char(v->str->data + i, v->str->bytes - i);
            i += n ? n : 1;
        }
        return fnd_tpl_step(r, *out / 64);
    default:
        return fnd_tpl_fail(r, FND_ERR_TYPE, "%s has no length", fnd_tpl_kind_name(v));
    }
}

/* ---- arithmetic ---- */

static fnd_status too_large(tpl_run *r) { return fnd_tpl_fail(r, FND_ERR_LIMIT, "the result does not fit an integer of 64 bits"); }

static fnd_status integer_power(tpl_run *r, int64_t base, int64_t exponent, tpl_value *out) {
    int64_t result = 1;
    if (exponent < 0) {
        if (base == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "division by zero");
        *out = fnd_tpl_float(pow((double)base, (double)exponent));
        return FND_OK;
    }
    for (bool square = false;;) { /* base is squared only while another bit follows, so it may not overflow idly */
        if (square && __builtin_mul_overflow(base, base, &base)) return too_large(r);
        if (exponent & 1 && __builtin_mul_overflow(result, base, &result)) return too_large(r);
        exponent >>= 1;
        if (!exponent) break;
        square = true;
    }
    *out = fnd_tpl_int(result);
    return FND_OK;
}

static fnd_status integer_binary(tpl_run *r, tpl_op op, int64_t a, int64_t b, tpl_value *out) {
    int64_t result = 0;
    bool overflow = false;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "division by zero");
    switch (op) {
    case OP_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case OP_SUB:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case OP_MUL:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    case OP_POW:
        return integer_power(r, a, b, out);
    case OP_DIV:
        *out = fnd_tpl_float((double)a / (double)b);
        return FND_OK;
    case OP_FLOORDIV:
        overflow = a == INT64_MIN && b == -1;
        if (!overflow) result = a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    default: /* OP_MOD: the sign of the divisor */
        if (b != -1) result = a % b;
        if (result != 0 && (result < 0) != (b < 0)) result += b;
    }
    if (overflow) return too_large(r);
    *out = fnd_tpl_int(result);
    return FND_OK;
}

static fnd_status float_binary(tpl_run *r, tpl_op op, double a, double b, tpl_value *out) {
    double result;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "division by zero");
    switch (op) {
    case OP_ADD:
        result = a + b;
        break;
    case OP_SUB:
        result = a - b;
        break;
    case OP_MUL:
        result = a * b;
        break;
    case OP_DIV:
        result = a / b;
        break;
    case OP_POW:
        result = pow(a, b);
        break;
    default:
        result = fmod(a, b);
        if (result != 0 && (result < 0) != (b < 0)) result += b;
        if (op == OP_FLOORDIV) result = floor((a - result) / b + 0.5);
    }
    *out = fnd_tpl_float(result);
    return FND_OK;
}

static fnd_status concatenate(tpl_run *r, const tpl_value *a, const tpl_value *b, tpl_value *out) {
    if (a->kind == TPL_STR) {
        tpl_builder text = { 0 };
        fnd_tpl_add_str(r, &text, *a->str);
        fnd_tpl_add_str(r, &text, *b->str);
        FND_TRY(fnd_tpl_step(r, text.bytes / 64));
        return fnd_tpl_built(r, &text, out);
    }
    size_t n = a->list->count, m = b->list->count;
    FND_TRY(fnd_tpl_step(r, (n + m) / 16));
    FND_TRY(fnd_tpl_new_list(r, n + m, a->kind, out));
    if (n) memcpy(out->list->items, a->list->items, n * sizeof *a->list->items);
    if (m) memcpy(out->list->items + n, b->list->items, m * sizeof *b->list->items);
    return FND_OK;
}

static fnd_status repeat(tpl_run *r, const tpl_value *what, int64_t times, tpl_value *out) {
    size_t each = what->kind == TPL_STR ? what->str->bytes : what->list->count, total = 0;
    if (times < 0) times = 0;
    if (!fnd_mul_size(each, (size_t)times, &total) || total > TPL_OUTPUT_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "the repetition is too long");
    FND_TRY(fnd_tpl_step(r, total / 16));
    if (each == 0) times = 0;
    if (what->kind == TPL_STR) {
        tpl_builder text = { 0 };
        for (int64_t i = 0; i < times && !r->failed; i++) fnd_tpl_add_str(r, &text, *what->str);
        return fnd_tpl_built(r, &text, out);
    }
    FND_TRY(fnd_tpl_new_list(r, total, what->kind, out));
    for (int64_t i = 0; i < times; i++) memcpy(out->list->items + (size_t)i * each, what->list->items, each * sizeof(tpl_value));
    return FND_OK;
}

static bool is_sequence(const tpl_value *v) { return v->kind == TPL_STR || v->kind == TPL_LIST || v->kind == TPL_TUPLE; }

fnd_status fnd_tpl_binary(tpl_run *r, tpl_op op, const tpl_value *a, const tpl_value *b, tpl_value *out) {
    static const char *const texts[] = { "+", "-", "*", "/", "//", "%", "**" };
    if (a->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, a);
    if (b->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, b);
    if (is_number(a) && is_number(b)) {
        if (a->kind == TPL_FLOAT || b->kind == TPL_FLOAT) return float_binary(r, op, as_double(a), as_double(b), out);
        return integer_binary(r, op, as_integer(a), as_integer(b), out);
    }
    if (op == OP_ADD && is_sequence(a) && a->kind == b->kind) return concatenate(r, a, b, out);
    if (op == OP_MUL && is_sequence(a) && (b->kind == TPL_INT || b->kind == TPL_BOOL)) return repeat(r, a, as_integer(b), out);
    if (op == OP_MUL && is_sequence(b) && (a->kind == TPL_INT || a->kind == TPL_BOOL)) return repeat(r, b, as_integer(a), out);
    return fnd_tpl_fail(r, FND_ERR_TYPE, "the operator %s does not work on %s and %s", texts[op], fnd_tpl_kind_name(a), fnd_tpl_kind_name(b));
}
