/* dialect/stream_pieces.h - how a weight stream cuts a matrix (dialect/stream.cuda.h); the host, which plans the ring,
 * goes by the same rule. */
#ifndef FND_DIALECT_STREAM_PIECES_H
#define FND_DIALECT_STREAM_PIECES_H

#define FND_STREAM_CHUNK 16384u /* bytes of neighbouring pieces that come together, unless one piece has more */

/* Rows of a tile at most, a warp's pieces of the matrices that it has at once: no more than 4, and no more bytes than
 * leave room in the ring for every warp's, or one row. */
#ifndef FND_STREAM_TILE
  #define FND_STREAM_TILE 12288u
#endif
#define FND_STREAM_TILE_ROWS(row_bytes) ((row_bytes) * 4u <= FND_STREAM_TILE ? 4u : (row_bytes) * 2u > FND_STREAM_TILE ? 1u : FND_STREAM_TILE / (row_bytes))
#endif
