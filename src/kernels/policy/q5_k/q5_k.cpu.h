/* policy/q5_k/q5_k.cpu.h - Q5_K as the CPU strategies see it: 5-bit codes in tiles, and per 32
 * weights a scale and a minimum of 6 bits. */
#ifndef POLICY_Q5_K_CPU_H
#define POLICY_Q5_K_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/k_fields.cpu.h"
#include "policy/q5_k/q5_k.h"

#define q5_k_PLANES      FND_PLANES_5
#define q5_k_unpack      fnd_unpack_5
#define q5_k_scales      fnd_k_fields

#endif
