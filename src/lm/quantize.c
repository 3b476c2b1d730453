/* quantize.c - a model's weights into another format, piece by piece. */
#include "foundry/quantize.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/codec.h"
#include "lm/model.h"
#include "lm/tensor_stream.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>

enum { NAME_BYTES = 1032 };

/* What a piece, and then a tensor, adds to the error. */
typedef struct sums {
    double error, weight; /* of squares */
    double worst;
} sums;

typedef struct plan {
    const fnd_quantize_desc *desc;
    fnd_gguf *g;
    size_t count;
    fnd_stream_tensor *stream; /* [count] */
    size_t *first_piece;       /* [count + 1]: in pieces */
    sums *pieces;              /* in the file's order, so that totals do not depend on threads */
    float *x;                  /* [workers][2][FND_PIECE_WEIGHTS]: before and after */
} plan;

/* ---- what becomes what ---- */

static const char *name_of(const fnd_gguf_tensor *t, char name[NAME_BYTES]) {
    snprintf(name, NAME_BYTES, "%.*s", (int)t->name.bytes, t->name.data);
    return name;
}

static bool is_matrix(const fnd_gguf_tensor *t) { return t->dim_count > 1 && t->dims[1] * t->dims[2] * t->dims[3] > 1; }

static bool is_head(const fnd_gguf *g, const fnd_gguf_tensor *t) {
    return fnd_span_equal(t->name, fnd_gguf_find_tensor(g, "output.weight") ? "output.weight" : "token_embd.weight");
}

static fnd_status choose(const plan *p, const fnd_gguf_tensor *t, fnd_format *to, fnd_error *err) {
    const fnd_quantize_desc *d = p->desc;
    char name[NAME_BYTES];
    *to = t->format;
    if (!fnd_codec_of(t->format)) return FND_OK; /* numbers that are no weights */
    *to = is_matrix(t) ? fnd_format_for(d->format, is_head(p->g, t), t->dims[0]) : FND_F32;
    for (size_t i = 0; i < d->keep_count && is_matrix(t); i++) {
        const fnd_format_info *info = fnd_format_get(d->keep[i].format);
        if (fnmatch(d->keep[i].pattern, name_of(t, name), 0) != 0) continue;
        if (t->dims[0] % info->block_weights) {
            return fnd_fail(err, FND_ERR_SHAPE, "%s cannot be kept in %s ('%s'): its rows of %llu weights are no multiple of %u", name, info->name, d->keep[i].pattern, (unsigned long long)t->dims[0], info->block_weights);
        }
        *to = d->keep[i].format;
    }
    return FND_OK;
}

static fnd_status check_patterns(const plan *p, fnd_error *err) {
    const fnd_quantize_desc *d = p->desc;
    char name[NAME_BYTES];
    for (size_t k = 0; k < d->keep_count; k++) {
        if (!fnd_codec_of(d->keep[k].format)) return fnd_fail(err, FND_ERR_USAGE, "'%s' is to be kept in what is no format of weights", d->keep[k].pattern);
        bool used = false;
        for (size_t i = 0; i < p->count && !used; i++) {
            const fnd_gguf_tensor *t = fnd_gguf_tensor_at(p->g, i);
            used = is_matrix(t) && fnmatch(d->keep[k].pattern, name_of(t, name), 0) == 0;
        }
        if (!used) return fnd_fail(err, FND_ERR_USAGE, "no matrix of %s has a name like '%s'; `foundry inspect` lists the names", d->from, d->keep[k].pattern);
    }
    return FND_OK;
}

static uint64_t weights_of(const fnd_gguf_tensor *t) { return t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]; } /* fits: the reader checked */

static fnd_status make_plan(plan *p, fnd_error *err) {
    size_t pieces = 0;
    FND_TRY(check_patterns(p, err));
    for (size_t i = 0; i < p->count; i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(p->g, i);
        p->stream[i].weights = weights_of(t);
        FND_TRY(choose(p, t, &p->stream[i].format, err));
        p->first_piece[i] = pieces;
        pieces += (size_t)((weights_of(t) + FND_PIECE_WEIGHTS - 1) / FND_PIECE_WEIGHTS);
    }
    p->first_piece[p->count] = pieces;
    return FND_OK;
}

/* ---- pieces ---- */

