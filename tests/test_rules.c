/* test_rules.c - rules of stages: their grammar, and that nothing runs where one is broken. */
#include "compose/kernel.h"
#include "kernel_bench.h"
#include "lm/session.h"
#include "test.h"

/* ---- the grammar ---- */

static int letter_slot(const void *ctx, const char *name) {
    (void)ctx;
    return name[1] == '\0' && name[0] >= 'a' && name[0] <= 'd' ? name[0] - 'a' : strcmp(name, "bytes(w)") == 0 ? 4
                                                                                                               : -1;
}
static uint64_t letter_value(const void *ctx, uint32_t slot) { return ((const uint64_t *)ctx)[slot]; }

TEST(rules_are_computed) {
    static const uint64_t values[5] = { 2, 3, 12, UINT64_MAX, 100 };
    static const struct {
        const char *text;
        bool holds;
    } rules[] = {
        { "a <= b", true },
        { "b<=a", false },
        { "a < 2", false },
        { "a >= 2", true },
        { "a > 2", false },
        { "c == a*b*2", true },
        { "c != 12", false },
        { "c % 8 == 4", true },
        { "c / b % 3 == 1", true },
        { "a + b*c - (a + 1) == 35", true },
        { "bytes(w) >= 8*c", true },
        { "bytes(w) >= 9*c", false },
        { "a - b <= 5", false },       /* negative */
        { "c % (a - 2) == 0", false }, /* by zero */
        { "d + 1 >= 0", false },       /* too large */
        { "d * 2 >= 0", false },
    };
    fnd_error err = { 0 };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        fnd_rule rule = { .op_count = 0 };
        snprintf(rule.text, sizeof rule.text, "%s", rules[i].text);
        CHECK_OK(fnd_rule_compile(&rule, letter_slot, NULL, &err), &err);
        CHECK_MSG(fnd_rule_holds(&rule, letter_value, values) == rules[i].holds, "%s", rules[i].text);
    }
}

TEST(rules_name_bytes_of_weights) {
    char weight[FND_NAME_BYTES];
    CHECK(fnd_rule_weight("bytes(w_gate)", weight) && strcmp(weight, "w_gate") == 0);
    CHECK(!fnd_rule_weight("bytes(w", weight) && !fnd_rule_weight("bytes()", weight) && !fnd_rule_weight("bytes(w)x", weight) && !fnd_rule_weight("bytes", weight) && !fnd_rule_weight("bytes(w + 1)", weight));
}

TEST(rules_with_mistakes_are_refused) {
    static const struct {
        const char *text, *says;
    } rules[] = {
        { "a", "one of <= < >= > == != is missing" },
        { "a <= ", "a name or a number is missing" },
        { "a <= b <= c", "something left over" },
        { "a <= e", "a name that is no dimension" },
        { "a <= bytes(v)", "a name that is no dimension" },
        { "(a <= b", "a ) is missing" },
        { "a = b", "is missing" },
        { "a <= 5000000000", "too large" },
        { "a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a <= b", "too long" },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        fnd_error err = { 0 };
        fnd_rule rule = { .op_count = 0 };
        snprintf(rule.text, sizeof rule.text, "%s", rules[i].text);
        CHECK_MSG(fnd_rule_compile(&rule, letter_slot, NULL, &err) == FND_ERR_COMPOSE, "%s", rules[i].text);
        CHECK_HAS(err.text, rules[i].says);
    }
}

/* ---- shipped kernels ---- */

/* What is bound to the attention kernels, sample_pick and the others: a change of one number breaks one rule. */
typedef struct sizes {
    uint32_t tokens, heads, kv_heads, head_dim, pairs, blocks, pos, pairing, near, top_k, dim, short_bytes, keep, drop;
} sizes;
static const sizes good = { .tokens = 3, .heads = 4, .kv_heads = 2, .head_dim = 32, .pairs = 16, .blocks = 2, .pos = 5, .pairing = 1, .near = 8, .top_k = 8, .dim = 128, .keep = 3, .drop = 16 };

