/* profiler_print.c - the profile as a table for people. */
#include "base/base.h"
#include "base/memory.h"
#include "run/context.h"
#include "run/profiler_ring.h"

#include <stdio.h>

enum { NAME_WIDTH = 44 };

const char *fnd_unit_name(fnd_unit unit) {
    static const char *const names[] = {
#define ROW_(id, name) name,
        FND_UNITS(ROW_)
#undef ROW_
    };
    return (size_t)unit < FND_COUNT(names) ? names[unit] : "-";
}

static double gb_s(uint64_t bytes, uint64_t ns) { return ns ? (double)bytes / (double)ns : 0.0; }

static void print_share(FILE *to, double part, double whole) {
    if (whole > 0) {
        fprintf(to, " %7.1f", 100.0 * part / whole);
    } else {
        fprintf(to, " %7s", "-");
    }
}

double fnd_profile_of_roof(const fnd_profile_row *r, const fnd_profile_totals *t, const char **roof) {
    double seconds = (double)r->total_ns * 1e-9, moving = 0, computing = 0, longest = 0;
    const char *unit = "-", *unused;
    if (!roof) roof = &unused;
    *roof = "-";
    if (seconds <= 0) return 0;
    if (t->bandwidth > 0) moving = (double)(r->bytes_read + r->bytes_written) / t->bandwidth;
    for (int i = 0; i < FND_UNIT_COUNT; i++) {
        double takes = t->ops_rates[i] > 0 ? (double)r->unit_ops[i] / t->ops_rates[i] : 0;
        if (takes > longest) {
            longest = takes;
            unit = fnd_unit_name((fnd_unit)i);
        }
        computing += takes;
    }
    bool memory = moving >= computing;
    if (memory && moving > 0) *roof = "memory";
    if (!memory) *roof = unit;
    return (memory ? moving : computing) / seconds;
}

/* A number, if there is one. */
static void print_number(FILE *to, double value) {
    if (value > 0)
        fprintf(to, " %8.1f", value);
    else
        fprintf(to, " %8s", "-");
}

static void print_row(FILE *to, const fnd_profile_row *r, const fnd_profile_totals *t, uint64_t all_ns) {
    char name[FND_PROFILE_PATH_BYTES + FND_PROFILE_KERNEL_BYTES + 2];
    snprintf(name, sizeof name, "%s%s%s", r->path, r->path[0] || !r->kernel[0] ? "/" : "", r->kernel);
    uint64_t bytes = r->bytes_read + r->bytes_written;
    double rate = gb_s(bytes, r->total_ns);
    const char *roof;
    double of_roof = 100 * fnd_profile_of_roof(r, t, &roof), calls = (double)r->calls;
    fprintf(to, "%-*s %9llu %12.1f %10.2f", NAME_WIDTH, name, (unsigned long long)r->calls, (double)r->total_ns * 1e-3, (double)r->total_ns * 1e-3 / calls);
    fprintf(to, " %9.3f %9.3f %9.2f", 1e-6 * (double)bytes / calls, 1e-6 * (double)r->ops / calls, rate);
    print_share(to, rate * 1e9, t->bandwidth);
    print_number(to, bytes ? (double)r->ops / (double)bytes : 0);
    print_number(to, r->total_ns ? (double)r->ops / (double)r->total_ns : 0);
    print_number(to, of_roof);
    fprintf(to, "  %-20s", roof);
    print_share(to, (double)r->self_ns, (double)all_ns);
    fputc('\n', to);
}

