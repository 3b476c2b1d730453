/* template_sort.c - filters that order and compare items: sort, dictsort, groupby, unique, min, max, sum. */
#include "base/base.h"
#include "lm/template.h"

typedef struct keyed {
    tpl_value key, item;
} keyed;

/* Merge sort: stable, and failures of a comparison come through. */
static fnd_status sort_range(tpl_run *r, keyed *a, keyed *room, size_t count, bool backwards) {
    if (count < 2) return FND_OK;
    size_t half = count / 2, i = 0, j = half, k = 0;
    FND_TRY(sort_range(r, a, room, half, backwards));
    FND_TRY(sort_range(r, a + half, room, count - half, backwards));
    FND_TRY(fnd_tpl_step(r, count));
    while (i < half && j < count) {
        int order = 0;
        FND_TRY(fnd_tpl_order(r, &a[i].key, &a[j].key, &order));
        bool left = backwards ? order >= 0 : order <= 0;
        room[k++] = left ? a[i++] : a[j++];
    }
    while (i < half) room[k++] = a[i++];
    while (j < count) room[k++] = a[j++];
    memcpy(a, room, count * sizeof *a);
    return FND_OK;
}

/* What an item is ordered by: a part of it (fallback, if that is undefined), strings in lower case
 * unless case_sensitive. */
typedef struct key_rule {
    tpl_value path, fallback;
    bool case_sensitive;
    bool several; /* the path may be several with commas between; the key is a list then */
} key_rule;

static fnd_status one_key(tpl_run *r, const key_rule *rule, const tpl_value *item, const tpl_value *path, tpl_value *out) {
    tpl_value part;
    FND_TRY(fnd_tpl_get_path(r, item, path, &part));
    if (part.kind == TPL_UNDEFINED && rule->fallback.kind != TPL_NONE) part = rule->fallback;
    *out = part;
    return part.kind == TPL_STR && !rule->case_sensitive ? fnd_tpl_change_case(r, &part, TPL_LOWER, out) : FND_OK;
}

static fnd_status key_of(tpl_run *r, const key_rule *rule, const tpl_value *item, tpl_value *out) {
    FND_TRY(fnd_tpl_step(r, 1));
    if (!rule->several) return one_key(r, rule, item, &rule->path, out);
    tpl_str whole = rule->path.kind == TPL_STR ? *rule->path.str : (tpl_str){ .data = "" };
    size_t count = 1, start = 0;
    for (size_t i = 0; i < whole.bytes; i++) count += whole.data[i] == ',';
    FND_TRY(fnd_tpl_new_list(r, count, TPL_LIST, out));
    for (size_t i = 0; i < count; i++) {
        tpl_value path = rule->path;
        const char *comma = i + 1 < count ? memchr(whole.data + start, ',', whole.bytes - start) : NULL;
        size_t bytes = (comma ? (size_t)(comma - whole.data) : whole.bytes) - start;
        if (path.kind == TPL_STR) FND_TRY(fnd_tpl_new_str(r, fnd_tpl_slice_str(whole, start, bytes), &path));
        start += bytes + 1;
        FND_TRY(one_key(r, rule, item, &path, &out->list->items[i]));
    }
    return FND_OK;
}

static fnd_status sort_items(tpl_run *r, const tpl_list *items, const key_rule *rule, bool backwards, keyed **out) {
    keyed *a = fnd_arena_alloc(r->arena, items->count, sizeof *a), *room = fnd_arena_alloc(r->arena, items->count, sizeof *room);
    if (!a || !room) return fnd_tpl_no_memory(r);
    for (size_t i = 0; i < items->count; i++) {
        a[i].item = items->items[i];
        FND_TRY(key_of(r, rule, &items->items[i], &a[i].key));
    }
    *out = a;
    return sort_range(r, a, room, items->count, backwards);
}

