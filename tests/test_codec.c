/* test_codec.c - every weight format written: read back by its independent decoder, the same at every
 * level of instructions, by the published rules where there are such, and with little error. */
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/memory.h"
#include "foundry/quantize.h"
#include "kernels/policy/policy_ref.h"
#include "lm/codec.h"
#include "test.h"

#include <math.h>

enum { COUNT = 64 * 256 };

static uint64_t state;
static uint32_t random_bits(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}
static double uniform(void) { return (random_bits() + 0.5) / 4294967296.0; }
static float gaussian(void) { return (float)(sqrt(-2.0 * log(uniform())) * cos(6.283185307179586 * uniform())); }

typedef struct sample {
    float x[COUNT], y[COUNT];
    double ref[COUNT];
    uint8_t bytes[4 * COUNT + 64], other[4 * COUNT + 64];
} sample;

static sample *sample_new(void) {
    sample *s = fnd_alloc_zeroed(1, sizeof *s);
    if (!s) abort();
    state = 7;
    return s;
}

static size_t bytes_of(fnd_format format) {
    uint64_t bytes = 0;
    CHECK(fnd_format_bytes(format, 1, COUNT, &bytes));
    return (size_t)bytes;
}

static bool packed(fnd_format format) { return fnd_format_get(format)->block_weights > 1; }

#define EACH_FORMAT(format) for (fnd_format format = FND_F32; format < FND_FORMAT_COUNT && fnd_format_get(format)->is_weight; format++)

/* Blocks as they come: ordinary ones of several sizes, zeros, one weight alone, all the same, one
 * sign, the smallest numbers there are, large ones. */
static void fill(float *x) {
    for (size_t i = 0; i < COUNT; i++) {
        float g = gaussian();
        switch (i / 256 % 12) {
        case 0:
            x[i] = 0.0f;
            break;
        case 1:
            x[i] = i % 256 == 77 ? -0.25f : 0.0f;
            break;
        case 2:
            x[i] = 0.375f;
            break;
        case 3:
            x[i] = fabsf(g);
            break;
        case 4:
            x[i] = -fabsf(g) - 3.0f;
            break;
        case 5:
            x[i] = g * 1e-41f;
            break;
        case 6:
            x[i] = g * 1e-6f;
            break;
        case 7:
            x[i] = g * 1000.0f;
            break;
        case 8:
            x[i] = (float)((int)(random_bits() % 17) - 8) * 0.5f;
            break; /* ties */
        case 9:
            x[i] = i % 32 < 16 ? 1e-3f * g : g;
            break;
        default:
            x[i] = 0.02f * g;
        }
    }
}

/* The error of a block, with the largest weight of the block as the measure. */
static void check_blocks(const sample *s, fnd_format format) {
    for (size_t b = 0; b < COUNT; b += 256) {
        double peak = 0, worst = 0, own = 0;
        for (size_t i = b; i < b + 256; i++) {
            double e = fabs(s->ref[i] - (double)s->x[i]), d = fabs(s->ref[i] - (double)s->y[i]);
            CHECK_MSG(isfinite(s->ref[i]), "%s: weight %zu is not finite", fnd_format_get(format)->name, i);
            peak = fmax(peak, fabs((double)s->x[i]));
            worst = fmax(worst, e);
            own = fmax(own, d);
        }
        CHECK_MSG(own <= 1e-6 * peak + 1e-44, "%s: block %zu: decode() is off by %g of %g", fnd_format_get(format)->name, b / 256, own, peak);
        /* 16 steps over a range of twice the peak; scales that small are beyond F16. */
        if (peak > 1e-4 || peak == 0) CHECK_MSG(worst <= (packed(format) ? 0.14 : 0.004) * peak, "%s: block %zu: off by %g of %g", fnd_format_get(format)->name, b / 256, worst, peak);
    }
}

TEST(codec_writes_what_the_references_read) {
    sample *s = sample_new();
    fnd_error err = { 0 };
    fill(s->x);
    EACH_FORMAT(format) {
        CHECK_OK(fnd_encode(format, s->x, COUNT, s->bytes, &err), &err);
        CHECK_OK(fnd_decode(format, s->bytes, COUNT, s->y, &err), &err);
        fnd_ref_decoder(format)(s->bytes, COUNT, s->ref);
        check_blocks(s, format);
        for (size_t i = 0; i < 256; i++) CHECK(s->ref[i] == 0.0); /* zeros stay zeros */
    }
    fnd_free_memory(s);
}

