/* template_parse.c - tokens to a tree, by recursive descent with Jinja's precedence:
 *
 *   x if c else y < or < and < not < comparisons, in < + - < ~ < * / // % < ** < unary - + < . [] () < | is
 */
#include "base/base.h"
#include "lm/template.h"

#include <stdio.h>

typedef struct parser {
    const tpl_token *at;
    fnd_arena *arena;
    fnd_error *err;
    unsigned depth;
    unsigned loops; /* open for loops in this macro: break and continue need one */
} parser;

#define FAIL(p, ...) fnd_tpl_fail_at((p)->err, FND_ERR_FORMAT, (p)->at->line, (p)->at->column, __VA_ARGS__)

static fnd_status parse_expression(parser *p, tpl_node **out);
static fnd_status parse_condition(parser *p, bool with_else, tpl_node **out);
static fnd_status parse_unary(parser *p, bool with_filter, tpl_node **out);
static fnd_status parse_body(parser *p, const char *const *ends, tpl_node **out);

/* ---- tokens ---- */

static bool token_is(const tpl_token *t, tpl_token_kind kind, const char *text) {
    return t->kind == kind && t->bytes == strlen(text) && memcmp(t->data, text, t->bytes) == 0;
}
static bool is_op(const parser *p, const char *op) { return token_is(p->at, TK_OP, op); }
static bool is_name(const parser *p, const char *name) { return token_is(p->at, TK_NAME, name); }

static bool skip_op(parser *p, const char *op) {
    bool found = is_op(p, op);
    p->at += found;
    return found;
}

static bool skip_name(parser *p, const char *name) {
    bool found = is_name(p, name);
    p->at += found;
    return found;
}

static const char *describe(const tpl_token *t, char shown[64]) {
    switch (t->kind) {
    case TK_DATA:
        return "text";
    case TK_PRINT_BEGIN:
        return "{{";
    case TK_PRINT_END:
        return "}}";
    case TK_BLOCK_BEGIN:
        return "{%";
    case TK_BLOCK_END:
        return "%}";
    case TK_END:
        return "the end of the template";
    default:
        break;
    }
    fnd_span_quote((fnd_span){ t->data, t->bytes }, shown, 64);
    return shown;
}

static fnd_status expected(parser *p, const char *what) {
    char shown[64];
    return FAIL(p, "expected %s, found %s", what, describe(p->at, shown));
}

static fnd_status expect_op(parser *p, const char *op) {
    char what[16];
    snprintf(what, sizeof what, "\"%s\"", op);
    return skip_op(p, op) ? FND_OK : expected(p, what);
}

static fnd_status expect_end_of_tag(parser *p) {
    if (p->at->kind != TK_BLOCK_END) return expected(p, "%}");
    p->at++;
    return FND_OK;
}

static fnd_status enter(parser *p) {
    if (++p->depth <= TPL_PARSE_DEPTH) return FND_OK;
    return fnd_tpl_fail_at(p->err, FND_ERR_LIMIT, p->at->line, p->at->column, "expressions and blocks are nested more than %d deep", TPL_PARSE_DEPTH);
}

/* ---- nodes ---- */

static fnd_status no_memory(const parser *p) {
    if (p->arena->limited) return fnd_fail(p->err, FND_ERR_LIMIT, "the chat template needs more than the %zu bytes of memory it is allowed", p->arena->limit_bytes);
    return fnd_fail(p->err, FND_ERR_MEMORY, "out of memory for a chat template");
}

static fnd_status new_node(parser *p, tpl_node_kind kind, const tpl_token *at, tpl_node **out) {
    tpl_node *n = fnd_arena_alloc(p->arena, 1, sizeof *n);
    if (!n) return no_memory(p);
    n->kind = kind;
    n->line = at->line;
    n->column = at->column;
    *out = n;
    return FND_OK;
}

