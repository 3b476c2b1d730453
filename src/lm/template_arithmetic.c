/* template_arithmetic.c - operators: on numbers as Python has them (integers of 64 bits), + and * of
 * sequences, % of strings. */
#include "base/base.h"
#include "lm/template.h"

#include <math.h>

fnd_status fnd_tpl_too_large(tpl_run *r) { return fnd_tpl_fail(r, FND_ERR_LIMIT, "the result does not fit an integer of 64 bits"); }

static fnd_status by_zero(tpl_run *r) { return fnd_tpl_fail(r, FND_ERR_FORMAT, "division by zero"); }

static fnd_status integer_power(tpl_run *r, int64_t base, int64_t exponent, tpl_value *out) {
    int64_t result = 1;
    if (exponent < 0) {
        if (base == 0) return by_zero(r);
        *out = fnd_tpl_float(pow((double)base, (double)exponent));
        return FND_OK;
    }
    for (bool square = false;;) { /* base is squared only while another bit follows, so it may not overflow idly */
        if (square && __builtin_mul_overflow(base, base, &base)) return fnd_tpl_too_large(r);
        if (exponent & 1 && __builtin_mul_overflow(result, base, &result)) return fnd_tpl_too_large(r);
        exponent >>= 1;
        if (!exponent) break;
        square = true;
    }
    *out = fnd_tpl_int(result);
    return FND_OK;
}

static fnd_status integer_binary(tpl_run *r, tpl_op op, int64_t a, int64_t b, tpl_value *out) {
    int64_t result = 0;
    bool overflow = false;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0) return by_zero(r);
    switch (op) {
    case OP_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case OP_SUB:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case OP_MUL:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    case OP_POW:
        return integer_power(r, a, b, out);
    case OP_DIV:
        *out = fnd_tpl_float((double)((long double)a / (long double)b));
        return FND_OK;
    case OP_FLOORDIV:
        overflow = a == INT64_MIN && b == -1;
        if (!overflow) result = a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    default: /* OP_MOD: the sign of the divisor */
        if (b != -1) result = a % b;
        if (result != 0 && (result < 0) != (b < 0)) result += b;
    }
    if (overflow) return fnd_tpl_too_large(r);
    *out = fnd_tpl_int(result);
    return FND_OK;
}

static fnd_status float_power(tpl_run *r, double a, double b, tpl_value *out) {
    if (a == 0 && b < 0) return by_zero(r);
    if (a < 0 && isfinite(b) && b != floor(b)) return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "a power that is a complex number is not supported");
    double result = pow(a, b);
    if (isinf(result) && isfinite(a) && isfinite(b)) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the result of ** is too large for a float");
    *out = fnd_tpl_float(result);
    return FND_OK;
}

/* Quotient and remainder as Python's floats have them. */
static double float_floor(double a, double b, double *rest) {
    double mod = fmod(a, b), div = (a - mod) / b;
    if (mod != 0) {
        if ((b < 0) != (mod < 0)) {
            mod += b;
            div -= 1;
        }
    } else {
        mod = copysign(0, b);
    }
    *rest = mod;
    if (div == 0) return copysign(0, a / b);
    double whole = floor(div);
    return div - whole > 0.5 ? whole + 1 : whole;
}

static fnd_status float_binary(tpl_run *r, tpl_op op, double a, double b, tpl_value *out) {
    double result, rest;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0) return by_zero(r);
    switch (op) {
    case OP_ADD:
        result = a + b;
        break;
    case OP_SUB:
        result = a - b;
        break;
    case OP_MUL:
        result = a * b;
        break;
    case OP_DIV:
        result = a / b;
        break;
    case OP_POW:
        return float_power(r, a, b, out);
    default:
        result = float_floor(a, b, &rest);
        if (op == OP_MOD) result = rest;
    }
    *out = fnd_tpl_float(result);
    return FND_OK;
}

