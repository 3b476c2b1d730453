/* conversation_file.c - a conversation in a session file: its messages are the note, as JSON. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/conversation.h"
#include "lm/generate.h"
#include "lm/session.h"

#include <jansson.h>

/* ---- saving ---- */

static json_t *to_json(const fnd_conversation *c) {
    json_t *messages = json_array(), *all = json_object();
    bool ok = json_object_set_new(all, "messages", messages) == 0;
    for (size_t i = 0; ok && i < c->messages.count; i++) {
        const fnd_message *m = &c->messages.list[i];
        ok = json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", m->role, "content", m->content, m->bytes)) == 0;
    }
    ok = ok && json_object_set_new(all, "keep", json_integer((json_int_t)c->keep)) == 0 && json_object_set_new(all, "dropped", json_integer((json_int_t)c->dropped)) == 0;
    if (ok) return all;
    json_decref(all);
    return NULL;
}

fnd_status fnd_conversation_save(const fnd_conversation *c, const char *path, fnd_error *err) {
    json_t *json = to_json(c);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the %zu messages of a conversation", c->messages.count);
    fnd_status status = fnd_session_save(c->s, path, (fnd_span){ text, strlen(text) }, err);
    free(text);
    return status;
}

/* ---- loading ---- */

static fnd_status wrong(const char *path, const char *what, fnd_error *err) { return fnd_fail(err, FND_ERR_FORMAT, "%s holds a session, but no conversation: %s", path, what); }

static fnd_status read_messages(const char *path, const json_t *list, fnd_messages *out, fnd_error *err) {
    size_t i;
    json_t *item;
    if (!json_is_array(list)) return wrong(path, "its note has no list of messages", err);
    json_array_foreach(list, i, item) {
        const json_t *role = json_object_get(item, "role"), *content = json_object_get(item, "content");
        if (!json_is_string(role) || !json_is_string(content)) return wrong(path, "a message has no role or no content", err);
        FND_TRY(fnd_messages_add(out, json_string_value(role), (fnd_span){ json_string_value(content), json_string_length(content) }, err));
    }
    return FND_OK;
}

/* A count of tokens that is not larger than any context. */
static bool read_count(const json_t *json, const char *name, size_t *out) {
    const json_t *value = json_object_get(json, name);
    *out = (size_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= UINT32_MAX;
}

static fnd_status take(fnd_conversation *c, const char *path, const char *note, size_t bytes, fnd_error *err) {
    fnd_messages messages = { .list = NULL };
    json_error_t where;
    size_t keep = 0, dropped = 0;
    json_t *json = json_loadb(note, bytes, JSON_ALLOW_NUL, &where);
    fnd_status status = json ? read_messages(path, json_object_get(json, "messages"), &messages, err) : wrong(path, "its note is no JSON", err);
    if (status == FND_OK && !(read_count(json, "keep", &keep) && read_count(json, "dropped", &dropped))) status = wrong(path, "its note does not say what was dropped", err);
    json_decref(json);
    if (status != FND_OK) {
        fnd_messages_free(&messages);
        return status;
    }
    fnd_messages_free(&c->messages);
    c->messages = messages;
    c->dropped = dropped;
    c->keep = c->own_keep;
    if (dropped && (!c->shifts || fnd_shift_check(c->s->context, (uint32_t)keep, &(fnd_error){ .status = FND_OK }) == FND_OK)) c->keep = (uint32_t)keep;
    return FND_OK;
}

fnd_status fnd_conversation_load(fnd_conversation *c, const char *path, fnd_error *err) {
    char *note;
    size_t bytes;
    FND_TRY(fnd_session_load(c->s, path, &note, &bytes, err));
    fnd_status status = take(c, path, note, bytes, err);
    fnd_text_release(note);
    return status;
}
