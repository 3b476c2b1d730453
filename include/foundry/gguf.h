/* gguf.h - reading model files (GGUF versions 2 and 3).
 *
 * A file is mapped, never copied: strings, arrays and tensor data point into the mapping and live as
 * long as the fnd_gguf. Every count, size, offset, type and string is checked against the size of
 * the file before use, so nothing read through this header can point outside of it.
 *
 *     fnd_gguf *g;
 *     if (fnd_gguf_open("model.gguf", 0, &g, &err) != FND_OK) { puts(err.text); return 1; }
 *     uint32_t layers;
 *     if (fnd_gguf_get_u32(g, "llama.block_count", &layers, &err) != FND_OK) ...
 *     const fnd_gguf_tensor *t = fnd_gguf_find_tensor(g, "blk.0.attn_q.weight");
 *     fnd_gguf_close(g);
 *
 * An opened file is never changed: several threads may read it.
 */
#ifndef FOUNDRY_GGUF_H
#define FOUNDRY_GGUF_H

#include "foundry/format.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that somebody else owns. Not NUL-terminated. */
typedef struct fnd_span {
    const char *data;
    size_t      bytes;
} fnd_span;

/*    id     value  name     bytes (0: has a length of its own) */
#define FND_GGUF_TYPES(X)        \
    X(U8,     0,    "u8",     1) \
    X(I8,     1,    "i8",     1) \
    X(U16,    2,    "u16",    2) \
    X(I16,    3,    "i16",    2) \
    X(U32,    4,    "u32",    4) \
    X(I32,    5,    "i32",    4) \
    X(F32,    6,    "f32",    4) \
    X(BOOL,   7,    "bool",   1) \
    X(STRING, 8,    "string", 0) \
    X(ARRAY,  9,    "array",  0) \
    X(U64,    10,   "u64",    8) \
    X(I64,    11,   "i64",    8) \
    X(F64,    12,   "f64",    8)

typedef enum fnd_gguf_type {
#define FND_GGUF_TYPE_ROW_(id, value, name, bytes) FND_GGUF_##id = value,
    FND_GGUF_TYPES(FND_GGUF_TYPE_ROW_)
#undef FND_GGUF_TYPE_ROW_
    FND_GGUF_TYPE_COUNT
} fnd_gguf_type;

/* "u8" ...; "unknown type" for a number that no type has. */
const char *fnd_gguf_type_name(fnd_gguf_type type);

typedef struct fnd_gguf fnd_gguf;

/* One metadata entry. For arrays `element` is the type of the elements and `count` their number;
 * otherwise element == type and count == 1. `data` is the first value, not aligned. */
typedef struct fnd_gguf_value {
    fnd_span       key;
    fnd_gguf_type  type, element;
    uint64_t       count;
    const uint8_t *data;
} fnd_gguf_value;

typedef struct fnd_gguf_tensor {
    fnd_span    name;
    fnd_format  format;    /* FND_FORMAT_NONE: only possible with the flags below */
    uint32_t    ggml_type; /* as in the file */
    uint32_t    dim_count; /* 1..4 */
    uint64_t    dims[4];   /* as in the file: dims[0] is the length of a row; unused ones are 1 */
    uint64_t    offset;    /* of the data, from the start of the file */
    uint64_t    bytes;     /* 0 when the format is unknown */
    const void *data;      /* NULL: only possible with the flags below */
} fnd_gguf_tensor;

enum {
    /* Tensors may have unknown types and their data may be absent: for tokenizers. */
    FND_GGUF_METADATA_ONLY = 1,
    /* Tensors may have unknown types, and the file may be a part of a model; all else is checked: for
     * inspection. */
    FND_GGUF_ANY_TYPE = 2
};

/* Open a file; or bytes in memory, which the caller keeps until the close and calls `name` in
 * messages. *out is NULL on failure. */
