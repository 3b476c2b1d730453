/* standin.h - what the parts of the stand-in for NVIDIA's driver know of each other. */
#ifndef CUDA_STANDIN_STANDIN_H
#define CUDA_STANDIN_STANDIN_H

#include "backend/cuda/api.h"
#include "cubin.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Answers, by their names in cuda.h without CUDA_ERROR_. */
enum { OK = 0,
       INVALID = 1,
       BAD_IMAGE = 200,
       BAD_HANDLE = 400,
       BAD_STATE = 401,
       NOT_FOUND = 500,
       LOST = 719,
       TOO_LARGE = 720,
       CAPTURES = 900,
       PROCESSORS = 132 };

#define CALL(name, ...) \
    int name(__VA_ARGS__); \
    int name(__VA_ARGS__)

/* Behind `name` in CUDA_STANDIN; NULL: it is not there. */
const char *word(const char *name);
/* Which memory the address lies in (0: none), and where. */
unsigned place_of(uint64_t address, uint64_t *offset);

/* What a program of calls that are timed leaves, when CUDA_STANDIN says "stamps"; its table is here. */
void write_stamps(fnd_cu_address table);

bool capturing(void);
/* The driver would wait here for what runs: where that never ends, say so and end the process. */
void would_block(const char *what);
/* Graphs that nobody destroyed, into the log. */
void check_left(void);

#endif