TEST(codec_is_the_same_at_every_level) {
    sample *s = sample_new();
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    fill(s->x);
    for (size_t l = 0; l < count; l++) {
        if ((fnd_cpuinfo_get()->has & levels[l].needs) != levels[l].needs) continue;
        EACH_FORMAT(format) {
            const fnd_codec *generic = fnd_codec_at(format, "generic"), *codec = fnd_codec_at(format, levels[l].name);
            REQUIRE(generic);
            if (!codec) continue;
            generic->encode(s->x, COUNT, s->bytes);
            codec->encode(s->x, COUNT, s->other);
            CHECK_MSG(memcmp(s->bytes, s->other, bytes_of(format)) == 0, "%s: %s writes other bytes", fnd_format_get(format)->name, levels[l].name);
            for (size_t i = 0; i < sizeof s->bytes; i++) s->bytes[i] = s->other[i] = (uint8_t)random_bits();
            generic->randomize(s->bytes, COUNT, 0.02f);
            codec->randomize(s->other, COUNT, 0.02f);
            CHECK_MSG(memcmp(s->bytes, s->other, sizeof s->bytes) == 0, "%s: %s makes other random blocks", fnd_format_get(format)->name, levels[l].name);
        }
    }
    fnd_free_memory(s);
}

/* ---- the published rules ---- */

/* Q8_0: d = amax / 127, q = round(x / d), halves away from 0. Q4_0: d = max / -8, q = min(15, trunc(x / d + 8.5)). */
static void check_q8_0(const float *x, const uint8_t *block) {
    float most = 0;
    for (int j = 0; j < 32; j++) most = fmaxf(most, fabsf(x[j]));
    float d = most / 127.0f, inverse = d != 0.0f ? 1.0f / d : 0.0f;
    if (isinf(inverse)) inverse = 0;
    CHECK(fabs(fnd_ref_f16(block) - (double)d) <= (double)d / 2048 + 3e-8);
    for (int j = 0; j < 32; j++) CHECK_MSG((int8_t)block[2 + j] == (int)roundf(x[j] * inverse), "q8_0: %g / %g became %d", (double)x[j], (double)d, (int8_t)block[2 + j]);
}

static void check_q4_0(const float *x, const uint8_t *block) {
    float most = 0, peak = 0;
    for (int j = 0; j < 32; j++) {
        if (fabsf(x[j]) > most) most = fabsf(peak = x[j]);
    }
    float d = peak / -8.0f, inverse = d != 0.0f ? 1.0f / d : 0.0f;
    if (isinf(inverse)) inverse = 0;
    CHECK(fabs(fnd_ref_f16(block) - (double)d) <= fabs((double)d) / 2048 + 3e-8);
    for (int j = 0; j < 32; j++) {
        int code = (int)(x[j] * inverse + 8.5f), got = j < 16 ? block[2 + j] % 16 : block[2 + j - 16] / 16;
        CHECK_MSG(got == (code < 15 ? code : 15), "q4_0: %g / %g became %d", (double)x[j], (double)d, got);
    }
}

TEST(codec_follows_the_published_rules) {
    sample *s = sample_new();
    fnd_error err = { 0 };
    fill(s->x);
    CHECK_OK(fnd_encode(FND_Q8_0, s->x, COUNT, s->bytes, &err), &err);
    CHECK_OK(fnd_encode(FND_Q4_0, s->x, COUNT, s->other, &err), &err);
    for (size_t b = 0; b < COUNT / 32; b++) {
        check_q8_0(s->x + 32 * b, s->bytes + 34 * b);
        check_q4_0(s->x + 32 * b, s->other + 18 * b);
    }
    /* To nearest, ties to even. */
    static const float halves[4] = { 1.0f + 0x1p-11f, 1.0f + 0x3p-11f, 65519.0f, 0x1p-25f };
    static const uint16_t f16[4] = { 0x3C00, 0x3C02, 0x7BFF, 0 }, bf16[4] = { 0x3F80, 0x3F80, 0x4780, 0x3300 };
    CHECK_OK(fnd_encode(FND_F16, halves, 4, s->bytes, &err), &err);
    CHECK_OK(fnd_encode(FND_BF16, halves, 4, s->other, &err), &err);
    CHECK(memcmp(s->bytes, f16, sizeof f16) == 0 && memcmp(s->other, bf16, sizeof bf16) == 0);
    fnd_free_memory(s);
}

/* ---- the error ---- */

/* Root of the mean square error on gaussian weights, in their deviation: what ggml's plain quantisers
 * leave (bench/quantize-peer.c). Formats that are not here have the bound that follows from their size. */
static const struct {
    fnd_format format;
    double rmse;
} peer[] = {
    { FND_Q8_0, 0.00536 },
    { FND_Q4_0, 0.0862 },
    { FND_Q4_1, 0.0781 },
    { FND_Q5_0, 0.0426 },
    { FND_Q5_1, 0.0378 },
    { FND_Q4_K, 0.0713 },
    { FND_Q5_K, 0.0361 },
    { FND_Q6_K, 0.01773 },
    { FND_IQ4_NL, 0.0760 },
};

