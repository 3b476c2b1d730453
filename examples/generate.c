/* generate.c - text from a model file:  generate model.gguf "Once upon a time" */
#include "foundry/model.h"

#include <stdio.h>
#include <string.h>

static fnd_status generate(foundry *f, const char *path, const char *prompt, fnd_error *err) {
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    fnd_decoder *d = NULL;
    fnd_ids ids = { 0 };
    fnd_status status = fnd_model_load(f, &(fnd_model_desc){ .path = path }, &m, err);
    if (status == FND_OK) status = fnd_session_open(m, &(fnd_session_desc){ .context = 512 }, &s, err);
    if (status == FND_OK) status = fnd_decoder_open(fnd_model_tokenizer(m), 0, &d, err);
    if (status == FND_OK) status = fnd_tokenize(fnd_model_tokenizer(m), prompt, strlen(prompt), FND_TOKENIZE_SPECIAL | FND_TOKENIZE_ADD_BOS, &ids, err);
    if (status == FND_OK) status = fnd_session_eval(s, ids.data, ids.count, err);
    for (int i = 0; status == FND_OK && i < 48; i++) {
        uint32_t id;
        status = fnd_session_sample(s, &(fnd_sampling){ .temperature = 0 }, &id, err);
        if (status != FND_OK || fnd_token_is_end(fnd_model_tokenizer(m), id)) break;
        fnd_span text = fnd_decoder_push(d, id);
        fwrite(text.data, 1, text.bytes, stdout);
        status = fnd_session_eval(s, &id, 1, err);
    }
    fnd_ids_free(&ids);
    fnd_decoder_close(d);
    fnd_session_close(s);
    fnd_model_free(m);
    return status;
}

int main(int argc, char **argv) {
    fnd_error err = { 0 };
    foundry *f;
    if (argc != 3) return fprintf(stderr, "usage: generate MODEL.gguf PROMPT\n"), 2;
    fnd_status status = fnd_open(NULL, &f, &err);
    if (status == FND_OK) status = generate(f, argv[1], argv[2], &err), fnd_close(f, NULL);
    return status != FND_OK ? fprintf(stderr, "%s\n", err.text), 1 : puts("") == EOF;
}
