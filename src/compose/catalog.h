/* catalog.h - every stage and policy there is, read from the kernel texts themselves: the FND_STAGE
 * and FND_POLICY lines and the argument lists, and a user's FND_COMPOUND lines (docs/kernels.md). What the user registers goes through
 * the same reader. */
#ifndef COMPOSE_CATALOG_H
#define COMPOSE_CATALOG_H

#include "compose/expr.h"
#include "compose/source.h"
#include "foundry/kernel.h"

#define FND_ARG_KINDS(X)                                     \
    X(IN,     "read")                                        \
    X(OUT,    "written")                                     \
    X(INOUT,  "read and written")                            \
    X(WEIGHT, "a weight matrix, decoded by its policy")      \
    X(VAL,    "a number")                                    \
    X(GROUP,  "memory of the group")

#define FND_STAGE_KINDS(X)                                                        \
    X(PROLOGUE,            "prologue")                                            \
    X(MAIN,                "main")                                                \
    X(EPILOGUE_BIAS,       "epilogue: + bias")                                    \
    X(EPILOGUE_ACTIVATION, "epilogue: activation")                                \
    X(EPILOGUE_GATE,       "epilogue: * gate")                                    \
    X(EPILOGUE_RESIDUAL,   "epilogue: + residual")                                \
    X(EPILOGUE_STORE,      "epilogue: store")

#define FND_VALUE_KINDS(X)                  \
    X(NONE,   "nothing")                    \
    X(ROWS,   "rows of activations")        \
    X(TILE,   "a tile of results")          \
    X(TILES2, "the tiles of two heads")

#define FND_REACHES(X)                                           \
    X(OWN, "complete for the group that computed it")            \
    X(ALL, "complete when all groups are done")

#define FND_ENUM_ROW_(id, doc) FND_ENUM_PREFIX_(id),
#define FND_ENUM_PREFIX_(id) FND_ARG_##id
typedef enum fnd_arg_kind { FND_ARG_KINDS(FND_ENUM_ROW_) } fnd_arg_kind;
#undef FND_ENUM_PREFIX_
#define FND_ENUM_PREFIX_(id) FND_KIND_##id
typedef enum fnd_stage_kind { FND_STAGE_KINDS(FND_ENUM_ROW_) } fnd_stage_kind;
#undef FND_ENUM_PREFIX_
#define FND_ENUM_PREFIX_(id) FND_VALUE_##id
typedef enum fnd_value_kind { FND_VALUE_KINDS(FND_ENUM_ROW_) } fnd_value_kind;
#undef FND_ENUM_PREFIX_
#define FND_ENUM_PREFIX_(id) FND_REACH_##id
typedef enum fnd_reach { FND_REACHES(FND_ENUM_ROW_) } fnd_reach;
#undef FND_ENUM_PREFIX_
#undef FND_ENUM_ROW_

enum { FND_MAX_STAGE_ARGS = 20, FND_MAX_STAGE_RULES = 12, FND_DOC_BYTES = 160, FND_KERNEL_PATH_BYTES = 128 };

typedef struct fnd_arg {
    fnd_arg_kind   kind;
    char           type[FND_NAME_BYTES]; /* "f32", "act", "cache", "policy" ... */
    char           name[FND_NAME_BYTES];
    char           shape_text[4 * FND_EXPR_BYTES];
    fnd_shape_text shape;
    char           doc[FND_DOC_BYTES];
} fnd_arg;

/* X(RULE, "pos + tokens <= 16*blocks", "why"): what must hold when the stage runs. */
typedef struct fnd_rule_text {
    char text[FND_RULE_BYTES], doc[FND_RULE_BYTES];
} fnd_rule_text;

/* X(OPS, "2*tokens*rows*dim", "doc"): the multiplications and additions that matter for its time. It may
 * name dimensions, u32 numbers and, whether the list has it or not, "tokens". */
