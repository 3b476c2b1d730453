/* template_spec.c - numbers and texts in a width, with a fill and a precision, as Python's format
 * specifications have them. */
#include "lm/template_spec.h"
#include "base/base.h"
#include "lm/unicode.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

enum { PRECISION_LIMIT = 500,
       NUMBER_BYTES = 1200 };

static fnd_status check_width(tpl_run *r, const tpl_spec *spec) {
    if (spec->width > TPL_OUTPUT_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "a width of %lld is more than the %d allowed", (long long)spec->width, TPL_OUTPUT_LIMIT);
    return fnd_tpl_step(r, 1 + (spec->width > 0 ? (uint64_t)spec->width / 4 : 0));
}

static void add_fill(tpl_run *r, tpl_builder *b, const tpl_spec *spec, int64_t count) {
    tpl_str blank = { .data = " ", .bytes = 1, .mark = spec->mark };
    fnd_tpl_add_many(r, b, spec->fill.bytes ? spec->fill : blank, count);
}

/* What is left and right of a text of `length` characters. */
static void sides(const tpl_spec *spec, char default_align, int64_t length, int64_t *left, int64_t *right) {
    int64_t room = spec->width > length ? spec->width - length : 0;
    char align = spec->align ? spec->align : default_align;
    *left = align == '<' ? 0 : align == '^' ? room / 2
                                            : room;
    *right = room - *left;
}

fnd_status fnd_tpl_spec_text(tpl_run *r, tpl_builder *b, const tpl_spec *spec, tpl_str s) {
    int64_t left, right;
    FND_TRY(check_width(r, spec));
    if (spec->precision >= 0) s = fnd_tpl_slice_str(s, 0, fnd_tpl_offset(s, (size_t)spec->precision));
    sides(spec, spec->percent ? '>' : '<', (int64_t)fnd_tpl_count_chars(s), &left, &right);
    add_fill(r, b, spec, left);
    fnd_tpl_add_str(r, b, s);
    add_fill(r, b, spec, right);
    return FND_OK;
}

/* ---- numbers ---- */

/* Digits in groups of three or four, filled with zeros up to `width` characters. The rest of the
 * number (from the point on) is not touched. */
static fnd_status add_digits(tpl_run *r, tpl_builder *b, const tpl_spec *spec, const char *digits, int64_t width, uint8_t mark) {
    size_t whole = 0, group = spec->grouping == '_' && spec->type && strchr("bxXo", spec->type) ? 4 : 3;
    while (isxdigit((unsigned char)digits[whole]) && !(digits[whole] == 'e' && strchr(digits, '.'))) whole++;
    int64_t rest = (int64_t)strlen(digits) - (int64_t)whole, zeros = 0;
    if (!spec->grouping) {
        zeros = width > (int64_t)whole + rest ? width - (int64_t)whole - rest : 0;
    } else {
        for (int64_t n; n = (int64_t)whole + zeros, n + (n - 1) / (int64_t)group + rest < width;) zeros++;
    }
    for (int64_t i = 0, n = (int64_t)whole + zeros; i < n; i++) {
        if (spec->grouping && i && (n - i) % (int64_t)group == 0) fnd_tpl_add(r, b, &spec->grouping, 1, NULL, mark);
        if (i < zeros) fnd_tpl_add(r, b, "0", 1, NULL, spec->mark);
        if (i >= zeros) fnd_tpl_add(r, b, digits + (i - zeros), 1, NULL, mark);
    }
    fnd_tpl_add(r, b, digits + whole, (size_t)rest, NULL, mark);
    return r->failed ? fnd_tpl_no_memory(r) : FND_OK;
}

/* sign and prefix ("0x"), then digits. */
static fnd_status add_number(tpl_run *r, tpl_builder *b, const tpl_spec *spec, bool negative, const char *prefix, const char *digits, uint8_t mark) {
    char head[8];
    int64_t left = 0, right = 0, inner = 0;
    FND_TRY(check_width(r, spec));
    const char *sign = negative ? "-" : spec->sign == '+' ? "+"
                                    : spec->sign == ' '   ? " "
                                                          : "";
    int head_bytes = snprintf(head, sizeof head, "%s%s", sign, prefix);
    bool zeros = spec->align == '=' && fnd_tpl_str_is(&spec->fill, "0");
    tpl_builder number = { 0 };
    FND_TRY(add_digits(r, &number, spec, digits, zeros && spec->width > head_bytes ? spec->width - head_bytes : 0, mark));
    int64_t length = head_bytes + (int64_t)number.bytes;
    if (spec->align == '=') {
        inner = spec->width > length ? spec->width - length : 0;
    } else {
        sides(spec, '>', length, &left, &right);
    }
    add_fill(r, b, spec, left);
    fnd_tpl_add(r, b, head, (size_t)head_bytes, NULL, mark);
    add_fill(r, b, spec, inner);
    fnd_tpl_add(r, b, number.data, number.bytes, number.marks, mark);
    add_fill(r, b, spec, right);
    return FND_OK;
}

