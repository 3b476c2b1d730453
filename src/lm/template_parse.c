/* template_parse.c - tokens to a tree of statements. */
#include "base/base.h"
#include "lm/template_tree.h"

#include <stdarg.h>
#include <stdio.h>

static fnd_status parse_body(tpl_parser *p, const char *const *ends, tpl_node **out);

/* ---- tokens ---- */

bool fnd_tpl_token_is(const tpl_token *t, tpl_token_kind kind, const char *text) { return t->kind == kind && t->bytes == strlen(text) && memcmp(t->data, text, t->bytes) == 0; }
bool fnd_tpl_is_op(const tpl_parser *p, const char *op) { return fnd_tpl_token_is(p->at, TK_OP, op); }
bool fnd_tpl_is_name(const tpl_parser *p, const char *name) { return fnd_tpl_token_is(p->at, TK_NAME, name); }

bool fnd_tpl_skip_op(tpl_parser *p, const char *op) {
    bool found = fnd_tpl_is_op(p, op);
    p->at += found;
    return found;
}

bool fnd_tpl_skip_name(tpl_parser *p, const char *name) {
    bool found = fnd_tpl_is_name(p, name);
    p->at += found;
    return found;
}

static const char *describe(const tpl_token *t, char shown[64]) {
    static const char *const kinds[] = { [TK_DATA] = "text", [TK_PRINT_BEGIN] = "{{", [TK_PRINT_END] = "}}", [TK_BLOCK_BEGIN] = "{%", [TK_BLOCK_END] = "%}", [TK_END] = "the end of the template" };
    if (t->kind < FND_COUNT(kinds) && kinds[t->kind]) return kinds[t->kind];
    return fnd_span_quote((fnd_span){ t->data, t->bytes }, shown, 64);
}

fnd_status fnd_tpl_parse_fail(const tpl_parser *p, fnd_status status, uint32_t line, uint32_t column, const char *format, ...) {
    char text[FND_ERROR_TEXT_BYTES - 300], statement[120] = "{{ }}", shown[64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->tag && p->tag->kind == TK_NAME) snprintf(statement, sizeof statement, "the statement \"%s\"", describe(p->tag, shown));
    if (!p->tag || strstr(text, p->tag->kind == TK_NAME ? strchr(statement, '"') : statement)) return fnd_tpl_fail_at(p->err, status, line, column, "%s", text);
    return fnd_tpl_fail_at(p->err, status, line, column, "%s, in %s", text, statement);
}

fnd_status fnd_tpl_expected(tpl_parser *p, const char *what) {
    char shown[64];
    return TPL_PARSE_FAIL(p, "expected %s, found %s", what, describe(p->at, shown));
}

fnd_status fnd_tpl_expect_op(tpl_parser *p, const char *op) {
    char what[16];
    snprintf(what, sizeof what, "\"%s\"", op);
    return fnd_tpl_skip_op(p, op) ? FND_OK : fnd_tpl_expected(p, what);
}

static fnd_status expect_end_of_tag(tpl_parser *p) {
    if (p->at->kind != TK_BLOCK_END) return fnd_tpl_expected(p, "%}");
    p->at++;
    return FND_OK;
}

fnd_status fnd_tpl_enter(tpl_parser *p) {
    if (++p->depth <= TPL_PARSE_DEPTH) return FND_OK;
    return fnd_tpl_parse_fail(p, FND_ERR_LIMIT, p->at->line, p->at->column, "expressions and blocks are nested more than %d deep", TPL_PARSE_DEPTH);
}

fnd_status fnd_tpl_take_name(tpl_parser *p, const char *what, tpl_str *out) {
    if (p->at->kind != TK_NAME) return fnd_tpl_expected(p, what);
    *out = (tpl_str){ .data = p->at->data, .bytes = p->at->bytes };
    p->at++;
    return FND_OK;
}

/* ---- nodes ---- */

static fnd_status no_memory(tpl_parser *p) {
    if (p->arena->limited) return fnd_tpl_parse_fail(p, FND_ERR_LIMIT, p->at->line, p->at->column, "the template needs more than the %zu bytes of memory allowed", p->arena->limit_bytes);
    return fnd_fail(p->err, FND_ERR_MEMORY, "out of memory for a chat template");
}

fnd_status fnd_tpl_new_node(tpl_parser *p, tpl_node_kind kind, const tpl_token *at, tpl_node **out) {
    tpl_node *n = fnd_arena_alloc(p->arena, 1, sizeof *n);
    if (!n) return no_memory(p);
    n->kind = kind;
    n->line = at->line;
    n->column = at->column;
    *out = n;
    return FND_OK;
}

