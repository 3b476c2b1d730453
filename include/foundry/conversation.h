/* conversation.h - messages to and fro over a session: the chat template makes the prompt, and only what
 * the session does not hold yet is evaluated.
 *
 *     fnd_conversation *c;
 *     fnd_conversation_open(s, &(fnd_conversation_desc){ .system = "Be brief." }, &c, &err);
 *     fnd_generated g;
 *     fnd_conversation_ask(c, "Why is the sky blue?", 0, &(fnd_generate_desc){ .text = show }, &g, &err);
 *     fnd_generated_free(&g);
 *     fnd_conversation_close(c);
 *
 * The session must outlive the conversation, and is the conversation's as long as that is open. */
#ifndef FOUNDRY_CONVERSATION_H
#define FOUNDRY_CONVERSATION_H

#include "foundry/chat.h"
#include "foundry/generate.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fnd_conversation fnd_conversation;

typedef struct fnd_conversation_desc {
    const fnd_chat_template *chat_template; /* NULL: the model file's, or its one for tools */
    const char              *system;        /* NULL: none */
    const char              *variables_json; /* an object: more variables for the template; NULL: none */
    const char              *tools_json;    /* an array of tools for the template; NULL: none */
    /* Where a message does not fit, drop tokens of those before it, the oldest behind the first `keep`; where its
     * answer does not, as fnd_generate_desc says. keep: less than the context by more than FND_SHIFT_STEP. */
    bool                     context_shift;
    uint32_t                 keep;
} fnd_conversation_desc;

/* desc may be NULL. A model without a chat template is FND_ERR_UNSUPPORTED. */
FND_USE_RESULT fnd_status fnd_conversation_open(fnd_session *s, const fnd_conversation_desc *desc, fnd_conversation **out, fnd_error *err);
void fnd_conversation_close(fnd_conversation *c); /* NULL is fine */

/* Say something (0 bytes: up to the NUL; what is no UTF-8 in it becomes U+FFFD) and have it answered. The
 * message is read whole, and it and the answer, also a cancelled or cut one, are then part of the conversation. On
 * failure (the message is empty or does not fit, a byte has no token, its evaluation was cancelled, ...) neither is, and nothing
 * was dropped. out->dropped: tokens that were, for the message and for the answer. */
FND_USE_RESULT fnd_status fnd_conversation_ask(fnd_conversation *c, const char *text, size_t bytes, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err);
/* Answer the last message again; the old answer is gone, unless this fails. */
FND_USE_RESULT fnd_status fnd_conversation_answer_again(fnd_conversation *c, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err);
/* Take back the last message and its answer; the session then ends where those that are left do. There is
 * none: FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_conversation_undo(fnd_conversation *c, fnd_error *err);
/* Take back all messages but the system's. */
void fnd_conversation_clear(fnd_conversation *c);
/* Another system message from here on; NULL or "": none. */
FND_USE_RESULT fnd_status fnd_conversation_set_system(fnd_conversation *c, const char *text, fnd_error *err);

/* The messages, the system's first; valid until the next change. index < count. */
size_t fnd_conversation_count(const fnd_conversation *c);
fnd_chat_message fnd_conversation_message(const fnd_conversation *c, size_t index);

/* Tokens of the messages that the context does not hold any more: all behind the first `kept`. */
size_t fnd_conversation_dropped(const fnd_conversation *c);
uint32_t fnd_conversation_kept(const fnd_conversation *c);

/* The session with the messages as its note (fnd_session_save). A failed load leaves the messages. */
FND_USE_RESULT fnd_status fnd_conversation_save(const fnd_conversation *c, const char *path, fnd_error *err);
FND_USE_RESULT fnd_status fnd_conversation_load(fnd_conversation *c, const char *path, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