static fnd_status sorted_list(tpl_run *r, const tpl_list *items, const key_rule *rule, bool backwards, tpl_value *out) {
    keyed *a;
    FND_TRY(sort_items(r, items, rule, backwards, &a));
    FND_TRY(fnd_tpl_new_list(r, items->count, TPL_LIST, out));
    for (size_t i = 0; i < items->count; i++) out->list->items[i] = a[i].item;
    return FND_OK;
}

static TPL_FUNCTION(filter_sort) {
    static const char *const names[] = { "reverse", "case_sensitive", "attribute", NULL };
    tpl_value a[3] = { fnd_tpl_bool(false), fnd_tpl_bool(false), fnd_tpl_none() };
    tpl_list items;
    FND_TRY(fnd_tpl_bind(r, "the filter \"sort\"", args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    key_rule rule = { .path = a[2], .fallback = fnd_tpl_none(), .case_sensitive = fnd_tpl_truth(&a[1]), .several = true };
    return sorted_list(r, &items, &rule, fnd_tpl_truth(&a[0]), out);
}

static TPL_FUNCTION(filter_dictsort) {
    static const char *const names[] = { "case_sensitive", "by", "reverse", NULL };
    tpl_value a[3] = { fnd_tpl_bool(false), { 0 }, fnd_tpl_bool(false) }, pairs;
    FND_TRY(fnd_tpl_new_str(r, fnd_tpl_const_str("key"), &a[1]));
    FND_TRY(fnd_tpl_bind(r, "the filter \"dictsort\"", args, names, 0, a));
    if (self->kind != TPL_DICT) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"dictsort\" needs a dict, not %s", fnd_tpl_kind_name(self));
    bool by_value = a[1].kind == TPL_STR && fnd_tpl_str_is(a[1].str, "value");
    if (!by_value && !(a[1].kind == TPL_STR && fnd_tpl_str_is(a[1].str, "key"))) return fnd_tpl_fail(r, FND_ERR_FORMAT, "the filter \"dictsort\" sorts by \"key\" or \"value\"");
    FND_TRY(fnd_tpl_dict_view(r, self->dict, TPL_ITEMS, &pairs));
    key_rule rule = { .path = fnd_tpl_int(by_value), .fallback = fnd_tpl_none(), .case_sensitive = fnd_tpl_truth(&a[0]) };
    return sorted_list(r, pairs.list, &rule, fnd_tpl_truth(&a[2]), out);
}

/* Tuples of what a group has in common and the list of its items. */
static TPL_FUNCTION(filter_groupby) {
    static const char *const names[] = { "attribute", "default", "case_sensitive", NULL };
    tpl_value a[3] = { { 0 }, fnd_tpl_none(), fnd_tpl_bool(false) };
    tpl_list items;
    keyed *sorted;
    size_t groups = 0;
    FND_TRY(fnd_tpl_bind(r, "the filter \"groupby\"", args, names, 1, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    key_rule rule = { .path = a[0], .fallback = a[1], .case_sensitive = fnd_tpl_truth(&a[2]) };
    FND_TRY(sort_items(r, &items, &rule, false, &sorted));
    rule.case_sensitive = true; /* what is shown is the first item's own */
    FND_TRY(fnd_tpl_new_list(r, items.count, TPL_LIST, out));
    for (size_t start = 0, end; start < items.count; start = end) {
        tpl_value grouper, list;
        bool same = true;
        for (end = start + 1; end < items.count && same; end += same) FND_TRY(fnd_tpl_equal(r, &sorted[start].key, &sorted[end].key, &same));
        FND_TRY(one_key(r, &rule, &sorted[start].item, &rule.path, &grouper));
        FND_TRY(fnd_tpl_new_list(r, end - start, TPL_LIST, &list));
        for (size_t i = start; i < end; i++) list.list->items[i - start] = sorted[i].item;
        FND_TRY(fnd_tpl_new_pair(r, &grouper, &list, &out->list->items[groups]));
        out->list->items[groups++].list->form = TPL_GROUP;
    }
    out->list->count = groups;
    return FND_OK;
}

static TPL_FUNCTION(filter_unique) {
    static const char *const names[] = { "case_sensitive", "attribute", NULL };
    tpl_value a[2] = { fnd_tpl_bool(false), fnd_tpl_none() }, keys;
    tpl_list items, *kept;
    FND_TRY(fnd_tpl_bind(r, "the filter \"unique\"", args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    FND_TRY(fnd_tpl_new_iterator(r, items.count, out));
    FND_TRY(fnd_tpl_new_list(r, items.count, TPL_LIST, &keys));
    key_rule rule = { .path = a[1], .fallback = fnd_tpl_none(), .case_sensitive = fnd_tpl_truth(&a[0]) };
    kept = &out->iterator->list;
    for (size_t i = 0; i < items.count; i++) {
        bool seen = false;
        tpl_value *key = &keys.list->items[kept->count];
        FND_TRY(key_of(r, &rule, &items.items[i], key));
        FND_TRY(fnd_tpl_hashable(r, key));
        FND_TRY(fnd_tpl_step(r, kept->count));
        for (size_t k = 0; k < kept->count && !seen; k++) FND_TRY(fnd_tpl_equal(r, &keys.list->items[k], key, &seen));
        if (!seen) kept->items[kept->count++] = items.items[i];
    }
    return FND_OK;
}

static fnd_status extreme(tpl_run *r, const char *what, const tpl_value *self, const tpl_args *args, int sign, tpl_value *out) {
    static const char *const names[] = { "case_sensitive", "attribute", NULL };
    tpl_value a[2] = { fnd_tpl_bool(false), fnd_tpl_none() }, best, key;
    tpl_list items;
    FND_TRY(fnd_tpl_bind(r, what, args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    if (items.count == 0) return fnd_tpl_undefined(r, out, "an item of an empty sequence is undefined");
    key_rule rule = { .path = a[1], .fallback = fnd_tpl_none(), .case_sensitive = fnd_tpl_truth(&a[0]) };
    for (size_t i = 0; i < items.count; i++) {
        int order = 0;
        FND_TRY(key_of(r, &rule, &items.items[i], &key));
        if (i) FND_TRY(fnd_tpl_order(r, &key, &best, &order));
        if (i && order * sign <= 0) continue;
        best = key;
        *out = items.items[i];
    }
    return FND_OK;
}
static TPL_FUNCTION(filter_min) { return extreme(r, "the filter \"min\"", self, args, -1, out); }
static TPL_FUNCTION(filter_max) { return extreme(r, "the filter \"max\"", self, args, 1, out); }

static TPL_FUNCTION(filter_sum) {
    static const char *const names[] = { "attribute", "start", NULL };
    tpl_value a[2] = { fnd_tpl_none(), fnd_tpl_int(0) };
    tpl_list items;
    FND_TRY(fnd_tpl_bind(r, "the filter \"sum\"", args, names, 0, a));
    FND_TRY(fnd_tpl_items(r, self, &items));
    if (a[1].kind == TPL_STR) return fnd_tpl_fail(r, FND_ERR_TYPE, "the filter \"sum\" does not add strings; \"join\" does");
    *out = a[1];
    for (size_t i = 0; i < items.count; i++) {
        tpl_value part, before = *out;
        FND_TRY(fnd_tpl_get_path(r, &items.items[i], &a[0], &part));
        FND_TRY(fnd_tpl_step(r, 1));
        FND_TRY(fnd_tpl_binary(r, OP_ADD, &before, &part, out));
    }
    return FND_OK;
}

tpl_function *fnd_tpl_find_order_filter(const char *name, size_t bytes) {
    static const tpl_named filters[] = {
        { "dictsort", filter_dictsort },
        { "groupby", filter_groupby },
        { "max", filter_max },
        { "min", filter_min },
        { "sort", filter_sort },
        { "sum", filter_sum },
        { "unique", filter_unique },
    };
    return fnd_tpl_find_named(filters, FND_COUNT(filters), name, bytes);
}
