/* test_tuning.c - what foundry tune keeps: read back as written, never believed when it is damaged or another's, and used
 * where nothing else is said. */
#include "base/cpuinfo.h"
#include "base/file.h"
#include "base/memory.h"
#include "foundry/context.h"
#include "lm/session.h"
#include "program.h"
#include "run/tuning.h"
#include "test.h"
#include "tiny_model.h"

#include <stdio.h>
#include <unistd.h>

static const fnd_tuning some = { .threads = 1, .batch = 64, .unit_from = 96, .repack = FND_REPACK_OFF, .measured = "2026-11-22 with tiny.gguf" };

static fnd_desc in_folder(const char *name) { return (fnd_desc){ .cache_dir = program_temp(name), .isa = fnd_cpu_level_best()->name, .no_build = true }; }

static void put(const fnd_desc *desc, const char *text, size_t bytes) {
    char path[FND_PATH_BYTES + 64];
    fnd_error err = { 0 };
    REQUIRE(fnd_tuning_path(desc, path, sizeof path));
    CHECK_OK(fnd_make_dirs(desc->cache_dir, &err), &err);
    CHECK_OK(fnd_file_write(path, text, bytes, &err), &err);
}

static char *get(const fnd_desc *desc, size_t *bytes) {
    char path[FND_PATH_BYTES + 64], *text = NULL;
    fnd_error err = { 0 };
    if (fnd_tuning_path(desc, path, sizeof path)) CHECK_OK(fnd_file_read(path, 4096, &text, bytes, &err), &err);
    return text;
}

static bool is_none(const fnd_tuning *t) { return !t->threads && !t->batch && !t->unit_from && !t->repack && !t->measured[0]; }

TEST(tuning_is_read_as_written) {
    fnd_desc desc = in_folder("tuning-written");
    fnd_tuning t;
    bool found = true;
    fnd_error err = { 0 };
    CHECK_OK(fnd_tuning_read(&desc, &t, &found, &err), &err);
    CHECK(!found && is_none(&t));
    CHECK_OK(fnd_tuning_write(&desc, &some, &err), &err);
    CHECK_OK(fnd_tuning_read(&desc, &t, &found, &err), &err);
    CHECK(found && t.threads == 1 && t.batch == 64 && t.unit_from == 96 && t.repack == FND_REPACK_OFF && strcmp(t.measured, some.measured) == 0);
    fnd_tuning odd = { .measured = "a\nsum 0\x01" };
    CHECK_OK(fnd_tuning_write(&desc, &odd, &err), &err);
    CHECK_OK(fnd_tuning_read(&desc, &t, &found, &err), &err);
    CHECK(found && strcmp(t.measured, "a?sum 0?") == 0);
    desc.no_cache = true;
    CHECK_OK(fnd_tuning_read(&desc, &t, &found, &err), &err);
    CHECK(!found && fnd_tuning_write(&desc, &some, &err) == FND_ERR_USAGE);
}

/* Cut anywhere, and with any byte another: a sentence, and nothing of it is used. */
TEST(tuning_that_is_damaged_is_not_used) {
    fnd_desc desc = in_folder("tuning-damaged");
    fnd_tuning t;
    bool found;
    fnd_error err = { 0 };
    size_t bytes = 0;
    CHECK_OK(fnd_tuning_write(&desc, &some, &err), &err);
    char *text = get(&desc, &bytes);
    REQUIRE(text);
    for (size_t i = 0; i < 2 * bytes; i++) {
        err = (fnd_error){ 0 };
        bool cut = i < bytes;
        if (!cut) text[i - bytes] ^= (char)(1 << i % 7);
        put(&desc, text, cut ? i : bytes);
        CHECK_MSG(fnd_tuning_read(&desc, &t, &found, &err) == FND_ERR_FORMAT && !found && is_none(&t), "%s %zu: %s", cut ? "cut at" : "byte", cut ? i : i - bytes, err.text);
        if (!cut) text[i - bytes] ^= (char)(1 << i % 7);
    }
    CHECK_HAS(err.text, "`foundry tune` measures it anew");
    fnd_free_memory(text);
}

TEST(tuning_of_another_is_not_used) {
    fnd_desc desc = in_folder("tuning-other"), other = desc;
    fnd_tuning t;
    bool found;
    fnd_error err = { 0 };
    size_t bytes = 0;
    other.isa = "generic";
    NEED(fnd_cpu_level_best()->vec, "there is one level of instructions here");
    CHECK_OK(fnd_tuning_write(&other, &some, &err), &err);
    CHECK_OK(fnd_tuning_read(&desc, &t, &found, &err), &err);
    CHECK(!found);
    char *text = get(&other, &bytes);
    REQUIRE(text);
    put(&desc, text, bytes);
    fnd_free_memory(text);
    CHECK(fnd_tuning_read(&desc, &t, &found, &err) == FND_ERR_FORMAT && !found && is_none(&t));
    CHECK_HAS(err.text, "another machine's");
}

