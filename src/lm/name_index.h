/* name_index.h - a hash table from texts to positions in an array that somebody else keeps.
 *
 * The table holds positions only; the text of position i is asked of the owner's `key` function. */
#ifndef LM_NAME_INDEX_H
#define LM_NAME_INDEX_H

#include "foundry/gguf.h"

#define FND_INDEX_NONE ((size_t)-1)

typedef struct fnd_index {
    uint32_t *slots; /* position + 1; 0: empty */
    size_t    mask;
} fnd_index;

typedef fnd_span fnd_index_key(const void *items, size_t position);

/* Room for `count` entries (less than 2^31). False when memory is out. */
bool fnd_index_init(fnd_index *index, size_t count);
void fnd_index_free(fnd_index *index);
/* False when an entry with this text is there already. */
bool fnd_index_add(fnd_index *index, const void *items, fnd_index_key *key, size_t position);
size_t fnd_index_find(const fnd_index *index, const void *items, fnd_index_key *key, fnd_span text);

#endif
