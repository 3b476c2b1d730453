/* cache_disk.h - the files of the cache. For cache.c; nothing here fails, it only does less. */
#ifndef COMPOSE_CACHE_DISK_H
#define COMPOSE_CACHE_DISK_H

#include "base/hash.h"
#include "foundry/status.h"

#include <pthread.h>

typedef struct fnd_cache_disk {
    char            dir[1024];
    uint64_t        limit_bytes;
    bool            readable; /* fixed when opened */
    pthread_mutex_t lock;     /* of what follows */
    bool            writable;
    bool            has_notice;
    char            notice[1100];
} fnd_cache_disk;

typedef enum fnd_cache_found {
    FND_CACHE_MISSING,
    FND_CACHE_WHOLE,
    FND_CACHE_DAMAGED, /* and removed */
} fnd_cache_found;

void fnd_cache_disk_open(fnd_cache_disk *disk, const char *dir, uint64_t limit_bytes);
void fnd_cache_disk_close(fnd_cache_disk *disk);
/* *block (fnd_free_memory) holds the file, *data and *bytes the part that was stored. */
fnd_cache_found fnd_cache_disk_read(fnd_cache_disk *disk, fnd_hash128 key, char **block, const void **data, size_t *bytes);
bool fnd_cache_disk_write(fnd_cache_disk *disk, fnd_hash128 key, const void *data, size_t bytes);
void fnd_cache_disk_remove(fnd_cache_disk *disk, fnd_hash128 key);
/* Remove the least recently used files until the rest keeps the limit; the number removed. */
uint64_t fnd_cache_disk_trim(fnd_cache_disk *disk);

#endif
