/* test_template.c - chat templates: as Jinja2 renders them, within limits, and safe from users. */
#include "base/base.h"
#include "base/memory.h"
#include "base/text.h"
#include "foundry/chat.h"
#include "golden.h"
#include "gguf_writer.h"
#include "test.h"

static fnd_status render(const char *template, size_t bytes, const fnd_chat_desc *desc, fnd_chat_prompt *out, fnd_error *err) {
    fnd_chat_template *c;
    *out = (fnd_chat_prompt){ 0 };
    *err = (fnd_error){ 0 };
    FND_TRY(fnd_chat_template_open(template, bytes, &c, err));
    fnd_status status = fnd_chat_render(c, desc, out, err);
    fnd_chat_template_close(c);
    return status;
}

/* ---- real models ---- */

static void check_prompt(const fnd_chat_template *c, const fnd_chat_desc *desc, const char *want) {
    fnd_chat_prompt prompt;
    fnd_error err = { 0 };
    CHECK_OK(fnd_chat_render(c, desc, &prompt, &err), &err);
    if (prompt.text) CHECK_STR(prompt.text, want);
    fnd_chat_prompt_free(&prompt);
}

static void template_golden(int model) {
    char why[256];
    fnd_gguf *g = golden_gguf(model, FND_GGUF_METADATA_ONLY, why);
    NEED(g, why);
    fnd_tokenizer *t = NULL;
    fnd_chat_template *c = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_tokenizer_open(g, &t, &err), &err);
    CHECK_OK(fnd_chat_template_from_gguf(g, &c, &err), &err);
    fnd_gguf_close(g);
    REQUIRE(t && c);
    json_t *entries = golden_json(model, "template.json"), *entry;
    size_t i, k;
    CHECK(json_array_size(entries) > 5);
    json_array_foreach(entries, i, entry) {
        json_t *messages = json_object_get(entry, "messages"), *m;
        const char *want = json_string_value(json_object_get(entry, "rendered"));
        char *text = json_dumps(messages, 0);
        fnd_chat_message list[16];
        json_array_foreach(messages, k, m) list[k] = (fnd_chat_message){ json_string_value(json_object_get(m, "role")), json_string_value(json_object_get(m, "content")), 0 };
        bool generate = json_is_true(json_object_get(entry, "add_generation_prompt"));
        check_prompt(c, &(fnd_chat_desc){ .messages_json = text, .tokenizer = t, .no_generation_prompt = !generate }, want);
        check_prompt(c, &(fnd_chat_desc){ .messages = list, .message_count = json_array_size(messages), .tokenizer = t, .no_generation_prompt = !generate }, want);
        free(text);
    }
    json_decref(entries);
    entries = golden_json(model, "generate.json");
    json_array_foreach(entries, i, entry) {
        json_t *want = json_object_get(entry, "prompt_ids");
        char *text = json_dumps(json_object_get(entry, "messages"), 0);
        fnd_chat_prompt prompt;
        fnd_ids ids = { 0 };
        CHECK_OK(fnd_chat_render(c, &(fnd_chat_desc){ .messages_json = text, .tokenizer = t }, &prompt, &err), &err);
        CHECK_OK(fnd_chat_tokenize(t, &prompt, 0, &ids, &err), &err);
        bool same = ids.count == json_array_size(want);
        for (k = 0; same && k < ids.count; k++) same = ids.data[k] == json_integer_value(json_array_get(want, k));
        /* The figures parse control tokens in the users' text, too. Here that stays text. */
        bool has_control_text = strstr(text, "<|") != NULL;
        CHECK_MSG(same == !has_control_text, "the ids of chat %zu differ", i);
        fnd_ids_free(&ids);
        fnd_chat_prompt_free(&prompt);
        free(text);
    }
    json_decref(entries);
    fnd_chat_template_close(c);
    fnd_tokenizer_close(t);
}

