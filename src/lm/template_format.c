/* template_format.c - "..." % values, and "...".format(values). */
#include "base/base.h"
#include "lm/template_spec.h"

#include <math.h>
#include <stdio.h>

/* str() of a value in a format, or repr() in ASCII or not. */
static fnd_status converted(tpl_run *r, const tpl_value *v, char how, tpl_value *out) {
    tpl_builder text = { 0 }, ascii = { 0 };
    if (how == 's') return fnd_tpl_to_str(r, v, out);
    FND_TRY(fnd_tpl_add_repr(r, &text, v));
    FND_TRY(fnd_tpl_built(r, &text, false, out));
    for (size_t i = 0; how == 'a' && i < text.bytes;) {
        tpl_str c = fnd_tpl_char_at(*out->str, i);
        uint32_t code = fnd_tpl_code(c);
        char escape[16];
        if (code < 0x80) {
            fnd_tpl_add_str(r, &ascii, c);
        } else {
            int n = snprintf(escape, sizeof escape, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x"
                                                                                              : "\\U%08x",
                             code);
            fnd_tpl_add(r, &ascii, escape, (size_t)n, NULL, fnd_tpl_mark_of(c));
        }
        i += c.bytes;
    }
    return how == 'a' ? fnd_tpl_built(r, &ascii, false, out) : FND_OK;
}

/* Digits at s[*at..] as a number; -1: there are none. */
static fnd_status read_number(tpl_run *r, tpl_str s, size_t *at, int64_t *out) {
    *out = -1;
    for (; *at < s.bytes && s.data[*at] >= '0' && s.data[*at] <= '9'; ++*at) {
        *out = (*out < 0 ? 0 : *out) * 10 + (s.data[*at] - '0');
        if (*out > TPL_OUTPUT_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "a number in this format is more than the %d allowed", TPL_OUTPUT_LIMIT);
    }
    return FND_OK;
}

/* ---- the operator % ---- */

typedef struct percent {
    tpl_run *r;
    tpl_str format;
    size_t at;
    const tpl_value *values, *single; /* a tuple's items, or one value */
    size_t count, used;
    const tpl_value *mapping; /* what %(name)s looks into; NULL: nothing */
    bool markup;
    uint8_t mark; /* of the format */
    tpl_builder text;
} percent;

static fnd_status next_value(percent *p, const tpl_value **out) {
    if (p->used >= p->count) return fnd_tpl_fail(p->r, FND_ERR_FORMAT, "there are fewer values than this format has places");
    *out = p->single ? p->single : &p->values[p->used];
    p->used++;
    return FND_OK;
}

/* (name): the value becomes the only one. */
static fnd_status take_key(percent *p, tpl_value *found) {
    size_t start = ++p->at, depth = 1;
    for (; p->at < p->format.bytes && depth; p->at++) depth += (p->format.data[p->at] == '(') - (size_t)(p->format.data[p->at] == ')');
    if (depth) return fnd_tpl_fail(p->r, FND_ERR_FORMAT, "a name in this format is not closed");
    if (!p->mapping || p->mapping->kind != TPL_DICT) return fnd_tpl_fail(p->r, FND_ERR_TYPE, "a format with names needs a dict");
    tpl_str name = fnd_tpl_slice_str(p->format, start, p->at - 1 - start);
    const tpl_value *there = fnd_tpl_dict_find(p->mapping->dict, name.data, name.bytes);
    FND_TRY(fnd_tpl_step(p->r, p->mapping->dict->count / 16));
    if (!there) return fnd_tpl_fail(p->r, FND_ERR_FORMAT, "the dict has no '%.*s', which this format names", (int)fnd_min_size(name.bytes, 100), name.data);
    *found = *there;
    p->single = found;
    p->count = 1;
    p->used = 0;
    return FND_OK;
}

/* A width or precision: digits, or * for the next value. */
static fnd_status take_size(percent *p, int64_t *out) {
    const tpl_value *v = NULL;
    if (p->at >= p->format.bytes || p->format.data[p->at] != '*') return read_number(p->r, p->format, &p->at, out);
    p->at++;
    FND_TRY(next_value(p, &v));
    return fnd_tpl_need_int(p->r, "* in a format", v, out);
}

