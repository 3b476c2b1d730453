/* policy/f32/f32.metal.h - F32 as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_F32_METAL_H
#define POLICY_F32_METAL_H
#include "policy/f32/f32.h"

#define f32_MASKED 0
#endif
