/* memory.c - memory that kernels may be given, and the buffers it is in.
 *
 * SAFETY: where processor and GPU have one memory, an address is the host's, and the host works in it. Address
 * space that grows, and a mapped file, are pages of ours or the caller's that Metal is shown as they are: whole
 * pages, not copied, which go only after the GPU has done everything. Elsewhere memory is private to the GPU and an
 * address is a number of our own, from a range that nothing else has. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#endif
#include "backend/metal/metal.h"
#include "base/base.h"
#include "base/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

enum { ALIGNMENT = 16384,
       MAX_BUFFERS = 4096 };

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* ---- buffers ---- */

fnd_status fnd_metal_new_buffer(fnd_metal *c, size_t bytes, bool on_host, const char *label, fnd_id *out, fnd_error *err) {
    const fnd_metal_api *m = c->m;
    size_t length = bytes ? bytes : 16;
    *out = NULL;
    if (length > c->max_buffer) {
        return fnd_fail(err, FND_ERR_MEMORY, "%.1f MB were asked for in one piece; %s has %.1f MB at most; a smaller context, model or weight format would fit", (double)length / 1e6, c->name, (double)c->max_buffer / 1e6);
    }
    *out = fnd_mtl_device_buffer(m, c->device, length, on_host ? FND_MTL_STORAGE_SHARED : FND_MTL_STORAGE_PRIVATE);
    if (!*out) {
        return fnd_fail(err, FND_ERR_MEMORY, "out of GPU memory: %.1f MB were asked for, %.1f MB of the %.1f MB that %s should hold are in use; a smaller context, model or weight format would fit", (double)length / 1e6,
                        (double)fnd_mtl_device_allocated(m, c->device) / 1e6, (double)fnd_mtl_device_working_set(m, c->device) / 1e6, c->name);
    }
    fnd_mtl_buffer_label(m, *out, fnd_metal_string(m, label));
    return FND_OK;
}

/* Pages of the host as a buffer. */
static fnd_status buffer_over(fnd_metal *c, uint8_t *at, size_t bytes, const char *label, fnd_id *out, fnd_error *err) {
    const fnd_metal_api *m = c->m;
    *out = fnd_mtl_device_buffer_over(m, c->device, at, bytes, FND_MTL_STORAGE_SHARED, NULL);
    if (!*out) return fnd_fail(err, FND_ERR_MEMORY, "Metal does not take %.1f MB of this process's memory as a buffer; a smaller context, model or weight format would fit", (double)bytes / 1e6);
    fnd_mtl_buffer_label(m, *out, fnd_metal_string(m, label));
    return FND_OK;
}

/* ---- the list of blocks ---- */

