/* policy/f16/f16.metal.h - F16 as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_F16_METAL_H
#define POLICY_F16_METAL_H
#include "policy/f16/f16.h"

#define f16_MASKED 0
#endif
