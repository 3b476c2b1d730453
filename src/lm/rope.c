/* rope.c - rotary embedding: every scaling for long contexts as a table of frequencies and a factor of
 * sine and cosine, computed in f64, so that kernels know of none.
 *
 *   linear    all positions divided by the factor (Chen et al. 2023)
 *   yarn      low frequencies so, high ones not, a ramp between; 0.1 ln(factor) + 1 (Peng et al. 2023,
 *             arXiv 2309.00071, with the ramp over pairs that its published code has)
 *   longrope  a divisor for every pair, one set up to the original context and another beyond it;
 *             sqrt(1 + ln(scale) / ln(original context)) (Ding et al. 2024, and Phi-3's code)
 *   llama3    a divisor for every pair, which the converter computed: rope_freqs.weight */
#include "base/base.h"
#include "lm/model.h"

#include <math.h>

#define MOST_CONTEXT (16u << 20)
static const double PI = 3.14159265358979323846;

typedef struct reader {
    const fnd_gguf *g;
    const fnd_model_info *m;
    fnd_error *err;
} reader;

static fnd_status get_f32(const reader *r, const char *suffix, float least, float most, float *out) {
    char key[FND_KEY_BYTES];
    FND_TRY(fnd_gguf_maybe_f32(r->g, fnd_model_key(r->m, suffix, key), out, r->err));
    if (*out >= least && *out <= most) return FND_OK;
    return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s is %g; %g to %g make sense", r->m->path, key, (double)*out, (double)least, (double)most);
}

/* ---- hyper-parameters ---- */

static bool has_tensor(const reader *r, const char *name) { return fnd_gguf_find_tensor(r->g, name) != NULL; }

/* Linear scaling may be told by its factor alone, also by an older key. */
static fnd_status read_factor(const reader *r, fnd_model_info *m, bool *told) {
    static const char *const names[] = { "rope.scaling.factor", "rope.scale_linear" };
    char key[FND_KEY_BYTES];
    *told = false;
    for (size_t i = 0; i < FND_COUNT(names) && !*told; i++) {
        m->rope_factor = 0.0f;
        FND_TRY(get_f32(r, names[i], 0.0f, 1e6f, &m->rope_factor));
        *told = fnd_gguf_find(r->g, fnd_model_key(m, names[i], key)) && m->rope_factor != 0.0f;
    }
    if (!*told) m->rope_factor = 1.0f;
    return FND_OK;
}

/* The type in the file, or what its tensors and its factor say. */
static fnd_status read_type(const reader *r, fnd_model_info *m) {
    static const char *const types[] = { "none", "linear", "yarn", "longrope" };
    char key[FND_KEY_BYTES], quoted[64];
    fnd_span type = { 0 };
    bool told, factors = has_tensor(r, "rope_factors_long.weight") || has_tensor(r, "rope_factors_short.weight"), freqs = has_tensor(r, "rope_freqs.weight");
    FND_TRY(fnd_gguf_maybe_str(r->g, fnd_model_key(m, "rope.scaling.type", key), &type, r->err));
    FND_TRY(read_factor(r, m, &told));
    m->rope_scaling = NULL;
    for (size_t i = 0; i < FND_COUNT(types); i++) {
        if (type.data && fnd_span_equal(type, types[i])) m->rope_scaling = types[i];
    }
    if (type.data && !m->rope_scaling) {
        return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: %s is \"%s\", which is not supported (none, linear, yarn and longrope are)", m->path, key, fnd_span_quote(type, quoted, sizeof quoted));
    }
    const char *by_tensor = factors ? "longrope" : freqs ? "llama3"
                                                         : NULL;
    bool open = !m->rope_scaling || m->rope_scaling == types[0];
    if (by_tensor && !open && strcmp(by_tensor, m->rope_scaling) != 0) {
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s is %s, but the file also has %s, another scaling", m->path, key, m->rope_scaling, factors ? "rope_factors_long or rope_factors_short" : "rope_freqs.weight");
    }
    if (factors && freqs) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: the file has both rope_freqs.weight and rope_factors, two scalings of RoPE", m->path);
    if (by_tensor && open) m->rope_scaling = by_tensor;
    if (!m->rope_scaling) m->rope_scaling = told ? "linear" : "none";
    bool scales = strcmp(m->rope_scaling, "linear") == 0 || strcmp(m->rope_scaling, "yarn") == 0;
    if (scales && !told) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: RoPE scaling is %s, but %s.rope.scaling.factor is missing or 0", m->path, m->rope_scaling, m->architecture);
    if (!scales) m->rope_factor = 1.0f;
    return FND_OK;
}

