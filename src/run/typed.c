/* typed.c - from a typed bind struct (foundry/kernels.h) to bindings by name. */
#include "base/base.h"
#include "foundry/kernels.h"
#include "run/program.h"
#include "run/typed_list.h"

#include <stddef.h>

enum { TENSOR_READ = 'r',
       TENSOR_WRITTEN = 'w' }; /* else a number: 'f', 'u' or 'i', as in fnd_binding */

typedef struct typed_field {
    const char *name;
    uint32_t offset;
    char kind;
} typed_field;

typedef struct typed_kernel {
    const char *name;
    const typed_field *fields;
    size_t count;
} typed_kernel;

/* The bindings of a struct; tensors left out (NULL) are left out, so that fnd_bind names them. */
static size_t read_fields(const typed_kernel *k, const void *bind, fnd_binding out[FND_MAX_ARGS]) {
    size_t count = 0;
    for (size_t i = 0; i < k->count; i++) {
        const typed_field *field = &k->fields[i];
        const char *at = (const char *)bind + field->offset;
        fnd_binding b = { .name = field->name, .number = field->kind };
        if (field->kind == TENSOR_READ || field->kind == TENSOR_WRITTEN) {
            /* SAFETY: the field is a pointer to fnd_tensor or to a struct that begins with one; all pointers
             * to structs have one representation (C11 6.2.5), and a struct has its first member's address. */
            fnd_tensor *t;
            memcpy(&t, at, sizeof t);
            if (!t) continue;
            b.in = t;
            b.out = field->kind == TENSOR_WRITTEN ? t : NULL;
            b.number = 0;
        } else {
            memcpy(&b.bits, at, sizeof b.bits);
        }
        out[count++] = b;
    }
    return count;
}

static fnd_status run_typed(foundry *f, const typed_kernel *typed, const void *bind, fnd_error *err) {
    fnd_kernel *kernel;
    fnd_binding bindings[FND_MAX_ARGS];
    if (!bind) return fnd_fail(err, FND_ERR_USAGE, "kernel %s: the bind struct is NULL", typed->name);
    FND_TRY(fnd_kernel_get(f, typed->name, &kernel, err));
    return fnd_run(f, kernel, bindings, read_fields(typed, bind, bindings), err);
}

static fnd_status record_typed(fnd_program *p, const typed_kernel *typed, const void *bind, fnd_error *err) {
    fnd_kernel *kernel;
    fnd_binding bindings[FND_MAX_ARGS];
    if (!bind) return fnd_fail(err, FND_ERR_USAGE, "kernel %s: the bind struct is NULL", typed->name);
    FND_TRY(fnd_kernel_get(p->f, typed->name, &kernel, err));
    return fnd_program_call(p, kernel, bindings, read_fields(typed, bind, bindings), err);
}

#define FIELD(kernel, field, kind) { #field, offsetof(fnd_##kernel##_bind, field), kind },
#define READ(kernel, field)        FIELD(kernel, field, TENSOR_READ)
#define WRITTEN(kernel, field)     FIELD(kernel, field, TENSOR_WRITTEN)
#define F32(kernel, field)         FIELD(kernel, field, 'f')
#define U32(kernel, field)         FIELD(kernel, field, 'u')
#define I32(kernel, field)         FIELD(kernel, field, 'i')
#define KERNEL(kernel, list) \
    static const typed_field kernel##_fields[] = { list }; \
    static const typed_kernel kernel##_typed = { #kernel, kernel##_fields, FND_COUNT(kernel##_fields) }; \
    fnd_status fnd_##kernel(foundry *f, const fnd_##kernel##_bind *bind, fnd_error *err) { \
        return run_typed(f, &kernel##_typed, bind, err); \
    } \
    fnd_status fnd_program_##kernel(fnd_program *p, const fnd_##kernel##_bind *bind, fnd_error *err) { \
        return record_typed(p, &kernel##_typed, bind, err); \
    }
FND_TYPED_KERNELS(KERNEL)
