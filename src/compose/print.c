/* print.c - composed text: what a person would have written. */
#include "compose/print.h"
#include "base/base.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

void fnd_variant_init(const fnd_composition *kernel, fnd_variant *out) {
    *out = (fnd_variant){ .kernel = kernel, .tokens = 1 };
    snprintf(out->name, sizeof out->name, "%s_kernel", kernel->name); /* a stage may have the bare name */
    for (uint32_t i = 0; i < kernel->arg_count; i++) {
        const fnd_arg *arg = &kernel->args[i];
        if (fnd_arg_is_act(arg) || arg->kind == FND_ARG_WEIGHT) out->formats[i] = FND_F32;
        if (fnd_arg_is_cache(arg)) out->formats[i] = fnd_cache_format_at(0);
    }
}

void fnd_variant_any(const fnd_composition *kernel, uint32_t tokens, fnd_format cache, fnd_variant *out) {
    fnd_variant_init(kernel, out);
    out->tokens = tokens;
    for (uint32_t i = 0; i < kernel->arg_count; i++) {
        if (kernel->args[i].kind == FND_ARG_WEIGHT) out->formats[i] = FND_FORMAT_NONE;
        if (fnd_arg_is_cache(&kernel->args[i])) out->formats[i] = cache;
    }
}

void fnd_variant_layout(const fnd_variant *v, fnd_layout_of_args *out) {
    const fnd_composition *k = v->kernel;
    uint32_t at = 0;
    for (uint32_t i = 0; i < k->arg_count; i++) {
        out->arg[i] = UINT32_MAX;
        if (!fnd_arg_is_tensor(&k->args[i])) continue;
        out->arg[i] = at;
        at += k->args[i].kind == FND_ARG_WEIGHT ? 16 : 8;
    }
    out->values_at = at;
    for (uint32_t i = 0; i < k->arg_count; i++) {
        if (k->args[i].kind != FND_ARG_VAL || v->arg_folded[i]) continue;
        out->arg[i] = at;
        at += 4;
    }
    for (uint32_t i = 0; i < k->dims.count; i++) {
        out->dim[i] = UINT32_MAX;
        if (v->dim_folded[i]) continue;
        out->dim[i] = at;
        at += 4;
    }
    out->bytes = (uint32_t)fnd_round_up(at, 8);
}

#define ANY_FOLDER "policy/any/"
#define ANY_FILE   ANY_FOLDER "any.h"

static const char *policy_name(const fnd_variant *v, uint32_t arg) {
    const fnd_format_info *info = fnd_format_get(v->formats[arg]);
    return info ? info->name : "any";
}

const char *fnd_common_suffix(fnd_catalog *catalog, const char *suffix, const fnd_variant *const *variants, size_t count) {
    fnd_sources *sources = fnd_catalog_sources(catalog);
    for (size_t n = 0; n < count; n++) {
        const fnd_composition *k = variants[n]->kernel;
        for (uint32_t i = 0; i < k->arg_count; i++) {
            const fnd_policy *policy = k->args[i].kind == FND_ARG_WEIGHT ? fnd_catalog_policy(catalog, policy_name(variants[n], i)) : NULL;
            if (policy && fnd_sources_find(sources, policy->file, suffix) == fnd_sources_find(sources, policy->file, "")) return "";
        }
    }
    return suffix;
}

/* ---- includes: policies, then stages, each once; then the templates, once per policy ---- */

typedef struct once {
    char seen[128][FND_KERNEL_PATH_BYTES];
    size_t count;
} once;

static bool first_time(once *o, const char *what) {
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->seen[i], what) == 0) return false;
    }
    if (o->count < FND_COUNT(o->seen)) snprintf(o->seen[o->count++], FND_KERNEL_PATH_BYTES, "%s", what);
    return true;
}

static fnd_status print_policies(fnd_catalog *catalog, const fnd_variant *v, once *o, fnd_text *out, fnd_error *err) {
    for (uint32_t i = 0; i < v->kernel->arg_count; i++) {
        if (v->kernel->args[i].kind != FND_ARG_WEIGHT) continue;
        if (v->formats[i] == FND_FORMAT_NONE) {
            if (first_time(o, ANY_FILE)) fnd_text_str(out, "#include \"" ANY_FILE "\"\n");
            continue;
        }
        const fnd_policy *policy = fnd_catalog_policy(catalog, policy_name(v, i));
        if (!policy) return fnd_fail(err, FND_ERR_UNSUPPORTED, "kernel %s: argument %s has format %s, for which there is no policy", v->kernel->name, v->kernel->args[i].name, policy_name(v, i));
        if (first_time(o, policy->file)) fnd_text_printf(out, "#include \"%s\"\n", policy->file);
    }
    return FND_OK;
}

