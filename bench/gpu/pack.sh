#!/usr/bin/env bash
# Builds foundry and its tests for a GPU machine that has a driver and NVRTC but none of our libraries:
# these are put beside them. Leaves all in the folder named (default: build/gpu-pack).
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-build/gpu-pack}
make -s -j"$(nproc)" BAKE= BUILD_SUFFIX=gpu build/gpu/foundry build/gpu/tests
mkdir -p "$out"
cp build/gpu/foundry build/gpu/tests "$out/"
strip -g "$out/foundry" "$out/tests"
ldd build/gpu/foundry build/gpu/tests | awk '$2 == "=>" && $1 !~ /^(libc|libm|libdl|libpthread)\.so/ { print $3 }' | sort -u | while read -r library; do
    cp -L "$library" "$out/"
done
