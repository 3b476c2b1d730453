/* gguf_values.c - what callers ask of an opened GGUF file. */
#include "base/base.h"
#include "lm/gguf_file.h"

#include <math.h>

const char *fnd_gguf_path(const fnd_gguf *g) { return g->path; }
uint32_t fnd_gguf_version(const fnd_gguf *g) { return g->version; }
fnd_span fnd_gguf_bytes(const fnd_gguf *g) { return (fnd_span){ (const char *)g->map.data, g->map.bytes }; }
uint64_t fnd_gguf_file_bytes(const fnd_gguf *g) { return g->map.bytes; }
uint32_t fnd_gguf_alignment(const fnd_gguf *g) { return g->alignment; }
size_t fnd_gguf_value_count(const fnd_gguf *g) { return g->value_count; }
size_t fnd_gguf_tensor_count(const fnd_gguf *g) { return g->tensor_count; }
const fnd_gguf_value *fnd_gguf_value_at(const fnd_gguf *g, size_t i) { return i < g->value_count ? &g->values[i] : NULL; }
const fnd_gguf_tensor *fnd_gguf_tensor_at(const fnd_gguf *g, size_t i) { return i < g->tensor_count ? &g->tensors[i] : NULL; }

fnd_status fnd_gguf_get_tensor(const fnd_gguf *g, const char *name, const fnd_gguf_tensor **out, fnd_error *err) {
    *out = fnd_gguf_find_tensor(g, name);
    if (*out) return FND_OK;
    return fnd_fail(err, FND_ERR_FORMAT, "%s has no tensor \"%s\", which its architecture needs", g->path, name);
}

static bool is_integer(fnd_gguf_type type) {
    return type <= FND_GGUF_I32 || type == FND_GGUF_U64 || type == FND_GGUF_I64;
}

static bool is_float(fnd_gguf_type type) { return type == FND_GGUF_F32 || type == FND_GGUF_F64; }

static fnd_status missing(const fnd_gguf *g, const char *key, fnd_error *err) {
    return fnd_fail(err, FND_ERR_FORMAT, "%s has no metadata key %s, which is needed", g->path, key);
}

static fnd_status wrong_type(const fnd_gguf *g, const char *key, const char *expected, const fnd_gguf_value *v, fnd_error *err) {
    bool array = v->type == FND_GGUF_ARRAY;
    return fnd_fail(err, FND_ERR_TYPE, "%s: metadata key %s is %s%s, expected %s", g->path, key, array ? "an array of " : "of type ", fnd_gguf_type_name(v->element), expected);
}

/* Integer as a 64-bit pattern; *negative tells how to read it. */
static uint64_t load_integer(const fnd_gguf_value *v, uint64_t i, bool *negative) {
    const uint8_t *p = v->data + i * fnd_gguf_type_bytes(v->element);
    int64_t s = 0;
    uint64_t u = 0;
#define LOAD_(id, type, wide) \
    case FND_GGUF_##id: { \
        type x; \
        memcpy(&x, p, sizeof x); \
        wide = x; \
        break; \
    }
    switch ((unsigned)v->element) {
        LOAD_(U8, uint8_t, u)
        LOAD_(U16, uint16_t, u)
        LOAD_(U32, uint32_t, u)
        LOAD_(U64, uint64_t, u)
        LOAD_(BOOL, uint8_t, u)
        LOAD_(I8, int8_t, s)
        LOAD_(I16, int16_t, s)
        LOAD_(I32, int32_t, s)
        LOAD_(I64, int64_t, s)
    default:
        break;
    }
#undef LOAD_
    *negative = s < 0;
    return u | (uint64_t)s; /* one of them is zero */
}

int64_t fnd_gguf_integer_at(const fnd_gguf_value *v, uint64_t i) {
    bool negative;
    if (i >= v->count || v->element == FND_GGUF_STRING || is_float(v->element)) return 0;
    uint64_t u = load_integer(v, i, &negative);
    return !negative && u > INT64_MAX ? INT64_MAX : (int64_t)u;
}

double fnd_gguf_float_at(const fnd_gguf_value *v, uint64_t i) {
    if (i >= v->count || v->element == FND_GGUF_STRING) return 0;
    const uint8_t *p = v->data + i * fnd_gguf_type_bytes(v->element);
    if (v->element == FND_GGUF_F32) {
        float x;
        memcpy(&x, p, sizeof x);
        return (double)x;
    }
    if (v->element == FND_GGUF_F64) {
        double x;
        memcpy(&x, p, sizeof x);
        return x;
    }
    return (double)fnd_gguf_integer_at(v, i);
}

fnd_status fnd_gguf_get_u64(const fnd_gguf *g, const char *key, uint64_t *out, fnd_error *err) {
    const fnd_gguf_value *v = fnd_gguf_find(g, key);
    if (!v) return missing(g, key, err);
    if (v->type == FND_GGUF_ARRAY || !is_integer(v->type)) return wrong_type(g, key, "an integer", v, err);
    bool negative;
    uint64_t u = load_integer(v, 0, &negative);
    if (negative) return fnd_fail(err, FND_ERR_FORMAT, "%s: metadata key %s is %lld, expected no negative number", g->path, key, (long long)u);
    *out = u;
    return FND_OK;
}