static void write_digits(uint64_t n, unsigned base, bool large, char out[72]) {
    char reversed[72];
    size_t count = 0;
    do {
        reversed[count++] = (large ? "0123456789ABCDEF" : "0123456789abcdef")[n % base];
        n /= base;
    } while (n);
    for (size_t i = 0; i < count; i++) out[i] = reversed[count - 1 - i];
    out[count] = '\0';
}

static fnd_status add_character(tpl_run *r, tpl_builder *b, const tpl_spec *spec, int64_t code, uint8_t mark) {
    char text[4];
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%lld is no character", (long long)code);
    tpl_spec plain = *spec;
    plain.precision = -1;
    if (!plain.align) plain.align = spec->percent ? '>' : '<';
    return fnd_tpl_spec_text(r, b, &plain, (tpl_str){ .data = text, .bytes = fnd_utf8_put((uint32_t)code, text), .mark = mark });
}

fnd_status fnd_tpl_spec_integer(tpl_run *r, tpl_builder *b, const tpl_spec *spec, const tpl_value *v) {
    int64_t n = fnd_tpl_as_integer(v);
    char digits[NUMBER_BYTES];
    if (spec->type && strchr("eEfFgG%", spec->type)) return fnd_tpl_spec_float(r, b, spec, (double)n, v->mark);
    if (spec->type && !strchr("bcdnoxXiu", spec->type)) return fnd_tpl_fail(r, FND_ERR_FORMAT, "an integer has no format '%c'", spec->type);
    if (spec->type == 'c') return add_character(r, b, spec, n, v->mark);
    if (spec->precision >= 0 && !spec->percent) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the format of an integer has no precision");
    if (spec->precision > PRECISION_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "a precision of %lld is more than the %d allowed", (long long)spec->precision, PRECISION_LIMIT);
    unsigned base = spec->type == 'b' ? 2 : spec->type == 'o'        ? 8
                                        : (spec->type | 0x20) == 'x' ? 16
                                                                     : 10;
    char plain[72], prefix[3] = { '0', spec->type, '\0' };
    write_digits(n < 0 ? 0 - (uint64_t)n : (uint64_t)n, base, spec->type == 'X', plain);
    size_t length = strlen(plain), zeros = spec->precision > (int64_t)length ? (size_t)spec->precision - length : 0;
    memset(digits, '0', zeros);
    memcpy(digits + zeros, plain, length + 1);
    return add_number(r, b, spec, n < 0, spec->alternate && base != 10 ? prefix : "", digits, v->mark);
}

/* Take away the zeros behind the point, and the point. */
static void trim_zeros(char *text) {
    char *exponent = strpbrk(text, "eE"), tail[16] = "";
    if (exponent) {
        snprintf(tail, sizeof tail, "%s", exponent);
        *exponent = '\0';
    }
    if (strchr(text, '.')) {
        size_t n = strlen(text);
        while (text[n - 1] == '0') n--;
        if (text[n - 1] == '.') n--;
        text[n] = '\0';
    }
    strcat(text, tail); // NOLINT: it fitted before
}

/* No type: as repr; with a precision like 'g', but with a digit behind the point. */
static void print_untyped(double x, int64_t precision, char *out) {
    if (precision < 0) {
        fnd_tpl_print_float(x, out);
        return;
    }
    int p = precision ? (int)precision : 1;
    snprintf(out, NUMBER_BYTES, "%.*e", p - 1, x);
    int exponent = atoi(strchr(out, 'e') + 1);
    if (exponent < -4 || exponent >= p - 1) {
        trim_zeros(out);
        if (exponent == p - 1 && p == 1 && exponent >= -4) return;
        return;
    }
    snprintf(out, NUMBER_BYTES, "%.*f", p - 1 - exponent, x);
    trim_zeros(out);
    if (!strchr(out, '.')) strcat(out, ".0"); // NOLINT
}

fnd_status fnd_tpl_spec_float(tpl_run *r, tpl_builder *b, const tpl_spec *spec, double x, uint8_t mark) {
    char digits[NUMBER_BYTES], format[8];
    char type = spec->type == 'n' ? 'g' : spec->type;
    bool negative = signbit(x) && !isnan(x), percent = type == '%';
    if (type && !strchr("eEfFgG%", type)) return fnd_tpl_fail(r, FND_ERR_FORMAT, "a float has no format '%c'", type);
    if (spec->precision > PRECISION_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "a precision of %lld is more than the %d allowed", (long long)spec->precision, PRECISION_LIMIT);
    x = percent ? fabs(x) * 100 : fabs(x);
    if (!isfinite(x)) {
        bool large = type && isupper((unsigned char)type);
        snprintf(digits, sizeof digits, "%s", isnan(x) ? large ? "NAN" : "nan" : large ? "INF"
                                                                                       : "inf");
    } else if (!type) {
        print_untyped(x, spec->precision, digits);
    } else {
        snprintf(format, sizeof format, spec->alternate ? "%%#.*%c" : "%%.*%c", percent ? 'f' : type);
        snprintf(digits, sizeof digits, format, spec->precision < 0 ? 6 : (int)spec->precision, x); // NOLINT: made above
    }
    if (percent) strcat(digits, "%"); // NOLINT: digits of a float leave room
    return add_number(r, b, spec, negative, "", digits, mark);
}
