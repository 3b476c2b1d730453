#!/usr/bin/env bash
# Has llama.cpp (bench/peer-llama.sh) run what `foundry synth` makes: a tiny model of each architecture in each format,
# and what `foundry quantize` makes of one. Prints what it refuses, and then fails.
#
#   bench/peer-loads.sh [build/foundry]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
foundry=$(realpath "${1:-$here/build/foundry}")
bench=$("$here/bench/peer-llama.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
refused=0 ran=0

check() { # FILE what it is
    if "$bench" -m "$1" -p 16 -n 4 -t 1 -r 1 >"$work/log" 2>&1 && grep -q 'tg4' "$work/log"; then
        ran=$((ran + 1))
    else
        refused=$((refused + 1))
        echo "refused: $2"
        tail -n 3 "$work/log"
    fi
}

for format in f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q4_k q5_k q6_k iq4_nl; do
    for arch in qwen2 qwen3 llama phi3; do
        "$foundry" synth --arch "$arch" --size tiny --format "$format" -o "$work/model.gguf" --force >/dev/null 2>&1
        check "$work/model.gguf" "$arch in $format"
    done
    "$foundry" synth --arch qwen2 --size tiny --format f32 -o "$work/f32.gguf" --force >/dev/null 2>&1
    "$foundry" quantize "$work/f32.gguf" "$work/model.gguf" --format "$format" --force >/dev/null 2>&1
    check "$work/model.gguf" "qwen2 quantised to $format"
done
echo "llama.cpp ran $ran files and refused $refused"
[ "$refused" = 0 ]
