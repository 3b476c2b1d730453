/* template_tests.c - tests: x is name. */
#include "base/base.h"
#include "lm/template.h"

typedef fnd_status tpl_test_function(tpl_run *r, const tpl_value *v, const tpl_args *args, bool *out);
#define TEST_OF(id) static fnd_status id(tpl_run *r, const tpl_value *v, const tpl_args *args, bool *out)

/* Tests that ask for a kind of value: the kinds, as bits. */
#define KIND(k)   (1u << (k))
#define SEQUENCES (KIND(TPL_LIST) | KIND(TPL_TUPLE) | KIND(TPL_STR) | KIND(TPL_DICT) | KIND(TPL_UNDEFINED) | KIND(TPL_RANGE))
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
    { "sequence", SEQUENCES },
    { "iterable", SEQUENCES | KIND(TPL_VIEW) | KIND(TPL_ITERATOR) | KIND(TPL_LOOP) | KIND(TPL_SELF) },
};

static fnd_status other(tpl_run *r, const tpl_args *args, tpl_value *out) {
    static const char *const names[] = { "other", NULL };
    return fnd_tpl_bind(r, "this test", args, names, 1, out);
}

static fnd_status compare(tpl_run *r, tpl_op op, const tpl_value *v, const tpl_args *args, bool *out) {
    tpl_value b;
    if (args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "this test takes no named arguments");
    FND_TRY(other(r, args, &b));
    return fnd_tpl_compare(r, op, v, &b, out);
}
TEST_OF(test_eq) { return compare(r, OP_EQ, v, args, out); }
TEST_OF(test_ne) { return compare(r, OP_NE, v, args, out); }
TEST_OF(test_lt) { return compare(r, OP_LT, v, args, out); }
TEST_OF(test_le) { return compare(r, OP_LE, v, args, out); }
TEST_OF(test_gt) { return compare(r, OP_GT, v, args, out); }
TEST_OF(test_ge) { return compare(r, OP_GE, v, args, out); }

TEST_OF(test_in) {
    static const char *const names[] = { "seq", NULL };
    tpl_value in;
    FND_TRY(fnd_tpl_bind(r, "the test \"in\"", args, names, 1, &in));
    return fnd_tpl_contains(r, &in, v, out);
}

/* The same object; numbers and strings have no identity here: equal ones of a kind are the same. */
TEST_OF(test_sameas) {
    tpl_value b;
    FND_TRY(other(r, args, &b));
    *out = v->kind == b.kind;
    if (!*out) return FND_OK;
    bool plain = v->kind <= TPL_STR;
    if (plain) return fnd_tpl_equal(r, v, &b, out);
    *out = v->dict == b.dict;
    return FND_OK;
}

static fnd_status remainder_is(tpl_run *r, const tpl_value *v, const tpl_value *by, int64_t what, bool *out) {
    tpl_value rest, wanted = fnd_tpl_int(what);
    FND_TRY(fnd_tpl_binary(r, OP_MOD, v, by, &rest));
    return fnd_tpl_equal(r, &rest, &wanted, out);
}

TEST_OF(test_even) {
    tpl_value two = fnd_tpl_int(2);
    FND_TRY(fnd_tpl_no_args(r, "the test \"even\"", args));
    return remainder_is(r, v, &two, 0, out);
}

TEST_OF(test_odd) {
    tpl_value two = fnd_tpl_int(2);
    FND_TRY(fnd_tpl_no_args(r, "the test \"odd\"", args));
    return remainder_is(r, v, &two, 1, out);
}

TEST_OF(test_divisibleby) {
    static const char *const names[] = { "num", NULL };
    tpl_value by;
    FND_TRY(fnd_tpl_bind(r, "the test \"divisibleby\"", args, names, 1, &by));
    return remainder_is(r, v, &by, 0, out);
}

static fnd_status in_case(tpl_run *r, const tpl_value *v, const tpl_args *args, bool upper, bool *out) {
    tpl_value text;
    FND_TRY(fnd_tpl_no_args(r, "this test", args));
    FND_TRY(fnd_tpl_to_str(r, v, &text));
    *out = fnd_tpl_in_case(*text.str, upper);
    return FND_OK;
}
TEST_OF(test_lower) { return in_case(r, v, args, false, out); }
TEST_OF(test_upper) { return in_case(r, v, args, true, out); }

