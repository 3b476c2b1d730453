/* program_meanwhile.c - programs run at once: where the whole must first be compiled, the kernels of
 * the library serve until it is, and where there is no compiler, always. */
#include "base/base.h"
#include "base/memory.h"
#include "base/system.h"
#include "run/program.h"

/* One at a time, and after everybody else: the present tokens come first. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* not busy any more, or somebody who waits is unwanted */
    bool busy;
} compiler = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static bool take_turn(fnd_program *p) {
    pthread_mutex_lock(&compiler.lock);
    while (compiler.busy && !atomic_load(&p->unwanted)) pthread_cond_wait(&compiler.changed, &compiler.lock);
    bool mine = !atomic_load(&p->unwanted);
    compiler.busy |= mine;
    pthread_mutex_unlock(&compiler.lock);
    return mine;
}

static void end_turn(void) {
    pthread_mutex_lock(&compiler.lock);
    compiler.busy = false;
    pthread_cond_broadcast(&compiler.changed);
    pthread_mutex_unlock(&compiler.lock);
}

/* Slower than need be is no failure, and yet not to be kept from whoever wonders. */
static void tell_why(fnd_program *p, const char *why) {
    fnd_text text = { 0 };
    fnd_text_printf(&text, "kernels built into the library serve, which are slower than compiled ones: %s; a C compiler that works makes it faster", why);
    fnd_notice(p->f, fnd_text_get(&text));
    fnd_text_free(&text);
}

static const char *why_not_build(const fnd_program *p) {
    return p->f->desc.no_build ? "compiling is switched off" : p->f->info.why_not_build;
}

static void *compile_in_background(void *ctx) {
    fnd_program *p = ctx;
    fnd_system_work_last();
    p->compile_status = FND_ERR_CANCELLED;
    if (take_turn(p)) {
        p->compile_status = fnd_program_compile_printed(p, &p->stop, &p->compiled_code, &p->compile_error);
        end_turn();
    }
    if (p->compile_status != FND_OK && p->compile_status != FND_ERR_CANCELLED) tell_why(p, p->compile_error.text);
    atomic_store(&p->compiled, true);
    return NULL;
}

/* The same calls, each a launch of a kernel of the library. */
static fnd_status make_meanwhile(fnd_program *p, fnd_error *err) {
    fnd_program *m = fnd_alloc_zeroed(1, sizeof *m);
    fnd_call *calls = fnd_alloc_resized(NULL, p->call_count, sizeof *calls);
    if (!m || !calls) {
        fnd_free_memory(m);
        fnd_free_memory(calls);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for program %s", p->name);
    }
    memcpy(calls, p->calls, p->call_count * sizeof *calls);
    *m = (fnd_program){ .f = p->f, .form = FND_PROGRAM_LAUNCH, .separate = true, .only_baked = true, .stands_in = true, .calls = calls, .call_count = p->call_count, .call_capacity = p->call_count };
    memcpy(m->name, p->name, sizeof m->name);
    for (uint32_t i = 0; i < p->variable_count; i++) memcpy(m->variables[i].name, p->variables[i].name, sizeof m->variables[i].name);
    m->variable_count = p->variable_count;
    fnd_status status = fnd_program_fold(m, err);
    if (status == FND_OK) status = fnd_program_fill_table(m, err);
    if (status == FND_OK) status = fnd_program_compile(m, false, err);
    if (status != FND_OK) {
        fnd_program_free(m);
        return status;
    }
    m->finished = true;
    p->meanwhile = m;
    return FND_OK;
}

fnd_status fnd_program_prepare(fnd_program *p, fnd_error *err) {
    fnd_error ignored = { 0 }, failure = { 0 }, why = { 0 };
    bool may_build = p->f->info.can_build && !p->f->desc.no_build, tried = may_build && p->f->desc.wait_for_build;
    if (p->separate) return fnd_program_compile(p, false, err);
    if (fnd_program_compile(p, !tried, tried ? &failure : &ignored) == FND_OK) return FND_OK;
    if (make_meanwhile(p, &why) != FND_OK) {
        if (tried) return fnd_fail(err, failure.status, "%s", failure.text);
        if (may_build) return fnd_program_compile(p, false, err);
        return fnd_fail(err, why.status, "program %s cannot run: %s, and nothing can be compiled here: %s", p->name, why.text, why_not_build(p));
    }
    if (tried || (!may_build && !p->f->desc.no_build)) tell_why(p, tried ? failure.text : why_not_build(p));
    if (may_build && !tried && pthread_create(&p->compiler, NULL, compile_in_background, p) == 0) p->compiling = true;
    return FND_OK;
}

fnd_program *fnd_program_present(fnd_program *p) {
    if (!p->meanwhile) return p;
    if (p->compiling && atomic_load(&p->compiled)) {
        fnd_program_stop_compiling(p);
        if (p->compile_status == FND_OK) {
            p->segments[0].code = p->compiled_code;
            fnd_program_free(p->meanwhile);
            p->meanwhile = NULL;
            return p;
        }
    }
    return p->meanwhile;
}

void fnd_program_stop_compiling(fnd_program *p) {
    if (!p->compiling) return;
    pthread_mutex_lock(&compiler.lock);
    atomic_store(&p->unwanted, true);
    pthread_cond_broadcast(&compiler.changed);
    pthread_mutex_unlock(&compiler.lock);
    fnd_process_end(&p->stop);
    pthread_join(p->compiler, NULL);
    p->compiling = false;
}
