/* decode.c - whole programs of one token, as they are compiled for models of the Qwen2.5 shapes on an H100 (and, with
 * no weight stream, on older GPUs): what the composer prints of each call, in one text. Compiled for use, and no
 * register may be spilled but those that are known. */
#include "check.h"

#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "compose/program.h"
#include "compose/shipped.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct shape {
    const char *name;
    uint32_t dim, hidden, layers, heads, kv_heads, head_dim, vocab;
} shape;

static const shape shapes[] = {
    { "0.5b", 896, 4864, 24, 14, 2, 64, 151936 },
    { "1.5b", 1536, 8960, 28, 12, 2, 128, 151936 },
    { "7b", 3584, 18944, 28, 28, 4, 128, 152064 },
};

/* Formats of a file's matrices, of its values and down projections, and of its head. */
typedef struct mix {
    const char *name;
    fnd_format most, some, head, cache;
} mix;

static const mix mixes[] = {
    { "f16", FND_F16, FND_F16, FND_F16, FND_F16 },
    { "q8_0", FND_Q8_0, FND_Q8_0, FND_Q8_0, FND_Q8_0 },
    { "q4_0", FND_Q4_0, FND_Q4_0, FND_Q6_K, FND_F16 },
    { "q4_k", FND_Q4_K, FND_Q6_K, FND_Q6_K, FND_F16 },
};

/* What ptxas spills today in the worst of these programs, and no more may be: values that live across attention,
 * which takes all 128 registers that a thread of 512 can have, and are stored and loaded once a layer. */
static const struct {
    const char *arch;
    uint32_t stores, loads;
} known[] = { { "75", 88, 216 }, { "80", 88, 216 }, { "90a", 32, 92 } };

enum { GROUPS = 132,
       STREAM_CAPABILITY = 90,
       CALLS = 7,
       BEHIND_EMBED = 1,
       OF_LAYER = 5 };

static const char *const calls[CALLS] = { "embed", "norm_qkv_bias", "attention_decode", "merge_residual", "norm_gate_up", "linear_residual", "norm_head" };

static uint64_t value_of(const shape *s, size_t call, const char *dim) {
    const uint64_t q = (uint64_t)s->heads * s->head_dim, kv = (uint64_t)s->kv_heads * s->head_dim;
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        { "tokens", 1 },
        { "vocab", s->vocab },
        { "dim", call == 3 ? q : call == 5 ? s->hidden
                                           : s->dim },
        { "rows", call == 4 ? s->hidden : call == 6 ? s->vocab
                                                    : s->dim },
        { "rows_q", q },
        { "rows_k", kv },
        { "rows_v", kv },
        { "heads", s->heads },
        { "kv_heads", s->kv_heads },
        { "head_dim", s->head_dim },
        { "pairs", s->head_dim / 2 },
        { "splits", GROUPS / s->kv_heads },
    };
    for (size_t i = 0; i < FND_COUNT(values); i++) {
        if (strcmp(values[i].name, dim) == 0) return values[i].value;
    }
    return 0;
}

/* Constants folded as programs fold them: all but where the token is, and how long the cache. */
static void fold(const shape *s, const mix *m, size_t call, fnd_variant *v) {
    const fnd_composition *k = v->kernel;
    const float eps = 1e-6f, one = 1.0f;
    v->tokens = 1;
    for (uint32_t i = 0; i < k->arg_count; i++) {
        const fnd_arg *a = &k->args[i];
        bool some = strcmp(a->name, "w_v") == 0 || call == 5;
        if (a->kind == FND_ARG_WEIGHT)
            v->formats[i] = call == 0 || call == 6 ? m->head : some ? m->some
                                                                    : m->most;
        else if (fnd_arg_is_cache(a))
            v->formats[i] = m->cache;
        else if (fnd_arg_is_act(a))
            v->formats[i] = FND_F32;
        if (a->kind != FND_ARG_VAL || strcmp(a->name, "pos") == 0) continue;
        v->arg_folded[i] = true;
        v->arg_bits[i] = 1;
        if (strcmp(a->type, "f32") == 0) memcpy(&v->arg_bits[i], strcmp(a->name, "eps") == 0 ? &eps : &one, sizeof eps);
    }
    for (uint32_t i = 0; i < k->dims.count; i++) {
        v->dim_value[i] = value_of(s, call, k->dims.name[i]);
        v->dim_folded[i] = v->dim_value[i] != 0;
    }
}

