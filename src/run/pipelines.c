/* pipelines.c - from text to code: in memory, in the library, on disk, or compiled now. */
#include "base/base.h"
#include "base/memory.h"
#include "compose/cache.h"
#include "run/composer.h"

#include <stdio.h>

/* Texts seen before, so that running a kernel again costs no flattening. */
struct fnd_pipeline {
    fnd_hash128 key; /* of the text before flattening */
    void *code;
    char entry[FND_PROFILE_KERNEL_BYTES];
    fnd_pipeline *next;
};

/* What the cache calls when nobody has the code yet. */
typedef struct build {
    foundry *f;
    fnd_build_desc desc;
    bool forbidden;
} build;

static fnd_status build_now(void *ctx, void **data, size_t *bytes, fnd_error *err) {
    build *b = ctx;
    fnd_blob blob = { 0 };
    if (b->forbidden) return FND_ERR_UNSUPPORTED;
    if (b->f->desc.no_build || !b->f->info.can_build) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "kernel %s is not in the library and cannot be compiled here: %s%s", b->desc.entry, b->f->desc.no_build ? "compiling is switched off" : b->f->info.why_not_build,
                        b->f->desc.no_build ? "" : "; install a C compiler, or name one that works");
    }
    fnd_count(b->f, FND_COUNTER_COMPILATIONS, 1);
    FND_TRY(b->f->backend->build(b->f->device, &b->desc, &blob, err));
    *data = blob.data;
    *bytes = blob.bytes;
    return FND_OK;
}

static fnd_status load(void *loader, const char *entry, const void *data, size_t bytes, void **code, fnd_error *err) {
    foundry *f = loader;
    return f->backend->load(f->device, entry, data, bytes, code, err);
}

static void unload(void *loader, void *code) {
    foundry *f = loader;
    f->backend->unload(f->device, code);
}

static fnd_status open_cache(foundry *f, fnd_error *err) {
    fnd_cache_desc desc = { .dir = f->desc.cache_dir, .load = load, .unload = unload, .loader = f };
    return f->cache ? FND_OK : fnd_cache_open(&desc, &f->cache, err);
}

/* The text and everything that decides what the compiler makes of it. */
static fnd_hash128 key_of(const foundry *f, const fnd_pipeline_desc *desc, const char *text) {
    char options[64];
    snprintf(options, sizeof options, "%u %d %s", desc->warps, f->desc.quick_build, f->backend->name);
    fnd_hash_piece pieces[] = {
        { text, strlen(text) },
        { desc->entry, strlen(desc->entry) },
        { options, strlen(options) },
        { f->info.target, strlen(f->info.target) },
        { desc->suffix, strlen(desc->suffix) },
    };
    return fnd_hash_pieces(pieces, FND_COUNT(pieces));
}

static void count_disk(foundry *f, const fnd_cache_counters *before, const char *entry) {
    char text[FND_ERROR_TEXT_BYTES];
    fnd_cache_counters now = fnd_cache_count(f->cache);
    fnd_count(f, FND_COUNTER_DISK_HITS, now.disk_hits - before->disk_hits);
    fnd_count(f, FND_COUNTER_DISCARDED, now.discarded - before->discarded);
    if (now.discarded == before->discarded) return;
    snprintf(text, sizeof text, "%s was compiled anew: what was kept of it on disk is damaged, or not taken by this system any more", entry);
    fnd_notice(f, text);
}

static fnd_status make(foundry *f, fnd_composer *c, const fnd_pipeline_desc *desc, void **code, fnd_error *err) {
    fnd_text flat = { 0 };
    pthread_mutex_lock(&c->lock);
    fnd_status status = open_cache(f, err);
    if (status == FND_OK) status = fnd_sources_flatten(fnd_catalog_sources(c->catalog), desc->suffix, desc->entry, desc->text, &flat, err);
    pthread_mutex_unlock(&c->lock);
    if (status == FND_OK) {
        build b = { f, { .entry = desc->entry, .text = fnd_text_get(&flat), .warps = desc->warps, .quick = f->desc.quick_build, .stop = desc->stop }, desc->only_if_there };
        fnd_cache_counters before = fnd_cache_count(f->cache);
        status = fnd_cache_get(f->cache, key_of(f, desc, fnd_text_get(&flat)), desc->entry, build_now, &b, code, err);
        count_disk(f, &before, desc->entry);
    }
    fnd_text_free(&flat);
    return status;
}

