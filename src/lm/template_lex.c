/* template_lex.c - the tokens of a template.
 *
 * Blocks and comments take the line break after them along (trim_blocks) and the blanks before them
 * at the beginning of a line (lstrip_blocks); a sign in the tag says otherwise: `-` strips all white
 * space on its side, `+` none. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/template_tree.h"
#include "lm/unicode.h"
#include "lm/unicode_case.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct lexer {
    const char *text;
    size_t bytes, at;
    size_t counted; /* line and column are those of this offset */
    uint32_t line, column;
    bool line_start; /* what was read last ended with a line break */
    fnd_arena *arena;
    tpl_tokens *out;
    fnd_error *err;
    char brackets[TPL_PARSE_DEPTH];
    size_t depth;
} lexer;

fnd_status fnd_tpl_fail_at(fnd_error *err, fnd_status status, uint32_t line, uint32_t column, const char *format, ...) {
    char text[FND_ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fnd_fail(err, status, "chat template, line %u, column %u: %s", line, column, text);
}

/* Bytes of the white space character at `at`; 0: none there. */
static size_t space_at(const lexer *l, size_t at) {
    size_t n = fnd_utf8_char(l->text + at, l->bytes - at);
    return n && fnd_tpl_is_space(fnd_utf8_code(l->text + at)) ? n : 0;
}

static size_t skip_spaces(const lexer *l, size_t at) {
    for (size_t n; at < l->bytes && (n = space_at(l, at)) != 0;) at += n;
    return at;
}

static void locate(lexer *l, size_t at) {
    if (at < l->counted) {
        l->counted = 0;
        l->line = l->column = 1;
    }
    for (; l->counted < at; l->counted++) {
        unsigned char c = (unsigned char)l->text[l->counted];
        if (c == '\n') {
            l->line++;
            l->column = 1;
        } else if ((c & 0xC0) != 0x80) {
            l->column++;
        }
    }
}

static fnd_status fail(lexer *l, size_t at, const char *what) {
    locate(l, at);
    return fnd_tpl_fail_at(l->err, FND_ERR_FORMAT, l->line, l->column, "%s", what);
}

static fnd_status no_memory(const lexer *l) { return fnd_fail(l->err, FND_ERR_MEMORY, "out of memory for a chat template"); }

static fnd_status push(lexer *l, tpl_token_kind kind, size_t at, const char *data, size_t bytes, tpl_token **token) {
    tpl_tokens *t = l->out;
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 64;
        tpl_token *items = fnd_arena_alloc(l->arena, capacity, sizeof *items);
        if (!items) return no_memory(l);
        if (t->count) memcpy(items, t->items, t->count * sizeof *items);
        t->items = items;
        t->capacity = capacity;
    }
    locate(l, at);
    tpl_token *new = &t->items[t->count++];
    *new = (tpl_token){ .kind = kind, .line = l->line, .column = l->column, .data = data, .bytes = bytes };
    if (token) *token = new;
    return FND_OK;
}

static bool looking_at(const lexer *l, size_t at, const char *what) {
    size_t n = strlen(what);
    return l->bytes - at >= n && memcmp(l->text + at, what, n) == 0;
}

/* ---- text between tags ---- */

static fnd_status push_data(lexer *l, size_t start, size_t end, char sign, bool is_print) {
    if (sign == '-') {
        size_t last = start;
        for (size_t i = start; i < end;) {
            size_t space = space_at(l, i), n = fnd_utf8_char(l->text + i, l->bytes - i);
            i += space ? space : n ? n
                                   : 1;
            if (!space) last = i;
        }
        end = last;
    } else if (sign != '+' && !is_print) {
        size_t line = end;
        while (line > start && l->text[line - 1] != '\n') line--;
        bool begins_line = line > start || l->line_start;
        if (begins_line && skip_spaces(l, line) >= end) end = line;
    }
    return end > start ? push(l, TK_DATA, start, l->text + start, end - start, NULL) : FND_OK;
}

/* The end of a tag: `at` is just behind it; `sign` stood before it. */
static void after_tag(lexer *l, size_t at, char sign, bool trims) {
    l->at = at;
    if (sign == '-') {
        l->at = skip_spaces(l, at);
    } else if (trims && sign != '+' && at < l->bytes && l->text[at] == '\n') {
        l->at = at + 1;
    }
    l->line_start = l->text[l->at - 1] == '\n';
}