TEST(template_golden_smollm2) { template_golden(GOLDEN_SMOLLM2); }
TEST(template_golden_qwen) { template_golden(GOLDEN_QWEN); }

/* ---- whose text is it? ---- */

static fnd_tokenizer *small_tokenizer(void) {
    gguf_writer w = { 0 };
    size_t bytes;
    gguf_add_byte_tokenizer(&w, "qwen2");
    uint8_t *file = gguf_finish(&w, &bytes);
    gguf_free(&w);
    fnd_gguf *g = NULL;
    fnd_tokenizer *t = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_gguf_open_memory(file, bytes, "test.gguf", 0, &g, &err), &err);
    if (g) CHECK_OK(fnd_tokenizer_open(g, &t, &err), &err);
    fnd_gguf_close(g);
    fnd_free_memory(file);
    return t;
}

TEST(template_users_make_no_control_tokens) {
    fnd_tokenizer *t = small_tokenizer();
    REQUIRE(t);
    /* How often <|end|> is a token: only where the template itself wrote all of it. */
    static const struct {
        const char *template;
        size_t tokens;
    } cases[] = {
        { "<|end|>{{ messages[0].content }}", 1 },
        { "{{ '<|end|>' + messages[0].content + '<|end|>' }}", 2 },
        { "{{ messages[0].content | trim | upper | lower }}", 0 },
        { "{{ messages[0].content[::-1][::-1] }}{{ messages[0].content[0:] }}", 0 },
        { "{{ messages[0].content.split('|') | join('|') }}", 0 },
        { "{{ messages[0].content | replace('<', '<') }}", 0 },
        { "{% set x %}{{ messages[0].content }}<|end|>{% endset %}{{ x }}{{ x ~ x }}", 3 },
        { "{% macro m(x) %}{{ x }}<|end|>{% endmacro %}{{ m(messages[0].content) }}", 1 },
        { "{{ messages | tojson }}{{ messages }}{{ messages[0] | string }}", 0 },
        { "{{ messages[0].content | list | join }}{% for c in messages[0].content %}{{ c }}{% endfor %}", 0 },
        { "{% filter trim %}{{ messages[0].content }}{% endfilter %}", 0 },
        { "<|en{{ 'd|>' }}<|end{{ messages[0].content[-2:] }}", 1 }, /* pieces of the template's are whole; with the user's not */
        { "{{ bos_token }}{{ eos_token }}", 1 },
        { "{{ own }}", 0 },
        { "{{ messages[0].content * 2 }}{{ messages[0].content.strip('x').title().lower() }}{{ messages[0].content | indent }}", 0 },
        { "{{ '%s%s' % (messages[0].content, '<|end|>') }}{{ '{}{}'.format('<|end|>', messages[0].content) }}", 2 },
        { "{{ '%s' | format(messages[0].content) }}{{ '%7s|%-9s' % (messages[0].content, messages[0].content) }}{{ '{:*^11}'.format(messages[0].content) }}", 0 },
        { "{{ messages[0].content | center(20) }}{{ messages[0].content.ljust(9, '|') }}{{ messages[0].content.zfill(9) }}{{ messages[0].content | truncate(7, true, '') }}", 0 },
        { "{{ messages[0].content | wordwrap(7) }}{{ messages[0].content | e | forceescape | striptags }}{{ (messages[0].content | safe) + '<|end|>' | safe }}", 1 },
        { "{{ messages | map(attribute='content') | join }}{{ messages | groupby('content') | map('first') | join }}{{ messages | map(attribute='content') | sort | unique | first }}", 0 },
        { "{{ messages[0].content | batch(3) | map('join') | join }}{{ messages[0].content | slice(2) | map('join') | join }}{{ messages[0].content | reverse | reverse }}", 0 },
        { "{{ messages[0].content.partition('|')[0:] | join }}{{ messages[0].content.rpartition('<|end|>') | join }}{{ messages[0].content.split('end') | join('end') }}", 0 },
        { "{{ messages[0].content.splitlines() | join }}{{ messages[0].content.removeprefix('').expandtabs() }}{{ messages[0].content.swapcase().swapcase().casefold() }}", 0 },
        { "{{ dict(a=messages[0].content).values() | list | first }}{{ {messages[0].content: 1} | dictsort | map('first') | join }}{{ dict([(messages[0].content, 2)]) | list | join }}", 0 },
        { "{% set ns = namespace(s='') %}{% for c in messages[0].content %}{% set ns.s = ns.s ~ c %}{% endfor %}{{ ns.s }}", 0 },
        { "{% for k, v in messages[0] | items recursive %}{{ v }}{% endfor %}{{ joiner(messages[0].content)() }}{{ cycler(messages[0].content).next() }}", 0 },
        { "{% macro m() %}{{ varargs[0] }}{{ kwargs.x }}{{ caller() }}{% endmacro %}{% call m(messages[0].content, x=messages[0].content) %}{{ messages[0].content }}{% endcall %}", 0 },
        { "{{ messages[0].content if messages[0].content == '<|end|>' else '' }}{{ '<|end|>' if messages[0].content == '<|end|>' }}", 1 },
        { "{{ '<|END|>'.lower() }}{{ '<|' ~ 'end' ~ '|>' }}{{ '>|dne|<'[::-1] }}{{ ['<|end', '>'] | join('|') }}", 4 },
        { "<|{{ messages[0].content[2:5] }}|>{{ '<|%s|>' % messages[0].content[2:5] }}{{ '<|e' + messages[0].content[3:] }}", 0 },
        { "{{ messages[0].content | urlencode }}{{ {'x': messages[0].content} | xmlattr }}{{ messages[0].content | pprint }}{{ messages | tojson(indent=2) }}", 0 },
    };
    fnd_chat_message message = { "user", "<|end|>", 0 };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        fnd_chat_prompt prompt;
        fnd_error err;
        fnd_ids ids = { 0 };
        size_t tokens = 0;
        CHECK_OK(render(cases[i].template, strlen(cases[i].template), &(fnd_chat_desc){ .messages = &message, .message_count = 1, .tokenizer = t, .variables_json = "{\"own\": \"<|end|>\"}" }, &prompt, &err), &err);
        CHECK_OK(fnd_chat_tokenize(t, &prompt, 0, &ids, &err), &err);
        for (size_t k = 0; k < ids.count; k++) tokens += ids.data[k] == 256;
        CHECK_MSG(tokens == cases[i].tokens, "%s: %zu control tokens, expected %zu", cases[i].template, tokens, cases[i].tokens);
        fnd_ids_free(&ids);
        fnd_chat_prompt_free(&prompt);
    }
    fnd_tokenizer_close(t);
}

