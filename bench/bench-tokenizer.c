/* bench-tokenizer.c - how fast a model's tokenizer is: CPU time of one thread.
 *
 *     build/bench-tokenizer MODEL TEXT [ROUNDS]
 *
 * Each round begins with an empty cache of words, so that nothing is remembered from the round before.
 * The text should be some MB of what users write. */
#include "foundry/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static char *read_all(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    *bytes = 0;
    for (size_t room = 0, n = 1; f && n;) {
        if (*bytes == room) {
            room = room ? 2 * room : 1 << 20;
            char *more = realloc(text, room);
            if (!more) break;
            text = more;
        }
        n = fread(text + *bytes, 1, room - *bytes, f);
        *bytes += n;
    }
    if (f) fclose(f);
    return text;
}

static fnd_status run_round(const fnd_gguf *g, const char *text, size_t bytes, fnd_error *err) {
    fnd_tokenizer *t = NULL;
    fnd_ids ids = { 0 };
    double start = cpu_seconds();
    fnd_status status = fnd_tokenizer_open(g, &t, err);
    double opened = cpu_seconds();
    if (status == FND_OK) status = fnd_tokenize(t, text, bytes, FND_TOKENIZE_LOSSY, &ids, err);
    double done = cpu_seconds();
    if (status == FND_OK) printf("%.1f MB/s, %zu tokens, opened in %.0f ms\n", 1e-6 * (double)bytes / (done - opened), ids.count, 1e3 * (opened - start));
    fnd_ids_free(&ids);
    fnd_tokenizer_close(t);
    return status;
}

int main(int argc, char **argv) {
    fnd_error err = { 0 };
    fnd_gguf *g = NULL;
    size_t bytes = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: bench-tokenizer MODEL TEXT [ROUNDS]\n");
        return 2;
    }
    char *text = read_all(argv[2], &bytes);
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    fnd_status status = fnd_gguf_open(argv[1], FND_GGUF_METADATA_ONLY, &g, &err);
    if (status == FND_OK && !text) fprintf(stderr, "bench-tokenizer: %s cannot be read\n", argv[2]);
    for (int i = 0; i < rounds && status == FND_OK && text; i++) status = run_round(g, text, bytes, &err);
    if (status != FND_OK) fprintf(stderr, "bench-tokenizer: %s\n", err.text);
    fnd_gguf_close(g);
    free(text);
    return status == FND_OK && bytes ? 0 : 1;
}
