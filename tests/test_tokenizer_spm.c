/* test_tokenizer_spm.c - SentencePiece vocabularies: spaces, bytes, flags, and bad metadata. */
#include "base/base.h"
#include "base/memory.h"
#include "program.h"
#include "test.h"
#include "tokenizer_cases.h"

#include <math.h>

#define MARK "\xE2\x96\x81"

/* A vocabulary of its own making: everything in `tokens` up to NULL, and behind it all bytes. */
typedef struct small {
    const char *tokens[16];
    float scores[16];
    int32_t types[16]; /* 0: normal */
} small;

static void add_small(gguf_writer *w, const small *v) {
    enum { ALL = 16 + 256 };
    static char bytes[256][8];
    const char *tokens[ALL];
    float scores[ALL];
    int32_t types[ALL];
    size_t n = 0;
    for (; v->tokens[n]; n++) {
        tokens[n] = v->tokens[n];
        scores[n] = v->scores[n];
        types[n] = v->types[n] ? v->types[n] : 1;
    }
    for (unsigned b = 0; b < 256; b++, n++) {
        snprintf(bytes[b], sizeof bytes[b], "<0x%02X>", b);
        tokens[n] = bytes[b];
        scores[n] = 0;
        types[n] = 6;
    }
    gguf_add_str(w, "tokenizer.ggml.model", "llama");
    gguf_add_strs(w, "tokenizer.ggml.tokens", tokens, n);
    gguf_add_f32s(w, "tokenizer.ggml.scores", scores, n);
    gguf_add_i32s(w, "tokenizer.ggml.token_type", types, n);
}

static const small animals = {
    .tokens = { "<unk>", "<s>", "</s>", MARK, "c", "a", "t", "s", "at", "cat", MARK "cat", MARK "c", MARK MARK, "<u>", NULL },
    .scores = { 0, 0, 0, -9, -9, -9, -9, -9, -1, -2, -4, -3, -5, 0 },
    .types = { 2, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4 },
};
enum { CAT = 9,
       SPACE_CAT = 10,
       SPACE_C = 11,
       TWO_SPACES = 12,
       USER = 13,
       BYTE_0 = 14 };

static void check_ids(const fnd_tokenizer *t, const char *text, unsigned flags, const uint32_t *want, size_t count) {
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    CHECK_OK(fnd_tokenize(t, text, strlen(text), flags, &ids, &err), &err);
    bool same = ids.count == count && memcmp(ids.data ? ids.data : want, want, count * sizeof *want) == 0;
    CHECK_MSG(same, "\"%s\" (flags %u): %zu ids, expected %zu", text, flags, ids.count, count);
    fnd_ids_free(&ids);
}
#define CHECK_IDS(t, text, flags, ...) check_ids(t, text, flags, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

TEST(tokenizer_spm_merges_by_score_and_falls_back_to_bytes) {
    gguf_writer w = { 0 };
    add_small(&w, &animals);
    fnd_tokenizer *t = tokenizer_cases_open(&w);
    REQUIRE(t);
    CHECK_IDS(t, "cat", 0, SPACE_CAT);
    CHECK_IDS(t, "cats cat", 0, SPACE_CAT, 7, SPACE_CAT);
    CHECK_IDS(t, "  at", 0, TWO_SPACES, 3, 8); /* of three spaces the leftmost two merge */
    CHECK_IDS(t, "co", 0, SPACE_C, BYTE_0 + 'o');
    CHECK_IDS(t, "\xC3\xA4t", 0, 3, BYTE_0 + 0xC3, BYTE_0 + 0xA4, 6);
    CHECK_IDS(t, "\xC3"
                 "cat",
              0, 3, BYTE_0 + 0xC3, CAT);
    CHECK_IDS(t, "a" MARK "cat", 0, 3, 5, SPACE_CAT); /* as if it were a space */
    check_ids(t, "", 0, (const uint32_t[]){ 0 }, 0);
    fnd_tokenizer_close(t);
}

