/* state.h - the simulated device. */
#ifndef BACKEND_SIM_STATE_H
#define BACKEND_SIM_STATE_H

#include "backend/backend.h"
#include "backend/sim/run.h"
#include "base/dynlib.h"
#include "base/process.h"

/* One allocation, or one piece of host memory made visible. */
typedef struct fnd_sim_memory {
    struct fnd_sim_memory *next;
    uint8_t *address;
    size_t   bytes;       /* that may be used */
    size_t   reserved;    /* address space */
    uint8_t *mapping;     /* with its guards; NULL: adopted, read-only */
    size_t   mapped_bytes;
} fnd_sim_memory;

/* A loaded text. */
typedef struct fnd_sim_code {
    fnd_dynlib    *library;
    fnd_sim_entry *entry;
    uint32_t       warps;
    uint64_t       image, image_bytes; /* where the library lies: its constants are in there */
} fnd_sim_code;

typedef struct fnd_sim {
    char            compiler[FND_PROCESS_PATH_BYTES]; /* "": none */
    uint32_t        compiler_seconds; /* it may take for one text */
    bool            clang;
    fnd_sim_memory *memories;
    fnd_error       failure; /* of a launch, until wait */
    uint64_t        order;   /* 0: groups and threads begin in ascending order; else a seed */
    fnd_sim_run     run;     /* what does not depend on the launch stays */
    size_t          scratch_capacity, region_capacity, group_capacity, args_capacity;
    uint8_t        *args;
    uint32_t       *group_order;
} fnd_sim;

/* memory.c */
fnd_status fnd_sim_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_sim_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_sim_commit(void *self, fnd_memory *memory, size_t bytes, fnd_error *err);
void fnd_sim_release(void *self, fnd_memory *memory);
fnd_status fnd_sim_adopt(void *self, const void *host, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_sim_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err);
fnd_status fnd_sim_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err);
void fnd_sim_release_all(fnd_sim *sim);
/* The allocation that holds all of [address, address + bytes), or NULL. */
const fnd_sim_memory *fnd_sim_find_memory(const fnd_sim *sim, uint64_t address, uint64_t bytes);
/* Zeroed pages that cost nothing until they are touched. NULL: none. */
void *fnd_sim_map_zeros(size_t bytes);
void fnd_sim_unmap_zeros(void *address, size_t bytes);

/* build.c */
void fnd_sim_find_compiler(fnd_sim *sim, const fnd_backend_desc *desc, fnd_device_info *info);
fnd_status fnd_sim_build(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err);
fnd_status fnd_sim_load(void *self, const char *entry, const void *blob, size_t bytes, void **code, fnd_error *err);
void fnd_sim_unload(void *self, void *code);

/* launch.c */
fnd_status fnd_sim_launch(void *self, const fnd_launch *launch, fnd_error *err);

#endif
