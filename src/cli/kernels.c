/* kernels.c - foundry kernels: everything there is, from the lists in the kernel texts. */
#include "cli/cli.h"
#include "compose/kernel.h"
#include "compose/shipped.h"

#include <stddef.h>

typedef struct kernels_options {
    bool json, markdown;
    const char *user;
} kernels_options;

#define FIELD(name) offsetof(kernels_options, name)
static const fnd_cli_option options_list[] = {
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print one JSON object", 0, 0 },
    { "markdown", FND_CLI_FLAG, NULL, FIELD(markdown), "print the reference as it stands in the documentation", 0, 0 },
    { "user", FND_CLI_NAME, "DIR", FIELD(user), "with what a folder of kernel texts of your own declares", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

/* "rmsnorm | dot q | bias q" */
static void add_steps(const fnd_composition *c, fnd_text *out) {
    for (uint32_t i = 0; i < c->step_count; i++) {
        const fnd_step *s = &c->steps[i];
        fnd_text_printf(out, "%s%s%s%s", i ? " | " : "", s->stage->name, s->head[0] ? " " : "", s->head);
    }
}

/* "[tokens, dim] moves tokens*dim" */
static void add_shape(const fnd_arg *a, fnd_text *out) {
    if (!a->shape.rank) return;
    for (uint32_t d = 0; d < a->shape.rank; d++) fnd_text_printf(out, "%s%s", d ? ", " : "[", a->shape.dim[d]);
    fnd_text_str(out, "]");
    if (a->shape.moves[0]) fnd_text_printf(out, " moves %s", a->shape.moves);
}

/* ---- as text ---- */

static void text_args(const fnd_arg *args, uint32_t count, fnd_text *out) {
    for (uint32_t i = 0; i < count; i++) {
        fnd_text shape = { 0 };
        add_shape(&args[i], &shape);
        fnd_text_printf(out, "    %-6s  %-6s  %-16s  %-34s  %s\n", fnd_arg_kind_name(args[i].kind), args[i].type, args[i].name, fnd_text_get(&shape), args[i].doc);
        out->failed |= shape.failed;
        fnd_text_free(&shape);
    }
}

static void text_rule(const char *text, const char *doc, fnd_text *out) { fnd_text_printf(out, "    %-6s  %-60s  %s\n", "RULE", text, doc); }

static void text_ops(const fnd_stage *s, fnd_text *out) {
    if (s->ops[0]) fnd_text_printf(out, "    %-6s  %s\n", "OPS", s->ops);
}

static void text_kernel(const fnd_composition *c, const char *doc, fnd_text *out) {
    fnd_text_printf(out, "%s: %s\n  ", c->name, doc);
    add_steps(c, out);
    fnd_text_str(out, "\n");
    text_args(c->args, c->arg_count, out);
    for (uint32_t i = 0; i < c->rule_count; i++) text_rule(c->rules[i].text, c->rules[i].doc, out);
    fnd_text_str(out, "\n");
}

static void text_stage(const fnd_stage *s, fnd_text *out) {
    fnd_text_printf(out, "%s: %s\n  %s, %s -> %s, %s\n", s->name, s->doc, fnd_stage_kind_text(s->kind), fnd_value_kind_text(s->takes), fnd_value_kind_text(s->gives), s->file);
    text_args(s->args, s->arg_count, out);
    for (uint32_t i = 0; i < s->rule_count; i++) text_rule(s->rules[i].text, s->rules[i].doc, out);
    text_ops(s, out);
    fnd_text_str(out, "\n");
}

static void text_policy(const fnd_policy *p, fnd_text *out) { fnd_text_printf(out, "%-8s %s\n", p->name, p->doc); }

/* ---- as Markdown ---- */

/* Text in a table's cell. */
static void markdown_cell(const char *text, fnd_text *out) {
    for (; *text; text++) {
        if (*text == '|') fnd_text_str(out, "\\");
        fnd_text_add(out, text, 1);
    }
}

static void markdown_args(const fnd_arg *args, uint32_t count, fnd_text *out) {
    if (count) fnd_text_str(out, "| kind | type | name | shape | |\n| --- | --- | --- | --- | --- |\n");
    for (uint32_t i = 0; i < count; i++) {
        fnd_text_printf(out, "| %s | %s | `%s` | ", fnd_arg_kind_name(args[i].kind), args[i].type, args[i].name);
        add_shape(&args[i], out);
        fnd_text_str(out, " | ");
        markdown_cell(args[i].doc, out);
        fnd_text_str(out, " |\n");
    }
    fnd_text_str(out, "\n");
}

static void markdown_rule(const char *text, const char *doc, bool last, fnd_text *out) { fnd_text_printf(out, "- `%s`: %s\n%s", text, doc, last ? "\n" : ""); }

static void markdown_kernel(const fnd_composition *c, const char *doc, fnd_text *out) {
    fnd_text_printf(out, "### %s\n\n`%s`; stages: `", c->name, doc);
    add_steps(c, out);
    fnd_text_str(out, "`\n\n");
    markdown_args(c->args, c->arg_count, out);
    for (uint32_t i = 0; i < c->rule_count; i++) markdown_rule(c->rules[i].text, c->rules[i].doc, i + 1 == c->rule_count, out);
}

static void markdown_stage(const fnd_stage *s, fnd_text *out) {
    fnd_text_printf(out, "### %s\n\n%s. %s, takes %s, gives %s; `%s`\n\n", s->name, s->doc, fnd_stage_kind_text(s->kind), fnd_value_kind_text(s->takes), fnd_value_kind_text(s->gives), s->file);
    markdown_args(s->args, s->arg_count, out);
    for (uint32_t i = 0; i < s->rule_count; i++) markdown_rule(s->rules[i].text, s->rules[i].doc, i + 1 == s->rule_count, out);
    if (s->ops[0]) fnd_text_printf(out, "Operations: `%s`.\n\n", s->ops);
}

static void markdown_policy(const fnd_policy *p, fnd_text *out) { fnd_text_printf(out, "- `%s`: %s\n", p->name, p->doc); }

/* ---- as JSON ---- */

static void json_pair(fnd_text *out, const char *key, const char *value) {
    fnd_text_printf(out, "\"%s\": ", key);
    fnd_cli_json_string(out, value);
}

static void json_args(const fnd_arg *args, uint32_t count, fnd_text *out) {
    fnd_text_str(out, "\"args\": [");
    for (uint32_t i = 0; i < count; i++) {
        const fnd_arg *a = &args[i];
        fnd_text_str(out, i ? ",\n    {" : "\n    {");
        json_pair(out, "kind", fnd_arg_kind_name(a->kind));
        fnd_text_str(out, ", ");
        json_pair(out, "type", a->type);
        fnd_text_str(out, ", ");
        json_pair(out, "name", a->name);
        fnd_text_str(out, ", \"shape\": [");
        for (uint32_t d = 0; d < a->shape.rank; d++) {
            if (d) fnd_text_str(out, ", ");
            fnd_cli_json_string(out, a->shape.dim[d]);
        }
        fnd_text_str(out, "], ");
        json_pair(out, "moves", a->shape.moves);
        fnd_text_str(out, ", ");
        json_pair(out, "doc", a->doc);
        fnd_text_str(out, "}");
    }
    fnd_text_str(out, "]");
}

/* Rule i of a list; `first` begins the list. */
static void json_rule(const char *text, const char *doc, bool first, fnd_text *out) {
    fnd_text_str(out, first ? "{" : ", {");
    json_pair(out, "rule", text);
    fnd_text_str(out, ", ");
    json_pair(out, "doc", doc);
    fnd_text_str(out, "}");
}

static void json_begin(fnd_text *out, const char *name, const char *doc) {
    fnd_text_str(out, "  {");
    json_pair(out, "name", name);
    fnd_text_str(out, ", ");
    json_pair(out, "doc", doc);
}

static void json_kernel(const fnd_composition *c, const char *doc, fnd_text *out) {
    json_begin(out, c->name, doc);
    fnd_text_str(out, ", \"stages\": [");
    for (uint32_t i = 0; i < c->step_count; i++) {
        fnd_text_str(out, i ? ", {" : "{");
        json_pair(out, "stage", c->steps[i].stage->name);
        fnd_text_str(out, ", ");
        json_pair(out, "head", c->steps[i].head);
        fnd_text_str(out, "}");
    }
    fnd_text_str(out, "],\n   ");
    json_args(c->args, c->arg_count, out);
    fnd_text_str(out, ",\n   \"rules\": [");
    for (uint32_t i = 0; i < c->rule_count; i++) json_rule(c->rules[i].text, c->rules[i].doc, i == 0, out);
    fnd_text_str(out, "]}");
}

static void json_stage(const fnd_stage *s, fnd_text *out) {
    json_begin(out, s->name, s->doc);
    fnd_text_str(out, ", ");
    json_pair(out, "kind", fnd_stage_kind_text(s->kind));
    fnd_text_str(out, ", ");
    json_pair(out, "takes", fnd_value_kind_text(s->takes));
    fnd_text_str(out, ", ");
    json_pair(out, "gives", fnd_value_kind_text(s->gives));
    fnd_text_str(out, ", ");
    json_pair(out, "file", s->file);
    fnd_text_str(out, ",\n   ");
    json_args(s->args, s->arg_count, out);
    if (s->ops[0]) {
        fnd_text_str(out, ",\n   ");
        json_pair(out, "ops", s->ops);
    }
    fnd_text_str(out, ",\n   \"rules\": [");
    for (uint32_t i = 0; i < s->rule_count; i++) json_rule(s->rules[i].text, s->rules[i].doc, i == 0, out);
    fnd_text_str(out, "]}");
}

static void json_policy(const fnd_policy *p, fnd_text *out) {
    json_begin(out, p->name, p->doc);
    fnd_text_str(out, "}");
}

/* ---- the three lists ---- */

typedef struct writer {
    const char *titles[3], *between, *end; /* before the kernels, the stages and the policies */
    void (*kernel)(const fnd_composition *c, const char *doc, fnd_text *out);
    void (*stage)(const fnd_stage *s, fnd_text *out);
    void (*policy)(const fnd_policy *p, fnd_text *out);
} writer;

static const writer text_writer = { { "KERNELS\n\n", "STAGES\n\n", "POLICIES\n\n" }, "", "", text_kernel, text_stage, text_policy };
static const writer markdown_writer = { { "## Kernels\n\n", "## Stages\n\n", "## Policies\n\n" }, "", "", markdown_kernel, markdown_stage, markdown_policy };
static const writer json_writer = { { "{\"kernels\": [\n", "],\n\"stages\": [\n", "],\n\"policies\": [\n" }, ",\n", "]}\n", json_kernel, json_stage, json_policy };

static fnd_status write_all(const writer *w, const fnd_catalog *catalog, fnd_text *out, fnd_error *err) {
    fnd_text_str(out, w->titles[0]);
    for (size_t i = 0; i < fnd_shipped_count(); i++) {
        fnd_kernel_desc desc;
        fnd_composition_room room;
        FND_TRY(fnd_shipped_stages(i, &desc, err));
        FND_TRY(fnd_compose(catalog, &desc, &room, err));
        if (i) fnd_text_str(out, w->between);
        w->kernel(&room.composition, fnd_shipped_doc(i), out);
    }
    for (size_t i = 0; i < fnd_catalog_kernel_count(catalog); i++) {
        const fnd_declared_kernel *k = fnd_catalog_kernel_at(catalog, i);
        fnd_composition_room room;
        FND_TRY(fnd_compose(catalog, &k->desc, &room, err));
        fnd_text_str(out, w->between);
        w->kernel(&room.composition, k->doc, out);
    }
    fnd_text_str(out, w->titles[1]);
    for (size_t i = 0; i < fnd_catalog_stage_count(catalog); i++) {
        if (i) fnd_text_str(out, w->between);
        w->stage(fnd_catalog_stage_at(catalog, i), out);
    }
    fnd_text_str(out, w->titles[2]);
    for (size_t i = 0; i < fnd_catalog_policy_count(catalog); i++) {
        if (i) fnd_text_str(out, w->between);
        w->policy(fnd_catalog_policy_at(catalog, i), out);
    }
    fnd_text_str(out, w->end);
    return FND_OK;
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const kernels_options *o = options;
    fnd_desc desc;
    fnd_catalog *catalog;
    fnd_text out = { 0 };
    if (o->json && o->markdown) return fnd_fail(err, FND_ERR_USAGE, "kernels takes --json or --markdown, not both");
    FND_TRY(fnd_cli_desc(globals, &desc, err));
    FND_TRY(fnd_catalog_open(desc.kernel_dir, &catalog, err));
    const writer *w = o->json ? &json_writer : o->markdown ? &markdown_writer
                                                           : &text_writer;
    fnd_status status = o->user ? fnd_catalog_add_folder(catalog, o->user, err) : FND_OK;
    if (status == FND_OK) status = write_all(w, catalog, &out, err);
    fnd_catalog_close(catalog);
    if (status == FND_OK) return fnd_cli_put_text(&out, err);
    fnd_text_free(&out);
    return status;
}

const fnd_cli_command fnd_cli_kernels = {
    .name = "kernels",
    .doc = "all kernels, stages and policies with their arguments and rules",
    .usage = "[--json | --markdown] [--user DIR]",
    .example = "  foundry kernels | less",
    .options = options_list,
    .options_bytes = sizeof(kernels_options),
    .run = run,
};
