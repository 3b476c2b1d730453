/* template_numbers.c - filters that make numbers or work on them. */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode_case.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

/* Python reads no more decimal digits than these as an integer, and neither as any base that is no power of two. */
enum { INT_DIGITS = 4300 };

/* Without the _ between digits that Python allows; `out` may be NULL. Returns the number of bytes, without the
 * NUL; 0: this is no number. */
static size_t plain_digits(tpl_str s, char *out) {
    size_t n = 0;
    char last = '\0';
    for (size_t i = 0; i < s.bytes;) {
        tpl_str one = fnd_tpl_char_at(s, i);
        uint32_t code = fnd_tpl_code(one);
        char c = fnd_unicode_is_decimal(code) ? (char)('0' + fnd_unicode_decimal_value(code)) : *one.data;
        i += one.bytes;
        if (c == '_') {
            bool between = n > 0 && i < s.bytes && memchr("0123456789abcdefxobABCDEFXOB", last, 28) && (memchr("0123456789abcdefABCDEF", s.data[i], 22) || fnd_unicode_is_decimal(fnd_tpl_code(fnd_tpl_char_at(s, i))));
            if (!between) return 0;
            continue;
        }
        if (c == '\0' || (unsigned char)c >= 0x80) return 0;
        if (out) out[n] = c;
        last = c;
        n++;
    }
    if (out) out[n] = '\0';
    return n;
}

/* The same of a text with white space around, in memory of the rendering; NULL: this is no number. */
static fnd_status copy_digits(tpl_run *r, tpl_str text, const char **out) {
    tpl_str s = fnd_tpl_strip(text, NULL, true, true);
    *out = NULL;
    FND_TRY(fnd_tpl_step(r, text.bytes / 64));
    size_t bytes = plain_digits(s, NULL);
    if (!bytes) return FND_OK;
    char *digits = fnd_arena_alloc(r->arena, bytes + 1, 1);
    if (!digits) return fnd_tpl_no_memory(r);
    plain_digits(s, digits);
    *out = digits;
    return FND_OK;
}

typedef enum number_kind { NO_NUMBER,
                           NUMBER,
                           TOO_LARGE } number_kind;

/* int(text, base) of a text without white space and _ */
static number_kind read_int(const char *digits, int64_t base, int64_t *out) {
    const char *p = digits;
    char *end;
    if (base < 0 || base == 1 || base > 36) return NO_NUMBER;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+') p++;
    int prefix = p[0] != '0' ? 0 : (p[1] | 0x20) == 'x' ? 16
                               : (p[1] | 0x20) == 'o'   ? 8
                               : (p[1] | 0x20) == 'b'   ? 2
                                                        : 0;
    if (prefix && (base == 0 || base == prefix)) {
        p += 2;
        base = prefix;
    } else if (base == 0) {
        if (p[0] == '0' && strspn(p, "0") != strlen(p)) return NO_NUMBER;
        base = 10;
    }
    if (*p == '\0' || *p == '-' || *p == '+' || *p == ' ' || (base == 16 && (p[1] | 0x20) == 'x')) return NO_NUMBER;
    errno = 0;
    unsigned long long n = strtoull(p, &end, (int)base);
    if (*end || ((base & (base - 1)) != 0 && end - p > INT_DIGITS)) return NO_NUMBER;
    if (errno || n > (unsigned long long)INT64_MAX + negative) return TOO_LARGE;
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return NUMBER;
}

/* float(text) of such a text */
static bool read_float(const char *digits, double *out) {
    char *end;
    const char *p = digits + (*digits == '-' || *digits == '+');
    bool word = strcasecmp(p, "inf") == 0 || strcasecmp(p, "infinity") == 0 || strcasecmp(p, "nan") == 0;
    if (!word && (strspn(p, "0123456789.eE+-") != strlen(p) || *p == '+' || *p == '-')) return false;
    *out = strtod(digits, &end);
    return *end == '\0';
}