static void bind_cache(kernel_bench *b, const sizes *s) {
    bench_in(b, "inv_freq", FND_F32, fnd_shape1(s->pairs));
    bench_u32(b, "pos", s->pos);
    bench_u32(b, "pairing", s->pairing);
    bench_f32(b, "mscale", 1.0f);
}

static void bind_kv_write(kernel_bench *b, const sizes *s) {
    bind_cache(b, s);
    bench_in(b, "k", FND_F32, fnd_shape2(s->tokens, s->kv_heads * s->head_dim));
    bench_in(b, "v", FND_F32, fnd_shape2(s->tokens, s->kv_heads * s->head_dim));
    bench_inout(b, "k_cache", FND_F16, fnd_shape4(s->blocks, s->kv_heads, 16, s->head_dim));
    bench_inout(b, "v_cache", FND_F16, fnd_shape4(s->blocks, s->kv_heads, 16, s->head_dim));
}

static void bind_attention(kernel_bench *b, const sizes *s) {
    bind_cache(b, s);
    bench_f32(b, "scale", 0.2f);
    bench_in(b, "q", FND_F32, fnd_shape2(s->tokens, s->heads * s->head_dim));
    bench_in(b, "k_cache", FND_F16, fnd_shape4(s->blocks, s->kv_heads, 16, s->head_dim));
    bench_in(b, "v_cache", FND_F16, fnd_shape4(s->blocks, s->kv_heads, 16, s->head_dim));
    bench_out(b, "y", FND_F32, fnd_shape2(s->tokens, s->heads * s->head_dim));
}

static void bind_decode(kernel_bench *b, const sizes *s) {
    sizes one = *s;
    one.tokens = 1;
    bind_kv_write(b, &one);
    bench_f32(b, "scale", 0.2f);
    bench_in(b, "q", FND_F32, fnd_shape2(1, s->heads * s->head_dim));
    bench_out(b, "part", FND_F32, fnd_shape4(1, s->heads, 3, s->head_dim + 2));
}

static void bind_merge(kernel_bench *b, const sizes *s) {
    bench_in(b, "part", FND_F32, fnd_shape4(s->tokens, s->heads, 2, s->head_dim + 2));
    bench_weight(b, "w", FND_F32, 24, s->dim);
    bench_in(b, "residual", FND_F32, fnd_shape2(s->tokens, 24));
    bench_out(b, "y", FND_F32, fnd_shape2(s->tokens, 24));
}

static void bind_rope(kernel_bench *b, const sizes *s) {
    int32_t positions[3] = { 0, 1, 2 };
    bench_in_copy(b, "positions", FND_I32, fnd_shape1(3), positions);
    bench_in(b, "inv_freq", FND_F32, fnd_shape1(s->pairs));
    bench_u32(b, "pairing", s->pairing);
    bench_f32(b, "mscale", 1.0f);
    bench_inout(b, "x", FND_F32, fnd_shape3(3, s->heads, s->head_dim));
}

static void bind_shift(kernel_bench *b, const sizes *s) {
    bench_in(b, "inv_freq", FND_F32, fnd_shape1(s->pairs));
    bench_inout(b, "k_cache", FND_F16, fnd_shape4(2, s->kv_heads, 16, s->head_dim));
    bench_inout(b, "v_cache", FND_F16, fnd_shape4(2, s->kv_heads, 16, s->head_dim));
    bench_u32(b, "keep", s->keep);
    bench_u32(b, "drop", s->drop);
    bench_u32(b, "pos", s->pos);
    bench_u32(b, "pairing", s->pairing);
}

static void bind_pick(kernel_bench *b, const sizes *s) {
    uint32_t ids[12] = { 0 };
    bench_in(b, "kept", FND_F32, fnd_shape2(3, 4));
    bench_in_copy(b, "kept_ids", FND_U32, fnd_shape2(3, 4), ids);
    bench_out(b, "near_logits", FND_F32, fnd_shape1(s->near));
    bench_out(b, "near_ids", FND_U32, fnd_shape1(s->near));
    bench_out(b, "id", FND_U32, fnd_shape1(1));
    bench_u32(b, "top_k", s->top_k);
    bench_f32(b, "top_p", 1.0f);
    bench_f32(b, "min_p", 0.0f);
    bench_f32(b, "temperature", 1.0f);
    bench_u32(b, "seed", 1);
    bench_u32(b, "seed_high", 0);
    bench_u32(b, "position", 0);
}

