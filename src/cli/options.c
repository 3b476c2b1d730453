/* options.c - from words to structs, by the commands' lists of options. */
#include "base/cpuinfo.h"
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>

#define FIELD(name) offsetof(fnd_cli_globals, name)
static const fnd_cli_option global_options[] = {
    { "backend", FND_CLI_NAME, "DEVICE", FIELD(backend), "device: cpu (default), cuda, metal, sim", 0, 0 },
    { "gpu", FND_CLI_U32, "N", FIELD(gpu), "which GPU, counted from 0 (default: 0)", 0, 255 },
    { "threads", FND_CLI_U32, "N", FIELD(threads), "workers (default: as tuned, else one per core this process may use)", 1, FND_MAX_THREADS },
    { "isa", FND_CLI_NAME, "LEVEL", FIELD(isa), "instructions to use; generic forces the portable texts (default: the best here)", 0, 0 },
    { "unit-from", FND_CLI_U32, "N", FIELD(unit_from), "tokens of a prompt from which on 8-bit products go to a matrix unit; the same results (default: as tuned, else 48)", 1, UINT32_MAX },
    { "program", FND_CLI_NAME, "launch|graph|persistent|auto", FIELD(program), "run a token as one launch per kernel, as a captured graph of them (cuda), or as one kernel (default: auto)", 0, 0 },
    { "no-fuse", FND_CLI_FLAG, NULL, FIELD(no_fuse), "one kernel per operation: to compare with", 0, 0 },
    { "compiler", FND_CLI_NAME, "CC", FIELD(compiler), "C compiler for kernels (default: cc, gcc or clang)", 0, 0 },
    { "compiler-seconds", FND_CLI_U32, "N", FIELD(compiler_seconds), "stop a compiler that takes longer for one text (default: 300)", 1, 86400 },
    { "kv-type", FND_CLI_NAME, "T", FIELD(kv_type), "keep keys and values of models as f16 (default), f32 or q8_0", 0, 0 },
    { "repack", FND_CLI_NAME, "on|off|auto", FIELD(repack), "copy weights into this device's layout, or use the mapped file as it is (default: auto)", 0, 0 },
    { "kernel-dir", FND_CLI_NAME, "DIR", FIELD(kernel_dir), "kernel texts found here replace the built-in ones", 0, 0 },
    { "cache-dir", FND_CLI_NAME, "DIR", FIELD(cache_dir), "where compiled kernels are kept", 0, 0 },
    { "no-cache", FND_CLI_FLAG, NULL, FIELD(no_cache), "neither read nor keep compiled kernels on disk", 0, 0 },
    { "help", FND_CLI_FLAG, NULL, FIELD(help), "this text", 0, 0 },
    { "version", FND_CLI_FLAG, NULL, FIELD(version), "the version", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

/* ---- one value ---- */

typedef struct word {
    const fnd_cli_option *option;
    const char *value; /* NULL: none was given with '=' */
    char *field;
} word;

static const char *quoted(const char *text, char *to, size_t bytes) { return fnd_span_quote((fnd_span){ text, strlen(text) }, to, bytes); }

static fnd_status wrong_number(const word *w, const char *what, fnd_error *err) {
    char shown[80];
    const fnd_cli_option *o = w->option;
    if (o->kind == FND_CLI_U64) return fnd_fail(err, FND_ERR_USAGE, "--%s needs %s from 0 to 18446744073709551615, not '%s'", o->name, what, quoted(w->value, shown, sizeof shown));
    return fnd_fail(err, FND_ERR_USAGE, "--%s needs %s from %.10g to %.10g, not '%s'", o->name, what, o->min, o->max, quoted(w->value, shown, sizeof shown));
}

static fnd_status set_whole(const word *w, fnd_error *err) {
    uint64_t n = 0;
    const char *p = w->value;
    bool fits = isdigit((unsigned char)*p);
    for (; fits && isdigit((unsigned char)*p); p++) fits = fnd_mul_u64(n, 10, &n) && fnd_add_u64(n, (uint64_t)(*p - '0'), &n);
    bool ranged = w->option->kind == FND_CLI_U32;
    if (!fits || *p || (ranged && ((double)n < w->option->min || (double)n > w->option->max))) return wrong_number(w, "a whole number", err);
    if (ranged) {
        uint32_t value = (uint32_t)n;
        memcpy(w->field, &value, sizeof value);
    } else {
        fnd_cli_u64 value = { n, true };
        memcpy(w->field, &value, sizeof value);
    }
    return FND_OK;
}

static fnd_status set_real(const word *w, fnd_error *err) {
    char *end;
    bool starts = isdigit((unsigned char)w->value[0]) || w->value[0] == '.' || w->value[0] == '-';
    double value = starts ? strtod(w->value, &end) : NAN;
    if (!starts || end == w->value || *end || !isfinite(value) || value < w->option->min || value > w->option->max) return wrong_number(w, "a number", err);
    memcpy(w->field, &value, sizeof value);
    return FND_OK;
}

const char *fnd_cli_dashes(const fnd_cli_option *o) { return o->name[1] ? "--" : "-"; }

static fnd_status add_item(const word *w, fnd_error *err) {
    fnd_cli_list list;
    memcpy(&list, w->field, sizeof list);
    if (list.count == FND_CLI_LIST_ITEMS) return fnd_fail(err, FND_ERR_USAGE, "%s%s can be given %d times", fnd_cli_dashes(w->option), w->option->name, FND_CLI_LIST_ITEMS);
    list.items[list.count++] = w->value;
    memcpy(w->field, &list, sizeof list);
    return FND_OK;
}

static fnd_status set_value(const word *w, fnd_error *err) {
    switch (w->option->kind) {
    case FND_CLI_FLAG:
        memcpy(w->field, &(bool){ true }, sizeof(bool));
        return FND_OK;
    case FND_CLI_NAME:
        if (!w->value[0]) return fnd_fail(err, FND_ERR_USAGE, "%s%s needs a value that is not empty: %s%s %s", fnd_cli_dashes(w->option), w->option->name, fnd_cli_dashes(w->option), w->option->name, w->option->value);
        memcpy(w->field, &w->value, sizeof w->value);
        return FND_OK;
    case FND_CLI_TEXT:
        memcpy(w->field, &w->value, sizeof w->value);
        return FND_OK;
    case FND_CLI_REAL:
        return set_real(w, err);
    case FND_CLI_LIST:
        return add_item(w, err);
    default:
        return set_whole(w, err);
    }
}

/* ---- all words ---- */

static const fnd_cli_option *find(const fnd_cli_option *list, const char *name, size_t bytes) {
    for (; list->name; list++) {
        if (strlen(list->name) == bytes && memcmp(list->name, name, bytes) == 0) return list;
    }
    return NULL;
}

static fnd_status unknown_option(const fnd_cli_command *command, const char *dashed, size_t bytes, fnd_error *err) {
    char shown[80];
    size_t dashes = strspn(dashed, "-");
    fnd_nearest near = { .word = dashed + dashes, .bytes = bytes - dashes };
    for (const fnd_cli_option *o = command->options; o->name; o++) fnd_nearest_try(&near, o->name);
    for (const fnd_cli_option *o = global_options; o->name; o++) fnd_nearest_try(&near, o->name);
    return fnd_fail(err, FND_ERR_USAGE, "%s has no option '%s'%s; `foundry %s --help` lists them", command->name, fnd_span_quote((fnd_span){ dashed, bytes }, shown, sizeof shown), fnd_nearest_text(&near, "--"), command->name);
}

/* words[*at] begins with "--", or is "-" and one letter; takes its value too. */
static fnd_status parse_option(const fnd_cli_command *command, int count, char **words, int *at, fnd_cli_globals *globals, char *options, fnd_error *err) {
    size_t before = strncmp(words[*at], "--", 2) == 0 ? 2 : 1;
    const char *name = words[*at] + before, *equals = before == 2 ? strchr(name, '=') : NULL;
    size_t bytes = equals ? (size_t)(equals - name) : strlen(name);
    word w = { .option = find(command->options, name, bytes), .value = equals ? equals + 1 : NULL };
    w.field = w.option ? options + w.option->offset : NULL;
    if (!w.option && (w.option = find(global_options, name, bytes))) w.field = (char *)globals + w.option->offset;
    if (!w.option) return unknown_option(command, words[*at], bytes + before, err);
    if (w.option->kind == FND_CLI_FLAG) {
        if (equals) return fnd_fail(err, FND_ERR_USAGE, "--%s takes no value", w.option->name);
    } else if (!equals) {
        if (*at + 1 >= count) return fnd_fail(err, FND_ERR_USAGE, "%s%s needs a value: %s%s %s", fnd_cli_dashes(w.option), w.option->name, fnd_cli_dashes(w.option), w.option->name, w.option->value);
        w.value = words[++*at];
    }
    return set_value(&w, err);
}

int fnd_cli_command_word(int count, char **words) {
    for (int i = 1; i < count; i++) {
        if (words[i][0] != '-') return i;
        if (strncmp(words[i], "--", 2) != 0 || strchr(words[i], '=')) continue;
        const fnd_cli_option *o = find(global_options, words[i] + 2, strlen(words[i] + 2));
        if (o && o->kind != FND_CLI_FLAG) i++;
    }
    return count;
}

static fnd_status check_backend(const fnd_cli_command *command, const char *name, fnd_error *err) {
    char shown[80], known[128] = "";
    if (!name || command->machines) return FND_OK; /* words of its own: it checks them */
    for (size_t i = 0; fnd_backend_name(i); i++) {
        if (strcmp(fnd_backend_name(i), name) == 0) return FND_OK;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", fnd_backend_name(i));
    }
    return fnd_fail(err, FND_ERR_USAGE, "--backend knows no device '%s'; there are: %s", quoted(name, shown, sizeof shown), known);
}

/* A level that this processor lacks is found out when the device is opened; a word that is none is
 * the caller's mistake. */
static fnd_status check_isa(const char *name, const char *backend, fnd_error *err) {
    char shown[80], known[128] = "";
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    if (!name) return FND_OK;
    if (backend && strcmp(backend, "sim") == 0 && strcmp(name, "metal") == 0) return FND_OK;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(levels[i].name, name) == 0) return FND_OK;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", levels[i].name);
    }
    return fnd_fail(err, FND_ERR_USAGE, "--isa knows no level '%s'; there are: %s", quoted(name, shown, sizeof shown), known);
}

