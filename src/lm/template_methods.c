/* template_methods.c - the methods of strings, lists, dicts and loops. None changes its object. */
#define _GNU_SOURCE /* memmem */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode.h"

/* ---- strings ---- */

/* Is the character at s[i..] one of the set (NULL: white space)? */
static bool in_set(tpl_str s, size_t i, size_t n, const tpl_str *set) {
    if (!set) return fnd_utf8_char(s.data + i, n) == n && fnd_tpl_is_space(fnd_utf8_code(s.data + i));
    for (size_t k = 0; k < set->bytes;) {
        size_t m = fnd_utf8_char(set->data + k, set->bytes - k);
        m = m ? m : 1;
        if (m == n && memcmp(set->data + k, s.data + i, n) == 0) return true;
        k += m;
    }
    return false;
}

tpl_str fnd_tpl_strip(tpl_str s, const tpl_str *set, bool left, bool right) {
    size_t start = 0, end = 0, at = 0;
    bool leading = left;
    while (at < s.bytes) {
        size_t n = fnd_utf8_char(s.data + at, s.bytes - at);
        n = n ? n : 1;
        bool in = in_set(s, at, n, set);
        if (!in) leading = false;
        if (!leading && !right) {
            end = s.bytes;
            break;
        }
        at += n;
        if (leading) start = at;
        if (!in || !right) end = at;
    }
    return fnd_tpl_slice_str(s, start, end > start ? end - start : 0);
}

static fnd_status strip(tpl_run *r, const tpl_value *self, const tpl_args *args, bool left, bool right, tpl_value *out) {
    static const char *const names[] = { "chars", NULL };
    tpl_value chars = { .kind = TPL_NONE };
    FND_TRY(fnd_tpl_bind(r, "strip()", args, names, 0, &chars));
    if (chars.kind != TPL_NONE) FND_TRY(fnd_tpl_need_str(r, "strip()", &chars));
    const tpl_str *set = chars.kind == TPL_STR ? chars.str : NULL;
    FND_TRY(fnd_tpl_step(r, (self->str->bytes / 64 + 1) * (set ? set->bytes + 1 : 1)));
    return fnd_tpl_new_str(r, fnd_tpl_strip(*self->str, set, left, right), out);
}

#define METHOD(id) static fnd_status id(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out)

METHOD(str_strip) { return strip(r, self, args, true, true, out); }
METHOD(str_lstrip) { return strip(r, self, args, true, false, out); }
METHOD(str_rstrip) { return strip(r, self, args, false, true, out); }

/* upper, lower, title (every word), capitalize (the first letter). */
METHOD(str_upper) { return fnd_tpl_filter(r, "upper", 5, self, args, out); }
METHOD(str_lower) { return fnd_tpl_filter(r, "lower", 5, self, args, out); }
METHOD(str_capitalize) { return fnd_tpl_filter(r, "capitalize", 10, self, args, out); }

METHOD(str_title) {
    tpl_builder text = { 0 };
    bool inside = false;
    FND_TRY(fnd_tpl_bind(r, "title()", args, (const char *const[]){ NULL }, 0, NULL));
    FND_TRY(fnd_tpl_step(r, self->str->bytes / 16));
    for (size_t i = 0; i < self->str->bytes;) {
        size_t n = fnd_utf8_char(self->str->data + i, self->str->bytes - i);
        tpl_str original = fnd_tpl_slice_str(*self->str, i, n ? n : 1);
        char letter[4];
        uint32_t c = n ? fnd_utf8_code(original.data) : 0;
        bool cased = fnd_unicode_upper(c) != fnd_unicode_lower(c);
        size_t m = cased ? fnd_utf8_put(inside ? fnd_unicode_lower(c) : fnd_unicode_upper(c), letter) : original.bytes;
        fnd_tpl_add(r, &text, cased ? letter : original.data, m, NULL, original.marks ? original.marks[0] : original.mark);
        inside = cased;
        i += original.bytes;
    }
    return fnd_tpl_built(r, &text, out);
}

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

