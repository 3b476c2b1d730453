/* expr.h - shapes as kernels write them, "[tokens, heads * head_dim]", and rules between numbers,
 * "pos + tokens <= 16*blocks". */
#ifndef COMPOSE_EXPR_H
#define COMPOSE_EXPR_H

#include "foundry/tensor.h"

#include <stdint.h>

enum { FND_MAX_DIMS = 16, FND_EXPR_BYTES = 64 };

typedef struct fnd_shape_text {
    uint32_t rank;
    char     dim[FND_MAX_RANK][FND_EXPR_BYTES]; /* each a name, a number or an expression */
    char     moves[FND_EXPR_BYTES]; /* values that are really read or written; "" = all of them */
} fnd_shape_text;

typedef struct fnd_dims {
    uint32_t count;
    char     name[FND_MAX_DIMS][FND_NAME_BYTES];
    uint64_t value[FND_MAX_DIMS];
    bool     known[FND_MAX_DIMS];
} fnd_dims;

/* Parse "[a, b*c]" or "[a, b*c] moves a*b"; "" is rank 0 (a value, no tensor). `where` begins the
 * error sentence. */
FND_USE_RESULT fnd_status fnd_shape_parse(const char *text, const char *where, fnd_shape_text *out, fnd_error *err);

/* Is it a name alone? */
bool fnd_expr_is_name(const char *expr);
/* Add the names in `expr` to dims, in order, each once. */
FND_USE_RESULT fnd_status fnd_expr_names(const char *expr, fnd_dims *dims, fnd_error *err);
/* Value of an expression of + - * / % ( ), numbers and names of dims. */
FND_USE_RESULT fnd_status fnd_expr_value(const char *expr, const fnd_dims *dims, uint64_t *out, fnd_error *err);

int fnd_dims_find(const fnd_dims *dims, const char *name); /* -1: none */
FND_USE_RESULT fnd_status fnd_dims_add(fnd_dims *dims, const char *name, fnd_error *err);

/* ---- rules: two expressions with <= < >= > == or != between them --------------------------------- */

enum { FND_RULE_BYTES = 96, FND_RULE_OPS = 32 };

/* A step of a rule, for a stack: push a number or the value of a slot, or combine the two on top. */
typedef struct fnd_rule_op {
    char     op; /* 'n' number, 'v' value of a slot; + - * / %; 'l' <=, '<', 'g' >=, '>', '=' ==, '!' != */
    uint32_t operand;
} fnd_rule_op;

typedef struct fnd_rule {
    char        text[FND_RULE_BYTES], doc[FND_RULE_BYTES];
    uint32_t    op_count;
    fnd_rule_op ops[FND_RULE_OPS];
} fnd_rule;

/* Read rule->text. `slot` says which number stands for a name, or for "bytes(name)"; -1: there is no
 * such name. */
typedef int fnd_rule_slot_fn(const void *ctx, const char *name);
/* "bytes(w)": true, and the w. */
bool fnd_rule_weight(const char *name, char weight[FND_NAME_BYTES]);
FND_USE_RESULT fnd_status fnd_rule_compile(fnd_rule *rule, fnd_rule_slot_fn *slot, const void *ctx, fnd_error *err);
/* Does it hold? What overflows, is negative or divides by zero on the way does not. */
typedef uint64_t fnd_rule_value_fn(const void *ctx, uint32_t slot);
bool fnd_rule_holds(const fnd_rule *rule, fnd_rule_value_fn *value, const void *ctx);

#endif