static fnd_status bad_weight(const fnd_gguf_tensor *t, uint64_t at, float value, fnd_format to, fnd_error *err) {
    char name[96];
    fnd_span_quote(t->name, name, sizeof name);
    if (isfinite(value)) return fnd_fail(err, FND_ERR_UNSUPPORTED, "tensor \"%s\": weight %llu is %g, more than %s can hold", name, (unsigned long long)at, (double)value, fnd_format_get(to)->name);
    return fnd_fail(err, FND_ERR_FORMAT, "tensor \"%s\": weight %llu is %s; the model is damaged", name, (unsigned long long)at, isnan(value) ? "NaN" : "infinite");
}

/* Index of the first that is not finite; count: all are. */
static size_t first_bad(const float *x, size_t count) {
    unsigned bad = 0;
    for (size_t i = 0; i < count; i++) bad |= !(fabsf(x[i]) <= 3.40282347e38f);
    if (!bad) return count;
    size_t i = 0;
    while (isfinite(x[i])) i++;
    return i;
}

static void add_errors(const float *x, const float *y, size_t count, sums *to) {
    double error[4] = { 0 }, weight[4] = { 0 };
    float worst = 0.0f;
    for (size_t i = 0; i < count; i++) {
        float e = fabsf(x[i] - y[i]);
        error[i % 4] += (double)e * (double)e;
        weight[i % 4] += (double)x[i] * (double)x[i];
        worst = e > worst ? e : worst;
    }
    *to = (sums){ error[0] + error[1] + error[2] + error[3], weight[0] + weight[1] + weight[2] + weight[3], (double)worst };
}

static fnd_status convert(void *ctx, const fnd_piece *piece, uint8_t *to, fnd_error *err) {
    plan *p = ctx;
    const fnd_gguf_tensor *t = fnd_gguf_tensor_at(p->g, piece->tensor);
    fnd_format format = p->stream[piece->tensor].format;
    const fnd_codec *from = fnd_codec_of(t->format), *codec = fnd_codec_of(format);
    float *x = p->x + (size_t)piece->worker * 2 * FND_PIECE_WEIGHTS, *y = x + FND_PIECE_WEIGHTS;
    sums *own = &p->pieces[p->first_piece[piece->tensor] + (size_t)(piece->first / FND_PIECE_WEIGHTS)];
    uint64_t before = 0, bytes = 0;
    if (!fnd_format_bytes(t->format, 1, piece->first, &before) || !fnd_format_bytes(t->format, 1, piece->count, &bytes)) return fnd_fail(err, FND_ERR_SHAPE, "a piece of tensor %zu is no whole blocks", piece->tensor);
    const uint8_t *data = (const uint8_t *)t->data + before;
    if (format == t->format) {
        memcpy(to, data, (size_t)bytes);
        if (from) from->decode(data, piece->count, x);
        if (from) add_errors(x, x, piece->count, own);
        return FND_OK;
    }
    from->decode(data, piece->count, x);
    size_t bad = first_bad(x, piece->count);
    if (bad < piece->count) return bad_weight(t, piece->first + bad, x[bad], format, err);
    codec->encode(x, piece->count, to);
    codec->decode(to, piece->count, y);
    bad = first_bad(y, piece->count);
    if (bad < piece->count) {
        /* The scale is the block's: its largest weight is the one. */
        size_t block = fnd_format_get(format)->block_weights, start = bad / block * block;
        for (size_t i = start; i < start + block; i++) bad = fabsf(x[i]) > fabsf(x[bad]) ? i : bad;
        return bad_weight(t, piece->first + bad, x[bad], format, err);
    }
    add_errors(x, y, piece->count, own);
    return FND_OK;
}

/* ---- the file ---- */

static bool replaced(fnd_span key) {
    return fnd_span_equal(key, "general.alignment") || fnd_span_equal(key, "general.file_type") || fnd_span_equal(key, "general.quantization_version");
}