static void print_stage_files(const fnd_variant *v, once *o, fnd_text *out) {
    if (v->kernel->form == FND_FORM_LINEAR && first_time(o, "gemv/x.h")) fnd_text_str(out, "#include \"gemv/x.h\"\n");
    if (v->kernel->form == FND_FORM_ELEMENTS && first_time(o, "elementwise/each.h")) fnd_text_str(out, "#include \"elementwise/each.h\"\n");
    for (uint32_t i = 0; i < v->kernel->step_count; i++) {
        const fnd_stage *s = v->kernel->steps[i].stage;
        if (!s->by_policy && first_time(o, s->file)) fnd_text_printf(out, "#include \"%s\"\n", s->file);
    }
}

/* Which policy a template stage is compiled for: that of its first weight. */
static const char *step_policy(const fnd_variant *v, const fnd_step *step) {
    for (uint32_t i = 0; i < step->stage->arg_count; i++) {
        if (step->stage->args[i].kind == FND_ARG_WEIGHT) return policy_name(v, step->arg[i]);
    }
    return "";
}

/* Products with weights that lie as in the file have a template of their own, behind that of tiles. */
#define PRODUCTS     "gemv/dot.h"
#define ROW_PRODUCTS "gemv/dot_rows.h"
static bool reads_rows(const fnd_variant *v, const fnd_stage *s) { return v->file_rows && strcmp(s->file, PRODUCTS) == 0; }

bool fnd_stage_reads_rows(const fnd_stage *s) { return strcmp(s->file, PRODUCTS) == 0; }

static void print_template(const char *policy, const char *file, once *o, fnd_text *out) {
    char key[FND_KERNEL_PATH_BYTES];
    snprintf(key, sizeof key, "%.30s %.90s", policy, file);
    if (first_time(o, key)) fnd_text_printf(out, "#define POLICY %s\n#include \"%s\"\n#undef POLICY\n", policy, file);
}

static void print_templates(const fnd_variant *v, once *o, fnd_text *out) {
    for (uint32_t i = 0; i < v->kernel->step_count; i++) {
        const fnd_stage *s = v->kernel->steps[i].stage;
        const char *policy = step_policy(v, &v->kernel->steps[i]);
        char any[FND_KERNEL_PATH_BYTES];
        if (!s->by_policy) continue;
        if (strcmp(policy, "any") == 0) {
            snprintf(any, sizeof any, "%s%.90s.h", ANY_FOLDER, s->name);
            if (first_time(o, any)) fnd_text_printf(out, "#include \"%s\"\n", any);
            continue;
        }
        print_template(policy, s->file, o, out);
        if (reads_rows(v, s)) print_template(policy, ROW_PRODUCTS, o, out);
    }
}

/* Group memory that a kernel declares, each array a multiple of 16 bytes: Metal's entry points declare
 * it as one block. */
static uint32_t group_bytes(const fnd_composition *k) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < k->arg_count; i++) {
        const fnd_arg *arg = &k->args[i];
        if (arg->kind != FND_ARG_GROUP) continue;
        uint32_t each = strchr(arg->type, '8') ? 1 : strstr(arg->type, "16") ? 2
                                                                             : 4;
        bytes += (uint32_t)fnd_round_up(each * strtoul(arg->shape_text, NULL, 10), 16);
    }
    return bytes;
}

