/* check.c - judging each access. */
#include "backend/sim/check.h"

enum { WRITER = 0,
       READER = 10,
       THREAD_MASK = 1023 };

static uint32_t thread_of(const fnd_sim_cell *cell, unsigned slot) { return cell->threads >> slot & THREAD_MASK; }

static void set_thread(fnd_sim_cell *cell, unsigned slot, uint32_t thread) {
    cell->threads = (cell->threads & ~((uint32_t)THREAD_MASK << slot)) | thread << slot;
}

void fnd_sim_begin_group(fnd_sim_check *c, uint32_t group) {
    c->group = group;
    c->group_start = c->group_met = ++c->clock;
    for (uint32_t w = 0; w < FND_SIM_MAX_WARPS; w++) c->warp_met[w] = 0;
    c->starts[c->starts_count] = c->clock;
    c->started[c->starts_count++] = group;
    c->count = c->fixed_count;
    c->last = NULL;
    for (uint32_t i = 0; i < c->comer_count; i++) c->comers[i].known = false;
}

bool fnd_sim_comes_last(fnd_sim_check *c, uint32_t place, uint32_t count) {
    uint32_t came = 1;
    if (c->comer_count == FND_SIM_MAX_COMERS) return false;
    c->comers[c->comer_count++] = (fnd_sim_comer){ .place = place, .start = c->group_start, .clock = c->clock };
    for (uint32_t i = 0; i + 1 < c->comer_count; i++) came += c->comers[i].place == place;
    if (came < count) return false;
    for (uint32_t i = 0; i < c->comer_count; i++) {
        if (c->comers[i].place != place) continue;
        c->comers[i].known = true;
        c->comers[i].place = UINT32_MAX; /* the next to come are others */
    }
    return true;
}

void fnd_sim_group_met(fnd_sim_check *c) { c->group_met = ++c->clock; }
void fnd_sim_warp_met(fnd_sim_check *c, uint32_t warp) { c->warp_met[warp] = ++c->clock; }

/* Whether nothing orders what `thread` did at `clock` before what the running thread does now. */
static bool unordered(const fnd_sim_check *c, uint32_t clock, uint32_t thread) {
    if (clock < c->group_start) { /* another group's */
        for (uint32_t i = 0; i < c->comer_count; i++) {
            if (c->comers[i].known && clock >= c->comers[i].start && clock <= c->comers[i].clock) return false;
        }
        return true;
    }
    if (thread == c->thread || clock < c->group_met) return false;
    uint32_t warp = c->thread / FND_SIM_LANES;
    return thread / FND_SIM_LANES != warp || clock >= c->warp_met[warp];
}

static bool fail_at(fnd_sim_check *c, fnd_sim_fault fault, const fnd_sim_region *r, uint64_t address, bool wrote) {
    c->failure.fault = fault;
    c->failure.address = address;
    c->failure.wrote = wrote;
    if (r) c->failure.region = *r;
    return false;
}

static bool fail_race(fnd_sim_check *c, const fnd_sim_region *r, uint64_t offset, bool wrote, uint32_t clock, uint32_t thread, bool other_wrote) {
    fnd_sim_failure *f = &c->failure;
    f->same_group = clock >= c->group_start;
    f->other_thread = thread;
    f->other_wrote = other_wrote;
    for (uint32_t i = 0; i < c->starts_count && c->starts[i] <= clock; i++) f->other_group = c->started[i];
    return fail_at(c, FND_SIM_RACE, r, r->address + offset, wrote);
}

/* Group memory and scratch are new for every group: what an earlier one did there is void. */
static void renew(const fnd_sim_check *c, fnd_sim_cell *cell) {
    if (cell->wrote < c->group_start) cell->wrote = 0;
    for (unsigned i = 0; i < 2; i++) {
        if (cell->read[i] < c->group_start) cell->read[i] = 0;
    }
}

/* Remember a read. Two readers are enough to find any later writer that one of all readers would
 * find: a read of another group stays; a read that is in order before this one is replaced by it
 * (what conflicts with the old one conflicts with the new one); and of readers that nothing orders,
 * two of different warps are kept, or else two lanes of the one warp. */
static void note_read(const fnd_sim_check *c, fnd_sim_cell *cell) {
    if (cell->read[0] && cell->read[0] < c->group_start) return;
    for (unsigned i = 0; i < 2; i++) {
        unsigned slot = READER * (i + 1);
        if (!cell->read[i] || !unordered(c, cell->read[i], thread_of(cell, slot))) {
            cell->read[i] = c->clock;
            set_thread(cell, slot, c->thread);
            return;
        }
    }
    uint32_t warp = thread_of(cell, READER) / FND_SIM_LANES;
    if (warp == thread_of(cell, 2 * READER) / FND_SIM_LANES && warp != c->thread / FND_SIM_LANES) {
        cell->read[1] = c->clock;
        set_thread(cell, 2 * READER, c->thread);
    }
}