TEST_OF(test_true) {
    *out = v->kind == TPL_BOOL && v->flag;
    return fnd_tpl_no_args(r, "the test \"true\"", args);
}

TEST_OF(test_false) {
    *out = v->kind == TPL_BOOL && !v->flag;
    return fnd_tpl_no_args(r, "the test \"false\"", args);
}

TEST_OF(test_escaped) {
    *out = v->kind == TPL_STR && v->str->markup;
    return fnd_tpl_no_args(r, "the test \"escaped\"", args);
}

TEST_OF(test_callable) {
    *out = v->kind == TPL_UNDEFINED || v->kind == TPL_LOOP || (v->kind == TPL_CALLABLE && strcmp(v->callable->name, "a cycler") != 0);
    return fnd_tpl_no_args(r, "the test \"callable\"", args);
}

TEST_OF(test_filter) {
    FND_TRY(fnd_tpl_no_args(r, "the test \"filter\"", args));
    FND_TRY(fnd_tpl_hashable(r, v));
    *out = v->kind == TPL_STR && fnd_tpl_find_filter(v->str->data, v->str->bytes);
    return FND_OK;
}

TEST_OF(test_test) {
    FND_TRY(fnd_tpl_no_args(r, "the test \"test\"", args));
    FND_TRY(fnd_tpl_hashable(r, v));
    *out = v->kind == TPL_STR && fnd_tpl_has_test(v->str->data, v->str->bytes);
    return FND_OK;
}

static const struct {
    const char *name;
    tpl_test_function *function;
} tests[] = {
    { "!=", test_ne },
    { "<", test_lt },
    { "<=", test_le },
    { "==", test_eq },
    { ">", test_gt },
    { ">=", test_ge },
    { "callable", test_callable },
    { "divisibleby", test_divisibleby },
    { "eq", test_eq },
    { "equalto", test_eq },
    { "escaped", test_escaped },
    { "even", test_even },
    { "false", test_false },
    { "filter", test_filter },
    { "ge", test_ge },
    { "greaterthan", test_gt },
    { "gt", test_gt },
    { "in", test_in },
    { "le", test_le },
    { "lessthan", test_lt },
    { "lower", test_lower },
    { "lt", test_lt },
    { "ne", test_ne },
    { "odd", test_odd },
    { "sameas", test_sameas },
    { "test", test_test },
    { "true", test_true },
    { "upper", test_upper },
};

static size_t find_kind_test(const tpl_str *name) {
    size_t i = 0;
    while (i < FND_COUNT(kind_tests) && !fnd_tpl_str_is(name, kind_tests[i].name)) i++;
    return i;
}

static tpl_test_function *find_test(const tpl_str *name) {
    for (size_t i = 0; i < FND_COUNT(tests); i++) {
        if (fnd_tpl_str_is(name, tests[i].name)) return tests[i].function;
    }
    return NULL;
}

bool fnd_tpl_has_test(const char *name, size_t bytes) {
    tpl_str text = { .data = name, .bytes = bytes };
    return find_kind_test(&text) < FND_COUNT(kind_tests) || find_test(&text);
}

fnd_status fnd_tpl_test(tpl_run *r, const char *name, size_t name_bytes, const tpl_value *self, const tpl_args *args, bool *out) {
    tpl_str text = { .data = name, .bytes = name_bytes };
    size_t kind = find_kind_test(&text);
    FND_TRY(fnd_tpl_step(r, 2));
    if (kind < FND_COUNT(kind_tests)) {
        *out = kind_tests[kind].kinds & KIND(self->kind);
        return fnd_tpl_no_args(r, "this test", args);
    }
    tpl_test_function *test = find_test(&text);
    if (!test) return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the test \"%.*s\" is not known here", (int)fnd_min_size(name_bytes, 100), name);
    return test(r, self, args, out);
}
