/* batch_line.c - a line of JSON as a prompt with its settings. */
#include "lm/batch_line.h"
#include "base/base.h"
#include "base/memory.h"
#include "base/text.h"

#include <ctype.h>
#include <float.h>
#include <jansson.h>
#include <stddef.h>

typedef enum kind { REAL,
                    SHARE,
                    U32,
                    SEED,
                    TEXT,
                    FLAG,
                    STOPS,
                    MESSAGES,
                    ANY,
                    LIST,
                    OBJECT } kind;

typedef struct key {
    const char *name;
    kind kind;
    size_t offset; /* in fnd_batch_line */
    double least, most;
} key;

#define FIELD(name)    offsetof(fnd_batch_line, name)
#define SAMPLING(name) offsetof(fnd_batch_line, desc.sampling.name)
static const key keys[] = {
    { "prompt", TEXT, FIELD(prompt), 0, 0 },
    { "messages", MESSAGES, FIELD(messages), 0, 0 },
    { "system", TEXT, FIELD(system), 0, 0 },
    { "raw", FLAG, FIELD(raw), 0, 0 },
    { "tools", LIST, FIELD(tools), 0, 0 },
    { "template_vars", OBJECT, FIELD(variables), 0, 0 },
    { "id", ANY, FIELD(id), 0, 0 },
    { "max_tokens", U32, FIELD(desc.max_tokens), 1, UINT32_MAX },
    { "stop", STOPS, FIELD(stops), 0, 0 },
    { "temperature", REAL, SAMPLING(temperature), 0, 100 },
    { "top_k", U32, SAMPLING(top_k), 0, UINT32_MAX },
    { "top_p", SHARE, SAMPLING(top_p), 0, 1 },
    { "min_p", REAL, SAMPLING(min_p), 0, 1 },
    { "typical_p", SHARE, SAMPLING(typical_p), 0, 1 },
    { "repeat_penalty", REAL, SAMPLING(repeat_penalty), 0.01, 100 },
    { "presence_penalty", REAL, SAMPLING(presence_penalty), -100, 100 },
    { "frequency_penalty", REAL, SAMPLING(frequency_penalty), -100, 100 },
    { "repeat_last_n", U32, SAMPLING(repeat_last_n), 1, UINT32_MAX },
    { "seed", SEED, SAMPLING(seed), 0, 0 },
};
#undef FIELD
#undef SAMPLING

/* ---- values, one function for each kind; `place` is the field ---- */

static fnd_status wrong(const key *k, const char *wanted, fnd_error *err) { return fnd_fail(err, FND_ERR_FORMAT, "\"%s\" must be %s", k->name, wanted); }

static fnd_status take_number(const key *k, const json_t *value, void *place, fnd_error *err) {
    double x = json_number_value(value);
    char wanted[96];
    snprintf(wanted, sizeof wanted, "a %snumber from %.10g to %.10g", k->kind == U32 ? "whole " : "", k->least, k->most);
    bool fits = (k->kind == U32 ? json_is_integer(value) : json_is_number(value)) && x >= k->least && x <= k->most;
    if (!fits) return wrong(k, wanted, err);
    if (k->kind == U32)
        *(uint32_t *)place = (uint32_t)json_integer_value(value);
    else
        *(float *)place = k->kind == SHARE && x <= 0 ? FLT_MIN : (float)x; /* of nothing there is still the first */
    return FND_OK;
}

#define SEEDS "a whole number from 0 to 18446744073709551615"

static fnd_status take_seed(fnd_batch_line *line, const key *k, const json_t *value, fnd_error *err) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) return wrong(k, SEEDS, err);
    line->desc.sampling.seed = (uint64_t)json_integer_value(value);
    line->has_seed = true;
    return FND_OK;
}

static fnd_status take_text(const key *k, const json_t *value, void *place, fnd_error *err) {
    if (!json_is_string(value)) return wrong(k, "a text", err);
    *(fnd_span *)place = (fnd_span){ json_string_value(value), json_string_length(value) };
    return FND_OK;
}

static fnd_status take_json(const key *k, const json_t *value, void *place, fnd_error *err) {
    if (k->kind == LIST && !json_is_array(value)) return wrong(k, "a list", err);
    if (k->kind == OBJECT && !json_is_object(value)) return wrong(k, "an object", err);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT), *kept = text ? fnd_alloc_string(text, strlen(text)) : NULL;
    free(text);
    *(char **)place = kept;
    return kept ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for \"%s\"", k->name);
}

