/* template_check.c - filters and tests that are not known are found before anything is rendered, as Jinja
 * finds them: not in the branches of a condition, which a template may guard. */
#include "base/base.h"
#include "lm/template_tree.h"

typedef struct checker {
    fnd_error *err;
    unsigned depth;
} checker;

static fnd_status check(checker *c, const tpl_node *n, bool in_branch);

static fnd_status check_list(checker *c, const tpl_nodes *list, bool in_branch) {
    for (size_t i = 0; i < list->count; i++) FND_TRY(check(c, list->items[i], in_branch));
    return FND_OK;
}

static fnd_status check_name(checker *c, const tpl_node *n) {
    bool filter = n->kind == N_FILTER;
    bool known = filter ? fnd_tpl_find_filter(n->name.data, n->name.bytes) != NULL : fnd_tpl_has_test(n->name.data, n->name.bytes);
    if (known) return FND_OK;
    return fnd_tpl_fail_at(c->err, FND_ERR_UNSUPPORTED, n->line, n->column, "the %s \"%.*s\" is not known here", filter ? "filter" : "test", (int)fnd_min_size(n->name.bytes, 100), n->name.data);
}

static fnd_status check_node(checker *c, const tpl_node *n, bool in_branch) {
    bool outside = in_branch;
    switch (n->kind) {
    case N_FILTER:
    case N_TEST:
        if (!in_branch) FND_TRY(check_name(c, n));
        break;
    case N_IF:
    case N_COND:
        in_branch = outside = true;
        break;
    case N_FOR:
    case N_MACRO:
    case N_CALL_BLOCK:
    case N_SET_BLOCK:
    case N_FILTER_BLOCK:
    case N_WITH:
    case N_NAMED_BLOCK:
        in_branch = false; /* a body begins anew; what it goes through or calls belongs to the outside */
        break;
    default:
        break;
    }
    if (n->a) FND_TRY(check(c, n->a, outside));
    if (n->b) FND_TRY(check(c, n->b, n->kind == N_FOR ? outside : in_branch));
    if (n->c) FND_TRY(check(c, n->c, in_branch));
    if (n->d) FND_TRY(check(c, n->d, in_branch));
    FND_TRY(check_list(c, &n->named, n->kind == N_WITH ? outside : in_branch));
    return check_list(c, &n->items, in_branch);
}

/* What is nested deeper than can run is not looked at. */
static fnd_status check(checker *c, const tpl_node *n, bool in_branch) {
    if (c->depth >= TPL_RUN_DEPTH) return FND_OK;
    c->depth++;
    fnd_status status = check_node(c, n, in_branch);
    c->depth--;
    return status;
}

fnd_status fnd_tpl_check_names(const tpl_node *body, fnd_error *err) { return check(&(checker){ .err = err }, body, false); }
