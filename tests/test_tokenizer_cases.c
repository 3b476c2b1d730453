/* test_tokenizer_cases.c - ids recorded from other programs (tests/tokenizer/record.py), and round
 * trips of all their texts through every vocabulary at hand. */
#include "base/base.h"
#include "base/memory.h"
#include "golden.h"
#include "lm/tokenizer.h"
#include "test.h"
#include "tokenizer_cases.h"

#include <glob.h>
#include <stdlib.h>

/* Every text has the recorded ids ("count:hash"; null: not recorded) and comes back. */
static void check_texts(const fnd_tokenizer *t, const char *name, const json_t *recorded) {
    const tokenizer_cases *cases = tokenizer_cases_get();
    CHECK(json_array_size(recorded) == cases->text_count);
    for (size_t i = 0; i < cases->text_count; i++) {
        fnd_span text = cases->texts[i];
        const char *want = json_string_value(json_array_get(recorded, i));
        char got[64];
        fnd_ids ids = { 0 };
        fnd_error err = { 0 };
        CHECK_OK(fnd_tokenize(t, text.data, text.bytes, 0, &ids, &err), &err);
        ids_digest(&ids, got);
        CHECK_MSG(!want || strcmp(want, got) == 0, "%s, \"%.*s\": %s, recorded %s", name, (int)text.bytes, text.data, got, want);
        fnd_ids_free(&ids);
        check_round_trip(t, text.data, text.bytes, 0);
        check_round_trip(t, text.data, text.bytes, FND_TOKENIZE_SPECIAL);
    }
}

TEST(tokenizer_cases_of_every_pretokenizer) {
    json_t *recorded = json_object_get(json_object_get(tokenizer_cases_get()->json, "bpe"), "ids");
    const fnd_pretokenizer *kind;
    for (size_t i = 0; (kind = fnd_pretokenizer_at(i)); i++) {
        json_t *want = json_object_get(recorded, kind->names[0]);
        CHECK_MSG(want != NULL, "nothing is recorded for %s", kind->names[0]);
        gguf_writer w = { 0 };
        tokenizer_cases_bpe(&w, kind->names[0]);
        fnd_tokenizer *t = tokenizer_cases_open(&w);
        REQUIRE(t);
        check_texts(t, kind->names[0], want);
        fnd_tokenizer_close(t);
    }
    CHECK(json_object_size(recorded) == 14);
}

TEST(tokenizer_cases_of_sentencepiece) {
    for (size_t which = 0; which < 2; which++) {
        json_t *want = json_object_get(json_array_get(json_object_get(tokenizer_cases_get()->json, "spm"), which), "ids");
        gguf_writer w = { 0 };
        tokenizer_cases_spm(&w, which, false);
        fnd_tokenizer *t = tokenizer_cases_open(&w);
        REQUIRE(t);
        check_texts(t, which ? "without a space before" : "with a space before", want);
        fnd_tokenizer_close(t);
    }
}

/* Special tokens between texts: each part gets its space; Phi-3's take white space behind them along. */
TEST(tokenizer_cases_of_special_tokens) {
    json_t *special = json_object_get(tokenizer_cases_get()->json, "special"), *entry;
    for (int phi = 0; phi < 3; phi++) {
        gguf_writer w = { 0 };
        tokenizer_cases_spm(&w, 0, true);
        if (phi == 1) gguf_add_str(&w, "general.architecture", "phi3");
        if (phi == 2) gguf_add_str(&w, "general.name", "My PHI-3 mini");
        fnd_tokenizer *t = tokenizer_cases_open(&w);
        REQUIRE(t);
        size_t i;
        json_array_foreach(json_object_get(special, phi ? "strip" : "plain"), i, entry) {
            json_t *text = json_object_get(entry, "text"), *want = json_object_get(entry, "ids");
            fnd_ids ids = { 0 };
            fnd_error err = { 0 };
            CHECK_OK(fnd_tokenize(t, json_string_value(text), json_string_length(text), FND_TOKENIZE_SPECIAL, &ids, &err), &err);
            bool same = ids.count == json_array_size(want);
            for (size_t k = 0; same && k < ids.count; k++) same = ids.data[k] == json_integer_value(json_array_get(want, k));
            CHECK_MSG(same, "phi %d: \"%s\" differs", phi, json_string_value(text));
            fnd_ids_free(&ids);
            if (!phi) check_round_trip(t, json_string_value(text), json_string_length(text), FND_TOKENIZE_SPECIAL);
            check_round_trip(t, json_string_value(text), json_string_length(text), 0);
        }
        CHECK(i > 8);
        fnd_tokenizer_close(t);
    }
}

TEST(tokenizer_cases_have_forty_scripts) {
    const tokenizer_cases *cases = tokenizer_cases_get();
    CHECK(cases->string_count >= 300 && cases->text_count > cases->string_count);
    json_error_t where;
    json_t *strings = json_load_file("tests/tokenizer/strings.json", JSON_ALLOW_NUL, &where);
    CHECK(json_object_size(strings) >= 45); /* a group for each script, and emoji, marks, controls ... */
    json_decref(strings);
}

