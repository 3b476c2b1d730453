/* gguf.c - opening a GGUF file: every number in it is doubted before it is used.
 *
 *   "GGUF" | u32 version | u64 tensors | u64 entries
 *   entry  : string key | u32 type | value           string: u64 bytes, bytes
 *   tensor : string name | u32 dims | u64 dim[dims] | u32 ggml type | u64 offset in the data section
 *   padding to general.alignment, then the data section
 */
#include "lm/gguf_file.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/name_index.h"

#include <stdio.h>

enum { KEY_BYTES_LIMIT = 65535,
       NAME_BYTES_LIMIT = 1024 };
/* The smallest an entry (key of 1 byte, type, value of 1 byte) and a tensor can be in the file. */
enum { ENTRY_BYTES_MIN = 8 + 1 + 4 + 1,
       TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8 };
enum { ALIGNMENT_DEFAULT = 32,
       ALIGNMENT_MIN = 8,
       ALIGNMENT_MAX = 65536 };

typedef struct reader {
    fnd_gguf *g;
    size_t at;
    char what[192]; /* what is being read, for messages */
    fnd_error *err;
} reader;

/* ---- texts for messages ---- */

char *fnd_span_quote(fnd_span span, char *text, size_t text_bytes) {
    size_t used = 0;
    for (size_t i = 0; i < span.bytes; i++) {
        unsigned char c = (unsigned char)span.data[i];
        char piece[8];
        int n = snprintf(piece, sizeof piece, c >= 32 && c < 127 ? "%c" : "\\x%02x", c);
        bool last = i + 1 == span.bytes;
        if (used + (size_t)n + (last ? 1 : 4) > text_bytes) {
            if (used + 4 <= text_bytes) used += (size_t)snprintf(text + used, text_bytes - used, "...");
            break;
        }
        memcpy(text + used, piece, (size_t)n);
        used += (size_t)n;
    }
    if (text_bytes) text[used < text_bytes ? used : text_bytes - 1] = '\0';
    return text;
}

bool fnd_span_equal(fnd_span span, const char *text) {
    return span.bytes == strlen(text) && memcmp(span.data, text, span.bytes) == 0;
}

const char *fnd_gguf_type_name(fnd_gguf_type type) {
    switch ((unsigned)type) {
#define FND_GGUF_TYPE_ROW_(id, value, name, bytes) \
    case value: \
        return name;
        FND_GGUF_TYPES(FND_GGUF_TYPE_ROW_)
#undef FND_GGUF_TYPE_ROW_
    default:
        return "unknown type";
    }
}

size_t fnd_gguf_type_bytes(fnd_gguf_type type) {
    switch ((unsigned)type) {
#define FND_GGUF_TYPE_ROW_(id, value, name, bytes) \
    case value: \
        return bytes;
        FND_GGUF_TYPES(FND_GGUF_TYPE_ROW_)
#undef FND_GGUF_TYPE_ROW_
    default:
        return 0;
    }
}

/* Tensor types of the format that Foundry has no policy for, so that a message can name them. */
static const char *foreign_type_name(uint32_t ggml) {
    static const struct {
        uint32_t ggml;
        const char *name;
    } names[] = {
        { 10, "Q2_K" },
        { 11, "Q3_K" },
        { 15, "Q8_K" },
        { 16, "IQ2_XXS" },
        { 17, "IQ2_XS" },
        { 18, "IQ3_XXS" },
        { 19, "IQ1_S" },
        { 21, "IQ3_S" },
        { 22, "IQ2_S" },
        { 23, "IQ4_XS" },
        { 24, "I8" },
        { 25, "I16" },
        { 27, "I64" },
        { 28, "F64" },
        { 29, "IQ1_M" },
        { 34, "TQ1_0" },
        { 35, "TQ2_0" },
        { 39, "MXFP4" },
    };
    for (size_t i = 0; i < FND_COUNT(names); i++) {
        if (names[i].ggml == ggml) return names[i].name;
    }
    return "unknown";
}

/* ---- reading ---- */

static fnd_status cut_off(reader *r, uint64_t need) {
    return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s needs %llu bytes at offset %zu, but the file ends at %zu; it is cut off or damaged, fetch it again",
                    r->g->path, r->what, (unsigned long long)need, r->at, r->g->map.bytes);
}

