/* policy/q6_k/q6_k.metal.h - Q6_K as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_Q6_K_METAL_H
#define POLICY_Q6_K_METAL_H
#include "policy/q6_k/q6_k.h"

#define q6_k_MASKED 0
#endif
