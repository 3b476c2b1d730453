/* template_print.c - values as text: Python's str() and repr(). */
#include "base/base.h"
#include "lm/template_tree.h"
#include "lm/unicode.h"
#include "lm/unicode_case.h"

#include <math.h>
#include <stdio.h>

/* The shortest digits that read back as x, laid out as Python does. */
size_t fnd_tpl_print_float(double x, char out[TPL_FLOAT_TEXT]) {
    if (isnan(x)) return (size_t)snprintf(out, TPL_FLOAT_TEXT, "nan");
    if (isinf(x)) return (size_t)snprintf(out, TPL_FLOAT_TEXT, x < 0 ? "-inf" : "inf");
    char digits[TPL_FLOAT_TEXT];
    int precision = 0;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision, x);
    } while (precision++ < 17 && strtod(digits, NULL) != x);
    int exponent = atoi(strchr(digits, 'e') + 1), decimals = precision - 1 - exponent;
    if (exponent >= -4 && exponent < 16) return (size_t)snprintf(out, TPL_FLOAT_TEXT, "%.*f", decimals > 1 ? decimals : 1, x);
    *strchr(digits, 'e') = '\0';
    return (size_t)snprintf(out, TPL_FLOAT_TEXT, "%se%c%02d", digits, exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
}

void fnd_tpl_add_code(tpl_run *r, tpl_builder *b, uint32_t code, uint8_t mark) {
    char text[4];
    fnd_tpl_add(r, b, text, fnd_utf8_put(code, text), NULL, mark);
}

void fnd_tpl_add_escaped(tpl_run *r, tpl_builder *b, tpl_str s) {
    static const char escaped[] = "&<>'\"";
    static const char *const entities[] = { "&amp;", "&lt;", "&gt;", "&#39;", "&#34;" };
    size_t plain = 0; /* where what is copied as it is begins */
    for (size_t i = 0; i < s.bytes && !s.markup; i++) {
        const char *which = memchr(escaped, s.data[i], 5);
        if (!which) continue;
        const char *entity = entities[which - escaped];
        fnd_tpl_add_str(r, b, fnd_tpl_slice_str(s, plain, i - plain));
        fnd_tpl_add(r, b, entity, strlen(entity), NULL, s.marks ? s.marks[i] : s.mark);
        plain = i + 1;
    }
    fnd_tpl_add_str(r, b, fnd_tpl_slice_str(s, plain, s.bytes - plain));
}

/* The escape of a character in a quoted string; 0: it stands for itself. */
static int escape_character(uint32_t c, char quote, char text[16]) {
    if (c == (unsigned char)quote || c == '\\') return snprintf(text, 16, "\\%c", (char)c);
    if (c == '\n' || c == '\r' || c == '\t') return snprintf(text, 16, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r'
                                                                                                           : 't');
    if ((c >= ' ' && c < 0x7F) || (c >= 0x7F && fnd_unicode_is_printable(c))) return 0;
    return snprintf(text, 16, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x"
                                                                  : "\\U%08x",
                    c);
}

/* A string as Python writes it in source: quotes and escapes. */
static void add_quoted(tpl_run *r, tpl_builder *b, const tpl_str *s) {
    bool single = memchr(s->data, '\'', s->bytes) != NULL, both = single && memchr(s->data, '"', s->bytes);
    char quote = single && !both ? '"' : '\'', text[16];
    if (s->markup) fnd_tpl_add_text(r, b, "Markup(");
    fnd_tpl_add(r, b, &quote, 1, NULL, TPL_FROM_TEMPLATE);
    for (size_t i = 0; i < s->bytes;) {
        tpl_str original = fnd_tpl_char_at(*s, i);
        int length = escape_character(fnd_tpl_code(original), quote, text);
        if (length) {
            fnd_tpl_add(r, b, text, (size_t)length, NULL, original.marks ? original.marks[0] : original.mark);
        } else {
            fnd_tpl_add_str(r, b, original);
        }
        i += original.bytes;
    }
    fnd_tpl_add(r, b, &quote, 1, NULL, TPL_FROM_TEMPLATE);
    if (s->markup) fnd_tpl_add_text(r, b, ")");
}

static fnd_status add_items(tpl_run *r, tpl_builder *b, const tpl_list *list, const char *before, const char *after) {
    fnd_tpl_add_text(r, b, before);
    for (size_t i = 0; i < list->count; i++) {
        if (i) fnd_tpl_add_text(r, b, ", ");
        FND_TRY(fnd_tpl_add_repr(r, b, &list->items[i]));
    }
    fnd_tpl_add_text(r, b, after);
    return FND_OK;
}

static fnd_status add_dict(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    fnd_tpl_add_text(r, b, v->kind == TPL_NAMESPACE ? "<Namespace {" : "{");
    for (size_t i = 0; i < v->dict->count; i++) {
        if (i) fnd_tpl_add_text(r, b, ", ");
        FND_TRY(fnd_tpl_add_repr(r, b, &v->dict->keys[i]));
        fnd_tpl_add_text(r, b, ": ");
        FND_TRY(fnd_tpl_add_repr(r, b, &v->dict->values[i]));
    }
    fnd_tpl_add_text(r, b, v->kind == TPL_NAMESPACE ? "}>" : "}");
    return FND_OK;
}

