/* cpu.c - the cpu backend's table, opening and closing. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/baked.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdio.h>

enum {
    GROUP_BYTES = 256 << 10, /* group memory lies on the stacks of the workers */
};

static void describe(const fnd_cpu *cpu, fnd_device_info *info) {
    const fnd_cpu_level *level = cpu->level;
    bool tiles = level->needs >> FND_CPU_amx_tile & 1;
    *info = (fnd_device_info){
        .suffix = fnd_cpu_suffix(level),
        .groups = cpu->threads,
        .lanes = 1,
        .warps = 1,
        .max_threads = 1,
        .tile_rows = level->vec,
        .reads_rows = level->vec > 0,
        .tile_tokens = level->bf16_prompts ? FND_CPU_PANEL_TOKENS : FND_CPU_TILE_TOKENS,
        .tile_rounds = level->bf16_prompts,
        .span_tokens = level->bf16_prompts ? FND_CPU_TILE_TOKENS : 0,
        .panel_bytes = tiles ? FND_CPU_PANEL_BYTES : 0,
        .panel_token_bytes = tiles ? FND_CPU_PANEL_TOKEN_BYTES : 0,
        .group_bytes = GROUP_BYTES,
        .host_memory = true,
        .runs_programs = true,
        .can_build = cpu->compiler.path[0] != '\0',
    };
    snprintf(info->name, sizeof info->name, "%s (%u thread%s, %s)", fnd_cpuinfo_get()->name, cpu->threads, fnd_plural(cpu->threads), level->name);
    snprintf(info->why_not_build, sizeof info->why_not_build, "%s%s", cpu->compiler.why_not, cpu->compiler.why_not[0] && !fnd_baked_kernel_count ? "; and no kernels were built into this program" : "");
    fnd_cpu_target_print(&cpu->compiler, level, info->target, sizeof info->target);
}

static fnd_unit cpu_unit(const void *self, uint32_t bits, bool tiles, uint32_t tokens) {
    const fnd_cpu *cpu = self;
    const fnd_cpu_level *level = cpu->level;
    uint64_t needs = tiles ? level->needs : level->needs & ~(UINT64_C(1) << FND_CPU_amx_tile);
    bool codes = bits <= 8, unit = needs >> FND_CPU_amx_tile & 1;
    if (unit && level->bf16_prompts && 2 * tokens > FND_CPU_PANEL_TOKENS) return FND_UNIT_BF16_MATRICES;
    if (unit && !level->bf16_prompts && codes && tokens >= cpu->unit_from) return FND_UNIT_INT8_MATRICES;
    if (codes && needs >> FND_CPU_i8mm & 1 && tokens > 1) return FND_UNIT_INT8_MATRICES; /* fnd_pair_add */
    return codes ? FND_UNIT_INT8_DOTS : FND_UNIT_FLOATS;
}

static void cpu_set_unit_from(void *self, uint32_t tokens) { ((fnd_cpu *)self)->unit_from = tokens ? tokens : FND_CPU_UNIT_FROM; }

static void cpu_close(void *self) {
    fnd_cpu *cpu = self;
    if (!cpu) return;
    fnd_team_close(cpu->team);
    fnd_free_memory(cpu->scratch.data);
    fnd_free_memory(cpu->shared_scratch.data);
    fnd_free_memory(cpu->shares);
    fnd_free_memory(cpu);
}

static fnd_status cpu_open(const fnd_backend_desc *desc, void **self, fnd_device_info *info, fnd_error *err) {
    *self = NULL;
    if (desc->device) return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is no processor %u: all processors of this machine are one device, 0", desc->device);
    const fnd_cpu_level *level;
    FND_TRY(fnd_cpu_level_find(desc->isa, &level, err));
    fnd_cpu *cpu = fnd_alloc_zeroed(1, sizeof *cpu);
    if (!cpu) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening the cpu backend");
    cpu->level = level;
    cpu->threads = desc->threads ? desc->threads : fnd_cpu_cores();
    cpu_set_unit_from(cpu, desc->unit_from);
    fnd_status status = fnd_team_open(cpu->threads, &cpu->team, err);
    if (status == FND_OK) status = fnd_cpu_alloc_shares(cpu, err);
    if (status != FND_OK) {
        cpu_close(cpu);
        return status;
    }
    fnd_cpu_compiler_find(desc->compiler, desc->compiler_seconds, &cpu->compiler);
    describe(cpu, info);
    *self = cpu;
    return FND_OK;
}

const fnd_backend fnd_backend_cpu = {
    .name = "cpu",
    .doc = "worker team on this machine's processor, kernels by the C compiler",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = fnd_cpu_alloc,
    .reserve = fnd_cpu_reserve,
    .commit = fnd_cpu_commit,
    .forget = fnd_cpu_forget,
    .release = fnd_cpu_release,
    .adopt = fnd_cpu_adopt,
    .upload = fnd_cpu_upload,
    .download = fnd_cpu_download,
    .set_unit_from = cpu_set_unit_from,
    .unit = cpu_unit,
    .build = fnd_cpu_build,
    .baked = fnd_cpu_baked,
    .policy_ops = fnd_cpu_policy_ops,
    .load = fnd_cpu_load,
    .unload = fnd_cpu_unload,
    .launch = fnd_cpu_launch,
    .wait = fnd_cpu_wait,
};
