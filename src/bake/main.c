/* main.c - writes the C files of the kernels that are compiled into the library, and a Makefile for
 * them:  bake DIR  makes DIR/Makefile, DIR/<level>_<part>.c and DIR/table.c; bake DIR arm64  makes them
 * for a library that is compiled for another architecture.
 *
 * For every level of instructions: each shipped kernel for weights of any format, and the functions of
 * each format behind pointers (src/kernels/policy/any). Of a level that adds a matrix unit only what uses that:
 * matrix kernels for many tokens, the products of panels, and attention. A kernel is found again by the hash of its
 * flattened text, so a library never runs a kernel whose text has changed. */
#include "backend/cpu/cpu.h"
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "compose/print.h"
#include "compose/shipped.h"

#include <stdio.h>

enum { TILE_TOKENS = FND_CPU_TILE_TOKENS,
       PANEL_TOKENS = FND_CPU_PANEL_TOKENS,
       MAX_KERNELS = 96 };

#define FLAG_WORD_(flag) " " flag

typedef struct baker {
    const char *dir;
    fnd_cpu_arch arch;
    fnd_catalog *catalog;
    fnd_text makefile, objects, table, prototypes, policies;
    size_t kernels, policy_rows;
    fnd_error err;
} baker;

/* Which kernels: every shipped one for one token, matrix kernels for several too, those with a cache for
 * every format of it. */
typedef enum wanted {
    EVERY_KERNEL,
    WITH_CACHE,
    MATRICES,
} wanted;

typedef struct selection {
    fnd_composition_room *kernels[MAX_KERNELS];
    fnd_variant *variants[MAX_KERNELS];
    size_t count;
} selection;

static bool has_cache(const fnd_composition *k) {
    for (uint32_t i = 0; i < k->arg_count; i++) {
        if (fnd_arg_is_cache(&k->args[i])) return true;
    }
    return false;
}

/* Of matrix kernels for several tokens. */
static uint32_t matrix_tokens(const fnd_cpu_level *level) { return level->bf16_prompts ? PANEL_TOKENS : TILE_TOKENS; }

static bool is_wanted(const fnd_composition *k, wanted which) {
    return which == EVERY_KERNEL || (which == MATRICES ? k->form == FND_FORM_LINEAR : has_cache(k));
}

static fnd_status select_kernels(baker *b, wanted which, uint32_t tokens, fnd_format cache, selection *s) {
    *s = (selection){ .count = 0 };
    for (size_t i = 0; i < fnd_shipped_count() && s->count < MAX_KERNELS; i++) {
        fnd_kernel_desc desc;
        fnd_composition_room *room = fnd_alloc_zeroed(1, sizeof *room);
        fnd_variant *v = fnd_alloc_zeroed(1, sizeof *v);
        if (!room || !v) return fnd_fail(&b->err, FND_ERR_MEMORY, "out of memory");
        FND_TRY(fnd_shipped_stages(i, &desc, &b->err));
        FND_TRY(fnd_compose(b->catalog, &desc, room, &b->err));
        const fnd_composition *k = &room->composition;
        fnd_variant_any(k, tokens, cache, v);
        if (!is_wanted(k, which)) {
            fnd_free_memory(room);
            fnd_free_memory(v);
            continue;
        }
        s->kernels[s->count] = room;
        s->variants[s->count++] = v;
    }
    return FND_OK;
}

static fnd_status write_part(baker *b, const fnd_cpu_level *level, const char *part, const fnd_text *text) {
    char path[4096];
    fnd_text flat = { 0 };
    snprintf(path, sizeof path, "%s/%s_%s.c", b->dir, level->name, part);
    FND_TRY(fnd_sources_flatten(fnd_catalog_sources(b->catalog), fnd_cpu_suffix(level), part, fnd_text_get(text), &flat, &b->err));
    FND_TRY(fnd_file_write(path, flat.data, flat.bytes, &b->err));
    fnd_text_free(&flat);
    fnd_text_printf(&b->objects, " %s_%s.o", level->name, part);
    fnd_text_printf(&b->makefile, "%s_%s.o: KERNEL_FLAGS +=", level->name, part);
    for (size_t i = 0; i < FND_COUNT(level->flags) && level->flags[i]; i++) fnd_text_printf(&b->makefile, " %s", level->flags[i]);
    fnd_text_printf(&b->makefile, "%s\n", level->vec == 0 ? " -DFND_GENERIC" : "");
    return FND_OK;
}

