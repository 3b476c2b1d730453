/* planted.c - is what breaks a rule of the dialect found, with its file and line?
 *
 * Every file of tests/kernels_check/planted is a user's stage; the line that breaks a rule says
 * "planted". It goes the way of all stages: registered, composed, flattened, checked. */
#include "check.h"

#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "compose/print.h"

#include <glob.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define PLANTED_DIR "tests/kernels_check/planted/"

/* Line of the mark, 0 when there is none. */
static int planted_line(const char *text) {
    const char *at = strstr(text, "/* planted */");
    int line = 1;
    for (const char *p = text; at && p < at; p++) line += *p == '\n';
    return at ? line : 0;
}

/* take | planted | store, with the stage of that file, as Metal would get it. */
static fnd_status compose(const char *path, const char *text, fnd_text *flat, fnd_error *err) {
    fnd_composition_room *room = fnd_alloc_zeroed(1, sizeof *room);
    fnd_variant *variant = fnd_alloc_zeroed(1, sizeof *variant);
    const fnd_variant *list[] = { variant };
    const fnd_kernel_desc desc = { .name = "planted_kernel", .stages = { { "take", NULL }, { "planted", NULL }, { "store", NULL } } };
    fnd_catalog *catalog;
    fnd_text printed = { 0 };
    if (!room || !variant) abort();
    FND_TRY(fnd_catalog_open(NULL, &catalog, err));
    fnd_status status = fnd_catalog_add(catalog, path, text, err);
    if (status == FND_OK) status = fnd_compose(catalog, &desc, room, err);
    if (status == FND_OK) {
        fnd_variant_init(&room->composition, variant);
        status = fnd_print_head(catalog, list, 1, &printed, err);
        fnd_print_kernel(variant, &printed);
    }
    if (status == FND_OK) status = fnd_sources_flatten(fnd_catalog_sources(catalog), ".metal", "kernel", fnd_text_get(&printed), flat, err);
    fnd_text_free(&printed);
    fnd_catalog_close(catalog);
    fnd_free_memory(room);
    fnd_free_memory(variant);
    return status;
}

static bool check_one(const char *dir, const char *file, const char *text) {
    char out[CHECK_PATH_BYTES], path[CHECK_PATH_BYTES], place[CHECK_PATH_BYTES + 16];
    fnd_text flat = { 0 }, said = { 0 };
    fnd_error err = { 0 };
    int line = planted_line(text);
    snprintf(out, sizeof out, "%s/planted-%s.metal.txt", dir, file);
    snprintf(path, sizeof path, "planted/%s", file);
    snprintf(place, sizeof place, "%s:%d:", path, line);
    bool composed = compose(path, text, &flat, &err) == FND_OK && fnd_file_write(out, flat.data, flat.bytes, &err) == FND_OK;
    bool passes = composed && check_metal(out, &said);
    bool ok = composed && (line ? !passes && strstr(fnd_text_get(&said), place) : passes);
    if (!ok) printf("FAIL planted/%s: %s %s; got:\n%s%.2000s\n", file, line ? "nothing was said about" : "is right and was refused,", line ? place : "", err.text, fnd_text_get(&said));
    fnd_text_free(&flat);
    fnd_text_free(&said);
    return ok;
}

/* A text that is right, with words of the dialect's own Metal files put wrong: found, with what is said. */
static bool check_spoilt(const char *dir) {
    static const struct {
        const char *right, *wrong, *says;
    } spoilt[] = {
        { " [[thread_index_in_simdgroup]]", "", "no [[attribute]] says what it is" },
        { "[[threadgroups_per_grid]]", "[[threadgroups_in_grid]]", "Metal has no such attribute" },
        { "constant u64 *fnd_scratch_bytes", "u64 *fnd_scratch_bytes", "\"u64 *fnd_scratch_bytes\" names no memory" },
        { "kernel void name(", "kernel int name(", "returns int" },
        { "threadgroup f32 fnd_reduce", "device f32 fnd_reduce", "fnd_reduce" },
        { "metal::simd_sum(v)", "metal::simd_total(v)", "simd_total" },
        { "metal::precise::sqrt(a)", "metal::exact::sqrt(a)", "exact" },
    };
    char out[CHECK_PATH_BYTES], *nothing;
    size_t bytes, found = 0;
    fnd_error err = { 0 };
    fnd_text flat = { 0 };
    snprintf(out, sizeof out, "%s/spoilt.metal.txt", dir);
    if (fnd_file_read(PLANTED_DIR "nothing.h", 1 << 20, &nothing, &bytes, &err) != FND_OK || compose("planted/nothing.h", nothing, &flat, &err) != FND_OK) {
        printf("FAIL " PLANTED_DIR "nothing.h: %s\n", err.text);
        return false;
    }
    fnd_free_memory(nothing);
    for (size_t i = 0; i < FND_COUNT(spoilt); i++) {
        fnd_text text = { 0 }, said = { 0 };
        const char *whole = fnd_text_get(&flat), *at = strstr(whole, spoilt[i].right);
        if (at) fnd_text_printf(&text, "%.*s%s%s", (int)(at - whole), whole, spoilt[i].wrong, at + strlen(spoilt[i].right));
        bool ok = at && fnd_file_write(out, text.data, text.bytes, &err) == FND_OK && !check_metal(out, &said) && strstr(fnd_text_get(&said), spoilt[i].says);
        if (!ok) printf("FAIL \"%s\" for \"%s\": nothing was said of \"%s\"; got:\n%s%.2000s\n", spoilt[i].wrong, spoilt[i].right, spoilt[i].says, err.text, fnd_text_get(&said));
        found += ok;
        fnd_text_free(&text);
        fnd_text_free(&said);
    }
    fnd_text_free(&flat);
    return found == FND_COUNT(spoilt);
}

