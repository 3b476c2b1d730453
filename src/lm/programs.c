/* programs.c - the forward pass of a model, as lists of kernel calls. Fused by default; with no_fuse
 * every operation is a kernel of its own, launched one by one. */
#include "base/base.h"
#include "lm/guesses.h"

/* The tensors between kernels. The residual stream is x, to which attention and the feed-forward part add in
 * place; operation by operation it is y between the two. */
typedef struct temporaries {
    fnd_tensor y, norm, q, k, v, attention, part, gate, up, hidden;
} temporaries;

/* How tokens see each other: one; many of one sequence; many of several; one each of several; a few of one
 * sequence, computed as one after the other would be. */
typedef enum form { ONE,
                    MANY,
                    PROMPTS,
                    BATCH,
                    GUESSES } form;

/* A program being written: `a` the tensors between kernels, `layer` the present layer's weights. */
typedef struct writer {
    fnd_session *s;
    fnd_program *p;
    fnd_batch *b;               /* of a BATCH and of PROMPTS */
    const fnd_batch_step *step; /* and of GUESSES */
    fnd_activations *a;
    temporaries t;
    fnd_layer_weights *w;
    uint32_t i; /* layer */
    form form;
    fnd_error *err;
} writer;

static fnd_status call(const writer *w, const char *name, const fnd_binding *b, size_t count) {
    fnd_kernel *k;
    FND_TRY(fnd_kernel_get(w->s->m->f, name, &k, w->err));
    return fnd_program_call(w->p, k, b, count, w->err);
}
#define CALL(w, name, ...) \
    do { \
        const fnd_binding bindings_[] = { __VA_ARGS__ }; \
        FND_TRY(call(w, name, bindings_, sizeof bindings_ / sizeof *bindings_)); \
    } while (0)

/* ---- pieces ---- */

/* What an architecture's call binds by name; `view` is room for heads of their own dimension. */
static fnd_status resolve(writer *w, const char *argument, const char *value, fnd_view *view, fnd_binding *out) {
    const fnd_model_info *m = &w->s->m->info;
    const fnd_layer_vector *vectors = w->s->m->architecture->vectors;
    const struct {
        const char *name;
        fnd_tensor *t;
        uint32_t heads;
    } heads[] = { { "q", &w->t.q, m->heads }, { "k", &w->t.k, m->kv_heads }, { "v", &w->t.v, m->kv_heads } };
    for (size_t i = 0; i < FND_COUNT(heads); i++) {
        if (strcmp(value, heads[i].name) != 0) continue;
        FND_TRY(fnd_view_shape(heads[i].t, fnd_shape3(w->a->rows, heads[i].heads, m->head_dim), view, w->err));
        *out = fnd_bind_out(argument, &view->t);
        return FND_OK;
    }
    for (size_t i = 0; i < FND_LAYER_VECTORS && vectors[i].name; i++) {
        if (strcmp(value, vectors[i].name) != 0) continue;
        *out = fnd_bind_in(argument, &w->w->vectors[i]);
        return FND_OK;
    }
    if (strcmp(value, "norm_eps") != 0) return fnd_fail(w->err, FND_ERR_USAGE, "architecture %s binds %s, which there is not", m->architecture, value);
    *out = fnd_bind_f32(argument, m->norm_eps);
    return FND_OK;
}

/* What the architecture does to heads between the projections and attention. */
static fnd_status head_calls(writer *w) {
    const fnd_head_call *calls = w->s->m->architecture->head_calls;
    for (size_t i = 0; i < FND_HEAD_CALLS && calls[i].kernel; i++) {
        fnd_binding b[FND_CALL_BINDINGS];
        fnd_view views[FND_CALL_BINDINGS];
        size_t n = 0;
        for (; n < FND_CALL_BINDINGS && calls[i].bind[n].argument; n++) FND_TRY(resolve(w, calls[i].bind[n].argument, calls[i].bind[n].value, &views[n], &b[n]));
        FND_TRY(call(w, calls[i].kernel, b, n));
    }
    return FND_OK;
}

