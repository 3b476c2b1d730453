#!/usr/bin/env bash
# run-fuzz.sh SECONDS PROGRAM...: runs each libFuzzer program for that long, starting from
# fuzz/corpus/<name> where there is one, with the words of fuzz/<name>.dict. New inputs are kept in
# build/fuzz/corpus for the next run, a crash is left beside the program, and the words of a run are shown
# only when it fails. JOBS=N: so many programs at a time.
#
# SEED=N: the same inputs in the same order each time, as far as the seconds reach: libFuzzer's choices are
# those of this seed, from the inputs in fuzz/ alone, and new ones are not kept.
set -euo pipefail

# The inputs of a folder as -seed_inputs takes them: libFuzzer keeps the order of a list, and finds the files of
# a folder in whatever order they lie.
list_of() { printf '%s\n' "$1"/* | LC_ALL=C sort | paste -sd,; }

fuzz() { # SECONDS PROGRAM
    local name folder found corpus runs seed failed='' options=()
    name=$(basename "$2") folder=$(dirname "$2") corpus=fuzz/corpus/${name#fuzz_}
    [ ! -f "fuzz/${name#fuzz_}.dict" ] || options+=("-dict=fuzz/${name#fuzz_}.dict")
    if [ -n "${SEED:-}" ]; then
        found=$(mktemp -d "$folder/$name.XXXXXX")
        options+=("-seed=$SEED" -reload=0 "$found")
        [ ! -d "$corpus" ] || options+=("-seed_inputs=$(list_of "$corpus")")
    else
        found=$folder/corpus/$name
        mkdir -p "$found"
        options+=("$found")
        [ ! -d "$corpus" ] || options+=("$corpus")
    fi
    "$2" "${options[@]}" -max_total_time="$1" -timeout=20 -print_final_stats=1 -artifact_prefix="$folder/$name-" >"$folder/$name.log" 2>&1 || failed=yes
    [ -z "${SEED:-}" ] || rm -r "$found"
    seed=$(sed -n 's/^INFO: Seed: *//p' "$folder/$name.log")
    if [ -n "$failed" ]; then
        echo "$(tail -n 40 "$folder/$name.log")"$'\n'"fuzz: $name failed with the seed ${seed:-unknown}; its input is beside $2"
        return 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$name.log")
    echo "fuzz: $name, ${runs:-0} inputs in $1 s with the seed $seed, nothing found"
}

seconds=$1
shift
if [ -n "${FUZZ_ONE:-}" ]; then
    fuzz "$seconds" "$1"
    exit
fi
if FUZZ_ONE=1 xargs -P "${JOBS:-1}" -n 1 "$0" "$seconds" < <(printf '%s\n' "$@"); then
    echo "fuzz: $# programs, none failed"
else
    echo "fuzz: $# programs, some failed"
    exit 1
fi
