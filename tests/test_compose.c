/* test_compose.c - what composes and what does not: every illegal list of stages and every wrong
 * declaration is refused with a sentence that says what is wrong and where; what a user adds is as
 * good as what is shipped; the shipped kernels' texts are the committed snapshots. */
#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "compose/print.h"
#include "compose/shipped.h"

#include <stdlib.h>
#include <sys/stat.h>

static fnd_catalog *open_catalog(void) {
    fnd_catalog *catalog = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_catalog_open(NULL, &catalog, &err), &err);
    return catalog;
}

/* ---- lists of stages ------------------------------------------------------------------------- */

static fnd_composition_room room; /* large */

/* "rmsnorm, dot q, store q": stages and their heads. */
static fnd_kernel_desc parse_stages(const char *name, const char *list, char words[FND_MAX_STAGES * 2][40]) {
    fnd_kernel_desc desc = { .name = name };
    for (uint32_t n = 0; *list; n++) {
        char *stage = words[2 * n], *head = words[2 * n + 1];
        *head = '\0';
        sscanf(list, "%39[^, ]%*1[ ]%39[^,]", stage, head);
        desc.stages[n] = (fnd_stage_use){ stage, *head ? head : NULL };
        list += strcspn(list, ",");
        list += strspn(list, ", ");
    }
    return desc;
}

static fnd_status compose_list(const fnd_catalog *catalog, const char *list, fnd_error *err) {
    static char words[FND_MAX_STAGES * 2][40];
    fnd_kernel_desc desc = parse_stages("k", list, words);
    return fnd_compose(catalog, &desc, &room, err);
}

/* The list is refused, and the sentence has these words. */
typedef struct refusal {
    const char *list, *words[4];
} refusal;

static void check_refused(const fnd_catalog *catalog, const refusal *r) {
    fnd_error err = { 0 };
    fnd_status status = compose_list(catalog, r->list, &err);
    CHECK_MSG(status == FND_ERR_COMPOSE, "%s: status %d", r->list, status);
    for (size_t i = 0; i < FND_COUNT(r->words) && r->words[i]; i++) CHECK_HAS(err.text, r->words[i]);
    CHECK_HAS(err.text, "kernel k");
}

TEST(compose_refuses_a_wrong_flow_of_values) {
    static const refusal list[] = {
        { "dot, store", { "stage dot takes rows of activations, but no stage is before it" } },
        { "rmsnorm", { "ends with rows of activations that nobody uses", "a main is missing" } },
        { "rmsnorm, store", { "stage store takes a tile of results, but stage rmsnorm before it leaves rows of activations" } },
        { "rmsnorm, dot", { "ends with a tile of results that nobody stores", "a store is missing" } },
        { "rmsnorm, dot, bias", { "a store is missing" } },
        { "store", { "store takes a tile of results, but no stage is before it" } },
        { "take, dot, store", { "stage dot takes rows of activations, but stage take before it leaves a tile of results" } },
        { "rmsnorm, take, store", { "take takes nothing", "rows of activations" } },
        { "rmsnorm, rmsnorm, dot, store", { "stage rmsnorm takes nothing, but stage rmsnorm before it leaves rows of activations" } },
        { "rmsnorm, dot, rmsnorm, store", { "rmsnorm takes nothing", "a tile of results" } },
        { "rmsnorm, dot, swiglu, store", { "stage swiglu takes the tiles of two heads, but stage dot before it leaves a tile of results" } },
        { "rmsnorm, dot a, dot b, store", { "store takes a tile of results", "the tiles of two heads" } },
        { "rmsnorm, dot a, dot b, dot c, swiglu, store", { "stage dot", "a third result in flight" } },
        { "rmsnorm, dot, put_rows", { "put_rows takes rows of activations" } },
        { "softmax, put_rows", { "stage softmax takes rows of activations, but no stage is before it" } },
    };
    fnd_catalog *catalog = open_catalog();
    for (size_t i = 0; i < FND_COUNT(list); i++) check_refused(catalog, &list[i]);
    fnd_catalog_close(catalog);
}

TEST(compose_keeps_the_order_of_epilogues) {
    static const refusal list[] = {
        { "rows, dot, silu, bias, store", { "stage bias (epilogue: + bias) cannot come after epilogue: activation", "+ bias, activation, * gate, + residual, store" } },
        { "rows, dot, residual, gate, store", { "stage gate (epilogue: * gate) cannot come after epilogue: + residual" } },
        { "rows, dot, gate, silu, store", { "stage silu (epilogue: activation) cannot come after epilogue: * gate" } },
        { "rows, dot, residual, residual, store", { "stage residual", "each once" } },
        { "rows, dot, bias, bias, store", { "stage bias", "each once" } },
        { "rows, dot, store, store", { "stage store takes a tile of results, but stage store before it leaves nothing" } },
    };
    fnd_catalog *catalog = open_catalog();
    for (size_t i = 0; i < FND_COUNT(list); i++) check_refused(catalog, &list[i]);
    fnd_error err = { 0 };
    CHECK_OK(compose_list(catalog, "rows, dot, bias, silu, gate, residual, store", &err), &err);
    fnd_catalog_close(catalog);
}

