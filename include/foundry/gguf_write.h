/* gguf_write.h - writing model files (GGUF version 3), larger than memory if need be.
 *
 *     fnd_gguf_writer *w;
 *     if (fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = "out.gguf" }, &w, &err) != FND_OK) ...
 *     fnd_gguf_put_str(w, "general.architecture", "llama");
 *     fnd_gguf_put_u32(w, "llama.block_count", 2);
 *     fnd_gguf_put_tensor(w, "token_embd.weight", FND_Q8_0, 2, (uint64_t[]){ 64, 256 });   // number 0
 *     status = fnd_gguf_writer_begin(w, &err);
 *     status = fnd_gguf_writer_write(w, 0, 0, data, bytes, &err);
 *     status = fnd_gguf_writer_finish(w, &err);
 *     fnd_gguf_writer_close(w);
 *
 * First all metadata and all tensors' names and shapes, then the data, in any order. The file comes
 * into being under its name by fnd_gguf_writer_finish, whole; until then it is beside it, and
 * fnd_gguf_writer_close without finish leaves nothing.
 */
#ifndef FOUNDRY_GGUF_WRITE_H
#define FOUNDRY_GGUF_WRITE_H

#include "foundry/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fnd_gguf_writer fnd_gguf_writer;

typedef struct fnd_gguf_writer_desc {
    const char *path;
    bool        replace;   /* a file of that name, which is refused otherwise */
    uint32_t    alignment; /* of tensors; 0: 32. A power of two from 8 to 65536 */
} fnd_gguf_writer_desc;

/* Creates the file beside its name. FND_ERR_FILE: it exists, or cannot be made. */
FND_USE_RESULT fnd_status fnd_gguf_writer_open(const fnd_gguf_writer_desc *desc, fnd_gguf_writer **out, fnd_error *err);
void fnd_gguf_writer_close(fnd_gguf_writer *w); /* NULL is fine */

/* Metadata. What is wrong with it (a key twice, memory) is said by fnd_gguf_writer_begin. */
void fnd_gguf_put_u32(fnd_gguf_writer *w, const char *key, uint32_t value);
void fnd_gguf_put_f32(fnd_gguf_writer *w, const char *key, float value);
void fnd_gguf_put_bool(fnd_gguf_writer *w, const char *key, bool value);
void fnd_gguf_put_str(fnd_gguf_writer *w, const char *key, const char *value);
void fnd_gguf_put_strs(fnd_gguf_writer *w, const char *key, const fnd_span *values, size_t count);
void fnd_gguf_put_i32s(fnd_gguf_writer *w, const char *key, const int32_t *values, size_t count);
void fnd_gguf_put_f32s(fnd_gguf_writer *w, const char *key, const float *values, size_t count);
/* An entry of another file, as it is there. Not general.alignment: see the desc. */
void fnd_gguf_put_value(fnd_gguf_writer *w, const fnd_gguf_value *value);

/* Tensors are numbered from 0 in the order of these calls. dims[0] is the length of a row, as in a
 * file. A name twice, or a row that is no multiple of the format's block: said by begin. */
void fnd_gguf_put_tensor(fnd_gguf_writer *w, const char *name, fnd_format format, uint32_t dim_count, const uint64_t *dims);

/* Write everything but the data, and take the room for it: a disk that is too small says so here. */
FND_USE_RESULT fnd_status fnd_gguf_writer_begin(fnd_gguf_writer *w, fnd_error *err);
/* After begin: bytes of a tensor, from `offset_bytes` of its data on. Any thread, any order; every
 * byte once. */
FND_USE_RESULT fnd_status fnd_gguf_writer_write(fnd_gguf_writer *w, size_t tensor, uint64_t offset_bytes, const void *data, size_t bytes, fnd_error *err);
/* All data is written: the file gets its name. Fewer or more bytes than the tensors have: FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_gguf_writer_finish(fnd_gguf_writer *w, fnd_error *err);

/* Bytes of all tensors, and of the whole file; after begin. */
uint64_t fnd_gguf_writer_tensor_bytes(const fnd_gguf_writer *w);
uint64_t fnd_gguf_writer_file_bytes(const fnd_gguf_writer *w);

#ifdef __cplusplus
}
#endif
#endif
