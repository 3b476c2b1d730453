/* run.c - a dispatch as a launch of the simulator: what is bound becomes the regions that its threads may touch,
 * from the offset to the buffer's end; a pointer to const may only be read. */
#include "standin.h"

#include "backend/sim/state.h"

#include <stdio.h>
#include <string.h>

/* What setBytes gave lies here while the dispatch runs: memory that the simulator knows. */
static fnd_memory bytes_memory;

static uint64_t address_of(const command *c, const parameter *p, uint64_t *length) {
    const binding *b = &c->bindings[p->index];
    if (b->buffer) {
        *length = b->buffer->length - b->offset;
        return (uint64_t)(uintptr_t)b->buffer->memory + b->offset;
    }
    uint8_t *at = (uint8_t *)bytes_memory.host + (size_t)p->index * MAX_BYTES;
    memcpy(at, b->bytes, b->count);
    *length = b->count;
    return (uint64_t)(uintptr_t)at;
}

bool standin_run(const command *c, char *says, size_t bytes) {
    uint64_t addresses[MAX_BUFFERS] = { 0 };
    fnd_launch_buffer regions[MAX_BUFFERS];
    size_t count = 0;
    fnd_error err = { 0 };
    pipeline_object *p = c->pipeline;
    fnd_sim *sim = standin_sim();
    standin_lock();
    fnd_status status = bytes_memory.host ? FND_OK : fnd_sim_alloc(sim, MAX_BUFFERS * MAX_BYTES, &bytes_memory, &err);
    for (uint32_t i = 0; i < p->parameter_count && status == FND_OK; i++) {
        const parameter *x = &p->parameters[i];
        uint64_t length;
        if (!x->is_buffer) continue;
        addresses[x->index] = address_of(c, x, &length);
        regions[count++] = (fnd_launch_buffer){ .name = x->name, .address = addresses[x->index], .bytes = length, .reads = true, .writes = !x->is_const && !x->is_constant };
    }
    fnd_sim_code *code = p->code;
    code->warps = (uint32_t)(c->threads / FND_SIM_LANES);
    fnd_launch launch = {
        .label = p->name,
        .code = code,
        .args = addresses,
        .args_bytes = sizeof addresses,
        .groups = (uint32_t)c->groups,
        .warps = code->warps,
        .buffers = regions,
        .buffer_count = count,
    };
    if (status == FND_OK) status = fnd_sim_launch(sim, &launch, &err);
    if (status == FND_OK) status = fnd_backend_sim.wait(sim, &err);
    standin_unlock();
    if (status != FND_OK) snprintf(says, bytes, "%s", err.text);
    return status == FND_OK;
}