TEST(codec_leaves_little_error) {
    sample *s = sample_new();
    fnd_error err = { 0 };
    for (size_t i = 0; i < COUNT; i++) s->x[i] = 0.02f * gaussian();
    EACH_FORMAT(format) {
        const fnd_format_info *info = fnd_format_get(format);
        double bound = 2.3 * exp2(-8.0 * info->block_bytes / info->block_weights), sum = 0;
        if (!packed(format)) bound = 0.002;
        for (size_t i = 0; i < FND_COUNT(peer); i++) bound = peer[i].format == format ? peer[i].rmse : bound;
        CHECK_OK(fnd_encode(format, s->x, COUNT, s->bytes, &err), &err);
        fnd_ref_decoder(format)(s->bytes, COUNT, s->ref);
        for (size_t i = 0; i < COUNT; i++) sum += (s->ref[i] - (double)s->x[i]) * (s->ref[i] - (double)s->x[i]);
        double rmse = sqrt(sum / COUNT) / 0.02;
        CHECK_MSG(rmse <= bound, "%s: %.5f of the deviation, allowed %.5f", info->name, rmse, bound);
    }
    fnd_free_memory(s);
}

TEST(codec_random_blocks_have_the_deviation_asked_for) {
    sample *s = sample_new();
    EACH_FORMAT(format) {
        for (float sigma = 1e-3f; sigma < 2.0f; sigma *= 30.0f) {
            double sum = 0, squares = 0, most = 0;
            for (size_t i = 0; i < sizeof s->bytes; i++) s->bytes[i] = (uint8_t)random_bits();
            fnd_codec_of(format)->randomize(s->bytes, COUNT, sigma);
            fnd_ref_decoder(format)(s->bytes, COUNT, s->ref);
            for (size_t i = 0; i < COUNT; i++) {
                sum += s->ref[i] / COUNT;
                squares += s->ref[i] * s->ref[i] / COUNT;
                most = fmax(most, fabs(s->ref[i]));
            }
            CHECK_MSG(fabs(sum) <= 0.05 * (double)sigma && fabs(sqrt(squares) / (double)sigma - 1) <= 0.08 && most <= 4 * (double)sigma, "%s: asked for %g, got mean %g, deviation %g, largest %g",
                      fnd_format_get(format)->name, (double)sigma, sum, sqrt(squares), most);
        }
    }
    fnd_free_memory(s);
}

TEST(codec_refuses_what_is_no_weight) {
    float x[256] = { 0 };
    uint8_t bytes[1024];
    static const struct {
        fnd_format format;
        size_t count;
        float bad;
        const char *part;
    } cases[] = {
        { FND_Q4_K, 256, NAN, "weight 100 is NaN" },
        { FND_F16, 256, -INFINITY, "weight 100 is infinite" },
        { FND_Q4_K, 128, 0, "128 weights are no whole blocks of q4_k" },
        { FND_U8, 32, 0, "u8" },
        { FND_FORMAT_NONE, 32, 0, "unknown format" },
        { FND_FORMAT_FIRST_CUSTOM, 32, 0, "cannot be written" },
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        fnd_error err = { 0 };
        x[100] = cases[i].bad;
        CHECK(fnd_encode(cases[i].format, x, cases[i].count, bytes, &err) != FND_OK);
        CHECK_HAS(err.text, cases[i].part);
        if (i > 1) CHECK(fnd_decode(cases[i].format, bytes, cases[i].count, x, NULL) != FND_OK);
    }
}

TEST(codec_formats_that_fit) {
    static const struct {
        fnd_format wanted;
        bool head;
        uint64_t cols;
        fnd_format fits;
    } cases[] = {
        { FND_Q4_K, false, 1024, FND_Q4_K },
        { FND_Q4_K, false, 896, FND_Q5_0 },
        { FND_Q5_K, false, 896, FND_Q5_1 },
        { FND_Q6_K, false, 896, FND_Q8_0 },
        { FND_Q4_0, true, 1536, FND_Q6_K },
        { FND_Q4_0, true, 896, FND_Q8_0 },
        { FND_Q4_K, true, 1536, FND_Q6_K },
        { FND_IQ4_NL, true, 256, FND_Q6_K },
        { FND_Q5_0, true, 1536, FND_Q8_0 },
        { FND_Q6_K, true, 1536, FND_Q8_0 },
        { FND_Q8_0, true, 896, FND_Q8_0 },
        { FND_F16, true, 896, FND_F16 },
        { FND_Q4_0, false, 40, FND_F16 },
        { FND_Q4_K, false, 40, FND_F16 },
        { FND_F32, true, 1, FND_F32 },
        { FND_BF16, false, 7, FND_BF16 },
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        fnd_format got = fnd_format_for(cases[i].wanted, cases[i].head, cases[i].cols);
        CHECK_MSG(got == cases[i].fits, "case %zu: %s", i, fnd_format_get(got)->name);
    }
}
