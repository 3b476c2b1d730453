/* profiler_table.h - records added up by path and kernel. */
#ifndef RUN_PROFILER_TABLE_H
#define RUN_PROFILER_TABLE_H

#include "run/profiler_ring.h"

fnd_profile_table *fnd_profile_table_create(void);
void fnd_profile_table_destroy(fnd_profile_table *table);
void fnd_profile_table_clear(fnd_profile_table *table);
/* False when there is no memory for another row. */
bool fnd_profile_table_add(fnd_profile_table *table, const fnd_profile_entry *entry);
/* See fnd_profile_rows. */
size_t fnd_profile_table_rows(const fnd_profile_table *table, fnd_profile_row *rows, size_t capacity);
void fnd_profile_table_totals(const fnd_profile_table *table, fnd_profile_totals *out);

#endif
