/* catalog.c - reading FND_STAGE, FND_POLICY, FND_COMPOUND and argument lists out of kernel texts. */
#include "compose/catalog.h"
#include "base/base.h"
#include "base/memory.h"
#include "compose/shipped.h"
#include "tensor/format_custom.h"

#include <ctype.h>
#include <stdio.h>

enum { MAX_STAGES = 256,
       MAX_POLICIES = 96,
       MAX_KERNELS = 256,
       MAX_FIELDS = 8,
       FIELD_BYTES = 512 };

struct fnd_catalog {
    fnd_sources *sources;
    fnd_stage *stages[MAX_STAGES];
    size_t stage_count;
    fnd_policy *policies[MAX_POLICIES];
    size_t policy_count;
    fnd_declared_kernel *kernels[MAX_KERNELS];
    size_t kernel_count;
    size_t shipped_stages, shipped_policies; /* the first of them */
    void **replaced;                         /* declared anew; kernels made before may still refer to them */
    size_t replaced_count;
};

static const char *const arg_kind_names[] = {
#define ROW(id, doc) #id,
    FND_ARG_KINDS(ROW)
#undef ROW
};
static const char *const stage_kind_names[] = {
#define ROW(id, doc) #id,
    FND_STAGE_KINDS(ROW)
#undef ROW
};
static const char *const stage_kind_texts[] = {
#define ROW(id, doc) doc,
    FND_STAGE_KINDS(ROW)
#undef ROW
};
static const char *const value_kind_names[] = {
#define ROW(id, doc) #id,
    FND_VALUE_KINDS(ROW)
#undef ROW
};
static const char *const value_kind_texts[] = {
#define ROW(id, doc) doc,
    FND_VALUE_KINDS(ROW)
#undef ROW
};
static const char *const reach_names[] = {
#define ROW(id, doc) #id,
    FND_REACHES(ROW)
#undef ROW
};
static const char *const element_types[] = { "f32", "f16", "bf16", "u8", "i8", "u16", "i16", "u32", "i32", "act", "cache" };

bool fnd_arg_is_act(const fnd_arg *arg) { return strcmp(arg->type, "act") == 0; }
fnd_format fnd_cache_format_at(size_t index) {
    static const fnd_format formats[] = { FND_F16, FND_F32, FND_Q8_0 };
    return index < FND_COUNT(formats) ? formats[index] : FND_FORMAT_NONE;
}
bool fnd_format_is_cache(fnd_format format) {
    size_t i = 0;
    while (fnd_cache_format_at(i) && fnd_cache_format_at(i) != format) i++;
    return format && fnd_cache_format_at(i);
}
bool fnd_arg_is_cache(const fnd_arg *arg) { return strcmp(arg->type, "cache") == 0; }

const char *fnd_arg_kind_name(fnd_arg_kind kind) { return arg_kind_names[kind]; }
const char *fnd_stage_kind_text(fnd_stage_kind kind) { return stage_kind_texts[kind]; }
const char *fnd_value_kind_text(fnd_value_kind kind) { return value_kind_texts[kind]; }

static int index_of(const char *word, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, list[i]) == 0) return (int)i;
    }
    return -1;
}

/* Where a reader is: for sentences. */
typedef struct place {
    const char *path, *text;
} place;

static int line_of(const place *in, const char *at) {
    int line = 1;
    for (const char *p = in->text; p < at; p++) line += *p == '\n';
    return line;
}

typedef struct fields {
    char text[MAX_FIELDS][FIELD_BYTES];
    uint32_t count;
} fields;

/* Split "a, "b, c", d)" at top-level commas up to the closing parenthesis. Quotes are removed and
 * neighbouring strings joined; backslash-newline is space. */
