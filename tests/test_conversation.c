/* test_conversation.c - text from sessions: stop strings, endings, and conversations. */
#include "base/base.h"
#include "foundry/conversation.h"
#include "lm/stops.h"
#include "session_bench.h"
#include "test.h"

#include <stdlib.h>

/* ---- stop strings ---- */

/* Feeds a text in pieces; what comes out, and whether a stop string was met. */
static bool feed(const char *const *list, size_t count, const char *text, size_t piece, char *out) {
    fnd_stops s = { .list = list, .count = count };
    fnd_error err = { 0 };
    fnd_span got;
    bool met = false;
    size_t used = 0, bytes = strlen(text);
    for (size_t at = 0; at < bytes && !met; at += piece) {
        CHECK_OK(fnd_stops_push(&s, (fnd_span){ text + at, fnd_min_size(piece, bytes - at) }, &got, &met, &err), &err);
        memcpy(out + used, got.data, got.bytes);
        used += got.bytes;
        for (size_t i = 0; i < count; i++) CHECK(used < strlen(list[i]) || memcmp(out + used - strlen(list[i]), list[i], strlen(list[i])) != 0);
    }
    if (!met) {
        got = fnd_stops_rest(&s);
        memcpy(out + used, got.data, got.bytes);
        used += got.bytes;
    }
    out[used] = '\0';
    fnd_stops_free(&s);
    return met;
}

TEST(stops_do_not_depend_on_pieces) {
    static const struct {
        const char *stops[3], *text, *want;
        bool met;
    } cases[] = {
        { { "END" }, "it is the END of it", "it is the ", true },
        { { "END" }, "no EN D here EN", "no EN D here EN", false },
        { { "aab" }, "aaaab", "aa", true },
        { { "\n\n" }, "one\ntwo\n\nthree", "one\ntwo", true },
        { { "abcd", "bc" }, "xabcd", "xa", true }, /* the one that is complete first */
        { { "bcd", "abcd" }, "xabcd", "x", true }, /* of those complete together the longest */
        { { "User:", "</s>" }, "a</s", "a</s", false },
        { { "x" }, "x", "", true },
        { { "\xC3\xA9t\xC3\xA9" }, "l'\xC3\xA9t\xC3\xA9!", "l'", true },
        { { "never" }, "", "", false },
    };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        size_t count = 0;
        while (count < 3 && cases[i].stops[count]) count++;
        for (size_t piece = 1; piece < 12; piece++) {
            char out[64];
            CHECK_MSG(feed(cases[i].stops, count, cases[i].text, piece, out) == cases[i].met, "case %zu in pieces of %zu", i, piece);
            CHECK_STR(out, cases[i].want);
        }
    }
}

/* ---- generating ---- */

/* Only letters, so that text and tokens are the same thing. */
enum { LETTERS = 26 };
static size_t only_letters(fnd_logit_bias *bias) {
    size_t count = 0;
    for (uint32_t id = 0; id < 270; id++) {
        if (id < 'a' || id >= 'a' + LETTERS) bias[count++] = (fnd_logit_bias){ id, -1000 };
    }
    return count;
}

static fnd_status add_shown(void *ctx, fnd_span text, fnd_error *err) {
    fnd_text_add(ctx, text.data, text.bytes);
    return fnd_text_check(ctx, err);
}

TEST(generate_ends_before_a_stop_string_that_spans_tokens) {
    session_bench b;
    fnd_logit_bias bias[270];
    fnd_generated all, cut;
    fnd_text shown = { 0 };
    if (!session_bench_open(&b, NULL)) return;
    fnd_generate_desc d = { .max_tokens = 40, .sampling = { .bias = bias, .bias_count = only_letters(bias), .temperature = 1, .seed = 3 } };
    CHECK_OK(fnd_session_prompt(b.s, (uint32_t[]){ 'h', 'i' }, 2, &b.err), &b.err);
    CHECK_OK(fnd_generate(b.s, &d, &all, &b.err), &b.err);
    CHECK(all.ending == FND_ENDING_TOKENS && all.ids.count == 40 && all.bytes == 40 && strlen(all.text) == 40);
    char stop[4] = { 0 };
    memcpy(stop, all.text + 20, 3);
    const char *stops[] = { "no such text", stop };
    size_t met = (size_t)(strstr(all.text, stop) - all.text);
    d.stops = stops;
    d.stop_count = 2;
    d.text = add_shown;
    d.ctx = &shown;
    CHECK_OK(fnd_session_prompt(b.s, (uint32_t[]){ 'h', 'i' }, 2, &b.err), &b.err);
    CHECK_OK(fnd_generate(b.s, &d, &cut, &b.err), &b.err);
    CHECK(cut.ending == FND_ENDING_STOP && cut.bytes == met && memcmp(cut.text, all.text, met) == 0);
    CHECK(cut.ids.count == met + 3 && shown.bytes == met && memcmp(shown.data, all.text, met) == 0);
    stops[0] = "";
    fnd_generated none;
    CHECK(fnd_generate(b.s, &d, &none, &b.err) == FND_ERR_USAGE && !none.text);
    fnd_text_free(&shown);
    fnd_generated_free(&all);
    fnd_generated_free(&cut);
    session_bench_close(&b);
}

