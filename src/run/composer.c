/* composer.c - the composer of a context, and its kernels. */
#include "run/composer.h"
#include "base/base.h"
#include "base/memory.h"
#include "compose/shipped.h"

static pthread_mutex_t first_use = PTHREAD_MUTEX_INITIALIZER;

static void release(foundry *f) {
    fnd_composer *c = f->compose;
    if (!c) return;
    fnd_pipelines_free(f, c);
    fnd_conditionals_free(c);
    while (c->kernels) {
        fnd_kernel *next = c->kernels->next;
        fnd_free_memory(c->kernels);
        c->kernels = next;
    }
    fnd_catalog_close(c->catalog);
    pthread_mutex_destroy(&c->lock);
    fnd_free_memory(c);
    f->compose = NULL;
}

static fnd_status open_composer(foundry *f, fnd_error *err) {
    fnd_composer *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the composer");
    fnd_status status = fnd_catalog_open(f->desc.kernel_dir, &c->catalog, err);
    if (status != FND_OK) {
        fnd_free_memory(c);
        return status;
    }
    pthread_mutex_init(&c->lock, NULL);
    f->compose = c;
    f->run_release = release;
    return FND_OK;
}

fnd_status fnd_composer_get(foundry *f, fnd_composer **out, fnd_error *err) {
    FND_TRY(fnd_context_check(f, err));
    pthread_mutex_lock(&first_use);
    fnd_status status = f->compose ? FND_OK : open_composer(f, err);
    pthread_mutex_unlock(&first_use);
    *out = f->compose;
    return status;
}

typedef fnd_status add_fn(fnd_catalog *catalog, const char *path, const char *text, fnd_error *err);

static fnd_status add(foundry *f, add_fn *how, const char *path, const char *text, fnd_error *err) {
    fnd_composer *c;
    FND_TRY(fnd_composer_get(f, &c, err));
    pthread_mutex_lock(&c->lock);
    fnd_status status = how(c->catalog, path, text, err);
    fnd_pipelines_forget(c);
    pthread_mutex_unlock(&c->lock);
    return status;
}

static fnd_status add_folder(fnd_catalog *catalog, const char *folder, const char *unused, fnd_error *err) {
    (void)unused;
    return fnd_catalog_add_folder(catalog, folder, err);
}

fnd_status fnd_register_text(foundry *f, const char *path, const char *text, fnd_error *err) { return add(f, fnd_catalog_add, path, text, err); }
fnd_status fnd_register_folder(foundry *f, const char *folder, fnd_error *err) { return add(f, add_folder, folder, NULL, err); }

fnd_status fnd_register_file(foundry *f, const char *path, const char *file, fnd_error *err) {
    char *text;
    FND_TRY(fnd_source_read(file, &text, err));
    fnd_status status = fnd_register_text(f, path, text, err);
    fnd_free_memory(text);
    return status;
}

static bool same_stages(const fnd_composition *a, const fnd_composition *b) {
    if (a->step_count != b->step_count) return false;
    for (uint32_t i = 0; i < a->step_count; i++) {
        if (strcmp(a->steps[i].stage->name, b->steps[i].stage->name) != 0 || strcmp(a->steps[i].head, b->steps[i].head) != 0) return false;
    }
    return true;
}

static fnd_kernel *find_kernel(fnd_composer *c, const char *name) {
    for (fnd_kernel *k = c->kernels; k; k = k->next) {
        if (strcmp(k->composition.name, name) == 0) return k;
    }
    return NULL;
}

