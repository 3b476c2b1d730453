/* tensor.h - tensors: a format, a shape and a place in somebody's storage.
 *
 * An fnd_tensor is a small value that describes memory; copying it copies no data. Who owns the
 * memory is a type around it:
 *
 *   fnd_dedicated     owns its storage: fnd_tensor_free takes this type and no other
 *   fnd_pooled        belongs to a pool and dies when the pool is reset or destroyed
 *   fnd_view          borrows another tensor's storage; may be written
 *   fnd_const_view    borrows, read-only: gives its tensor as `const fnd_tensor *` only, so that
 *                     binding it as an output does not compile
 *
 * Kernels bind `&x.t`, or fnd_view_tensor(&x) for a const view. Storage is looked up by number and
 * generation in a table that outlives pools and contexts: using a tensor whose pool was reset, that
 * was freed, or whose context was closed is FND_ERR_STALE with a sentence, in release builds too.
 *
 * Shapes are outermost first: [rows, cols] has cols next to each other. Sizes come only from block
 * counts (foundry/format.h) and are checked for overflow. Host and device copies are kept in step:
 * what is written here is uploaded when a kernel first reads it, and fnd_tensor_read waits for the
 * kernels that may write the tensor and downloads what they wrote.
 *
 * Different tensors may be used from different threads; one tensor, its pool or a growing tensor
 * from one thread at a time.
 */
#ifndef FOUNDRY_TENSOR_H
#define FOUNDRY_TENSOR_H

#include "foundry/format.h"
#include "foundry/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct foundry foundry; /* foundry/context.h */

enum { FND_MAX_RANK = 4, FND_NAME_BYTES = 32 };

/* How the blocks of a tensor lie in memory. */
typedef enum fnd_layout {
    FND_LAYOUT_ROWS, /* row after row, as in a file; outer dimensions may be strided */
    FND_LAYOUT_TILES /* `tile_rows` rows interleaved, each tile rounded up to 64 bytes: weights
                      * repacked for a device. Contiguous; cut only at multiples of tile_rows */
} fnd_layout;

enum { FND_TENSOR_READ_ONLY = 1 };

typedef struct fnd_tensor {
    fnd_format format;
    uint32_t   rank;                   /* 1 .. FND_MAX_RANK; 0: no tensor */
    uint64_t   shape[FND_MAX_RANK];    /* in values, outermost first; 1 beyond `rank` */
    uint64_t   stride[FND_MAX_RANK];   /* in blocks of the format; the innermost is always 1 */
    fnd_layout layout;
    uint32_t   tile_rows;              /* FND_LAYOUT_TILES: rows of a tile, else 0 */
    uint64_t   offset_bytes;           /* of the first value in its storage */
    uint32_t   storage, generation;    /* place in the storage table */
    uint32_t   flags;                  /* FND_TENSOR_READ_ONLY */
    char       name[FND_NAME_BYTES];   /* for messages; may be empty */
} fnd_tensor;

typedef struct fnd_dedicated  { fnd_tensor t; } fnd_dedicated;
typedef struct fnd_pooled     { fnd_tensor t; } fnd_pooled;
typedef struct fnd_view       { fnd_tensor t; } fnd_view;
typedef struct fnd_const_view { fnd_tensor private_; } fnd_const_view; /* see fnd_view_tensor */

static inline const fnd_tensor *fnd_view_tensor(const fnd_const_view *view) { return &view->private_; }

/* What a tensor means, so that the compiler catches a swap. */
typedef struct fnd_query         { fnd_tensor t; } fnd_query;
typedef struct fnd_key           { fnd_tensor t; } fnd_key;
typedef struct fnd_value         { fnd_tensor t; } fnd_value;
typedef struct fnd_weight_tensor { fnd_tensor t; } fnd_weight_tensor; /* read-only */

static inline fnd_query fnd_as_query(fnd_tensor *t) { fnd_query q; q.t = *t; return q; }
static inline fnd_key   fnd_as_key(fnd_tensor *t)   { fnd_key k;   k.t = *t; return k; }
static inline fnd_value fnd_as_value(fnd_tensor *t) { fnd_value v; v.t = *t; return v; }
static inline fnd_weight_tensor fnd_as_weight(const fnd_tensor *t) {
    fnd_weight_tensor w;
    w.t = *t;
    w.t.flags |= FND_TENSOR_READ_ONLY;
    return w;
}

/* ---- shapes ------------------------------------------------------------------------------- */

typedef struct fnd_shape {
    uint32_t rank;
    uint64_t dim[FND_MAX_RANK]; /* outermost first */
} fnd_shape;