static fnd_status pieces_to_list(tpl_run *r, const pieces *p, tpl_value *out) {
    FND_TRY(fnd_tpl_new_list(r, p->count, TPL_LIST, out));
    if (p->count) memcpy(out->list->items, p->items, p->count * sizeof *p->items);
    return FND_OK;
}

/* At runs of white space; limit < 0: everywhere. */
static fnd_status split_spaces(tpl_run *r, tpl_str s, int64_t limit, pieces *p) {
    s = fnd_tpl_strip(s, NULL, true, limit < 0);
    while (s.bytes) {
        size_t end = 0;
        while (end < s.bytes) {
            size_t n = fnd_utf8_char(s.data + end, s.bytes - end);
            n = n ? n : 1;
            if (in_set(s, end, n, NULL)) break;
            end += n;
        }
        if (limit >= 0 && (int64_t)p->count >= limit) end = s.bytes;
        tpl_str piece = fnd_tpl_slice_str(s, 0, end);
        FND_TRY(add_piece(r, p, limit >= 0 && end == s.bytes ? fnd_tpl_strip(piece, NULL, false, true) : piece));
        s = fnd_tpl_strip(fnd_tpl_slice_str(s, end, s.bytes - end), NULL, true, false);
    }
    return FND_OK;
}

/* Searching backwards may compare `what` at every place. */
static uint64_t search_steps(size_t bytes, size_t what_bytes) { return bytes / 16 * (1 + what_bytes / 16); }

static const char *find_last(tpl_str s, tpl_str what) {
    for (size_t i = s.bytes >= what.bytes ? s.bytes - what.bytes + 1 : 0; i-- > 0;) {
        if (memcmp(s.data + i, what.data, what.bytes) == 0) return s.data + i;
    }
    return NULL;
}

static fnd_status split_arguments(tpl_run *r, const char *what, const tpl_args *args, tpl_value *separator, int64_t *limit) {
    static const char *const names[] = { "sep", "maxsplit", NULL };
    tpl_value v[2] = { { .kind = TPL_NONE }, fnd_tpl_int(-1) };
    FND_TRY(fnd_tpl_bind(r, what, args, names, 0, v));
    if (v[0].kind != TPL_NONE) FND_TRY(fnd_tpl_need_str(r, what, &v[0]));
    if (v[0].kind == TPL_STR && v[0].str->bytes == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the separator of %s is empty", what);
    if (v[1].kind != TPL_INT) return fnd_tpl_fail(r, FND_ERR_TYPE, "%s needs an integer as its limit", what);
    *separator = v[0];
    *limit = v[1].integer;
    return FND_OK;
}

METHOD(str_split) {
    tpl_value separator;
    int64_t limit;
    pieces p = { 0 };
    tpl_str s = *self->str;
    FND_TRY(split_arguments(r, "split()", args, &separator, &limit));
    FND_TRY(fnd_tpl_step(r, s.bytes / 16));
    if (separator.kind == TPL_NONE) {
        FND_TRY(split_spaces(r, s, limit, &p));
        return pieces_to_list(r, &p, out);
    }
    for (const char *at; (limit < 0 || (int64_t)p.count < limit) && (at = memmem(s.data, s.bytes, separator.str->data, separator.str->bytes));) {
        size_t before = (size_t)(at - s.data), after = before + separator.str->bytes;
        FND_TRY(add_piece(r, &p, fnd_tpl_slice_str(s, 0, before)));
        s = fnd_tpl_slice_str(s, after, s.bytes - after);
    }
    FND_TRY(add_piece(r, &p, s));
    return pieces_to_list(r, &p, out);
}

/* As split, but a limit counts from the right. */
METHOD(str_rsplit) {
    tpl_value separator;
    int64_t limit;
    pieces p = { 0 };
    tpl_str s = *self->str;
    FND_TRY(split_arguments(r, "rsplit()", args, &separator, &limit));
    if (limit < 0) return str_split(r, self, args, out);
    if (separator.kind == TPL_NONE) return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "rsplit() with a limit needs a separator here");
    for (const char *at; (int64_t)p.count < limit && (at = find_last(s, *separator.str));) {
        size_t before = (size_t)(at - s.data), after = before + separator.str->bytes;
        FND_TRY(fnd_tpl_step(r, search_steps(s.bytes - before, separator.str->bytes)));
        FND_TRY(add_piece(r, &p, fnd_tpl_slice_str(s, after, s.bytes - after)));
        s = fnd_tpl_slice_str(s, 0, before);
    }
    FND_TRY(add_piece(r, &p, s));
    for (size_t i = 0; i < p.count / 2; i++) {
        tpl_value swap = p.items[i];
        p.items[i] = p.items[p.count - 1 - i];
        p.items[p.count - 1 - i] = swap;
    }
    return pieces_to_list(r, &p, out);
}