/* The key under which the run layer will ask: composed alone, flattened. */
static fnd_status add_kernel(baker *b, const char *part, const fnd_cpu_level *level, const fnd_variant *v) {
    fnd_text text = { 0 }, flat = { 0 };
    FND_TRY(fnd_print_alone(b->catalog, v, &text, &b->err));
    FND_TRY(fnd_sources_flatten(fnd_catalog_sources(b->catalog), fnd_cpu_suffix(level), v->name, fnd_text_get(&text), &flat, &b->err));
    fnd_hash128 key = fnd_hash_bytes(flat.data, flat.bytes);
    fnd_text_printf(&b->prototypes, "void baked_%s_%s_%s(const void *args, const struct fnd_thread *thread);\n", level->name, part, v->name);
    fnd_text_printf(&b->table, "    { \"%s\", { 0x%llxu, 0x%llxu }, baked_%s_%s_%s },\n", level->name, (unsigned long long)key.low, (unsigned long long)key.high, level->name, part, v->name);
    b->kernels++;
    fnd_text_free(&text);
    fnd_text_free(&flat);
    return FND_OK;
}

static fnd_status bake_kernels(baker *b, const fnd_cpu_level *level, wanted which, fnd_format cache) {
    uint32_t tokens = which == MATRICES ? matrix_tokens(level) : 1;
    selection s;
    fnd_text text = { 0 };
    char part[32];
    snprintf(part, sizeof part, "kernels_%u_%s", tokens, fnd_format_get(cache)->name);
    FND_TRY(select_kernels(b, which, tokens, cache, &s));
    for (size_t i = 0; i < s.count; i++) {
        fnd_text_printf(&text, "#define %s baked_%s_%s_%s\n", s.variants[i]->name, level->name, part, s.variants[i]->name);
        FND_TRY(add_kernel(b, part, level, s.variants[i]));
    }
    FND_TRY(fnd_print_head(b->catalog, (const fnd_variant *const *)s.variants, s.count, &text, &b->err));
    for (size_t i = 0; i < s.count; i++) fnd_print_kernel(s.variants[i], &text);
    FND_TRY(write_part(b, level, part, &text));
    fnd_text_free(&text);
    for (size_t i = 0; i < s.count; i++) {
        fnd_free_memory(s.kernels[i]);
        fnd_free_memory(s.variants[i]);
    }
    return FND_OK;
}

/* The formats that ship; a policy of any format is not one of them. */
static bool is_format(const fnd_policy *p) { return p->format < FND_FORMAT_COUNT; }

/* Which formats have panels: those of codes, and floats where panels are bf16. */
static bool has_panels(const fnd_cpu_level *level, const fnd_policy *p) { return level->bf16_prompts || fnd_format_get(p->format)->block_weights > 1; }

