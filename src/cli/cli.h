/* cli.h - what the sub-commands of `foundry` share.
 *
 * A sub-command is one file with one fnd_cli_command: its options as a list, from which parsing,
 * checks and help follow, and a function that does it. Results go to standard output, everything
 * else to standard error. A failure is a status and a sentence; main prints it and turns it into the
 * exit code: 0; 1 failure; 2 usage; 130 interrupted. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/base.h"
#include "base/nearest.h"
#include "base/text.h"
#include "foundry/context.h"
#include "foundry/gguf.h"

#include <stdio.h>

enum { FND_CLI_OK = 0, FND_CLI_FAILURE = 1, FND_CLI_USAGE = 2, FND_CLI_INTERRUPTED = 130 };

/* ---- options ---- */

typedef enum fnd_cli_kind {
    FND_CLI_FLAG, /* bool */
    FND_CLI_TEXT, /* const char *; NULL: not given */
    FND_CLI_NAME, /* the same, of a file, a kernel ...: not empty */
    FND_CLI_U32,  /* uint32_t, min .. max */
    FND_CLI_U64,  /* fnd_cli_u64 */
    FND_CLI_REAL, /* double, min .. max */
    FND_CLI_LIST  /* fnd_cli_list: may be given again and again */
} fnd_cli_kind;

/* Any number, so that none can mean "not given". */
typedef struct fnd_cli_u64 {
    uint64_t value;
    bool     given;
} fnd_cli_u64;

enum { FND_CLI_LIST_ITEMS = 64 };
typedef struct fnd_cli_list {
    const char *items[FND_CLI_LIST_ITEMS];
    uint32_t    count;
} fnd_cli_list;

typedef struct fnd_cli_option {
    const char  *name;   /* "max-tokens"; "o" for -o; NULL ends a list */
    fnd_cli_kind kind;
    const char  *value;  /* what help calls its value (values.c says what these may be), or all that it may
                          * be: "decode|prefill|head"; NULL for flags */
    size_t       offset; /* of its field in the struct of options */
    const char  *doc;
    double       min, max;
} fnd_cli_option;

/* Options that every command takes. */
typedef struct fnd_cli_globals {
    const char *backend, *isa, *compiler, *kernel_dir, *cache_dir, *kv_type, *repack, *program;
    uint32_t    gpu, threads, unit_from, compiler_seconds;
    bool        no_cache, no_fuse, help, version;
} fnd_cli_globals;

typedef fnd_status fnd_cli_fn(const fnd_cli_globals *globals, const void *options, fnd_error *err);

typedef struct fnd_cli_command {
    const char           *name, *doc; /* one line */
    const char           *usage;      /* behind the name: "--model F --prompt T [options]" */
    const char           *more;       /* paragraphs of help; NULL: none */
    const char           *example;    /* lines, each a command */
    const fnd_cli_option *options;    /* ends with a row whose name is NULL */
    const void           *defaults;   /* of its struct of options; NULL: zeros */
    size_t                options_bytes;
    const char           *positional; /* name of the one argument it takes; NULL: none */
    size_t                positional_offset; /* const char * */
    const char           *second;     /* name of the argument behind that; NULL: none */
    size_t                second_offset; /* const char * */
    const char           *machines; /* what --backend may be, if not a device: "cpu|cuda|metal" */
    fnd_cli_fn           *run;
} fnd_cli_command;

/* name  symbol of its fnd_cli_command */
#define FND_CLI_COMMANDS(X) \
    X(run) X(chat) X(tokenize) X(template) X(perplexity) X(logits) X(inspect) X(quantize) X(synth) X(emit) X(kernels) X(bench) X(profile) X(tune) X(doctor)
#define FND_CLI_DECLARE_(name) extern const fnd_cli_command fnd_cli_##name;
FND_CLI_COMMANDS(FND_CLI_DECLARE_)
#undef FND_CLI_DECLARE_

/* NULL: none of that name; at and after the end. */
const fnd_cli_command *fnd_cli_find(const char *name);
const fnd_cli_command *fnd_cli_command_at(size_t index);

enum { FND_CLI_OPTIONS_BYTES = 2048 }; /* of the largest struct of options */

/* Fill globals and options from the words after the command's name. A wrong word: FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_cli_parse(const fnd_cli_command *command, int count, char **words, fnd_cli_globals *globals, void *options, fnd_error *err);

/* Options that every command takes, as this one takes them (NULL: any); false at and after the end. */
bool fnd_cli_global_option(const fnd_cli_command *command, size_t index, fnd_cli_option *out);
/* "--" or "-", as it stands before the option's name. */
const char *fnd_cli_dashes(const fnd_cli_option *o);