fnd_status fnd_rope_read_info(const fnd_gguf *g, fnd_model_info *m, fnd_error *err) {
    reader r = { g, m, err };
    char key[FND_KEY_BYTES];
    m->rope_base = 10000.0f;
    m->rope_dim = m->head_dim;
    FND_TRY(get_f32(&r, "rope.freq_base", 1e-6f, 1e30f, &m->rope_base));
    FND_TRY(fnd_gguf_maybe_u32(g, fnd_model_key(m, "rope.dimension_count", key), &m->rope_dim, err));
    if (m->rope_dim == 0 || m->rope_dim % 2 || m->rope_dim > m->head_dim) {
        return fnd_fail(err, FND_ERR_FORMAT, "%s: %s is %u; with heads of %u values it must be an even number up to that", m->path, key, m->rope_dim, m->head_dim);
    }
    FND_TRY(read_type(&r, m));
    FND_TRY(fnd_gguf_maybe_u32(g, fnd_model_key(m, "rope.scaling.original_context_length", key), &m->original_context, err));
    if (m->original_context > MOST_CONTEXT) return fnd_fail(err, FND_ERR_FORMAT, "%s: %s is %u, which makes no sense", m->path, key, m->original_context);
    if (m->original_context == 0 && strcmp(m->rope_scaling, "longrope") == 0) {
        return fnd_fail(err, FND_ERR_FORMAT, "%s: RoPE scaling is longrope, but %s, up to which the short factors serve, is missing or 0", m->path, key);
    }
    double reach = (double)m->original_context * (double)m->rope_factor; /* what the scaling was made for */
    if (m->rope_factor > 1.0f && reach > m->context_length) m->context_length = reach < MOST_CONTEXT ? (uint32_t)reach : MOST_CONTEXT;
    return FND_OK;
}

/* ---- frequencies ---- */

/* Base^(-2i/d). */
static double plain(const fnd_model_info *m, uint32_t i) { return pow((double)m->rope_base, -2.0 * i / m->rope_dim); }

static fnd_status put(const reader *r, float *table, uint32_t i, double frequency) {
    table[i] = (float)frequency;
    if (frequency > 0.0 && frequency < 16777216.0) return FND_OK; /* what rope/angle.h turns exactly */
    return fnd_fail(r->err, FND_ERR_FORMAT, "%s: RoPE would turn pair %u by %g radians per position, which makes no sense", r->m->path, i, frequency);
}

/* Frequencies divided by what a tensor says for every pair. */
static fnd_status by_divisors(const reader *r, const char *name, float *table) {
    const fnd_gguf_tensor *t;
    uint32_t pairs = r->m->rope_dim / 2;
    FND_TRY(fnd_gguf_get_tensor(r->g, name, &t, r->err));
    if (t->format != FND_F32 || t->dim_count != 1 || t->dims[0] != pairs) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: tensor %s must be %u values of F32, one for every pair of RoPE", r->m->path, name, pairs);
    for (uint32_t i = 0; i < pairs; i++) {
        float divisor;
        memcpy(&divisor, (const uint8_t *)t->data + sizeof divisor * i, sizeof divisor);
        if (!(divisor > 0.0f && isfinite(divisor))) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: tensor %s has %g for pair %u; it must be a positive number", r->m->path, name, (double)divisor, i);
        FND_TRY(put(r, table, i, plain(r->m, i) / (double)divisor));
    }
    return FND_OK;
}

/* The pair, as a fraction, that makes so many turns within the original context. */
static double pair_of_turns(const fnd_model_info *m, double turns, double original) {
    return m->rope_dim * log(original / (turns * 2.0 * PI)) / (2.0 * log((double)m->rope_base));
}