fnd_status fnd_print_head(fnd_catalog *catalog, const fnd_variant *const *variants, size_t count, fnd_text *out, fnd_error *err) {
    once o = { .count = 0 };
    uint32_t tokens = 0, group = 0;
    bool codes = false, floats = false, f32 = false, rows = false;
    for (size_t n = 0; n < count; n++) {
        const fnd_composition *k = variants[n]->kernel;
        if (group_bytes(k) > group) group = group_bytes(k);
        if (k->form != FND_FORM_LINEAR) continue;
        if (variants[n]->tokens > tokens) tokens = variants[n]->tokens;
        rows |= variants[n]->file_rows;
        for (uint32_t i = 0; i < k->arg_count; i++) {
            if (k->args[i].kind != FND_ARG_WEIGHT) continue;
            const fnd_format_info *info = fnd_format_get(variants[n]->formats[i]);
            codes |= !info || info->block_weights > 1;
            floats |= !info || info->block_weights == 1;
            f32 |= variants[n]->formats[i] == FND_F32;
        }
    }
    if (tokens) fnd_text_printf(out, "#define FND_TOKENS %u\n", tokens);
    if (codes) fnd_text_str(out, "#define FND_X_CODES 1\n");
    if (floats) fnd_text_str(out, "#define FND_X_FLOATS 1\n");
    if (rows) fnd_text_str(out, "#define FND_FILE_ROWS 1\n");
    if (tokens > 1 && f32) fnd_text_str(out, "#define FND_X_F32 1\n");
    if (group) fnd_text_printf(out, "#define FND_GROUP_BYTES %u\n", group);
    fnd_text_str(out, "#include \"fnd_device.h\"\n");
    for (size_t n = 0; n < count; n++) FND_TRY(print_policies(catalog, variants[n], &o, out, err));
    for (size_t n = 0; n < count; n++) print_stage_files(variants[n], &o, out);
    for (size_t n = 0; n < count; n++) print_templates(variants[n], &o, out);
    return fnd_text_check(out, err);
}

/* ---- the argument lists ---- */

static void print_upper(fnd_text *out, const char *name) {
    for (; *name; name++) {
        char upper = (char)toupper((unsigned char)*name);
        fnd_text_add(out, &upper, 1);
    }
}

static void print_tensors(const fnd_variant *v, fnd_text *out) {
    fnd_text_str(out, "#define ");
    print_upper(out, v->name);
    fnd_text_str(out, "_TENSORS(X)");
    for (uint32_t i = 0; i < v->kernel->arg_count; i++) {
        const fnd_arg *arg = &v->kernel->args[i];
        if (!fnd_arg_is_tensor(arg)) continue;
        bool act = fnd_arg_is_act(arg) || fnd_arg_is_cache(arg);
        const char *type = arg->kind == FND_ARG_WEIGHT ? policy_name(v, i) : act ? "u8"
                                                                                 : arg->type;
        fnd_text_printf(out, " \\\n    X(%s, %s, %s) /* ", fnd_arg_kind_name(arg->kind), type, arg->name);
        for (uint32_t d = 0; d < arg->shape.rank; d++) fnd_text_printf(out, "%s%s", d ? ", " : "[", arg->shape.dim[d]);
        fnd_text_str(out, "]");
        if (act) fnd_text_printf(out, " %s", policy_name(v, i));
        fnd_text_str(out, " */");
    }
    fnd_text_str(out, "\n");
}

static void print_values(const fnd_variant *v, fnd_text *out) {
    fnd_text_str(out, "#define ");
    print_upper(out, v->name);
    fnd_text_str(out, "_VALUES(X)");
    for (uint32_t i = 0; i < v->kernel->arg_count; i++) {
        const fnd_arg *arg = &v->kernel->args[i];
        if (arg->kind == FND_ARG_VAL && !v->arg_folded[i]) fnd_text_printf(out, " \\\n    X(VAL, %s, %s) /* %s */", arg->type, arg->name, arg->doc);
    }
    for (uint32_t i = 0; i < v->kernel->dims.count; i++) {
        if (!v->dim_folded[i]) fnd_text_printf(out, " \\\n    X(VAL, u32, %s)", v->kernel->dims.name[i]);
    }
    fnd_text_str(out, "\n");
}

/* ---- calls ---- */

static void print_dim(const fnd_variant *v, uint32_t dim, fnd_text *out) {
    if (v->dim_folded[dim])
        fnd_text_printf(out, "%lluu", (unsigned long long)v->dim_value[dim]);
    else
        fnd_text_printf(out, "a.%s", v->kernel->dims.name[dim]);
}

