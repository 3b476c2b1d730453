/* test_team.c - the worker team, and what is known of the processor. */
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/cpurate.h"
#include "base/team.h"
#include "test.h"

#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
enum { ROUNDS = 5000,
       SLOW_MEMORY = 1 };
#else
enum { ROUNDS = 100000,
       SLOW_MEMORY = 0 };
#endif

enum { MOST = 16 };

/* Every worker writes its own cell, meets the others, and reads all cells: plain memory, so a missing
 * happens-before edge is a wrong number here and a report by the thread sanitizer. */
typedef struct round_ctx {
    fnd_team *team;
    uint32_t workers, rounds;
    uint32_t cells[MOST][2];
    uint32_t wrong[MOST];
} round_ctx;

static void play_rounds(void *arg, uint32_t worker) {
    round_ctx *c = arg;
    for (uint32_t round = 0; round < c->rounds; round++) {
        c->cells[worker][round & 1] = round + worker;
        fnd_team_barrier(c->team, worker);
        for (uint32_t i = 0; i < c->workers; i++) c->wrong[worker] += c->cells[i][round & 1] != round + i;
    }
}

/* Processor time of all workers: who waits without end for others to run uses it up, and it does not pass while others
 * have the processors. */
static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check_barriers(uint32_t workers, uint32_t rounds) {
    fnd_error err = { 0 };
    round_ctx c = { .workers = workers, .rounds = rounds };
    CHECK_OK(fnd_team_open(workers, &c.team, &err), &err);
    if (!c.team) return;
    CHECK(fnd_team_size(c.team) == workers);
    double start = processor_seconds();
    fnd_team_run(c.team, workers, play_rounds, &c);
    double seconds = processor_seconds() - start;
    for (uint32_t i = 0; i < workers; i++) CHECK_MSG(c.wrong[i] == 0, "worker %u of %u saw %u stale cells", i, workers, c.wrong[i]);
    CHECK_MSG(seconds < 10, "%u barriers of %u workers took %.1f s of processors", rounds, workers, seconds);
    fnd_team_close(c.team);
}

TEST(team_barriers_order_memory_1) { check_barriers(1, ROUNDS); }
TEST(team_barriers_order_memory_2) { check_barriers(2, ROUNDS); }
TEST(team_barriers_order_memory_3) { check_barriers(3, ROUNDS); }
TEST(team_barriers_order_memory_8) { check_barriers(8, ROUNDS); }
TEST(team_barriers_order_memory_16) { check_barriers(16, ROUNDS / 10); }

static void count_call(void *arg, uint32_t worker) { ((uint32_t *)arg)[worker]++; }

TEST(team_runs_once_on_each_asked_worker) {
    fnd_error err = { 0 };
    fnd_team *team;
    CHECK_OK(fnd_team_open(3, &team, &err), &err);
    REQUIRE(team);
    uint32_t calls[4] = { 0 }, want[3] = { 0 };
    for (uint32_t run = 0; run < ROUNDS / 5; run++) {
        uint32_t workers = 1 + run % 7 % 3;
        fnd_team_run(team, workers, count_call, calls);
        for (uint32_t i = 0; i < workers; i++) want[i]++;
        if (run % (ROUNDS / 20) == 0) usleep(2000); /* long enough for all to fall asleep */
    }
    CHECK(calls[0] == want[0] && calls[1] == want[1] && calls[2] == want[2] && calls[3] == 0);
    fnd_team_run(team, 9, count_call, calls);
    CHECK(calls[2] == want[2] + 1 && calls[3] == 0);
    fnd_team_close(team);
}

/* Barriers are right although the workers that meet differ from run to run. */
TEST(team_barriers_of_part_of_a_team) {
    fnd_error err = { 0 };
    round_ctx c = { .rounds = 3 };
    CHECK_OK(fnd_team_open(12, &c.team, &err), &err);
    REQUIRE(c.team);
    for (uint32_t run = 0; run < ROUNDS / 500; run++) {
        c.workers = 1 + run * 5 % 12;
        fnd_team_run(c.team, c.workers, play_rounds, &c);
    }
    for (uint32_t i = 0; i < 12; i++) CHECK(c.wrong[i] == 0);
    fnd_team_close(c.team);
}

static void sleep_in_turn(void *arg, uint32_t worker) {
    round_ctx *c = arg;
    for (uint32_t round = 0; round < 20; round++) {
        if (round % c->workers == worker) usleep(1500);
        c->cells[worker][round & 1] = round + worker;
        fnd_team_barrier(c->team, worker);
        for (uint32_t i = 0; i < c->workers; i++) c->wrong[worker] += c->cells[i][round & 1] != round + i;
    }
}

TEST(team_wakes_who_slept_at_a_barrier) {
    static const uint32_t sizes[] = { 2, 3, 12 };
    for (size_t k = 0; k < FND_COUNT(sizes); k++) {
        fnd_error err = { 0 };
        round_ctx c = { .workers = sizes[k] };
        CHECK_OK(fnd_team_open(sizes[k], &c.team, &err), &err);
        REQUIRE(c.team);
        for (int run = 0; run < 5; run++) {
            fnd_team_run(c.team, sizes[k], sleep_in_turn, &c);
            usleep(1000);
        }
        for (uint32_t i = 0; i < sizes[k]; i++) CHECK(c.wrong[i] == 0);
        fnd_team_close(c.team);
    }
}

