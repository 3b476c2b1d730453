/* test_examples.c - the programs in examples/, which `make` builds beside the tests: run on both
 * backends, and one built with the command that the README gives. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/system.h"
#include "foundry/version.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IN_PROJECT "run from the root of the project"

static bool in_project(void) { return access("examples/fused_kernel.c", R_OK) == 0; }

/* <folder of this program>/<name> */
static const char *beside(const char *name) {
    static char path[FND_PROCESS_PATH_BYTES + 64];
    fnd_system_program_path(path, FND_PROCESS_PATH_BYTES);
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] != '/') length--;
    snprintf(path + length, 64, "%s", name);
    return path;
}

/* Run, and check that it ends well and says so. */
static void check_run(const char *const *argv, const char *says) {
    fnd_text output = { 0 };
    fnd_error err = { 0 };
    int code = -1;
    CHECK_OK(fnd_process_run(argv, NULL, 0, &output, &code, &err), &err);
    CHECK_MSG(code == 0, "%s ended with %d: %s", argv[0], code, fnd_text_get(&output));
    CHECK_HAS(fnd_text_get(&output), says);
    fnd_text_free(&output);
}

static const struct {
    const char *name, *says;
} examples[] = {
    { "fused_kernel", ": right" },
    { "custom_format", "40 of 40 rows" },
    { "custom_epilogue", "33 of 33 capped" },
    { "program", "ahead/4 tokens: ok" },
};

static void run_all(const char *backend, const char *isa) {
    char cache[FND_PROCESS_PATH_BYTES];
    fnd_error err = { 0 };
    CHECK_OK(fnd_process_temp_dir(cache, &err), &err);
    setenv("FOUNDRY_BACKEND", backend, 1);
    setenv("FOUNDRY_CACHE_DIR", cache, 1);
    if (!isa) isa = getenv("FOUNDRY_TEST_ISA");
    if (isa) setenv("FOUNDRY_ISA", isa, 1);
    for (size_t i = 0; i < FND_COUNT(examples); i++) {
        char name[64];
        snprintf(name, sizeof name, "examples/%s", examples[i].name);
        check_run((const char *[]){ beside(name), NULL }, examples[i].says);
    }
    unsetenv("FOUNDRY_BACKEND");
    unsetenv("FOUNDRY_CACHE_DIR");
    unsetenv("FOUNDRY_ISA");
    fnd_process_remove_dir(cache);
}

TEST(examples_run_on_the_cpu) {
    NEED(in_project(), IN_PROJECT);
    run_all("cpu", NULL);
}

TEST(examples_run_with_portable_texts) {
    NEED(in_project(), IN_PROJECT);
    run_all("cpu", "generic");
}

TEST(examples_run_on_the_simulated_gpu) {
    NEED(in_project(), IN_PROJECT);
    run_all("sim", NULL);
}

TEST(examples_generate_text) {
    const char *model = getenv("FOUNDRY_TEST_SMOLLM2");
    NEED(model, "FOUNDRY_TEST_SMOLLM2 names no model");
    check_run((const char *[]){ beside("examples/generate"), model, "The capital of France is", NULL }, " Paris");
    check_run((const char *[]){ beside("examples/batch"), model, "The capital of France is", "One, two, three,", NULL }, "is -> Paris");
}

TEST(examples_chat_answers_lines) {
    char model[FND_PROCESS_PATH_BYTES + 256];
    fnd_text output = { 0 };
    fnd_error err = { 0 };
    int code = -1;
    NEED(in_project(), IN_PROJECT);
    snprintf(model, sizeof model, "%s", program_temp("example.gguf"));
    tiny_model_save(model, 512);
    setenv("FOUNDRY_CACHE_DIR", program_cache(), 1);
    CHECK_OK(fnd_process_run((const char *[]){ beside("examples/chat"), model, "be kind", NULL }, "hello\nworld\n\n", 0, &output, &code, &err), &err);
    CHECK_MSG(code == 0, "%s", fnd_text_get(&output));
    CHECK_HAS(fnd_text_get(&output), "tokens of the prompt, 0 of them known; 64 in");
    CHECK_HAS(fnd_text_get(&output), "of them known");
    for (const char *note = fnd_text_get(&output); (note = strstr(note, " tokens of the prompt,")); note++) {
        const char *start = note;
        while (*start != '[') start--;
        CHECK_MSG(start[-1] == '\n', "%s", fnd_text_get(&output)); /* a line of its own */
    }
    fnd_text_free(&output);
    unsetenv("FOUNDRY_CACHE_DIR");
}

