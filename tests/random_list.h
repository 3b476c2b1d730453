/* random_list.h - random legal lists of stages, with what their arguments are: tests fill and run them, and
 * `make kernels` composes a thousand of them for Metal. */
#ifndef TESTS_RANDOM_LIST_H
#define TESTS_RANDOM_LIST_H

#include "compose/kernel.h"
#include "foundry/tensor.h"

enum { LIST_ARGS = 40,
       LIST_NAME = 24 };

typedef struct list_arg {
    char       name[FND_NAME_BYTES];
    fnd_format format;
    fnd_shape  shape;  /* of rank 0: a number */
    float      number;
    bool       written;
} list_arg;

typedef struct random_list {
    char     text[FND_MAX_STAGES][2][LIST_NAME]; /* stage, head */
    uint32_t steps;
    uint64_t tokens, dim;
    list_arg args[LIST_ARGS];
    uint32_t arg_count;
    char     name[LIST_NAME];
    uint32_t heads;
} random_list;

/* List number `index`, which `seed` and that number decide. */
void random_list_make(uint32_t seed, uint32_t index, bool one_token, random_list *out);
/* As the composer takes it; pointers into `list`. */
void random_list_describe(const random_list *list, fnd_kernel_desc *desc);

/* "x" of head "a": "x_a". */
const char *random_list_arg_name(char out[FND_NAME_BYTES], const char *arg, const char *head);

#endif
