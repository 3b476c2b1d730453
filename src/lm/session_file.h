/* session_file.h - the file a session is kept in.
 *
 *   header   192 bytes, below; its last 16 are the hash of those before
 *   ids      u32 [position]
 *   note     the caller's bytes
 *   logits   f32 [vocab], if has_logits
 *   layers   each: keys of the used blocks of 16 positions, then values
 *   hash     of all before it: 16 bytes
 *
 * Little-endian, without gaps. Hashes are XXH3, 128 bits. Keys and values are the cache's own bytes
 * (src/kernels/attention/args.h), of the number formats that the header names. */
#ifndef LM_SESSION_FILE_H
#define LM_SESSION_FILE_H

#include "base/hash.h"
#include "foundry/status.h"

#include <stdint.h>

#define FND_SESSION_MAGIC "FNDSESSN"
enum { FND_SESSION_VERSION = 2 };

typedef struct fnd_session_header {
    char        magic[8];
    uint32_t    version, header_bytes;
    fnd_hash128 model;              /* its fingerprint */
    char        model_name[72];     /* for messages; NUL-terminated */
    char        kv_format[8];       /* "f16"; NUL-terminated */
    uint32_t    layers, vocab, block, has_logits; /* block: positions in one */
    uint32_t    position, kept, dropped;
    uint32_t    long_rope;          /* 1: keys are rotated by LongRoPE's long frequencies */
    uint64_t    block_bytes;        /* of a layer's keys in one block; as many of its values */
    uint64_t    note_bytes;
    uint64_t    file_bytes;
    uint64_t    unused_too;
    fnd_hash128 header_hash;
} fnd_session_header;
_Static_assert(sizeof(fnd_session_header) == 192, "the header as it is in files");

/* What a file must fit. */
typedef struct fnd_session_shape {
    fnd_hash128 model;
    const char *kv_format;
    uint32_t    layers, vocab, block, context, long_rope;
    uint64_t    block_bytes;
} fnd_session_shape;

/* The parts of a file that is right. */
typedef struct fnd_session_parts {
    fnd_session_header header;
    const uint8_t     *ids, *note, *logits, *layers; /* logits: NULL when there are none */
    uint64_t           layer_bytes;                  /* of its keys, and of its values */
} fnd_session_parts;

/* file_bytes of a header whose other fields are set. False: it does not fit 64 bits. */
bool fnd_session_file_size(const fnd_session_header *h, uint64_t *bytes);
/* `path` is for messages. */
FND_USE_RESULT fnd_status fnd_session_parse(const char *path, const uint8_t *data, size_t bytes, const fnd_session_shape *shape, fnd_session_parts *out, fnd_error *err);

#endif