#define USER_DIR "tests/kernels_check/planted_user"

/* A user's folder, as `make kernels user=...` takes it: each text for Metal is refused for the line. */
static bool check_user(const char *dir) {
    char out[CHECK_PATH_BYTES], *text, place[64] = "";
    check_texts texts = { 0 };
    fnd_error err = { 0 };
    size_t bytes, metal = 0, found = 0;
    snprintf(out, sizeof out, "%s/planted_user", dir);
    if (fnd_file_read(USER_DIR "/mine/window.h", 1 << 20, &text, &bytes, &err) == FND_OK) {
        snprintf(place, sizeof place, "mine/window.h:%d:", planted_line(text));
        fnd_free_memory(text);
    }
    bool written = place[0] && fnd_make_dirs(out, &err) == FND_OK && check_texts_write(out, USER_DIR, &texts, &err) == FND_OK;
    for (size_t i = 0; written && i < texts.count; i++) {
        fnd_text said = { 0 };
        if (strcmp(texts.list[i].suffix, ".metal") != 0 || !texts.list[i].thorough) continue;
        metal++;
        found += !check_metal(texts.list[i].path, &said) && strstr(fnd_text_get(&said), place);
        fnd_text_free(&said);
    }
    fnd_free_memory(texts.list);
    bool ok = metal > 0 && found == metal;
    if (!ok) printf("FAIL " USER_DIR ": %s was found in %zu of %zu texts for Metal; %s\n", place, found, metal, err.text);
    return ok;
}

/* A kernel that needs more registers than there are: refused, with its name, the target and how many bytes. */
static bool check_spilling(void) {
    char why_not[160], archs[4][16];
    fnd_text said = { 0 };
    check_text text = { .name = "planted", .path = "tests/kernels_check/planted_spill.cu", .thorough = true, .decode = true };
    if (!check_nvrtc_open(why_not)) return true; /* nothing is compiled for CUDA here */
    bool ok = check_nvrtc_archs(archs) > 0 && !check_nvrtc_compile(&text, archs[0], &said);
    ok = ok && strstr(fnd_text_get(&said), "planted_spill of \"planted\" for sm_75 spills registers: ") && strstr(fnd_text_get(&said), " bytes of stores, ");
    if (!ok) printf("FAIL planted_spill.cu: that it spills was not found; got:\n%.2000s\n", fnd_text_get(&said));
    fnd_text_free(&said);
    text.known_stores = text.known_loads = UINT32_MAX;
    bool known = check_nvrtc_compile(&text, archs[0], &said);
    if (!known) printf("FAIL planted_spill.cu: was refused although it is known to spill; got:\n%.2000s\n", fnd_text_get(&said));
    fnd_text_free(&said);
    return ok && known;
}

typedef struct plants {
    const char *dir;
    glob_t files;
    atomic_uint good;
} plants;

static bool check_file(const plants *p, const char *path) {
    char *text;
    size_t bytes;
    fnd_error err = { 0 };
    if (fnd_file_read(path, 1 << 20, &text, &bytes, &err) != FND_OK) return false;
    bool ok = check_one(p->dir, path + strlen(PLANTED_DIR), text);
    fnd_free_memory(text);
    return ok;
}

/* The longest first. */
static void check_plant(void *ctx, size_t index) {
    plants *p = ctx;
    atomic_fetch_add(&p->good, index == 0 ? check_user(p->dir) : index == 1 ? check_spoilt(p->dir)
                                                             : index == 2   ? check_spilling()
                                                                            : check_file(p, p->files.gl_pathv[index - 3]));
}

void check_planted(const char *dir, uint32_t *passed, uint32_t *failed) {
    plants p = { .dir = dir };
    bool there = glob(PLANTED_DIR "*.h", 0, NULL, &p.files) == 0;
    uint32_t all = 3 + (uint32_t)p.files.gl_pathc, good;
    check_on_all_cores(all, check_plant, &p);
    good = atomic_load(&p.good);
    all += !there;
    globfree(&p.files);
    printf("%-4s planted violations %u of %u\n", good < all ? "FAIL" : "ok", good, all);
    *passed += good;
    *failed += all - good;
}
