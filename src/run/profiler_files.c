/* profiler_files.c - JSON lines and Chrome traces. */
#include "run/profiler_files.h"
#include "base/base.h"
#include "base/memory.h"

#include <errno.h>

typedef struct out_file {
    FILE *file;
    char *path;
} out_file;

struct fnd_profile_files {
    out_file lines, trace;
    bool trace_has_events;
};

/* Bytes of the UTF-8 character at p; 0 when it is none. */
static size_t character_bytes(const unsigned char *p) {
    size_t bytes = p[0] < 0x80 ? 1 : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
                                 : p[0] >= 0xE0 && p[0] < 0xF0   ? 3
                                 : p[0] >= 0xF0 && p[0] < 0xF5   ? 4
                                                                 : 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
    }
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool surrogate = (p[0] == 0xED && p[1] >= 0xA0) || (p[0] == 0xF4 && p[1] >= 0x90);
    return overlong || surrogate ? 0 : bytes;
}

/* A JSON string; bytes that are no UTF-8 (a label cut in half) become '?'. */
static void write_string(FILE *to, const char *text) {
    fputc('"', to);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t bytes = character_bytes(p);
        if (*p == '"' || *p == '\\') {
            fprintf(to, "\\%c", *p);
        } else if (*p < 0x20) {
            fprintf(to, "\\u%04x", *p);
        } else if (bytes) {
            fwrite(p, 1, bytes, to);
        } else {
            fputc('?', to);
        }
        p += bytes ? bytes : 1;
    }
    fputc('"', to);
}

static fnd_status open_file(out_file *o, const char *path, fnd_error *err) {
    if (!path) return FND_OK;
    o->path = fnd_alloc_string(path, strlen(path));
    if (!o->path) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the profiler's file %s", path);
    o->file = fopen(path, "we");
    return o->file ? FND_OK : fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
}

static fnd_status close_file(out_file *o, fnd_error *err) {
    fnd_status status = FND_OK;
    if (o->file) {
        bool failed = ferror(o->file) != 0;
        if (fclose(o->file) != 0) failed = true;
        if (failed) status = fnd_fail(err, FND_ERR_FILE, "%s was not written in full: the disk may be full", o->path);
    }
    fnd_free_memory(o->path);
    *o = (out_file){ 0 };
    return status;
}

fnd_status fnd_profile_files_open(const fnd_profile_desc *desc, fnd_profile_files **out, fnd_error *err) {
    *out = NULL;
    if (!desc->lines_path && !desc->trace_path) return FND_OK;
    fnd_profile_files *files = fnd_alloc_zeroed(1, sizeof *files);
    if (!files) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the profiler's files");
    fnd_status status = open_file(&files->lines, desc->lines_path, err);
    if (status == FND_OK) status = open_file(&files->trace, desc->trace_path, err);
    if (status != FND_OK) {
        close_file(&files->lines, NULL);
        close_file(&files->trace, NULL);
        fnd_free_memory(files);
        return status;
    }
    if (files->trace.file) fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", files->trace.file);
    *out = files;
    return FND_OK;
}

/* What computes most of it. */
static void write_unit(FILE *to, const fnd_profile_entry *e) {
    int most = 0;
    for (int i = 1; i < FND_UNIT_COUNT; i++) most = e->unit_ops[i] > e->unit_ops[most] ? i : most;
    if (e->unit_ops[most]) fprintf(to, ",\"unit\":\"%s\"", fnd_unit_name((fnd_unit)most));
}

static void add_line(FILE *to, const fnd_profile_entry *e) {
    fprintf(to, "{\"type\":\"%s\",\"path\":", e->kernel[0] ? "dispatch" : "scope");
    write_string(to, e->path);
    if (e->kernel[0]) {
        fputs(",\"kernel\":", to);
        write_string(to, e->kernel);
    }
    fprintf(to, ",\"thread\":%u,\"start_ns\":%llu,\"duration_ns\":%llu", e->thread, (unsigned long long)e->start_ns, (unsigned long long)e->duration_ns);
    if (e->kernel[0]) {
        fprintf(to, ",\"bytes_read\":%llu,\"bytes_written\":%llu,\"ops\":%llu", (unsigned long long)e->bytes_read, (unsigned long long)e->bytes_written, (unsigned long long)e->ops);
    }
    write_unit(to, e);
    fputs("}\n", to);
}