fnd_status fnd_tpl_new_const(tpl_parser *p, const tpl_token *at, tpl_value value, tpl_node **out) {
    FND_TRY(fnd_tpl_new_node(p, N_CONST, at, out));
    (*out)->value = value;
    return FND_OK;
}

fnd_status fnd_tpl_append(tpl_parser *p, tpl_nodes *list, tpl_node *node) {
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

/* ---- if, for ---- */

/* At the `{%` of an end tag that parse_body stopped at: takes `{% name %}`. */
static fnd_status take_end(tpl_parser *p) {
    p->at += 2;
    return expect_end_of_tag(p);
}

/* The items are the branches: a its condition (NULL: else), b its body. */
static fnd_status parse_if(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_IF, p->at, out));
    bool last = false;
    for (;;) {
        tpl_node *branch;
        FND_TRY(fnd_tpl_new_node(p, N_IF, p->at, &branch));
        p->at++; /* if, elif, else */
        if (!last) FND_TRY(fnd_tpl_parse_tuple(p, false, &branch->a));
        FND_TRY(expect_end_of_tag(p));
        FND_TRY(parse_body(p, last ? ends + 2 : ends, &branch->b));
        FND_TRY(fnd_tpl_append(p, &(*out)->items, branch));
        p->at++;
        if (fnd_tpl_is_name(p, "endif")) break;
        last = fnd_tpl_is_name(p, "else");
    }
    p->at++;
    return expect_end_of_tag(p);
}

static bool holds_name(const tpl_node *target, const char *name) {
    if (target->kind == N_NAME) return fnd_tpl_str_is(&target->name, name);
    for (size_t i = 0; i < target->items.count; i++) {
        if (holds_name(target->items.items[i], name)) return true;
    }
    return false;
}

/* a target, b what is iterated, c the filter condition, d the body; the else branch is items[0]. */
static fnd_status parse_for(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "else", "endfor", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_FOR, p->at++, out));
    tpl_node *n = *out;
    FND_TRY(fnd_tpl_parse_target(p, false, &n->a));
    if (holds_name(n->a, "loop")) return TPL_PARSE_FAIL(p, "the variable of a for loop cannot be called loop");
    if (!fnd_tpl_skip_name(p, "in")) return fnd_tpl_expected(p, "\"in\"");
    FND_TRY(fnd_tpl_parse_tuple(p, false, &n->b));
    if (fnd_tpl_skip_name(p, "if")) FND_TRY(fnd_tpl_parse_expression(p, &n->c));
    if (fnd_tpl_skip_name(p, "recursive")) n->flags |= TPL_RECURSIVE;
    FND_TRY(expect_end_of_tag(p));
    p->loops++;
    FND_TRY(parse_body(p, ends, &n->d));
    p->loops--;
    if (fnd_tpl_token_is(p->at + 1, TK_NAME, "else")) {
        FND_TRY(take_end(p));
        tpl_node *otherwise;
        FND_TRY(parse_body(p, ends + 1, &otherwise));
        FND_TRY(fnd_tpl_append(p, &n->items, otherwise));
    }
    return take_end(p);
}

static fnd_status parse_jump(tpl_parser *p, tpl_node **out) {
    if (!p->loops) return TPL_PARSE_FAIL(p, "%s outside of a loop", fnd_tpl_is_name(p, "break") ? "break" : "continue");
    FND_TRY(fnd_tpl_new_node(p, fnd_tpl_is_name(p, "break") ? N_BREAK : N_CONTINUE, p->at, out));
    p->at++;
    return expect_end_of_tag(p);
}

/* ---- set, filter, with ---- */

/* {% set a = b %}, or {% set a | filter %}b{% endset %}: the filters (b) work on an empty N_CONST
 * that stands for the rendered body (c). */
static fnd_status parse_set(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "endset", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_SET, p->at++, out));
    tpl_node *n = *out;
    FND_TRY(fnd_tpl_parse_target(p, true, &n->a));
    if (p->loops && holds_name(n->a, "loop")) return TPL_PARSE_FAIL(p, "loop cannot be set within a for loop");
    if (fnd_tpl_skip_op(p, "=")) {
        FND_TRY(fnd_tpl_parse_tuple(p, true, &n->b));
        return expect_end_of_tag(p);
    }
    n->kind = N_SET_BLOCK;
    FND_TRY(fnd_tpl_new_const(p, p->at, (tpl_value){ .kind = TPL_NONE }, &n->d));
    n->b = n->d;
    if (fnd_tpl_skip_op(p, "|")) FND_TRY(fnd_tpl_parse_filters(p, n->b, &n->b));
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &n->c));
    return take_end(p);
}

