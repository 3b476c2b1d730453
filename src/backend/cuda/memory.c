/* memory.c - device memory, and copies between it and the host.
 *
 * SAFETY: a block's record holds what the driver gave, and release gives back exactly that. Reserved
 * address space is mapped piece by piece as commit asks; a kernel that runs past what was committed
 * ends with the driver's error instead of reading a neighbour. The host's memory is only read or
 * written inside a call: small copies are waited for, large ones go through pinned buffers of our own. */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "base/memory.h"

enum { MAX_PIECES = 64 }; /* commits double, so there are few */

typedef struct piece {
    fnd_cu_allocation allocation;
    size_t at, bytes;
} piece;

typedef struct block {
    bool reserved;
    size_t space_bytes, mapped_bytes, piece_count;
    piece pieces[MAX_PIECES];
} block;

/* ---- allocating ---- */

static fnd_status out_of_memory(const fnd_cuda *c, int result, size_t bytes, fnd_error *err) {
    size_t available = 0, all = 0;
    if (result != FND_CU_OUT_OF_MEMORY) return fnd_cuda_check(c->cu, result, "allocating GPU memory", err);
    (void)c->cu->memory_info(&available, &all);
    return fnd_fail(err, FND_ERR_MEMORY, "out of GPU memory: %.1f MB were asked for, %.1f MB of %.1f MB are left on %s; a smaller context, model or weight format would fit", (double)bytes / 1e6, (double)available / 1e6, (double)all / 1e6, c->name);
}

static fnd_status new_block(block **out, fnd_error *err) {
    *out = fnd_alloc_zeroed(1, sizeof **out);
    return *out ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory");
}

fnd_status fnd_cuda_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    fnd_cuda *c = self;
    block *b;
    fnd_cu_address address = 0;
    *out = (fnd_memory){ 0 };
    FND_TRY(fnd_cuda_enter(c, err));
    FND_TRY(new_block(&b, err));
    int result = c->cu->alloc(&address, bytes ? bytes : 1);
    fnd_status status = result == 0 ? fnd_cuda_check(c->cu, c->cu->set_bytes(address, 0, bytes ? bytes : 1, c->stream), "clearing GPU memory", err) : out_of_memory(c, result, bytes, err);
    if (status != FND_OK) {
        if (address) c->cu->release(address);
        fnd_free_memory(b);
        return status;
    }
    *out = (fnd_memory){ .address = address, .bytes = bytes, .handle = b };
    return FND_OK;
}

static fnd_cu_allocation_prop properties(const fnd_cuda *c) {
    return (fnd_cu_allocation_prop){ .type = FND_CU_PINNED, .location = { FND_CU_LOCATION_DEVICE, c->device } };
}

fnd_status fnd_cuda_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    fnd_cuda *c = self;
    block *b;
    fnd_cu_address address = 0;
    fnd_cu_allocation_prop prop = properties(c);
    *out = (fnd_memory){ 0 };
    FND_TRY(fnd_cuda_enter(c, err));
    if (!c->granularity) FND_TRY(fnd_cuda_check(c->cu, c->cu->granularity(&c->granularity, &prop, 0), "asking for the size of a page", err));
    size_t space;
    if (!fnd_add_size(bytes ? bytes : 1, c->granularity, &space)) return fnd_fail(err, FND_ERR_MEMORY, "no address space of %zu bytes", bytes);
    space = fnd_round_up(bytes ? bytes : 1, c->granularity);
    FND_TRY(new_block(&b, err));
    fnd_status status = fnd_cuda_check(c->cu, c->cu->address_reserve(&address, space, 0, 0, 0), "reserving GPU address space", err);
    if (status != FND_OK) {
        fnd_free_memory(b);
        return status;
    }
    b->reserved = true;
    b->space_bytes = space;
    *out = (fnd_memory){ .address = address, .bytes = bytes, .handle = b };
    return FND_OK;
}

/* One more piece of memory behind what is mapped; entered in the record as soon as it exists. */
static fnd_status map_piece(fnd_cuda *c, block *b, fnd_cu_address at, size_t bytes, fnd_error *err) {
    piece *p = &b->pieces[b->piece_count];
    fnd_cu_allocation_prop prop = properties(c);
    const fnd_cu_access access = { prop.location, FND_CU_READ_WRITE };
    *p = (piece){ .at = b->mapped_bytes, .bytes = bytes };
    int result = c->cu->memory_create(&p->allocation, bytes, &prop, 0);
    if (result != 0) return out_of_memory(c, result, bytes, err);
    fnd_status status = fnd_cuda_check(c->cu, c->cu->memory_map(at, bytes, 0, p->allocation, 0), "mapping GPU memory", err);
    if (status != FND_OK) {
        c->cu->memory_release(p->allocation);
        return status;
    }
    b->piece_count++;
    b->mapped_bytes += bytes;
    FND_TRY(fnd_cuda_check(c->cu, c->cu->memory_access(at, bytes, &access, 1), "giving access to GPU memory", err));
    return fnd_cuda_check(c->cu, c->cu->set_bytes(at, 0, bytes, c->stream), "clearing GPU memory", err);
}

fnd_status fnd_cuda_commit(void *self, fnd_memory *memory, size_t bytes, fnd_error *err) {
    fnd_cuda *c = self;
    block *b = memory->handle;
    if (!b || !b->reserved || bytes > memory->bytes) return fnd_fail(err, FND_ERR_USAGE, "%zu bytes are to be used of %zu reserved", bytes, b && b->reserved ? memory->bytes : 0);
    if (bytes <= b->mapped_bytes) return FND_OK;
    if (b->piece_count == MAX_PIECES) return fnd_fail(err, FND_ERR_LIMIT, "GPU memory was made larger more than %d times", MAX_PIECES);
    FND_TRY(fnd_cuda_enter(c, err));
    size_t more = fnd_round_up(bytes - b->mapped_bytes, c->granularity);
    return map_piece(c, b, memory->address + b->mapped_bytes, more, err);
}

