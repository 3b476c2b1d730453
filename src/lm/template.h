/* template.h - chat templates: an interpreter for the Jinja that model files carry.
 *
 *   text -> tokens (template_lex.c) -> tree (template_parse.c) -> rendered text (template_eval.c)
 *
 * Values are immutable (namespaces excepted) and live in the arena of one rendering. Every byte of a
 * string carries a mark that tells where it came from: the template (and the model's own tokens) or a
 * variable, that is, a user. Marks survive concatenation, slicing, trimming and replacing, so that in
 * the end the rendered text says which of its parts may make control tokens. */
#ifndef LM_TEMPLATE_H
#define LM_TEMPLATE_H

#include "foundry/gguf.h"
#include "lm/arena.h"

#include <stdint.h>

enum {
    TPL_SOURCE_LIMIT = 1 << 20,       /* bytes of a template */
    TPL_PARSE_DEPTH = 200,            /* nested expressions and statements */
    TPL_RUN_DEPTH = 1000,             /* of evaluation: a chain of N operators is N deep */
    TPL_STEP_LIMIT = 20000000,
    TPL_RANGE_LIMIT = 100000,         /* items of range(), as in Jinja's sandbox */
    TPL_OUTPUT_LIMIT = 64 << 20,
    TPL_MEMORY_LIMIT = 256 << 20
};

/* ---- values ---- */

enum { TPL_FROM_TEMPLATE = 0, TPL_FROM_VARIABLE = 1 };

typedef struct tpl_str {
    const char    *data;
    size_t         bytes;
    const uint8_t *marks; /* one per byte; NULL: all are `mark` */
    uint8_t        mark;
} tpl_str;

typedef enum tpl_kind { TPL_UNDEFINED, TPL_NONE, TPL_BOOL, TPL_INT, TPL_FLOAT, TPL_STR, TPL_LIST, TPL_TUPLE, TPL_DICT, TPL_NAMESPACE, TPL_LOOP, TPL_CALLABLE } tpl_kind;

typedef struct tpl_value {
    tpl_kind kind;
    union {
        bool                  flag;
        int64_t               integer;
        double                number;
        const tpl_str        *str; /* of TPL_UNDEFINED: what is undefined, for messages */
        struct tpl_list      *list;
        struct tpl_dict      *dict; /* also of TPL_NAMESPACE */
        struct tpl_loop      *loop;
        struct tpl_callable  *callable;
    };
} tpl_value;

typedef struct tpl_list {
    tpl_value *items;
    size_t     count;
} tpl_list;

typedef struct tpl_dict {
    tpl_value *keys, *values;
    size_t     count, capacity;
} tpl_dict;

typedef struct tpl_loop {
    const tpl_list  *items;
    size_t           index;
    tpl_value        changed; /* what loop.changed() saw last */
    bool             has_changed;
} tpl_loop;

/* ---- the tree ---- */

typedef enum tpl_node_kind {
    N_CONST, N_NAME, N_LIST, N_TUPLE, N_DICT, N_ATTR, N_ITEM, N_SLICE, N_CALL, N_FILTER, N_TEST, N_UNARY, N_BINARY, N_COMPARE, N_AND, N_OR, N_NOT, N_COND, N_CONCAT, /* expressions */
    N_TEXT, N_PRINT, N_IF, N_FOR, N_SET, N_SET_BLOCK, N_MACRO, N_CALL_BLOCK, N_FILTER_BLOCK, N_WITH, N_BLOCK, N_BREAK, N_CONTINUE                                      /* statements */
} tpl_node_kind;

typedef enum tpl_op { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW, OP_NEG, OP_POS, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_NOT_IN } tpl_op;

typedef struct tpl_list_of_nodes {
    struct tpl_node **items;
    size_t            count, capacity;
} tpl_nodes;

/* Which fields a node uses is said at its kind's function in template_eval.c. */
typedef struct tpl_node {
    tpl_node_kind    kind;
    tpl_op           op;
    uint32_t         line, column;
    tpl_str          name;
    tpl_value        value;
    struct tpl_node *a, *b, *c, *d;
    tpl_nodes        items; /* arguments, elements, statements */
    tpl_nodes        named; /* keyword arguments: nodes whose `name` is the keyword and `a` the value */
} tpl_node;

/* A parsed template; never changed after. */
typedef struct tpl_tree {
    fnd_arena  arena;
    tpl_node  *body; /* N_BLOCK */
} tpl_tree;

FND_USE_RESULT fnd_status fnd_tpl_parse(const char *text, size_t bytes, tpl_tree *out, fnd_error *err);
void fnd_tpl_tree_free(tpl_tree *tree);

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

/* ---- running ---- */

typedef struct tpl_builder {
    char    *data;
    uint8_t *marks;
    size_t   bytes, capacity;
} tpl_builder;

typedef struct tpl_scope {
    struct tpl_scope *outer;
    tpl_dict          names;
} tpl_scope;

typedef struct tpl_run {
    fnd_arena      *arena;
    fnd_error      *err;
    const tpl_node *at; /* what is being evaluated, for messages */
    tpl_builder    *out;
    tpl_scope      *scope, *root;
    uint64_t        steps;
    unsigned        depth;
    bool            failed; /* a builder could not grow */
    enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;
} tpl_run;

typedef struct tpl_args {
    const tpl_value *items;
    size_t           count;
    const tpl_str   *names;
    const tpl_value *named;
    size_t           named_count;
} tpl_args;

