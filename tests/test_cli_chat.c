/* test_cli_chat.c - foundry chat, with lines from a pipe and at a terminal; and what foundry run shares
 * with it: endings, choices, JSON. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/ioctl.h>
#include <termios.h>
int forkpty(int *fd, char *name, struct termios *settings, struct winsize *size); /* of <util.h>, which only Apple's own kit has */
#else
#include <pty.h>
#endif

static const char not_built[] = "the program is not built beside the tests";

static const char *tiny(void) {
    static char path[1200];
    if (!path[0]) {
        snprintf(path, sizeof path, "%s", program_temp("chat.gguf"));
        tiny_model_save(path, 512);
    }
    return path;
}

/* Answers of single letters only, so that a line of output is an answer. */
#define LETTERS "--max-tokens", "6", "--logit-bias", "a=50", "--logit-bias", "b=50", "--logit-bias", "c=50"

static void chat(program_result *r, const char *lines, const char *const *more) {
    const char *words[40] = { "chat", "--model", tiny(), LETTERS };
    size_t count = 11;
    for (size_t i = 0; more && more[i]; i++) words[count++] = more[i];
    program_run_desc(r, &(program_desc){ .words = words, .input = lines });
}

/* Line `index` of a text, without its newline. */
static const char *line_of(const char *text, size_t index) {
    static char lines[8][128];
    static unsigned next;
    char *line = lines[next++ % 8];
    while (index-- && text) {
        text = strchr(text, '\n');
        text += text != NULL;
    }
    snprintf(line, sizeof lines[0], "%.*s", text ? (int)strcspn(text, "\n") : 0, text ? text : "");
    return line;
}