static fnd_status read_fields(const place *in, const char *at, fields *out, const char **end, fnd_error *err) {
    size_t used = 0;
    int depth = 0;
    const char *start = at;
    *out = (fields){ 0 };
    for (bool quoted = false;; at++) {
        char *field = out->text[out->count];
        bool space = !quoted && (isspace((unsigned char)*at) || *at == '\\');
        if (!*at || used + 1 >= FIELD_BYTES) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: a declaration has no end, or a field longer than %d characters", in->path, line_of(in, start), FIELD_BYTES - 1);
        if (*at == '"') {
            quoted = !quoted;
        } else if (!quoted && depth == 0 && (*at == ',' || *at == ')')) {
            while (used && isspace((unsigned char)field[used - 1])) used--;
            field[used] = '\0';
            if (++out->count == MAX_FIELDS && *at == ',') return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: a declaration with more than %d fields", in->path, line_of(in, start), MAX_FIELDS);
            used = 0;
            if (*at == ')') break;
        } else if (!(space && used == 0)) {
            if (!quoted && *at == '(') depth++;
            if (!quoted && *at == ')') depth--;
            field[used++] = space ? ' ' : *at;
        }
    }
    *end = at + 1;
    return FND_OK;
}

static fnd_status copy_name(const place *in, const char *at, char *to, size_t bytes, const char *from, fnd_error *err) {
    if (strlen(from) >= bytes) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: \"%s\" is longer than %zu characters", in->path, line_of(in, at), from, bytes - 1);
    snprintf(to, bytes, "%s", from);
    return FND_OK;
}

/* Group memory is an array of a constant count. */
static fnd_status check_group(const place *in, int line, const fnd_arg *arg, fnd_error *err) {
    char *end;
    unsigned long count = strtoul(arg->shape_text, &end, 10);
    if (!isdigit((unsigned char)arg->shape_text[0]) || *end || count == 0 || count > 65536) {
        return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: argument %s: group memory has a count of 1 to 65536 elements, not \"%s\"", in->path, line, arg->name, arg->shape_text);
    }
    if (fnd_arg_is_act(arg) || fnd_arg_is_cache(arg)) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: argument %s: group memory has an element type, not %s", in->path, line, arg->name, arg->type);
    return FND_OK;
}

/* One row of an argument list. */
static fnd_status read_arg(const place *in, const char *at, const fields *f, fnd_arg *arg, fnd_error *err) {
    int line = line_of(in, at), kind = f->count ? index_of(f->text[0], arg_kind_names, FND_COUNT(arg_kind_names)) : -1;
    char where[FND_KERNEL_PATH_BYTES + 64];
    if (f->count != 5) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: an argument is X(kind, type, name, \"shape\", \"doc\"), not %u fields", in->path, line, f->count);
    if (kind < 0) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: argument %s has the unknown kind %s (known: IN OUT INOUT WEIGHT VAL GROUP)", in->path, line, f->text[2], f->text[0]);
    arg->kind = (fnd_arg_kind)kind;
    FND_TRY(copy_name(in, at, arg->type, sizeof arg->type, f->text[1], err));
    FND_TRY(copy_name(in, at, arg->name, sizeof arg->name - 12, f->text[2], err));
    FND_TRY(copy_name(in, at, arg->shape_text, sizeof arg->shape_text, f->text[3], err));
    snprintf(arg->doc, sizeof arg->doc, "%.*s", (int)sizeof arg->doc - 1, f->text[4]);
    bool is_weight = arg->kind == FND_ARG_WEIGHT, is_value = arg->kind == FND_ARG_VAL;
    bool known = is_weight ? strcmp(arg->type, "policy") == 0 : index_of(arg->type, element_types, FND_COUNT(element_types)) >= 0;
    if (is_value) known = strcmp(arg->type, "u32") == 0 || strcmp(arg->type, "i32") == 0 || strcmp(arg->type, "f32") == 0;
    if (!known) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: argument %s of kind %s cannot have the type %s", in->path, line, arg->name, f->text[0], arg->type);
    if (!fnd_expr_is_name(arg->name)) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: \"%s\" is not a name", in->path, line, arg->name);
    if (arg->kind == FND_ARG_GROUP) return check_group(in, line, arg, err);
    snprintf(where, sizeof where, "%s:%d: argument %s", in->path, line, arg->name);
    FND_TRY(fnd_shape_parse(arg->shape_text, where, &arg->shape, err));
    if ((arg->shape.rank == 0) != is_value) return fnd_fail(err, FND_ERR_COMPOSE, "%s: a %s", where, is_value ? "number has no shape" : "tensor needs a shape");
    return FND_OK;
}