fnd_status fnd_pipeline_get(foundry *f, const fnd_pipeline_desc *desc, void **code, fnd_error *err) {
    fnd_composer *c;
    FND_TRY(fnd_composer_get(f, &c, err));
    fnd_hash128 key = key_of(f, desc, desc->text);
    pthread_mutex_lock(&c->lock);
    fnd_pipeline *p = c->pipelines;
    while (p && !fnd_hash_equal(p->key, key)) p = p->next;
    if (p) *code = p->code;
    pthread_mutex_unlock(&c->lock);
    if (p) {
        fnd_count(f, FND_COUNTER_MEMORY_HITS, 1);
        return FND_OK;
    }
    FND_TRY(make(f, c, desc, code, err));
    p = fnd_alloc_zeroed(1, sizeof *p);
    if (!p) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for kernel %s", desc->entry);
    pthread_mutex_lock(&c->lock);
    *p = (fnd_pipeline){ .key = key, .code = *code, .next = c->pipelines };
    snprintf(p->entry, sizeof p->entry, "%s", desc->entry);
    c->pipelines = p;
    pthread_mutex_unlock(&c->lock);
    return FND_OK;
}

void fnd_pipelines_forget(fnd_composer *c) {
    for (fnd_baked *b = c->baked; b; b = b->next) b->tokens = 0; /* never asked for again */
    while (c->pipelines) {
        fnd_pipeline *next = c->pipelines->next;
        fnd_free_memory(c->pipelines);
        c->pipelines = next;
    }
}

void fnd_pipelines_free(foundry *f, fnd_composer *c) {
    fnd_pipelines_forget(c);
    while (c->baked) {
        fnd_baked *next = c->baked->next;
        if (c->baked->code) f->backend->unload(f->device, c->baked->code);
        fnd_free_memory(c->baked);
        c->baked = next;
    }
    fnd_cache_close(f->cache);
    f->cache = NULL;
}

/* ---- what code takes ---- */

static int by_spills(const void *a, const void *b) {
    const fnd_profile_code *x = a, *y = b;
    if (x->spill_store_bytes != y->spill_store_bytes) return x->spill_store_bytes < y->spill_store_bytes ? 1 : -1;
    if (x->registers != y->registers) return x->registers < y->registers ? 1 : -1;
    return strcmp(x->kernel, y->kernel);
}

size_t fnd_profile_codes(foundry *f, fnd_profile_code *codes, size_t capacity) {
    fnd_composer *c;
    size_t count = 0;
    if (fnd_context_check(f, NULL) != FND_OK || !f->backend->usage || fnd_composer_get(f, &c, NULL) != FND_OK) return 0;
    pthread_mutex_lock(&c->lock);
    for (const fnd_pipeline *p = c->pipelines; p; p = p->next) {
        fnd_code_usage u;
        if (!p->code || !f->backend->usage(f->device, p->code, &u)) continue;
        if (count < capacity) {
            fnd_profile_code *row = &codes[count];
            *row = (fnd_profile_code){ .max_threads = u.max_threads, .registers = u.registers, .local_bytes = u.local_bytes, .shared_bytes = u.shared_bytes, .spill_store_bytes = u.spill_store_bytes, .spill_load_bytes = u.spill_load_bytes };
            snprintf(row->kernel, sizeof row->kernel, "%s", p->entry);
        }
        count++;
    }
    pthread_mutex_unlock(&c->lock);
    if (count && capacity) qsort(codes, fnd_min_size(count, capacity), sizeof *codes, by_spills);
    return count;
}
