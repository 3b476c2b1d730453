/* build.c - text to pipeline: by the system's compiler, or from a library of the command line tools. Where
 * Metal does not take their library (tools that are newer than the system), now or when it is loaded again, the
 * system's compiler does it.
 *
 * What is kept of a kernel is a header, which says for how many warps it was compiled, and the text or the
 * library. A text for more warps than the pipeline's registers allow is compiled anew for half as many: a group
 * is as large as its text says, and launches take that. */
#include "backend/metal/metal.h"
#include "base/base.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stdio.h>

typedef struct header {
    char magic[8];
    uint32_t warps, is_library;
} header;
static const char magic[8] = "FNDMTL1";

enum { SHOWN_BYTES = 900,
       MOST_FRESH = 64 };

/* ---- library, function, pipeline ---- */

static fnd_status library_of_text(const fnd_metal *c, const char *entry, const char *text, fnd_id *out, fnd_error *err) {
    const fnd_metal_api *m = c->m;
    fnd_id options = fnd_mtl_new_object(m, m->options_class), error = NULL, source = fnd_metal_string(m, text);
    fnd_mtl_options_fast_math(m, options, false); /* shown for IEEE arithmetic, without contraction */
    fnd_mtl_options_language(m, options, FND_MTL_LANGUAGE_3_0);
    *out = fnd_mtl_device_library(m, c->device, source, options, &error);
    fnd_mtl_release(m, options);
    if (*out) return FND_OK;
    char shown[SHOWN_BYTES];
    fnd_id description = error ? fnd_mtl_error_text(m, error) : NULL;
    fnd_metal_explain(text, description ? fnd_mtl_string_text(m, description) : "Metal's compiler failed and said nothing", shown, sizeof shown);
    return fnd_fail(err, FND_ERR_COMPILE, "%s did not compile: %s", entry, shown);
}

static fnd_status library_of_bytes(const fnd_metal *c, const char *entry, const void *bytes, size_t count, fnd_id *out, fnd_error *err) {
    const fnd_metal_api *m = c->m;
    char says[300];
    fnd_id error = NULL, data = m->data_create(bytes, count, NULL, NULL);
    *out = data ? fnd_mtl_device_library_data(m, c->device, data, &error) : NULL;
    if (data) m->data_release(data);
    if (*out) return FND_OK;
    fnd_metal_error_text(m, error, says, sizeof says);
    return fnd_fail(err, FND_ERR_DEVICE, "%s: Metal does not take the library that its own tools made: %s", entry, says);
}

static fnd_status check_pipeline(const fnd_metal *c, const char *entry, fnd_id pipeline, fnd_error *err) {
    uint64_t width = fnd_mtl_pipeline_width(c->m, pipeline), bytes = fnd_mtl_pipeline_group_bytes(c->m, pipeline);
    if (width != FND_METAL_LANES) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: %s runs it in SIMD groups of %llu threads, and kernels are written for %d, as Apple's own GPUs have", entry, c->name, (unsigned long long)width, FND_METAL_LANES);
    if (bytes > c->group_bytes) return fnd_fail(err, FND_ERR_LIMIT, "%s takes %llu bytes of threadgroup memory; %s has %llu", entry, (unsigned long long)bytes, c->name, (unsigned long long)c->group_bytes);
    return FND_OK;
}

/* A pipeline whose groups may have up to *most threads. */
static fnd_status pipeline_of(const fnd_metal *c, const char *entry, fnd_id library, uint32_t warps, fnd_id *out, uint32_t *most, fnd_error *err) {
    const fnd_metal_api *m = c->m;
    char says[300];
    fnd_id name = fnd_metal_string(m, entry), error = NULL, function = fnd_mtl_library_function(m, library, name);
    *out = NULL;
    if (!function) return fnd_fail(err, FND_ERR_DEVICE, "%s: the library has no such function", entry);
    fnd_mtl_library_label(m, library, name);
    fnd_id descriptor = fnd_mtl_new_object(m, m->descriptor_class);
    fnd_mtl_descriptor_function(m, descriptor, function);
    fnd_mtl_descriptor_threads(m, descriptor, warps * FND_METAL_LANES);
    fnd_mtl_descriptor_whole_warps(m, descriptor, true);
    fnd_mtl_descriptor_label(m, descriptor, name);
    *out = fnd_mtl_device_pipeline(m, c->device, descriptor, 0, NULL, &error);
    fnd_mtl_release(m, descriptor);
    fnd_mtl_release(m, function);
    if (!*out) {
        fnd_metal_error_text(m, error, says, sizeof says);
        return fnd_fail(err, FND_ERR_COMPILE, "%s: Metal makes no pipeline of it: %s", entry, says);
    }
    fnd_status status = check_pipeline(c, entry, *out, err);
    *most = (uint32_t)fnd_mtl_pipeline_threads(m, *out);
    if (status != FND_OK) {
        fnd_mtl_release(m, *out);
        *out = NULL;
    }
    return status;
}