static fnd_status attend_one(writer *w) {
    fnd_session *s = w->s;
    const fnd_model *m = s->m;
    CALL(w, "attention_decode", fnd_bind_in("q", &w->t.q), fnd_bind_in("k", &w->t.k), fnd_bind_in("v", &w->t.v), fnd_bind_in("inv_freq", s->inv_freq),
         fnd_bind_out("k_cache", &s->k_cache[w->i]), fnd_bind_out("v_cache", &s->v_cache[w->i]), fnd_bind_out("part", &w->t.part), fnd_bind_u32("pos", 0),
         fnd_bind_f32("scale", 1.0f / __builtin_sqrtf((float)m->info.head_dim)), fnd_bind_u32("pairing", m->info.rope_pairing), fnd_bind_f32("mscale", m->rope.mscale));
    return FND_OK;
}

static fnd_status write_many(writer *w) {
    fnd_session *s = w->s;
    CALL(w, "kv_write", fnd_bind_in("k", &w->t.k), fnd_bind_in("v", &w->t.v), fnd_bind_in("inv_freq", s->inv_freq), fnd_bind_out("k_cache", &s->k_cache[w->i]),
         fnd_bind_out("v_cache", &s->v_cache[w->i]), fnd_bind_u32("pos", 0), fnd_bind_u32("pairing", s->m->info.rope_pairing), fnd_bind_f32("mscale", s->m->rope.mscale));
    return FND_OK;
}

static fnd_status attend_many(writer *w) {
    fnd_session *s = w->s;
    const fnd_model *m = s->m;
    FND_TRY(write_many(w));
    CALL(w, "attention", fnd_bind_in("q", &w->t.q), fnd_bind_in("inv_freq", s->inv_freq), fnd_bind_in("k_cache", &s->k_cache[w->i]), fnd_bind_in("v_cache", &s->v_cache[w->i]),
         fnd_bind_out("y", &w->t.attention), fnd_bind_u32("pos", 0), fnd_bind_f32("scale", 1.0f / __builtin_sqrtf((float)m->info.head_dim)),
         fnd_bind_u32("pairing", m->info.rope_pairing), fnd_bind_f32("mscale", m->rope.mscale));
    return FND_OK;
}

static fnd_status attend_prompts(writer *w) {
    const fnd_model *m = w->s->m;
    const fnd_tensor *table = &w->b->prompts.table.t;
    fnd_tensor *k_cache = &w->b->k_pool[w->i].t, *v_cache = &w->b->v_pool[w->i].t;
    CALL(w, "kv_write_prompts", fnd_bind_in("k", &w->t.k), fnd_bind_in("v", &w->t.v), fnd_bind_in("inv_freq", w->s->inv_freq), fnd_bind_in("prompts", table), fnd_bind_out("k_cache", k_cache),
         fnd_bind_out("v_cache", v_cache), fnd_bind_u32("pairing", m->info.rope_pairing), fnd_bind_f32("mscale", m->rope.mscale));
    CALL(w, "attention_prompts", fnd_bind_in("q", &w->t.q), fnd_bind_in("inv_freq", w->s->inv_freq), fnd_bind_in("prompts", table), fnd_bind_in("k_cache", k_cache), fnd_bind_in("v_cache", v_cache),
         fnd_bind_out("y", &w->t.attention), fnd_bind_u32("keys", 0), fnd_bind_u32("seen", 0), fnd_bind_f32("scale", 1.0f / __builtin_sqrtf((float)m->info.head_dim)),
         fnd_bind_u32("pairing", m->info.rope_pairing), fnd_bind_f32("mscale", m->rope.mscale));
    return FND_OK;
}

static bool reads(const writer *w) { return w->form == MANY || w->form == PROMPTS; }

