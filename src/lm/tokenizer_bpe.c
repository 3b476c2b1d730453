/* tokenizer_bpe.c - byte-pair merging.
 *
 * A piece of text becomes a list of symbols, one per byte (SentencePiece: per character); of all
 * neighbours that may merge those of the lowest rank do, the leftmost first, until none may. Short
 * pieces (words) search the list for the lowest rank; long ones keep a heap, so that time is n log n
 * for any text. Words that were seen before come out of a cache. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/tokenizer_spm.h"

#include <stdatomic.h>
#include <xxhash.h>

enum { SHORT_PIECE = 64,
       CACHE_LEAST = 1024, /* words: 64 KiB */
       CACHE_MOST = 8192,
       CACHE_SHARE = 8, /* a word for so many bytes of text */
       CACHE_TEXT = 30,
       CACHE_IDS = 8,
       KEEP_SYMBOLS = 1 << 16 };

typedef struct cached_word { /* one cache line */
    uint8_t bytes, count;    /* bytes == 0: empty */
    char text[CACHE_TEXT];
    uint32_t ids[CACHE_IDS];
} cached_word;

typedef struct symbol {  /* at the offset of its first byte in the piece */
    uint32_t prev, next; /* NO_SYMBOL at the ends */
    uint32_t id, rank;   /* rank of the merge with the next symbol; NO_RANK: none */
} symbol;

enum { NO_RANK = -1, /* FND_NO_MERGE */
       NO_SYMBOL = -1 };

struct fnd_bpe_scratch {
    fnd_split_state *split;
    cached_word *cache; /* [cache_words], a power of two */
    size_t cache_words;
    symbol *symbols;
    uint64_t *heap; /* rank << 32 | position: the least is the leftmost of the lowest rank */
    size_t symbol_capacity, heap_count, heap_capacity;
    char *prefixed; /* a piece with a space before it */
    size_t prefixed_capacity;
    uint64_t steps;
};

/* ---- the scratch ---- */

void fnd_bpe_scratch_close(fnd_bpe_scratch *s) {
    if (!s) return;
    fnd_split_state_close(s->split);
    fnd_free_memory(s->cache);
    fnd_free_memory(s->symbols);
    fnd_free_memory(s->heap);
    fnd_free_memory(s->prefixed);
    fnd_free_memory(s);
}

uint64_t fnd_bpe_scratch_steps(const fnd_bpe_scratch *s) { return s->steps; }

static fnd_bpe_scratch *open_scratch(const fnd_tokenizer *t) {
    fnd_bpe_scratch *s = fnd_alloc_zeroed(1, sizeof *s);
    if (!s) return NULL;
    if (t->splitter) s->split = fnd_split_state_open(t->splitter);
    if (s->split || !t->splitter) return s;
    fnd_bpe_scratch_close(s);
    return NULL;
}

/* A larger cache begins empty. False: there is none, nor memory for one. */
static bool grow_cache(fnd_bpe_scratch *s, size_t text_bytes) {
    size_t words = CACHE_LEAST;
    while (words < CACHE_MOST && words * CACHE_SHARE < text_bytes) words *= 2;
    if (words <= s->cache_words) return true;
    cached_word *cache = fnd_alloc_zeroed(words, sizeof *cache);
    if (!cache) return s->cache_words > 0;
    fnd_free_memory(s->cache);
    s->cache = cache;
    s->cache_words = words;
    return true;
}

fnd_bpe_scratch *fnd_bpe_scratch_take(const fnd_tokenizer *t, size_t text_bytes) {
    fnd_bpe_scratch *s = atomic_exchange(&t->spare->scratch, NULL);
    if (!s) s = open_scratch(t);
    if (s && grow_cache(s, text_bytes)) return s;
    fnd_bpe_scratch_close(s);
    return NULL;
}

void fnd_bpe_scratch_give(const fnd_tokenizer *t, fnd_bpe_scratch *s) {
    if (s->symbol_capacity > KEEP_SYMBOLS) {
        fnd_free_memory(s->symbols);
        fnd_free_memory(s->heap);
        s->symbols = NULL;
        s->heap = NULL;
        s->symbol_capacity = s->heap_capacity = 0;
    }
    if (s->prefixed_capacity > KEEP_SYMBOLS) {
        fnd_free_memory(s->prefixed);
        s->prefixed = NULL;
        s->prefixed_capacity = 0;
    }
    fnd_bpe_scratch_close(atomic_exchange(&t->spare->scratch, s));
}

/* ---- results ---- */

static fnd_status no_memory(fnd_error *err) { return fnd_fail(err, FND_ERR_MEMORY, "out of memory while tokenizing"); }

