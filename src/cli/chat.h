/* chat.h - the lines that foundry chat is given: typed, with editing and history, or piped. */
#ifndef CLI_CHAT_H
#define CLI_CHAT_H

#include "cli/cli.h"

typedef struct fnd_cli_lines fnd_cli_lines;

/* history: a file that earlier lines come from and these go to; NULL: none. */
FND_USE_RESULT fnd_status fnd_cli_lines_open(const char *history, fnd_cli_lines **out, fnd_error *err);
/* Writes the history. */
FND_USE_RESULT fnd_status fnd_cli_lines_close(fnd_cli_lines *l, fnd_error *err); /* NULL is fine */
/* Somebody sits there. */
bool fnd_cli_lines_typed(const fnd_cli_lines *l);

typedef enum fnd_cli_line { FND_CLI_LINE, FND_CLI_LINE_END, FND_CLI_LINE_INTERRUPTED } fnd_cli_line;
/* The next line without its newline. Lines that end with a backslash go on in the next one, with a newline
 * in place of the backslash. A piped one may hold any bytes. *text, which ends with a NUL too, is valid until the next
 * call. */
FND_USE_RESULT fnd_status fnd_cli_lines_next(fnd_cli_lines *l, fnd_span *text, fnd_cli_line *what, fnd_error *err);

#endif
