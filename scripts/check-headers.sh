#!/usr/bin/env bash
# Every public header compiles alone, as C11 and as C++11, with gcc and with clang, without a warning.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0 count=0
for header in include/foundry/*.h; do
    name=${header#include/}
    count=$((count + 1))
    for compiler in "gcc -x c -std=c11" "g++ -x c++ -std=c++11" "clang -x c -std=c11" "clang++ -x c++ -std=c++11"; do
        # Included twice: a header without a guard fails.
        # shellcheck disable=SC2086
        if ! printf '#include "%s"\n#include "%s"\n' "$name" "$name" |
            $compiler -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -; then
            echo "$header does not compile alone: $compiler"
            failed=$((failed + 1))
        fi
    done
done
echo "headers: $count checked, $failed failures"
[ "$failed" = 0 ]
