/* policy/q4_k/q4_k.cpu.h - Q4_K as the CPU strategies see it: 4-bit codes in tiles, and per 32
 * weights a scale and a minimum of 6 bits. */
#ifndef POLICY_Q4_K_CPU_H
#define POLICY_Q4_K_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/k_fields.cpu.h"
#include "policy/q4_k/q4_k.h"

#define q4_k_PLANES      FND_PLANES_4
#define q4_k_unpack      fnd_unpack_4
#define q4_k_scales      fnd_k_fields

#endif