/* The text behind "#define NAME(X)" in the stage's own file, or else in any. */
static const char *find_list(const fnd_catalog *c, const char *name, const place *own, place *in) {
    char head[FND_NAME_BYTES + 16];
    snprintf(head, sizeof head, "#define %s(X)", name);
    *in = *own;
    if (strstr(own->text, head)) return strstr(own->text, head) + strlen(head);
    for (size_t i = 0; i < fnd_sources_count(c->sources); i++) {
        const fnd_source *s = fnd_sources_at(c->sources, i);
        const char *found = strstr(s->text, head);
        if (!found) continue;
        *in = (place){ s->path, s->text };
        return found + strlen(head);
    }
    return NULL;
}

/* X(RULE, "pos + tokens <= 16*blocks", "why") */
static fnd_status read_rule(const place *in, const char *at, const fields *f, fnd_stage *stage, fnd_error *err) {
    if (f->count != 3) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: a rule is X(RULE, \"rule\", \"doc\"), not %u fields", in->path, line_of(in, at), f->count);
    if (stage->rule_count == FND_MAX_STAGE_RULES) return fnd_fail(err, FND_ERR_LIMIT, "%s:%d: more than %d rules", in->path, line_of(in, at), FND_MAX_STAGE_RULES);
    fnd_rule_text *rule = &stage->rules[stage->rule_count++];
    FND_TRY(copy_name(in, at, rule->text, sizeof rule->text, f->text[1], err));
    return copy_name(in, at, rule->doc, sizeof rule->doc, f->text[2], err);
}

/* X(OPS, "2*tokens*rows*dim", "doc") */
static fnd_status read_ops(const place *in, const char *at, const fields *f, fnd_stage *stage, fnd_error *err) {
    if (f->count != 3) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: operations are X(OPS, \"count\", \"doc\"), not %u fields", in->path, line_of(in, at), f->count);
    if (stage->ops[0]) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: stage %s counts its operations twice", in->path, line_of(in, at), stage->name);
    return copy_name(in, at, stage->ops, sizeof stage->ops, f->text[1], err);
}

static fnd_status read_row(const place *in, const char *at, const fields *f, fnd_stage *stage, fnd_error *err) {
    if (f->count && strcmp(f->text[0], "RULE") == 0) return read_rule(in, at, f, stage, err);
    if (f->count && strcmp(f->text[0], "OPS") == 0) return read_ops(in, at, f, stage, err);
    if (stage->arg_count == FND_MAX_STAGE_ARGS) return fnd_fail(err, FND_ERR_LIMIT, "%s:%d: more than %d arguments", in->path, line_of(in, at), FND_MAX_STAGE_ARGS);
    fnd_arg *arg = &stage->args[stage->arg_count++];
    FND_TRY(read_arg(in, at, f, arg, err));
    for (uint32_t d = 0; d < arg->shape.rank; d++) FND_TRY(fnd_expr_names(arg->shape.dim[d], &stage->dims, err));
    stage->by_policy |= arg->kind == FND_ARG_WEIGHT;
    return FND_OK;
}

static bool is_word(char ch) { return isalnum((unsigned char)ch) || ch == '_'; }

/* The rows of a list; where it says OTHER_LIST(X), those of the other. */
static fnd_status read_list(fnd_catalog *c, const place *named_in, const char *named_at, const char *list, int depth, fnd_stage *stage, fnd_error *err) {
    place in;
    const char *p = find_list(c, list, named_in, &in);
    if (!p) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: stage %s names the argument list %s, which no kernel file defines", named_in->path, line_of(named_in, named_at), stage->name, list);
    if (depth > 4) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: stage %s: lists within lists nest too deep at %s", named_in->path, line_of(named_in, named_at), stage->name, list);
    for (;; p++) {
        char name[FND_NAME_BYTES];
        size_t length = 0;
        while (is_word(p[length])) length++;
        if (*p == '\\' && p[1] == '\n') {
            p++;
        } else if (*p == '\n' || !*p) {
            return FND_OK;
        } else if (length == 1 && strncmp(p, "X(", 2) == 0) {
            fields f;
            const char *at = p;
            FND_TRY(read_fields(&in, p + 2, &f, &p, err));
            FND_TRY(read_row(&in, at, &f, stage, err));
            p--;
        } else if (length && length < sizeof name && strncmp(p + length, "(X)", 3) == 0) {
            memcpy(name, p, length);
            name[length] = '\0';
            FND_TRY(read_list(c, &in, p, name, depth + 1, stage, err));
            p += length + 2;
        } else if (length) {
            p += length - 1;
        }
    }
}