typedef struct program {
    fnd_composition_room kernels[CALLS];
    fnd_variant variants[CALLS];
    fnd_part parts[CALLS];
} program;

static fnd_status print(fnd_catalog *catalog, const shape *s, const mix *m, bool streamed, fnd_text *flat, fnd_error *err) {
    static program p;
    const fnd_variant *list[CALLS];
    uint8_t classes[64] = { 0 };
    fnd_text text = { 0 };
    for (uint32_t i = 0; i < CALLS; i++) {
        fnd_kernel_desc desc;
        FND_TRY(fnd_shipped_find(calls[i], &desc, err));
        FND_TRY(fnd_compose(catalog, &desc, &p.kernels[i], err));
        fnd_variant_init(&p.kernels[i].composition, &p.variants[i]);
        fold(s, m, i, &p.variants[i]);
        p.variants[i].streamed = streamed;
        p.parts[i] = (fnd_part){ .variant = i, .barrier = i > 0 };
        list[i] = &p.variants[i];
    }
    const fnd_block_of_calls layer = { p.parts + BEHIND_EMBED, OF_LAYER };
    const fnd_program_text whole = { .name = "decode", .variants = list, .variant_count = CALLS, .before = { p.parts, BEHIND_EMBED }, .classes = &layer, .class_count = 1, .layer_class = classes, .layers = s->layers, .after = { p.parts + BEHIND_EMBED + OF_LAYER, 1 } };
    fnd_status status = fnd_print_program(catalog, &whole, &text, err);
    if (status == FND_OK) status = fnd_sources_flatten(fnd_catalog_sources(catalog), ".cuda", "decode", fnd_text_get(&text), flat, err);
    fnd_text_free(&text);
    return status;
}

static void note_known(check_text *t) {
    for (size_t i = 0; i < FND_COUNT(known); i++) {
        if (strcmp(known[i].arch, t->arch) != 0) continue;
        t->known_stores = known[i].stores;
        t->known_loads = known[i].loads;
    }
}

static fnd_status write_one(const char *dir, fnd_catalog *catalog, const shape *s, const mix *m, const char *arch, check_texts *out, fnd_error *err) {
    fnd_text flat = { 0 };
    bool streamed = atoi(arch) >= STREAM_CAPABILITY;
    if (out->count == CHECK_MAX_TEXTS) return fnd_fail(err, FND_ERR_LIMIT, "more than %d texts", CHECK_MAX_TEXTS);
    check_text *t = &out->list[out->count++];
    *t = (check_text){ .suffix = CHECK_DECODE, .kernels = CALLS, .thorough = true, .decode = true, .warps = streamed ? 15 : 16 };
    snprintf(t->arch, sizeof t->arch, "%s", arch);
    snprintf(t->name, sizeof t->name, "decode %s %s", s->name, m->name);
    snprintf(t->path, sizeof t->path, "%s/decode-%s-%s-sm_%s.cuda.txt", dir, s->name, m->name, arch);
    note_known(t);
    fnd_status status = print(catalog, s, m, streamed, &flat, err);
    if (status == FND_OK) status = fnd_file_write(t->path, flat.data, flat.bytes, err);
    fnd_text_free(&flat);
    return status;
}

fnd_status check_decode_write(const char *dir, bool all, check_texts *out, fnd_error *err) {
    char archs[4][16], why_not[160];
    fnd_catalog *catalog;
    if (!check_nvrtc_open(why_not)) return FND_OK;
    size_t count = check_nvrtc_archs(archs);
    FND_TRY(fnd_catalog_open(NULL, &catalog, err));
    fnd_status status = FND_OK;
    for (size_t s = 0; s < (all ? FND_COUNT(shapes) : 1); s++) {
        for (size_t m = 0; m < FND_COUNT(mixes); m++) {
            for (size_t a = 0; a < count && (all || m == FND_COUNT(mixes) - 1) && status == FND_OK; a++) status = write_one(dir, catalog, &shapes[s], &mixes[m], archs[a], out, err);
        }
    }
    fnd_catalog_close(catalog);
    return status;
}