static fnd_status bake_policies(baker *b, const fnd_cpu_level *level, uint32_t tokens) {
    fnd_text text = { 0 };
    char part[32];
    bool panels = level->bakes == FND_CPU_BAKES_PANELS;
    fnd_text_printf(&text, "#define FND_TOKENS %u\n#define FND_X_CODES 1\n#define FND_X_FLOATS 1\n", tokens);
    if (panels) fnd_text_str(&text, "#define FND_BAKED_PANELS 1\n");
    if (tokens == 1) fnd_text_str(&text, "#define FND_BAKED_ROWS 1\n");
    fnd_text_printf(&text, "#include \"fnd_device.h\"\n#define FND_BAKED(name) FND_CAT(baked_%s_%u_, name)\n", level->name, tokens);
    for (size_t i = 0; i < fnd_catalog_policy_count(b->catalog); i++) {
        const fnd_policy *p = fnd_catalog_policy_at(b->catalog, i);
        if (is_format(p) && (!panels || has_panels(level, p))) fnd_text_printf(&text, "#include \"%s\"\n#define POLICY %s\n#include \"policy/any/ops.h\"\n#undef POLICY\n", p->file, p->name);
    }
    snprintf(part, sizeof part, "policies_%u", tokens);
    fnd_status status = write_part(b, level, part, &text);
    fnd_text_free(&text);
    return status;
}

static void add_policy_rows(baker *b, const fnd_cpu_level *level) {
    static const char *const dots[] = { "dot", "rows_dot" }; /* weights in tiles; as in the file */
    for (size_t i = 0; i < fnd_catalog_policy_count(b->catalog); i++) {
        const fnd_policy *p = fnd_catalog_policy_at(b->catalog, i);
        const char *l = level->name, *n = p->name;
        if (!is_format(p)) continue;
        fnd_text_printf(&b->prototypes, "void baked_%s_1_%s_embed(void), baked_%s_1_%s_repack(void);\n", l, n, l, n);
        for (size_t k = 0; k < FND_COUNT(dots); k++) {
            fnd_text_printf(&b->prototypes, "void baked_%s_1_%s_%s(void), baked_%s_%u_%s_%s(void);\n", l, n, dots[k], l, TILE_TOKENS, n, dots[k]);
            fnd_text_printf(&b->prototypes, "static const ops %s_%s_%s = { baked_%s_1_%s_%s, baked_%s_%u_%s_%s, baked_%s_1_%s_embed, baked_%s_1_%s_repack };\n", l, n, dots[k], l, n, dots[k], l, TILE_TOKENS, n, dots[k], l, n, l, n);
        }
        fnd_text_printf(&b->policies, "    { \"%s\", \"%s\", { &%s_%s_%s, &%s_%s_%s } },\n", l, n, l, n, dots[0], l, n, dots[1]);
        b->policy_rows++;
    }
}

/* Weights in tiles: all but the products of panels is of the level whose other kernels serve. */
static void add_panel_rows(baker *b, const fnd_cpu_level *panels, const char *others) {
    const char *level = panels->name;
    uint32_t tokens = matrix_tokens(panels);
    for (size_t i = 0; i < fnd_catalog_policy_count(b->catalog); i++) {
        const fnd_policy *p = fnd_catalog_policy_at(b->catalog, i);
        const char *n = p->name;
        if (!is_format(p) || !has_panels(panels, p)) continue;
        fnd_text_printf(&b->prototypes, "void baked_%s_%u_%s_panel_dot(void);\n", level, tokens, n);
        fnd_text_printf(&b->prototypes, "static const ops %s_%s_dot = { baked_%s_1_%s_dot, baked_%s_%u_%s_dot, baked_%s_1_%s_embed, baked_%s_1_%s_repack, baked_%s_%u_%s_panel_dot };\n", level, n, others, n, others, TILE_TOKENS, n, others, n, others, n, level, tokens, n);
        fnd_text_printf(&b->policies, "    { \"%s\", \"%s\", { &%s_%s_dot, &%s_%s_rows_dot } },\n", level, n, level, n, others, n);
        b->policy_rows++;
    }
}

