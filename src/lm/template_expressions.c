/* template_expressions.c - tokens to trees of expressions, by recursive descent with Jinja's precedence:
 *
 *   x if c else y < or < and < not < comparisons, in < + - < ~ < * / // % < ** < unary - + < . [] () < | is
 */
#include "base/base.h"
#include "lm/template_tree.h"

static fnd_status parse_condition(tpl_parser *p, bool with_if, tpl_node **out);
static fnd_status parse_unary(tpl_parser *p, bool with_filter, tpl_node **out);
static fnd_status parse_target_item(tpl_parser *p, bool with_attribute, tpl_node **out);

/* ---- nodes ---- */

static fnd_status new_pair(tpl_parser *p, tpl_node_kind kind, tpl_op op, const tpl_token *at, tpl_node *a, tpl_node *b, tpl_node **out) {
    tpl_node *n;
    FND_TRY(fnd_tpl_new_node(p, kind, at, &n));
    n->op = op;
    n->a = a;
    n->b = b;
    *out = n;
    return FND_OK;
}

/* ---- primary expressions ---- */

/* Elements up to `close`; a comma may follow the last. */
static fnd_status parse_elements(tpl_parser *p, const char *close, tpl_node *into) {
    while (!fnd_tpl_is_op(p, close)) {
        tpl_node *item;
        FND_TRY(fnd_tpl_parse_expression(p, &item));
        FND_TRY(fnd_tpl_append(p, &into->items, item));
        if (!fnd_tpl_skip_op(p, ",")) break;
    }
    return fnd_tpl_expect_op(p, close);
}

static fnd_status parse_parentheses(tpl_parser *p, tpl_node **out) {
    const tpl_token *start = p->at++;
    tpl_node *tuple;
    FND_TRY(fnd_tpl_new_node(p, N_TUPLE, start, &tuple));
    *out = tuple;
    if (fnd_tpl_skip_op(p, ")")) return FND_OK;
    tpl_node *first;
    FND_TRY(fnd_tpl_parse_expression(p, &first));
    if (!fnd_tpl_is_op(p, ",")) {
        *out = first;
        return fnd_tpl_expect_op(p, ")");
    }
    p->at++;
    FND_TRY(fnd_tpl_append(p, &tuple->items, first));
    return parse_elements(p, ")", tuple);
}

/* items: key, value, key, value ... */
static fnd_status parse_dict(tpl_parser *p, tpl_node **out) {
    FND_TRY(fnd_tpl_new_node(p, N_DICT, p->at++, out));
    while (!fnd_tpl_is_op(p, "}")) {
        tpl_node *key, *value;
        FND_TRY(fnd_tpl_parse_expression(p, &key));
        FND_TRY(fnd_tpl_expect_op(p, ":"));
        FND_TRY(fnd_tpl_parse_expression(p, &value));
        FND_TRY(fnd_tpl_append(p, &(*out)->items, key));
        FND_TRY(fnd_tpl_append(p, &(*out)->items, value));
        if (!fnd_tpl_skip_op(p, ",")) break;
    }
    return fnd_tpl_expect_op(p, "}");
}

/* Strings side by side are one. */
static fnd_status parse_string(tpl_parser *p, tpl_node **out) {
    const tpl_token *first = p->at;
    size_t bytes = 0, used = 0;
    for (; p->at->kind == TK_STRING; p->at++) bytes += p->at->bytes;
    tpl_value value = { .kind = TPL_STR };
    tpl_str *str = fnd_arena_alloc(p->arena, 1, sizeof *str);
    char *data = fnd_arena_alloc(p->arena, bytes, 1);
    FND_TRY(fnd_tpl_new_const(p, first, value, out));
    if (!str || !data) return fnd_fail(p->err, FND_ERR_MEMORY, "out of memory for a chat template");
    for (const tpl_token *t = first; t < p->at; t++) {
        memcpy(data + used, t->data, t->bytes);
        used += t->bytes;
    }
    *str = (tpl_str){ .data = data, .bytes = bytes };
    (*out)->value.str = str;
    return FND_OK;
}