static fnd_status attend_each(writer *w) {
    const fnd_model *m = w->s->m;
    bool guesses = w->form == GUESSES; /* whose keys must all be there before the first looks at them */
    if (guesses) FND_TRY(write_many(w));
    fnd_tensor *k_cache = guesses ? &w->s->k_cache[w->i] : &w->b->k_pool[w->i].t, *v_cache = guesses ? &w->s->v_cache[w->i] : &w->b->v_pool[w->i].t;
    CALL(w, "attention_batch", fnd_bind_in("q", &w->t.q), fnd_bind_in("k", &w->t.k), fnd_bind_in("v", &w->t.v), fnd_bind_in("inv_freq", w->s->inv_freq), fnd_bind_in("positions", &w->step->positions.t),
         fnd_bind_in("firsts", &w->step->firsts.t), fnd_bind_out("k_cache", k_cache), fnd_bind_out("v_cache", v_cache), fnd_bind_out("part", &w->t.part), fnd_bind_u32("keys", 0), fnd_bind_u32("writes", !guesses),
         fnd_bind_f32("scale", 1.0f / __builtin_sqrtf((float)m->info.head_dim)), fnd_bind_u32("pairing", m->info.rope_pairing), fnd_bind_f32("mscale", m->rope.mscale));
    return FND_OK;
}

static fnd_status fused_layer(writer *w) {
    const fnd_model *m = w->s->m;
    fnd_activations *a = w->a;
    temporaries *t = &w->t;
    fnd_layer_weights *l = w->w;
    fnd_binding qkv[12] = { fnd_bind_in("x", &a->x.t), fnd_bind_in("gamma", &l->attn_norm), fnd_bind_f32("eps", m->info.norm_eps), fnd_bind_in("w_q", &l->q.t),
                            fnd_bind_in("w_k", &l->k.t), fnd_bind_in("w_v", &l->v.t), fnd_bind_out("y_q", &t->q), fnd_bind_out("y_k", &t->k),
                            fnd_bind_out("y_v", &t->v), fnd_bind_in("bias_q", &l->q_bias), fnd_bind_in("bias_k", &l->k_bias), fnd_bind_in("bias_v", &l->v_bias) };
    FND_TRY(m->info.qkv_bias ? call(w, "norm_qkv_bias", qkv, 12) : call(w, "norm_qkv", qkv, 9));
    FND_TRY(head_calls(w));
    if (!reads(w)) {
        FND_TRY(w->form == ONE ? attend_one(w) : attend_each(w));
        CALL(w, "merge_residual", fnd_bind_in("part", &t->part), fnd_bind_in("w", &l->o.t), fnd_bind_in("residual", &a->x.t), fnd_bind_out("y", &a->x.t));
    } else {
        FND_TRY(w->form == MANY ? attend_many(w) : attend_prompts(w));
        CALL(w, "linear_residual", fnd_bind_in("x", &t->attention), fnd_bind_in("w", &l->o.t), fnd_bind_in("residual", &a->x.t), fnd_bind_out("y", &a->x.t));
    }
    CALL(w, "norm_gate_up", fnd_bind_in("x", &a->x.t), fnd_bind_in("gamma", &l->ffn_norm), fnd_bind_f32("eps", m->info.norm_eps), fnd_bind_in("w_gate", &l->gate.t), fnd_bind_in("w_up", &l->up.t),
         fnd_bind_out("y", &t->hidden));
    CALL(w, "linear_residual", fnd_bind_in("x", &t->hidden), fnd_bind_in("w", &l->down.t), fnd_bind_in("residual", &a->x.t), fnd_bind_out("y", &a->x.t));
    return FND_OK;
}

static fnd_status linear(const writer *w, const fnd_tensor *x, fnd_matrix *matrix, const fnd_tensor *bias, fnd_tensor *y) {
    const fnd_binding b[] = { fnd_bind_in("x", x), fnd_bind_in("w", &matrix->t), fnd_bind_out("y", y), fnd_bind_in("bias", bias) };
    return bias->rank ? call(w, "linear_bias", b, 4) : call(w, "linear", b, 3);
}

static fnd_status norm(const writer *w, const fnd_tensor *x, const fnd_tensor *gamma, fnd_tensor *y) {
    CALL(w, "rmsnorm", fnd_bind_in("x", x), fnd_bind_in("gamma", gamma), fnd_bind_f32("eps", w->s->m->info.norm_eps), fnd_bind_out("y", y));
    return FND_OK;
}

