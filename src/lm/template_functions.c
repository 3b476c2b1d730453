/* template_functions.c - arguments, global functions, and finding what templates call by its name. */
#include "base/base.h"
#include "lm/template_tree.h"

#include <stdio.h>
#include <time.h>

/* ---- arguments ---- */

tpl_function *fnd_tpl_find_named(const tpl_named *table, size_t count, const char *name, size_t bytes) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(table[i].name) == bytes && memcmp(table[i].name, name, bytes) == 0) return table[i].function;
    }
    return NULL;
}

fnd_status fnd_tpl_bind(tpl_run *r, const char *what, const tpl_args *args, const char *const *names, size_t required, tpl_value *values) {
    bool given[8] = { false };
    size_t count = 0;
    while (names[count]) count++;
    if (args->count > count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s takes at most %zu arguments, not %zu", what, count, args->count);
    for (size_t i = 0; i < args->count; i++) {
        values[i] = args->items[i];
        given[i] = true;
    }
    for (size_t k = 0; k < args->named_count; k++) {
        size_t i = 0;
        while (names[i] && !fnd_tpl_str_is(&args->names[k], names[i])) i++;
        if (!names[i]) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s has no argument '%.*s'", what, (int)args->names[k].bytes, args->names[k].data);
        if (given[i]) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s gets its argument '%s' twice", what, names[i]);
        values[i] = args->named[k];
        given[i] = true;
    }
    for (size_t i = 0; i < required; i++) {
        if (!given[i]) return fnd_tpl_fail(r, FND_ERR_FORMAT, "%s needs its argument '%s'", what, names[i]);
    }
    return FND_OK;
}

fnd_status fnd_tpl_no_args(tpl_run *r, const char *what, const tpl_args *args) { return fnd_tpl_bind(r, what, args, (const char *const[]){ NULL }, 0, NULL); }

fnd_status fnd_tpl_need_str(tpl_run *r, const char *what, const tpl_value *v) {
    if (v->kind == TPL_STR) return FND_OK;
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, v);
    return fnd_tpl_fail(r, FND_ERR_TYPE, "%s needs a string, not %s", what, fnd_tpl_kind_name(v));
}

fnd_status fnd_tpl_need_int(tpl_run *r, const char *what, const tpl_value *v, int64_t *out) {
    if (v->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, v);
    if (v->kind != TPL_INT && v->kind != TPL_BOOL) return fnd_tpl_fail(r, FND_ERR_TYPE, "%s needs an integer, not %s", what, fnd_tpl_kind_name(v));
    *out = fnd_tpl_as_integer(v);
    return FND_OK;
}

/* ---- calling ---- */

fnd_status fnd_tpl_call(tpl_run *r, const tpl_value *callable, const tpl_args *args, tpl_value *out) {
    static const char *const names[] = { "iterable", NULL };
    if (callable->kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, callable);
    FND_TRY(fnd_tpl_step(r, 4));
    if (callable->kind == TPL_LOOP) {
        tpl_value over;
        FND_TRY(fnd_tpl_bind(r, "loop()", args, names, 1, &over));
        return fnd_tpl_loop_again(r, callable->loop, &over, out);
    }
    if (callable->kind != TPL_CALLABLE) return fnd_tpl_fail(r, FND_ERR_TYPE, "%s cannot be called", fnd_tpl_kind_name(callable));
    const tpl_callable *c = callable->callable;
    return c->function ? c->function(r, &c->self, args, out) : fnd_tpl_call_macro(r, c, args, out);
}

tpl_function *fnd_tpl_find_filter(const char *name, size_t bytes) {
    static tpl_function *(*const finders[])(const char *name, size_t bytes) = { fnd_tpl_find_text_filter, fnd_tpl_find_items_filter, fnd_tpl_find_order_filter, fnd_tpl_find_number_filter, fnd_tpl_find_layout_filter };
    tpl_function *found = NULL;
    for (size_t i = 0; i < FND_COUNT(finders) && !found; i++) found = finders[i](name, bytes);
    return found;
}

fnd_status fnd_tpl_filter(tpl_run *r, const char *name, size_t name_bytes, const tpl_value *self, const tpl_args *args, tpl_value *out) {
    tpl_function *filter = fnd_tpl_find_filter(name, name_bytes);
    if (!filter) return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the filter \"%.*s\" is not known here", (int)fnd_min_size(name_bytes, 100), name);
    FND_TRY(fnd_tpl_step(r, 4));
    return filter(r, self, args, out);
}

