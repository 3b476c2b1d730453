/* conversation.h - the inside of a conversation. */
#ifndef LM_CONVERSATION_H
#define LM_CONVERSATION_H

#include "foundry/conversation.h"

typedef struct fnd_message {
    char  *role, *content; /* content is UTF-8 */
    size_t bytes;
} fnd_message;

typedef struct fnd_messages {
    fnd_message *list;
    size_t       count;
} fnd_messages;

struct fnd_conversation {
    fnd_session             *s;
    const fnd_chat_template *chat_template;
    fnd_chat_template       *own_template; /* NULL: it is the caller's */
    char                    *variables_json, *tools_json; /* of the template; NULL: none */
    fnd_messages             messages;
    bool                     shifts;
    uint32_t                 keep, own_keep; /* of the conversation that is open, also a loaded one; as it was asked for */
    size_t                   dropped; /* of the rendered tokens, keep .. keep + dropped - 1 are gone */
};

FND_USE_RESULT fnd_status fnd_messages_add(fnd_messages *m, const char *role, fnd_span content, fnd_error *err);
void fnd_messages_free(fnd_messages *m);

#endif