/* The same layer, operation by operation. */
static fnd_status plain_layer(writer *w) {
    fnd_activations *a = w->a;
    temporaries *t = &w->t;
    fnd_layer_weights *l = w->w;
    const fnd_tensor none = { .rank = 0 };
    FND_TRY(norm(w, &a->x.t, &l->attn_norm, &t->norm));
    FND_TRY(linear(w, &t->norm, &l->q, &l->q_bias, &t->q));
    FND_TRY(linear(w, &t->norm, &l->k, &l->k_bias, &t->k));
    FND_TRY(linear(w, &t->norm, &l->v, &l->v_bias, &t->v));
    FND_TRY(head_calls(w));
    bool each = w->form == BATCH || w->form == GUESSES;
    FND_TRY(each ? attend_each(w) : w->form == PROMPTS ? attend_prompts(w)
                                                       : attend_many(w));
    if (each) CALL(w, "merge", fnd_bind_in("part", &t->part), fnd_bind_out("y", &t->attention));
    FND_TRY(linear(w, &t->attention, &l->o, &none, &t->norm));
    CALL(w, "add", fnd_bind_in("x", &t->norm), fnd_bind_in("residual", &a->x.t), fnd_bind_out("y", &t->y));
    FND_TRY(norm(w, &t->y, &l->ffn_norm, &t->norm));
    FND_TRY(linear(w, &t->norm, &l->gate, &none, &t->gate));
    FND_TRY(linear(w, &t->norm, &l->up, &none, &t->up));
    CALL(w, "swiglu", fnd_bind_in("x_gate", &t->gate), fnd_bind_in("x_up", &t->up), fnd_bind_out("y", &t->hidden));
    FND_TRY(linear(w, &t->hidden, &l->down, &none, &t->norm));
    CALL(w, "add", fnd_bind_in("x", &t->norm), fnd_bind_in("residual", &t->y), fnd_bind_out("y", &a->x.t));
    return FND_OK;
}

/* Splits of the keys: on a GPU for NVIDIA's texts one for every group that a kv head has, of which they use as many
 * as the length of the context is worth. */
static fnd_status choose_splits(const writer *w, uint64_t *splits) {
    fnd_context_info info;
    FND_TRY(fnd_info(w->s->m->f, &info, w->err));
    uint64_t each = info.groups / w->s->m->info.kv_heads, most = w->s->context / 64;
    *splits = FND_SPLITS;
    if (strcmp(info.backend, "cuda") == 0 && each > FND_SPLITS && most > FND_SPLITS) *splits = each < most ? each : most;
    return FND_OK;
}

/* Room for what this form of a layer leaves behind: placed by lifetime, so the sum is never held. */
static fnd_status take_temporaries(writer *w) {
    const fnd_model_info *m = &w->s->m->info;
    bool plain = w->s->m->no_fuse, merged = !reads(w) && !plain;
    uint64_t splits;
    FND_TRY(choose_splits(w, &splits));
    uint64_t rows = w->a->rows, q_dim = (uint64_t)m->heads * m->head_dim, kv_dim = (uint64_t)m->kv_heads * m->head_dim;
    const struct {
        fnd_tensor *t;
        const char *name;
        fnd_shape shape;
        bool wanted;
    } list[] = {
        { &w->t.y, "y", fnd_shape2(rows, m->dim), plain },
        { &w->t.q, "q", fnd_shape2(rows, q_dim), true },
        { &w->t.k, "k", fnd_shape2(rows, kv_dim), true },
        { &w->t.v, "v", fnd_shape2(rows, kv_dim), true },
        { &w->t.hidden, "hidden", fnd_shape2(rows, m->hidden_dim), true },
        { &w->t.part, "part", fnd_shape4(rows, m->heads, splits, m->head_dim + 2), merged || w->form == BATCH || w->form == GUESSES },
        { &w->t.attention, "attention", fnd_shape2(rows, q_dim), !merged },
        { &w->t.norm, "norm", fnd_shape2(rows, m->dim), plain },
        { &w->t.gate, "gate", fnd_shape2(rows, m->hidden_dim), plain },
        { &w->t.up, "up", fnd_shape2(rows, m->hidden_dim), plain },
    };
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        if (list[i].wanted) FND_TRY(fnd_program_temporary(w->p, FND_F32, list[i].shape, list[i].name, list[i].t, w->err));
    }
    return FND_OK;
}

