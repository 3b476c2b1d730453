/* policy/q5_k/q5_k.metal.h - Q5_K as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_Q5_K_METAL_H
#define POLICY_Q5_K_METAL_H
#include "policy/q5_k/q5_k.h"

#define q5_k_MASKED 0
#endif
