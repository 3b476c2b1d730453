/* format_custom.h - adding a format at run time; the public door is fnd_register_policy. */
#ifndef TENSOR_FORMAT_CUSTOM_H
#define TENSOR_FORMAT_CUSTOM_H

#include "foundry/format.h"

/* `info->name` must stay valid for the life of the process. Adding the same format twice gives the
 * same id; a known name with other blocks is refused. Not thread-safe: register before use. */
FND_USE_RESULT fnd_status fnd_format_add(const fnd_format_info *info, fnd_format *out, fnd_error *err);

#endif