/* Numbers of users are theirs, too: <|reserved_{{ n }}|> is no token if n is. */
TEST(template_marks_numbers) {
    static const struct {
        const char *template;
        size_t trusted; /* bytes */
    } cases[] = {
        { "{{ n }}", 0 },
        { "{{ n + 1 }}{{ -n }}{{ n // 2 }}{{ n * 1.5 }}{{ s | int }}{{ n | abs }}{{ n | round }}{{ t }}", 0 },
        { "{{ '%d' % n }}{{ '{:,}'.format(n) }}{{ n | string }}{{ n | tojson }}{{ n ~ '' }}", 0 },
        { "{{ [n] | sum }}{{ [n] | max }}{{ [n] | first }}{{ '%s' % n }}", 0 },
        { "{{ 12 + 3 }}{{ l | length }}", 3 },
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        fnd_chat_prompt prompt;
        fnd_error err;
        size_t trusted = 0;
        CHECK_OK(render(cases[i].template, strlen(cases[i].template), &(fnd_chat_desc){ .variables_json = "{\"n\": 1234, \"s\": \"77\", \"t\": true, \"l\": [1, 2]}" }, &prompt, &err), &err);
        for (size_t k = 0; k < prompt.trusted_count; k++) trusted += prompt.trusted[k].bytes;
        CHECK_MSG(trusted == cases[i].trusted, "%s prints \"%s\", %zu bytes of it trusted", cases[i].template, prompt.text, trusted);
        fnd_chat_prompt_free(&prompt);
    }
}

