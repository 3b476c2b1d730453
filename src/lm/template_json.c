/* template_json.c - the filter tojson: json.dumps(x, ensure_ascii=False), with its arguments. */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode.h"

#include <stdio.h>

typedef struct json_writer {
    tpl_run *r;
    tpl_builder text;
    tpl_value indent; /* none: one line; else an integer or a string */
    tpl_str item_separator, key_separator;
    bool ascii, sort_keys;
    unsigned level;
} json_writer;

static fnd_status write_value(json_writer *w, const tpl_value *v);

static void write_escape(json_writer *w, uint32_t code, uint8_t mark) {
    char text[16];
    static const char plain[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    for (size_t i = 0; i + 1 < sizeof plain; i += 2) {
        if (code != (unsigned char)plain[i]) continue;
        text[0] = '\\';
        text[1] = plain[i + 1];
        fnd_tpl_add(w->r, &w->text, text, 2, NULL, mark);
        return;
    }
    int n = 0;
    if (code >= 0x10000) {
        n = snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF));
    } else {
        n = snprintf(text, sizeof text, "\\u%04x", code);
    }
    fnd_tpl_add(w->r, &w->text, text, (size_t)n, NULL, mark);
}

static void write_string(json_writer *w, const tpl_str *s) {
    fnd_tpl_add_text(w->r, &w->text, "\"");
    size_t plain = 0; /* where what is copied as it is begins */
    for (size_t i = 0; i < s->bytes;) {
        size_t n = fnd_utf8_char(s->data + i, s->bytes - i);
        uint32_t code = n ? fnd_utf8_code(s->data + i) : 0xFFFD;
        n = n ? n : 1;
        if (code < 32 || code == '"' || code == '\\' || (w->ascii && code >= 0x7F)) {
            fnd_tpl_add_str(w->r, &w->text, fnd_tpl_slice_str(*s, plain, i - plain));
            write_escape(w, code, s->marks ? s->marks[i] : s->mark);
            plain = i + n;
        }
        i += n;
    }
    fnd_tpl_add_str(w->r, &w->text, fnd_tpl_slice_str(*s, plain, s->bytes - plain));
    fnd_tpl_add_text(w->r, &w->text, "\"");
}

static void new_line(json_writer *w) {
    if (w->indent.kind == TPL_NONE) return;
    fnd_tpl_add_text(w->r, &w->text, "\n");
    for (unsigned i = 0; i < w->level; i++) {
        if (w->indent.kind == TPL_STR) fnd_tpl_add_str(w->r, &w->text, *w->indent.str);
        for (int64_t k = 0; w->indent.kind == TPL_INT && k < w->indent.integer; k++) fnd_tpl_add_text(w->r, &w->text, " ");
    }
}

static fnd_status write_list(json_writer *w, const tpl_list *list) {
    fnd_tpl_add_text(w->r, &w->text, "[");
    w->level++;
    for (size_t i = 0; i < list->count; i++) {
        if (i) fnd_tpl_add_str(w->r, &w->text, w->item_separator);
        new_line(w);
        FND_TRY(write_value(w, &list->items[i]));
    }
    w->level--;
    if (list->count) new_line(w);
    fnd_tpl_add_text(w->r, &w->text, "]");
    return FND_OK;
}

static fnd_status write_key(json_writer *w, const tpl_value *key) {
    if (key->kind == TPL_STR) {
        write_string(w, key->str);
        return FND_OK;
    }
    if (key->kind != TPL_INT && key->kind != TPL_FLOAT && key->kind != TPL_BOOL && key->kind != TPL_NONE) return fnd_tpl_fail(w->r, FND_ERR_TYPE, "%s cannot be a key in JSON", fnd_tpl_kind_name(key));
    fnd_tpl_add_text(w->r, &w->text, "\"");
    FND_TRY(write_value(w, key));
    fnd_tpl_add_text(w->r, &w->text, "\"");
    return FND_OK;
}

