# make [config=release|debug|asan|tsan] [target]; `make help` lists the targets.
MAKEFLAGS += -r
config ?= release
CC     ?= cc
ifeq ($(origin CC),default)
CC := cc
endif
SYSTEM ?= $(shell uname -s)
AR     := $(if $(filter default,$(origin AR)),ar,$(AR))
ROOT   := build$(if $(filter-out release,$(config)),/$(config))$(if $(BUILD_SUFFIX),/$(BUILD_SUFFIX))

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes$(if $(findstring clang,$(shell $(CC) --version 2>/dev/null)), -Wno-enum-float-conversion) -Werror
CFLAGS_release := -O2 -g -DNDEBUG
CFLAGS_debug   := -O0 -g
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
# What is built says nothing about the folder that it was built in.
ALL_CFLAGS := -std=gnu11 -Iinclude -Isrc -Itests -fPIC -pthread -fvisibility=default -ffile-prefix-map=$(CURDIR)=. $(WARNINGS) $(CFLAGS_$(config)) -MMD -MP $(CFLAGS)
VERSION := $(shell sed -n 's/^.define FND_VERSION_M[A-Z]* //p; s/^.define FND_VERSION_PATCH //p' include/foundry/version.h | paste -sd. -)
ABI     := $(shell sed -n 's/^.define FND_VERSION_ABI //p' include/foundry/version.h)
# On a Mac, libraries that are not the system's come with Homebrew.
HOMEBREW := $(if $(filter Darwin,$(shell uname -s)),$(firstword $(wildcard $(HOMEBREW_PREFIX) /opt/homebrew /usr/local)))
ifneq ($(HOMEBREW),)
ALL_CFLAGS += -I$(HOMEBREW)/include
LIBRARY_PATHS ?= -L$(HOMEBREW)/lib
endif
LDLIBS  := $(LIBRARY_PATHS) -lpcre2-8 -ljansson -lxxhash -lutf8proc -ldl -lm -pthread
CLI_LDLIBS := -ledit