/* What a rule of a stage may name: its dimensions, its whole numbers without a sign, and "bytes(w)". */
static int stage_slot(const void *ctx, const char *name) {
    const fnd_stage *stage = ctx;
    char weight[FND_NAME_BYTES];
    bool bytes = fnd_rule_weight(name, weight);
    for (uint32_t i = 0; i < stage->arg_count; i++) {
        const fnd_arg *arg = &stage->args[i];
        if (bytes && arg->kind == FND_ARG_WEIGHT && strcmp(arg->name, weight) == 0) return 0;
        if (arg->kind == FND_ARG_VAL && strcmp(arg->type, "u32") == 0 && strcmp(arg->name, name) == 0) return 0;
    }
    return fnd_dims_find(&stage->dims, name);
}

/* An expression over what a rule may name, and "tokens". */
static fnd_status check_ops(const fnd_stage *stage, fnd_error *err) {
    fnd_dims names = { 0 };
    FND_TRY(fnd_expr_names(stage->ops, &names, err));
    for (uint32_t i = 0; i < names.count; i++) {
        names.known[i] = true;
        names.value[i] = 4096; /* that divides by what there is, and overflows only where there is too much */
        if (strcmp(names.name[i], "tokens") != 0 && stage_slot(stage, names.name[i]) < 0) {
            return fnd_fail(err, FND_ERR_COMPOSE, "operations \"%s\" name %s, which is neither a dimension nor a u32 number of the list", stage->ops, names.name[i]);
        }
    }
    uint64_t value;
    return fnd_expr_value(stage->ops, &names, &value, err);
}

static fnd_status read_args(fnd_catalog *c, const place *in, const char *at, const char *list, fnd_stage *stage, fnd_error *err) {
    FND_TRY(read_list(c, in, at, list, 0, stage, err));
    for (uint32_t i = 0; i < stage->rule_count; i++) {
        fnd_rule rule;
        fnd_error why = { 0 };
        memcpy(rule.text, stage->rules[i].text, sizeof rule.text);
        if (fnd_rule_compile(&rule, stage_slot, stage, &why) != FND_OK) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: stage %s: %s", in->path, line_of(in, at), stage->name, why.text);
    }
    fnd_error why = { 0 };
    if (stage->ops[0] && check_ops(stage, &why) != FND_OK) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: stage %s: %s", in->path, line_of(in, at), stage->name, why.text);
    return FND_OK;
}

/* Does a stage of this kind take and give these? */
static bool fits_kind(const fnd_stage *s) {
    switch (s->kind) {
    case FND_KIND_PROLOGUE:
        return (s->takes == FND_VALUE_NONE || s->takes == FND_VALUE_ROWS) && s->gives == FND_VALUE_ROWS;
    case FND_KIND_MAIN:
        return (s->takes == FND_VALUE_ROWS || s->takes == FND_VALUE_NONE) && (s->gives == FND_VALUE_TILE || s->gives == FND_VALUE_NONE);
    case FND_KIND_EPILOGUE_STORE:
        return s->takes == FND_VALUE_TILE && s->gives == FND_VALUE_NONE;
    case FND_KIND_EPILOGUE_ACTIVATION:
        return (s->takes == FND_VALUE_TILE || s->takes == FND_VALUE_TILES2) && s->gives == FND_VALUE_TILE;
    default:
        return s->takes == FND_VALUE_TILE && s->gives == FND_VALUE_TILE;
    }
}