fnd_status fnd_gguf_get_u32(const fnd_gguf *g, const char *key, uint32_t *out, fnd_error *err) {
    uint64_t wide = 0;
    FND_TRY(fnd_gguf_get_u64(g, key, &wide, err));
    if (wide > UINT32_MAX) return fnd_fail(err, FND_ERR_FORMAT, "%s: metadata key %s is %llu, expected less than 2^32", g->path, key, (unsigned long long)wide);
    *out = (uint32_t)wide;
    return FND_OK;
}

fnd_status fnd_gguf_get_f32(const fnd_gguf *g, const char *key, float *out, fnd_error *err) {
    const fnd_gguf_value *v = fnd_gguf_find(g, key);
    if (!v) return missing(g, key, err);
    if (v->type == FND_GGUF_ARRAY || !is_float(v->type)) return wrong_type(g, key, "a float", v, err);
    float value = (float)fnd_gguf_float_at(v, 0);
    if (!isfinite(value)) return fnd_fail(err, FND_ERR_FORMAT, "%s: metadata key %s is not a finite number", g->path, key);
    *out = value;
    return FND_OK;
}

fnd_status fnd_gguf_get_bool(const fnd_gguf *g, const char *key, bool *out, fnd_error *err) {
    const fnd_gguf_value *v = fnd_gguf_find(g, key);
    if (!v) return missing(g, key, err);
    if (v->type != FND_GGUF_BOOL) return wrong_type(g, key, "a bool", v, err);
    *out = v->data[0] != 0;
    return FND_OK;
}

fnd_span fnd_gguf_string(const fnd_gguf_value *v) {
    uint64_t bytes;
    if (v->type != FND_GGUF_STRING) return (fnd_span){ "", 0 };
    memcpy(&bytes, v->data, sizeof bytes);
    return (fnd_span){ (const char *)v->data + sizeof bytes, (size_t)bytes };
}

fnd_status fnd_gguf_get_str(const fnd_gguf *g, const char *key, fnd_span *out, fnd_error *err) {
    const fnd_gguf_value *v = fnd_gguf_find(g, key);
    if (!v) return missing(g, key, err);
    if (v->type != FND_GGUF_STRING) return wrong_type(g, key, "a string", v, err);
    *out = fnd_gguf_string(v);
    return FND_OK;
}

fnd_status fnd_gguf_maybe_u32(const fnd_gguf *g, const char *key, uint32_t *out, fnd_error *err) {
    return fnd_gguf_find(g, key) ? fnd_gguf_get_u32(g, key, out, err) : FND_OK;
}

fnd_status fnd_gguf_maybe_f32(const fnd_gguf *g, const char *key, float *out, fnd_error *err) {
    return fnd_gguf_find(g, key) ? fnd_gguf_get_f32(g, key, out, err) : FND_OK;
}

fnd_status fnd_gguf_maybe_bool(const fnd_gguf *g, const char *key, bool *out, fnd_error *err) {
    return fnd_gguf_find(g, key) ? fnd_gguf_get_bool(g, key, out, err) : FND_OK;
}

fnd_status fnd_gguf_maybe_str(const fnd_gguf *g, const char *key, fnd_span *out, fnd_error *err) {
    return fnd_gguf_find(g, key) ? fnd_gguf_get_str(g, key, out, err) : FND_OK;
}

fnd_status fnd_gguf_get_array(const fnd_gguf *g, const char *key, fnd_gguf_kind kind, const fnd_gguf_value **out, fnd_error *err) {
    static const char *const expected[] = { "an array of strings", "an array of integers", "an array of floats", "an array of bools" };
    const fnd_gguf_value *v = fnd_gguf_find(g, key);
    if (!v) return missing(g, key, err);
    bool right = kind == FND_GGUF_STRINGS ? v->element == FND_GGUF_STRING : kind == FND_GGUF_INTEGERS ? is_integer(v->element)
                                                                        : kind == FND_GGUF_FLOATS     ? is_float(v->element)
                                                                                                      : v->element == FND_GGUF_BOOL;
    if (v->type != FND_GGUF_ARRAY || !right) return wrong_type(g, key, expected[kind], v, err);
    *out = v;
    return FND_OK;
}

bool fnd_gguf_next_string(fnd_gguf_cursor *cursor, fnd_span *out) {
    const fnd_gguf_value *v = cursor->value;
    if (v->element != FND_GGUF_STRING || cursor->index >= v->count) return false;
    uint64_t bytes; /* checked when the file was opened */
    memcpy(&bytes, v->data + cursor->offset, sizeof bytes);
    *out = (fnd_span){ (const char *)v->data + cursor->offset + sizeof bytes, (size_t)bytes };
    cursor->offset += sizeof bytes + (size_t)bytes;
    cursor->index++;
    return true;
}
