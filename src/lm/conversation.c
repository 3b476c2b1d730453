/* conversation.c - messages, the prompt they make, and what of it is in the session. */
#include "foundry/conversation.h"
#include "base/base.h"
#include "base/memory.h"
#include "base/text.h"
#include "lm/conversation.h"
#include "lm/generate.h"
#include "lm/session.h"
#include "lm/unicode.h"

#include <stdio.h>
#include <strings.h>

/* ---- messages ---- */

void fnd_messages_free(fnd_messages *m) {
    for (size_t i = 0; i < m->count; i++) {
        fnd_free_memory(m->list[i].role);
        fnd_free_memory(m->list[i].content);
    }
    fnd_free_memory(m->list);
    *m = (fnd_messages){ .list = NULL };
}

static void drop_last(fnd_messages *m) {
    fnd_free_memory(m->list[m->count - 1].role);
    fnd_free_memory(m->list[--m->count].content);
}

/* The text, with U+FFFD for what is no UTF-8: a conversation can be saved whatever is said in it. */
static fnd_status clean(const char *text, size_t bytes, fnd_text *out, fnd_error *err) {
    for (size_t i = 0; i < bytes;) {
        size_t n = fnd_utf8_valid(text + i, bytes - i);
        fnd_text_add(out, text + i, n);
        if (i + n < bytes) fnd_text_str(out, "\xEF\xBF\xBD");
        i += n + 1;
    }
    return fnd_text_check(out, err);
}

static fnd_status insert(fnd_messages *m, size_t at, const char *role, fnd_span content, fnd_error *err) {
    fnd_text text = { 0 };
    FND_TRY(clean(content.data, content.bytes, &text, err));
    fnd_message *list = fnd_alloc_resized(m->list, m->count + 1, sizeof *list);
    if (list) m->list = list;
    fnd_message added = { fnd_alloc_string(role, strlen(role)), fnd_alloc_string(fnd_text_get(&text), text.bytes), text.bytes };
    fnd_text_free(&text);
    if (!list || !added.role || !added.content) {
        fnd_free_memory(added.role);
        fnd_free_memory(added.content);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a message");
    }
    memmove(m->list + at + 1, m->list + at, (m->count - at) * sizeof *m->list);
    m->list[at] = added;
    m->count++;
    return FND_OK;
}

fnd_status fnd_messages_add(fnd_messages *m, const char *role, fnd_span content, fnd_error *err) { return insert(m, m->count, role, content, err); }

static bool is_role(const fnd_messages *m, size_t index, const char *role) { return index < m->count && strcmp(m->list[index].role, role) == 0; }
static bool last_is(const fnd_conversation *c, const char *role) { return c->messages.count && is_role(&c->messages, c->messages.count - 1, role); }

size_t fnd_conversation_count(const fnd_conversation *c) { return c->messages.count; }
size_t fnd_conversation_dropped(const fnd_conversation *c) { return c->dropped; }
uint32_t fnd_conversation_kept(const fnd_conversation *c) { return c->keep; }

fnd_chat_message fnd_conversation_message(const fnd_conversation *c, size_t index) {
    const fnd_message *m = &c->messages.list[index];
    return (fnd_chat_message){ .role = m->role, .content = m->content, .content_bytes = m->bytes };
}

static fnd_status set_system(fnd_messages *m, const char *text, fnd_error *err) {
    bool wanted = text && text[0];
    if (wanted) FND_TRY(insert(m, 0, "system", (fnd_span){ text, strlen(text) }, err));
    size_t old = wanted ? 1 : 0;
    if (!is_role(m, old, "system")) return FND_OK;
    fnd_free_memory(m->list[old].role);
    fnd_free_memory(m->list[old].content);
    memmove(m->list + old, m->list + old + 1, (--m->count - old) * sizeof *m->list);
    return FND_OK;
}

/* ---- opening ---- */

static fnd_status copy(const char *text, char **out, fnd_error *err) {
    if (!text) return FND_OK;
    *out = fnd_alloc_string(text, strlen(text));
    return *out ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for a conversation");
}