static fnd_status take(reader *r, uint64_t bytes, const uint8_t **out) {
    if (bytes > r->g->map.bytes - r->at) return cut_off(r, bytes);
    *out = r->g->map.data + r->at;
    r->at += (size_t)bytes;
    return FND_OK;
}

static fnd_status take_u32(reader *r, uint32_t *out) {
    const uint8_t *p = NULL;
    FND_TRY(take(r, sizeof *out, &p));
    memcpy(out, p, sizeof *out);
    return FND_OK;
}

static fnd_status take_u64(reader *r, uint64_t *out) {
    const uint8_t *p = NULL;
    FND_TRY(take(r, sizeof *out, &p));
    memcpy(out, p, sizeof *out);
    return FND_OK;
}

static fnd_status take_string(reader *r, fnd_span *out) {
    uint64_t bytes;
    const uint8_t *p = NULL;
    FND_TRY(take_u64(r, &bytes));
    FND_TRY(take(r, bytes, &p));
    *out = (fnd_span){ .data = (const char *)p, .bytes = (size_t)bytes };
    return FND_OK;
}

static fnd_status take_name(reader *r, const char *kind, uint64_t number, size_t limit, fnd_span *out) {
    snprintf(r->what, sizeof r->what, "the name of %s %llu", kind, (unsigned long long)number);
    size_t at = r->at;
    FND_TRY(take_string(r, out));
    if (out->bytes == 0 || out->bytes > limit) {
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s at offset %zu has %zu bytes, expected 1 to %zu; the file is damaged",
                        r->g->path, r->what, at, out->bytes, limit);
    }
    if (memchr(out->data, 0, out->bytes)) {
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s at offset %zu contains a zero byte; the file is damaged", r->g->path, r->what, at);
    }
    char shown[96];
    snprintf(r->what, sizeof r->what, "%s \"%s\"", kind, fnd_span_quote(*out, shown, sizeof shown));
    return FND_OK;
}

static fnd_status check_bools(reader *r, const uint8_t *p, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        if (p[i] > 1) {
            return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s holds the byte %u where a bool (0 or 1) is expected, before offset %zu; the file is damaged",
                            r->g->path, r->what, p[i], r->at);
        }
    }
    return FND_OK;
}

static fnd_status take_elements(reader *r, fnd_gguf_value *v) {
    v->data = r->g->map.data + r->at;
    if (v->element == FND_GGUF_STRING) {
        if (v->count > (r->g->map.bytes - r->at) / 8) return cut_off(r, v->count > UINT64_MAX / 8 ? UINT64_MAX : v->count * 8);
        for (uint64_t i = 0; i < v->count; i++) {
            fnd_span unused;
            FND_TRY(take_string(r, &unused));
        }
        return FND_OK;
    }
    uint64_t bytes;
    if (!fnd_mul_u64(v->count, fnd_gguf_type_bytes(v->element), &bytes)) return cut_off(r, UINT64_MAX);
    FND_TRY(take(r, bytes, &v->data));
    return v->element == FND_GGUF_BOOL ? check_bools(r, v->data, v->count) : FND_OK;
}

static fnd_status take_entry(reader *r, uint64_t number, fnd_gguf_value *v) {
    FND_TRY(take_name(r, "key", number, KEY_BYTES_LIMIT, &v->key));
    uint32_t type, element;
    FND_TRY(take_u32(r, &type));
    if (type >= FND_GGUF_TYPE_COUNT) {
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s has value type %u at offset %zu, expected 0 to %d; the file is damaged or newer than this program",
                        r->g->path, r->what, type, r->at - 4, FND_GGUF_TYPE_COUNT - 1);
    }
    element = type;
    v->count = 1;
    if (type == FND_GGUF_ARRAY) {
        FND_TRY(take_u32(r, &element));
        if (element >= FND_GGUF_TYPE_COUNT || element == FND_GGUF_ARRAY) {
            return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s is an array with element type %u at offset %zu, expected a number, bool or string type; the file is damaged or newer than this program",
                            r->g->path, r->what, element, r->at - 4);
        }
        FND_TRY(take_u64(r, &v->count));
    }
    v->type = (fnd_gguf_type)type;
    v->element = (fnd_gguf_type)element;
    return take_elements(r, v);
}

