/* handoff: the time in ns that a word needs from one CPU to the other and back, halved: the median
 * of 200 rounds of 100. On some small virtual machines the host places the two CPUs now near and now
 * far from each other, and two-thread timings follow; bench-cpu.py compares like with like. */
#define _GNU_SOURCE
#include "handoff.h"

#include <stdio.h>

int main(void) {
    double ns = handoff_ns(0, 1, HANDOFF_ROUNDS);
    if (ns < 0) return 1;
    printf("%.0f\n", ns);
    return 0;
}
