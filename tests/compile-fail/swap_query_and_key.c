/* Query and key are distinct types, so that an attention call cannot mix them up. */
/* expect: incompatible pointer type */
/* expect: incompatible-pointer-types */
#include "foundry/tensor.h"

typedef struct attention_bind {
    fnd_tensor *out;
    const fnd_query *q;
    const fnd_key *k;
    const fnd_value *v;
} attention_bind;

attention_bind bind(fnd_tensor *out, fnd_query *q, fnd_key *k, fnd_value *v);

attention_bind bind(fnd_tensor *out, fnd_query *q, fnd_key *k, fnd_value *v) {
#ifdef CONTROL
    return (attention_bind){ .out = out, .q = q, .k = k, .v = v };
#else
    return (attention_bind){ .out = out, .q = k, .k = q, .v = v };
#endif
}
