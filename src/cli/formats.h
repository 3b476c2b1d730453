/* formats.h - formats of weights on the command line, and tensors in JSON. */
#ifndef CLI_FORMATS_H
#define CLI_FORMATS_H

#include "cli/cli.h"

/* " f32 f16 ..." */
#define FND_CLI_FORMAT_WORD_(id, name, ggml, weights, bytes) " " #name
#define FND_CLI_FORMATS                                      FND_FORMATS(FND_CLI_FORMAT_WORD_)

/* The format of this name; FND_ERR_USAGE with those that there are. `option` is for the message. */
FND_USE_RESULT fnd_status fnd_cli_weight_format(const char *option, const char *name, fnd_format *out, fnd_error *err);

/* {"name": ..., "format": ..., "dims": [...], "bytes": N}, the first without a comma before it. */
void fnd_cli_json_tensor(fnd_text *out, const fnd_gguf_tensor *t, size_t number);

#endif