/* The file with the stage's function: <its folder>/<its name>.h if there is one, else the file that
 * declares it (so that several texts of one stage can share a declaration). */
static fnd_status find_file(fnd_catalog *c, const place *in, fnd_stage *stage, fnd_error *err) {
    const char *slash = strrchr(in->path, '/');
    int folder = slash ? (int)(slash - in->path + 1) : 0;
    char own[FND_KERNEL_PATH_BYTES];
    snprintf(own, sizeof own, "%.*s%s.h", folder, in->path, stage->name);
    const char *file = fnd_sources_find(c->sources, own, "") ? own : in->path;
    return copy_name(in, in->text, stage->file, sizeof stage->file, file, err);
}

static fnd_status read_stage(fnd_catalog *c, const place *in, const char *at, const fields *f, fnd_stage *stage, fnd_error *err) {
    int line = line_of(in, at);
    if (f->count != 7) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: a stage is FND_STAGE(name, ARGS, kind, takes, gives, reach, \"doc\"), not %u fields", in->path, line, f->count);
    int kind = index_of(f->text[2], stage_kind_names, FND_COUNT(stage_kind_names));
    int takes = index_of(f->text[3], value_kind_names, FND_COUNT(value_kind_names));
    int gives = index_of(f->text[4], value_kind_names, FND_COUNT(value_kind_names));
    int reach = index_of(f->text[5], reach_names, FND_COUNT(reach_names));
    if (kind < 0 || takes < 0 || gives < 0 || reach < 0) {
        return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: stage %s: \"%s, %s, %s, %s\" is not a kind, a value taken, a value given and a reach", in->path, line, f->text[0], f->text[2], f->text[3], f->text[4], f->text[5]);
    }
    FND_TRY(copy_name(in, at, stage->name, sizeof stage->name, f->text[0], err));
    FND_TRY(copy_name(in, at, stage->declared_in, sizeof stage->declared_in, in->path, err));
    stage->kind = (fnd_stage_kind)kind;
    stage->takes = (fnd_value_kind)takes;
    stage->gives = (fnd_value_kind)gives;
    stage->reach = (fnd_reach)reach;
    snprintf(stage->doc, sizeof stage->doc, "%.*s", (int)sizeof stage->doc - 1, f->text[6]);
    if (!fits_kind(stage)) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: stage %s: a %s cannot take %s and give %s", in->path, line, stage->name, stage_kind_texts[kind], value_kind_texts[takes], value_kind_texts[gives]);
    FND_TRY(find_file(c, in, stage, err));
    return read_args(c, in, at, f->text[1], stage, err);
}

/* Keep `old` until the catalog closes. */
static fnd_status replace(fnd_catalog *c, void *old, fnd_error *err) {
    void **list = fnd_alloc_resized(c->replaced, c->replaced_count + 1, sizeof *list);
    if (!list) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the catalog of stages");
    c->replaced = list;
    c->replaced[c->replaced_count++] = old;
    return FND_OK;
}

/* Something has this name already: only its own file, and no shipped one, may declare it anew. */
static fnd_status check_anew(const place *in, const char *at, const char *what, const char *name, const char *known_in, bool shipped, fnd_error *err) {
    if (shipped) {
        return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: %s %s is shipped with Foundry (%s): give yours another name, or change that file in a folder of kernel texts (--kernel-dir)", in->path, line_of(in, at), what, name,
                        known_in);
    }
    if (strcmp(known_in, in->path) != 0) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: %s %s is declared in %s already", in->path, line_of(in, at), what, name, known_in);
    return FND_OK;
}

/* A copy in one block, no larger than need be. */
static fnd_stage *copy_stage(const fnd_stage *from) {
    size_t args = from->arg_count * sizeof *from->args, rules = from->rule_count * sizeof *from->rules;
    fnd_stage *stage = fnd_alloc_zeroed(1, sizeof *stage + args + rules);
    if (!stage) return NULL;
    *stage = *from;
    stage->args = (fnd_arg *)(stage + 1);
    stage->rules = (fnd_rule_text *)(stage->args + from->arg_count);
    if (args) memcpy(stage->args, from->args, args);
    if (rules) memcpy(stage->rules, from->rules, rules);
    return stage;
}

