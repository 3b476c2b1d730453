#!/usr/bin/env bash
# Builds a program that shows where a token's time goes inside the persistent decode kernel (stages.cu), for one
# model of the Qwen2.5 shapes. Needs nvcc, and no GPU: the text is printed for the driver's stand-in.
#
#   bench/gpu/stages.sh SIZE FORMAT OUT [nvcc options, e.g. -DFND_STREAM_CALM=8192]
#
# On the GPU: OUT [position]. SIZE: 0.5b, 1.5b, 7b; FORMAT: f16, q8_0, q4_0, q4_k.
set -euo pipefail
cd "$(dirname "$0")/../.."
size=$1 format=$2 out=$3
shift 3
case $size in
0.5b) shapes="-DDIM=896 -DHIDDEN=4864 -DLAYERS=24 -DHEADS=14 -DKV_HEADS=2 -DHEAD_DIM=64 -DVOCAB=151936" ;;
1.5b) shapes="-DDIM=1536 -DHIDDEN=8960 -DLAYERS=28 -DHEADS=12 -DKV_HEADS=2 -DHEAD_DIM=128 -DVOCAB=151936" ;;
7b) shapes="-DDIM=3584 -DHIDDEN=18944 -DLAYERS=28 -DHEADS=28 -DKV_HEADS=4 -DHEAD_DIM=128 -DVOCAB=152064" ;;
*) echo "there is no size '$size': 0.5b, 1.5b, 7b" >&2 && exit 2 ;;
esac
case $format in
f16) pitch='-DPITCH(c)=(2*(c))' ;;
q8_0) pitch='-DPITCH(c)=((c)/32*34)' ;;
q4_0) pitch='-DPITCH(c)=((c)/32*18)' ;;
q4_k) pitch='-DPITCH(c)=((c)/256*144)' ;;
*) echo "there is no format '$format' here: f16, q8_0, q4_0, q4_k" >&2 && exit 2 ;;
esac
make -s -j"$(nproc)" BAKE= build/foundry build/cuda_standin/libcuda.so.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build/foundry synth --arch qwen2 --size "$size" --format "$format" -o "$work/model.gguf" 2>/dev/null
LD_LIBRARY_PATH=build/cuda_standin:${LD_LIBRARY_PATH-} build/foundry emit --program decode --flat --backend cuda --model "$work/model.gguf" >"$work/program.cu" 2>/dev/null
rm "$work/model.gguf"
# A clock before and behind every barrier of the program: 10 of a layer, then those of the head.
awk '/^FND_PROGRAM\(decode\)/ { inside = 1 }
     inside && /fnd_grid_barrier\(t\);/ {
         base = /^        / ? "i * 10 + " : "LAYERS * 10 + "
         if (base != last) n = 0
         last = base
         print "STAMP(" base n++ ");"; print; print "STAMP(" base n++ ");"; next
     }
     inside && /^}/ { print "    fnd_group_barrier(t);\n    STAMP(LAYERS * 10 + 2);"; inside = 0 }
     { print }' "$work/program.cu" >"$work/stamped.cu"
nvcc -O3 -arch=sm_90a -std=c++17 -diag-suppress 177,550 -Xcompiler -w -DFND_WARPS=15 -DFND_GROUPS=132 $shapes "$pitch" -DSTAMPS=400 \
    -DSCRATCH="((5*(HIDDEN>DIM?HIDDEN:DIM)+(HIDDEN+31)/32*12+512+255)/256*256)" -DNAME="\"$size $format\"" -DPROGRAM="\"$work/stamped.cu\"" "$@" -o "$out" bench/gpu/stages.cu