static fnd_status add_sequence(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    static const char *const views[] = { [TPL_KEYS] = "dict_keys([", [TPL_VALUES] = "dict_values([", [TPL_ITEMS] = "dict_items([" };
    char text[96];
    if (v->kind == TPL_LIST) return add_items(r, b, v->list, "[", "]");
    if (v->kind == TPL_TUPLE) return add_items(r, b, v->list, "(", v->list->count == 1 ? ",)" : ")");
    if (v->kind == TPL_VIEW) return add_items(r, b, v->list, views[v->list->form], "])");
    const tpl_range *range = (const tpl_range *)v->list;
    int n = snprintf(text, sizeof text, "range(%lld, %lld", (long long)range->start, (long long)range->stop);
    if (range->step != 1) n += snprintf(text + n, sizeof text - (size_t)n, ", %lld", (long long)range->step);
    fnd_tpl_add(r, b, text, (size_t)n, NULL, TPL_FROM_TEMPLATE);
    fnd_tpl_add_text(r, b, ")");
    return FND_OK;
}

static fnd_status add_other(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    char text[64];
    if (v->kind == TPL_LOOP) {
        FND_TRY(fnd_tpl_loop_fill(r, v->loop, SIZE_MAX));
        fnd_tpl_add(r, b, text, (size_t)snprintf(text, sizeof text, "<LoopContext %zu/%zu>", v->loop->index + 1, v->loop->items.count), NULL, TPL_FROM_TEMPLATE);
        return FND_OK;
    }
    if (v->kind == TPL_CALLABLE && v->callable->macro && v->callable->macro->kind == N_MACRO) {
        fnd_tpl_add_text(r, b, "<Macro '");
        fnd_tpl_add_str(r, b, v->callable->macro->name);
        fnd_tpl_add_text(r, b, "'>");
        return FND_OK;
    }
    if (v->kind == TPL_SELF) {
        fnd_tpl_add_text(r, b, "<TemplateReference None>");
        return FND_OK;
    }
    if (v->kind == TPL_CALLABLE && v->callable->macro && v->callable->macro->kind == N_CALL_BLOCK) {
        fnd_tpl_add_text(r, b, "<Macro anonymous>");
        return FND_OK;
    }
    if (v->kind == TPL_ITERATOR) return fnd_tpl_fail(r, FND_ERR_TYPE, "an iterator cannot be printed; the filter \"list\" makes a list of it");
    return fnd_tpl_fail(r, FND_ERR_TYPE, "%s cannot be printed", fnd_tpl_kind_name(v));
}

fnd_status fnd_tpl_add_repr(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    if (v->kind == TPL_UNDEFINED) {
        fnd_tpl_add_text(r, b, "Undefined");
        return FND_OK;
    }
    if (v->kind != TPL_STR) return fnd_tpl_add_value(r, b, v);
    FND_TRY(fnd_tpl_step(r, 1 + v->str->bytes / 64));
    add_quoted(r, b, v->str);
    return FND_OK;
}

static fnd_status add_value(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    char text[48];
    switch (v->kind) {
    case TPL_UNDEFINED:
        return FND_OK;
    case TPL_NONE:
        fnd_tpl_add_text(r, b, "None");
        return FND_OK;
    case TPL_BOOL:
        fnd_tpl_add(r, b, v->flag ? "True" : "False", v->flag ? 4 : 5, NULL, v->mark);
        return FND_OK;
    case TPL_INT:
        fnd_tpl_add(r, b, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)v->integer), NULL, v->mark);
        return FND_OK;
    case TPL_FLOAT:
        fnd_tpl_add(r, b, text, fnd_tpl_print_float(v->number, text), NULL, v->mark);
        return FND_OK;
    case TPL_STR:
        fnd_tpl_add_str(r, b, *v->str);
        return FND_OK;
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_RANGE:
    case TPL_VIEW:
        return add_sequence(r, b, v);
    case TPL_DICT:
    case TPL_NAMESPACE:
        return add_dict(r, b, v);
    default:
        return add_other(r, b, v);
    }
}

fnd_status fnd_tpl_add_value(tpl_run *r, tpl_builder *b, const tpl_value *v) {
    FND_TRY(fnd_tpl_deeper(r));
    fnd_status status = add_value(r, b, v);
    r->depth--;
    return status;
}

fnd_status fnd_tpl_to_str(tpl_run *r, const tpl_value *v, tpl_value *out) {
    tpl_builder text = { 0 };
    if (v->kind == TPL_STR) {
        *out = *v;
        return fnd_tpl_step(r, v->str->bytes / 16);
    }
    FND_TRY(fnd_tpl_add_value(r, &text, v));
    return fnd_tpl_built(r, &text, false, out);
}
