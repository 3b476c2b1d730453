/* decoder.c - ids back to text: exact bytes, or whole characters as they come. */
#include "base/base.h"
#include "base/memory.h"
#include "base/text.h"
#include "lm/tokenizer.h"
#include "lm/unicode.h"

/* SentencePiece puts a space before a text and behind a special token; here it goes again. */
static fnd_span text_of(const fnd_tokenizer *t, uint32_t id, bool *fresh) {
    fnd_span text = fnd_token_text(t, id);
    bool special = id < t->info.token_count && fnd_token_is_special(t->types[id]);
    if (t->space_prefix && *fresh && !special && text.bytes && text.data[0] == ' ') text = (fnd_span){ text.data + 1, text.bytes - 1 };
    *fresh = special;
    return text;
}

fnd_status fnd_detokenize(const fnd_tokenizer *t, const uint32_t *ids, size_t count, char **text, size_t *bytes, fnd_error *err) {
    *text = NULL;
    *bytes = 0;
    bool fresh = true;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= t->info.token_count) {
            return fnd_fail(err, FND_ERR_USAGE, "token id %u at position %zu is out of range: the vocabulary has %u tokens", ids[i], i, t->info.token_count);
        }
        *bytes += text_of(t, ids[i], &fresh).bytes;
    }
    char *out = fnd_alloc_zeroed(*bytes + 1, 1);
    if (!out) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a text of %zu bytes", *bytes);
    *text = out;
    fresh = true;
    for (size_t i = 0; i < count; i++) {
        fnd_span piece = text_of(t, ids[i], &fresh);
        memcpy(out, piece.data, piece.bytes);
        out += piece.bytes;
    }
    return FND_OK;
}

void fnd_text_release(char *text) { fnd_free_memory(text); }

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

struct fnd_decoder {
    const fnd_tokenizer *t;
    unsigned flags;
    bool continues; /* not at the beginning, nor behind a special token */
    char held[4];   /* the beginning of a character */
    size_t held_bytes;
    char *out; /* room for (3 + longest token) bytes, each replaced */
    char *in;
};

fnd_status fnd_decoder_open(const fnd_tokenizer *t, unsigned flags, fnd_decoder **out, fnd_error *err) {
    size_t room = t->longest + sizeof((fnd_decoder *)0)->held;
    fnd_decoder *d = fnd_alloc_zeroed(1, sizeof *d);
    char *buffers = d ? fnd_alloc_zeroed(room, 4) : NULL;
    *out = NULL;
    if (!buffers) {
        fnd_free_memory(d);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a decoder");
    }
    *d = (fnd_decoder){ .t = t, .flags = flags, .out = buffers, .in = buffers + 3 * room };
    *out = d;
    return FND_OK;
}

void fnd_decoder_close(fnd_decoder *d) {
    if (!d) return;
    fnd_free_memory(d->out);
    fnd_free_memory(d);
}

static size_t put(fnd_decoder *d, size_t at, const char *data, size_t bytes) {
    memcpy(d->out + at, data, bytes);
    return at + bytes;
}

fnd_span fnd_decoder_push(fnd_decoder *d, uint32_t id) {
    bool fresh = !d->continues;
    fnd_span text = text_of(d->t, id, &fresh);
    d->continues = !fresh;
    if (fnd_token_is_control(d->t, id) && !(d->flags & FND_DECODE_CONTROL)) text.bytes = 0;
    size_t bytes = d->held_bytes + text.bytes, used = 0;
    memcpy(d->in, d->held, d->held_bytes);
    memcpy(d->in + d->held_bytes, text.data, text.bytes);
    d->held_bytes = 0;
    for (size_t i = 0; i < bytes;) {
        size_t n = fnd_utf8_char(d->in + i, bytes - i);
        if (n) {
            used = put(d, used, d->in + i, n);
        } else if (fnd_utf8_partial(d->in + i, bytes - i)) {
            d->held_bytes = bytes - i;
            memcpy(d->held, d->in + i, d->held_bytes);
            break;
        } else {
            used = put(d, used, REPLACEMENT, 3);
            n = 1;
        }
        i += n;
    }
    return (fnd_span){ d->out, used };
}

fnd_span fnd_decoder_flush(fnd_decoder *d) {
    size_t used = d->held_bytes ? put(d, 0, REPLACEMENT, 3) : 0;
    d->held_bytes = 0;
    d->continues = false;
    return (fnd_span){ d->out, used };
}
