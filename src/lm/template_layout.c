/* template_layout.c - filters that lay out text over lines: indent, truncate, pprint, wordwrap. */
#include "lm/template_wrap.h"
#include "base/base.h"

/* ---- indent, truncate ---- */

static fnd_status indentation(tpl_run *r, const tpl_value *width, tpl_value *out) {
    int64_t n;
    tpl_builder pad = { 0 };
    if (width->kind == TPL_STR) {
        *out = *width;
        return FND_OK;
    }
    FND_TRY(fnd_tpl_need_int(r, "the width of \"indent\"", width, &n));
    if (n > 10000) return fnd_tpl_fail(r, FND_ERR_LIMIT, "the filter \"indent\" by more than 10000");
    fnd_tpl_add_many(r, &pad, fnd_tpl_const_str(" "), n);
    return fnd_tpl_built(r, &pad, false, out);
}

static TPL_FUNCTION(filter_indent) {
    static const char *const names[] = { "width", "first", "blank", NULL };
    tpl_value a[3] = { fnd_tpl_int(4), fnd_tpl_bool(false), fnd_tpl_bool(false) }, pad, whole, lines;
    tpl_builder ended = { 0 }, text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "the filter \"indent\"", args, names, 0, a));
    FND_TRY(fnd_tpl_need_str(r, "the filter \"indent\"", self));
    FND_TRY(indentation(r, &a[0], &pad));
    fnd_tpl_add_str(r, &ended, *self->str);
    fnd_tpl_add_text(r, &ended, "\n");
    FND_TRY(fnd_tpl_built(r, &ended, self->str->markup, &whole));
    FND_TRY(fnd_tpl_split_lines(r, whole.str, false, &lines));
    for (size_t i = 0; i < lines.list->count; i++) {
        tpl_str line = *lines.list->items[i].str;
        bool padded = i == 0 ? fnd_tpl_truth(&a[1]) : fnd_tpl_truth(&a[2]) || line.bytes;
        if (i) fnd_tpl_add_text(r, &text, "\n");
        if (padded) fnd_tpl_add_str(r, &text, *pad.str);
        fnd_tpl_add_str(r, &text, line);
    }
    return fnd_tpl_built(r, &text, self->str->markup, out);
}

static TPL_FUNCTION(filter_truncate) {
    static const char *const names[] = { "length", "killwords", "end", "leeway", NULL };
    tpl_value a[4] = { fnd_tpl_int(255), fnd_tpl_bool(false), { 0 }, fnd_tpl_none() }, kept, none = fnd_tpl_none(), list, until;
    int64_t length, leeway = 5;
    size_t has;
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str("..."), &a[2]));
    FND_TRY(fnd_tpl_bind(r, "the filter \"truncate\"", args, names, 0, a));
    FND_TRY(fnd_tpl_need_int(r, "the filter \"truncate\"", &a[0], &length));
    FND_TRY(fnd_tpl_need_str(r, "the filter \"truncate\"", &a[2]));
    if (a[3].kind != TPL_NONE) FND_TRY(fnd_tpl_need_int(r, "the filter \"truncate\"", &a[3], &leeway));
    int64_t end = (int64_t)fnd_tpl_count_chars(*a[2].str), room;
    if (length < end || leeway < 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the filter \"truncate\" to %lld characters, with an end of %lld and a leeway of %lld", (long long)length, (long long)end, (long long)leeway);
    FND_TRY(fnd_tpl_length(r, self, &has));
    if (__builtin_add_overflow(length, leeway, &room)) room = INT64_MAX;
    *out = *self;
    if ((int64_t)has <= room) return FND_OK;
    FND_TRY(fnd_tpl_need_str(r, "the filter \"truncate\"", self));
    until = fnd_tpl_int(length - end);
    FND_TRY(fnd_tpl_slice(r, self, &none, &until, &none, &kept));
    if (!fnd_tpl_truth(&a[1])) {
        tpl_value split[2] = { { 0 }, fnd_tpl_int(1) };
        FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str(" "), &split[0]));
        FND_TRY(fnd_tpl_str_rsplit(r, &kept, &(tpl_args){ .items = split, .count = 2 }, &list));
        kept = list.list->items[0];
    }
    return fnd_tpl_binary(r, OP_ADD, &kept, &a[2], out);
}

/* ---- pprint: Python's pformat(), 80 characters wide ---- */

enum { PRINT_WIDTH = 80 };

