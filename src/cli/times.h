/* times.h - what many measured times say. */
#ifndef CLI_TIMES_H
#define CLI_TIMES_H

#include <stddef.h>

/* Smallest first. */
void fnd_cli_sort_times(double *values, size_t count);
/* The median; sorts them. */
double fnd_cli_median(double *values, size_t count);

#endif
