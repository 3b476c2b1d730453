/* tensor_stream.c - pieces of tensors, handed out in the file's order to whoever is free. */
#include "lm/tensor_stream.h"
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/memory.h"
#include "base/team.h"

#include <pthread.h>

typedef struct job {
    const fnd_stream *s;
    pthread_mutex_t lock;
    size_t tensor;
    uint64_t first, done, total; /* done and total: weights */
    fnd_status status;
    fnd_error err;
} job;

static bool next_piece(job *j, fnd_piece *piece) {
    const fnd_stream *s = j->s;
    pthread_mutex_lock(&j->lock);
    if (s->cancel && *s->cancel && j->status == FND_OK) j->status = fnd_fail(&j->err, FND_ERR_CANCELLED, "interrupted; nothing was written");
    while (j->tensor < s->tensor_count && j->first >= s->tensors[j->tensor].weights) {
        j->tensor++;
        j->first = 0;
    }
    bool more = j->status == FND_OK && j->tensor < s->tensor_count;
    if (more) {
        uint64_t left = s->tensors[j->tensor].weights - j->first;
        piece->tensor = j->tensor;
        piece->first = j->first;
        piece->count = left < FND_PIECE_WEIGHTS ? (size_t)left : FND_PIECE_WEIGHTS;
        j->first += piece->count;
        j->done += piece->count;
    }
    uint64_t done = j->done;
    pthread_mutex_unlock(&j->lock);
    if (more && piece->worker == 0 && s->progress) s->progress(s->progress_ctx, s->what, done < j->total ? done : j->total - 1, j->total);
    return more;
}

static fnd_status make_piece(const job *j, const fnd_piece *piece, uint8_t *buffer, fnd_error *err) {
    fnd_format format = j->s->tensors[piece->tensor].format;
    uint64_t bytes = 0, before = 0;
    if (!fnd_format_bytes(format, 1, piece->count, &bytes) || !fnd_format_bytes(format, 1, piece->first, &before)) {
        return fnd_fail(err, FND_ERR_SHAPE, "%zu weights of tensor %zu are no whole blocks", piece->count, piece->tensor);
    }
    FND_TRY(j->s->fill(j->s->ctx, piece, buffer, err));
    return fnd_gguf_writer_write(j->s->writer, piece->tensor, before, buffer, (size_t)bytes, err);
}

static void work(void *ctx, uint32_t worker) {
    job *j = ctx;
    fnd_error err = { 0 };
    fnd_piece piece = { .worker = worker };
    uint8_t *buffer = fnd_alloc_aligned((size_t)FND_PIECE_WEIGHTS * 4, 64);
    fnd_status status = buffer ? FND_OK : fnd_fail(&err, FND_ERR_MEMORY, "out of memory for a piece of a tensor");
    while (status == FND_OK && next_piece(j, &piece)) status = make_piece(j, &piece, buffer, &err);
    fnd_free_memory(buffer);
    if (status == FND_OK) return;
    pthread_mutex_lock(&j->lock);
    if (j->status == FND_OK) {
        j->status = status;
        j->err = err;
    }
    pthread_mutex_unlock(&j->lock);
}

uint32_t fnd_stream_workers(uint32_t asked) {
    uint32_t workers = asked ? asked : fnd_cpu_cores();
    return workers < FND_TEAM_MAX ? workers : FND_TEAM_MAX;
}

fnd_status fnd_stream_run(const fnd_stream *s, fnd_error *err) {
    job j = { .s = s };
    fnd_team *team;
    for (size_t i = 0; i < s->tensor_count; i++) j.total += s->tensors[i].weights;
    FND_TRY(fnd_team_open(s->workers, &team, err));
    pthread_mutex_init(&j.lock, NULL);
    fnd_team_run(team, s->workers, work, &j);
    pthread_mutex_destroy(&j.lock);
    fnd_team_close(team);
    if (j.status != FND_OK) return fnd_fail(err, j.status, "%s", j.err.text);
    FND_TRY(fnd_gguf_writer_finish(s->writer, err));
    if (s->progress) s->progress(s->progress_ctx, s->what, j.total, j.total);
    return FND_OK;
}
