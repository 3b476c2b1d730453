/* template_tree.h - a chat template as tokens (template_lex.c) and as a tree (template_parse.c for
 * statements, template_expressions.c for expressions). */
#ifndef LM_TEMPLATE_TREE_H
#define LM_TEMPLATE_TREE_H

#include "lm/template.h"

/* ---- tokens ---- */

typedef enum tpl_token_kind { TK_DATA, TK_PRINT_BEGIN, TK_PRINT_END, TK_BLOCK_BEGIN, TK_BLOCK_END, TK_NAME, TK_STRING, TK_INT, TK_FLOAT, TK_OP, TK_END } tpl_token_kind;

typedef struct tpl_token {
    tpl_token_kind kind;
    uint32_t       line, column;
    const char    *data; /* text; of TK_STRING without quotes and escapes */
    size_t         bytes;
    int64_t        integer;
    double         number;
} tpl_token;

typedef struct tpl_tokens {
    tpl_token *items;
    size_t     count, capacity;
} tpl_tokens;

FND_USE_RESULT fnd_status fnd_tpl_lex(const char *text, size_t bytes, fnd_arena *arena, tpl_tokens *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_tpl_fail_at(fnd_error *err, fnd_status status, uint32_t line, uint32_t column, const char *format, ...) FND_PRINTF_(5, 6);

/* ---- the tree ---- */

typedef enum tpl_node_kind {
    /* expressions */
    N_CONST, N_NAME, N_LIST, N_TUPLE, N_DICT, N_ATTR, N_ITEM, N_SLICE, N_CALL, N_FILTER, N_TEST, N_UNARY, N_BINARY, N_COMPARE, N_AND, N_OR, N_NOT, N_COND, N_CONCAT,
    /* statements */
    N_TEXT, N_PRINT, N_IF, N_FOR, N_SET, N_SET_BLOCK, N_MACRO, N_CALL_BLOCK, N_FILTER_BLOCK, N_WITH, N_BLOCK, N_NAMED_BLOCK, N_LOADER, N_BREAK, N_CONTINUE
} tpl_node_kind;

typedef struct tpl_list_of_nodes {
    struct tpl_node **items;
    size_t            count, capacity;
} tpl_nodes;

/* Bits of tpl_node.flags. */
enum {
    TPL_USES_CALLER = 1, /* of macros: names that the body reads and no parameter has */
    TPL_USES_KWARGS = 2,
    TPL_USES_VARARGS = 4,
    TPL_RECURSIVE = 8, /* of for */
    TPL_SCOPED = 16,   /* of block */
    TPL_REQUIRED = 32
};

/* Which fields a node uses is said where it is parsed. */
typedef struct tpl_node {
    tpl_node_kind    kind;
    tpl_op           op;
    uint32_t         line, column;
    unsigned         flags;
    tpl_str          name;
    tpl_value        value;
    struct tpl_node *a, *b, *c, *d;
    tpl_nodes        items; /* arguments, elements, statements */
    tpl_nodes        named; /* keyword arguments: nodes whose `name` is the keyword and `a` the value */
} tpl_node;

/* A parsed template; never changed after. */
typedef struct tpl_tree {
    fnd_arena  arena;
    tpl_node  *body;   /* N_BLOCK */
    tpl_nodes  blocks; /* N_NAMED_BLOCK */
} tpl_tree;

FND_USE_RESULT fnd_status fnd_tpl_parse(const char *text, size_t bytes, tpl_tree *out, fnd_error *err);
void fnd_tpl_tree_free(tpl_tree *tree);

/* Render a tree; the variables are in *variables, the result in out (in `arena`). */
FND_USE_RESULT fnd_status fnd_tpl_render(const tpl_tree *tree, const tpl_dict *variables, fnd_arena *arena, tpl_builder *out, fnd_error *err);

/* ---- parsing, shared by template_parse.c and template_expressions.c ---- */

typedef struct tpl_parser {
    const tpl_token *at;
    const tpl_token *tag; /* the {{ or the name of the statement that is being parsed; NULL: none */
    fnd_arena       *arena;
    fnd_error       *err;
    unsigned         depth;
    unsigned         loops; /* open for loops in this macro: break and continue need one */
    unsigned         uses;  /* TPL_USES_.. of the macro being parsed */
    tpl_nodes        blocks; /* N_NAMED_BLOCK: no two have one name */
} tpl_parser;

/* In the statement or {{ }} p->tag. */
FND_USE_RESULT fnd_status fnd_tpl_parse_fail(const tpl_parser *p, fnd_status status, uint32_t line, uint32_t column, const char *format, ...) FND_PRINTF_(5, 6);
/* At the token p->at. */
#define TPL_PARSE_FAIL(p, ...) fnd_tpl_parse_fail(p, FND_ERR_FORMAT, (p)->at->line, (p)->at->column, __VA_ARGS__)

bool fnd_tpl_is_op(const tpl_parser *p, const char *op);
bool fnd_tpl_is_name(const tpl_parser *p, const char *name);
bool fnd_tpl_token_is(const tpl_token *t, tpl_token_kind kind, const char *text);
bool fnd_tpl_skip_op(tpl_parser *p, const char *op);
bool fnd_tpl_skip_name(tpl_parser *p, const char *name);
FND_USE_RESULT fnd_status fnd_tpl_expected(tpl_parser *p, const char *what);
FND_USE_RESULT fnd_status fnd_tpl_expect_op(tpl_parser *p, const char *op);
/* Enter a nested construct; the caller takes one off p->depth behind it. */
FND_USE_RESULT fnd_status fnd_tpl_enter(tpl_parser *p);
FND_USE_RESULT fnd_status fnd_tpl_new_node(tpl_parser *p, tpl_node_kind kind, const tpl_token *at, tpl_node **out);
FND_USE_RESULT fnd_status fnd_tpl_new_const(tpl_parser *p, const tpl_token *at, tpl_value value, tpl_node **out);
FND_USE_RESULT fnd_status fnd_tpl_append(tpl_parser *p, tpl_nodes *list, tpl_node *node);
FND_USE_RESULT fnd_status fnd_tpl_take_name(tpl_parser *p, const char *what, tpl_str *out);
FND_USE_RESULT fnd_status fnd_tpl_parse_expression(tpl_parser *p, tpl_node **out);
/* An expression, or several with commas between: a tuple. */
FND_USE_RESULT fnd_status fnd_tpl_parse_tuple(tpl_parser *p, bool with_if, tpl_node **out);
/* What may be assigned to: a name, a tuple of such, or (with_attribute) namespace.name. */
FND_USE_RESULT fnd_status fnd_tpl_parse_target(tpl_parser *p, bool with_attribute, tpl_node **out);
/* Filters and tests that are not known are errors, except in branches, where they are only when they run. */
FND_USE_RESULT fnd_status fnd_tpl_check_names(const tpl_node *body, fnd_error *err);
/* Filters on `value`: f or f | g, at the name of the first. */
FND_USE_RESULT fnd_status fnd_tpl_parse_filters(tpl_parser *p, tpl_node *value, tpl_node **out);

/* ---- running, shared by template_eval.c and template_run.c ---- */

/* Evaluate a part of n; failures after it belong to n again. */
#define TPL_EVAL(part, out)                        \
    do {                                           \
        FND_TRY(fnd_tpl_eval(r, (part), out));     \
        r->at = n;                                 \
    } while (0)

FND_USE_RESULT fnd_status fnd_tpl_eval(tpl_run *r, const tpl_node *n, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_run_block(tpl_run *r, const tpl_node *block);
FND_USE_RESULT fnd_status fnd_tpl_push_scope(tpl_run *r, tpl_scope *outer);
FND_USE_RESULT fnd_status fnd_tpl_set_name(tpl_run *r, tpl_str name, const tpl_value *value);
FND_USE_RESULT fnd_status fnd_tpl_assign(tpl_run *r, const tpl_node *target, const tpl_value *value);
FND_USE_RESULT fnd_status fnd_tpl_eval_arguments(tpl_run *r, const tpl_node *n, tpl_args *args);
FND_USE_RESULT fnd_status fnd_tpl_call_macro(tpl_run *r, const tpl_callable *c, const tpl_args *args, tpl_value *out);
/* loop(items), inside of a recursive loop */
FND_USE_RESULT fnd_status fnd_tpl_loop_again(tpl_run *r, const tpl_loop *loop, const tpl_value *over, tpl_value *out);

#endif
