/* run.h - kernels and programs on an open foundry.
 *
 *     fnd_kernel *k;
 *     fnd_kernel_get(f, "rmsnorm", &k, &err);                       a shipped kernel, by name
 *     fnd_binding b[] = { fnd_bind_out("y", &y.t), fnd_bind_in("x", &x.t),
 *                         fnd_bind_in("gamma", &gamma.t), fnd_bind_f32("eps", 1e-6f) };
 *     fnd_run(f, k, b, 4, &err);
 *
 * Everything is checked when bound: names, element types, shapes, layouts, aliases. Number formats
 * are taken from the tensors. Kernels belong to the foundry and die with it.
 */
#ifndef FOUNDRY_RUN_H
#define FOUNDRY_RUN_H

#include "foundry/context.h"
#include "foundry/kernel.h"
#include "foundry/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fnd_kernel      fnd_kernel;
typedef struct fnd_conditional fnd_conditional;
typedef struct fnd_program     fnd_program;

/* ---- kernels -------------------------------------------------------------------------------- */

/* A kernel by name: shipped, made before, or declared in a text of yours; the same object each time. */
FND_USE_RESULT fnd_status fnd_kernel_get(foundry *f, const char *name, fnd_kernel **out, fnd_error *err);
/* Compose a kernel from stages. A name that is shipped, or made before, with other stages is refused. */
FND_USE_RESULT fnd_status fnd_kernel_make(foundry *f, const fnd_kernel_desc *desc, fnd_kernel **out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_kernel_make_gemv(foundry *f, const fnd_gemv_desc *desc, fnd_kernel **out, fnd_error *err);

/* A conditional kernel, of kernels made before or shipped. Ranges that leave a gap or overlap are refused
 * here. Belongs to the foundry; making the same again gives the same object. */
FND_USE_RESULT fnd_status fnd_conditional_make(foundry *f, const fnd_conditional_desc *desc, fnd_conditional **out, fnd_error *err);

/* Add stages, policies and kernels of your own (docs/kernels.md): a text under the path that other texts
 * include it by, a file, or every *.h file in a folder under its path from there. Before the first kernel that uses them. The same path again is that file anew;
 * a path, stage or policy that is shipped, or declared in another file, is refused: shipped texts are
 * replaced from a folder only (fnd_desc.kernel_dir). */
FND_USE_RESULT fnd_status fnd_register_text(foundry *f, const char *path, const char *text, fnd_error *err);
FND_USE_RESULT fnd_status fnd_register_file(foundry *f, const char *path, const char *file, fnd_error *err);
FND_USE_RESULT fnd_status fnd_register_folder(foundry *f, const char *folder, fnd_error *err);

/* ---- binding -------------------------------------------------------------------------------- */

typedef struct fnd_binding {
    const char       *name;
    const fnd_tensor *in;
    fnd_tensor       *out;    /* for OUT and INOUT arguments */
    uint32_t          bits;   /* of a number */
    char              number; /* 'f', 'u' or 'i'; 0: a tensor */
} fnd_binding;

static inline fnd_binding fnd_bind_in(const char *name, const fnd_tensor *t) {
    fnd_binding b = { name, t, NULL, 0, 0 };
    return b;
}
static inline fnd_binding fnd_bind_out(const char *name, fnd_tensor *t) {
    fnd_binding b = { name, t, t, 0, 0 };
    return b;
}
static inline fnd_binding fnd_bind_u32(const char *name, uint32_t value) {
    fnd_binding b = { name, NULL, NULL, value, 'u' };
    return b;
}
static inline fnd_binding fnd_bind_i32(const char *name, int32_t value) {
    fnd_binding b = { name, NULL, NULL, (uint32_t)value, 'i' };
    return b;
}
static inline fnd_binding fnd_bind_f32(const char *name, float value) {
    union { float f; uint32_t u; } bits;
    fnd_binding b = { name, NULL, NULL, 0, 'f' };
    bits.f = value;
    b.bits = bits.u;
    return b;
}

/* Check, compile when needed, launch. Returns before the kernel is done; fnd_wait reports what went
 * wrong in it. */
FND_USE_RESULT fnd_status fnd_run(foundry *f, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, fnd_error *err);
/* The same with the kernel whose range holds what is bound. */
FND_USE_RESULT fnd_status fnd_run_conditional(foundry *f, fnd_conditional *c, const fnd_binding *bindings, size_t count, fnd_error *err);
FND_USE_RESULT fnd_status fnd_wait(foundry *f, fnd_error *err);

/* ---- programs ------------------------------------------------------------------------------- */

/* A program is a list of kernel calls with bound tensors. What each call reads and writes follows
 * from the argument lists, and from that the barriers. The composer prints all of it as one function
 * where the device can run it so; elsewhere, or in another `form`, every call is a launch. Calls between fnd_program_layer(p, i) and the next repeat for i = 0, 1, 2 ...: equal
 * layers share their text.
 *
 *     fnd_program_begin(f, &(fnd_program_desc){ .name = "step" }, &p, &err);
 *     fnd_program_call(p, kernel, bindings, count, &err);  ...
 *     fnd_program_finish(p, &err);
 *     fnd_program_set(p, "pos", 17, &err);                 a number named in .variables
 *     fnd_program_run(p, &err);
 */
enum { FND_MAX_VARIABLES = 8 };

typedef struct fnd_program_desc {
    const char *name;
    const char *variables[FND_MAX_VARIABLES]; /* numbers and dimensions that change between runs, or from one program to the next */
    fnd_program_form form;                    /* how it runs; FND_ERR_UNSUPPORTED where the device has no such form */
    bool        stages;                       /* where it is one function: each call is timed within it, and while the
                                               * profiler is on, seen there like a launch; a little slower */
    bool        steps;                        /* its rows are tokens of several sequences, or guesses: each is computed as it
                                               * is alone, where many together would be rounded otherwise (isa "amx_bf16") */
    uint32_t    drop_barrier;                 /* tests: leave out the n-th derived barrier (1 = first) */
} fnd_program_desc;

FND_USE_RESULT fnd_status fnd_program_begin(foundry *f, const fnd_program_desc *desc, fnd_program **out, fnd_error *err);
/* From here on calls belong to layer `layer`; -1: to none (before or behind the layers). */
FND_USE_RESULT fnd_status fnd_program_layer(fnd_program *p, int layer, fnd_error *err);
/* A tensor between calls of this program, gone (and its memory others') outside of them: placed by
 * lifetime when the program is finished. *out may be bound, and cut into views, in this program only. */
FND_USE_RESULT fnd_status fnd_program_temporary(fnd_program *p, fnd_format format, fnd_shape shape, const char *name, fnd_tensor *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_program_call(fnd_program *p, fnd_kernel *kernel, const fnd_binding *bindings, size_t count, fnd_error *err);
/* The kernel is chosen now, by the shapes that are bound. */
FND_USE_RESULT fnd_status fnd_program_call_conditional(fnd_program *p, fnd_conditional *c, const fnd_binding *bindings, size_t count, fnd_error *err);
/* Derive barriers, print, compile. Tensors must keep their place from here on. */
FND_USE_RESULT fnd_status fnd_program_finish(fnd_program *p, fnd_error *err);
/* A variable's value for the runs that follow. A dimension may not exceed what was bound; what kernels need
 * to hold between several numbers (docs/kernels.md, rules) is checked by the next run, when all are set. */
FND_USE_RESULT fnd_status fnd_program_set(fnd_program *p, const char *variable, uint32_t value, fnd_error *err);
FND_USE_RESULT fnd_status fnd_program_run(fnd_program *p, fnd_error *err);
/* It does not run for a while: memory of its temporaries, and that kernels work in, goes where the device's is
 * the host's, and comes back with the next run. */
FND_USE_RESULT fnd_status fnd_program_rest(fnd_program *p, fnd_error *err);
void fnd_program_free(fnd_program *p);

typedef struct fnd_program_info {
    uint32_t    calls, barriers, layers, launches;
    fnd_program_form form;                 /* what it runs as: never FND_PROGRAM_AUTO */
    uint64_t    bytes_read, bytes_written; /* of one run with the present variables */
    uint64_t    ops;                       /* its multiplications and additions, as stages count them */
    uint64_t    temporary_bytes;           /* memory of the temporaries, shared by lifetime */
    const char *text;                      /* as printed, before includes are flattened */
} fnd_program_info;
void fnd_program_get_info(const fnd_program *p, fnd_program_info *out);

#ifdef __cplusplus
}
#endif
#endif
