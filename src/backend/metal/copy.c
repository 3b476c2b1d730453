/* copy.c - copies between the host and the GPU's memory.
 *
 * SAFETY: memory that the host sees is copied by the host, after the GPU has done everything. Private memory is
 * copied by the GPU, in the order of the launches, through buffers of our own that the command buffer holds. */
#include "backend/metal/metal.h"
#include "base/base.h"

static fnd_status check_range(const fnd_memory *memory, size_t offset, size_t bytes, const char *what, fnd_error *err) {
    const fnd_metal_block *b = memory->handle;
    size_t usable = b ? b->usable : 0, end;
    if (fnd_add_size(offset, bytes, &end) && end <= usable) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%s of %zu bytes at %zu: the memory has %zu", what, bytes, offset, usable);
}

/* One piece to private memory. Blits move whole words on macOS; the staging buffer takes the bytes round them
 * from where they are going, so an odd edge goes by way of the host. */
static fnd_status upload_piece(fnd_metal *c, fnd_metal_block *b, size_t offset, const uint8_t *from, size_t bytes, fnd_error *err) {
    fnd_id staging = fnd_mtl_device_buffer_from(c->m, c->device, from, bytes, FND_MTL_STORAGE_SHARED);
    if (!staging) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a copy of %zu bytes to the GPU", bytes);
    fnd_mtl_buffer_label(c->m, staging, fnd_metal_string(c->m, "foundry upload"));
    fnd_status status = fnd_metal_blit_encoder(c, err);
    if (status == FND_OK) fnd_mtl_blit_copy(c->m, c->blit, staging, 0, b->buffers[0], offset, bytes);
    fnd_mtl_release(c->m, staging);
    return status;
}

static fnd_status download_piece(fnd_metal *c, const fnd_metal_block *b, size_t offset, uint8_t *to, size_t bytes, fnd_error *err) {
    fnd_id staging;
    FND_TRY(fnd_metal_new_buffer(c, bytes, true, "foundry download", &staging, err));
    fnd_status status = fnd_metal_blit_encoder(c, err);
    if (status == FND_OK) {
        fnd_mtl_blit_copy(c->m, c->blit, b->buffers[0], offset, staging, 0, bytes);
        status = fnd_metal_wait(c, err); /* the copy itself may fail */
    }
    if (status == FND_OK) memcpy(to, fnd_mtl_buffer_contents(c->m, staging), bytes);
    fnd_mtl_release(c->m, staging);
    return status;
}

/* Words at both ends that are only partly written: read, changed, and written whole. */
static fnd_status upload_private(fnd_metal *c, fnd_metal_block *b, size_t offset, const uint8_t *from, size_t bytes, fnd_error *err) {
    while (bytes) {
        size_t odd = offset % 4, part = fnd_min_size(bytes, FND_METAL_STAGING_BYTES);
        if (odd || part < 4) {
            uint8_t word[4];
            part = fnd_min_size(bytes, 4 - odd);
            FND_TRY(download_piece(c, b, offset - odd, word, 4, err));
            memcpy(word + odd, from, part);
            FND_TRY(upload_piece(c, b, offset - odd, word, 4, err));
        } else {
            part -= part % 4;
            FND_TRY(upload_piece(c, b, offset, from, part, err));
        }
        /* Large uploads go as they come, so that no more than a few pieces are held twice. */
        if (bytes > part && part == FND_METAL_STAGING_BYTES && !c->begun) FND_TRY(fnd_metal_drain(c, err));
        offset += part;
        from += part;
        bytes -= part;
    }
    return FND_OK;
}

fnd_status fnd_metal_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err) {
    fnd_metal *c = self;
    fnd_metal_block *b = to->handle;
    FND_TRY(check_range(to, offset, bytes, "upload", err));
    if (!bytes) return FND_OK;
    void *pool = c->m->push_pool();
    fnd_status status;
    if (b->on_host) {
        status = fnd_metal_drain(c, err);
        if (status == FND_OK) memcpy((uint8_t *)(uintptr_t)b->address + offset, from, bytes);
    } else {
        status = upload_private(c, b, offset, from, bytes, err);
    }
    c->m->pop_pool(pool);
    return status;
}

fnd_status fnd_metal_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err) {
    fnd_metal *c = self;
    const fnd_metal_block *b = from->handle;
    FND_TRY(check_range(from, offset, bytes, "download", err));
    if (!bytes) return FND_OK;
    void *pool = c->m->push_pool();
    fnd_status status = b->on_host ? fnd_metal_drain(c, err) : FND_OK;
    if (status == FND_OK && b->on_host) memcpy(to, (const uint8_t *)(uintptr_t)b->address + offset, bytes);
    for (size_t at = 0; !b->on_host && at < bytes && status == FND_OK;) {
        size_t odd = (offset + at) % 4, part = fnd_min_size(bytes - at, FND_METAL_STAGING_BYTES);
        if (odd || part < 4) {
            uint8_t word[4];
            part = fnd_min_size(bytes - at, 4 - odd);
            status = download_piece(c, b, offset + at - odd, word, 4, err);
            if (status == FND_OK) memcpy((uint8_t *)to + at, word + odd, part);
        } else {
            part -= part % 4;
            status = download_piece(c, b, offset + at, (uint8_t *)to + at, part, err);
        }
        at += part;
    }
    c->m->pop_pool(pool);
    return status;
}
