/* test_cuda.c - the cuda backend as far as a machine without a GPU can test it: texts through NVRTC, and
 * the sentences of what is missing. Where FOUNDRY_TEST_GPU=cuda, the tests of kernels, programs and
 * models run on the GPU (bench/gpu/). */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "base/memory.h"
#include "base/process.h"
#include "compose/catalog.h"
#include "foundry/model.h"
#include "kernel_bench.h"
#include "lm/session.h"
#include "run/composer.h"
#include "test.h"
#include "toy_model.h"

#include <math.h>
#include <stdlib.h>

/* ---- programs as one function ---- */

static void compile(const fnd_nvrtc_api *nvrtc, const char *printed, const char *entry, const char *arch) {
    fnd_sources *sources;
    fnd_text flat = { 0 };
    fnd_error err = { 0 };
    CHECK_OK(fnd_sources_open(NULL, &sources, &err), &err);
    CHECK_OK(fnd_sources_flatten(sources, ".cuda", entry, printed, &flat, &err), &err);
    fnd_cuda c = { .nvrtc = nvrtc };
    fnd_blob cubin;
    fnd_cuda_usage takes;
    snprintf(c.arch, sizeof c.arch, "%s", arch);
    fnd_status status = fnd_cuda_build(&c, &(fnd_build_desc){ .entry = entry, .text = fnd_text_get(&flat), .warps = 16 }, &cubin, &err);
    CHECK_MSG(status == FND_OK, "%s for %s: %s", entry, arch, err.text);
    CHECK(fnd_cuda_usage_read(cubin.data, cubin.bytes, &takes) && takes.registers > 8);
    fnd_free_memory(cubin.data);
    fnd_text_free(&flat);
    fnd_sources_close(sources);
}

static void compile_program(const fnd_nvrtc_api *nvrtc, fnd_program *program, const char *entry, const char *arch) {
    fnd_program_info info;
    fnd_program_get_info(program, &info);
    compile(nvrtc, info.text, entry, arch);
}

TEST(cuda_programs_compile_as_one_function) {
    static const toy_desc desc = { .architecture = "qwen2", .layers = 3, .dim = 64, .hidden_dim = 96, .heads = 4, .kv_heads = 2, .context = 128, .bias = true, .matrices = FND_Q8_0, .last_v = FND_F16 };
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 16];
    const fnd_nvrtc_api *nvrtc;
    fnd_error err = { 0 };
    toy_model toy;
    foundry *f;
    fnd_model *m;
    fnd_session *s;
    NEED(fnd_nvrtc_api_open(&nvrtc, &err) == FND_OK, err.text);
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    snprintf(path, sizeof path, "%s/toy.gguf", dir);
    bench_seed(3);
    toy_make(&toy, &desc, path);
    CHECK_OK(fnd_open(&(fnd_desc){ .backend = "cpu", .isa = "generic", .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" }, &f, &err), &err);
    CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = path }, &m, &err), &err);
    CHECK_OK(fnd_session_open(m, &(fnd_session_desc){ .batch = 16 }, &s, &err), &err);
    compile_program(nvrtc, s->decode, "decode", "sm_90a");
    compile_program(nvrtc, s->prefill, "prefill", "sm_75");
    fnd_session_close(s);
    fnd_model_free(m);
    CHECK_OK(fnd_close(f, &err), &err);
    toy_free(&toy);
    fnd_process_remove_dir(dir);
}

/* Many tokens together: what the matrix units of each generation take. */
TEST(cuda_prompts_compile) {
    static const char *const archs[] = { "sm_75", "sm_80", "sm_90a" };
    const fnd_nvrtc_api *nvrtc;
    fnd_error err = { 0 };
    fnd_composer *c;
    fnd_kernel *k;
    fnd_variant v;
    foundry *f;
    NEED(fnd_nvrtc_api_open(&nvrtc, &err) == FND_OK, err.text);
    CHECK_OK(fnd_open(&(fnd_desc){ .backend = "cpu", .no_build = true }, &f, &err), &err);
    CHECK_OK(fnd_composer_get(f, &c, &err), &err);
    for (size_t i = 0; i < FND_COUNT(archs); i++) {
        fnd_text text = { 0 };
        CHECK_OK(fnd_kernel_get(f, i ? "linear_residual" : "attention", &k, &err), &err);
        fnd_variant_init(&k->composition, &v);
        v.tokens = 32;
        for (uint32_t a = 0; a < k->composition.arg_count; a++) {
            if (k->composition.args[a].kind == FND_ARG_WEIGHT) v.formats[a] = i == 1 ? FND_Q4_K : FND_Q8_0;
        }
        CHECK_OK(fnd_print_alone(c->catalog, &v, &text, &err), &err);
        compile(nvrtc, fnd_text_get(&text), v.name, archs[i]);
        fnd_text_free(&text);
    }
    CHECK_OK(fnd_close(f, &err), &err);
}

TEST(cuda_says_what_is_missing) {
    const fnd_cuda_api *cu;
    fnd_error err = { 0 }, why = { 0 };
    foundry *f;
    NEED(fnd_cuda_api_open(&cu, &err) != FND_OK, "there is a driver here");
    CHECK_HAS(err.text, "install the driver");
    CHECK(fnd_open(&(fnd_desc){ .backend = "cuda" }, &f, &why) == FND_ERR_UNSUPPORTED);
    CHECK_STR(why.text, err.text);
}