/* A builtin function, filter or method. `self` is what a filter or method works on. */
typedef fnd_status tpl_function(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out);

typedef struct tpl_callable {
    const char      *name;
    tpl_function    *function; /* NULL: a macro */
    tpl_value        self;
    const tpl_node  *macro;    /* N_MACRO or N_CALL_BLOCK */
    tpl_scope       *scope;    /* where it was defined */
} tpl_callable;

/* Render a tree; the variables are in *variables, the result in out (in `arena`). */
FND_USE_RESULT fnd_status fnd_tpl_render(const tpl_tree *tree, const tpl_dict *variables, fnd_arena *arena, tpl_builder *out, fnd_error *err);

/* template_eval.c */
FND_USE_RESULT fnd_status fnd_tpl_call(tpl_run *r, const tpl_value *callable, const tpl_args *args, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_filter(tpl_run *r, const char *name, size_t name_bytes, const tpl_value *self, const tpl_args *args, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_test(tpl_run *r, const char *name, size_t name_bytes, const tpl_value *self, const tpl_args *args, bool *out);
/* Counts work; FND_ERR_LIMIT when there was too much of it. */
FND_USE_RESULT fnd_status fnd_tpl_step(tpl_run *r, uint64_t steps);

/* template_value.c */
FND_USE_RESULT fnd_status fnd_tpl_fail(tpl_run *r, fnd_status status, const char *format, ...) FND_PRINTF_(3, 4);
FND_USE_RESULT fnd_status fnd_tpl_no_memory(tpl_run *r);
FND_USE_RESULT fnd_status fnd_tpl_undefined_used(tpl_run *r, const tpl_value *v);
const char *fnd_tpl_kind_name(const tpl_value *v);

void fnd_tpl_add(tpl_run *r, tpl_builder *b, const char *data, size_t bytes, const uint8_t *marks, uint8_t mark);
void fnd_tpl_add_str(tpl_run *r, tpl_builder *b, tpl_str s);
void fnd_tpl_add_text(tpl_run *r, tpl_builder *b, const char *text); /* marked as the template's */
FND_USE_RESULT fnd_status fnd_tpl_add_value(tpl_run *r, tpl_builder *b, const tpl_value *v); /* str() */
FND_USE_RESULT fnd_status fnd_tpl_add_repr(tpl_run *r, tpl_builder *b, const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_built(tpl_run *r, const tpl_builder *b, tpl_value *out); /* as a string */
size_t fnd_tpl_print_float(double x, char out[40]); /* Python's repr */

tpl_str fnd_tpl_slice_str(tpl_str s, size_t start, size_t bytes);
tpl_str fnd_tpl_const_str(const char *text);
FND_USE_RESULT fnd_status fnd_tpl_new_str(tpl_run *r, tpl_str s, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_new_list(tpl_run *r, size_t count, tpl_kind kind, tpl_value *out); /* items to be filled */
FND_USE_RESULT fnd_status fnd_tpl_new_dict(tpl_run *r, size_t capacity, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_undefined(tpl_run *r, tpl_value *out, const char *format, ...) FND_PRINTF_(3, 4);
tpl_value fnd_tpl_bool(bool b);
tpl_value fnd_tpl_int(int64_t i);
tpl_value fnd_tpl_float(double x);

bool fnd_tpl_truth(const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_equal(tpl_run *r, const tpl_value *a, const tpl_value *b, bool *out);
FND_USE_RESULT fnd_status fnd_tpl_order(tpl_run *r, const tpl_value *a, const tpl_value *b, int *out);
FND_USE_RESULT fnd_status fnd_tpl_contains(tpl_run *r, const tpl_value *in, const tpl_value *what, bool *out);
FND_USE_RESULT fnd_status fnd_tpl_items(tpl_run *r, const tpl_value *v, tpl_list *out); /* for iteration */
FND_USE_RESULT fnd_status fnd_tpl_length(tpl_run *r, const tpl_value *v, size_t *out);
FND_USE_RESULT fnd_status fnd_tpl_binary(tpl_run *r, tpl_op op, const tpl_value *a, const tpl_value *b, tpl_value *out);
/* NULL: no such key. */
tpl_value *fnd_tpl_dict_find(const tpl_dict *d, const char *key, size_t bytes);
FND_USE_RESULT fnd_status fnd_tpl_dict_get(tpl_run *r, const tpl_dict *d, const tpl_value *key, tpl_value **out);
FND_USE_RESULT fnd_status fnd_tpl_dict_set(tpl_run *r, tpl_dict *d, const tpl_value *key, const tpl_value *value);

/* template_functions.c: what templates can call. NULL: none of that name. */
const tpl_callable *fnd_tpl_find_global(const char *name, size_t bytes);
tpl_function *fnd_tpl_find_method(const tpl_value *self, const char *name, size_t bytes);
tpl_function *fnd_tpl_find_filter(const char *name, size_t bytes);
/* Puts arguments in the places of `names` (NULL-terminated); missing ones stay as they are in
 * values. `required` of them must be given. */
FND_USE_RESULT fnd_status fnd_tpl_bind(tpl_run *r, const char *what, const tpl_args *args, const char *const *names, size_t required, tpl_value *values);
FND_USE_RESULT fnd_status fnd_tpl_need_str(tpl_run *r, const char *what, const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_to_json(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out);
bool fnd_tpl_is_space(uint32_t code);
tpl_str fnd_tpl_strip(tpl_str s, const tpl_str *set, bool left, bool right);

#endif