static fnd_status new_pair(parser *p, tpl_node_kind kind, tpl_op op, const tpl_token *at, tpl_node *a, tpl_node *b, tpl_node **out) {
    tpl_node *n;
    FND_TRY(new_node(p, kind, at, &n));
    n->op = op;
    n->a = a;
    n->b = b;
    *out = n;
    return FND_OK;
}

static fnd_status append(parser *p, tpl_nodes *list, tpl_node *node) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 4;
        tpl_node **items = fnd_arena_alloc(p->arena, capacity, sizeof *items);
        if (!items) return no_memory(p);
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = node;
    return FND_OK;
}

static fnd_status new_const(parser *p, const tpl_token *at, tpl_value value, tpl_node **out) {
    FND_TRY(new_node(p, N_CONST, at, out));
    (*out)->value = value;
    return FND_OK;
}

static fnd_status take_name(parser *p, const char *what, tpl_str *out) {
    if (p->at->kind != TK_NAME) return expected(p, what);
    *out = (tpl_str){ .data = p->at->data, .bytes = p->at->bytes };
    p->at++;
    return FND_OK;
}

/* ---- primary expressions ---- */

/* Elements up to `close`; a comma may follow the last. */
static fnd_status parse_elements(parser *p, const char *close, tpl_node *into) {
    while (!is_op(p, close)) {
        tpl_node *item;
        FND_TRY(parse_expression(p, &item));
        FND_TRY(append(p, &into->items, item));
        if (!skip_op(p, ",")) break;
    }
    return expect_op(p, close);
}

static fnd_status parse_parentheses(parser *p, tpl_node **out) {
    const tpl_token *start = p->at++;
    tpl_node *tuple;
    FND_TRY(new_node(p, N_TUPLE, start, &tuple));
    *out = tuple;
    if (skip_op(p, ")")) return FND_OK;
    tpl_node *first;
    FND_TRY(parse_expression(p, &first));
    if (!is_op(p, ",")) {
        *out = first;
        return expect_op(p, ")");
    }
    p->at++;
    FND_TRY(append(p, &tuple->items, first));
    return parse_elements(p, ")", tuple);
}

/* items: key, value, key, value ... */
static fnd_status parse_dict(parser *p, tpl_node **out) {
    FND_TRY(new_node(p, N_DICT, p->at++, out));
    while (!is_op(p, "}")) {
        tpl_node *key, *value;
        FND_TRY(parse_expression(p, &key));
        FND_TRY(expect_op(p, ":"));
        FND_TRY(parse_expression(p, &value));
        FND_TRY(append(p, &(*out)->items, key));
        FND_TRY(append(p, &(*out)->items, value));
        if (!skip_op(p, ",")) break;
    }
    return expect_op(p, "}");
}

/* Strings side by side are one. */
static fnd_status parse_string(parser *p, tpl_node **out) {
    const tpl_token *first = p->at;
    size_t bytes = 0, used = 0;
    for (; p->at->kind == TK_STRING; p->at++) bytes += p->at->bytes;
    tpl_str *str = fnd_arena_alloc(p->arena, 1, sizeof *str);
    char *data = fnd_arena_alloc(p->arena, bytes, 1);
    if (!str || !data) return no_memory(p);
    for (const tpl_token *t = first; t < p->at; t++) {
        memcpy(data + used, t->data, t->bytes);
        used += t->bytes;
    }
    *str = (tpl_str){ .data = data, .bytes = bytes };
    return new_const(p, first, (tpl_value){ .kind = TPL_STR, .str = str }, out);
}

static fnd_status parse_name(parser *p, tpl_node **out) {
    const tpl_token *t = p->at++;
    if (token_is(t, TK_NAME, "true") || token_is(t, TK_NAME, "True")) return new_const(p, t, (tpl_value){ .kind = TPL_BOOL, .flag = true }, out);
    if (token_is(t, TK_NAME, "false") || token_is(t, TK_NAME, "False")) return new_const(p, t, (tpl_value){ .kind = TPL_BOOL }, out);
    if (token_is(t, TK_NAME, "none") || token_is(t, TK_NAME, "None")) return new_const(p, t, (tpl_value){ .kind = TPL_NONE }, out);
    FND_TRY(new_node(p, N_NAME, t, out));
    (*out)->name = (tpl_str){ .data = t->data, .bytes = t->bytes };
    return FND_OK;
}

