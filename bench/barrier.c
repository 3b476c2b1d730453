/* barrier: what a barrier of two workers costs beside the hand-off between their processors, which it is to
 * cost 2.6 of, plus 50 ns, at most. Hand-offs and barriers in turn, 101 times; medians of those, and of the
 * ratio of neighbours, since on a shared host the processors may move. The barriers stand back to back: both
 * workers come at the same time. */
#define _GNU_SOURCE
#include "base/team.h"
#include "handoff.h"

#include <stdio.h>
#include <unistd.h>

enum { TURNS = 101,
       ROUNDS = 20,
       BARRIERS = 100 };

static fnd_team *team;
static double rounds[ROUNDS];

static void meet(void *unused, uint32_t worker) {
    (void)unused;
    for (int round = -1; round < ROUNDS; round++) { /* one to come together */
        double start = handoff_now();
        for (int i = 0; i < BARRIERS; i++) fnd_team_barrier(team, worker);
        if (worker == 0 && round >= 0) rounds[round] = (handoff_now() - start) / BARRIERS;
    }
}

static double allowed(double ns) { return 2.6 * ns + 50.0; }

static void print(const char *what, const char *unit, int digits, double *values) {
    double median = handoff_median(values, TURNS); /* sorts them */
    printf("%-40s %6.*f %-2s   (quartiles %.*f to %.*f)\n", what, digits, median, unit, digits, values[TURNS / 4], digits, values[TURNS - 1 - TURNS / 4]);
}

int main(void) {
    static double handoffs[TURNS], barriers[TURNS], limits[TURNS], ratios[TURNS];
    cpu_set_t mine, two;
    int processors[2], found = 0;
    if (sched_getaffinity(0, sizeof mine, &mine)) return 1;
    CPU_ZERO(&two);
    for (int i = 0; i < CPU_SETSIZE && found < 2; i++) {
        if (!CPU_ISSET((size_t)i, &mine)) continue;
        CPU_SET((size_t)i, &two);
        processors[found++] = i;
    }
    if (found < 2 || sched_setaffinity(0, sizeof two, &two)) { /* as many workers as processors: the team binds them */
        fprintf(stderr, "barrier: this needs two processors\n");
        return 1;
    }
    fnd_error err = { 0 };
    if (fnd_team_open(2, &team, &err) != FND_OK) {
        fprintf(stderr, "barrier: %s\n", err.text);
        return 1;
    }
    for (int i = 0; i < TURNS; i++) {
        usleep(1000); /* until the team sleeps */
        handoffs[i] = handoff_ns(processors[0], processors[1], ROUNDS);
        fnd_team_run(team, 2, meet, NULL);
        barriers[i] = handoff_median(rounds, ROUNDS);
        limits[i] = allowed(handoffs[i]);
        ratios[i] = barriers[i] / limits[i];
        if (handoffs[i] < 0) return 1;
    }
    fnd_team_close(team);
    char what[64];
    snprintf(what, sizeof what, "hand-off between processors %d and %d", processors[0], processors[1]);
    print(what, "ns", 0, handoffs);
    print("barrier of two workers", "ns", 0, barriers);
    print("allowed: 2.6 x hand-off + 50 ns", "ns", 0, limits);
    print("barrier / allowed", "", 2, ratios);
    return 0;
}
