/* kernel_bench.h - running kernels in tests: a device, tensors on it between guards, and values with
 * the error they may have.
 *
 *     kernel_bench b;
 *     if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
 *     bench_tensor *x = bench_in(&b, "x", FND_F16, fnd_shape2(3, 96));      random values
 *     bench_tensor *y = bench_out(&b, "y", FND_F32, fnd_shape2(3, 96));     poisoned
 *     bench_f32(&b, "factor", 2.0f);
 *     if (bench_run(&b, "scale")) ... y->v[i] are the results ...
 *     bench_clear(&b);                                                     the next kernel
 *
 * bench_run binds every tensor and number made since bench_clear by its name, runs, and checks that
 * guards and inputs are as they were. Mistakes of the test end the test program. */
#ifndef TESTS_KERNEL_BENCH_H
#define TESTS_KERNEL_BENCH_H

#include "foundry/context.h"
#include "foundry/run.h"

enum { BENCH_TENSORS = 32,
       BENCH_NUMBERS = 16,
       BENCH_GUARD = 128 };

typedef struct bench_tensor {
    char name[FND_NAME_BYTES];
    fnd_tensor t;         /* what is bound */
    fnd_tensor whole;     /* with its guards, as bytes */
    fnd_dedicated tiles;  /* of a weight that the device wants in tiles */
    unsigned char *bytes; /* as made: guard, data, guard */
    size_t data_bytes;
    double *v; /* values: of an input always, of an output after bench_run */
    size_t count;
    bool written; /* OUT or INOUT */
} bench_tensor;

typedef struct kernel_bench {
    foundry *f;
    fnd_pool pool;
    fnd_error err;
    char label[64]; /* "cpu v4_vnni" */
    char cache[256];
    uint32_t tile_rows, groups;
    bool codes;           /* formats with codes multiply 8-bit activations here */
    bool query_codes;     /* and so does attention over a cache of 8 bits */
    bool library_only;    /* what it has not because of activations is passed over */
    uint64_t panels_from; /* tokens that are multiplied as halves, for most formats */
    int panel_digits;     /* of such a half, binary ones */
    bench_tensor tensors[BENCH_TENSORS];
    size_t tensor_count;
    fnd_binding numbers[BENCH_NUMBERS];
    size_t number_count;
} kernel_bench;

/* backend "cpu" or "sim"; isa "generic", or NULL for the best here; baked: kernels of the library
 * only, else none of them. Of a level that is named, what it has not because of activations is passed over. */
typedef struct bench_device {
    const char *backend, *isa;
    bool baked;
} bench_device;

/* False, after a failed CHECK or a skip, when the device cannot be opened. */
bool bench_open(kernel_bench *b, const bench_device *device);
bool bench_open_threads(kernel_bench *b, const bench_device *device, uint32_t threads); /* other than two */
void bench_close(kernel_bench *b);
void bench_clear(kernel_bench *b);

/* Every device that kernels are tested on, all levels of instructions in the library that run here among them: for (each)
 * { ... } with an open kernel_bench `b`. Where FOUNDRY_TEST_GPU names a backend, it alone is. Levels that run here and are
 * never in the library have one more: their kernels are compiled, so a test has a few of them. */
size_t bench_device_count(void);
size_t bench_matrix_device_count(void); /* with those on which only kernels with matrices are other texts */
const bench_device *bench_device_at(size_t index);
size_t bench_compiled_level_count(void);
const bench_device *bench_compiled_level_at(size_t index);
#define ON_EVERY_DEVICE(b)         ON_DEVICES_(b, bench_device_count(), bench_device_at)
#define ON_EVERY_MATRIX_DEVICE(b)  ON_DEVICES_(b, bench_matrix_device_count(), bench_device_at)
#define ON_EVERY_COMPILED_LEVEL(b) ON_DEVICES_(b, bench_compiled_level_count(), bench_compiled_level_at)
#define ON_DEVICES_(b, count, at) \
    for (size_t device_ = 0; device_ < (count); device_++) \
        for (kernel_bench b, *open_ = bench_open(&b, at(device_)) ? &b : NULL; open_; bench_close(open_), open_ = NULL)

/* Random numbers, the same in every run. */
uint32_t bench_random(void);
uint32_t bench_below(uint32_t n);
float bench_uniform(void); /* -1 .. 1 */
void bench_seed(uint64_t seed);
/* Random rows of a format as files have them, their values of ordinary size. Free both with free(). */
unsigned char *bench_blocks(fnd_format format, uint64_t rows, uint64_t cols, size_t *bytes, double **values);
/* The largest weight of every block lies within (least, most). */
unsigned char *bench_blocks_within(fnd_format format, uint64_t rows, uint64_t cols, double least, double most, size_t *bytes, double **values);

bench_tensor *bench_in(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape);
bench_tensor *bench_in_copy(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape, const void *data);
bench_tensor *bench_inout(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape);
bench_tensor *bench_inout_copy(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape, const void *data);
bench_tensor *bench_out(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape);
/* A matrix for a matrix kernel: in the device's tiles, by the shipped repack kernel. */
bench_tensor *bench_weight(kernel_bench *b, const char *name, fnd_format format, uint64_t rows, uint64_t cols);
/* Of bench_in: from here on in the device's tiles, where it has them. */
void bench_to_tiles(kernel_bench *b, bench_tensor *x);
void bench_f32(kernel_bench *b, const char *name, float value);
void bench_u32(kernel_bench *b, const char *name, uint32_t value);
void bench_i32(kernel_bench *b, const char *name, int32_t value);

/* Everything as bindings; `out` has room for BENCH_TENSORS + BENCH_NUMBERS. */
size_t bench_bindings(kernel_bench *b, fnd_binding *out);
/* True when the kernel ran; what goes wrong is reported with `what`. */
bool bench_run(kernel_bench *b, const char *kernel);
bool bench_run_kernel(kernel_bench *b, fnd_kernel *kernel, const char *what);
/* Guards and inputs are untouched; outputs are read into v. */
bool bench_check(kernel_bench *b, const char *what);
/* Decode `count` values of a format (rows without gaps). */
void bench_decode(fnd_format format, const unsigned char *data, size_t count, double *v);

/* ---- values with the error they may have ---- */
typedef struct ref_val {
    double v, e;
} ref_val;

/* Zeros, to be freed with free(). */
ref_val *ref_vals(size_t count);
ref_val ref_exact(double v);
ref_val ref_add(ref_val a, ref_val b);
ref_val ref_mul(ref_val a, ref_val b);
ref_val ref_silu(ref_val a);
ref_val ref_gelu(ref_val a);
ref_val ref_relu(ref_val a);

/* What a strategy multiplies: rows of x as they are, or as 8-bit codes of 32; e says how far a value
 * may be off because its code lies between two. */
void ref_codes(ref_val *x, size_t cols);
/* Values as bf16; e says how far one may be off because it lies between two. */
void ref_halves(ref_val *x, size_t count, int digits);
/* sum of w[k] x[k]; e holds 1e-5 of sum |w||x|. */
ref_val ref_dot(const double *w, const ref_val *x, size_t cols);
/* [tokens, cols] rows, each over its root mean square; free with free(). */
ref_val *ref_rmsnorm(const double *x, const double *gamma, double eps, size_t tokens, size_t cols);
/* What the kernel wrote is `want`, rounded once to the format of the tensor. */
bool bench_compare(const kernel_bench *b, const bench_tensor *got, const ref_val *want, const char *what);

#endif