static fnd_status write_table(baker *b) {
    fnd_text t = { 0 };
    char path[4096];
    fnd_text_str(&t, "/* Generated: the kernels compiled into the library. */\n#include \"backend/cpu/baked.h\"\n");
    fnd_text_str(&t, "/* The layout of fnd_policy_ops (src/kernels/policy/any/any.h), types left to the kernels. */\ntypedef struct ops { void (*f[5])(void); } ops;\n");
    fnd_text_printf(&t, "%s\nconst fnd_baked_kernel fnd_baked_kernels[] = {\n%s};\nconst size_t fnd_baked_kernel_count = %zu;\n", fnd_text_get(&b->prototypes), fnd_text_get(&b->table), b->kernels);
    fnd_text_printf(&t, "const fnd_baked_policy fnd_baked_policies[] = {\n%s};\nconst size_t fnd_baked_policy_count = %zu;\n", fnd_text_get(&b->policies), b->policy_rows);
    snprintf(path, sizeof path, "%s/table.c", b->dir);
    FND_TRY(fnd_file_write(path, t.data, t.bytes, &b->err));
    fnd_text_free(&t);
    snprintf(path, sizeof path, "%s/Makefile", b->dir);
    fnd_text_printf(&t, "KERNEL_FLAGS := -O3 -w" FND_CPU_FLAGS(FLAG_WORD_) "\nkernels.o:%s table.o\n\t$(CC) -r -nostdlib $^ -o $@\n", fnd_text_get(&b->objects));
    fnd_text_printf(&t, "table.o: KERNEL_FLAGS += $(LIBRARY_FLAGS)\n%%.o: %%.c\n\t@echo \"  bake $<\"; $(CC) $(KERNEL_FLAGS) -c $< -o $@\n%s", fnd_text_get(&b->makefile));
    fnd_status status = fnd_file_write(path, t.data, t.bytes, &b->err);
    fnd_text_free(&t);
    return status;
}

static fnd_status bake(baker *b) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels_of(b->arch, &count);
    FND_TRY(fnd_make_dirs(b->dir, &b->err));
    FND_TRY(fnd_catalog_open(NULL, &b->catalog, &b->err));
    const fnd_cpu_level *others = levels; /* whose kernels serve where a level has only panels */
    for (const fnd_cpu_level *level = levels; level < levels + count; level++) {
        if (level->bakes == FND_CPU_BAKES_NONE) continue;
        FND_TRY(bake_kernels(b, level, MATRICES, fnd_cache_format_at(0)));
        FND_TRY(bake_policies(b, level, matrix_tokens(level)));
        if (level->bakes == FND_CPU_BAKES_PANELS) {
            for (size_t c = 0; level->bf16_prompts && fnd_cache_format_at(c); c++) {
                if (fnd_cache_format_at(c) != FND_Q8_0) FND_TRY(bake_kernels(b, level, WITH_CACHE, fnd_cache_format_at(c))); /* attention over others is on vectors */
            }
            add_panel_rows(b, level, others->name);
            continue;
        }
        others = level;
        for (size_t c = 0; fnd_cache_format_at(c); c++) FND_TRY(bake_kernels(b, level, c ? WITH_CACHE : EVERY_KERNEL, fnd_cache_format_at(c)));
        FND_TRY(bake_policies(b, level, 1));
        add_policy_rows(b, level);
    }
    return write_table(b);
}

int main(int argc, char **argv) {
    bool arm64 = argc == 3 && strcmp(argv[2], "arm64") == 0, x86_64 = argc == 3 && strcmp(argv[2], "x86_64") == 0;
    if (argc != 2 && !arm64 && !x86_64) {
        fputs("usage: bake DIR [arm64|x86_64]\n", stderr);
        return 2;
    }
    baker b = { .dir = argv[1], .arch = arm64 ? FND_CPU_ARCH_ARM64 : x86_64 ? FND_CPU_ARCH_X86_64
                                                                            : FND_CPU_ARCH_HERE };
    fnd_status status = bake(&b);
    if (status != FND_OK) fprintf(stderr, "bake: %s\n", b.err.text);
    fnd_text *texts[] = { &b.makefile, &b.objects, &b.table, &b.prototypes, &b.policies };
    for (size_t i = 0; i < FND_COUNT(texts); i++) fnd_text_free(texts[i]);
    fnd_catalog_close(b.catalog);
    return status != FND_OK;
}