static void print_number(const fnd_variant *v, uint32_t arg, fnd_text *out) {
    const char *type = v->kernel->args[arg].type;
    if (!v->arg_folded[arg]) {
        fnd_text_printf(out, "a.%s", v->kernel->args[arg].name);
    } else if (strcmp(type, "f32") == 0) {
        float value;
        char digits[32];
        memcpy(&value, &v->arg_bits[arg], sizeof value);
        snprintf(digits, sizeof digits, "%.9g", (double)value);
        if (isnormal(value) || value == 0.0f)
            fnd_text_printf(out, "%s%sf", digits, strpbrk(digits, ".e") ? "" : ".0");
        else /* inf, NaN and what is subnormal have no digits that every compiler takes */
            fnd_text_printf(out, "fnd_bits_f32(0x%08xu)", v->arg_bits[arg]);
    } else if (strcmp(type, "i32") == 0) {
        int32_t value = (int32_t)v->arg_bits[arg];
        fnd_text_printf(out, value == INT32_MIN ? "(%d - 1)" : "%d", value == INT32_MIN ? value + 1 : value);
    } else {
        fnd_text_printf(out, "%uu", v->arg_bits[arg]);
    }
}

static const char *act_name(fnd_format format) {
    switch (format) {
    case FND_F16:
        return "FND_ACT_F16";
    case FND_BF16:
        return "FND_ACT_BF16";
    case FND_Q8_0:
        return "FND_ACT_Q8_0";
    default:
        return "FND_ACT_F32";
    }
}

static void print_arg(const fnd_variant *v, uint32_t arg, fnd_text *out) {
    const fnd_arg *a = &v->kernel->args[arg];
    if (a->kind == FND_ARG_VAL)
        print_number(v, arg, out);
    else if (a->kind == FND_ARG_GROUP)
        fnd_text_str(out, a->name);
    else if (fnd_arg_is_act(a) || fnd_arg_is_cache(a))
        fnd_text_printf(out, "%s(a.%s, %s)", a->kind == FND_ARG_IN ? "fnd_in" : "fnd_out", a->name, act_name(v->formats[arg]));
    else
        fnd_text_printf(out, "a.%s", a->name);
}

/* name(first, arguments, dimensions) */
static void print_call(const fnd_variant *v, const fnd_step *step, const char *first, fnd_text *out) {
    const fnd_stage *s = step->stage;
    if (s->by_policy) fnd_text_printf(out, "%s_%s", step_policy(v, step), reads_rows(v, s) ? "rows_" : "");
    fnd_text_printf(out, "%s(%s", s->name, first);
    for (uint32_t i = 0; i < s->arg_count; i++) {
        bool is_operand = s->gives == FND_VALUE_TILE && s->takes == FND_VALUE_ROWS && s->args[i].kind == FND_ARG_WEIGHT;
        if (is_operand) continue; /* a tile's weight comes first, and its shape is the driver's */
        fnd_text_str(out, ", ");
        print_arg(v, step->arg[i], out);
    }
    for (uint32_t i = 0; i < s->dims.count && !(s->by_policy && s->gives == FND_VALUE_TILE); i++) {
        fnd_text_str(out, ", ");
        print_dim(v, step->dim[i], out);
    }
    fnd_text_str(out, ")");
}

/* ---- bodies, one for each form ---- */

static void print_named_dim(const fnd_variant *v, const char *name, fnd_text *out) {
    int dim = fnd_dims_find(&v->kernel->dims, name);
    if (dim >= 0)
        print_dim(v, (uint32_t)dim, out);
    else
        fnd_text_str(out, "1u");
}

/* The value of a shape's dimension, an expression of names, with the names replaced. */
static void print_expr(const fnd_variant *v, const char *expr, fnd_text *out) {
    while (*expr) {
        size_t length = 0;
        char name[FND_NAME_BYTES];
        while (isalnum((unsigned char)expr[length]) || expr[length] == '_') length++;
        if (length && !isdigit((unsigned char)*expr) && length < sizeof name) {
            memcpy(name, expr, length);
            name[length] = '\0';
            print_named_dim(v, name, out);
        } else {
            length = length ? length : 1;
            fnd_text_add(out, expr, length);
        }
        expr += length;
    }
}

