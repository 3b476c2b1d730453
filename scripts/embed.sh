#!/bin/sh
# embed.sh DIR FILE...: print a C file that holds every DIR/FILE as a string, by .incbin.
set -eu
dir=$1
shift
cat <<'HEAD'
/* Generated: the kernel texts, in the order of the list below. */
#include <stddef.h>
/* SAFETY: .incbin puts the file's bytes and a NUL behind a global symbol; only its address is used. */
#if defined(__APPLE__)
  #define EMBED_(id, path) __asm__(".section __TEXT,__const\n.globl _" id "\n_" id ":\n.incbin \"" path "\"\n.byte 0\n.text\n")
#else
  #define EMBED_(id, path) __asm__(".section .rodata\n.globl " id "\n" id ":\n.incbin \"" path "\"\n.byte 0\n.text\n")
#endif
HEAD
n=0
for file in "$@"; do
    echo "EMBED_(\"fnd_embedded_$n\", \"$dir/$file\"); extern const char fnd_embedded_${n}[];"
    n=$((n + 1))
done
echo "typedef struct embedded_source { const char *path, *text; } embedded_source;"
echo "extern const embedded_source fnd_embedded_sources[];"
echo "extern const size_t fnd_embedded_source_count;"
echo "const embedded_source fnd_embedded_sources[] = {"
n=0
for file in "$@"; do
    echo "    { \"$file\", fnd_embedded_$n },"
    n=$((n + 1))
done
echo "};"
echo "const size_t fnd_embedded_source_count = $n;"