static fnd_status add_stage(fnd_catalog *c, const place *in, const char *at, const fields *f, fnd_error *err) {
    fnd_arg args[FND_MAX_STAGE_ARGS] = { 0 };
    fnd_rule_text rules[FND_MAX_STAGE_RULES] = { 0 };
    fnd_stage read = { .args = args, .rules = rules };
    fnd_status status = read_stage(c, in, at, f, &read, err);
    fnd_stage *stage = copy_stage(&read);
    if (!stage) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for stage %s", f->text[0]);
    for (size_t i = 0; i < c->stage_count && status == FND_OK; i++) {
        if (strcmp(c->stages[i]->name, stage->name) != 0) continue;
        status = check_anew(in, at, "stage", stage->name, c->stages[i]->declared_in, i < c->shipped_stages, err);
        if (status == FND_OK) status = replace(c, c->stages[i], err);
        if (status != FND_OK) break;
        c->stages[i] = stage;
        return FND_OK;
    }
    if (status == FND_OK && c->stage_count == MAX_STAGES) status = fnd_fail(err, FND_ERR_LIMIT, "more than %d stages", MAX_STAGES);
    if (status == FND_OK)
        c->stages[c->stage_count++] = stage;
    else
        fnd_free_memory(stage);
    return status;
}

static fnd_status add_policy(fnd_catalog *c, const place *in, const char *at, const fields *f, fnd_error *err) {
    int line = line_of(in, at);
    if (f->count != 4) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: a policy is FND_POLICY(name, block_weights, block_bytes, \"doc\"), not %u fields", in->path, line, f->count);
    char *end_weights, *end_bytes;
    unsigned long weights = strtoul(f->text[1], &end_weights, 10), bytes = strtoul(f->text[2], &end_bytes, 10);
    if (*end_weights || *end_bytes || weights > 65536 || bytes > 65536) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: policy %s: \"%s\" and \"%s\" are not block sizes", in->path, line, f->text[0], f->text[1], f->text[2]);
    fnd_policy *policy = fnd_alloc_zeroed(1, sizeof *policy);
    if (!policy) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for policy %s", f->text[0]);
    fnd_status status = copy_name(in, at, policy->name, sizeof policy->name, f->text[0], err);
    if (status == FND_OK) status = copy_name(in, at, policy->file, sizeof policy->file, in->path, err);
    snprintf(policy->doc, sizeof policy->doc, "%.*s", (int)sizeof policy->doc - 1, f->text[3]);
    size_t i = 0;
    while (i < c->policy_count && strcmp(c->policies[i]->name, policy->name) != 0) i++;
    if (status == FND_OK && i < c->policy_count) status = check_anew(in, at, "policy", policy->name, c->policies[i]->file, i < c->shipped_policies, err);
    fnd_format_info info = { policy->name, -1, (uint32_t)weights, (uint32_t)bytes, true };
    if (status == FND_OK) status = fnd_format_add(&info, &policy->format, err);
    if (status == FND_OK && c->policy_count == MAX_POLICIES) status = fnd_fail(err, FND_ERR_LIMIT, "more than %d policies", MAX_POLICIES);
    if (status == FND_OK && i < c->policy_count) {
        status = replace(c, c->policies[i], err);
        if (status == FND_OK) {
            c->policies[i] = policy;
            return FND_OK;
        }
    }
    if (status == FND_OK)
        c->policies[c->policy_count++] = policy;
    else
        fnd_free_memory(policy);
    return status;
}

/* "rows | dot q | store q" into stages; the words stay in k->words. */
static fnd_status read_stages(const place *in, const char *at, fnd_declared_kernel *k, fnd_error *err) {
    uint32_t count = 0;
    char *rest = k->words;
    for (char *step; (step = strsep(&rest, "|"));) {
        char *stage = NULL, *head = NULL, *more = NULL, *next = NULL;
        stage = strtok_r(step, " ", &next);
        if (stage) head = strtok_r(NULL, " ", &next);
        if (head) more = strtok_r(NULL, " ", &next);
        if (!stage || more) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: kernel %s: between bars stands a stage, or a stage and its head: \"rows | dot q | store q\"", in->path, line_of(in, at), k->name);
        if (count + 1 == FND_MAX_STAGES) return fnd_fail(err, FND_ERR_LIMIT, "%s:%d: kernel %s has more than %d stages", in->path, line_of(in, at), k->name, FND_MAX_STAGES - 1);
        k->desc.stages[count++] = (fnd_stage_use){ stage, head };
    }
    return FND_OK;
}

