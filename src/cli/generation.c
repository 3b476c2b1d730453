/* generation.c - options for how tokens are chosen, as the library takes them. */
#include "cli/generation.h"
#include "lm/generate.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <time.h>

/* ---- --logit-bias TOKEN=X ---- */

static fnd_status wrong_bias(const char *text, const char *why, fnd_error *err) {
    char shown[80];
    return fnd_fail(err, FND_ERR_USAGE, "--logit-bias needs TOKEN=X, not '%s': %s", fnd_span_quote((fnd_span){ text, strlen(text) }, shown, sizeof shown), why);
}

static fnd_status bias_value(const char *text, const char *value, float *out, fnd_error *err) {
    char *end;
    double x = strtod(value, &end);
    bool is_number = end != value && !*end && !isspace((unsigned char)value[0]);
    *out = (float)x;
    if (is_number && (fabs(x) <= 1e5 || x == -INFINITY)) return FND_OK;
    return wrong_bias(text, "X is a number from -100000 to 100000, or -inf", err);
}

static bool all_digits(fnd_span s) {
    for (size_t i = 0; i < s.bytes; i++) {
        if (!isdigit((unsigned char)s.data[i])) return false;
    }
    return s.bytes > 0 && s.bytes < 10;
}

/* An id, or the text of exactly one token; a text of digits is put in double quotes. */
static fnd_status bias_token(const fnd_cli_lm *lm, const char *text, fnd_span token, uint32_t *id, fnd_error *err) {
    fnd_ids ids = { 0 };
    uint32_t vocab = fnd_model_get_info(lm->m)->vocab;
    if (all_digits(token)) {
        *id = (uint32_t)strtoul(token.data, NULL, 10);
        return *id < vocab ? FND_OK : wrong_bias(text, "the vocabulary has no such id", err);
    }
    if (token.bytes > 2 && token.data[0] == '"' && token.data[token.bytes - 1] == '"') token = (fnd_span){ token.data + 1, token.bytes - 2 };
    if (!token.bytes) return wrong_bias(text, "there is no token before '='", err);
    FND_TRY(fnd_tokenize(lm->t, token.data, token.bytes, FND_TOKENIZE_SPECIAL, &ids, err));
    bool one = ids.count == 1 && ids.data[0] < vocab;
    if (one) *id = ids.data[0];
    fnd_ids_free(&ids);
    return one ? FND_OK : wrong_bias(text, "its text is not one token of this model; `foundry tokenize` shows which it is", err);
}

static fnd_status parse_bias(const fnd_cli_lm *lm, const char *text, fnd_logit_bias *out, fnd_error *err) {
    const char *equals = strrchr(text, '=');
    if (!equals) return wrong_bias(text, "there is no '='", err);
    FND_TRY(bias_value(text, equals + 1, &out->bias, err));
    return bias_token(lm, text, (fnd_span){ text, (size_t)(equals - text) }, &out->id, err);
}

/* ---- --context-shift, --keep N ---- */

static fnd_status read_keep(const fnd_cli_generation *o, const fnd_cli_lm *lm, uint32_t *out, fnd_error *err) {
    const uint32_t usual = 16, least = FND_SHIFT_STEP + 1;
    uint32_t limit = fnd_model_get_info(lm->m)->context_length, context = o->context && o->context < limit ? o->context : limit;
    bool given = o->keep != FND_CLI_KEEP_AS_FITS;
    fnd_error why = { .status = FND_OK };
    *out = given ? o->keep : context < usual + least ? context - (context < least ? context : least)
                                                     : usual;
    if (given && !o->context_shift) return fnd_fail(err, FND_ERR_USAGE, "--keep says what --context-shift keeps; without it nothing is dropped");
    if (!o->context_shift || fnd_shift_check(context, *out, &why) == FND_OK) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%s: %s", given ? "--keep" : "--context-shift", why.text);
}

/* ---- the rest ---- */

/* Of nothing there is still the first; 0 would mean all. */
static float share(double x) { return x > 0 ? (float)x : FLT_MIN; }

fnd_status fnd_cli_generation_desc(const fnd_cli_generation *o, const fnd_cli_lm *lm, fnd_logit_bias *bias, fnd_generate_desc *out, fnd_error *err) {
    for (size_t i = 0; i < o->logit_bias.count; i++) FND_TRY(parse_bias(lm, o->logit_bias.items[i], &bias[i], err));
    for (size_t i = 0; i < o->stop.count; i++) {
        if (!o->stop.items[i][0]) return fnd_fail(err, FND_ERR_USAGE, "--stop needs a text that is not empty");
    }
    FND_TRY(read_keep(o, lm, &out->keep, err));
    out->max_tokens = o->max_tokens;
    out->stops = o->stop.items;
    out->stop_count = o->stop.count;
    out->context_shift = o->context_shift;
    out->lookup = o->lookup;
    out->cancel = &fnd_cli_interrupted;
    out->sampling = (fnd_sampling){
        .temperature = (float)o->temperature,
        .top_k = o->top_k,
        .top_p = share(o->top_p),
        .min_p = (float)o->min_p,
        .typical_p = share(o->typical_p),
        .repeat_penalty = (float)o->repeat_penalty,
        .presence_penalty = (float)o->presence_penalty,
        .frequency_penalty = (float)o->frequency_penalty,
        .repeat_last_n = o->repeat_last_n,
        .bias = bias,
        .bias_count = o->logit_bias.count,
        .seed = o->seed.given ? o->seed.value : fnd_now_ns() ^ (uint64_t)time(NULL) << 32,
    };
    return FND_OK;
}

void fnd_cli_generation_note(const fnd_cli_generation *o, uint64_t seed) {
    bool chooses = o->top_k || o->top_p < 1 || o->min_p > 0 || o->typical_p < 1 || o->seed.given;
    if (o->temperature > 0 && !o->seed.given) fnd_cli_note("--seed %llu would choose the same tokens again", (unsigned long long)seed);
    if (o->temperature <= 0 && chooses) fnd_cli_note("--top-k, --typical-p, --top-p, --min-p and --seed change nothing without a --temperature above 0");
}

void fnd_cli_lookup_note(const fnd_cli_generation *o, const fnd_generated *g) {
    if (o->lookup) fnd_cli_note("lookup: %llu of %llu guessed token%s right", (unsigned long long)g->guessed_right, (unsigned long long)g->guessed, g->guessed == 1 ? " was" : "s were");
}
