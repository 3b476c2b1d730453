/* gemv/dot.metal.h - POLICY_dot on an Apple GPU, from rows as the file has them.
 *
 * A template: included once for every POLICY of a kernel. For a token or a few, a lane has 16 columns of all
 * rows of its warp at a time; for a span of 8 tokens or more, matrices of 8 x 8. */
#include "gemv/x.h"
#include "gemv/dot_args.h"
#if FND_MATRICES
#include "gemv/dot_matrices.metal.h"
#else
#include "gemv/dot_lanes.metal.h"
#endif