/* Index of the command among a program's words: the first that is no option. `count`: there is none. */
int fnd_cli_command_word(int count, char **words);

void fnd_cli_help(FILE *to);
void fnd_cli_help_command(const fnd_cli_command *command, FILE *to);

/* What the program does, and a use of it. */
extern const char fnd_cli_purpose[], fnd_cli_example[];
/* The manual page, for man(1), of a command or (NULL) of the program. */
FND_USE_RESULT fnd_status fnd_cli_manual(const fnd_cli_command *command, fnd_error *err);
/* What "bash" or "zsh" reads to complete the program's words. */
FND_USE_RESULT fnd_status fnd_cli_completion(const char *shell, fnd_error *err);

/* FND_ERR_USAGE: the required option was not given. */
FND_USE_RESULT fnd_status fnd_cli_need(const fnd_cli_command *command, const char *option, const void *value, fnd_error *err);

/* ---- what an option's value may be (values.c) ---- */

typedef enum fnd_cli_values_kind {
    FND_CLI_ANYTHING,
    FND_CLI_FILES,
    FND_CLI_FOLDERS,
    FND_CLI_PROGRAMS,
    FND_CLI_WORDS,      /* one of the words */
    FND_CLI_WORD_LIST,  /* some, with commas between */
    FND_CLI_EQUALS_WORD /* anything, '=', one of the words */
} fnd_cli_values_kind;

typedef struct fnd_cli_values {
    fnd_cli_values_kind kind;
    fnd_text            words; /* with a space between each two; to be freed */
} fnd_cli_values;

FND_USE_RESULT fnd_status fnd_cli_option_values(const fnd_cli_option *o, fnd_cli_values *out, fnd_error *err);

/* ---- output (output.c) ---- */

/* The last byte put on standard output was no end of a line. */
bool fnd_cli_in_line(void);
/* Before anything is written to standard error: take the line of progress away, and end a line of
 * results that stands where this will (a terminal, a pipe or a file for both). */
void fnd_cli_begin_note(void);
/* "foundry: ..." on standard error. */
void fnd_cli_note(const char *format, ...) FND_PRINTF_(1, 2);
/* Write to standard output; FND_ERR_FILE when it cannot take it (closed, full). */
FND_USE_RESULT fnd_status fnd_cli_put(const char *bytes, size_t count, fnd_error *err);
FND_USE_RESULT fnd_status fnd_cli_flush(fnd_error *err);
/* fnd_cli_put and fnd_cli_flush of a text, which is freed. */
FND_USE_RESULT fnd_status fnd_cli_put_text(fnd_text *text, fnd_error *err);

/* As JSON: what is no UTF-8 becomes U+FFFD, what is no number null. */
void fnd_cli_json_text(fnd_text *out, const char *bytes, size_t count);
void fnd_cli_json_string(fnd_text *out, const char *string);
void fnd_cli_json_number(fnd_text *out, double value);
void fnd_cli_json_float(fnd_text *out, float value); /* as few digits as say which float it is */

/* ---- progress (progress.c) ---- */

/* An fnd_progress_fn: one line that changes on a terminal; elsewhere a line for each step of more
 * than half a second. When the program was interrupted it ends it: nothing is lost by then. Not so with
 * `stoppable` (not NULL): then the caller stops by itself. */
void fnd_cli_progress(void *stoppable, const char *what, uint64_t done, uint64_t total);
/* More for the line on a terminal, until the step is done. */
void fnd_cli_progress_detail(const char *detail);
/* Take the line away. */
void fnd_cli_progress_clear(void);

/* SIGINT came. The second one ends the program at once. */
extern volatile bool fnd_cli_interrupted;
/* From here on SIGINT stops what is being done and not the program, unless it comes three times without
 * being answered. */
void fnd_cli_survive_interrupts(void);
/* Was there one? It is answered. */
bool fnd_cli_answer_interrupt(void);
FND_USE_RESULT fnd_status fnd_cli_check_interrupt(fnd_error *err); /* FND_ERR_CANCELLED */

/* ---- devices (open.c) ---- */

/* Options, then the environment. Strings stay the globals' and the environment's. */
FND_USE_RESULT fnd_status fnd_cli_desc(const fnd_cli_globals *globals, fnd_desc *out, fnd_error *err);

#endif
