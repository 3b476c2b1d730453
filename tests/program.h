/* program.h - run the program as a user does, and see what it says.
 *
 *     program_result r;
 *     program_run(&r, (const char *const[]){ "tokenize", "--help", NULL });
 *     CHECK(r.exit_code == 0);
 *     program_free(&r);
 *
 * The program is `foundry` beside the test program. It runs with the cache folder of all tests
 * (program_cache) and without the FOUNDRY_ variables of whoever runs the tests. */
#ifndef TESTS_PROGRAM_H
#define TESTS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* PROGRAM_BOTH: standard error goes where standard output does; PROGRAM_TERMINAL: both to a terminal,
 * which changes nothing. */
typedef enum program_output { PROGRAM_KEEP, PROGRAM_BOTH, PROGRAM_TERMINAL, PROGRAM_CLOSED, PROGRAM_FULL, PROGRAM_NO_READER } program_output;

typedef struct program_desc {
    const char *const *words;     /* behind the program's name; ends with NULL */
    const char        *input;     /* standard input; NULL: empty */
    size_t             input_bytes; /* of it; 0: up to the NUL */
    program_output     output;    /* what becomes of standard output */
    const char        *path;      /* PATH; NULL: as it is */
    bool               interrupt; /* SIGINT as soon as something was written to it */
    unsigned           interrupt_ms; /* SIGINT so long after the start; 0: none */
    unsigned           again_ms;     /* another one; 0: none */
    size_t             file_limit; /* bytes that files may grow to; 0: any */
} program_desc;

typedef struct program_result {
    int    exit_code; /* 1000 + signal when one ended it; -1: it took too long */
    char  *out, *err; /* NUL-terminated */
    size_t out_bytes;
} program_result;

const char *program_path(void);
bool program_there(void);
void program_run_desc(program_result *r, const program_desc *desc);
void program_run(program_result *r, const char *const *words);
void program_free(program_result *r);
/* In a child of one's own: be the program, with the streams that are open. Does not return. */
void program_become(const char *const *words);

/* Fails the test unless the exit code is this one, standard output is empty, and standard error is
 * one sentence that contains `part`. Frees. */
void program_refused(program_result *r, int exit_code, const char *part, const char *file, int line);
#define PROGRAM_REFUSED(exit_code, part, ...)                                          \
    do {                                                                               \
        program_result refused_;                                                       \
        program_run(&refused_, (const char *const[]){ __VA_ARGS__, NULL });            \
        program_refused(&refused_, exit_code, part, __FILE__, __LINE__);               \
    } while (0)

/* The folder in which tests keep what they compiled, for each other and for the next run. */
const char *program_cache(void);

/* A folder that is removed with the files in it when the tests end; a path in it, valid until the
 * 64th call from now. */
const char *program_temp(const char *name);

#endif
