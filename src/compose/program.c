/* program.c - printing a program as one function. */
#include "compose/program.h"
#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>

uint32_t fnd_block_bytes(const fnd_program_text *p, const fnd_block_of_calls *block) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        fnd_layout_of_args layout;
        fnd_variant_layout(p->variants[block->parts[i].variant], &layout);
        bytes += layout.bytes;
    }
    return bytes;
}

uint32_t fnd_program_table_bytes(const fnd_program_text *p) {
    uint32_t bytes = fnd_block_bytes(p, &p->before) + fnd_block_bytes(p, &p->after);
    for (uint32_t i = 0; i < p->layers; i++) bytes += fnd_block_bytes(p, &p->classes[p->layer_class[i]]);
    return bytes;
}

/* typedef struct <program>_<block> { ... }: the argument structs of a block, call by call. */
static void print_struct(const fnd_program_text *p, const char *block_name, const fnd_block_of_calls *block, fnd_text *out) {
    if (!block->count) return;
    fnd_text_printf(out, "\ntypedef struct %s_%s {\n", p->name, block_name);
    for (uint32_t i = 0; i < block->count; i++) fnd_text_printf(out, "    %s_args call%u;\n", p->variants[block->parts[i].variant]->name, i);
    fnd_text_printf(out, "} %s_%s;\n", p->name, block_name);
}

/* The two functions of a program with a weight stream; others have but the first. */
typedef enum function { CALLS,
                        BRINGS } function;

/* Where groups need not wait for each other, the threads of a group still do: the next call uses the
 * group's memory anew. */
static void print_calls(const fnd_program_text *p, function which, const fnd_block_of_calls *block, const char *pointer, const char *indent, fnd_text *out) {
    for (uint32_t i = 0; i < block->count; i++) {
        if (which == BRINGS) {
            const fnd_variant *v = p->variants[block->parts[i].variant];
            if (fnd_variant_brings(v)) fnd_text_printf(out, "%s%s_brings(t, %s->call%u);\n", indent, v->name, pointer, i);
            continue;
        }
        bool first = i == 0 && block == &p->before;
        if (!first) fnd_text_printf(out, "%sfnd_%s_barrier(t);\n", indent, block->parts[i].barrier ? "grid" : "group");
        if (p->stages) fnd_text_printf(out, "%sFND_CALL_BEGINS(t);\n", indent);
        fnd_text_printf(out, "%s%s_body(t, %s->call%u);\n", indent, p->variants[block->parts[i].variant]->name, pointer, i);
        if (p->stages) fnd_text_printf(out, "%sFND_CALL_ENDS(t);\n", indent);
    }
}

static void class_name(const fnd_program_text *p, uint32_t c, char *name, size_t bytes) {
    if (p->class_count == 1)
        snprintf(name, bytes, "layer");
    else
        snprintf(name, bytes, "layer_%c", (char)('a' + c % 26));
}

static void print_layer_tables(const fnd_program_text *p, uint32_t first, fnd_text *out) {
    if (p->class_count < 2) return;
    fnd_text_printf(out, "\n/* Which class a layer is of, and where its arguments stand in the table. */\nFND_CONSTANT u8 %s_class[%u] = {", p->name, p->layers);
    for (uint32_t i = 0; i < p->layers; i++) fnd_text_printf(out, "%s%u", i ? ", " : " ", p->layer_class[i]);
    fnd_text_printf(out, " };\nFND_CONSTANT u32 %s_at[%u] = {", p->name, p->layers);
    for (uint32_t i = 0, at = first; i < p->layers; at += fnd_block_bytes(p, &p->classes[p->layer_class[i]]), i++) fnd_text_printf(out, "%s%u", i ? ", " : " ", at);
    fnd_text_str(out, " };\n");
}

static void print_layers(const fnd_program_text *p, function which, uint32_t first, fnd_text *out) {
    char name[16];
    fnd_text_printf(out, "    for (u32 i = 0; i < %u; i++) {\n", p->layers);
    if (p->class_count == 1) {
        fnd_text_printf(out, "        const FND_GPU %s_layer *layer = FND_PART(%s_layer, %u + i * %u);\n", p->name, p->name, first, fnd_block_bytes(p, &p->classes[0]));
        print_calls(p, which, &p->classes[0], "layer", "        ", out);
    }
    for (uint32_t c = 0; p->class_count > 1 && c < p->class_count; c++) {
        class_name(p, c, name, sizeof name);
        fnd_text_printf(out, "        if (%s_class[i] == %u) {\n            const FND_GPU %s_%s *layer = FND_PART(%s_%s, %s_at[i]);\n", p->name, c, p->name, name, p->name, name, p->name);
        print_calls(p, which, &p->classes[c], "layer", "            ", out);
        fnd_text_str(out, "        }\n");
    }
    fnd_text_str(out, "    }\n");
}

