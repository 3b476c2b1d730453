/* gemv/dot.cuda.h - POLICY_dot on an NVIDIA GPU: by 8-bit codes, or in f32 for formats of floats; with many tokens
 * by the matrix unit. */
#include "gemv/x.cuda.h"
#include "gemv/dot_args.h"
#if FND_PANELS
#include "gemv/dot_panel.cuda.h"
#elif FND_CAT(POLICY, _FLOATS)
#include "gemv/dot_float.cuda.h"
#else
#include "gemv/dot_codes.cuda.h"
#endif
