/* stops.c - stop strings. Looked for byte by byte, so that it does not matter how text is cut in tokens. */
#include "lm/stops.h"
#include "base/base.h"

/* Bytes of the longest stop string that ends with the first `end` bytes; 0: none. */
static size_t stop_before(const fnd_stops *s, size_t end) {
    size_t longest = 0;
    for (size_t i = 0; i < s->count; i++) {
        size_t n = strlen(s->list[i]);
        if (n > longest && n <= end && memcmp(s->held.data + end - n, s->list[i], n) == 0) longest = n;
    }
    return longest;
}

/* Bytes at the end that are the beginning of a stop string. */
static size_t may_begin(const fnd_stops *s) {
    size_t longest = 0;
    for (size_t i = 0; i < s->count; i++) {
        size_t n = strlen(s->list[i]);
        for (size_t k = n ? fnd_min_size(n - 1, s->held.bytes) : 0; k > longest; k--) {
            if (memcmp(s->held.data + s->held.bytes - k, s->list[i], k) == 0) longest = k;
        }
    }
    return longest;
}

static void forget_given(fnd_stops *s) {
    if (s->given) memmove(s->held.data, s->held.data + s->given, s->held.bytes - s->given);
    s->held.bytes -= s->given;
    s->given = 0;
}

fnd_status fnd_stops_push(fnd_stops *s, fnd_span text, fnd_span *out, bool *met, fnd_error *err) {
    *met = false;
    *out = text;
    if (!s->count) return FND_OK;
    forget_given(s);
    size_t before = s->held.bytes;
    fnd_text_add(&s->held, text.data, text.bytes);
    FND_TRY(fnd_text_check(&s->held, err));
    for (size_t end = before + 1; end <= s->held.bytes && !*met; end++) {
        size_t n = stop_before(s, end);
        if (!n) continue;
        *met = true;
        s->held.bytes = end - n;
    }
    s->given = *met ? s->held.bytes : s->held.bytes - may_begin(s);
    *out = (fnd_span){ fnd_text_get(&s->held), s->given };
    return FND_OK;
}

fnd_span fnd_stops_rest(fnd_stops *s) {
    if (!s->count) return (fnd_span){ 0 };
    forget_given(s);
    s->given = s->held.bytes;
    return (fnd_span){ fnd_text_get(&s->held), s->given };
}

void fnd_stops_free(fnd_stops *s) { fnd_text_free(&s->held); }
