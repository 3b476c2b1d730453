/* unicode.h - UTF-8 by hand, where a library call would be too much. */
#ifndef LM_UNICODE_H
#define LM_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes (1..4) of the well-formed character that text begins with; 0: it begins with none. */
size_t fnd_utf8_char(const char *text, size_t bytes);
/* The character at text, which must be well-formed. */
uint32_t fnd_utf8_code(const char *text);
/* Writes 1..4 bytes. */
size_t fnd_utf8_put(uint32_t code, char out[4]);
/* Bytes of the longest well-formed beginning of text. */
size_t fnd_utf8_valid(const char *text, size_t bytes);
/* Is the whole text (1..3 bytes) the beginning of a character whose rest may still come? */
bool fnd_utf8_partial(const char *text, size_t bytes);

/* Bytes of white space (Unicode's White_Space) that text begins with. */
size_t fnd_unicode_spaces(const char *text, size_t bytes);

/* The alphabet in which byte-level vocabularies spell bytes: the 188 printable bytes of Latin-1 are
 * themselves, the other 68 are U+0100, U+0101 ... in order. */
enum { FND_BYTE_LETTERS = 256 + 68 };
void fnd_byte_letters(uint16_t letters[256]);

#endif