static size_t lines_in(const char *text) {
    size_t count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

/* ---- lines from a pipe ---- */

TEST(cli_chat_answers_line_by_line) {
    NEED(program_there(), not_built);
    program_result a, b;
    chat(&a, "hello\n\n  \nand\\\nso on\n/stats\n", NULL);
    CHECK_MSG(a.exit_code == 0, "%s", a.err);
    CHECK_MSG(lines_in(a.out) == 2 && strlen(line_of(a.out, 0)) == 6, "%s", a.out);
    CHECK_HAS(a.err, "tok/s; prompt: ");
    CHECK_HAS(a.err, "messages: 4; context: ");
    CHECK_HAS(a.err, "; reused: ");
    chat(&b, "hello\n/quit\nnever asked\n", (const char *const[]){ "--quiet", NULL });
    CHECK(b.exit_code == 0 && lines_in(b.out) == 1 && !strstr(b.err, "tok/s"));
    CHECK_STR(line_of(b.out, 0), line_of(a.out, 0));
    program_free(&a);
    program_free(&b);
}

/* Tools are in the prompt, which gets longer by them. */
TEST(cli_chat_and_run_take_tools) {
    NEED(program_there(), not_built);
    program_result r;
    fnd_error err = { 0 };
    char tools[1200], object[1200], model[1200];
    long tokens[2], chat_tokens[2];
    snprintf(tools, sizeof tools, "%s", program_temp("tools.json"));
    snprintf(object, sizeof object, "%s", program_temp("no-tools.json"));
    snprintf(model, sizeof model, "%s", program_temp("no-tools.gguf"));
    CHECK_OK(fnd_file_write(tools, "[{\"name\": \"weather\"}]", 21, &err), &err);
    CHECK_OK(fnd_file_write(object, "{}", 2, &err), &err);
    for (int i = 0; i < 2; i++) {
        program_run(&r, (const char *const[]){ "run", "--model", tiny(), "--prompt", "hello", LETTERS, "--json", i ? "--tools" : NULL, tools, NULL });
        json_t *json = json_loads(r.out, 0, NULL);
        tokens[i] = (long)json_integer_value(json_object_get(json, "prompt_tokens"));
        json_decref(json);
        program_free(&r);
        chat(&r, "hello\n", (const char *const[]){ i ? "--tools" : NULL, tools, NULL });
        const char *at = strstr(r.err, "prompt: ");
        CHECK_MSG(r.exit_code == 0 && at && !strstr(r.err, "changes nothing"), "%s", r.err);
        chat_tokens[i] = at ? strtol(at + 8, NULL, 10) : 0;
        program_free(&r);
    }
    CHECK_MSG(tokens[0] > 0 && tokens[1] >= tokens[0] + 21, "%ld tokens, %ld with tools", tokens[0], tokens[1]);
    CHECK(chat_tokens[0] == tokens[0] && chat_tokens[1] == tokens[1]);
    PROGRAM_REFUSED(1, "no-tools.json: the JSON of the tools must be an array", "run", "--model", tiny(), "--prompt", "x", "--tools", object);
    PROGRAM_REFUSED(1, "cannot open no-such-file", "chat", "--model", tiny(), "--tools", "no-such-file");
    PROGRAM_REFUSED(2, "--tools needs a file", "chat", "--model", tiny(), "--tools", "-");
    PROGRAM_REFUSED(2, "--tools says nothing", "run", "--model", tiny(), "--raw", "--prompt", "x", "--tools", tools);
    program_run(&r, (const char *const[]){ "synth", "--arch", "qwen2", "--size", "tiny", "--format", "q8_0", "-o", model, NULL });
    program_free(&r);
    program_run(&r, (const char *const[]){ "run", "--model", model, "--prompt", "x", "--max-tokens", "1", "--tools", tools, NULL });
    CHECK(r.exit_code == 0);
    CHECK_HAS(r.err, "makes nothing of tools");
    program_free(&r);
}

TEST(cli_chat_undo_and_regen) {
    NEED(program_there(), not_built);
    static const char *const warm[] = { "--temperature", "1", "--seed", "4", "--quiet", NULL };
    program_result a, b;
    chat(&a, "hello\nmistake\n/undo\n/regen 4\n/regen\n/regen 4\nnext\n", warm);
    chat(&b, "hello\nnext\n", warm);
    CHECK_MSG(a.exit_code == 0 && lines_in(a.out) == 6, "%s%s", a.err, a.out);
    CHECK_STR(line_of(a.out, 2), line_of(a.out, 0)); /* the same seed */
    CHECK(strcmp(line_of(a.out, 3), line_of(a.out, 0)) != 0);
    CHECK_STR(line_of(a.out, 4), line_of(a.out, 0));
    CHECK_STR(line_of(a.out, 5), line_of(b.out, 1)); /* as if nothing had been between */
    program_free(&a);
    program_free(&b);
}

/* What /stats says of the context is what the messages take. */
TEST(cli_chat_stats_follow_undo) {
    NEED(program_there(), not_built);
    program_result r;
    unsigned messages[4], tokens[4];
    size_t count = 0;
    chat(&r, "hello\n/stats\nmistake\n/stats\n/undo\n/stats\n/clear\n/stats\n/regen 18446744073709551616\n", (const char *const[]){ "--quiet", NULL });
    for (const char *at = r.err; count < 4 && (at = strstr(at, "messages: ")); at++) count += sscanf(at, "messages: %u; context: %u of", &messages[count], &tokens[count]) == 2;
    CHECK_MSG(count == 4 && messages[0] == 2 && messages[1] == 4 && messages[2] == 2 && messages[3] == 0, "%s", r.err);
    CHECK_MSG(count == 4 && tokens[2] >= tokens[0] && tokens[2] < tokens[0] + 8 && tokens[1] > tokens[2] && tokens[3] == 0, "%s", r.err);
    CHECK_HAS(r.err, "/regen needs a seed, a whole number from 0 to 18446744073709551615");
    program_free(&r);
}

/* What was saved with another model or another kind of cache is no mistake of the words: 1. */
TEST(cli_chat_refuses_sessions_of_others) {
    NEED(program_there(), not_built);
    program_result r;
    char file[1200], other[1200];
    snprintf(file, sizeof file, "%s", program_temp("others.session"));
    snprintf(other, sizeof other, "%s", program_temp("other.gguf"));
    tiny_model_save(other, 256);
    chat(&r, "hello\n", (const char *const[]){ "--session", file, NULL });
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    program_free(&r);
    chat(&r, "hello\n", (const char *const[]){ "--session", file, "--kv-type", "f32", NULL });
    program_refused(&r, 1, "holds keys and values as f16, but this session keeps them as f32; one with the kv type f16 can load it", __FILE__, __LINE__);
    const char *const words[] = { "chat", "--model", other, "--session", file, NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .input = "hello\n" });
    program_refused(&r, 1, "was saved with another model", __FILE__, __LINE__);
}

