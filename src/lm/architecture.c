/* architecture.c - the list of architectures. */
#include "lm/architecture.h"
#include "base/base.h"

#define DECLARE(name) extern const fnd_architecture fnd_architecture_##name;
FND_ARCHITECTURES(DECLARE)
#undef DECLARE

static const fnd_architecture *const architectures[] = {
#define ADDRESS(name) &fnd_architecture_##name,
    FND_ARCHITECTURES(ADDRESS)
#undef ADDRESS
};

const fnd_architecture *fnd_architecture_at(size_t index) { return index < FND_COUNT(architectures) ? architectures[index] : NULL; }

const fnd_architecture *fnd_architecture_find(fnd_span name) {
    for (size_t i = 0; i < FND_COUNT(architectures); i++) {
        if (fnd_span_equal(name, architectures[i]->name)) return architectures[i];
    }
    return NULL;
}
