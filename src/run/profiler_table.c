/* profiler_table.c - records added up by path and kernel: a hash table, open addressing. */
#include "run/profiler_table.h"
#include "base/base.h"
#include "base/hash.h"
#include "base/memory.h"

struct fnd_profile_table {
    fnd_profile_row *rows; /* in order of first record */
    size_t count, capacity;
    uint32_t *places; /* row number + 1; 0 = free. A power of two, at least twice the rows */
    size_t place_count;
};

fnd_profile_table *fnd_profile_table_create(void) { return fnd_alloc_zeroed(1, sizeof(fnd_profile_table)); }

void fnd_profile_table_destroy(fnd_profile_table *table) {
    if (!table) return;
    fnd_free_memory(table->rows);
    fnd_free_memory(table->places);
    fnd_free_memory(table);
}

void fnd_profile_table_clear(fnd_profile_table *table) {
    table->count = 0;
    if (table->places) memset(table->places, 0, table->place_count * sizeof *table->places);
}

static size_t first_place(const fnd_profile_table *table, const char *path, const char *kernel) {
    const fnd_hash_piece pieces[] = { { path, strlen(path) }, { kernel, strlen(kernel) } };
    return (size_t)fnd_hash_pieces(pieces, 2).low & (table->place_count - 1);
}

static void put(fnd_profile_table *table, size_t row) {
    size_t at = first_place(table, table->rows[row].path, table->rows[row].kernel);
    while (table->places[at]) at = (at + 1) & (table->place_count - 1);
    table->places[at] = (uint32_t)row + 1;
}

static bool make_room(fnd_profile_table *table) {
    if (table->count < table->capacity) return true;
    size_t capacity = table->capacity ? table->capacity * 2 : 64;
    uint32_t *places = fnd_alloc_zeroed(capacity * 2, sizeof *places);
    fnd_profile_row *rows = places ? fnd_alloc_resized(table->rows, capacity, sizeof *rows) : NULL;
    if (!rows) {
        fnd_free_memory(places);
        return false;
    }
    fnd_free_memory(table->places);
    table->rows = rows;
    table->capacity = capacity;
    table->places = places;
    table->place_count = capacity * 2;
    for (size_t i = 0; i < table->count; i++) put(table, i);
    return true;
}

static fnd_profile_row *find(fnd_profile_table *table, const fnd_profile_entry *e) {
    if (!table->place_count) return NULL;
    for (size_t at = first_place(table, e->path, e->kernel); table->places[at]; at = (at + 1) & (table->place_count - 1)) {
        fnd_profile_row *row = &table->rows[table->places[at] - 1];
        if (strcmp(row->path, e->path) == 0 && strcmp(row->kernel, e->kernel) == 0) return row;
    }
    return NULL;
}

bool fnd_profile_table_add(fnd_profile_table *table, const fnd_profile_entry *e) {
    fnd_profile_row *row = find(table, e);
    if (!row) {
        if (!make_room(table)) return false;
        row = &table->rows[table->count];
        *row = (fnd_profile_row){ .min_ns = UINT64_MAX };
        memcpy(row->path, e->path, sizeof row->path);
        memcpy(row->kernel, e->kernel, sizeof row->kernel);
        put(table, table->count++);
    }
    row->calls++;
    row->total_ns += e->duration_ns;
    if (e->duration_ns < row->min_ns) row->min_ns = e->duration_ns;
    if (e->duration_ns > row->max_ns) row->max_ns = e->duration_ns;
    row->bytes_read += e->bytes_read;
    row->bytes_written += e->bytes_written;
    row->ops += e->ops;
    for (int i = 0; i < FND_UNIT_COUNT; i++) row->unit_ops[i] += e->unit_ops[i];
    return true;
}

static bool is_below(const char *path, const char *scope) {
    size_t bytes = strlen(scope);
    return strncmp(path, scope, bytes) == 0 && (path[bytes] == '/' || path[bytes] == '\0');
}

/* The innermost scope around a row; NULL: there is none, or it is not over. */
static fnd_profile_row *scope_around(fnd_profile_row *rows, size_t count, const fnd_profile_row *row) {
    fnd_profile_row *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].kernel[0] || &rows[i] == row || !is_below(row->path, rows[i].path)) continue;
        if (!found || strlen(rows[i].path) > strlen(found->path)) found = &rows[i];
    }
    return found;
}

/* What each row has left when those within it are taken away: where they run beside it, nothing. */
static void find_own_time(fnd_profile_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) rows[i].self_ns = rows[i].total_ns;
    for (size_t i = 0; i < count; i++) {
        fnd_profile_row *scope = scope_around(rows, count, &rows[i]);
        if (scope) scope->self_ns -= rows[i].total_ns < scope->self_ns ? rows[i].total_ns : scope->self_ns;
    }
}

static int by_time(const void *a, const void *b) {
    const fnd_profile_row *x = a, *y = b;
    if (x->total_ns != y->total_ns) return x->total_ns < y->total_ns ? 1 : -1;
    int order = strcmp(x->path, y->path);
    return order ? order : strcmp(x->kernel, y->kernel);
}

size_t fnd_profile_table_rows(const fnd_profile_table *table, fnd_profile_row *rows, size_t capacity) {
    if (capacity == 0 || table->count == 0) return table->count;
    fnd_profile_row *sorted = fnd_alloc_zeroed(table->count, sizeof *sorted);
    if (!sorted) return 0;
    memcpy(sorted, table->rows, table->count * sizeof *sorted);
    for (size_t i = 0; i < table->count; i++) {
        if (sorted[i].kernel[0]) continue;
        for (size_t k = 0; k < table->count; k++) {
            const fnd_profile_row *row = &table->rows[k];
            if (!row->kernel[0] || !is_below(row->path, sorted[i].path)) continue;
            sorted[i].bytes_read += row->bytes_read;
            sorted[i].bytes_written += row->bytes_written;
            sorted[i].ops += row->ops;
            for (int u = 0; u < FND_UNIT_COUNT; u++) sorted[i].unit_ops[u] += row->unit_ops[u];
        }
    }
    find_own_time(sorted, table->count);
    qsort(sorted, table->count, sizeof *sorted, by_time);
    memcpy(rows, sorted, fnd_min_size(capacity, table->count) * sizeof *sorted);
    fnd_free_memory(sorted);
    return table->count;
}

void fnd_profile_table_totals(const fnd_profile_table *table, fnd_profile_totals *out) {
    for (size_t i = 0; i < table->count; i++) {
        const fnd_profile_row *row = &table->rows[i];
        if (!row->kernel[0]) continue;
        out->dispatch_ns += row->total_ns;
        out->bytes_read += row->bytes_read;
        out->bytes_written += row->bytes_written;
        out->ops += row->ops;
    }
}
