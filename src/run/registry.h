/* registry.h - the one object of each resource type of a context; the public side is
 * foundry/context.h. */
#ifndef RUN_REGISTRY_H
#define RUN_REGISTRY_H

#include "foundry/context.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct fnd_resource_entry fnd_resource_entry;

typedef struct fnd_registry {
    pthread_mutex_t               lock;   /* recursive: an init may ask for other resources */
    _Atomic(fnd_resource_entry *) newest; /* finished objects, newest first; read without the lock */
    fnd_resource_entry           *making; /* being initialised, innermost first */
    bool                          closed;
} fnd_registry;

void fnd_registry_init(fnd_registry *r);
/* Release all objects, newest first; no more are made from now on. */
void fnd_registry_release(fnd_registry *r, foundry *f);
void fnd_registry_free(fnd_registry *r);

#endif
