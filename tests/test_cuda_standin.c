/* test_cuda_standin.c - the cuda backend against a driver that stands in for NVIDIA's (cuda_standin/): whole programs
 * are printed and compiled as for an H100, and timed call by call; and each way to fail is one clear sentence. */
#include "base/file.h"
#include "base/memory.h"
#include "cuda_standin.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>

static void refused(const char *words, const char *part) {
    STAND_IN(words);
    PROGRAM_REFUSED(1, part, "logits", "--backend", "cuda", "--model", tiny_model(), "--prompt", "hello", "--no-cache");
    stand_out();
}

TEST(cuda_standin_failures_are_sentences) {
    refused("no-device", "there is an NVIDIA driver but no GPU that it can use");
    refused("old", "has compute capability 7.0; 7.5 and up are supported");
    refused("memory=20000", "out of GPU memory: ");
    refused("memory=20000", "a smaller context, model or weight format would fit");
    refused("lost", "the NVIDIA driver says unspecified launch failure (CUDA_ERROR_LAUNCH_FAILED, 719)");
    refused("bad-image", "the NVIDIA driver says device kernel image is invalid");
}

TEST(cuda_standin_second_gpu_is_not_there) {
    STAND_IN("");
    PROGRAM_REFUSED(1, "there is no GPU 3: this machine has 1, counted from 0", "logits", "--backend", "cuda", "--gpu", "3", "--model", tiny_model(), "--prompt", "hello");
    stand_out();
}

TEST(cuda_standin_doctor_names_it) {
    STAND_IN("");
    program_result r;
    program_run(&r, (const char *const[]){ "doctor", NULL });
    stand_out();
    CHECK(r.exit_code == 0);
    CHECK_HAS(r.out, "stand-in for an H100 (132 processors, sm_90a)");
    program_free(&r);
}

/* What dialect/stream.cuda.h promises: every matrix of the decode program comes by the stream, one token's alone. */
TEST(cuda_standin_decode_has_a_weight_stream) {
    STAND_IN("");
    program_result r;
    program_run(&r, (const char *const[]){ "emit", "--program", "decode", "--backend", "cuda", "--model", tiny_model(), NULL });
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "#define FND_STREAM 1");
    CHECK_HAS(r.out, "FND_BRINGS(decode)");
    CHECK_HAS(r.out, "fnd_bring(");
    CHECK(strstr(r.out, "FND_EACH_TILE(") == NULL);
    program_free(&r);
    program_run(&r, (const char *const[]){ "emit", "--program", "prefill", "--backend", "cuda", "--model", tiny_model(), NULL });
    stand_out();
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK(strstr(r.out, "FND_STREAM") == NULL);
    program_free(&r);
}

/* Calls within the one kernel of a token, with times as the stand-in makes them up; and the second table and its lines:
 * what each compiled kernel takes, from the cache as when compiled. */
TEST(cuda_standin_profile_says_what_code_takes) {
    STAND_IN("stamps");
    program_result r[2];
    const char *lines = program_temp("cuda-usage.jsonl");
    for (int i = 0; i < 2; i++) {
        program_run(&r[i], (const char *const[]){ "profile", "--backend", "cuda", "--program", "persistent", "--model", tiny_model(), "--prompt-tokens", "2", "--tokens", "1", "--lines", lines, NULL });
    }
    stand_out();
    CHECK_MSG(r[0].exit_code == 0 && r[1].exit_code == 0, "%s", r[0].err);
    const char *gate_up = strstr(r[0].out, "decode/norm_gate_up "), *barrier = strstr(r[0].out, "decode/(barrier) ");
    double calls = 0, all_us = 0, each_us = 0;
    REQUIRE(gate_up && barrier);
    CHECK(sscanf(gate_up, "decode/norm_gate_up %lf %lf %lf", &calls, &all_us, &each_us) == 3 && calls == 2);
    CHECK_MSG(each_us > 1.32 && each_us < 1.34, "%f us", each_us); /* (2000 + 10 * 131 / 2) / 2 ns */
    CHECK(sscanf(barrier, "decode/(barrier) %lf %lf %lf", &calls, &all_us, &each_us) == 3);
    CHECK_MSG(each_us > 0.04 && each_us < 0.06 && calls == 11, "%f barriers, %f us", calls, each_us);
    const char *first = strstr(r[0].out, "spill stores"), *again = strstr(r[1].out, "spill stores");
    REQUIRE(first && again);
    CHECK_STR(first, again);
    CHECK_HAS(first, "decode ");
    CHECK_HAS(r[1].out, "compilations 0");
    char *text;
    size_t bytes;
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read(lines, 1 << 20, &text, &bytes, &err), &err);
    const char *code = strstr(text, "{\"type\":\"code\",\"kernel\":\"decode\",\"max_threads\":512,\"registers\":");
    CHECK(code && atoi(strstr(code, "registers") + strlen("registers\":")) > 20);
    fnd_free_memory(text);
    for (int i = 0; i < 2; i++) program_free(&r[i]);
}