static fnd_status layers(writer *w) {
    fnd_model *m = w->s->m;
    FND_TRY(take_temporaries(w));
    CALL(w, "embed", fnd_bind_out("y", &w->a->x.t), fnd_bind_in("ids", &w->a->ids.t), fnd_bind_in("w", &m->embedding));
    for (w->i = 0; w->i < m->info.layers; w->i++) {
        w->w = &m->layers[w->i];
        FND_TRY(fnd_program_layer(w->p, (int)w->i, w->err));
        FND_TRY(m->no_fuse ? plain_layer(w) : fused_layer(w));
    }
    return fnd_program_layer(w->p, -1, w->err);
}

static fnd_status head(writer *w, fnd_tensor *x, fnd_tensor *logits) {
    fnd_model *m = w->s->m;
    if (m->no_fuse) {
        const fnd_tensor none = { .rank = 0 };
        fnd_tensor normed;
        FND_TRY(fnd_program_temporary(w->p, FND_F32, fnd_shape2(x->shape[0], m->info.dim), "normed", &normed, w->err));
        FND_TRY(norm(w, x, &m->output_norm, &normed));
        return linear(w, &normed, &m->head, &none, logits);
    }
    CALL(w, "norm_head", fnd_bind_in("x", x), fnd_bind_in("gamma", &m->output_norm), fnd_bind_f32("eps", m->info.norm_eps), fnd_bind_in("w", &m->head.t), fnd_bind_out("y", logits));
    return FND_OK;
}

/* ---- programs ---- */

static fnd_status begin(writer *w, const fnd_program_desc *desc, fnd_program **p) {
    fnd_program_desc d = *desc;
    if (d.form == FND_PROGRAM_AUTO) d.form = w->s->m->form;
    d.stages = w->s->m->stages;
    FND_TRY(fnd_program_begin(w->s->m->f, &d, p, w->err));
    w->p = *p;
    return FND_OK;
}

static fnd_status make_decode(fnd_session *s, fnd_tensor *one_logits, fnd_error *err) {
    writer w = { .s = s, .a = &s->one, .form = ONE, .err = err };
    FND_TRY(begin(&w, &(fnd_program_desc){ .name = "decode", .variables = { "pos", "blocks" } }, &s->decode));
    FND_TRY(layers(&w));
    FND_TRY(head(&w, &s->one.x.t, one_logits));
    return fnd_program_finish(s->decode, err);
}

static fnd_status record_reading(writer *w, const fnd_program_desc *desc, fnd_program **out) {
    fnd_program_desc d = *desc;
    fnd_context_info info;
    FND_TRY(fnd_info(w->s->m->f, &info, w->err));
    /* Kernels of matrices with many tokens take all registers of an NVIDIA GPU, and one text of them all would make
     * each take what the worst does; what a launch takes is little beside them. */
    d.form = strcmp(info.backend, "cuda") == 0 ? FND_PROGRAM_LAUNCH : FND_PROGRAM_AUTO;
    FND_TRY(begin(w, &d, out));
    FND_TRY(layers(w));
    return fnd_program_finish(*out, w->err);
}

static fnd_status make_prefill(fnd_session *s, fnd_error *err) {
    writer w = { .s = s, .a = &s->many, .form = MANY, .err = err };
    return record_reading(&w, &(fnd_program_desc){ .name = "prefill", .variables = { "pos", "tokens", "blocks" } }, &s->prefill);
}

static fnd_status make_head(fnd_session *s, uint32_t rows, fnd_program **out, fnd_error *err) {
    writer w = { .s = s, .err = err };
    fnd_view x, logits;
    fnd_cut cut = { .dim = 0, .first = 0, .count = rows };
    FND_TRY(fnd_view_cut(&s->last.t, cut, &x, err));
    FND_TRY(fnd_view_cut(&s->logits.t, cut, &logits, err));
    fnd_program_desc desc = { .name = rows == 1 ? "head" : "heads", .steps = true };
    if (rows > 1) desc.variables[0] = "tokens";
    FND_TRY(begin(&w, &desc, out));
    FND_TRY(head(&w, &x.t, &logits.t));
    return fnd_program_finish(*out, err);
}