static void bind_repack(kernel_bench *b, const sizes *s) {
    uint32_t rows = b->tile_rows ? b->tile_rows : 16; /* whole tiles have the bytes of the file */
    bench_in(b, "w", FND_Q8_0, fnd_shape2(rows, 64));
    bench_out(b, "tiles", FND_U8, fnd_shape1(rows * 68 - s->short_bytes));
}

typedef struct breach {
    const char *kernel;
    void (*bind)(kernel_bench *b, const sizes *s);
    sizes s; /* 0: as it should be */
    fnd_status status;
    const char *says;
} breach;

static const breach breaches[] = {
    { "kv_write", bind_kv_write, { 0 }, FND_OK, NULL },
    { "kv_write", bind_kv_write, { .pos = 29 }, FND_OK, NULL }, /* the last places */
    { "kv_write", bind_kv_write, { .pos = 30 }, FND_ERR_LIMIT, "kernel kv_write needs pos + tokens <= 16*blocks (every position has a place in the caches), but pos = 30, tokens = 3 of k, blocks = 2 of k_cache" },
    { "kv_write", bind_kv_write, { .pos = UINT32_MAX }, FND_ERR_LIMIT, "pos = 4294967295" },
    { "kv_write", bind_kv_write, { .pairs = 17 }, FND_ERR_SHAPE, "2*pairs <= head_dim (pairs lie within a head), but pairs = 17 of inv_freq, head_dim = 32 of k_cache" },
    { "kv_write", bind_kv_write, { .pairing = 2 }, FND_ERR_LIMIT, "pairing <= 1" },
    { "kv_write", bind_kv_write, { .head_dim = 40 }, FND_ERR_SHAPE, "head_dim % 16 == 0" },
    { "kv_write", bind_kv_write, { .head_dim = 272 }, FND_ERR_SHAPE, "head_dim <= 256" },
    { "attention", bind_attention, { 0 }, FND_OK, NULL },
    { "attention", bind_attention, { .pos = 30 }, FND_ERR_LIMIT, "kernel attention needs pos + tokens <= 16*blocks" },
    { "attention", bind_attention, { .tokens = 28 }, FND_ERR_LIMIT, "tokens = 28 of q" },
    { "attention", bind_attention, { .heads = 5 }, FND_ERR_SHAPE, "q_dim % (kv_heads*head_dim) == 0" },
    { "attention", bind_attention, { .heads = 34 }, FND_ERR_SHAPE, "q_dim <= 16*kv_heads*head_dim" },
    { "attention", bind_attention, { .head_dim = 272 }, FND_ERR_SHAPE, "head_dim <= 256" },
    { "attention_decode", bind_decode, { 0 }, FND_OK, NULL },
    { "attention_decode", bind_decode, { .pos = 31 }, FND_OK, NULL },
    { "attention_decode", bind_decode, { .pos = 32 }, FND_ERR_LIMIT, "pos < 16*blocks" },
    { "attention_decode", bind_decode, { .heads = 5 }, FND_ERR_SHAPE, "heads % kv_heads == 0" },
    { "attention_decode", bind_decode, { .heads = 34 }, FND_ERR_SHAPE, "heads <= 16*kv_heads" },
    { "attention_decode", bind_decode, { .pairs = 17 }, FND_ERR_SHAPE, "2*pairs <= head_dim" },
    { "merge_residual", bind_merge, { 0 }, FND_OK, NULL },
    { "merge_residual", bind_merge, { .dim = 96 }, FND_ERR_SHAPE, "argument part: dim/heads + 2 should be 26" },
    { "merge_residual", bind_merge, { .dim = 130 }, FND_ERR_SHAPE, "dim % heads == 0" }, /* 130/4 + 2 is 34 too */
    { "merge_residual", bind_merge, { .head_dim = 24, .dim = 96 }, FND_ERR_SHAPE, "dim / heads % 16 == 0" },
    { "rope", bind_rope, { 0 }, FND_OK, NULL },
    { "rope", bind_rope, { .pairs = 17 }, FND_ERR_SHAPE, "2*pairs <= head_dim" },
    { "rope", bind_rope, { .pairing = 7 }, FND_ERR_LIMIT, "pairing = 7" },
    { "kv_shift", bind_shift, { .pos = 32 }, FND_OK, NULL },
    { "kv_shift", bind_shift, { .pos = 33 }, FND_ERR_LIMIT, "pos <= 16*blocks" },
    { "kv_shift", bind_shift, { .pos = 18 }, FND_ERR_LIMIT, "keep + drop <= pos (what goes is there), but keep = 3, drop = 16, pos = 18" },
    { "kv_shift", bind_shift, { .pos = 32, .drop = 8 }, FND_ERR_LIMIT, "drop % 16 == 0" },
    { "kv_shift", bind_shift, { .pos = 32, .pairing = 2 }, FND_ERR_LIMIT, "pairing <= 1" },
    { "sample_pick", bind_pick, { 0 }, FND_OK, NULL },
    { "sample_pick", bind_pick, { .top_k = 9 }, FND_ERR_LIMIT, "top_k <= near (the work space holds the top-k), but top_k = 9, near = 8 of near_logits" },
    { "repack", bind_repack, { 0 }, FND_OK, NULL },
    { "repack", bind_repack, { .short_bytes = 1 }, FND_ERR_SHAPE, "bytes >= bytes(w)" },
};

