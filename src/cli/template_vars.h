/* template_vars.h - variables of chat templates, and tools, from the command line. */
#ifndef CLI_TEMPLATE_VARS_H
#define CLI_TEMPLATE_VARS_H

#include "cli/cli.h"
#include "foundry/gguf.h"

#define FND_CLI_TEMPLATE_VAR_DOC "variable of the template, as enable_thinking=false; may be given several times"

/* The items, each K=JSON, as the text of one JSON object, for fnd_chat_desc.variables_json: to be freed
 * with fnd_free_memory; NULL when there are none. What is no such item is FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_cli_template_vars(const fnd_cli_list *items, char **json, fnd_error *err);

/* A file of JSON as a text, which has no zero byte: to be freed with fnd_free_memory; "-": standard input. */
FND_USE_RESULT fnd_status fnd_cli_read_json(const char *path, char **text, fnd_error *err);

/* What a command that renders the model's own template gives it. */
typedef struct fnd_cli_template_inputs {
    char *variables, *tools; /* JSON; NULL: none */
} fnd_cli_template_inputs;

/* variables: items as above; tools: a file with an array, or NULL. A note tells when `model`'s template
 * makes nothing of tools. To be freed also after a failure. */
FND_USE_RESULT fnd_status fnd_cli_template_inputs_read(const fnd_cli_list *variables, const char *tools, const fnd_gguf *model, fnd_cli_template_inputs *out, fnd_error *err);
void fnd_cli_template_inputs_free(fnd_cli_template_inputs *in);

#endif
