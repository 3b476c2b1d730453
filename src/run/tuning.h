/* tuning.h - what `foundry tune` found to be fastest on this machine: a small file in the cache's folder.
 *
 * Only choices that leave every bit of an answer as it is are tuned. A file is for one processor with so many cores, one
 * level of instructions and one build: its name is their hash, which stands in it too, with a checksum of all of it. */
#ifndef RUN_TUNING_H
#define RUN_TUNING_H

#include "foundry/context.h"

enum { FND_TUNING_TEXT_BYTES = 160 };

typedef struct fnd_tuning {
    uint32_t threads; /* workers; 0: as if nobody had measured */
    uint32_t batch;   /* tokens of a prompt evaluated together; 0: likewise */
    uint32_t unit_from; /* tokens from which on 8-bit products go to the matrix unit; 0: likewise */
    uint32_t repack;  /* an fnd_repacking (foundry/model.h); 0, FND_REPACK_AUTO: likewise */
    char     measured[FND_TUNING_TEXT_BYTES]; /* when, and with which model */
} fnd_tuning;

enum { FND_TUNING_BATCH_MIN = 32, FND_TUNING_BATCH_MAX = 8192, FND_TUNING_UNIT_MAX = 4096, FND_TUNING_REPACK_MAX = 2 };

/* The file for the level of instructions `isa` (NULL: the best here), in the folder that desc names. False: there is no
 * folder, its name is too long, or another backend or other kernel texts are asked for. */
bool fnd_tuning_path(const fnd_desc *desc, char *path, size_t bytes);

/* *found says whether there is one. One that is damaged or belongs elsewhere: FND_ERR_FORMAT with a sentence, and *out as if
 * there were none. */
FND_USE_RESULT fnd_status fnd_tuning_read(const fnd_desc *desc, fnd_tuning *out, bool *found, fnd_error *err);
FND_USE_RESULT fnd_status fnd_tuning_write(const fnd_desc *desc, const fnd_tuning *tuning, fnd_error *err);

/* Try a choice of unit_from on an open context that nobody else uses. */
void fnd_tuning_try_unit(foundry *f, uint32_t unit_from);

/* That of an open context: zeros where nothing was tuned. */
const fnd_tuning *fnd_tuned(const foundry *f);

#endif