TEST(compose_refuses_what_needs_all_groups) {
    static const refusal list[] = {
        { "rows, put_rows, rows, dot, store", { "stage rows cannot follow put_rows", "complete only when all groups are done", "two kernels" } },
        { "rmsnorm, put_rows, dot, store", { "stage dot cannot follow put_rows" } },
        { "rope, kv_write", { "stage kv_write cannot follow rope" } },
    };
    fnd_catalog *catalog = open_catalog();
    for (size_t i = 0; i < FND_COUNT(list); i++) check_refused(catalog, &list[i]);
    fnd_catalog_close(catalog);
}

TEST(compose_refuses_wrong_names) {
    fnd_catalog *catalog = open_catalog();
    static const refusal list[] = {
        { "rows, dott, store", { "there is no stage dott (did you mean 'dot'?)" } },
        { "rows, dot, resid, store", { "there is no stage resid (did you mean 'residual'?)" } },
        { "rows, zzzzzz, store", { "there is no stage zzzzzz; `foundry kernels` lists them" } },
        { "", { "kernel k has no stages" } },
        { "rows, dot headnameoftwelve, store headnameoftwelve", { "head \"headnameoftwelve\" is longer than 11" } },
    };
    for (size_t i = 0; i < FND_COUNT(list); i++) check_refused(catalog, &list[i]);
    static const char *const names[] = { NULL, "", "1st", "with space", "with-dash", "a_name_that_is_far_too_long_for_a_kernel" };
    for (size_t i = 0; i < FND_COUNT(names); i++) {
        fnd_error err = { 0 };
        fnd_kernel_desc desc = { .name = names[i], .stages = { { "rows", NULL }, { "put_rows", NULL } } };
        CHECK(fnd_compose(catalog, &desc, &room, &err) == FND_ERR_COMPOSE);
        CHECK_HAS(err.text, "a kernel needs a name");
    }
    fnd_error err = { 0 };
    fnd_kernel_desc shipped;
    CHECK(fnd_shipped_find("linear_residul", &shipped, &err) == FND_ERR_UNSUPPORTED);
    CHECK_STR(err.text, "there is no kernel linear_residul (did you mean 'linear_residual'?); `foundry kernels` lists them");
    fnd_catalog_close(catalog);
}

TEST(compose_unified_declarations) {
    fnd_catalog *catalog = open_catalog();
    fnd_error err = { 0 };
    fnd_kernel_desc desc;
    fnd_gemv_desc none = { .name = "none" };
    CHECK(fnd_gemv_stages(&none, &desc, &err) == FND_ERR_COMPOSE);
    CHECK_HAS(err.text, "kernel none: a matrix kernel needs a head");

    err = (fnd_error){ 0 };
    fnd_gemv_desc qkv = { .name = "qkv", .prologue = "rmsnorm", .heads = { { "q", .bias = true }, { "k", 0 }, { "v", 0 } } };
    CHECK_OK(fnd_gemv_stages(&qkv, &desc, &err), &err);
    CHECK_OK(fnd_compose(catalog, &desc, &room, &err), &err);
    CHECK(room.composition.form == FND_FORM_LINEAR && !room.composition.joined);
    CHECK(fnd_composition_arg(&room.composition, "w_q") >= 0 && fnd_composition_arg(&room.composition, "bias_q") >= 0);
    CHECK(fnd_composition_arg(&room.composition, "bias_k") < 0); /* absent operands are absent */
    CHECK(fnd_dims_find(&room.composition.dims, "rows_q") >= 0 && fnd_dims_find(&room.composition.dims, "rows_v") >= 0 && fnd_dims_find(&room.composition.dims, "rows") < 0);

    fnd_gemv_desc joined = { .name = "up", .heads = { { "gate", 0 }, { "up", 0 } }, .activation = "swiglu" };
    CHECK_OK(fnd_gemv_stages(&joined, &desc, &err), &err);
    CHECK_OK(fnd_compose(catalog, &desc, &room, &err), &err);
    CHECK(room.composition.joined && fnd_dims_find(&room.composition.dims, "rows") >= 0);
    CHECK(fnd_composition_arg(&room.composition, "y") >= 0); /* one result of the two */
    fnd_catalog_close(catalog);
}

/* ---- arguments ------------------------------------------------------------------------------- */

#define EPILOGUE(name, row) \
    "#define " name "_ARGS(X) X(" row ")\n" \
    "FND_STAGE(" name ", " name "_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"test\")\n"

static void add_text(fnd_catalog *catalog, const char *path, const char *text) {
    fnd_error err = { 0 };
    CHECK_OK(fnd_catalog_add(catalog, path, text, &err), &err);
}

