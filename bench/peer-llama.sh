#!/usr/bin/env bash
# Builds llama.cpp's llama-bench, the peer that bench/bench-cpu.py measures beside foundry, and
# prints its path. The source is the one that the Python package carries; it is built once per kind
# of processor (-march=native) into the cache folder.
#
# JOBS=N sets the number of compilers at once (default: the number of cores).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$here/scripts/common.sh"

version=0.3.36
cpu=$({ grep -m1 -E '^(flags|Features)' /proc/cpuinfo || uname -m; } | cksum | cut -d' ' -f1)
home=$(cache_root)/peer/llama-cpp-python-$version
source=$home/source
build=$home/build-$cpu
bench=$build/bin/llama-bench
if [ -x "$bench" ]; then
    printf '%s\n' "$bench"
    exit 0
fi

"$here/scripts/setup.sh" --peer >&2
mkdir -p "$home"
if [ ! -f "$source/CMakeLists.txt" ]; then
    need_space "$home" 1500 "the peer's source and build"
    work=$(mktemp -d "$home/download.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "downloading the source of llama-cpp-python $version (77 MB) ..."
    pip_download "$work" "llama-cpp-python==$version" --no-binary :all:
    tar -xzf "$work"/llama_cpp_python-$version.tar.gz -C "$work"
    unpacked=$work/llama_cpp_python-$version/vendor/llama.cpp

    # GCC 12 believes that _tile_loadconfig reads 8 bytes only and drops the stores to the rest of
    # the 64-byte configuration: the peer then dies of an illegal instruction where AMX is present.
    # A barrier makes the compiler keep them, and the comparison is with the peer at its best.
    amx=$unpacked/ggml/src/ggml-cpu/amx/mmq.cpp
    sed -i 's|^\( *\)_tile_loadconfig(&tc);|\1asm volatile("" :: "r"(\&tc) : "memory");\n&|' "$amx"
    grep -q 'asm volatile("" :: "r"(&tc) : "memory");' "$amx" || die "the repair of $amx did not apply"
    rm -rf "$source"
    mv "$unpacked" "$source"
fi

say "building llama-bench (4 to 7 minutes on 2 cores) ..."
log=$home/build-$cpu.log
if ! {
    cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
        -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF \
        -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF &&
        nice cmake --build "$build" --target llama-bench -j "${JOBS:-$(nproc)}"
} >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "building the peer failed; the whole log is $log"
fi
[ -x "$bench" ] || die "the build left no $bench; its log is $log"
printf '%s\n' "$bench"
