/* context.c - opening a device, and closing it with everything made on it. */
#include "run/context.h"
#include "base/base.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/cache.h"

#include <stdio.h>

static const fnd_backend *const backends[] = {
#define FND_BACKEND_ROW_(name, doc) &fnd_backend_##name,
    FND_BACKENDS(FND_BACKEND_ROW_)
#undef FND_BACKEND_ROW_
};

const char *fnd_backend_name(size_t index) { return index < FND_COUNT(backends) ? backends[index]->name : NULL; }
const char *fnd_backend_doc(size_t index) { return index < FND_COUNT(backends) ? backends[index]->doc : NULL; }

/* ---- the backend as the tensor layer sees it -------------------------------------------------- */

static fnd_memory memory_of(const fnd_block *b) {
    return (fnd_memory){ .address = b->address, .host = b->host, .bytes = b->bytes, .handle = b->handle };
}

static fnd_block block_of(const fnd_memory *m) {
    return (fnd_block){ .address = m->address, .host = m->host, .bytes = m->bytes, .handle = m->handle };
}

static fnd_status device_alloc(void *self, size_t bytes, fnd_block *out, fnd_error *err) {
    foundry *f = self;
    fnd_flight_quiet(f);
    fnd_memory m = { 0 };
    FND_TRY(f->backend->alloc(f->device, bytes, &m, err));
    *out = block_of(&m);
    return FND_OK;
}

static fnd_status device_reserve(void *self, size_t bytes, fnd_block *out, fnd_error *err) {
    foundry *f = self;
    fnd_flight_quiet(f);
    fnd_memory m = { 0 };
    FND_TRY(f->backend->reserve(f->device, bytes, &m, err));
    *out = block_of(&m);
    return FND_OK;
}

static fnd_status device_commit(void *self, fnd_block *block, size_t bytes, fnd_error *err) {
    foundry *f = self;
    fnd_flight_quiet(f);
    fnd_memory m = memory_of(block);
    FND_TRY(f->backend->commit(f->device, &m, bytes, err));
    *block = block_of(&m);
    return FND_OK;
}

static void device_forget(void *self, const fnd_block *block) {
    foundry *f = self;
    fnd_memory m = memory_of(block);
    if (f->backend->forget) f->backend->forget(f->device, &m);
}

static void device_release(void *self, fnd_block *block) {
    foundry *f = self;
    fnd_flight_quiet(f);
    fnd_memory m = memory_of(block);
    f->backend->release(f->device, &m);
    *block = (fnd_block){ 0 };
}

static fnd_status device_adopt(void *self, const void *host, size_t bytes, fnd_block *out, fnd_error *err) {
    foundry *f = self;
    fnd_flight_quiet(f);
    fnd_memory m = { 0 };
    FND_TRY(f->backend->adopt(f->device, host, bytes, &m, err));
    *out = block_of(&m);
    return FND_OK;
}

static fnd_status device_upload(void *self, fnd_block *to, size_t offset, const void *from, size_t bytes, fnd_error *err) {
    foundry *f = self;
    fnd_flight_quiet(f);
    fnd_memory m = memory_of(to);
    return f->backend->upload(f->device, &m, offset, from, bytes, err);
}

static fnd_status device_download(void *self, void *to, const fnd_block *from, size_t offset, size_t bytes, fnd_error *err) {
    foundry *f = self;
    fnd_flight_quiet(f);
    fnd_memory m = memory_of(from);
    return f->backend->download(f->device, to, &m, offset, bytes, err);
}

static fnd_status device_wait(void *self, fnd_error *err) {
    foundry *f = self;
    FND_TRY(fnd_flight_check_thread(f, "waiting", err));
    fnd_error failure = { 0 };
    fnd_flight_quiet(f);
    (void)f->backend->wait(f->device, &failure);
    fnd_status status = fnd_flight_wait(f, UINT64_MAX, err); /* of two failures, the submission's */
    return status != FND_OK || failure.status == FND_OK ? status : fnd_fail(err, failure.status, "%s", failure.text);
}

static fnd_status device_wait_for(void *self, uint64_t submission, fnd_error *err) { return fnd_flight_wait(self, submission, err); }

static const fnd_storage_ops device_ops = {
    .alloc = device_alloc,
    .reserve = device_reserve,
    .commit = device_commit,
    .forget = device_forget,
    .release = device_release,
    .adopt = device_adopt,
    .upload = device_upload,
    .download = device_download,
    .wait = device_wait,
    .wait_for = device_wait_for,
};

fnd_status fnd_device_wait(foundry *f, fnd_error *err) { return fnd_storage_wait(f->storage, err); }

