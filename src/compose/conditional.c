/* conditional.c - checking tables of kernels and ranges. */
#include "compose/conditional.h"
#include "base/base.h"

#include <stdio.h>

/* "project_many (2 and more)" */
static const char *range_text(const fnd_range *r, char *text, size_t bytes) {
    if (r->to == UINT32_MAX)
        snprintf(text, bytes, "%s (%u and more)", r->kernel, r->from);
    else if (r->from == r->to)
        snprintf(text, bytes, "%s (%u)", r->kernel, r->from);
    else
        snprintf(text, bytes, "%s (%u to %u)", r->kernel, r->from, r->to);
    return text;
}

static fnd_status copy_name(const char *from, const char *what, char to[FND_NAME_BYTES], fnd_error *err) {
    if (!from || !fnd_expr_is_name(from) || strlen(from) >= FND_NAME_BYTES) {
        return fnd_fail(err, FND_ERR_COMPOSE, "a conditional kernel needs %s of letters, digits and _, at most %d of them, not \"%s\"", what, FND_NAME_BYTES - 1, from ? from : "");
    }
    snprintf(to, FND_NAME_BYTES, "%s", from);
    return FND_OK;
}

/* Put a range into its place by where it begins. */
static void insert(fnd_ranges *r, const fnd_range *range) {
    uint32_t at = r->count++;
    for (; at > 0 && r->range[at - 1].from > range->from; at--) r->range[at] = r->range[at - 1];
    r->range[at] = *range;
}

static fnd_status check_neighbours(const fnd_ranges *r, fnd_error *err) {
    char a[96], b[96];
    for (uint32_t i = 1; i < r->count; i++) {
        const fnd_range *before = &r->range[i - 1], *range = &r->range[i];
        range_text(before, a, sizeof a);
        range_text(range, b, sizeof b);
        if (before->to >= range->from) return fnd_fail(err, FND_ERR_COMPOSE, "conditional kernel %s: the ranges of %s for %s and %s overlap", r->name, r->dimension, a, b);
        if (before->to + 1 < range->from) {
            return fnd_fail(err, FND_ERR_COMPOSE, "conditional kernel %s: between %s and %s there is a gap: %s = %u has no kernel", r->name, a, b, r->dimension, before->to + 1);
        }
    }
    return FND_OK;
}

fnd_status fnd_ranges_make(const fnd_conditional_desc *desc, fnd_ranges *r, fnd_error *err) {
    *r = (fnd_ranges){ .count = 0 };
    FND_TRY(copy_name(desc->name, "a name", r->name, err));
    FND_TRY(copy_name(desc->dimension, "the name of a dimension", r->dimension, err));
    for (uint32_t i = 0; i < FND_MAX_RANGES && desc->ranges[i].kernel; i++) {
        fnd_range range = { .from = desc->ranges[i].from, .to = desc->ranges[i].to };
        FND_TRY(copy_name(desc->ranges[i].kernel, "kernels with names", range.kernel, err));
        if (range.from > range.to) {
            return fnd_fail(err, FND_ERR_COMPOSE, "conditional kernel %s: the range of %s for %s begins at %u and ends at %u", r->name, r->dimension, range.kernel, range.from, range.to);
        }
        insert(r, &range);
    }
    if (r->count == 0) return fnd_fail(err, FND_ERR_COMPOSE, "conditional kernel %s has no ranges", r->name);
    return check_neighbours(r, err);
}

fnd_status fnd_ranges_find(const fnd_ranges *r, uint64_t value, uint32_t *index, fnd_error *err) {
    for (*index = 0; *index < r->count; ++*index) {
        if (value >= r->range[*index].from && value <= r->range[*index].to) return FND_OK;
    }
    return fnd_fail(err, FND_ERR_SHAPE, "conditional kernel %s: %s = %llu is bound, but its kernels are for %u to %u", r->name, r->dimension, (unsigned long long)value, r->range[0].from,
                    r->range[r->count - 1].to);
}

static bool has_dimension(const fnd_composition *k, const char *dimension) {
    for (uint32_t i = 0; i < k->arg_count; i++) {
        for (uint32_t d = 0; fnd_arg_is_tensor(&k->args[i]) && d < k->args[i].shape.rank; d++) {
            if (strcmp(k->args[i].shape.dim[d], dimension) == 0) return true;
        }
    }
    return false;
}

/* The arguments of a are arguments of b, of the same kind and type. */
static fnd_status check_args(const fnd_ranges *r, const fnd_composition *a, const fnd_composition *b, fnd_error *err) {
    for (uint32_t i = 0; i < a->arg_count; i++) {
        const fnd_arg *arg = &a->args[i];
        if (arg->kind == FND_ARG_GROUP) continue;
        int at = fnd_composition_arg(b, arg->name);
        if (at < 0) return fnd_fail(err, FND_ERR_COMPOSE, "conditional kernel %s: %s has argument %s, but %s has not", r->name, a->name, arg->name, b->name);
        const fnd_arg *other = &b->args[at];
        if (other->kind == arg->kind && strcmp(other->type, arg->type) == 0) continue;
        return fnd_fail(err, FND_ERR_COMPOSE, "conditional kernel %s: argument %s is %s %s of %s, but %s %s of %s", r->name, arg->name, fnd_arg_kind_name(arg->kind), arg->type, a->name,
                        fnd_arg_kind_name(other->kind), other->type, b->name);
    }
    return FND_OK;
}

fnd_status fnd_ranges_check_kernel(const fnd_ranges *r, const fnd_composition *first, const fnd_composition *other, fnd_error *err) {
    if (!has_dimension(other, r->dimension)) return fnd_fail(err, FND_ERR_COMPOSE, "conditional kernel %s: no argument of %s has the dimension %s alone", r->name, other->name, r->dimension);
    FND_TRY(check_args(r, first, other, err));
    return check_args(r, other, first, err);
}