/* ---- failures name what and where ---- */

TEST(template_errors_name_line_column_and_construct) {
    static const struct {
        const char *template, *part;
    } cases[] = {
        { "a\n  {{ x | frobnicate }}", "line 2, column 10: the filter \"frobnicate\"" },
        { "{{ x is wobbly }}", "the test \"wobbly\"" },
        { "\n\n{{ wobble() }}", "line 3, column 10: 'wobble' is undefined" },
        { "{{ messages[0].nothing.more }}", "'nothing' of a dict is undefined" },
        { "{% autoescape true %}", "the statement \"autoescape\" is supported with false only" },
        { "{{ raise_exception('no system messages') }}", "refuses these messages: no system messages" },
        { "{% for x in [1] %}{{ loop([2]) }}{% endfor %}", "loop() works in recursive loops only" },
        { "{{ dict(**[1]) }}", "** needs a dict, not a list" },
        { "{{ dict(*[1], 2) }}", "follows one with a name or an unpacked one" },
        { "{{ dict(a=1, a=2) }}", "the argument 'a' is given twice" },
        { "a{% include 'b' %}", "line 1, column 5: the statement \"include\" needs another template" },
        { "{% extends 'b' %}", "the statement \"extends\" needs another template" },
        { "{{ messages.append(1) }}", "append() changes a list, which templates may not do" },
        { "{{ messages[0].update(a=1) }}", "update() changes a dict" },
        { "{{ messages | map('upper') }}", "an iterator cannot be printed" },
        { "{{ messages | map('upper') | length }}", "an iterator has no length" },
        { "{{ '%d' % 'x' }}", "%d needs a number, not a string" },
        { "{{ '{}'.format() }}", "a place for value 0 of 0" },
        { "{{ 'é'.encode() }}", "encode(), maketrans() and translate() are not supported" },
        { "{{ messages | random }}", "the filter \"random\" is not supported" },
        { "{% for x in [1] %}{{ y | nofilter }}{% endfor %}", "the filter \"nofilter\" is not known here" },
        { "{% do x %}", "the statement \"do\" is not known here" },
        { "{% set 'x' = 1 %}", "this cannot be assigned to" },
        { "{% for loop in x %}{% endfor %}", "cannot be called loop" },
        { "{% break %}", "break outside of a loop" },
        { "{% macro m(a=1, b) %}{% endmacro %}", "a parameter without a default follows one with a default" },
        { "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "the macro 'm' takes 1 arguments, not 2" },
        { "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "the macro 'm' has no parameter 'b'" },
        { "{% block a %}{% endblock %}{% block a %}{% endblock %}", "the block 'a' is there twice" },
        { "{{ 'a' ", "never closed" },
        { "{# a", "this comment is never closed" },
        { "{% raw %} a", "raw block is never closed" },
        { "{{ 'a }}", "this string is never closed" },
        { "{{ '\\x4' }}", "this escape in a string is malformed" },
        { "{{ '\\N{BULLET}' }}", "\\N{...} in a string is not supported" },
        { "{% macro true() %}{% endmacro %}", "line 1, column 10: the name of the macro cannot be true, which is a value" },
        { "{% macro m(a, None=1) %}{% endmacro %}", "the name of a parameter cannot be None" },
        { "{{ {}.fromkeys(['a']) }}", "column 6: 'fromkeys' of a dict is not supported" },
        { "{{ ('<' | e).unescape() }}", "'unescape' of a string is not supported" },
        { "{{ messages[0].items().mapping }}", "'mapping' of a view of a dict is not supported" },
        { "{{ (5).bit_count() }}", "'bit_count' of an integer is not supported" },
        { "{{ 1.5.hex() }}", "'hex' of a float is not supported" },
        { "{{ dict.fromkeys('ab') }}", "'fromkeys' of a function is not supported" },
        { "{{ joiner().used }}", "'used' of a function is not supported" },
        { "{{ (messages | map('upper')).close() }}", "'close' of an iterator is not supported" },
        { "{{ ('9' * 500) | int }}", "does not fit an integer of 64 bits, in the filter \"int\"" },
        { "{{ strftime_now('x' * 2000000) }}", "the text of strftime_now() is longer than the 1048576 bytes allowed" },
        { "{{ strftime_now('a\\x00b') }}", "the format of strftime_now() has a zero byte" },
        { "{{ 1 ? 2 }}", "the character ? does not belong here" },
        { "{{ 99999999999999999999 }}", "does not fit 64 bits" },
        { "{{ 9223372036854775807 + 1 }}", "does not fit an integer of 64 bits" },
        { "{{ 2 ** 64 }}", "does not fit" },
        { "{{ range(100001) }}", "range() of 100001 items" },
        { "{{ 'x'.split('') }}", "the separator of split() is empty" },
        { "{{ 'a'.replace('b') }}", "replace needs its argument 'new'" },
        { "{{ 'a' | indent(depth=2) }}", "has no argument 'depth'" },
        { "{{ [1][::0] }}", "the step of a slice is zero" },
        { "{% set messages[0] = 1 %}", "expected %}" },
        { "{% set d.x = 1 %}", "only attributes of a namespace" },
        { "{% if true %}{% else %}{% elif 1 %}{% endif %}", "the statement \"elif\"" },
        { "{{ (1, 2 }}", "this bracket closes none that is open" },
        { "{{ {[]: 1} }}", "a list cannot be a key" },
        { "{{ namespace }}", "line 1, column 1: a function cannot be printed, in {{ }}" },
        { "a\n{{ 1 // 0 }}", "line 2, column 6: division by zero, in the operator //" },
        { "{% block a %}{% endblock %}{{ self.b() }}", "'b' of the template is undefined, in the call of b()" },
        { "{% block a %}{{ self.a() }}{% endblock %}", "nested more than 1000 deep" },
        { "{{ 7 % 0.0 }}", "division by zero, in the operator %" },
        { "{{ 0 ** -1 }}", "division by zero, in the operator **" },
        { "{{ 9223372036854775807 * 2 }}", "does not fit an integer of 64 bits, in the operator *" },
        { "{{ -(-9223372036854775807 - 1) }}", "does not fit an integer of 64 bits, in the operator -" },
        { "{{ '1' + 1 }}", "the operator + does not work on a string and an integer" },
        { "{{ 1 < 'a' }}", "column 6: " },
        { "{{ x.y }}", "column 5: 'x' is undefined, in the attribute 'y'" },
        { "{{ x[0] }}", "column 5: 'x' is undefined, in the index in [ ]" },
        { "{{ [1, 2] | sum(start='a') }}", "the filter \"sum\" does not add strings" },
        { "{{ 1 is divisibleby(0) }}", "in the test \"divisibleby\"" },
        { "{% for a in 1 %}{% endfor %}", "in the statement \"for\"" },
        { "{% for a, b in [1] %}{% endfor %}", "line 1, column 8: " },
        { "{% for a of b %}{% endfor %}", "expected \"in\", found of, in the statement \"for\"" },
        { "{% if 1 %}\n{% for a in b %}", "line 2, column 17: the template ends before endfor, in the statement \"for\"" },
        { "{% if 1 %}{% for a in b %}{% endfor %}", "the template ends before endif, in the statement \"if\"" },
        { "{{ 1 2 }}", "expected }}, found 2, in {{ }}" },
        { "{% set x = namespace() %}{% set x.a, b = 1 %}", "an integer has no items to go through, in this tuple" },
        { "{% call raise_exception('no') %}{% endcall %}", "column" },
        { "{% filter upper %}{{ 1 / 0 }}{% endfilter %}", "division by zero, in the operator /" },
        { "{% macro m(a=1 // 0) %}{% endmacro %}{{ m() }}", "column 16: division by zero, in the operator //" },
        { "{% set s = 'a' * 1000 * 40000 %}{{ s ~ s }}", "column 38: a text gets longer than the 67108864 bytes allowed, in the operator ~" },
        { "{% set s = 'a' * 1000 * 40000 %}{{ s }}{{ s }}", "line 1, column 40: a text gets longer than the 67108864 bytes allowed, in {{ }}" },
    };
    fnd_chat_message message = { "user", "hi", 0 };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        fnd_chat_prompt prompt;
        fnd_error err;
        CHECK_MSG(render(cases[i].template, strlen(cases[i].template), &(fnd_chat_desc){ .messages = &message, .message_count = 1 }, &prompt, &err) != FND_OK, "%s was accepted", cases[i].template);
        CHECK_HAS(err.text, cases[i].part);
        CHECK_HAS(err.text, "line ");
        CHECK(prompt.text == NULL && prompt.trusted == NULL);
    }
}

enum { TPL_SOURCE = 1 << 20 }; /* bytes of a template */

/* text repeated between two others */
static char *repeated(const char *before, const char *text, size_t times, const char *after) {
    fnd_text t = { 0 };
    fnd_text_str(&t, before);
    for (size_t i = 0; i < times; i++) fnd_text_str(&t, text);
    fnd_text_str(&t, after);
    return t.data;
}

TEST(template_hostile_ones_meet_limits) {
    char *cases[] = {
        repeated("{{ ", "(", 60000, " }}"),
        repeated("{{ ", "[", 60000, " }}"),
        repeated("{{ ", "-", 60000, "1 }}"),
        repeated("{{ ", "not ", 60000, "1 }}"),
        repeated("", "{% if 1 %}", 60000, ""),
        repeated("", "{% for x in [1] %}", 60000, ""),
        repeated("{{ 1", " if 1 else 1", 60000, " }}"),
        repeated("{{ x", ".x", 60000, " }}"),
        repeated("{{ 'a'", " | upper", 60000, " }}"),
        repeated("{{ 1", " + 1", 60000, " }}"),
        repeated("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "", 0, ""),
        repeated("{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "", 0, ""),
        repeated("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "", 0, ""),
        repeated("{% for a in range(100000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' * 1000 }}{% endfor %}", "", 0, ""),
        repeated("{{ 'a' * 9223372036854775807 }}", "", 0, ""),
        repeated("{{ [0] * 4000000000 }}", "", 0, ""),
        repeated("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}", "", 0, ""),
        repeated("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | tojson }}", "", 0, ""),
        repeated("{% set ns = namespace(l=[]) %}{% for i in range(64) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == ns.l }}", "", 0, ""),
        repeated("", "{{ 1 }}", 300000, ""),
        repeated("{{ 'a' * 10**9 }}", "", 0, ""),
        repeated("{{ '%999999999d' % 1 }}", "", 0, ""),
        repeated("{{ '{:>999999999}'.format(1) }}", "", 0, ""),
        repeated("{{ 'a'.ljust(10**9) }}", "", 0, ""),
        repeated("{{ 'a' | center(10**9) }}", "", 0, ""),
        repeated("{{ 'a' | indent(10**9) }}", "", 0, ""),
        repeated("{{ range(10**9) | list }}", "", 0, ""),
        repeated("{{ [1] | slice(10**9) | list }}", "", 0, ""),
        repeated("{{ [1] | batch(10**8, 1) | list }}", "", 0, ""),
        repeated("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "", 0, ""),
        repeated("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}", "", 0, ""),
        repeated("{% macro a(f) %}{% call a(f) %}{% endcall %}{{ caller() if caller }}{% endmacro %}{{ a(1) }}", "", 0, ""),
        repeated("{% set ns = namespace(t=()) %}{% for i in range(100000) %}{% set ns.t = (ns.t,) %}{% endfor %}{{ ns.t == ns.t }}{{ ns.t }}", "", 0, ""),
        repeated("{% set ns = namespace(l='a,') %}{% for i in range(40) %}{% set ns.l = ns.l | replace('a', 'aa,') %}{% endfor %}", "", 0, ""),
        repeated("{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}", "", 0, ""),
        repeated("{% for a in range(99999) %}{{ range(99999) | map('string') | join }}{% endfor %}", "", 0, ""),
        repeated("{{ ", "{'a': ", 60000, " }}"),
        repeated("", "{% filter upper %}", 60000, ""),
        repeated("", "{% set x %}", 60000, ""),
        repeated("", "{% macro m() %}", 60000, ""),
        repeated("{{ x", "[x", 60000, " }}"),
        repeated("{{ f", "(f", 60000, " }}"),
        repeated("{{ 1", " is eq(1", 60000, " }}"),
        repeated("{{ x", " ~ x", 60000, " }}"),
        repeated("{% set a = 'a' * 1000000 %}{% set b = a[1:] ~ 'a' %}{% for i in range(100000) %}{% for i in range(1000) %}{{ a == b }}{% endfor %}{% endfor %}", "", 0, ""),
        repeated("{% set a = 'a' * 1000000 %}{% set b = 'a' * 500000 ~ 'b' %}{% for i in range(100000) %}{{ a.rfind(b) }}{% endfor %}", "", 0, ""),
        repeated("{% set f = '%s' * 400000 %}{% for i in range(100000) %}{{ f.isupper() }}{{ (f % ([1] * 0, )) if false }}{% endfor %}", "", 0, ""),
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        fnd_chat_prompt prompt;
        fnd_error err;
        REQUIRE(cases[i]);
        fnd_status status = render(cases[i], strlen(cases[i]), &(fnd_chat_desc){ 0 }, &prompt, &err);
        CHECK_MSG(status == FND_ERR_LIMIT, "case %zu (%.40s): status %d, %s", i, cases[i], status, err.text);
        CHECK_HAS(err.text, strlen(cases[i]) > TPL_SOURCE ? "at most 1048576 are read" : "chat template, line ");
        fnd_chat_prompt_free(&prompt);
        fnd_free_memory(cases[i]);
    }
}

/* Whichever allocation fails: a sentence, nothing left behind, and the next rendering is whole. */
TEST(template_out_of_memory) {
    static const char template[] = "{% macro m(x) %}{{ x | upper }}{% endmacro %}{% for m in messages %}{{ m(m.content * 3000) if false else m.content * 5000 }}{{ m | tojson }}{% endfor %}";
    const fnd_chat_desc desc = { .messages_json = "[{\"role\": \"user\", \"content\": \"hello\"}, {\"role\": \"assistant\", \"content\": \"again\"}]" };
    size_t failures = 0;
    for (uint64_t n = 1; n < 200; n++) {
        fnd_chat_prompt prompt;
        fnd_error err;
        fnd_memory_fail_after(n);
        fnd_status status = render(template, sizeof template - 1, &desc, &prompt, &err);
        fnd_memory_fail_after(0);
        if (status == FND_OK) CHECK(prompt.bytes > 50000);
        if (status != FND_OK) {
            failures++;
            CHECK(status == FND_ERR_MEMORY && prompt.text == NULL);
            CHECK_HAS(err.text, "memory");
        }
        fnd_chat_prompt_free(&prompt);
        if (status == FND_OK) break;
    }
    CHECK_MSG(failures > 5, "only %zu allocations failed", failures);
}

TEST(template_bad_json_is_refused) {
    char *deep = repeated("[", "[", 1500, ""), *closed = repeated("", "[", 1500, "");
    fnd_text both = { 0 };
    fnd_text_str(&both, closed);
    for (int i = 0; i < 1500; i++) fnd_text_str(&both, "]");
    const struct {
        fnd_chat_desc desc;
        const char *part;
    } cases[] = {
        { { .messages_json = "[{" }, "JSON of the messages is malformed at line 1" },
        { { .messages_json = "{}" }, "messages must be an array" },
        { { .tools_json = "3" }, "tools must be an array" },
        { { .variables_json = "[]" }, "variables must be an object" },
        { { .messages_json = "[\"\xff\"]" }, "malformed" },
        { { .messages_json = deep }, "malformed" },
        { { .messages_json = both.data }, "nested more than 200 deep" },
        { { .messages = &(fnd_chat_message){ 0 }, .message_count = 1 }, "message 0 has no role" },
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        fnd_chat_prompt prompt;
        fnd_error err;
        CHECK(render("x", 1, &cases[i].desc, &prompt, &err) != FND_OK);
        CHECK_HAS(err.text, cases[i].part);
    }
    fnd_free_memory(deep);
    fnd_free_memory(closed);
    fnd_text_free(&both);
}

TEST(template_keeps_bytes_that_are_no_utf8) {
    fnd_chat_message message = { "user", "a\xff\0b\xc3", 5 };
    static const char template[] = "{{ messages[0].content | trim }}{{ messages[0].content[1] }}{{ messages[0].content | upper }}";
    fnd_chat_prompt prompt;
    fnd_error err;
    CHECK_OK(render(template, sizeof template - 1, &(fnd_chat_desc){ .messages = &message, .message_count = 1 }, &prompt, &err), &err);
    CHECK(prompt.bytes == 11 && memcmp(prompt.text, "a\xff\0b\xc3\xff"
                                                    "A\xff\0B\xc3",
                                       11) == 0);
    fnd_chat_prompt_free(&prompt);
}

TEST(template_missing_in_file) {
    gguf_writer w = { 0 };
    size_t bytes;
    gguf_add_byte_tokenizer(&w, "qwen2");
    uint8_t *file = gguf_finish(&w, &bytes);
    gguf_free(&w);
    fnd_gguf *g = NULL;
    fnd_chat_template *c;
    fnd_error err = { 0 };
    CHECK_OK(fnd_gguf_open_memory(file, bytes, "test.gguf", 0, &g, &err), &err);
    REQUIRE(g);
    CHECK(fnd_chat_template_from_gguf(g, &c, &err) == FND_ERR_UNSUPPORTED && c == NULL);
    CHECK_HAS(err.text, "no chat template");
    fnd_gguf_close(g);
    fnd_free_memory(file);
}

TEST(template_survives_failed_allocations) {
    static const char template[] = "{% set ns = namespace(x='') %}{% macro m(a) %}{{ a }}{% endmacro %}{% for m2 in messages %}{% set ns.x = ns.x ~ m(m2.content | trim) %}{{ m2 | tojson }}{{ 'abc'.split('b') }}"
                                   "{% endfor %}{{ ns.x * 2000 }}{{ messages | map(attribute='role') | sort | join(',') }}{{ missing is defined }}{{ [1, 2][::-1] }}";
    fnd_chat_message messages[] = { { "user", "hello", 0 }, { "assistant", "there", 0 } };
    fnd_status status = FND_ERR_MEMORY;
    int n = 1;
    for (; status != FND_OK && n < 500; n++) {
        fnd_chat_prompt prompt;
        fnd_error err;
        fnd_memory_fail_after((uint64_t)n);
        status = render(template, sizeof template - 1, &(fnd_chat_desc){ .messages = messages, .message_count = 2 }, &prompt, &err);
        fnd_memory_fail_after(0);
        CHECK_MSG(status == FND_OK || status == FND_ERR_MEMORY, "allocation %d: %s", n, err.text);
        fnd_chat_prompt_free(&prompt);
    }
    CHECK(status == FND_OK && n > 6);
}
