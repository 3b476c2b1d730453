/* gemv/repack_args.h - what the repack stage takes. */
#ifndef GEMV_REPACK_ARGS_H
#define GEMV_REPACK_ARGS_H

#define REPACK_ARGS(X)                                                              \
    X(OUT,    u8,     tiles, "[bytes]",     "the device's layout")                  \
    X(WEIGHT, policy, w,     "[rows, dim]", "weights, rows as in the file")         \
    X(RULE, "bytes >= bytes(w)", "the device's layout has room")

FND_STAGE(repack, REPACK_ARGS, MAIN, NONE, NONE, ALL, "lay weights out as this device's matrix kernels read them")
#endif