/* The good sizes, but for those that are given. */
static sizes sizes_of(const sizes *given) {
    const uint32_t *from = (const uint32_t *)given;
    sizes s = good;
    uint32_t *to = (uint32_t *)&s;
    for (size_t i = 0; i < sizeof s / sizeof *to; i++) to[i] = from[i] ? from[i] : to[i];
    return s;
}

/* Refused, and nothing was written. */
static void check_breach(kernel_bench *b, const breach *c) {
    fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
    fnd_kernel *k = NULL;
    sizes s = sizes_of(&c->s);
    bench_clear(b);
    c->bind(b, &s);
    if (c->status == FND_OK) {
        bench_run(b, c->kernel);
        return;
    }
    CHECK_OK(fnd_kernel_get(b->f, c->kernel, &k, &b->err), &b->err);
    fnd_status status = fnd_run(b->f, k, bindings, bench_bindings(b, bindings), &b->err);
    CHECK_MSG(status == c->status, "%s %s: status %d instead of %d: %s", b->label, c->kernel, status, c->status, b->err.text);
    CHECK_HAS(b->err.text, c->says);
    b->err = (fnd_error){ 0 };
}

TEST(rules_of_shipped_kernels_are_checked) {
    static const bench_device devices[] = { { "cpu", NULL, false }, { "sim", NULL, false } };
    for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
        kernel_bench b;
        if (!bench_open(&b, &devices[d])) continue;
        for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++) {
            if (d == 0 || breaches[i].status == FND_OK) check_breach(&b, &breaches[i]);
        }
        bench_close(&b);
    }
}

/* ---- programs ---- */

static fnd_program *cache_program(kernel_bench *b, const fnd_program_desc *desc) {
    fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
    fnd_kernel *k;
    fnd_program *p;
    CHECK_OK(fnd_kernel_get(b->f, "kv_write", &k, &b->err), &b->err);
    CHECK_OK(fnd_program_begin(b->f, desc, &p, &b->err), &b->err);
    CHECK_OK(fnd_program_call(p, k, bindings, bench_bindings(b, bindings), &b->err), &b->err);
    CHECK_OK(fnd_program_finish(p, &b->err), &b->err);
    return p;
}

static void check_run(kernel_bench *b, fnd_program *p, uint32_t pos, uint32_t tokens, const char *says) {
    CHECK_OK(fnd_program_set(p, "pos", pos, &b->err), &b->err);
    CHECK_OK(fnd_program_set(p, "tokens", tokens, &b->err), &b->err);
    fnd_status status = fnd_program_run(p, &b->err);
    CHECK_MSG(status == (says ? FND_ERR_LIMIT : FND_OK), "%s: pos %u, %u tokens: %d: %s", b->label, pos, tokens, status, b->err.text);
    if (says) CHECK_HAS(b->err.text, says);
    b->err = (fnd_error){ 0 };
    CHECK_OK(fnd_wait(b->f, &b->err), &b->err);
}

