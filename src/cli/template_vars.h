/* template_vars.h - variables of chat templates from the command line. */
#ifndef CLI_TEMPLATE_VARS_H
#define CLI_TEMPLATE_VARS_H

#include "cli/cli.h"

#define FND_CLI_TEMPLATE_VAR_DOC "variable of the template, as enable_thinking=false; may be given several times"

/* The items, each K=JSON, as the text of one JSON object, for fnd_chat_desc.variables_json: to be freed
 * with fnd_free_memory; NULL when there are none. What is no such item is FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_cli_template_vars(const fnd_cli_list *items, char **json, fnd_error *err);

#endif
