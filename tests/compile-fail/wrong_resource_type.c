/* What the registry gives has the type its descriptor was declared with. */
/* expect: incompatible pointer type */
/* expect: incompatible-pointer-types */
#include "foundry/context.h"

typedef struct kv_cache {
    int positions;
} kv_cache;
typedef struct sampler {
    int seed;
} sampler;

FND_RESOURCE_DECLARE(kv_cache, kv_cache_type);
FND_RESOURCE_DECLARE(sampler, sampler_type);

sampler *get(foundry *f);

sampler *get(foundry *f) {
#ifdef CONTROL
    return fnd_resource(f, &sampler_type, NULL);
#else
    return fnd_resource(f, &kv_cache_type, NULL);
#endif
}
