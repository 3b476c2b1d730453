/* metal.c - opening an Apple GPU, and the table of calls. */
#include "backend/metal/metal.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdio.h>

/* Several groups for every core: launches end at different times, and the next one fills the gaps. */
enum { GROUPS_PER_CORE = 4,
       USUAL_CORES = 8, /* where the system does not tell */
       MOST_CORES = 1024,
       WARPS = 8,
       TILE_TOKENS = 16, /* two matrices of 8 */
       FIRST_ADDRESS_BIT = 40 };

/* Of one command buffer, for each core: macOS ends one that keeps the GPU for some seconds. A core of an M1 does
 * 3.2e11 at best, so this is some 40 ms, and less than half a second where kernels reach a tenth of that. A token
 * takes fewer, with up to 6 billion weights for each core. */
#define OPS_PER_CORE UINT64_C(12500000000)

/* ---- what the device is ---- */

static fnd_status find_device(fnd_metal *c, uint32_t index, fnd_error *err) {
    const fnd_metal_api *m = c->m;
    if (index == 0) c->device = m->default_device();
    if (c->device) return FND_OK;
    /* A process without a window server may have devices and no default one. */
    fnd_id devices = m->all_devices();
    uint64_t count = devices ? fnd_mtl_array_count(m, devices) : 0;
    if (index < count) c->device = fnd_mtl_retain(m, fnd_mtl_array_at(m, devices, index));
    if (devices) fnd_mtl_release(m, devices);
    if (c->device) return FND_OK;
    if (index == 0) return fnd_fail(err, FND_ERR_UNSUPPORTED, "Metal has no device here: this Mac has no GPU that it supports, or this process may not use it");
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is no GPU %u: Metal has %llu here, counted from 0", index, (unsigned long long)count);
}

/* Metal does not say how many cores a GPU has; the registry of devices does. */
static uint32_t count_cores(const fnd_metal *c) {
    const fnd_metal_api *m = c->m;
    int32_t cores = 0;
    uint32_t service = m->registry_service(0, m->registry_matching(fnd_mtl_device_registry_id(m, c->device)));
    void *key = m->cf_string(NULL, "gpu-core-count", FND_CF_STRING_UTF8);
    void *number = service && key ? m->registry_property(service, key, NULL, 0) : NULL;
    if (number && !m->cf_number(number, FND_CF_NUMBER_SINT32, &cores)) cores = 0;
    if (number) m->cf_release(number);
    if (key) m->cf_release(key);
    if (service) (void)m->registry_release(service);
    return cores > 0 && cores <= MOST_CORES ? (uint32_t)cores : USUAL_CORES;
}

static fnd_status ask(fnd_metal *c, fnd_error *err) {
    const fnd_metal_api *m = c->m;
    fnd_id name = fnd_mtl_device_name(m, c->device);
    const char *text = name ? fnd_mtl_string_text(m, name) : NULL;
    snprintf(c->name, sizeof c->name, "%.79s", text ? text : "a GPU without a name");
    if (!fnd_mtl_device_family(m, c->device, FND_MTL_FAMILY_APPLE7)) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s is not of the family Apple7: kernels need its matrices of SIMD groups, which Apple's own GPUs have since the M1, and the GPUs of Intel Macs do not", c->name);
    }
    c->unified = fnd_mtl_device_unified(m, c->device);
    c->max_buffer = fnd_mtl_device_max_buffer(m, c->device);
    c->group_bytes = fnd_mtl_device_group_bytes(m, c->device);
    uint64_t warps = fnd_mtl_device_max_threads(m, c->device).width / FND_METAL_LANES;
    c->max_warps = warps < WARPS ? (uint32_t)warps : WARPS;
    if (c->max_warps == 0 || c->group_bytes < 4096 || c->max_buffer < 1 << 20) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s says that it has %llu threads and %llu bytes of memory in a group, and buffers of %llu bytes: that is too little", c->name, (unsigned long long)warps * FND_METAL_LANES,
                        (unsigned long long)c->group_bytes, (unsigned long long)c->max_buffer);
    }
    return FND_OK;
}