TEST(generate_ends_with_the_model_or_the_context) {
    session_bench b;
    fnd_generated g;
    const fnd_logit_bias end = { 256, 1000 };
    if (!session_bench_open(&b, &(fnd_session_desc){ .context = 40 })) return;
    CHECK_OK(fnd_session_prompt(b.s, (uint32_t[]){ 1, 2, 3 }, 3, &b.err), &b.err);
    CHECK_OK(fnd_generate(b.s, &(fnd_generate_desc){ .sampling = { .bias = &end, .bias_count = 1 } }, &g, &b.err), &b.err);
    CHECK(g.ending == FND_ENDING_MODEL && g.ids.count == 0 && g.bytes == 0 && g.text[0] == '\0');
    fnd_generated_free(&g);
    CHECK_OK(fnd_generate(b.s, &(fnd_generate_desc){ .logprobs = 3 }, &g, &b.err), &b.err);
    CHECK(g.ending == FND_ENDING_CONTEXT && g.ids.count == 38 && fnd_session_position(b.s) == 40);
    for (size_t i = 0; i < g.ids.count; i++) { /* greedy: the token is the likeliest */
        CHECK(g.logprobs[4 * i].id == g.ids.data[i] && g.logprobs[4 * i + 1].id == g.ids.data[i] && g.logprobs[4 * i + 2].logprob <= g.logprobs[4 * i + 1].logprob);
    }
    fnd_generated_free(&g);
    CHECK_OK(fnd_session_prompt(b.s, (uint32_t[]){ 1, 2, 3 }, 3, &b.err), &b.err);
    CHECK_OK(fnd_generate(b.s, &(fnd_generate_desc){ .max_tokens = 100, .context_shift = true, .keep = 2 }, &g, &b.err), &b.err);
    CHECK(g.ending == FND_ENDING_TOKENS && g.ids.count == 100 && g.dropped >= 62 && g.dropped % 16 == 0);
    CHECK(fnd_session_tokens(b.s)[0] == 1 && fnd_session_tokens(b.s)[1] == 2);
    fnd_generated_free(&g);
    session_bench_close(&b);
}

/* ---- conversations ---- */

typedef struct talk {
    session_bench b;
    fnd_conversation *c;
    fnd_logit_bias bias[270];
    fnd_generate_desc desc;
    char said[8][64]; /* answers */
    size_t count;
    fnd_generated last; /* its memory is gone */
} talk;

static bool talk_open(talk *t, uint32_t context, bool shift) {
    *t = (talk){ .count = 0 };
    if (!session_bench_open(&t->b, &(fnd_session_desc){ .context = context })) return false;
    t->desc = (fnd_generate_desc){ .max_tokens = 12, .sampling = { .bias = t->bias, .bias_count = only_letters(t->bias), .temperature = 1, .seed = 9 } };
    CHECK_OK(fnd_conversation_open(t->b.s, &(fnd_conversation_desc){ .system = "be kind", .context_shift = shift, .keep = 10 }, &t->c, &t->b.err), &t->b.err);
    return t->c != NULL;
}

static void talk_close(talk *t) {
    fnd_conversation_close(t->c);
    session_bench_close(&t->b);
}

static const char *keep_answer(talk *t, fnd_status status, fnd_generated *g) {
    CHECK_MSG(status == FND_OK, "%s", t->b.err.text);
    char *said = t->said[t->count++ % 8];
    snprintf(said, sizeof t->said[0], "%s", g->text ? g->text : "");
    t->last = *g;
    fnd_generated_free(g);
    return said;
}