fnd_status fnd_conversation_open(fnd_session *s, const fnd_conversation_desc *desc, fnd_conversation **out, fnd_error *err) {
    fnd_conversation_desc d = desc ? *desc : (fnd_conversation_desc){ 0 };
    *out = NULL;
    fnd_conversation *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a conversation");
    *c = (fnd_conversation){ .s = s, .chat_template = d.chat_template, .shifts = d.context_shift, .keep = d.context_shift ? d.keep : 0 };
    c->own_keep = c->keep;
    fnd_status status = d.context_shift ? fnd_shift_check(s->context, d.keep, err) : FND_OK;
    if (status == FND_OK && !d.chat_template) status = d.tools_json ? fnd_chat_template_for_tools(s->m->gguf, &c->own_template, err) : fnd_chat_template_from_gguf(s->m->gguf, &c->own_template, err);
    if (!d.chat_template) c->chat_template = c->own_template;
    if (status == FND_OK) status = copy(d.variables_json, &c->variables_json, err);
    if (status == FND_OK) status = copy(d.tools_json, &c->tools_json, err);
    if (status == FND_OK) status = set_system(&c->messages, d.system, err);
    if (status != FND_OK) {
        fnd_conversation_close(c);
        return status;
    }
    *out = c;
    return FND_OK;
}

void fnd_conversation_close(fnd_conversation *c) {
    if (!c) return;
    fnd_messages_free(&c->messages);
    fnd_chat_template_close(c->own_template);
    fnd_free_memory(c->variables_json);
    fnd_free_memory(c->tools_json);
    fnd_free_memory(c);
}

/* ---- the prompt ---- */

static fnd_status write_prompt(const fnd_conversation *c, bool answers, fnd_chat_prompt *out, fnd_error *err) {
    fnd_chat_message *list = fnd_alloc_zeroed(c->messages.count, sizeof *list);
    if (!list) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %zu messages", c->messages.count);
    for (size_t i = 0; i < c->messages.count; i++) list[i] = fnd_conversation_message(c, i);
    const fnd_chat_desc desc = { .messages = list, .message_count = c->messages.count, .tokenizer = c->s->m->tokenizer, .variables_json = c->variables_json, .tools_json = c->tools_json, .no_generation_prompt = !answers };
    fnd_status status = fnd_chat_render(c->chat_template, &desc, out, err);
    fnd_free_memory(list);
    return status;
}

static fnd_status tokenize(const fnd_conversation *c, const fnd_chat_prompt *prompt, fnd_ids *ids, fnd_error *err) { return fnd_chat_tokenize(c->s->m->tokenizer, prompt, FND_TOKENIZE_LOSSY, ids, err); }

static fnd_status render(const fnd_conversation *c, bool answers, fnd_ids *ids, fnd_error *err) {
    fnd_chat_prompt prompt;
    FND_TRY(write_prompt(c, answers, &prompt, err));
    fnd_status status = tokenize(c, &prompt, ids, err);
    fnd_chat_prompt_free(&prompt);
    return status;
}

static void remove_range(fnd_ids *ids, size_t first, size_t count) {
    if (!count) return;
    memmove(ids->data + first, ids->data + first + count, (ids->count - first - count) * sizeof *ids->data);
    ids->count -= count;
}

/* The same prompt with another letter for the last message. */
static fnd_status write_other(fnd_conversation *c, fnd_chat_prompt *out, fnd_error *err) {
    fnd_message *last = &c->messages.list[c->messages.count - 1], was = *last;
    char letters[2][2] = { "a", "b" };
    size_t spaces = strspn(was.content, " \t\r\n"); /* templates take these away */
    *last = (fnd_message){ was.role, letters[was.content[spaces] == 'a'], 1 };
    fnd_status status = write_prompt(c, true, out, err);
    *last = was;
    return status;
}

/* Back over what the template wrote before `at`. */
static size_t before_own(const fnd_chat_prompt *prompt, size_t at) {
    for (size_t i = 0; i < prompt->trusted_count; i++) {
        const fnd_text_range *r = &prompt->trusted[i];
        if (r->start < at && r->start + r->bytes >= at) return r->start;
    }
    return at;
}

/* Where the last message begins in the prompt, with its role and all else that the template writes before it: where
 * its text begins is where a prompt with another text first differs. */
static fnd_status find_last(fnd_conversation *c, const fnd_chat_prompt *prompt, const fnd_ids *ids, size_t *begin, fnd_error *err) {
    fnd_chat_prompt other;
    const char *role = c->messages.list[c->messages.count - 1].role;
    size_t at = 0, bytes = strlen(role);
    FND_TRY(write_other(c, &other, err));
    while (at < prompt->bytes && at < other.bytes && prompt->text[at] == other.text[at]) at++;
    fnd_chat_prompt_free(&other);
    at = before_own(prompt, at);
    if (at >= bytes && strncasecmp(prompt->text + at - bytes, role, bytes) == 0) at = before_own(prompt, at - bytes);
    fnd_chat_prompt before = { .text = prompt->text, .bytes = at, .trusted = prompt->trusted };
    while (before.trusted_count < prompt->trusted_count && prompt->trusted[before.trusted_count].start < at) before.trusted_count++;
    fnd_ids without = { 0 };
    *begin = 0;
    if (at) FND_TRY(tokenize(c, &before, &without, err));
    while (*begin < without.count && *begin < ids->count && without.data[*begin] == ids->data[*begin]) ++*begin;
    fnd_ids_free(&without);
    return FND_OK;
}