/* {% filter f | g %}: like a block of set, but printed. */
static fnd_status parse_filter_block(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "endfilter", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_FILTER_BLOCK, p->at++, out));
    tpl_node *n = *out;
    FND_TRY(fnd_tpl_new_const(p, p->at, (tpl_value){ .kind = TPL_NONE }, &n->d));
    FND_TRY(fnd_tpl_parse_filters(p, n->d, &n->b));
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &n->c));
    return take_end(p);
}

/* named: what is set (b its target, a the value); d the body. */
static fnd_status parse_with(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "endwith", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_WITH, p->at++, out));
    while (p->at->kind != TK_BLOCK_END) {
        tpl_node *one;
        if ((*out)->named.count) FND_TRY(fnd_tpl_expect_op(p, ","));
        FND_TRY(fnd_tpl_new_node(p, N_TUPLE, p->at, &one));
        FND_TRY(fnd_tpl_parse_target(p, false, &one->b));
        FND_TRY(fnd_tpl_expect_op(p, "="));
        FND_TRY(fnd_tpl_parse_expression(p, &one->a));
        FND_TRY(fnd_tpl_append(p, &(*out)->named, one));
    }
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &(*out)->d));
    return take_end(p);
}

/* {% autoescape false %} changes nothing. */
static fnd_status parse_autoescape(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "endautoescape", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_WITH, p->at++, out));
    if (!fnd_tpl_skip_name(p, "false") && !fnd_tpl_skip_name(p, "False")) return TPL_PARSE_FAIL(p, "the statement \"autoescape\" is supported with false only: a prompt is no HTML");
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &(*out)->d));
    return take_end(p);
}

/* ---- macro, call, generation, block ---- */

/* As fnd_tpl_take_name, but true, None and their kind are values and name nothing else. */
static fnd_status take_new_name(tpl_parser *p, const char *what, tpl_str *out) {
    static const char *const values[] = { "true", "True", "false", "False", "none", "None" };
    const tpl_token *t = p->at;
    FND_TRY(fnd_tpl_take_name(p, what, out));
    for (size_t i = 0; i < FND_COUNT(values); i++) {
        if (fnd_tpl_str_is(out, values[i])) return fnd_tpl_parse_fail(p, FND_ERR_FORMAT, t->line, t->column, "%s cannot be %s, which is a value", what, values[i]);
    }
    return FND_OK;
}

/* named: the parameters, with their defaults (a, may be NULL). */
static fnd_status parse_parameters(tpl_parser *p, tpl_node *n) {
    FND_TRY(fnd_tpl_expect_op(p, "("));
    while (!fnd_tpl_is_op(p, ")")) {
        tpl_node *parameter;
        if (n->named.count) FND_TRY(fnd_tpl_expect_op(p, ","));
        if (n->named.count == TPL_NAMES_LIMIT) return fnd_tpl_parse_fail(p, FND_ERR_LIMIT, p->at->line, p->at->column, "a macro has more than %d parameters", TPL_NAMES_LIMIT);
        FND_TRY(fnd_tpl_new_node(p, N_NAME, p->at, &parameter));
        FND_TRY(take_new_name(p, "the name of a parameter", &parameter->name));
        for (size_t i = 0; i < n->named.count; i++) {
            const tpl_str *other = &n->named.items[i]->name;
            if (other->bytes == parameter->name.bytes && memcmp(other->data, parameter->name.data, other->bytes) == 0) return TPL_PARSE_FAIL(p, "two parameters have one name");
        }
        if (fnd_tpl_skip_op(p, "=")) {
            FND_TRY(fnd_tpl_parse_expression(p, &parameter->a));
        } else if (n->named.count && n->named.items[n->named.count - 1]->a) {
            return TPL_PARSE_FAIL(p, "a parameter without a default follows one with a default");
        }
        FND_TRY(fnd_tpl_append(p, &n->named, parameter));
    }
    return fnd_tpl_expect_op(p, ")");
}

/* A body that runs when it is called: loops outside are not its own, and which of the names caller,
 * kwargs and varargs it reads decides what it can be called with. */
