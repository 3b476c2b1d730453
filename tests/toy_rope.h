/* toy_rope.h - RoPE and its scalings for long contexts in f64, written from their publications, and the
 * metadata and tensors by which GGUF files tell of them. */
#ifndef TESTS_TOY_ROPE_H
#define TESTS_TOY_ROPE_H

#include "gguf_writer.h"

#include <stddef.h>
#include <stdint.h>

enum { TOY_ROPE_PAIRS = 128 };

typedef enum toy_scaling { TOY_NONE,
                           TOY_LINEAR,
                           TOY_YARN,
                           TOY_LLAMA3,
                           TOY_LONGROPE } toy_scaling;

typedef struct toy_rope {
    toy_scaling scaling;
    uint32_t dim;             /* values of a head that are turned */
    double base, factor;      /* llama3: the factor of low frequencies */
    uint32_t original;        /* context of the first training */
    uint32_t context;         /* longrope: of the scaled model */
    float short_divisor[TOY_ROPE_PAIRS], long_divisor[TOY_ROPE_PAIRS]; /* longrope */
    bool untold;              /* longrope: the file does not tell the attention's factor; linear: nor its type */
} toy_rope;

/* Radians per position of dim / 2 pairs, in a session of so many positions; gives the factor of sine and
 * cosine. */
double toy_rope_frequencies(const toy_rope *r, uint32_t session, double *frequencies);
/* Turn one head. */
void toy_rope_turn(const double *frequencies, double mscale, uint32_t dim, bool halves, double *head, size_t position);
/* What a file of this architecture says. */
void toy_rope_write(const toy_rope *r, const char *architecture, gguf_writer *w);

#endif