static fnd_status parse_name(tpl_parser *p, tpl_node **out) {
    static const struct {
        const char *name;
        tpl_value value;
    } constants[] = {
        { "true", { .kind = TPL_BOOL, .flag = true } },
        { "True", { .kind = TPL_BOOL, .flag = true } },
        { "false", { .kind = TPL_BOOL } },
        { "False", { .kind = TPL_BOOL } },
        { "none", { .kind = TPL_NONE } },
        { "None", { .kind = TPL_NONE } },
    };
    const tpl_token *t = p->at++;
    for (size_t i = 0; i < FND_COUNT(constants); i++) {
        if (fnd_tpl_token_is(t, TK_NAME, constants[i].name)) return fnd_tpl_new_const(p, t, constants[i].value, out);
    }
    if (fnd_tpl_token_is(t, TK_NAME, "caller")) p->uses |= TPL_USES_CALLER;
    if (fnd_tpl_token_is(t, TK_NAME, "kwargs")) p->uses |= TPL_USES_KWARGS;
    if (fnd_tpl_token_is(t, TK_NAME, "varargs")) p->uses |= TPL_USES_VARARGS;
    FND_TRY(fnd_tpl_new_node(p, N_NAME, t, out));
    (*out)->name = (tpl_str){ .data = t->data, .bytes = t->bytes };
    return FND_OK;
}

static fnd_status parse_primary(tpl_parser *p, tpl_node **out) {
    const tpl_token *t = p->at;
    switch (t->kind) {
    case TK_NAME:
        return parse_name(p, out);
    case TK_STRING:
        return parse_string(p, out);
    case TK_INT:
        p->at++;
        return fnd_tpl_new_const(p, t, (tpl_value){ .kind = TPL_INT, .integer = t->integer }, out);
    case TK_FLOAT:
        p->at++;
        return fnd_tpl_new_const(p, t, (tpl_value){ .kind = TPL_FLOAT, .number = t->number }, out);
    default:
        break;
    }
    if (fnd_tpl_is_op(p, "(")) return parse_parentheses(p, out);
    if (fnd_tpl_is_op(p, "{")) return parse_dict(p, out);
    if (fnd_tpl_is_op(p, "[")) {
        FND_TRY(fnd_tpl_new_node(p, N_LIST, p->at++, out));
        return parse_elements(p, "]", *out);
    }
    return fnd_tpl_expected(p, "an expression");
}

/* ---- what may follow an expression ---- */

static fnd_status parse_argument(tpl_parser *p, tpl_node *call) {
    tpl_node *argument;
    bool list = fnd_tpl_is_op(p, "*"), dict = fnd_tpl_is_op(p, "**");
    if ((list && (call->b || call->c)) || call->c) return TPL_PARSE_FAIL(p, "this argument stands behind unpacked ones (* or **), where it may not");
    if (list || dict) {
        p->at++;
        return fnd_tpl_parse_expression(p, list ? &call->b : &call->c);
    }
    if (p->at->kind == TK_NAME && fnd_tpl_token_is(p->at + 1, TK_OP, "=")) {
        FND_TRY(fnd_tpl_new_node(p, N_CONST, p->at, &argument));
        FND_TRY(fnd_tpl_take_name(p, "a name", &argument->name));
        p->at++;
        FND_TRY(fnd_tpl_parse_expression(p, &argument->a));
        return fnd_tpl_append(p, &call->named, argument);
    }
    if (call->named.count || call->b) return TPL_PARSE_FAIL(p, "an argument without a name follows one with a name or an unpacked one");
    FND_TRY(fnd_tpl_parse_expression(p, &argument));
    return fnd_tpl_append(p, &call->items, argument);
}

/* items, named; b: what * unpacks, c: what ** unpacks (NULL: nothing) */
static fnd_status parse_arguments(tpl_parser *p, tpl_node *call) {
    FND_TRY(fnd_tpl_expect_op(p, "("));
    while (!fnd_tpl_is_op(p, ")")) {
        FND_TRY(parse_argument(p, call));
        if (!fnd_tpl_skip_op(p, ",")) break;
    }
    return fnd_tpl_expect_op(p, ")");
}

/* x[i], x[from:to:step]: a is x; b, c, d are index or the parts of the slice (NULL: left out). With
 * commas the index is a tuple. */
static fnd_status parse_subscript(tpl_parser *p, tpl_node **io) {
    tpl_node *n, *tuple;
    const tpl_token *start = p->at++;
    FND_TRY(fnd_tpl_new_node(p, N_ITEM, start, &n));
    n->a = *io;
    *io = n;
    tpl_node **parts[] = { &n->b, &n->c, &n->d };
    for (int i = 0; i < 3; i++) {
        if (!fnd_tpl_is_op(p, ":") && !fnd_tpl_is_op(p, "]")) FND_TRY(fnd_tpl_parse_expression(p, parts[i]));
        if (i == 2 || !fnd_tpl_skip_op(p, ":")) break;
        n->kind = N_SLICE;
    }
    if (n->kind == N_ITEM && (!n->b || fnd_tpl_is_op(p, ","))) {
        FND_TRY(fnd_tpl_new_node(p, N_TUPLE, start, &tuple));
        if (n->b) FND_TRY(fnd_tpl_append(p, &tuple->items, n->b));
        n->b = tuple;
        while (fnd_tpl_skip_op(p, ",")) {
            tpl_node *item;
            FND_TRY(fnd_tpl_parse_expression(p, &item));
            FND_TRY(fnd_tpl_append(p, &tuple->items, item));
        }
    }
    return fnd_tpl_expect_op(p, "]");
}