static fnd_status put_number(percent *p, tpl_spec *spec, const tpl_value *v) {
    bool real = strchr("eEfFgG", spec->type) != NULL;
    tpl_value n = *v;
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(p->r, v);
    if (!fnd_tpl_is_number(v)) return fnd_tpl_fail(p->r, FND_ERR_TYPE, "%%%c needs a number, not %s", spec->type, fnd_tpl_kind_name(v));
    if (real) return fnd_tpl_spec_float(p->r, &p->text, spec, fnd_tpl_as_double(v), v->mark);
    if (v->kind == TPL_FLOAT) {
        if (!strchr("diu", spec->type)) return fnd_tpl_fail(p->r, FND_ERR_TYPE, "%%%c needs an integer, not a float", spec->type);
        if (!(fabs(v->number) < 9.2e18)) return fnd_tpl_too_large(p->r);
        n = fnd_tpl_int((int64_t)v->number);
        n.mark = v->mark;
    }
    return fnd_tpl_spec_integer(p->r, &p->text, spec, &n);
}

static fnd_status put_text(percent *p, tpl_spec *spec, const tpl_value *v) {
    tpl_value text;
    char type = spec->type;
    if (type == 'c' && (v->kind == TPL_INT || v->kind == TPL_BOOL)) return fnd_tpl_spec_integer(p->r, &p->text, spec, v);
    if (type == 'c' && (v->kind != TPL_STR || fnd_tpl_count_chars(*v->str) != 1)) return fnd_tpl_fail(p->r, FND_ERR_TYPE, "%%c needs an integer or one character");
    FND_TRY(converted(p->r, v, type == 'c' ? 's' : type, &text));
    if (p->markup) {
        tpl_builder escaped = { 0 };
        fnd_tpl_add_escaped(p->r, &escaped, *text.str);
        FND_TRY(fnd_tpl_built(p->r, &escaped, false, &text));
    }
    if (type == 'c') spec->precision = -1;
    return fnd_tpl_spec_text(p->r, &p->text, spec, *text.str);
}

/* Behind a percent sign. */
static fnd_status put_place(percent *p) {
    tpl_spec spec = { .percent = true, .precision = -1, .mark = p->mark };
    tpl_value found;
    const tpl_value *v = NULL;
    bool left = false, zero = false;
    if (p->at < p->format.bytes && p->format.data[p->at] == '(') FND_TRY(take_key(p, &found));
    for (; p->at < p->format.bytes && memchr("-+ #0", p->format.data[p->at], 5); p->at++) {
        char c = p->format.data[p->at];
        left = left || c == '-';
        zero = zero || c == '0';
        if (c == '+' || (c == ' ' && !spec.sign)) spec.sign = c;
        if (c == '#') spec.alternate = true;
    }
    FND_TRY(take_size(p, &spec.width));
    if (spec.width < -1) {
        left = true;
        spec.width = spec.width == INT64_MIN ? INT64_MAX : -spec.width;
    }
    if (p->at < p->format.bytes && p->format.data[p->at] == '.') {
        p->at++;
        FND_TRY(take_size(p, &spec.precision));
        if (spec.precision < 0) spec.precision = 0;
    }
    if (p->at < p->format.bytes && memchr("hlL", p->format.data[p->at], 3)) p->at++;
    if (p->at >= p->format.bytes) return fnd_tpl_fail(p->r, FND_ERR_FORMAT, "this format ends within a place for a value");
    spec.type = p->format.data[p->at++];
    if (spec.type == '%') {
        fnd_tpl_add_str(p->r, &p->text, fnd_tpl_slice_str(p->format, p->at - 1, 1));
        return FND_OK;
    }
    bool number = memchr("diuoxXeEfFgG", spec.type, 12) != NULL;
    if (!number && !memchr("srac", spec.type, 4)) return fnd_tpl_fail(p->r, FND_ERR_FORMAT, "%%%c is no format", spec.type >= ' ' && spec.type < 127 ? spec.type : '?');
    spec.align = left ? '<' : zero && number ? '='
                                             : '>';
    if (spec.align == '=') spec.fill = (tpl_str){ .data = "0", .bytes = 1, .mark = spec.mark };
    FND_TRY(next_value(p, &v));
    return number ? put_number(p, &spec, v) : put_text(p, &spec, v);
}

