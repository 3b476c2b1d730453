/* dialect/stream.cuda.h - the weight stream of a program on a GPU with bulk copies (compute capability
 * 9.0): one more warp in every group brings all weights that the group will use, in the order of use, into a
 * ring in the group's memory. It waits for nothing but room, so the stream runs on while the other warps
 * exchange activations, meet at barriers or compute attention.
 *
 * Rows of one matrix that are neighbours in memory come together, as a chunk: a copy costs the warp that asks
 * for it some 300 cycles, however small it is. Chunk c has slot c % FND_STREAM_SLOTS, whose barrier says that it
 * has come (`full`). A chunk is used in pieces, each by one warp; piece n has slot n % FND_STREAM_SLOTS, whose
 * barrier says that nobody needs it any more (`empty`). Bytes are handed out round the ring in order; a chunk is
 * never cut in two.
 *
 * Both sides count pieces alike: what the program's own text uses (FND_EACH_STREAMED_TILE) and what is
 * brought (fnd_bring) go through the same matrices with the same shares.
 *
 * Memory serves requests in order: whatever is on its way, of any group, delays every exchange between groups
 * (a barrier takes 1,700 cycles behind nothing, 4,200 behind 24 KB of each group, 7,000 behind 64 KB). So as long
 * as the ring holds enough, few bytes are on their way at a time, and none are asked for while the group is at
 * a barrier; only when it runs low is the whole bandwidth used. */
#ifndef FND_DIALECT_STREAM_CUDA_H
#define FND_DIALECT_STREAM_CUDA_H
#include "dialect/stream_pieces.h"

#define FND_STREAM_SLOTS 128u
/* Bytes on their way at most; when the ring holds enough (a quarter); and when the group is at a barrier then. */
#define FND_STREAM_SMALL (FND_STREAM_LAYER / FND_GROUPS < 262144ull) /* there is time between the bytes of a layer */
#ifndef FND_STREAM_WINDOW
  #define FND_STREAM_WINDOW (FND_STREAM_SMALL ? 57344u : 40960u)
#endif
#ifndef FND_STREAM_CALM
  #define FND_STREAM_CALM (FND_STREAM_SMALL ? 16384u : FND_STREAM_WINDOW)
#endif
#ifndef FND_STREAM_PAUSED
  #define FND_STREAM_PAUSED (FND_STREAM_SMALL ? 0u : FND_STREAM_WINDOW)
#endif
#define FND_STREAM_ENOUGH 4
#define FND_STREAM_THREADS 32 /* more than a group has otherwise */

typedef struct fnd_stream_slots {
    u64 full[FND_STREAM_SLOTS], empty[FND_STREAM_SLOTS];
    u32 at[FND_STREAM_SLOTS];  /* where in fnd_cuda_shared the chunk lies */
    u32 paused;                /* the group is at a barrier with the others */
    u32 come[FND_STREAM_SLOTS], freed[FND_STREAM_SLOTS]; /* bytes handed out up to the end of the chunk, of the piece's chunk, modulo 2^32 */
} fnd_stream_slots;
static __shared__ fnd_stream_slots fnd_stream;

/* What the side that uses pieces remembers: fields of fnd_thread. */
#define FND_STREAM_FIELDS      \
    u32 tile, piece, chunk;    /* so far, of the whole group */ \
    u32 next_piece, next_chunk, rows_before; /* of the next dot product; rows of the chunk before its own */

FND_INLINE u32 fnd_shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }
#define FND_STREAM_ASK_(name, instruction)                                                                    \
    FND_INLINE u32 name(const u64 *barrier, u32 phase) {                                                       \
        u32 done;                                                                                              \
        asm volatile("{.reg .pred p; mbarrier." instruction ".parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}" \
                     : "=r"(done) : "r"(fnd_shared_address(barrier)), "r"(phase) : "memory");                  \
        return done;                                                                                           \
    }
FND_STREAM_ASK_(fnd_stream_has, "test_wait")    /* at once */
FND_STREAM_ASK_(fnd_stream_awaits, "try_wait")  /* after a while */
FND_INLINE void fnd_stream_pause(u32 paused) { *(volatile u32 *)&fnd_stream.paused = paused; }
/* The program's table, rounded up as the host does; its memory on the device is longer. */
#define FND_STREAM_TABLE ((FND_TABLE_BYTES + 255u) / 256 * 256)
typedef struct __align__(16) fnd_stream_16 { u32 w[4]; } fnd_stream_16;
FND_INLINE void fnd_stream_begin(const u8 *from, u8 *table) {
    if (threadIdx.x == 0) fnd_stream_pause(0);
    for (u32 i = threadIdx.x * 16; i < FND_STREAM_TABLE; i += blockDim.x * 16) *(fnd_stream_16 *)(table + i) = *(const fnd_stream_16 *)(from + i);
    for (u32 i = threadIdx.x; i < FND_STREAM_SLOTS; i += blockDim.x) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(fnd_shared_address(&fnd_stream.full[i])) : "memory");
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(fnd_shared_address(&fnd_stream.empty[i])) : "memory");
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    __syncthreads();
}

