#!/usr/bin/env bash
# The golden tests with the real models quantised by this tree: what an independent engine recorded
# must come out as from the files that were fetched.
#
#   scripts/test-quantised.sh build f16      uses build/foundry and build/tests, and FOUNDRY_TEST_SMOLLM2
#                                            and FOUNDRY_TEST_QWEN as `make test-models` sets them
set -euo pipefail
root=$1 format=$2
work=$(mktemp -d "$root/quantised.XXXXXX")
trap 'rm -rf "$work"' EXIT

for name in FOUNDRY_TEST_SMOLLM2 FOUNDRY_TEST_QWEN; do
    model=${!name:-}
    [ -n "$model" ] || continue
    "$root/foundry" quantize "$model" "$work/$name.gguf" --format "$format" | tail -n 1
    export "$name=$work/$name.gguf"
done
"$root/tests" golden_smollm2_from_the_library golden_qwen_from_the_library