TEST(tokenizer_spm_special_tokens_and_flags) {
    gguf_writer w = { 0 };
    add_small(&w, &animals);
    gguf_add_bool(&w, "tokenizer.ggml.add_eos_token", true);
    fnd_tokenizer *t = tokenizer_cases_open(&w);
    REQUIRE(t);
    const fnd_tokenizer_info *info = fnd_tokenizer_get_info(t);
    CHECK(info->unknown == 0 && info->bos == 1 && info->eos == 2 && info->add_bos && info->add_eos);
    CHECK_STR(info->model, "llama");
    CHECK(fnd_token_is_end(t, 2) && fnd_token_is_control(t, 1) && !fnd_token_is_control(t, USER));
    CHECK_IDS(t, "cat", FND_TOKENIZE_ADD_BOS | FND_TOKENIZE_ADD_EOS, 1, SPACE_CAT, 2);
    CHECK_IDS(t, "", FND_TOKENIZE_ADD_BOS, 1);
    CHECK_IDS(t, "cat</s>cat<u>s", FND_TOKENIZE_SPECIAL, SPACE_CAT, 2, SPACE_CAT, USER, 3, 7);
    CHECK_IDS(t, "at</s>", 0, 3, 8, BYTE_0 + '<', BYTE_0 + '/', 7, BYTE_0 + '>');
    CHECK_IDS(t, "at<0x41>", FND_TOKENIZE_SPECIAL, 3, 8, BYTE_0 + '<', BYTE_0 + '0', BYTE_0 + 'x', BYTE_0 + '4', BYTE_0 + '1', BYTE_0 + '>');
    const fnd_text_range trusted = { 0, 4 };
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    CHECK_OK(fnd_tokenize_trusted(t, "</s></s>", 8, &trusted, 1, 0, &ids, &err), &err);
    CHECK(ids.count == 6 && ids.data[0] == 2 && ids.data[1] == 3); /* the second is text */
    fnd_ids_free(&ids);
    fnd_tokenizer_close(t);
}

TEST(tokenizer_spm_decodes_without_the_added_space) {
    gguf_writer w = { 0 };
    add_small(&w, &animals);
    fnd_tokenizer *t = tokenizer_cases_open(&w);
    REQUIRE(t);
    fnd_decoder *d = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_decoder_open(t, 0, &d, &err), &err);
    REQUIRE(d);
    static const struct {
        uint32_t id;
        const char *shown;
    } steps[] = {
        { 1, "" },
        { SPACE_CAT, "cat" },
        { SPACE_CAT, " cat" },
        { BYTE_0 + 0xF0, "" },
        { BYTE_0 + 0x9F, "" },
        { BYTE_0 + 0x98, "" },
        { BYTE_0 + 0x80, "\xF0\x9F\x98\x80" },
        { 2, "" },
        { SPACE_C, "c" },
        { 12, "  " },
    };
    for (size_t i = 0; i < FND_COUNT(steps); i++) {
        fnd_span shown = fnd_decoder_push(d, steps[i].id);
        CHECK_MSG(fnd_span_equal(shown, steps[i].shown), "step %zu shows \"%.*s\"", i, (int)shown.bytes, shown.data);
    }
    CHECK(fnd_decoder_flush(d).bytes == 0);
    CHECK(fnd_span_equal(fnd_decoder_push(d, SPACE_CAT), "cat"));
    fnd_decoder_close(d);
    CHECK(fnd_span_equal(fnd_token_text(t, SPACE_CAT), " cat") && fnd_span_equal(fnd_token_text(t, BYTE_0 + 'x'), "x"));
    fnd_tokenizer_close(t);
}

TEST(tokenizer_spm_without_a_space_before) {
    gguf_writer w = { 0 };
    add_small(&w, &animals);
    gguf_add_bool(&w, "tokenizer.ggml.add_space_prefix", false);
    gguf_add_bool(&w, "tokenizer.ggml.add_bos_token", false);
    fnd_tokenizer *t = tokenizer_cases_open(&w);
    REQUIRE(t);
    CHECK_IDS(t, "cat", FND_TOKENIZE_ADD_BOS, CAT);
    CHECK_IDS(t, " cat</s>cat", FND_TOKENIZE_SPECIAL, SPACE_CAT, 2, CAT);
    check_round_trip(t, "  cat</s> s", 11, FND_TOKENIZE_SPECIAL);
    fnd_tokenizer_close(t);
}

TEST(tokenizer_spm_keeps_every_byte_of_anything) {
    for (size_t which = 0; which < 2; which++) {
        gguf_writer w = { 0 };
        tokenizer_cases_spm(&w, which, false);
        fnd_tokenizer *t = tokenizer_cases_open(&w);
        REQUIRE(t);
        uint32_t state = 5;
        char text[304];
        for (int round = 0; round < 2000; round++) {
            size_t bytes = noise_text(&state, text, sizeof text);
            check_round_trip(t, text, bytes, round & 1 ? FND_TOKENIZE_SPECIAL : 0);
        }
        fnd_tokenizer_close(t);
    }
}

/* Cutting where no token joins two characters must change nothing. One long word cannot be cut, so the
 * ids of words together are compared with those of a text in which letters that nothing joins ("\x01",
 * a byte token) stand between them. */
