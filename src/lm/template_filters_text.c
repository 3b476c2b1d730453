/* template_filters_text.c - filters of text: {{ x | upper }}. They take any value, by its printed form. */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode_case.h"

/* ---- case and length ---- */

static fnd_status change(tpl_run *r, const tpl_value *self, const tpl_args *args, const char *what, tpl_case how, tpl_value *out) {
    tpl_value text;
    FND_TRY(fnd_tpl_no_args(r, what, args));
    FND_TRY(fnd_tpl_to_str(r, self, &text));
    return fnd_tpl_change_case(r, &text, how, out);
}
static TPL_FUNCTION(filter_upper) { return change(r, self, args, "the filter \"upper\"", TPL_UPPER, out); }
static TPL_FUNCTION(filter_lower) { return change(r, self, args, "the filter \"lower\"", TPL_LOWER, out); }
static TPL_FUNCTION(filter_capitalize) { return change(r, self, args, "the filter \"capitalize\"", TPL_CAPITALIZE, out); }
static TPL_FUNCTION(filter_title) { return change(r, self, args, "the filter \"title\"", TPL_TITLE_FILTER, out); }

static TPL_FUNCTION(filter_string) {
    FND_TRY(fnd_tpl_no_args(r, "the filter \"string\"", args));
    return fnd_tpl_to_str(r, self, out);
}

static TPL_FUNCTION(filter_trim) {
    static const char *const names[] = { "chars", NULL };
    tpl_value v, chars = fnd_tpl_none();
    FND_TRY(fnd_tpl_bind(r, "the filter \"trim\"", args, names, 0, &chars));
    FND_TRY(fnd_tpl_to_str(r, self, &v));
    if (chars.kind != TPL_NONE) FND_TRY(fnd_tpl_need_str(r, "the filter \"trim\"", &chars));
    const tpl_str *set = chars.kind == TPL_STR ? chars.str : NULL;
    FND_TRY(fnd_tpl_step(r, set ? v.str->bytes / 16 * (set->bytes + 1) : 1));
    return fnd_tpl_new_str(r, fnd_tpl_strip(*v.str, set, true, true), out);
}

static TPL_FUNCTION(filter_replace) {
    static const char *const names[] = { "old", "new", "count", NULL };
    tpl_value text, a[3] = { { 0 }, { 0 }, fnd_tpl_none() }, old, by;
    int64_t count = -1;
    FND_TRY(fnd_tpl_bind(r, "replace", args, names, 2, a));
    FND_TRY(fnd_tpl_to_str(r, self, &text));
    FND_TRY(fnd_tpl_to_str(r, &a[0], &old));
    FND_TRY(fnd_tpl_to_str(r, &a[1], &by));
    if (a[2].kind != TPL_NONE) FND_TRY(fnd_tpl_need_int(r, "the count of replace", &a[2], &count));
    tpl_str plain = *text.str;
    plain.markup = false;
    return fnd_tpl_replace(r, &plain, old.str, by.str, count, out);
}

static TPL_FUNCTION(filter_center) {
    static const char *const names[] = { "width", NULL };
    tpl_value text, v = fnd_tpl_int(80);
    int64_t width;
    FND_TRY(fnd_tpl_bind(r, "the filter \"center\"", args, names, 0, &v));
    FND_TRY(fnd_tpl_need_int(r, "the filter \"center\"", &v, &width));
    FND_TRY(fnd_tpl_to_str(r, self, &text));
    return fnd_tpl_center(r, text.str, width, fnd_tpl_const_str(" "), 0, out);
}

static TPL_FUNCTION(filter_wordcount) {
    tpl_value text;
    int64_t count = 0;
    bool inside = false;
    FND_TRY(fnd_tpl_no_args(r, "the filter \"wordcount\"", args));
    FND_TRY(fnd_tpl_to_str(r, self, &text));
    FND_TRY(fnd_tpl_step(r, text.str->bytes / 8));
    for (size_t at = 0; at < text.str->bytes;) {
        tpl_str c = fnd_tpl_char_at(*text.str, at);
        bool word = fnd_unicode_is_word(fnd_tpl_code(c));
        count += word && !inside;
        inside = word;
        at += c.bytes;
    }
    *out = fnd_tpl_int(count);
    return FND_OK;
}

/* value | format(arguments): the operator %. */
static TPL_FUNCTION(filter_format) {
    tpl_value text, values;
    FND_TRY(fnd_tpl_to_str(r, self, &text));
    if (args->count && args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the filter \"format\" takes values or named values, not both");
    if (!args->named_count) {
        FND_TRY(fnd_tpl_copy_list(r, args->items, args->count, TPL_TUPLE, &values));
        return fnd_tpl_percent(r, text.str, &values, out);
    }
    FND_TRY(fnd_tpl_new_dict(r, args->named_count, &values));
    for (size_t i = 0; i < args->named_count; i++) {
        tpl_value key;
        FND_TRY(fnd_tpl_new_str(r, args->names[i], &key));
        FND_TRY(fnd_tpl_dict_set(r, values.dict, &key, &args->named[i]));
    }
    return fnd_tpl_percent(r, text.str, &values, out);
}