TEST(rules_hold_for_variables_of_a_program) {
    static const fnd_program_desc fused = { .name = "writes", .variables = { "pos", "tokens" } }, cut = { .name = "writes", .variables = { "pos", "tokens" }, .form = FND_PROGRAM_LAUNCH };
    static const bench_device devices[] = { { "cpu", NULL, false }, { "cpu", "generic", false }, { "sim", NULL, false } };
    for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
        kernel_bench b;
        if (!bench_open(&b, &devices[d])) continue;
        sizes s = good;
        s.tokens = 20;
        s.pos = 30; /* a variable: what is bound is no promise */
        bind_kv_write(&b, &s);
        fnd_program *p = cache_program(&b, d == 1 ? &cut : &fused);
        check_run(&b, p, 12, 20, NULL);
        check_run(&b, p, 13, 20, "kernel kv_write needs pos + tokens <= 16*blocks");
        check_run(&b, p, 13, 19, NULL);
        check_run(&b, p, 31, 1, NULL);
        check_run(&b, p, 32, 1, "pos = 32, tokens = 1 of k, blocks = 2 of k_cache");
        check_run(&b, p, UINT32_MAX, 1, "pos = 4294967295");
        /* Not set anew, and still refused. */
        CHECK(fnd_program_run(p, &b.err) == FND_ERR_LIMIT);
        b.err = (fnd_error){ 0 };
        check_run(&b, p, 0, 1, NULL);
        bench_check(&b, "kv_write"); /* guards are as they were */
        fnd_program_free(p);
        bench_close(&b);
    }
}

/* Other rules than the variables' are broken when the call is recorded. */
TEST(rules_are_checked_when_calls_are_recorded) {
    kernel_bench b;
    fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
    fnd_kernel *k;
    fnd_program *p;
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    sizes s = good;
    s.pairs = 20;
    s.pos = 1000;
    bind_kv_write(&b, &s);
    CHECK_OK(fnd_kernel_get(b.f, "kv_write", &k, &b.err), &b.err);
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "writes", .variables = { "pos" } }, &p, &b.err), &b.err);
    CHECK(fnd_program_call(p, k, bindings, bench_bindings(&b, bindings), &b.err) == FND_ERR_SHAPE);
    CHECK_HAS(b.err.text, "2*pairs <= head_dim");
    b.err = (fnd_error){ 0 };
    fnd_program_free(p);
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "writes" }, &p, &b.err), &b.err);
    bench_clear(&b);
    s.pairs = 16;
    bind_kv_write(&b, &s);
    CHECK(fnd_program_call(p, k, bindings, bench_bindings(&b, bindings), &b.err) == FND_ERR_LIMIT);
    CHECK_HAS(b.err.text, "pos = 1000");
    fnd_program_free(p);
    bench_close(&b);
}

