/* chat.c - a conversation with a model:  chat model.gguf ["system message"]
 *
 * Every line of standard input is answered; an empty one ends. */
#include "foundry/conversation.h"

#include <stdio.h>
#include <string.h>

static fnd_status show(void *ctx, fnd_span text, fnd_error *err) {
    (void)ctx;
    if (fwrite(text.data, 1, text.bytes, stdout) != text.bytes || fflush(stdout) != 0) return fnd_fail(err, FND_ERR_FILE, "standard output takes nothing more");
    return FND_OK;
}

static fnd_status converse(fnd_conversation *c, fnd_error *err) {
    const fnd_generate_desc how = { .text = show, .max_tokens = 64, .sampling = { .temperature = 0.7f, .top_k = 40, .min_p = 0.05f, .seed = 1 } };
    char line[4096];
    while (fputs("> ", stderr), fgets(line, sizeof line, stdin)) {
        fnd_generated answer;
        line[strcspn(line, "\n")] = '\0';
        if (!line[0]) break;
        fnd_status status = fnd_conversation_ask(c, line, 0, &how, &answer, err);
        if (status != FND_OK) return status;
        printf("\n");
        fflush(stdout); /* before the note, where both go to one place */
        fprintf(stderr, "[%u tokens of the prompt, %u of them known; %zu in %.1f s]\n", answer.prompt_tokens, answer.prompt_reused, answer.ids.count, answer.seconds);
        fnd_generated_free(&answer);
    }
    return FND_OK;
}

static fnd_status chat(foundry *f, const char *path, const char *system, fnd_error *err) {
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    fnd_conversation *c = NULL;
    const fnd_conversation_desc desc = { .system = system, .context_shift = true, .keep = 16 };
    fnd_status status = fnd_model_load(f, &(fnd_model_desc){ .path = path }, &m, err);
    if (status == FND_OK) status = fnd_session_open(m, NULL, &s, err);
    if (status == FND_OK) status = fnd_conversation_open(s, &desc, &c, err);
    if (status == FND_OK) status = converse(c, err);
    fnd_conversation_close(c);
    fnd_session_close(s);
    fnd_model_free(m);
    return status;
}

int main(int argc, char **argv) {
    fnd_error err = { 0 };
    fnd_desc desc = { 0 };
    foundry *f;
    if (argc != 2 && argc != 3) return fprintf(stderr, "usage: chat MODEL.gguf [SYSTEM MESSAGE]\n"), 2;
    fnd_status status = fnd_options_from_environment(&desc, &err);
    if (status == FND_OK) status = fnd_open(&desc, &f, &err);
    if (status == FND_OK) status = chat(f, argv[1], argc == 3 ? argv[2] : NULL, &err), fnd_close(f, NULL);
    return status != FND_OK ? fprintf(stderr, "%s\n", err.text), 1 : 0;
}
