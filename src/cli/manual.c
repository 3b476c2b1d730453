/* manual.c - foundry --man: manual pages in the man(7) macros, made of the commands' help. */
#include "cli/cli.h"
#include "foundry/version.h"

#include <ctype.h>

/* ---- roff ---- */

/* A text of roff: '-' is the one that can be copied, and nothing is taken for a request. */
static void add_roff(fnd_text *out, const char *text, bool line_begins) {
    for (; *text; text++) {
        if (line_begins && (*text == '.' || *text == '\'')) fnd_text_str(out, "\\&");
        line_begins = *text == '\n';
        const char *escape = *text == '\\' ? "\\e" : *text == '-' ? "\\-"
                                                 : *text == '\''  ? "\\(aq"
                                                 : *text == '`'   ? "\\(ga"
                                                 : *text == '^'   ? "\\(ha"
                                                 : *text == '~'   ? "\\(ti"
                                                                  : NULL;
        if (escape)
            fnd_text_str(out, escape);
        else
            fnd_text_add(out, text, 1);
    }
}

static void section(fnd_text *out, const char *name) { fnd_text_printf(out, ".SH %s\n", name); }

/* Paragraphs, between which lines are empty. */
static void add_paragraphs(fnd_text *out, const char *text) {
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t bytes = end ? (size_t)(end - text) : strlen(text);
        char line[1024];
        for (size_t at = 0; at < bytes;) {
            size_t line_bytes = fnd_min_size(strcspn(text + at, "\n"), bytes - at);
            snprintf(line, sizeof line, "%.*s", (int)fnd_min_size(line_bytes, sizeof line - 1), text + at);
            add_roff(out, line, true);
            fnd_text_str(out, "\n");
            at += line_bytes + 1;
        }
        text += end ? bytes + 2 : bytes;
        if (*text) fnd_text_str(out, ".PP\n");
    }
}

/* As they stand, without the spaces that lines of help begin with. */
static void add_lines(fnd_text *out, const char *text) {
    fnd_text_str(out, ".nf\n");
    while (*text) {
        char line[1024];
        size_t bytes = strcspn(text, "\n"), spaces = strspn(text, " ");
        snprintf(line, sizeof line, "%.*s", (int)fnd_min_size(bytes - spaces, sizeof line - 1), text + spaces);
        add_roff(out, line, true);
        fnd_text_str(out, "\n");
        text += bytes + (text[bytes] == '\n');
    }
    fnd_text_str(out, ".fi\n");
}

/* ---- parts of a page ---- */

static void begin(fnd_text *out, const char *title, const char *name, const char *doc) {
    fnd_text_str(out, ".TH ");
    for (; *title; title++) fnd_text_printf(out, "%c", toupper((unsigned char)*title));
    fnd_text_printf(out, " 1 \"\" \"Foundry %s\" \"Foundry\"\n", fnd_version());
    section(out, "NAME");
    add_roff(out, name, false);
    fnd_text_str(out, " \\- ");
    add_roff(out, doc, false);
    fnd_text_str(out, "\n");
}

static void synopsis(fnd_text *out, const char *name, const char *rest) {
    section(out, "SYNOPSIS");
    char start[64], line[1024];
    snprintf(start, sizeof start, "foundry%s%s ", name ? " " : "", name ? name : "");
    fnd_text_str(out, ".nh\n.ad l\n");
    for (bool first = true; *rest; first = false) {
        size_t bytes = strcspn(rest, "\n");
        snprintf(line, sizeof line, "%.*s", (int)fnd_min_size(bytes, sizeof line - 1), rest);
        const char *text = line + strspn(line, " ");
        if (strncmp(text, start, strlen(start)) == 0) text += strlen(start); /* lines behind the first begin so too */
        fnd_text_printf(out, "%s.B %s\n", first ? "" : ".br\n", start);
        add_roff(out, text, true);
        fnd_text_str(out, "\n");
        rest += bytes + (rest[bytes] == '\n');
    }
    fnd_text_str(out, ".ad b\n.hy\n");
}

static void add_option(fnd_text *out, const fnd_cli_option *o) {
    fnd_text_printf(out, ".TP\n.%s \"", o->value ? "BI" : "B");
    add_roff(out, fnd_cli_dashes(o), false);
    add_roff(out, o->name, false);
    if (o->value) {
        fnd_text_str(out, " \" \"");
        add_roff(out, o->value, false);
    }
    fnd_text_str(out, "\"\n");
    add_roff(out, o->doc, true);
    fnd_text_str(out, "\n");
}

static void add_global_options(fnd_text *out, const fnd_cli_command *c) {
    fnd_cli_option o;
    section(out, "OPTIONS OF EVERY COMMAND");
    for (size_t i = 0; fnd_cli_global_option(c, i, &o); i++) add_option(out, &o);
}

static void end(fnd_text *out, const char *example, const fnd_cli_command *c) {
    section(out, "EXIT STATUS");
    fnd_text_str(out, "0 done, 1 failure, 2 wrong use, 130 interrupted.\nResults go to standard output, everything else to standard error.\n");
    section(out, "EXAMPLES");
    add_lines(out, example);
    section(out, "SEE ALSO");
    if (c) fnd_text_str(out, ".BR foundry (1)\n");
    for (size_t i = 0; !c && fnd_cli_command_at(i); i++) fnd_text_printf(out, ".BR foundry\\-%s (1)%s\n", fnd_cli_command_at(i)->name, fnd_cli_command_at(i + 1) ? "," : "");
}

/* ---- pages ---- */

static void command_page(fnd_text *out, const fnd_cli_command *c) {
    char name[64];
    snprintf(name, sizeof name, "foundry-%s", c->name);
    begin(out, name, name, c->doc);
    synopsis(out, c->name, c->usage);
    if (c->more) {
        section(out, "DESCRIPTION");
        add_paragraphs(out, c->more);
    }
    if (c->options->name) section(out, "OPTIONS");
    for (const fnd_cli_option *o = c->options; o->name; o++) add_option(out, o);
    add_global_options(out, c);
    end(out, c->example, c);
}

static void program_page(fnd_text *out) {
    begin(out, "foundry", "foundry", fnd_cli_purpose);
    synopsis(out, NULL, "COMMAND [options]");
    section(out, "COMMANDS");
    for (size_t i = 0; fnd_cli_command_at(i); i++) {
        const fnd_cli_command *c = fnd_cli_command_at(i);
        fnd_text_printf(out, ".TP\n.BR foundry\\-%s (1)\n", c->name);
        add_roff(out, c->doc, true);
        fnd_text_str(out, "\n");
    }
    add_global_options(out, NULL);
    section(out, "ENVIRONMENT");
    fnd_text_str(out, ".BR FOUNDRY_BACKEND ,\n.BR FOUNDRY_THREADS ,\n.BR FOUNDRY_ISA ,\n.B FOUNDRY_KERNEL_DIR\nand\n.B FOUNDRY_CACHE_DIR\nserve where the options of these names are not given.\n");
    section(out, "FILES");
    fnd_text_str(out, ".TP\n.I $XDG_CACHE_HOME/foundry\nCompiled kernels, unless a folder is named;\n.I ~/.cache/foundry\nwhere that variable is not set.\n");
    end(out, fnd_cli_example, NULL);
}

fnd_status fnd_cli_manual(const fnd_cli_command *command, fnd_error *err) {
    fnd_text out = { 0 };
    if (command)
        command_page(&out, command);
    else
        program_page(&out);
    return fnd_cli_put_text(&out, err);
}