static TPL_FUNCTION(filter_int) {
    static const char *const names[] = { "default", "base", NULL };
    tpl_value a[2] = { fnd_tpl_int(0), fnd_tpl_int(10) };
    int64_t base, n = 0;
    double x = NAN;
    FND_TRY(fnd_tpl_bind(r, "the filter \"int\"", args, names, 0, a));
    FND_TRY(fnd_tpl_need_int(r, "the filter \"int\"", &a[1], &base));
    if (self->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, self);
    const char *digits = NULL;
    if (self->kind == TPL_STR) FND_TRY(copy_digits(r, *self->str, &digits));
    number_kind kind = digits ? read_int(digits, base, &n) : NO_NUMBER;
    if (self->kind == TPL_INT || self->kind == TPL_BOOL) {
        kind = NUMBER;
        n = fnd_tpl_as_integer(self);
    }
    if (self->kind == TPL_FLOAT) {
        x = self->number;
        if (isinf(x)) return fnd_tpl_fail(r, FND_ERR_FORMAT, "infinity is no integer");
    }
    if (kind == NO_NUMBER && digits && !read_float(digits, &x)) x = NAN;
    if (kind == NO_NUMBER && isfinite(x)) {
        kind = fabs(x) < 9.2233720368547e18 ? NUMBER : TOO_LARGE;
        if (kind == NUMBER) n = (int64_t)x;
    }
    if (kind == TOO_LARGE) return fnd_tpl_too_large(r);
    *out = kind == NUMBER ? fnd_tpl_int(n) : a[0];
    if (kind == NUMBER) out->mark = self->kind == TPL_STR ? fnd_tpl_mark_of(*self->str) : self->mark;
    return FND_OK;
}

static TPL_FUNCTION(filter_float) {
    static const char *const names[] = { "default", NULL };
    tpl_value fallback = fnd_tpl_float(0);
    double x = 0;
    FND_TRY(fnd_tpl_bind(r, "the filter \"float\"", args, names, 0, &fallback));
    if (self->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, self);
    bool number = fnd_tpl_is_number(self);
    if (number) x = fnd_tpl_as_double(self);
    const char *digits = NULL;
    if (self->kind == TPL_STR) FND_TRY(copy_digits(r, *self->str, &digits));
    if (digits) number = read_float(digits, &x);
    *out = number ? fnd_tpl_float(x) : fallback;
    if (number) out->mark = self->kind == TPL_STR ? fnd_tpl_mark_of(*self->str) : self->mark;
    return FND_OK;
}

static TPL_FUNCTION(filter_abs) {
    FND_TRY(fnd_tpl_no_args(r, "the filter \"abs\"", args));
    bool negative = self->kind == TPL_FLOAT ? signbit(self->number) : self->kind == TPL_INT && self->integer < 0;
    return fnd_tpl_unary(r, negative ? OP_NEG : OP_POS, self, out);
}

/* round(n, -digits) of an integer: to the even neighbour from the middle. */
static fnd_status round_integer(tpl_run *r, int64_t n, int64_t digits, tpl_value *out) {
    int64_t unit = 1;
    for (int64_t i = 0; i < digits; i++) {
        if (__builtin_mul_overflow(unit, 10, &unit)) {
            *out = fnd_tpl_int(0); /* the unit is more than twice any integer of 64 bits, or nearly so */
            return FND_OK;
        }
    }
    int64_t rest = n % unit, down = n - rest; /* towards zero */
    uint64_t twice = 2 * (uint64_t)(rest < 0 ? -rest : rest);
    bool away = twice > (uint64_t)unit || (twice == (uint64_t)unit && down / unit % 2 != 0);
    int64_t result = down;
    if (away && __builtin_add_overflow(down, n < 0 ? -unit : unit, &result)) return fnd_tpl_too_large(r);
    *out = fnd_tpl_int(result);
    return FND_OK;
}

/* By the decimal digits, which are exact: half to even. */
static fnd_status round_float(tpl_run *r, double x, int64_t digits, tpl_value *out) {
    char text[1000];
    *out = fnd_tpl_float(x);
    if (!isfinite(x) || digits > 330) return FND_OK;
    if (digits >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)digits, x);
        *out = fnd_tpl_float(strtod(text, NULL));
    } else if (digits < -310) {
        *out = fnd_tpl_float(copysign(0, x));
    } else {
        double unit = pow(10, (double)-digits), scaled = x / unit, whole = nearbyint(scaled);
        *out = fnd_tpl_float(whole * unit);
    }
    return isfinite(out->number) ? FND_OK : fnd_tpl_fail(r, FND_ERR_FORMAT, "the rounded value is too large for a float");
}

