/* policy/iq4_nl/iq4_nl.metal.h - IQ4_NL as the Metal strategies see it: decoded 16 weights at a time. */
#ifndef POLICY_IQ4_NL_METAL_H
#define POLICY_IQ4_NL_METAL_H
#include "policy/iq4_nl/iq4_nl.h"

#define iq4_nl_MASKED 0
#endif