TEST(compose_merges_arguments_by_name) {
    fnd_catalog *catalog = open_catalog();
    fnd_error err = { 0 };
    add_text(catalog, "user/merge.h",
             EPILOGUE("m_bias", "IN, f32, bias, \"[rows]\", \"the same as bias has\"")
                 EPILOGUE("m_type", "IN, f16, bias, \"[rows]\", \"\"")
                     EPILOGUE("m_kind", "VAL, f32, bias, \"\", \"\"")
                         EPILOGUE("m_shape", "IN, f32, bias, \"[tokens, rows]\", \"\"")
                             EPILOGUE("m_writes", "OUT, f32, bias, \"[rows]\", \"\"")
                                 EPILOGUE("m_in_out", "IN, act, y, \"[tokens, rows]\", \"\"")
                                     EPILOGUE("m_dim", "VAL, u32, rows, \"\", \"\""));
    CHECK_OK(compose_list(catalog, "rows, dot, bias, m_bias, store", &err), &err);
    uint32_t biases = 0;
    for (uint32_t i = 0; i < room.composition.arg_count; i++) biases += strcmp(room.composition.args[i].name, "bias") == 0;
    CHECK(biases == 1);
    static const refusal list[] = {
        { "rows, dot, bias, m_type, store", { "stage m_type has argument bias with type f16, but stage bias before it has it with f32" } },
        { "rows, dot, bias, m_kind, store", { "stage m_kind has argument bias with kind VAL, but stage bias before it has it with IN" } },
        { "rows, dot, bias, m_shape, store", { "stage m_shape has argument bias with shape [tokens, rows], but stage bias before it has it with [rows]" } },
        { "rows, dot, bias, m_writes, store", { "stage m_writes has argument bias as OUT, but stage bias before it has it as IN" } },
        { "rows, dot, m_in_out, store", { "stage store has argument y as OUT, but stage m_in_out before it has it as IN", "other groups may not be done" } },
        { "rows, dot, m_dim, store", { "rows is both an argument and a dimension" } },
    };
    for (size_t i = 0; i < FND_COUNT(list); i++) check_refused(catalog, &list[i]);
    fnd_catalog_close(catalog);
}

TEST(compose_limits) {
    fnd_catalog *catalog = open_catalog();
    fnd_text text = { 0 };
    fnd_error err = { 0 };
    for (int stage = 0; stage < 3; stage++) {
        fnd_text_printf(&text, "#define wide%d_ARGS(X)", stage);
        for (int i = 0; i < 14; i++) fnd_text_printf(&text, " X(IN, f32, a%d_%d, \"[rows]\", \"\")", stage, i);
        fnd_text_printf(&text, "\nFND_STAGE(wide%d, wide%d_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"\")\n", stage, stage);
    }
    add_text(catalog, "user/wide.h", text.data);
    CHECK(compose_list(catalog, "rows, dot, wide0, wide1, wide2, store", &err) == FND_ERR_LIMIT);
    CHECK_HAS(err.text, "more than 28 tensors");
    fnd_text_clear(&text);
    fnd_text_str(&text, "#define numbers_ARGS(X)");
    for (int i = 0; i < 18; i++) fnd_text_printf(&text, " X(VAL, f32, v%d, \"\", \"\")", i);
    fnd_text_str(&text, "\nFND_STAGE(numbers, numbers_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"\")\n");
    add_text(catalog, "user/numbers.h", text.data);
    err = (fnd_error){ 0 };
    CHECK(compose_list(catalog, "rows, dot, wide0, numbers, store", &err) == FND_ERR_LIMIT);
    CHECK_HAS(err.text, "more than 32 arguments");
    fnd_text_clear(&text);
    fnd_text_str(&text, "#define many_ARGS(X)");
    for (int i = 0; i < 21; i++) fnd_text_printf(&text, " X(IN, f32, a%d, \"[rows]\", \"\")", i);
    fnd_text_str(&text, "\nFND_STAGE(many, many_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"\")\n");
    err = (fnd_error){ 0 };
    CHECK(fnd_catalog_add(catalog, "user/many.h", text.data, &err) == FND_ERR_LIMIT);
    CHECK_HAS(err.text, "user/many.h:1: more than 20 arguments");
    fnd_text_free(&text);
    fnd_catalog_close(catalog);
}

/* ---- declarations ---------------------------------------------------------------------------- */

#define ARGS(row)  "\n#define U_ARGS(X) X(" row ")\nFND_STAGE(u, U_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"\")\n"
#define STAGE(row) "\n#define U_ARGS(X)\nFND_STAGE(" row ")\n"