static uint32_t print_prologues(const fnd_variant *v, const char *row, fnd_text *out) {
    char first[64];
    uint32_t i = 0;
    snprintf(first, sizeof first, "t, %s, m", row);
    for (; i < v->kernel->step_count && v->kernel->steps[i].stage->kind == FND_KIND_PROLOGUE; i++) {
        if (i) fnd_text_str(out, "        fnd_group_barrier(t);\n");
        fnd_text_str(out, "        ");
        print_call(v, &v->kernel->steps[i], first, out);
        fnd_text_str(out, ";\n");
    }
    return i;
}

static bool ends_head(const fnd_step *step) { return step->stage->kind == FND_KIND_EPILOGUE_STORE; }

/* Does what comes between steps `first` .. and their store read tensors? */
static bool reads_before_store(const fnd_variant *v, uint32_t first) {
    for (; first < v->kernel->step_count && !ends_head(&v->kernel->steps[first]); first++) {
        const fnd_step *step = &v->kernel->steps[first];
        for (uint32_t i = 0; i < step->stage->arg_count && step->stage->kind != FND_KIND_MAIN; i++) {
            if (fnd_arg_is_tensor(&step->stage->args[i])) return true;
        }
    }
    return false;
}

/* The epilogues of one head, `v` being its value; stops behind the store. `tile`, if not NULL: where all values
 * wait before the first is stored, since what may go over memory that others read keeps their reads behind it. */
static uint32_t print_epilogues(const fnd_variant *v, uint32_t i, const char *indent, const char *tile, fnd_text *out) {
    for (; i < v->kernel->step_count; i++) {
        const fnd_step *step = &v->kernel->steps[i];
        bool store = ends_head(step), join = step->stage->takes == FND_VALUE_TILES2;
        if (store && tile) fnd_text_printf(out, "%s%s_tile.of[i] = v;\n            }\n            FND_EACH_PLACE(at, i, t, r, s) {\n%sfnd_val v = %s_tile.of[i];\n", indent, tile, indent, tile);
        fnd_text_printf(out, "%s%s", indent, store ? "" : "v = ");
        print_call(v, step, join ? "v, second, at" : "v, at", out);
        fnd_text_str(out, ";\n");
        if (store) return i + 1;
    }
    return i;
}

/* Weight of a main, and its shape: how many rows, how many columns. */
static const fnd_arg *main_weight(const fnd_variant *v, const fnd_step *step) {
    for (uint32_t i = 0; i < step->stage->arg_count; i++) {
        if (step->stage->args[i].kind == FND_ARG_WEIGHT) return &v->kernel->args[step->arg[i]];
    }
    return &v->kernel->args[step->arg[0]];
}

static void print_tile(const fnd_variant *v, const fnd_step *step, const char *name, fnd_text *out) {
    char first[128];
    const fnd_arg *weight = main_weight(v, step);
    if (step->stage->by_policy)
        snprintf(first, sizeof first, "t, a.%s, r, s, x", weight->name);
    else
        snprintf(first, sizeof first, "t, r, s, x");
    fnd_text_printf(out, "            fnd_tile %s_tile = ", name);
    print_call(v, step, first, out);
    fnd_text_str(out, ";\n");
}

/* Are two heads the shipped dot, of weights of one format? */
static bool same_policy(const fnd_variant *v, const fnd_step *a, const fnd_step *b) {
    return a->stage == b->stage && a->stage->by_policy && strcmp(a->stage->name, "dot") == 0 && strcmp(step_policy(v, a), step_policy(v, b)) == 0;
}

/* Bytes of a row of the step's weight as it lies in memory. */
static void print_pitch(const fnd_variant *v, const fnd_step *step, const char *before, fnd_text *out) {
    const fnd_arg *weight = main_weight(v, step);
    fnd_text_printf(out, "%s%s_pitch(", before, step_policy(v, step));
    print_expr(v, weight->shape.dim[weight->shape.rank - 1], out);
    fnd_text_str(out, ")");
}

/* The main of the head that is joined to that of step i; 0: none is. */
static uint32_t joined_main(const fnd_variant *v, uint32_t i) {
    const fnd_step *steps = v->kernel->steps;
    for (uint32_t k = i + 1; k < v->kernel->step_count && !ends_head(&steps[k]); k++) {
        if (steps[k].stage->kind == FND_KIND_MAIN) return k;
    }
    return 0;
}