static fnd_status read_kernel(const place *in, const char *at, const fields *f, fnd_declared_kernel *k, fnd_error *err) {
    int line = line_of(in, at);
    if (f->count != 3) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: a kernel is FND_COMPOUND(name, \"stages\", \"doc\"), not %u fields", in->path, line, f->count);
    FND_TRY(copy_name(in, at, k->name, sizeof k->name, f->text[0], err));
    FND_TRY(copy_name(in, at, k->words, sizeof k->words, f->text[1], err));
    FND_TRY(copy_name(in, at, k->declared_in, sizeof k->declared_in, in->path, err));
    snprintf(k->doc, sizeof k->doc, "%.*s", (int)sizeof k->doc - 1, f->text[2]);
    k->desc.name = k->name;
    if (!fnd_expr_is_name(k->name)) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: \"%s\" is not a name", in->path, line, k->name);
    for (size_t i = 0; i < fnd_shipped_count(); i++) {
        if (strcmp(fnd_shipped_name(i), k->name) == 0) return fnd_fail(err, FND_ERR_COMPOSE, "%s:%d: kernel %s is shipped with Foundry: give yours another name", in->path, line, k->name);
    }
    return read_stages(in, at, k, err);
}

/* Its stages may be declared later, so they are looked up when it is composed. */
static fnd_status add_kernel(fnd_catalog *c, const place *in, const char *at, const fields *f, fnd_error *err) {
    fnd_declared_kernel *kernel = fnd_alloc_zeroed(1, sizeof *kernel);
    if (!kernel) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for kernel %s", f->text[0]);
    fnd_status status = read_kernel(in, at, f, kernel, err);
    size_t i = 0;
    while (i < c->kernel_count && strcmp(c->kernels[i]->name, kernel->name) != 0) i++;
    bool anew = i < c->kernel_count;
    if (status == FND_OK && anew) status = check_anew(in, at, "kernel", kernel->name, c->kernels[i]->declared_in, false, err);
    if (status == FND_OK && i == MAX_KERNELS) status = fnd_fail(err, FND_ERR_LIMIT, "more than %d declared kernels", MAX_KERNELS);
    if (status == FND_OK && anew) status = replace(c, c->kernels[i], err);
    if (status != FND_OK) {
        fnd_free_memory(kernel);
        return status;
    }
    c->kernels[i] = kernel;
    c->kernel_count += !anew;
    return FND_OK;
}

/* Read every declaration of one file. A declaration begins a line. */
static fnd_status scan(fnd_catalog *c, const fnd_source *source, fnd_error *err) {
    place in = { source->path, source->text };
    static const struct {
        const char *word;
        fnd_status (*add)(fnd_catalog *, const place *, const char *, const fields *, fnd_error *);
    } declarations[] = { { "FND_POLICY(", add_policy }, { "FND_STAGE(", add_stage }, { "FND_COMPOUND(", add_kernel } };
    for (const char *line = source->text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        for (size_t d = 0; d < FND_COUNT(declarations); d++) {
            size_t length = strlen(declarations[d].word);
            if (strncmp(line, declarations[d].word, length) != 0) continue;
            fields f;
            const char *end;
            FND_TRY(read_fields(&in, line + length, &f, &end, err));
            FND_TRY(declarations[d].add(c, &in, line, &f, err));
        }
    }
    return FND_OK;
}

/* Specialised files ("x.cpu.h") repeat no declarations. */
static bool is_portable(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strchr(name, '.');
    return dot && strchr(dot + 1, '.') == NULL;
}

