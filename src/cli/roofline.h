/* roofline.h - the roofline picture (Williams, Waterman and Patterson, 2009). */
#ifndef CLI_ROOFLINE_H
#define CLI_ROOFLINE_H

#include "cli/lm.h"

typedef struct fnd_cli_roofline {
    const char *model, *device;
    const fnd_cli_roofs *roofs;
    const fnd_profile_row *rows; /* of kernels and scopes, most time first */
    size_t count;
    const fnd_profile_totals *totals;
} fnd_cli_roofline;

/* An SVG: operations a second over operations for each byte, both in powers of two; the measured
 * roofs as lines, a disc for each kernel that computes, and a list of all kernels beside it. */
void fnd_cli_roofline_draw(const fnd_cli_roofline *r, fnd_text *out);

#endif