fnd_status fnd_ids_add(fnd_ids *ids, uint32_t id, fnd_error *err) {
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity ? 2 * ids->capacity : 64;
        uint32_t *data = fnd_alloc_resized(ids->data, capacity, sizeof *data);
        if (!data) return no_memory(err);
        ids->data = data;
        ids->capacity = capacity;
    }
    ids->data[ids->count++] = id;
    return FND_OK;
}

void fnd_ids_free(fnd_ids *ids) {
    fnd_free_memory(ids->data);
    *ids = (fnd_ids){ 0 };
}

/* A symbol that begins at `at` and covers `bytes` of the text: its token, or those of its bytes. */
static fnd_status put_symbol(fnd_bpe_call *call, uint32_t which, const char *at, size_t bytes, fnd_error *err) {
    const fnd_tokenizer *t = call->t;
    if (which < t->info.token_count) return fnd_ids_add(call->ids, which, err);
    for (size_t i = 0; i < bytes; i++) {
        uint32_t id = t->bpe.byte_ids[(unsigned char)at[i]];
        if (id != FND_TOKEN_NONE) {
            FND_TRY(fnd_ids_add(call->ids, id, err));
        } else if (!call->lossy) {
            size_t offset = call->base_offset + (at + i < call->base ? 0 : (size_t)(at + i - call->base));
            return fnd_fail(err, FND_ERR_UNSUPPORTED, "the byte 0x%02x at offset %zu of the text has no token in this model's vocabulary; remove it", (unsigned char)at[i], offset);
        }
    }
    return FND_OK;
}

/* The symbol that the piece begins with, and its bytes. */
static inline uint32_t first_symbol(const fnd_bpe *bpe, const char *piece, size_t bytes, size_t *length) {
    *length = 1;
    if (!bpe->spm) return bpe->byte_ids[(unsigned char)*piece];
    if ((unsigned char)*piece < 128) return fnd_spm_symbol(bpe->spm, (unsigned char)*piece);
    size_t n = fnd_utf8_char(piece, bytes);
    if (!n) return FND_TOKEN_NONE;
    *length = n;
    return fnd_spm_symbol(bpe->spm, fnd_spm_code(piece));
}

static inline uint32_t rank_of(const fnd_bpe *bpe, uint32_t left, uint32_t right) {
    uint32_t at, tag, merge = fnd_bpe_find(bpe, left, right, &at, &tag);
    return merge != FND_NO_MERGE && bpe->ranks ? bpe->ranks[merge] : merge;
}

/* Of a pair that has a rank. */
static inline uint32_t merged(const fnd_bpe *bpe, uint32_t left, uint32_t right) {
    uint32_t at, tag;
    return (uint32_t)bpe->merges[fnd_bpe_find(bpe, left, right, &at, &tag)] & ((1 << FND_SYMBOL_BITS) - 1);
}

/* ---- short pieces ---- */

static size_t merge_short(const fnd_bpe *bpe, uint32_t *ids, uint8_t *starts, size_t n) {
    uint32_t ranks[SHORT_PIECE];
    for (size_t i = 0; i + 1 < n; i++) ranks[i] = rank_of(bpe, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++) {
            if (ranks[i] < ranks[best]) best = i;
        }
        if (ranks[best] == (uint32_t)NO_RANK) break;
        ids[best] = merged(bpe, ids[best], ids[best + 1]);
        size_t after = n - best - 2;
        memmove(ids + best + 1, ids + best + 2, after * sizeof *ids);
        memmove(starts + best + 1, starts + best + 2, after);
        memmove(ranks + best, ranks + best + 1, after * sizeof *ranks);
        n--;
        if (best > 0) ranks[best - 1] = rank_of(bpe, ids[best - 1], ids[best]);
        if (best + 1 < n) ranks[best] = rank_of(bpe, ids[best], ids[best + 1]);
    }
    return n;
}

static uint32_t whole_word(const fnd_tokenizer *t, const char *piece, size_t bytes) {
    return t->bpe.words.slots && bytes <= t->longest ? fnd_bpe_whole_word(t, piece, bytes) : FND_TOKEN_NONE;
}