fnd_status fnd_cli_parse(const fnd_cli_command *command, int count, char **words, fnd_cli_globals *globals, void *options, fnd_error *err) {
    bool only_words = false;
    int positionals = 0;
    char shown[80];
    if (command->defaults) memcpy(options, command->defaults, command->options_bytes);
    for (int i = 0; i < count; i++) {
        const char *text = words[i];
        if (!only_words && strcmp(text, "--") == 0) {
            only_words = true;
        } else if (!only_words && strncmp(text, "--", 2) == 0) {
            FND_TRY(parse_option(command, count, words, &i, globals, options, err));
        } else if (!only_words && strcmp(text, "-h") == 0) {
            globals->help = true;
        } else if (!only_words && text[0] == '-' && text[1] && !text[2] && find(command->options, text + 1, 1)) {
            FND_TRY(parse_option(command, count, words, &i, globals, options, err));
        } else if (!only_words && text[0] == '-' && text[1]) {
            return unknown_option(command, text, strlen(text), err);
        } else if (positionals == 0 ? command->positional : positionals == 1 ? command->second
                                                                             : NULL) {
            if (!text[0]) return fnd_fail(err, FND_ERR_USAGE, "%s needs the name of a file, not ''", command->name);
            memcpy((char *)options + (positionals == 0 ? command->positional_offset : command->second_offset), &text, sizeof text);
            positionals++;
        } else {
            return fnd_fail(err, FND_ERR_USAGE, "%s does not know what to do with '%s'; `foundry %s --help` shows what it takes", command->name, quoted(text, shown, sizeof shown), command->name);
        }
    }
    if (globals->help || globals->version) return FND_OK;
    FND_TRY(check_backend(command, globals->backend, err));
    return check_isa(globals->isa, globals->backend, err);
}