static TPL_FUNCTION(filter_round) {
    static const char *const names[] = { "precision", "method", NULL };
    tpl_value a[2] = { fnd_tpl_int(0), { 0 } };
    int64_t digits;
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str("common"), &a[1]));
    FND_TRY(fnd_tpl_bind(r, "the filter \"round\"", args, names, 0, a));
    if (self->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, self);
    if (!fnd_tpl_is_number(self)) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"round\" needs a number, not %s", fnd_tpl_kind_name(self));
    FND_TRY(fnd_tpl_need_str(r, "the method of \"round\"", &a[1]));
    bool up = fnd_tpl_str_is(a[1].str, "ceil"), down = fnd_tpl_str_is(a[1].str, "floor");
    if (!up && !down && !fnd_tpl_str_is(a[1].str, "common")) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the method of \"round\" is common, ceil or floor");
    if (a[0].kind == TPL_NONE && !up && !down) {
        FND_TRY(self->kind == TPL_FLOAT ? round_float(r, self->number, 0, out) : fnd_tpl_unary(r, OP_POS, self, out));
        if (self->kind == TPL_FLOAT && !(fabs(out->number) < 9.2e18)) return fnd_tpl_too_large(r);
        if (self->kind == TPL_FLOAT) *out = fnd_tpl_int((int64_t)out->number);
    } else {
        FND_TRY(fnd_tpl_need_int(r, "the precision of \"round\"", &a[0], &digits));
        if (up || down) {
            double unit = pow(10, (double)digits), scaled = fnd_tpl_as_double(self) * unit;
            if (!isfinite(scaled) || unit == 0) return fnd_tpl_fail(r, FND_ERR_FORMAT, "this cannot be rounded to %lld digits", (long long)digits);
            *out = fnd_tpl_float((up ? ceil(scaled) : floor(scaled)) / unit);
            if (out->number == 0) out->number = 0; /* an integer has no negative zero */
        } else if (self->kind == TPL_FLOAT) {
            FND_TRY(round_float(r, self->number, digits, out));
        } else if (digits >= 0) {
            *out = fnd_tpl_int(fnd_tpl_as_integer(self));
        } else {
            FND_TRY(round_integer(r, fnd_tpl_as_integer(self), digits == INT64_MIN ? 100 : -digits, out));
        }
    }
    out->mark = self->mark;
    return FND_OK;
}

static TPL_FUNCTION(filter_filesizeformat) {
    static const char *const names[] = { "binary", NULL };
    static const char *const decimal[] = { "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB" };
    static const char *const binary[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB" };
    tpl_value a = fnd_tpl_bool(false), x;
    char text[400];
    tpl_builder b = { 0 };
    FND_TRY(fnd_tpl_bind(r, "the filter \"filesizeformat\"", args, names, 0, &a));
    FND_TRY(filter_float(r, self, &(tpl_args){ .items = (tpl_value[]){ fnd_tpl_none() }, .count = 1 }, &x));
    if (x.kind != TPL_FLOAT) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"filesizeformat\" needs a number");
    bool by_1024 = fnd_tpl_truth(&a);
    double base = by_1024 ? 1024 : 1000, unit = base;
    if (x.number < base && isinf(x.number)) return fnd_tpl_fail(r, FND_ERR_FORMAT, "infinity is no size");
    int n = 0;
    if (x.number == 1) {
        n = snprintf(text, sizeof text, "1 Byte");
    } else if (x.number < base) {
        n = snprintf(text, sizeof text, "%.0f Bytes", trunc(x.number) == 0 ? 0 : trunc(x.number));
    } else {
        size_t i = 0;
        for (unit = base * base; i < 7 && !(x.number < unit); i++) unit *= base;
        n = snprintf(text, sizeof text, "%.1f %s", base * x.number / unit, (by_1024 ? binary : decimal)[i]);
    }
    fnd_tpl_add(r, &b, text, (size_t)n, NULL, x.mark);
    return fnd_tpl_built(r, &b, false, out);
}

tpl_function *fnd_tpl_find_number_filter(const char *name, size_t bytes) {
    static const tpl_named filters[] = {
        { "abs", filter_abs },
        { "filesizeformat", filter_filesizeformat },
        { "float", filter_float },
        { "int", filter_int },
        { "round", filter_round },
    };
    return fnd_tpl_find_named(filters, FND_COUNT(filters), name, bytes);
}