fnd_status fnd_tpl_percent(tpl_run *r, const tpl_str *format, const tpl_value *values, tpl_value *out) {
    percent p = { .r = r, .format = *format, .single = values, .count = 1, .markup = format->markup };
    if (values->kind == TPL_TUPLE) p = (percent){ .r = r, .format = *format, .values = values->list->items, .count = values->list->count, .markup = format->markup };
    p.mark = fnd_tpl_mark_of(*format);
    FND_TRY(fnd_tpl_step(r, format->bytes / 64));
    bool maps = values->kind == TPL_DICT || values->kind == TPL_LIST || values->kind == TPL_RANGE || values->kind == TPL_UNDEFINED;
    if (maps) p.mapping = values;
    while (p.at < p.format.bytes) {
        const char *next = memchr(p.format.data + p.at, '%', p.format.bytes - p.at);
        size_t until = next ? (size_t)(next - p.format.data) : p.format.bytes;
        fnd_tpl_add_str(r, &p.text, fnd_tpl_slice_str(p.format, p.at, until - p.at));
        p.at = until + 1;
        FND_TRY(fnd_tpl_step(r, 1));
        if (next) FND_TRY(put_place(&p));
    }
    if (p.used < p.count && !maps) return fnd_tpl_fail(r, FND_ERR_FORMAT, "there are more values than this format has places");
    return fnd_tpl_built(r, &p.text, format->markup, out);
}

/* ---- format() ---- */

typedef struct fields {
    tpl_run *r;
    const tpl_args *args;
    const tpl_dict *mapping; /* of format_map */
    bool markup;
    enum { UNNUMBERED,
           BY_ORDER,
           BY_NUMBER } numbering;
    size_t next;
} fields;

static fnd_status put_fields(fields *f, tpl_str format, unsigned depth, tpl_builder *out);

static fnd_status field_argument(fields *f, tpl_str name, tpl_value *out) {
    size_t at = 0;
    int64_t number;
    FND_TRY(read_number(f->r, name, &at, &number));
    if (name.bytes == 0 || (number >= 0 && at == name.bytes)) {
        int how = name.bytes ? BY_NUMBER : BY_ORDER;
        if (f->numbering && f->numbering != (unsigned)how) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "a format numbers all of its places or none");
        f->numbering = name.bytes ? BY_NUMBER : BY_ORDER;
        size_t i = name.bytes ? (size_t)number : f->next++;
        if (i >= f->args->count) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "this format has a place for value %zu of %zu", i, f->args->count);
        *out = f->args->items[i];
        return FND_OK;
    }
    const tpl_value *there = f->mapping ? fnd_tpl_dict_find(f->mapping, name.data, name.bytes) : NULL;
    FND_TRY(fnd_tpl_step(f->r, (f->mapping ? f->mapping->count : 0) / 16 + f->args->named_count / 8));
    for (size_t i = 0; i < f->args->named_count && !there; i++) {
        if (f->args->names[i].bytes == name.bytes && memcmp(f->args->names[i].data, name.data, name.bytes) == 0) there = &f->args->named[i];
    }
    if (!there) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "this format names '%.*s', which is not given", (int)fnd_min_size(name.bytes, 100), name.data);
    *out = *there;
    return FND_OK;
}

