/* fuzz_messages.c - any text as the JSON of messages, tools, documents and variables, which a template
 * then walks through and prints in every way. */
#define _GNU_SOURCE /* strndup */
#include "foundry/chat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char walking[] =
    "{% macro walk(x) %}{% if x is mapping %}{% for k, v in x.items() %}{{ k | upper }}={{ walk(v) }};{% endfor %}"
    "{% elif x is string %}{{ x | trim | title }}{{ x[::2] }}{{ x.split() | join }}"
    "{% elif x is iterable %}{% for v in x %}{{ walk(v) }}{% endfor %}"
    "{% else %}{{ x }}{{ x | string }}{% endif %}{% endmacro %}"
    "{{ messages | tojson }}{{ messages }}{{ tools | tojson(indent=2, sort_keys=true) }}{{ documents | pprint }}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ walk(m) }}{% endfor %}"
    "{{ messages | map(attribute='content') | list | length }}{{ own }}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static fnd_chat_template *c;
    fnd_error err = { 0 };
    if (!c && fnd_chat_template_open(walking, sizeof walking - 1, &c, &err) != FND_OK) abort();
    char *text = strndup((const char *)data, bytes);
    if (!text) return 0;
    for (int which = 0; which < 4; which++) {
        const fnd_chat_desc desc = {
            .messages_json = which == 0 ? text : NULL,
            .tools_json = which == 1 ? text : NULL,
            .documents_json = which == 2 ? text : NULL,
            .variables_json = which == 3 ? text : NULL,
        };
        fnd_chat_prompt prompt;
        err = (fnd_error){ 0 };
        fnd_status status = fnd_chat_render(c, &desc, &prompt, &err);
        if (status != FND_OK && !err.text[0]) abort();
        for (size_t i = 0, end = 0; i < prompt.trusted_count; i++) {
            if (prompt.trusted[i].start < end || prompt.trusted[i].bytes > prompt.bytes - prompt.trusted[i].start) abort();
            end = prompt.trusted[i].start + prompt.trusted[i].bytes;
        }
        fnd_chat_prompt_free(&prompt);
    }
    free(text);
    return 0;
}