fnd_status fnd_catalog_open(const char *override_dir, fnd_catalog **out, fnd_error *err) {
    *out = NULL;
    fnd_catalog *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the catalog of stages");
    fnd_status status = fnd_sources_open(override_dir, &c->sources, err);
    for (size_t i = 0; status == FND_OK && i < fnd_sources_count(c->sources); i++) {
        const fnd_source *source = fnd_sources_at(c->sources, i);
        if (is_portable(source->path) && strcmp(source->path, "fnd_device.h") != 0) status = scan(c, source, err);
    }
    if (status != FND_OK) {
        fnd_catalog_close(c);
        return status;
    }
    c->shipped_stages = c->stage_count;
    c->shipped_policies = c->policy_count;
    *out = c;
    return FND_OK;
}

void fnd_catalog_close(fnd_catalog *c) {
    if (!c) return;
    for (size_t i = 0; i < c->stage_count; i++) fnd_free_memory(c->stages[i]);
    for (size_t i = 0; i < c->policy_count; i++) fnd_free_memory(c->policies[i]);
    for (size_t i = 0; i < c->kernel_count; i++) fnd_free_memory(c->kernels[i]);
    for (size_t i = 0; i < c->replaced_count; i++) fnd_free_memory(c->replaced[i]);
    fnd_free_memory(c->replaced);
    fnd_sources_close(c->sources);
    fnd_free_memory(c);
}

fnd_status fnd_catalog_add_texts(fnd_catalog *c, const fnd_source *texts, size_t count, fnd_error *err) {
    for (size_t i = 0; i < count; i++) {
        const char *path = texts[i].path, *shipped = fnd_sources_shipped(path);
        if (shipped) {
            return fnd_fail(err, FND_ERR_COMPOSE, "%s would take the place of %s, which is shipped with Foundry: register yours under another path, or put it into a folder of kernel texts (--kernel-dir)", path, shipped);
        }
    }
    for (size_t i = 0; i < count; i++) FND_TRY(fnd_sources_add(c->sources, texts[i].path, texts[i].text, err));
    for (size_t i = 0; i < count; i++) {
        const fnd_source *source = is_portable(texts[i].path) ? fnd_sources_find(c->sources, texts[i].path, "") : NULL;
        if (source) FND_TRY(scan(c, source, err));
    }
    return FND_OK;
}

fnd_status fnd_catalog_add(fnd_catalog *c, const char *path, const char *text, fnd_error *err) {
    const fnd_source one = { .path = (char *)(uintptr_t)path, .text = (char *)(uintptr_t)text }; /* only read */
    return fnd_catalog_add_texts(c, &one, 1, err);
}

fnd_sources *fnd_catalog_sources(fnd_catalog *c) { return c->sources; }

const fnd_stage *fnd_catalog_stage(const fnd_catalog *c, const char *name) {
    for (size_t i = 0; i < c->stage_count; i++) {
        if (strcmp(c->stages[i]->name, name) == 0) return c->stages[i];
    }
    return NULL;
}
const fnd_policy *fnd_catalog_policy(const fnd_catalog *c, const char *name) {
    for (size_t i = 0; i < c->policy_count; i++) {
        if (strcmp(c->policies[i]->name, name) == 0) return c->policies[i];
    }
    return NULL;
}
size_t fnd_catalog_stage_count(const fnd_catalog *c) { return c->stage_count; }
const fnd_stage *fnd_catalog_stage_at(const fnd_catalog *c, size_t index) { return c->stages[index]; }
size_t fnd_catalog_policy_count(const fnd_catalog *c) { return c->policy_count; }
const fnd_policy *fnd_catalog_policy_at(const fnd_catalog *c, size_t index) { return c->policies[index]; }
const fnd_declared_kernel *fnd_catalog_kernel(const fnd_catalog *c, const char *name) {
    for (size_t i = 0; i < c->kernel_count; i++) {
        if (strcmp(c->kernels[i]->name, name) == 0) return c->kernels[i];
    }
    return NULL;
}
size_t fnd_catalog_kernel_count(const fnd_catalog *c) { return c->kernel_count; }
const fnd_declared_kernel *fnd_catalog_kernel_at(const fnd_catalog *c, size_t index) { return c->kernels[index]; }
