/* cache_disk.c - files of the cache: <key as 32 hexadecimal digits>.fnd */
#include "compose/cache_disk.h"
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX ".fnd"
enum {
    VERSION = 1,
    KEY_DIGITS = FND_HASH_TEXT_BYTES - 1,
    NAME_BYTES = KEY_DIGITS + sizeof SUFFIX - 1,
    ABANDONED_SECONDS = 3600, /* a file being written for so long is nobody's any more */
};

/* Every byte of a file is checked: these fields against what they must be, the rest by its sum. */
typedef struct file_header {
    char magic[8];
    uint32_t version, header_bytes;
    fnd_hash128 key;
    uint64_t length;
    fnd_hash128 sum; /* of the bytes after the header */
    uint64_t zero;
} file_header;
_Static_assert(sizeof(file_header) == 64, "the header has no padding");

static file_header make_header(fnd_hash128 key, const void *data, size_t bytes) {
    return (file_header){ .magic = "FNDCACH", .version = VERSION, .header_bytes = sizeof(file_header), .key = key, .length = bytes, .sum = fnd_hash_bytes(data, bytes) };
}

static void do_without(fnd_cache_disk *disk, const char *why) {
    pthread_mutex_lock(&disk->lock);
    disk->writable = false;
    if (!disk->notice[0]) {
        snprintf(disk->notice, sizeof disk->notice, "compiled kernels are not kept on disk: %s", why);
        disk->has_notice = true;
    }
    pthread_mutex_unlock(&disk->lock);
}

static bool may_write(fnd_cache_disk *disk) {
    pthread_mutex_lock(&disk->lock);
    bool writable = disk->writable;
    pthread_mutex_unlock(&disk->lock);
    return writable;
}

static bool trusted_owner(const struct stat *st) { return st->st_uid == geteuid() || st->st_uid == 0; }

/* Why the files of this directory must not be run; NULL when they may. */
static const char *why_not_usable(const char *dir) {
    struct stat st;
    if (stat(dir, &st) != 0) return strerror(errno);
    if (!S_ISDIR(st.st_mode)) return "it is not a directory";
    if (!trusted_owner(&st)) return "it belongs to another user";
    if (st.st_mode & S_IWOTH) return "everybody may write to it";
    return NULL;
}

void fnd_cache_disk_open(fnd_cache_disk *disk, const char *dir, uint64_t limit_bytes) {
    *disk = (fnd_cache_disk){ .limit_bytes = limit_bytes, .lock = PTHREAD_MUTEX_INITIALIZER };
    if (!dir) return;
    fnd_error err = { 0 };
    int length = snprintf(disk->dir, sizeof disk->dir, "%s", dir);
    if (length < 0 || (size_t)length + NAME_BYTES + 2 > sizeof disk->dir) {
        do_without(disk, "the directory's name is too long");
        return;
    }
    disk->writable = fnd_make_dirs(dir, &err) == FND_OK;
    const char *why = why_not_usable(dir);
    disk->readable = why == NULL;
    if (why && disk->writable) fnd_fail(&err, FND_ERR_FILE, "%.400s cannot be used: %s", dir, why);
    if (err.status != FND_OK) do_without(disk, err.text);
}

void fnd_cache_disk_close(fnd_cache_disk *disk) { pthread_mutex_destroy(&disk->lock); }

typedef struct file_path {
    char text[1024 + NAME_BYTES + 2];
} file_path;

static file_path path_of(const fnd_cache_disk *disk, fnd_hash128 key) {
    file_path path;
    char digits[FND_HASH_TEXT_BYTES];
    fnd_hash_print(key, digits);
    snprintf(path.text, sizeof path.text, "%s/%s" SUFFIX, disk->dir, digits);
    return path;
}

static bool is_whole(const char *block, size_t block_bytes, fnd_hash128 key) {
    if (block_bytes < sizeof(file_header)) return false;
    file_header expected = make_header(key, block + sizeof expected, block_bytes - sizeof expected);
    return memcmp(block, &expected, sizeof expected) == 0;
}