static void add_event(FILE *to, const fnd_profile_entry *e) {
    const char *slash = strrchr(e->path, '/');
    fputs("{\"name\":", to);
    write_string(to, e->kernel[0] ? e->kernel : slash ? slash + 1
                                                      : e->path);
    fprintf(to, ",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":%u,\"ts\":%llu.%03llu,\"dur\":%llu.%03llu,\"args\":{\"path\":", e->kernel[0] ? "dispatch" : "scope", e->thread,
            (unsigned long long)(e->start_ns / 1000), (unsigned long long)(e->start_ns % 1000), (unsigned long long)(e->duration_ns / 1000), (unsigned long long)(e->duration_ns % 1000));
    write_string(to, e->path);
    if (e->kernel[0]) {
        double seconds = (double)e->duration_ns * 1e-9, bytes = (double)e->bytes_read + (double)e->bytes_written;
        fprintf(to, ",\"bytes_read\":%llu,\"bytes_written\":%llu,\"ops\":%llu,\"gb_s\":%.3f", (unsigned long long)e->bytes_read, (unsigned long long)e->bytes_written,
                (unsigned long long)e->ops, seconds > 0 ? bytes / seconds * 1e-9 : 0.0);
    }
    write_unit(to, e);
    fputs("}}", to);
}

void fnd_profile_files_add(fnd_profile_files *files, const fnd_profile_entry *entry) {
    if (files->lines.file) add_line(files->lines.file, entry);
    if (!files->trace.file) return;
    fputs(files->trace_has_events ? ",\n" : "\n", files->trace.file);
    add_event(files->trace.file, entry);
    files->trace_has_events = true;
}

/* "records":12,"lost":0,...: the totals and counters, at the end of both files. */
static void write_summary(FILE *to, const fnd_profile_totals *t, const foundry *f) {
    fprintf(to, "\"records\":%llu,\"lost\":%llu,\"dispatch_ns\":%llu,\"bytes_read\":%llu,\"bytes_written\":%llu,\"ops\":%llu,\"bandwidth\":%.0f,\"ops_rates\":{",
            (unsigned long long)t->records, (unsigned long long)t->lost, (unsigned long long)t->dispatch_ns, (unsigned long long)t->bytes_read,
            (unsigned long long)t->bytes_written, (unsigned long long)t->ops, t->bandwidth);
    for (int i = 0; i < FND_UNIT_COUNT; i++) fprintf(to, "%s\"%s\":%.0f", i ? "," : "", fnd_unit_name((fnd_unit)i), t->ops_rates[i]);
    fputs("},\"counters\":{", to);
    for (int i = 0; i < FND_COUNTER_COUNT; i++) {
        fprintf(to, "%s\"%s\":%llu", i ? "," : "", fnd_counter_name((fnd_counter)i), (unsigned long long)fnd_counter_get(f, (fnd_counter)i));
    }
    fputc('}', to);
}

/* What the compiled kernels take, a line each: in the lines only, as the trace has room for times alone. */
static fnd_status add_codes(FILE *to, foundry *f, fnd_error *err) {
    size_t count = fnd_profile_codes(f, NULL, 0);
    fnd_profile_code *codes = fnd_alloc_zeroed(count + 1, sizeof *codes);
    if (!codes) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the figures of %zu kernels", count);
    count = fnd_min_size(count, fnd_profile_codes(f, codes, count));
    for (size_t i = 0; i < count; i++) {
        fputs("{\"type\":\"code\",\"kernel\":", to);
        write_string(to, codes[i].kernel);
        fprintf(to, ",\"max_threads\":%u,\"registers\":%u,\"spill_store_bytes\":%u,\"spill_load_bytes\":%u,\"local_bytes\":%u,\"shared_bytes\":%u}\n", codes[i].max_threads, codes[i].registers,
                codes[i].spill_store_bytes, codes[i].spill_load_bytes, codes[i].local_bytes, codes[i].shared_bytes);
    }
    fnd_free_memory(codes);
    return FND_OK;
}

fnd_status fnd_profile_files_close(fnd_profile_files *files, const fnd_profile_totals *totals, foundry *f, fnd_error *err) {
    fnd_status codes = files->lines.file ? add_codes(files->lines.file, f, err) : FND_OK;
    if (files->lines.file) {
        fputs("{\"type\":\"summary\",", files->lines.file);
        write_summary(files->lines.file, totals, f);
        fputs("}\n", files->lines.file);
    }
    if (files->trace.file) {
        fputs("\n],\"otherData\":{", files->trace.file);
        write_summary(files->trace.file, totals, f);
        fputs("}}\n", files->trace.file);
    }
    fnd_status lines = close_file(&files->lines, err), trace = close_file(&files->trace, err);
    fnd_free_memory(files);
    return codes != FND_OK ? codes : lines != FND_OK ? lines
                                                     : trace;
}
