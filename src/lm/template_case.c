/* template_case.c - upper and lower case of strings, with their marks. */
#include "base/base.h"
#include "lm/template.h"
#include "lm/unicode_case.h"

/* Is the capital sigma at s[at] the last letter of its word? Then its small form is another one. */
static bool is_final_sigma(tpl_str s, size_t at) {
    size_t before = at, after = at + 2; /* its bytes */
    bool letter = false;
    while (before > 0 && !letter) {
        size_t start = before - 1;
        while (start > 0 && ((unsigned char)s.data[start] & 0xC0) == 0x80) start--;
        uint32_t code = fnd_tpl_code(fnd_tpl_slice_str(s, start, before - start));
        if (!fnd_unicode_is_case_ignorable(code)) {
            if (!fnd_unicode_is_cased(code)) return false;
            letter = true;
        }
        before = start;
    }
    while (letter && after < s.bytes) {
        tpl_str c = fnd_tpl_char_at(s, after);
        uint32_t code = fnd_tpl_code(c);
        if (!fnd_unicode_is_case_ignorable(code)) return !fnd_unicode_is_cased(code);
        after += c.bytes;
    }
    return letter;
}

static size_t lower(tpl_str s, size_t at, uint32_t code, uint32_t out[FND_CASE_LENGTH]) {
    if (code == 0x3A3 && is_final_sigma(s, at)) {
        out[0] = 0x3C2;
        return 1;
    }
    return fnd_unicode_lower(code, out);
}

/* Where Jinja's filter title, unlike Python's method, begins words. */
static bool separates(uint32_t c) { return fnd_tpl_is_space(c) || (c < 128 && c && strchr("-({[<", (int)c)); }

/* `first`: no letter of this word came before. */
static size_t map(tpl_str s, size_t at, uint32_t code, tpl_case how, bool first, uint32_t out[FND_CASE_LENGTH]) {
    switch (how) {
    case TPL_UPPER:
        return fnd_unicode_upper(code, out);
    case TPL_FOLD:
        return fnd_unicode_fold(code, out);
    case TPL_SWAP:
        return fnd_unicode_is_upper(code) ? lower(s, at, code, out) : fnd_unicode_is_lower(code) ? fnd_unicode_upper(code, out)
                                                                                                 : (out[0] = code, (size_t)1);
    case TPL_CAPITALIZE:
        return at == 0 ? fnd_unicode_title(code, out) : lower(s, at, code, out);
    case TPL_TITLE:
        return first ? fnd_unicode_title(code, out) : lower(s, at, code, out);
    case TPL_TITLE_FILTER:
        return first ? fnd_unicode_upper(code, out) : lower(s, at, code, out);
    default:
        return lower(s, at, code, out);
    }
}

fnd_status fnd_tpl_change_case(tpl_run *r, const tpl_value *text, tpl_case how, tpl_value *out) {
    tpl_str s = *text->str;
    tpl_builder changed = { 0 };
    bool first = true;
    FND_TRY(fnd_tpl_step(r, s.bytes / 8));
    for (size_t at = 0; at < s.bytes;) {
        tpl_str c = fnd_tpl_char_at(s, at);
        uint32_t code = fnd_tpl_code(c), codes[FND_CASE_LENGTH];
        if (code == 0xFFFD) { /* or a byte that is no character */
            fnd_tpl_add_str(r, &changed, c);
        } else {
            size_t n = map(s, at, code, how, first, codes);
            for (size_t i = 0; i < n; i++) fnd_tpl_add_code(r, &changed, codes[i], fnd_tpl_mark_of(c));
        }
        first = how == TPL_TITLE ? !fnd_unicode_is_cased(code) : separates(code);
        at += c.bytes;
    }
    return fnd_tpl_built(r, &changed, s.markup && how != TPL_TITLE_FILTER, out);
}

/* As Python: there is a letter, and none of the other case. */
bool fnd_tpl_in_case(tpl_str s, bool upper) {
    bool letters = false;
    for (size_t at = 0; at < s.bytes;) {
        tpl_str c = fnd_tpl_char_at(s, at);
        uint32_t code = fnd_tpl_code(c);
        if (fnd_unicode_is_title(code) || (upper ? fnd_unicode_is_lower(code) : fnd_unicode_is_upper(code))) return false;
        letters = letters || (upper ? fnd_unicode_is_upper(code) : fnd_unicode_is_lower(code));
        at += c.bytes;
    }
    return letters;
}