fnd_cache_found fnd_cache_disk_read(fnd_cache_disk *disk, fnd_hash128 key, char **block, const void **data, size_t *bytes) {
    *block = NULL;
    if (!disk->readable) return FND_CACHE_MISSING;
    file_path path = path_of(disk, key);
    struct stat st;
    if (stat(path.text, &st) != 0) return FND_CACHE_MISSING;
    size_t got = 0;
    bool plausible = S_ISREG(st.st_mode) && trusted_owner(&st) && (uint64_t)st.st_size <= disk->limit_bytes;
    if (plausible) {
        fnd_status status = fnd_file_read(path.text, (size_t)st.st_size, block, &got, NULL);
        if (status != FND_OK && status != FND_ERR_LIMIT) return FND_CACHE_MISSING; /* no rights, no memory, gone */
    }
    if (!*block || !is_whole(*block, got, key)) {
        fnd_free_memory(*block);
        *block = NULL;
        fnd_cache_disk_remove(disk, key);
        return FND_CACHE_DAMAGED;
    }
    utimensat(AT_FDCWD, path.text, NULL, 0); /* used now: the last to be evicted. Read-only is fine too */
    *data = *block + sizeof(file_header);
    *bytes = got - sizeof(file_header);
    return FND_CACHE_WHOLE;
}

bool fnd_cache_disk_write(fnd_cache_disk *disk, fnd_hash128 key, const void *data, size_t bytes) {
    size_t all;
    if (!may_write(disk) || !fnd_add_size(bytes, sizeof(file_header), &all) || all > disk->limit_bytes) return false;
    char *block = fnd_alloc_resized(NULL, all, 1);
    if (!block) return false;
    file_header header = make_header(key, data, bytes);
    memcpy(block, &header, sizeof header);
    if (bytes) memcpy(block + sizeof header, data, bytes);
    fnd_error err = { 0 };
    bool written = fnd_file_write_private(path_of(disk, key).text, block, all, &err) == FND_OK;
    fnd_free_memory(block);
    if (!written) do_without(disk, err.text);
    return written;
}

void fnd_cache_disk_remove(fnd_cache_disk *disk, fnd_hash128 key) { unlink(path_of(disk, key).text); }

/* ---- keeping the limit ----------------------------------------------------------------------- */
typedef struct kept {
    char name[NAME_BYTES + 1];
    struct timespec used;
    uint64_t bytes;
} kept;

typedef struct kept_list {
    kept *at;
    size_t count, capacity;
    uint64_t bytes;
} kept_list;

static int older_first(const void *a, const void *b) {
    const kept *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Ours are named by a key; whatever else lies in the directory is left alone. */
static bool is_ours(const char *name) {
    if (strspn(name, "0123456789abcdef") != KEY_DIGITS || strncmp(name + KEY_DIGITS, SUFFIX, sizeof SUFFIX - 1) != 0) return false;
    const char *rest = name + NAME_BYTES;
    return !*rest || (rest[0] == '.' && strcmp(rest + 1 + strspn(rest + 1, "0123456789"), FND_NEW_FILE_END) == 0);
}

static bool add_kept(kept_list *list, const char *name, const struct stat *st) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        kept *larger = fnd_alloc_resized(list->at, capacity, sizeof *larger);
        if (!larger) return false;
        list->at = larger;
        list->capacity = capacity;
    }
    kept *k = &list->at[list->count++];
    *k = (kept){ .used = fnd_system_modified(st), .bytes = (uint64_t)st->st_size };
    memcpy(k->name, name, strlen(name) + 1);
    list->bytes += k->bytes;
    return true;
}

static kept_list list_kept(DIR *dir) {
    kept_list list = { 0 };
    time_t now = time(NULL);
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        if (!is_ours(entry->d_name) || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (strlen(entry->d_name) > NAME_BYTES) { /* being written, by somebody or by nobody */
            if (now - fnd_system_modified(&st).tv_sec > ABANDONED_SECONDS) unlinkat(dirfd(dir), entry->d_name, 0);
            continue;
        }
        if (!add_kept(&list, entry->d_name, &st)) break;
    }
    return list;
}

uint64_t fnd_cache_disk_trim(fnd_cache_disk *disk) {
    DIR *dir = disk->readable ? opendir(disk->dir) : NULL;
    if (!dir) return 0;
    kept_list list = list_kept(dir);
    if (list.count) qsort(list.at, list.count, sizeof *list.at, older_first);
    uint64_t evicted = 0;
    for (size_t i = 0; i < list.count && list.bytes > disk->limit_bytes; i++) {
        list.bytes -= list.at[i].bytes;
        if (unlinkat(dirfd(dir), list.at[i].name, 0) == 0) evicted++;
    }
    fnd_free_memory(list.at);
    closedir(dir);
    return evicted;
}
