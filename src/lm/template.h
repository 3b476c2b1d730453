/* template.h - chat templates: an interpreter for the Jinja that model files carry.
 *
 *   text -> tokens (template_lex.c) -> tree (template_parse.c, template_expressions.c)
 *        -> rendered text (template_run.c for statements, template_eval.c for expressions)
 *
 * This header has the values and what works on them; template_tree.h has tokens and tree.
 *
 * Values are immutable (namespaces and iterators excepted) and live in the arena of one rendering. Every
 * byte of a string, and every number, carries a mark that tells where it came from: the template (and the
 * model's own tokens) or a variable, that is, a user. Marks survive whatever is done to a string, so that
 * in the end the rendered text says which of its parts may make control tokens. */
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
    TPL_NAMES_LIMIT = 1000,           /* parameters of a macro, blocks of a template */
    TPL_RANGE_LIMIT = 100000,         /* items of range(), as in Jinja's sandbox */
    TPL_TIME_LIMIT = 1 << 20,         /* bytes of what strftime_now() gives */
    TPL_OUTPUT_LIMIT = 64 << 20,      /* bytes of any string */
    TPL_MEMORY_LIMIT = 256 << 20
};

/* ---- values ---- */

enum { TPL_FROM_TEMPLATE = 0, TPL_FROM_VARIABLE = 1 };

typedef struct tpl_str {
    const char    *data;
    size_t         bytes;
    const uint8_t *marks; /* one per byte; NULL: all are `mark` */
    uint8_t        mark;
    bool           markup; /* made by escape or safe: what is added to it is escaped, as markupsafe does */
} tpl_str;

typedef enum tpl_kind {
    TPL_UNDEFINED, TPL_NONE, TPL_BOOL, TPL_INT, TPL_FLOAT, TPL_STR, TPL_LIST, TPL_TUPLE,
    TPL_RANGE, TPL_VIEW, /* keys(), values(), items() of a dict */
    TPL_ITERATOR,        /* what filters such as map and select make: it can be gone through once */
    TPL_DICT, TPL_NAMESPACE, TPL_LOOP, TPL_CALLABLE,
    TPL_SELF             /* the template: self.name() prints its block again */
} tpl_kind;

typedef struct tpl_value {
    tpl_kind kind;
    uint8_t  mark; /* of TPL_BOOL, TPL_INT, TPL_FLOAT */
    union {
        bool                  flag;
        int64_t               integer;
        double                number;
        const tpl_str        *str; /* of TPL_UNDEFINED: a sentence that says so, for messages */
        struct tpl_list      *list; /* of TPL_LIST, TPL_TUPLE, TPL_RANGE, TPL_VIEW */
        struct tpl_dict      *dict; /* also of TPL_NAMESPACE */
        struct tpl_iterator  *iterator;
        struct tpl_loop      *loop;
        struct tpl_callable  *callable;
    };
} tpl_value;

typedef enum tpl_form { TPL_PLAIN, TPL_GROUP /* a tuple of groupby */, TPL_KEYS, TPL_VALUES, TPL_ITEMS } tpl_form;

typedef struct tpl_list {
    tpl_value *items;
    size_t     count;
    tpl_form   form;
} tpl_list;

typedef struct tpl_range {
    tpl_list list; /* the first member: a tpl_list of TPL_RANGE is one of these */
    int64_t  start, stop, step;
} tpl_range;

/* Items are made at once; a failure while one was made comes when its turn comes, as in Python. */
typedef struct tpl_iterator {
    tpl_list         list;
    size_t           at;
    const fnd_error *failure; /* behind the last item; NULL: none */
} tpl_iterator;

typedef struct tpl_dict {
    tpl_value *keys, *values;
    size_t     count, capacity;
} tpl_dict;

typedef struct tpl_loop {
    const struct tpl_node *node;
    struct tpl_scope      *scope;  /* around the loop */
    tpl_list               items;  /* for which the condition held, as far as it was asked */
    tpl_list               source; /* all items */
    size_t                 asked;  /* of the source */
    size_t                 index, depth0;
    tpl_value              changed; /* what loop.changed() saw last */
    bool                   has_changed;
} tpl_loop;

typedef enum tpl_op { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW, OP_NEG, OP_POS, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_NOT_IN } tpl_op;

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
    fnd_arena             *arena;
    fnd_error             *err;
    const struct tpl_node *at; /* what is being evaluated, for messages */
    const struct tpl_tree *tree;
    tpl_builder           *out;
    tpl_scope             *scope, *top; /* top: of statements in no block */
    uint64_t               steps;
    unsigned               depth;
    bool                   failed;   /* a builder could not grow */
    bool                   too_long; /* beyond TPL_OUTPUT_LIMIT, and not for want of memory */
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

