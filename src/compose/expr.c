/* expr.c - shape expressions: a parser of a few lines. */
#include "compose/expr.h"
#include "base/base.h"

#include <ctype.h>
#include <stdio.h>

static fnd_status parse_moves(const char *text, const char *where, fnd_shape_text *out, fnd_error *err) {
    while (isspace((unsigned char)*text)) text++;
    if (!*text) return FND_OK;
    if (strncmp(text, "moves ", 6) != 0 || strlen(text + 6) >= FND_EXPR_BYTES) {
        return fnd_fail(err, FND_ERR_COMPOSE, "%s: behind a shape only \"moves <expression>\" may stand, not \"%s\"", where, text);
    }
    snprintf(out->moves, sizeof out->moves, "%s", text + 6);
    return FND_OK;
}

fnd_status fnd_shape_parse(const char *text, const char *where, fnd_shape_text *out, fnd_error *err) {
    *out = (fnd_shape_text){ 0 };
    while (isspace((unsigned char)*text)) text++;
    if (!*text) return FND_OK;
    if (*text++ != '[') return fnd_fail(err, FND_ERR_COMPOSE, "%s: a shape begins with '[', not \"%s\"", where, text - 1);
    for (;;) {
        size_t length = strcspn(text, ",]");
        while (length && isspace((unsigned char)*text)) text++, length--;
        size_t used = length;
        while (used && isspace((unsigned char)text[used - 1])) used--;
        if (used == 0 || used >= FND_EXPR_BYTES || out->rank == FND_MAX_RANK || !text[length]) {
            return fnd_fail(err, FND_ERR_COMPOSE, "%s: a shape has 1 to %d dimensions between [ and ], each at most %d characters", where, FND_MAX_RANK, FND_EXPR_BYTES - 1);
        }
        memcpy(out->dim[out->rank], text, used);
        out->dim[out->rank++][used] = '\0';
        text += length + 1;
        if (text[-1] == ']') return parse_moves(text, where, out, err);
    }
}

bool fnd_expr_is_name(const char *expr) {
    if (!isalpha((unsigned char)*expr) && *expr != '_') return false;
    while (isalnum((unsigned char)*expr) || *expr == '_') expr++;
    return *expr == '\0';
}

int fnd_dims_find(const fnd_dims *dims, const char *name) {
    for (uint32_t i = 0; i < dims->count; i++) {
        if (strcmp(dims->name[i], name) == 0) return (int)i;
    }
    return -1;
}

fnd_status fnd_dims_add(fnd_dims *dims, const char *name, fnd_error *err) {
    if (fnd_dims_find(dims, name) >= 0) return FND_OK;
    if (dims->count == FND_MAX_DIMS) return fnd_fail(err, FND_ERR_LIMIT, "more than %d dimension names in one kernel", FND_MAX_DIMS);
    if (strlen(name) >= FND_NAME_BYTES) return fnd_fail(err, FND_ERR_LIMIT, "dimension name too long: %s", name);
    snprintf(dims->name[dims->count++], FND_NAME_BYTES, "%s", name);
    return FND_OK;
}

fnd_status fnd_expr_names(const char *expr, fnd_dims *dims, fnd_error *err) {
    while (*expr) {
        if (isalpha((unsigned char)*expr) || *expr == '_') {
            char name[FND_EXPR_BYTES];
            size_t length = 0;
            while ((isalnum((unsigned char)expr[length]) || expr[length] == '_') && length + 1 < sizeof name) length++;
            memcpy(name, expr, length);
            name[length] = '\0';
            FND_TRY(fnd_dims_add(dims, name, err));
            expr += length;
        } else if (isdigit((unsigned char)*expr)) {
            while (isalnum((unsigned char)*expr)) expr++;
        } else {
            expr++;
        }
    }
    return FND_OK;
}

/* Evaluates as it reads; or, for a rule, only writes down what to do. */
typedef struct parser {
    const char *at, *whole;
    const fnd_dims *dims;
    fnd_rule *rule; /* being compiled, or NULL */
    fnd_rule_slot_fn *slot;
    const void *ctx;
    fnd_error *err;
    fnd_status status;
    int depth;
} parser;

static uint64_t parse_sum(parser *p);

static uint64_t complain(parser *p, const char *what) {
    if (p->status == FND_OK) p->status = fnd_fail(p->err, FND_ERR_COMPOSE, "%s \"%s\": %s at \"%s\"", p->rule ? "rule" : "shape expression", p->whole, what, p->at);
    return 1;
}

