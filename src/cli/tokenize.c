/* tokenize.c - foundry tokenize: the ids of a text, or the text of ids. */
#include "base/file.h"
#include "base/memory.h"
#include "cli/text.h"
#include "foundry/tokenizer.h"

#include <stddef.h>

typedef struct tokenize_options {
    const char *model, *text, *file, *ids;
    bool plain, json;
} tokenize_options;

#define FIELD(name) offsetof(tokenize_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file; its tensors may be missing", 0, 0 },
    { "text", FND_CLI_TEXT, "T", FIELD(text), "the text, or", 0, 0 },
    { "file", FND_CLI_NAME, "F", FIELD(file), "a file with the text; - is standard input", 0, 0 },
    { "ids", FND_CLI_TEXT, "N,..", FIELD(ids), "the other way: print the text of these ids", 0, 0 },
    { "plain", FND_CLI_FLAG, NULL, FIELD(plain), "text of control tokens is only text; no BOS and EOS are added", 0, 0 },
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print {\"ids\": [...]}; of ids {\"text\": \"...\"}", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

static void print_ids(const fnd_tokenizer *t, const fnd_ids *ids, bool json, fnd_text *out) {
    if (json) fnd_text_str(out, "{\"ids\": [");
    for (size_t i = 0; i < ids->count; i++) {
        if (json) {
            fnd_text_printf(out, "%s%u", i ? ", " : "", ids->data[i]);
            continue;
        }
        fnd_span text = fnd_token_text(t, ids->data[i]);
        fnd_text_printf(out, "%u\t", ids->data[i]);
        fnd_cli_json_text(out, text.data, text.bytes);
        fnd_text_str(out, "\n");
    }
    if (json) fnd_text_str(out, "]}\n");
}

static fnd_status tokenize(const fnd_tokenizer *t, const tokenize_options *o, fnd_error *err) {
    char *data;
    size_t bytes;
    fnd_ids ids = { 0 };
    fnd_text out = { 0 };
    FND_TRY(fnd_cli_read_text(o->text, o->file, &data, &bytes, err));
    fnd_status status = fnd_tokenize(t, data, bytes, o->plain ? 0 : FND_TOKENIZE_SPECIAL | FND_TOKENIZE_ADD_BOS | FND_TOKENIZE_ADD_EOS, &ids, err);
    fnd_free_memory(data);
    if (status == FND_OK) {
        print_ids(t, &ids, o->json, &out);
        status = fnd_cli_put_text(&out, err);
    }
    fnd_ids_free(&ids);
    return status;
}

static fnd_status detokenize(const fnd_tokenizer *t, const tokenize_options *o, fnd_error *err) {
    fnd_ids ids = { 0 };
    fnd_text out = { 0 };
    char *text = NULL;
    size_t bytes = 0;
    fnd_status status = fnd_cli_parse_ids(o->ids, &ids, err);
    if (status == FND_OK) status = fnd_detokenize(t, ids.data, ids.count, &text, &bytes, err);
    if (status == FND_OK && o->json) {
        fnd_text_str(&out, "{\"text\": ");
        fnd_cli_json_text(&out, text, bytes);
        fnd_text_str(&out, "}\n");
        status = fnd_cli_put_text(&out, err);
    } else if (status == FND_OK) {
        status = fnd_cli_put(text, bytes, err); /* and nothing else: the text is exact */
    }
    fnd_text_release(text);
    fnd_ids_free(&ids);
    return status;
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const tokenize_options *o = options;
    fnd_gguf *g;
    fnd_tokenizer *t;
    (void)globals;
    FND_TRY(fnd_cli_need(&fnd_cli_tokenize, "--model", o->model, err));
    if (o->ids && (o->text || o->file)) return fnd_fail(err, FND_ERR_USAGE, "tokenize takes a text or --ids, not both");
    if (!o->ids) FND_TRY(fnd_cli_one_of("tokenize", "--text", o->text, "--file", o->file, err));
    FND_TRY(fnd_gguf_open(o->model, FND_GGUF_METADATA_ONLY, &g, err));
    fnd_status status = fnd_tokenizer_open(g, &t, err);
    fnd_gguf_close(g);
    if (status != FND_OK) return status;
    fnd_cli_tokenizer_note(o->model, t);
    status = o->ids ? detokenize(t, o, err) : tokenize(t, o, err);
    fnd_tokenizer_close(t);
    return status;
}

const fnd_cli_command fnd_cli_tokenize = {
    .name = "tokenize",
    .doc = "text to token ids and back",
    .usage = "--model F (--text T | --file F | --ids 1,2,3) [--plain] [--json]",
    .more = "Without --json a line for each token: its id and its text. BOS is put before the text and EOS\n"
            "behind it if the model's file says so. --ids prints the text of ids as it is.",
    .example = "  foundry tokenize --model model.gguf --text 'Hello <|im_end|>' --json",
    .options = options_list,
    .options_bytes = sizeof(tokenize_options),
    .run = run,
};
