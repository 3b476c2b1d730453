/* fuzz_batch.c - any text as a line of `foundry run --batch`. */
#include "lm/batch_line.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    fnd_error err = { 0 };
    fnd_batch_line line;
    fnd_generate_desc defaults = { .max_tokens = 5 };
    if (fnd_batch_line_parse((const char *)data, bytes, &defaults, &line, &err) != FND_OK) {
        if (!err.text[0] || line.json) abort();
        fnd_batch_line_free(&line);
        return 0;
    }
    if (!line.prompt.data == !line.messages || line.desc.max_tokens == 0) abort();
    const fnd_sampling *s = &line.desc.sampling;
    if (!(s->temperature >= 0 && s->temperature <= 100) || !(s->top_p >= 0 && s->top_p <= 1) || !(s->min_p >= 0 && s->min_p <= 1)) abort();
    for (size_t i = 0; i < line.desc.stop_count; i++) {
        if (!line.desc.stops[i][0]) abort();
    }
    fnd_batch_line_free(&line);
    return 0;
}