static inline fnd_shape fnd_shape4(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    fnd_shape s;
    s.rank = 4;
    s.dim[0] = a; s.dim[1] = b; s.dim[2] = c; s.dim[3] = d;
    return s;
}
static inline fnd_shape fnd_shape3(uint64_t a, uint64_t b, uint64_t c) { fnd_shape s = fnd_shape4(a, b, c, 1); s.rank = 3; return s; }
static inline fnd_shape fnd_shape2(uint64_t a, uint64_t b) { fnd_shape s = fnd_shape4(a, b, 1, 1); s.rank = 2; return s; }
static inline fnd_shape fnd_shape1(uint64_t a) { fnd_shape s = fnd_shape4(a, 1, 1, 1); s.rank = 1; return s; }

/* Name a tensor for messages: at most FND_NAME_BYTES - 1 bytes are kept. */
void fnd_tensor_set_name(fnd_tensor *t, const char *name);
/* "'logits' f32 [1, 151936]": into text[bytes], always NUL-terminated. Returns text. */
char *fnd_tensor_describe(const fnd_tensor *t, char *text, size_t bytes);
/* Values in the tensor; rows = the product of all dimensions but the innermost; bytes of its data
 * without gaps (tiles included). 0 where that does not fit 64 bits, which no allocated tensor has. */
uint64_t fnd_tensor_values(const fnd_tensor *t);
uint64_t fnd_tensor_rows(const fnd_tensor *t);
uint64_t fnd_tensor_bytes(const fnd_tensor *t);
/* From its first byte to its last: more than fnd_tensor_bytes when it is strided. */
uint64_t fnd_tensor_extent_bytes(const fnd_tensor *t);
bool     fnd_tensor_contiguous(const fnd_tensor *t);

/* ---- making tensors ------------------------------------------------------------------------ */

typedef enum fnd_init_kind {
    FND_INIT_ZEROS,  /* all bytes 0 */
    FND_INIT_ONES,   /* the value 1; not for packed formats */
    FND_INIT_COPY,   /* from `data`; `bytes` must be the tensor's size */
    FND_INIT_POISON  /* bytes 0xFF: NaN in floats and in the scales of packed formats */
} fnd_init_kind;

typedef struct fnd_init {
    fnd_init_kind kind;
    const void   *data;
    size_t        bytes;
} fnd_init;

static inline fnd_init fnd_init_of(fnd_init_kind kind, const void *data, size_t bytes) {
    fnd_init i;
    i.kind = kind;
    i.data = data;
    i.bytes = bytes;
    return i;
}
#define FND_ZEROS             fnd_init_of(FND_INIT_ZEROS, NULL, 0)
#define FND_ONES              fnd_init_of(FND_INIT_ONES, NULL, 0)
#define FND_POISON            fnd_init_of(FND_INIT_POISON, NULL, 0)
#define FND_COPY(data, bytes) fnd_init_of(FND_INIT_COPY, data, bytes)

/* A tensor with storage of its own. On failure *out is zero, which every call below accepts as
 * "no tensor" and answers with a sentence. */
FND_USE_RESULT fnd_status fnd_alloc(foundry *f, fnd_format format, fnd_shape shape, fnd_init init, fnd_dedicated *out, fnd_error *err);
/* The same in FND_LAYOUT_TILES, zeroed. */
FND_USE_RESULT fnd_status fnd_alloc_tiled(foundry *f, fnd_format format, fnd_shape shape, uint32_t tile_rows, fnd_dedicated *out, fnd_error *err);
/* Free, after waiting for kernels that may still use it, and clear *x. A zero tensor is fine; a copy
 * of a tensor already freed is FND_ERR_STALE. The status may be ignored. */
fnd_status fnd_tensor_free(foundry *f, fnd_dedicated *x, fnd_error *err);

/* A tensor whose address never changes while it grows: address space for all of `limit` is reserved,
 * memory comes with fnd_grow, zeroed. Its shape is the limit from the start. */
FND_USE_RESULT fnd_status fnd_reserve(foundry *f, fnd_format format, fnd_shape limit, fnd_dedicated *out, fnd_error *err);
/* Make at least the first `count` of the outermost dimension usable. Doubles, so that growing one by
 * one costs little; does nothing when they already are. More than the limit: FND_ERR_LIMIT. */
FND_USE_RESULT fnd_status fnd_grow(foundry *f, fnd_dedicated *x, uint64_t count, fnd_error *err);
/* How many of the outermost dimension are usable: all, unless it came from fnd_reserve. */
uint64_t fnd_usable(const fnd_tensor *t);

/* Memory of the host, such as a mapped file, as a read-only tensor: in place where the device can
 * see it, else uploaded once. `host` must stay valid until fnd_tensor_unadopt or fnd_close. */