static fnd_status encode_short(fnd_bpe_call *call, const char *piece, size_t bytes, fnd_error *err) {
    const fnd_bpe *bpe = &call->t->bpe;
    uint32_t whole = whole_word(call->t, piece, bytes);
    if (whole != FND_TOKEN_NONE) return fnd_ids_add(call->ids, whole, err);
    uint32_t ids[SHORT_PIECE];
    uint8_t starts[SHORT_PIECE];
    size_t n = 0, length;
    for (size_t i = 0; i < bytes; i += length, n++) {
        ids[n] = first_symbol(bpe, piece + i, bytes - i, &length);
        starts[n] = (uint8_t)i;
    }
    n = merge_short(bpe, ids, starts, n);
    for (size_t i = 0; i < n; i++) FND_TRY(put_symbol(call, ids[i], piece + starts[i], (i + 1 < n ? starts[i + 1] : bytes) - starts[i], err));
    return FND_OK;
}

static fnd_status encode_word(fnd_bpe_call *call, const char *piece, size_t bytes, fnd_error *err) {
    if (bytes > CACHE_TEXT) return encode_short(call, piece, bytes, err);
    cached_word *word = &call->scratch->cache[XXH3_64bits(piece, bytes) & (call->scratch->cache_words - 1)];
    if (word->bytes == bytes && memcmp(word->text, piece, bytes) == 0) {
        for (size_t i = 0; i < word->count; i++) FND_TRY(fnd_ids_add(call->ids, word->ids[i], err));
        return FND_OK;
    }
    size_t before = call->ids->count;
    FND_TRY(encode_short(call, piece, bytes, err));
    size_t count = call->ids->count - before;
    if (count > CACHE_IDS || call->lossy) return FND_OK; /* a lossy result is not everybody's */
    word->bytes = (uint8_t)bytes;
    word->count = (uint8_t)count;
    memcpy(word->text, piece, bytes);
    memcpy(word->ids, call->ids->data + before, count * sizeof *word->ids);
    return FND_OK;
}

/* ---- long pieces ---- */

/* Four children per entry: half the levels of two, and a level costs a cache miss. */
static void heap_sink(fnd_bpe_scratch *s, size_t i) {
    uint64_t entry = s->heap[i];
    for (;;) {
        size_t child = 4 * i + 1, least = child, end = fnd_min_size(child + 4, s->heap_count);
        if (child >= s->heap_count) break;
        for (size_t k = child + 1; k < end; k++) {
            if (s->heap[k] < s->heap[least]) least = k;
        }
        if (entry <= s->heap[least]) break;
        s->heap[i] = s->heap[least];
        i = least;
        s->steps++;
    }
    s->heap[i] = entry;
}

static uint64_t heap_pop(fnd_bpe_scratch *s) {
    uint64_t top = s->heap[0];
    s->heap[0] = s->heap[--s->heap_count];
    if (s->heap_count) heap_sink(s, 0);
    return top;
}

static fnd_status heap_reserve(fnd_bpe_scratch *s, size_t count, fnd_error *err) {
    if (count <= s->heap_capacity) return FND_OK;
    size_t capacity = fnd_max_size(count, s->heap_capacity * 2);
    uint64_t *heap = fnd_alloc_resized(s->heap, capacity, sizeof *heap);
    if (!heap) return no_memory(err);
    s->heap = heap;
    s->heap_capacity = capacity;
    return FND_OK;
}

static fnd_status heap_push(fnd_bpe_scratch *s, uint64_t entry, fnd_error *err) {
    FND_TRY(heap_reserve(s, s->heap_count + 1, err));
    size_t i = s->heap_count++;
    for (; i > 0 && entry < s->heap[(i - 1) / 4]; i = (i - 1) / 4, s->steps++) s->heap[i] = s->heap[(i - 1) / 4];
    s->heap[i] = entry;
    return FND_OK;
}

static fnd_status start_symbols(fnd_bpe_call *call, const char *piece, size_t bytes, fnd_error *err) {
    const fnd_bpe *bpe = &call->t->bpe;
    fnd_bpe_scratch *s = call->scratch;
    if (bytes > s->symbol_capacity) {
        symbol *symbols = fnd_alloc_resized(s->symbols, bytes, sizeof *symbols);
        if (!symbols) return no_memory(err);
        s->symbols = symbols;
        s->symbol_capacity = bytes;
    }
    FND_TRY(heap_reserve(s, bytes, err));
    s->heap_count = 0;
    uint32_t before = (uint32_t)NO_SYMBOL;
    size_t length;
    for (size_t i = 0; i < bytes; i += length) {
        uint32_t id = first_symbol(bpe, piece + i, bytes - i, &length);
        s->symbols[i] = (symbol){ .prev = before, .next = (uint32_t)NO_SYMBOL, .id = id, .rank = (uint32_t)NO_RANK };
        if (before != (uint32_t)NO_SYMBOL) {
            symbol *left = &s->symbols[before];
            left->next = (uint32_t)i;
            left->rank = rank_of(bpe, left->id, id);
            if (left->rank != (uint32_t)NO_RANK) s->heap[s->heap_count++] = (uint64_t)left->rank << 32 | before;
        }
        before = (uint32_t)i;
    }
    s->steps += bytes;
    if (s->heap_count > 1) {
        for (size_t i = (s->heap_count - 2) / 4 + 1; i-- > 0;) heap_sink(s, i);
    }
    return FND_OK;
}

