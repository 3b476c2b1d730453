/* program_schedule.c - proof, before anything runs, that a program's schedule holds.
 *
 * What could go wrong in a program whose groups wait for each other: a call that does not wait for what it needs, and
 * a wait that never ends. The first is looked for again here, from the tensors as they lie in memory by then and not
 * as they were when barriers were derived. For the second there are three kinds of waits. Groups meet at barriers:
 * they meet alike, because all run the function that is compared here, whose only branches are over layers; and all
 * must be on the device at once, which the backend asks it before a launch. A weight stream waits for room in its
 * ring: the backend refuses a ring that has none for what is brought at once (fnd_launch.ring_bytes); more is never
 * needed, since pieces are used, and freed, in the order in which they are brought. And pieces are waited for, which the
 * same calls bring. */
#include "base/base.h"
#include "run/program.h"

static const char *name_of(const fnd_program *p, uint32_t call) { return p->calls[call].bound.kernel->composition.name; }

static fnd_status check_waits(const fnd_program *p, fnd_error *err) {
    uint32_t since = 0; /* first call behind the last barrier */
    for (uint32_t i = 0; i < p->call_count; i++) {
        if (p->calls[i].barrier) since = i;
        for (uint32_t k = since; k < i; k++) {
            if (!fnd_calls_depend(&p->calls[k], &p->calls[i])) continue;
            return fnd_fail(err, FND_ERR_DEVICE, "program %s is not run: call %u (%s) does not wait for call %u (%s), and one writes what the other touches", p->name, i + 1, name_of(p, i), k + 1, name_of(p, k));
        }
    }
    return FND_OK;
}

/* The calls of a block are those from *at on. */
static fnd_status check_block(const fnd_program *p, const fnd_block_of_calls *block, uint32_t *at, fnd_error *err) {
    for (uint32_t i = 0; i < block->count; i++, ++*at) {
        const fnd_part *part = &block->parts[i];
        if (*at < p->call_count && part->variant == p->calls[*at].variant && part->barrier == p->calls[*at].barrier) continue;
        return fnd_fail(err, FND_ERR_DEVICE, "program %s is not run: its function has another call or barrier than was recorded at call %u", p->name, *at + 1);
    }
    return FND_OK;
}

static fnd_status check_text(const fnd_program *p, const fnd_program_text *text, fnd_error *err) {
    uint32_t at = 0;
    FND_TRY(check_block(p, &text->before, &at, err));
    for (uint32_t i = 0; i < text->layers; i++) FND_TRY(check_block(p, &text->classes[text->layer_class[i]], &at, err));
    FND_TRY(check_block(p, &text->after, &at, err));
    if (at == p->call_count) return FND_OK;
    return fnd_fail(err, FND_ERR_DEVICE, "program %s is not run: its function has %u calls, and %u were recorded", p->name, at, p->call_count);
}

fnd_status fnd_program_check_schedule(const fnd_program *p, const fnd_program_text *text, fnd_error *err) {
    if (p->drop_barrier) return FND_OK; /* a test wants it wrong */
    return text ? check_text(p, text, err) : check_waits(p, err);
}