METHOD(str_splitlines) {
    pieces p = { 0 };
    tpl_str s = *self->str;
    FND_TRY(fnd_tpl_bind(r, "splitlines()", args, (const char *const[]){ NULL }, 0, NULL));
    while (s.bytes) {
        size_t end = 0;
        while (end < s.bytes && s.data[end] != '\n' && s.data[end] != '\r') end++;
        FND_TRY(add_piece(r, &p, fnd_tpl_slice_str(s, 0, end)));
        FND_TRY(fnd_tpl_step(r, end / 64));
        if (end < s.bytes) end += s.data[end] == '\r' && end + 1 < s.bytes && s.data[end + 1] == '\n' ? 2 : 1;
        s = fnd_tpl_slice_str(s, end, s.bytes - end);
    }
    return pieces_to_list(r, &p, out);
}

static bool has_affix(const tpl_str *s, const tpl_str *affix, bool end) {
    return s->bytes >= affix->bytes && memcmp(s->data + (end ? s->bytes - affix->bytes : 0), affix->data, affix->bytes) == 0;
}

/* One string, or any of a tuple of them. */
static fnd_status affix(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, bool end, tpl_value *out) {
    static const char *const names[] = { "prefix", NULL };
    tpl_value v;
    bool found = false;
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, &v));
    if (v.kind == TPL_TUPLE) {
        for (size_t i = 0; i < v.list->count && !found; i++) {
            FND_TRY(fnd_tpl_need_str(r, what, &v.list->items[i]));
            found = has_affix(self->str, v.list->items[i].str, end);
        }
    } else {
        FND_TRY(fnd_tpl_need_str(r, what, &v));
        found = has_affix(self->str, v.str, end);
    }
    *out = fnd_tpl_bool(found);
    return FND_OK;
}

METHOD(str_startswith) { return affix(r, "startswith()", self, args, false, out); }
METHOD(str_endswith) { return affix(r, "endswith()", self, args, true, out); }

static fnd_status remove_affix(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, bool end, tpl_value *out) {
    static const char *const names[] = { "affix", NULL };
    tpl_value v;
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, &v));
    FND_TRY(fnd_tpl_need_str(r, what, &v));
    size_t bytes = has_affix(self->str, v.str, end) ? v.str->bytes : 0;
    return fnd_tpl_new_str(r, fnd_tpl_slice_str(*self->str, end ? 0 : bytes, self->str->bytes - bytes), out);
}

METHOD(str_removeprefix) { return remove_affix(r, "removeprefix()", self, args, false, out); }
METHOD(str_removesuffix) { return remove_affix(r, "removesuffix()", self, args, true, out); }
METHOD(str_replace) { return fnd_tpl_filter(r, "replace", 7, self, args, out); }

static fnd_status find(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, bool last, tpl_value *out) {
    static const char *const names[] = { "sub", NULL };
    tpl_value v;
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, &v));
    FND_TRY(fnd_tpl_need_str(r, what, &v));
    FND_TRY(fnd_tpl_step(r, search_steps(self->str->bytes, v.str->bytes)));
    const char *at = last ? find_last(*self->str, *v.str) : memmem(self->str->data, self->str->bytes, v.str->data, v.str->bytes);
    tpl_str before = { .data = self->str->data, .bytes = at ? (size_t)(at - self->str->data) : 0 };
    size_t characters = 0;
    FND_TRY(fnd_tpl_length(r, &(tpl_value){ .kind = TPL_STR, .str = &before }, &characters));
    *out = fnd_tpl_int(at ? (int64_t)characters : -1);
    return FND_OK;
}

