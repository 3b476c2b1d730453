/* open.c - devices as the options and the environment want them. */
#include "cli/cli.h"

fnd_status fnd_cli_desc(const fnd_cli_globals *g, fnd_desc *out, fnd_error *err) {
    *out = (fnd_desc){
        .backend = g->backend,
        .device = g->gpu,
        .threads = g->threads,
        .unit_from = g->unit_from,
        .isa = g->isa,
        .compiler = g->compiler,
        .compiler_seconds = g->compiler_seconds,
        .kernel_dir = g->kernel_dir,
        .cache_dir = g->cache_dir,
        .no_cache = g->no_cache,
    };
    return fnd_options_from_environment(out, err);
}
