/* elementwise/philox.h - Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): random numbers by counter.
 * Four words for a counter of four words and a key of two; the same on every machine, in any order. */
#ifndef ELEMENTWISE_PHILOX_H
#define ELEMENTWISE_PHILOX_H
#include "fnd_device.h"

typedef struct philox_words { u32 of[4]; } philox_words;

FND_INLINE philox_words philox(philox_words c, u32 key0, u32 key1) {
    for (u32 round = 0; round < 10; round++) {
        u64 a = (u64)0xd2511f53u * c.of[0], b = (u64)0xcd9e8d57u * c.of[2];
        philox_words next;
        next.of[0] = (u32)(b >> 32) ^ c.of[1] ^ key0;
        next.of[1] = (u32)b;
        next.of[2] = (u32)(a >> 32) ^ c.of[3] ^ key1;
        next.of[3] = (u32)a;
        c = next;
        key0 += 0x9e3779b9u;
        key1 += 0xbb67ae85u;
    }
    return c;
}
FND_INLINE philox_words philox_counter(u64 index, u32 sequence, u32 use) {
    philox_words c;
    c.of[0] = (u32)index;
    c.of[1] = (u32)(index >> 32);
    c.of[2] = sequence;
    c.of[3] = use;
    return c;
}
#endif