FND_INLINE u32 fnd_stream_least(u32 a, u32 b) { return a < b ? a : b; }

/* ---- using: a whole warp ---- */

/* Where chunk n lies, once it has come. */
FND_INLINE u32 fnd_stream_take(u32 n, u32 lane) {
    u32 slot = n % FND_STREAM_SLOTS;
    if (lane == 0) {
        while (!fnd_stream_awaits(&fnd_stream.full[slot], n / FND_STREAM_SLOTS & 1u)) {}
    }
    __syncwarp();
    return fnd_stream.at[slot];
}
FND_INLINE void fnd_stream_free(u32 n, u32 lane) {
    __syncwarp();
    if (lane == 0) asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(fnd_shared_address(&fnd_stream.empty[n % FND_STREAM_SLOTS])) : "memory");
}

/* ---- shares: rows of a matrix, one behind the other, for every group ---- */

typedef struct fnd_share {
    u32 row, end, step; /* rows, and how many of them a piece has */
    u32 tile, tiles, tiles_of_chunk;
} fnd_share;

/* The groups that have one row more than the others are not the same for the next matrix. */
FND_INLINE fnd_share fnd_share_of(u32 group, u32 groups, u32 &turn, u32 total, u32 row_bytes) {
    u32 each = total / groups, more = total % groups, mine = group + turn;
    if (mine >= groups) mine -= groups;
    turn += groups - more;
    if (turn >= groups) turn -= groups;
    fnd_share s;
    s.row = mine * each + (mine < more ? mine : more);
    s.end = s.row + each + (mine < more ? 1u : 0u);
    u32 round = FND_WARPS * FND_STREAM_TILE_ROWS(row_bytes), rounds = (each + round) / round; /* every warp as many tiles */
    s.step = (each + rounds * FND_WARPS) / (rounds * FND_WARPS);
    s.tile = 0;
    s.tiles = (s.end - s.row + s.step - 1) / s.step;
    u32 fit = FND_STREAM_CHUNK / (s.step * row_bytes), most = (each + s.step) / s.step;
    if (most > FND_STREAM_SLOTS / 4) most = FND_STREAM_SLOTS / 4;
    s.tiles_of_chunk = fit < 1 ? 1u : fit < most ? fit : most;
    return s;
}

/* ---- bringing: a whole warp, a tile in every lane ---- */

typedef struct fnd_feeder {
    u32 lane, group, groups, turn;
    u32 ring, ring_bytes;    /* in fnd_cuda_shared */
    u32 at, given;           /* place of the next chunk; bytes handed out, modulo 2^32 */
    u32 come, freed;         /* of them, what has come and what is free again */
    u32 piece, oldest;       /* the next, the first in use */
    u32 chunk, coming;       /* the next, the first on its way */
} fnd_feeder;

typedef struct fnd_matrix {
    const u8 *data;
    u32 pitch;
} fnd_matrix;

/* Which chunks have come, and which pieces are free again: up to 16 of each, in order. */
FND_INLINE void fnd_stream_look(fnd_feeder &f) {
    const u32 side = f.lane / 16, first = side ? f.oldest : f.coming, n = first + f.lane % 16, count = side ? f.piece - f.oldest : f.chunk - f.coming;
    const u64 *barriers = side ? fnd_stream.empty : fnd_stream.full;
    u32 has = 0;
    if (f.lane % 16 < count) has = fnd_stream_has(&barriers[n % FND_STREAM_SLOTS], n / FND_STREAM_SLOTS & 1u);
    u32 missing = ~__ballot_sync(0xffffffffu, has);
    u32 come = (u32)__ffs((i32)(missing | 0x10000u)) - 1, freed = (u32)__ffs((i32)(missing >> 16 | 0x10000u)) - 1;
    f.coming += come;
    f.oldest += freed;
    if (come) f.come = fnd_stream.come[(f.coming - 1) % FND_STREAM_SLOTS];
    if (freed) f.freed = fnd_stream.freed[(f.oldest - 1) % FND_STREAM_SLOTS];
    if (f.oldest == f.piece) { /* all was used, so all has come */
        f.coming = f.chunk;
        f.come = f.freed = f.given;
    }
}

/* Waits until at least one chunk of `bytes` in `pieces` pieces has room; how many chunks have. A chunk's last
 * piece frees it: `freed` of the pieces before it says what was free before. */
