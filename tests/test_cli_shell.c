/* test_cli_shell.c - what the program writes for others to read: manual pages, and completion in the
 * shells themselves. */
#include "base/base.h"
#include "base/file.h"
#include "base/process.h"
#include "foundry/version.h"
#include "program.h"
#include "test.h"

static const char not_built[] = "the program is not built beside the tests";

/* The lines that a program of the system writes: exit code 0. */
static void check_tool(const char *const *argv, const char *input, const char *wants) {
    fnd_text output = { 0 };
    fnd_error err = { 0 };
    int code = -1;
    CHECK_OK(fnd_process_run(argv, input, 60, &output, &code, &err), &err);
    CHECK_MSG(code == 0, "%s ended with %d: %s", argv[0], code, fnd_text_get(&output));
    CHECK_STR(fnd_text_get(&output), wants);
    fnd_text_free(&output);
}

/* Words "--NAME" of a help text, one after the other. */
static bool next_option(const char **help, char name[64]) {
    const char *at = strstr(*help, "\n  --");
    if (!at) return false;
    size_t bytes = strcspn(at + 5, " \n");
    snprintf(name, 64, "%.*s", (int)fnd_min_size(bytes, 63), at + 5);
    *help = at + 5;
    return true;
}

/* `foundry --commands`: each name, NULL at the end. Cuts *list. */
static const char *next_name(char **list) {
    char *name = *list, *end = strchr(name, '\n');
    if (!end) return NULL;
    *end = '\0';
    *list = end + 1;
    return name;
}

TEST(version_of_library_and_program) {
    program_result r;
    CHECK_STR(fnd_version(), FND_VERSION);
    NEED(program_there(), not_built);
    program_run(&r, (const char *const[]){ "--version", NULL });
    CHECK_STR(r.out, "foundry " FND_VERSION "\n");
    program_free(&r);
}

TEST(cli_manual_pages) {
    NEED(program_there(), not_built);
    char groff[FND_PROCESS_PATH_BYTES], name[64], wanted[96];
    bool lint = fnd_process_find("groff", groff);
    program_result commands, page, help;
    program_run(&commands, (const char *const[]){ "--commands", NULL });
    CHECK(commands.exit_code == 0 && strncmp(commands.out, "run\n", 4) == 0);
    char *list = commands.out;
    const char *command = NULL;
    do {
        program_run(&page, (const char *const[]){ "--man", command, NULL });
        program_run(&help, (const char *const[]){ "help", command, NULL });
        CHECK(page.exit_code == 0 && strncmp(page.out, ".TH FOUNDRY", 11) == 0);
        CHECK_HAS(page.out, FND_VERSION);
        CHECK_HAS(page.out, ".SH EXAMPLES\n");
        for (const char *at = help.out; next_option(&at, name);) {
            if (!command && (strcmp(name, "completion") == 0 || strcmp(name, "man") == 0)) continue;
            fnd_text escaped = { 0 };
            for (const char *c = name; *c; c++) fnd_text_printf(&escaped, "%s%c", *c == '-' ? "\\" : "", *c);
            snprintf(wanted, sizeof wanted, " \"\\-\\-%s", fnd_text_get(&escaped));
            CHECK_HAS(page.out, wanted);
            fnd_text_free(&escaped);
        }
        if (lint) check_tool((const char *[]){ groff, "-man", "-ww", "-Tascii", "-z", NULL }, page.out, "");
        program_free(&page);
        program_free(&help);
    } while ((command = next_name(&list)));
    program_free(&commands);
    PROGRAM_REFUSED(2, "there is no command 'jump'", "--man", "jump");
    PROGRAM_REFUSED(2, "one command", "--man", "run", "chat");
    NEED(lint, "there is no groff to check the pages with");
}

/* `typed`: assignments of COMP_WORDS; the last is the one to complete. `wants`: the candidates, or what
 * is left to the shell. */