TEST(tokenizer_spm_long_texts_merge_like_short_ones) {
    gguf_writer w = { 0 };
    tokenizer_cases_spm(&w, 1, false); /* with tokens across spaces: few cuts */
    fnd_tokenizer *t = tokenizer_cases_open(&w);
    REQUIRE(t);
    uint32_t state = 3;
    for (int round = 0; round < 200; round++) {
        char word[64];
        size_t n = 40 + noise(&state) % 24;
        for (size_t i = 0; i < n; i++) word[i] = "the an d"[noise(&state) % 8];
        word[n - 1] = '\x01';
        check_eight_words(t, word, n);
    }
    fnd_tokenizer_close(t);
}

/* ---- the program ---- */

static void check_output(const char *option, const char *value, const char *more, const char *want) {
    program_result r;
    program_run(&r, (const char *const[]){ "tokenize", "--model", program_temp("animals.gguf"), option, value, more, NULL });
    CHECK_MSG(r.exit_code == 0 && strcmp(r.out, want) == 0, "%s %s: exit code %d, \"%s\", expected \"%s\"; %s", option, value, r.exit_code, r.out, want, r.err);
    program_free(&r);
}

TEST(tokenizer_spm_in_the_program) {
    NEED(program_there(), "the program is not built");
    gguf_writer w = { 0 };
    add_small(&w, &animals);
    gguf_add_bool(&w, "tokenizer.ggml.add_eos_token", true);
    gguf_save(&w, program_temp("animals.gguf"));
    gguf_free(&w);
    check_output("--text", "cat cat</s>", "--json", "{\"ids\": [1, 10, 10, 2, 2]}\n");
    check_output("--text", "cat", NULL, "1\t\"<s>\"\n10\t\" cat\"\n2\t\"</s>\"\n");
    check_output("--text", "cat</s>", "--plain", "10\t\" cat\"\n74\t\"<\"\n61\t\"/\"\n7\t\"s\"\n76\t\">\"\n");
    check_output("--ids", "10, 10,7", NULL, "cat cats");
    check_output("--ids", "1,10,209,178", "--json", "{\"text\": \"<s>cat\xC3\xA4\"}\n");
    PROGRAM_REFUSED(2, "token id 999 at position 1", "tokenize", "--model", program_temp("animals.gguf"), "--ids", "1,999");
    PROGRAM_REFUSED(2, "--ids needs whole numbers", "tokenize", "--model", program_temp("animals.gguf"), "--ids", "1,,2");
    PROGRAM_REFUSED(2, "tokenize takes a text or --ids, not both", "tokenize", "--model", program_temp("animals.gguf"), "--ids", "1", "--text", "x");
}

/* ---- bad metadata ---- */

typedef struct bad_case {
    fnd_span tokens[3];
    float scores[4];
    size_t score_count;
    int32_t types[3];
    const char *part; /* of the message; NULL: the file is good */
} bad_case;

#define TEXT(s) \
    { s, sizeof(s) - 1 }

TEST(tokenizer_spm_refuses_bad_metadata) {
    static char endless[2000];
    memset(endless, 'x', sizeof endless);
    const bad_case cases[] = {
        { { TEXT("a"), TEXT("b"), TEXT("ab") }, { 0, 0, -1 }, 3, { 1, 1, 1 }, NULL },
        { { TEXT("a"), TEXT("b"), TEXT("ab") }, { 0, 0, NAN }, 3, { 1, 1, 1 }, "tokenizer.ggml.scores[2] is not a number" },
        { { TEXT("a"), TEXT("b"), TEXT("ab") }, { 0, 0 }, 2, { 1, 1, 1 }, "tokenizer.ggml.scores has 2 entries for 3 tokens" },
        { { TEXT("a"), TEXT("b"), TEXT("ab") }, { 0, 0, 0, 0 }, 4, { 1, 1, 1 }, "tokenizer.ggml.scores has 4 entries for 3 tokens" },
        { { TEXT("a"), TEXT("b"), TEXT("ab") }, { INFINITY, -INFINITY, 0 }, 3, { 1, 1, 1 }, NULL },
        { { TEXT("a"), TEXT("b"), TEXT("a") }, { 0, 0, 0 }, 3, { 1, 1, 1 }, "the token \"a\" twice, as 0 and 2" },
        { { TEXT("a"), TEXT("b\xFF"), TEXT("c") }, { 0, 0, 0 }, 3, { 1, 1, 1 }, "tokens[1] is \"b\\xff\", which is not UTF-8 at byte 1" },
        { { TEXT("a"), TEXT("\0b"), TEXT("\0") }, { 0, 0, 0 }, 3, { 1, 1, 1 }, NULL },
        { { TEXT("a"), TEXT("b"), TEXT("c") }, { 0, 0, 0 }, 3, { 1, 6, 1 }, "tokens[1] is \"b\", but its type is byte" },
        { { TEXT("a"), TEXT("<0x4G>"), TEXT("c") }, { 0, 0, 0 }, 3, { 1, 6, 1 }, "tokens[1] is \"<0x4G>\", but its type is byte" },
        { { TEXT("a"), { endless, sizeof endless }, TEXT("c") }, { 0, 0, 0 }, 3, { 1, 1, 1 }, "tokens[1] has 2000 bytes, expected at most 1024" },
        { { TEXT("a"), { endless, sizeof endless }, TEXT("c") }, { 0, 0, 0 }, 3, { 1, 3, 1 }, NULL },
        { { TEXT("a"), TEXT("b"), TEXT("c") }, { 0, 0, 0 }, 3, { 1, 0, 1 }, "token_type[1] is 0, expected 1 to 6" },
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        const bad_case *c = &cases[i];
        gguf_writer w = { 0 };
        gguf_add_str(&w, "tokenizer.ggml.model", "llama");
        gguf_add_spans(&w, "tokenizer.ggml.tokens", c->tokens, 3);
        gguf_add_f32s(&w, "tokenizer.ggml.scores", c->scores, c->score_count);
        gguf_add_i32s(&w, "tokenizer.ggml.token_type", c->types, 3);
        fnd_error err;
        fnd_tokenizer *t = open_tokenizer(&w, &err);
        CHECK_MSG((t != NULL) == !c->part, "case %zu: %s", i, err.text);
        if (c->part) CHECK_HAS(err.text, c->part);
        fnd_tokenizer_close(t);
        gguf_free(&w);
    }
}