/* Of a group: the time at the begin, two clocks of each call, the time at the end. */
static uint32_t stamps_of(const fnd_program_text *p) {
    uint32_t calls = p->before.count + p->after.count;
    for (uint32_t i = 0; i < p->layers; i++) calls += p->classes[p->layer_class[i]].count;
    return 2 * calls + 2;
}

static void print_function(const fnd_program_text *p, function which, fnd_text *out) {
    uint32_t first = fnd_block_bytes(p, &p->before), at = fnd_program_table_bytes(p) - fnd_block_bytes(p, &p->after);
    fnd_text_printf(out, "\nFND_%s(%s)\n{\n", which == CALLS ? "PROGRAM" : "BRINGS", p->name);
    if (p->stages && which == CALLS) fnd_text_printf(out, "    FND_STAMPS(t, %u, %u);\n", fnd_program_table_bytes(p), stamps_of(p));
    if (p->before.count) {
        fnd_text_printf(out, "    const FND_GPU %s_before *before = FND_PART(%s_before, 0);\n", p->name, p->name);
        print_calls(p, which, &p->before, "before", "    ", out);
    }
    if (p->layers) print_layers(p, which, first, out);
    if (p->after.count) {
        fnd_text_printf(out, "    const FND_GPU %s_after *after = FND_PART(%s_after, %u);\n", p->name, p->name, at);
        print_calls(p, which, &p->after, "after", "    ", out);
    }
    if (p->stages && which == CALLS) fnd_text_str(out, "    FND_STAMPS_END(t);\n");
    fnd_text_str(out, "}\n");
}

static bool streams(const fnd_program_text *p) {
    for (uint32_t i = 0; i < p->variant_count; i++) {
        if (p->variants[i]->streamed) return true;
    }
    return false;
}

/* Bytes of the weights of a layer, on an average; of a program without layers, of all. */
static uint64_t layer_bytes(const fnd_program_text *p) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < p->layers; i++) {
        const fnd_block_of_calls *block = &p->classes[p->layer_class[i]];
        for (uint32_t k = 0; k < block->count; k++) bytes += fnd_variant_weight_bytes(p->variants[block->parts[k].variant]);
    }
    if (p->layers) return bytes / p->layers;
    for (uint32_t i = 0; i < p->before.count; i++) bytes += fnd_variant_weight_bytes(p->variants[p->before.parts[i].variant]);
    for (uint32_t i = 0; i < p->after.count; i++) bytes += fnd_variant_weight_bytes(p->variants[p->after.parts[i].variant]);
    return bytes;
}

fnd_status fnd_print_program(fnd_catalog *catalog, const fnd_program_text *p, fnd_text *out, fnd_error *err) {
    char name[16];
    uint32_t first = fnd_block_bytes(p, &p->before);
    fnd_text_str(out, "#define FND_BODIES_ONLY 1\n");
    if (streams(p)) fnd_text_printf(out, "#define FND_STREAM 1\n#define FND_TABLE_BYTES %uu\n#define FND_STREAM_LAYER %" PRIu64 "ull\n", fnd_program_table_bytes(p) + (p->stages ? FND_STAMPS_BYTES : 0), layer_bytes(p));
    FND_TRY(fnd_print_head(catalog, p->variants, p->variant_count, out, err));
    for (uint32_t i = 0; i < p->variant_count; i++) fnd_print_kernel(p->variants[i], out);
    print_struct(p, "before", &p->before, out);
    for (uint32_t c = 0; c < p->class_count; c++) {
        class_name(p, c, name, sizeof name);
        print_struct(p, name, &p->classes[c], out);
    }
    print_struct(p, "after", &p->after, out);
    print_layer_tables(p, first, out);
    if (streams(p)) print_function(p, BRINGS, out);
    print_function(p, CALLS, out);
    return fnd_text_check(out, err);
}