static fnd_status take_messages(fnd_batch_line *line, const key *k, const json_t *value, fnd_error *err) {
    bool fits = json_array_size(value) > 0;
    for (size_t i = 0; i < json_array_size(value); i++) fits &= json_is_string(json_object_get(json_array_get(value, i), "role"));
    return fits ? take_json(k, value, &line->messages, err) : wrong(k, "a list of objects, each with a \"role\", as {\"role\": \"user\", \"content\": \"...\"}", err);
}

static fnd_status take_stops(fnd_batch_line *line, const key *k, const json_t *value, fnd_error *err) {
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    line->stops = fnd_alloc_zeroed(count ? count : 1, sizeof *line->stops);
    if (!line->stops) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for \"stop\"");
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        const char *text = json_string_value(one);
        if (!text || !text[0] || strlen(text) != json_string_length(one)) return wrong(k, "a text, or a list of texts, none of them empty and without zero bytes", err);
        line->stops[i] = text;
    }
    line->desc.stops = line->stops;
    line->desc.stop_count = count;
    return FND_OK;
}

static fnd_status take(fnd_batch_line *line, const key *k, const json_t *value, fnd_error *err) {
    void *place = (char *)line + k->offset;
    switch (k->kind) {
    case REAL:
    case SHARE:
    case U32:
        return take_number(k, value, place, err);
    case SEED:
        return take_seed(line, k, value, err);
    case TEXT:
        return take_text(k, value, place, err);
    case FLAG:
        if (!json_is_boolean(value)) return wrong(k, "true or false", err);
        line->has_raw = true;
        line->raw = json_is_true(value);
        return FND_OK;
    case STOPS:
        return take_stops(line, k, value, err);
    case MESSAGES:
        return take_messages(line, k, value, err);
    case ANY:
        return FND_OK; /* it is taken as it is written */
    default:
        return take_json(k, value, place, err);
    }
}

/* ---- the line ---- */

static fnd_status unknown(const char *name, fnd_error *err) {
    char shown[80];
    fnd_text known = { 0 };
    for (size_t i = 0; i < FND_COUNT(keys); i++) fnd_text_printf(&known, "%s%s", i ? ", " : "", keys[i].name);
    fnd_fail(err, FND_ERR_FORMAT, "\"%s\" is not known; these are: %s", fnd_span_quote((fnd_span){ name, strlen(name) }, shown, sizeof shown), fnd_text_get(&known));
    fnd_text_free(&known);
    return FND_ERR_FORMAT;
}

static fnd_status read_keys(fnd_batch_line *line, fnd_error *err) {
    const char *name;
    json_t *value;
    json_object_foreach(line->json, name, value) {
        size_t i = 0;
        while (i < FND_COUNT(keys) && strcmp(keys[i].name, name) != 0) i++;
        if (i == FND_COUNT(keys)) return unknown(name, err);
        FND_TRY(take(line, &keys[i], value, err));
    }
    return FND_OK;
}

static fnd_status check(const fnd_batch_line *line, fnd_error *err) {
    if (line->prompt.data && line->messages) return fnd_fail(err, FND_ERR_FORMAT, "there is a \"prompt\" and \"messages\"; a line has one of them");
    if (!line->prompt.data && !line->messages) return fnd_fail(err, FND_ERR_FORMAT, "there is no \"prompt\" and no \"messages\"");
    if (line->prompt.data && !line->prompt.bytes) return fnd_fail(err, FND_ERR_FORMAT, "the \"prompt\" is empty: there is nothing to answer");
    if (line->messages && line->system.data) return fnd_fail(err, FND_ERR_FORMAT, "\"system\" goes with a \"prompt\"; in \"messages\" it is the first one");
    if (line->raw && line->messages) return fnd_fail(err, FND_ERR_FORMAT, "\"raw\" uses no chat template, which \"messages\" need");
    if (line->raw && (line->system.data || line->tools || line->variables)) return fnd_fail(err, FND_ERR_FORMAT, "\"raw\" uses no chat template, to which \"system\", \"tools\" and \"template_vars\" belong");
    return FND_OK;
}

/* ---- values as they are written: ids, and seeds of 64 bits, where Jansson's integers have 63 ---- */

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static bool spells(const char *text, size_t bytes, const char *wanted) {
    json_t *name = json_loadb(text, bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL); /* it may have escapes */
    bool same = name && json_string_length(name) == strlen(wanted) && strcmp(json_string_value(name), wanted) == 0;
    json_decref(name);
    return same;
}