LIB_SRC  := $(sort $(shell find src -name '*.c' -not -path 'src/cli/*' -not -path 'src/kernels/*' -not -path 'src/bake/*'))
CLI_SRC  := $(sort $(wildcard src/cli/*.c))
TEST_SRC := $(sort $(wildcard tests/*.c) $(shell find src/kernels -name '*_ref.c' -o -path 'src/kernels/*' -name '*_test.c'))
EXAMPLES := $(patsubst %.c,$(ROOT)/%,$(sort $(wildcard examples/*.c)))
LIB_OBJ  := $(LIB_SRC:%.c=$(ROOT)/obj/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$(ROOT)/obj/%.o)
TEST_OBJ := $(TEST_SRC:%.c=$(ROOT)/obj/%.o)

## all: build/foundry, build/libfoundry.a and build/libfoundry.so
all: $(ROOT)/foundry $(ROOT)/libfoundry.a $(ROOT)/libfoundry.so

$(ROOT)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  cc $<"; $(CC) $(ALL_CFLAGS) -c $< -o $@

# Every kernel text becomes a C string by .incbin: a new file needs no list.
KERNEL_TEXTS := $(sort $(shell find src/kernels -name '*.h' -not -name '*_ref.h' -not -name '*_codec.h'))
$(ROOT)/sources.c: scripts/embed.sh Makefile $(KERNEL_TEXTS)
	@mkdir -p $(@D)
	scripts/embed.sh src/kernels $(KERNEL_TEXTS:src/kernels/%=%) > $@
$(ROOT)/obj/sources.o: $(ROOT)/sources.c $(KERNEL_TEXTS)
	@mkdir -p $(@D)
	@echo "  cc $<"; $(CC) $(ALL_CFLAGS) -c $< -o $@
LIB_OBJ += $(ROOT)/obj/sources.o

# What writes the weight formats (policy_codec.h): once per level of instructions, with the same results.
CODEC_SRC := $(sort $(shell find src/kernels/policy -name '*_codec.c'))
CODEC_FLAGS := -O3 -Isrc/kernels -ffp-contract=off -Wno-psabi -Wno-unknown-pragmas
CODEC_LEVELS := generic $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),v3 v4)
CODEC_FLAGS_v3 := -march=x86-64-v3
CODEC_FLAGS_v4 := -march=x86-64-v4
# What is undefined in their one source, the generic level shows, and no fuzzer calls them: looking for it takes
# most of the compiler's time.
CODEC_KNOWN_DEFINED := $(if $(filter asan fuzz,$(config)),-fno-sanitize=undefined)
define CODEC_RULE
$(ROOT)/obj/%_codec.$(1).o: %_codec.c
	@mkdir -p $$(@D)
	@echo "  cc $$< for $(1)"; $$(CC) $$(ALL_CFLAGS) $(CODEC_FLAGS) $(CODEC_FLAGS_$(1)) $(if $(filter-out generic.asan,$(1).$(config)),$(CODEC_KNOWN_DEFINED)) -DFND_CODEC_LEVEL=$(1) -c $$< -o $$@
endef
$(foreach level,$(CODEC_LEVELS),$(eval $(call CODEC_RULE,$(level))))
LIB_OBJ += $(foreach level,$(CODEC_LEVELS),$(CODEC_SRC:%_codec.c=$(ROOT)/obj/%_codec.$(level).o))

# Kernels compiled into the library, for every level of instructions: in release builds (BAKE= to leave
# them out). src/bake writes the texts; they are compiled here, and found again by their hash.
BAKE ?= $(if $(filter release,$(config)),$(if $(BUILD_SUFFIX),,1))
BAKE_OBJ := $(ROOT)/obj/src/bake/main.o $(filter $(ROOT)/obj/src/base/% $(ROOT)/obj/src/tensor/% $(ROOT)/obj/src/compose/% %/sources.o,$(LIB_OBJ))
$(ROOT)/bake: $(BAKE_OBJ)
	$(CC) $(ALL_CFLAGS) $^ $(LDLIBS) -o $@
# For another architecture (scripts/arm64.mk): BAKER, a bake that runs here, and BAKE_ARCH.
BAKER ?= $(ROOT)/bake
$(ROOT)/baked/Makefile: $(BAKER)
	@rm -rf $(@D)
	$< $(@D) $(BAKE_ARCH)
# That make reads what src/bake has written: with -n, which writes nothing, it is shown and not run.
BAKE_MAKE = $(MAKE) --no-print-directory -C $(ROOT)/baked CC='$(CC)' LIBRARY_FLAGS='-I$(CURDIR)/include -I$(CURDIR)/src' kernels.o
DRY_RUN   = $(findstring n,$(filter-out -%,$(firstword $(MAKEFLAGS))))
$(ROOT)/baked/kernels.o: $(ROOT)/baked/Makefile
	$(if $(DRY_RUN),,+)@$(BAKE_MAKE)
# BAKED=file: those of another build, which are the same whatever the configuration.
BAKED ?= $(if $(BAKE),$(ROOT)/baked/kernels.o)
LIB_OBJ += $(or $(BAKED),$(ROOT)/obj/src/bake/none.o)

$(ROOT)/libfoundry.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^
$(ROOT)/libfoundry.so: $(LIB_OBJ) scripts/libfoundry.map
	$(CC) $(ALL_CFLAGS) -shared $(SO_FLAGS) $(LIB_OBJ) $(LDLIBS) -o $@
	@ln -sf $(@F) $(@D)/libfoundry.so.$(ABI)
$(ROOT)/foundry: $(CLI_OBJ) $(ROOT)/libfoundry.a
	$(CC) $(ALL_CFLAGS) -rdynamic $^ $(LDLIBS) $(CLI_LDLIBS) -o $@
# The stand-in for Apple's frameworks, for tests of the metal backend where there is no Metal.
STANDIN := $(if $(filter Linux,$(SYSTEM)),$(ROOT)/libmetal_standin.so)
STANDIN_OBJ := $(patsubst %.c,$(ROOT)/obj/%.o,$(filter-out %/glue.c,$(wildcard tests/metal_standin/*.c)))
$(STANDIN_OBJ): ALL_CFLAGS += -Wno-missing-prototypes -DSTANDIN_SOURCE='"$(CURDIR)/tests/metal_standin"' -DSTANDIN_GLUE='"$(CURDIR)/$(ROOT)/metal_standin_glue.o"' -DSTANDIN_CACHE='"$(CURDIR)/build/metal-standin-cache"'
# Linked into every text that the stand-in compiles: of no configuration.
$(ROOT)/metal_standin_glue.o: tests/metal_standin/glue.c src/kernels/dialect/sim.h
	@mkdir -p $(@D)
	@echo "  cc $<"; $(CC) -std=gnu11 -O1 -fPIC -Isrc/kernels -Wno-psabi -fno-builtin -c $< -o $@
$(ROOT)/libmetal_standin.so: $(STANDIN_OBJ) $(ROOT)/libfoundry.a tests/metal_standin/exports.map $(ROOT)/metal_standin_glue.o
	$(CC) $(ALL_CFLAGS) -shared -Wl,--version-script=tests/metal_standin/exports.map $(STANDIN_OBJ) $(ROOT)/libfoundry.a $(LDLIBS) -o $@
# And for NVIDIA's driver, found in its folder by the name that the driver has.
CUDA_STANDIN := $(if $(filter Linux,$(SYSTEM)),$(ROOT)/cuda_standin/libcuda.so.1)
$(ROOT)/cuda_standin/libcuda.so.1: $(wildcard tests/cuda_standin/*.[ch]) src/backend/cuda/api.h
	@mkdir -p $(@D)
	@echo "  cc $<"; $(CC) -std=gnu11 -O1 -fPIC -shared -Isrc -Iinclude $(WARNINGS) $(filter %.c,$^) -o $@
# The tests open devices through a function of their own: see tests/test_isa.c.
$(TEST_OBJ): ALL_CFLAGS += -Dfnd_open=fnd_test_open
$(ROOT)/tests: $(TEST_OBJ) $(ROOT)/libfoundry.a | $(STANDIN) $(CUDA_STANDIN) $(EXAMPLES) $(ROOT)/foundry $(ROOT)/libfoundry.so
	$(CC) $(ALL_CFLAGS) -rdynamic $^ $(LDLIBS) -o $@
# Examples see include/ only, as a user's program does.
$(EXAMPLES): $(ROOT)/examples/%: examples/%.c $(ROOT)/libfoundry.a $(wildcard include/foundry/*.h)
	@mkdir -p $(@D)
	@echo "  cc $<"; $(CC) -std=gnu11 -Iinclude -pthread $(WARNINGS) $(CFLAGS_$(config)) $(CFLAGS) $< $(ROOT)/libfoundry.a $(LDLIBS) -o $@

# What a target below builds, it builds in a make of its own, after setup: with all cores unless told.
JOBS  ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
BUILD  = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))
MODEL ?= smollm2-135m qwen2.5-coder-0.5b
FUZZ_SECONDS ?= 300

## setup: install what is missing to build and run (Debian); nothing when all is there
setup:
	@scripts/setup.sh

## demo: fetch a small language model, build, and let it answer a question
demo: setup
	+@set -e; model=$$(scripts/fetch-model.sh smollm2-135m); \
	echo 'building foundry ...' >&2; $(BUILD) -s $(ROOT)/foundry; \
	set -x; $(ROOT)/foundry run --model "$$model" --prompt 'Why is the sky blue?' --max-tokens 120

## test: build and run every test that needs neither a GPU nor a real model; only="word.." picks by name; isa=generic: where a test names no instructions, these
isa ?=
test: setup
	+@$(BUILD) $(ROOT)/tests
	$(if $(isa),FOUNDRY_TEST_ISA='$(isa)' )FOUNDRY_TEST_JOBS=$(TEST_JOBS) $(ROOT)/tests $(only)

# Tests at a time.
TEST_JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

## test-metal: the tests of the metal backend, and those of kernels, programs and tiny models with it, on the stand-in for Metal (on a Mac: on Metal); only="word.." picks by name
test-metal: setup | $(if $(STANDIN),setup-checks)
	+@$(BUILD) $(ROOT)/tests
	FOUNDRY_TEST_GPU=metal FOUNDRY_TEST_JOBS=$(TEST_JOBS) $(ROOT)/tests $(or $(only),metal_ kernels_ programs_do programs_have models_match_the_reference_on_gpu)
	$(if $(STANDIN),$(if $(only),,FOUNDRY_STANDIN=$(LARGER_GPU) FOUNDRY_TEST_GPU=metal FOUNDRY_TEST_JOBS=$(TEST_JOBS) $(ROOT)/tests kernels_attention kernels_linear_in kernels_sample programs_do programs_have))
# The stand-in's own GPU is small, which is quick; a part of the tests runs on one with groups and cores like Apple's.
LARGER_GPU := max_threads=1024,cores=7

## test-metal-models: every golden figure of the small model (fetched) on the stand-in for Metal: some ten minutes (on a Mac: on Metal)
test-metal-models: setup | $(if $(STANDIN),setup-checks)
	+@$(BUILD) $(ROOT)/tests
	@set -e; path=$$(scripts/fetch-model.sh smollm2-135m); set -x; FOUNDRY_TEST_GPU=metal FOUNDRY_TEST_SMOLLM2="$$path" $(ROOT)/tests golden_smollm2_on_metal

## test-models: the golden tests with real models (fetched); MODEL=smollm2-135m picks one
test-models: setup
	+@$(BUILD) $(ROOT)/tests
	@set -e; for model in $(MODEL); do \
	    path=$$(scripts/fetch-model.sh $$model); \
	    case $$model in smollm2*) export FOUNDRY_TEST_SMOLLM2="$$path" ;; *) export FOUNDRY_TEST_QWEN="$$path" ;; esac; \
	done; set -x; FOUNDRY_TEST_JOBS=$(TEST_JOBS) $(ROOT)/tests golden examples_generate; \
	for format in f16 q8_0; do scripts/test-quantised.sh $(ROOT) $$format; done

## check: warnings as errors with gcc and clang, sanitizers, style, layers, headers, short fuzzing
check: check-texts check-warnings check-asan check-tsan check-install check-fuzz
# What keeps one processor busy, beside each other.
check-texts: | setup-checks
	+@$(BUILD) --output-sync=target check-scripts check-layers check-style check-headers
setup-checks:
	@scripts/setup.sh --checks
check-scripts: | setup-checks
	shellcheck -x scripts/*.sh bench/*.sh .ci/run
check-layers: | setup-checks
	@scripts/check-layers.py --self-test
	@scripts/check-layers.py
check-style: | setup-checks
	@$(C_FILES) | xargs clang-format --dry-run -Werror
C_FILES := find src tests examples fuzz bench -name '*.c' 2>/dev/null
check-headers: | setup-checks
	@scripts/check-headers.sh
# Every build has warnings as errors: gcc's is the usual one where cc is gcc, and clang's is the one for check-tsan.
CC_IS_GCC = $(shell [ "$$(readlink -f "$$(command -v $(CC))")" = "$$(readlink -f "$$(command -v gcc)")" ] && echo yes)
check-warnings: | setup-checks
	+$(BUILD) -s $(if $(CC_IS_GCC),,CC=gcc BUILD_SUFFIX=gcc) everything
	+$(BUILD) -s $(WITH_TSAN) everything
check-asan: | setup-checks
	+$(BUILD) -s build/baked/kernels.o
	+$(BUILD) -s config=asan BAKED=build/baked/kernels.o everything
	FOUNDRY_TEST_JOBS=$(TEST_JOBS) build/asan/tests
# What threads share: teams, submissions, the profiler, tensors, a model of several sessions.
WITH_TSAN := config=tsan CC=clang BUILD_SUFFIX=clang
check-tsan: | setup-checks
	+$(BUILD) -s $(WITH_TSAN) everything
	build/tsan/clang/tests team_ shares_are shares_of submit_ profiler_switches registry_ tensor_table session_many_threads
check-fuzz: | setup-checks
	+@$(BUILD) fuzz FUZZ_SECONDS=10 FUZZ_SEED=1
check-install: | setup-checks
	+@$(BUILD) -s all
	+@MAKE='$(MAKE)' scripts/check-install.sh
everything: all $(ROOT)/tests

## kernels: compose every kernel for every machine; compile with every compiler found here; check strictly for Metal; only=metal; only=decode: whole decode programs for CUDA, of all sizes
## kernels user=FOLDER: the same with the kernels and policies that the texts in this folder of yours declare (docs/kernels.md)
user ?=
kernels: | setup-checks
	+@$(BUILD) $(ROOT)/kernels_check
ifneq ($(user),)
	@$(ROOT)/kernels_check --user '$(user)' $(ROOT)/kernels-user $(only)
else
	@$(ROOT)/kernels_check $(ROOT)/kernels $(only)
	@echo 'the examples, as kernels of a user:'
	@$(ROOT)/kernels_check --user examples $(ROOT)/kernels-user $(only)
endif
## snapshots: write tests/snapshots anew, the composed texts of the shipped kernels
snapshots: setup
	+@$(BUILD) $(ROOT)/tests
	@FOUNDRY_WRITE_SNAPSHOTS=1 $(ROOT)/tests compose_snapshots
KERNELS_CHECK_OBJ := $(patsubst %.c,$(ROOT)/obj/%.o,$(wildcard tests/kernels_check/*.c))
$(ROOT)/kernels_check: $(KERNELS_CHECK_OBJ) $(ROOT)/obj/tests/random_list.o $(ROOT)/obj/src/backend/cuda/api.o $(ROOT)/obj/src/backend/cuda/usage.o $(filter $(ROOT)/obj/src/base/% $(ROOT)/obj/src/tensor/% $(ROOT)/obj/src/compose/% %/sources.o,$(LIB_OBJ))
	$(CC) $(ALL_CFLAGS) $^ $(LDLIBS) -o $@

## reference: write docs/kernel-reference.md anew, the arguments of all kernels and stages
reference:
	+@$(BUILD) $(ROOT)/foundry
	$(ROOT)/foundry kernels --markdown > docs/kernel-reference.md

## examples: build the programs in examples/; `make test` runs them all
examples: setup
	+@$(BUILD) $(EXAMPLES)

## bind-header: write the typed bind structs of the shipped kernels anew, from their argument lists
bind-header:
	+@$(BUILD) $(ROOT)/bind_header
	$(ROOT)/bind_header
$(ROOT)/bind_header: $(ROOT)/obj/tests/tools/bind_header.o $(ROOT)/obj/tests/bind_header.o $(filter $(ROOT)/obj/src/base/% $(ROOT)/obj/src/tensor/% $(ROOT)/obj/src/compose/% %/sources.o,$(LIB_OBJ))
	$(CC) $(ALL_CFLAGS) $^ $(LDLIBS) -o $@

## format: clang-format every .c file, as `make check` wants it
format: | setup-checks
	$(C_FILES) | xargs clang-format -i

## fuzz: run each fuzz/fuzz_*.c for FUZZ_SECONDS=300, with sanitizers, several at a time, from what earlier runs found; FUZZ_SEED=1: the same inputs each time
fuzz: | setup-checks
	+@$(BUILD) -s config=fuzz CC=clang fuzz-targets
	@JOBS=$(JOBS) SEED='$(FUZZ_SEED)' scripts/run-fuzz.sh $(FUZZ_SECONDS) $(FUZZ_BIN)
FUZZ_BIN := $(patsubst %.c,build/fuzz/%,$(notdir $(sort $(wildcard fuzz/fuzz_*.c))))
fuzz-targets: $(FUZZ_BIN)
build/fuzz/fuzz_%: fuzz/fuzz_%.c build/fuzz/libfoundry.a
	$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes -fsanitize=fuzzer $^ $(LDLIBS) -o $@

include scripts/install.mk
include scripts/arm64.mk

## macos: build for Macs on Linux, with all tests and examples, and check what was built; see scripts/macos.sh
macos: setup
	@JOBS=$(JOBS) scripts/macos.sh

## bench: this machine's speed with the demo's model, prefill and decode, cpu and, where there is one, metal or cuda
bench: setup
	+@set -e; model=$$(scripts/fetch-model.sh smollm2-135m); $(BUILD) -s $(ROOT)/foundry; \
	for backend in cpu $$($(ROOT)/foundry doctor | sed -nE 's/^backend (cuda|metal) +works.*/\1/p'); do \
	    set -x; $(ROOT)/foundry bench --model "$$model" --backend $$backend $(BENCH_ARGS); { set +x; } 2>/dev/null; \
	done

## bench-cpu: speed beside llama.cpp (built on first use), as a table; see bench/bench-cpu.py
bench-cpu: setup
	@scripts/setup.sh --peer
	+@$(BUILD) -s $(ROOT)/foundry
	@bench/bench-cpu.py --foundry $(ROOT)/foundry --peer "$$(bench/peer-llama.sh)" $(BENCH_ARGS)

## bench-start: time to the first token, and memory, of a model's start: BENCH_ARGS="MODEL"; see bench/start-time.sh
bench-start: setup
	+@$(BUILD) -s $(ROOT)/foundry
	@bench/start-time.sh $(BENCH_ARGS)

## bench-handoff: what a barrier of two workers costs beside the hand-off between their processors, and what it may cost
bench-handoff: setup
	+@$(BUILD) -s $(ROOT)/bench-barrier
	@$(ROOT)/bench-barrier
$(ROOT)/bench-barrier: bench/barrier.c bench/handoff.h $(ROOT)/libfoundry.a
	@echo "  cc $<"; $(CC) $(ALL_CFLAGS) $(filter-out %.h,$^) $(LDLIBS) -o $@

## bench-tokenizer: MB/s of a tokenizer, BENCH_ARGS="MODEL TEXT": a model file and a file of prose
bench-tokenizer: setup
	+@$(BUILD) -s $(ROOT)/bench-tokenizer
	@$(ROOT)/bench-tokenizer $(BENCH_ARGS)
$(ROOT)/bench-tokenizer: bench/bench-tokenizer.c $(ROOT)/libfoundry.a
	@echo "  cc $<"; $(CC) $(ALL_CFLAGS) $^ $(LDLIBS) -o $@

## clean: remove build/
clean:
	rm -rf build
## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

-include $(LIB_OBJ:.o=.d) $(BAKE_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TEST_OBJ:.o=.d) $(STANDIN_OBJ:.o=.d) $(KERNELS_CHECK_OBJ:.o=.d)
.PHONY: all clean help setup demo bench-start test test-metal test-metal-models test-models check setup-checks check-texts check-scripts check-layers \
    check-style check-headers check-warnings check-asan check-tsan check-install check-fuzz everything kernels snapshots format fuzz fuzz-targets bench-cpu bench bench-handoff bench-tokenizer examples bind-header reference macos
