/* hash.h - 128-bit fingerprints: what a cached file is called, and what proves its bytes whole. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fnd_hash128 {
    uint64_t low, high;
} fnd_hash128;

/* One piece of what is hashed. Its length takes part, so ("ab","c") and ("a","bc") differ. */
typedef struct fnd_hash_piece {
    const void *data;
    size_t      bytes;
} fnd_hash_piece;

enum { FND_HASH_TEXT_BYTES = 33 };

fnd_hash128 fnd_hash_bytes(const void *data, size_t bytes);
fnd_hash128 fnd_hash_pieces(const fnd_hash_piece *pieces, size_t count);
/* The same as fnd_hash_bytes of all pieces put together, as they come. */
typedef struct fnd_hasher fnd_hasher;
fnd_hasher *fnd_hasher_open(void); /* NULL: out of memory */
void fnd_hasher_add(fnd_hasher *h, const void *data, size_t bytes);
fnd_hash128 fnd_hasher_get(const fnd_hasher *h);
void fnd_hasher_close(fnd_hasher *h); /* NULL is fine */
static inline bool fnd_hash_equal(fnd_hash128 a, fnd_hash128 b) { return a.low == b.low && a.high == b.high; }
/* 32 lower-case hexadecimal digits and a NUL. */
void fnd_hash_print(fnd_hash128 hash, char text[FND_HASH_TEXT_BYTES]);

#endif
