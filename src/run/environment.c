/* environment.c - the one place that reads the environment. */
#include "backend/backend.h"
#include "base/base.h"
#include "foundry/context.h"

#include <ctype.h>
#include <stdio.h>

/* A variable that is set and not empty. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static fnd_status get_backend(fnd_desc *desc, fnd_error *err) {
    const char *value = variable("FOUNDRY_BACKEND");
    if (!value || desc->backend) return FND_OK;
    for (size_t i = 0; fnd_backend_name(i); i++) {
        if (strcmp(fnd_backend_name(i), value) == 0) desc->backend = fnd_backend_name(i);
    }
    if (desc->backend) return FND_OK;
#define FND_BACKEND_ROW_(name, doc) " " #name
    return fnd_fail(err, FND_ERR_USAGE, "FOUNDRY_BACKEND=%.64s names no backend; known are:" FND_BACKENDS(FND_BACKEND_ROW_), value);
#undef FND_BACKEND_ROW_
}

/* *given: it is set. */
static fnd_status get_number(const char *name, uint32_t least, uint32_t most, uint32_t *out, bool *given, fnd_error *err) {
    const char *value = variable(name), *p = value;
    uint64_t number = 0;
    *given = value != NULL;
    if (!value) return FND_OK;
    for (; isdigit((unsigned char)*p) && number <= most; p++) number = number * 10 + (uint64_t)(*p - '0');
    if (*p || number < least || number > most) return fnd_fail(err, FND_ERR_USAGE, "%s=%.64s is not a number from %u to %u", name, value, least, most);
    *out = (uint32_t)number;
    return FND_OK;
}

static fnd_status get_threads(fnd_desc *desc, fnd_error *err) {
    bool given;
    return desc->threads ? FND_OK : get_number("FOUNDRY_THREADS", 1, FND_MAX_THREADS, &desc->threads, &given, err);
}

static fnd_status get_watchdog(fnd_desc *desc, fnd_error *err) {
    bool given;
    if (desc->watchdog_seconds) return FND_OK;
    FND_TRY(get_number("FOUNDRY_WATCHDOG_SECONDS", 0, 86400, &desc->watchdog_seconds, &given, err));
    if (given && !desc->watchdog_seconds) desc->watchdog_seconds = FND_NO_WATCHDOG;
    return FND_OK;
}

static fnd_status get_isa(fnd_desc *desc, fnd_error *err) {
    const char *value = variable("FOUNDRY_ISA");
    if (!value || desc->isa) return FND_OK;
    for (const char *p = value; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_') return fnd_fail(err, FND_ERR_USAGE, "FOUNDRY_ISA=%.64s is not a name of letters, digits and _", value);
    }
    desc->isa = value;
    return FND_OK;
}

static fnd_status get_path(const char *name, const char **out, fnd_error *err) {
    const char *value = variable(name);
    if (!value || *out) return FND_OK;
    if (strlen(value) >= FND_PATH_BYTES) return fnd_fail(err, FND_ERR_USAGE, "%s is a path of %zu bytes, more than %d", name, strlen(value), FND_PATH_BYTES - 1);
    *out = value;
    return FND_OK;
}

/* Paths that are relative or too long are as good as not set: there is then no cache. */
static void get_default_cache(fnd_desc *desc) {
    const char *cache = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    int length = 0;
    if (desc->default_cache_dir[0]) return;
    if (cache && cache[0] == '/') {
        length = snprintf(desc->default_cache_dir, sizeof desc->default_cache_dir, "%s/foundry", cache);
    } else if (home && home[0] == '/') {
        length = snprintf(desc->default_cache_dir, sizeof desc->default_cache_dir, "%s/.cache/foundry", home);
    }
    if (length < 0 || (size_t)length >= sizeof desc->default_cache_dir) desc->default_cache_dir[0] = '\0';
}

fnd_status fnd_options_from_environment(fnd_desc *desc, fnd_error *err) {
    FND_TRY(get_backend(desc, err));
    FND_TRY(get_threads(desc, err));
    FND_TRY(get_watchdog(desc, err));
    FND_TRY(get_isa(desc, err));
    FND_TRY(get_path("FOUNDRY_KERNEL_DIR", &desc->kernel_dir, err));
    FND_TRY(get_path("FOUNDRY_CACHE_DIR", &desc->cache_dir, err));
    FND_TRY(get_path("FOUNDRY_METAL_LIBRARY", &desc->metal_library, err));
    get_default_cache(desc);
    return FND_OK;
}
