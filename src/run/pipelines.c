/* pipelines.c - from text to code: in memory, in the library, on disk, or compiled now. */
#include "base/base.h"
#include "base/hash.h"
#include "base/memory.h"
#include "compose/cache.h"
#include "run/composer.h"

#include <stdio.h>

struct fnd_pipeline {
    fnd_hash128   key;
    void         *code;
    fnd_pipeline *next;
};

/* What the cache calls when nobody has the code yet. */
typedef struct build {
    foundry       *f;
    fnd_build_desc desc;
} build;

static fnd_status build_now(void *ctx, fnd_blob *out, fnd_error *err) {
    build *b = ctx;
    if (b->f->desc.no_build || !b->f->info.can_build) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "kernel %s is not in the library and cannot be compiled here: %s", b->desc.entry, b->f->desc.no_build ? "compiling is switched off" : b->f->info.why_not_build);
    }
    fnd_count(b->f, FND_COUNTER_COMPILATIONS, 1);
    return b->f->backend->build(b->f->device, &b->desc, out, err);
}

static fnd_status load_blob(foundry *f, const char *entry, const fnd_blob *blob, void **code, fnd_error *err) {
    fnd_device_lock(f);
    fnd_status status = f->backend->load(f->device, entry, blob->data, blob->bytes, code, err);
    fnd_device_unlock(f);
    return status;
}

static fnd_pipeline *find(fnd_composer *c, fnd_hash128 key) {
    for (fnd_pipeline *p = c->pipelines; p; p = p->next) {
        if (fnd_hash_equal(p->key, key)) return p;
    }
    return NULL;
}

/* The key: the whole flattened text and everything that decides what the compiler makes of it. */
static fnd_hash128 key_of(const foundry *f, const fnd_pipeline_desc *desc, const fnd_text *flat) {
    char options[64];
    snprintf(options, sizeof options, "%u %d %s", desc->warps, f->desc.quick_build, f->backend->name);
    fnd_hash_piece pieces[] = {
        { flat->data, flat->bytes }, { desc->entry, strlen(desc->entry) }, { options, strlen(options) },
        { f->info.target, strlen(f->info.target) }, { desc->suffix, strlen(desc->suffix) },
    };
    return fnd_hash_pieces(pieces, FND_COUNT(pieces));
}

static fnd_status make(foundry *f, fnd_composer *c, const fnd_pipeline_desc *desc, const fnd_text *flat, fnd_hash128 key, void **code, fnd_error *err) {
    build b = { f, { .entry = desc->entry, .text = fnd_text_get(flat), .warps = desc->warps, .quick = f->desc.quick_build } };
    fnd_blob blob = { 0 };
    if (!f->cache) FND_TRY(fnd_cache_open(f->desc.cache_dir, 0, &f->cache, err));
    fnd_cache_source source;
    FND_TRY(fnd_cache_get(f->cache, key, build_now, &b, &blob, &source, err));
    if (source == FND_CACHE_DISK) fnd_count(f, FND_COUNTER_DISK_HITS, 1);
    fnd_pipeline *p = fnd_alloc_zeroed(1, sizeof *p);
    fnd_status status = p ? load_blob(f, desc->entry, &blob, code, err) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for kernel %s", desc->entry);
    fnd_free_memory(blob.data);
    if (status != FND_OK) {
        fnd_free_memory(p);
        return status;
    }
    *p = (fnd_pipeline){ .key = key, .code = *code, .next = c->pipelines };
    c->pipelines = p;
    return FND_OK;
}

fnd_status fnd_pipeline_get(foundry *f, const fnd_pipeline_desc *desc, void **code, fnd_error *err) {
    fnd_composer *c;
    fnd_text flat = { 0 };
    FND_TRY(fnd_composer_get(f, &c, err));
    pthread_mutex_lock(&c->lock);
    fnd_status status = fnd_sources_flatten(fnd_catalog_sources(c->catalog), desc->suffix, desc->entry, desc->text, &flat, err);
    if (status == FND_OK) {
        fnd_hash128 key = key_of(f, desc, &flat);
        const fnd_pipeline *known = find(c, key);
        if (known) {
            *code = known->code;
            fnd_count(f, FND_COUNTER_MEMORY_HITS, 1);
        } else {
            status = make(f, c, desc, &flat, key, code, err);
        }
    }
    pthread_mutex_unlock(&c->lock);
    fnd_text_free(&flat);
    return status;
}

void fnd_pipelines_free(foundry *f, fnd_composer *c) {
    while (c->pipelines) {
        fnd_pipeline *next = c->pipelines->next;
        f->backend->unload(f->device, c->pipelines->code);
        fnd_free_memory(c->pipelines);
        c->pipelines = next;
    }
    fnd_cache_close(f->cache);
    f->cache = NULL;
}
