/* name_index.c - open addressing with linear probing, never more than half full. */
#include "lm/name_index.h"
#include "base/base.h"
#include "base/memory.h"

#include <xxhash.h>

bool fnd_index_init(fnd_index *index, size_t count) {
    if (count >= (size_t)1 << 31) return false;
    size_t capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    *index = (fnd_index){ .slots = fnd_alloc_zeroed(capacity, sizeof *index->slots), .mask = capacity - 1 };
    return index->slots != NULL;
}

void fnd_index_free(fnd_index *index) {
    fnd_free_memory(index->slots);
    *index = (fnd_index){ 0 };
}

/* The slot of an entry with this text, or the empty slot where it belongs. */
static size_t probe(const fnd_index *index, const void *items, fnd_index_key *key, fnd_span text) {
    size_t slot = (size_t)XXH3_64bits(text.data, text.bytes) & index->mask;
    for (; index->slots[slot]; slot = (slot + 1) & index->mask) {
        fnd_span there = key(items, index->slots[slot] - 1);
        if (there.bytes == text.bytes && memcmp(there.data, text.data, text.bytes) == 0) break;
    }
    return slot;
}

bool fnd_index_add(fnd_index *index, const void *items, fnd_index_key *key, size_t position) {
    size_t slot = probe(index, items, key, key(items, position));
    if (index->slots[slot]) return false;
    index->slots[slot] = (uint32_t)position + 1;
    return true;
}

size_t fnd_index_find(const fnd_index *index, const void *items, fnd_index_key *key, fnd_span text) {
    if (!index->slots) return FND_INDEX_NONE;
    size_t slot = probe(index, items, key, text);
    return index->slots[slot] ? index->slots[slot] - 1 : FND_INDEX_NONE;
}
