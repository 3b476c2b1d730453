/* test_cuda_usage.c - what ptxas says of compiled code, and how it is kept. */
#include "backend/cuda/usage.h"
#include "test.h"

#include <string.h>

static const char log_text[] =
    "ptxas info    : 4100 bytes gmem\n"
    "ptxas info    : Compiling entry function 'decode' for 'sm_90a'\n"
    "ptxas info    : Function properties for decode\n"
    "ptxas         .     16 bytes stack frame, 12 bytes spill stores, 40 bytes spill loads\n"
    "ptxas info    : Used 128 registers, used 2 barriers, 16 bytes cumulative stack size, 30720 bytes smem\n"
    "ptxas info    : Compile time = 1360.975 ms\n"
    "ptxas info    : Function properties for _Z14q4_k_dot_piece\n"
    "ptxas         .     8 bytes stack frame, 4 bytes spill stores, 0 bytes spill loads\n"
    "ptxas info    : Compiling entry function 'other' for 'sm_90a'\n"
    "ptxas info    : Function properties for other\n"
    "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    "ptxas info    : Used 40 registers, used 0 barriers, 380 bytes cmem[0]\n";

TEST(cuda_usage_is_read_from_the_log) {
    fnd_cuda_usage u;
    const char *at = fnd_cuda_usage_next(log_text, &u);
    REQUIRE(at);
    CHECK_STR(u.function, "decode");
    CHECK(u.is_entry && u.registers == 128 && u.shared_bytes == 30720 && u.stack_bytes == 16 && u.spill_store_bytes == 12 && u.spill_load_bytes == 40);
    REQUIRE(at = fnd_cuda_usage_next(at, &u));
    CHECK_STR(u.function, "_Z14q4_k_dot_piece");
    CHECK(!u.is_entry && u.registers == 0 && u.stack_bytes == 8 && u.spill_store_bytes == 4 && u.spill_load_bytes == 0);
    REQUIRE(at = fnd_cuda_usage_next(at, &u));
    CHECK_STR(u.function, "other");
    CHECK(u.is_entry && u.registers == 40 && u.shared_bytes == 0 && u.spill_store_bytes == 0);
    CHECK(!fnd_cuda_usage_next(at, &u));
    CHECK(!fnd_cuda_usage_all("", &u) && !fnd_cuda_usage_all(NULL, &u) && !fnd_cuda_usage_all("ptxas info    : 0 bytes gmem\n", &u));
    CHECK(fnd_cuda_usage_all(log_text, &u) && u.spill_store_bytes == 16 && u.spill_load_bytes == 40);
    CHECK(fnd_cuda_usage_next("Function properties for cut", &u) && strcmp(u.function, "cut") == 0 && u.stack_bytes == 0);
}

TEST(cuda_usage_is_kept_behind_the_code) {
    uint8_t code[100 + FND_CUDA_USAGE_MARK_BYTES] = { 0x7f, 'E', 'L', 'F' };
    fnd_cuda_usage u = { .registers = 128, .shared_bytes = 1024, .stack_bytes = 16, .spill_store_bytes = 12, .spill_load_bytes = 40 }, v;
    CHECK(!fnd_cuda_usage_read(code, sizeof code, &v) && v.registers == 0);
    fnd_cuda_usage_mark(&u, code + 100);
    CHECK(fnd_cuda_usage_read(code, sizeof code, &v));
    CHECK(v.registers == 128 && v.shared_bytes == 1024 && v.stack_bytes == 16 && v.spill_store_bytes == 12 && v.spill_load_bytes == 40);
    CHECK(!fnd_cuda_usage_read(code, sizeof code - 1, &v) && !fnd_cuda_usage_read(code, 8, &v));
}
