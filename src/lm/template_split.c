/* template_split.c - strings in pieces: split, rsplit, splitlines, partition. */
#include "base/base.h"
#include "lm/template.h"

typedef struct pieces {
    tpl_value *items;
    size_t count, capacity;
} pieces;

static fnd_status add_piece(tpl_run *r, pieces *p, tpl_str s) {
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 8;
        tpl_value *items = fnd_arena_alloc(r->arena, capacity, sizeof *items);
        if (!items) return fnd_tpl_no_memory(r);
        if (p->count) memcpy(items, p->items, p->count * sizeof *items);
        p->items = items;
        p->capacity = capacity;
    }
    FND_TRY(fnd_tpl_step(r, 1));
    return fnd_tpl_new_str(r, s, &p->items[p->count++]);
}

static fnd_status to_list(tpl_run *r, const pieces *p, bool backwards, tpl_value *out) {
    FND_TRY(fnd_tpl_new_list(r, p->count, TPL_LIST, out));
    for (size_t i = 0; i < p->count; i++) out->list->items[i] = p->items[backwards ? p->count - 1 - i : i];
    return FND_OK;
}

/* ---- split, rsplit ---- */

/* At runs of white space; limit < 0: everywhere. */
static fnd_status split_spaces(tpl_run *r, tpl_str s, int64_t limit, pieces *p) {
    s = fnd_tpl_strip(s, NULL, true, false);
    while (s.bytes) {
        size_t end = 0;
        while (end < s.bytes) {
            tpl_str c = fnd_tpl_char_at(s, end);
            if (fnd_tpl_is_space(fnd_tpl_code(c))) break;
            end += c.bytes;
        }
        bool last = limit >= 0 && (int64_t)p->count >= limit;
        FND_TRY(add_piece(r, p, last ? s : fnd_tpl_slice_str(s, 0, end)));
        if (last) return FND_OK;
        s = fnd_tpl_strip(fnd_tpl_slice_str(s, end, s.bytes - end), NULL, true, false);
    }
    return FND_OK;
}

/* Where the last character of s begins. */
static size_t last_char(tpl_str s) {
    size_t start = s.bytes - 1;
    while (start > 0 && s.bytes - start < 4 && ((unsigned char)s.data[start] & 0xC0) == 0x80) start--;
    return fnd_tpl_char_at(s, start).bytes == s.bytes - start ? start : s.bytes - 1;
}

static tpl_str strip_right(tpl_str s) {
    while (s.bytes) {
        size_t start = last_char(s);
        if (!fnd_tpl_is_space(fnd_tpl_code(fnd_tpl_slice_str(s, start, s.bytes - start)))) break;
        s.bytes = start;
    }
    return s;
}

/* As split_spaces, from the right. */
static fnd_status rsplit_spaces(tpl_run *r, tpl_str s, int64_t limit, pieces *p) {
    s = strip_right(s);
    while (s.bytes) {
        size_t start = s.bytes;
        while (start > 0) {
            size_t before = last_char(fnd_tpl_slice_str(s, 0, start));
            if (fnd_tpl_is_space(fnd_tpl_code(fnd_tpl_slice_str(s, before, start - before)))) break;
            start = before;
        }
        if ((int64_t)p->count >= limit) return add_piece(r, p, s);
        FND_TRY(add_piece(r, p, fnd_tpl_slice_str(s, start, s.bytes - start)));
        s = strip_right(fnd_tpl_slice_str(s, 0, start));
    }
    return FND_OK;
}

