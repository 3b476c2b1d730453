/* policy/q5_1/q5_1.metal.h - Q5_1 as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_Q5_1_METAL_H
#define POLICY_Q5_1_METAL_H
#include "policy/q5_1/q5_1.h"

#define q5_1_MASKED 0
#endif