/* Of a cache that grows, what it has grown to counts; kernels without a rule about it do not run. */
TEST(rules_know_how_far_a_tensor_has_grown) {
    kernel_bench b;
    fnd_dedicated cache[2];
    fnd_kernel *k;
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    sizes s = good;
    bind_kv_write(&b, &s);
    CHECK_OK(fnd_reserve(b.f, FND_F16, fnd_shape4(4096, 2, 16, 32), &cache[0], &b.err), &b.err);
    CHECK_OK(fnd_reserve(b.f, FND_F16, fnd_shape4(4096, 2, 16, 32), &cache[1], &b.err), &b.err);
    CHECK_OK(fnd_grow(b.f, &cache[0], 1, &b.err), &b.err);
    CHECK_OK(fnd_grow(b.f, &cache[1], 1, &b.err), &b.err);
    uint32_t usable = (uint32_t)fnd_usable(&cache[0].t);
    REQUIRE(usable < 4096);
    fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
    size_t count = bench_bindings(&b, bindings);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(bindings[i].name, "k_cache") == 0) bindings[i] = fnd_bind_out("k_cache", &cache[0].t);
        if (strcmp(bindings[i].name, "v_cache") == 0) bindings[i] = fnd_bind_out("v_cache", &cache[1].t);
        if (strcmp(bindings[i].name, "pos") == 0) bindings[i] = fnd_bind_u32("pos", 16 * usable);
    }
    CHECK_OK(fnd_kernel_get(b.f, "kv_write", &k, &b.err), &b.err);
    CHECK(fnd_run(b.f, k, bindings, count, &b.err) == FND_ERR_LIMIT);
    CHECK_HAS(b.err.text, "pos + tokens <= 16*blocks");
    b.err = (fnd_error){ 0 };
    fnd_program *p;
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "writes", .form = FND_PROGRAM_LAUNCH }, &p, &b.err), &b.err);
    CHECK_OK(fnd_program_call(p, k, bindings, count, &b.err), &b.err);
    CHECK_OK(fnd_program_finish(p, &b.err), &b.err);
    CHECK(fnd_program_run(p, &b.err) == FND_ERR_LIMIT);
    b.err = (fnd_error){ 0 };
    CHECK_OK(fnd_grow(b.f, &cache[0], usable + 1, &b.err), &b.err);
    CHECK(fnd_program_run(p, &b.err) == FND_ERR_LIMIT); /* the values' cache has not */
    b.err = (fnd_error){ 0 };
    CHECK_OK(fnd_grow(b.f, &cache[1], usable + 1, &b.err), &b.err);
    CHECK_OK(fnd_program_run(p, &b.err), &b.err);
    CHECK_OK(fnd_run(b.f, k, bindings, count, &b.err), &b.err);
    CHECK_OK(fnd_wait(b.f, &b.err), &b.err);
    fnd_program_free(p);

    fnd_dedicated x;
    CHECK_OK(fnd_reserve(b.f, FND_F32, fnd_shape2(1 << 20, 64), &x, &b.err), &b.err);
    CHECK_OK(fnd_kernel_get(b.f, "ones", &k, &b.err), &b.err);
    CHECK(fnd_run(b.f, k, (fnd_binding[]){ fnd_bind_out("y", &x.t) }, 1, &b.err) == FND_ERR_LIMIT);
    CHECK_HAS(b.err.text, "kernel ones: argument y: ");
    CHECK_HAS(b.err.text, "has grown to 0 of its outermost dimension only");
    b.err = (fnd_error){ 0 };
    CHECK_OK(fnd_tensor_free(b.f, &x, &b.err), &b.err);
    for (int i = 0; i < 2; i++) CHECK_OK(fnd_tensor_free(b.f, &cache[i], &b.err), &b.err);
    bench_close(&b);
}

/* ---- a user's stages ---- */

/* Every value from `window` places on: y[i] = x[first + i]. */
static const char window_text[] =
    "#define OTHER_RULES(X) X(RULE, \"places <= 1000\", \"a test\")\n"
    "#define WINDOW_ARGS(X) \\\n"
    "    X(IN,  f32, x,     \"[values]\", \"all\") \\\n"
    "    X(OUT, f32, y,     \"[places]\", \"some\") \\\n"
    "    X(VAL, u32, first, \"\",         \"where\") \\\n"
    "    X(RULE, \"first + places <= values\", \"the window lies in x\") \\\n"
    "    OTHER_RULES(X)\n"
    "FND_STAGE(window, WINDOW_ARGS, MAIN, NONE, NONE, ALL, \"a window\")\n"
    "FND_INLINE void window(fnd_thread t, const FND_GPU f32 *x, FND_GPU f32 *y, u32 first, u32 values, u32 places) {\n"
    "    (void)values;\n"
    "    for (u32 i = t.group * FND_THREADS + fnd_thread_index(t); i < places; i += t.groups * FND_THREADS) y[i] = x[first + i];\n"
    "}\n";

