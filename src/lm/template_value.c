/* template_value.c - making values: strings with marks, lists, dicts. */
#include "base/base.h"
#include "lm/template_tree.h"
#include "lm/unicode.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- strings ---- */

tpl_str fnd_tpl_const_str(const char *text) { return (tpl_str){ .data = text, .bytes = strlen(text) }; }
bool fnd_tpl_str_is(const tpl_str *s, const char *text) { return s->bytes == strlen(text) && memcmp(s->data, text, s->bytes) == 0; }

tpl_str fnd_tpl_slice_str(tpl_str s, size_t start, size_t bytes) {
    return (tpl_str){ .data = s.data + start, .bytes = bytes, .marks = s.marks ? s.marks + start : NULL, .mark = s.mark, .markup = s.markup };
}

tpl_str fnd_tpl_char_at(tpl_str s, size_t at) {
    size_t n = fnd_utf8_char(s.data + at, s.bytes - at);
    return fnd_tpl_slice_str(s, at, n ? n : 1);
}

uint32_t fnd_tpl_code(tpl_str character) { return fnd_utf8_char(character.data, character.bytes) ? fnd_utf8_code(character.data) : 0xFFFD; }

uint8_t fnd_tpl_mark_of(tpl_str s) {
    if (!s.marks) return s.mark;
    return memchr(s.marks, TPL_FROM_VARIABLE, s.bytes) ? TPL_FROM_VARIABLE : TPL_FROM_TEMPLATE;
}

size_t fnd_tpl_offset(tpl_str s, size_t count) {
    size_t at = 0;
    for (; count && at < s.bytes; count--) {
        size_t n = fnd_utf8_char(s.data + at, s.bytes - at);
        at += n ? n : 1;
    }
    return at;
}

size_t fnd_tpl_count_chars(tpl_str s) {
    size_t count = 0;
    for (size_t at = 0; at < s.bytes; count++) {
        size_t n = fnd_utf8_char(s.data + at, s.bytes - at);
        at += n ? n : 1;
    }
    return count;
}