static fnd_status write_file(plan *p, fnd_gguf_writer *w, fnd_quantize_report *report, fnd_error *err) {
    const fnd_quantize_desc *d = p->desc;
    char name[NAME_BYTES];
    for (size_t i = 0; i < fnd_gguf_value_count(p->g); i++) {
        const fnd_gguf_value *v = fnd_gguf_value_at(p->g, i);
        if (!replaced(v->key)) fnd_gguf_put_value(w, v);
    }
    fnd_gguf_put_u32(w, "general.file_type", fnd_codec_of(d->format)->file_type);
    fnd_gguf_put_u32(w, "general.quantization_version", 2);
    for (size_t i = 0; i < p->count; i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(p->g, i);
        fnd_gguf_put_tensor(w, name_of(t, name), p->stream[i].format, t->dim_count, t->dims);
    }
    FND_TRY(fnd_gguf_writer_begin(w, err));
    fnd_stream s = {
        .writer = w,
        .tensors = p->stream,
        .tensor_count = p->count,
        .workers = fnd_stream_workers(d->threads),
        .fill = convert,
        .ctx = p,
        .what = "quantising",
        .progress = d->progress,
        .progress_ctx = d->ctx,
        .cancel = d->cancel,
    };
    p->pieces = fnd_alloc_zeroed(p->first_piece[p->count] + 1, sizeof *p->pieces);
    p->x = fnd_alloc_aligned((size_t)s.workers * 2 * FND_PIECE_WEIGHTS * sizeof *p->x, 64);
    if (!p->pieces || !p->x) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u threads' pieces", s.workers);
    FND_TRY(fnd_stream_run(&s, err));
    report->file_bytes = fnd_gguf_writer_file_bytes(w);
    return FND_OK;
}

static void add_sums(sums *to, const sums *more) {
    to->error += more->error;
    to->weight += more->weight;
    to->worst = fmax(to->worst, more->worst);
}

static void tell(const plan *p, fnd_quantize_report *r) {
    sums all = { 0 };
    for (size_t i = 0; i < p->count; i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(p->g, i);
        fnd_quantize_tensor told = { .name = t->name, .from = t->format, .to = p->stream[i].format, .dim_count = t->dim_count, .weights = weights_of(t) };
        sums own = { 0 };
        memcpy(told.dims, t->dims, sizeof told.dims);
        (void)fnd_format_bytes(told.to, told.weights / t->dims[0], t->dims[0], &told.bytes);
        for (size_t k = p->first_piece[i]; p->pieces && k < p->first_piece[i + 1]; k++) add_sums(&own, &p->pieces[k]);
        told.rmse = sqrt(own.error / (double)told.weights);
        told.relative = own.weight > 0 ? sqrt(own.error / own.weight) : 0;
        told.worst = own.worst;
        add_sums(&all, &own);
        r->tensors++;
        r->weights += told.weights;
        r->bytes_before += t->bytes;
        r->bytes_after += told.bytes;
        if (p->desc->tensor) p->desc->tensor(p->desc->ctx, &told);
    }
    r->rmse = r->weights ? sqrt(all.error / (double)r->weights) : 0;
    r->relative = all.weight > 0 ? sqrt(all.error / all.weight) : 0;
    r->worst = all.worst;
}

static fnd_status quantize(plan *p, fnd_quantize_report *report, fnd_error *err) {
    const fnd_quantize_desc *d = p->desc;
    p->count = fnd_gguf_tensor_count(p->g);
    p->stream = fnd_alloc_zeroed(p->count + 1, sizeof *p->stream);
    p->first_piece = fnd_alloc_zeroed(p->count + 1, sizeof *p->first_piece);
    if (!p->stream || !p->first_piece) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %zu tensors", p->count);
    FND_TRY(fnd_model_check_type(p->g, err));
    if (!p->count) return fnd_fail(err, FND_ERR_FORMAT, "%s has no tensors", d->from);
    FND_TRY(make_plan(p, err));
    if (d->to) {
        fnd_gguf_writer *w;
        FND_TRY(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = d->to, .replace = d->replace, .alignment = fnd_gguf_alignment(p->g) }, &w, err));
        fnd_status status = write_file(p, w, report, err);
        fnd_gguf_writer_close(w);
        FND_TRY(status);
    }
    tell(p, report);
    return FND_OK;
}

fnd_status fnd_quantize(const fnd_quantize_desc *desc, fnd_quantize_report *report, fnd_error *err) {
    plan p = { .desc = desc };
    fnd_quantize_report own;
    uint64_t start = fnd_now_ns();
    if (!report) report = &own;
    *report = (fnd_quantize_report){ 0 };
    if (!desc->from) return fnd_fail(err, FND_ERR_USAGE, "no model file was named");
    if (!fnd_codec_of(desc->format)) return fnd_fail(err, FND_ERR_USAGE, "a format of weights is needed");
    FND_TRY(fnd_gguf_open(desc->from, 0, &p.g, err));
    fnd_status status = quantize(&p, report, err);
    fnd_free_memory(p.stream);
    fnd_free_memory(p.first_piece);
    fnd_free_memory(p.pieces);
    fnd_free_memory(p.x);
    fnd_gguf_close(p.g);
    report->seconds = 1e-9 * (double)(fnd_now_ns() - start);
    return status;
}