static fnd_status write_dict(json_writer *w, const tpl_value *dict) {
    tpl_value pairs;
    FND_TRY(fnd_tpl_dict_view(w->r, dict->dict, TPL_ITEMS, &pairs));
    if (w->sort_keys) {
        tpl_value sensitive = fnd_tpl_bool(true);
        FND_TRY(fnd_tpl_filter(w->r, "dictsort", 8, dict, &(tpl_args){ .items = &sensitive, .count = 1 }, &pairs));
    }
    fnd_tpl_add_text(w->r, &w->text, "{");
    w->level++;
    for (size_t i = 0; i < pairs.list->count; i++) {
        const tpl_value *pair = pairs.list->items[i].list->items;
        if (i) fnd_tpl_add_str(w->r, &w->text, w->item_separator);
        new_line(w);
        FND_TRY(write_key(w, &pair[0]));
        fnd_tpl_add_str(w->r, &w->text, w->key_separator);
        FND_TRY(write_value(w, &pair[1]));
    }
    w->level--;
    if (pairs.list->count) new_line(w);
    fnd_tpl_add_text(w->r, &w->text, "}");
    return FND_OK;
}

static fnd_status write_any(json_writer *w, const tpl_value *v) {
    switch (v->kind) {
    case TPL_NONE:
        fnd_tpl_add_text(w->r, &w->text, "null");
        return FND_OK;
    case TPL_BOOL:
        fnd_tpl_add(w->r, &w->text, v->flag ? "true" : "false", v->flag ? 4 : 5, NULL, v->mark);
        return FND_OK;
    case TPL_INT:
        return fnd_tpl_add_value(w->r, &w->text, v);
    case TPL_FLOAT:
        if (v->number - v->number == 0) return fnd_tpl_add_value(w->r, &w->text, v);
        fnd_tpl_add_text(w->r, &w->text, v->number > 0 ? "Infinity" : v->number < 0 ? "-Infinity"
                                                                                    : "NaN");
        return FND_OK;
    case TPL_STR:
        write_string(w, v->str);
        return FND_OK;
    case TPL_LIST:
    case TPL_TUPLE:
        return write_list(w, v->list);
    case TPL_DICT:
        return write_dict(w, v);
    case TPL_UNDEFINED:
        return fnd_tpl_undefined_used(w->r, v);
    default:
        return fnd_tpl_fail(w->r, FND_ERR_TYPE, "%s cannot be written as JSON", fnd_tpl_kind_name(v));
    }
}

static fnd_status write_value(json_writer *w, const tpl_value *v) {
    if (++w->r->depth > TPL_RUN_DEPTH) return fnd_tpl_fail(w->r, FND_ERR_LIMIT, "this is nested more than %d deep", TPL_RUN_DEPTH);
    FND_TRY(fnd_tpl_step(w->r, 1 + (v->kind == TPL_STR ? v->str->bytes / 64 : 0)));
    FND_TRY(write_any(w, v));
    w->r->depth--;
    return w->r->failed ? fnd_tpl_no_memory(w->r) : FND_OK;
}

static fnd_status read_separators(json_writer *w, const tpl_value *v) {
    w->item_separator = fnd_tpl_const_str(w->indent.kind == TPL_NONE ? ", " : ",");
    w->key_separator = fnd_tpl_const_str(": ");
    if (v->kind == TPL_NONE) return FND_OK;
    bool pair = (v->kind == TPL_TUPLE || v->kind == TPL_LIST) && v->list->count == 2;
    if (!pair) return fnd_tpl_fail(w->r, FND_ERR_TYPE, "the separators of tojson are two strings");
    for (int i = 0; i < 2; i++) FND_TRY(fnd_tpl_need_str(w->r, "a separator of tojson", &v->list->items[i]));
    w->item_separator = *v->list->items[0].str;
    w->key_separator = *v->list->items[1].str;
    return FND_OK;
}

fnd_status fnd_tpl_to_json(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out) {
    static const char *const names[] = { "ensure_ascii", "indent", "separators", "sort_keys", NULL };
    tpl_value a[4] = { fnd_tpl_bool(false), { .kind = TPL_NONE }, { .kind = TPL_NONE }, fnd_tpl_bool(false) };
    FND_TRY(fnd_tpl_bind(r, "tojson", args, names, 0, a));
    if (a[1].kind == TPL_BOOL) a[1] = fnd_tpl_int(a[1].flag);
    if ((a[1].kind != TPL_NONE && a[1].kind != TPL_INT && a[1].kind != TPL_STR) || (a[1].kind == TPL_INT && a[1].integer > 100)) return fnd_tpl_fail(r, FND_ERR_TYPE, "the indent of tojson is a small integer or a string");
    json_writer w = { .r = r, .indent = a[1], .ascii = fnd_tpl_truth(&a[0]), .sort_keys = fnd_tpl_truth(&a[3]) };
    FND_TRY(read_separators(&w, &a[2]));
    FND_TRY(write_value(&w, self));
    return fnd_tpl_built(r, &w.text, false, out);
}
