/* composer.h - a context's catalog of stages, its kernels and its pipelines. */
#ifndef RUN_COMPOSER_H
#define RUN_COMPOSER_H

#include "compose/catalog.h"
#include "run/bind.h"
#include "run/context.h"

#include <pthread.h>

typedef struct fnd_pipeline fnd_pipeline;

/* What was found in the library for a kernel: NULL code: nothing. */
typedef struct fnd_baked {
    const fnd_kernel *kernel;
    uint32_t          tokens;
    fnd_format        cache;
    bool              file_rows;
    void             *code;
    struct fnd_baked *next;
} fnd_baked;

typedef struct fnd_composer {
    fnd_catalog    *catalog;
    fnd_kernel     *kernels;
    fnd_conditional *conditionals;
    fnd_pipeline   *pipelines;
    fnd_baked      *baked;
    pthread_mutex_t lock; /* the lists */
} fnd_composer;

/* The context's composer, opened on first use. */
FND_USE_RESULT fnd_status fnd_composer_get(foundry *f, fnd_composer **out, fnd_error *err);

/* What to compile. `text` is composed, not yet flattened; it must be the same for the same code. */
typedef struct fnd_pipeline_desc {
    const char *entry, *text, *suffix;
    uint32_t    warps;
    bool        only_if_there; /* do not compile: FND_ERR_UNSUPPORTED instead */
    fnd_process_stop *stop;    /* ends compiling from another thread; may be NULL */
} fnd_pipeline_desc;

/* Code for the text: from memory, from the library, from disk, or compiled now. */
FND_USE_RESULT fnd_status fnd_pipeline_get(foundry *f, const fnd_pipeline_desc *desc, void **code, fnd_error *err);

/* conditional.c */
void fnd_conditionals_free(fnd_composer *c);

/* Texts changed: look everything up again. Needs the lock. */
void fnd_pipelines_forget(fnd_composer *c);
void fnd_pipelines_free(foundry *f, fnd_composer *c);

#endif
