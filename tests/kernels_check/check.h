/* check.h - the parts of `make kernels`: texts to compile, and what compiles them. */
#ifndef TESTS_KERNELS_CHECK_H
#define TESTS_KERNELS_CHECK_H

#include "base/process.h"
#include "compose/catalog.h"

enum { CHECK_MAX_TEXTS = 512,
       CHECK_PATH_BYTES = 512, CHECK_NAME_BYTES = 48 };

/* One text with many kernels in it, flattened for a machine. */
typedef struct check_text {
    char     name[CHECK_NAME_BYTES];   /* "q4_1, 8 tokens" */
    char     suffix[16];               /* the machine it is flattened for: ".cpu" */
    char     path[CHECK_PATH_BYTES];   /* where it was written */
    uint32_t kernels;
    bool     thorough;                 /* compile it as for use; others as fast as can be */
    bool     decode;                   /* of one token: on CUDA no register may be spilled */
    uint32_t warps;                    /* of a group on CUDA, when it is compiled for use; 0: 16 */
    char     arch[16];                 /* on CUDA: for this target alone, "90a" */
    uint32_t known_stores, known_loads; /* spilled bytes that are there today: more is refused */
} check_text;

typedef struct check_texts {
    check_text *list;
    size_t      count;
    uint32_t    not_composed; /* kernels that were refused */
} check_texts;

/* Compose every shipped kernel in all variants for every machine, and write the texts to `dir`. With a
 * user's folder of texts instead: the kernels declared there in all variants, and every kernel with weights
 * in the formats declared there. out->list is freed with fnd_free_memory. */
FND_USE_RESULT fnd_status check_texts_write(const char *dir, const char *user, check_texts *out, fnd_error *err);

/* A thousand random legal lists of stages (tests/random_list.h), 50 to a text, for Metal; behind those in
 * `out`, which check_texts_write made for the same `dir`. */
FND_USE_RESULT fnd_status check_random_write(const char *dir, check_texts *out, fnd_error *err);

/* Whole programs of one token for each of CUDA's targets: some of them, or all. */
#define CHECK_DECODE ".decode"
FND_USE_RESULT fnd_status check_decode_write(const char *dir, bool all, check_texts *out, fnd_error *err);

/* A program that compiles texts: a command whose last word is the text's path, or NVRTC. */
enum { CHECK_MAX_WORDS = 32 };
typedef struct check_tool {
    char        name[CHECK_NAME_BYTES]; /* "gcc v4_vnni" */
    const char *suffix;                 /* which texts it is for */
    const char *argv[CHECK_MAX_WORDS];  /* argv[0] NULL: NVRTC */
    const char *arch;                   /* for NVRTC: "90a" */
    char        missing[160];           /* why it is not here; "" when it is */
} check_tool;

/* For texts that are not thorough: code of every function once, and not again in each function that calls it. */
#define CHECK_EACH_ONCE "-Dalways_inline=unused"

enum { CHECK_MAX_TOOLS = 48 };
typedef struct check_tools {
    check_tool list[CHECK_MAX_TOOLS];
    size_t     count;
} check_tools;

void check_tools_find(check_tools *out);
/* Does the text compile? What the tool said is added to `said`. Any thread may call. */
bool check_tool_run(const check_tool *tool, const check_text *text, fnd_text *said);
/* The strict Metal check of one text: clang's address spaces, then the rules it does not know. */
bool check_metal(const char *path, fnd_text *said);

/* NVRTC, opened at run time. */
bool check_nvrtc_open(char why_not[160]);
bool check_nvrtc_compile(const check_text *text, const char *arch, fnd_text *said);
/* Architectures to compile for: the oldest supported, "80", "90a" and the newest. */
size_t check_nvrtc_archs(char archs[4][16]);
/* Adds a sentence for every function that NVRTC's log says spills; false when all together spill more than is known. */
bool check_spills(const check_text *text, const char *log, const char *arch, fnd_text *said);

/* work(ctx, 0) to work(ctx, count - 1), each once, some at a time. */
void check_on_all_cores(size_t count, void (*work)(void *ctx, size_t index), void *ctx);

/* Every file of tests/kernels_check/planted breaks one rule, and so does the kernel that the folder
 * tests/kernels_check/planted_user declares; the strict check must name the line. */
void check_planted(const char *dir, uint32_t *passed, uint32_t *failed);

#endif
