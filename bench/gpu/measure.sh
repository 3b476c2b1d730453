#!/usr/bin/env bash
# What the cuda backend does on this machine: first the answers, then the clock.
#
#   bench/gpu/measure.sh FOLDER [SIZE:FORMAT..]     FOLDER holds the two programs of bench/gpu/pack.sh
#
# 1. The tests of kernels, programs and models, on the GPU.
# 2. For every model (synthetic weights, made here; default: the sizes and formats of the table): the best
#    token and its logit on the GPU and on this machine's processor, from the same file.
# 3. Decoding 256 tokens after a prompt of 16, and a prompt of 512: medians of 5; decoding in every form of FORMS
#    (default: persistent graph launch), each with its best token.
# TESTS= skips 1; WORK is where models are made (default: a temporary folder).
set -euo pipefail
tools=$1
shift
models=${*:-0.5b:f16 0.5b:q8_0 0.5b:q4_0 1.5b:f16 1.5b:q8_0 1.5b:q4_k}
work=${WORK:-$(mktemp -d)}
foundry=$tools/foundry
export FOUNDRY_CACHE_DIR=$work/cache LD_LIBRARY_PATH=$tools

"$foundry" doctor | grep -E 'backend (cuda|cpu)'
if [ -n "${TESTS-all}" ]; then
    mkdir -p build
    FOUNDRY_TEST_GPU=cuda timeout 400 "$tools/tests" kernels_ programs_do programs_have models_match_the_reference_on_gpu | grep -v '^ok' || true
fi

top() { "$foundry" logits --backend "$1" --program "$3" --model "$2" --ids 11,22,33,44 --top 1 --json 2>/dev/null | tr -d '\n'; }
figure() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p"; }
printf '%-12s %-10s %10s %10s %10s   %s\n' model form 'decode' 'GB/s' 'prefill' 'best token: cuda, cpu'
for model in $models; do
    file=$work/${model/:/-}.gguf
    [ -f "$file" ] || "$foundry" synth --arch qwen2 --size "${model%:*}" --format "${model#*:}" -o "$file" >/dev/null 2>&1
    for form in ${FORMS:-persistent graph launch}; do
        json=$("$foundry" bench --backend cuda --program "$form" --model "$file" --prompt-tokens 512 --tokens 256 --repeat 5 --json 2>/dev/null)
        printf '%-12s %-10s %10.0f %10.0f %10.0f   %s %s\n' "$model" "$form" "$(figure decode_tok_s <<<"$json")" "$(figure decode_gb_s <<<"$json")" \
            "$(figure prefill_tok_s <<<"$json")" "$(top cuda "$file" "$form" | cut -c2-90)" "$(top cpu "$file" auto | cut -c2-90)"
    done
    [ -n "${KEEP-}" ] || rm -f "$file"
done