/* What stands behind a key of the outermost object, if that is what the text is; Jansson says whether it is. */
static fnd_span written(const char *text, size_t bytes, const char *wanted) {
    size_t depth = 0, from = 0; /* from: behind the key's colon; 0: not there yet */
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        size_t start = i;
        if (c == '"') {
            while (++i < bytes && text[i] != '"') i += text[i] == '\\';
            if (depth != 1 || from || i >= bytes) continue;
            size_t colon = i + 1;
            while (colon < bytes && is_space(text[colon])) colon++;
            if (colon < bytes && text[colon] == ':' && spells(text + start, i + 1 - start, wanted)) from = colon + 1;
        } else if (from && depth == 1 && (c == ',' || c == '}')) {
            while (from < i && is_space(text[from])) from++;
            while (from < i && is_space(text[i - 1])) i--;
            return (fnd_span){ text + from, i - from };
        } else {
            depth += c == '{' || c == '[';
            depth -= depth && (c == '}' || c == ']');
        }
    }
    return (fnd_span){ NULL, 0 };
}

/* A 0 in its place: whatever it was, Jansson can read it. */
static void blank(char *copy, const char *text, fnd_span value) {
    memset(copy + (value.data - text), ' ', value.bytes);
    copy[value.data - text] = '0';
}

/* A seed that is too large for Jansson; else 0. */
static fnd_status take_large_seed(fnd_span value, uint64_t *seed, fnd_error *err) {
    *seed = 0;
    for (size_t i = 0; i < value.bytes; i++) {
        if (!isdigit((unsigned char)value.data[i])) *seed = 0;
        if (!isdigit((unsigned char)value.data[i])) return FND_OK;
        bool fits = fnd_mul_u64(*seed, 10, seed) && fnd_add_u64(*seed, (uint64_t)(value.data[i] - '0'), seed);
        if (!fits) return fnd_fail(err, FND_ERR_FORMAT, "\"seed\" must be %s", SEEDS);
    }
    if (*seed <= INT64_MAX || value.data[0] == '0') *seed = 0; /* no number begins with a 0 */
    return FND_OK;
}

/* An id that is JSON, whatever numbers it has. */
static bool is_id(fnd_span value) {
    json_t *json = json_loadb(value.data ? value.data : "", value.bytes, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    json_decref(json);
    return json != NULL;
}

static fnd_status parse_json(const char *text, size_t bytes, fnd_batch_line *line, fnd_error *err) {
    json_error_t where;
    line->json = json_loadb(text, bytes, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &where);
    if (!line->json) {
        char shown[120];
        if (fnd_text_mark(text, bytes)) return fnd_fail(err, FND_ERR_FORMAT, "no JSON object: it begins with a byte order mark, which can stand at the start of a file only");
        return fnd_fail(err, FND_ERR_FORMAT, "no JSON object, from byte %d on: %s", where.position, fnd_span_quote((fnd_span){ where.text, strlen(where.text) }, shown, sizeof shown));
    }
    if (!json_is_object(line->json)) return fnd_fail(err, FND_ERR_FORMAT, "no JSON object, as {\"prompt\": \"...\"} is one");
    FND_TRY(read_keys(line, err));
    return check(line, err);
}

static fnd_status parse(const char *text, size_t bytes, fnd_batch_line *line, fnd_error *err) {
    uint64_t large;
    fnd_span seed = written(text, bytes, "seed"), id = written(text, bytes, "id");
    FND_TRY(take_large_seed(seed, &large, err));
    char *copy = fnd_alloc_string(text, bytes);
    if (!copy) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a line");
    if (large) blank(copy, text, seed);
    if (is_id(id)) blank(copy, text, id);
    fnd_status status = parse_json(copy, bytes, line, err);
    fnd_free_memory(copy);
    if (large) line->desc.sampling.seed = large;
    if (!line->json || !id.data) return status;
    line->id = fnd_alloc_string(id.data, id.bytes);
    return line->id || status != FND_OK ? status : fnd_fail(err, FND_ERR_MEMORY, "out of memory for \"id\"");
}

fnd_status fnd_batch_line_parse(const char *text, size_t bytes, const fnd_generate_desc *defaults, fnd_batch_line *out, fnd_error *err) {
    *out = (fnd_batch_line){ .desc = *defaults };
    fnd_status status = parse(text, bytes, out, err);
    if (status == FND_OK) return FND_OK;
    char *id = out->id;
    out->id = NULL;
    fnd_batch_line_free(out);
    out->id = id;
    return status;
}

void fnd_batch_line_free(fnd_batch_line *line) {
    json_decref(line->json);
    fnd_free_memory(line->messages);
    fnd_free_memory(line->tools);
    fnd_free_memory(line->variables);
    fnd_free_memory(line->id);
    fnd_free_memory(line->stops);
    *line = (fnd_batch_line){ .json = NULL };
}
