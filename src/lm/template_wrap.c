/* template_wrap.c - lines of at most a width, broken between words and behind hyphens. */
#include "lm/template_wrap.h"
#include "base/base.h"
#include "lm/unicode_case.h"

/* A line as characters: places and comparisons are by character. */
typedef struct wrap {
    tpl_run *r;
    tpl_str text;
    size_t count;
    size_t *offsets; /* of each character; offsets[count] is the end */
    uint32_t *codes;
    int64_t width;
    bool break_words, break_hyphens;
} wrap;

static bool is_blank(uint32_t c) { return c == ' ' || (c >= 9 && c <= 13); }
static bool is_letter(const wrap *w, size_t i) { return i < w->count && fnd_unicode_is_word(w->codes[i]) && !fnd_unicode_is_decimal(w->codes[i]); }
static bool is_word(const wrap *w, size_t i) { return i < w->count && fnd_unicode_is_word(w->codes[i]); }
static bool is_word_or_mark(const wrap *w, size_t i) { return is_word(w, i) || (i < w->count && w->codes[i] < 128 && w->codes[i] && strchr("!\"'&.,?", (int)w->codes[i])); }
static bool is_hyphen(const wrap *w, size_t i) { return i < w->count && w->codes[i] == '-'; }

/* The end of a dash of two or more hyphens between words at i; i: there is none. */
static size_t dash_end(const wrap *w, size_t i) {
    size_t end = i;
    if (i == 0 || !is_word_or_mark(w, i - 1)) return i;
    while (is_hyphen(w, end)) end++;
    return end >= i + 2 && is_word(w, end) ? end : i;
}

/* May the line break behind the hyphen at i? */
static bool breaks_behind(const wrap *w, size_t i) {
    bool two = i >= 2 && is_letter(w, i - 1) && is_letter(w, i - 2);
    bool one = i >= 3 && is_letter(w, i - 3) && is_hyphen(w, i - 2) && is_word_or_mark(w, i - 1);
    return is_hyphen(w, i) && (two || one) && is_letter(w, i + 1) && is_letter(w, i + 2 + is_hyphen(w, i + 2));
}

/* The end of the piece that begins at i: blanks, a dash, a word or a part of one. */
static size_t piece_end(const wrap *w, size_t i) {
    size_t end = i;
    while (end < w->count && is_blank(w->codes[end])) end++;
    if (end > i) return end;
    if (w->break_hyphens && (end = dash_end(w, i)) > i) return end;
    for (end = i + 1; end < w->count && !is_blank(w->codes[end]); end++) {
        if (!w->break_hyphens) continue;
        if (breaks_behind(w, end)) return end + 1;
        if (dash_end(w, end) > end) return end;
    }
    return end;
}

static bool all_blank(const wrap *w, size_t start, size_t end) {
    for (; start < end; start++) {
        if (!fnd_tpl_is_space(w->codes[start])) return false;
    }
    return true;
}

/* Where a word too long for the `room` left is broken: behind its last hyphen, if that leaves something. */
static size_t break_at(const wrap *w, size_t start, size_t end, int64_t room) {
    if (!w->break_hyphens || (int64_t)(end - start) <= room) return fnd_min_size(end, start + (size_t)room);
    for (size_t i = start + (size_t)room; i-- > start + 1;) {
        if (!is_hyphen(w, i)) continue;
        for (size_t k = start; k < i; k++) {
            if (!is_hyphen(w, k)) return i + 1;
        }
        break;
    }
    return start + (size_t)room;
}

