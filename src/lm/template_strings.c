/* template_strings.c - the methods of strings, and what filters share with them. None changes its string. */
#define _GNU_SOURCE /* memmem */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode_case.h"

bool fnd_tpl_is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

/* ---- stripping ---- */

/* Is the character one of the set (NULL: white space)? */
static bool in_set(tpl_str c, const tpl_str *set) {
    if (!set) return fnd_tpl_is_space(fnd_tpl_code(c));
    for (size_t i = 0; i < set->bytes;) {
        tpl_str one = fnd_tpl_char_at(*set, i);
        if (one.bytes == c.bytes && memcmp(one.data, c.data, c.bytes) == 0) return true;
        i += one.bytes;
    }
    return false;
}

tpl_str fnd_tpl_strip(tpl_str s, const tpl_str *set, bool left, bool right) {
    size_t start = 0, end = 0, at = 0;
    bool leading = left;
    while (at < s.bytes) {
        tpl_str c = fnd_tpl_char_at(s, at);
        bool in = in_set(c, set);
        if (!in) leading = false;
        if (!leading && !right) {
            end = s.bytes;
            break;
        }
        at += c.bytes;
        if (leading) start = at;
        if (!in || !right) end = at;
    }
    return fnd_tpl_slice_str(s, start, end > start ? end - start : 0);
}

static fnd_status strip(tpl_run *r, const tpl_value *self, const tpl_args *args, bool left, bool right, tpl_value *out) {
    static const char *const names[] = { "chars", NULL };
    tpl_value chars = fnd_tpl_none();
    FND_TRY(fnd_tpl_bind(r, "strip()", args, names, 0, &chars));
    if (chars.kind != TPL_NONE) FND_TRY(fnd_tpl_need_str(r, "strip()", &chars));
    const tpl_str *set = chars.kind == TPL_STR ? chars.str : NULL;
    FND_TRY(fnd_tpl_step(r, (self->str->bytes / 64 + 1) * (set ? set->bytes + 1 : 1)));
    return fnd_tpl_new_str(r, fnd_tpl_strip(*self->str, set, left, right), out);
}

static TPL_FUNCTION(str_strip) { return strip(r, self, args, true, true, out); }
static TPL_FUNCTION(str_lstrip) { return strip(r, self, args, true, false, out); }
static TPL_FUNCTION(str_rstrip) { return strip(r, self, args, false, true, out); }

/* ---- case ---- */

static fnd_status change(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_case how, tpl_value *out) {
    FND_TRY(fnd_tpl_no_args(r, "this method", args));
    return fnd_tpl_change_case(r, self, how, out);
}
static TPL_FUNCTION(str_upper) { return change(r, self, args, TPL_UPPER, out); }
static TPL_FUNCTION(str_lower) { return change(r, self, args, TPL_LOWER, out); }
static TPL_FUNCTION(str_capitalize) { return change(r, self, args, TPL_CAPITALIZE, out); }
static TPL_FUNCTION(str_title) { return change(r, self, args, TPL_TITLE, out); }
static TPL_FUNCTION(str_swapcase) { return change(r, self, args, TPL_SWAP, out); }
static TPL_FUNCTION(str_casefold) { return change(r, self, args, TPL_FOLD, out); }

/* ---- width ---- */

fnd_status fnd_tpl_center(tpl_run *r, const tpl_str *s, int64_t width, tpl_str fill, int align, tpl_value *out) {
    tpl_builder text = { 0 };
    int64_t length = (int64_t)fnd_tpl_count_chars(*s), room = width > length ? width - length : 0;
    if (width > TPL_OUTPUT_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "a width of %lld is more than the %d allowed", (long long)width, TPL_OUTPUT_LIMIT);
    FND_TRY(fnd_tpl_step(r, 1 + (uint64_t)room / 4));
    int64_t left = align < 0 ? 0 : align > 0 ? room
                                             : room / 2 + (room & width & 1);
    fnd_tpl_add_many(r, &text, fill, left);
    fnd_tpl_add_str(r, &text, *s);
    fnd_tpl_add_many(r, &text, fill, room - left);
    return fnd_tpl_built(r, &text, s->markup, out);
}