static fnd_status lex_comment(lexer *l, size_t start) {
    size_t at = start + 2 + (looking_at(l, start + 2, "-") || looking_at(l, start + 2, "+"));
    size_t end = at;
    while (end < l->bytes && !looking_at(l, end, "#}")) end++;
    if (end >= l->bytes) return fail(l, start, "this comment is never closed with #}");
    after_tag(l, end + 2, end > at ? l->text[end - 1] : '\0', true);
    return FND_OK;
}

/* `{% name %}` at `at`? *end is just behind it, the signs are those beside the percent signs. */
static bool bare_block(const lexer *l, size_t at, const char *name, char *begin_sign, char *end_sign, size_t *end) {
    if (!looking_at(l, at, "{%")) return false;
    at += 2;
    *begin_sign = *end_sign = '\0';
    if (at < l->bytes && (l->text[at] == '-' || l->text[at] == '+')) *begin_sign = l->text[at++];
    at = skip_spaces(l, at);
    if (!looking_at(l, at, name)) return false;
    at = skip_spaces(l, at + strlen(name));
    if (at < l->bytes && (l->text[at] == '-' || l->text[at] == '+')) *end_sign = l->text[at++];
    *end = at + 2;
    return looking_at(l, at, "%}");
}

static fnd_status lex_raw(lexer *l, size_t start, size_t end, char end_sign) {
    size_t from = end_sign == '-' ? skip_spaces(l, end) : end;
    l->line_start = l->text[from - 1] == '\n';
    char begin_sign;
    for (size_t at = from; at < l->bytes; at++) {
        if (!bare_block(l, at, "endraw", &begin_sign, &end_sign, &end)) continue;
        FND_TRY(push_data(l, from, at, begin_sign, false));
        after_tag(l, end, end_sign, true);
        return FND_OK;
    }
    return fail(l, start, "this raw block is never closed with endraw");
}

/* ---- expressions ---- */

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                                   : c >= 'A' && c <= 'F'   ? c - 'A' + 10
                                                                                            : -1; }

/* One escape at in (behind the backslash), as Python's unicode-escape has them. Returns the bytes
 * read; 0: a malformed one. */
static size_t unescape(const char *in, size_t bytes, char *out, size_t *used) {
    static const char names[] = "n\nt\tr\rb\bf\fv\va\a\\\\''\"\"";
    if (in[0] == '\n') return 1; /* a continued line */
    for (size_t i = 0; i + 1 < sizeof names; i += 2) {
        if (in[0] == names[i]) {
            out[(*used)++] = names[i + 1];
            return 1;
        }
    }
    if (in[0] == 'N') return 0; /* characters by their names: not here */
    uint32_t code = 0;
    size_t n = 0, digits = in[0] == 'x' ? 2 : in[0] == 'u' ? 4
                                          : in[0] == 'U'   ? 8
                                                           : 0;
    if (digits) {
        for (n = 1; n <= digits; n++) {
            if (n >= bytes || hex_digit(in[n]) < 0) return 0;
            code = code << 4 | (uint32_t)hex_digit(in[n]);
        }
        if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0;
    } else if (in[0] >= '0' && in[0] <= '7') {
        for (; n < 3 && n < bytes && in[n] >= '0' && in[n] <= '7'; n++) code = code << 3 | (uint32_t)(in[n] - '0');
    } else {
        out[(*used)++] = '\\'; /* no escape: both characters stay */
        return (size_t)-1;
    }
    *used += fnd_utf8_put(code, out + *used);
    return n;
}