static fnd_status take_dims(reader *r, fnd_gguf_tensor *t) {
    FND_TRY(take_u32(r, &t->dim_count));
    if (t->dim_count < 1 || t->dim_count > 4) {
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s has %u dimensions at offset %zu, expected 1 to 4; the file is damaged",
                        r->g->path, r->what, t->dim_count, r->at - 4);
    }
    for (uint32_t i = 0; i < 4; i++) t->dims[i] = 1;
    uint64_t elements = 1;
    for (uint32_t i = 0; i < t->dim_count; i++) {
        FND_TRY(take_u64(r, &t->dims[i]));
        if (t->dims[i] == 0 || t->dims[i] > INT64_MAX || !fnd_mul_u64(elements, t->dims[i], &elements) || elements > INT64_MAX) {
            return fnd_fail(r->err, FND_ERR_FORMAT, "%s: dimension %u of %s is %llu at offset %zu, which is no possible size; the file is damaged",
                            r->g->path, i, r->what, (unsigned long long)t->dims[i], r->at - 8);
        }
    }
    return FND_OK;
}

/* " F32 F16 ..." */
#define FORMAT_WORD_(id, name, ggml, weights, bytes) " " #id
#define SUPPORTED                                    FND_FORMATS(FORMAT_WORD_)

static fnd_status take_tensor(reader *r, uint64_t number, fnd_gguf_tensor *t) {
    FND_TRY(take_name(r, "tensor", number, NAME_BYTES_LIMIT, &t->name));
    FND_TRY(take_dims(r, t));
    FND_TRY(take_u32(r, &t->ggml_type));
    FND_TRY(take_u64(r, &t->offset));
    t->format = fnd_format_by_ggml(t->ggml_type);
    if (t->format == FND_FORMAT_NONE) {
        if (r->g->flags & (FND_GGUF_METADATA_ONLY | FND_GGUF_ANY_TYPE)) return FND_OK;
        return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: %s has type %u (%s), which Foundry does not support; use a file in" SUPPORTED,
                        r->g->path, r->what, t->ggml_type, foreign_type_name(t->ggml_type));
    }
    uint64_t rows = t->dims[1] * t->dims[2] * t->dims[3]; /* cannot wrap: checked by take_dims */
    if (!fnd_format_bytes(t->format, rows, t->dims[0], &t->bytes)) {
        const fnd_format_info *info = fnd_format_get(t->format);
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s has rows of %llu values, but %s comes in blocks of %u, or its size is beyond 64 bits; the file is damaged",
                        r->g->path, r->what, (unsigned long long)t->dims[0], info->name, info->block_weights);
    }
    return FND_OK;
}

/* ---- the parts of a file ---- */

static fnd_status read_header(reader *r, uint64_t *tensors, uint64_t *entries) {
    const uint8_t *magic;
    snprintf(r->what, sizeof r->what, "the header");
    if (r->g->map.bytes == 0) return fnd_fail(r->err, FND_ERR_FORMAT, "%s is empty; a GGUF file is expected", r->g->path);
    FND_TRY(take(r, 4, &magic));
    if (memcmp(magic, "GGUF", 4) != 0) {
        char shown[24];
        fnd_span found = { (const char *)magic, 4 };
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s is not a GGUF file: it begins with \"%s\", expected \"GGUF\"", r->g->path, fnd_span_quote(found, shown, sizeof shown));
    }
    uint32_t version;
    FND_TRY(take_u32(r, &version));
    if (version >= 0x10000 && (version & 0xffff) == 0) {
        return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s is a big-endian GGUF file; convert it to little-endian", r->g->path);
    }
    if (version != 2 && version != 3) {
        return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s has GGUF version %u at offset 4, supported are 2 and 3; convert the model again", r->g->path, version);
    }
    r->g->version = version;
    FND_TRY(take_u64(r, tensors));
    FND_TRY(take_u64(r, entries));
    uint64_t left = r->g->map.bytes - r->at;
    if (*entries > left / ENTRY_BYTES_MIN || *tensors > left / TENSOR_BYTES_MIN) {
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s claims %llu tensors and %llu metadata entries at offset 8, more than its %zu bytes can hold; it is cut off or damaged",
                        r->g->path, (unsigned long long)*tensors, (unsigned long long)*entries, r->g->map.bytes);
    }
    return FND_OK;
}

static fnd_status out_of_memory(const fnd_gguf *g, fnd_error *err) {
    return fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening %s", g->path);
}