TEST(rules_of_own_stages) {
    kernel_bench b;
    fnd_kernel *k;
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    CHECK_OK(fnd_register_text(b.f, "mine/window.h", window_text, &b.err), &b.err);
    CHECK_OK(fnd_kernel_make(b.f, &(fnd_kernel_desc){ .name = "view", .stages = { { "window", NULL } } }, &k, &b.err), &b.err);
    for (uint32_t first = 30; first < 33; first++) {
        bench_clear(&b);
        const bench_tensor *x = bench_in(&b, "x", FND_F32, fnd_shape1(40)), *y = bench_out(&b, "y", FND_F32, fnd_shape1(8));
        bench_u32(&b, "first", first);
        fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
        fnd_status status = fnd_run(b.f, k, bindings, bench_bindings(&b, bindings), &b.err);
        CHECK_MSG(status == (first <= 32 ? FND_OK : FND_ERR_LIMIT), "%s", b.err.text);
        if (first == 32 && bench_check(&b, "view")) CHECK(y->v[7] == x->v[39]);
    }
    bench_clear(&b);
    bench_in(&b, "x", FND_F32, fnd_shape1(40));
    bench_out(&b, "y", FND_F32, fnd_shape1(8));
    bench_u32(&b, "first", 33);
    fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
    CHECK(fnd_run(b.f, k, bindings, bench_bindings(&b, bindings), &b.err) == FND_ERR_LIMIT);
    CHECK_STR(b.err.text, "kernel view needs first + places <= values (the window lies in x), but first = 33, places = 8 of y, values = 40 of x");
    b.err = (fnd_error){ 0 };

    /* A list within the list counts; and a head's arguments have its name in the rules too. */
    fnd_catalog *catalog;
    fnd_composition_room room;
    const fnd_composition *c = &room.composition;
    CHECK_OK(fnd_catalog_open(NULL, &catalog, &b.err), &b.err);
    CHECK_OK(fnd_catalog_add(catalog, "mine/window.h", window_text, &b.err), &b.err);
    CHECK_OK(fnd_compose(catalog, &(fnd_kernel_desc){ .name = "two", .stages = { { "window", "a" } } }, &room, &b.err), &b.err);
    CHECK(c->rule_count == 2);
    CHECK_STR(c->rules[0].text, "first_a + places <= values");
    CHECK_STR(c->rules[1].text, "places <= 1000");
    fnd_catalog_close(catalog);
    bench_close(&b);
}

TEST(rules_of_own_stages_are_read_with_care) {
    static const struct {
        const char *rows, *says;
    } lists[] = {
        { "X(RULE, \"n <= 4\")", "a rule is X(RULE, \"rule\", \"doc\"), not 2 fields" },
        { "X(RULE, \"m <= 4\", \"why\")", "stage bad: rule \"m <= 4\": a name that is no dimension and no u32 number of the list at \"m <= 4\"" },
        { "X(RULE, \"f <= 4\", \"why\")", "no u32 number" },
        { "X(RULE, \"n\", \"why\")", "one of <= < >= > == != is missing" },
        { "X(RULE, \"bytes(x) <= n\", \"why\")", "a name that is no dimension" },
        { "X(OPS, \"n\")", "operations are X(OPS, \"count\", \"doc\"), not 2 fields" },
        { "X(OPS, \"2*m\", \"why\")", "operations \"2*m\" name m, which is neither a dimension nor a u32 number of the list" },
        { "X(OPS, \"2*f\", \"why\")", "name f" },
        { "X(OPS, \"2*tokens*(n\", \"why\")", "stage bad" },
        { "X(OPS, \"n\", \"why\") X(OPS, \"n\", \"why\")", "counts its operations twice" },
        { "NOWHERE(X)", "stage bad names the argument list NOWHERE" },
        { "BAD_ARGS(X)", "nest too deep" },
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        fnd_catalog *catalog;
        fnd_error err = { 0 };
        char text[512];
        snprintf(text, sizeof text, "#define BAD_ARGS(X) X(OUT, f32, x, \"[n]\", \"d\") X(VAL, f32, f, \"\", \"d\") %s\nFND_STAGE(bad, BAD_ARGS, MAIN, NONE, NONE, ALL, \"d\")\n", lists[i].rows);
        CHECK_OK(fnd_catalog_open(NULL, &catalog, &err), &err);
        CHECK_MSG(fnd_catalog_add(catalog, "mine/bad.h", text, &err) == FND_ERR_COMPOSE, "%s", lists[i].rows);
        CHECK_HAS(err.text, lists[i].says);
        fnd_catalog_close(catalog);
    }
}