static void print_totals(FILE *to, const fnd_profile_totals *t, uint32_t ring_records) {
    double rate = gb_s(t->bytes_read + t->bytes_written, t->dispatch_ns);
    fprintf(to, "in kernels: %.1f us, %.3f GB read, %.3f GB written, %.2f GB/s", (double)t->dispatch_ns * 1e-3, (double)t->bytes_read * 1e-9, (double)t->bytes_written * 1e-9, rate);
    if (t->bandwidth > 0) fprintf(to, ", %.1f %% of the measured %.2f GB/s", 100.0 * rate * 1e9 / t->bandwidth, t->bandwidth * 1e-9);
    fputc('\n', to);
    bool any = t->bandwidth > 0;
    if (any) fprintf(to, "roofs: memory %.2f GB/s", t->bandwidth * 1e-9);
    for (int i = 0; i < FND_UNIT_COUNT; i++) {
        if (t->ops_rates[i] <= 0) continue;
        fprintf(to, "%s%s %.0f Gop/s", any ? ", " : "roofs: ", fnd_unit_name((fnd_unit)i), t->ops_rates[i] * 1e-9);
        any = true;
    }
    if (any) fputc('\n', to);
    if (t->lost) fprintf(to, "%llu records lost, %llu kept: the ring of %u was full\n", (unsigned long long)t->lost, (unsigned long long)t->records, ring_records);
}

/* What the compiled kernels take of the device, where it is known. */
static fnd_status print_codes(foundry *f, FILE *to, fnd_error *err) {
    size_t count = fnd_profile_codes(f, NULL, 0);
    if (!count) return FND_OK;
    fnd_profile_code *codes = fnd_alloc_zeroed(count, sizeof *codes);
    if (!codes) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the figures of %zu kernels", count);
    count = fnd_min_size(count, fnd_profile_codes(f, codes, count));
    fprintf(to, "\n%-*s %9s %9s %12s %11s %8s %8s\n", NAME_WIDTH, "compiled (bytes; of a thread, but shared)", "threads", "registers", "spill stores", "spill loads", "local", "shared");
    for (size_t i = 0; i < count; i++) {
        const fnd_profile_code *c = &codes[i];
        fprintf(to, "%-*s %9u %9u %12u %11u %8u %8u\n", NAME_WIDTH, c->kernel, c->max_threads, c->registers, c->spill_store_bytes, c->spill_load_bytes, c->local_bytes, c->shared_bytes);
    }
    fnd_free_memory(codes);
    return FND_OK;
}

fnd_status fnd_profile_print(foundry *f, FILE *to, fnd_error *err) {
    FND_TRY(fnd_context_check(f, err));
    fnd_profile_totals totals;
    size_t count = fnd_profile_rows(f, NULL, 0);
    fnd_profile_row *rows = fnd_alloc_zeroed(count, sizeof *rows);
    if (!rows) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a profile of %zu rows", count);
    count = fnd_min_size(count, fnd_profile_rows(f, rows, count));
    fnd_profile_get_totals(f, &totals);
    fprintf(to, "%-*s %9s %12s %10s %9s %9s %9s %7s %8s %8s %8s  %-20s %7s\n", NAME_WIDTH, "kernel (scopes end with /)", "calls", "total us", "us/call", "MB/call", "Mop/call", "GB/s", "% bw", "ops/byte", "Gop/s", "% roof", "roof", "% time");
    uint64_t all_ns = 0;
    for (size_t i = 0; i < count; i++) all_ns += rows[i].self_ns;
    for (size_t i = 0; i < count; i++) print_row(to, &rows[i], &totals, all_ns);
    fnd_free_memory(rows);
    const fnd_ring *ring = atomic_load(&f->profiler.ring);
    print_totals(to, &totals, ring ? fnd_ring_capacity(ring) : 0);
    for (int i = 0; i < FND_COUNTER_COUNT; i++) {
        fprintf(to, "%s%s %llu", i ? ", " : "counters: ", fnd_counter_name((fnd_counter)i), (unsigned long long)fnd_counter_get(f, (fnd_counter)i));
    }
    fputc('\n', to);
    FND_TRY(print_codes(f, to, err));
    return ferror(to) ? fnd_fail(err, FND_ERR_FILE, "the profile could not be written") : FND_OK;
}
