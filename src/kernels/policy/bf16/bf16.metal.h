/* policy/bf16/bf16.metal.h - BF16 as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_BF16_METAL_H
#define POLICY_BF16_METAL_H
#include "policy/bf16/bf16.h"

#define bf16_MASKED 0
#endif