TEST(cli_chat_saves_and_goes_on) {
    NEED(program_there(), not_built);
    program_result whole, first, second;
    char file[1200];
    snprintf(file, sizeof file, "%s", program_temp("talk.session"));
    const char *const session[] = { "--session", file, "--system", "be kind", NULL };
    chat(&whole, "hello\nhow are you?\n", (const char *const[]){ "--system", "be kind", NULL });
    chat(&first, "hello\n", session);
    chat(&second, "how are you?\n/stats\n", session);
    CHECK_MSG(first.exit_code == 0 && second.exit_code == 0, "%s%s", first.err, second.err);
    CHECK_STR(line_of(first.out, 0), line_of(whole.out, 0));
    CHECK_STR(line_of(second.out, 0), line_of(whole.out, 1));
    CHECK_HAS(first.err, "saved 3 messages");
    CHECK_HAS(second.err, "loaded 3 messages");
    program_free(&first);
    program_free(&second);
    char lines[3000];
    snprintf(lines, sizeof lines, "one\n/save %s\ntwo\n/clear\n/load %s\ntwo\n", file, file);
    chat(&first, lines, NULL);
    CHECK(first.exit_code == 0 && lines_in(first.out) == 3);
    CHECK_STR(line_of(first.out, 2), line_of(first.out, 1));
    program_free(&first);
    program_free(&whole);
}

TEST(cli_chat_goes_on_after_errors) {
    NEED(program_there(), not_built);
    program_result r;
    chat(&r, "/undu\n/load no-such-file\n/save\n/undo\n/regen\n/regen x\nhello\n/system\n/system be kind\n/system\n/help\n//literal\n", NULL);
    CHECK_MSG(r.exit_code == 1, "%d", r.exit_code);
    CHECK(lines_in(r.out) == 2);
    CHECK_HAS(r.err, "there is no command '/undu'");
    CHECK_HAS(r.err, "cannot open no-such-file");
    CHECK_HAS(r.err, "/save needs the name of a file");
    CHECK_HAS(r.err, "no message to take back");
    CHECK_HAS(r.err, "no message to answer again");
    CHECK_HAS(r.err, "/regen needs a seed");
    CHECK_HAS(r.err, "there is no system message");
    CHECK_HAS(r.err, "foundry: be kind\n");
    CHECK_HAS(r.err, "/regen [SEED]");
    CHECK_HAS(r.err, "6 lines could not be carried out");
    program_free(&r);
    chat(&r, "hello\n/undo 2\n/stats \n", (const char *const[]){ "--quiet", NULL });
    CHECK_MSG(r.exit_code == 1 && strstr(r.err, "messages: 2; "), "%s", r.err); /* none was taken back */
    CHECK_HAS(r.err, "foundry: /undo takes nothing behind it, not '2'\n");
    program_free(&r);
    CHECK_OK(fnd_file_write(program_temp("no.jinja"), "{{ raise_exception('no') }}", 27, &(fnd_error){ 0 }), &(fnd_error){ 0 });
    chat(&r, "hello\n", (const char *const[]){ "--template", program_temp("no.jinja"), NULL });
    CHECK_HAS(r.err, "no.jinja: chat template, line 1, column 19: raise_exception() refuses");
    program_free(&r);
    chat(&r, "hello world, hello world\nhello, but much more of it\n/clear\nhi\n", (const char *const[]){ "--context", "64", NULL });
    CHECK_MSG(r.exit_code == 1 && lines_in(r.out) == 2, "%s", r.err);
    CHECK_HAS(r.err, "the context of 64 leaves no room");
    program_free(&r);
    chat(&r, "hello world, hello world\nhello\nhello\nhello\n", (const char *const[]){ "--context", "64", "--context-shift", NULL });
    CHECK_MSG(r.exit_code == 0 && lines_in(r.out) == 4, "%s", r.err);
    program_free(&r);
    PROGRAM_REFUSED(2, "chat needs --model", "chat");
    chat(&r, "hello\n", (const char *const[]){ "--session", "no-such-dir/x.session", NULL });
    program_refused(&r, 1, "cannot write no-such-dir/x.session", __FILE__, __LINE__); /* before anything is said */
    CHECK_OK(fnd_file_write(program_temp("text.session"), "some text", 9, &(fnd_error){ 0 }), &(fnd_error){ 0 });
    chat(&r, "hello\n", (const char *const[]){ "--session", program_temp("text.session"), NULL });
    program_refused(&r, 1, "is no session file", __FILE__, __LINE__);
}