FND_INLINE u32 fnd_stream_room(fnd_feeder &f, u32 bytes, u32 pieces, u32 most) {
    if (f.at + bytes > f.ring_bytes) {
        f.given += f.ring_bytes - f.at;
        f.at = 0;
    }
    const u32 mine = f.lane * bytes, fits = f.lane < most && f.at + mine + bytes <= f.ring_bytes;
    for (;;) {
        fnd_stream_look(f);
        u32 used = f.given - f.freed, window = FND_STREAM_WINDOW;
        if (used > f.ring_bytes / FND_STREAM_ENOUGH) window = *(volatile u32 *)&fnd_stream.paused ? FND_STREAM_PAUSED : FND_STREAM_CALM;
        u32 slots = f.piece - f.oldest + (f.lane + 1) * pieces <= FND_STREAM_SLOTS && f.chunk - f.coming + 2 * (f.lane + 1) <= FND_STREAM_SLOTS;
        u32 now = fits && slots && used + mine + bytes <= f.ring_bytes && f.given - f.come + mine < window;
        u32 chunks = (u32)__popc(__ballot_sync(0xffffffffu, now));
        if (chunks) return chunks;
    }
}

FND_INLINE void fnd_stream_copy(fnd_feeder &f, u32 chunk, u32 at, u32 end, const u8 *from, u32 bytes) {
    u32 slot = chunk % FND_STREAM_SLOTS, full = fnd_shared_address(&fnd_stream.full[slot]);
    fnd_stream.at[slot] = f.ring + at;
    fnd_stream.come[slot] = end;
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(full), "r"(bytes) : "memory");
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(fnd_shared_address(fnd_cuda_shared + f.ring + at)), "l"(from), "r"(bytes), "r"(full) : "memory");
}

/* This group's rows of one matrix, or of two whose chunks and pieces alternate. Once in a program, since the instruction
 * cache is small; what is constant of a share is computed where it is known. */
FND_SHARED_CODE fnd_feeder fnd_bring_rows(fnd_feeder f, fnd_share s, fnd_matrix a, fnd_matrix b) {
    const u32 dots = b.pitch ? 2 : 1, rows_of_chunk = s.tiles_of_chunk * s.step, bytes = rows_of_chunk * (a.pitch + b.pitch);
    FND_ROLLED for (u32 row = s.row; row < s.end;) {
        u32 left = (s.end - row + rows_of_chunk - 1) / rows_of_chunk;
        u32 chunks = fnd_stream_room(f, bytes, s.tiles_of_chunk * dots, fnd_stream_least(left, 32));
        u32 first = row + f.lane * rows_of_chunk, rows = fnd_stream_least(rows_of_chunk, s.end - first), pieces = (rows + s.step - 1) / s.step * dots;
        if (f.lane < chunks) {
            u32 at = f.at + f.lane * bytes, chunk = f.chunk + f.lane * dots, end = f.given + (f.lane + 1) * bytes;
            u32 piece = f.piece + f.lane * s.tiles_of_chunk * dots;
            FND_ROLLED for (u32 i = 0; i < pieces; i++) fnd_stream.freed[(piece + i) % FND_STREAM_SLOTS] = i + 1 < pieces ? end - bytes : end;
            FND_ROLLED for (u32 i = 0; i < dots; i++) {
                const fnd_matrix m = i ? b : a;
                fnd_stream_copy(f, chunk + i, at, i + 1 < dots ? end - rows_of_chunk * b.pitch : end, m.data + (u64)first * m.pitch, rows * m.pitch);
                at += rows_of_chunk * a.pitch;
            }
        }
        __syncwarp();
        u32 given = (chunks - 1) * rows_of_chunk; /* the last may have fewer */
        rows = fnd_stream_least(rows_of_chunk, s.end - row - given);
        f.at += chunks * bytes;
        f.given += chunks * bytes;
        f.chunk += chunks * dots;
        f.piece += ((chunks - 1) * s.tiles_of_chunk + (rows + s.step - 1) / s.step) * dots;
        row += given + rows;
    }
    return f;
}
FND_INLINE void fnd_bring(fnd_feeder &f, u32 total, fnd_matrix a, fnd_matrix b) {
    fnd_share s = fnd_share_of(f.group, f.groups, f.turn, total, a.pitch + b.pitch);
    f = fnd_bring_rows(f, s, a, b);
}
/* Into L2, every line by one of the groups. Of `blocks` blocks of a cache what the groups can ask for at once: where
 * there are more, those are read while others are computed with. */
FND_INLINE void fnd_bring_lines_(const fnd_feeder &f, const u8 *p, u64 bytes) {
    u64 at = (u64)(f.lane * f.groups + f.group) * 128;
    if (f.lane < 16 && at < bytes) fnd_prefetch(p + at);
}
FND_INLINE void fnd_bring_vector(const fnd_feeder &f, const f32 *p, u32 count) { fnd_bring_lines_(f, (const u8 *)p, (u64)count * 4); }
FND_INLINE void fnd_bring_blocks(const fnd_feeder &f, const u8 *p, u32 bytes, u32 blocks) { fnd_bring_lines_(f, p, (u64)blocks * bytes); }
FND_INLINE void fnd_bring_one(fnd_feeder &f, u32 total, fnd_matrix a) {
    fnd_matrix none = { 0, 0 };
    fnd_bring(f, total, a, none);
}
#endif
