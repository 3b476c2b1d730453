/* times.c - sorting times, and their median. */
#include "cli/times.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void fnd_cli_sort_times(double *values, size_t count) { qsort(values, count, sizeof *values, by_size); }

double fnd_cli_median(double *values, size_t count) {
    fnd_cli_sort_times(values, count);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}
