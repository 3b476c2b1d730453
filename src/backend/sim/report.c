/* report.c - sentences for what went wrong in a launch. */
#include "backend/sim/report.h"

#include <stdio.h>

typedef struct words {
    char text[256];
} words;

static words who(uint32_t group, uint32_t thread) {
    words w;
    snprintf(w.text, sizeof w.text, "group %u, warp %u, lane %u", group, thread / FND_SIM_LANES, thread % FND_SIM_LANES);
    return w;
}

static const char *kind_text(fnd_sim_kind kind) {
    switch (kind) {
    case FND_SIM_SCRATCH:
        return "the group's scratch";
    case FND_SIM_GROUP:
        return "group memory ";
    case FND_SIM_FIXED:
        return "";
    default:
        return "argument ";
    }
}

static words region_text(const fnd_sim_region *r) {
    words w;
    const char *name = r->kind == FND_SIM_SCRATCH || !r->name ? "" : r->name;
    snprintf(w.text, sizeof w.text, "%s%s (%llu bytes)", kind_text(r->kind), name, (unsigned long long)r->bytes);
    return w;
}

/* "element 5 of 4 bytes (byte 20)": the access's own width is the only type that memory knows. */
static words place(const fnd_sim_failure *f) {
    words w;
    unsigned long long byte = f->address - f->region.address, at = f->access_address - f->region.address;
    if (f->bytes && f->bytes <= 16 && at % f->bytes == 0) {
        snprintf(w.text, sizeof w.text, "byte %llu (element %llu of %llu bytes)", byte, at / f->bytes, (unsigned long long)f->bytes);
    } else {
        snprintf(w.text, sizeof w.text, "byte %llu", byte);
    }
    return w;
}

/* How far [address, address + bytes) sticks out of the region; *before tells on which side. */
static uint64_t distance(const fnd_sim_region *r, uint64_t address, uint64_t bytes, bool *before) {
    *before = address < r->address;
    if (*before) return r->address - address;
    uint64_t end = r->address + r->bytes;
    return address + bytes > end ? address + bytes - end : 0;
}

/* An access outside is told by the region it is nearest to, if that is within 64 KiB. */
static fnd_status report_outside(const char *label, const fnd_sim_check *c, const char *elsewhere, fnd_error *err) {
    const fnd_sim_failure *f = &c->failure;
    const fnd_sim_region *nearest = NULL;
    uint64_t least = 65536;
    bool before = false, is_before;
    for (size_t i = 0; i < c->count; i++) {
        const fnd_sim_region *r = &c->regions[i];
        uint64_t far = distance(r, f->address, f->bytes, &is_before);
        if (r->kind == FND_SIM_FIXED || far > least) continue;
        least = far;
        nearest = r;
        before = is_before;
    }
    words thread = who(f->group, f->thread);
    const char *verb = f->wrote ? "writes" : "reads";
    unsigned long long bytes = f->bytes, address = f->address;
    if (!nearest) {
        return fnd_fail(err, FND_ERR_DEVICE, "%s: out of bounds: %s %s %llu bytes at address 0x%llx, which is in %s", label, thread.text, verb, bytes, address, elsewhere ? elsewhere : "no argument of this launch");
    }
    words region = region_text(nearest);
    if (before) {
        return fnd_fail(err, FND_ERR_DEVICE, "%s: out of bounds: %s %s %llu bytes that begin %llu bytes before the start of %s", label, thread.text, verb, bytes, (unsigned long long)(nearest->address - f->address), region.text);
    }
    fnd_sim_failure g = *f;
    g.region = *nearest;
    return fnd_fail(err, FND_ERR_DEVICE, "%s: out of bounds: %s %s %llu bytes at %s, past the end of %s", label, thread.text, verb, bytes, place(&g).text, region.text);
}

static fnd_status report_race(const char *label, const fnd_sim_failure *f, fnd_error *err) {
    words a = who(f->group, f->thread), b = who(f->same_group ? f->group : f->other_group, f->other_thread);
    return fnd_fail(err, FND_ERR_DEVICE, "%s: race on %s, %s: %s %s what %s %s%s", label, region_text(&f->region).text, place(f).text, a.text,
                    f->wrote ? "writes" : "reads", b.text, f->other_wrote ? "wrote" : "read",
                    f->same_group ? ", with no barrier in between" : " in the same launch");
}

static fnd_status report_code(const char *label, const fnd_sim_failure *f, fnd_error *err) {
    words thread = who(f->group, f->thread);
    unsigned long long number = f->number, limit = f->limit;
    switch (f->fault) {
    case FND_SIM_BAD_INDEX:
        return fnd_fail(err, FND_ERR_DEVICE, "%s: out of bounds: %s uses index %lld of an array of type %s (%s:%u)", label, thread.text, (long long)number, f->text, f->file, f->line);
    case FND_SIM_BAD_DIVISION:
        return fnd_fail(err, FND_ERR_DEVICE, "%s: %s divides an integer by zero (%s:%u)", label, thread.text, f->file, f->line);
    case FND_SIM_BAD_LANE:
        return fnd_fail(err, FND_ERR_DEVICE, "%s: %s asks for the value of lane %llu of %d (%s:%u)", label, thread.text, number, FND_SIM_LANES, f->file, f->line);
    default:
        return fnd_fail(err, FND_ERR_DEVICE, "%s: group memory %s needs %llu bytes, and %llu are left", label, f->text, number, limit);
    }
}

fnd_status fnd_sim_report(const char *label, const fnd_sim_check *c, const char *elsewhere, fnd_error *err) {
    const fnd_sim_failure *f = &c->failure;
    words thread = who(f->group, f->thread), region = region_text(&f->region);
    const char *verb = f->wrote ? "writes" : "reads";
    switch (f->fault) {
    case FND_SIM_NO_FAULT:
        return FND_OK;
    case FND_SIM_OUTSIDE:
        return report_outside(label, c, elsewhere, err);
    case FND_SIM_INPUT_WRITTEN:
        return fnd_fail(err, FND_ERR_DEVICE, "%s: %s writes %s, which may only be read, at %s", label, thread.text, region.text, place(f).text);
    case FND_SIM_UNWRITTEN_READ:
        return fnd_fail(err, FND_ERR_DEVICE, "%s: %s reads output %s at %s before anything was written there", label, thread.text, region.text, place(f).text);
    case FND_SIM_RACE:
        return report_race(label, f, err);
    case FND_SIM_MISALIGNED:
        return fnd_fail(err, FND_ERR_DEVICE, "%s: %s %s %llu bytes at byte %llu of %s through a type that must be aligned to more", label, thread.text, verb, (unsigned long long)f->bytes, (unsigned long long)(f->address - f->region.address), region.text);
    case FND_SIM_DIVERGED:
        return fnd_fail(err, FND_ERR_DEVICE, "%s: divergent barrier in group %u: %s", label, f->group, f->text);
    case FND_SIM_NOT_WRITTEN: {
        unsigned long long first = f->address - f->region.address;
        return fnd_fail(err, FND_ERR_DEVICE, "%s: unwritten output: %llu bytes of %s were never written, the first of them byte %llu", label, (unsigned long long)f->number, region.text, first);
    }
    default:
        return report_code(label, f, err);
    }
}
