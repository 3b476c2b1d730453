/* fake_backend.c - see fake_backend.h. */
#include "fake_backend.h"
#include "base/base.h"
#include "base/memory.h"
#include "test.h"

/* Addresses of memory the host cannot see lie elsewhere, so that using one as a pointer crashes. */
static const uint64_t far_away = (uint64_t)1 << 62;

fake_device fake;

void *fake_bytes(uint64_t address) { return (void *)(uintptr_t)(address & ~far_away); }

static fnd_status fake_open_device(const fnd_backend_desc *desc, void **self, fnd_device_info *info, fnd_error *err) {
    (void)err;
    fake.opened++;
    *self = &fake;
    *info = (fnd_device_info){ .name = "a device of the tests", .groups = desc->threads ? desc->threads : 2, .lanes = 1, .host_memory = fake.host_memory };
    snprintf(info->target, sizeof info->target, "fake %s", desc->isa ? desc->isa : "best");
    snprintf(info->why_not_build, sizeof info->why_not_build, "it has no compiler");
    return FND_OK;
}

static void fake_close_device(void *self) {
    (void)self;
    fake.closed++;
}

static fnd_status fake_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    (void)self;
    fake.allocs++;
    void *block = fnd_alloc_aligned(bytes, 64);
    if (!block) return fnd_fail(err, FND_ERR_MEMORY, "no device memory");
    memset(block, 0, bytes);
    fake.live++;
    *out = (fnd_memory){ .address = (uint64_t)(uintptr_t)block | (fake.host_memory ? 0 : far_away), .host = fake.host_memory ? block : NULL, .bytes = bytes, .handle = block };
    return FND_OK;
}

static fnd_status fake_commit(void *self, fnd_memory *memory, size_t bytes, fnd_error *err) {
    (void)self;
    (void)memory;
    fake.commits++;
    if (fake.fail_commit_above && bytes > fake.commit_limit_bytes) return fnd_fail(err, FND_ERR_MEMORY, "no more than %zu bytes", fake.commit_limit_bytes);
    return FND_OK;
}

static void fake_release(void *self, fnd_memory *memory) {
    (void)self;
    fake.live--;
    if (fake.released_count < 64) fake.released[fake.released_count++] = memory->address;
    fnd_free_memory(memory->handle);
}

static fnd_status fake_adopt(void *self, const void *host, size_t bytes, fnd_memory *out, fnd_error *err) {
    (void)self;
    (void)err;
    fake.live++;
    *out = (fnd_memory){ .address = (uint64_t)(uintptr_t)host, .host = (void *)(uintptr_t)host, .bytes = bytes };
    return FND_OK;
}

static fnd_status fake_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err) {
    (void)self;
    fake.uploads++;
    if (fake.fail_upload) return fnd_fail(err, FND_ERR_DEVICE, "the upload failed");
    memcpy((char *)to->handle + offset, from, bytes);
    return FND_OK;
}

static fnd_status fake_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err) {
    (void)self;
    (void)err;
    fake.downloads++;
    memcpy(to, (const char *)from->handle + offset, bytes);
    return FND_OK;
}

static fnd_status fake_wait(void *self, fnd_error *err) {
    (void)self;
    fake.waits++;
    return fake.fail_wait ? fnd_fail(err, FND_ERR_DEVICE, "a launch failed") : FND_OK;
}

const fnd_backend fake_backend = {
    .name = "fake",
    .open = fake_open_device,
    .close = fake_close_device,
    .alloc = fake_alloc,
    .reserve = fake_alloc,
    .commit = fake_commit,
    .release = fake_release,
    .upload = fake_upload,
    .download = fake_download,
    .wait = fake_wait,
};

const fnd_backend fake_backend_adopts = {
    .name = "fake",
    .open = fake_open_device,
    .close = fake_close_device,
    .alloc = fake_alloc,
    .reserve = fake_alloc,
    .commit = fake_commit,
    .release = fake_release,
    .adopt = fake_adopt,
    .upload = fake_upload,
    .download = fake_download,
    .wait = fake_wait,
};

foundry *fake_open(bool host_memory) {
    fnd_error err = { 0 };
    foundry *f = NULL;
    fake = (fake_device){ .host_memory = host_memory };
    CHECK_OK(fnd_open_with_backend(&fake_backend, NULL, &f, &err), &err);
    return f;
}
