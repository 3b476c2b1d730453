/* template_inputs.h - the chat template of a command, and what it is given besides messages. */
#ifndef CLI_TEMPLATE_INPUTS_H
#define CLI_TEMPLATE_INPUTS_H

#include "cli/template_vars.h"
#include "foundry/chat.h"

/* Options of the commands that answer messages. */
typedef struct fnd_cli_template_options {
    fnd_cli_list variables; /* each K=JSON */
    const char  *tools;     /* a file with an array; NULL: none */
    const char  *file;      /* with the template; NULL: the model's own */
} fnd_cli_template_options;

/* FND_ERR_USAGE for options that say nothing (raw: no template is used), and when two would read standard input, which
 * has or is read as `taken` already ("the messages", "--prompt"; NULL: it is not). */
FND_USE_RESULT fnd_status fnd_cli_template_check(const fnd_cli_template_options *o, bool raw, const char *taken, fnd_error *err);

typedef struct fnd_cli_template_inputs {
    char              *variables, *tools; /* JSON; NULL: none */
    const char        *file;
    const fnd_gguf    *model;
    fnd_chat_template *templates[2];      /* without and with tools; of a file only the first; NULL until it is needed */
} fnd_cli_template_inputs;

/* A note tells when the template makes nothing of tools. The model must outlive *out, which is to be freed also after a
 * failure. */
FND_USE_RESULT fnd_status fnd_cli_template_inputs_read(const fnd_cli_template_options *o, const fnd_gguf *model, fnd_cli_template_inputs *out, fnd_error *err);
void fnd_cli_template_inputs_free(fnd_cli_template_inputs *in);

/* The template for messages with or without tools; it lives as long as `in`. A model without one is FND_ERR_UNSUPPORTED
 * with what to do. */
FND_USE_RESULT fnd_status fnd_cli_template_get(fnd_cli_template_inputs *in, bool tools, fnd_chat_template **out, fnd_error *err);

/* A template in a file ("-": standard input) and its text, to be freed with fnd_free_memory. */
FND_USE_RESULT fnd_status fnd_cli_template_open(const char *path, fnd_chat_template **out, char **text, size_t *bytes, fnd_error *err);

/* Puts the name of a file (NULL: none) before the sentence of a failure; the second only where it speaks of a template. */
fnd_status fnd_cli_name_file(const char *path, fnd_status status, fnd_error *err);
fnd_status fnd_cli_name_template(const char *path, fnd_status status, fnd_error *err);

#endif
