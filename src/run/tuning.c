/* tuning.c - the file of measured choices. Lines of text, so that it can be looked at; every line is checked. */
#include "run/tuning.h"
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/source.h"
#include "foundry/version.h"
#include "run/context.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>

#define TITLE "foundry tuning 2\n"
enum { MAX_FILE_BYTES = 4096 };

/* ---- which file ---- */

/* Processor, cores, level and build, as 32 digits. */
static bool make_key(const char *isa, char key[FND_HASH_TEXT_BYTES]) {
    const fnd_cpu_level *level;
    const fnd_cpuinfo *cpu = fnd_cpuinfo_get();
    fnd_error ignored = { 0 };
    if (fnd_cpu_level_find(isa, &level, &ignored) != FND_OK) return false;
    fnd_hash128 texts = fnd_sources_fingerprint();
    uint32_t cores = fnd_cpu_cores();
    const fnd_hash_piece pieces[] = {
        { TITLE FND_VERSION, sizeof TITLE FND_VERSION },
        { cpu->name, strlen(cpu->name) },
        { cpu->model, strlen(cpu->model) },
        { cpu->features, strlen(cpu->features) },
        { &cores, sizeof cores },
        { level->name, strlen(level->name) },
        { &texts, sizeof texts },
    };
    fnd_hash_print(fnd_hash_pieces(pieces, FND_COUNT(pieces)), key);
    return true;
}

bool fnd_tuning_path(const fnd_desc *desc, char *path, size_t bytes) {
    char key[FND_HASH_TEXT_BYTES];
    const char *dir = desc->no_cache ? NULL : desc->cache_dir ? desc->cache_dir
                                                              : desc->default_cache_dir;
    bool cpu = !desc->backend || strcmp(desc->backend, "cpu") == 0;
    if (!dir || !dir[0] || !cpu || desc->kernel_dir || !make_key(desc->isa, key)) return false;
    int length = snprintf(path, bytes, "%s/tuning-%s.txt", dir, key);
    return length > 0 && (size_t)length < bytes;
}

/* ---- reading ---- */

typedef struct reader {
    const char *at;
    uint32_t line;
} reader;

static bool take(reader *r, const char *text) {
    size_t bytes = strlen(text);
    if (strncmp(r->at, text, bytes) != 0) return false;
    r->at += bytes;
    return true;
}

static bool end_line(reader *r) {
    r->line++;
    return take(r, "\n");
}

/* "name 12\n", least .. most, or 0. */
static bool take_number(reader *r, const char *name, uint32_t least, uint32_t most, uint32_t *out) {
    uint64_t n = 0;
    if (!take(r, name) || !take(r, " ") || !isdigit((unsigned char)*r->at)) return false;
    for (; isdigit((unsigned char)*r->at) && n <= UINT32_MAX; r->at++) n = n * 10 + (uint64_t)(*r->at - '0');
    *out = (uint32_t)n;
    return end_line(r) && (n == 0 || (n >= least && n <= most));
}

static bool take_text(reader *r, const char *name, char *out, size_t bytes) {
    if (!take(r, name) || !take(r, " ")) return false;
    size_t length = strcspn(r->at, "\n");
    if (length >= bytes) return false;
    for (size_t i = 0; i < length; i++) {
        if (!isprint((unsigned char)r->at[i])) return false;
    }
    memcpy(out, r->at, length);
    out[length] = '\0';
    r->at += length;
    return end_line(r);
}

static void print_sum(const char *text, size_t bytes, char sum[FND_HASH_TEXT_BYTES]) { fnd_hash_print(fnd_hash_bytes(text, bytes), sum); }

