/* conditional.c - conditional kernels: the kernel whose range holds what is bound. */
#include "base/base.h"
#include "base/memory.h"
#include "compose/conditional.h"
#include "run/program.h"

struct fnd_conditional {
    foundry *f;
    fnd_ranges ranges;
    fnd_kernel *kernels[FND_MAX_RANGES];
    fnd_conditional *next;
};

void fnd_conditionals_free(fnd_composer *c) {
    while (c->conditionals) {
        fnd_conditional *next = c->conditionals->next;
        fnd_free_memory(c->conditionals);
        c->conditionals = next;
    }
}

static bool same_ranges(const fnd_ranges *a, const fnd_ranges *b) {
    if (a->count != b->count || strcmp(a->dimension, b->dimension) != 0) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->range[i].from != b->range[i].from || a->range[i].to != b->range[i].to || strcmp(a->range[i].kernel, b->range[i].kernel) != 0) return false;
    }
    return true;
}

/* Known by this name? Otherwise *made becomes known. */
static fnd_status keep(fnd_composer *c, fnd_conditional **made, fnd_error *err) {
    fnd_conditional *known = c->conditionals;
    while (known && strcmp(known->ranges.name, (*made)->ranges.name) != 0) known = known->next;
    if (!known) {
        (*made)->next = c->conditionals;
        c->conditionals = *made;
        return FND_OK;
    }
    if (!same_ranges(&known->ranges, &(*made)->ranges)) return fnd_fail(err, FND_ERR_USAGE, "there is already a conditional kernel %s with other ranges", known->ranges.name);
    fnd_free_memory(*made);
    *made = known;
    return FND_OK;
}

static fnd_status find_kernels(foundry *f, fnd_conditional *c, fnd_error *err) {
    for (uint32_t i = 0; i < c->ranges.count; i++) {
        FND_TRY(fnd_kernel_get(f, c->ranges.range[i].kernel, &c->kernels[i], err));
        FND_TRY(fnd_ranges_check_kernel(&c->ranges, &c->kernels[0]->composition, &c->kernels[i]->composition, err));
    }
    return FND_OK;
}

fnd_status fnd_conditional_make(foundry *f, const fnd_conditional_desc *desc, fnd_conditional **out, fnd_error *err) {
    fnd_composer *composer;
    fnd_ranges ranges;
    *out = NULL;
    FND_TRY(fnd_composer_get(f, &composer, err));
    FND_TRY(fnd_ranges_make(desc, &ranges, err));
    fnd_conditional *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for conditional kernel %s", desc->name);
    c->f = f;
    c->ranges = ranges;
    fnd_status status = find_kernels(f, c, err);
    if (status == FND_OK) {
        pthread_mutex_lock(&composer->lock);
        status = keep(composer, &c, err);
        pthread_mutex_unlock(&composer->lock);
    }
    if (status == FND_OK)
        *out = c;
    else
        fnd_free_memory(c);
    return status;
}

/* What is bound as the dimension: all kernels name it alone in some shape. fnd_bind checks the rest. */
static fnd_status choose(const fnd_conditional *c, const fnd_binding *bindings, size_t count, fnd_kernel **out, fnd_error *err) {
    const fnd_composition *k = &c->kernels[0]->composition;
    for (size_t i = 0; i < count; i++) {
        int at = bindings[i].in ? fnd_composition_arg(k, bindings[i].name) : -1;
        if (at < 0 || bindings[i].in->rank != k->args[at].shape.rank) continue;
        for (uint32_t d = 0; d < k->args[at].shape.rank; d++) {
            uint32_t index;
            if (strcmp(k->args[at].shape.dim[d], c->ranges.dimension) != 0) continue;
            FND_TRY(fnd_ranges_find(&c->ranges, bindings[i].in->shape[d], &index, err));
            *out = c->kernels[index];
            return FND_OK;
        }
    }
    return fnd_fail(err, FND_ERR_USAGE, "conditional kernel %s: no tensor is bound that has the dimension %s", c->ranges.name, c->ranges.dimension);
}

fnd_status fnd_run_conditional(foundry *f, fnd_conditional *c, const fnd_binding *bindings, size_t count, fnd_error *err) {
    fnd_kernel *kernel;
    FND_TRY(fnd_context_check(f, err));
    if (c->f != f) return fnd_fail(err, FND_ERR_USAGE, "conditional kernel %s belongs to another context", c->ranges.name);
    FND_TRY(choose(c, bindings, count, &kernel, err));
    return fnd_run(f, kernel, bindings, count, err);
}

fnd_status fnd_program_call_conditional(fnd_program *p, fnd_conditional *c, const fnd_binding *bindings, size_t count, fnd_error *err) {
    fnd_kernel *kernel;
    if (c->f != p->f) return fnd_fail(err, FND_ERR_USAGE, "conditional kernel %s belongs to another context", c->ranges.name);
    FND_TRY(choose(c, bindings, count, &kernel, err));
    return fnd_program_call(p, kernel, bindings, count, err);
}