TEST(compose_refuses_wrong_declarations) {
    static const struct {
        const char *text, *line, *words;
    } list[] = {
        { STAGE("u, U_ARGS, MAIN"), ":3:", "not 3 fields" },
        { STAGE("u, U_ARGS, MIDDLE, TILE, TILE, OWN, \"\""), ":3:", "MIDDLE" },
        { STAGE("u, U_ARGS, MAIN, PIE, TILE, OWN, \"\""), ":3:", "is not a kind, a value taken" },
        { STAGE("u, U_ARGS, MAIN, ROWS, TILE, SOME, \"\""), ":3:", "SOME" },
        { STAGE("u, U_ARGS, PROLOGUE, TILE, ROWS, OWN, \"\""), ":3:", "a prologue cannot take a tile of results and give rows of activations" },
        { STAGE("u, U_ARGS, EPILOGUE_BIAS, TILE, NONE, OWN, \"\""), ":3:", "cannot take a tile of results and give nothing" },
        { STAGE("u, OTHER_ARGS, MAIN, ROWS, TILE, OWN, \"\""), ":3:", "argument list OTHER_ARGS, which no kernel file defines" },
        { STAGE("a_stage_whose_name_is_far_too_long_for_it, U_ARGS, MAIN, ROWS, TILE, OWN, \"\""), ":3:", "is longer than 31 characters" },
        { STAGE("u, U_ARGS, MAIN, ROWS, TILE, OWN, \"no end\n"), ":3:", "a declaration has no end" },
        { STAGE("u, U_ARGS, a, b, c, d, e, f, g"), ":3:", "more than 8 fields" },
        { ARGS("IN, f32, x, \"[rows]\""), ":2:", "not 4 fields" },
        { ARGS("INTO, f32, x, \"[rows]\", \"\""), ":2:", "argument x has the unknown kind INTO" },
        { ARGS("IN, f64, x, \"[rows]\", \"\""), ":2:", "argument x of kind IN cannot have the type f64" },
        { ARGS("WEIGHT, f32, w, \"[rows, dim]\", \"\""), ":2:", "argument w of kind WEIGHT cannot have the type f32" },
        { ARGS("VAL, f16, x, \"\", \"\""), ":2:", "argument x of kind VAL cannot have the type f16" },
        { ARGS("VAL, f32, x, \"[rows]\", \"\""), ":2:", "a number has no shape" },
        { ARGS("IN, f32, x, \"\", \"\""), ":2:", "a tensor needs a shape" },
        { ARGS("IN, f32, x, \"rows\", \"\""), ":2:", "a shape begins with '['" },
        { ARGS("IN, f32, x, \"[rows\", \"\""), ":2:", "between [ and ]" },
        { ARGS("IN, f32, x, \"[a, b, c, d, e]\", \"\""), ":2:", "1 to 4 dimensions" },
        { ARGS("IN, f32, x, \"[rows] always\", \"\""), ":2:", "behind a shape" },
        { ARGS("IN, f32, 2x, \"[rows]\", \"\""), ":2:", "\"2x\" is not a name" },
        { ARGS("IN, f32, a_name_of_many_characters, \"[rows]\", \"\""), ":2:", "is longer than" },
        { ARGS("GROUP, f32, x, \"[rows]\", \"\""), ":2:", "group memory has a count" },
        { ARGS("GROUP, act, x, \"64\", \"\""), ":2:", "group memory has an element type" },
        { "FND_POLICY(u, 32)\n", ":1:", "not 2 fields" },
        { "FND_POLICY(u, many, 18, \"\")\n", ":1:", "are not block sizes" },
    };
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        fnd_catalog *catalog = open_catalog();
        fnd_error err = { 0 };
        char place[32];
        fnd_status status = fnd_catalog_add(catalog, "user/u.h", list[i].text, &err);
        snprintf(place, sizeof place, "user/u.h%s", list[i].line);
        CHECK_MSG(status == FND_ERR_COMPOSE, "%s: status %d (%s)", list[i].text, status, err.text);
        CHECK_HAS(err.text, list[i].words);
        CHECK_HAS(err.text, place);
        fnd_catalog_close(catalog);
    }
}

/* ---- what a user adds ------------------------------------------------------------------------ */

static fnd_variant variant; /* large */

/* Print the composition with this format for every weight, and flatten it. */
static fnd_status print_flat(fnd_catalog *catalog, const char *weight, const char *suffix, fnd_text *text, fnd_text *flat, fnd_error *err) {
    const fnd_variant *list[] = { &variant };
    fnd_variant_init(&room.composition, &variant);
    for (uint32_t i = 0; i < room.composition.arg_count; i++) {
        if (room.composition.args[i].kind == FND_ARG_WEIGHT) variant.formats[i] = fnd_format_by_name(weight);
    }
    FND_TRY(fnd_print_head(catalog, list, 1, text, err));
    fnd_print_kernel(&variant, text);
    if (!flat) return fnd_text_check(text, err);
    return fnd_sources_flatten(fnd_catalog_sources(catalog), suffix, "kernel", fnd_text_get(text), flat, err);
}

