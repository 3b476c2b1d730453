/* gemv/share.cpu.h - which worker computes which tiles of a matrix.
 *
 * Every worker has an equal run of neighbouring tiles, its share, cut in steps of FND_STEP_TILES. It claims half of
 * what is left of it, again and again, from the front; who has nothing left claims half of what another has left,
 * from the back. So a worker that is kept from running holds up what it has begun, and no more. Which worker
 * computes a tile changes no bit of it.
 *
 * What is left of a share is one word (fnd_share in dialect/c.h): the number of the loop, and units first .. end - 1
 * of steps that nobody has claimed. The word of the loop before, with nothing left, stands for a share that nobody has
 * begun: whoever comes first opens it, its owner or not. So words are never set back, and no barrier is needed. They
 * order no other memory: what is written for a tile is read behind a barrier only. */
#ifndef GEMV_SHARE_H
#define GEMV_SHARE_H

#define FND_STEAL_STEPS  4u    /* in shares of fewer nothing is stolen: to look at another worker's word costs some 0.2 us */
#define FND_STEAL_FROM   7u    /* so many neighbours are looked at */
#define FND_STEAL_UNITS_ 4096u /* of a share, at most */

typedef struct fnd_claim {
    fnd_share *shares; /* NULL: nothing is stolen */
    u32 tiles, group, groups;
    u32 loop;
    u32 away, owner;           /* whose share: that of the group `away` behind this one */
    u32 first_tile, last_tile; /* its tiles, less the last */
    u32 first, end;            /* the steps of it that are claimed */
} fnd_claim;

FND_INLINE fnd_claim fnd_claim_begin(fnd_thread t, u32 tiles) {
    fnd_claim c;
    c.shares = tiles / t.groups >= FND_STEAL_STEPS * FND_STEP_TILES ? t.shares : (fnd_share *)0;
    c.tiles = tiles;
    c.group = c.owner = t.group;
    c.groups = t.groups;
    c.loop = c.shares ? ++c.shares[t.group].loop : 0;
    c.away = c.first = c.end = 0;
    return c;
}

/* How many steps the owner's share has. */
FND_INLINE u32 fnd_claim_share_(fnd_claim *c) {
    c->first_tile = (u32)((u64)c->tiles * c->owner / c->groups);
    c->last_tile = (u32)((u64)c->tiles * (c->owner + 1) / c->groups);
    return (c->last_tile - c->first_tile + FND_STEP_TILES - 1) / FND_STEP_TILES;
}

FND_INLINE u32 fnd_claim_some_(fnd_claim *c) {
    u64 *left = &c->shares[c->owner].left, seen = __atomic_load_n(left, __ATOMIC_RELAXED), next;
    u32 steps = fnd_claim_share_(c), unit = 1 + steps / FND_STEAL_UNITS_;
    do {
        u32 loop = (u32)(seen >> 32), first = (u32)(seen >> 16) & 0xffffu, end = (u32)seen & 0xffffu, half;
        u32 begun = loop == c->loop, may_begin = loop + 1 == c->loop && first == end;
        if (may_begin) {
            first = 0;
            end = (steps + unit - 1) / unit;
        }
        if (!(begun || may_begin) || first == end) return 0;
        half = (end - first + 1) / 2;
        if (c->away) end -= half;
        c->first = (c->away ? end : first) * unit;
        c->end = fnd_min(c->first + half * unit, steps);
        if (!c->away) first += half;
        next = (u64)c->loop << 32 | first << 16 | end;
    } while (!__atomic_compare_exchange_n(left, &seen, next, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return 1;
}

/* The next steps; 0: there are none. A share that has nothing left stays so until the loop ends. */
static __attribute__((noinline, unused)) u32 fnd_claim_next(fnd_claim *c) {
    if (!c->shares) {
        c->first = c->end;
        c->end = fnd_claim_share_(c);
        return c->first < c->end;
    }
    while (!fnd_claim_some_(c)) {
        if (++c->away == fnd_min(c->groups, FND_STEAL_FROM + 1)) return 0;
        c->owner = c->owner + 1 < c->groups ? c->owner + 1 : 0;
    }
    return 1;
}
#endif