static fnd_status parse_primary(parser *p, tpl_node **out) {
    const tpl_token *t = p->at;
    switch (t->kind) {
    case TK_NAME:
        return parse_name(p, out);
    case TK_STRING:
        return parse_string(p, out);
    case TK_INT:
        p->at++;
        return new_const(p, t, (tpl_value){ .kind = TPL_INT, .integer = t->integer }, out);
    case TK_FLOAT:
        p->at++;
        return new_const(p, t, (tpl_value){ .kind = TPL_FLOAT, .number = t->number }, out);
    default:
        break;
    }
    if (is_op(p, "(")) return parse_parentheses(p, out);
    if (is_op(p, "{")) return parse_dict(p, out);
    if (is_op(p, "[")) {
        FND_TRY(new_node(p, N_LIST, p->at++, out));
        return parse_elements(p, "]", *out);
    }
    return expected(p, "an expression");
}

/* ---- what may follow an expression ---- */

static fnd_status parse_arguments(parser *p, tpl_node *call) {
    FND_TRY(expect_op(p, "("));
    while (!is_op(p, ")")) {
        if (is_op(p, "*") || is_op(p, "**")) return FAIL(p, "arguments unpacked with * or ** are not supported");
        tpl_node *argument;
        if (p->at->kind == TK_NAME && token_is(p->at + 1, TK_OP, "=")) {
            FND_TRY(new_node(p, N_CONST, p->at, &argument));
            FND_TRY(take_name(p, "a name", &argument->name));
            p->at++;
            FND_TRY(parse_expression(p, &argument->a));
            FND_TRY(append(p, &call->named, argument));
        } else {
            if (call->named.count) return FAIL(p, "an argument without a name follows one with a name");
            FND_TRY(parse_expression(p, &argument));
            FND_TRY(append(p, &call->items, argument));
        }
        if (!skip_op(p, ",")) break;
    }
    return expect_op(p, ")");
}

/* x[i], x[from:to:step]: a is x; b, c, d are index or the parts of the slice (NULL: left out). */
static fnd_status parse_subscript(parser *p, tpl_node **io) {
    tpl_node *n;
    FND_TRY(new_node(p, N_ITEM, p->at++, &n));
    n->a = *io;
    *io = n;
    tpl_node **parts[] = { &n->b, &n->c, &n->d };
    for (int i = 0; i < 3; i++) {
        if (!is_op(p, ":") && !is_op(p, "]")) FND_TRY(parse_expression(p, parts[i]));
        if (i == 2 || !skip_op(p, ":")) break;
        n->kind = N_SLICE;
    }
    if (n->kind == N_ITEM && !n->b) return expected(p, "an index");
    return expect_op(p, "]");
}

static fnd_status parse_postfix(parser *p, tpl_node **io) {
    for (;;) {
        tpl_node *n;
        if (is_op(p, "[")) {
            FND_TRY(parse_subscript(p, io));
        } else if (is_op(p, "(")) {
            FND_TRY(new_node(p, N_CALL, p->at, &n));
            n->a = *io;
            FND_TRY(parse_arguments(p, n));
            *io = n;
        } else if (is_op(p, ".")) {
            const tpl_token *dot = p->at++;
            bool number = p->at->kind == TK_INT;
            FND_TRY(new_node(p, number ? N_ITEM : N_ATTR, dot, &n));
            n->a = *io;
            if (number) {
                FND_TRY(new_const(p, p->at, (tpl_value){ .kind = TPL_INT, .integer = p->at->integer }, &n->b));
                p->at++;
            } else {
                FND_TRY(take_name(p, "a name after the dot", &n->name));
            }
            *io = n;
        } else {
            return FND_OK;
        }
    }
}