/* Does the system's compiler take it? */
static bool compiles(const char *text) {
    const char *argv[] = { "cc", "-std=gnu11", "-fsyntax-only", "-DFND_GENERIC", "-Wall", "-Werror", "-Wno-unused-function", "-x", "c", "-", NULL };
    fnd_text said = { 0 };
    fnd_error err = { 0 };
    int exit_code = 1;
    fnd_status status = fnd_process_run(argv, text, 0, &said, &exit_code, &err);
    if (status == FND_OK && exit_code) fprintf(stderr, "%s", fnd_text_get(&said));
    fnd_text_free(&said);
    return status == FND_ERR_UNSUPPORTED || (status == FND_OK && exit_code == 0); /* no compiler: nothing to see */
}

static const char user_policy[] =
    "#ifndef USER_Q2_H\n#define USER_Q2_H\n#include \"fnd_device.h\"\n"
    "FND_POLICY(user_q2, 16, 6, \"2-bit codes with a scale per 16 weights\")\n"
    "FND_INLINE u64 user_q2_row_bytes(u32 cols) { return (u64)(cols / 16) * 6; }\n"
    "FND_INLINE f32 user_q2_at(const FND_GPU u8 *row, u32 k) {\n"
    "    const FND_GPU u8 *block = row + (u64)(k / 16) * 6;\n"
    "    return fnd_f16_to_f32(fnd_load_u16(block)) * (f32)((i32)(block[2 + k % 16 / 4] >> k % 4 * 2 & 3) - 1);\n"
    "}\n"
    "FND_INLINE void user_q2_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {\n"
    "    for (u32 i = 0; i < 16; i++) w[i] = user_q2_at(row, 16 * g + i);\n"
    "}\n#endif\n";

static const char user_stage[] =
    "#ifndef USER_CLAMP_H\n#define USER_CLAMP_H\n#include \"val.h\"\n"
    "#define CLAMP_ARGS(X) \\\n    X(VAL, f32, least, \"\", \"lower bound\")\n"
    "FND_STAGE(clamp, CLAMP_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"max(v, least)\")\n"
    "FND_INLINE fnd_val clamp(fnd_val v, fnd_at at, f32 least) {\n"
    "    (void)at;\n    return fnd_val_max(v, fnd_val_splat(least));\n}\n#endif\n";

TEST(compose_takes_a_users_stage_policy_and_kernel) {
    fnd_catalog *catalog = open_catalog();
    fnd_error err = { 0 };
    fnd_text text = { 0 }, flat = { 0 };
    size_t stages = fnd_catalog_stage_count(catalog), policies = fnd_catalog_policy_count(catalog);
    add_text(catalog, "user/clamp.h", user_stage);
    add_text(catalog, "user/user_q2.h", user_policy);
    CHECK(fnd_catalog_stage_count(catalog) == stages + 1 && fnd_catalog_policy_count(catalog) == policies + 1);
    const fnd_stage *stage = fnd_catalog_stage(catalog, "clamp");
    REQUIRE(stage && fnd_catalog_policy(catalog, "user_q2"));
    CHECK_STR(stage->file, "user/clamp.h");
    CHECK_STR(stage->args[0].doc, "lower bound");
    CHECK_OK(compose_list(catalog, "rmsnorm, dot, clamp, residual, store", &err), &err);
    CHECK_OK(print_flat(catalog, "user_q2", ".cpu", &text, &flat, &err), &err);
    CHECK_HAS(fnd_text_get(&text), "#include \"user/user_q2.h\"");
    CHECK_HAS(fnd_text_get(&text), "X(WEIGHT, user_q2, w)");
    CHECK_HAS(fnd_text_get(&text), "v = clamp(v, at, a.least);");
    CHECK_HAS(fnd_text_get(&flat), "#line 1 \"user/clamp.h\"");
    fnd_text_clear(&flat);
    const fnd_variant *list[] = { &variant };
    CHECK_STR(fnd_common_suffix(catalog, ".cpu", list, 1), ""); /* the policy has no text of its own for it */
    CHECK_OK(fnd_sources_flatten(fnd_catalog_sources(catalog), "", "kernel", fnd_text_get(&text), &flat, &err), &err);
    CHECK(compiles(fnd_text_get(&flat)));
    add_text(catalog, "user/clamp.h", user_stage); /* a later declaration replaces an earlier one */
    CHECK(fnd_catalog_stage_count(catalog) == stages + 1);
    fnd_text_free(&text);
    fnd_text_free(&flat);
    fnd_catalog_close(catalog);
}