/* ---- global functions ---- */

static TPL_FUNCTION(call_range) {
    tpl_value v[3] = { fnd_tpl_int(0), fnd_tpl_int(0), fnd_tpl_int(1) };
    int64_t parts[3];
    (void)self;
    if (args->named_count || args->count < 1 || args->count > 3) return fnd_tpl_fail(r, FND_ERR_FORMAT, "range() takes one to three integers");
    for (size_t i = 0; i < args->count; i++) v[args->count == 1 ? 1 : i] = args->items[i];
    for (size_t i = 0; i < 3; i++) FND_TRY(fnd_tpl_need_int(r, "range()", &v[i], &parts[i]));
    return fnd_tpl_new_range(r, parts[0], parts[1], parts[2], out);
}

/* dict(mapping or pairs, name=value ..) */
static TPL_FUNCTION(call_dict) {
    (void)self;
    FND_TRY(fnd_tpl_new_dict(r, args->named_count, out));
    if (args->count > 1) return fnd_tpl_fail(r, FND_ERR_FORMAT, "this takes named arguments and at most one dict");
    tpl_value pairs = args->count ? args->items[0] : fnd_tpl_none();
    tpl_list items = { 0 };
    if (pairs.kind == TPL_UNDEFINED) return fnd_tpl_undefined_used(r, &pairs);
    if (pairs.kind == TPL_DICT) FND_TRY(fnd_tpl_dict_view(r, pairs.dict, TPL_ITEMS, &pairs));
    if (args->count) FND_TRY(fnd_tpl_items(r, &pairs, &items));
    for (size_t i = 0; i < items.count; i++) {
        tpl_list pair;
        FND_TRY(fnd_tpl_items(r, &items.items[i], &pair));
        if (pair.count != 2) return fnd_tpl_fail(r, FND_ERR_TYPE, "a dict is made of pairs, not of %zu values", pair.count);
        FND_TRY(fnd_tpl_dict_set(r, out->dict, &pair.items[0], &pair.items[1]));
    }
    for (size_t i = 0; i < args->named_count; i++) {
        tpl_value key;
        FND_TRY(fnd_tpl_new_str(r, args->names[i], &key));
        FND_TRY(fnd_tpl_dict_set(r, out->dict, &key, &args->named[i]));
    }
    return FND_OK;
}

static TPL_FUNCTION(call_namespace) {
    FND_TRY(call_dict(r, self, args, out));
    out->kind = TPL_NAMESPACE;
    return FND_OK;
}

static TPL_FUNCTION(call_raise) {
    static const char *const names[] = { "message", NULL };
    tpl_value message, text;
    char shown[400];
    (void)self, (void)out;
    FND_TRY(fnd_tpl_bind(r, "raise_exception()", args, names, 1, &message));
    FND_TRY(fnd_tpl_to_str(r, &message, &text));
    return fnd_tpl_fail(r, FND_ERR_FORMAT, "raise_exception() refuses these messages: %s", fnd_span_quote((fnd_span){ text.str->data, text.str->bytes }, shown, sizeof shown));
}

/* The format of Python's datetime as C's: it has microseconds (%f), and no time zone (%z, %:z, %Z). Behind it comes a
 * space, so that no text is empty. */
static fnd_status time_format(tpl_run *r, const tpl_str *s, long microseconds, tpl_builder *out) {
    char fraction[32];
    snprintf(fraction, sizeof fraction, "%06ld", microseconds);
    for (size_t i = 0; i < s->bytes; i++) {
        const char *p = s->data + i;
        size_t left = s->bytes - i;
        if (*p == '\0') return fnd_tpl_fail(r, FND_ERR_FORMAT, "the format of strftime_now() has a zero byte");
        if (left >= 2 && p[0] == '%' && (p[1] == 'z' || p[1] == 'Z')) {
            i++;
        } else if (left >= 3 && memcmp(p, "%:z", 3) == 0) {
            i += 2;
        } else if (left >= 2 && p[0] == '%' && p[1] == 'f') {
            fnd_tpl_add_text(r, out, fraction);
            i++;
        } else {
            size_t bytes = left >= 2 && p[0] == '%' ? 2 : 1;
            fnd_tpl_add(r, out, p, bytes, NULL, TPL_FROM_TEMPLATE);
            i += bytes - 1;
        }
    }
    fnd_tpl_add(r, out, " ", 2, NULL, TPL_FROM_TEMPLATE); /* with the NUL */
    return r->failed ? fnd_tpl_no_memory(r) : FND_OK;
}