void fnd_cuda_release(void *self, fnd_memory *memory) {
    fnd_cuda *c = self;
    block *b = memory->handle;
    fnd_error ignored = { 0 };
    if (b && fnd_cuda_enter(c, &ignored) == FND_OK) {
        (void)fnd_cuda_await(c, NULL, "freeing GPU memory", &ignored); /* nothing may still use it */
    }
    if (b && fnd_cuda_watch_check(c, &ignored) == FND_OK) {
        if (!b->reserved) c->cu->release(memory->address);
        for (size_t i = 0; i < b->piece_count; i++) {
            c->cu->memory_unmap(memory->address + b->pieces[i].at, b->pieces[i].bytes);
            c->cu->memory_release(b->pieces[i].allocation);
        }
        if (b->reserved) c->cu->address_free(memory->address, b->space_bytes);
    }
    fnd_free_memory(b);
    *memory = (fnd_memory){ 0 };
}

/* ---- copying ---- */

fnd_status fnd_cuda_staging_open(fnd_cuda *c, fnd_error *err) {
    for (int i = 0; i < 2; i++) {
        void *buffer = NULL;
        FND_TRY(fnd_cuda_check(c->cu, c->cu->alloc_host(&buffer, FND_CUDA_STAGING_BYTES, 0), "allocating pinned memory", err));
        c->staging.buffer[i] = buffer;
        FND_TRY(fnd_cuda_check(c->cu, c->cu->event_create(&c->staging.done[i], FND_CU_EVENT_DISABLE_TIMING), "making an event", err));
    }
    return FND_OK;
}

void fnd_cuda_staging_close(fnd_cuda *c) {
    for (int i = 0; i < 2; i++) {
        if (c->staging.buffer[i]) c->cu->release_host(c->staging.buffer[i]);
        if (c->staging.done[i]) c->cu->event_destroy(c->staging.done[i]);
    }
}

static fnd_status check_range(const fnd_memory *memory, size_t offset, size_t bytes, const char *what, fnd_error *err) {
    const block *b = memory->handle;
    size_t usable = b && b->reserved ? fnd_min_size(b->mapped_bytes, memory->bytes) : memory->bytes, end;
    if (fnd_add_size(offset, bytes, &end) && end <= usable) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%s of %zu bytes at %zu: the memory has %zu", what, bytes, offset, usable);
}

/* The host fills one pinned buffer while the GPU empties the other, so a copy runs at the slower of the
 * two speeds, and returns before the last part has arrived: the stream keeps the order. */
fnd_status fnd_cuda_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err) {
    fnd_cuda *c = self;
    fnd_cuda_staging *s = &c->staging;
    FND_TRY(check_range(to, offset, bytes, "upload", err));
    FND_TRY(fnd_cuda_enter(c, err));
    for (size_t at = 0; at < bytes;) {
        size_t part = fnd_min_size(bytes - at, FND_CUDA_STAGING_BYTES);
        unsigned i = s->next++ & 1;
        FND_TRY(fnd_cuda_await(c, s->done[i], "waiting for an upload", err));
        memcpy(s->buffer[i], (const uint8_t *)from + at, part);
        FND_TRY(fnd_cuda_check(c->cu, c->cu->copy_in(to->address + offset + at, s->buffer[i], part, c->stream), "upload", err));
        FND_TRY(fnd_cuda_check(c->cu, c->cu->event_record(s->done[i], c->stream), "upload", err));
        at += part;
    }
    return FND_OK;
}

static fnd_status begin_download(fnd_cuda *c, const fnd_memory *from, size_t offset, size_t bytes, unsigned place, fnd_error *err) {
    fnd_cuda_staging *s = &c->staging;
    FND_TRY(fnd_cuda_check(c->cu, c->cu->copy_out(s->buffer[place], from->address + offset, bytes, c->stream), "download", err));
    return fnd_cuda_check(c->cu, c->cu->event_record(s->done[place], c->stream), "download", err);
}

/* The same the other way round. Into the caller's memory the driver itself would wait, and nobody would watch. */
fnd_status fnd_cuda_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err) {
    fnd_cuda *c = self;
    fnd_cuda_staging *s = &c->staging;
    FND_TRY(check_range(from, offset, bytes, "download", err));
    if (!bytes) return FND_OK;
    FND_TRY(fnd_cuda_enter(c, err));
    unsigned place = s->next++ & 1;
    FND_TRY(begin_download(c, from, offset, fnd_min_size(bytes, FND_CUDA_STAGING_BYTES), place, err));
    for (size_t at = 0; at < bytes; at += FND_CUDA_STAGING_BYTES) {
        size_t next = at + FND_CUDA_STAGING_BYTES;
        unsigned ready = place;
        if (next < bytes) {
            place = s->next++ & 1;
            FND_TRY(begin_download(c, from, offset + next, fnd_min_size(bytes - next, FND_CUDA_STAGING_BYTES), place, err));
        }
        FND_TRY(fnd_cuda_await(c, s->done[ready], "download", err));
        memcpy((uint8_t *)to + at, s->buffer[ready], fnd_min_size(bytes - at, FND_CUDA_STAGING_BYTES));
    }
    fnd_cuda_watch_passed(c); /* it was last */
    return FND_OK;
}
