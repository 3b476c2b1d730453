/* status.c - texts of statuses, and the one function that records a failure. */
#include "foundry/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *fnd_status_text(fnd_status status) {
    switch (status) {
#define FND_STATUS_ROW_(id, value, text) \
    case FND_##id: \
        return text;
        FND_STATUSES(FND_STATUS_ROW_)
#undef FND_STATUS_ROW_
    }
    return "unknown status";
}

fnd_status fnd_fail(fnd_error *err, fnd_status status, const char *format, ...) {
    if (err && err->status == FND_OK) {
        err->status = status;
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}