/* Keys in order; those that have none by the names of their types in Python. */
static bool key_before(tpl_run *r, const tpl_value *a, const tpl_value *b) {
    int order = 0;
    fnd_error *err = r->err, ignored;
    r->err = &ignored;
    fnd_status status = fnd_tpl_order(r, a, b, &order);
    r->err = err;
    static const char *const types[] = { [TPL_UNDEFINED] = "Undefined", [TPL_NONE] = "NoneType", [TPL_BOOL] = "bool", [TPL_INT] = "int", [TPL_FLOAT] = "float", [TPL_STR] = "str", [TPL_TUPLE] = "tuple", [TPL_RANGE] = "range", [TPL_VIEW] = "dict_values" };
    if (status == FND_OK) return order < 0;
    const char *of_a = a->kind < FND_COUNT(types) ? types[a->kind] : NULL, *of_b = b->kind < FND_COUNT(types) ? types[b->kind] : NULL;
    return of_a && of_b && strcmp(of_a, of_b) < 0;
}

/* The value with the keys of all dicts in it in order. */
static fnd_status with_sorted_keys(tpl_run *r, const tpl_value *v, tpl_value *out) {
    *out = *v;
    if (v->kind != TPL_DICT && v->kind != TPL_LIST && v->kind != TPL_TUPLE) return FND_OK;
    FND_TRY(fnd_tpl_deeper(r));
    if (v->kind == TPL_DICT) {
        FND_TRY(fnd_tpl_new_dict(r, v->dict->count, out));
        for (size_t i = 0; i < v->dict->count; i++) {
            size_t k = i;
            for (; k > 0 && key_before(r, &v->dict->keys[i], &out->dict->keys[k - 1]); k--) {
                out->dict->keys[k] = out->dict->keys[k - 1];
                out->dict->values[k] = out->dict->values[k - 1];
            }
            FND_TRY(fnd_tpl_step(r, 1 + i - k));
            out->dict->keys[k] = v->dict->keys[i];
            FND_TRY(with_sorted_keys(r, &v->dict->values[i], &out->dict->values[k]));
        }
        out->dict->count = v->dict->count;
    } else {
        FND_TRY(fnd_tpl_new_list(r, v->list->count, v->kind, out));
        for (size_t i = 0; i < v->list->count; i++) FND_TRY(with_sorted_keys(r, &v->list->items[i], &out->list->items[i]));
    }
    r->depth--;
    return FND_OK;
}

static fnd_status repr_of(tpl_run *r, const tpl_value *v, tpl_value *out, int64_t *width) {
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_add_repr(r, &text, v));
    FND_TRY(fnd_tpl_built(r, &text, false, out));
    *width = (int64_t)fnd_tpl_count_chars(*out->str);
    return FND_OK;
}

static fnd_status pretty(tpl_run *r, tpl_builder *b, const tpl_value *v, int64_t indent, int64_t allowance, unsigned level);

static void next_line(tpl_run *r, tpl_builder *b, const char *before, int64_t indent) {
    fnd_tpl_add_text(r, b, before);
    fnd_tpl_add_many(r, b, fnd_tpl_const_str(" "), indent);
}

static fnd_status pretty_sequence(tpl_run *r, tpl_builder *b, const tpl_value *v, int64_t indent, int64_t allowance, unsigned level) {
    bool tuple = v->kind == TPL_TUPLE;
    const char *end = !tuple ? "]" : v->list->count == 1 ? ",)"
                                                         : ")";
    allowance += (int64_t)strlen(end);
    fnd_tpl_add_text(r, b, tuple ? "(" : "[");
    for (size_t i = 0; i < v->list->count; i++) {
        if (i) next_line(r, b, ",\n", indent + 1);
        FND_TRY(pretty(r, b, &v->list->items[i], indent + 1, i + 1 == v->list->count ? allowance : 1, level));
    }
    fnd_tpl_add_text(r, b, end);
    return FND_OK;
}

static fnd_status pretty_dict(tpl_run *r, tpl_builder *b, const tpl_value *v, int64_t indent, int64_t allowance, unsigned level) {
    fnd_tpl_add_text(r, b, "{");
    for (size_t i = 0; i < v->dict->count; i++) {
        tpl_value key;
        int64_t width;
        if (i) next_line(r, b, ",\n", indent + 1);
        FND_TRY(repr_of(r, &v->dict->keys[i], &key, &width));
        fnd_tpl_add_str(r, b, *key.str);
        fnd_tpl_add_text(r, b, ": ");
        FND_TRY(pretty(r, b, &v->dict->values[i], indent + 1 + width + 2, i + 1 == v->dict->count ? allowance + 1 : 1, level));
    }
    fnd_tpl_add_text(r, b, "}");
    return FND_OK;
}

/* The end of the piece of s at `at`: no white space, then white space. */
static size_t piece_end(tpl_str s, size_t at) {
    for (bool blank = false; at < s.bytes;) {
        tpl_str c = fnd_tpl_char_at(s, at);
        bool space = fnd_tpl_is_space(fnd_tpl_code(c));
        if (blank && !space) break;
        blank = space;
        at += c.bytes;
    }
    return at;
}

