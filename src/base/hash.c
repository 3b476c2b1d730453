/* hash.c - XXH3, from libxxhash. */
#include "base/hash.h"

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

void fnd_hash_print(fnd_hash128 hash, char text[FND_HASH_TEXT_BYTES]) {
    snprintf(text, FND_HASH_TEXT_BYTES, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
}