/* Dotted names of filters and tests are one name. */
static fnd_status parse_filter(parser *p, tpl_node *value, tpl_node **out) {
    FND_TRY(new_node(p, N_FILTER, p->at, out));
    FND_TRY(take_name(p, "the name of a filter", &(*out)->name));
    (*out)->a = value;
    return is_op(p, "(") ? parse_arguments(p, *out) : FND_OK;
}

static bool begins_test_argument(const parser *p) {
    if (p->at->kind == TK_NAME) return !is_name(p, "else") && !is_name(p, "or") && !is_name(p, "and") && !is_name(p, "if") && !is_name(p, "is") && !is_name(p, "in") && !is_name(p, "not") && !is_name(p, "recursive");
    return p->at->kind == TK_STRING || p->at->kind == TK_INT || p->at->kind == TK_FLOAT || is_op(p, "[") || is_op(p, "{");
}

static fnd_status parse_test(parser *p, tpl_node **io) {
    const tpl_token *start = p->at++;
    bool negated = skip_name(p, "not");
    tpl_node *n;
    FND_TRY(new_node(p, N_TEST, start, &n));
    n->a = *io;
    FND_TRY(take_name(p, "the name of a test", &n->name));
    if (is_op(p, "(")) {
        FND_TRY(parse_arguments(p, n));
    } else if (begins_test_argument(p)) {
        tpl_node *argument;
        FND_TRY(parse_primary(p, &argument));
        FND_TRY(parse_postfix(p, &argument));
        FND_TRY(append(p, &n->items, argument));
    }
    *io = n;
    return negated ? new_pair(p, N_NOT, OP_NEG, start, n, NULL, io) : FND_OK;
}

static fnd_status parse_filters(parser *p, tpl_node **io) {
    for (;;) {
        if (skip_op(p, "|")) {
            FND_TRY(parse_filter(p, *io, io));
        } else if (is_name(p, "is")) {
            FND_TRY(parse_test(p, io));
        } else if (is_op(p, "(")) {
            FND_TRY(parse_postfix(p, io));
        } else {
            return FND_OK;
        }
    }
}

/* ---- operators ---- */