static void skip_space(parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

static uint64_t emit(parser *p, char op, uint64_t operand) {
    if (p->rule->op_count == FND_RULE_OPS) return complain(p, "too long");
    if (operand > UINT32_MAX) return complain(p, "a number too large");
    p->rule->ops[p->rule->op_count++] = (fnd_rule_op){ op, (uint32_t)operand };
    return 1;
}

static uint64_t parse_name(parser *p) {
    char name[FND_EXPR_BYTES];
    size_t length = 0;
    while ((isalnum((unsigned char)p->at[length]) || p->at[length] == '_') && length + 1 < sizeof name) length++;
    if (p->rule && p->at[length] == '(') length += strcspn(p->at + length, ")") + (strchr(p->at + length, ')') != NULL); /* bytes(w) */
    if (length >= sizeof name) return complain(p, "a name too long");
    memcpy(name, p->at, length);
    name[length] = '\0';
    int found = p->rule ? p->slot(p->ctx, name) : fnd_dims_find(p->dims, name);
    if (found < 0) return complain(p, p->rule ? "a name that is no dimension and no u32 number of the list" : "a name without a value");
    if (!p->rule && !p->dims->known[found]) return complain(p, "a name without a value");
    p->at += length;
    return p->rule ? emit(p, 'v', (uint64_t)found) : p->dims->value[found];
}

static uint64_t parse_number(parser *p) {
    uint64_t value = 0;
    for (; isdigit((unsigned char)*p->at); p->at++) {
        if (!fnd_mul_u64(value, 10, &value) || !fnd_add_u64(value, (uint64_t)(*p->at - '0'), &value)) return complain(p, "a number too large");
    }
    return p->rule ? emit(p, 'n', value) : value;
}

static uint64_t parse_factor(parser *p) {
    uint64_t value = 0;
    skip_space(p);
    if (*p->at == '(') {
        if (++p->depth > 16) return complain(p, "too many parentheses");
        p->at++;
        value = parse_sum(p);
        skip_space(p);
        if (*p->at != ')') return complain(p, "a ) is missing");
        p->at++;
        p->depth--;
    } else if (isdigit((unsigned char)*p->at)) {
        value = parse_number(p);
    } else if (isalpha((unsigned char)*p->at) || *p->at == '_') {
        value = parse_name(p);
    } else {
        return complain(p, "a name or a number is missing");
    }
    skip_space(p);
    return value;
}

/* NULL, or what is wrong with it. */
static const char *combine(char op, uint64_t left, uint64_t right, uint64_t *out) {
    switch (op) {
    case '+':
        return fnd_add_u64(left, right, out) ? NULL : "a sum too large";
    case '-':
        *out = left - right;
        return right <= left ? NULL : "a negative value";
    case '*':
        return fnd_mul_u64(left, right, out) ? NULL : "a product too large";
    default:
        if (right == 0) return "division by zero";
        *out = op == '/' ? left / right : left % right;
        return NULL;
    }
}

/* left op right, or the step that computes it. */
static uint64_t join(parser *p, char op, uint64_t left, uint64_t right) {
    if (p->status != FND_OK) return 1;
    if (p->rule) return emit(p, op, 0);
    uint64_t value = 1;
    const char *wrong = combine(op, left, right, &value);
    return wrong ? complain(p, wrong) : value;
}

static uint64_t parse_product(parser *p) {
    uint64_t value = parse_factor(p);
    while (p->status == FND_OK && (*p->at == '*' || *p->at == '/' || *p->at == '%')) {
        char op = *p->at++;
        value = join(p, op, value, parse_factor(p));
    }
    return value;
}

static uint64_t parse_sum(parser *p) {
    uint64_t value = parse_product(p);
    while (p->status == FND_OK && (*p->at == '+' || *p->at == '-')) {
        char op = *p->at++;
        value = join(p, op, value, parse_product(p));
    }
    return value;
}

fnd_status fnd_expr_value(const char *expr, const fnd_dims *dims, uint64_t *out, fnd_error *err) {
    parser p = { .at = expr, .whole = expr, .dims = dims, .err = err };
    *out = parse_sum(&p);
    if (p.status == FND_OK && *p.at) complain(&p, "something left over");
    return p.status;
}

/* ---- rules ---- */

bool fnd_rule_weight(const char *name, char weight[FND_NAME_BYTES]) {
    int end = 0;
    return sscanf(name, "bytes(%31[a-zA-Z0-9_])%n", weight, &end) == 1 && end > 0 && !name[end];
}

static char parse_comparison(parser *p) {
    static const struct {
        const char *text;
        char op;
    } all[] = { { "<=", 'l' }, { ">=", 'g' }, { "==", '=' }, { "!=", '!' }, { "<", '<' }, { ">", '>' } };
    for (size_t i = 0; i < FND_COUNT(all); i++) {
        size_t length = strlen(all[i].text);
        if (strncmp(p->at, all[i].text, length) != 0) continue;
        p->at += length;
        return all[i].op;
    }
    complain(p, "one of <= < >= > == != is missing");
    return '=';
}

fnd_status fnd_rule_compile(fnd_rule *rule, fnd_rule_slot_fn *slot, const void *ctx, fnd_error *err) {
    parser p = { .at = rule->text, .whole = rule->text, .rule = rule, .slot = slot, .ctx = ctx, .err = err };
    rule->op_count = 0;
    parse_sum(&p);
    if (p.status != FND_OK) return p.status;
    char op = parse_comparison(&p);
    if (p.status == FND_OK) parse_sum(&p);
    if (p.status == FND_OK && *p.at) complain(&p, "something left over");
    if (p.status == FND_OK) emit(&p, op, 0);
    return p.status;
}

static bool compare(char op, uint64_t left, uint64_t right) {
    switch (op) {
    case 'l':
        return left <= right;
    case 'g':
        return left >= right;
    case '<':
        return left < right;
    case '>':
        return left > right;
    case '!':
        return left != right;
    default:
        return left == right;
    }
}

bool fnd_rule_holds(const fnd_rule *rule, fnd_rule_value_fn *value, const void *ctx) {
    uint64_t stack[FND_RULE_OPS];
    uint32_t n = 0;
    for (uint32_t i = 0; i + 1 < rule->op_count; i++) {
        const fnd_rule_op *op = &rule->ops[i];
        if (op->op == 'n' || op->op == 'v') {
            stack[n++] = op->op == 'n' ? op->operand : value(ctx, op->operand);
        } else {
            n--;
            if (combine(op->op, stack[n - 1], stack[n], &stack[n - 1])) return false;
        }
    }
    return n == 2 && compare(rule->ops[rule->op_count - 1].op, stack[0], stack[1]);
}