TEST(examples_fail_with_one_sentence) {
    NEED(in_project(), IN_PROJECT);
    fnd_text output = { 0 };
    fnd_error err = { 0 };
    int code = 0;
    CHECK_OK(fnd_process_run((const char *[]){ beside("examples/custom_format"), "examples/no_such_file.h", NULL }, NULL, 0, &output, &code, &err), &err);
    CHECK(code == 1);
    CHECK_HAS(fnd_text_get(&output), "no_such_file.h");
    fnd_text_free(&output);
}

static size_t lines_of(const char *path) {
    char *text;
    size_t bytes, lines = 0;
    fnd_error err = { 0 };
    if (fnd_file_read(path, 1 << 20, &text, &bytes, &err) != FND_OK) return SIZE_MAX;
    for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
    fnd_free_memory(text);
    return lines;
}

TEST(examples_are_short) {
    NEED(in_project(), IN_PROJECT);
    CHECK(lines_of("examples/fused_kernel.c") < 60);
    CHECK(lines_of("examples/generate.c") < 40);
    CHECK(lines_of("examples/chat.c") < 80);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITH_SANITIZER 1
#endif
#ifndef WITH_SANITIZER
#define WITH_SANITIZER 0
#endif

/* The command of examples/README.md, with this build's library. */
TEST(examples_build_as_the_readme_says) {
    static const char libraries[] = "-lpcre2-8 -ljansson -lxxhash -lutf8proc -ldl -lm -pthread";
    char compiler[FND_PROCESS_PATH_BYTES], dir[FND_PROCESS_PATH_BYTES], program[FND_PROCESS_PATH_BYTES + 16], *readme;
    fnd_error err = { 0 };
    size_t bytes;
    NEED(in_project(), IN_PROJECT);
    NEED(!WITH_SANITIZER, "the library has sanitizers in it");
    NEED(fnd_process_find("cc", compiler), "there is no cc");
    CHECK_OK(fnd_file_read("examples/README.md", 1 << 20, &readme, &bytes, &err), &err);
    CHECK_HAS(readme, libraries);
    fnd_free_memory(readme);
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    snprintf(program, sizeof program, "%s/fused_kernel", dir);
    const char *const build[] = { compiler, "-Iinclude", "examples/fused_kernel.c", beside("libfoundry.a"), "-lpcre2-8", "-ljansson", "-lxxhash", "-lutf8proc", "-ldl", "-lm", "-pthread", "-o", program, NULL };
    check_run(build, "");
    check_run((const char *[]){ program, NULL }, ": right");
    fnd_process_remove_dir(dir);
}

/* An example that is linked with the shared library needs nothing else of Foundry to run, and finds all it uses:
 * the texts and kernels inside it, the backends. */
TEST(examples_run_with_the_shared_library) {
    char compiler[FND_PROCESS_PATH_BYTES], dir[FND_PROCESS_PATH_BYTES], soname[48], program[FND_PROCESS_PATH_BYTES + 32], folder[FND_PROCESS_PATH_BYTES + 64], rpath[FND_PROCESS_PATH_BYTES + 96];
    fnd_error err = { 0 };
    NEED(in_project(), IN_PROJECT);
    NEED(!WITH_SANITIZER, "the library has sanitizers in it");
    NEED(fnd_process_find("cc", compiler), "there is no cc");
    CHECK_MSG(access(beside("libfoundry.so"), R_OK) == 0, "there is no %s: make builds it beside the tests", beside("libfoundry.so"));
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    snprintf(soname, sizeof soname, "libfoundry.so.%d => ", FND_VERSION_ABI);
    snprintf(folder, sizeof folder, "-L%s", beside(""));
    snprintf(rpath, sizeof rpath, "-Wl,-rpath,%s", beside(""));
    static const char *const names[] = { "custom_epilogue", "program" };
    for (size_t i = 0; i < FND_COUNT(names); i++) {
        char source[64];
        snprintf(program, sizeof program, "%s/%s", dir, names[i]);
        snprintf(source, sizeof source, "examples/%s.c", names[i]);
        check_run((const char *[]){ compiler, "-Iinclude", source, folder, rpath, "-lfoundry", "-lm", "-o", program, NULL }, "");
        check_run((const char *[]){ "ldd", program, NULL }, soname);
        check_run((const char *[]){ program, NULL }, i ? "1 tokens: 160 of 160" : "33 of 33 capped");
    }
    fnd_process_remove_dir(dir);
}
