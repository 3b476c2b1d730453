/* test_tokenizer.c - the recorded ids of two real vocabularies, and a small vocabulary for the rest. */
#include "base/base.h"
#include "base/memory.h"
#include "foundry/tokenizer.h"
#include "golden.h"
#include "lm/tokenizer.h"
#include "lm/unicode.h"
#include "test.h"
#include "tokenizer_cases.h"

#include <pthread.h>

static fnd_tokenizer *byte_tokenizer(const char *pre) {
    gguf_writer w = { 0 };
    fnd_error err;
    gguf_add_byte_tokenizer(&w, pre);
    fnd_tokenizer *t = open_tokenizer(&w, &err);
    CHECK_MSG(t != NULL, "%s", err.text);
    gguf_free(&w);
    return t;
}

static void check_ids(const fnd_tokenizer *t, const char *text, size_t bytes, unsigned flags, const uint32_t *want, size_t count) {
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    CHECK_OK(fnd_tokenize(t, text, bytes, flags, &ids, &err), &err);
    bool same = ids.count == count && (count == 0 || memcmp(ids.data, want, count * sizeof *want) == 0);
    CHECK_MSG(same, "\"%s\" (flags %u): %zu ids, expected %zu", text, flags, ids.count, count);
    fnd_ids_free(&ids);
}
#define CHECK_IDS(t, text, flags, ...) \
    check_ids(t, text, sizeof(text) - 1, flags, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

/* ---- the recorded ids ---- */

static void check_recorded(const fnd_tokenizer *t, json_t *entry, const char *key, unsigned flags) {
    json_t *text = json_object_get(entry, "text"), *want = json_object_get(entry, key);
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    CHECK_OK(fnd_tokenize(t, json_string_value(text), json_string_length(text), flags, &ids, &err), &err);
    bool same = ids.count == json_array_size(want);
    for (size_t i = 0; same && i < ids.count; i++) same = ids.data[i] == json_integer_value(json_array_get(want, i));
    CHECK_MSG(same, "%s of \"%s\" differs", key, json_string_value(text));
    fnd_ids_free(&ids);
}

static void tokenizer_golden(int model) {
    char why[256];
    fnd_tokenizer *t = golden_tokenizer(model, why);
    NEED(t, why);
    json_t *entries = golden_json(model, "tokenize.json"), *entry;
    size_t i;
    CHECK(json_array_size(entries) > 20);
    json_array_foreach(entries, i, entry) {
        check_recorded(t, entry, "plain", 0);
        check_recorded(t, entry, "special", FND_TOKENIZE_SPECIAL);
        json_t *text = json_object_get(entry, "text");
        check_round_trip(t, json_string_value(text), json_string_length(text), 0);
        check_round_trip(t, json_string_value(text), json_string_length(text), FND_TOKENIZE_SPECIAL);
    }
    json_decref(entries);
    json_t *chats = golden_json(model, "generate.json"), *chat;
    json_array_foreach(chats, i, chat) {
        json_t *want = json_object_get(chat, "prompt_ids"), *renamed = json_object();
        json_object_set(renamed, "text", json_object_get(chat, "prompt"));
        json_object_set(renamed, "prompt_ids", want);
        check_recorded(t, renamed, "prompt_ids", FND_TOKENIZE_SPECIAL);
        json_decref(renamed);
        json_t *text = json_object_get(chat, "text");
        check_round_trip(t, json_string_value(text), json_string_length(text), 0);
    }
    json_decref(chats);
    fnd_tokenizer_close(t);
}

TEST(tokenizer_golden_smollm2) { tokenizer_golden(GOLDEN_SMOLLM2); }
TEST(tokenizer_golden_qwen) { tokenizer_golden(GOLDEN_QWEN); }

TEST(tokenizer_knows_the_ids_of_real_models) {
    char why[256];
    fnd_tokenizer *t = golden_tokenizer(GOLDEN_QWEN, why);
    NEED(t, why);
    const fnd_tokenizer_info *info = fnd_tokenizer_get_info(t);
    CHECK(info->token_count == 151936 && info->eos == 151645 && info->bos == 151643 && !info->add_bos);
    CHECK(fnd_token_is_end(t, 151645) && fnd_token_is_end(t, 151643) && !fnd_token_is_end(t, 151644) && !fnd_token_is_end(t, 151936));
    CHECK(fnd_token_find(t, (fnd_span){ "<|im_start|>", 12 }) == 151644);
    CHECK(fnd_token_find(t, (fnd_span){ "<|im_star", 9 }) == -1);
    fnd_tokenizer_close(t);
}

/* ---- the small vocabulary ---- */

TEST(tokenizer_merges_by_rank_inside_words) {
    fnd_tokenizer *t = byte_tokenizer("qwen2");
    REQUIRE(t);
    CHECK_IDS(t, "hello", 0, 261);
    CHECK_IDS(t, "hello world", 0, 261, 266);
    CHECK_IDS(t, "hhe", 0, 'h', 258);
    CHECK_IDS(t, "aaaaaaa", 0, 269, 268, 'a');
    CHECK_IDS(t, "  x", 0, ' ', ' ', 'x'); /* "  x" is " " and " x" */
    CHECK_IDS(t, "   x", 0, 267, ' ', 'x');
    check_ids(t, "", 0, 0, NULL, 0);
    fnd_tokenizer_close(t);
}

/* A file may name three tokens that end an answer, and others go by their text. */
TEST(tokenizer_knows_several_ends) {
    gguf_writer w = { 0 };
    size_t bytes, ends = 0;
    fnd_gguf *g = NULL;
    fnd_tokenizer *t = NULL;
    fnd_error err = { 0 };
    gguf_add_byte_tokenizer(&w, "qwen2");
    gguf_add_u32(&w, "tokenizer.ggml.eot_token_id", 'x');
    gguf_add_u32(&w, "tokenizer.ggml.eom_token_id", 261);
    uint8_t *file = gguf_finish(&w, &bytes);
    gguf_free(&w);
    CHECK_OK(fnd_gguf_open_memory(file, bytes, "ends.gguf", 0, &g, &err), &err);
    if (g) CHECK_OK(fnd_tokenizer_open(g, &t, &err), &err);
    for (uint32_t id = 0; t && id < GGUF_BYTE_TOKENS; id++) ends += fnd_token_is_end(t, id);
    CHECK_MSG(t && ends == 3 && fnd_token_is_end(t, 256) && fnd_token_is_end(t, 'x') && fnd_token_is_end(t, 261), "%zu ends", ends);
    CHECK(t && fnd_tokenizer_get_info(t)->eos == 256 && fnd_tokenizer_get_info(t)->eot == 'x');
    fnd_tokenizer_close(t);
    fnd_gguf_close(g);
    fnd_free_memory(file);
}

TEST(tokenizer_special_tokens_only_where_wanted) {
    fnd_tokenizer *t = byte_tokenizer("smollm");
    REQUIRE(t);
    CHECK_IDS(t, "<|end|>", FND_TOKENIZE_SPECIAL, 256);
    CHECK_IDS(t, "<|end|>", 0, '<', '|', 'e', 'n', 'd', '|', '>');
    CHECK_IDS(t, "a<|start|><|end|>b<|en", FND_TOKENIZE_SPECIAL, 'a', 257, 256, 'b', '<', '|', 'e', 'n');
    CHECK_IDS(t, "hello", FND_TOKENIZE_ADD_BOS, 261); /* the file does not ask for it */
    CHECK(fnd_token_is_control(t, 256) && !fnd_token_is_control(t, 255) && fnd_token_is_end(t, 256) && !fnd_token_is_end(t, 257));

    const char text[] = "<|end|>he<|end|>llo<|end|>";
    const fnd_text_range trusted[] = { { 0, 8 }, { 8, 8 }, { 19, 6 } };
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    CHECK_OK(fnd_tokenize_trusted(t, text, sizeof text - 1, trusted, 3, FND_TOKENIZE_SPECIAL, &ids, &err), &err);
    static const uint32_t want[] = { 256, 258, 256, 259, 'o', '<', '|', 'e', 'n', 'd', '|', '>' };
    CHECK(ids.count == FND_COUNT(want) && memcmp(ids.data, want, sizeof want) == 0);
    ids.count = 0;
    CHECK_OK(fnd_tokenize_trusted(t, "<|end|>", 7, NULL, 0, FND_TOKENIZE_SPECIAL, &ids, &err), &err);
    CHECK(ids.count == 7);
    CHECK(fnd_tokenize_trusted(t, text, 20, trusted, 3, 0, &ids, &err) == FND_ERR_USAGE);
    CHECK(ids.count == 7);
    fnd_ids_free(&ids);
    fnd_tokenizer_close(t);
}

/* The longest special token wins; user-defined ones are found in plain text too; BOS as the file says. */
TEST(tokenizer_longest_special_and_user_defined) {
    static const char *const tokens[] = { "a", "b", "<x", "<x>", "<x>b", "<u>", "c" };
    static const int32_t types[] = { 1, 1, 3, 3, 3, 4, 1 };
    gguf_writer w = { 0 };
    gguf_add_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_add_str(&w, "tokenizer.ggml.pre", "qwen2");
    gguf_add_strs(&w, "tokenizer.ggml.tokens", tokens, 7);
    gguf_add_i32s(&w, "tokenizer.ggml.token_type", types, 7);
    gguf_add_strs(&w, "tokenizer.ggml.merges", NULL, 0);
    gguf_add_u32(&w, "tokenizer.ggml.bos_token_id", 6);
    gguf_add_bool(&w, "tokenizer.ggml.add_bos_token", true);
    fnd_error err;
    fnd_tokenizer *t = open_tokenizer(&w, &err);
    gguf_free(&w);
    CHECK_MSG(t != NULL, "%s", err.text);
    REQUIRE(t);
    CHECK_IDS(t, "<x>ba<x>a<xb", FND_TOKENIZE_SPECIAL, 4, 0, 3, 0, 2, 1);
    CHECK_IDS(t, "a<u>b", 0, 0, 5, 1);
    CHECK_IDS(t, "a", FND_TOKENIZE_ADD_BOS, 6, 0);
    fnd_ids ids = { 0 };
    CHECK(fnd_tokenize(t, "ab\xff", 3, 0, &ids, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "0xff at offset 2");
    CHECK(ids.count == 0);
    fnd_ids_free(&ids);
    static const uint32_t lossy[] = { 0, 1 };
    check_ids(t, "a\xff"
                 "b",
              3, FND_TOKENIZE_LOSSY, lossy, 2);
    fnd_tokenizer_close(t);
}

TEST(tokenizer_keeps_every_byte_of_anything) {
    const fnd_pretokenizer *kind;
    for (size_t p = 0; (kind = fnd_pretokenizer_at(p)); p++) {
        fnd_tokenizer *t = byte_tokenizer(kind->names[0]);
        REQUIRE(t);
        uint32_t state = 7 + (uint32_t)p;
        char text[304];
        for (int round = 0; round < 400; round++) {
            size_t bytes = noise_text(&state, text, sizeof text);
            check_round_trip(t, text, bytes, round & 1 ? FND_TOKENIZE_SPECIAL : 0);
        }
        check_ids(t, NULL, 0, 0, NULL, 0);
        fnd_tokenizer_close(t);
    }
}

/* A long piece (heap) and a short one (search) must merge alike: cut anywhere between words. */
TEST(tokenizer_long_words_merge_like_short_ones) {
    fnd_tokenizer *t = byte_tokenizer("qwen2");
    REQUIRE(t);
    uint32_t state = 3;
    for (int round = 0; round < 200; round++) {
        char word[64];
        size_t n = 40 + noise(&state) % 24;
        for (size_t i = 0; i < n; i++) word[i] = "hela"[noise(&state) % 4];
        word[n - 1] = 'z'; /* merges with nothing, but keeps eight words one piece */
        check_eight_words(t, word, n);
    }
    fnd_tokenizer_close(t);
}

/* Steps in heaps and merges for `bytes` of one letter. */
static double steps_of(const fnd_tokenizer *t, char letter, size_t bytes, size_t *count) {
    char *text = fnd_alloc_resized(NULL, bytes, 1);
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    if (!text) abort();
    memset(text, letter, bytes);
    fnd_bpe_scratch *scratch = fnd_bpe_scratch_take(t, 0);
    uint64_t before = fnd_bpe_scratch_steps(scratch);
    fnd_bpe_scratch_give(t, scratch);
    CHECK_OK(fnd_tokenize(t, text, bytes, 0, &ids, &err), &err);
    scratch = fnd_bpe_scratch_take(t, 0);
    uint64_t after = fnd_bpe_scratch_steps(scratch);
    fnd_bpe_scratch_give(t, scratch);
    *count = ids.count;
    fnd_ids_free(&ids);
    fnd_free_memory(text);
    return (double)(after - before);
}

/* n log n: eight times the text may take a little more than eight times the steps; n * n would take 64
 * times as many. */
static void check_steps(const fnd_tokenizer *t, const char *letters) {
    for (; *letters; letters++) {
        size_t few, many;
        double less = steps_of(t, *letters, 25000, &few), more = steps_of(t, *letters, 200000, &many);
        CHECK_MSG(more <= 11 * less + 100, "letter 0x%02x: %.0f and %.0f steps", (unsigned char)*letters, less, more);
        CHECK_MSG(more < 40.0 * 200000, "letter 0x%02x: %.0f steps", (unsigned char)*letters, more);
        CHECK_MSG(many >= 7 * few && many <= 9 * few, "letter 0x%02x: %zu and %zu ids", (unsigned char)*letters, few, many);
    }
}

TEST(tokenizer_takes_n_log_n_steps_for_one_letter) {
    const fnd_pretokenizer *kind;
    for (size_t i = 0; (kind = fnd_pretokenizer_at(i)); i++) {
        fnd_tokenizer *t = byte_tokenizer(kind->names[0]);
        REQUIRE(t);
        check_steps(t, i == 3 ? "a z\n.7\xff" : "aA ");
        fnd_tokenizer_close(t);
    }
    for (size_t which = 0; which < 2; which++) {
        gguf_writer w = { 0 };
        tokenizer_cases_spm(&w, which, false);
        fnd_tokenizer *t = tokenizer_cases_open(&w);
        REQUIRE(t);
        check_steps(t, "aet \n\xff");
        fnd_tokenizer_close(t);
    }
}

/* No expression may look at a run again from each of its places: many of one kind and then
 * another would take minutes. */
TEST(tokenizer_splits_long_runs_once) {
    static const char *const runs[][2] = { { " ", "5" }, { " ", "x" }, { "\t", "\xE4\xB8\x80" }, { "\n", " " }, { "A", "1" }, { "a", "'" }, { "1", "a" }, { ".", "\n" }, { "\xCC\x81", "." }, { "\xE4\xB8\x80", "a" }, { "'", "s" } };
    enum { BYTES = 100000 };
    const fnd_pretokenizer *kind;
    char *text = fnd_alloc_zeroed(BYTES + 8, 1);
    REQUIRE(text);
    for (size_t p = 0; (kind = fnd_pretokenizer_at(p)); p++) {
        fnd_tokenizer *t = byte_tokenizer(kind->names[0]);
        REQUIRE(t);
        for (size_t i = 0; i < FND_COUNT(runs); i++) {
            size_t unit = strlen(runs[i][0]), bytes = BYTES / unit * unit;
            for (size_t k = 0; k < bytes; k += unit) memcpy(text + k, runs[i][0], unit);
            memcpy(text + bytes, runs[i][1], strlen(runs[i][1]));
            fnd_ids ids = { 0 };
            fnd_error err = { 0 };
            CHECK_OK(fnd_tokenize(t, text, bytes + strlen(runs[i][1]), 0, &ids, &err), &err);
            CHECK(ids.count > 0);
            fnd_ids_free(&ids);
        }
        fnd_tokenizer_close(t);
    }
    fnd_free_memory(text);
}

TEST(tokenizer_ten_megabytes_of_one_letter) {
    fnd_tokenizer *t = byte_tokenizer("qwen2");
    REQUIRE(t);
    size_t count;
    steps_of(t, 'a', 10000000, &count);
    CHECK(count == 2500000);
    fnd_tokenizer_close(t);
}

static void *tokenize_often(void *user) {
    for (int i = 0; i < 300; i++) check_round_trip(user, "hello hello world <|end|>\n aaaaaaaaaaaaa", 39, FND_TOKENIZE_SPECIAL);
    return NULL;
}

TEST(tokenizer_serves_several_threads) {
    fnd_tokenizer *t = byte_tokenizer("qwen2");
    REQUIRE(t);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, tokenize_often, t) == 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    fnd_tokenizer_close(t);
}

/* ---- decoding as it comes ---- */

TEST(tokenizer_decoder_shows_whole_characters) {
    fnd_tokenizer *t = byte_tokenizer("qwen2");
    REQUIRE(t);
    fnd_decoder *d = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_decoder_open(t, 0, &d, &err), &err);
    REQUIRE(d);
    static const struct {
        uint32_t id;
        const char *shown;
    } steps[] = {
        { 'h', "h" },
        { 0xF0, "" },
        { 0x9F, "" },
        { 0x98, "" },
        { 0x80, "\xF0\x9F\x98\x80" },
        { 256, "" },
        { 0xE4, "" },
        { 'x', "\xEF\xBF\xBDx" },
        { 0xFF, "\xEF\xBF\xBD" },
        { 0xC3, "" },
        { 266, "\xEF\xBF\xBD world" },
        { 9999, "" },
    };
    uint64_t allocations = fnd_memory_allocations();
    for (size_t i = 0; i < FND_COUNT(steps); i++) {
        fnd_span shown = fnd_decoder_push(d, steps[i].id);
        CHECK_MSG(fnd_span_equal(shown, steps[i].shown), "step %zu shows \"%.*s\"", i, (int)shown.bytes, shown.data);
    }
    CHECK(fnd_decoder_flush(d).bytes == 0);
    fnd_decoder_push(d, 0xE4);
    fnd_decoder_push(d, 0xBD);
    CHECK(fnd_span_equal(fnd_decoder_flush(d), "\xEF\xBF\xBD"));
    CHECK(fnd_span_equal(fnd_decoder_push(d, 0xA0), "\xEF\xBF\xBD"));
    CHECK(fnd_memory_allocations() == allocations);
    fnd_decoder_close(d);
    CHECK_OK(fnd_decoder_open(t, FND_DECODE_CONTROL, &d, &err), &err);
    CHECK(d && fnd_span_equal(fnd_decoder_push(d, 256), "<|end|>"));
    fnd_decoder_close(d);

    char *text;
    size_t bytes;
    uint32_t out_of_range = 270;
    CHECK(fnd_detokenize(t, &out_of_range, 1, &text, &bytes, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "270");
    fnd_tokenizer_close(t);
}

TEST(tokenizer_utf8_is_well_formed_or_not) {
    static const struct {
        const char *text;
        size_t bytes, character;
        bool partial;
    } cases[] = {
        { "a", 1, 1, false },
        { "\xC3\xA4", 2, 2, false },
        { "\xC3", 1, 0, true },
        { "\xC0\x80", 2, 0, false },
        { "\xE0\x80", 2, 0, false },
        { "\xE0\xA0", 2, 0, true },
        { "\xED\xA0\x80", 3, 0, false },
        { "\xED\x9F\xBF", 3, 3, false },
        { "\xF4\x90", 2, 0, false },
        { "\xF4\x8F\xBF\xBF", 4, 4, false },
        { "\xF0\x90\x80", 3, 0, true },
        { "\xF5", 1, 0, false },
        { "\x80", 1, 0, false },
        { "", 0, 0, false },
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        CHECK_MSG(fnd_utf8_char(cases[i].text, cases[i].bytes) == cases[i].character, "case %zu", i);
        CHECK_MSG(fnd_utf8_partial(cases[i].text, cases[i].bytes) == cases[i].partial, "case %zu", i);
    }
    static const uint32_t codes[] = { 0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff };
    for (size_t i = 0; i < FND_COUNT(codes); i++) {
        char text[4];
        size_t n = fnd_utf8_put(codes[i], text);
        CHECK(fnd_utf8_char(text, n) == n && fnd_utf8_code(text) == codes[i]);
    }
    CHECK(fnd_utf8_valid("0123456789\xC3\xA4\xFFz", 14) == 12);
}

/* ---- bad metadata ---- */

typedef struct bad_case {
    const char *model, *pre;
    const char *tokens[4];
    const char *merge;
    int32_t types[4];
    int type_count;
    uint32_t eos;
    const char *part; /* of the message */
} bad_case;

TEST(tokenizer_refuses_bad_metadata) {
    static const bad_case cases[] = {
        { "bert", "qwen2", { "a", "b", "ab", "c" }, "a b", { 1, 1, 1, 1 }, 4, 0, "tokenizer model \"bert\"" },
        { "gpt2", "martian", { "a", "b", "ab", "c" }, "a b", { 1, 1, 1, 1 }, 4, 0, "supported are: default, gpt-2, llama-bpe, llama3, llama-v3, qwen2" },
        { "bert", "qwen2", { "a", "b", "ab", "c" }, "a b", { 1, 1, 1, 1 }, 4, 0, "supported are: gpt2 (byte-level BPE), llama (SentencePiece)" },
        { "gpt2", "qwen2", { "a", "b", "ab", "\xC3" }, "a b", { 1, 1, 1, 1 }, 4, 0, "tokens[3] is \"\\xc3\", which is not UTF-8 at byte 0" },
        { "gpt2", "martian", { "a", "b", "ab", "c" }, "a b", { 1, 1, 1, 1 }, 4, 0, "pre-tokenizer \"martian\"" },
        { "gpt2", "qwen2", { "a", "b", "ab", "ab" }, "a b", { 1, 1, 1, 1 }, 4, 0, "the token \"ab\" twice, as 2 and 3" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "a x", { 1, 1, 1, 1 }, 4, 0, "merges[0] names \"x\"" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "a c", { 1, 1, 1, 1 }, 4, 0, "merges[0] names \"ac\"" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "ab", { 1, 1, 1, 1 }, 4, 0, "expected two tokens" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "a ", { 1, 1, 1, 1 }, 4, 0, "expected two tokens" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "", { 1, 1, 1, 1 }, 4, 0, "expected two tokens" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "a b", { 1, 1, 1, 1 }, 3, 0, "3 entries for 4 tokens" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "a b", { 1, 1, 7, 1 }, 4, 0, "token_type[2] is 7" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "a b", { 1, 1, 1, -1 }, 4, 0, "token_type[3] is -1" },
        { "gpt2", "qwen2", { "a", "b", "ab", "c" }, "a b", { 1, 1, 1, 1 }, 4, 4, "eos_token_id is 4, but the vocabulary has 4" },
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        const bad_case *c = &cases[i];
        gguf_writer w = { 0 };
        gguf_add_str(&w, "tokenizer.ggml.model", c->model);
        gguf_add_str(&w, "tokenizer.ggml.pre", c->pre);
        gguf_add_strs(&w, "tokenizer.ggml.tokens", c->tokens, 4);
        gguf_add_strs(&w, "tokenizer.ggml.merges", &c->merge, 1);
        gguf_add_i32s(&w, "tokenizer.ggml.token_type", c->types, (size_t)c->type_count);
        gguf_add_u32(&w, "tokenizer.ggml.eos_token_id", c->eos);
        fnd_error err;
        fnd_tokenizer *t = open_tokenizer(&w, &err);
        CHECK_MSG(t == NULL && err.status != FND_OK, "case %zu was accepted", i);
        CHECK_HAS(err.text, c->part);
        fnd_tokenizer_close(t);
        gguf_free(&w);
    }
}

/* Some vocabularies list letters of the byte alphabet as user-defined tokens: those are text. A token
 * with a NUL in it is one like others; so are holes. */
TEST(tokenizer_accepts_strange_tokens) {
    static const fnd_span tokens[] = { { "a", 1 }, { "\xC3\xB8", 2 }, { "\0", 1 }, { "", 0 }, { "", 0 } };
    static const int32_t types[] = { 1, 4, 1, 1, 5 };
    gguf_writer w = { 0 };
    gguf_add_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_add_spans(&w, "tokenizer.ggml.tokens", tokens, 5);
    gguf_add_i32s(&w, "tokenizer.ggml.token_type", types, 5);
    gguf_add_strs(&w, "tokenizer.ggml.merges", NULL, 0);
    fnd_tokenizer *t = tokenizer_cases_open(&w);
    REQUIRE(t);
    CHECK_STR(fnd_tokenizer_get_info(t)->pre, "default");
    CHECK_IDS(t, "a\xC3\xB8"
                 "a",
              0, 0, 1, 0);
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    CHECK(fnd_tokenize(t, "a\xF8", 2, 0, &ids, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "0xf8 at offset 1");
    CHECK(fnd_tokenize(t, "\0", 1, 0, &ids, &err) == FND_ERR_UNSUPPORTED); /* NUL is spelt U+0100 */
    CHECK(fnd_token_text(t, 2).bytes == 1 && fnd_token_text(t, 3).bytes == 0);
    fnd_ids_free(&ids);
    fnd_tokenizer_close(t);
}

/* Models that want BOS where their files say nothing, and may not have any. */
TEST(tokenizer_adds_bos_by_kind_and_file) {
    static const struct {
        const char *pre;
        int told; /* -1: nothing */
        bool adds;
    } cases[] = { { "llama-bpe", -1, true }, { "llama3", -1, true }, { "llama-v3", -1, true }, { "tekken", -1, true }, { "llama-bpe", 0, false }, { "qwen2", -1, false }, { "qwen2", 1, true } };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        gguf_writer w = { 0 };
        gguf_add_byte_tokenizer(&w, cases[i].pre);
        if (cases[i].told >= 0) gguf_add_bool(&w, "tokenizer.ggml.add_bos_token", cases[i].told);
        fnd_tokenizer *t = tokenizer_cases_open(&w);
        REQUIRE(t);
        CHECK_MSG(fnd_tokenizer_get_info(t)->add_bos == cases[i].adds, "case %zu", i);
        fnd_tokenizer_close(t);
    }
    gguf_writer w = { 0 };
    tokenizer_cases_bpe(&w, "llama3"); /* without special tokens */
    fnd_tokenizer *t = tokenizer_cases_open(&w);
    CHECK(t && !fnd_tokenizer_get_info(t)->add_bos);
    fnd_tokenizer_close(t);
}

TEST(tokenizer_refuses_missing_and_mistyped_keys) {
    static const char *const tokens[] = { "a", "b" };
    static const char *const keys[] = { "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type", "tokenizer.ggml.add_bos_token" };
    for (size_t wrong = 0; wrong < FND_COUNT(keys); wrong++) {
        for (int missing = 0; missing < 2; missing++) {
            if (missing && (wrong == 1 || wrong > 3)) continue; /* optional; without `pre` it is "default" */
            static const int32_t types[] = { 1, 1 };
            gguf_writer w = { 0 };
            if (wrong != 0) gguf_add_str(&w, keys[0], "gpt2");
            if (wrong != 1) gguf_add_str(&w, keys[1], "qwen2");
            if (wrong != 2) gguf_add_strs(&w, keys[2], tokens, 2);
            if (wrong != 3) gguf_add_strs(&w, keys[3], NULL, 0);
            if (wrong != 4) gguf_add_i32s(&w, keys[4], types, 2);
            if (!missing) gguf_add_f32s(&w, keys[wrong], (const float[]){ 1 }, 1);
            fnd_error err;
            fnd_tokenizer *t = open_tokenizer(&w, &err);
            CHECK(t == NULL);
            CHECK_HAS(err.text, keys[wrong]);
            CHECK_HAS(err.text, missing ? "no metadata key" : "an array of f32");
            fnd_tokenizer_close(t);
            gguf_free(&w);
        }
    }
    gguf_writer w = { 0 };
    gguf_add_str(&w, "tokenizer.ggml.model", "gpt2");
    fnd_error err;
    CHECK(open_tokenizer(&w, &err) == NULL);
    CHECK_HAS(err.text, "tokenizer.ggml.tokens"); /* without `pre` it is "default" */
    gguf_free(&w);
}

/* Without a pre-tokenizer's name, or with an empty one, it is the default, and known to be assumed. */
TEST(tokenizer_assumes_the_default) {
    static const char *const names[] = { NULL, "", "default", "gpt-2" };
    for (size_t i = 0; i < FND_COUNT(names); i++) {
        gguf_writer w = { 0 };
        gguf_add_byte_tokenizer(&w, names[i]);
        fnd_error err;
        fnd_tokenizer *t = open_tokenizer(&w, &err);
        gguf_free(&w);
        CHECK_MSG(t != NULL, "%s", err.text);
        if (!t) continue;
        const fnd_tokenizer_info *info = fnd_tokenizer_get_info(t);
        CHECK_STR(info->pre, i < 3 ? "default" : names[i]);
        CHECK(info->pre_assumed == (i < 2) && info->add_bos_assumed && !info->add_bos);
        fnd_tokenizer_close(t);
    }
}

/* Counts and lengths far beyond the file. */
TEST(tokenizer_refuses_huge_lengths) {
    static const char *const keys[] = { "tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.scores", "tokenizer.ggml.token_type" };
    static const uint64_t lengths[] = { 1000, (uint64_t)1 << 40, UINT64_MAX, UINT64_MAX / 4 + 1 };
    for (size_t k = 0; k < FND_COUNT(keys); k++) {
        for (size_t i = 0; i < FND_COUNT(lengths); i++) {
            for (int one = 0; one < (k < 2 ? 2 : 1); one++) { /* one string of that length, or so many elements */
                uint8_t raw[20] = { 0 };
                uint32_t element = k < 2 ? FND_GGUF_STRING : k == 2 ? FND_GGUF_F32
                                                                    : FND_GGUF_I32;
                uint64_t count = one ? 1 : lengths[i];
                memcpy(raw, &element, 4);
                memcpy(raw + 4, &count, 8);
                memcpy(raw + 12, &lengths[i], 8);
                gguf_writer w = { 0 };
                gguf_add_str(&w, "tokenizer.ggml.model", "gpt2");
                gguf_add_raw(&w, keys[k], FND_GGUF_ARRAY, raw, sizeof raw);
                fnd_error err;
                CHECK(open_tokenizer(&w, &err) == NULL);
                CHECK_MSG(err.status == FND_ERR_FORMAT && strstr(err.text, keys[k]) != NULL, "%s", err.text);
                gguf_free(&w);
            }
        }
    }
}

TEST(tokenizer_survives_failed_allocations) {
    gguf_writer w = { 0 };
    gguf_add_byte_tokenizer(&w, "smollm");
    check_failed_allocations(&w);
    gguf_add_byte_tokenizer(&w, "llama-bpe"); /* looks whole words up */
    check_failed_allocations(&w);
}