static TPL_FUNCTION(call_strftime_now) {
    static const char *const names[] = { "format", NULL };
    tpl_value v;
    tpl_builder format = { 0 };
    struct timespec now;
    struct tm parts;
    (void)self;
    FND_TRY(fnd_tpl_bind(r, "strftime_now()", args, names, 1, &v));
    FND_TRY(fnd_tpl_need_str(r, "strftime_now()", &v));
    FND_TRY(fnd_tpl_step(r, v.str->bytes));
    if (timespec_get(&now, TIME_UTC) != TIME_UTC || !localtime_r(&now.tv_sec, &parts)) return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "the clock, which strftime_now() reads, cannot be read here");
    FND_TRY(time_format(r, v.str, now.tv_nsec / 1000, &format));
    /* strftime() does not say how much room it needs. */
    for (size_t room = 2 * format.bytes + 64; room <= TPL_TIME_LIMIT; room *= 2) {
        char *text = fnd_arena_alloc(r->arena, room, 1);
        if (!text) return fnd_tpl_no_memory(r);
        size_t bytes = strftime(text, room, format.data, &parts);
        if (bytes) return fnd_tpl_new_str(r, (tpl_str){ .data = text, .bytes = bytes - 1, .mark = fnd_tpl_mark_of(*v.str) }, out);
    }
    return fnd_tpl_fail(r, FND_ERR_LIMIT, "the text of strftime_now() is longer than the %d bytes allowed", TPL_TIME_LIMIT);
}

static TPL_FUNCTION(use_cycler) {
    (void)self, (void)args, (void)out;
    return fnd_tpl_fail(r, FND_ERR_TYPE, "a cycler cannot be called; its next() gives the next value");
}

static TPL_FUNCTION(call_cycler) {
    tpl_value values;
    (void)self;
    if (args->count == 0 || args->named_count) return fnd_tpl_fail(r, FND_ERR_FORMAT, "cycler() takes one or more values");
    FND_TRY(fnd_tpl_copy_list(r, args->items, args->count, TPL_TUPLE, &values));
    return fnd_tpl_new_callable(r, "a cycler", use_cycler, &values, out);
}

/* self: the separator, and whether it was called before. */
static TPL_FUNCTION(use_joiner) {
    FND_TRY(fnd_tpl_no_args(r, "a joiner", args));
    if (self->list->items[1].flag) {
        *out = self->list->items[0];
        return FND_OK;
    }
    self->list->items[1].flag = true;
    return fnd_tpl_new_str(r, fnd_tpl_const_str(""), out);
}

static TPL_FUNCTION(call_joiner) {
    static const char *const names[] = { "sep", NULL };
    tpl_value state[2] = { { 0 }, fnd_tpl_bool(false) }, list;
    (void)self;
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str(", "), &state[0]));
    FND_TRY(fnd_tpl_bind(r, "joiner()", args, names, 0, state));
    FND_TRY(fnd_tpl_copy_list(r, state, 2, TPL_LIST, &list));
    return fnd_tpl_new_callable(r, "a joiner", use_joiner, &list, out);
}

static TPL_FUNCTION(call_lipsum) {
    (void)self, (void)args, (void)out;
    return fnd_tpl_fail(r, FND_ERR_UNSUPPORTED, "lipsum() is not supported: a prompt is the same each time");
}

const tpl_callable *fnd_tpl_find_global(const char *name, size_t bytes) {
    static const tpl_callable globals[] = {
        { .name = "range", .function = call_range },
        { .name = "namespace", .function = call_namespace },
        { .name = "dict", .function = call_dict },
        { .name = "raise_exception", .function = call_raise },
        { .name = "strftime_now", .function = call_strftime_now },
        { .name = "cycler", .function = call_cycler },
        { .name = "joiner", .function = call_joiner },
        { .name = "lipsum", .function = call_lipsum },
    };
    for (size_t i = 0; i < FND_COUNT(globals); i++) {
        if (strlen(globals[i].name) == bytes && memcmp(globals[i].name, name, bytes) == 0) return &globals[i];
    }
    return NULL;
}
