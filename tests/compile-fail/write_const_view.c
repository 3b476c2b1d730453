/* A read-only view cannot be written from the host either. */
/* expect: discarded-qualifiers */
/* expect: discards-qualifiers */
#include "foundry/tensor.h"

fnd_status write_four(foundry *f, fnd_view *writable, const fnd_const_view *view);

fnd_status write_four(foundry *f, fnd_view *writable, const fnd_const_view *view) {
    const float four[] = { 1, 2, 3, 4 };
#ifdef CONTROL
    (void)view;
    return fnd_tensor_write(f, &writable->t, 0, four, sizeof four, NULL);
#else
    (void)writable;
    return fnd_tensor_write(f, fnd_view_tensor(view), 0, four, sizeof four, NULL);
#endif
}