/* ---- HTML ---- */

static fnd_status escape(tpl_run *r, const tpl_value *self, const tpl_args *args, bool again, tpl_value *out) {
    tpl_value v;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_no_args(r, "the filter \"escape\"", args));
    FND_TRY(fnd_tpl_to_str(r, self, &v));
    tpl_str s = *v.str;
    if (again) s.markup = false;
    FND_TRY(fnd_tpl_step(r, s.bytes / 16));
    fnd_tpl_add_escaped(r, &text, s);
    return fnd_tpl_built(r, &text, true, out);
}
static TPL_FUNCTION(filter_escape) { return escape(r, self, args, false, out); }
static TPL_FUNCTION(filter_forceescape) { return escape(r, self, args, true, out); }

static TPL_FUNCTION(filter_safe) {
    tpl_value v;
    FND_TRY(fnd_tpl_no_args(r, "the filter \"safe\"", args));
    FND_TRY(fnd_tpl_to_str(r, self, &v));
    tpl_str s = *v.str;
    s.markup = true;
    return fnd_tpl_new_str(r, s, out);
}

/* Everything between `open` and the next `close` is left out, as often as both are found. */
static void leave_out(tpl_run *r, tpl_str s, const char *open, const char *close, tpl_builder *out) {
    size_t open_bytes = strlen(open), close_bytes = strlen(close), plain = 0, at = 0;
    while (at + open_bytes <= s.bytes) {
        if (memcmp(s.data + at, open, open_bytes) != 0) {
            at++;
            continue;
        }
        size_t end = at;
        while (end + close_bytes <= s.bytes && memcmp(s.data + end, close, close_bytes) != 0) end++;
        if (end + close_bytes > s.bytes) break;
        fnd_tpl_add_str(r, out, fnd_tpl_slice_str(s, plain, at - plain));
        at = plain = end + close_bytes;
    }
    fnd_tpl_add_str(r, out, fnd_tpl_slice_str(s, plain, s.bytes - plain));
}

/* The character that the entity at s[at..] (behind its &) names; 0: it is none. *bytes is its length. */
static fnd_status read_entity(tpl_run *r, tpl_str s, size_t at, uint32_t *code, size_t *bytes) {
    static const struct {
        const char *name;
        uint32_t code;
    } entities[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' }, { "nbsp", 0xA0 } };
    size_t end = at;
    *code = 0;
    while (end < s.bytes && end - at < 32 && s.data[end] != ';' && (s.data[end] == '#' || (unsigned char)s.data[end] >= 0x80 || fnd_unicode_is_word((unsigned char)s.data[end]))) end++;
    if (end >= s.bytes || s.data[end] != ';' || end == at) return FND_OK;
    tpl_str name = fnd_tpl_slice_str(s, at, end - at);
    *bytes = name.bytes + 1;
    for (size_t i = 0; i < FND_COUNT(entities); i++) {
        if (fnd_tpl_str_is(&name, entities[i].name)) *code = entities[i].code;
    }
    if (*code) return FND_OK;
    if (name.data[0] != '#') return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the filter \"striptags\" does not know the entity &%.*s;", (int)name.bytes, name.data);
    bool hex = name.bytes > 1 && (name.data[1] | 0x20) == 'x';
    char digits[40] = { 0 };
    memcpy(digits, name.data + 1 + hex, name.bytes - 1 - hex);
    unsigned long number = strtoul(digits, NULL, hex ? 16 : 10);
    *code = number && number < 0x110000 && (number < 0xD800 || number > 0xDFFF) ? (uint32_t)number : 0xFFFD;
    return FND_OK;
}

static TPL_FUNCTION(filter_striptags) {
    tpl_value v, list;
    tpl_builder no_comments = { 0 }, no_tags = { 0 }, joined = { 0 }, text = { 0 };
    FND_TRY(fnd_tpl_no_args(r, "the filter \"striptags\"", args));
    FND_TRY(fnd_tpl_to_str(r, self, &v));
    FND_TRY(fnd_tpl_step(r, v.str->bytes / 4));
    leave_out(r, *v.str, "<!--", "-->", &no_comments);
    FND_TRY(fnd_tpl_built(r, &no_comments, false, &v));
    leave_out(r, *v.str, "<", ">", &no_tags);
    FND_TRY(fnd_tpl_built(r, &no_tags, false, &v));
    FND_TRY(fnd_tpl_str_split(r, &v, &(tpl_args){ 0 }, &list));
    for (size_t i = 0; i < list.list->count; i++) {
        if (i) fnd_tpl_add_text(r, &joined, " ");
        fnd_tpl_add_str(r, &joined, *list.list->items[i].str);
    }
    FND_TRY(fnd_tpl_built(r, &joined, false, &v));
    for (size_t at = 0; at < v.str->bytes;) {
        uint32_t code = 0;
        size_t bytes = 1;
        if (v.str->data[at] == '&') FND_TRY(read_entity(r, *v.str, at + 1, &code, &bytes));
        if (code) {
            fnd_tpl_add_code(r, &text, code, fnd_tpl_mark_of(fnd_tpl_slice_str(*v.str, at, bytes + 1)));
            at += bytes + 1;
        } else {
            fnd_tpl_add_str(r, &text, fnd_tpl_slice_str(*v.str, at++, 1));
        }
    }
    return fnd_tpl_built(r, &text, false, out);
}

