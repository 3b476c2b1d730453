/* programs.c - the forward pass of a model, as lists of kernel calls. Fused by default; with no_fuse
 * every operation is a kernel of its own, launched one by one. */
#include "base/base.h"
#include "lm/session.h"

/* A program being written: `a` the tensors between kernels, `layer` the present layer's weights. */
typedef struct writer {
    fnd_session *s;
    fnd_program *p;
    fnd_activations *a;
    fnd_layer_weights *w;
    uint32_t i;  /* layer */
    bool single; /* one token: decode */
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

static fnd_status attend_one(const writer *w) {
    fnd_session *s = w->s;
    const fnd_model *m = s->m;
    CALL(w, "attention_decode", fnd_bind_in("q", &w->a->q.t), fnd_bind_in("k", &w->a->k.t), fnd_bind_in("v", &w->a->v.t), fnd_bind_in("inv_freq", &m->inv_freq.t),
         fnd_bind_out("k_cache", &s->k_cache[w->i].t), fnd_bind_out("v_cache", &s->v_cache[w->i].t), fnd_bind_out("part", &w->a->part.t), fnd_bind_u32("pos", 0),
         fnd_bind_f32("scale", 1.0f / __builtin_sqrtf((float)m->info.head_dim)), fnd_bind_u32("pairing", m->info.rope_pairing), fnd_bind_f32("mscale", m->rope_mscale));
    return FND_OK;
}

static fnd_status attend_many(const writer *w) {
    fnd_session *s = w->s;
    const fnd_model *m = s->m;
    CALL(w, "kv_write", fnd_bind_in("k", &w->a->k.t), fnd_bind_in("v", &w->a->v.t), fnd_bind_in("inv_freq", &m->inv_freq.t), fnd_bind_out("k_cache", &s->k_cache[w->i].t),
         fnd_bind_out("v_cache", &s->v_cache[w->i].t), fnd_bind_u32("pos", 0), fnd_bind_u32("pairing", m->info.rope_pairing), fnd_bind_f32("mscale", m->rope_mscale));
    CALL(w, "attention", fnd_bind_in("q", &w->a->q.t), fnd_bind_in("inv_freq", &m->inv_freq.t), fnd_bind_in("k_cache", &s->k_cache[w->i].t), fnd_bind_in("v_cache", &s->v_cache[w->i].t),
         fnd_bind_out("y", &w->a->attention.t), fnd_bind_u32("pos", 0), fnd_bind_f32("scale", 1.0f / __builtin_sqrtf((float)m->info.head_dim)),
         fnd_bind_u32("pairing", m->info.rope_pairing), fnd_bind_f32("mscale", m->rope_mscale));
    return FND_OK;
}

static fnd_status fused_layer(const writer *w) {
    const fnd_model *m = w->s->m;
    fnd_activations *a = w->a;
    fnd_layer_weights *l = w->w;
    fnd_binding qkv[12] = { fnd_bind_in("x", &a->x.t), fnd_bind_in("gamma", &l->attn_norm), fnd_bind_f32("eps", m->info.norm_eps), fnd_bind_in("w_q", &l->q.t),
                            fnd_bind_in("w_k", &l->k.t), fnd_bind_in("w_v", &l->v.t), fnd_bind_out("y_q", &a->q.t), fnd_bind_out("y_k", &a->k.t),
                            fnd_bind_out("y_v", &a->v.t), fnd_bind_in("bias_q", &l->q_bias), fnd_bind_in("bias_k", &l->k_bias), fnd_bind_in("bias_v", &l->v_bias) };
    FND_TRY(m->info.qkv_bias ? call(w, "norm_qkv_bias", qkv, 12) : call(w, "norm_qkv", qkv, 9));
    if (w->single) {
        FND_TRY(attend_one(w));
        CALL(w, "merge_residual", fnd_bind_in("part", &a->part.t), fnd_bind_in("w", &l->o.t), fnd_bind_in("residual", &a->x.t), fnd_bind_out("y", &a->y.t));
    } else {
        FND_TRY(attend_many(w));
        CALL(w, "linear_residual", fnd_bind_in("x", &a->attention.t), fnd_bind_in("w", &l->o.t), fnd_bind_in("residual", &a->x.t), fnd_bind_out("y", &a->y.t));
    }
    CALL(w, "norm_gate_up", fnd_bind_in("x", &a->y.t), fnd_bind_in("gamma", &l->ffn_norm), fnd_bind_f32("eps", m->info.norm_eps), fnd_bind_in("w_gate", &l->gate.t), fnd_bind_in("w_up", &l->up.t),
         fnd_bind_out("y", &a->hidden.t));
    CALL(w, "linear_residual", fnd_bind_in("x", &a->hidden.t), fnd_bind_in("w", &l->down.t), fnd_bind_in("residual", &a->y.t), fnd_bind_out("y", &a->x.t));
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
static fnd_status plain_layer(const writer *w) {
    fnd_activations *a = w->a;
    fnd_layer_weights *l = w->w;
    const fnd_tensor none = { .rank = 0 };
    FND_TRY(norm(w, &a->x.t, &l->attn_norm, &a->norm.t));
    FND_TRY(linear(w, &a->norm.t, &l->q, &l->q_bias, &a->q.t));
    FND_TRY(linear(w, &a->norm.t, &l->k, &l->k_bias, &a->k.t));
    FND_TRY(linear(w, &a->norm.t, &l->v, &l->v_bias, &a->v.t));
    FND_TRY(attend_many(w));
    FND_TRY(linear(w, &a->attention.t, &l->o, &none, &a->norm.t));
    CALL(w, "add", fnd_bind_in("x", &a->norm.t), fnd_bind_in("residual", &a->x.t), fnd_bind_out("y", &a->y.t));
    FND_TRY(norm(w, &a->y.t, &l->ffn_norm, &a->norm.t));
    FND_TRY(linear(w, &a->norm.t, &l->gate, &none, &a->gate.t));
    FND_TRY(linear(w, &a->norm.t, &l->up, &none, &a->up.t));
    CALL(w, "swiglu", fnd_bind_in("x_gate", &a->gate.t), fnd_bind_in("x_up", &a->up.t), fnd_bind_out("y", &a->hidden.t));
    FND_TRY(linear(w, &a->hidden.t, &l->down, &none, &a->norm.t));
    CALL(w, "add", fnd_bind_in("x", &a->norm.t), fnd_bind_in("residual", &a->y.t), fnd_bind_out("y", &a->x.t));
    return FND_OK;
}

static fnd_status layers(writer *w) {
    fnd_model *m = w->s->m;
    CALL(w, "embed", fnd_bind_out("y", &w->a->x.t), fnd_bind_in("ids", &w->a->ids.t), fnd_bind_in("w", &m->embedding));
    for (w->i = 0; w->i < m->info.layers; w->i++) {
        w->w = &m->layers[w->i];
        FND_TRY(fnd_program_layer(w->p, (int)w->i, w->err));
        FND_TRY(m->no_fuse ? plain_layer(w) : fused_layer(w));
    }
    return fnd_program_layer(w->p, -1, w->err);
}

static fnd_status head(const writer *w, fnd_tensor *x, fnd_tensor *normed, fnd_tensor *logits) {
    fnd_model *m = w->s->m;
    if (m->no_fuse) {
        const fnd_tensor none = { .rank = 0 };
        FND_TRY(norm(w, x, &m->output_norm, normed));
        return linear(w, normed, &m->head, &none, logits);
    }
    CALL(w, "norm_head", fnd_bind_in("x", x), fnd_bind_in("gamma", &m->output_norm), fnd_bind_f32("eps", m->info.norm_eps), fnd_bind_in("w", &m->head.t), fnd_bind_out("y", logits));
    return FND_OK;
}

/* ---- programs ---- */

static fnd_status begin(writer *w, const fnd_program_desc *desc, fnd_program **p) {
    fnd_program_desc d = *desc;
    d.separate = w->s->m->no_fuse;
    FND_TRY(fnd_program_begin(w->s->m->f, &d, p, w->err));
    w->p = *p;
    return FND_OK;
}

static fnd_status make_decode(fnd_session *s, fnd_tensor *one_logits, fnd_error *err) {
    writer w = { .s = s, .a = &s->one, .single = true, .err = err };
    FND_TRY(begin(&w, &(fnd_program_desc){ .name = "decode", .variables = { "pos" } }, &s->decode));
    FND_TRY(layers(&w));
    FND_TRY(head(&w, &s->one.x.t, &s->one.norm.t, one_logits));
    return fnd_program_finish(s->decode, err);
}

static fnd_status make_prefill(fnd_session *s, fnd_error *err) {
    writer w = { .s = s, .a = &s->many, .err = err };
    FND_TRY(begin(&w, &(fnd_program_desc){ .name = "prefill", .variables = { "pos", "tokens" } }, &s->prefill));
    FND_TRY(layers(&w));
    return fnd_program_finish(s->prefill, err);
}

static fnd_status make_head(fnd_session *s, uint32_t rows, fnd_program **out, fnd_error *err) {
    writer w = { .s = s, .err = err };
    fnd_view x, normed, logits;
    fnd_cut cut = { .dim = 0, .first = 0, .count = rows };
    FND_TRY(fnd_view_cut(&s->last.t, cut, &x, err));
    FND_TRY(fnd_view_cut(&s->many.norm.t, cut, &normed, err));
    FND_TRY(fnd_view_cut(&s->logits.t, cut, &logits, err));
    fnd_program_desc desc = { .name = rows == 1 ? "head" : "heads" };
    if (rows > 1) desc.variables[0] = "tokens";
    FND_TRY(begin(&w, &desc, out));
    FND_TRY(head(&w, &x.t, &normed.t, &logits.t));
    return fnd_program_finish(*out, err);
}

fnd_status fnd_session_make_programs(fnd_session *s, fnd_error *err) {
    fnd_view one_logits;
    FND_TRY(fnd_view_cut(&s->logits.t, (fnd_cut){ .count = 1 }, &one_logits, err));
    FND_TRY(make_decode(s, &one_logits.t, err));
    FND_TRY(make_prefill(s, err));
    FND_TRY(make_head(s, 1, &s->head, err));
    return make_head(s, FND_HEAD_ROWS, &s->heads, err);
}