typedef struct fnd_adopt_desc {
    const void *host;
    size_t      bytes;   /* at least what format and shape need */
    fnd_format  format;  /* FND_U8 with shape [bytes] for a whole file; see fnd_const_view_typed */
    fnd_shape   shape;
    const char *name;    /* may be NULL */
} fnd_adopt_desc;
FND_USE_RESULT fnd_status fnd_tensor_adopt(foundry *f, const fnd_adopt_desc *desc, fnd_const_view *out, fnd_error *err);
/* Let go of adopted memory and clear *x; only of what fnd_tensor_adopt gave, not of views into it. */
fnd_status fnd_tensor_unadopt(foundry *f, fnd_const_view *x, fnd_error *err);

/* ---- pools --------------------------------------------------------------------------------- */

/* One block of device memory, handed out from front to back, every tensor at a multiple of 128
 * bytes, and taken back all at once. A copy of an fnd_pool is the same pool. */
typedef struct fnd_pool {
    uint32_t storage, generation;
    char     name[FND_NAME_BYTES];
} fnd_pool;

typedef struct fnd_pool_usage {
    uint64_t bytes, used_bytes, tensors;
} fnd_pool_usage;

FND_USE_RESULT fnd_status fnd_pool_create(foundry *f, uint64_t bytes, const char *name, fnd_pool *out, fnd_error *err);
/* No room left: FND_ERR_LIMIT. */
FND_USE_RESULT fnd_status fnd_pool_alloc(const fnd_pool *pool, fnd_format format, fnd_shape shape, fnd_init init, fnd_pooled *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_pool_info(const fnd_pool *pool, fnd_pool_usage *out, fnd_error *err);
/* All tensors of the pool are gone; the memory stays. Waits for kernels that may still use them. */
fnd_status fnd_pool_reset(const fnd_pool *pool, fnd_error *err);
/* The same, and the pool is gone too. *pool is cleared; a zero pool is fine. */
fnd_status fnd_pool_destroy(fnd_pool *pool, fnd_error *err);

/* ---- views --------------------------------------------------------------------------------- */

/* All of it. A view of a read-only tensor stays read-only when bound, whatever its type says. */
static inline fnd_view fnd_view_of(fnd_tensor *t) { fnd_view v; v.t = *t; return v; }
static inline fnd_const_view fnd_const_view_of(const fnd_tensor *t) {
    fnd_const_view v;
    v.private_ = *t;
    v.private_.flags |= FND_TENSOR_READ_ONLY;
    return v;
}
/* Part of one dimension. The innermost is cut at whole blocks, tiles at whole tiles. */
typedef struct fnd_cut {
    uint32_t dim;
    uint64_t first, count;
} fnd_cut;
FND_USE_RESULT fnd_status fnd_view_cut(fnd_tensor *of, fnd_cut cut, fnd_view *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_const_view_cut(const fnd_tensor *of, fnd_cut cut, fnd_const_view *out, fnd_error *err);
/* The same values in another shape: of a contiguous tensor. Rows of tiles stay as they are. */
FND_USE_RESULT fnd_status fnd_view_shape(fnd_tensor *of, fnd_shape shape, fnd_view *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_const_view_shape(const fnd_tensor *of, fnd_shape shape, fnd_const_view *out, fnd_error *err);
/* Two dimensions exchanged, neither the innermost: [tokens, heads, dim] <-> [heads, tokens, dim]. */
FND_USE_RESULT fnd_status fnd_view_swap(fnd_tensor *of, uint32_t a, uint32_t b, fnd_view *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_const_view_swap(const fnd_tensor *of, uint32_t a, uint32_t b, fnd_const_view *out, fnd_error *err);
/* Bytes seen as a tensor: `of` is a contiguous FND_U8 tensor, such as an adopted file. */
typedef struct fnd_typed {
    uint64_t    offset_bytes;
    fnd_format  format;
    fnd_shape   shape;
    const char *name; /* may be NULL */
} fnd_typed;
FND_USE_RESULT fnd_status fnd_view_typed(fnd_tensor *of, const fnd_typed *as, fnd_view *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_const_view_typed(const fnd_tensor *of, const fnd_typed *as, fnd_const_view *out, fnd_error *err);

/* ---- data ---------------------------------------------------------------------------------- */

/* Bytes of the tensor as they lie in its layout without gaps: a strided view is gathered and
 * scattered. offset_bytes + bytes <= fnd_tensor_bytes(t). Both wait for kernels that may use it. */
FND_USE_RESULT fnd_status fnd_tensor_write(foundry *f, fnd_tensor *t, uint64_t offset_bytes, const void *data, size_t bytes, fnd_error *err);
FND_USE_RESULT fnd_status fnd_tensor_read(foundry *f, const fnd_tensor *t, uint64_t offset_bytes, void *data, size_t bytes, fnd_error *err);
/* FND_OK while the storage of the tensor exists in this context, else the sentence. */
FND_USE_RESULT fnd_status fnd_tensor_check(const foundry *f, const fnd_tensor *t, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
