/* program_plan.c - what a program's calls have to do with each other: barriers from reads and writes,
 * and which calls are the same code. */
#include "run/program.h"
#include "base/base.h"
#include "base/memory.h"
#include "run/baked.h"

#include <stdio.h>

int fnd_program_variable(const fnd_program *p, const char *name) {
    for (uint32_t i = 0; i < p->variable_count; i++) {
        if (strcmp(p->variables[i].name, name) == 0) return (int)i;
    }
    return -1;
}

/* ---- barriers ---- */

static bool writes(const fnd_composition *c, uint32_t arg) { return c->args[arg].kind == FND_ARG_OUT || c->args[arg].kind == FND_ARG_INOUT; }

static bool overlap(const fnd_tensor *a, const fnd_tensor *b) {
    if (a->storage != b->storage || a->generation != b->generation) return false;
    return a->offset_bytes < b->offset_bytes + fnd_tensor_extent_bytes(b) && b->offset_bytes < a->offset_bytes + fnd_tensor_extent_bytes(a);
}

bool fnd_calls_depend(const fnd_call *a, const fnd_call *b) {
    const fnd_composition *ca = &a->bound.kernel->composition, *cb = &b->bound.kernel->composition;
    for (uint32_t i = 0; i < ca->arg_count; i++) {
        for (uint32_t k = 0; fnd_arg_is_tensor(&ca->args[i]) && k < cb->arg_count; k++) {
            if (!fnd_arg_is_tensor(&cb->args[k]) || (!writes(ca, i) && !writes(cb, k))) continue;
            if (overlap(&a->bound.tensors[i], &b->bound.tensors[k])) return true;
        }
    }
    return false;
}

/* The n-th call of its layer, or of the calls before or behind the layers. */
static uint32_t place_in_layer(const fnd_program *p, uint32_t call) {
    uint32_t place = 0;
    while (call > place && p->calls[call - place - 1].layer == p->calls[call].layer) place++;
    return place;
}

/* Layers share their text, so a barrier in one is a barrier in all that are alike. */
static bool alike_needs_barrier(const fnd_program *p, uint32_t call) {
    uint32_t place = place_in_layer(p, call);
    for (uint32_t i = 0; i < p->call_count; i++) {
        if (p->calls[i].layer >= 0 && p->calls[i].barrier && place_in_layer(p, i) == place) return true;
    }
    return false;
}

void fnd_program_derive_barriers(fnd_program *p) {
    uint32_t since = 0; /* first call behind the last barrier */
    for (uint32_t i = 0; i < p->call_count; i++) {
        bool needed = false;
        for (uint32_t k = since; k < i && !needed; k++) needed = fnd_calls_depend(&p->calls[k], &p->calls[i]);
        p->calls[i].barrier = needed;
        if (needed) since = i;
    }
    for (uint32_t i = 0; i < p->call_count; i++) {
        if (p->calls[i].layer >= 0 && !p->calls[i].barrier) p->calls[i].barrier = alike_needs_barrier(p, i);
        if (i == 0) p->calls[i].barrier = false;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->call_count; i++) {
        if (!p->calls[i].barrier) continue;
        p->calls[i].barrier = ++n != p->drop_barrier;
    }
    p->barriers = n;
}

/* ---- folding ---- */

static void fold(const fnd_program *p, const fnd_bound *b, fnd_variant *v) {
    const fnd_composition *c = v->kernel;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        if (c->args[i].kind != FND_ARG_VAL || fnd_program_variable(p, c->args[i].name) >= 0) continue;
        v->arg_folded[i] = true;
        v->arg_bits[i] = b->numbers->bits[i];
    }
    for (uint32_t i = 0; i < c->dims.count; i++) {
        if (fnd_program_variable(p, c->dims.name[i]) >= 0) continue;
        v->dim_folded[i] = true;
        v->dim_value[i] = b->numbers->dims.value[i];
    }
}

static bool same_variant(const fnd_variant *a, const fnd_variant *b) {
    return a->kernel == b->kernel && a->tokens == b->tokens && a->file_rows == b->file_rows && memcmp(a->formats, b->formats, sizeof a->formats) == 0 && memcmp(a->arg_folded, b->arg_folded, sizeof a->arg_folded) == 0 &&
           memcmp(a->arg_bits, b->arg_bits, sizeof a->arg_bits) == 0 && memcmp(a->dim_folded, b->dim_folded, sizeof a->dim_folded) == 0 &&
           memcmp(a->dim_value, b->dim_value, sizeof a->dim_value) == 0;
}

static fnd_status find_variant(fnd_program *p, const fnd_variant *v, uint32_t *index, fnd_error *err) {
    uint32_t same_kernel = 0;
    for (*index = 0; *index < p->variant_count; ++*index) {
        if (same_variant(p->variants[*index], v)) return FND_OK;
        same_kernel += p->variants[*index]->kernel == v->kernel;
    }
    fnd_variant *copy = fnd_alloc_zeroed(1, sizeof *copy);
    fnd_variant **list = copy ? fnd_alloc_resized(p->variants, p->variant_count + 1, sizeof *list) : NULL;
    if (!list) {
        fnd_free_memory(copy);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    }
    *copy = *v;
    if (same_kernel) snprintf(copy->name, sizeof copy->name, "%.31s_kernel%u", v->kernel->name, same_kernel + 1);
    p->variants = list;
    p->variants[p->variant_count++] = copy;
    return FND_OK;
}

fnd_status fnd_program_fold(fnd_program *p, fnd_error *err) {
    uint32_t tokens = 1; /* one FND_TOKENS for the whole text */
    for (uint32_t i = 0; i < p->call_count; i++) tokens = p->calls[i].bound.numbers->variant.tokens > tokens ? p->calls[i].bound.numbers->variant.tokens : tokens;
    for (uint32_t i = 0; i < p->call_count; i++) {
        fnd_call *call = &p->calls[i];
        fnd_variant v;
        if (!p->separate || p->drop_barrier || !fnd_baked_find(p->f, &call->bound, &v, &call->baked)) {
            if (p->only_baked) return fnd_fail(err, FND_ERR_UNSUPPORTED, "kernel %s is not in the library", call->bound.kernel->composition.name);
            v = call->bound.numbers->variant;
            v.tokens = p->separate ? v.tokens : tokens;
            fold(p, &call->bound, &v);
        }
        FND_TRY(find_variant(p, &v, &p->calls[i].variant, err));
    }
    return FND_OK;
}