static fnd_status parse_unary(parser *p, bool with_filter, tpl_node **out) {
    FND_TRY(enter(p));
    const tpl_token *t = p->at;
    if (is_op(p, "-") || is_op(p, "+")) {
        tpl_node *operand;
        p->at++;
        FND_TRY(parse_unary(p, false, &operand));
        FND_TRY(new_pair(p, N_UNARY, t->data[0] == '-' ? OP_NEG : OP_POS, t, operand, NULL, out));
    } else {
        FND_TRY(parse_primary(p, out));
    }
    FND_TRY(parse_postfix(p, out));
    if (with_filter) FND_TRY(parse_filters(p, out));
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
static fnd_status parse_binary(parser *p, size_t level, tpl_node **out) {
    if (level == FND_COUNT(levels)) return parse_unary(p, true, out);
    FND_TRY(parse_binary(p, level + 1, out));
    for (;;) {
        size_t i = 0;
        while (i < 4 && levels[level].operators[i].text && !is_op(p, levels[level].operators[i].text)) i++;
        if (i == 4 || !levels[level].operators[i].text) return FND_OK;
        const tpl_token *t = p->at++;
        tpl_node *right;
        FND_TRY(parse_binary(p, level + 1, &right));
        FND_TRY(new_pair(p, t->data[0] == '~' ? N_CONCAT : N_BINARY, levels[level].operators[i].op, t, *out, right, out));
    }
}

static bool take_comparison(parser *p, tpl_op *op) {
    static const char *const texts[] = { "==", "!=", "<", "<=", ">", ">=" };
    for (size_t i = 0; i < FND_COUNT(texts); i++) {
        if (!skip_op(p, texts[i])) continue;
        *op = (tpl_op)(OP_EQ + i);
        return true;
    }
    if (skip_name(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (!is_name(p, "not") || !token_is(p->at + 1, TK_NAME, "in")) return false;
    p->at += 2;
    *op = OP_NOT_IN;
    return true;
}

/* a is the first operand; the items are the others, each with its operator: 1 < x < 5. */
static fnd_status parse_comparison(parser *p, tpl_node **out) {
    FND_TRY(parse_binary(p, 0, out));
    tpl_node *chain = NULL;
    tpl_op op;
    for (const tpl_token *t = p->at; take_comparison(p, &op); t = p->at) {
        tpl_node *right, *link;
        if (!chain) FND_TRY(new_pair(p, N_COMPARE, op, t, *out, NULL, &chain));
        FND_TRY(parse_binary(p, 0, &right));
        FND_TRY(new_pair(p, N_COMPARE, op, t, right, NULL, &link));
        FND_TRY(append(p, &chain->items, link));
        *out = chain;
    }
    return FND_OK;
}

static fnd_status parse_not(parser *p, tpl_node **out) {
    const tpl_token *t = p->at;
    if (!skip_name(p, "not")) return parse_comparison(p, out);
    FND_TRY(enter(p));
    tpl_node *operand;
    FND_TRY(parse_not(p, &operand));
    p->depth--;
    return new_pair(p, N_NOT, OP_NEG, t, operand, NULL, out);
}

static fnd_status parse_and(parser *p, tpl_node **out) {
    FND_TRY(parse_not(p, out));
    for (const tpl_token *t = p->at; skip_name(p, "and"); t = p->at) {
        tpl_node *right;
        FND_TRY(parse_not(p, &right));
        FND_TRY(new_pair(p, N_AND, OP_ADD, t, *out, right, out));
    }
    return FND_OK;
}

static fnd_status parse_or(parser *p, tpl_node **out) {
    FND_TRY(parse_and(p, out));
    for (const tpl_token *t = p->at; skip_name(p, "or"); t = p->at) {
        tpl_node *right;
        FND_TRY(parse_and(p, &right));
        FND_TRY(new_pair(p, N_OR, OP_ADD, t, *out, right, out));
    }
    return FND_OK;
}

/* a if b else c; without an else c is NULL: undefined. */
static fnd_status parse_condition(parser *p, bool with_if, tpl_node **out) {
    FND_TRY(enter(p));
    FND_TRY(parse_or(p, out));
    for (const tpl_token *t = p->at; with_if && skip_name(p, "if"); t = p->at) {
        tpl_node *condition, *n;
        FND_TRY(parse_or(p, &condition));
        FND_TRY(new_pair(p, N_COND, OP_ADD, t, *out, condition, &n));
        if (skip_name(p, "else")) FND_TRY(parse_condition(p, true, &n->c));
        *out = n;
    }
    p->depth--;
    return FND_OK;
}

static fnd_status parse_expression(parser *p, tpl_node **out) { return parse_condition(p, true, out); }

/* An expression, or several with commas between: a tuple. */
static fnd_status parse_tuple(parser *p, bool with_if, tpl_node **out) {
    const tpl_token *start = p->at;
    FND_TRY(parse_condition(p, with_if, out));
    if (!is_op(p, ",")) return FND_OK;
    tpl_node *tuple;
    FND_TRY(new_node(p, N_TUPLE, start, &tuple));
    FND_TRY(append(p, &tuple->items, *out));
    *out = tuple;
    while (skip_op(p, ",")) {
        if (p->at->kind == TK_PRINT_END || p->at->kind == TK_BLOCK_END) break;
        tpl_node *item;
        FND_TRY(parse_condition(p, with_if, &item));
        FND_TRY(append(p, &tuple->items, item));
    }
    return FND_OK;
}

/* ---- statements ---- */

/* A name, names with commas between, or (set only) namespace.name. */
static fnd_status parse_target(parser *p, bool with_attribute, tpl_node **out) {
    const tpl_token *start = p->at;
    bool brackets = skip_op(p, "(");
    tpl_node *tuple = NULL;
    for (;;) {
        tpl_node *name;
        FND_TRY(new_node(p, N_NAME, p->at, &name));
        FND_TRY(take_name(p, "a name to assign to", &name->name));
        if (with_attribute && !tuple && is_op(p, ".")) {
            p->at++;
            FND_TRY(new_node(p, N_ATTR, start, out));
            (*out)->a = name;
            return take_name(p, "a name after the dot", &(*out)->name);
        }
        if (!tuple) *out = name;
        if (tuple) FND_TRY(append(p, &tuple->items, name));
        if (!skip_op(p, ",")) break;
        if (!tuple) {
            FND_TRY(new_node(p, N_TUPLE, start, &tuple));
            FND_TRY(append(p, &tuple->items, name));
            *out = tuple;
        }
        if (is_op(p, ")") || is_op(p, "=") || is_name(p, "in")) break;
    }
    return brackets ? expect_op(p, ")") : FND_OK;
}

/* At the `{%` of an end tag that parse_body stopped at: takes `{% name %}`. */
static fnd_status take_end(parser *p) {
    p->at += 2;
    return expect_end_of_tag(p);
}

/* The items are the branches: a its condition (NULL: else), b its body. */
static fnd_status parse_if(parser *p, tpl_node **out) {
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    FND_TRY(new_node(p, N_IF, p->at, out));
    bool last = false;
    for (;;) {
        tpl_node *branch;
        FND_TRY(new_node(p, N_IF, p->at, &branch));
        p->at++; /* if, elif, else */
        if (!last) FND_TRY(parse_tuple(p, true, &branch->a));
        FND_TRY(expect_end_of_tag(p));
        FND_TRY(parse_body(p, last ? ends + 2 : ends, &branch->b));
        FND_TRY(append(p, &(*out)->items, branch));
        p->at++;
        if (is_name(p, "endif")) break;
        last = is_name(p, "else");
    }
    p->at++;
    return expect_end_of_tag(p);
}

/* a target, b what is iterated, c the filter condition, d the body; the else branch is items[0]. */
static fnd_status parse_for(parser *p, tpl_node **out) {
    static const char *const ends[] = { "else", "endfor", NULL };
    FND_TRY(new_node(p, N_FOR, p->at++, out));
    tpl_node *n = *out;
    FND_TRY(parse_target(p, false, &n->a));
    if (!skip_name(p, "in")) return expected(p, "\"in\"");
    FND_TRY(parse_tuple(p, false, &n->b));
    if (skip_name(p, "if")) FND_TRY(parse_expression(p, &n->c));
    if (is_name(p, "recursive")) return FAIL(p, "recursive for loops are not supported");
    FND_TRY(expect_end_of_tag(p));
    p->loops++;
    FND_TRY(parse_body(p, ends, &n->d));
    p->loops--;
    if (token_is(p->at + 1, TK_NAME, "else")) {
        FND_TRY(take_end(p));
        tpl_node *otherwise;
        FND_TRY(parse_body(p, ends + 1, &otherwise));
        FND_TRY(append(p, &n->items, otherwise));
    }
    return take_end(p);
}

/* {% set a = b %}, or {% set a | filter %}b{% endset %}: the filters (b) work on an empty N_CONST
 * that stands for the rendered body (c). */
static fnd_status parse_set(parser *p, tpl_node **out) {
    static const char *const ends[] = { "endset", NULL };
    FND_TRY(new_node(p, N_SET, p->at++, out));
    tpl_node *n = *out;
    FND_TRY(parse_target(p, true, &n->a));
    if (skip_op(p, "=")) {
        FND_TRY(parse_tuple(p, true, &n->b));
        return expect_end_of_tag(p);
    }
    n->kind = N_SET_BLOCK;
    FND_TRY(new_const(p, p->at, (tpl_value){ .kind = TPL_NONE }, &n->d));
    n->b = n->d;
    while (skip_op(p, "|")) FND_TRY(parse_filter(p, n->b, &n->b));
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &n->c));
    return take_end(p);
}

/* {% filter f | g %}: like a block of set, but printed. */
static fnd_status parse_filter_block(parser *p, tpl_node **out) {
    static const char *const ends[] = { "endfilter", NULL };
    FND_TRY(new_node(p, N_FILTER_BLOCK, p->at++, out));
    tpl_node *n = *out;
    FND_TRY(new_const(p, p->at, (tpl_value){ .kind = TPL_NONE }, &n->d));
    n->b = n->d;
    do {
        FND_TRY(parse_filter(p, n->b, &n->b));
    } while (skip_op(p, "|"));
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &n->c));
    return take_end(p);
}