#define TPL_FUNCTION(id) fnd_status id(tpl_run *r, const tpl_value *self, const tpl_args *args, tpl_value *out)

typedef struct tpl_callable {
    const char            *name;
    tpl_function          *function; /* NULL: a macro */
    tpl_value              self;
    const struct tpl_node *macro;    /* N_MACRO, N_CALL_BLOCK or N_NAMED_BLOCK */
    tpl_scope             *scope;    /* where it was defined */
    size_t                 at;       /* of joiner and cycler: their state */
} tpl_callable;

/* Rows of a table of filters, tests or methods. */
typedef struct tpl_named {
    const char   *name;
    tpl_function *function;
} tpl_named;
tpl_function *fnd_tpl_find_named(const tpl_named *table, size_t count, const char *name, size_t bytes);
bool fnd_tpl_str_is(const tpl_str *s, const char *text);

/* ---- failures (template_failures.c): with line, column and the construct that r->at is ---- */

FND_USE_RESULT fnd_status fnd_tpl_fail(tpl_run *r, fnd_status status, const char *format, ...) FND_PRINTF_(3, 4);
FND_USE_RESULT fnd_status fnd_tpl_no_memory(tpl_run *r);
FND_USE_RESULT fnd_status fnd_tpl_undefined_used(tpl_run *r, const tpl_value *v);
const char *fnd_tpl_kind_name(const tpl_value *v);
/* Counts work; FND_ERR_LIMIT when there was too much of it. */
FND_USE_RESULT fnd_status fnd_tpl_step(tpl_run *r, uint64_t steps);
/* One level deeper, for what calls itself; the caller takes one off r->depth behind it. */
FND_USE_RESULT fnd_status fnd_tpl_deeper(tpl_run *r);

/* ---- making values (template_value.c) ---- */

void fnd_tpl_add(tpl_run *r, tpl_builder *b, const char *data, size_t bytes, const uint8_t *marks, uint8_t mark);
void fnd_tpl_add_str(tpl_run *r, tpl_builder *b, tpl_str s);
void fnd_tpl_add_text(tpl_run *r, tpl_builder *b, const char *text); /* marked as the template's */
void fnd_tpl_add_many(tpl_run *r, tpl_builder *b, tpl_str s, int64_t times);
FND_USE_RESULT fnd_status fnd_tpl_built(tpl_run *r, const tpl_builder *b, bool markup, tpl_value *out); /* as a string */

