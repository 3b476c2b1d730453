/* gemv/repack.cpu.h - POLICY_repack on a CPU: planes of codes, or floats. */
#if FND_CAT(POLICY, _FLOATS)
#include "gemv/repack_float.cpu.h"
#else
#include "gemv/repack_codes.cpu.h"
#endif
