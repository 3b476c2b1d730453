/* template_functions.c - arguments, global functions and tests. */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode.h"

#include <time.h>

/* ---- arguments ---- */

static size_t find_parameter(const char *const *names, tpl_str name) {
    size_t i = 0;
    while (names[i] && !(strlen(names[i]) == name.bytes && memcmp(names[i], name.data, name.bytes) == 0)) i++;
    return i;
}

fnd_status fnd_tpl_bind(tpl_run *r, const char *what, const tpl_args *args, const char *const *names, size_t required, tpl_value *values) {
    bool given[8] = { false };
    size_t count = 0;
    while (names[count]) count++;
    if (args->count > count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s takes at most %zu arguments, not %zu", what, count, args->count);
    for (size_t i = 0; i < args->count; i++) {
        values[i] = args->items[i];
        given[i] = true;
    }
    for (size_t k = 0; k < args->named_count; k++) {
        size_t i = find_parameter(names, args->names[k]);
        if (!names[i]) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s has no argument '%.*s'", what, (int)args->names[k].bytes, args->names[k].data);
        if (given[i]) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s gets its argument '%s' twice", what, names[i]);
        values[i] = args->named[k];
        given[i] = true;
    }
    for (size_t i = 0; i < required; i++) {
        if (!given[i]) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s needs its argument '%s'", what, names[i]);
    }
    return FND_OK;
}

fnd_status fnd_tpl_need_str(tpl_run *r, const char *what, const tpl_value *v) {
    if (v->kind == TPL_STR) return FND_OK;
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, v);
    return fnd_tpl_fail(r, FND_ERR_TYPE, "%s needs a string, not %s", what, fnd_tpl_kind_name(v));
}

static fnd_status need_int(tpl_run *r, const char *what, const tpl_value *v, int64_t *out) {
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, v);
    if (v->kind != TPL_INT && v->kind != TPL_BOOL) return fnd_tpl_fail(r, FND_ERR_TYPE, "%s needs an integer, not %s", what, fnd_tpl_kind_name(v));
    *out = v->kind == TPL_BOOL ? v->flag : v->integer;
    return FND_OK;
}

/* ---- global functions ---- */

