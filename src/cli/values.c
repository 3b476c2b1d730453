/* values.c - what the value of an option may be, by what help calls it. */
#include "base/cpuinfo.h"
#include "cli/formats.h"
#include "compose/shipped.h"
#include "foundry/synth.h"

static void add_word(fnd_text *out, const char *word) {
    fnd_text_str(out, out->bytes ? " " : "");
    fnd_text_str(out, word);
}

static void add_devices(fnd_text *out) {
    for (size_t i = 0; fnd_backend_name(i); i++) add_word(out, fnd_backend_name(i));
}

static void add_levels(fnd_text *out) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    for (size_t i = 0; i < count; i++) add_word(out, levels[i].name);
}

static void add_formats(fnd_text *out) { fnd_text_str(out, &FND_CLI_FORMATS[1]); }

static void add_kernels(fnd_text *out) {
    for (size_t i = 0; i < fnd_shipped_count(); i++) add_word(out, fnd_shipped_name(i));
}

/* Each once: architectures and sizes come in pairs. */
static void add_synth(fnd_text *out, bool sizes) {
    const char *now[2], *before[2];
    for (size_t i = 0; fnd_synth_at(i, &now[0], &now[1]); i++) {
        bool known = false;
        for (size_t j = 0; j < i && !known; j++) known = fnd_synth_at(j, &before[0], &before[1]) && strcmp(before[sizes], now[sizes]) == 0;
        if (!known) add_word(out, now[sizes]);
    }
}

static void add_architectures(fnd_text *out) { add_synth(out, false); }
static void add_sizes(fnd_text *out) { add_synth(out, true); }

static const struct {
    const char *value;
    fnd_cli_values_kind kind;
    void (*add)(fnd_text *out);
} known[] = {
    { "F", FND_CLI_FILES, NULL },
    { "DIR", FND_CLI_FOLDERS, NULL },
    { "CC", FND_CLI_PROGRAMS, NULL },
    { "DEVICE", FND_CLI_WORDS, add_devices },
    { "LEVEL", FND_CLI_WORDS, add_levels },
    { "FMT", FND_CLI_WORDS, add_formats },
    { "P,..", FND_CLI_WORD_LIST, add_formats },
    { "PATTERN=FMT", FND_CLI_EQUALS_WORD, add_formats },
    { "K", FND_CLI_WORDS, add_kernels },
    { "ARCH", FND_CLI_WORDS, add_architectures },
    { "SIZE", FND_CLI_WORDS, add_sizes },
};

/* A name of something else is that of a file. */
fnd_status fnd_cli_option_values(const fnd_cli_option *o, fnd_cli_values *out, fnd_error *err) {
    *out = (fnd_cli_values){ .kind = o->kind == FND_CLI_NAME ? FND_CLI_FILES : FND_CLI_ANYTHING };
    if (!o->value) return FND_OK;
    if (strchr(o->value, '|')) {
        out->kind = FND_CLI_WORDS;
        for (const char *p = o->value; *p; p++) fnd_text_add(&out->words, *p == '|' ? " " : p, 1);
    }
    for (size_t i = 0; i < FND_COUNT(known); i++) {
        if (strcmp(known[i].value, o->value) != 0) continue;
        out->kind = known[i].kind;
        if (known[i].add) known[i].add(&out->words);
    }
    fnd_status status = fnd_text_check(&out->words, err);
    if (status != FND_OK) fnd_text_free(&out->words);
    return status;
}