/* ---- opening ------------------------------------------------------------------------------------ */

static fnd_status copy_string(const char **string, fnd_error *err) {
    if (!*string) return FND_OK;
    *string = fnd_alloc_string(*string, strlen(*string));
    return *string ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for the options of a context");
}

/* The strings of the desc become the context's own; all or those before a failure. */
static fnd_status copy_desc(foundry *f, const fnd_desc *desc, fnd_error *err) {
    fnd_desc d = *desc;
    if (d.threads > FND_MAX_THREADS) return fnd_fail(err, FND_ERR_USAGE, "%u threads were asked for; %d are possible", d.threads, FND_MAX_THREADS);
    if (!d.cache_dir && d.default_cache_dir[0]) d.cache_dir = d.default_cache_dir;
    if (d.no_cache) d.cache_dir = NULL;
    d.backend = f->backend->name;
    f->desc = d;
    const char **strings[] = { &f->desc.metal_library, &f->desc.isa, &f->desc.compiler, &f->desc.kernel_dir, &f->desc.cache_dir };
    fnd_status status = FND_OK;
    for (size_t i = 0; i < FND_COUNT(strings); i++) {
        if (status == FND_OK) {
            status = copy_string(strings[i], err);
        } else {
            *strings[i] = NULL;
        }
    }
    return status;
}

static void free_context(foundry *f) {
    const char *const strings[] = { f->desc.metal_library, f->desc.isa, f->desc.compiler, f->desc.kernel_dir, f->desc.cache_dir };
    for (size_t i = 0; i < FND_COUNT(strings); i++) fnd_free_memory((void *)(uintptr_t)strings[i]);
    fnd_profiler_free(&f->profiler);
    fnd_flight_free(&f->flight);
    pthread_mutex_destroy(&f->notice_lock);
    fnd_registry_free(&f->registry);
    fnd_free_memory(f);
}

/* Before the device is opened: how many workers it has, and what its matrix unit is for, may have been tuned. What is wrong with the file should be
 * known, and is no failure. */
static void read_tuning(foundry *f) {
    bool found;
    fnd_error why = { 0 };
    if (f->desc.untuned) return;
    if (fnd_tuning_read(&f->desc, &f->tuning, &found, &why) != FND_OK) fnd_notice(f, why.text);
    if (!f->desc.threads) f->desc.threads = f->tuning.threads;
    if (!f->desc.unit_from) f->desc.unit_from = f->tuning.unit_from;
}

static fnd_status open_device(foundry *f, fnd_error *err) {
    const uint32_t seconds = f->desc.watchdog_seconds ? f->desc.watchdog_seconds : FND_WATCHDOG_SECONDS;
    fnd_backend_desc d = { .watchdog_seconds = seconds == FND_NO_WATCHDOG ? 0 : seconds, .threads = f->desc.threads, .unit_from = f->desc.unit_from, .device = f->desc.device, .isa = f->desc.isa, .compiler = f->desc.compiler, .metal_library = f->desc.metal_library, .compiler_seconds = f->desc.compiler_seconds };
    FND_TRY(f->backend->open(&d, &f->device, &f->info, err));
    f->storage_ops = device_ops;
    f->storage_ops.host_memory = f->info.host_memory;
    f->storage_ops.can_adopt = f->backend->adopt != NULL;
    fnd_status status = fnd_storage_open(&f->storage_ops, f, f, f->backend->name, &f->storage, err);
    if (status != FND_OK) f->backend->close(f->device);
    return status;
}

fnd_status fnd_open_with_backend(const fnd_backend *backend, const fnd_desc *desc, foundry **out, fnd_error *err) {
    *out = NULL;
    foundry *f = fnd_alloc_zeroed(1, sizeof *f);
    if (!f) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a context");
    f->backend = backend;
    fnd_registry_init(&f->registry);
    fnd_profiler_init(&f->profiler, f);
    fnd_flight_init(&f->flight);
    pthread_mutex_init(&f->notice_lock, NULL);
    fnd_desc defaults = { 0 };
    fnd_status status = copy_desc(f, desc ? desc : &defaults, err);
    if (status == FND_OK) read_tuning(f);
    if (status == FND_OK) status = open_device(f, err);
    if (status != FND_OK) {
        free_context(f);
        return status;
    }
    *out = f;
    return FND_OK;
}

