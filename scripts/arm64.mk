# make arm64: the kernel tests for arm64, on a machine of another kind. What lies below language models needs
# no other library: it is cross-compiled, with kernels of every level of instructions baked in, and an emulator
# of programs runs the tests. Texts that the tests compile when they run go to the cross compiler too; to a
# program in the emulator that is a program like others, under the name cc.
ARM64_CC  ?= aarch64-linux-gnu-gcc
ARM64_RUN ?= qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu
# `max` has dot products and matrix products.
ARM64_TESTS = $(or $(only),kernels_ cpu_ file_rows isa_ kernel_text policies_agree team_cpuinfo)

KERNEL_TEST_SRC := $(addprefix tests/,main.c kernel_bench.c kernel_texts.c kv_cache.c metal_standin.c vector_headers.c test_cpu_backend.c test_file_rows.c test_isa.c test_kernel_texts.c test_kernels.c test_kernels_rows.c test_kernels_tokens.c test_policy.c test_team.c) \
    $(filter src/kernels/%_ref.c,$(TEST_SRC))
KERNEL_TEST_OBJ := $(KERNEL_TEST_SRC:%.c=$(ROOT)/obj/%.o) $(filter-out $(ROOT)/obj/src/lm/% $(ROOT)/obj/src/kernels/%,$(LIB_OBJ))
$(ROOT)/kernel_tests: $(KERNEL_TEST_OBJ)
	$(CC) $(ALL_CFLAGS) -rdynamic $^ -ldl -lm -pthread -o $@

## arm64: the kernel tests for arm64, compiled here and run in an emulator; only="word.." picks by name
arm64: | setup-arm64
	+@$(BUILD) -s build/bake
	+@$(BUILD) -s CC='$(ARM64_CC)' BUILD_SUFFIX=arm64 BAKE=1 BAKER=build/bake BAKE_ARCH=arm64 \
	    CFLAGS='-DXXH_INLINE_ALL -idirafter /usr/include' build/arm64/kernel_tests
	@mkdir -p build/arm64/bin
	@printf '#!/bin/sh\nexec $(ARM64_CC) "$$@"\n' > build/arm64/bin/cc && chmod +x build/arm64/bin/cc
	@unset CC; export PATH="$(CURDIR)/build/arm64/bin:$$PATH" FOUNDRY_TEST_JOBS=$(TEST_JOBS) FOUNDRY_TEST_EMULATED=1; \
	$(ARM64_RUN) build/arm64/kernel_tests $(ARM64_TESTS)
setup-arm64:
	@scripts/setup.sh --arm64
.PHONY: arm64 setup-arm64