static void check_bash(const char *bash, const char *script, const char *breaks, const char *typed, const char *wants) {
    fnd_text input = { 0 };
    fnd_text_printf(&input, "set -u\n%s\ncompopt() { echo \"$*\"; }\nCOMP_WORDBREAKS=%s\nCOMP_WORDS=(foundry %s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_foundry\necho \"${COMPREPLY[*]-}\"\n", script, breaks, typed);
    fnd_text expected = { 0 };
    fnd_text_printf(&expected, "%s\n", wants);
    check_tool((const char *[]){ bash, "--norc", NULL }, fnd_text_get(&input), fnd_text_get(&expected));
    fnd_text_free(&expected);
    fnd_text_free(&input);
}

TEST(cli_completion_in_bash) {
    NEED(program_there(), not_built);
    char bash[FND_PROCESS_PATH_BYTES];
    NEED(fnd_process_find("bash", bash), "there is no bash");
    static const struct {
        const char *typed, *wants;
    } cases[] = {
        { "t", "tokenize template tune" },
        { "help ch", "chat" },
        { "--threads 2 pro", "profile" },
        { "--threads=2 pro", "profile" },
        { "--no-fuse pro", "profile" },
        { "--threads = 2 pro", "profile" },
        { "--man doc", "doctor" },
        { "--completion z", "zsh" },
        { "--ver", "--version" },
        { "run --pro", "--prompt --prompt-file --program" },
        { "chat --no-f", "--no-fuse" },
        { "doctor --m", "" },
        { "run --backend ''", "cpu cuda metal sim" },
        { "--backend s", "sim" },
        { "run --backend = c", "cpu cuda" },
        { "run --backend =", "cpu cuda metal sim" },
        { "emit --backend me", "metal" },
        { "run --backend me", "metal" },
        { "run --backend x", "" },
        { "run --isa gen", "generic" },
        { "synth --arch qwen2 --size 0.", "0.5b 0.6b" },
        { "synth --format q8", "q8_0" },
        { "quantize in.gguf out.gguf --keep blk.* = q6", "q6_k" },
        { "quantize in.gguf out.gguf --keep = blk.* = q6", "q6_k" },
        { "emit --kernel norm_q", "norm_qkv_bias norm_qkv" },
        { "emit --program pre", "prefill" },
        { "emit --policy q5_0,q8", "-o nospace\nq5_0,q8_0" },
        { "run --model ''", "-o default\n" },
        { "run --model = m", "-o default\n" },
        { "inspect ''", "-o default\n" },
        { "chat --template ''", "-o default\n" },
        { "quantize --threads ''", "" },
        { "quantize --json ''", "-o default\n" },
        { "run --kernel-dir ''", "-o dirnames\n" },
        { "run --prompt ''", "" },
        { "run --threads ''", "" },
        { "jump ''", "" },
    };
    program_result r;
    program_run(&r, (const char *const[]){ "--completion", "bash", NULL });
    CHECK(r.exit_code == 0);
    for (size_t i = 0; i < FND_COUNT(cases); i++) check_bash(bash, r.out, "'= '", cases[i].typed, cases[i].wants);
    /* Where '=' cuts no words, candidates are whole words. */
    check_bash(bash, r.out, "' '", "run --backend=c", "--backend=cpu --backend=cuda");
    check_bash(bash, r.out, "' '", "quantize --keep a=q6", "a=q6_k");
    program_free(&r);
}

TEST(cli_completion_in_zsh) {
    NEED(program_there(), not_built);
    char zsh[FND_PROCESS_PATH_BYTES], name[64];
    program_result r, help;
    program_run(&r, (const char *const[]){ "--completion", "zsh", NULL });
    CHECK(r.exit_code == 0 && strncmp(r.out, "#compdef foundry\n", 17) == 0);
    program_run(&help, (const char *const[]){ "help", "run", NULL });
    for (const char *at = help.out; next_option(&at, name);) {
        char wanted[96];
        snprintf(wanted, sizeof wanted, "--%s", name);
        CHECK_HAS(r.out, wanted);
    }
    program_free(&help);
    PROGRAM_REFUSED(2, "bash and zsh, not 'fish'", "--completion", "fish");
    PROGRAM_REFUSED(2, "the name of one shell", "--completion");
    bool there = fnd_process_find("zsh", zsh);
    if (there) check_tool((const char *[]){ zsh, "-f", "-n", "/dev/stdin", NULL }, r.out, "");
    program_free(&r);
    NEED(there, "there is no zsh");
}
