/* template_wrap.h - the filter wordwrap. */
#ifndef LM_TEMPLATE_WRAP_H
#define LM_TEMPLATE_WRAP_H

#include "lm/template.h"

/* wordwrap(width=79, break_long_words=true, wrapstring="\n", break_on_hyphens=true): as Python's
 * textwrap.wrap() breaks each line. */
TPL_FUNCTION(fnd_tpl_wordwrap);

#endif
