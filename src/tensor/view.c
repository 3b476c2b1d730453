/* view.c - views: other shapes and parts of somebody else's storage. */
#include "foundry/tensor.h"
#include "base/base.h"
#include "tensor/storage_table.h"

static fnd_status no_tensor(fnd_error *err) { return fnd_fail(err, FND_ERR_USAGE, "a view of no tensor was asked for"); }

/* Tiles hold whole rows, so that they can be cut only between tiles, and only if what is left lies
 * together. */
static bool cut_between_tiles(const fnd_tensor *t, const fnd_cut *cut, uint64_t *first_row) {
    uint64_t rows = 1; /* per step of the dimension */
    if (cut->dim + 1 == t->rank) return cut->count == t->shape[cut->dim];
    for (uint32_t i = 0; i < cut->dim; i++) {
        if (t->shape[i] != 1) return false;
    }
    for (uint32_t i = cut->dim + 1; i + 1 < t->rank; i++) rows *= t->shape[i];
    *first_row = cut->first * rows;
    bool to_end = cut->first + cut->count == t->shape[cut->dim];
    return *first_row % t->tile_rows == 0 && (to_end || cut->count * rows % t->tile_rows == 0);
}

static fnd_status cut_tensor(const fnd_tensor *of, const fnd_cut *cut, fnd_tensor *out, fnd_error *err) {
    char text[192];
    if (of->rank == 0) return no_tensor(err);
    fnd_tensor_describe(of, text, sizeof text);
    uint64_t first = cut->first, count = cut->count;
    if (cut->dim >= of->rank || count == 0 || first > of->shape[cut->dim] || count > of->shape[cut->dim] - first) {
        return fnd_fail(err, FND_ERR_SHAPE, "tensor %s has no %llu places from %llu on in dimension %u", text, (unsigned long long)count, (unsigned long long)first, cut->dim);
    }
    const fnd_format_info *info = fnd_format_get(of->format);
    fnd_tensor t = *of;
    t.shape[cut->dim] = count;
    if (of->layout == FND_LAYOUT_TILES) {
        uint64_t first_row = 0;
        if (!cut_between_tiles(of, cut, &first_row)) {
            return fnd_fail(err, FND_ERR_SHAPE, "tensor %s lies in tiles of %u rows and can only be cut between them", text, of->tile_rows);
        }
        fnd_tensor before = *of;
        before.rank = 2;
        before.shape[0] = first_row;
        before.shape[1] = of->shape[of->rank - 1];
        t.offset_bytes += first_row ? fnd_tensor_bytes(&before) : 0;
    } else if (cut->dim + 1 == of->rank) {
        if (first % info->block_weights || count % info->block_weights) {
            return fnd_fail(err, FND_ERR_SHAPE, "tensor %s has blocks of %u values; its rows cannot be cut at %llu + %llu", text, info->block_weights, (unsigned long long)first, (unsigned long long)count);
        }
        t.offset_bytes += first / info->block_weights * info->block_bytes;
    } else {
        t.offset_bytes += first * of->stride[cut->dim] * info->block_bytes;
    }
    *out = t;
    return FND_OK;
}

static fnd_status reshape_tensor(const fnd_tensor *of, const fnd_shape *shape, fnd_tensor *out, fnd_error *err) {
    char text[192], wanted[160];
    fnd_tensor t;
    uint64_t bytes;
    if (of->rank == 0) return no_tensor(err);
    FND_TRY(fnd_tensor_plan(of->format, *shape, of->tile_rows, &t, &bytes, err));
    fnd_tensor_describe(of, text, sizeof text);
    fnd_shape_describe(of->format, shape, wanted, sizeof wanted);
    if (!fnd_tensor_contiguous(of)) return fnd_fail(err, FND_ERR_SHAPE, "tensor %s has gaps between its rows and cannot be seen as %s", text, wanted);
    bool same_rows = t.shape[t.rank - 1] == of->shape[of->rank - 1];
    if (fnd_tensor_values(&t) != fnd_tensor_values(of) || (of->layout == FND_LAYOUT_TILES && !same_rows)) {
        return fnd_fail(err, FND_ERR_SHAPE, "tensor %s cannot be seen as %s: %s", text, wanted,
                        of->layout == FND_LAYOUT_TILES && !same_rows ? "rows in tiles stay as long as they are" : "it has another number of values");
    }
    t.offset_bytes = of->offset_bytes;
    t.storage = of->storage;
    t.generation = of->generation;
    t.flags = of->flags;
    fnd_tensor_set_name(&t, of->name);
    *out = t;
    return FND_OK;
}