static fnd_span value_key(const void *items, size_t i) { return ((const fnd_gguf_value *)items)[i].key; }
static fnd_span tensor_key(const void *items, size_t i) { return ((const fnd_gguf_tensor *)items)[i].name; }

static fnd_status read_entries(fnd_gguf *g, reader *r, uint64_t count) {
    g->values = fnd_alloc_zeroed((size_t)count, sizeof *g->values);
    if (!g->values || !fnd_index_init(&g->value_index, (size_t)count)) return out_of_memory(g, r->err);
    for (uint64_t i = 0; i < count; i++) {
        fnd_gguf_value *v = &g->values[i];
        size_t at = r->at;
        FND_TRY(take_entry(r, i, v));
        g->value_count = (size_t)i + 1;
        if (!fnd_index_add(&g->value_index, g->values, value_key, (size_t)i)) {
            return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s appears twice, again at offset %zu; the file is damaged", g->path, r->what, at);
        }
    }
    return FND_OK;
}

static fnd_status read_alignment(fnd_gguf *g, fnd_error *err) {
    g->alignment = ALIGNMENT_DEFAULT;
    FND_TRY(fnd_gguf_maybe_u32(g, "general.alignment", &g->alignment, err));
    if (g->alignment < ALIGNMENT_MIN || g->alignment > ALIGNMENT_MAX || (g->alignment & (g->alignment - 1))) {
        return fnd_fail(err, FND_ERR_FORMAT, "%s: general.alignment is %u, expected a power of two from %d to %d; the file is damaged",
                        g->path, g->alignment, ALIGNMENT_MIN, ALIGNMENT_MAX);
    }
    uint32_t parts = 1;
    FND_TRY(fnd_gguf_maybe_u32(g, "split.count", &parts, err));
    if (parts > 1 && !(g->flags & (FND_GGUF_METADATA_ONLY | FND_GGUF_ANY_TYPE))) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s is one of %u parts of a model; join them into one file first (gguf-split --merge)", g->path, parts);
    }
    return FND_OK;
}

static fnd_status read_tensors(fnd_gguf *g, reader *r, uint64_t count) {
    g->tensors = fnd_alloc_zeroed((size_t)count, sizeof *g->tensors);
    if (!g->tensors || !fnd_index_init(&g->tensor_index, (size_t)count)) return out_of_memory(g, r->err);
    for (uint64_t i = 0; i < count; i++) {
        size_t at = r->at;
        FND_TRY(take_tensor(r, i, &g->tensors[i]));
        g->tensor_count = (size_t)i + 1;
        if (!fnd_index_add(&g->tensor_index, g->tensors, tensor_key, (size_t)i)) {
            return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s appears twice, again at offset %zu; the file is damaged", g->path, r->what, at);
        }
    }
    return FND_OK;
}

static fnd_status place_tensor(const fnd_gguf *g, fnd_gguf_tensor *t, uint64_t section, fnd_error *err) {
    bool lenient = g->flags & FND_GGUF_METADATA_ONLY;
    uint64_t in_section = t->offset, end;
    bool fits = fnd_add_u64(section, in_section, &t->offset) && fnd_add_u64(t->offset, t->bytes, &end) && end <= g->map.bytes;
    bool aligned = in_section % g->alignment == 0;
    if (fits && aligned) {
        if (t->format != FND_FORMAT_NONE) t->data = g->map.data + t->offset;
        return FND_OK;
    }
    if (lenient) return FND_OK;
    char shown[96];
    fnd_span_quote(t->name, shown, sizeof shown);
    if (!aligned) {
        return fnd_fail(err, FND_ERR_FORMAT, "%s: tensor \"%s\" lies at offset %llu of the data section, which is no multiple of the alignment %u; the file is damaged",
                        g->path, shown, (unsigned long long)in_section, g->alignment);
    }
    return fnd_fail(err, FND_ERR_FORMAT, "%s: tensor \"%s\" needs %llu bytes at offset %llu of the data section, which starts at %llu of a file of %zu bytes; it is cut off or damaged, fetch it again",
                    g->path, shown, (unsigned long long)t->bytes, (unsigned long long)in_section, (unsigned long long)section, g->map.bytes);
}