fnd_status fnd_tpl_new_str(tpl_run *r, tpl_str s, tpl_value *out) {
    tpl_str *str = fnd_arena_alloc(r->arena, 1, sizeof *str);
    if (!str) return fnd_tpl_no_memory(r);
    *str = s;
    *out = (tpl_value){ .kind = TPL_STR, .str = str };
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

/* Room for so many bytes more; false: there is none, and r->failed. */
static bool make_room(tpl_run *r, tpl_builder *b, size_t bytes) {
    size_t need;
    r->too_long = !fnd_add_size(b->bytes, bytes, &need) || need > TPL_OUTPUT_LIMIT;
    if (!r->too_long && need <= b->capacity) return true;
    size_t capacity = fnd_max_size(need, b->capacity ? fnd_min_size(2 * b->capacity, TPL_OUTPUT_LIMIT) : 64);
    char *larger = r->too_long ? NULL : fnd_arena_alloc(r->arena, capacity, 1);
    uint8_t *larger_marks = larger ? fnd_arena_alloc(r->arena, capacity, 1) : NULL;
    r->failed = !larger_marks;
    if (r->failed) return false;
    if (b->bytes) {
        memcpy(larger, b->data, b->bytes);
        memcpy(larger_marks, b->marks, b->bytes);
    }
    b->data = larger;
    b->marks = larger_marks;
    b->capacity = capacity;
    return true;
}

void fnd_tpl_add(tpl_run *r, tpl_builder *b, const char *data, size_t bytes, const uint8_t *marks, uint8_t mark) {
    if (bytes == 0 || r->failed || !make_room(r, b, bytes)) return;
    memcpy(b->data + b->bytes, data, bytes);
    if (marks) {
        memcpy(b->marks + b->bytes, marks, bytes);
    } else {
        memset(b->marks + b->bytes, mark, bytes);
    }
    b->bytes += bytes;
}

void fnd_tpl_add_str(tpl_run *r, tpl_builder *b, tpl_str s) { fnd_tpl_add(r, b, s.data, s.bytes, s.marks, s.mark); }
void fnd_tpl_add_text(tpl_run *r, tpl_builder *b, const char *text) { fnd_tpl_add(r, b, text, strlen(text), NULL, TPL_FROM_TEMPLATE); }

void fnd_tpl_add_many(tpl_run *r, tpl_builder *b, tpl_str s, int64_t times) {
    size_t all;
    if (r->failed || times <= 0 || !make_room(r, b, fnd_mul_size(s.bytes, (size_t)times, &all) ? all : SIZE_MAX)) return;
    for (int64_t i = 0; s.bytes && i < times && !r->failed; i++) fnd_tpl_add_str(r, b, s);
}

fnd_status fnd_tpl_built(tpl_run *r, const tpl_builder *b, bool markup, tpl_value *out) {
    if (r->failed) return fnd_tpl_no_memory(r);
    return fnd_tpl_new_str(r, (tpl_str){ .data = b->data ? b->data : "", .bytes = b->bytes, .marks = b->marks, .markup = markup }, out);
}

/* ---- other values ---- */

tpl_value fnd_tpl_none(void) { return (tpl_value){ .kind = TPL_NONE }; }
tpl_value fnd_tpl_bool(bool b) { return (tpl_value){ .kind = TPL_BOOL, .flag = b }; }
tpl_value fnd_tpl_int(int64_t i) { return (tpl_value){ .kind = TPL_INT, .integer = i }; }
tpl_value fnd_tpl_float(double x) { return (tpl_value){ .kind = TPL_FLOAT, .number = x }; }

fnd_status fnd_tpl_new_list(tpl_run *r, size_t count, tpl_kind kind, tpl_value *out) {
    tpl_list *list = fnd_arena_alloc(r->arena, 1, sizeof *list);
    tpl_value *items = list ? fnd_arena_alloc(r->arena, count, sizeof *items) : NULL;
    if (!items) return fnd_tpl_no_memory(r);
    *list = (tpl_list){ .items = items, .count = count };
    *out = (tpl_value){ .kind = kind, .list = list };
    return FND_OK;
}

fnd_status fnd_tpl_copy_list(tpl_run *r, const tpl_value *items, size_t count, tpl_kind kind, tpl_value *out) {
    FND_TRY(fnd_tpl_step(r, count / 4));
    FND_TRY(fnd_tpl_new_list(r, count, kind, out));
    if (count) memcpy(out->list->items, items, count * sizeof *items);
    return FND_OK;
}

fnd_status fnd_tpl_new_pair(tpl_run *r, const tpl_value *a, const tpl_value *b, tpl_value *out) {
    tpl_value both[2] = { *a, *b };
    return fnd_tpl_copy_list(r, both, 2, TPL_TUPLE, out);
}

fnd_status fnd_tpl_new_range(tpl_run *r, int64_t start, int64_t stop, int64_t step, tpl_value *out) {
    if (step == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the step of a range is zero");
    uint64_t distance = step > 0 ? stop > start ? (uint64_t)stop - (uint64_t)start : 0 : start > stop ? (uint64_t)start - (uint64_t)stop
                                                                                                      : 0;
    uint64_t pace = step > 0 ? (uint64_t)step : 0 - (uint64_t)step, count = distance ? (distance - 1) / pace + 1 : 0;
    if (count > TPL_RANGE_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "range() of %llu items is more than the %d allowed", (unsigned long long)count, TPL_RANGE_LIMIT);
    FND_TRY(fnd_tpl_step(r, count));
    tpl_range *range = fnd_arena_alloc(r->arena, 1, sizeof *range);
    tpl_value *items = range ? fnd_arena_alloc(r->arena, (size_t)count, sizeof *items) : NULL;
    if (!items) return fnd_tpl_no_memory(r);
    for (uint64_t i = 0; i < count; i++) items[i] = fnd_tpl_int((int64_t)((uint64_t)start + i * (uint64_t)step));
    *range = (tpl_range){ .list = { .items = items, .count = (size_t)count }, .start = start, .stop = stop, .step = step };
    *out = (tpl_value){ .kind = TPL_RANGE, .list = &range->list };
    return FND_OK;
}

fnd_status fnd_tpl_new_iterator(tpl_run *r, size_t capacity, tpl_value *out) {
    tpl_iterator *it = fnd_arena_alloc(r->arena, 1, sizeof *it);
    tpl_value *items = it ? fnd_arena_alloc(r->arena, capacity, sizeof *items) : NULL;
    if (!items) return fnd_tpl_no_memory(r);
    it->list.items = items;
    *out = (tpl_value){ .kind = TPL_ITERATOR, .iterator = it };
    return FND_OK;
}

fnd_status fnd_tpl_set_failure(tpl_run *r, tpl_iterator *it, const fnd_error *failure) {
    fnd_error *copy = fnd_arena_alloc(r->arena, 1, sizeof *copy);
    if (!copy) return fnd_tpl_no_memory(r);
    *copy = *failure;
    it->failure = copy;
    return FND_OK;
}

fnd_status fnd_tpl_new_callable(tpl_run *r, const char *name, tpl_function *function, const tpl_value *self, tpl_value *out) {
    tpl_callable *c = fnd_arena_alloc(r->arena, 1, sizeof *c);
    if (!c) return fnd_tpl_no_memory(r);
    *c = (tpl_callable){ .name = name, .function = function, .self = *self };
    *out = (tpl_value){ .kind = TPL_CALLABLE, .callable = c };
    return FND_OK;
}

/* ---- dicts ---- */

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

tpl_value *fnd_tpl_dict_find(const tpl_dict *d, const char *key, size_t bytes) {
    for (size_t i = 0; i < d->count; i++) {
        const tpl_value *k = &d->keys[i];
        if (k->kind == TPL_STR && k->str->bytes == bytes && memcmp(k->str->data, key, bytes) == 0) return &d->values[i];
    }
    return NULL;
}

fnd_status fnd_tpl_dict_get(tpl_run *r, const tpl_dict *d, const tpl_value *key, tpl_value **out) {
    *out = NULL;
    FND_TRY(fnd_tpl_step(r, d->count / 16 + (key->kind == TPL_STR ? key->str->bytes / 64 : 0)));
    if (key->kind == TPL_STR) {
        *out = fnd_tpl_dict_find(d, key->str->data, key->str->bytes);
        return FND_OK;
    }
    FND_TRY(fnd_tpl_hashable(r, key));
    for (size_t i = 0; i < d->count && !*out; i++) {
        bool equal = false;
        FND_TRY(fnd_tpl_equal(r, &d->keys[i], key, &equal));
        if (equal) *out = &d->values[i];
    }
    return FND_OK;
}

fnd_status fnd_tpl_dict_set(tpl_run *r, tpl_dict *d, const tpl_value *key, const tpl_value *value) {
    tpl_value *there;
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

fnd_status fnd_tpl_dict_view(tpl_run *r, const tpl_dict *dict, tpl_form form, tpl_value *out) {
    FND_TRY(fnd_tpl_step(r, dict->count));
    if (form == TPL_ITEMS) {
        FND_TRY(fnd_tpl_new_list(r, dict->count, TPL_VIEW, out));
        for (size_t i = 0; i < dict->count; i++) FND_TRY(fnd_tpl_new_pair(r, &dict->keys[i], &dict->values[i], &out->list->items[i]));
    } else {
        FND_TRY(fnd_tpl_copy_list(r, form == TPL_KEYS ? dict->keys : dict->values, dict->count, TPL_VIEW, out));
    }
    out->list->form = form;
    return FND_OK;
}