static fnd_status yarn(const reader *r, fnd_rope_table *out) {
    const fnd_model_info *m = r->m;
    float fast = 32.0f, slow = 1.0f, share = 1.0f, attention = 1.0f, log_multiplier = 0.0f;
    double original = m->original_context ? m->original_context : m->context_length, factor = (double)m->rope_factor;
    FND_TRY(get_f32(r, "rope.scaling.yarn_beta_fast", 1e-6f, 1e6f, &fast));
    FND_TRY(get_f32(r, "rope.scaling.yarn_beta_slow", 1e-6f, 1e6f, &slow));
    FND_TRY(get_f32(r, "rope.scaling.yarn_ext_factor", 0.0f, 1.0f, &share));
    FND_TRY(get_f32(r, "rope.scaling.yarn_attn_factor", 1e-3f, 1e3f, &attention));
    FND_TRY(get_f32(r, "rope.scaling.yarn_log_multiplier", -1e6f, 1e6f, &log_multiplier));
    if (fast <= slow) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: yarn_beta_fast (%g) must be more than yarn_beta_slow (%g)", m->path, (double)fast, (double)slow);
    if (m->rope_base <= 1.0f) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: RoPE scaling yarn needs a %s.rope.freq_base above 1, not %g", m->path, m->architecture, (double)m->rope_base);
    if (log_multiplier != 0.0f) return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: %s.rope.scaling.yarn_log_multiplier is %g, which is not supported", m->path, m->architecture, (double)log_multiplier);
    double low = fmax(0.0, floor(pair_of_turns(m, (double)fast, original)));
    double high = fmin(m->rope_dim - 1.0, ceil(pair_of_turns(m, (double)slow, original)));
    for (uint32_t i = 0; i < m->rope_dim / 2; i++) {
        double ramp = fmin(1.0, fmax(0.0, (i - low) / fmax(0.001, high - low))), kept = (1.0 - ramp) * (double)share;
        FND_TRY(put(r, out->inv_freq, i, plain(m, i) * (kept + (1.0 - kept) / factor)));
    }
    out->mscale = attention * (float)(share > 0.0f && factor > 1.0 ? 0.1 * log(factor) + 1.0 : 1.0);
    return FND_OK;
}

static fnd_status longrope(const reader *r, fnd_rope_table *out) {
    const fnd_model_info *m = r->m;
    char key[FND_KEY_BYTES];
    double scale = (double)m->context_length / m->original_context;
    FND_TRY(by_divisors(r, "rope_factors_short.weight", out->inv_freq));
    FND_TRY(by_divisors(r, "rope_factors_long.weight", out->long_inv_freq));
    out->has_long = true;
    bool told = fnd_gguf_find(r->g, fnd_model_key(m, "rope.scaling.attn_factor", key)) != NULL;
    if (!told && scale > 1.0) out->mscale = (float)sqrt(1.0 + log(scale) / log(fmax(2.0, m->original_context)));
    return FND_OK;
}

fnd_status fnd_rope_compute(const fnd_gguf *g, const fnd_model_info *m, fnd_rope_table *out, fnd_error *err) {
    reader r = { g, m, err };
    float told = 1.0f;
    *out = (fnd_rope_table){ .mscale = 1.0f };
    if (strcmp(m->rope_scaling, "yarn") == 0)
        FND_TRY(yarn(&r, out));
    else if (strcmp(m->rope_scaling, "longrope") == 0)
        FND_TRY(longrope(&r, out));
    else if (strcmp(m->rope_scaling, "llama3") == 0)
        FND_TRY(by_divisors(&r, "rope_freqs.weight", out->inv_freq));
    else
        for (uint32_t i = 0; i < m->rope_dim / 2; i++) FND_TRY(put(&r, out->inv_freq, i, plain(m, i) / (double)m->rope_factor));
    FND_TRY(get_f32(&r, "rope.scaling.attn_factor", 1e-3f, 1e3f, &told));
    out->mscale *= told;
    return FND_OK;
}