METHOD(str_find) { return find(r, "find()", self, args, false, out); }
METHOD(str_rfind) { return find(r, "rfind()", self, args, true, out); }

METHOD(str_count) {
    static const char *const names[] = { "sub", NULL };
    tpl_value v;
    int64_t count = 0;
    tpl_str s = *self->str;
    FND_TRY(fnd_tpl_bind(r, "count()", args, names, 1, &v));
    FND_TRY(fnd_tpl_need_str(r, "count()", &v));
    if (v.str->bytes == 0) return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "count() of an empty string is not supported");
    FND_TRY(fnd_tpl_step(r, s.bytes / 16));
    for (const char *at; (at = memmem(s.data, s.bytes, v.str->data, v.str->bytes)); count++) {
        size_t after = (size_t)(at - s.data) + v.str->bytes;
        s = fnd_tpl_slice_str(s, after, s.bytes - after);
    }
    *out = fnd_tpl_int(count);
    return FND_OK;
}

/* "sep".join(list) */
METHOD(str_join) {
    static const char *const names[] = { "iterable", NULL };
    tpl_value v;
    tpl_list items;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "join()", args, names, 1, &v));
    FND_TRY(fnd_tpl_items(r, &v, &items));
    for (size_t i = 0; i < items.count; i++) {
        FND_TRY(fnd_tpl_need_str(r, "join()", &items.items[i]));
        FND_TRY(fnd_tpl_step(r, 1));
        if (i) fnd_tpl_add_str(r, &text, *self->str);
        fnd_tpl_add_str(r, &text, *items.items[i].str);
    }
    return fnd_tpl_built(r, &text, out);
}

METHOD(str_isspace) {
    FND_TRY(fnd_tpl_bind(r, "isspace()", args, (const char *const[]){ NULL }, 0, NULL));
    *out = fnd_tpl_bool(self->str->bytes && fnd_tpl_strip(*self->str, NULL, true, true).bytes == 0);
    return FND_OK;
}

METHOD(str_isdigit) {
    bool all = self->str->bytes > 0;
    FND_TRY(fnd_tpl_bind(r, "isdigit()", args, (const char *const[]){ NULL }, 0, NULL));
    for (size_t i = 0; i < self->str->bytes; i++) all = all && self->str->data[i] >= '0' && self->str->data[i] <= '9';
    *out = fnd_tpl_bool(all);
    return FND_OK;
}

METHOD(str_isupper) {
    bool result = false;
    FND_TRY(fnd_tpl_test(r, "upper", 5, self, args, &result));
    *out = fnd_tpl_bool(result);
    return FND_OK;
}

METHOD(str_islower) {
    bool result = false;
    FND_TRY(fnd_tpl_test(r, "lower", 5, self, args, &result));
    *out = fnd_tpl_bool(result);
    return FND_OK;
}

/* ---- lists, dicts, loops ---- */