static fnd_status swap_tensor(const fnd_tensor *of, uint32_t a, uint32_t b, fnd_tensor *out, fnd_error *err) {
    if (of->rank == 0) return no_tensor(err);
    if (a + 1 >= of->rank || b + 1 >= of->rank || of->layout == FND_LAYOUT_TILES) {
        char text[192];
        return fnd_fail(err, FND_ERR_SHAPE, "tensor %s: dimensions %u and %u cannot be exchanged: %s", fnd_tensor_describe(of, text, sizeof text), a, b,
                        of->layout == FND_LAYOUT_TILES ? "it lies in tiles" : "only those outside of the innermost can");
    }
    fnd_tensor t = *of;
    t.shape[a] = of->shape[b];
    t.shape[b] = of->shape[a];
    t.stride[a] = of->stride[b];
    t.stride[b] = of->stride[a];
    *out = t;
    return FND_OK;
}

static fnd_status type_tensor(const fnd_tensor *of, const fnd_typed *as, fnd_tensor *out, fnd_error *err) {
    fnd_tensor t;
    uint64_t bytes;
    if (of->rank == 0) return no_tensor(err);
    FND_TRY(fnd_tensor_plan(as->format, as->shape, 0, &t, &bytes, err));
    fnd_tensor_set_name(&t, as->name);
    char text[192], wanted[192];
    fnd_tensor_describe(of, text, sizeof text);
    fnd_tensor_describe(&t, wanted, sizeof wanted);
    if (of->format != FND_U8 || !fnd_tensor_contiguous(of)) return fnd_fail(err, FND_ERR_TYPE, "tensor %s is not plain bytes and cannot be seen as %s", text, wanted);
    uint64_t size = fnd_tensor_bytes(of);
    if (as->offset_bytes > size || bytes > size - as->offset_bytes) {
        return fnd_fail(err, FND_ERR_SHAPE, "tensor %s has no %llu bytes from %llu on for %s", text, (unsigned long long)bytes, (unsigned long long)as->offset_bytes, wanted);
    }
    t.offset_bytes = of->offset_bytes + as->offset_bytes;
    t.storage = of->storage;
    t.generation = of->generation;
    t.flags = of->flags;
    *out = t;
    return FND_OK;
}

/* Each in two flavours: borrowed to write, borrowed to read. */
static fnd_status to_view(fnd_status status, const fnd_tensor *t, fnd_view *out) {
    *out = (fnd_view){ 0 };
    if (status == FND_OK) out->t = *t;
    return status;
}

static fnd_status to_const(fnd_status status, const fnd_tensor *t, fnd_const_view *out) {
    *out = status == FND_OK ? fnd_const_view_of(t) : (fnd_const_view){ 0 };
    return status;
}

fnd_status fnd_view_cut(fnd_tensor *of, fnd_cut cut, fnd_view *out, fnd_error *err) {
    fnd_tensor t = { 0 };
    return to_view(cut_tensor(of, &cut, &t, err), &t, out);
}

fnd_status fnd_const_view_cut(const fnd_tensor *of, fnd_cut cut, fnd_const_view *out, fnd_error *err) {
    fnd_tensor t = { 0 };
    return to_const(cut_tensor(of, &cut, &t, err), &t, out);
}

fnd_status fnd_view_shape(fnd_tensor *of, fnd_shape shape, fnd_view *out, fnd_error *err) {
    fnd_tensor t = { 0 };
    return to_view(reshape_tensor(of, &shape, &t, err), &t, out);
}

fnd_status fnd_const_view_shape(const fnd_tensor *of, fnd_shape shape, fnd_const_view *out, fnd_error *err) {
    fnd_tensor t = { 0 };
    return to_const(reshape_tensor(of, &shape, &t, err), &t, out);
}

fnd_status fnd_view_swap(fnd_tensor *of, uint32_t a, uint32_t b, fnd_view *out, fnd_error *err) {
    fnd_tensor t = { 0 };
    return to_view(swap_tensor(of, a, b, &t, err), &t, out);
}

fnd_status fnd_const_view_swap(const fnd_tensor *of, uint32_t a, uint32_t b, fnd_const_view *out, fnd_error *err) {
    fnd_tensor t = { 0 };
    return to_const(swap_tensor(of, a, b, &t, err), &t, out);
}

fnd_status fnd_view_typed(fnd_tensor *of, const fnd_typed *as, fnd_view *out, fnd_error *err) {
    fnd_tensor t = { 0 };
    return to_view(type_tensor(of, as, &t, err), &t, out);
}

fnd_status fnd_const_view_typed(const fnd_tensor *of, const fnd_typed *as, fnd_const_view *out, fnd_error *err) {
    fnd_tensor t = { 0 };
    return to_const(type_tensor(of, as, &t, err), &t, out);
}
