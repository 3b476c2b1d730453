#!/usr/bin/env bash
# Builds foundry and its tests for a GPU machine that has a driver and NVRTC but none of our libraries:
# these are linked in. Leaves both programs in the folder named (default: build/gpu-pack).
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-build/gpu-pack}
libraries=$(make -s print-libraries | sed -E 's/-l(pcre2-8|jansson|xxhash|utf8proc|edit|tinfo|bsd|md)\b/-l:lib\1.a/g')
make -s -j"$(nproc)" BAKE= BUILD_SUFFIX=gpu LDLIBS="$libraries" build/gpu/foundry build/gpu/tests
mkdir -p "$out"
cp build/gpu/foundry build/gpu/tests "$out/"
strip -g "$out/foundry" "$out/tests"