static const char *ask(talk *t, const char *text) {
    fnd_generated g;
    fnd_status status = fnd_conversation_ask(t->c, text, 0, &t->desc, &g, &t->b.err);
    return keep_answer(t, status, &g);
}

static const char *again(talk *t) {
    fnd_generated g;
    fnd_status status = fnd_conversation_answer_again(t->c, &t->desc, &g, &t->b.err);
    return keep_answer(t, status, &g);
}

TEST(conversation_computes_only_what_is_new) {
    talk t;
    if (!talk_open(&t, 0, false)) return;
    ask(&t, "hello there");
    CHECK(t.last.prompt_reused == 0 && t.last.prompt_tokens > 20);
    uint32_t first = t.last.prompt_tokens;
    ask(&t, "and now?");
    /* the first prompt and its answer, but for the answer's last token, which was not evaluated */
    CHECK_MSG(t.last.prompt_reused == first + 11, "%u of %u reused", t.last.prompt_reused, t.last.prompt_tokens);
    CHECK(fnd_conversation_count(t.c) == 5);
    CHECK_STR(fnd_conversation_message(t.c, 0).role, "system");
    CHECK_STR(fnd_conversation_message(t.c, 3).content, "and now?");
    CHECK_STR(fnd_conversation_message(t.c, 4).content, t.said[1]);
    talk_close(&t);
}

TEST(conversation_answers_again_with_the_same_seed_alike) {
    talk t;
    if (!talk_open(&t, 0, false)) return;
    const char *first = ask(&t, "hello");
    const char *second = again(&t);
    CHECK_STR(second, first);
    CHECK(t.last.prompt_reused == t.last.prompt_tokens && fnd_conversation_count(t.c) == 3);
    t.desc.sampling.seed = 10;
    CHECK(strcmp(again(&t), first) != 0);
    talk_close(&t);
}

TEST(conversation_undone_is_as_if_it_had_not_been) {
    talk t, fresh;
    if (!talk_open(&t, 0, false)) return;
    if (talk_open(&fresh, 0, false)) {
        ask(&t, "hello");
        uint32_t one = fnd_session_position(t.b.s);
        ask(&t, "a detour");
        CHECK_OK(fnd_conversation_undo(t.c, &t.b.err), &t.b.err);
        /* with the end of the answer, which came with the next message */
        CHECK_MSG(fnd_conversation_count(t.c) == 3 && fnd_session_position(t.b.s) >= one && fnd_session_position(t.b.s) < one + 8, "%u tokens, %u before", fnd_session_position(t.b.s), one);
        ask(&fresh, "hello");
        CHECK_STR(ask(&t, "straight on"), ask(&fresh, "straight on"));
        CHECK_OK(fnd_conversation_set_system(t.c, "be brief", &t.b.err), &t.b.err);
        CHECK(fnd_session_position(t.b.s) < one);
        ask(&t, "so");
        fnd_conversation_clear(t.c);
        CHECK_MSG(fnd_conversation_count(t.c) == 1 && fnd_session_position(t.b.s) > 0 && fnd_session_position(t.b.s) < one / 2, "%u tokens of the system message", fnd_session_position(t.b.s));
        CHECK(fnd_conversation_undo(t.c, &t.b.err) == FND_ERR_USAGE);
        talk_close(&fresh);
    }
    talk_close(&t);
}

TEST(conversation_saved_and_loaded_goes_on_alike) {
    talk t, other;
    fnd_generated g;
    if (!talk_open(&t, 0, false)) return;
    ask(&t, "hello \xff\xfe there");
    CHECK_STR(fnd_conversation_message(t.c, 1).content, "hello \xEF\xBF\xBD\xEF\xBF\xBD there");
    CHECK_OK(fnd_conversation_save(t.c, session_temp("talk.session"), &t.b.err), &t.b.err);
    if (talk_open(&other, 0, false)) {
        ask(&other, "something else");
        CHECK_OK(fnd_conversation_load(other.c, session_temp("talk.session"), &other.b.err), &other.b.err);
        CHECK(fnd_conversation_count(other.c) == 3);
        CHECK_STR(ask(&other, "go on"), ask(&t, "go on"));
        CHECK(other.last.prompt_reused == t.last.prompt_reused);
        /* a session without a conversation, and none at all */
        CHECK_OK(fnd_session_save(t.b.s, session_temp("bare.session"), (fnd_span){ "{]", 2 }, &t.b.err), &t.b.err);
        CHECK(fnd_conversation_load(other.c, session_temp("bare.session"), &other.b.err) == FND_ERR_FORMAT);
        CHECK_HAS(other.b.err.text, "no conversation");
        CHECK(fnd_conversation_count(other.c) == 5);
        other.b.err = (fnd_error){ 0 };
        CHECK_OK(fnd_conversation_answer_again(other.c, &other.desc, &g, &other.b.err), &other.b.err);
        fnd_generated_free(&g);
        talk_close(&other);
    }
    talk_close(&t);
}