static fnd_status split_arguments(tpl_run *r, const char *what, const tpl_args *args, tpl_value *separator, int64_t *limit) {
    static const char *const names[] = { "sep", "maxsplit", NULL };
    tpl_value v[2] = { fnd_tpl_none(), fnd_tpl_int(-1) };
    FND_TRY(fnd_tpl_bind(r, what, args, names, 0, v));
    if (v[0].kind != TPL_NONE) FND_TRY(fnd_tpl_need_str(r, what, &v[0]));
    if (v[0].kind == TPL_STR && v[0].str->bytes == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the separator of %s is empty", what);
    *separator = v[0];
    return fnd_tpl_need_int(r, what, &v[1], limit);
}

TPL_FUNCTION(fnd_tpl_str_split) {
    tpl_value separator;
    int64_t limit;
    pieces p = { 0 };
    tpl_str s = *self->str;
    FND_TRY(split_arguments(r, "split()", args, &separator, &limit));
    FND_TRY(fnd_tpl_step(r, s.bytes / 16));
    if (separator.kind == TPL_NONE) {
        FND_TRY(split_spaces(r, s, limit, &p));
        return to_list(r, &p, false, out);
    }
    for (const char *at; (limit < 0 || (int64_t)p.count < limit) && (at = fnd_tpl_find_first(s, *separator.str));) {
        size_t before = (size_t)(at - s.data), after = before + separator.str->bytes;
        FND_TRY(add_piece(r, &p, fnd_tpl_slice_str(s, 0, before)));
        s = fnd_tpl_slice_str(s, after, s.bytes - after);
    }
    FND_TRY(add_piece(r, &p, s));
    return to_list(r, &p, false, out);
}

/* As split, but from the right. */
TPL_FUNCTION(fnd_tpl_str_rsplit) {
    tpl_value separator;
    int64_t limit;
    pieces p = { 0 };
    tpl_str s = *self->str;
    FND_TRY(split_arguments(r, "rsplit()", args, &separator, &limit));
    if (limit < 0 && separator.kind == TPL_NONE) return fnd_tpl_str_split(r, self, args, out);
    if (limit < 0) limit = INT64_MAX;
    FND_TRY(fnd_tpl_step(r, s.bytes / 16));
    if (separator.kind == TPL_NONE) {
        FND_TRY(rsplit_spaces(r, s, limit, &p));
        return to_list(r, &p, true, out);
    }
    while ((int64_t)p.count < limit) {
        size_t at;
        FND_TRY(fnd_tpl_find_last(r, s, *separator.str, &at));
        if (at == SIZE_MAX) break;
        size_t after = at + separator.str->bytes;
        FND_TRY(add_piece(r, &p, fnd_tpl_slice_str(s, after, s.bytes - after)));
        s = fnd_tpl_slice_str(s, 0, at);
    }
    FND_TRY(add_piece(r, &p, s));
    return to_list(r, &p, true, out);
}

/* ---- lines ---- */

/* What ends lines for Python's splitlines(). */
static bool ends_line(uint32_t c) { return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029; }

fnd_status fnd_tpl_split_lines(tpl_run *r, const tpl_str *of, bool keep_ends, tpl_value *out) {
    pieces p = { 0 };
    tpl_str s = *of;
    FND_TRY(fnd_tpl_step(r, s.bytes / 16));
    while (s.bytes) {
        size_t end = 0, length = 0;
        while (end < s.bytes && !length) {
            tpl_str c = fnd_tpl_char_at(s, end);
            if (ends_line(fnd_tpl_code(c))) {
                length = c.data[0] == '\r' && end + 1 < s.bytes && s.data[end + 1] == '\n' ? 2 : c.bytes;
            } else {
                end += c.bytes;
            }
        }
        FND_TRY(add_piece(r, &p, fnd_tpl_slice_str(s, 0, keep_ends ? end + length : end)));
        s = fnd_tpl_slice_str(s, end + length, s.bytes - end - length);
    }
    return to_list(r, &p, false, out);
}

TPL_FUNCTION(fnd_tpl_str_splitlines) {
    static const char *const names[] = { "keepends", NULL };
    tpl_value keep = fnd_tpl_bool(false);
    FND_TRY(fnd_tpl_bind(r, "splitlines()", args, names, 0, &keep));
    return fnd_tpl_split_lines(r, self->str, fnd_tpl_truth(&keep), out);
}

/* ---- partition ---- */

static fnd_status partition(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, bool last, tpl_value *out) {
    static const char *const names[] = { "sep", NULL };
    tpl_value v;
    tpl_str s = *self->str, empty = fnd_tpl_slice_str(s, 0, 0), parts[3] = { s, empty, empty };
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, &v));
    FND_TRY(fnd_tpl_need_str(r, what, &v));
    if (v.str->bytes == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the separator of %s is empty", what);
    FND_TRY(fnd_tpl_step(r, s.bytes / 64));
    const char *first = last ? NULL : fnd_tpl_find_first(s, *v.str);
    size_t at = first ? (size_t)(first - s.data) : SIZE_MAX;
    if (last) FND_TRY(fnd_tpl_find_last(r, s, *v.str, &at));
    if (at != SIZE_MAX) {
        parts[0] = fnd_tpl_slice_str(s, 0, at);
        parts[1] = fnd_tpl_slice_str(s, at, v.str->bytes); /* whose text it is, s knows */
        parts[2] = fnd_tpl_slice_str(s, at + v.str->bytes, s.bytes - at - v.str->bytes);
    } else if (last) {
        parts[0] = empty;
        parts[2] = s;
    }
    FND_TRY(fnd_tpl_new_list(r, 3, TPL_TUPLE, out));
    for (int i = 0; i < 3; i++) FND_TRY(fnd_tpl_new_str(r, parts[i], &out->list->items[i]));
    return FND_OK;
}

TPL_FUNCTION(fnd_tpl_str_partition) { return partition(r, "partition()", self, args, false, out); }
TPL_FUNCTION(fnd_tpl_str_rpartition) { return partition(r, "rpartition()", self, args, true, out); }