/* ---- building ---- */

static fnd_status keep_fresh(fnd_metal *c, const fnd_blob *blob, fnd_id pipeline, fnd_error *err) {
    fnd_metal_fresh *f = fnd_alloc_zeroed(1, sizeof *f);
    if (!f) return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    fnd_hash128 hash = fnd_hash_bytes(blob->data, blob->bytes);
    *f = (fnd_metal_fresh){ .hash = { hash.low, hash.high }, .pipeline = fnd_mtl_retain(c->m, pipeline) };
    pthread_mutex_lock(&c->fresh_lock);
    f->next = c->fresh;
    c->fresh = f;
    fnd_metal_fresh *last = f;
    for (int i = 1; last->next && i < MOST_FRESH; i++) last = last->next;
    fnd_metal_fresh *old = last->next; /* at most one more than are kept */
    last->next = NULL;
    pthread_mutex_unlock(&c->fresh_lock);
    if (old) fnd_mtl_release(c->m, old->pipeline);
    fnd_free_memory(old);
    return FND_OK;
}

static fnd_id take_fresh(fnd_metal *c, const void *blob, size_t bytes) {
    fnd_hash128 hash = fnd_hash_bytes(blob, bytes);
    fnd_id pipeline = NULL;
    pthread_mutex_lock(&c->fresh_lock);
    for (fnd_metal_fresh **at = &c->fresh; *at && !pipeline; at = &(*at)->next) {
        fnd_metal_fresh *f = *at;
        if (f->hash[0] != hash.low || f->hash[1] != hash.high) continue;
        pipeline = f->pipeline;
        *at = f->next;
        fnd_free_memory(f);
        break;
    }
    pthread_mutex_unlock(&c->fresh_lock);
    return pipeline;
}

void fnd_metal_forget_fresh(fnd_metal *c) {
    while (c->fresh) {
        fnd_metal_fresh *next = c->fresh->next;
        fnd_mtl_release(c->m, c->fresh->pipeline);
        fnd_free_memory(c->fresh);
        c->fresh = next;
    }
}

static fnd_status pack(const header *h, const void *bytes, size_t count, fnd_blob *out, fnd_error *err) {
    uint8_t *data = fnd_alloc_resized(NULL, sizeof *h + count + 1, 1);
    if (!data) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a compiled kernel");
    memcpy(data, h, sizeof *h);
    memcpy(data + sizeof *h, bytes, count);
    data[sizeof *h + count] = '\0';
    *out = (fnd_blob){ data, sizeof *h + count + 1 };
    return FND_OK;
}

/* The text for groups of `warps`: what is to be kept of it, and the pipeline. */
static fnd_status build_for(fnd_metal *c, const fnd_build_desc *desc, uint32_t warps, fnd_blob *out, fnd_id *pipeline, uint32_t *most, fnd_error *err) {
    fnd_text text = { 0 };
    fnd_blob made = { 0 };
    fnd_id library = NULL;
    header h = { .warps = warps, .is_library = c->xcrun[0] != '\0' && !atomic_load(&c->library_refused) };
    memcpy(h.magic, magic, sizeof h.magic);
    fnd_text_printf(&text, "#define FND_WARPS %u\n#line 1 \"%s\"\n", warps, desc->entry);
    fnd_text_str(&text, desc->text);
    fnd_status status = fnd_text_check(&text, err);
    if (status == FND_OK && h.is_library) status = fnd_metal_compile_offline(c, desc, fnd_text_get(&text), &made, err);
    if (status == FND_OK && h.is_library && library_of_bytes(c, desc->entry, made.data, made.bytes, &library, NULL) != FND_OK) {
        atomic_store(&c->library_refused, true); /* the next text need not try */
        h.is_library = 0;
    }
    if (status == FND_OK && !h.is_library) status = library_of_text(c, desc->entry, fnd_text_get(&text), &library, err);
    if (status == FND_OK) status = pipeline_of(c, desc->entry, library, warps, pipeline, most, err);
    if (status == FND_OK) status = h.is_library ? pack(&h, made.data, made.bytes, out, err) : pack(&h, fnd_text_get(&text), text.bytes, out, err);
    if (status != FND_OK && *pipeline) {
        fnd_mtl_release(c->m, *pipeline);
        *pipeline = NULL;
    }
    if (library) fnd_mtl_release(c->m, library);
    fnd_free_memory(made.data);
    fnd_text_free(&text);
    return status;
}

