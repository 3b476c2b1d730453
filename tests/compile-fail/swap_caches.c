/* The caches of keys and of values lie differently in memory: neither is bound for the other. */
/* expect: incompatible pointer type */
/* expect: incompatible-pointer-types */
#include "foundry/kernels.h"

fnd_status attend(foundry *f, fnd_tensor *y, fnd_query *q, fnd_key *k_cache, fnd_value *v_cache);

fnd_status attend(foundry *f, fnd_tensor *y, fnd_query *q, fnd_key *k_cache, fnd_value *v_cache) {
#ifdef CONTROL
    return fnd_attention(f, &(fnd_attention_bind){ .y = y, .q = q, .k_cache = k_cache, .v_cache = v_cache }, NULL);
#else
    return fnd_attention(f, &(fnd_attention_bind){ .y = y, .q = q, .k_cache = v_cache, .v_cache = k_cache }, NULL);
#endif
}