static fnd_status justify(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, int align, tpl_value *out) {
    static const char *const names[] = { "width", "fillchar", NULL };
    tpl_value v[2];
    int64_t width;
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str(" "), &v[1]));
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, v));
    FND_TRY(fnd_tpl_need_int(r, what, &v[0], &width));
    FND_TRY(fnd_tpl_need_str(r, what, &v[1]));
    if (fnd_tpl_count_chars(*v[1].str) != 1) return fnd_tpl_fail(r, FND_ERR_TYPE, "%s needs one character to fill with", what);
    return fnd_tpl_center(r, self->str, width, *v[1].str, align, out);
}
static TPL_FUNCTION(str_center) { return justify(r, "center()", self, args, 0, out); }
static TPL_FUNCTION(str_ljust) { return justify(r, "ljust()", self, args, -1, out); }
static TPL_FUNCTION(str_rjust) { return justify(r, "rjust()", self, args, 1, out); }

static TPL_FUNCTION(str_zfill) {
    static const char *const names[] = { "width", NULL };
    tpl_value v, zeros;
    int64_t width;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "zfill()", args, names, 1, &v));
    FND_TRY(fnd_tpl_need_int(r, "zfill()", &v, &width));
    size_t sign = self->str->bytes && (self->str->data[0] == '+' || self->str->data[0] == '-');
    tpl_str rest = fnd_tpl_slice_str(*self->str, sign, self->str->bytes - sign);
    FND_TRY(fnd_tpl_center(r, &rest, width > (int64_t)sign ? width - (int64_t)sign : 0, fnd_tpl_const_str("0"), 1, &zeros));
    fnd_tpl_add_str(r, &text, fnd_tpl_slice_str(*self->str, 0, sign));
    fnd_tpl_add_str(r, &text, *zeros.str);
    return fnd_tpl_built(r, &text, self->str->markup, out);
}

static TPL_FUNCTION(str_expandtabs) {
    static const char *const names[] = { "tabsize", NULL };
    tpl_value v = fnd_tpl_int(8);
    int64_t size, column = 0;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "expandtabs()", args, names, 0, &v));
    FND_TRY(fnd_tpl_need_int(r, "expandtabs()", &v, &size));
    if (size > 1000) return fnd_tpl_fail(r, FND_ERR_LIMIT, "expandtabs() by more than 1000");
    FND_TRY(fnd_tpl_step(r, self->str->bytes));
    for (size_t at = 0; at < self->str->bytes;) {
        tpl_str c = fnd_tpl_char_at(*self->str, at);
        at += c.bytes;
        if (c.data[0] == '\t') {
            int64_t blanks = size > 0 ? size - column % size : 0;
            column += blanks;
            fnd_tpl_add_many(r, &text, (tpl_str){ .data = " ", .bytes = 1, .mark = fnd_tpl_mark_of(c) }, blanks);
            continue;
        }
        column = c.data[0] == '\n' || c.data[0] == '\r' ? 0 : column + 1;
        fnd_tpl_add_str(r, &text, c);
    }
    return fnd_tpl_built(r, &text, self->str->markup, out);
}

/* ---- searching ---- */

/* Short texts are looked for by their first byte: where there are many matches, that is less work than to
 * set up a search for each. */
const char *fnd_tpl_find_first(tpl_str s, tpl_str what) {
    if (what.bytes == 0) return s.data;
    if (what.bytes > 16) return memmem(s.data, s.bytes, what.data, what.bytes);
    if (what.bytes > s.bytes) return NULL;
    const char *end = s.data + (s.bytes - what.bytes) + 1;
    for (const char *p = s.data; p < end && (p = memchr(p, what.data[0], (size_t)(end - p))); p++) {
        if (memcmp(p, what.data, what.bytes) == 0) return p;
    }
    return NULL;
}

/* The part of a string that find(sub, start, end) and others look at. *first is its place in characters;
 * false: there is no such part, not even an empty one. */