static fnd_status parse_attribute(tpl_parser *p, tpl_node **io) {
    const tpl_token *dot = p->at++;
    bool number = p->at->kind == TK_INT;
    tpl_node *n;
    FND_TRY(fnd_tpl_new_node(p, number ? N_ITEM : N_ATTR, dot, &n));
    n->a = *io;
    *io = n;
    if (!number) return fnd_tpl_take_name(p, "a name after the dot", &n->name);
    FND_TRY(fnd_tpl_new_const(p, p->at, (tpl_value){ .kind = TPL_INT, .integer = p->at->integer }, &n->b));
    p->at++;
    return FND_OK;
}

static fnd_status parse_call(tpl_parser *p, tpl_node **io) {
    tpl_node *n;
    FND_TRY(fnd_tpl_new_node(p, N_CALL, p->at, &n));
    n->a = *io;
    *io = n;
    return parse_arguments(p, n);
}

static fnd_status parse_postfix(tpl_parser *p, tpl_node **io) {
    for (;;) {
        if (fnd_tpl_is_op(p, "[")) {
            FND_TRY(parse_subscript(p, io));
        } else if (fnd_tpl_is_op(p, "(")) {
            FND_TRY(parse_call(p, io));
        } else if (fnd_tpl_is_op(p, ".")) {
            FND_TRY(parse_attribute(p, io));
        } else {
            return FND_OK;
        }
    }
}

/* Names of filters and tests may be dotted; none of those here is. */
static fnd_status take_dotted_name(tpl_parser *p, const char *what, tpl_str *out) {
    FND_TRY(fnd_tpl_take_name(p, what, out));
    while (fnd_tpl_skip_op(p, ".")) {
        tpl_str more;
        FND_TRY(fnd_tpl_take_name(p, what, &more));
        out->bytes = (size_t)(more.data + more.bytes - out->data);
    }
    return FND_OK;
}

/* a: what it works on; items, named, b, c: arguments. */
static fnd_status parse_filter(tpl_parser *p, tpl_node *value, tpl_node **out) {
    FND_TRY(fnd_tpl_new_node(p, N_FILTER, p->at, out));
    FND_TRY(take_dotted_name(p, "the name of a filter", &(*out)->name));
    (*out)->a = value;
    return fnd_tpl_is_op(p, "(") ? parse_arguments(p, *out) : FND_OK;
}

fnd_status fnd_tpl_parse_filters(tpl_parser *p, tpl_node *value, tpl_node **out) {
    FND_TRY(parse_filter(p, value, out));
    while (fnd_tpl_skip_op(p, "|")) FND_TRY(parse_filter(p, *out, out));
    return FND_OK;
}

static bool begins_test_argument(const tpl_parser *p) {
    if (p->at->kind == TK_NAME) return !fnd_tpl_is_name(p, "else") && !fnd_tpl_is_name(p, "or") && !fnd_tpl_is_name(p, "and");
    return p->at->kind == TK_STRING || p->at->kind == TK_INT || p->at->kind == TK_FLOAT || fnd_tpl_is_op(p, "[") || fnd_tpl_is_op(p, "{");
}

static fnd_status parse_test(tpl_parser *p, tpl_node **io) {
    const tpl_token *start = p->at++;
    bool negated = fnd_tpl_skip_name(p, "not");
    tpl_node *n;
    FND_TRY(fnd_tpl_new_node(p, N_TEST, start, &n));
    n->a = *io;
    FND_TRY(take_dotted_name(p, "the name of a test", &n->name));
    if (fnd_tpl_is_op(p, "(")) {
        FND_TRY(parse_arguments(p, n));
    } else if (begins_test_argument(p)) {
        tpl_node *argument;
        if (fnd_tpl_is_name(p, "is")) return TPL_PARSE_FAIL(p, "a test may not follow a test");
        FND_TRY(parse_primary(p, &argument));
        FND_TRY(parse_postfix(p, &argument));
        FND_TRY(fnd_tpl_append(p, &n->items, argument));
    }
    *io = n;
    return negated ? new_pair(p, N_NOT, OP_NEG, start, n, NULL, io) : FND_OK;
}

