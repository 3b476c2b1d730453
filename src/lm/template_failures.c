/* template_failures.c - what goes wrong while a template is rendered: where, and in which construct. */
#include "base/base.h"
#include "lm/template_tree.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- constructs by their names ---- */

static const char *operator_text(const tpl_node *n) {
    static const char *const texts[] = { [OP_ADD] = "+", [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/", [OP_FLOORDIV] = "//", [OP_MOD] = "%", [OP_POW] = "**", [OP_NEG] = "-", [OP_POS] = "+", [OP_EQ] = "==", [OP_NE] = "!=", [OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">=", [OP_IN] = "in", [OP_NOT_IN] = "not in" };
    switch (n->kind) {
    case N_CONCAT:
        return "~";
    case N_AND:
        return "and";
    case N_OR:
        return "or";
    case N_NOT:
        return "not";
    default:
        return texts[n->op];
    }
}

/* NULL: no statement. */
static const char *statement_name(const tpl_node *n) {
    static const char *const names[] = { [N_IF] = "if", [N_FOR] = "for", [N_SET] = "set", [N_SET_BLOCK] = "set", [N_MACRO] = "macro", [N_CALL_BLOCK] = "call", [N_FILTER_BLOCK] = "filter", [N_WITH] = "with", [N_BLOCK] = "print", [N_NAMED_BLOCK] = "block", [N_BREAK] = "break", [N_CONTINUE] = "continue" };
    if (n->kind == N_CALL_BLOCK && !n->a) return "generation";
    return n->kind < FND_COUNT(names) ? names[n->kind] : NULL;
}

/* Names in a template are at most so long in a message. */
#define NAME(s) (int)fnd_min_size((s).bytes, 100), (s).data

/* A construct as messages call it; *key: the part of it that a message holds which names it already. */
static void name_construct(const tpl_node *n, char *out, size_t room, const char **key) {
    static const char *const others[] = { [N_CONST] = "this value", [N_LIST] = "this list", [N_TUPLE] = "this tuple", [N_DICT] = "this dict", [N_ITEM] = "the index in [ ]", [N_SLICE] = "this slice", [N_CALL] = "this call", [N_COND] = "this inline if", [N_TEXT] = "the text between tags", [N_PRINT] = "{{ }}" };
    const char *statement = statement_name(n);
    size_t skip = 0; /* of what stands before the key */
    switch (n->kind) {
    case N_FILTER:
    case N_TEST:
        snprintf(out, room, "the %s \"%.*s\"", n->kind == N_FILTER ? "filter" : "test", NAME(n->name));
        skip = n->kind == N_FILTER ? strlen("the filter ") : strlen("the test ");
        break;
    case N_NAME:
    case N_ATTR:
        snprintf(out, room, "the %s '%.*s'", n->kind == N_NAME ? "name" : "attribute", NAME(n->name));
        skip = n->kind == N_NAME ? strlen("the name ") : strlen("the attribute ");
        break;
    case N_UNARY:
    case N_BINARY:
    case N_COMPARE:
    case N_AND:
    case N_OR:
    case N_NOT:
    case N_CONCAT:
        snprintf(out, room, "the operator %s", operator_text(n));
        skip = strlen("the ");
        break;
    case N_LOADER:
        snprintf(out, room, "the statement \"%.*s\"", NAME(n->name));
        skip = strlen("the statement ");
        break;
    default:
        if (n->kind == N_CALL && (n->a->kind == N_NAME || n->a->kind == N_ATTR)) {
            snprintf(out, room, "the call of %.*s()", NAME(n->a->name));
            skip = strlen("the call of ");
        } else {
            snprintf(out, room, statement ? "the statement \"%s\"" : "%s", statement ? statement : others[n->kind]);
        }
    }
    *key = out + skip;
}

/* ---- failures ---- */

fnd_status fnd_tpl_fail(tpl_run *r, fnd_status status, const char *format, ...) {
    char text[FND_ERROR_TEXT_BYTES - 300], construct[160]; /* there is room for the place */
    const char *key;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!r->at) return fnd_fail(r->err, status, "the variables of the chat template: %s", text);
    name_construct(r->at, construct, sizeof construct, &key);
    if (strstr(text, key)) return fnd_tpl_fail_at(r->err, status, r->at->line, r->at->column, "%s", text);
    return fnd_tpl_fail_at(r->err, status, r->at->line, r->at->column, "%s, in %s", text, construct);
}

fnd_status fnd_tpl_no_memory(tpl_run *r) {
    if (r->too_long) return fnd_tpl_fail(r, FND_ERR_LIMIT, "a text gets longer than the %d bytes allowed", TPL_OUTPUT_LIMIT);
    if (r->arena->limited) return fnd_tpl_fail(r, FND_ERR_LIMIT, "more than the %zu bytes of memory allowed are needed", r->arena->limit_bytes);
    return fnd_fail(r->err, FND_ERR_MEMORY, "out of memory while rendering a chat template");
}

fnd_status fnd_tpl_step(tpl_run *r, uint64_t steps) {
    r->steps += steps;
    if (r->steps <= TPL_STEP_LIMIT) return FND_OK;
    return fnd_tpl_fail(r, FND_ERR_LIMIT, "the template takes more than the %d steps allowed", TPL_STEP_LIMIT);
}

fnd_status fnd_tpl_deeper(tpl_run *r) {
    if (++r->depth <= TPL_RUN_DEPTH) return fnd_tpl_step(r, 1);
    return fnd_tpl_fail(r, FND_ERR_LIMIT, "this is nested more than %d deep", TPL_RUN_DEPTH);
}

const char *fnd_tpl_kind_name(const tpl_value *v) {
    static const char *const names[] = { "an undefined value", "none", "a boolean", "an integer", "a float", "a string", "a list", "a tuple", "a range", "a view of a dict", "an iterator", "a dict", "a namespace", "a loop", "a function", "the template" };
    return names[v->kind];
}

fnd_status fnd_tpl_undefined_used(tpl_run *r, const tpl_value *v) { return fnd_tpl_fail(r, FND_ERR_FORMAT, "%.*s", (int)v->str->bytes, v->str->data); }