static fnd_status part_of(tpl_run *r, const char *what, tpl_str s, const tpl_value *start, const tpl_value *end, tpl_str *out, size_t *first, bool *there) {
    int64_t count = (int64_t)fnd_tpl_count_chars(s), from = 0, to = count;
    if (start->kind != TPL_NONE) FND_TRY(fnd_tpl_need_int(r, what, start, &from));
    if (end->kind != TPL_NONE) FND_TRY(fnd_tpl_need_int(r, what, end, &to));
    if (from < 0) from = from < -count ? 0 : from + count;
    if (to < 0) to = to < -count ? 0 : to + count;
    if (to > count) to = count;
    FND_TRY(fnd_tpl_step(r, s.bytes / 64));
    *there = from <= to;
    *first = (size_t)from;
    if (!*there) return FND_OK;
    size_t at = fnd_tpl_offset(s, (size_t)from);
    tpl_str rest = fnd_tpl_slice_str(s, at, s.bytes - at);
    *out = fnd_tpl_slice_str(rest, 0, fnd_tpl_offset(rest, (size_t)(to - from)));
    return FND_OK;
}

fnd_status fnd_tpl_find_last(tpl_run *r, tpl_str s, tpl_str what, size_t *out) {
    uint64_t compared = 0;
    *out = SIZE_MAX;
    for (size_t i = s.bytes >= what.bytes ? s.bytes - what.bytes + 1 : 0; i-- > 0 && *out == SIZE_MAX;) {
        compared++;
        if (what.bytes && s.data[i] != what.data[0]) continue;
        compared += what.bytes;
        if (memcmp(s.data + i, what.data, what.bytes) == 0) *out = i;
        if (compared > (1 << 20)) {
            FND_TRY(fnd_tpl_step(r, compared / 64));
            compared = 0;
        }
    }
    return fnd_tpl_step(r, compared / 64);
}

/* -1 in *out: not found. */
static fnd_status find(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, bool last, int64_t *out) {
    static const char *const names[] = { "sub", "start", "end", NULL };
    tpl_value v[3] = { { 0 }, fnd_tpl_none(), fnd_tpl_none() };
    tpl_str part;
    size_t first;
    bool there;
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, v));
    FND_TRY(fnd_tpl_need_str(r, what, &v[0]));
    FND_TRY(part_of(r, what, *self->str, &v[1], &v[2], &part, &first, &there));
    *out = -1;
    if (!there) return FND_OK;
    size_t at = SIZE_MAX;
    if (last) {
        FND_TRY(fnd_tpl_find_last(r, part, *v[0].str, &at));
    } else {
        const char *found = fnd_tpl_find_first(part, *v[0].str);
        if (found) at = (size_t)(found - part.data);
    }
    if (at != SIZE_MAX) *out = (int64_t)(first + fnd_tpl_count_chars(fnd_tpl_slice_str(part, 0, at)));
    return FND_OK;
}

static fnd_status find_or_fail(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, bool last, bool must, tpl_value *out) {
    int64_t at;
    FND_TRY(find(r, what, self, args, last, &at));
    if (at < 0 && must) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s of a text that is not in the string", what);
    *out = fnd_tpl_int(at);
    return FND_OK;
}
static TPL_FUNCTION(str_find) { return find_or_fail(r, "find()", self, args, false, false, out); }
static TPL_FUNCTION(str_rfind) { return find_or_fail(r, "rfind()", self, args, true, false, out); }
static TPL_FUNCTION(str_index) { return find_or_fail(r, "index()", self, args, false, true, out); }
static TPL_FUNCTION(str_rindex) { return find_or_fail(r, "rindex()", self, args, true, true, out); }