static fnd_status made(const fnd_session *s, size_t done, fnd_error *err) { return fnd_session_pause(s, "compiling kernels", done, 3, err); }

fnd_status fnd_session_make_programs(fnd_session *s, fnd_error *err) {
    fnd_view one_logits;
    FND_TRY(fnd_view_cut(&s->logits.t, (fnd_cut){ .count = 1 }, &one_logits, err));
    FND_TRY(made(s, 0, err));
    FND_TRY(make_decode(s, &one_logits.t, err));
    FND_TRY(made(s, 1, err));
    FND_TRY(make_prefill(s, err));
    FND_TRY(made(s, 2, err));
    FND_TRY(make_head(s, 1, &s->head, err));
    return made(s, 3, err);
}

/* A program that could not be written whole is none: it is tried anew when it is needed again. */
static fnd_status whole_or_none(fnd_status status, fnd_program **p) {
    if (status == FND_OK) return FND_OK;
    fnd_program_free(*p);
    *p = NULL;
    return status;
}

fnd_status fnd_session_make_heads(fnd_session *s, fnd_error *err) { return whole_or_none(make_head(s, FND_HEAD_ROWS, &s->heads, err), &s->heads); }

/* A step of several rows, whose logits are the first rows of `logits`. */
static fnd_status record_step(writer *w, fnd_tensor *logits, const fnd_program_desc *desc, fnd_program **out) {
    fnd_view rows;
    FND_TRY(fnd_view_cut(logits, (fnd_cut){ .count = w->step->a.rows }, &rows, w->err));
    FND_TRY(begin(w, desc, out));
    FND_TRY(layers(w));
    FND_TRY(head(w, &w->a->x.t, &rows.t));
    return fnd_program_finish(*out, w->err);
}

fnd_status fnd_batch_make_program(fnd_batch *b, fnd_batch_step *step, fnd_error *err) {
    const fnd_program_desc desc = { .name = "step", .variables = { "tokens", "keys", "blocks" }, .steps = true };
    writer w = { .s = b->sessions[0], .b = b, .step = step, .a = &step->a, .form = BATCH, .err = err };
    return whole_or_none(record_step(&w, &b->logits.t, &desc, &step->program), &step->program);
}

fnd_status fnd_batch_make_prompts(fnd_batch *b, fnd_error *err) {
    const fnd_program_desc desc = { .name = "prompts", .variables = { "tokens", "parts", "keys", "seen", "blocks" } };
    writer w = { .s = b->sessions[0], .b = b, .a = &b->prompts.a, .form = PROMPTS, .err = err };
    return whole_or_none(record_reading(&w, &desc, &b->prompts.program), &b->prompts.program);
}

fnd_status fnd_session_make_guesses(fnd_session *s, fnd_batch_step *step, fnd_error *err) {
    const fnd_program_desc desc = { .name = "guesses", .variables = { "tokens", "pos", "keys", "blocks" }, .steps = true };
    writer w = { .s = s, .step = step, .a = &step->a, .form = GUESSES, .err = err };
    return whole_or_none(record_step(&w, &s->logits.t, &desc, &step->program), &step->program);
}

static fnd_status record_shift(writer *w) {
    fnd_session *s = w->s;
    fnd_model *m = s->m;
    FND_TRY(begin(w, &(fnd_program_desc){ .name = "shift", .variables = { "keep", "drop", "pos" } }, &s->shift));
    for (uint32_t i = 0; i < m->info.layers; i++) {
        FND_TRY(fnd_program_layer(w->p, (int)i, w->err));
        CALL(w, "kv_shift", fnd_bind_in("inv_freq", s->inv_freq), fnd_bind_out("k_cache", &s->k_cache[i]), fnd_bind_out("v_cache", &s->v_cache[i]), fnd_bind_u32("keep", 0),
             fnd_bind_u32("drop", FND_SHIFT_STEP), fnd_bind_u32("pos", 0), fnd_bind_u32("pairing", m->info.rope_pairing));
    }
    return fnd_program_finish(s->shift, w->err);
}

fnd_status fnd_session_make_shift(fnd_session *s, fnd_error *err) { return whole_or_none(record_shift(&(writer){ .s = s, .err = err }), &s->shift); }
