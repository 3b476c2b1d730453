/* text.h - the texts that commands are given. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "cli/cli.h"
#include "foundry/tokenizer.h"

enum { FND_CLI_TEXT_BYTES = 256 << 20 }; /* of a text at most */

/* Exactly one of two options must be given. */
FND_USE_RESULT fnd_status fnd_cli_one_of(const char *command, const char *first, const void *a, const char *second, const void *b, fnd_error *err);

/* The text itself, or that of a file ("-": standard input), as bytes whatever they are; not UTF-8 is
 * noted. Free with fnd_free_memory. */
FND_USE_RESULT fnd_status fnd_cli_read_text(const char *text, const char *file, char **data, size_t *bytes, fnd_error *err);

/* As sentences call a file: "standard input", or its name as it can be shown, in `shown`. */
const char *fnd_cli_file_name(const char *path, char *shown, size_t room);

/* FND_ERR_USAGE: "-" is standard output, and `what` cannot be written there. NULL is fine. */
FND_USE_RESULT fnd_status fnd_cli_check_named(const char *what, const char *path, fnd_error *err);
/* Found out before the work begins: FND_ERR_FILE when no file can be written at this path. NULL is fine. */
FND_USE_RESULT fnd_status fnd_cli_check_writable(const char *path, fnd_error *err);

/* The numbers of --ids, "1,2,3", appended. */
FND_USE_RESULT fnd_status fnd_cli_parse_ids(const char *text, fnd_ids *ids, fnd_error *err);

/* A note when the file, of this name, does not say how its tokenizer cuts text, and what is assumed. */
void fnd_cli_tokenizer_note(const char *path, const fnd_tokenizer *t);

/* A note when it is not UTF-8, and `becomes` of the bytes that are not: "its bytes are taken as they are". */
void fnd_cli_note_utf8(const char *what, const char *text, size_t bytes, const char *becomes);

#endif
