#!/usr/bin/env bash
# The golden tests with the real models quantised by this tree: what an independent engine recorded
# must come out as from the files that were fetched. By the kernels in the library, which need no
# compiler. SmolLM2's weights are Q4_1, which Q8_0 rounds a second time at a cost as large as the
# deviation that was recorded: it is quantised to formats without blocks only.
#
#   scripts/test-quantised.sh build f16      uses build/foundry and build/tests, and FOUNDRY_TEST_SMOLLM2
#                                            and FOUNDRY_TEST_QWEN as `make test-models` sets them
set -euo pipefail
root=$1 format=$2
work=$(mktemp -d "$root/quantised.XXXXXX")
trap 'rm -rf "$work"' EXIT

check() { # VARIABLE test
    local model=${!1:-}
    [ -n "$model" ] || return 0
    "$root/foundry" quantize "$model" "$work/$1.gguf" --format "$format" | tail -n 1
    env "$1=$work/$1.gguf" "$root/tests" "$2"
    rm "$work/$1.gguf"
}

check FOUNDRY_TEST_QWEN golden_qwen_from_the_library
case $format in q*) ;; *) check FOUNDRY_TEST_SMOLLM2 golden_smollm2_from_the_library ;; esac
