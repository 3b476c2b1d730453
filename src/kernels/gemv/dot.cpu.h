/* gemv/dot.cpu.h - POLICY_dot on a CPU: by 8-bit codes, or in f32 for formats of floats. */
#if FND_CAT(POLICY, _FLOATS)
#include "gemv/dot_float.cpu.h"
#else
#include "gemv/dot_codes.cpu.h"
#endif