/* named: the parameters, with their defaults (a, may be NULL). */
static fnd_status parse_parameters(parser *p, tpl_node *n) {
    FND_TRY(expect_op(p, "("));
    while (!is_op(p, ")")) {
        tpl_node *parameter;
        FND_TRY(new_node(p, N_NAME, p->at, &parameter));
        FND_TRY(take_name(p, "the name of a parameter", &parameter->name));
        if (skip_op(p, "=")) {
            FND_TRY(parse_expression(p, &parameter->a));
        } else if (n->named.count && n->named.items[n->named.count - 1]->a) {
            return FAIL(p, "a parameter without a default follows one with a default");
        }
        FND_TRY(append(p, &n->named, parameter));
        if (!skip_op(p, ",")) break;
    }
    return expect_op(p, ")");
}

static fnd_status parse_macro_body(parser *p, const char *const *ends, tpl_node *n) {
    unsigned loops = p->loops;
    p->loops = 0;
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &n->d));
    p->loops = loops;
    return take_end(p);
}

/* name, named: parameters, d body. */
static fnd_status parse_macro(parser *p, tpl_node **out) {
    static const char *const ends[] = { "endmacro", NULL };
    FND_TRY(new_node(p, N_MACRO, p->at++, out));
    FND_TRY(take_name(p, "the name of the macro", &(*out)->name));
    FND_TRY(parse_parameters(p, *out));
    return parse_macro_body(p, ends, *out);
}