static void describe(fnd_metal *c, fnd_device_info *info) {
    uint32_t cores = count_cores(c);
    char tools[64];
    c->most_ops = cores * OPS_PER_CORE;
    fnd_metal_find_tools(c, tools, sizeof tools);
    *info = (fnd_device_info){
        .suffix = ".metal",
        .groups = cores * GROUPS_PER_CORE,
        .lanes = FND_METAL_LANES,
        .warps = c->max_warps,
        .max_threads = c->max_warps * FND_METAL_LANES,
        .tile_tokens = TILE_TOKENS,
        .group_bytes = c->group_bytes,
        .host_memory = c->unified,
        .counts_ops = true,
        .can_build = true,
    };
    snprintf(info->name, sizeof info->name, "%.60s (%u cores)", c->name, cores);
    snprintf(info->target, sizeof info->target, "metal 3.0 %.60s %.60s", c->name, tools);
}

/* ---- opening ---- */

static void metal_close(void *self) {
    fnd_metal *c = self;
    fnd_error ignored = { 0 };
    if (!c) return;
    void *pool = c->m ? c->m->push_pool() : NULL;
    if (c->queue) (void)fnd_metal_drain(c, &ignored);
    fnd_metal_forget_fresh(c);
    fnd_metal_forget_flights(c);
    fnd_metal_release_all(c);
    fnd_id const owned[] = { c->scratch, c->nothing, c->queue, c->device };
    for (size_t i = 0; i < FND_COUNT(owned); i++) {
        if (owned[i]) fnd_mtl_release(c->m, owned[i]);
    }
    if (pool) c->m->pop_pool(pool);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->fresh_lock);
    fnd_free_memory(c);
}

static fnd_status open_device(fnd_metal *c, uint32_t index, fnd_device_info *info, fnd_error *err) {
    FND_TRY(find_device(c, index, err));
    FND_TRY(ask(c, err));
    c->queue = fnd_mtl_device_queue(c->m, c->device);
    if (!c->queue) return fnd_fail(err, FND_ERR_DEVICE, "%s gives no command queue", c->name);
    fnd_mtl_queue_label(c->m, c->queue, fnd_metal_string(c->m, "foundry"));
    FND_TRY(fnd_metal_new_buffer(c, 64, true, "foundry nothing", &c->nothing, err));
    describe(c, info);
    return FND_OK;
}

static fnd_status metal_open(const fnd_backend_desc *desc, void **self, fnd_device_info *info, fnd_error *err) {
    const fnd_metal_api *m;
    *self = NULL;
    FND_TRY(fnd_metal_api_open(desc ? desc->metal_library : NULL, &m, err));
    fnd_metal *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening the metal backend");
    c->m = m;
    c->next_address = 1ull << FIRST_ADDRESS_BIT;
    c->compiler_seconds = desc ? desc->compiler_seconds : 0;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    pthread_mutex_init(&c->fresh_lock, NULL);
    void *pool = m->push_pool();
    fnd_status status = open_device(c, desc ? desc->device : 0, info, err);
    m->pop_pool(pool);
    if (status != FND_OK) {
        metal_close(c);
        return status;
    }
    *self = c;
    return FND_OK;
}

static fnd_status metal_check(void *self, char *says, size_t bytes, fnd_error *err) {
    fnd_metal *c = self;
    uint32_t compared;
    FND_TRY(fnd_metal_api_compare(c->m, c->device, &compared, err));
    snprintf(says, bytes, "all %u methods have the types of Foundry's table; kernels by %s", compared, c->xcrun[0] ? "the command line tools" : "the system's compiler");
    return FND_OK;
}

const fnd_backend fnd_backend_metal = {
    .name = "metal",
    .doc = "an Apple GPU, kernels by Metal's compiler",
    .open = metal_open,
    .close = metal_close,
    .check = metal_check,
    .alloc = fnd_metal_alloc,
    .reserve = fnd_metal_reserve,
    .commit = fnd_metal_commit_memory,
    .release = fnd_metal_release,
    .adopt = fnd_metal_adopt,
    .upload = fnd_metal_upload,
    .download = fnd_metal_download,
    .build = fnd_metal_build,
    .load = fnd_metal_load,
    .unload = fnd_metal_unload,
    .launch = fnd_metal_launch,
    .wait = fnd_metal_wait,
    .begin = fnd_metal_begin,
    .submit = fnd_metal_submit,
    .finish = fnd_metal_finish,
};