static int by_offset(const void *a, const void *b) {
    const fnd_gguf_tensor *x = *(const fnd_gguf_tensor *const *)a, *y = *(const fnd_gguf_tensor *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Two tensors in one place: whoever wrote that did not mean it. */
static fnd_status check_overlaps(const fnd_gguf *g, fnd_error *err) {
    const fnd_gguf_tensor **sorted = fnd_alloc_zeroed(g->tensor_count, sizeof *sorted);
    if (!sorted) return out_of_memory(g, err);
    for (size_t i = 0; i < g->tensor_count; i++) sorted[i] = &g->tensors[i];
    qsort(sorted, g->tensor_count, sizeof *sorted, by_offset);
    fnd_status status = FND_OK;
    for (size_t i = 1; i < g->tensor_count && status == FND_OK; i++) {
        if (sorted[i - 1]->offset + sorted[i - 1]->bytes <= sorted[i]->offset) continue;
        char a[96], b[96];
        status = fnd_fail(err, FND_ERR_FORMAT, "%s: tensors \"%s\" and \"%s\" overlap at offset %llu; the file is damaged", g->path,
                          fnd_span_quote(sorted[i - 1]->name, a, sizeof a), fnd_span_quote(sorted[i]->name, b, sizeof b), (unsigned long long)sorted[i]->offset);
    }
    fnd_free_memory(sorted);
    return status;
}

static fnd_status read_all(fnd_gguf *g, fnd_error *err) {
    reader r = { .g = g, .err = err };
    uint64_t tensors, entries;
    FND_TRY(read_header(&r, &tensors, &entries));
    FND_TRY(read_entries(g, &r, entries));
    FND_TRY(read_alignment(g, err));
    FND_TRY(read_tensors(g, &r, tensors));
    uint64_t section = ((uint64_t)r.at + g->alignment - 1) & ~(uint64_t)(g->alignment - 1);
    for (size_t i = 0; i < g->tensor_count; i++) FND_TRY(place_tensor(g, &g->tensors[i], section, err));
    return g->flags & FND_GGUF_METADATA_ONLY ? FND_OK : check_overlaps(g, err);
}

/* Takes over the mapping, also when it fails. */
static fnd_status open_map(fnd_map map, bool mapped, const char *name, unsigned flags, fnd_gguf **out, fnd_error *err) {
    fnd_gguf *g = fnd_alloc_zeroed(1, sizeof *g);
    char *path = g ? fnd_alloc_string(name, strlen(name)) : NULL;
    if (!path) {
        if (mapped) fnd_map_close(&map);
        fnd_free_memory(g);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening %s", name);
    }
    *g = (fnd_gguf){ .map = map, .mapped = mapped, .path = path, .flags = flags };
    fnd_status status = read_all(g, err);
    if (status != FND_OK) {
        fnd_gguf_close(g);
        return status;
    }
    *out = g;
    return FND_OK;
}

fnd_status fnd_gguf_open(const char *path, unsigned flags, fnd_gguf **out, fnd_error *err) {
    *out = NULL;
    fnd_map map;
    FND_TRY(fnd_map_open(path, &map, err));
    return open_map(map, true, path, flags, out, err);
}

fnd_status fnd_gguf_open_memory(const void *data, size_t bytes, const char *name, unsigned flags, fnd_gguf **out, fnd_error *err) {
    *out = NULL;
    return open_map((fnd_map){ .data = data, .bytes = bytes }, false, name, flags, out, err);
}

void fnd_gguf_close(fnd_gguf *g) {
    if (!g) return;
    fnd_index_free(&g->value_index);
    fnd_index_free(&g->tensor_index);
    fnd_free_memory(g->values);
    fnd_free_memory(g->tensors);
    fnd_free_memory(g->path);
    if (g->mapped) fnd_map_close(&g->map);
    fnd_free_memory(g);
}

const fnd_gguf_value *fnd_gguf_find(const fnd_gguf *g, const char *key) {
    size_t i = fnd_index_find(&g->value_index, g->values, value_key, (fnd_span){ key, strlen(key) });
    return i == FND_INDEX_NONE ? NULL : &g->values[i];
}

const fnd_gguf_tensor *fnd_gguf_find_tensor(const fnd_gguf *g, const char *name) {
    size_t i = fnd_index_find(&g->tensor_index, g->tensors, tensor_key, (fnd_span){ name, strlen(name) });
    return i == FND_INDEX_NONE ? NULL : &g->tensors[i];
}

void fnd_gguf_forget(const fnd_gguf *g) {
    if (g->mapped) fnd_map_forget(&g->map);
}