typedef struct chunks {
    tpl_value *items;
    size_t count;
} chunks;

/* A line that is too long, in pieces that are not, unless a word is. */
static fnd_status break_line(tpl_run *r, tpl_str line, int64_t width, int64_t last_allowance, chunks *to) {
    size_t start = 0;
    for (size_t at = 0; at < line.bytes;) {
        size_t end = piece_end(line, at);
        tpl_str candidate = fnd_tpl_slice_str(line, start, end - start);
        tpl_value text;
        int64_t has;
        if (end == line.bytes) width -= last_allowance;
        FND_TRY(repr_of(r, &(tpl_value){ .kind = TPL_STR, .str = &candidate }, &text, &has));
        if (has > width && at > start) {
            candidate = fnd_tpl_slice_str(line, start, at - start);
            FND_TRY(repr_of(r, &(tpl_value){ .kind = TPL_STR, .str = &candidate }, &to->items[to->count++], &has));
            start = at;
        }
        at = end;
    }
    tpl_str rest = fnd_tpl_slice_str(line, start, line.bytes - start);
    int64_t has;
    return repr_of(r, &(tpl_value){ .kind = TPL_STR, .str = &rest }, &to->items[to->count++], &has);
}

static fnd_status pretty_string(tpl_run *r, tpl_builder *b, const tpl_value *v, int64_t indent, int64_t allowance, unsigned level) {
    tpl_value lines;
    chunks pieces = { .items = fnd_arena_alloc(r->arena, v->str->bytes + 1, sizeof(tpl_value)) };
    if (!pieces.items) return fnd_tpl_no_memory(r);
    if (level == 1) {
        indent++;
        allowance++;
    }
    int64_t width = PRINT_WIDTH - indent;
    FND_TRY(fnd_tpl_split_lines(r, v->str, true, &lines));
    for (size_t i = 0; i < lines.list->count; i++) {
        bool last = i + 1 == lines.list->count;
        tpl_value text;
        int64_t has;
        FND_TRY(repr_of(r, &lines.list->items[i], &text, &has));
        if (has <= width - (last ? allowance : 0)) {
            pieces.items[pieces.count++] = text;
        } else {
            FND_TRY(break_line(r, *lines.list->items[i].str, width, last ? allowance : 0, &pieces));
        }
    }
    bool enclosed = level == 1 && pieces.count > 1;
    if (enclosed) fnd_tpl_add_text(r, b, "(");
    for (size_t i = 0; i < pieces.count; i++) {
        if (i) next_line(r, b, "\n", indent);
        fnd_tpl_add_str(r, b, *pieces.items[i].str);
    }
    if (enclosed) fnd_tpl_add_text(r, b, ")");
    return FND_OK;
}

static fnd_status pretty(tpl_run *r, tpl_builder *b, const tpl_value *v, int64_t indent, int64_t allowance, unsigned level) {
    tpl_value text;
    int64_t width;
    fnd_status status = FND_OK;
    FND_TRY(fnd_tpl_deeper(r));
    FND_TRY(repr_of(r, v, &text, &width));
    if (width <= PRINT_WIDTH - indent - allowance) {
        fnd_tpl_add_str(r, b, *text.str);
    } else if (v->kind == TPL_DICT) {
        status = pretty_dict(r, b, v, indent, allowance, level + 1);
    } else if (v->kind == TPL_LIST || v->kind == TPL_TUPLE) {
        status = pretty_sequence(r, b, v, indent, allowance, level + 1);
    } else if (v->kind == TPL_STR && v->str->bytes && !v->str->markup) {
        status = pretty_string(r, b, v, indent, allowance, level + 1);
    } else {
        fnd_tpl_add_str(r, b, *text.str);
    }
    r->depth--;
    return status;
}

static TPL_FUNCTION(filter_pprint) {
    tpl_value sorted;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_no_args(r, "the filter \"pprint\"", args));
    FND_TRY(with_sorted_keys(r, self, &sorted));
    FND_TRY(pretty(r, &text, &sorted, 0, 0, 0));
    return fnd_tpl_built(r, &text, false, out);
}

tpl_function *fnd_tpl_find_layout_filter(const char *name, size_t bytes) {
    static const tpl_named filters[] = {
        { "indent", filter_indent },
        { "pprint", filter_pprint },
        { "truncate", filter_truncate },
        { "wordwrap", fnd_tpl_wordwrap },
    };
    return fnd_tpl_find_named(filters, FND_COUNT(filters), name, bytes);
}