static fnd_status parse_called_body(tpl_parser *p, const char *const *ends, tpl_node *n) {
    unsigned loops = p->loops, uses = p->uses;
    p->loops = p->uses = 0;
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &n->d));
    n->flags = p->uses;
    p->loops = loops;
    p->uses |= uses;
    for (size_t i = 0; i < n->named.count; i++) {
        const tpl_node *parameter = n->named.items[i];
        bool caller = fnd_tpl_str_is(&parameter->name, "caller");
        if (caller && n->flags & TPL_USES_CALLER && !parameter->a) return fnd_tpl_parse_fail(p, FND_ERR_FORMAT, n->line, n->column, "the parameter \"caller\" must have a default or be left out");
        if (fnd_tpl_str_is(&parameter->name, "kwargs")) n->flags &= ~(unsigned)TPL_USES_KWARGS;
        if (fnd_tpl_str_is(&parameter->name, "varargs")) n->flags &= ~(unsigned)TPL_USES_VARARGS;
    }
    return take_end(p);
}

/* name, named: parameters, d body. */
static fnd_status parse_macro(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "endmacro", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_MACRO, p->at++, out));
    FND_TRY(take_new_name(p, "the name of the macro", &(*out)->name));
    FND_TRY(parse_parameters(p, *out));
    return parse_called_body(p, ends, *out);
}

/* {% call(x) f(y) %}: a the call, named the parameters of caller, d its body. */
static fnd_status parse_call_block(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "endcall", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_CALL_BLOCK, p->at++, out));
    (*out)->name = fnd_tpl_const_str("caller");
    if (fnd_tpl_is_op(p, "(")) FND_TRY(parse_parameters(p, *out));
    FND_TRY(fnd_tpl_parse_expression(p, &(*out)->a));
    if ((*out)->a->kind != N_CALL) return TPL_PARSE_FAIL(p, "expected a call in this call block");
    return parse_called_body(p, ends, *out);
}

/* {% generation %} marks what an assistant wrote, for training; here it is a call of its body (a is NULL). */
static fnd_status parse_generation(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "endgeneration", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_CALL_BLOCK, p->at++, out));
    (*out)->name = fnd_tpl_const_str("caller");
    return parse_called_body(p, ends, *out);
}

/* {% block name scoped required %}: no other template replaces it, so it is printed where it stands. */
static fnd_status parse_block(tpl_parser *p, tpl_node **out) {
    static const char *const ends[] = { "endblock", NULL };
    FND_TRY(fnd_tpl_new_node(p, N_NAMED_BLOCK, p->at++, out));
    tpl_node *n = *out;
    FND_TRY(fnd_tpl_take_name(p, "the name of the block", &n->name));
    for (size_t i = 0; i < p->blocks.count; i++) {
        const tpl_str *other = &p->blocks.items[i]->name;
        if (other->bytes == n->name.bytes && memcmp(other->data, n->name.data, other->bytes) == 0) return TPL_PARSE_FAIL(p, "the block '%.*s' is there twice", (int)n->name.bytes, n->name.data);
    }
    if (p->blocks.count == TPL_NAMES_LIMIT) return fnd_tpl_parse_fail(p, FND_ERR_LIMIT, n->line, n->column, "the template has more than %d blocks", TPL_NAMES_LIMIT);
    FND_TRY(fnd_tpl_append(p, &p->blocks, n));
    if (fnd_tpl_skip_name(p, "scoped")) n->flags |= TPL_SCOPED;
    if (fnd_tpl_skip_name(p, "required")) n->flags |= TPL_REQUIRED;
    unsigned loops = p->loops, uses = p->uses;
    p->loops = 0;
    FND_TRY(expect_end_of_tag(p));
    FND_TRY(parse_body(p, ends, &n->d));
    p->loops = loops;
    p->uses = uses; /* its names are its own */
    p->at += 2;
    if (p->at->kind == TK_NAME && p->at->bytes == n->name.bytes && memcmp(p->at->data, n->name.data, n->name.bytes) == 0) p->at++;
    return expect_end_of_tag(p);
}

/* ---- other statements ---- */

/* include, import, from, extends need other templates: an error, but only when they run. */
static fnd_status parse_loader(tpl_parser *p, tpl_node **out) {
    FND_TRY(fnd_tpl_new_node(p, N_LOADER, p->at, out));
    FND_TRY(fnd_tpl_take_name(p, "a statement", &(*out)->name));
    FND_TRY(fnd_tpl_parse_expression(p, &(*out)->a));
    while (p->at->kind == TK_NAME || fnd_tpl_is_op(p, ",")) p->at++;
    return expect_end_of_tag(p);
}