static fnd_status parse_filters_and_tests(tpl_parser *p, tpl_node **io) {
    for (;;) {
        if (fnd_tpl_skip_op(p, "|")) {
            FND_TRY(parse_filter(p, *io, io));
        } else if (fnd_tpl_is_name(p, "is")) {
            FND_TRY(parse_test(p, io));
        } else if (fnd_tpl_is_op(p, "(")) {
            FND_TRY(parse_call(p, io));
        } else {
            return FND_OK;
        }
    }
}

/* ---- operators ---- */

static fnd_status parse_unary(tpl_parser *p, bool with_filter, tpl_node **out) {
    FND_TRY(fnd_tpl_enter(p));
    const tpl_token *t = p->at;
    if (fnd_tpl_is_op(p, "-") || fnd_tpl_is_op(p, "+")) {
        tpl_node *operand;
        p->at++;
        FND_TRY(parse_unary(p, false, &operand));
        FND_TRY(new_pair(p, N_UNARY, t->data[0] == '-' ? OP_NEG : OP_POS, t, operand, NULL, out));
    } else {
        FND_TRY(parse_primary(p, out));
    }
    FND_TRY(parse_postfix(p, out));
    if (with_filter) FND_TRY(parse_filters_and_tests(p, out));
    p->depth--;
    return FND_OK;
}

typedef struct operator_level {
    struct {
        const char *text;
        tpl_op op;
    } operators[4];
} operator_level;

static const operator_level levels[] = {
    { { { "+", OP_ADD }, { "-", OP_SUB } } },
    { { { "~", OP_ADD } } },
    { { { "*", OP_MUL }, { "/", OP_DIV }, { "//", OP_FLOORDIV }, { "%", OP_MOD } } },
    { { { "**", OP_POW } } },
};

/* All four levels are left-associative, ** too. */
static fnd_status parse_binary(tpl_parser *p, size_t level, tpl_node **out) {
    if (level == FND_COUNT(levels)) return parse_unary(p, true, out);
    FND_TRY(parse_binary(p, level + 1, out));
    for (;;) {
        size_t i = 0;
        while (i < 4 && levels[level].operators[i].text && !fnd_tpl_is_op(p, levels[level].operators[i].text)) i++;
        if (i == 4 || !levels[level].operators[i].text) return FND_OK;
        const tpl_token *t = p->at++;
        tpl_node *right;
        FND_TRY(parse_binary(p, level + 1, &right));
        FND_TRY(new_pair(p, t->data[0] == '~' ? N_CONCAT : N_BINARY, levels[level].operators[i].op, t, *out, right, out));
    }
}