static fnd_status lex_string(lexer *l) {
    size_t start = l->at, end = start + 1;
    char quote = l->text[start];
    while (end < l->bytes && l->text[end] != quote) end += l->text[end] == '\\' ? 2 : 1;
    if (end >= l->bytes) return fail(l, start, "this string is never closed");
    char *out = fnd_arena_alloc(l->arena, end - start, 1); /* an escape is never longer than what it makes */
    if (!out) return no_memory(l);
    size_t used = 0;
    for (size_t i = start + 1; i < end;) {
        if (l->text[i] != '\\') {
            out[used++] = l->text[i++];
            continue;
        }
        size_t n = unescape(l->text + i + 1, end - i - 1, out, &used);
        if (n == 0) return fail(l, i, l->text[i + 1] == 'N' ? "\\N{...} in a string is not supported; \\u and four digits are" : "this escape in a string is malformed");
        i += 1 + (n == (size_t)-1 ? 0 : n);
    }
    l->at = end + 1;
    return push(l, TK_STRING, start, out, used, NULL);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static char char_at(const lexer *l, size_t at) { return at < l->bytes ? l->text[at] : '\0'; }

/* Bytes of the character at `at` if names may hold it; 0: they may not. */
static size_t word_at(const lexer *l, size_t at) {
    char c = char_at(l, at);
    if ((unsigned char)c < 0x80) return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    size_t n = fnd_utf8_char(l->text + at, l->bytes - at);
    return n && fnd_unicode_is_word(fnd_utf8_code(l->text + at)) ? n : 0;
}

static size_t skip_digits(const lexer *l, size_t at) {
    while (is_digit(char_at(l, at)) || (char_at(l, at) == '_' && is_digit(char_at(l, at + 1)))) at++;
    return at;
}

/* Behind the point and the exponent that digits (up to `end`) may have; `end` again: there are none. */
static size_t skip_fraction(const lexer *l, size_t end) {
    size_t at = end;
    if (char_at(l, at) == '.' && is_digit(char_at(l, at + 1))) at = skip_digits(l, at + 1);
    char sign = char_at(l, at + 1);
    size_t exponent = at + 1 + (sign == '+' || sign == '-');
    if ((char_at(l, at) == 'e' || char_at(l, at) == 'E') && is_digit(char_at(l, exponent))) at = skip_digits(l, exponent);
    return at;
}

/* 0x.., 0o.., 0b..: the base, and the end of the digits; 10: none of them. */
static int prefixed(const lexer *l, size_t start, size_t *end) {
    char letter = (char)(char_at(l, start + 1) | 0x20);
    int base = letter == 'x' ? 16 : letter == 'o' ? 8
                                : letter == 'b'   ? 2
                                                  : 10;
    if (l->text[start] != '0' || base == 10) return 10;
    size_t at = start + 2;
    for (;; at++) {
        int digit = hex_digit(char_at(l, at + (char_at(l, at) == '_')));
        if (digit < 0 || digit >= base) break;
        at += char_at(l, at) == '_';
    }
    *end = at;
    return at > start + 2 ? base : 10;
}

static fnd_status lex_number(lexer *l) {
    size_t start = l->at, end = skip_digits(l, start);
    bool after_dot = l->out->count && l->out->items[l->out->count - 1].kind == TK_OP && l->out->items[l->out->count - 1].data[0] == '.';
    size_t fraction = after_dot ? end : skip_fraction(l, end);
    bool is_float = fraction > end;
    int base = 10;
    if (is_float) {
        end = fraction;
    } else if (l->text[start] == '0') { /* no other digits follow a zero */
        for (end = start + 1; char_at(l, end + (char_at(l, end) == '_')) == '0';) end += char_at(l, end) == '_' ? 2 : 1;
        base = prefixed(l, start, &end);
    }
    char digits[64];
    size_t n = 0;
    for (size_t i = base == 10 ? start : start + 2; i < end; i++) {
        if (l->text[i] == '_') continue;
        if (n + 1 >= sizeof digits) return fail(l, start, "this number has too many digits");
        digits[n++] = l->text[i];
    }
    digits[n] = '\0';
    tpl_token *token;
    l->at = end;
    FND_TRY(push(l, is_float ? TK_FLOAT : TK_INT, start, l->text + start, end - start, &token));
    errno = 0;
    if (is_float) {
        token->number = strtod(digits, NULL);
    } else {
        token->integer = strtoll(digits, NULL, base);
    }
    return errno == ERANGE && !is_float ? fail(l, start, "this integer does not fit 64 bits") : FND_OK;
}

static fnd_status lex_operator(lexer *l) {
    static const char *const operators[] = { "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";" };
    for (size_t i = 0; i < FND_COUNT(operators); i++) {
        if (!looking_at(l, l->at, operators[i])) continue;
        char c = operators[i][0];
        if (c == '(' || c == '[' || c == '{') {
            if (l->depth == sizeof l->brackets) return fnd_tpl_fail_at(l->err, FND_ERR_LIMIT, l->line, l->column, "brackets are nested more than %d deep", TPL_PARSE_DEPTH);
            l->brackets[l->depth++] = c == '(' ? ')' : c == '[' ? ']'
                                                                : '}';
        } else if (c == ')' || c == ']' || c == '}') {
            if (l->depth == 0 || l->brackets[l->depth - 1] != c) return fail(l, l->at, "this bracket closes none that is open");
            l->depth--;
        }
        size_t start = l->at;
        l->at += strlen(operators[i]);
        return push(l, TK_OP, start, operators[i], strlen(operators[i]), NULL);
    }
    char shown[80], found[2] = { l->text[l->at], 0 };
    snprintf(shown, sizeof shown, "the character %s does not belong here", (unsigned char)found[0] >= 32 && (unsigned char)found[0] < 127 ? found : "(a control or other character)");
    return fail(l, l->at, shown);
}

/* The inside of a tag, up to and with `close` ("}}" or "%}"). */
static fnd_status lex_inside(lexer *l, size_t opened, const char *close, tpl_token_kind end_kind) {
    bool is_block = end_kind == TK_BLOCK_END;
    l->depth = 0;
    for (;;) {
        l->at = skip_spaces(l, l->at);
        if (l->at >= l->bytes) return fail(l, opened, is_block ? "this block tag is never closed with %}" : "this expression is never closed with }}");
        char c = l->text[l->at];
        bool sign = (c == '-' || (c == '+' && is_block)) && looking_at(l, l->at + 1, close);
        if (l->depth == 0 && (sign || looking_at(l, l->at, close))) {
            FND_TRY(push(l, end_kind, l->at, close, 2, NULL));
            after_tag(l, l->at + 2 + sign, sign ? c : '\0', is_block);
            return FND_OK;
        }
        locate(l, l->at);
        if (c == '"' || c == '\'') {
            FND_TRY(lex_string(l));
        } else if (is_digit(c)) {
            FND_TRY(lex_number(l));
        } else if (word_at(l, l->at)) {
            size_t start = l->at;
            for (size_t n; (n = word_at(l, l->at)) != 0;) l->at += n;
            FND_TRY(push(l, TK_NAME, start, l->text + start, l->at - start, NULL));
        } else {
            FND_TRY(lex_operator(l));
        }
    }
}

static fnd_status lex_tag(lexer *l, size_t data_start, size_t at) {
    char next = l->text[at + 1], sign = char_at(l, at + 2), begin_sign, end_sign;
    size_t end;
    bool raw = next == '%' && bare_block(l, at, "raw", &begin_sign, &end_sign, &end) && end_sign != '+';
    FND_TRY(push_data(l, data_start, at, sign, next == '{'));
    if (next == '#') return lex_comment(l, at);
    if (raw) return lex_raw(l, at, end, end_sign);
    bool is_print = next == '{';
    FND_TRY(push(l, is_print ? TK_PRINT_BEGIN : TK_BLOCK_BEGIN, at, l->text + at, 2, NULL));
    l->at = at + 2 + (sign == '-' || sign == '+');
    return lex_inside(l, at, is_print ? "}}" : "%}", is_print ? TK_PRINT_END : TK_BLOCK_END);
}

static fnd_status lex_all(lexer *l) {
    while (l->at < l->bytes) {
        size_t start = l->at, at = start;
        while (at < l->bytes && !(l->text[at] == '{' && at + 1 < l->bytes && memchr("{%#", l->text[at + 1], 3))) at++;
        if (at >= l->bytes) {
            FND_TRY(push(l, TK_DATA, start, l->text + start, l->bytes - start, NULL));
            break;
        }
        FND_TRY(lex_tag(l, start, at));
    }
    return push(l, TK_END, l->bytes, "", 0, NULL);
}

/* Line breaks become \n; one at the very end does not count. */
fnd_status fnd_tpl_lex(const char *text, size_t bytes, fnd_arena *arena, tpl_tokens *out, fnd_error *err) {
    lexer l = { .line = 1, .column = 1, .line_start = true, .arena = arena, .out = out, .err = err };
    if (bytes > TPL_SOURCE_LIMIT) return fnd_fail(err, FND_ERR_LIMIT, "the chat template has %zu bytes, at most %d are read", bytes, TPL_SOURCE_LIMIT);
    char *copy = fnd_arena_alloc(arena, bytes + 1, 1);
    if (!copy) return no_memory(&l);
    for (size_t i = 0; i < bytes; i++) {
        bool crlf = text[i] == '\r' && i + 1 < bytes && text[i + 1] == '\n';
        if (!crlf) copy[l.bytes++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (l.bytes && copy[l.bytes - 1] == '\n') l.bytes--;
    l.text = copy;
    return lex_all(&l);
}