static void check_open(const fnd_desc *desc, uint32_t groups, const char *notice) {
    foundry *f = NULL;
    fnd_error err = { 0 };
    fnd_context_info info = { 0 };
    char text[FND_ERROR_TEXT_BYTES] = "";
    CHECK_OK(fnd_open(desc, &f, &err), &err);
    REQUIRE(f);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    CHECK_MSG(info.groups == groups, "%u groups, not %u", info.groups, groups);
    CHECK(fnd_next_notice(f, text, sizeof text) == (notice != NULL));
    if (notice) CHECK_HAS(text, notice);
    CHECK_OK(fnd_close(f, &err), &err);
}

TEST(tuning_is_used_where_nothing_else_is_said) {
    fnd_desc desc = in_folder("tuning-used");
    fnd_tuning three = some;
    fnd_error err = { 0 };
    uint32_t cores = fnd_cpu_cores();
    foundry *f = NULL;
    fnd_model *m = NULL;
    three.threads = 3;
    CHECK_OK(fnd_tuning_write(&desc, &three, &err), &err);
    check_open(&desc, 3, NULL);
    desc.threads = 2;
    check_open(&desc, 2, NULL);
    desc.threads = 0;
    desc.untuned = true;
    check_open(&desc, cores, NULL);
    desc.untuned = false;
    CHECK_OK(fnd_open(&desc, &f, &err), &err);
    REQUIRE(f);
    CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model() }, &m, &err), &err);
    if (m) {
        fnd_session_desc asked = { 0 }, own = { .batch = 128 };
        CHECK(!fnd_model_get_info(m)->repacked);
        CHECK_OK(fnd_session_resolve(m, &asked, &err), &err);
        CHECK_OK(fnd_session_resolve(m, &own, &err), &err);
        CHECK(asked.batch == 64 && own.batch == 128);
        fnd_model_free(m);
    }
    CHECK_OK(fnd_close(f, &err), &err);
    put(&desc, "nonsense", 8);
    check_open(&desc, cores, "is damaged and not used");
}

TEST(cli_tune) {
    NEED(program_there(), "build/foundry is not built");
    program_result r;
    const char *dir = program_temp("cli-tune");
    PROGRAM_REFUSED(2, "--model", "tune");
    PROGRAM_REFUSED(2, "tune is for the processor", "tune", "--model", tiny_model(), "--backend", "sim");
    PROGRAM_REFUSED(2, "--cache-dir, or --dry-run", "tune", "--model", tiny_model(), "--no-cache");
    program_run(&r, (const char *const[]){ "tune", "--model", tiny_model(), "--threads", "1", "--isa", "generic", "--prompt-tokens", "64", "--tokens", "2", "--repeat", "1", "--cache-dir", dir, "--dry-run", "--json", NULL });
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "\"kept\": null");
    CHECK_HAS(r.out, "{\"value\": \"2048\", \"prefill_tok_s\": ");
    program_free(&r);
    program_run(&r, (const char *const[]){ "doctor", "--isa", "generic", "--cache-dir", dir, NULL });
    CHECK_HAS(r.out, "tuned         no: `foundry tune --model F`");
    program_free(&r);
    program_run(&r, (const char *const[]){ "tune", "--model", tiny_model(), "--threads", "1", "--isa", "generic", "--prompt-tokens", "64", "--tokens", "2", "--repeat", "1", "--cache-dir", dir, NULL });
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "used from now on");
    program_free(&r);
    program_run(&r, (const char *const[]){ "doctor", "--isa", "generic", "--cache-dir", dir, NULL });
    CHECK_HAS(r.out, "with tiny");
    program_free(&r);
}

/* Where there is a matrix unit, from how many tokens on is measured too: with one model in memory, by prompts alone. */
TEST(cli_tune_measures_where_the_matrix_unit_begins) {
    NEED(program_there(), "build/foundry is not built");
    const fnd_cpu_level *level;
    fnd_error why = { 0 };
    program_result r;
    if (fnd_cpu_level_find("amx", &level, &why) != FND_OK) {
        fnd_test_skip(why.text);
        return;
    }
    program_run(&r, (const char *const[]){ "tune", "--model", tiny_model(), "--threads", "1", "--isa", "amx", "--repack", "on", "--prompt-tokens", "96", "--tokens", "2", "--repeat", "1", "--dry-run", "--json", "--cache-dir", program_temp("cli-tune-unit"), NULL });
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "\"unit\": [\n  {\"value\": \"48\", \"prefill_tok_s\": ");
    CHECK_HAS(r.out, "\"decode_tok_s\": null");
    program_free(&r);
    program_run(&r, (const char *const[]){ "tune", "--model", tiny_model(), "--threads", "1", "--isa", "amx", "--unit-from", "48", "--repack", "on", "--prompt-tokens", "64", "--tokens", "2", "--repeat", "1", "--dry-run", "--json", "--cache-dir", program_temp("cli-tune-unit"), NULL });
    CHECK_MSG(r.exit_code == 0 && !strstr(r.out, "\"unit\""), "%s%s", r.out, r.err);
    program_free(&r);
}