fnd_status fnd_cli_need(const fnd_cli_command *command, const char *option, const void *value, fnd_error *err) {
    if (value) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%s needs %s; `foundry %s --help` shows an example", command->name, option, command->name);
}

bool fnd_cli_global_option(const fnd_cli_command *command, size_t index, fnd_cli_option *out) {
    const fnd_cli_option *o = global_options;
    for (;; o++) { /* a command's own option hides that of its name */
        if (!o->name) return false;
        if (command && find(command->options, o->name, strlen(o->name))) continue;
        if (index-- == 0) break;
    }
    *out = *o;
    if (!command || !command->machines || strcmp(out->name, "backend") != 0) return true;
    out->value = command->machines;
    out->doc = "the machine that it is for (default: cpu)";
    return true;
}

/* ---- help ---- */

static void print_option(const fnd_cli_option *o, FILE *to) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s", fnd_cli_dashes(o), o->name, o->value ? " " : "", o->value ? o->value : "");
    bool fits = strlen(left) <= 22;
    fprintf(to, fits ? "  %-22s %s\n" : "  %s\n                         %s\n", left, o->doc);
}

static void print_global_options(const fnd_cli_command *command, FILE *to) {
    fnd_cli_option o;
    fputs("\noptions of every command:\n", to);
    for (size_t i = 0; fnd_cli_global_option(command, i, &o); i++) print_option(&o, to);
}

const char fnd_cli_purpose[] = "run language models (GGUF files) with kernels fused from small stages";
const char fnd_cli_example[] = "  foundry run --model model.gguf --prompt 'Name the capital of France.'";

void fnd_cli_help(FILE *to) {
    fprintf(to, "foundry: %s\n\nusage: foundry COMMAND [options]\n\ncommands:\n", fnd_cli_purpose);
    for (size_t i = 0; fnd_cli_command_at(i); i++) fprintf(to, "  %-12s %s\n", fnd_cli_command_at(i)->name, fnd_cli_command_at(i)->doc);
    fputs("  help         this text, or `foundry help COMMAND`\n", to);
    print_global_options(NULL, to);
    fputs("\nalso:\n"
          "  --completion SHELL     what bash or zsh reads to complete these words: source <(foundry --completion bash)\n"
          "  --man [COMMAND]        the manual page, as man(1) reads it\n"
          "\nexample:\n",
          to);
    fprintf(to, "%s\n\nexit codes: 0 done, 1 failure, 2 wrong use, 130 interrupted\n", fnd_cli_example);
}

void fnd_cli_help_command(const fnd_cli_command *c, FILE *to) {
    fprintf(to, "foundry %s: %s\n\nusage: foundry %s %s\n", c->name, c->doc, c->name, c->usage);
    if (c->more) fprintf(to, "\n%s\n", c->more);
    if (c->options->name) fputs("\noptions:\n", to);
    for (const fnd_cli_option *o = c->options; o->name; o++) print_option(o, to);
    print_global_options(c, to);
    fprintf(to, "\nexample:\n%s\n", c->example);
}