static TPL_FUNCTION(str_count) {
    static const char *const names[] = { "sub", "start", "end", NULL };
    tpl_value v[3] = { { 0 }, fnd_tpl_none(), fnd_tpl_none() };
    tpl_str part;
    size_t first, count = 0;
    bool there;
    FND_TRY(fnd_tpl_bind(r, "count()", args, names, 1, v));
    FND_TRY(fnd_tpl_need_str(r, "count()", &v[0]));
    FND_TRY(part_of(r, "count()", *self->str, &v[1], &v[2], &part, &first, &there));
    if (there && v[0].str->bytes == 0) count = fnd_tpl_count_chars(part) + 1;
    for (const char *at; there && v[0].str->bytes && (at = fnd_tpl_find_first(part, *v[0].str)); count++) {
        size_t after = (size_t)(at - part.data) + v[0].str->bytes;
        part = fnd_tpl_slice_str(part, after, part.bytes - after);
    }
    *out = fnd_tpl_int((int64_t)count);
    return FND_OK;
}

static bool has_affix(const tpl_str *s, const tpl_str *affix, bool end) {
    return s->bytes >= affix->bytes && memcmp(s->data + (end ? s->bytes - affix->bytes : 0), affix->data, affix->bytes) == 0;
}

/* One string, or any of a tuple of them. */
static fnd_status affix(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, bool end, tpl_value *out) {
    static const char *const names[] = { "prefix", "start", "end", NULL };
    tpl_value v[3] = { { 0 }, fnd_tpl_none(), fnd_tpl_none() };
    tpl_str part;
    size_t first;
    bool there, found = false;
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, v));
    FND_TRY(part_of(r, what, *self->str, &v[1], &v[2], &part, &first, &there));
    tpl_list one = { .items = v, .count = 1 }, *choices = v[0].kind == TPL_TUPLE ? v[0].list : &one;
    for (size_t i = 0; i < choices->count && !found; i++) {
        FND_TRY(fnd_tpl_need_str(r, what, &choices->items[i]));
        found = there && has_affix(&part, choices->items[i].str, end);
    }
    *out = fnd_tpl_bool(found);
    return FND_OK;
}
static TPL_FUNCTION(str_startswith) { return affix(r, "startswith()", self, args, false, out); }
static TPL_FUNCTION(str_endswith) { return affix(r, "endswith()", self, args, true, out); }

static fnd_status remove_affix(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, bool end, tpl_value *out) {
    static const char *const names[] = { "affix", NULL };
    tpl_value v;
    FND_TRY(fnd_tpl_bind(r, what, args, names, 1, &v));
    FND_TRY(fnd_tpl_need_str(r, what, &v));
    size_t bytes = has_affix(self->str, v.str, end) ? v.str->bytes : 0;
    return fnd_tpl_new_str(r, fnd_tpl_slice_str(*self->str, end ? 0 : bytes, self->str->bytes - bytes), out);
}
static TPL_FUNCTION(str_removeprefix) { return remove_affix(r, "removeprefix()", self, args, false, out); }
static TPL_FUNCTION(str_removesuffix) { return remove_affix(r, "removesuffix()", self, args, true, out); }

/* With an empty `old`, `new` goes before every character and at the end. */
static void replace_empty(tpl_run *r, tpl_builder *text, tpl_str s, const tpl_str *by, int64_t count) {
    for (size_t at = 0; at <= s.bytes && !r->failed;) {
        if (count != 0) fnd_tpl_add_str(r, text, *by);
        if (count > 0) count--;
        if (at == s.bytes) break;
        tpl_str c = fnd_tpl_char_at(s, at);
        fnd_tpl_add_str(r, text, c);
        at += c.bytes;
    }
}

fnd_status fnd_tpl_replace(tpl_run *r, const tpl_str *of, const tpl_str *old, const tpl_str *by, int64_t count, tpl_value *out) {
    tpl_builder text = { 0 };
    tpl_str s = *of;
    FND_TRY(fnd_tpl_step(r, s.bytes / 64 + (old->bytes ? 0 : s.bytes)));
    if (old->bytes == 0) {
        replace_empty(r, &text, s, by, count);
        return fnd_tpl_built(r, &text, of->markup, out);
    }
    for (const char *at; count != 0 && (at = fnd_tpl_find_first(s, *old)); count--) {
        size_t before = (size_t)(at - s.data), after = before + old->bytes;
        fnd_tpl_add_str(r, &text, fnd_tpl_slice_str(s, 0, before));
        fnd_tpl_add_str(r, &text, *by);
        s = fnd_tpl_slice_str(s, after, s.bytes - after);
        FND_TRY(fnd_tpl_step(r, 1));
    }
    fnd_tpl_add_str(r, &text, s);
    return fnd_tpl_built(r, &text, of->markup, out);
}

