/* unicode_case.h - letters: their case and their kind, as Unicode has them and Python's strings use them.
 *
 * Categories and one-to-one mappings come from utf8proc (its Unicode version: utf8proc_unicode_version()),
 * the mappings to several characters from Unicode 15's SpecialCasing.txt. */
#ifndef LM_UNICODE_CASE_H
#define LM_UNICODE_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FND_CASE_LENGTH = 3 }; /* characters that one may become */

/* The characters that `code` becomes (1 to 3); a capital sigma always becomes the small one that stands
 * inside of words. */
size_t fnd_unicode_upper(uint32_t code, uint32_t out[FND_CASE_LENGTH]);
size_t fnd_unicode_lower(uint32_t code, uint32_t out[FND_CASE_LENGTH]);
size_t fnd_unicode_title(uint32_t code, uint32_t out[FND_CASE_LENGTH]); /* as the first of a word */
size_t fnd_unicode_fold(uint32_t code, uint32_t out[FND_CASE_LENGTH]);  /* for comparing */

bool fnd_unicode_is_upper(uint32_t code);
bool fnd_unicode_is_lower(uint32_t code);
bool fnd_unicode_is_title(uint32_t code); /* one character for two letters of which the first is large */
bool fnd_unicode_is_cased(uint32_t code);
bool fnd_unicode_is_case_ignorable(uint32_t code); /* stands between letters without ending a word */
bool fnd_unicode_is_alpha(uint32_t code);
bool fnd_unicode_is_decimal(uint32_t code);
unsigned fnd_unicode_decimal_value(uint32_t code); /* 0 to 9 of a decimal digit of any script */
bool fnd_unicode_is_digit(uint32_t code);   /* also superscripts and numbers in circles */
bool fnd_unicode_is_numeric(uint32_t code); /* also fractions and Roman numerals */
bool fnd_unicode_is_word(uint32_t code);    /* letters, numbers, _ */
bool fnd_unicode_is_printable(uint32_t code);

#endif