TEST(tokenizer_spm_refuses_missing_and_mistyped_keys) {
    static const char *const tokens[] = { "<s>", "b" };
    static const char *const keys[] = { "tokenizer.ggml.scores", "tokenizer.ggml.add_space_prefix", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id" };
    for (size_t wrong = 0; wrong <= FND_COUNT(keys); wrong++) {
        gguf_writer w = { 0 };
        gguf_add_str(&w, "tokenizer.ggml.model", "llama");
        gguf_add_strs(&w, "tokenizer.ggml.tokens", tokens, 2);
        if (wrong > 0 && wrong < FND_COUNT(keys)) gguf_add_f32s(&w, "tokenizer.ggml.scores", (const float[]){ 0, 0 }, 2);
        if (wrong < FND_COUNT(keys)) gguf_add_str(&w, keys[wrong], "x");
        fnd_error err;
        CHECK(open_tokenizer(&w, &err) == NULL);
        CHECK_HAS(err.text, wrong < FND_COUNT(keys) ? keys[wrong] : "no metadata key tokenizer.ggml.scores");
        gguf_free(&w);
    }
    gguf_writer w = { 0 };
    gguf_add_str(&w, "tokenizer.ggml.model", "llama");
    gguf_add_strs(&w, "tokenizer.ggml.tokens", tokens, 2);
    gguf_add_f32s(&w, "tokenizer.ggml.scores", (const float[]){ 0, 0 }, 2);
    gguf_add_bool(&w, "tokenizer.ggml.add_eos_token", true);
    fnd_error err;
    CHECK(open_tokenizer(&w, &err) == NULL);
    CHECK_HAS(err.text, "tokenizer.ggml.add_eos_token is true, but tokenizer.ggml.eos_token_id is missing");
    gguf_free(&w);
}

/* A byte without a token is named with its place, also in the first word, which has a space before it. */
TEST(tokenizer_spm_names_bytes_it_cannot_express) {
    static const char *const tokens[] = { MARK, "a", MARK "a" };
    static const struct {
        const char *text, *part;
    } cases[] = { { "b", "0x62 at offset 0" }, { "ab", "0x62 at offset 1" }, { "aa a\xC3\xA4", "0xc3 at offset 4" }, { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "0x62 at offset 72" } };
    gguf_writer w = { 0 };
    gguf_add_str(&w, "tokenizer.ggml.model", "llama");
    gguf_add_strs(&w, "tokenizer.ggml.tokens", tokens, 3);
    gguf_add_f32s(&w, "tokenizer.ggml.scores", (const float[]){ -1, -2, -3 }, 3);
    fnd_tokenizer *t = tokenizer_cases_open(&w);
    REQUIRE(t);
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        fnd_ids ids = { 0 };
        fnd_error err = { 0 };
        CHECK(fnd_tokenize(t, cases[i].text, strlen(cases[i].text), 0, &ids, &err) == FND_ERR_UNSUPPORTED && ids.count == 0);
        CHECK_HAS(err.text, cases[i].part);
        fnd_ids_free(&ids);
    }
    CHECK_IDS(t, "bac", FND_TOKENIZE_LOSSY, 0, 1);
    fnd_tokenizer_close(t);
}

TEST(tokenizer_spm_survives_failed_allocations) {
    gguf_writer w = { 0 };
    add_small(&w, &animals);
    gguf_add_str(&w, "general.architecture", "phi3");
    check_failed_allocations(&w);
}
