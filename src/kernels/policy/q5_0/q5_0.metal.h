/* policy/q5_0/q5_0.metal.h - Q5_0 as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_Q5_0_METAL_H
#define POLICY_Q5_0_METAL_H
#include "policy/q5_0/q5_0.h"

#define q5_0_MASKED 0
#endif