/* {% call(x) f(y) %}: a the call, named the parameters of caller, d its body. */
static fnd_status parse_call_block(parser *p, tpl_node **out) {
    static const char *const ends[] = { "endcall", NULL };
    FND_TRY(new_node(p, N_CALL_BLOCK, p->at++, out));
    (*out)->name = fnd_tpl_const_str("caller");
    if (is_op(p, "(")) FND_TRY(parse_parameters(p, *out));
    FND_TRY(parse_expression(p, &(*out)->a));
    if ((*out)->a->kind != N_CALL) return FAIL(p, "expected a call in this call block");
    return parse_macro_body(p, ends, *out);
}

/* named: what is set (name, a); d the body. */
static fnd_status parse_with(parser *p, tpl_node **out) {
    static const char *const ends[] = { "endwith", NULL };
    FND_TRY(new_node(p, N_WITH, p->at++, out));
    while (p->at->kind != TK_BLOCK_END) {
        tpl_node *name;
        if ((*out)->named.count) FND_TRY(expect_op(p, ","));
        FND_TRY(new_node(p, N_NAME, p->at, &name));
        FND_TRY(take_name(p, "a name", &name->name));
        FND_TRY(expect_op(p, "="));
        FND_TRY(parse_expression(p, &name->a));
        FND_TRY(append(p, &(*out)->named, name));
    }
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &(*out)->d));
    return take_end(p);
}