/* A note on bytes that are none, every byte of a line, and a note on lines without any. */
TEST(cli_chat_lines_of_any_bytes) {
    NEED(program_there(), not_built);
    program_result cut, r;
    static const char zero[] = "one\0two\n/save a\0b\n";
    const char *words[] = { "chat", "--model", tiny(), LETTERS, "--system", "b\xff", NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .input = zero, .input_bytes = sizeof zero - 1 });
    chat(&cut, "one\n", (const char *const[]){ "--system", "b\xff", NULL });
    CHECK_MSG(r.exit_code == 1 && cut.exit_code == 0 && lines_in(r.out) == 1, "%s", r.err);
    CHECK_HAS(r.err, "there is a NUL byte in a line with a command");
    CHECK_HAS(r.err, "the system message is not valid UTF-8 from byte 1 on; each byte that is none is read as U+FFFD");
    const char *longer = strstr(r.err, "; prompt: "), *shorter = strstr(cut.err, "; prompt: ");
    CHECK_MSG(longer && shorter && atoi(longer + 10) == atoi(shorter + 10) + 4, "%s%s", r.err, cut.err);
    program_free(&cut);
    program_free(&r);
    chat(&r, "caf\xe9\n\n  \nplain\n", (const char *const[]){ "--quiet", NULL });
    CHECK_MSG(r.exit_code == 0 && lines_in(r.out) == 2, "%s", r.err);
    CHECK_HAS(r.err, "foundry: the line is not valid UTF-8 from byte 3 on; each byte that is none is read as U+FFFD\n");
    CHECK_HAS(r.err, "foundry: 2 empty lines were not answered\n");
    program_free(&r);
}

TEST(cli_chat_shifts_earlier_messages) {
    NEED(program_there(), not_built);
    program_result r;
    static const char lines[] = "hello\nhello\nzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n/stats\n/regen\n";
    chat(&r, lines, (const char *const[]){ "--context", "100", "--context-shift", "--keep", "5", "--max-tokens", "2", NULL });
    CHECK_MSG(r.exit_code == 0 && lines_in(r.out) == 4, "%s", r.err);
    CHECK_HAS(r.err, "the context was full, which dropped 41 tokens behind the first 5\n");
    CHECK_HAS(r.err, "of 100 tokens, 41 dropped\n");
    CHECK_HAS(r.err, "without a --temperature above 0 nothing is drawn: only another context gives another answer\n");
    program_free(&r);
    chat(&r, "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\nhello\n", (const char *const[]){ "--context", "100", "--context-shift", NULL });
    CHECK_MSG(r.exit_code == 1 && lines_in(r.out) == 1, "%s", r.err);
    CHECK_HAS(r.err, "the message takes 114 tokens, and the context of 100 has room for 99 and for an answer");
    program_free(&r);
    chat(&r, "hi\n", (const char *const[]){ "--context", "40", "--context-shift", "--max-tokens", "30", NULL }); /* keeps what it can */
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.err, "which dropped 16 tokens behind the first 16\n");
    program_free(&r);
    PROGRAM_REFUSED(2, "--keep: 999999 tokens cannot be kept: a context of 512, of which 16 at a time are dropped, can keep 495", "chat", "--model", tiny(), "--context-shift", "--keep", "999999");
    PROGRAM_REFUSED(2, "--keep: 60 tokens cannot be kept: a context of 64", "run", "--model", tiny(), "--prompt", "x", "--context", "64", "--context-shift", "--keep", "60");
    PROGRAM_REFUSED(2, "--context-shift: a context of 12 tokens cannot be shifted", "run", "--model", tiny(), "--prompt", "x", "--raw", "--context", "12", "--context-shift");
    PROGRAM_REFUSED(2, "--keep says what --context-shift keeps", "run", "--model", tiny(), "--prompt", "x", "--keep", "4");
}

