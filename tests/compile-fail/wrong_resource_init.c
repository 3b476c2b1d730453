/* The functions of a descriptor are checked against its type. */
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

#ifdef CONTROL
static fnd_status init(foundry *f, kv_cache *object, fnd_error *err) {
#else
static fnd_status init(foundry *f, sampler *object, fnd_error *err) {
#endif
    (void)f;
    (void)object;
    (void)err;
    return FND_OK;
}
static void release(foundry *f, kv_cache *object) {
    (void)f;
    (void)object;
}

FND_RESOURCE_DEFINE(kv_cache, kv_cache_type, init, release)
