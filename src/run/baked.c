/* baked.c - finding a call's kernel in the library. */
#include "run/baked.h"
#include "base/base.h"
#include "base/hash.h"
#include "base/memory.h"
#include "run/composer.h"

/* Can a kernel for F32 activations, weights of any format and caches of one serve what is bound? */
static bool fits(foundry *f, const fnd_bound *b, fnd_format *cache) {
    const fnd_composition *c = &b->kernel->composition;
    *cache = FND_FORMAT_NONE;
    for (uint32_t i = 0; i < c->arg_count; i++) {
        const fnd_format_info *info = fnd_format_get(b->numbers->variant.formats[i]);
        if (c->args[i].kind == FND_ARG_WEIGHT && (!info || !f->backend->policy_ops(f->device, info->name, b->numbers->variant.file_rows))) return false;
        if (fnd_arg_is_act(&c->args[i]) && b->numbers->variant.formats[i] != FND_F32) return false;
        if (!fnd_arg_is_cache(&c->args[i])) continue;
        if (*cache && *cache != b->numbers->variant.formats[i]) return false;
        *cache = b->numbers->variant.formats[i];
    }
    return !b->portable || f->info.suffix[0] == '\0';
}

static fnd_status flatten(fnd_composer *c, const fnd_variant *v, const char *suffix, fnd_text *flat) {
    fnd_error ignored = { 0 };
    fnd_text text = { 0 };
    fnd_status status = fnd_print_alone(c->catalog, v, &text, &ignored);
    if (status == FND_OK) status = fnd_sources_flatten(fnd_catalog_sources(c->catalog), suffix, v->name, fnd_text_get(&text), flat, &ignored);
    fnd_text_free(&text);
    return status;
}

bool fnd_baked_find(foundry *f, const fnd_bound *b, fnd_variant *v, void **code) {
    fnd_composer *c;
    fnd_format cache;
    fnd_text flat = { 0 };
    fnd_error ignored = { 0 };
    if (f->desc.no_baked || !f->backend->baked || !fits(f, b, &cache) || fnd_composer_get(f, &c, &ignored) != FND_OK) return false;
    /* The library has matrix kernels for one token, for a span and for a whole tile. */
    uint32_t tokens = b->numbers->variant.tokens, few = f->info.span_tokens ? f->info.span_tokens : f->info.tile_tokens;
    fnd_variant_any(&b->kernel->composition, tokens == 1 ? 1 : tokens <= few ? few
                                                                             : f->info.tile_tokens,
                    cache, v);
    bool file_rows = b->numbers->variant.file_rows;
    pthread_mutex_lock(&c->lock);
    fnd_baked *known = c->baked;
    while (known && (known->kernel != b->kernel || known->tokens != v->tokens || known->cache != cache || known->file_rows != file_rows)) known = known->next;
    if (!known && (known = fnd_alloc_zeroed(1, sizeof *known))) {
        *known = (fnd_baked){ .kernel = b->kernel, .tokens = v->tokens, .cache = cache, .file_rows = file_rows, .next = c->baked };
        if (flatten(c, v, f->info.suffix, &flat) == FND_OK) {
            fnd_hash128 key = fnd_hash_bytes(flat.data, flat.bytes);
            known->code = f->backend->baked(f->device, (uint64_t[2]){ key.low, key.high }, file_rows);
        }
        fnd_text_free(&flat);
        c->baked = known;
    }
    *code = known ? known->code : NULL;
    pthread_mutex_unlock(&c->lock);
    if (*code) fnd_count(f, FND_COUNTER_BAKED_HITS, 1);
    return *code != NULL;
}