/* {% generation %} marks what an assistant wrote, for training; here it is only its body. */
static fnd_status parse_generation(parser *p, tpl_node **out) {
    static const char *const ends[] = { "endgeneration", NULL };
    p->at++;
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, out));
    return take_end(p);
}

static fnd_status parse_jump(parser *p, tpl_node **out) {
    if (!p->loops) return FAIL(p, "%s outside of a loop", is_name(p, "break") ? "break" : "continue");
    FND_TRY(new_node(p, is_name(p, "break") ? N_BREAK : N_CONTINUE, p->at, out));
    p->at++;
    return expect_end_of_tag(p);
}

/* Behind `{%`. */
static fnd_status parse_statement(parser *p, tpl_node **out) {
    static const struct {
        const char *name;
        fnd_status (*parse)(parser *p, tpl_node **out);
    } statements[] = {
        { "if", parse_if },
        { "for", parse_for },
        { "set", parse_set },
        { "macro", parse_macro },
        { "call", parse_call_block },
        { "filter", parse_filter_block },
        { "with", parse_with },
        { "generation", parse_generation },
        { "break", parse_jump },
        { "continue", parse_jump },
    };
    for (size_t i = 0; i < FND_COUNT(statements); i++) {
        if (is_name(p, statements[i].name)) return statements[i].parse(p, out);
    }
    char shown[64];
    if (p->at->kind != TK_NAME) return expected(p, "the name of a statement");
    return FAIL(p, "the statement \"%s\" is not known here", describe(p->at, shown));
}

static bool at_end_tag(const parser *p, const char *const *ends) {
    for (; ends && *ends; ends++) {
        if (token_is(p->at + 1, TK_NAME, *ends)) return true;
    }
    return false;
}

static fnd_status parse_print(parser *p, tpl_node **out) {
    FND_TRY(new_node(p, N_PRINT, p->at++, out));
    FND_TRY(parse_tuple(p, true, &(*out)->a));
    if (p->at->kind != TK_PRINT_END) return expected(p, "}}");
    p->at++;
    return FND_OK;
}

/* Statements up to the `{%` of one of the end tags; without ends up to the end of the template. */
static fnd_status parse_body(parser *p, const char *const *ends, tpl_node **out) {
    FND_TRY(enter(p));
    FND_TRY(new_node(p, N_BLOCK, p->at, out));
    for (;;) {
        tpl_node *statement;
        if (p->at->kind == TK_END) {
            if (ends) return FAIL(p, "the template ends before %s", ends[1] ? ends[2] ? ends[2] : ends[1] : ends[0]);
            break;
        }
        if (p->at->kind == TK_DATA) {
            FND_TRY(new_node(p, N_TEXT, p->at, &statement));
            statement->name = (tpl_str){ .data = p->at->data, .bytes = p->at->bytes };
            p->at++;
        } else if (p->at->kind == TK_PRINT_BEGIN) {
            FND_TRY(parse_print(p, &statement));
        } else {
            if (at_end_tag(p, ends)) break;
            p->at++;
            FND_TRY(parse_statement(p, &statement));
        }
        FND_TRY(append(p, &(*out)->items, statement));
    }
    p->depth--;
    return FND_OK;
}

fnd_status fnd_tpl_parse(const char *text, size_t bytes, tpl_tree *out, fnd_error *err) {
    tpl_tokens tokens = { 0 };
    *out = (tpl_tree){ .arena = { .limit_bytes = TPL_MEMORY_LIMIT } };
    parser p = { .arena = &out->arena, .err = err };
    fnd_status status = fnd_tpl_lex(text, bytes, &out->arena, &tokens, err);
    if (status == FND_OK) {
        p.at = tokens.items;
        status = parse_body(&p, NULL, &out->body);
    }
    if (status != FND_OK) fnd_tpl_tree_free(out);
    return status;
}

void fnd_tpl_tree_free(tpl_tree *tree) {
    fnd_arena_free(&tree->arena);
    tree->body = NULL;
}