static fnd_status call_range(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out) {
    static const char *const names[] = { "start", "stop", "step", NULL };
    tpl_value v[3] = { { 0 }, { 0 }, fnd_tpl_int(1) };
    int64_t start = 0, stop, step;
    (void)self;
    FND_TRY(fnd_tpl_bind(r, "range()", args, names, 1, v));
    FND_TRY(need_int(r, "range()", &v[args->count > 1], &stop));
    if (args->count > 1) FND_TRY(need_int(r, "range()", &v[0], &start));
    FND_TRY(need_int(r, "range()", &v[2], &step));
    if (step == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the step of range() is zero");
    uint64_t distance = step > 0 ? stop > start ? (uint64_t)stop - (uint64_t)start : 0 : start > stop ? (uint64_t)start - (uint64_t)stop
                                                                                                      : 0;
    uint64_t pace = step > 0 ? (uint64_t)step : 0 - (uint64_t)step, count = distance ? (distance - 1) / pace + 1 : 0;
    if (count > TPL_RANGE_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "range() of %llu items is more than the %d allowed", (unsigned long long)count, TPL_RANGE_LIMIT);
    FND_TRY(fnd_tpl_step(r, count));
    FND_TRY(fnd_tpl_new_list(r, (size_t)count, TPL_LIST, out));
    for (uint64_t i = 0; i < count; i++) out->list->items[i] = fnd_tpl_int((int64_t)((uint64_t)start + i * (uint64_t)step));
    return FND_OK;
}

static fnd_status make_dict(tpl_run *r, const tpl_args *args, tpl_value *out) {
    FND_TRY(fnd_tpl_new_dict(r, args->named_count, out));
    if (args->count > 1 || (args->count == 1 && args->items[0].kind != TPL_DICT)) return fnd_tpl_fail(r, FND_ERR_TYPE, "this takes named arguments and at most one dict");
    for (size_t i = 0; args->count && i < args->items[0].dict->count; i++) FND_TRY(fnd_tpl_dict_set(r, out->dict, &args->items[0].dict->keys[i], &args->items[0].dict->values[i]));
    for (size_t i = 0; i < args->named_count; i++) {
        tpl_value key;
        FND_TRY(fnd_tpl_new_str(r, args->names[i], &key));
        FND_TRY(fnd_tpl_dict_set(r, out->dict, &key, &args->named[i]));
    }
    return FND_OK;
}

static fnd_status call_dict(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out) {
    (void)self;
    return make_dict(r, args, out);
}

static fnd_status call_namespace(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out) {
    (void)self;
    FND_TRY(make_dict(r, args, out));
    out->kind = TPL_NAMESPACE;
    return FND_OK;
}

static fnd_status call_raise(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out) {
    static const char *const names[] = { "message", NULL };
    tpl_value message;
    tpl_builder text = { 0 };
    (void)self;
    FND_TRY(fnd_tpl_bind(r, "raise_exception()", args, names, 1, &message));
    FND_TRY(fnd_tpl_add_value(r, &text, &message));
    FND_TRY(fnd_tpl_built(r, &text, out));
    char shown[400];
    return fnd_tpl_fail(r, FND_ERR_FORMAT, "the template refuses these messages: %s", fnd_span_quote((fnd_span){ out->str->data, out->str->bytes }, shown, sizeof shown));
}

static fnd_status call_strftime_now(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out) {
    static const char *const names[] = { "format", NULL };
    tpl_value v;
    char format[128], text[512];
    struct tm parts;
    time_t now = time(NULL);
    (void)self;
    FND_TRY(fnd_tpl_bind(r, "strftime_now()", args, names, 1, &v));
    FND_TRY(fnd_tpl_need_str(r, "strftime_now()", &v));
    if (v.str->bytes >= sizeof format || !localtime_r(&now, &parts)) return fnd_tpl_fail(r, FND_ERR_LIMIT, "the format of strftime_now() is too long");
    memcpy(format, v.str->data, v.str->bytes);
    format[v.str->bytes] = '\0';
    tpl_builder b = { 0 };
    fnd_tpl_add(r, &b, text, strftime(text, sizeof text, format, &parts), NULL, TPL_FROM_TEMPLATE);
    return fnd_tpl_built(r, &b, out);
}

const tpl_callable *fnd_tpl_find_global(const char *name, size_t bytes) {
    static const tpl_callable globals[] = {
        { .name = "range", .function = call_range },
        { .name = "namespace", .function = call_namespace },
        { .name = "dict", .function = call_dict },
        { .name = "raise_exception", .function = call_raise },
        { .name = "strftime_now", .function = call_strftime_now },
    };
    for (size_t i = 0; i < FND_COUNT(globals); i++) {
        if (strlen(globals[i].name) == bytes && memcmp(globals[i].name, name, bytes) == 0) return &globals[i];
    }
    return NULL;
}

/* ---- tests: x is name ---- */

/* Tests that ask for a kind of value: the kinds, as bits. */
#define KIND(k) (1u << (k))
static const struct {
    const char *name;
    unsigned kinds;
} kind_tests[] = {
    { "defined", ~KIND(TPL_UNDEFINED) },
    { "undefined", KIND(TPL_UNDEFINED) },
    { "none", KIND(TPL_NONE) },
    { "boolean", KIND(TPL_BOOL) },
    { "integer", KIND(TPL_INT) },
    { "float", KIND(TPL_FLOAT) },
    { "number", KIND(TPL_INT) | KIND(TPL_FLOAT) | KIND(TPL_BOOL) },
    { "string", KIND(TPL_STR) },
    { "mapping", KIND(TPL_DICT) },
    { "sequence", KIND(TPL_LIST) | KIND(TPL_TUPLE) | KIND(TPL_STR) | KIND(TPL_DICT) | KIND(TPL_UNDEFINED) },
    { "iterable", KIND(TPL_LIST) | KIND(TPL_TUPLE) | KIND(TPL_STR) | KIND(TPL_DICT) | KIND(TPL_UNDEFINED) },
    { "callable", KIND(TPL_CALLABLE) },
};

/* Tests without arguments; false when there is none of this name. */
static bool test_kind(tpl_str name, const tpl_value *v, bool *out) {
    for (size_t i = 0; i < FND_COUNT(kind_tests); i++) {
        if (strlen(kind_tests[i].name) != name.bytes || memcmp(kind_tests[i].name, name.data, name.bytes) != 0) continue;
        *out = kind_tests[i].kinds & KIND(v->kind);
        return true;
    }
    static const char *const names[] = { "false", "true", NULL };
    size_t flag = find_parameter(names, name);
    *out = v->kind == TPL_BOOL && v->flag == (flag == 1);
    return flag < 2;
}

/* Is the text in this case? As Python: there is a letter, and none of the other case. */
static bool in_case(const tpl_str *s, bool upper) {
    bool letters = false;
    for (size_t i = 0; i < s->bytes;) {
        size_t n = fnd_utf8_char(s->data + i, s->bytes - i);
        uint32_t c = n ? fnd_utf8_code(s->data + i) : 0xFFFD, up = fnd_unicode_upper(c), low = fnd_unicode_lower(c);
        if (up != low) letters = true;
        if (up != low && c != (upper ? up : low)) return false;
        i += n ? n : 1;
    }
    return letters;
}

static fnd_status test_integer(tpl_run *r, tpl_str name, const tpl_value *v, const tpl_args *args, bool *found, bool *out) {
    static const char *const names[] = { "even", "odd", "divisibleby", NULL };
    static const char *const parameters[] = { "num", NULL };
    size_t which = find_parameter(names, name);
    tpl_value by = fnd_tpl_int(2), rest;
    *found = which < 3;
    if (!*found) return FND_OK;
    if (which == 2) FND_TRY(fnd_tpl_bind(r, "the test \"divisibleby\"", args, parameters, 1, &by));
    FND_TRY(fnd_tpl_binary(r, OP_MOD, v, &by, &rest));
    *out = fnd_tpl_truth(&rest) == (which == 1);
    return FND_OK;
}

static fnd_status test_pair(tpl_run *r, tpl_str name, const tpl_value *v, const tpl_args *args, bool *found, bool *out) {
    static const struct {
        const char *name;
        tpl_op op;
    } tests[] = {
        { "eq", OP_EQ },
        { "equalto", OP_EQ },
        { "==", OP_EQ },
        { "sameas", OP_EQ },
        { "ne", OP_NE },
        { "!=", OP_NE },
        { "lt", OP_LT },
        { "lessthan", OP_LT },
        { "<", OP_LT },
        { "le", OP_LE },
        { "<=", OP_LE },
        { "gt", OP_GT },
        { "greaterthan", OP_GT },
        { ">", OP_GT },
        { "ge", OP_GE },
        { ">=", OP_GE },
        { "in", OP_IN },
    };
    static const char *const parameters[] = { "other", NULL };
    size_t i = 0;
    while (i < FND_COUNT(tests) && !(strlen(tests[i].name) == name.bytes && memcmp(tests[i].name, name.data, name.bytes) == 0)) i++;
    *found = i < FND_COUNT(tests);
    if (!*found) return FND_OK;
    tpl_value other;
    int order = 0;
    FND_TRY(fnd_tpl_bind(r, "this test", args, parameters, 1, &other));
    if (tests[i].op == OP_IN) return fnd_tpl_contains(r, &other, v, out);
    if (tests[i].op == OP_EQ || tests[i].op == OP_NE) {
        FND_TRY(fnd_tpl_equal(r, v, &other, out));
        *out = *out == (tests[i].op == OP_EQ);
        if (tests[i].name[0] == 's') *out = *out && v->kind == other.kind; /* sameas: 1 is not true */
        return FND_OK;
    }
    FND_TRY(fnd_tpl_order(r, v, &other, &order));
    *out = tests[i].op == OP_LT ? order < 0 : tests[i].op == OP_LE ? order <= 0
                                          : tests[i].op == OP_GT   ? order > 0
                                                                   : order >= 0;
    return FND_OK;
}

static fnd_status test_text(tpl_run *r, tpl_str name, const tpl_value *v, bool *found, bool *out) {
    static const char *const names[] = { "lower", "upper", NULL };
    size_t which = find_parameter(names, name);
    *found = which < 2;
    if (!*found) return FND_OK;
    tpl_builder text = { 0 };
    tpl_value str;
    FND_TRY(fnd_tpl_add_value(r, &text, v));
    FND_TRY(fnd_tpl_built(r, &text, &str));
    *out = in_case(str.str, which == 1);
    return FND_OK;
}

fnd_status fnd_tpl_test(tpl_run *r, const char *name, size_t name_bytes, const tpl_value *self, const tpl_args *args, bool *out) {
    tpl_str text = { .data = name, .bytes = name_bytes };
    bool found = test_kind(text, self, out);
    FND_TRY(fnd_tpl_step(r, 2));
    if (found && args->count + args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the test \"%.*s\" takes no argument", (int)name_bytes, name);
    if (!found) FND_TRY(test_integer(r, text, self, args, &found, out));
    if (!found) FND_TRY(test_pair(r, text, self, args, &found, out));
    if (!found) FND_TRY(test_text(r, text, self, &found, out));
    return found ? FND_OK : fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the test \"%.*s\" is not known here", (int)name_bytes, name);
}
