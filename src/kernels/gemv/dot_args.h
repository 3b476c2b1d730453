/* gemv/dot_args.h - what every form of the dot stage takes. */
#ifndef GEMV_DOT_ARGS_H
#define GEMV_DOT_ARGS_H

#define DOT_ARGS(X) \
    X(WEIGHT, policy, w, "[rows, dim]", "weight matrix") \
    X(OPS, "2*tokens*rows*dim", "a product and a sum for each weight and token")

/* For a tile of rows and a span of tokens: y[token, row] = sum_k w[row, k] x[token, k]. */
FND_STAGE(dot, DOT_ARGS, MAIN, ROWS, TILE, OWN, "rows of a weight matrix times rows of activations")
#endif
