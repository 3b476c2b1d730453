/* batch_prompts.c - prompts of several sequences read in one pass, so that weights are read once for all of them and
 * the matrix unit has enough tokens. Each is computed as its session computes it alone. */
#include "base/base.h"
#include "lm/batch.h"

/* A pass being filled: its rows, and of whom they are. */
typedef struct pass {
    uint32_t ids_count, parts, keys, seen;
    uint32_t table[FND_BATCH_SEQUENCES][4];
    size_t of[FND_BATCH_SEQUENCES]; /* which of the prompts */
} pass;

static fnd_status make(fnd_batch *b, fnd_error *err) {
    fnd_batch_prompts *p = &b->prompts;
    const fnd_model_info *m = &b->m->info;
    uint64_t rows = b->sessions[0]->batch_size, bytes = rows * (4ull * m->dim + 4) + 16ull * b->count + 3 * 128;
    FND_TRY(fnd_pool_create(b->m->f, bytes, "prompts", &p->pool, err));
    p->a.rows = (uint32_t)rows;
    FND_TRY(fnd_session_take(&p->pool, FND_U32, fnd_shape1(rows), &p->a.ids, "ids", err));
    FND_TRY(fnd_session_take(&p->pool, FND_F32, fnd_shape2(rows, m->dim), &p->a.x, "x", err));
    FND_TRY(fnd_session_take(&p->pool, FND_U32, fnd_shape2(b->count, 4), &p->table, "prompts", err));
    return fnd_batch_make_prompts(b, err);
}

void fnd_batch_prompts_free(fnd_batch *b) {
    fnd_program_free(b->prompts.program);
    if (b->prompts.pool.storage) fnd_pool_destroy(&b->prompts.pool, NULL);
    b->prompts = (fnd_batch_prompts){ .program = NULL };
}

/* As many tokens as there is room for, of the prompts that are not read yet. */
static fnd_status fill(fnd_batch *b, const fnd_batch_unread *prompts, size_t count, pass *p, fnd_error *err) {
    fnd_activations *a = &b->prompts.a;
    *p = (pass){ 0 };
    for (size_t i = 0; i < count && p->ids_count < a->rows; i++) {
        uint32_t n = (uint32_t)fnd_min_size(prompts[i].count, a->rows - p->ids_count), position = b->sessions[prompts[i].sequence]->position;
        if (!n) continue;
        FND_TRY(fnd_tensor_write(b->m->f, &a->ids.t, 4ull * p->ids_count, prompts[i].ids, n * sizeof *prompts[i].ids, err));
        uint32_t *part = p->table[p->parts];
        part[0] = p->ids_count;
        part[1] = n;
        part[2] = position;
        part[3] = prompts[i].sequence * b->blocks;
        p->of[p->parts++] = i;
        p->ids_count += n;
        p->keys += position + n;
        p->seen += n * position + n * (n + 1) / 2;
    }
    return FND_OK;
}

static fnd_status run(fnd_batch *b, const pass *p, fnd_error *err) {
    fnd_program *program = b->prompts.program;
    FND_TRY(fnd_tensor_write(b->m->f, &b->prompts.table.t, 0, p->table, p->parts * sizeof *p->table, err));
    FND_TRY(fnd_program_set(program, "tokens", p->ids_count, err));
    FND_TRY(fnd_program_set(program, "parts", p->parts, err));
    FND_TRY(fnd_program_set(program, "keys", p->keys, err));
    FND_TRY(fnd_program_set(program, "seen", p->seen, err));
    return fnd_program_run(program, err);
}

/* What came of it goes to the sessions. */
static fnd_status take(fnd_batch *b, const pass *p, fnd_batch_unread *prompts, fnd_error *err) {
    for (uint32_t i = 0; i < p->parts; i++) {
        fnd_batch_unread *u = &prompts[p->of[i]];
        uint32_t n = p->table[i][1];
        fnd_const_view x;
        FND_TRY(fnd_const_view_cut(&b->prompts.a.x.t, (fnd_cut){ .first = p->table[i][0] + n - 1, .count = 1 }, &x, err));
        FND_TRY(fnd_session_was_read(b->sessions[u->sequence], u->ids, n, n == u->count ? &x : NULL, err));
        u->ids += n;
        u->count -= n;
    }
    return FND_OK;
}

fnd_status fnd_batch_read(fnd_batch *b, fnd_batch_unread *prompts, size_t count, fnd_error *err) {
    size_t total = 0, done = 0;
    pass p;
    for (size_t i = 0; i < count; i++) {
        fnd_session *s = b->sessions[prompts[i].sequence];
        FND_TRY(fnd_session_check_ids(s, prompts[i].ids, prompts[i].count, err));
        total += prompts[i].count;
    }
    if (count == 1) return fnd_session_read(b->sessions[prompts[0].sequence], prompts[0].ids, prompts[0].count, err);
    if (!b->prompts.program) {
        fnd_status status = make(b, err);
        if (status != FND_OK) fnd_batch_prompts_free(b);
        FND_TRY(status);
    }
    for (; done < total; done += p.ids_count) {
        FND_TRY(fnd_session_pause(b->sessions[0], "reading the prompt", done, total, err));
        FND_TRY(fill(b, prompts, count, &p, err));
        FND_TRY(run(b, &p, err));
        FND_TRY(take(b, &p, prompts, err));
    }
    return fnd_program_rest(b->prompts.program, err); /* what follows mostly is decoding */
}
