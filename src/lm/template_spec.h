/* template_spec.h - one value laid out as "%5.1f" or "{:>8}" ask for. */
#ifndef LM_TEMPLATE_SPEC_H
#define LM_TEMPLATE_SPEC_H

#include "lm/template.h"

typedef struct tpl_spec {
    tpl_str fill;      /* one character */
    char    align;     /* '<', '>', '^', '=' (between sign and digits), 0: as the value has it */
    char    sign;      /* '+', ' ', 0 */
    char    grouping;  /* ',', '_', 0 */
    char    type;      /* d x f s ..; 0: none given */
    bool    alternate; /* # */
    bool    percent;   /* of the operator %, which differs in details */
    bool    zero;      /* filled with zeros */
    int64_t width, precision; /* -1: none */
    uint8_t mark;      /* of what is filled in */
} tpl_spec;

FND_USE_RESULT fnd_status fnd_tpl_spec_integer(tpl_run *r, tpl_builder *b, const tpl_spec *spec, const tpl_value *v);
FND_USE_RESULT fnd_status fnd_tpl_spec_float(tpl_run *r, tpl_builder *b, const tpl_spec *spec, double x, uint8_t mark);
FND_USE_RESULT fnd_status fnd_tpl_spec_text(tpl_run *r, tpl_builder *b, const tpl_spec *spec, tpl_str s);

#endif