/* One loop over tiles: a head, or two that are joined. */
static uint32_t print_head_loop(const fnd_variant *v, uint32_t i, fnd_text *out) {
    const fnd_step *steps = v->kernel->steps;
    const fnd_arg *weight = main_weight(v, &steps[i]);
    const char *head = steps[i].head[0] ? steps[i].head : "y";
    uint32_t first = i + 1, second = joined_main(v, i);
    fnd_text_printf(out, "    FND_EACH_%sTILE%s(r, t, ", v->streamed ? "STREAMED_" : "", second && !v->streamed ? "_2" : "");
    print_expr(v, weight->shape.dim[0], out);
    if (v->streamed) {
        fnd_text_str(out, second ? ", 2u" : ", 1u");
        print_pitch(v, &steps[i], ", ", out);
        if (second) print_pitch(v, &steps[second], " + ", out);
    }
    fnd_text_str(out, ") {\n        FND_EACH_SPAN(s, r, x) {\n");
    if (second && !v->streamed && !v->file_rows && same_policy(v, &steps[i], &steps[second])) {
        fnd_text_printf(out, "            FND_DOT_2(%s, a.%s, %s_tile, a.%s, %s_tile);\n", step_policy(v, &steps[i]), weight->name, head, main_weight(v, &steps[second])->name, steps[second].head);
    } else {
        print_tile(v, &steps[i], head, out);
        if (second) print_tile(v, &steps[second], steps[second].head, out);
    }
    bool reads = reads_before_store(v, first);
    fnd_text_str(out, "            FND_EACH_PLACE(at, i, t, r, s) {\n");
    fnd_text_printf(out, "                fnd_val v = %s_tile.of[i];\n", head);
    if (second) {
        for (uint32_t k = first; k < second; k++) {
            fnd_text_str(out, "                v = ");
            print_call(v, &steps[k], "v, at", out);
            fnd_text_str(out, ";\n");
        }
        fnd_text_printf(out, "                fnd_val second = %s_tile.of[i];\n", steps[second].head);
        for (first = second + 1; first < v->kernel->step_count && steps[first].stage->takes != FND_VALUE_TILES2; first++) {
            fnd_text_str(out, "                second = ");
            print_call(v, &steps[first], "second, at", out);
            fnd_text_str(out, ";\n");
        }
    }
    i = print_epilogues(v, first, "                ", reads ? head : NULL, out);
    fnd_text_str(out, "            }\n        }\n    }\n");
    return i;
}

static void print_linear(const fnd_variant *v, fnd_text *out) {
    uint32_t i = 0;
    while (v->kernel->steps[i].stage->kind != FND_KIND_MAIN) i++;
    const fnd_arg *weight = main_weight(v, &v->kernel->steps[i]);
    fnd_text_str(out, "    fnd_x x = fnd_x_begin(t, ");
    print_expr(v, weight->shape.dim[weight->shape.rank - 1], out);
    fnd_text_str(out, ", ");
    print_named_dim(v, "tokens", out);
    fnd_text_str(out, ");\n    FND_EACH_TOKEN(m, x) {\n");
    print_prologues(v, "fnd_x_row(t, x, m)", out);
    fnd_text_str(out, "        fnd_x_put(t, x, m);\n    }\n    fnd_x_end(t, x);\n");
    while (i < v->kernel->step_count) i = print_head_loop(v, i, out);
}

static void print_matrix(const fnd_variant *v, const fnd_step *step, fnd_text *out) {
    const fnd_arg *weight = main_weight(v, step);
    fnd_text_printf(out, ", %s_matrix(a.%s, ", step_policy(v, step), weight->name);
    print_expr(v, weight->shape.dim[weight->shape.rank - 1], out);
    fnd_text_str(out, ")");
}

/* A vector that a program's calls only read, such as a norm's weights. */
static bool is_vector(const fnd_arg *a) { return a->kind == FND_ARG_IN && strcmp(a->type, "f32") == 0 && a->shape.rank == 1; }

/* The argument that is the token's position; arg_count: there is none. */
static uint32_t position_arg(const fnd_variant *v) {
    uint32_t i = 0;
    while (i < v->kernel->arg_count && !(v->kernel->args[i].kind == FND_ARG_VAL && strcmp(v->kernel->args[i].name, "pos") == 0)) i++;
    return i;
}

