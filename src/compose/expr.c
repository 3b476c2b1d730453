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

typedef struct parser {
    const char *at, *whole;
    const fnd_dims *dims;
    fnd_error *err;
    fnd_status status;
    int depth;
} parser;

static uint64_t parse_sum(parser *p);

static uint64_t complain(parser *p, const char *what) {
    if (p->status == FND_OK) p->status = fnd_fail(p->err, FND_ERR_COMPOSE, "shape expression \"%s\": %s at \"%s\"", p->whole, what, p->at);
    return 1;
}

static void skip_space(parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

static uint64_t parse_name(parser *p) {
    char name[FND_EXPR_BYTES];
    size_t length = 0;
    while ((isalnum((unsigned char)p->at[length]) || p->at[length] == '_') && length + 1 < sizeof name) length++;
    memcpy(name, p->at, length);
    name[length] = '\0';
    int found = fnd_dims_find(p->dims, name);
    if (found < 0 || !p->dims->known[found]) return complain(p, "a name without a value");
    p->at += length;
    return p->dims->value[found];
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
        while (isdigit((unsigned char)*p->at)) {
            if (!fnd_mul_u64(value, 10, &value) || !fnd_add_u64(value, (uint64_t)(*p->at - '0'), &value)) return complain(p, "a number too large");
            p->at++;
        }
    } else if (isalpha((unsigned char)*p->at) || *p->at == '_') {
        value = parse_name(p);
    } else {
        return complain(p, "a name or a number is missing");
    }
    skip_space(p);
    return value;
}

static uint64_t parse_product(parser *p) {
    uint64_t value = parse_factor(p);
    while (p->status == FND_OK && (*p->at == '*' || *p->at == '/')) {
        char op = *p->at++;
        uint64_t right = parse_factor(p);
        if (op == '*' && !fnd_mul_u64(value, right, &value)) return complain(p, "a product too large");
        if (op == '/' && right == 0) return complain(p, "division by zero");
        if (op == '/') value /= right;
    }
    return value;
}

static uint64_t parse_sum(parser *p) {
    uint64_t value = parse_product(p);
    while (p->status == FND_OK && (*p->at == '+' || *p->at == '-')) {
        char op = *p->at++;
        uint64_t right = parse_product(p);
        if (op == '+' && !fnd_add_u64(value, right, &value)) return complain(p, "a sum too large");
        if (op == '-' && right > value) return complain(p, "a negative value");
        if (op == '-') value -= right;
    }
    return value;
}

fnd_status fnd_expr_value(const char *expr, const fnd_dims *dims, uint64_t *out, fnd_error *err) {
    parser p = { .at = expr, .whole = expr, .dims = dims, .err = err };
    *out = parse_sum(&p);
    if (p.status == FND_OK && *p.at) complain(&p, "something left over");
    return p.status;
}