TEST(compose_refuses_a_format_without_policy) {
    fnd_catalog *catalog = open_catalog();
    fnd_error err = { 0 };
    fnd_text text = { 0 };
    CHECK_OK(compose_list(catalog, "rows, dot, store", &err), &err);
    CHECK(print_flat(catalog, "i32", "", &text, NULL, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "kernel k: argument w has format i32, for which there is no policy");
    fnd_text_free(&text);
    fnd_catalog_close(catalog);
}

TEST(compose_folds_constants) {
    fnd_catalog *catalog = open_catalog();
    fnd_error err = { 0 };
    fnd_text text = { 0 };
    CHECK_OK(compose_list(catalog, "rmsnorm, dot, store", &err), &err);
    fnd_variant_init(&room.composition, &variant);
    fnd_layout_of_args loose, tight;
    fnd_variant_layout(&variant, &loose);
    int eps = fnd_composition_arg(&room.composition, "eps"), dim = fnd_dims_find(&room.composition.dims, "dim");
    REQUIRE(eps >= 0 && dim >= 0);
    float value = 1e-6f;
    memcpy(&variant.arg_bits[eps], &value, sizeof value);
    variant.arg_folded[eps] = variant.dim_folded[dim] = true;
    variant.dim_value[dim] = 896;
    fnd_variant_layout(&variant, &tight);
    CHECK(tight.bytes == loose.bytes - 8 && tight.arg[eps] == UINT32_MAX && tight.dim[dim] == UINT32_MAX);
    fnd_print_kernel(&variant, &text);
    CHECK_HAS(fnd_text_get(&text), "9.99999997e-07f, a.tokens, 896u)");
    CHECK(strstr(fnd_text_get(&text), "a.eps") == NULL && strstr(fnd_text_get(&text), "X(VAL, f32, eps)") == NULL);
    static const struct {
        uint32_t bits;
        const char *text;
    } numbers[] = { { 0x7f800000, "fnd_bits_f32(0x7f800000u)" }, { 0xff800000, "fnd_bits_f32(0xff800000u)" }, { 0x7fc00001, "fnd_bits_f32(0x7fc00001u)" }, { 1, "fnd_bits_f32(0x00000001u)" }, { 0x80000000, "-0.0f" }, { 0x40400000, "3.0f" }, { 0x7f7fffff, "3.40282347e+38f" }, { 0x00800000, "1.17549435e-38f" } };
    for (size_t i = 0; i < FND_COUNT(numbers); i++) {
        char call[64];
        fnd_text_clear(&text);
        variant.arg_bits[eps] = numbers[i].bits;
        fnd_print_kernel(&variant, &text);
        snprintf(call, sizeof call, ", %s, a.tokens, 896u)", numbers[i].text);
        CHECK_HAS(fnd_text_get(&text), call);
    }
    fnd_text_free(&text);
    fnd_catalog_close(catalog);
}

TEST(compose_override_folder) {
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 64];
    fnd_error err = { 0 };
    fnd_catalog *catalog = NULL;
    static const char text[] = "#ifndef NORM_RMSNORM_H\n#define NORM_RMSNORM_H\n#include \"act.h\"\n"
                               "#define RMSNORM_ARGS(X) X(IN, act, x, \"[tokens, dim]\", \"\") X(VAL, f32, mine, \"\", \"\")\n"
                               "FND_STAGE(rmsnorm, RMSNORM_ARGS, PROLOGUE, NONE, ROWS, OWN, \"another norm\")\n#endif\n";
    REQUIRE(fnd_process_temp_dir(dir, &err) == FND_OK);
    snprintf(path, sizeof path, "%s/norm", dir);
    REQUIRE(mkdir(path, 0700) == 0);
    snprintf(path, sizeof path, "%s/norm/rmsnorm.h", dir);
    CHECK_OK(fnd_file_write(path, text, strlen(text), &err), &err);
    CHECK_OK(fnd_catalog_open(dir, &catalog, &err), &err);
    REQUIRE(catalog);
    const fnd_stage *stage = fnd_catalog_stage(catalog, "rmsnorm");
    REQUIRE(stage);
    CHECK_STR(stage->doc, "another norm");
    CHECK(stage->arg_count == 2);
    CHECK(fnd_catalog_stage(catalog, "dot") != NULL); /* what is not overridden stays */
    fnd_catalog_close(catalog);
    remove(path);
    snprintf(path, sizeof path, "%s/norm", dir);
    fnd_process_remove_dir(path);
    fnd_process_remove_dir(dir);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

TEST(compose_shape_expressions) {
    static const struct {
        const char *text;
        uint64_t value;
        const char *error;
    } list[] = {
        { "7", 7, NULL },
        { "heads * head_dim", 14 * 64, NULL },
        { "2+3*4", 14, NULL },
        { "(2 + 3) * 4", 20, NULL },
        { "20 / 3 / 2", 3, NULL },
        { "20 - 3 - 2", 15, NULL },
        { "((((heads))))", 14, NULL },
        { "head_dim+2", 66, NULL },
        { "18446744073709551615", UINT64_MAX, NULL },
        { "18446744073709551616", 0, "a number too large" },
        { "18446744073709551615 + 1", 0, "a sum too large" },
        { "4294967296 * 4294967296", 0, "a product too large" },
        { "heads / (head_dim - 64)", 0, "division by zero" },
        { "heads - head_dim", 0, "a negative value" },
        { "(heads", 0, "a ) is missing" },
        { "heads)", 0, "something left over" },
        { "heads head_dim", 0, "something left over" },
        { "heads *", 0, "a name or a number is missing" },
        { "", 0, "a name or a number is missing" },
        { "-1", 0, "a name or a number is missing" },
        { "unknown", 0, "a name without a value" },
        { "blocks", 0, "a name without a value" },
        { "((((((((((((((((((((1))))))))))))))))))))", 0, "too many parentheses" },
    };
    fnd_dims dims = { .count = 3, .name = { "heads", "head_dim", "blocks" }, .value = { 14, 64, 0 }, .known = { true, true, false } };
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        fnd_error err = { 0 };
        uint64_t value = 0;
        fnd_status status = fnd_expr_value(list[i].text, &dims, &value, &err);
        if (list[i].error) {
            CHECK_MSG(status == FND_ERR_COMPOSE, "\"%s\" has the value %llu", list[i].text, (unsigned long long)value);
            CHECK_HAS(err.text, list[i].error);
        } else {
            CHECK_OK(status, &err);
            CHECK_MSG(value == list[i].value, "\"%s\" has the value %llu", list[i].text, (unsigned long long)value);
        }
    }
}