/* The first block that begins behind `address`. */
static size_t behind(const fnd_metal *c, uint64_t address) {
    size_t low = 0, high = c->block_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->blocks[middle]->address > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static fnd_status new_block(uint32_t buffers, fnd_metal_block **out, fnd_error *err) {
    *out = fnd_alloc_zeroed(1, sizeof **out + buffers * sizeof(fnd_id));
    return *out ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory");
}

static void free_block(fnd_metal *c, fnd_metal_block *b) {
    for (uint32_t i = 0; i < b->buffer_count; i++) fnd_mtl_release(c->m, b->buffers[i]);
    if (b->mapping) munmap(b->mapping, b->mapping_bytes);
    fnd_free_memory(b);
}

/* The block is the device's from here, or freed. */
static fnd_status enter(fnd_metal *c, fnd_metal_block *b, fnd_memory *out, fnd_error *err) {
    fnd_metal_block **list = fnd_alloc_resized(c->blocks, c->block_count + 1, sizeof(void *));
    if (!list) {
        free_block(c, b);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    }
    c->blocks = list;
    size_t at = behind(c, b->address);
    memmove(list + at + 1, list + at, (c->block_count - at) * sizeof *list);
    list[at] = b;
    c->block_count++;
    *out = (fnd_memory){ .address = b->address, .host = b->on_host ? (void *)(uintptr_t)b->address : NULL, .bytes = b->bytes, .handle = b };
    return FND_OK;
}

fnd_status fnd_metal_find(const fnd_metal *c, uint64_t address, uint64_t bytes, fnd_id *buffer, uint64_t *offset, fnd_error *err) {
    size_t next = behind(c, address);
    /* Adopted memory may overlap what is adopted beside it: the nearest that holds all is right. */
    for (size_t i = next; i-- > 0;) {
        const fnd_metal_block *b = c->blocks[i];
        uint64_t at = address - b->address;
        if (at >= b->bytes || bytes > b->usable - fnd_min_size((size_t)at, b->usable)) continue;
        at += b->pad;
        uint64_t index = b->step ? at / b->step : 0;
        if (index >= b->buffer_count) index = b->buffer_count ? b->buffer_count - 1 : 0;
        if (b->buffer_count == 0) break;
        *buffer = b->buffers[index];
        *offset = at - index * b->step;
        if (b->step && bytes > b->step && *offset + bytes > 2 * (uint64_t)b->step) return fnd_fail(err, FND_ERR_MEMORY, "a tensor of %.1f MB is longer than half of the longest buffer of %s; a weight format with fewer bits would fit", (double)bytes / 1e6, c->name);
        return FND_OK;
    }
    if (bytes == 0) {
        *buffer = c->nothing;
        *offset = 0;
        return FND_OK;
    }
    return fnd_fail(err, FND_ERR_USAGE, "%llu bytes at address %#llx are not memory of this device", (unsigned long long)bytes, (unsigned long long)address);
}

static uint64_t take_address(fnd_metal *c, size_t bytes) {
    uint64_t address = c->next_address;
    c->next_address += fnd_round_up(bytes ? bytes : 1, ALIGNMENT) + ALIGNMENT; /* a gap, so that a stray address is nobody's */
    return address;
}

/* ---- allocating ---- */

static fnd_status fill_with_zeros(fnd_metal *c, fnd_id buffer, size_t from, size_t to, fnd_error *err) {
    if (to <= from) return FND_OK;
    FND_TRY(fnd_metal_blit_encoder(c, err));
    fnd_mtl_blit_fill(c->m, c->blit, buffer, (fnd_ns_range){ from, to - from }, 0);
    return FND_OK;
}

static fnd_status alloc(fnd_metal *c, size_t bytes, fnd_memory *out, fnd_error *err) {
    fnd_metal_block *b;
    size_t whole;
    if (!fnd_add_size(bytes, 2 * ALIGNMENT, &whole)) return fnd_fail(err, FND_ERR_MEMORY, "no memory of %zu bytes", bytes);
    whole = bytes ? fnd_round_up(bytes, 4) : 16;
    FND_TRY(new_block(1, &b, err));
    fnd_status status = fnd_metal_new_buffer(c, whole, c->unified, c->unified ? "foundry shared" : "foundry private", &b->buffers[0], err);
    if (status == FND_OK) b->buffer_count = 1;
    if (status == FND_OK && !c->unified) status = fill_with_zeros(c, b->buffers[0], 0, whole, err); /* Metal promises zeros of shared memory only */
    if (status != FND_OK) {
        free_block(c, b);
        return status;
    }
    b->on_host = c->unified;
    b->address = c->unified ? (uint64_t)(uintptr_t)fnd_mtl_buffer_contents(c->m, b->buffers[0]) : take_address(c, whole);
    b->bytes = b->usable = bytes;
    return enter(c, b, out, err);
}

fnd_status fnd_metal_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    fnd_metal *c = self;
    *out = (fnd_memory){ 0 };
    void *pool = c->m->push_pool();
    fnd_status status = alloc(c, bytes, out, err);
    c->m->pop_pool(pool);
    return status;
}

fnd_status fnd_metal_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    fnd_metal *c = self;
    fnd_metal_block *b;
    size_t whole;
    *out = (fnd_memory){ 0 };
    if (!fnd_add_size(bytes, 2 * ALIGNMENT + page_bytes(), &whole)) return fnd_fail(err, FND_ERR_MEMORY, "no address space of %zu bytes", bytes);
    whole = fnd_round_up(bytes ? bytes : 1, page_bytes());
    FND_TRY(new_block(1, &b, err));
    b->bytes = bytes;
    b->on_host = c->unified;
    if (c->unified) {
        void *mapping = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); /* nothing is behind it until it is touched */
        if (mapping == MAP_FAILED) {
            fnd_free_memory(b);
            return fnd_fail(err, FND_ERR_MEMORY, "no address space of %zu bytes: %s", bytes, strerror(errno));
        }
        b->mapping = mapping;
        b->mapping_bytes = whole;
        b->address = (uint64_t)(uintptr_t)mapping;
    } else {
        b->address = take_address(c, whole);
    }
    return enter(c, b, out, err);
}

/* The same pages and more of them, as one longer buffer; what is there stays where it is. Metal takes what one region
 * of the address space covers, so all of it can be written from the first: rights given piece by piece would cut it. */
static fnd_status grow_pages(fnd_metal *c, fnd_metal_block *b, size_t bytes, fnd_error *err) {
    size_t whole = fnd_round_up(bytes, page_bytes());
    fnd_id buffer;
    if (whole > c->max_buffer) return fnd_fail(err, FND_ERR_MEMORY, "%.1f MB were asked for in one piece; %s has %.1f MB at most; a smaller context would fit", (double)whole / 1e6, c->name, (double)c->max_buffer / 1e6);
    FND_TRY(buffer_over(c, b->mapping, whole, "foundry growing", &buffer, err));
    if (b->buffer_count) fnd_mtl_release(c->m, b->buffers[0]);
    b->buffers[0] = buffer;
    b->buffer_count = 1;
    return FND_OK;
}