static bool take_comparison(tpl_parser *p, tpl_op *op) {
    static const char *const texts[] = { "==", "!=", "<", "<=", ">", ">=" };
    for (size_t i = 0; i < FND_COUNT(texts); i++) {
        if (!fnd_tpl_skip_op(p, texts[i])) continue;
        *op = (tpl_op)(OP_EQ + i);
        return true;
    }
    if (fnd_tpl_skip_name(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (!fnd_tpl_is_name(p, "not") || !fnd_tpl_token_is(p->at + 1, TK_NAME, "in")) return false;
    p->at += 2;
    *op = OP_NOT_IN;
    return true;
}

/* a is the first operand; the items are the others, each with its operator: 1 < x < 5. */
static fnd_status parse_comparison(tpl_parser *p, tpl_node **out) {
    FND_TRY(parse_binary(p, 0, out));
    tpl_node *chain = NULL;
    tpl_op op;
    for (const tpl_token *t = p->at; take_comparison(p, &op); t = p->at) {
        tpl_node *right, *link;
        if (!chain) FND_TRY(new_pair(p, N_COMPARE, op, t, *out, NULL, &chain));
        FND_TRY(parse_binary(p, 0, &right));
        FND_TRY(new_pair(p, N_COMPARE, op, t, right, NULL, &link));
        FND_TRY(fnd_tpl_append(p, &chain->items, link));
        *out = chain;
    }
    return FND_OK;
}

static fnd_status parse_not(tpl_parser *p, tpl_node **out) {
    const tpl_token *t = p->at;
    if (!fnd_tpl_skip_name(p, "not")) return parse_comparison(p, out);
    FND_TRY(fnd_tpl_enter(p));
    tpl_node *operand;
    FND_TRY(parse_not(p, &operand));
    p->depth--;
    return new_pair(p, N_NOT, OP_NEG, t, operand, NULL, out);
}

static fnd_status parse_and(tpl_parser *p, tpl_node **out) {
    FND_TRY(parse_not(p, out));
    for (const tpl_token *t = p->at; fnd_tpl_skip_name(p, "and"); t = p->at) {
        tpl_node *right;
        FND_TRY(parse_not(p, &right));
        FND_TRY(new_pair(p, N_AND, OP_ADD, t, *out, right, out));
    }
    return FND_OK;
}

static fnd_status parse_or(tpl_parser *p, tpl_node **out) {
    FND_TRY(parse_and(p, out));
    for (const tpl_token *t = p->at; fnd_tpl_skip_name(p, "or"); t = p->at) {
        tpl_node *right;
        FND_TRY(parse_and(p, &right));
        FND_TRY(new_pair(p, N_OR, OP_ADD, t, *out, right, out));
    }
    return FND_OK;
}

/* a if b else c; without an else c is NULL: undefined. */
static fnd_status parse_condition(tpl_parser *p, bool with_if, tpl_node **out) {
    FND_TRY(fnd_tpl_enter(p));
    FND_TRY(parse_or(p, out));
    for (const tpl_token *t = p->at; with_if && fnd_tpl_skip_name(p, "if"); t = p->at) {
        tpl_node *condition, *n;
        FND_TRY(parse_or(p, &condition));
        FND_TRY(new_pair(p, N_COND, OP_ADD, t, *out, condition, &n));
        if (fnd_tpl_skip_name(p, "else")) FND_TRY(parse_condition(p, true, &n->c));
        *out = n;
    }
    p->depth--;
    return FND_OK;
}

fnd_status fnd_tpl_parse_expression(tpl_parser *p, tpl_node **out) { return parse_condition(p, true, out); }

fnd_status fnd_tpl_parse_tuple(tpl_parser *p, bool with_if, tpl_node **out) {
    const tpl_token *start = p->at;
    FND_TRY(parse_condition(p, with_if, out));
    if (!fnd_tpl_is_op(p, ",")) return FND_OK;
    tpl_node *tuple;
    FND_TRY(fnd_tpl_new_node(p, N_TUPLE, start, &tuple));
    FND_TRY(fnd_tpl_append(p, &tuple->items, *out));
    *out = tuple;
    while (fnd_tpl_skip_op(p, ",")) {
        if (p->at->kind == TK_PRINT_END || p->at->kind == TK_BLOCK_END) break;
        tpl_node *item;
        FND_TRY(parse_condition(p, with_if, &item));
        FND_TRY(fnd_tpl_append(p, &tuple->items, item));
    }
    return FND_OK;
}

/* ---- targets of assignments ---- */

static fnd_status check_target(tpl_parser *p, const tpl_node *n) {
    if (n->kind == N_NAME || (n->kind == N_ATTR && n->flags)) return FND_OK;
    if (n->kind != N_TUPLE) return fnd_tpl_parse_fail(p, FND_ERR_FORMAT, n->line, n->column, "this cannot be assigned to; a name can");
    for (size_t i = 0; i < n->items.count; i++) FND_TRY(check_target(p, n->items.items[i]));
    return FND_OK;
}

static fnd_status parse_target_item(tpl_parser *p, bool with_attribute, tpl_node **out) {
    unsigned uses = p->uses; /* what is assigned to is not read */
    tpl_node *name;
    FND_TRY(parse_primary(p, out));
    p->uses = uses;
    if (!with_attribute || (*out)->kind != N_NAME || !fnd_tpl_is_op(p, ".")) return FND_OK;
    name = *out;
    FND_TRY(fnd_tpl_new_node(p, N_ATTR, p->at++, out));
    (*out)->a = name;
    (*out)->flags = 1; /* may be assigned to */
    return fnd_tpl_take_name(p, "a name after the dot", &(*out)->name);
}

fnd_status fnd_tpl_parse_target(tpl_parser *p, bool with_attribute, tpl_node **out) {
    const tpl_token *start = p->at;
    tpl_node *tuple;
    FND_TRY(fnd_tpl_enter(p));
    FND_TRY(parse_target_item(p, with_attribute, out));
    p->depth--;
    if (!fnd_tpl_is_op(p, ",")) return check_target(p, *out);
    FND_TRY(fnd_tpl_new_node(p, N_TUPLE, start, &tuple));
    FND_TRY(fnd_tpl_append(p, &tuple->items, *out));
    *out = tuple;
    while (fnd_tpl_skip_op(p, ",")) {
        tpl_node *item;
        if (p->at->kind == TK_BLOCK_END) break; /* {% set a, %}: "in" and "=" end no tuple in Jinja2 */
        FND_TRY(parse_target_item(p, with_attribute, &item));
        FND_TRY(fnd_tpl_append(p, &tuple->items, item));
    }
    return check_target(p, tuple);
}