static TPL_FUNCTION(filter_xmlattr) {
    static const char *const names[] = { "autospace", NULL };
    tpl_value space = fnd_tpl_bool(true), v;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "the filter \"xmlattr\"", args, names, 0, &space));
    if (self->kind != TPL_DICT) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"xmlattr\" needs a dict, not %s", fnd_tpl_kind_name(self));
    for (size_t i = 0; i < self->dict->count; i++) {
        const tpl_value *key = &self->dict->keys[i], *value = &self->dict->values[i];
        if (value->kind == TPL_NONE || value->kind == TPL_UNDEFINED) continue;
        FND_TRY(fnd_tpl_need_str(r, "the name of an attribute", key));
        for (size_t k = 0; k < key->str->bytes; k++) {
            if (memchr(" \t\n\r\f\v/>=", key->str->data[k], 9)) return fnd_tpl_fail(r, FND_ERR_FORMAT, "this is no name of an attribute: '%.*s'", (int)fnd_min_size(key->str->bytes, 60), key->str->data);
        }
        if (text.bytes || fnd_tpl_truth(&space)) fnd_tpl_add_text(r, &text, " ");
        fnd_tpl_add_escaped(r, &text, *key->str);
        fnd_tpl_add_text(r, &text, "=\"");
        FND_TRY(fnd_tpl_to_str(r, value, &v));
        fnd_tpl_add_escaped(r, &text, *v.str);
        fnd_tpl_add_text(r, &text, "\"");
    }
    return fnd_tpl_built(r, &text, false, out);
}

/* ---- URLs ---- */

static void quote_url(tpl_run *r, tpl_builder *b, tpl_str s, bool for_query) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.bytes; i++) {
        unsigned char c = (unsigned char)s.data[i];
        uint8_t mark = s.marks ? s.marks[i] : s.mark;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && c < 128 && strchr("_.-~", c)) || (c == '/' && !for_query);
        char escaped[3] = { '%', digits[c >> 4], digits[c & 15] };
        if (plain) {
            fnd_tpl_add_str(r, b, fnd_tpl_slice_str(s, i, 1));
        } else if (c == ' ' && for_query) {
            fnd_tpl_add(r, b, "+", 1, NULL, mark);
        } else {
            fnd_tpl_add(r, b, escaped, 3, NULL, mark);
        }
    }
}

static TPL_FUNCTION(filter_urlencode) {
    tpl_value v = *self;
    tpl_list pairs;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_no_args(r, "the filter \"urlencode\"", args));
    bool single = self->kind == TPL_STR || self->kind == TPL_NONE || fnd_tpl_is_number(self) || self->kind == TPL_CALLABLE || self->kind == TPL_NAMESPACE;
    if (single) {
        FND_TRY(fnd_tpl_to_str(r, self, &v));
        quote_url(r, &text, *v.str, false);
        return fnd_tpl_built(r, &text, false, out);
    }
    if (self->kind == TPL_DICT) FND_TRY(fnd_tpl_dict_view(r, self->dict, TPL_ITEMS, &v));
    FND_TRY(fnd_tpl_items(r, &v, &pairs));
    for (size_t i = 0; i < pairs.count; i++) {
        tpl_list pair;
        FND_TRY(fnd_tpl_items(r, &pairs.items[i], &pair));
        if (pair.count != 2) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"urlencode\" needs pairs");
        for (int k = 0; k < 2; k++) {
            tpl_value part;
            FND_TRY(fnd_tpl_to_str(r, &pair.items[k], &part));
            if (i || k) fnd_tpl_add_text(r, &text, k ? "=" : "&");
            quote_url(r, &text, *part.str, true);
        }
    }
    return fnd_tpl_built(r, &text, false, out);
}

static TPL_FUNCTION(filter_urlize) {
    (void)self, (void)args, (void)out;
    return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the filter \"urlize\" is not supported: a prompt needs no links in HTML");
}

tpl_function *fnd_tpl_find_text_filter(const char *name, size_t bytes) {
    static const tpl_named filters[] = {
        { "capitalize", filter_capitalize },
        { "center", filter_center },
        { "e", filter_escape },
        { "escape", filter_escape },
        { "forceescape", filter_forceescape },
        { "format", filter_format },
        { "lower", filter_lower },
        { "replace", filter_replace },
        { "safe", filter_safe },
        { "string", filter_string },
        { "striptags", filter_striptags },
        { "title", filter_title },
        { "tojson", fnd_tpl_to_json },
        { "trim", filter_trim },
        { "upper", filter_upper },
        { "urlencode", filter_urlencode },
        { "urlize", filter_urlize },
        { "wordcount", filter_wordcount },
        { "xmlattr", filter_xmlattr },
    };
    return fnd_tpl_find_named(filters, FND_COUNT(filters), name, bytes);
}
