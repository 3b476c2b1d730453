/* dialect/stream_pieces.h - how a weight stream cuts a matrix (dialect/stream.cuda.h); the host, which plans the ring,
 * goes by the same rule. */
#ifndef FND_DIALECT_STREAM_PIECES_H
#define FND_DIALECT_STREAM_PIECES_H

#define FND_STREAM_CHUNK 8192u /* bytes of neighbouring pieces that come together, unless one piece has more */

/* Rows of a piece at most. It is for one warp: `wanted` rows, in as few pieces as that, but no more than 4, and no more
 * than 8192 columns of all of them, or one row. */
#define FND_STREAM_ROWS 4u
#define FND_STREAM_COLUMNS_(rows, cols) ((rows) * (cols) <= 8192u ? (rows) : (cols) >= 8192u ? 1u : 8192u / (cols))
#define FND_STREAM_PIECE_ROWS(wanted, cols) FND_STREAM_COLUMNS_((wanted) < FND_STREAM_ROWS ? (wanted) : FND_STREAM_ROWS, cols)
#endif