/* The last message, from `begin` on, does not fit behind what is kept. */
static fnd_status too_long(const fnd_conversation *c, const fnd_ids *ids, size_t begin, fnd_error *err) {
    size_t kept = fnd_min_size(begin, c->keep);
    char why[64] = "";
    if (!c->shifts) return fnd_fail(err, FND_ERR_LIMIT, "the conversation has %zu tokens, and the context of %u leaves no room for an answer", ids->count, c->s->context);
    if (kept) snprintf(why, sizeof why, " behind the %zu that are kept", kept);
    return fnd_fail(err, FND_ERR_LIMIT, "the message takes %zu token%s, and the context of %u has room for %zu%s and for an answer", ids->count - begin, fnd_plural(ids->count - begin), c->s->context, c->s->context - 1 - kept, why);
}

/* Drop tokens of earlier messages, all behind the first `keep` and before `begin`, so that a quarter of the context is
 * free for the answer, or as many as there are: in the session too, as far as it holds them. */
static fnd_status drop_earlier(fnd_conversation *c, fnd_ids *ids, size_t begin, fnd_error *err) {
    fnd_session *s = c->s;
    size_t excess = ids->count - (s->context - (s->context + 3) / 4), most = begin > c->keep ? begin - c->keep : 0;
    size_t drop = fnd_min_size(fnd_round_up(excess, FND_SHIFT_STEP), most);
    if (ids->count - drop >= s->context) return too_long(c, ids, begin, err);
    uint32_t common = fnd_session_common(s, ids->data, ids->count);
    if (drop && drop % FND_SHIFT_STEP == 0 && common >= c->keep + drop) {
        FND_TRY(fnd_session_truncate(s, common, err));
        FND_TRY(fnd_session_shift(s, c->keep, (uint32_t)drop, err));
    }
    remove_range(ids, c->keep, drop);
    c->dropped += drop;
    return FND_OK;
}

/* The rendered messages without what was dropped from them; the last one is whole, also where an answer that was
 * taken back had dropped some of it. */
static fnd_status leave_dropped(fnd_conversation *c, const fnd_chat_prompt *prompt, fnd_ids *ids, fnd_error *err) {
    bool fits = ids->count < c->s->context;
    size_t begin = 0;
    if (c->dropped || (c->shifts && !fits)) FND_TRY(find_last(c, prompt, ids, &begin, err));
    if (c->keep + c->dropped > begin) c->dropped = 0;
    remove_range(ids, c->keep, c->dropped);
    if (ids->count < c->s->context) return FND_OK;
    return c->shifts ? drop_earlier(c, ids, begin - c->dropped, err) : too_long(c, ids, 0, err);
}

/* What the session should hold. */
static fnd_status make_prompt(fnd_conversation *c, fnd_ids *ids, fnd_error *err) {
    fnd_chat_prompt prompt;
    FND_TRY(write_prompt(c, true, &prompt, err));
    fnd_status status = tokenize(c, &prompt, ids, err);
    if (status == FND_OK) status = leave_dropped(c, &prompt, ids, err);
    fnd_chat_prompt_free(&prompt);
    return status;
}

static fnd_status evaluate(fnd_conversation *c, fnd_generated *times, fnd_error *err) {
    fnd_ids ids = { 0 };
    uint64_t start = fnd_now_ns(), reused = c->s->reused;
    size_t dropped = c->dropped;
    fnd_status status = make_prompt(c, &ids, err);
    if (status == FND_OK) status = fnd_session_prompt(c->s, ids.data, ids.count, err);
    times->prompt_tokens = (uint32_t)ids.count;
    times->prompt_reused = (uint32_t)(c->s->reused - reused);
    times->prompt_seconds = 1e-9 * (double)(fnd_now_ns() - start);
    times->dropped = c->dropped > dropped ? (uint32_t)(c->dropped - dropped) : 0;
    fnd_ids_free(&ids);
    return status;
}

/* ---- taking back ---- */

/* Then a file that the conversation came from does not say any more what is kept. */
static void drop_nothing(fnd_conversation *c) {
    c->dropped = 0;
    c->keep = c->own_keep;
}

/* The session forgets what the messages that are left do not begin with: its length is what they take, also in a
 * file. Some templates refuse to begin without a message; then nothing stays. A system message that is all there is
 * is whole again. */