/* A longer buffer with what the old one held. */
static fnd_status grow_private(fnd_metal *c, fnd_metal_block *b, size_t bytes, fnd_error *err) {
    size_t whole = fnd_round_up(bytes, ALIGNMENT), old = b->usable;
    fnd_id buffer;
    FND_TRY(fnd_metal_new_buffer(c, whole, false, "foundry growing", &buffer, err));
    fnd_status status = fill_with_zeros(c, buffer, fnd_round_up(old, 4), whole, err);
    if (status == FND_OK && old) {
        status = fnd_metal_blit_encoder(c, err);
        if (status == FND_OK) fnd_mtl_blit_copy(c->m, c->blit, b->buffers[0], 0, buffer, 0, fnd_round_up(old, 4));
    }
    if (status != FND_OK) {
        fnd_mtl_release(c->m, buffer);
        return status;
    }
    if (b->buffer_count) fnd_mtl_release(c->m, b->buffers[0]); /* the command buffer holds it as long as need be */
    b->buffers[0] = buffer;
    b->buffer_count = 1;
    return FND_OK;
}

fnd_status fnd_metal_commit_memory(void *self, fnd_memory *memory, size_t bytes, fnd_error *err) {
    fnd_metal *c = self;
    fnd_metal_block *b = memory->handle;
    if (!b || bytes > b->bytes) return fnd_fail(err, FND_ERR_USAGE, "%zu bytes are to be used of %zu reserved", bytes, b ? b->bytes : 0);
    if (bytes <= b->usable) return FND_OK;
    void *pool = c->m->push_pool();
    fnd_status status = fnd_metal_drain(c, err); /* the GPU must not know one page by two buffers */
    if (status == FND_OK) status = c->unified ? grow_pages(c, b, bytes, err) : grow_private(c, b, bytes, err);
    if (status == FND_OK) b->usable = bytes;
    c->m->pop_pool(pool);
    return status;
}

/* ---- adopting ---- */

/* Whole pages round what is adopted, in buffers of at most the longest length. */
fnd_status fnd_metal_adopt(void *self, const void *host, size_t bytes, fnd_memory *out, fnd_error *err) {
    fnd_metal *c = self;
    fnd_metal_block *b;
    size_t page = page_bytes(), pad = (size_t)((uintptr_t)host % page), whole;
    *out = (fnd_memory){ 0 };
    if (!fnd_add_size(bytes ? bytes : 1, pad + page, &whole)) return fnd_fail(err, FND_ERR_MEMORY, "no memory of %zu bytes can be shown to the GPU", bytes);
    whole = fnd_round_up((bytes ? bytes : 1) + pad, page);
    size_t longest = (size_t)(c->max_buffer / (2 * page) * (2 * page)), step = longest / 2;
    size_t count = whole <= longest ? 1 : (whole - longest + step - 1) / step + 1;
    if (count > MAX_BUFFERS) return fnd_fail(err, FND_ERR_MEMORY, "%.1f MB are too many for buffers of %.1f MB", (double)whole / 1e6, (double)longest / 1e6);
    FND_TRY(new_block((uint32_t)count, &b, err));
    b->address = (uint64_t)(uintptr_t)host;
    b->bytes = b->usable = bytes;
    b->pad = pad;
    b->step = count > 1 ? step : 0;
    b->on_host = true;
    void *pool = c->m->push_pool();
    fnd_status status = FND_OK;
    for (size_t i = 0; i < count && status == FND_OK; i++) {
        size_t at = i * step;
        status = buffer_over(c, (uint8_t *)(uintptr_t)host - pad + at, fnd_min_size(longest, whole - at), "foundry adopted", &b->buffers[i], err);
        b->buffer_count += status == FND_OK;
    }
    if (status == FND_OK) {
        status = enter(c, b, out, err);
    } else {
        free_block(c, b);
    }
    c->m->pop_pool(pool);
    return status;
}

/* ---- releasing ---- */

void fnd_metal_release(void *self, fnd_memory *memory) {
    fnd_metal *c = self;
    fnd_metal_block *b = memory->handle;
    fnd_error ignored = { 0 };
    *memory = (fnd_memory){ 0 };
    if (!b) return;
    void *pool = c->m->push_pool();
    (void)fnd_metal_drain(c, &ignored); /* nothing may still use it */
    for (size_t i = 0; i < c->block_count; i++) {
        if (c->blocks[i] != b) continue;
        memmove(c->blocks + i, c->blocks + i + 1, (--c->block_count - i) * sizeof(void *));
        free_block(c, b);
        break;
    }
    c->m->pop_pool(pool);
}

void fnd_metal_release_all(fnd_metal *c) {
    for (size_t i = 0; i < c->block_count; i++) free_block(c, c->blocks[i]);
    fnd_free_memory(c->blocks);
    c->blocks = NULL;
    c->block_count = 0;
}
