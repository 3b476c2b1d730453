/* folder.c - a user's folder of kernel texts. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "compose/catalog.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

enum { MAX_FILES = 1024,
       MAX_DEPTH = 16, /* of folders in folders: links may make them endless */
       FULL_BYTES = 4096 };

typedef struct reader {
    const char *folder;
    fnd_source *texts; /* MAX_FILES */
    size_t count;
    fnd_error *err;
} reader;

static fnd_status add_file(reader *r, const char *full, const char *path) {
    fnd_source *s = &r->texts[r->count];
    if (r->count == MAX_FILES) return fnd_fail(r->err, FND_ERR_LIMIT, "the folder of kernel texts %s holds more than %d files", r->folder, MAX_FILES);
    if (strlen(path) >= FND_KERNEL_PATH_BYTES) return fnd_fail(r->err, FND_ERR_LIMIT, "%s: the path within the folder of kernel texts is longer than %d bytes", full, FND_KERNEL_PATH_BYTES - 1);
    FND_TRY(fnd_source_read(full, &s->own_text, r->err));
    s->text = s->own_text;
    s->path = s->own_path = fnd_alloc_string(path, strlen(path));
    r->count++;
    return s->path ? FND_OK : fnd_fail(r->err, FND_ERR_MEMORY, "out of memory for %s", full);
}

static int is_text(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* Everything in <folder>/<path>, in the order of names. */
static fnd_status read_folder(reader *r, const char *path, int depth) {
    char full[FULL_BYTES], inner[FULL_BYTES];
    struct dirent **entries;
    fnd_status status = FND_OK;
    if (depth > MAX_DEPTH) return fnd_fail(r->err, FND_ERR_LIMIT, "the folder of kernel texts %s has folders in it more than %d deep", r->folder, MAX_DEPTH);
    snprintf(full, sizeof full, "%s/%s", r->folder, path);
    int count = scandir(full, &entries, is_text, alphasort);
    if (count < 0) return fnd_fail(r->err, FND_ERR_FILE, "the folder of kernel texts %s cannot be read", full);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name, *end = strrchr(name, '.');
        struct stat info;
        int inner_bytes = snprintf(inner, sizeof inner, "%s%s%s", path, path[0] ? "/" : "", name);
        int full_bytes = inner_bytes < 0 ? -1 : snprintf(full, sizeof full, "%s/%s", r->folder, inner);
        if (full_bytes < 0 || full_bytes >= FULL_BYTES || inner_bytes >= FULL_BYTES) {
            if (status == FND_OK) status = fnd_fail(r->err, FND_ERR_LIMIT, "the folder of kernel texts %s holds a path that is too long", r->folder);
        } else if (status == FND_OK && stat(full, &info) == 0) {
            if (S_ISDIR(info.st_mode))
                status = read_folder(r, inner, depth + 1);
            else if (S_ISREG(info.st_mode) && end && strcmp(end, ".h") == 0)
                status = add_file(r, full, inner);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

fnd_status fnd_catalog_add_folder(fnd_catalog *catalog, const char *folder, fnd_error *err) {
    reader r = { .folder = folder, .err = err };
    if (!fnd_is_dir(folder)) return fnd_fail(err, FND_ERR_FILE, "the folder of kernel texts %s does not exist or is not a folder", folder);
    r.texts = fnd_alloc_zeroed(MAX_FILES, sizeof *r.texts);
    if (!r.texts) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the texts of %s", folder);
    fnd_status status = read_folder(&r, "", 0);
    if (status == FND_OK && r.count == 0) status = fnd_fail(err, FND_ERR_FILE, "the folder of kernel texts %s holds no file whose name ends with .h", folder);
    if (status == FND_OK) status = fnd_catalog_add_texts(catalog, r.texts, r.count, err);
    for (size_t i = 0; i < r.count; i++) {
        fnd_free_memory(r.texts[i].own_path);
        fnd_free_memory(r.texts[i].own_text);
    }
    fnd_free_memory(r.texts);
    return status;
}