/* ---- real vocabularies ---- */

/* Some vocabularies lack tokens for bytes that are rare: texts with those are refused. */
static void find_missing(const fnd_tokenizer *t, bool missing[256]) {
    for (int b = 0; b < 256; b++) {
        char text = (char)b;
        fnd_ids ids = { 0 };
        fnd_error err = { 0 };
        fnd_status status = fnd_tokenize(t, &text, 1, 0, &ids, &err);
        CHECK(status == FND_OK || (status == FND_ERR_UNSUPPORTED && strstr(err.text, "has no token")));
        missing[b] = status != FND_OK;
        fnd_ids_free(&ids);
    }
}

static void check_round_trips(const fnd_tokenizer *t) {
    const tokenizer_cases *cases = tokenizer_cases_get();
    bool missing[256];
    size_t checked = 0;
    find_missing(t, missing);
    for (size_t i = 0; i < cases->string_count; i++) {
        fnd_span text = cases->texts[i];
        bool lacks = false;
        for (size_t k = 0; k < text.bytes; k++) lacks |= missing[(unsigned char)text.data[k]];
        if (lacks) continue;
        checked++;
        check_round_trip(t, text.data, text.bytes, 0);
        check_round_trip(t, text.data, text.bytes, FND_TOKENIZE_SPECIAL);
    }
    CHECK_MSG(checked >= 400, "only %zu texts are checked", checked);
}

TEST(tokenizer_round_trips_through_real_vocabularies) {
    char why[256];
    int found = 0;
    for (int model = 0; model < 2; model++) {
        fnd_tokenizer *t = golden_tokenizer(model, why);
        if (!t) continue;
        found++;
        check_round_trips(t);
        fnd_tokenizer_close(t);
    }
    NEED(found, why);
}

/* llama.cpp's sources hold vocabularies of real models beside texts (.inp) and their ids (.out). They
 * are here where `make bench-cpu` was run. */
static void check_vocabulary(const char *path) {
    char name[4200], line[4096];
    fnd_gguf *g = NULL;
    fnd_tokenizer *t = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_gguf_open(path, FND_GGUF_METADATA_ONLY, &g, &err), &err);
    fnd_status status = g ? fnd_tokenizer_open(g, &t, &err) : FND_ERR_FILE;
    fnd_gguf_close(g);
    if (status != FND_OK) {
        CHECK_MSG(status == FND_ERR_UNSUPPORTED && strstr(err.text, "supported are: "), "%s: %s", path, err.text);
        return;
    }
    snprintf(name, sizeof name, "%s.inp", path);
    FILE *texts = fopen(name, "rb");
    snprintf(name, sizeof name, "%s.out", path);
    FILE *ids_file = fopen(name, "rb");
    char text[8192];
    size_t bytes = 0, checked = 0;
    bool more = texts && ids_file;
    while (more) {
        more = fgets(line, sizeof line, texts) != NULL;
        if (more && strcmp(line, "__ggml_vocab_test__\n") != 0) {
            bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, "%s", line);
            continue;
        }
        if (!more || !fgets(line, sizeof line, ids_file)) break; /* the last text is not finished by a line end */
        fnd_ids want = { 0 }, ids = { 0 };
        char *at = line, *end;
        for (unsigned long id = strtoul(at, &end, 10); end != at; id = strtoul(at = end, &end, 10)) CHECK_OK(fnd_ids_add(&want, (uint32_t)id, &err), &err);
        CHECK_OK(fnd_tokenize(t, text, bytes ? bytes - 1 : 0, 0, &ids, &err), &err);
        bool same = ids.count == want.count && (ids.count == 0 || memcmp(ids.data, want.data, ids.count * sizeof *ids.data) == 0);
        CHECK_MSG(same, "%s: \"%.*s\" differs", path, (int)bytes, text);
        checked++;
        fnd_ids_free(&want);
        fnd_ids_free(&ids);
        bytes = 0;
    }
    if (texts) fclose(texts);
    if (ids_file) fclose(ids_file);
    CHECK(!texts || checked > 40);
    check_round_trips(t);
    fnd_tokenizer_close(t);
}

TEST(tokenizer_cases_of_llama_cpp) {
    const char *home = getenv("HOME");
    char pattern[512];
    glob_t found = { 0 };
    snprintf(pattern, sizeof pattern, "%s/.cache/foundry/peer/*/source/models/ggml-vocab-*.gguf", home ? home : "");
    int missing = glob(pattern, 0, NULL, &found);
    if (!missing) {
        for (size_t i = 0; i < found.gl_pathc; i++) check_vocabulary(found.gl_pathv[i]);
    }
    globfree(&found);
    NEED(!missing, "llama.cpp's sources are not on this machine");
}
