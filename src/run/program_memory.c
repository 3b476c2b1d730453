/* program_memory.c - memory of a program's temporaries, by lifetime.
 *
 * A temporary lives from the call that writes it whole to the last that reads it, again and again in
 * every layer. Calls between two barriers run together, so time is counted in those phases: two
 * temporaries share memory when no phase needs both, and no barrier is added by sharing. */
#include "base/base.h"
#include "base/memory.h"
#include "run/program.h"

enum { ALIGNMENT = 128 };
#define ADDRESS_SPACE_BYTES (1ull << 34) /* reserved, not used: before placing every temporary has its own */

static fnd_status reserve(fnd_program *p, fnd_error *err) {
    if (p->arena.t.rank) return FND_OK;
    FND_TRY(fnd_reserve(p->f, FND_U8, fnd_shape1(ADDRESS_SPACE_BYTES), &p->arena, err));
    fnd_tensor_set_name(&p->arena.t, "temporaries");
    return FND_OK;
}

fnd_status fnd_program_temporary(fnd_program *p, fnd_format format, fnd_shape shape, const char *name, fnd_tensor *out, fnd_error *err) {
    *out = (fnd_tensor){ .rank = 0 };
    if (p->finished) return fnd_fail(err, FND_ERR_USAGE, "program %s is finished: no temporary can be added", p->name);
    FND_TRY(reserve(p, err));
    fnd_temporary *list = fnd_alloc_resized(p->temporaries, p->temporary_count + 1, sizeof *list);
    if (!list) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    p->temporaries = list;
    uint64_t at = 0;
    if (p->temporary_count) at = fnd_round_up(list[p->temporary_count - 1].asked_at + list[p->temporary_count - 1].bytes, ALIGNMENT);
    fnd_view view;
    FND_TRY(fnd_view_typed(&p->arena.t, &(fnd_typed){ .offset_bytes = at, .format = format, .shape = shape, .name = name }, &view, err));
    list[p->temporary_count++] = (fnd_temporary){ .asked_at = at, .bytes = fnd_tensor_bytes(&view.t) };
    *out = view.t;
    return FND_OK;
}

fnd_status fnd_program_rest(fnd_program *p, fnd_error *err) { return p->arena.t.rank ? fnd_storage_forget(p->f, &p->arena, err) : FND_OK; }

static fnd_temporary *temporary_of(fnd_program *p, const fnd_tensor *t) {
    if (!p->arena.t.rank || t->storage != p->arena.t.storage || t->generation != p->arena.t.generation) return NULL;
    for (uint32_t i = 0; i < p->temporary_count; i++) {
        fnd_temporary *x = &p->temporaries[i];
        if (t->offset_bytes >= x->asked_at && t->offset_bytes < x->asked_at + x->bytes) return x;
    }
    return NULL;
}

/* ---- lifetimes ---- */

typedef struct lifetimes {
    uint32_t phases;
    uint8_t *live; /* [temporary][phase] */
    int64_t *last; /* phase of the last touch of each; -1: none yet */
} lifetimes;

static void touch(lifetimes *l, uint32_t index, uint32_t phase, bool written_whole) {
    uint8_t *live = l->live + (size_t)index * l->phases;
    int64_t from = written_whole || l->last[index] < 0 ? phase : l->last[index];
    for (int64_t i = from; i <= phase; i++) live[i] = 1;
    l->last[index] = phase;
}

static void find_lifetimes(fnd_program *p, lifetimes *l) {
    uint32_t phase = 0;
    for (uint32_t i = 0; i < p->call_count; i++) {
        const fnd_call *call = &p->calls[i];
        const fnd_composition *c = &call->bound.kernel->composition;
        phase += call->barrier;
        for (uint32_t a = 0; a < c->arg_count; a++) {
            const fnd_temporary *x = fnd_arg_is_tensor(&c->args[a]) ? temporary_of(p, &call->bound.tensors[a]) : NULL;
            if (!x) continue;
            bool whole = c->args[a].kind == FND_ARG_OUT && fnd_tensor_bytes(&call->bound.tensors[a]) == x->bytes;
            touch(l, (uint32_t)(x - p->temporaries), phase, whole);
        }
    }
}

static bool together(const lifetimes *l, uint32_t a, uint32_t b) {
    for (uint32_t i = 0; i < l->phases; i++) {
        if (l->live[(size_t)a * l->phases + i] && l->live[(size_t)b * l->phases + i]) return true;
    }
    return false;
}

/* ---- places ---- */

/* The lowest place where temporary i meets none that lives with it. Those placed already are moved
 * past one after the other, until nothing is in the way. */
static uint64_t find_place(const fnd_program *p, const lifetimes *l, const bool *placed, uint32_t i) {
    uint64_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t k = 0; k < p->temporary_count; k++) {
            const fnd_temporary *x = &p->temporaries[k];
            if (!placed[k] || !together(l, i, k) || at >= x->at + x->bytes || x->at >= at + p->temporaries[i].bytes) continue;
            at = fnd_round_up(x->at + x->bytes, ALIGNMENT);
            moved = true;
        }
    }
    return at;
}

/* Largest first. Returns how many bytes all take. */
static uint64_t place_all(fnd_program *p, const lifetimes *l, bool *placed) {
    uint64_t end = 0;
    for (uint32_t n = 0; n < p->temporary_count; n++) {
        uint32_t next = UINT32_MAX;
        for (uint32_t i = 0; i < p->temporary_count; i++) {
            if (!placed[i] && (next == UINT32_MAX || p->temporaries[i].bytes > p->temporaries[next].bytes)) next = i;
        }
        p->temporaries[next].at = find_place(p, l, placed, next);
        placed[next] = true;
        if (p->temporaries[next].at + p->temporaries[next].bytes > end) end = p->temporaries[next].at + p->temporaries[next].bytes;
    }
    return end;
}

static void move_tensors(fnd_program *p) {
    for (uint32_t i = 0; i < p->call_count; i++) {
        fnd_bound *b = &p->calls[i].bound;
        for (uint32_t a = 0; a < b->kernel->composition.arg_count; a++) {
            const fnd_temporary *x = temporary_of(p, &b->tensors[a]);
            if (x) b->tensors[a].offset_bytes += x->at - x->asked_at;
        }
    }
}

fnd_status fnd_program_place(fnd_program *p, fnd_error *err) {
    if (!p->temporary_count) return FND_OK;
    lifetimes l = { .phases = p->barriers + 1 };
    bool *placed = fnd_alloc_zeroed(p->temporary_count, sizeof *placed);
    l.live = fnd_alloc_zeroed(p->temporary_count, l.phases);
    l.last = fnd_alloc_zeroed(p->temporary_count, sizeof *l.last);
    fnd_status status = placed && l.live && l.last ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    if (status == FND_OK) {
        for (uint32_t i = 0; i < p->temporary_count; i++) l.last[i] = -1;
        find_lifetimes(p, &l);
        p->temporary_bytes = place_all(p, &l, placed);
        move_tensors(p);
        status = fnd_grow(p->f, &p->arena, p->temporary_bytes, err);
    }
    fnd_free_memory(placed);
    fnd_free_memory(l.live);
    fnd_free_memory(l.last);
    return status;
}
