/* hash.c - XXH3, from libxxhash. */
#include "base/hash.h"
#include "base/memory.h"

#include <stdio.h>
#define XXH_STATIC_LINKING_ONLY /* the streaming state on the stack: nothing to allocate, nothing to fail */
#include <xxhash.h>

fnd_hash128 fnd_hash_bytes(const void *data, size_t bytes) {
    XXH128_hash_t h = XXH3_128bits(data, bytes);
    return (fnd_hash128){ .low = h.low64, .high = h.high64 };
}

fnd_hash128 fnd_hash_pieces(const fnd_hash_piece *pieces, size_t count) {
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = pieces[i].bytes;
        XXH3_128bits_update(&state, &bytes, sizeof bytes);
        XXH3_128bits_update(&state, pieces[i].data, pieces[i].bytes);
    }
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    return (fnd_hash128){ .low = h.low64, .high = h.high64 };
}

struct fnd_hasher {
    XXH3_state_t *state;
};

fnd_hasher *fnd_hasher_open(void) {
    fnd_hasher *h = fnd_alloc_zeroed(1, sizeof *h);
    XXH3_state_t *state = h ? fnd_alloc_aligned(sizeof *state, 64) : NULL;
    if (!state) {
        fnd_free_memory(h);
        return NULL;
    }
    XXH3_INITSTATE(state);
    XXH3_128bits_reset(state);
    h->state = state;
    return h;
}

void fnd_hasher_add(fnd_hasher *h, const void *data, size_t bytes) { XXH3_128bits_update(h->state, data, bytes); }

fnd_hash128 fnd_hasher_get(const fnd_hasher *h) {
    XXH128_hash_t hash = XXH3_128bits_digest(h->state);
    return (fnd_hash128){ .low = hash.low64, .high = hash.high64 };
}

void fnd_hasher_close(fnd_hasher *h) {
    if (!h) return;
    fnd_free_memory(h->state);
    fnd_free_memory(h);
}

void fnd_hash_print(fnd_hash128 hash, char text[FND_HASH_TEXT_BYTES]) {
    snprintf(text, FND_HASH_TEXT_BYTES, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
}