TEST(conversation_gives_the_template_its_variables) {
    static const char text[] = "{% for m in messages %}{{ m.content }}{% endfor %}{{ mood * 3 }}";
    session_bench b;
    fnd_chat_template *own;
    uint32_t tokens[2] = { 0, 0 };
    if (!session_bench_open(&b, &(fnd_session_desc){ .context = 64 })) return;
    CHECK_OK(fnd_chat_template_open(text, sizeof text - 1, &own, &b.err), &b.err);
    for (int with = 0; with < 2; with++) {
        fnd_conversation *c;
        fnd_generated g;
        CHECK_OK(fnd_session_truncate(b.s, 0, &b.err), &b.err);
        CHECK_OK(fnd_conversation_open(b.s, &(fnd_conversation_desc){ .chat_template = own, .variables_json = with ? "{\"mood\": \"glad\"}" : "{\"mood\": \"\"}" }, &c, &b.err), &b.err);
        CHECK_OK(fnd_conversation_ask(c, "hello", 0, &(fnd_generate_desc){ .max_tokens = 1 }, &g, &b.err), &b.err);
        tokens[with] = (uint32_t)g.prompt_tokens;
        fnd_generated_free(&g);
        fnd_conversation_close(c);
    }
    CHECK_MSG(tokens[1] > tokens[0], "%u tokens with the variable, %u without", tokens[1], tokens[0]);
    fnd_chat_template_close(own);
    session_bench_close(&b);
}

TEST(conversation_notes_nested_deep_are_refused) {
    talk t;
    static char deep[60000];
    if (!talk_open(&t, 0, false)) return;
    memset(deep, '[', sizeof deep);
    CHECK_OK(fnd_session_save(t.b.s, session_temp("deep.session"), (fnd_span){ deep, sizeof deep }, &t.b.err), &t.b.err);
    CHECK(fnd_conversation_load(t.c, session_temp("deep.session"), &t.b.err) == FND_ERR_FORMAT);
    talk_close(&t);
}

TEST(conversation_ends_clearly_or_shifts) {
    talk t;
    fnd_generated g;
    char long_text[200];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    if (!talk_open(&t, 100, false)) return;
    ask(&t, "hello");
    CHECK(fnd_conversation_ask(t.c, long_text, 0, &t.desc, &g, &t.b.err) == FND_ERR_LIMIT && !g.text);
    CHECK_HAS(t.b.err.text, "the context of 100 leaves no room");
    CHECK(fnd_conversation_count(t.c) == 3); /* the message is not part of it */
    t.b.err = (fnd_error){ 0 };
    talk_close(&t);
    if (!talk_open(&t, 100, true)) return;
    for (int i = 0; i < 12; i++) {
        ask(&t, "and what then?");
        CHECK(t.last.ending == FND_ENDING_TOKENS);
        if (i > 4) CHECK_MSG(t.last.prompt_tokens - t.last.prompt_reused < 45, "turn %d computes %u of %u tokens", i, t.last.prompt_tokens - t.last.prompt_reused, t.last.prompt_tokens);
    }
    CHECK(fnd_conversation_count(t.c) == 25);
    talk_close(&t);
}

/* So many of the letter in a row are among the tokens. */
static size_t longest_run(const fnd_session *s, char letter) {
    size_t best = 0, run = 0;
    for (uint32_t i = 0; i < fnd_session_position(s); i++) {
        run = fnd_session_tokens(s)[i] == (uint32_t)letter ? run + 1 : 0;
        best = fnd_max_size(best, run);
    }
    return best;
}