FND_USE_RESULT fnd_status fnd_gguf_open(const char *path, unsigned flags, fnd_gguf **out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_gguf_open_memory(const void *data, size_t bytes, const char *name, unsigned flags, fnd_gguf **out, fnd_error *err);
void fnd_gguf_close(fnd_gguf *g); /* NULL is fine */

const char *fnd_gguf_path(const fnd_gguf *g);
uint32_t fnd_gguf_version(const fnd_gguf *g);
uint64_t fnd_gguf_file_bytes(const fnd_gguf *g);
/* The whole file as it is mapped; tensors' offsets count from its start. */
fnd_span fnd_gguf_bytes(const fnd_gguf *g);
uint32_t fnd_gguf_alignment(const fnd_gguf *g);

/* Entries and tensors in the file's order; NULL at and after the end. */
size_t fnd_gguf_value_count(const fnd_gguf *g);
const fnd_gguf_value *fnd_gguf_value_at(const fnd_gguf *g, size_t i);
size_t fnd_gguf_tensor_count(const fnd_gguf *g);
const fnd_gguf_tensor *fnd_gguf_tensor_at(const fnd_gguf *g, size_t i);

/* By name, in constant time; NULL when there is none. */
const fnd_gguf_value *fnd_gguf_find(const fnd_gguf *g, const char *key);
const fnd_gguf_tensor *fnd_gguf_find_tensor(const fnd_gguf *g, const char *name);
/* As above, but a missing tensor is an error that names it. */
FND_USE_RESULT fnd_status fnd_gguf_get_tensor(const fnd_gguf *g, const char *name, const fnd_gguf_tensor **out, fnd_error *err);

/* Typed values. A missing key, another type or a number that does not fit is an error naming key,
 * expected and found. Integers are taken from any integer type, floats from f32 and f64. */
FND_USE_RESULT fnd_status fnd_gguf_get_u32(const fnd_gguf *g, const char *key, uint32_t *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_gguf_get_u64(const fnd_gguf *g, const char *key, uint64_t *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_gguf_get_f32(const fnd_gguf *g, const char *key, float *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_gguf_get_bool(const fnd_gguf *g, const char *key, bool *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_gguf_get_str(const fnd_gguf *g, const char *key, fnd_span *out, fnd_error *err);
/* The same for optional keys: when the key is missing, *out is left as it is and FND_OK returned. */
FND_USE_RESULT fnd_status fnd_gguf_maybe_u32(const fnd_gguf *g, const char *key, uint32_t *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_gguf_maybe_f32(const fnd_gguf *g, const char *key, float *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_gguf_maybe_bool(const fnd_gguf *g, const char *key, bool *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_gguf_maybe_str(const fnd_gguf *g, const char *key, fnd_span *out, fnd_error *err);

/* Arrays. Which elements an array may have is checked here, once. */
typedef enum fnd_gguf_kind { FND_GGUF_STRINGS, FND_GGUF_INTEGERS, FND_GGUF_FLOATS, FND_GGUF_BOOLS } fnd_gguf_kind;
FND_USE_RESULT fnd_status fnd_gguf_get_array(const fnd_gguf *g, const char *key, fnd_gguf_kind kind, const fnd_gguf_value **out, fnd_error *err);
/* Element i of an array of numbers (i < count), or a single number (i == 0). Integers above INT64_MAX
 * are clamped to it. */
int64_t fnd_gguf_integer_at(const fnd_gguf_value *v, uint64_t i);
double fnd_gguf_float_at(const fnd_gguf_value *v, uint64_t i);
/* Strings of an array, one after the other. Start with { .value = v }; false at the end. */
typedef struct fnd_gguf_cursor {
    const fnd_gguf_value *value;
    uint64_t              index;  /* of the next element */
    size_t                offset; /* of the next element, from value->data */
} fnd_gguf_cursor;
bool fnd_gguf_next_string(fnd_gguf_cursor *cursor, fnd_span *out);
/* The string of a STRING value. */
fnd_span fnd_gguf_string(const fnd_gguf_value *v);

/* Readable copy of a span for messages: control and non-ASCII bytes escaped, long ones cut with
 * "...", always NUL-terminated. Returns `text`. */
char *fnd_span_quote(fnd_span span, char *text, size_t text_bytes);
bool fnd_span_equal(fnd_span span, const char *text);

#ifdef __cplusplus
}
#endif
#endif