typedef struct fnd_stage {
    char           name[FND_NAME_BYTES];
    fnd_stage_kind kind;
    fnd_value_kind takes, gives;
    fnd_reach      reach;
    char           doc[FND_DOC_BYTES];
    char           file[FND_KERNEL_PATH_BYTES]; /* what to include for its function */
    char           declared_in[FND_KERNEL_PATH_BYTES];
    bool           by_policy;            /* its function is POLICY_<name>, its file a template */
    fnd_arg       *args;                 /* in the stage's own block, as its rules */
    uint32_t       arg_count;
    fnd_dims       dims;                 /* names only, in the order its function takes them */
    fnd_rule_text *rules;
    uint32_t       rule_count;
    char           ops[FND_EXPR_BYTES];  /* "": too few to be counted */
} fnd_stage;

typedef struct fnd_policy {
    char       name[FND_NAME_BYTES];
    fnd_format format;
    char       file[FND_KERNEL_PATH_BYTES];
    char       doc[FND_DOC_BYTES];
} fnd_policy;

/* FND_COMPOUND(name, "rows | dot q | store q", "doc") in a user's text. */
typedef struct fnd_declared_kernel {
    fnd_kernel_desc desc;   /* its strings are in `name` and `words` */
    char name[FND_NAME_BYTES];
    char words[16 * FND_NAME_BYTES];
    char doc[FND_DOC_BYTES];
    char declared_in[FND_KERNEL_PATH_BYTES];
} fnd_declared_kernel;

typedef struct fnd_catalog fnd_catalog;

FND_USE_RESULT fnd_status fnd_catalog_open(const char *override_dir, fnd_catalog **out, fnd_error *err);
void fnd_catalog_close(fnd_catalog *catalog);

/* Add a file of the user's, or add it anew, and read its declarations. Shipped files, stages and policies
 * cannot be replaced so (the override folder is for that), nor what another file declares. */
FND_USE_RESULT fnd_status fnd_catalog_add(fnd_catalog *catalog, const char *path, const char *text, fnd_error *err);

/* Several that may refer to each other. */
FND_USE_RESULT fnd_status fnd_catalog_add_texts(fnd_catalog *catalog, const fnd_source *texts, size_t count, fnd_error *err);
/* The same with every *.h file of a folder and the folders in it, each under its path from
 * there. FND_ERR_FILE when there is none. */
FND_USE_RESULT fnd_status fnd_catalog_add_folder(fnd_catalog *catalog, const char *folder, fnd_error *err);

fnd_sources *fnd_catalog_sources(fnd_catalog *catalog);
const fnd_stage *fnd_catalog_stage(const fnd_catalog *catalog, const char *name);
const fnd_policy *fnd_catalog_policy(const fnd_catalog *catalog, const char *name);
size_t fnd_catalog_stage_count(const fnd_catalog *catalog);
const fnd_stage *fnd_catalog_stage_at(const fnd_catalog *catalog, size_t index);
size_t fnd_catalog_policy_count(const fnd_catalog *catalog);
const fnd_policy *fnd_catalog_policy_at(const fnd_catalog *catalog, size_t index);
/* Declared kernels stay where they are until the catalog closes, also when declared anew. */
const fnd_declared_kernel *fnd_catalog_kernel(const fnd_catalog *catalog, const char *name);
size_t fnd_catalog_kernel_count(const fnd_catalog *catalog);
const fnd_declared_kernel *fnd_catalog_kernel_at(const fnd_catalog *catalog, size_t index);

/* Is its format a constant of the text: `act`, F32, F16, BF16 or Q8_0; `cache`, F16, F32 or Q8_0 as
 * attention lays them out? */
bool fnd_arg_is_act(const fnd_arg *arg);
bool fnd_arg_is_cache(const fnd_arg *arg);
/* The formats of `cache`, the usual one first; FND_FORMAT_NONE behind the last. */
fnd_format fnd_cache_format_at(size_t index);
bool fnd_format_is_cache(fnd_format format);
const char *fnd_arg_kind_name(fnd_arg_kind kind);
const char *fnd_stage_kind_text(fnd_stage_kind kind);
const char *fnd_value_kind_text(fnd_value_kind kind);

#endif