static TPL_FUNCTION(str_replace) {
    static const char *const names[] = { "old", "new", "count", NULL };
    tpl_value a[3] = { { 0 }, { 0 }, fnd_tpl_int(-1) }, by;
    int64_t count;
    FND_TRY(fnd_tpl_bind(r, "replace", args, names, 2, a));
    FND_TRY(fnd_tpl_need_str(r, "replace", &a[0]));
    FND_TRY(fnd_tpl_need_str(r, "replace", &a[1]));
    FND_TRY(fnd_tpl_need_int(r, "replace", &a[2], &count));
    by = a[1];
    if (self->str->markup) {
        tpl_builder escaped = { 0 };
        fnd_tpl_add_escaped(r, &escaped, *a[1].str);
        FND_TRY(fnd_tpl_built(r, &escaped, true, &by));
    }
    return fnd_tpl_replace(r, self->str, a[0].str, by.str, count, out);
}

/* "sep".join(list) */
static TPL_FUNCTION(str_join) {
    static const char *const names[] = { "iterable", NULL };
    tpl_value v;
    tpl_list items;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "join()", args, names, 1, &v));
    FND_TRY(fnd_tpl_items(r, &v, &items));
    for (size_t i = 0; i < items.count; i++) {
        tpl_value item = items.items[i];
        if (self->str->markup) FND_TRY(fnd_tpl_to_str(r, &items.items[i], &item));
        FND_TRY(fnd_tpl_need_str(r, "join()", &item));
        FND_TRY(fnd_tpl_step(r, 1));
        if (i) fnd_tpl_add_str(r, &text, *self->str);
        if (self->str->markup) {
            fnd_tpl_add_escaped(r, &text, *item.str);
        } else {
            fnd_tpl_add_str(r, &text, *item.str);
        }
    }
    return fnd_tpl_built(r, &text, self->str->markup, out);
}

/* ---- kinds of characters ---- */

static bool is_alnum(uint32_t c) { return fnd_unicode_is_alpha(c) || fnd_unicode_is_numeric(c) || fnd_unicode_is_digit(c); }
static bool is_ascii(uint32_t c) { return c < 0x80; }

/* Is every character of this kind? */
static fnd_status all_are(tpl_run *r, const tpl_value *self, const tpl_args *args, bool (*is)(uint32_t), bool empty, tpl_value *out) {
    bool all = empty || self->str->bytes > 0;
    FND_TRY(fnd_tpl_no_args(r, "this method", args));
    FND_TRY(fnd_tpl_step(r, self->str->bytes / 16));
    for (size_t at = 0; all && at < self->str->bytes;) {
        tpl_str c = fnd_tpl_char_at(*self->str, at);
        all = is(fnd_tpl_code(c));
        at += c.bytes;
    }
    *out = fnd_tpl_bool(all);
    return FND_OK;
}
static TPL_FUNCTION(str_isspace) { return all_are(r, self, args, fnd_tpl_is_space, false, out); }
static TPL_FUNCTION(str_isdigit) { return all_are(r, self, args, fnd_unicode_is_digit, false, out); }
static TPL_FUNCTION(str_isdecimal) { return all_are(r, self, args, fnd_unicode_is_decimal, false, out); }
static TPL_FUNCTION(str_isnumeric) { return all_are(r, self, args, fnd_unicode_is_numeric, false, out); }
static TPL_FUNCTION(str_isalpha) { return all_are(r, self, args, fnd_unicode_is_alpha, false, out); }
static TPL_FUNCTION(str_isalnum) { return all_are(r, self, args, is_alnum, false, out); }
static TPL_FUNCTION(str_isascii) { return all_are(r, self, args, is_ascii, true, out); }
static TPL_FUNCTION(str_isprintable) { return all_are(r, self, args, fnd_unicode_is_printable, true, out); }

