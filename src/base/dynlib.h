/* dynlib.h - shared libraries opened at run time: by name, or from bytes that were just compiled. */
#ifndef BASE_DYNLIB_H
#define BASE_DYNLIB_H

#include "foundry/status.h"

typedef struct fnd_dynlib fnd_dynlib;

/* Open "libcuda.so.1" or a path. When it is not there: FND_ERR_UNSUPPORTED with the loader's reason. */
FND_USE_RESULT fnd_status fnd_dynlib_open(const char *name, fnd_dynlib **out, fnd_error *err);

/* Load the bytes of a shared library. `label` is for messages and debuggers. Every call loads a
 * library of its own, even from equal bytes. The bytes are not needed afterwards. */
FND_USE_RESULT fnd_status fnd_dynlib_from_bytes(const char *label, const void *bytes, size_t count, fnd_dynlib **out, fnd_error *err);
/* The same by way of a temporary file only: what systems without executable memory files get. */
FND_USE_RESULT fnd_status fnd_dynlib_from_bytes_by_file(const char *label, const void *bytes, size_t count, fnd_dynlib **out, fnd_error *err);

/* Address of a symbol, or NULL. Dies with the library. */
void *fnd_dynlib_find(const fnd_dynlib *lib, const char *symbol);

void fnd_dynlib_close(fnd_dynlib *lib); /* NULL is fine */

#endif
