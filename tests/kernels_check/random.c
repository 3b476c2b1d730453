/* random.c - random legal lists of stages, composed for Metal as a program's kernels are. */
#include "check.h"

#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "compose/print.h"
#include "random_list.h"

#include <stdio.h>

enum { LISTS = 1000,
       LISTS_PER_TEXT = 50,
       SEED = 20261122 };

typedef struct batch {
    random_list lists[LISTS_PER_TEXT];
    fnd_composition_room kernels[LISTS_PER_TEXT];
    fnd_variant variants[LISTS_PER_TEXT];
} batch;

/* The formats of a list's tensors, by their names. */
static void bind_formats(const random_list *list, fnd_variant *v) {
    const fnd_composition *k = v->kernel;
    for (uint32_t i = 0; i < k->arg_count; i++) {
        for (uint32_t a = 0; a < list->arg_count; a++) {
            if (list->args[a].shape.rank && strcmp(list->args[a].name, k->args[i].name) == 0) v->formats[i] = list->args[a].format;
        }
    }
}

static fnd_status compose_batch(fnd_catalog *catalog, batch *b, uint32_t first, fnd_text *flat, fnd_error *err) {
    const fnd_variant *list[LISTS_PER_TEXT];
    fnd_text text = { 0 };
    bool one = first / LISTS_PER_TEXT % 2; /* every other text: the way for one token */
    for (uint32_t i = 0; i < LISTS_PER_TEXT; i++) {
        fnd_kernel_desc desc;
        random_list_make(SEED, first + i, one, &b->lists[i]);
        random_list_describe(&b->lists[i], &desc);
        FND_TRY(fnd_compose(catalog, &desc, &b->kernels[i], err));
        fnd_variant_init(&b->kernels[i].composition, &b->variants[i]);
        b->variants[i].tokens = one ? 1 : 16;
        bind_formats(&b->lists[i], &b->variants[i]);
        list[i] = &b->variants[i];
    }
    fnd_status status = fnd_print_head(catalog, list, LISTS_PER_TEXT, &text, err);
    for (uint32_t i = 0; i < LISTS_PER_TEXT && status == FND_OK; i++) fnd_print_kernel(list[i], &text);
    const char *suffix = fnd_common_suffix(catalog, ".metal", list, LISTS_PER_TEXT);
    if (status == FND_OK) status = fnd_sources_flatten(fnd_catalog_sources(catalog), suffix, "random", fnd_text_get(&text), flat, err);
    fnd_text_free(&text);
    return status;
}

static fnd_status write_batch(const char *dir, fnd_catalog *catalog, batch *b, uint32_t first, check_texts *out, fnd_error *err) {
    fnd_text flat = { 0 };
    if (out->count == CHECK_MAX_TEXTS) return fnd_fail(err, FND_ERR_LIMIT, "more than %d texts", CHECK_MAX_TEXTS);
    check_text *text = &out->list[out->count];
    *text = (check_text){ .suffix = ".metal", .kernels = LISTS_PER_TEXT };
    snprintf(text->name, sizeof text->name, "random %u to %u", first, first + LISTS_PER_TEXT - 1);
    snprintf(text->path, sizeof text->path, "%s/random-%u.metal.txt", dir, first);
    fnd_status status = compose_batch(catalog, b, first, &flat, err);
    if (status == FND_OK) status = fnd_file_write(text->path, flat.data, flat.bytes, err);
    if (status == FND_OK) out->count++;
    fnd_text_free(&flat);
    return status;
}

fnd_status check_random_write(const char *dir, check_texts *out, fnd_error *err) {
    fnd_catalog *catalog;
    batch *b = fnd_alloc_zeroed(1, sizeof *b);
    if (!b) return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    fnd_status status = fnd_catalog_open(NULL, &catalog, err);
    for (uint32_t i = 0; i < LISTS && status == FND_OK; i += LISTS_PER_TEXT) status = write_batch(dir, catalog, b, i, out, err);
    if (catalog) fnd_catalog_close(catalog);
    fnd_free_memory(b);
    return status;
}