TEST(cli_chat_interrupted_keeps_the_session) {
    NEED(program_there(), not_built);
    program_result r;
    char file[1200], model[1200];
    snprintf(file, sizeof file, "%s", program_temp("cut.session"));
    snprintf(model, sizeof model, "%s", program_temp("longer.gguf"));
    tiny_model_save(model, 1 << 20);
    const char *words[] = { "chat", "--model", model, "--logit-bias", "q=60", "--session", file, NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .input = "hello\nnever\n", .interrupt = true });
    CHECK_MSG(r.exit_code == 130, "%d: %s", r.exit_code, r.err);
    /* The first letter brings the interrupt; how many follow it is the machine's affair. */
    size_t letters = strspn(r.out, "q");
    CHECK_MSG(letters >= 1 && strcmp(r.out + letters, "\n") == 0, "%.200s", r.out);
    CHECK_HAS(r.err, "saved 2 messages");
    CHECK_HAS(r.err, "foundry: interrupted\n");
    program_free(&r);
}

/* ---- at a terminal ---- */

typedef struct terminal {
    int fd;
    pid_t child;
    char seen[1 << 16];
    size_t bytes;
} terminal;

/* Read until `part` is there, `count` times in all. */
static bool wait_for(terminal *t, const char *part, size_t count) {
    for (int tries = 0; tries < 600; tries++) {
        size_t found = 0;
        for (const char *p = t->seen; (p = strstr(p, part)); p++) found++;
        if (found >= count) return true;
        struct pollfd ready = { .fd = t->fd, .events = POLLIN };
        if (poll(&ready, 1, 100) <= 0) continue;
        ssize_t n = read(t->fd, t->seen + t->bytes, sizeof t->seen - 1 - t->bytes);
        if (n <= 0) break;
        t->bytes += (size_t)n;
        t->seen[t->bytes] = '\0';
        if (t->bytes > sizeof t->seen - 1000) { /* an answer without end: its beginning is enough */
            memmove(t->seen, t->seen + t->bytes - 4000, 4001);
            t->bytes = 4000;
        }
    }
    return false;
}

static void type(terminal *t, const char *text) { CHECK(write(t->fd, text, strlen(text)) == (ssize_t)strlen(text)); }

static int end_of(terminal *t) {
    int status = 0;
    for (int tries = 0; tries < 600; tries++) {
        char rest[4096];
        struct pollfd ready = { .fd = t->fd, .events = POLLIN };
        if (poll(&ready, 1, 20) > 0 && read(t->fd, rest, sizeof rest) < 0) usleep(20000); /* the terminal is gone: the program soon */
        if (waitpid(t->child, &status, WNOHANG) == t->child) return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }
    kill(t->child, SIGKILL);
    waitpid(t->child, &status, 0);
    return -1;
}

static bool terminal_open(terminal *t, const char *const *words) {
    const struct winsize size = { .ws_row = 24, .ws_col = 100 };
    *t = (terminal){ .fd = -1 };
    fflush(NULL);
    t->child = forkpty(&t->fd, NULL, NULL, (struct winsize *)(uintptr_t)&size);
    if (t->child == 0) {
        setenv("TERM", "dumb", 1);
        program_become(words);
    }
    return t->child > 0;
}