static fnd_status parse_print_statement(tpl_parser *p, tpl_node **out) {
    FND_TRY(fnd_tpl_new_node(p, N_BLOCK, p->at++, out));
    while (p->at->kind != TK_BLOCK_END) {
        tpl_node *one;
        if ((*out)->items.count) FND_TRY(fnd_tpl_expect_op(p, ","));
        FND_TRY(fnd_tpl_new_node(p, N_PRINT, p->at, &one));
        FND_TRY(fnd_tpl_parse_expression(p, &one->a));
        FND_TRY(fnd_tpl_append(p, &(*out)->items, one));
    }
    return expect_end_of_tag(p);
}

/* Behind `{%`. */
static fnd_status parse_statement(tpl_parser *p, tpl_node **out) {
    static const struct {
        const char *name;
        fnd_status (*parse)(tpl_parser *p, tpl_node **out);
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
        { "block", parse_block },
        { "print", parse_print_statement },
        { "autoescape", parse_autoescape },
        { "include", parse_loader },
        { "import", parse_loader },
        { "from", parse_loader },
        { "extends", parse_loader },
    };
    const tpl_token *outer = p->tag;
    p->tag = p->at;
    for (size_t i = 0; i < FND_COUNT(statements); i++) {
        if (!fnd_tpl_is_name(p, statements[i].name)) continue;
        FND_TRY(statements[i].parse(p, out));
        p->tag = outer;
        return FND_OK;
    }
    char shown[64];
    if (p->at->kind != TK_NAME) return fnd_tpl_expected(p, "the name of a statement");
    return TPL_PARSE_FAIL(p, "the statement \"%s\" is not known here", describe(p->at, shown));
}

static bool at_end_tag(const tpl_parser *p, const char *const *ends) {
    for (; ends && *ends; ends++) {
        if (fnd_tpl_token_is(p->at + 1, TK_NAME, *ends)) return true;
    }
    return false;
}

static fnd_status parse_print(tpl_parser *p, tpl_node **out) {
    const tpl_token *outer = p->tag;
    p->tag = p->at;
    FND_TRY(fnd_tpl_new_node(p, N_PRINT, p->at++, out));
    FND_TRY(fnd_tpl_parse_tuple(p, true, &(*out)->a));
    if (p->at->kind != TK_PRINT_END) return fnd_tpl_expected(p, "}}");
    p->at++;
    p->tag = outer;
    return FND_OK;
}

/* Statements up to the `{%` of one of the end tags; without ends up to the end of the template. */
static fnd_status parse_body(tpl_parser *p, const char *const *ends, tpl_node **out) {
    FND_TRY(fnd_tpl_enter(p));
    FND_TRY(fnd_tpl_new_node(p, N_BLOCK, p->at, out));
    for (;;) {
        tpl_node *statement;
        if (p->at->kind == TK_END) {
            if (ends) return TPL_PARSE_FAIL(p, "the template ends before %s", ends[1] ? ends[2] ? ends[2] : ends[1] : ends[0]);
            break;
        }
        if (p->at->kind == TK_DATA) {
            FND_TRY(fnd_tpl_new_node(p, N_TEXT, p->at, &statement));
            statement->name = (tpl_str){ .data = p->at->data, .bytes = p->at->bytes };
            p->at++;
        } else if (p->at->kind == TK_PRINT_BEGIN) {
            FND_TRY(parse_print(p, &statement));
        } else {
            if (at_end_tag(p, ends)) break;
            p->at++;
            FND_TRY(parse_statement(p, &statement));
        }
        FND_TRY(fnd_tpl_append(p, &(*out)->items, statement));
    }
    p->depth--;
    return FND_OK;
}

fnd_status fnd_tpl_parse(const char *text, size_t bytes, tpl_tree *out, fnd_error *err) {
    tpl_tokens tokens = { 0 };
    *out = (tpl_tree){ .arena = { .limit_bytes = TPL_MEMORY_LIMIT } };
    tpl_parser p = { .arena = &out->arena, .err = err };
    fnd_status status = fnd_tpl_lex(text, bytes, &out->arena, &tokens, err);
    if (status == FND_OK) {
        p.at = tokens.items;
        status = parse_body(&p, NULL, &out->body);
    }
    out->blocks = p.blocks;
    if (status == FND_OK) status = fnd_tpl_check_names(out->body, err);
    if (status != FND_OK) fnd_tpl_tree_free(out);
    return status;
}

void fnd_tpl_tree_free(tpl_tree *tree) {
    fnd_arena_free(&tree->arena);
    tree->body = NULL;
    tree->blocks = (tpl_nodes){ .count = 0 };
}
