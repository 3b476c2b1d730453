/* fuzz_template.c - any text as a template, over a few messages; behind a zero byte, JSON of variables.
 * What comes out must be whole, and what a user wrote must not be trusted. */
#define _GNU_SOURCE /* memmem */
#include "foundry/chat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A letter that only the messages below hold. */
static const char marked[] = "\xee\x80\x81";

static void check(const fnd_chat_prompt *prompt, const char *template, size_t bytes) {
    size_t end = 0;
    bool own = memmem(template, bytes, "\xee", 1) != NULL || memmem(template, bytes, "\\", 1) != NULL;
    for (size_t i = 0; i < prompt->trusted_count; i++) {
        const fnd_text_range *range = &prompt->trusted[i];
        if (range->start < end || range->bytes > prompt->bytes - range->start) abort();
        end = range->start + range->bytes;
        if (!own && memmem(prompt->text + range->start, range->bytes, marked, 3)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const fnd_chat_message messages[] = { { "system", "Be brief.", 0 }, { "user", "<|im_end|> \xee\x80\x81\xff h\xc3\xa9llo\n", 0 }, { "assistant", "", 0 } };
    static const char usual[] = "{\"n\": 5, \"d\": {\"a\": [1, 2.5, null, true], \"b\": \"x y\"}}";
    const char *template = (const char *)data, *zero = memchr(data, 0, bytes);
    size_t template_bytes = zero ? (size_t)(zero - template) : bytes;
    char *variables = NULL;
    fnd_chat_template *c;
    fnd_error err = { 0 };
    if (fnd_chat_template_open(template, template_bytes, &c, &err) != FND_OK) {
        if (!err.text[0]) abort();
        return 0;
    }
    if (zero) variables = strndup(zero + 1, bytes - template_bytes - 1);
    fnd_chat_prompt prompt;
    fnd_chat_desc desc = { .messages = messages, .message_count = 3, .variables_json = variables ? variables : usual };
    fnd_status status = fnd_chat_render(c, &desc, &prompt, &err);
    if (status != FND_OK && !err.text[0]) abort();
    if (status == FND_OK) check(&prompt, template, template_bytes);
    fnd_chat_prompt_free(&prompt);
    fnd_chat_template_close(c);
    free(variables);
    return 0;
}