/* One line from character *at on, which is moved behind it; its end is without blanks. */
static size_t take_line(const wrap *w, size_t *at, size_t *piece) {
    size_t start = *at, end = start;
    int64_t used = 0;
    size_t last_start = start; /* of the last piece taken */
    while (*at < w->count && used + (int64_t)(*piece - *at) <= w->width) {
        used += (int64_t)(*piece - *at);
        last_start = *at;
        end = *at = *piece;
        *piece = piece_end(w, *at);
    }
    if (*at < w->count && (int64_t)(*piece - *at) > w->width) {
        int64_t room = w->width - used;
        if (w->break_words) {
            last_start = *at;
            end = *at = break_at(w, *at, *piece, room);
            if (*at == *piece) *piece = piece_end(w, *at);
            if (room == 0) last_start = end;
        } else if (end == start) {
            last_start = *at;
            end = *at = *piece;
            *piece = piece_end(w, *at);
        }
    }
    if (end > last_start && all_blank(w, last_start, end)) end = last_start;
    return end;
}

static fnd_status wrap_line(wrap *w, const tpl_str *by, tpl_builder *out) {
    size_t at = 0, piece = piece_end(w, 0);
    for (bool first = true; at < w->count;) {
        if (!first && all_blank(w, at, piece)) {
            at = piece;
            piece = piece_end(w, at);
            if (at >= w->count) break;
        }
        size_t start = at, end = take_line(w, &at, &piece);
        FND_TRY(fnd_tpl_step(w->r, 1 + (at - start) / 4));
        if (end == start) continue;
        if (!first) fnd_tpl_add_str(w->r, out, *by);
        fnd_tpl_add_str(w->r, out, fnd_tpl_slice_str(w->text, w->offsets[start], w->offsets[end] - w->offsets[start]));
        first = false;
    }
    return FND_OK;
}

static fnd_status open_line(wrap *w, tpl_str text) {
    w->text = text;
    w->count = fnd_tpl_count_chars(text);
    w->offsets = fnd_arena_alloc(w->r->arena, w->count + 1, sizeof *w->offsets);
    w->codes = fnd_arena_alloc(w->r->arena, w->count + 1, sizeof *w->codes);
    if (!w->offsets || !w->codes) return fnd_tpl_no_memory(w->r);
    size_t at = 0;
    for (size_t i = 0; i < w->count; i++) {
        tpl_str c = fnd_tpl_char_at(text, at);
        w->codes[i] = fnd_tpl_code(c);
        w->offsets[i] = at;
        at += c.bytes;
    }
    w->offsets[w->count] = at;
    return fnd_tpl_step(w->r, w->count / 4);
}

TPL_FUNCTION(fnd_tpl_wordwrap) {
    static const char *const names[] = { "width", "break_long_words", "wrapstring", "break_on_hyphens", NULL };
    tpl_value a[4] = { fnd_tpl_int(79), fnd_tpl_bool(true), fnd_tpl_none(), fnd_tpl_bool(true) }, lines;
    tpl_builder text = { 0 };
    FND_TRY(fnd_tpl_bind(r, "the filter \"wordwrap\"", args, names, 0, a));
    if (a[2].kind == TPL_NONE) FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str("\n"), &a[2]));
    FND_TRY(fnd_tpl_need_str(r, "the filter \"wordwrap\"", self));
    FND_TRY(fnd_tpl_need_str(r, "the filter \"wordwrap\"", &a[2]));
    wrap w = { .r = r, .break_words = fnd_tpl_truth(&a[1]), .break_hyphens = fnd_tpl_truth(&a[3]) };
    FND_TRY(fnd_tpl_need_int(r, "the filter \"wordwrap\"", &a[0], &w.width));
    FND_TRY(fnd_tpl_split_lines(r, self->str, false, &lines));
    if (w.width <= 0 && lines.list->count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the filter \"wordwrap\" needs a width above zero");
    for (size_t i = 0; i < lines.list->count; i++) {
        if (i) fnd_tpl_add_str(r, &text, *a[2].str);
        FND_TRY(open_line(&w, *lines.list->items[i].str));
        FND_TRY(wrap_line(&w, a[2].str, &text));
    }
    return fnd_tpl_built(r, &text, false, out);
}
