/* chat.h - from messages to a prompt, by the chat template of the model file.
 *
 * Templates are programs in Jinja, rendered here as transformers renders them (trim_blocks,
 * lstrip_blocks, immutable values). They see the variables below and nothing else, and their steps,
 * depth, output and memory are limited. What is not supported is an error that names it, with line
 * and column (docs/templates.md).
 *
 *     fnd_chat_template *c;
 *     if (fnd_chat_template_from_gguf(gguf, &c, &err) != FND_OK) ...
 *     fnd_chat_message messages[] = { { "user", "Why is the sky blue?", 0 } };
 *     fnd_chat_prompt prompt;
 *     if (fnd_chat_render(c, &(fnd_chat_desc){ .messages = messages, .message_count = 1,
 *                                              .tokenizer = t }, &prompt, &err) != FND_OK) ...
 *     if (fnd_chat_tokenize(t, &prompt, 0, &ids, &err) != FND_OK) ...
 *     fnd_chat_prompt_free(&prompt);
 *
 * A prompt knows which of its parts the template wrote. Only those make control tokens: a user who
 * writes <|im_end|> has written ten characters.
 */
#ifndef FOUNDRY_CHAT_H
#define FOUNDRY_CHAT_H

#include "foundry/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fnd_chat_template fnd_chat_template;

/* Parse a template; the text is copied. A file without a template is FND_ERR_UNSUPPORTED. */
FND_USE_RESULT fnd_status fnd_chat_template_open(const char *text, size_t bytes, fnd_chat_template **out, fnd_error *err);
/* A file without one, or with an empty one, is FND_ERR_UNSUPPORTED. */
FND_USE_RESULT fnd_status fnd_chat_template_from_gguf(const fnd_gguf *g, fnd_chat_template **out, fnd_error *err);
/* The template of a file that has another one for tools (tokenizer.chat_template.tool_use), as transformers
 * chooses it when there are tools; else as above. */
FND_USE_RESULT fnd_status fnd_chat_template_for_tools(const fnd_gguf *g, fnd_chat_template **out, fnd_error *err);
/* Has the file a template for messages, or for messages with tools, that is not empty? */
bool fnd_chat_template_in_gguf(const fnd_gguf *g, bool for_tools);
void fnd_chat_template_close(fnd_chat_template *c); /* NULL is fine */

typedef struct fnd_chat_message {
    const char *role, *content;
    size_t      content_bytes; /* 0: up to the NUL */
} fnd_chat_message;

/* Everything may be left out. JSON texts are NUL-terminated. */
typedef struct fnd_chat_desc {
    const fnd_chat_message *messages;
    size_t                  message_count;
    const char             *messages_json;  /* instead of messages: an array of objects */
    const char             *tools_json;     /* an array, seen as `tools`, which is otherwise none */
    const char             *documents_json; /* likewise `documents` */
    const char             *variables_json; /* an object: more variables, which go before those above */
    const fnd_tokenizer    *tokenizer;      /* gives bos_token and eos_token */
    bool                    no_generation_prompt;
} fnd_chat_desc;

typedef struct fnd_chat_prompt {
    char           *text; /* NUL-terminated */
    size_t          bytes;
    fnd_text_range *trusted; /* what the template wrote, ascending */
    size_t          trusted_count;
} fnd_chat_prompt;

/* Several threads may render one template. *out is { 0 } on failure. */
FND_USE_RESULT fnd_status fnd_chat_render(const fnd_chat_template *c, const fnd_chat_desc *desc, fnd_chat_prompt *out, fnd_error *err);
void fnd_chat_prompt_free(fnd_chat_prompt *prompt);

/* Appends the ids of a prompt: as fnd_tokenize with FND_TOKENIZE_SPECIAL, except that the users' text
 * makes no control tokens. `flags` may hold FND_TOKENIZE_LOSSY; BOS is the template's affair. */
FND_USE_RESULT fnd_status fnd_chat_tokenize(const fnd_tokenizer *t, const fnd_chat_prompt *prompt, unsigned flags, fnd_ids *ids, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