static bool own(const fnd_sim_region *r) { return r->kind == FND_SIM_SCRATCH || r->kind == FND_SIM_GROUP; }

static bool read_bytes(fnd_sim_check *c, const fnd_sim_region *r, uint64_t first, uint64_t bytes) {
    bool is_own = own(r);
    for (uint64_t i = first; i < first + bytes; i++) {
        fnd_sim_cell *cell = &r->cells[i];
        if (is_own) renew(c, cell);
        if (!cell->wrote && !r->reads) return fail_at(c, FND_SIM_UNWRITTEN_READ, r, r->address + i, false);
        if (cell->wrote && unordered(c, cell->wrote, thread_of(cell, WRITER))) {
            return fail_race(c, r, i, false, cell->wrote, thread_of(cell, WRITER), true);
        }
        note_read(c, cell);
    }
    return true;
}

static bool write_bytes(fnd_sim_check *c, const fnd_sim_region *r, uint64_t first, uint64_t bytes) {
    bool is_own = own(r);
    for (uint64_t i = first; i < first + bytes; i++) {
        fnd_sim_cell *cell = &r->cells[i];
        if (is_own) renew(c, cell);
        if (cell->wrote && unordered(c, cell->wrote, thread_of(cell, WRITER))) {
            return fail_race(c, r, i, true, cell->wrote, thread_of(cell, WRITER), true);
        }
        for (unsigned k = 0; k < 2; k++) {
            uint32_t reader = thread_of(cell, READER * (k + 1));
            if (cell->read[k] && unordered(c, cell->read[k], reader)) return fail_race(c, r, i, true, cell->read[k], reader, false);
        }
        /* All earlier accesses are in order before this one: it stands for them. */
        cell->wrote = c->clock;
        cell->read[0] = cell->read[1] = 0;
        cell->threads = c->thread;
    }
    return true;
}

static bool contains(uint64_t start, uint64_t length, uint64_t address, uint64_t bytes) {
    uint64_t offset = address - start; /* huge for an address before the start */
    return offset <= length && bytes <= length - offset;
}

/* The region that allows the access best. Regions may overlap (a tensor bound twice, or views): one
 * that allows reading is preferred for a read. NULL: none; *refused is one that contains it. */
static const fnd_sim_region *find(fnd_sim_check *c, uint64_t address, uint64_t bytes, uint32_t how, const fnd_sim_region **refused) {
    const fnd_sim_region *best = NULL;
    for (size_t i = 0; i < c->count; i++) {
        const fnd_sim_region *r = &c->regions[i];
        if (!contains(r->address, r->bytes, address, bytes)) continue;
        if ((how & FND_SIM_WRITE) && !r->writes) {
            *refused = r;
            continue;
        }
        if (r->reads || !(how & FND_SIM_READ)) return r;
        best = r;
    }
    return best;
}

bool fnd_sim_check_access(fnd_sim_check *c, uint64_t address, uint64_t bytes, uint32_t how) {
    if (!bytes || contains(c->stack, c->stack_bytes, address, bytes)) return true;
    bool wrote = (how & FND_SIM_WRITE) != 0;
    c->failure.access_address = address;
    c->failure.bytes = bytes;
    const fnd_sim_region *r = c->last, *refused = NULL;
    if (!r || !r->reads || (wrote && !r->writes) || !contains(r->address, r->bytes, address, bytes)) {
        r = find(c, address, bytes, how, &refused);
        if (!r) return fail_at(c, refused ? FND_SIM_INPUT_WRITTEN : FND_SIM_OUTSIDE, refused, address, wrote);
        c->last = r;
    }
    /* A vector of 16 bytes may be one of two halves of 8, as compilers see it. */
    uint64_t unit = bytes < 8 ? bytes : 8;
    if ((how & FND_SIM_ALIGNED) && address % unit != 0) return fail_at(c, FND_SIM_MISALIGNED, r, address, wrote);
    if (!r->cells) return true;
    if ((how & FND_SIM_READ) && !read_bytes(c, r, address - r->address, bytes)) return false;
    return !wrote || write_bytes(c, r, address - r->address, bytes);
}

bool fnd_sim_check_outputs(fnd_sim_check *c) {
    for (size_t i = 0; i < c->fixed_count; i++) {
        const fnd_sim_region *r = &c->regions[i];
        if (r->kind != FND_SIM_BUFFER || r->reads || !r->writes) continue;
        uint64_t missing = 0, first = 0;
        for (uint64_t k = r->bytes; k-- > 0;) {
            if (r->cells[k].wrote) continue;
            missing++;
            first = k;
        }
        if (!missing) continue;
        c->failure.number = missing;
        return fail_at(c, FND_SIM_NOT_WRITTEN, r, r->address + first, false);
    }
    return true;
}
