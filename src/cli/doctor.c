/* doctor.c - foundry doctor: what this machine has, what works, and why the rest does not. */
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/process.h"
#include "base/system.h"
#include "cli/cli.h"
#include "foundry/version.h"
#include "run/tuning.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const fnd_cli_option options_list[] = { { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 } };

static void print_processor(fnd_text *out) {
    const fnd_cpuinfo *cpu = fnd_cpuinfo_get();
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    fnd_text_printf(out, "processor     %s, %u core%s for this process\n", cpu->name, fnd_cpu_cores(), fnd_plural(fnd_cpu_cores()));
    fnd_text_printf(out, "caches        L1 %zu KiB, L2 %zu KiB, last level %zu KiB\n", cpu->l1_bytes >> 10, cpu->l2_bytes >> 10, cpu->llc_bytes >> 10);
    fnd_text_printf(out, "features      %s\n", cpu->features);
    for (size_t i = 0; i < count; i++) {
        const fnd_cpu_level *level;
        fnd_error why = { 0 };
        bool works = fnd_cpu_level_find(levels[i].name, &level, &why) == FND_OK;
        fnd_text_printf(out, "  %-12s  %s: %s\n", levels[i].name, works ? levels[i].name == fnd_cpu_level_best()->name ? "the best here" : levels[i].bf16_prompts ? "works where --isa asks for it"
                                                                                                                                                                  : "works"
                                                                        : "no",
                        works ? levels[i].doc : why.text);
    }
}

static void print_memory(const fnd_desc *desc, fnd_text *out) {
    size_t bytes = fnd_system_memory();
    if (bytes) fnd_text_printf(out, "memory        %.1f GiB\n", (double)bytes / (double)(1 << 30));
    fnd_team *team;
    fnd_error why = { 0 };
    uint32_t threads = desc->threads ? desc->threads : fnd_cpu_cores();
    double gb_per_s = 0;
    fnd_status status = fnd_team_open(threads, &team, &why);
    if (status == FND_OK) {
        status = fnd_cpu_read_bandwidth(team, threads, &gb_per_s, &why);
        fnd_team_close(team);
    }
    if (status == FND_OK)
        fnd_text_printf(out, "reads         %.1f GB/s with %u thread%s\n", gb_per_s, threads, fnd_plural(threads));
    else
        fnd_text_printf(out, "reads         not measured: %s\n", why.text);
}

static void print_backends(const fnd_desc *desc, fnd_text *out) {
    for (size_t i = 0; fnd_backend_name(i); i++) {
        fnd_desc d = *desc;
        foundry *f;
        fnd_context_info info;
        fnd_error why = { 0 };
        char says[256];
        d.backend = fnd_backend_name(i);
        fnd_status status = fnd_open(&d, &f, &why);
        if (status == FND_OK && fnd_info(f, &info, &why) == FND_OK) {
            fnd_text_printf(out, "backend %-5s works: %s, %u group%s of %u lane%s\n", d.backend, info.device, info.groups, fnd_plural(info.groups), info.lanes, fnd_plural(info.lanes));
            if (!info.can_build) fnd_text_printf(out, "              compiles nothing: %s\n", info.why_not_build);
            if (fnd_device_check(f, says, sizeof says, &why) != FND_OK)
                fnd_text_printf(out, "              will not work right: %s\n", why.text);
            else if (says[0])
                fnd_text_printf(out, "              %s\n", says);
        } else {
            fnd_text_printf(out, "backend %-5s does not work: %s\n", d.backend, why.text);
        }
        if (status == FND_OK) (void)fnd_close(f, NULL);
    }
}

static void print_compilers(const fnd_desc *desc, fnd_text *out) {
    const char *const usual[] = { "cc", "gcc", "clang" };
    char path[FND_PROCESS_PATH_BYTES];
    fnd_text_str(out, "compiler     ");
    bool found = false;
    for (size_t i = 0; i < (desc->compiler ? 1 : FND_COUNT(usual)); i++) {
        if (!fnd_process_find(desc->compiler ? desc->compiler : usual[i], path)) continue;
        fnd_text_printf(out, " %s", path);
        found = true;
    }
    fnd_text_str(out, found ? "\n" : " none: only kernels that were built into the program can serve\n");
}

static void print_folder(const char *what, const char *path, fnd_text *out) {
    struct stat st;
    if (!path) {
        fnd_text_printf(out, "%-13s none\n", what);
    } else if (stat(path, &st) != 0) {
        fnd_text_printf(out, "%-13s %s (%s)\n", what, path, errno == ENOENT ? "not there yet" : strerror(errno));
    } else {
        fnd_text_printf(out, "%-13s %s%s\n", what, path, !S_ISDIR(st.st_mode) ? " (is no folder)" : access(path, W_OK) != 0 ? " (cannot be written)"
                                                                                                                            : "");
    }
}

static void print_tuning(const fnd_desc *desc, fnd_text *out) {
    static const char *const repacked[] = { "", ", weights repacked", ", weights as in the file" };
    fnd_tuning t;
    bool found;
    fnd_error why = { 0 };
    if (fnd_tuning_read(desc, &t, &found, &why) != FND_OK)
        fnd_text_printf(out, "tuned         no: %s\n", why.text);
    else if (!found)
        fnd_text_str(out, "tuned         no: `foundry tune --model F` measures what is fastest here\n");
    else {
        fnd_text_str(out, "tuned         ");
        if (t.threads) fnd_text_printf(out, "%u thread%s", t.threads, fnd_plural(t.threads));
        if (!t.threads) fnd_text_str(out, "a thread per core");
        if (t.unit_from) fnd_text_printf(out, ", the matrix unit from %u tokens", t.unit_from);
        fnd_text_printf(out, ", prompts by %u%s; %s\n", t.batch ? t.batch : 256, repacked[t.repack], t.measured);
    }
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    fnd_desc desc;
    fnd_text out = { 0 };
    char models[FND_PATH_BYTES + 16];
    (void)options;
    FND_TRY(fnd_cli_desc(globals, &desc, err));
    const char *folder = desc.default_cache_dir[0] ? desc.default_cache_dir : NULL;
    const char *cache = globals->no_cache ? NULL : desc.cache_dir ? desc.cache_dir
                                                                  : folder;
    fnd_text_str(&out, "foundry       " FND_VERSION "\n");
    print_processor(&out);
    print_memory(&desc, &out);
    print_compilers(&desc, &out);
    print_backends(&desc, &out);
    print_folder("kernel cache", cache, &out);
    print_tuning(&desc, &out);
    if (desc.kernel_dir) print_folder("kernel texts", desc.kernel_dir, &out);
    snprintf(models, sizeof models, "%s/models", folder ? folder : "");
    print_folder("models", folder ? models : NULL, &out);
    return fnd_cli_put_text(&out, err);
}

const fnd_cli_command fnd_cli_doctor = {
    .name = "doctor",
    .doc = "what this machine has, which backends work, and why the others do not",
    .usage = "[--threads N]",
    .example = "  foundry doctor",
    .options = options_list,
    .options_bytes = 0,
    .run = run,
};