METHOD(list_count) {
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

METHOD(list_index) {
    static const char *const names[] = { "value", NULL };
    tpl_value v;
    FND_TRY(fnd_tpl_bind(r, "index()", args, names, 1, &v));
    for (size_t i = 0; i < self->list->count; i++) {
        bool equal = false;
        FND_TRY(fnd_tpl_equal(r, &self->list->items[i], &v, &equal));
        FND_TRY(fnd_tpl_step(r, 1));
        *out = fnd_tpl_int((int64_t)i);
        if (equal) return FND_OK;
    }
    return fnd_tpl_fail(r, FND_ERR_FORMAT, "index() of a value that is not in the list");
}

METHOD(dict_items) {
    FND_TRY(fnd_tpl_bind(r, "items()", args, (const char *const[]){ NULL }, 0, NULL));
    FND_TRY(fnd_tpl_step(r, self->dict->count));
    FND_TRY(fnd_tpl_new_list(r, self->dict->count, TPL_LIST, out));
    for (size_t i = 0; i < self->dict->count; i++) {
        tpl_value pair;
        FND_TRY(fnd_tpl_new_list(r, 2, TPL_TUPLE, &pair));
        pair.list->items[0] = self->dict->keys[i];
        pair.list->items[1] = self->dict->values[i];
        out->list->items[i] = pair;
    }
    return FND_OK;
}

static fnd_status copy_list(tpl_run *r, const tpl_value *items, size_t count, tpl_value *out) {
    FND_TRY(fnd_tpl_step(r, count));
    FND_TRY(fnd_tpl_new_list(r, count, TPL_LIST, out));
    if (count) memcpy(out->list->items, items, count * sizeof *items);
    return FND_OK;
}

METHOD(dict_keys) {
    FND_TRY(fnd_tpl_bind(r, "keys()", args, (const char *const[]){ NULL }, 0, NULL));
    return copy_list(r, self->dict->keys, self->dict->count, out);
}

METHOD(dict_values) {
    FND_TRY(fnd_tpl_bind(r, "values()", args, (const char *const[]){ NULL }, 0, NULL));
    return copy_list(r, self->dict->values, self->dict->count, out);
}

METHOD(dict_get) {
    static const char *const names[] = { "key", "default", NULL };
    tpl_value v[2] = { { 0 }, { .kind = TPL_NONE } }, *there;
    FND_TRY(fnd_tpl_bind(r, "get()", args, names, 1, v));
    FND_TRY(fnd_tpl_dict_get(r, self->dict, &v[0], &there));
    *out = there ? *there : v[1];
    return FND_OK;
}

METHOD(loop_cycle) {
    if (args->count == 0 || args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "cycle() takes one or more values");
    *out = args->items[self->loop->index % args->count];
    return FND_OK;
}

METHOD(loop_changed) {
    tpl_value now;
    bool same = false;
    FND_TRY(copy_list(r, args->items, args->count, &now));
    if (self->loop->has_changed) FND_TRY(fnd_tpl_equal(r, &now, &self->loop->changed, &same));
    self->loop->changed = now;
    self->loop->has_changed = true;
    *out = fnd_tpl_bool(!same);
    return FND_OK;
}

tpl_function *fnd_tpl_find_method(const tpl_value *self, const char *name, size_t bytes) {
    static const struct {
        tpl_kind kind;
        const char *name;
        tpl_function *function;
    } methods[] = {
        { TPL_STR, "strip", str_strip },
        { TPL_STR, "lstrip", str_lstrip },
        { TPL_STR, "rstrip", str_rstrip },
        { TPL_STR, "upper", str_upper },
        { TPL_STR, "lower", str_lower },
        { TPL_STR, "title", str_title },
        { TPL_STR, "capitalize", str_capitalize },
        { TPL_STR, "split", str_split },
        { TPL_STR, "rsplit", str_rsplit },
        { TPL_STR, "splitlines", str_splitlines },
        { TPL_STR, "startswith", str_startswith },
        { TPL_STR, "endswith", str_endswith },
        { TPL_STR, "removeprefix", str_removeprefix },
        { TPL_STR, "removesuffix", str_removesuffix },
        { TPL_STR, "replace", str_replace },
        { TPL_STR, "find", str_find },
        { TPL_STR, "rfind", str_rfind },
        { TPL_STR, "count", str_count },
        { TPL_STR, "join", str_join },
        { TPL_STR, "isspace", str_isspace },
        { TPL_STR, "isdigit", str_isdigit },
        { TPL_STR, "isupper", str_isupper },
        { TPL_STR, "islower", str_islower },
        { TPL_LIST, "count", list_count },
        { TPL_LIST, "index", list_index },
        { TPL_DICT, "items", dict_items },
        { TPL_DICT, "keys", dict_keys },
        { TPL_DICT, "values", dict_values },
        { TPL_DICT, "get", dict_get },
        { TPL_LOOP, "cycle", loop_cycle },
        { TPL_LOOP, "changed", loop_changed },
    };
    tpl_kind kind = self->kind == TPL_TUPLE ? TPL_LIST : self->kind;
    for (size_t i = 0; i < FND_COUNT(methods); i++) {
        if (methods[i].kind == kind && strlen(methods[i].name) == bytes && memcmp(methods[i].name, name, bytes) == 0) return methods[i].function;
    }
    return NULL;
}