TEST(compose_shape_names) {
    fnd_dims dims = { 0 };
    fnd_error err = { 0 };
    fnd_shape_text shape;
    CHECK_OK(fnd_shape_parse(" [ tokens , kv_heads*head_dim,16 ]", "here", &shape, &err), &err);
    CHECK(shape.rank == 3);
    CHECK_STR(shape.dim[0], "tokens");
    CHECK_STR(shape.dim[1], "kv_heads*head_dim");
    CHECK_STR(shape.dim[2], "16");
    for (uint32_t d = 0; d < shape.rank; d++) CHECK_OK(fnd_expr_names(shape.dim[d], &dims, &err), &err);
    CHECK(dims.count == 3 && fnd_dims_find(&dims, "kv_heads") == 1 && fnd_dims_find(&dims, "16") < 0);
    CHECK(fnd_expr_is_name("rows_q") && !fnd_expr_is_name("2x") && !fnd_expr_is_name("a+b") && !fnd_expr_is_name(""));
    char many[] = "d_";
    for (int i = 0; i < FND_MAX_DIMS + 1 && err.status == FND_OK; i++) {
        many[1] = (char)('a' + i);
        if (fnd_dims_add(&dims, many, &err) != FND_OK) CHECK_HAS(err.text, "more than 16 dimension names");
    }
    CHECK(err.status == FND_ERR_LIMIT);
}

/* ---- flattening ------------------------------------------------------------------------------ */

static fnd_status flatten(fnd_catalog *catalog, const char *suffix, const char *text, fnd_text *out, fnd_error *err) {
    fnd_text_clear(out);
    return fnd_sources_flatten(fnd_catalog_sources(catalog), suffix, "top", text, out, err);
}

TEST(compose_flatten) {
    fnd_catalog *catalog = open_catalog();
    fnd_sources *sources = fnd_catalog_sources(catalog);
    fnd_error err = { 0 };
    fnd_text out = { 0 };
    CHECK_OK(fnd_sources_add(sources, "u/once.h", "/* a comment */\n#ifndef ONCE_H\n#define ONCE_H\nint once;\n#endif\n", &err), &err);
    CHECK_OK(fnd_sources_add(sources, "u/each.h", "int each;", &err), &err); /* a template, and no newline at its end */
    CHECK_OK(fnd_sources_add(sources, "u/each.cpu.h", "int each_cpu;\n", &err), &err);
    static const char text[] = "first\n#include \"u/once.h\"\n  #  include \"u/once.h\"\n#include <system.h>\n#include \"u/each.h\"\nmiddle\n#include \"u/each.h\"\nlast\n";
    CHECK_OK(flatten(catalog, "", text, &out, &err), &err);
    CHECK_STR(fnd_text_get(&out), "#line 1 \"top\"\nfirst\n"
                                  "#line 1 \"u/once.h\"\n/* a comment */\n#ifndef ONCE_H\n#define ONCE_H\nint once;\n#endif\n#line 3 \"top\"\n"
                                  "\n#include <system.h>\n"
                                  "#line 1 \"u/each.h\"\nint each;\n#line 6 \"top\"\nmiddle\n"
                                  "#line 1 \"u/each.h\"\nint each;\n#line 8 \"top\"\nlast\n");
    CHECK_OK(flatten(catalog, ".cpu", "#include \"u/each.h\"\n", &out, &err), &err);
    CHECK_STR(fnd_text_get(&out), "#line 1 \"top\"\n#line 1 \"u/each.cpu.h\"\nint each_cpu;\n#line 2 \"top\"\n");
    CHECK_OK(flatten(catalog, ".cuda", "#include \"u/each.h\"\n", &out, &err), &err);
    CHECK_HAS(fnd_text_get(&out), "int each;");
    fnd_text_free(&out);
    fnd_catalog_close(catalog);
}