/* The rank of the pair that begins at symbol i, after one of the two changed. */
static fnd_status renew_rank(fnd_bpe_call *call, uint32_t i, fnd_error *err) {
    symbol *at = &call->scratch->symbols[i];
    call->scratch->steps++;
    at->rank = at->next == (uint32_t)NO_SYMBOL ? (uint32_t)NO_RANK : rank_of(&call->t->bpe, at->id, call->scratch->symbols[at->next].id);
    return at->rank == (uint32_t)NO_RANK ? FND_OK : heap_push(call->scratch, (uint64_t)at->rank << 32 | i, err);
}

static fnd_status encode_long(fnd_bpe_call *call, const char *piece, size_t bytes, fnd_error *err) {
    fnd_bpe_scratch *s = call->scratch;
    uint32_t whole = whole_word(call->t, piece, bytes);
    if (whole != FND_TOKEN_NONE) return fnd_ids_add(call->ids, whole, err);
    FND_TRY(start_symbols(call, piece, bytes, err));
    while (s->heap_count) {
        uint64_t entry = heap_pop(s);
        uint32_t i = (uint32_t)entry;
        symbol *left = &s->symbols[i];
        if (left->rank != (uint32_t)(entry >> 32)) continue; /* outdated */
        symbol *right = &s->symbols[left->next];
        left->id = merged(&call->t->bpe, left->id, right->id);
        right->rank = (uint32_t)NO_RANK; /* gone: entries of it are outdated now */
        left->next = right->next;
        if (left->next != (uint32_t)NO_SYMBOL) s->symbols[left->next].prev = i;
        FND_TRY(renew_rank(call, i, err));
        if (left->prev != (uint32_t)NO_SYMBOL) FND_TRY(renew_rank(call, left->prev, err));
    }
    for (uint32_t i = 0, next; i != (uint32_t)NO_SYMBOL; i = next) {
        next = s->symbols[i].next;
        FND_TRY(put_symbol(call, s->symbols[i].id, piece + i, (next == (uint32_t)NO_SYMBOL ? bytes : next) - i, err));
    }
    return FND_OK;
}

/* ---- parts of a text ---- */

fnd_status fnd_bpe_encode_piece(void *user, const char *piece, size_t bytes, fnd_error *err) {
    fnd_bpe_call *call = user;
    size_t length;
    if (bytes == 1) return put_symbol(call, first_symbol(&call->t->bpe, piece, 1, &length), piece, 1, err);
    if (bytes <= SHORT_PIECE) return encode_word(call, piece, bytes, err);
    return encode_long(call, piece, bytes, err);
}

fnd_status fnd_bpe_encode_prefixed(fnd_bpe_call *call, const char *piece, size_t bytes, fnd_error *err) {
    fnd_bpe_scratch *s = call->scratch;
    if (s->prefixed_capacity <= bytes) {
        char *prefixed = fnd_alloc_resized(s->prefixed, bytes + 64, 1);
        if (!prefixed) return no_memory(err);
        s->prefixed = prefixed;
        s->prefixed_capacity = bytes + 64;
    }
    s->prefixed[0] = ' ';
    if (bytes) memcpy(s->prefixed + 1, piece, bytes);
    fnd_bpe_call copied = *call;
    copied.base_offset += (size_t)(piece - call->base);
    copied.base = s->prefixed + 1;
    return fnd_bpe_encode_piece(&copied, s->prefixed, bytes + 1, err);
}

fnd_status fnd_bpe_encode(fnd_bpe_call *call, const char *part, size_t bytes, fnd_error *err) {
    if (call->t->bpe.spm) return fnd_spm_encode(call, part, bytes, err);
    while (bytes) {
        size_t valid = fnd_utf8_valid(part, bytes);
        if (valid) FND_TRY(fnd_splitter_run(call->t->splitter, call->scratch->split, part, valid, fnd_bpe_encode_piece, call, err));
        part += valid;
        bytes -= valid;
        if (!bytes) break;
        /* No character: a piece of its own, one byte long. */
        FND_TRY(fnd_bpe_encode_piece(call, part, 1, err));
        part++;
        bytes--;
    }
    return FND_OK;
}
