/* policy/q8_0/q8_0.metal.h - Q8_0 as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_Q8_0_METAL_H
#define POLICY_Q8_0_METAL_H
#include "policy/q8_0/q8_0.h"

#define q8_0_MASKED 0
#endif
