# make [config=release|debug|asan|tsan] [target]; `make help` lists the targets.
MAKEFLAGS += -r
config ?= release
CC     ?= cc
ifeq ($(origin CC),default)
CC := cc
endif
ROOT   := build$(if $(filter-out release,$(config)),/$(config))$(if $(BUILD_SUFFIX),/$(BUILD_SUFFIX))

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
CFLAGS_release := -O2 -g -DNDEBUG
CFLAGS_debug   := -O0 -g
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread
ALL_CFLAGS := -std=gnu11 -Iinclude -Isrc -Itests -fPIC -pthread -fvisibility=default $(WARNINGS) $(CFLAGS_$(config)) -MMD -MP $(CFLAGS)
LDLIBS  := -lpcre2-8 -ljansson -lxxhash -ldl -lm -pthread

LIB_SRC  := $(sort $(shell find src -name '*.c' -not -path 'src/cli/*' -not -path 'src/kernels/*'))
CLI_SRC  := $(sort $(wildcard src/cli/*.c))
TEST_SRC := $(sort $(wildcard tests/*.c) $(shell find src/kernels -name '*_ref.c' -o -path 'src/kernels/*' -name '*_test.c'))
LIB_OBJ  := $(LIB_SRC:%.c=$(ROOT)/obj/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$(ROOT)/obj/%.o)
TEST_OBJ := $(TEST_SRC:%.c=$(ROOT)/obj/%.o)

## all: build/foundry, build/libfoundry.a and build/libfoundry.so
all: $(ROOT)/foundry $(ROOT)/libfoundry.a $(ROOT)/libfoundry.so

$(ROOT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(ROOT)/libfoundry.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^
$(ROOT)/libfoundry.so: $(LIB_OBJ)
	$(CC) $(ALL_CFLAGS) -shared $^ $(LDLIBS) -o $@
$(ROOT)/foundry: $(CLI_OBJ) $(ROOT)/libfoundry.a
	$(CC) $(ALL_CFLAGS) -rdynamic $^ $(LDLIBS) -o $@
$(ROOT)/tests: $(TEST_OBJ) $(ROOT)/libfoundry.a
	$(CC) $(ALL_CFLAGS) -rdynamic $^ $(LDLIBS) -o $@

## test: build and run every test that needs neither a GPU nor a real model
test: $(ROOT)/tests
	$< $(only)

## clean: remove build/
clean:
	rm -rf build
## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TEST_OBJ:.o=.d)
.PHONY: all test clean help
