/* A writable view of a tensor that may only be read. */
/* expect: discarded-qualifiers */
/* expect: discards-qualifiers */
#include "foundry/tensor.h"

fnd_status first_row(const fnd_tensor *of, fnd_view *writable, fnd_const_view *readable);

fnd_status first_row(const fnd_tensor *of, fnd_view *writable, fnd_const_view *readable) {
    fnd_cut cut = { 0, 0, 1 };
#ifdef CONTROL
    (void)writable;
    return fnd_const_view_cut(of, cut, readable, NULL);
#else
    (void)readable;
    return fnd_view_cut(of, cut, writable, NULL);
#endif
}
