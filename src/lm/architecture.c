/* architecture.c - the architectures, as data. */
#include "base/base.h"
#include "lm/model.h"

static const fnd_architecture architectures[] = {
    { .name = "llama", .rope_pairing = 0 }, /* converters permute Q and K so that pairs are adjacent */
    { .name = "qwen2", .rope_pairing = 1 },
};

const fnd_architecture *fnd_architecture_find(fnd_span name) {
    for (size_t i = 0; i < FND_COUNT(architectures); i++) {
        if (fnd_span_equal(name, architectures[i].name)) return &architectures[i];
    }
    return NULL;
}