/* name.attribute[item] ... */
static fnd_status find_field(fields *f, tpl_str path, tpl_value *out) {
    size_t at = 0;
    while (at < path.bytes && path.data[at] != '.' && path.data[at] != '[') at++;
    FND_TRY(field_argument(f, fnd_tpl_slice_str(path, 0, at), out));
    while (at < path.bytes) {
        tpl_value whole = *out, key;
        size_t start = at + 1;
        bool item = path.data[at] == '[';
        if (!item && path.data[at] != '.') return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "only . and [ may follow ] in a format");
        for (at = start; at < path.bytes && (item ? path.data[at] != ']' : path.data[at] != '.' && path.data[at] != '[');) at++;
        tpl_str name = fnd_tpl_slice_str(path, start, at - start);
        if (name.bytes == 0 || (item && at == path.bytes)) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "an attribute in this format is empty or not closed");
        at += item;
        if (!item) {
            FND_TRY(fnd_tpl_get_attribute(f->r, &whole, name, out));
            continue;
        }
        size_t digits = 0;
        int64_t number;
        FND_TRY(read_number(f->r, name, &digits, &number));
        key = fnd_tpl_int(number);
        if (number < 0 || digits != name.bytes) FND_TRY(fnd_tpl_new_str(f->r, name, &key));
        FND_TRY(fnd_tpl_get_item(f->r, &whole, &key, out));
    }
    return FND_OK;
}

static bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

/* [[fill]align][sign][#][0][width][grouping][.precision][type] */
static fnd_status read_spec(tpl_run *r, tpl_str s, tpl_spec *out) {
    size_t at = 0;
    tpl_str first = s.bytes ? fnd_tpl_char_at(s, 0) : s;
    *out = (tpl_spec){ .precision = -1, .mark = fnd_tpl_mark_of(s) };
    if (s.bytes > first.bytes && is_align(s.data[first.bytes])) {
        out->fill = first;
        out->align = s.data[first.bytes];
        at = first.bytes + 1;
    } else if (s.bytes && is_align(s.data[0])) {
        out->align = s.data[at++];
    }
    if (at < s.bytes && memchr("+- ", s.data[at], 3)) out->sign = s.data[at++];
    if (at < s.bytes && s.data[at] == '#') {
        out->alternate = true;
        at++;
    }
    if (at < s.bytes && s.data[at] == '0') {
        out->zero = true;
        if (!out->fill.bytes) out->fill = fnd_tpl_slice_str(s, at, 1);
        at++;
    }
    FND_TRY(read_number(r, s, &at, &out->width));
    if (at < s.bytes && (s.data[at] == ',' || s.data[at] == '_')) out->grouping = s.data[at++];
    if (at < s.bytes && s.data[at] == '.') {
        at++;
        FND_TRY(read_number(r, s, &at, &out->precision));
        if (out->precision < 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "a format has a point but no precision");
    }
    if (at < s.bytes) out->type = s.data[at++];
    if (at < s.bytes || (unsigned char)out->type >= 0x80) return fnd_tpl_fail(r, FND_ERR_FORMAT, "'%.*s' is no format of a value", (int)fnd_min_size(s.bytes, 60), s.data);
    return FND_OK;
}

static fnd_status put_value(fields *f, const tpl_value *v, tpl_str spec_text, tpl_builder *out) {
    tpl_spec spec;
    tpl_value text;
    bool number = fnd_tpl_is_number(v);
    if (spec_text.bytes == 0 || (!number && v->kind != TPL_STR)) {
        if (spec_text.bytes) return fnd_tpl_fail(f->r, FND_ERR_TYPE, "%s has no format '%.*s'", fnd_tpl_kind_name(v), (int)fnd_min_size(spec_text.bytes, 60), spec_text.data);
        FND_TRY(fnd_tpl_to_str(f->r, v, &text));
        fnd_tpl_add_str(f->r, out, *text.str);
        return FND_OK;
    }
    FND_TRY(read_spec(f->r, spec_text, &spec));
    if (v->kind == TPL_STR) {
        if (spec.align == '=' || spec.sign || spec.alternate || spec.grouping || (spec.type && spec.type != 's')) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "a string has no format '%.*s'", (int)fnd_min_size(spec_text.bytes, 60), spec_text.data);
        return fnd_tpl_spec_text(f->r, out, &spec, *v->str);
    }
    if (spec.zero && !spec.align) spec.align = '=';
    if (spec.type == 'c' && (spec.sign || spec.alternate)) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "the format 'c' has no sign");
    if (v->kind == TPL_FLOAT) return fnd_tpl_spec_float(f->r, out, &spec, v->number, v->mark);
    return fnd_tpl_spec_integer(f->r, out, &spec, v);
}