/* A kernel of a shipped name is the shipped one: models and others ask for it by that name. */
static fnd_status check_shipped(const fnd_composer *c, const fnd_composition *made, fnd_error *err) {
    fnd_kernel_desc desc;
    fnd_error ignored = { 0 };
    if (fnd_shipped_find(made->name, &desc, &ignored) != FND_OK) return FND_OK;
    fnd_composition_room *shipped = fnd_alloc_zeroed(1, sizeof *shipped);
    if (!shipped) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for kernel %s", made->name);
    fnd_status status = fnd_compose(c->catalog, &desc, shipped, err);
    if (status == FND_OK && !same_stages(made, &shipped->composition)) status = fnd_fail(err, FND_ERR_USAGE, "kernel %s is shipped with Foundry, of other stages: give yours another name", made->name);
    fnd_free_memory(shipped);
    return status;
}

/* In one block, no larger than need be. */
static fnd_kernel *new_kernel(foundry *f, const fnd_composition *c) {
    size_t args = c->arg_count * sizeof *c->args, rules = c->rule_count * sizeof *c->rules;
    fnd_kernel *k = fnd_alloc_zeroed(1, sizeof *k + args + rules);
    if (!k) return NULL;
    *k = (fnd_kernel){ .f = f, .composition = *c };
    k->composition.args = (fnd_arg *)(k + 1);
    k->composition.rules = (fnd_rule *)(k->composition.args + c->arg_count);
    if (args) memcpy(k->composition.args, c->args, args);
    if (rules) memcpy(k->composition.rules, c->rules, rules);
    return k;
}

static fnd_status add_kernel(foundry *f, fnd_composer *c, const fnd_composition *made, fnd_kernel **out, fnd_error *err) {
    *out = find_kernel(c, made->name);
    if (*out) return same_stages(&(*out)->composition, made) ? FND_OK : fnd_fail(err, FND_ERR_USAGE, "there is already a kernel %s with other stages", made->name);
    FND_TRY(check_shipped(c, made, err));
    fnd_kernel *k = new_kernel(f, made);
    if (!k) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for kernel %s", made->name);
    k->next = c->kernels;
    c->kernels = *out = k;
    return FND_OK;
}

static fnd_status make_locked(foundry *f, fnd_composer *c, const fnd_kernel_desc *desc, fnd_kernel **out, fnd_error *err) {
    fnd_composition_room *room = fnd_alloc_zeroed(1, sizeof *room);
    if (!room) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for kernel %s", desc->name);
    fnd_status status = fnd_compose(c->catalog, desc, room, err);
    if (status == FND_OK) status = add_kernel(f, c, &room->composition, out, err);
    if (status != FND_OK) *out = NULL;
    fnd_free_memory(room);
    return status;
}

fnd_status fnd_kernel_make(foundry *f, const fnd_kernel_desc *desc, fnd_kernel **out, fnd_error *err) {
    fnd_composer *c;
    *out = NULL;
    FND_TRY(fnd_composer_get(f, &c, err));
    pthread_mutex_lock(&c->lock);
    fnd_status status = make_locked(f, c, desc, out, err);
    pthread_mutex_unlock(&c->lock);
    return status;
}

fnd_status fnd_kernel_make_gemv(foundry *f, const fnd_gemv_desc *desc, fnd_kernel **out, fnd_error *err) {
    fnd_kernel_desc kernel;
    *out = NULL;
    FND_TRY(fnd_gemv_stages(desc, &kernel, err));
    return fnd_kernel_make(f, &kernel, out, err);
}

fnd_status fnd_kernel_get(foundry *f, const char *name, fnd_kernel **out, fnd_error *err) {
    fnd_composer *c;
    fnd_kernel_desc desc;
    *out = NULL;
    FND_TRY(fnd_composer_get(f, &c, err));
    pthread_mutex_lock(&c->lock);
    const fnd_declared_kernel *declared = fnd_catalog_kernel(c->catalog, name);
    if (!declared) *out = find_kernel(c, name);
    pthread_mutex_unlock(&c->lock);
    if (*out) return FND_OK;
    if (declared) return fnd_kernel_make(f, &declared->desc, out, err); /* as it is declared now, or refused */
    FND_TRY(fnd_shipped_find(name, &desc, err));
    return fnd_kernel_make(f, &desc, out, err);
}