static TPL_FUNCTION(str_isidentifier) {
    FND_TRY(all_are(r, self, args, fnd_unicode_is_word, false, out));
    if (out->flag) out->flag = !fnd_unicode_is_numeric(fnd_tpl_code(fnd_tpl_char_at(*self->str, 0)));
    return FND_OK;
}

static TPL_FUNCTION(str_isupper) {
    FND_TRY(fnd_tpl_no_args(r, "isupper()", args));
    FND_TRY(fnd_tpl_step(r, self->str->bytes / 16));
    *out = fnd_tpl_bool(fnd_tpl_in_case(*self->str, true));
    return FND_OK;
}

static TPL_FUNCTION(str_islower) {
    FND_TRY(fnd_tpl_no_args(r, "islower()", args));
    FND_TRY(fnd_tpl_step(r, self->str->bytes / 16));
    *out = fnd_tpl_bool(fnd_tpl_in_case(*self->str, false));
    return FND_OK;
}

/* Large letters only behind what is no letter, small ones only behind letters. */
static TPL_FUNCTION(str_istitle) {
    bool letters = false, inside = false, is = true;
    FND_TRY(fnd_tpl_no_args(r, "istitle()", args));
    FND_TRY(fnd_tpl_step(r, self->str->bytes / 16));
    for (size_t at = 0; is && at < self->str->bytes;) {
        tpl_str c = fnd_tpl_char_at(*self->str, at);
        uint32_t code = fnd_tpl_code(c);
        bool large = fnd_unicode_is_upper(code) || fnd_unicode_is_title(code), small = fnd_unicode_is_lower(code);
        if ((large && inside) || (small && !inside)) is = false;
        inside = large || small;
        letters = letters || inside;
        at += c.bytes;
    }
    *out = fnd_tpl_bool(is && letters);
    return FND_OK;
}

static TPL_FUNCTION(str_unsupported) {
    (void)self, (void)args, (void)out;
    return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "encode(), maketrans() and translate() are not supported: templates have no bytes here");
}

tpl_function *fnd_tpl_find_string_method(const char *name, size_t bytes) {
    static const tpl_named methods[] = {
        { "capitalize", str_capitalize },
        { "casefold", str_casefold },
        { "center", str_center },
        { "count", str_count },
        { "encode", str_unsupported },
        { "endswith", str_endswith },
        { "expandtabs", str_expandtabs },
        { "find", str_find },
        { "format", fnd_tpl_str_format },
        { "format_map", fnd_tpl_str_format_map },
        { "index", str_index },
        { "isalnum", str_isalnum },
        { "isalpha", str_isalpha },
        { "isascii", str_isascii },
        { "isdecimal", str_isdecimal },
        { "isdigit", str_isdigit },
        { "isidentifier", str_isidentifier },
        { "islower", str_islower },
        { "isnumeric", str_isnumeric },
        { "isprintable", str_isprintable },
        { "isspace", str_isspace },
        { "istitle", str_istitle },
        { "isupper", str_isupper },
        { "join", str_join },
        { "ljust", str_ljust },
        { "lower", str_lower },
        { "lstrip", str_lstrip },
        { "maketrans", str_unsupported },
        { "partition", fnd_tpl_str_partition },
        { "removeprefix", str_removeprefix },
        { "removesuffix", str_removesuffix },
        { "replace", str_replace },
        { "rfind", str_rfind },
        { "rindex", str_rindex },
        { "rjust", str_rjust },
        { "rpartition", fnd_tpl_str_rpartition },
        { "rsplit", fnd_tpl_str_rsplit },
        { "rstrip", str_rstrip },
        { "split", fnd_tpl_str_split },
        { "splitlines", fnd_tpl_str_splitlines },
        { "startswith", str_startswith },
        { "strip", str_strip },
        { "swapcase", str_swapcase },
        { "title", str_title },
        { "translate", str_unsupported },
        { "upper", str_upper },
        { "zfill", str_zfill },
    };
    return fnd_tpl_find_named(methods, FND_COUNT(methods), name, bytes);
}