static const char *letters(char letter, size_t count) {
    static char text[256];
    memset(text, letter, count);
    text[count] = '\0';
    return text;
}

TEST(conversation_reads_a_new_message_whole) {
    talk t, whole;
    fnd_generated g;
    if (!talk_open(&t, 200, true)) return;
    if (talk_open(&whole, 0, false)) {
        for (int i = 0; i < 4; i++) CHECK_STR(ask(&t, "and then?"), ask(&whole, "and then?"));
        ask(&whole, letters('Z', 140));
        ask(&t, letters('Z', 140));
        CHECK_MSG(longest_run(t.b.s, 'Z') == 140, "%zu letters of 140", longest_run(t.b.s, 'Z'));
        CHECK_MSG(t.last.dropped > 0 && t.last.dropped == whole.last.prompt_tokens - t.last.prompt_tokens, "%u dropped of %u, and %u left", t.last.dropped, whole.last.prompt_tokens, t.last.prompt_tokens);
        CHECK(fnd_conversation_dropped(t.c) == t.last.dropped && fnd_conversation_kept(t.c) == 10 && fnd_conversation_dropped(whole.c) == 0);
        CHECK(memcmp(fnd_session_tokens(t.b.s), fnd_session_tokens(whole.b.s), 10 * sizeof(uint32_t)) == 0);
        talk_close(&whole);
    }
    uint32_t position = fnd_session_position(t.b.s);
    size_t dropped = fnd_conversation_dropped(t.c);
    CHECK(fnd_conversation_ask(t.c, letters('Y', 190), 0, &t.desc, &g, &t.b.err) == FND_ERR_LIMIT);
    CHECK_STR(t.b.err.text, "the message takes 211 tokens, and the context of 200 has room for 189 behind the 10 that are kept and for an answer");
    CHECK(fnd_session_position(t.b.s) == position && fnd_conversation_dropped(t.c) == dropped && fnd_conversation_count(t.c) == 11);
    t.b.err = (fnd_error){ 0 };
    ask(&t, letters('Y', 168));                                   /* as long as can be */
    CHECK(longest_run(t.b.s, 'Y') < 168 && t.last.dropped >= 16); /* whole, until the answer wanted room */
    again(&t);
    CHECK_MSG(t.last.prompt_tokens == 199, "%u tokens", t.last.prompt_tokens);
    CHECK_OK(fnd_conversation_undo(t.c, &t.b.err), &t.b.err);
    ask(&t, letters('X', 20));
    CHECK(longest_run(t.b.s, 'X') == 20);
    talk_close(&t);
}

/* Tokens of the system message that gave way come back when what they gave way for is gone. */
TEST(conversation_cleared_has_its_system_message_whole) {
    talk t;
    if (!talk_open(&t, 200, true)) return;
    for (int undone = 0; undone < 2; undone++) {
        CHECK_OK(fnd_conversation_set_system(t.c, letters('S', 100), &t.b.err), &t.b.err);
        ask(&t, letters('Z', 40));
        ask(&t, letters('Y', 20));
        CHECK_MSG(fnd_conversation_dropped(t.c) > 0 && longest_run(t.b.s, 'S') > 16 && longest_run(t.b.s, 'S') < 100, "%zu dropped, %zu letters", fnd_conversation_dropped(t.c), longest_run(t.b.s, 'S'));
        for (int i = 0; i < 2 && undone; i++) CHECK_OK(fnd_conversation_undo(t.c, &t.b.err), &t.b.err);
        if (!undone) fnd_conversation_clear(t.c);
        CHECK(fnd_conversation_dropped(t.c) == 0 && fnd_conversation_count(t.c) == 1);
        ask(&t, "so");
        CHECK(fnd_conversation_dropped(t.c) == 0 && longest_run(t.b.s, 'S') == 100);
        fnd_conversation_clear(t.c);
    }
    talk_close(&t);
}

