/* format_custom.h - adding a format at run time; the public door is fnd_register_text. */
#ifndef TENSOR_FORMAT_CUSTOM_H
#define TENSOR_FORMAT_CUSTOM_H

#include "foundry/format.h"

/* The name is copied. Adding the same format twice gives the same id, in every context; a known name
 * with other blocks is refused. From any thread. */
FND_USE_RESULT fnd_status fnd_format_add(const fnd_format_info *info, fnd_format *out, fnd_error *err);

#endif
