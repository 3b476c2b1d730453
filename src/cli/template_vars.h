/* template_vars.h - variables of chat templates from the command line, and JSON from files. */
#ifndef CLI_TEMPLATE_VARS_H
#define CLI_TEMPLATE_VARS_H

#include "cli/cli.h"

#define FND_CLI_TEMPLATE_VAR_DOC "variable of the template, as enable_thinking=false; may be given several times"

/* The items, each K=JSON, as the text of one JSON object, for fnd_chat_desc.variables_json: to be freed
 * with fnd_free_memory; NULL when there are none. What is no such item is FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_cli_template_vars(const fnd_cli_list *items, char **json, fnd_error *err);

/* A file of JSON as a text, which has no zero byte: to be freed with fnd_free_memory; "-": standard input. */
FND_USE_RESULT fnd_status fnd_cli_read_json(const char *path, char **text, fnd_error *err);

#endif