/* What a file kept counts for its own conversation, not for those after it. */
TEST(conversation_keeps_as_asked_after_a_loaded_one) {
    talk t, other;
    if (!talk_open(&t, 200, true)) return;
    ask(&t, letters('Z', 120));
    ask(&t, letters('Y', 60));
    CHECK(fnd_conversation_dropped(t.c) > 0);
    CHECK_OK(fnd_conversation_save(t.c, session_temp("kept.session"), &t.b.err), &t.b.err);
    if (session_bench_open(&other.b, &(fnd_session_desc){ .context = 200 })) {
        CHECK_OK(fnd_conversation_open(other.b.s, &(fnd_conversation_desc){ .context_shift = true, .keep = 3 }, &other.c, &other.b.err), &other.b.err);
        CHECK_OK(fnd_conversation_load(other.c, session_temp("kept.session"), &other.b.err), &other.b.err);
        CHECK(fnd_conversation_kept(other.c) == 10 && fnd_conversation_dropped(other.c) == fnd_conversation_dropped(t.c));
        fnd_conversation_clear(other.c);
        CHECK(fnd_conversation_kept(other.c) == 3 && fnd_conversation_dropped(other.c) == 0);
        talk_close(&other);
    }
    talk_close(&t);
}

/* What was dropped for a message that was not answered is not lost. */
TEST(conversation_cancelled_drops_nothing) {
    talk t;
    fnd_generated g;
    volatile bool enough = false;
    t = (talk){ .count = 0 };
    if (!session_bench_open(&t.b, &(fnd_session_desc){ .context = 200, .cancel = &enough })) return;
    t.desc = (fnd_generate_desc){ .max_tokens = 12, .sampling = { .bias = t.bias, .bias_count = only_letters(t.bias) } };
    CHECK_OK(fnd_conversation_open(t.b.s, &(fnd_conversation_desc){ .context_shift = true, .keep = 3 }, &t.c, &t.b.err), &t.b.err);
    ask(&t, letters('Z', 100));
    enough = true;
    CHECK(fnd_conversation_ask(t.c, letters('Y', 100), 0, &t.desc, &g, &t.b.err) == FND_ERR_CANCELLED);
    CHECK(fnd_conversation_dropped(t.c) == 0 && fnd_conversation_count(t.c) == 2);
    enough = false;
    t.b.err = (fnd_error){ 0 };
    ask(&t, "so");
    CHECK(longest_run(t.b.s, 'Z') == 100);
    talk_close(&t);
}

TEST(conversation_keeps_what_can_be_kept) {
    session_bench b;
    fnd_conversation *c;
    fnd_generated g;
    if (!session_bench_open(&b, &(fnd_session_desc){ .context = 100 })) return;
    CHECK(fnd_conversation_open(b.s, &(fnd_conversation_desc){ .context_shift = true, .keep = 84 }, &c, &b.err) == FND_ERR_USAGE);
    CHECK_HAS(b.err.text, "84 tokens cannot be kept: a context of 100, of which 16 at a time are dropped, can keep 83");
    b.err = (fnd_error){ 0 };
    CHECK_OK(fnd_conversation_open(b.s, &(fnd_conversation_desc){ .keep = 999999 }, &c, &b.err), &b.err); /* says nothing then */
    CHECK(fnd_conversation_ask(c, "", 0, NULL, &g, &b.err) == FND_ERR_USAGE && fnd_conversation_count(c) == 0);
    b.err = (fnd_error){ 0 };
    fnd_conversation_close(c);
    CHECK_OK(fnd_session_prompt(b.s, (uint32_t[]){ 1, 2, 3 }, 3, &b.err), &b.err);
    CHECK(fnd_generate(b.s, &(fnd_generate_desc){ .max_tokens = 150, .context_shift = true, .keep = 100 }, &g, &b.err) == FND_ERR_USAGE);
    b.err = (fnd_error){ 0 };
    CHECK_OK(fnd_generate(b.s, &(fnd_generate_desc){ .max_tokens = 150, .context_shift = true, .keep = 83 }, &g, &b.err), &b.err);
    CHECK(g.ending == FND_ENDING_TOKENS && g.dropped >= 48);
    fnd_generated_free(&g);
    session_bench_close(&b);
}

TEST(conversation_cancelled_keeps_what_was_said) {
    talk t;
    volatile bool enough = true;
    if (!talk_open(&t, 0, false)) return;
    t.desc.cancel = &enough;
    const char *partial = ask(&t, "hello");
    CHECK(t.last.ending == FND_ENDING_CANCELLED && strlen(partial) == 1);
    CHECK_STR(fnd_conversation_message(t.c, 2).content, partial);
    enough = false;
    ask(&t, "go on");
    CHECK(t.last.ending == FND_ENDING_TOKENS && fnd_conversation_count(t.c) == 5);
    talk_close(&t);
}