tpl_str fnd_tpl_slice_str(tpl_str s, size_t start, size_t bytes);
tpl_str fnd_tpl_const_str(const char *text);
/* The character at s[at..], or one byte that is none. */
tpl_str fnd_tpl_char_at(tpl_str s, size_t at);
uint32_t fnd_tpl_code(tpl_str character); /* U+FFFD: a byte that is no character */
uint8_t fnd_tpl_mark_of(tpl_str s);       /* that of a variable if any byte is one's */
size_t fnd_tpl_count_chars(tpl_str s);
/* Byte offset of character `count`, at most s.bytes. */
size_t fnd_tpl_offset(tpl_str s, size_t count);
FND_USE_RESULT fnd_status fnd_tpl_new_str(tpl_run *r, tpl_str s, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_new_list(tpl_run *r, size_t count, tpl_kind kind, tpl_value *out); /* items to be filled */
FND_USE_RESULT fnd_status fnd_tpl_copy_list(tpl_run *r, const tpl_value *items, size_t count, tpl_kind kind, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_new_pair(tpl_run *r, const tpl_value *a, const tpl_value *b, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_new_range(tpl_run *r, int64_t start, int64_t stop, int64_t step, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_new_iterator(tpl_run *r, size_t capacity, tpl_value *out); /* without items */
FND_USE_RESULT fnd_status fnd_tpl_set_failure(tpl_run *r, tpl_iterator *it, const fnd_error *failure);
FND_USE_RESULT fnd_status fnd_tpl_new_dict(tpl_run *r, size_t capacity, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_dict_view(tpl_run *r, const tpl_dict *dict, tpl_form form, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_new_callable(tpl_run *r, const char *name, tpl_function *function, const tpl_value *self, tpl_value *out);
/* The format makes a sentence: "'x' is undefined". */
FND_USE_RESULT fnd_status fnd_tpl_undefined(tpl_run *r, tpl_value *out, const char *format, ...) FND_PRINTF_(3, 4);
tpl_value fnd_tpl_none(void);
tpl_value fnd_tpl_bool(bool b);
tpl_value fnd_tpl_int(int64_t i);
tpl_value fnd_tpl_float(double x);

/* NULL: no such key. */
tpl_value *fnd_tpl_dict_find(const tpl_dict *d, const char *key, size_t bytes);
FND_USE_RESULT fnd_status fnd_tpl_dict_get(tpl_run *r, const tpl_dict *d, const tpl_value *key, tpl_value **out);
FND_USE_RESULT fnd_status fnd_tpl_dict_set(tpl_run *r, tpl_dict *d, const tpl_value *key, const tpl_value *value);

/* ---- printing (template_print.c) ---- */

FND_USE_RESULT fnd_status fnd_tpl_add_value(tpl_run *r, tpl_builder *b, const tpl_value *v); /* str() */
FND_USE_RESULT fnd_status fnd_tpl_add_repr(tpl_run *r, tpl_builder *b, const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_to_str(tpl_run *r, const tpl_value *v, tpl_value *out); /* strings stay as they are */
enum { TPL_FLOAT_TEXT = 40 };
size_t fnd_tpl_print_float(double x, char out[TPL_FLOAT_TEXT]); /* Python's repr */
void fnd_tpl_add_code(tpl_run *r, tpl_builder *b, uint32_t code, uint8_t mark);
void fnd_tpl_add_escaped(tpl_run *r, tpl_builder *b, tpl_str s); /* for HTML; markup stays as it is */

/* ---- comparing (template_compare.c) ---- */

bool fnd_tpl_truth(const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_equal(tpl_run *r, const tpl_value *a, const tpl_value *b, bool *out);
FND_USE_RESULT fnd_status fnd_tpl_order(tpl_run *r, const tpl_value *a, const tpl_value *b, int *out);
FND_USE_RESULT fnd_status fnd_tpl_contains(tpl_run *r, const tpl_value *in, const tpl_value *what, bool *out);
FND_USE_RESULT fnd_status fnd_tpl_compare(tpl_run *r, tpl_op op, const tpl_value *a, const tpl_value *b, bool *out);
/* Can it be the key of a dict? A failure that says so if not. */
bool fnd_tpl_is_hashable(const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_hashable(tpl_run *r, const tpl_value *v);

/* ---- sequences (template_sequence.c) ---- */

/* All items, for iteration; iterators are empty after it. */
FND_USE_RESULT fnd_status fnd_tpl_items(tpl_run *r, const tpl_value *v, tpl_list *out);
FND_USE_RESULT fnd_status fnd_tpl_next(tpl_run *r, const tpl_value *v, tpl_value *out, bool *found);
FND_USE_RESULT fnd_status fnd_tpl_length(tpl_run *r, const tpl_value *v, size_t *out);
/* a[key] as Jinja has it: what is not there is undefined. */
FND_USE_RESULT fnd_status fnd_tpl_get_item(tpl_run *r, const tpl_value *v, const tpl_value *key, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_get_attribute(tpl_run *r, const tpl_value *v, tpl_str name, tpl_value *out);
/* Asks the condition of a loop about items until `count` of them hold (SIZE_MAX: about all). */
FND_USE_RESULT fnd_status fnd_tpl_loop_fill(tpl_run *r, tpl_loop *loop, size_t count);
/* none: left out */
FND_USE_RESULT fnd_status fnd_tpl_slice(tpl_run *r, const tpl_value *v, const tpl_value *start, const tpl_value *stop, const tpl_value *step, tpl_value *out);
/* Where a slice of `count` items starts or stops, clamped as Python does. */
int64_t fnd_tpl_clamp(int64_t at, int64_t count, int64_t step);

/* ---- calculating (template_arithmetic.c, template_format.c) ---- */

bool fnd_tpl_is_number(const tpl_value *v);
int64_t fnd_tpl_as_integer(const tpl_value *v); /* of TPL_BOOL, TPL_INT */
double fnd_tpl_as_double(const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_binary(tpl_run *r, tpl_op op, const tpl_value *a, const tpl_value *b, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_unary(tpl_run *r, tpl_op op, const tpl_value *v, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_too_large(tpl_run *r);
FND_USE_RESULT fnd_status fnd_tpl_percent(tpl_run *r, const tpl_str *format, const tpl_value *values, tpl_value *out); /* "%s" % x */
TPL_FUNCTION(fnd_tpl_str_format);
TPL_FUNCTION(fnd_tpl_str_format_map);

/* ---- what templates can call (template_functions.c); NULL: none of that name ---- */

const tpl_callable *fnd_tpl_find_global(const char *name, size_t bytes);
tpl_function *fnd_tpl_find_method(const tpl_value *self, const char *name, size_t bytes);
tpl_function *fnd_tpl_find_string_method(const char *name, size_t bytes);
tpl_function *fnd_tpl_find_filter(const char *name, size_t bytes);
bool fnd_tpl_has_test(const char *name, size_t bytes);
FND_USE_RESULT fnd_status fnd_tpl_call(tpl_run *r, const tpl_value *callable, const tpl_args *args, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_filter(tpl_run *r, const char *name, size_t name_bytes, const tpl_value *self, const tpl_args *args, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_test(tpl_run *r, const char *name, size_t name_bytes, const tpl_value *self, const tpl_args *args, bool *out);

/* Puts arguments in the places of `names` (NULL-terminated, at most 8); missing ones stay as they are
 * in values. `required` of them must be given. */
FND_USE_RESULT fnd_status fnd_tpl_bind(tpl_run *r, const char *what, const tpl_args *args, const char *const *names, size_t required, tpl_value *values);
FND_USE_RESULT fnd_status fnd_tpl_no_args(tpl_run *r, const char *what, const tpl_args *args);
FND_USE_RESULT fnd_status fnd_tpl_need_str(tpl_run *r, const char *what, const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_need_int(tpl_run *r, const char *what, const tpl_value *v, int64_t *out);

/* ---- filters and methods, by file ---- */

TPL_FUNCTION(fnd_tpl_to_json);
/* template_case.c */
typedef enum tpl_case { TPL_UPPER, TPL_LOWER, TPL_CAPITALIZE, TPL_TITLE, TPL_TITLE_FILTER, TPL_SWAP, TPL_FOLD } tpl_case;
FND_USE_RESULT fnd_status fnd_tpl_change_case(tpl_run *r, const tpl_value *text, tpl_case how, tpl_value *out);
bool fnd_tpl_in_case(tpl_str s, bool upper);
/* template_strings.c */
bool fnd_tpl_is_space(uint32_t code);
tpl_str fnd_tpl_strip(tpl_str s, const tpl_str *set, bool left, bool right);
const char *fnd_tpl_find_first(tpl_str s, tpl_str what); /* NULL: nowhere */
/* Where `what` stands in s for the last time; SIZE_MAX: nowhere. */
FND_USE_RESULT fnd_status fnd_tpl_find_last(tpl_run *r, tpl_str s, tpl_str what, size_t *out);
FND_USE_RESULT fnd_status fnd_tpl_replace(tpl_run *r, const tpl_str *s, const tpl_str *old, const tpl_str *by, int64_t count, tpl_value *out);
FND_USE_RESULT fnd_status fnd_tpl_center(tpl_run *r, const tpl_str *s, int64_t width, tpl_str fill, int align, tpl_value *out); /* align: -1 left, 0, 1 right */
FND_USE_RESULT fnd_status fnd_tpl_split_lines(tpl_run *r, const tpl_str *s, bool keep_ends, tpl_value *out);
/* template_split.c */
TPL_FUNCTION(fnd_tpl_str_split);
TPL_FUNCTION(fnd_tpl_str_rsplit);
TPL_FUNCTION(fnd_tpl_str_splitlines);
TPL_FUNCTION(fnd_tpl_str_partition);
TPL_FUNCTION(fnd_tpl_str_rpartition);
/* template_filters_text.c, template_filters_more.c, template_filters_items.c, template_sort.c, template_numbers.c */
tpl_function *fnd_tpl_find_text_filter(const char *name, size_t bytes);
tpl_function *fnd_tpl_find_layout_filter(const char *name, size_t bytes);
tpl_function *fnd_tpl_find_items_filter(const char *name, size_t bytes);
tpl_function *fnd_tpl_find_order_filter(const char *name, size_t bytes);
tpl_function *fnd_tpl_find_number_filter(const char *name, size_t bytes);
/* The part of an item that a dotted path names; none: the item. */
FND_USE_RESULT fnd_status fnd_tpl_get_path(tpl_run *r, const tpl_value *item, const tpl_value *path, tpl_value *out);

#endif