fnd_status fnd_open(const fnd_desc *desc, foundry **out, fnd_error *err) {
    const char *name = desc && desc->backend ? desc->backend : "cpu";
    *out = NULL;
    for (size_t i = 0; i < FND_COUNT(backends); i++) {
        if (strcmp(backends[i]->name, name) == 0) return fnd_open_with_backend(backends[i], desc, out, err);
    }
    fnd_text known = { 0 };
    for (size_t i = 0; i < FND_COUNT(backends); i++) fnd_text_printf(&known, "%s%s", i ? ", " : "", backends[i]->name);
    fnd_status status = fnd_fail(err, FND_ERR_USAGE, "there is no backend '%.64s'; known are: %s", name, fnd_text_get(&known));
    fnd_text_free(&known);
    return status;
}

/* ---- closing ------------------------------------------------------------------------------------ */

fnd_status fnd_context_check(const foundry *f, fnd_error *err) {
    if (f && fnd_storage_owner_of(f)) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, f ? "the context is closed" : "no context was given (NULL)");
}

fnd_status fnd_close(foundry *f, fnd_error *err) {
    if (!f) return FND_OK;
    FND_TRY(fnd_context_check(f, err));
    FND_TRY(fnd_flight_check_thread(f, "closing", err));
    fnd_status status = fnd_device_wait(f, err);
    fnd_flight_stop(f);
    fnd_status files = fnd_profile_stop(f, err);
    fnd_registry_release(&f->registry, f);
    if (f->run_release) f->run_release(f);
    fnd_storage_close(f->storage);
    f->backend->close(f->device);
    free_context(f);
    return status != FND_OK ? status : files;
}

void fnd_notice(foundry *f, const char *text) {
    pthread_mutex_lock(&f->notice_lock);
    if (!f->has_notice) snprintf(f->notice, sizeof f->notice, "%s", text);
    f->has_notice = true;
    pthread_mutex_unlock(&f->notice_lock);
}

bool fnd_next_notice(foundry *f, char *text, size_t bytes) {
    pthread_mutex_lock(&f->notice_lock);
    bool has = f->has_notice;
    if (has) snprintf(text, bytes, "%s", f->notice);
    f->has_notice = false;
    pthread_mutex_unlock(&f->notice_lock);
    return has || (f->cache && fnd_cache_notice(f->cache, text, bytes));
}

fnd_status fnd_info(const foundry *f, fnd_context_info *out, fnd_error *err) {
    *out = (fnd_context_info){ 0 };
    FND_TRY(fnd_context_check(f, err));
    *out = (fnd_context_info){
        .backend = f->backend->name,
        .device = f->info.name,
        .target = f->info.target,
        .groups = f->info.groups,
        .lanes = f->info.lanes,
        .tile_rows = f->info.tile_rows,
        .reads_rows = !f->info.tile_rows || f->info.reads_rows,
        .host_memory = f->info.host_memory,
        .can_build = f->info.can_build,
        .why_not_build = f->info.can_build ? "" : f->info.why_not_build,
    };
    return FND_OK;
}

fnd_status fnd_device_check(foundry *f, char *says, size_t bytes, fnd_error *err) {
    snprintf(says, bytes, "%s", "");
    FND_TRY(fnd_context_check(f, err));
    if (!f->backend->check) return FND_OK;
    fnd_device_lock(f);
    fnd_status status = f->backend->check(f->device, says, bytes, err);
    fnd_device_unlock(f);
    return status;
}

/* ---- counters ----------------------------------------------------------------------------------- */

uint64_t fnd_counter_get(const foundry *f, fnd_counter counter) {
    if ((unsigned)counter >= FND_COUNTER_COUNT || fnd_context_check(f, NULL) != FND_OK) return 0;
    fnd_storage_counts s;
    fnd_storage_get_counts(f->storage, &s);
    switch (counter) {
    case FND_COUNTER_ALLOCATIONS:
        return s.allocations;
    case FND_COUNTER_BYTES_HELD:
        return s.bytes_held;
    case FND_COUNTER_BYTES_PEAK:
        return s.bytes_peak;
    case FND_COUNTER_UPLOADED_BYTES:
        return s.uploaded_bytes;
    case FND_COUNTER_DOWNLOADED_BYTES:
        return s.downloaded_bytes;
    case FND_COUNTER_WAITS:
        return s.waits;
    default:
        return atomic_load_explicit(&f->counters[counter], memory_order_relaxed);
    }
}

const char *fnd_counter_name(fnd_counter counter) {
    static const char *const names[] = {
#define FND_COUNTER_ROW_(id, name, doc) #name,
        FND_COUNTERS(FND_COUNTER_ROW_)
#undef FND_COUNTER_ROW_
    };
    return (unsigned)counter < FND_COUNTER_COUNT ? names[counter] : "?";
}