/* The inside of {..}: path, !conversion, :specification (which may hold places itself). */
static fnd_status put_field(fields *f, tpl_str inside, unsigned depth, tpl_builder *out) {
    size_t end = 0, brackets = 0;
    for (; end < inside.bytes; end++) {
        char c = inside.data[end];
        if (c == '[') brackets = 1;
        if (c == ']') brackets = 0;
        if (!brackets && (c == '!' || c == ':')) break;
    }
    tpl_value v, text;
    tpl_builder spec = { 0 }, plain = { 0 };
    char conversion = '\0';
    tpl_str path = fnd_tpl_slice_str(inside, 0, end);
    if (end < inside.bytes && inside.data[end] == '!') {
        conversion = end + 1 < inside.bytes ? inside.data[end + 1] : '?';
        end += 2;
        if (!memchr("sra", conversion, 3) || (end < inside.bytes && inside.data[end] != ':')) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "a conversion in this format is not !s, !r or !a");
    }
    FND_TRY(find_field(f, path, &v));
    if (conversion) {
        FND_TRY(converted(f->r, &v, conversion, &text));
        v = text;
    }
    tpl_str rest = end < inside.bytes ? fnd_tpl_slice_str(inside, end + 1, inside.bytes - end - 1) : (tpl_str){ .data = "" };
    FND_TRY(put_fields(f, rest, depth + 1, &spec));
    FND_TRY(fnd_tpl_built(f->r, &spec, false, &text));
    bool escaped = f->markup && depth == 0;
    FND_TRY(put_value(f, &v, *text.str, escaped ? &plain : out));
    if (!escaped) return FND_OK;
    bool as_it_is = v.kind == TPL_STR && v.str->markup;
    fnd_tpl_add_escaped(f->r, out, (tpl_str){ .data = plain.data ? plain.data : "", .bytes = plain.bytes, .marks = plain.marks, .markup = as_it_is });
    return FND_OK;
}

static fnd_status put_fields(fields *f, tpl_str format, unsigned depth, tpl_builder *out) {
    if (depth > 2) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "places in this format are nested too deep");
    for (size_t at = 0; at < format.bytes;) {
        char c = format.data[at];
        size_t start = at;
        FND_TRY(fnd_tpl_step(f->r, 1));
        if (c != '{' && c != '}') {
            while (at < format.bytes && format.data[at] != '{' && format.data[at] != '}') at++;
            fnd_tpl_add_str(f->r, out, fnd_tpl_slice_str(format, start, at - start));
            continue;
        }
        if (at + 1 < format.bytes && format.data[at + 1] == c) {
            fnd_tpl_add_str(f->r, out, fnd_tpl_slice_str(format, at, 1));
            at += 2;
            continue;
        }
        if (c == '}') return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "a } in this format closes nothing");
        unsigned open = 1;
        for (at++; at < format.bytes && open; at++) open += (format.data[at] == '{') - (unsigned)(format.data[at] == '}');
        if (open) return fnd_tpl_fail(f->r, FND_ERR_FORMAT, "a { in this format is never closed");
        FND_TRY(put_field(f, fnd_tpl_slice_str(format, start + 1, at - start - 2), depth, out));
    }
    return FND_OK;
}

static fnd_status format_all(fields *f, const tpl_str *format, tpl_value *out) {
    tpl_builder text = { 0 };
    f->markup = format->markup;
    FND_TRY(put_fields(f, *format, 0, &text));
    return fnd_tpl_built(f->r, &text, format->markup, out);
}

TPL_FUNCTION(fnd_tpl_str_format) { return format_all(&(fields){ .r = r, .args = args }, self->str, out); }

TPL_FUNCTION(fnd_tpl_str_format_map) {
    static const char *const names[] = { "mapping", NULL };
    tpl_value v;
    FND_TRY(fnd_tpl_bind(r, "format_map()", args, names, 1, &v));
    if (v.kind != TPL_DICT) return fnd_tpl_fail(r, FND_ERR_TYPE, "format_map() needs a dict, not %s", fnd_tpl_kind_name(&v));
    return format_all(&(fields){ .r = r, .args = &(tpl_args){ 0 }, .mapping = v.dict }, self->str, out);
}
