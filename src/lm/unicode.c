/* unicode.c - well-formed UTF-8 as Unicode's table 3-7 has it: no overlong forms, no surrogates. */
#include "lm/unicode.h"

#include <string.h>

/* Length by first byte, and the range of the second byte; 0 for a byte that begins nothing. */
static size_t sequence(unsigned char first, unsigned char *low, unsigned char *high) {
    *low = 0x80;
    *high = 0xBF;
    if (first < 0x80) return 1;
    if (first < 0xC2) return 0;
    if (first < 0xE0) return 2;
    if (first < 0xF0) {
        if (first == 0xE0) *low = 0xA0;
        if (first == 0xED) *high = 0x9F;
        return 3;
    }
    if (first == 0xF0) *low = 0x90;
    if (first == 0xF4) *high = 0x8F;
    return first <= 0xF4 ? 4 : 0;
}

/* How many of the bytes agree with one character; *length is the length it should have. */
static size_t agreeing(const char *text, size_t bytes, size_t *length) {
    unsigned char low, high;
    *length = 0;
    if (bytes == 0) return 0;
    *length = sequence((unsigned char)text[0], &low, &high);
    size_t n = *length ? 1 : 0;
    for (; n && n < *length && n < bytes; n++) {
        unsigned char c = (unsigned char)text[n];
        if (c < low || c > high) break;
        low = 0x80;
        high = 0xBF;
    }
    return n;
}

size_t fnd_utf8_char(const char *text, size_t bytes) {
    size_t length, n = agreeing(text, bytes, &length);
    return n == length ? n : 0;
}

bool fnd_utf8_partial(const char *text, size_t bytes) {
    size_t length, n = agreeing(text, bytes, &length);
    return n == bytes && n < length;
}

uint32_t fnd_utf8_code(const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) return p[0];
    if (p[0] < 0xE0) return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    if (p[0] < 0xF0) return (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

size_t fnd_utf8_put(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3
                                                 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    out[0] = (char)(lead[n] | code);
    return n;
}

size_t fnd_utf8_valid(const char *text, size_t bytes) {
    size_t i = 0;
    while (i < bytes) {
        uint64_t eight;
        while (i + 8 <= bytes && (memcpy(&eight, text + i, 8), (eight & 0x8080808080808080u) == 0)) i += 8;
        if (i == bytes) break;
        size_t n = fnd_utf8_char(text + i, bytes - i);
        if (n == 0) break;
        i += n;
    }
    return i;
}

static bool is_space(uint32_t code) {
    return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
           code == 0x205F || code == 0x3000;
}

size_t fnd_unicode_spaces(const char *text, size_t bytes) {
    size_t i = 0, n;
    while ((n = fnd_utf8_char(text + i, bytes - i)) > 0 && is_space(fnd_utf8_code(text + i))) i += n;
    return i;
}

void fnd_byte_letters(uint16_t letters[256]) {
    unsigned next = 256;
    for (unsigned b = 0; b < 256; b++) {
        bool prints = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        letters[b] = (uint16_t)(prints ? b : next++);
    }
}