TEST(team_sizes_are_checked) {
    fnd_error err = { 0 };
    fnd_team *team;
    CHECK(fnd_team_open(0, &team, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "1 to 1024 workers");
    CHECK(fnd_team_open(FND_TEAM_MAX + 1, &team, NULL) == FND_ERR_USAGE);
    fnd_team_close(team);
}

TEST(team_cpuinfo_names_levels_this_machine_runs) {
    const fnd_cpuinfo *info = fnd_cpuinfo_get();
    CHECK(info->name[0] && info->model[0] && info->l1_bytes >= 4096 && info->llc_bytes >= info->l1_bytes);
    CHECK(fnd_cpu_cores() >= 1);
    const fnd_cpu_level *level, *best = fnd_cpu_level_best();
    fnd_error err = { 0 };
    CHECK_OK(fnd_cpu_level_find(NULL, &level, &err), &err);
    CHECK(level == best);
    CHECK_OK(fnd_cpu_level_find("generic", &level, &err), &err);
    CHECK(level->needs == 0 && level->vec == 0);
    for (size_t i = 0; i < FND_COUNT(level->flags) && level->flags[i]; i++) CHECK_MSG(strncmp(level->flags[i], "-m", 2) != 0, "%s asks for instructions", level->flags[i]);
    CHECK(fnd_cpu_level_find("v9", &level, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "no instruction set \"v9\" here; known: generic");
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    bool past_best = false;
    for (size_t i = 0; i < count; i++) {
        bool can = (info->has & levels[i].needs) == levels[i].needs; /* not all weaker levels: some processors have AVX-512, but no AVX-VNNI */
        CHECK(fnd_cpu_level_find(levels[i].name, &level, NULL) == (can ? FND_OK : FND_ERR_UNSUPPORTED));
        CHECK(!can || !past_best || levels[i].bf16_prompts);
        CHECK(!levels[i].bf16_prompts || &levels[i] != best);
        past_best |= &levels[i] == best;
    }
}

#if defined(__x86_64__)
TEST(team_cpuinfo_agrees_with_the_compiler) {
    const fnd_cpuinfo *info = fnd_cpuinfo_get();
#define SAME(id, name) CHECK_MSG(fnd_cpu_has(FND_CPU_##id) == !!__builtin_cpu_supports(name), "%s: %d", name, fnd_cpu_has(FND_CPU_##id))
    SAME(popcnt, "popcnt");
    SAME(bmi1, "bmi");
    SAME(bmi2, "bmi2");
    SAME(avx, "avx");
    SAME(fma, "fma");
    SAME(avx2, "avx2");
    SAME(avx512f, "avx512f");
    SAME(avx512bw, "avx512bw");
    SAME(avx512dq, "avx512dq");
    SAME(avx512cd, "avx512cd");
    SAME(avx512vl, "avx512vl");
    SAME(avx512vbmi, "avx512vbmi");
    SAME(avx512vnni, "avx512vnni");
#undef SAME
    CHECK(fnd_cpu_has(FND_CPU_avx2) == (strstr(info->features, "avx2") != NULL));
}
#endif

TEST(team_measures_read_bandwidth) {
    NEED(!SLOW_MEMORY, "every load is watched in this build");
    fnd_error err = { 0 };
    fnd_team *team;
    CHECK_OK(fnd_team_open(2, &team, &err), &err);
    REQUIRE(team);
    for (uint32_t workers = 1; workers <= 2; workers++) {
        double gb_per_s;
        CHECK_OK(fnd_cpu_read_bandwidth(team, workers, &gb_per_s, &err), &err);
        CHECK_MSG(gb_per_s > 0.2 && gb_per_s < 5000, "%.1f GB/s", gb_per_s);
    }
    fnd_team_close(team);
}

TEST(team_measures_rates) {
    fnd_error err = { 0 };
    fnd_team *team;
    double rates[FND_UNIT_COUNT], weak[FND_UNIT_COUNT];
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    CHECK_OK(fnd_team_open(2, &team, &err), &err);
    REQUIRE(team);
    fnd_cpu_rates(team, 1, fnd_cpu_level_best(), rates);
    double best = 0;
    for (int i = 0; i < FND_UNIT_COUNT; i++) {
        bool may = rates[i] == 0 || (rates[i] > 1e8 && rates[i] < 1e15);
        CHECK_MSG(may, "%s: %g", fnd_unit_name((fnd_unit)i), rates[i]);
        if (rates[i] > best) best = rates[i];
    }
    CHECK(rates[FND_UNIT_FLOATS] > 0 || fnd_cpu_level_best()->vec == 0);
    CHECK((rates[FND_UNIT_INT8_DOTS] > 0) == (fnd_cpu_level_best()->vec > 0));
#if defined(__x86_64__)
    CHECK((rates[FND_UNIT_INT8_MATRICES] > 0) == fnd_cpu_may_use(1ull << FND_CPU_amx_tile | 1ull << FND_CPU_amx_int8));
    CHECK((rates[FND_UNIT_BF16_DOTS] > 0) == fnd_cpu_may_use(1ull << FND_CPU_avx512f | 1ull << FND_CPU_avx512bf16));
#else
    CHECK((rates[FND_UNIT_INT8_MATRICES] > 0) == fnd_cpu_has(FND_CPU_i8mm));
#endif
    CHECK(fnd_cpu_best_rate(rates) == best);
    /* Every level has a roof for what it computes with, and others of the machine beside. */
    for (size_t i = 1; i < count; i++) {
        if (!fnd_cpu_may_use(levels[i].needs)) continue;
        fnd_cpu_rates(team, 1, &levels[i], weak);
        CHECK_MSG(weak[FND_UNIT_FLOATS] > 0 && weak[FND_UNIT_INT8_DOTS] > 0, "%s", levels[i].name);
    }
    fnd_team_close(team);
}