TEST(cli_chat_at_a_terminal) {
    NEED(program_there(), not_built);
    terminal *t = calloc(1, sizeof *t);
    const char *again = "Ctrl-D ends the conversation\r\n> "; /* with the prompt: what is typed before it, the terminal may drop */
    char history[1200];
    REQUIRE(t);
    tiny_model_save(program_temp("endless.gguf"), 1 << 20);
    snprintf(history, sizeof history, "%s", program_temp("history"));
    const char *const words[] = { "chat", "--model", program_temp("endless.gguf"), "--logit-bias", "q=60", "--history", history, NULL };
    if (terminal_open(t, words)) {
        CHECK_MSG(wait_for(t, "> ", 1), "%s", t->seen);
        type(t, "helxx\b\blo\n");                             /* edited */
        CHECK_MSG(wait_for(t, "qqqqqqqq", 1), "%s", t->seen); /* an answer that never ends */
        type(t, "\003");                                      /* Ctrl-C */
        CHECK_MSG(wait_for(t, "stopped; the answer so far is kept", 1), "%s", t->seen);
        CHECK_MSG(wait_for(t, "> ", 1), "%s", t->seen);
        for (size_t i = 1; i <= 5; i++) { /* a signal before, within or after the wait for the next line */
            type(t, "/stats\n");
            CHECK_MSG(wait_for(t, "messages: 2; context: ", i), "%s", t->seen);
            kill(t->child, SIGINT);
            CHECK_MSG(wait_for(t, again, i), "%s", t->seen);
        }
        type(t, "half a line\003");
        CHECK_MSG(wait_for(t, again, 6), "%s", t->seen);
        size_t ends = 0;
        for (const char *p = t->seen; (p = strstr(p, "\r\n")); p++) ends++;
        type(t, "\004");
        CHECK_MSG(wait_for(t, "\r\n", ends + 1), "%s", t->seen); /* what comes then begins a line */
        CHECK(end_of(t) == 0);
        close(t->fd);
        char *lines;
        size_t bytes;
        fnd_error err = { 0 };
        CHECK_OK(fnd_file_read(history, 1 << 16, &lines, &bytes, &err), &err);
        if (err.status == FND_OK) CHECK_HAS(lines, "hello");
        free(lines);
    } else {
        fnd_test_skip("there is no pseudo terminal");
    }
    free(t);
}

/* A file that was meant for something else is not written over. */
TEST(cli_chat_history_is_no_other_file) {
    NEED(program_there(), not_built);
    terminal *t = calloc(1, sizeof *t);
    char notes[1200], *kept;
    size_t bytes;
    fnd_error err = { 0 };
    REQUIRE(t);
    snprintf(notes, sizeof notes, "%s", program_temp("notes.txt"));
    CHECK_OK(fnd_file_write(notes, "buy milk\n", 9, &err), &err);
    const char *const words[] = { "chat", "--model", tiny(), "--history", notes, NULL };
    if (terminal_open(t, words)) {
        CHECK_MSG(wait_for(t, "notes.txt is no history of chat lines; --history needs a file of its own", 1), "%s", t->seen);
        CHECK(end_of(t) == 1);
        close(t->fd);
        CHECK_OK(fnd_file_read(notes, 100, &kept, &bytes, &err), &err);
        if (err.status == FND_OK) CHECK_STR(kept, "buy milk\n");
        fnd_free_memory(kept);
    } else {
        fnd_test_skip("there is no pseudo terminal");
    }
    free(t);
    PROGRAM_REFUSED(1, "README.md is no folder", "chat", "--model", tiny(), "--history", "README.md/history");
    PROGRAM_REFUSED(1, "README.md is no folder", "chat", "--model", tiny(), "--session", "README.md/session");
}

/* ---- foundry run ---- */

#define RUN(r, ...) program_run(r, (const char *const[]){ "run", "--model", tiny(), "--prompt", "hello", __VA_ARGS__, NULL })

static json_t *parsed(const program_result *r) {
    json_error_t where;
    json_t *json = json_loads(r->out, 0, &where);
    CHECK_MSG(json != NULL, "%s: %.200s%s", where.text, r->out, r->err);
    return json;
}

static const char *text_of(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    CHECK_MSG(text != NULL, "%s is missing or no text", key);
    return text ? text : "";
}