static fnd_status concatenate(tpl_run *r, const tpl_value *a, const tpl_value *b, tpl_value *out) {
    if (a->kind == TPL_STR) {
        tpl_builder text = { 0 };
        bool markup = a->str->markup || b->str->markup;
        FND_TRY(fnd_tpl_step(r, (a->str->bytes + b->str->bytes) / 64));
        for (int i = 0; i < 2; i++) {
            const tpl_str *s = i ? b->str : a->str;
            if (markup) {
                fnd_tpl_add_escaped(r, &text, *s);
            } else {
                fnd_tpl_add_str(r, &text, *s);
            }
        }
        return fnd_tpl_built(r, &text, markup, out);
    }
    size_t n = a->list->count, m = b->list->count;
    FND_TRY(fnd_tpl_step(r, (n + m) / 16));
    FND_TRY(fnd_tpl_new_list(r, n + m, a->kind, out));
    if (n) memcpy(out->list->items, a->list->items, n * sizeof *a->list->items);
    if (m) memcpy(out->list->items + n, b->list->items, m * sizeof *b->list->items);
    return FND_OK;
}

static fnd_status repeat(tpl_run *r, const tpl_value *what, int64_t times, tpl_value *out) {
    size_t each = what->kind == TPL_STR ? what->str->bytes : what->list->count, total = 0;
    if (times < 0 || each == 0) times = 0;
    if (!fnd_mul_size(each, (size_t)times, &total) || total > TPL_OUTPUT_LIMIT) return fnd_tpl_fail(r, FND_ERR_LIMIT, "the repetition is longer than the %d bytes or items allowed", TPL_OUTPUT_LIMIT);
    FND_TRY(fnd_tpl_step(r, total / 16));
    if (what->kind == TPL_STR) {
        tpl_builder text = { 0 };
        fnd_tpl_add_many(r, &text, *what->str, times);
        return fnd_tpl_built(r, &text, what->str->markup, out);
    }
    FND_TRY(fnd_tpl_new_list(r, total, what->kind, out));
    for (int64_t i = 0; i < times; i++) memcpy(out->list->items + (size_t)i * each, what->list->items, each * sizeof(tpl_value));
    return FND_OK;
}

static bool is_sequence(const tpl_value *v) { return v->kind == TPL_STR || v->kind == TPL_LIST || v->kind == TPL_TUPLE; }
static bool is_integer(const tpl_value *v) { return v->kind == TPL_INT || v->kind == TPL_BOOL; }

fnd_status fnd_tpl_binary(tpl_run *r, tpl_op op, const tpl_value *a, const tpl_value *b, tpl_value *out) {
    static const char *const texts[] = { "+", "-", "*", "/", "//", "%", "**" };
    if (op == OP_MOD && a->kind == TPL_STR) return fnd_tpl_percent(r, a->str, b, out);
    if (a->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, a);
    if (b->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, b);
    if (fnd_tpl_is_number(a) && fnd_tpl_is_number(b)) {
        uint8_t mark = a->mark | b->mark;
        if (a->kind == TPL_FLOAT || b->kind == TPL_FLOAT) {
            FND_TRY(float_binary(r, op, fnd_tpl_as_double(a), fnd_tpl_as_double(b), out));
        } else {
            FND_TRY(integer_binary(r, op, fnd_tpl_as_integer(a), fnd_tpl_as_integer(b), out));
        }
        out->mark = mark;
        return FND_OK;
    }
    if (op == OP_ADD && is_sequence(a) && a->kind == b->kind) return concatenate(r, a, b, out);
    if (op == OP_MUL && is_sequence(a) && is_integer(b)) return repeat(r, a, fnd_tpl_as_integer(b), out);
    if (op == OP_MUL && is_sequence(b) && is_integer(a)) return repeat(r, b, fnd_tpl_as_integer(a), out);
    return fnd_tpl_fail(r, FND_ERR_TYPE, "the operator %s does not work on %s and %s", texts[op], fnd_tpl_kind_name(a), fnd_tpl_kind_name(b));
}

fnd_status fnd_tpl_unary(tpl_run *r, tpl_op op, const tpl_value *operand, tpl_value *out) {
    tpl_value v = *operand;
    if (v.kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, &v);
    if (!fnd_tpl_is_number(&v)) return fnd_tpl_fail(r, FND_ERR_TYPE, "a sign does not work on %s", fnd_tpl_kind_name(&v));
    if (v.kind == TPL_BOOL) v = fnd_tpl_int(v.flag);
    if (op == OP_NEG && v.kind == TPL_FLOAT) v.number = -v.number;
    if (op == OP_NEG && v.kind == TPL_INT && __builtin_sub_overflow((int64_t)0, v.integer, &v.integer)) return fnd_tpl_too_large(r);
    v.mark = operand->mark;
    *out = v;
    return FND_OK;
}
