#!/usr/bin/env bash
# Each file in tests/compile-fail must not compile, and for the reason that it gives itself:
#
#   /* expect: text that the compiler must say */      several lines: one of them is enough
#
# With -DCONTROL it must compile: only the mistake is wrong with it. CC=... picks one compiler; else
# all of gcc and clang that are here are asked.
set -euo pipefail
cd "$(dirname "$0")/.."

flags=(-std=c11 -Wall -Wextra -Wshadow -Wconversion -Werror -Iinclude -Isrc -c -o /dev/null)
compilers=()
for compiler in ${CC:-gcc clang}; do
    if command -v "$compiler" >/dev/null; then compilers+=("$compiler"); fi
done
if [ ${#compilers[@]} = 0 ]; then
    echo "compile-fail: no compiler found (${CC:-gcc clang})" >&2
    exit 1
fi

failed=0 count=0
complain() {
    printf '%s: %s\n' "$1" "$2" >&2
    if [ -n "$3" ]; then printf '%s\n' "$3" | sed 's/^/    /' >&2; fi
    failed=$((failed + 1))
}
for file in tests/compile-fail/*.c; do
    expected=$(sed -n 's,^/\* expect: \(.*\) \*/$,\1,p' "$file")
    if [ -z "$expected" ]; then
        complain "$file" "has no 'expect:' line" ""
        continue
    fi
    for compiler in "${compilers[@]}"; do
        count=$((count + 1))
        if ! said=$(LC_ALL=C "$compiler" "${flags[@]}" -DCONTROL "$file" 2>&1); then
            complain "$file" "does not compile without the mistake ($compiler)" "$said"
        elif said=$(LC_ALL=C "$compiler" "${flags[@]}" "$file" 2>&1); then
            complain "$file" "compiles ($compiler)" ""
        elif ! grep -qF -e "$expected" <<<"$said"; then
            complain "$file" "fails for another reason than '${expected//$'\n'/"' or '"}' ($compiler)" "$said"
        fi
    done
done
echo "compile-fail: $count checked, $failed failures"
[ "$failed" = 0 ]
