/* table.h - what passes between the simulator and a loaded text. The same structs stand in
 * kernels/dialect/sim.h and kernels/fnd_device.h, in the dialect's types; a test runs texts that
 * use every field. */
#ifndef BACKEND_SIM_TABLE_H
#define BACKEND_SIM_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum {
    FND_SIM_LANES = 32,
    FND_SIM_MAX_WARPS = 32,
    FND_SIM_MAX_THREADS = FND_SIM_LANES * FND_SIM_MAX_WARPS,
    FND_SIM_READ = 1,
    FND_SIM_WRITE = 2,
    FND_SIM_ALIGNED = 4,
};

/* fnd_sim_calls of the dialect: symbol "fnd_sim" of the text. */
typedef struct fnd_sim_table {
    float (*lane_sum)(float v, const char *file, uint32_t line);
    float (*lane_max)(float v, const char *file, uint32_t line);
    float (*lane_get)(float v, uint32_t lane, const char *file, uint32_t line);
    void (*group_barrier)(const char *file, uint32_t line);
    void *(*group_array)(uint32_t slot, uint32_t bytes, const char *name);
    void (*access)(const void *at, unsigned long long bytes, uint32_t how);
    void (*bad_index)(const char *file, uint32_t line, unsigned long long index, const char *type);
    void (*bad_division)(const char *file, uint32_t line);
    void *(*move)(void *to, const void *from, size_t bytes);
    void *(*set)(void *to, int value, size_t bytes);
    void (*add_product)(float *sum, const float *a, const float *b, const char *file, uint32_t line);
    uint32_t (*lane)(void);
    uint32_t (*last_group)(uint32_t place, uint32_t count);
} fnd_sim_table;

/* fnd_thread of the dialect, without the fields of a worker team. */
typedef struct fnd_sim_thread {
    uint32_t group, groups, warp, lane;
    float   *reduce;
    uint8_t *scratch;
} fnd_sim_thread;

typedef void fnd_sim_entry(const void *args, const fnd_sim_thread *thread);

#endif