static fnd_status parse(const char *path, const char *text, const char *key, fnd_tuning *out, fnd_error *err) {
    reader r = { .at = text };
    char found_key[FND_HASH_TEXT_BYTES], sum[FND_HASH_TEXT_BYTES], found_sum[FND_HASH_TEXT_BYTES];
    bool good = take(&r, TITLE) && take_text(&r, "key", found_key, sizeof found_key) && take_number(&r, "threads", 1, FND_MAX_THREADS, &out->threads) &&
                take_number(&r, "batch", FND_TUNING_BATCH_MIN, FND_TUNING_BATCH_MAX, &out->batch) &&
                take_number(&r, "unit_from", 1, FND_TUNING_UNIT_MAX, &out->unit_from) && take_number(&r, "repack", 1, FND_TUNING_REPACK_MAX, &out->repack) &&
                take_text(&r, "measured", out->measured, sizeof out->measured);
    size_t before_sum = (size_t)(r.at - text);
    good = good && take_text(&r, "sum", found_sum, sizeof found_sum) && !*r.at;
    if (good) print_sum(text, before_sum, sum);
    if (!good || strcmp(sum, found_sum) != 0) return fnd_fail(err, FND_ERR_FORMAT, "what was tuned is damaged and not used (%s, line %u); `foundry tune` measures it anew", path, good ? 1 : r.line + 2);
    if (strcmp(key, found_key) != 0) return fnd_fail(err, FND_ERR_FORMAT, "what was tuned is another machine's or build's and not used (%s); `foundry tune` measures it anew", path);
    return FND_OK;
}

fnd_status fnd_tuning_read(const fnd_desc *desc, fnd_tuning *out, bool *found, fnd_error *err) {
    char path[FND_PATH_BYTES + 64], key[FND_HASH_TEXT_BYTES], *text;
    size_t bytes;
    struct stat st;
    *out = (fnd_tuning){ 0 };
    *found = false;
    if (!fnd_tuning_path(desc, path, sizeof path) || !make_key(desc->isa, key) || stat(path, &st) != 0) return FND_OK;
    if (!S_ISREG(st.st_mode)) return fnd_fail(err, FND_ERR_FORMAT, "what was tuned cannot be read: %s is no regular file", path);
    fnd_status status = fnd_file_read(path, MAX_FILE_BYTES, &text, &bytes, err);
    if (status != FND_OK) return status;
    status = parse(path, text, key, out, err);
    fnd_free_memory(text);
    *found = status == FND_OK;
    if (status != FND_OK) *out = (fnd_tuning){ 0 };
    return status;
}

/* ---- writing ---- */

fnd_status fnd_tuning_write(const fnd_desc *desc, const fnd_tuning *tuning, fnd_error *err) {
    char path[FND_PATH_BYTES + 64], key[FND_HASH_TEXT_BYTES], sum[FND_HASH_TEXT_BYTES], measured[FND_TUNING_TEXT_BYTES];
    const char *dir = desc->cache_dir ? desc->cache_dir : desc->default_cache_dir;
    fnd_text out = { 0 };
    if (!fnd_tuning_path(desc, path, sizeof path) || !make_key(desc->isa, key)) return fnd_fail(err, FND_ERR_USAGE, "there is no folder to keep what was tuned in: --cache-dir names one");
    snprintf(measured, sizeof measured, "%s", tuning->measured);
    for (char *p = measured; *p; p++) *p = isprint((unsigned char)*p) ? *p : '?';
    FND_TRY(fnd_make_dirs(dir, err));
    fnd_text_printf(&out, TITLE "key %s\nthreads %u\nbatch %u\nunit_from %u\nrepack %u\nmeasured %s\n", key, tuning->threads, tuning->batch, tuning->unit_from, tuning->repack, measured);
    print_sum(fnd_text_get(&out), out.bytes, sum);
    fnd_text_printf(&out, "sum %s\n", sum);
    fnd_status status = fnd_text_check(&out, err);
    if (status == FND_OK) status = fnd_file_write_private(path, fnd_text_get(&out), out.bytes, err);
    fnd_text_free(&out);
    return status;
}

void fnd_tuning_try_unit(foundry *f, uint32_t unit_from) {
    if (f->backend->set_unit_from) f->backend->set_unit_from(f->device, unit_from);
}

const fnd_tuning *fnd_tuned(const foundry *f) { return &f->tuning; }
