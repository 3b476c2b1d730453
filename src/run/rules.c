/* rules.c - what must hold between the dimensions and the numbers of a call (docs/kernels.md). */
#include "base/base.h"
#include "run/bind.h"
#include "run/context.h"
#include "tensor/storage_table.h"

/* A call, and whether a dimension is what tensors have grown to by now, or what they may grow to. */
typedef struct present {
    const fnd_bound *b;
    bool grown;
} present;

static uint64_t dim_value(const present *p, uint32_t dim) {
    const fnd_bound *b = p->b;
    uint64_t value = b->numbers->dims.value[dim];
    uint32_t outermost = p->grown ? b->kernel->composition.outermost[dim] : 0;
    for (uint32_t i = 0; i < FND_MAX_ARGS && outermost >> i; i++) {
        uint64_t usable = outermost >> i & 1 ? fnd_usable(&b->tensors[i]) : value;
        if (usable < value) value = usable;
    }
    return value;
}

/* Of a weight, as this device's matrix kernels read it. */
static uint64_t device_bytes(const fnd_bound *b, uint32_t arg) {
    const fnd_tensor *w = &b->tensors[arg];
    fnd_shape shape = { .rank = w->rank };
    fnd_tensor planned;
    fnd_error ignored = { 0 };
    uint64_t bytes;
    memcpy(shape.dim, w->shape, sizeof shape.dim);
    return fnd_tensor_plan(w->format, shape, b->kernel->f->info.tile_rows, &planned, &bytes, &ignored) == FND_OK ? bytes : UINT64_MAX;
}

static uint64_t slot_value(const void *ctx, uint32_t slot) {
    const present *p = ctx;
    const fnd_bound *b = p->b;
    if (slot < FND_SLOT_ARG) return dim_value(p, slot);
    return slot < FND_SLOT_BYTES ? b->numbers->bits[slot - FND_SLOT_ARG] : device_bytes(b, slot - FND_SLOT_BYTES);
}

/* "blocks = 2 of k_cache" */
static void describe_slot(const present *p, uint32_t slot, fnd_text *out) {
    const fnd_composition *c = &p->b->kernel->composition;
    unsigned long long value = slot_value(p, slot);
    if (slot >= FND_SLOT_BYTES) {
        fnd_text_printf(out, "bytes(%s) = %llu", c->args[slot - FND_SLOT_BYTES].name, value);
        return;
    }
    fnd_text_printf(out, "%s = %llu", slot < FND_SLOT_ARG ? c->dims.name[slot] : c->args[slot - FND_SLOT_ARG].name, value);
    for (uint32_t i = 0; i < c->arg_count && slot < FND_SLOT_ARG; i++) {
        bool has = false;
        for (uint32_t d = 0; fnd_arg_is_tensor(&c->args[i]) && d < c->args[i].shape.rank; d++) has |= strcmp(c->args[i].shape.dim[d], c->dims.name[slot]) == 0;
        if (!has) continue;
        fnd_text_printf(out, " of %s", c->args[i].name);
        return;
    }
}

static fnd_status broken(const present *p, const fnd_rule *rule, fnd_error *err) {
    fnd_text values = { 0 };
    uint64_t seen = 0;
    bool number = false;
    for (uint32_t i = 0; i < rule->op_count; i++) {
        uint32_t slot = rule->ops[i].operand;
        if (rule->ops[i].op != 'v') continue;
        number |= slot >= FND_SLOT_ARG && slot < FND_SLOT_BYTES;
        bool again = slot < 64 && seen >> slot & 1;
        if (slot < 64) seen |= 1ull << slot;
        if (again) continue;
        if (values.bytes) fnd_text_str(&values, ", ");
        describe_slot(p, slot, &values);
    }
    fnd_status status = number ? FND_ERR_LIMIT : FND_ERR_SHAPE;
    fnd_fail(err, status, "kernel %s needs %s (%s), but %s", p->b->kernel->composition.name, rule->text, rule->doc, fnd_text_get(&values));
    fnd_text_free(&values);
    return status;
}

uint32_t fnd_bound_rules_of(const fnd_bound *b, uint32_t slot) {
    const fnd_composition *c = &b->kernel->composition;
    uint32_t rules = 0;
    for (uint32_t r = 0; r < c->rule_count; r++) {
        for (uint32_t i = 0; i < c->rules[r].op_count; i++) {
            if (c->rules[r].ops[i].op == 'v' && c->rules[r].ops[i].operand == slot) rules |= 1u << r;
        }
    }
    return rules;
}

uint32_t fnd_bound_growing_rules(const fnd_bound *b) {
    uint32_t rules = 0;
    for (uint32_t d = 0; d < b->numbers->dims.count; d++) {
        if (dim_value(&(present){ b, true }, d) < b->numbers->dims.value[d]) rules |= fnd_bound_rules_of(b, d);
    }
    return rules;
}

fnd_status fnd_bound_check_rules(const fnd_bound *b, uint32_t rules, bool grown, fnd_error *err) {
    const fnd_composition *c = &b->kernel->composition;
    present p = { b, grown };
    for (uint32_t r = 0; r < c->rule_count; r++) {
        if (rules >> r & 1 && !fnd_rule_holds(&c->rules[r], slot_value, &p)) return broken(&p, &c->rules[r], err);
    }
    return FND_OK;
}