static fnd_status forget(fnd_conversation *c, fnd_error *err) {
    fnd_ids ids = { 0 };
    fnd_error why = { .status = FND_OK };
    if (c->messages.count <= (is_role(&c->messages, 0, "system") ? 1u : 0u)) drop_nothing(c);
    if (c->messages.count && render(c, false, &ids, &why) == FND_OK) {
        if (ids.count <= c->keep + c->dropped) c->dropped = 0;
        remove_range(&ids, c->keep, c->dropped);
    } else {
        ids.count = 0;
        c->dropped = 0;
    }
    uint32_t common = fnd_session_common(c->s, ids.data, ids.count);
    fnd_ids_free(&ids);
    return common < fnd_session_position(c->s) ? fnd_session_truncate(c->s, common, err) : FND_OK;
}

fnd_status fnd_conversation_set_system(fnd_conversation *c, const char *text, fnd_error *err) {
    FND_TRY(set_system(&c->messages, text, err));
    drop_nothing(c); /* that was of other tokens */
    return forget(c, err);
}

void fnd_conversation_clear(fnd_conversation *c) {
    while (c->messages.count > (is_role(&c->messages, 0, "system") ? 1u : 0u)) drop_last(&c->messages);
    (void)forget(c, NULL); /* what stays in the session after a failure is no part of the next prompt */
}

fnd_status fnd_conversation_undo(fnd_conversation *c, fnd_error *err) {
    if (!last_is(c, "assistant") && !last_is(c, "user")) return fnd_fail(err, FND_ERR_USAGE, "there is no message to take back");
    if (last_is(c, "assistant")) drop_last(&c->messages);
    if (last_is(c, "user")) drop_last(&c->messages);
    return forget(c, err);
}

/* ---- answers ---- */

static fnd_status generate(fnd_conversation *c, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err) {
    fnd_generated times = { .ending = FND_ENDING_NONE };
    fnd_generate_desc d = desc ? *desc : (fnd_generate_desc){ .max_tokens = 0 };
    d.context_shift = c->shifts;
    d.keep = c->keep;
    FND_TRY(evaluate(c, &times, err));
    FND_TRY(fnd_generate(c->s, &d, out, err));
    c->dropped += out->dropped;
    out->prompt_tokens = times.prompt_tokens;
    out->prompt_reused = times.prompt_reused;
    out->prompt_seconds = times.prompt_seconds;
    out->dropped += times.dropped;
    fnd_status status = fnd_messages_add(&c->messages, "assistant", (fnd_span){ out->text, out->bytes }, err);
    if (status != FND_OK) fnd_generated_free(out);
    return status;
}

/* Without an answer, nothing was dropped for it: what the session has lost of the messages is computed again. */
static fnd_status answer(fnd_conversation *c, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err) {
    size_t dropped = c->dropped;
    fnd_status status = generate(c, desc, out, err);
    if (status != FND_OK) c->dropped = dropped;
    return status;
}

/* A byte that no token stands for would be left out. */
static fnd_status check_text(const fnd_conversation *c, const fnd_message *m, fnd_error *err) {
    fnd_ids ids = { 0 };
    fnd_status status = fnd_tokenize(c->s->m->tokenizer, m->content, m->bytes, 0, &ids, err);
    fnd_ids_free(&ids);
    return status;
}

fnd_status fnd_conversation_ask(fnd_conversation *c, const char *text, size_t bytes, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err) {
    *out = (fnd_generated){ .ending = FND_ENDING_NONE };
    if (!bytes) bytes = strlen(text);
    if (!bytes) return fnd_fail(err, FND_ERR_USAGE, "the message is empty: there is nothing to answer");
    FND_TRY(fnd_messages_add(&c->messages, "user", (fnd_span){ text, bytes }, err));
    fnd_status status = check_text(c, &c->messages.list[c->messages.count - 1], err);
    if (status == FND_OK) status = answer(c, desc, out, err);
    if (status != FND_OK) drop_last(&c->messages);
    return status;
}

fnd_status fnd_conversation_answer_again(fnd_conversation *c, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err) {
    *out = (fnd_generated){ .ending = FND_ENDING_NONE };
    fnd_messages *m = &c->messages;
    bool answered = last_is(c, "assistant");
    if (!answered && !last_is(c, "user")) return fnd_fail(err, FND_ERR_USAGE, "there is no message to answer again");
    fnd_message old = m->list[m->count - 1];
    m->count -= answered;
    fnd_status status = answer(c, desc, out, err);
    if (answered && status == FND_OK) {
        fnd_free_memory(old.role);
        fnd_free_memory(old.content);
    } else if (answered) {
        m->list[m->count++] = old;
    }
    return status;
}
