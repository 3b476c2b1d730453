/* batch.c - prompts answered together over shared weights:  batch model.gguf "One prompt" "Another" ... */
#include "foundry/batch.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 256 };

static fnd_status show(void *ctx, size_t index, fnd_generated *answer, const fnd_error *why, fnd_error *err) {
    char **prompts = ctx;
    (void)err;
    printf("%s ->%s\n", prompts[index], why ? why->text : answer->text);
    return FND_OK;
}

static fnd_status answer(foundry *f, char **words, size_t count, fnd_error *err) {
    static fnd_ids ids[MOST];
    static fnd_batch_request requests[MOST];
    fnd_generate_desc desc = { .max_tokens = 32 };
    fnd_model *m = NULL;
    fnd_batch *b = NULL;
    fnd_status status = fnd_model_load(f, &(fnd_model_desc){ .path = words[0] }, &m, err);
    if (status == FND_OK) status = fnd_batch_open(m, &(fnd_batch_desc){ .sequences = 8, .session = { .context = 512 } }, &b, err);
    for (size_t i = 0; i < count && status == FND_OK; i++) {
        status = fnd_tokenize(fnd_model_tokenizer(m), words[1 + i], strlen(words[1 + i]), FND_TOKENIZE_SPECIAL | FND_TOKENIZE_ADD_BOS, &ids[i], err);
        requests[i] = (fnd_batch_request){ .ids = ids[i].data, .count = ids[i].count, .desc = &desc };
    }
    if (status == FND_OK) status = fnd_batch_generate(b, &(fnd_batch_job){ .requests = requests, .count = count, .done = show, .ctx = words + 1 }, err);
    for (size_t i = 0; i < count; i++) fnd_ids_free(&ids[i]);
    fnd_batch_close(b);
    fnd_model_free(m);
    return status;
}

int main(int argc, char **argv) {
    fnd_error err = { 0 };
    foundry *f;
    if (argc < 3 || argc > MOST + 2) return fprintf(stderr, "usage: batch MODEL.gguf PROMPT...\n"), 2;
    fnd_status status = fnd_open(NULL, &f, &err);
    if (status == FND_OK) status = answer(f, argv + 1, (size_t)argc - 2, &err), fnd_close(f, NULL);
    return status != FND_OK ? fprintf(stderr, "%s\n", err.text), 1 : 0;
}