TEST(compose_flatten_goes_back_to_the_portable_file) {
    fnd_catalog *catalog = open_catalog();
    fnd_error err = { 0 };
    fnd_text out = { 0 };
    CHECK_OK(fnd_sources_add(fnd_catalog_sources(catalog), "u/base.h", "#ifndef BASE_H\n#define BASE_H\nint base;\n#endif\n", &err), &err);
    CHECK_OK(fnd_sources_add(fnd_catalog_sources(catalog), "u/base.cpu.h", "#ifndef BASE_CPU_H\n#define BASE_CPU_H\n#include \"u/base.h\"\nint more;\n#endif\n", &err), &err);
    CHECK_OK(flatten(catalog, ".cpu", "#include \"u/base.h\"\n", &out, &err), &err);
    CHECK_HAS(fnd_text_get(&out), "int base;");
    CHECK_HAS(fnd_text_get(&out), "int more;");
    fnd_text_free(&out);
    fnd_catalog_close(catalog);
}

TEST(compose_flatten_refuses) {
    fnd_catalog *catalog = open_catalog();
    fnd_sources *sources = fnd_catalog_sources(catalog);
    fnd_error err = { 0 };
    fnd_text out = { 0 };
    CHECK(flatten(catalog, "", "one\ntwo\n#include \"u/none.h\"\n", &out, &err) == FND_ERR_COMPOSE);
    CHECK_HAS(err.text, "top:3: there is no kernel file \"u/none.h\"");
    err = (fnd_error){ 0 };
    CHECK_OK(fnd_sources_add(sources, "u/deep.h", "#ifndef DEEP_H\n\n#include \"u/none.h\"\n#endif\n", &err), &err);
    CHECK(flatten(catalog, "", "#include \"u/deep.h\"\n", &out, &err) == FND_ERR_COMPOSE);
    CHECK_HAS(err.text, "u/deep.h:3: there is no kernel file \"u/none.h\"");
    err = (fnd_error){ 0 };
    CHECK_OK(fnd_sources_add(sources, "u/a.h", "#include \"u/b.h\"\n", &err), &err);
    CHECK_OK(fnd_sources_add(sources, "u/b.h", "#include \"u/a.h\"\n", &err), &err);
    CHECK(flatten(catalog, "", "#include \"u/a.h\"\n", &out, &err) == FND_ERR_COMPOSE);
    CHECK_HAS(err.text, "includes nest deeper than 32");
    err = (fnd_error){ 0 };
    CHECK_OK(fnd_sources_add(sources, "u/a.h", "#ifndef A_H\n#define A_H\n#include \"u/b.h\"\nint a;\n#endif\n", &err), &err); /* guarded: no harm */
    CHECK_OK(flatten(catalog, "", "#include \"u/a.h\"\n", &out, &err), &err);
    CHECK_HAS(fnd_text_get(&out), "int a;");
    fnd_text_free(&out);
    fnd_catalog_close(catalog);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

/* `make snapshots` writes them anew. Printing knows no backend: there is one text for all. */
static void check_snapshot(const char *name, const fnd_text *text, bool rewrite) {
    char path[128], *committed;
    size_t bytes;
    fnd_error err = { 0 };
    snprintf(path, sizeof path, "tests/snapshots/%s.txt", name);
    if (rewrite) {
        CHECK_OK(fnd_file_write(path, text->data, text->bytes, &err), &err);
        return;
    }
    if (fnd_file_read(path, 1 << 20, &committed, &bytes, &err) != FND_OK) {
        CHECK_MSG(false, "%s; `make snapshots` writes it", err.text);
        return;
    }
    CHECK_MSG(bytes == text->bytes && memcmp(committed, text->data, bytes) == 0, "the text of %s is not %s; if that is meant, `make snapshots` and commit", name, path);
    fnd_free_memory(committed);
}

TEST(compose_snapshots) {
    fnd_catalog *catalog = open_catalog();
    bool rewrite = getenv("FOUNDRY_WRITE_SNAPSHOTS") != NULL;
    for (size_t i = 0; i < fnd_shipped_count(); i++) {
        fnd_kernel_desc desc;
        fnd_error err = { 0 };
        fnd_text text = { 0 };
        CHECK_OK(fnd_shipped_stages(i, &desc, &err), &err);
        CHECK_OK(fnd_compose(catalog, &desc, &room, &err), &err);
        CHECK_OK(print_flat(catalog, "q4_1", "", &text, NULL, &err), &err);
        check_snapshot(fnd_shipped_name(i), &text, rewrite);
        fnd_text_free(&text);
    }
    fnd_catalog_close(catalog);
}