bool fnd_variant_brings(const fnd_variant *v) {
    if (!v->streamed || v->kernel->form == FND_FORM_LINEAR) return v->streamed;
    for (uint32_t i = 0; i < v->kernel->arg_count; i++) {
        if (fnd_arg_is_cache(&v->kernel->args[i]) && position_arg(v) < v->kernel->arg_count) return true;
    }
    return false;
}

uint64_t fnd_variant_weight_bytes(const fnd_variant *v) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; v->kernel->form == FND_FORM_LINEAR && i < v->kernel->arg_count; i++) {
        const fnd_arg *a = &v->kernel->args[i];
        const fnd_format_info *format = fnd_format_get(v->formats[i]);
        if (a->kind != FND_ARG_WEIGHT || !format) continue;
        uint64_t values = 1;
        for (uint32_t k = 0; k < a->shape.rank; k++) {
            int dim = fnd_dims_find(&v->kernel->dims, a->shape.dim[k]);
            values *= dim >= 0 && v->dim_folded[dim] ? v->dim_value[dim] : 1;
        }
        bytes += values / format->block_weights * format->block_bytes;
    }
    return bytes;
}

/* Vectors, and the beginning of caches, are asked for before they are needed: behind a barrier, behind all that is
 * on its way, they would be waited for. */
static void print_asked(const fnd_variant *v, fnd_text *out) {
    for (uint32_t i = 0; i < v->kernel->arg_count; i++) {
        const fnd_arg *a = &v->kernel->args[i];
        if (v->kernel->form == FND_FORM_LINEAR && is_vector(a)) {
            fnd_text_printf(out, "    fnd_bring_vector(t, a.%s, ", a->name);
            print_expr(v, a->shape.dim[0], out);
            fnd_text_str(out, ");\n");
        }
        if (!fnd_arg_is_cache(a) || position_arg(v) == v->kernel->arg_count) continue;
        const fnd_format_info *format = fnd_format_get(v->formats[i]);
        fnd_text_printf(out, "    fnd_bring_blocks(t, a.%s, ", a->name);
        for (uint32_t k = 1; k < a->shape.rank; k++) {
            print_expr(v, a->shape.dim[k], out);
            fnd_text_str(out, " * ");
        }
        fnd_text_printf(out, "%uu / %uu, ", (unsigned)format->block_bytes, (unsigned)format->block_weights);
        print_arg(v, position_arg(v), out);
        fnd_text_str(out, " / 16 + 1);\n");
    }
}

/* What brings the weights of the kernel's matrices, in the order in which its body takes them. */
static void print_brings(const fnd_variant *v, fnd_text *out) {
    const fnd_step *steps = v->kernel->steps;
    fnd_text_printf(out, "FND_BRINGS_KERNEL(%s)\n{\n", v->name);
    print_asked(v, out);
    for (uint32_t i = 0; v->kernel->form == FND_FORM_LINEAR && i < v->kernel->step_count; i++) {
        if (steps[i].stage->kind != FND_KIND_MAIN) continue;
        const fnd_arg *weight = main_weight(v, &steps[i]);
        uint32_t second = joined_main(v, i);
        fnd_text_str(out, second ? "    fnd_bring(t, " : "    fnd_bring_one(t, ");
        print_expr(v, weight->shape.dim[0], out);
        print_matrix(v, &steps[i], out);
        if (second) print_matrix(v, &steps[second], out);
        fnd_text_str(out, ");\n");
        if (second) i = second;
    }
    fnd_text_str(out, "}\n");
}

static void print_rows(const fnd_variant *v, fnd_text *out) {
    fnd_text_str(out, "    FND_GPU f32 *row = (FND_GPU f32 *)t.scratch;\n    FND_EACH_ROW(m, t, ");
    print_named_dim(v, "tokens", out);
    fnd_text_str(out, ") {\n");
    uint32_t i = print_prologues(v, "row", out);
    for (; i < v->kernel->step_count; i++) {
        fnd_text_str(out, "        fnd_group_barrier(t);\n        ");
        print_call(v, &v->kernel->steps[i], "t, row, m", out);
        fnd_text_str(out, ";\n");
    }
    fnd_text_str(out, "        fnd_group_barrier(t);\n    }\n");
}

