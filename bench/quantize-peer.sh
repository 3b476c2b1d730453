#!/usr/bin/env bash
# Prints a table of the error (and the time) of Foundry's quantisers beside ggml's plain ones, which are
# built by bench/peer-llama.sh. Fails when one of ours leaves more error than theirs.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
bench=$(bench/peer-llama.sh)
build=${bench%/bin/*}
make -s build/libfoundry.a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O2 -Iinclude -I"${build%/*}/source/ggml/include" bench/quantize-peer.c build/libfoundry.a \
    "$build/ggml/src/libggml-base.a" "$build/ggml/src/libggml-cpu.a" "$build/ggml/src/libggml-base.a" \
    -lpcre2-8 -ljansson -lxxhash -lutf8proc -ldl -lm -lstdc++ -fopenmp -pthread -o "$work/quantize-peer"
"$work/quantize-peer"