static fnd_status build(fnd_metal *c, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err) {
    uint32_t warps = desc->warps, most = 0;
    fnd_id pipeline = NULL;
    FND_TRY(build_for(c, desc, warps, out, &pipeline, &most, err));
    while (most < warps * FND_METAL_LANES) {
        fnd_mtl_release(c->m, pipeline);
        fnd_free_memory(out->data);
        *out = (fnd_blob){ 0 };
        pipeline = NULL;
        if (warps == 1) return fnd_fail(err, FND_ERR_LIMIT, "%s: %s runs at most %u threads of it in a group; %d are needed", desc->entry, c->name, most, FND_METAL_LANES);
        warps /= 2;
        FND_TRY(build_for(c, desc, warps, out, &pipeline, &most, err));
    }
    fnd_status status = keep_fresh(c, out, pipeline, err);
    fnd_mtl_release(c->m, pipeline);
    if (status != FND_OK) {
        fnd_free_memory(out->data);
        *out = (fnd_blob){ 0 };
    }
    return status;
}

fnd_status fnd_metal_build(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err) {
    fnd_metal *c = self;
    *out = (fnd_blob){ 0 };
    if (desc->warps < 1 || desc->warps > c->max_warps) return fnd_fail(err, FND_ERR_USAGE, "%s: %u warps in a group; 1 to %u are possible", desc->entry, desc->warps, c->max_warps);
    void *pool = c->m->push_pool();
    fnd_status status = build(c, desc, out, err);
    c->m->pop_pool(pool);
    return status;
}

/* ---- loading ---- */

static fnd_status pipeline_of_blob(fnd_metal *c, const char *entry, const header *h, const uint8_t *rest, size_t bytes, fnd_id *pipeline, fnd_error *err) {
    fnd_id library;
    uint32_t most = 0;
    fnd_status status = h->is_library ? library_of_bytes(c, entry, rest, bytes, &library, err) : library_of_text(c, entry, (const char *)rest, &library, err);
    if (status != FND_OK && h->is_library) atomic_store(&c->library_refused, true); /* who builds it anew need not try */
    FND_TRY(status);
    status = pipeline_of(c, entry, library, h->warps, pipeline, &most, err);
    fnd_mtl_release(c->m, library);
    if (status != FND_OK || most >= h->warps * FND_METAL_LANES) return status;
    fnd_mtl_release(c->m, *pipeline);
    return fnd_fail(err, FND_ERR_DEVICE, "%s was compiled for groups of %u threads, and %s runs at most %u here; remove the cache of kernels", entry, h->warps * FND_METAL_LANES, c->name, most);
}

fnd_status fnd_metal_load(void *self, const char *entry, const void *blob, size_t bytes, void **out, fnd_error *err) {
    fnd_metal *c = self;
    const uint8_t *data = blob;
    header h = { .warps = 0 };
    *out = NULL;
    if (bytes > sizeof h) memcpy(&h, data, sizeof h);
    if (bytes <= sizeof h + 1 || memcmp(h.magic, magic, sizeof magic) != 0 || h.warps < 1 || h.warps > c->max_warps || h.is_library > 1 || data[bytes - 1] != '\0') {
        return fnd_fail(err, FND_ERR_DEVICE, "%s: what should be a kernel for Metal is something else", entry);
    }
    fnd_metal_code *code = fnd_alloc_zeroed(1, sizeof *code);
    if (!code) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while loading code");
    void *pool = c->m->push_pool();
    fnd_status status = FND_OK;
    code->warps = h.warps;
    code->pipeline = take_fresh(c, blob, bytes);
    if (!code->pipeline) status = pipeline_of_blob(c, entry, &h, data + sizeof h, bytes - sizeof h - 1, &code->pipeline, err);
    c->m->pop_pool(pool);
    if (status != FND_OK) {
        fnd_free_memory(code);
        return status;
    }
    *out = code;
    return FND_OK;
}

void fnd_metal_unload(void *self, void *loaded) {
    fnd_metal *c = self;
    fnd_metal_code *code = loaded;
    if (!code) return;
    fnd_mtl_release(c->m, code->pipeline); /* command buffers hold those that they still need */
    fnd_free_memory(code);
}