/* Where the results of steps i .. go: the first tensor of their store. */
static const fnd_arg *stored_arg(const fnd_variant *v, uint32_t i) {
    const fnd_step *step = &v->kernel->steps[i];
    while (!ends_head(step)) step++;
    uint32_t arg = 0;
    while (arg + 1 < step->stage->arg_count && !fnd_arg_is_tensor(&step->stage->args[arg])) arg++;
    return &v->kernel->args[step->arg[arg]];
}

/* One loop over places: a head, or two that are joined. */
static uint32_t print_element_loop(const fnd_variant *v, uint32_t i, fnd_text *out) {
    const fnd_arg *y = stored_arg(v, i);
    fnd_text_str(out, "    FND_EACH_ELEMENT(at, t, ");
    print_named_dim(v, "tokens", out);
    fnd_text_str(out, ", ");
    print_expr(v, y->shape.dim[y->shape.rank - 1], out);
    fnd_text_str(out, ") {\n");
    const char *name = NULL;
    for (; v->kernel->steps[i].stage->takes != FND_VALUE_TILES2 && !ends_head(&v->kernel->steps[i]); i++) {
        const fnd_step *step = &v->kernel->steps[i];
        bool is_main = step->stage->kind == FND_KIND_MAIN;
        char first[16];
        if (is_main) name = name ? "second" : "v";
        snprintf(first, sizeof first, "%s, at", name);
        fnd_text_printf(out, "        %s%s = ", is_main ? "fnd_val " : "", name);
        print_call(v, step, is_main ? "at" : first, out);
        fnd_text_str(out, ";\n");
    }
    i = print_epilogues(v, i, "        ", NULL, out);
    fnd_text_str(out, "    }\n");
    return i;
}

static void print_elements(const fnd_variant *v, fnd_text *out) {
    for (uint32_t i = 0; i < v->kernel->step_count;) i = print_element_loop(v, i, out);
}

static void print_whole(const fnd_variant *v, fnd_text *out) {
    for (uint32_t i = 0; i < v->kernel->step_count; i++) {
        if (i) fnd_text_str(out, "    fnd_group_barrier(t);\n");
        fnd_text_str(out, "    ");
        print_call(v, &v->kernel->steps[i], "t", out);
        fnd_text_str(out, ";\n");
    }
}

static void print_title(const fnd_variant *v, fnd_text *out) {
    fnd_text_printf(out, "\n/* %s:", v->name);
    for (uint32_t i = 0; i < v->kernel->step_count; i++) {
        const fnd_step *step = &v->kernel->steps[i];
        fnd_text_printf(out, "%s %s%s%s", i ? " |" : "", step->stage->name, step->head[0] ? " " : "", step->head);
    }
    fnd_text_str(out, " */\n");
}

void fnd_print_kernel(const fnd_variant *v, fnd_text *out) {
    fnd_layout_of_args layout;
    fnd_variant_layout(v, &layout);
    print_title(v, out);
    print_tensors(v, out);
    print_values(v, out);
    fnd_text_printf(out, "FND_KERNEL(%s, ", v->name);
    print_upper(out, v->name);
    fnd_text_str(out, "_TENSORS, ");
    print_upper(out, v->name);
    fnd_text_printf(out, "_VALUES, %u)\n{\n", layout.bytes);
    for (uint32_t i = 0; i < v->kernel->arg_count; i++) {
        const fnd_arg *arg = &v->kernel->args[i];
        if (arg->kind == FND_ARG_GROUP) fnd_text_printf(out, "    FND_GROUP_ARRAY(%s, %s, %s);\n", arg->type, arg->name, arg->shape_text);
    }
    switch (v->kernel->form) {
    case FND_FORM_LINEAR:
        print_linear(v, out);
        break;
    case FND_FORM_ROWS:
        print_rows(v, out);
        break;
    case FND_FORM_ELEMENTS:
        print_elements(v, out);
        break;
    case FND_FORM_WHOLE:
        print_whole(v, out);
        break;
    }
    fnd_text_str(out, "}\n");
    if (fnd_variant_brings(v)) print_brings(v, out);
}

fnd_status fnd_print_alone(fnd_catalog *catalog, const fnd_variant *v, fnd_text *out, fnd_error *err) {
    FND_TRY(fnd_print_head(catalog, &v, 1, out, err));
    fnd_print_kernel(v, out);
    return fnd_text_check(out, err);
}
