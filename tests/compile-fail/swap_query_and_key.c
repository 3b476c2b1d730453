/* Query and key are distinct types, so that a call of the shipped attention cannot mix them up. */
/* expect: incompatible pointer type */
/* expect: incompatible-pointer-types */
#include "foundry/kernels.h"

fnd_status attend(foundry *f, fnd_tensor *part, fnd_query *q, fnd_key *k, fnd_value *v);

fnd_status attend(foundry *f, fnd_tensor *part, fnd_query *q, fnd_key *k, fnd_value *v) {
#ifdef CONTROL
    return fnd_attention_decode(f, &(fnd_attention_decode_bind){ .part = part, .q = q, .k = k, .v = v }, NULL);
#else
    return fnd_attention_decode(f, &(fnd_attention_decode_bind){ .part = part, .q = k, .k = q, .v = v }, NULL);
#endif
}