TEST(cli_run_json_tells_all) {
    NEED(program_there(), not_built);
    program_result r, plain;
    RUN(&r, LETTERS, "--json", "--logprobs", "3");
    RUN(&plain, LETTERS);
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    json_t *all = parsed(&r), *token, *probs = json_object_get(all, "logprobs"), *timings = json_object_get(all, "timings");
    CHECK_STR(text_of(all, "text"), plain.out);
    CHECK_STR(text_of(all, "stop_reason"), "max-tokens");
    CHECK(json_array_size(json_object_get(all, "tokens")) == 6 && json_array_size(probs) == 6 && json_is_null(json_object_get(all, "seed")));
    CHECK(json_integer_value(json_object_get(all, "prompt_tokens")) > 0 && json_number_value(json_object_get(timings, "answer_tok_s")) > 0);
    size_t i;
    json_array_foreach(probs, i, token) {
        const json_t *top = json_object_get(token, "top");
        CHECK(json_integer_value(json_object_get(token, "id")) == json_integer_value(json_array_get(json_object_get(all, "tokens"), i)));
        CHECK(json_array_size(top) == 3 && json_real_value(json_object_get(json_array_get(top, 0), "logprob")) >= json_real_value(json_object_get(token, "logprob")));
    }
    json_decref(all);
    program_free(&r);
    program_free(&plain);
    RUN(&r, LETTERS, "--json", "--temperature", "1", "--seed", "12");
    all = parsed(&r);
    CHECK(json_integer_value(json_object_get(all, "seed")) == 12 && !json_object_get(all, "logprobs"));
    json_decref(all);
    program_free(&r);
}

TEST(cli_run_stops_and_choices) {
    NEED(program_there(), not_built);
    program_result whole, r;
    RUN(&whole, "--max-tokens", "12", "--logit-bias", "a=50", "--logit-bias", "b=50", "--frequency-penalty", "9");
    CHECK_MSG(whole.exit_code == 0 && strstr(whole.out, "ab"), "%s%s", whole.out, whole.err);
    size_t before = whole.out_bytes ? (size_t)(strstr(whole.out, "ab") - whole.out) : 0;
    RUN(&r, "--max-tokens", "12", "--logit-bias", "97=50", "--logit-bias", "b=50", "--frequency-penalty", "9", "--stop", "nothing", "--stop", "ab", "--json");
    json_t *all = parsed(&r);
    CHECK_STR(text_of(all, "stop_reason"), "stop");
    CHECK(strlen(text_of(all, "text")) == before && strncmp(text_of(all, "text"), whole.out, before) == 0);
    CHECK(json_array_size(json_object_get(all, "tokens")) == before + 2); /* those of the stop string too */
    json_decref(all);
    program_free(&r);
    program_free(&whole);
    RUN(&r, "--max-tokens", "20", "--logit-bias", "a=50", "--logit-bias", "b=49", "--logit-bias", "a=-inf");
    CHECK_MSG(r.exit_code == 0 && strspn(r.out, "b") == 20, "%s%s", r.out, r.err);
    program_free(&r);
    RUN(&r, "--logit-bias", "<|end|>=100", "--json");
    all = parsed(&r);
    CHECK_STR(text_of(all, "stop_reason"), "end");
    CHECK_STR(text_of(all, "text"), "");
    json_decref(all);
    program_free(&r);
    const char *words[] = { "run", "--model", tiny(), "--prompt-file", "-", "--raw", "--context", "64", "--context-shift", "--max-tokens", "90", "--json", NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .input = "hello world" });
    all = parsed(&r);
    CHECK_STR(text_of(all, "stop_reason"), "max-tokens");
    CHECK(json_integer_value(json_object_get(all, "dropped_tokens")) > 0);
    json_decref(all);
    program_free(&r);
}

TEST(cli_run_refuses_wrong_choices) {
    NEED(program_there(), not_built);
    PROGRAM_REFUSED(2, "--parallel says how many prompts of --batch", "run", "--model", "x", "--prompt", "x", "--parallel", "8");
    PROGRAM_REFUSED(2, "--logprobs are printed with --json", "run", "--model", "x", "--prompt", "x", "--logprobs", "2");
    PROGRAM_REFUSED(2, "--stop needs a text", "run", "--model", tiny(), "--prompt", "x", "--stop", "");
    static const char *const biases[][2] = { { "a", "there is no '='" }, { "a=hot", "X is a number" }, { "a=nan", "X is a number" }, { "a=inf", "X is a number" }, { "=1", "no token before" }, { "xyz=1", "not one token" }, { "270=1", "no such id" } };
    for (size_t i = 0; i < FND_COUNT(biases); i++) PROGRAM_REFUSED(2, biases[i][1], "run", "--model", tiny(), "--prompt", "x", "--logit-bias", biases[i][0]);
}
