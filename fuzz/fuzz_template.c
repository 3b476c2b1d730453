/* fuzz_template.c - any text as a template, over a few messages; what comes out must be whole. */
#include "foundry/chat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const fnd_chat_message messages[] = { { "system", "Be brief.", 0 }, { "user", "<|im_end|> \xff h\xc3\xa9llo\n", 0 }, { "assistant", "", 0 } };
    fnd_chat_template *c;
    fnd_error err = { 0 };
    if (fnd_chat_template_open((const char *)data, bytes, &c, &err) != FND_OK) {
        if (!err.text[0]) abort();
        return 0;
    }
    fnd_chat_prompt prompt;
    fnd_chat_desc desc = { .messages = messages, .message_count = 3, .variables_json = "{\"n\": 5, \"d\": {\"a\": [1, 2.5, null, true], \"b\": \"x y\"}}" };
    fnd_status status = fnd_chat_render(c, &desc, &prompt, &err);
    if (status != FND_OK && !err.text[0]) abort();
    size_t end = 0;
    for (size_t i = 0; status == FND_OK && i < prompt.trusted_count; i++) {
        if (prompt.trusted[i].start < end || prompt.trusted[i].bytes > prompt.bytes - prompt.trusted[i].start) abort();
        end = prompt.trusted[i].start + prompt.trusted[i].bytes;
    }
    fnd_chat_prompt_free(&prompt);
    fnd_chat_template_close(c);
    return 0;
}
