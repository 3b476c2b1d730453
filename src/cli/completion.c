/* completion.c - foundry --completion: what a shell reads to complete words of the program, made of the
 * commands' lists of options. The scripts do not call the program, and need none of another package. */
#include "cli/cli.h"
#include "foundry/version.h"

#define SHELLS "bash zsh"

static void add_commands(fnd_text *out) {
    for (size_t i = 0; fnd_cli_command_at(i); i++) fnd_text_printf(out, "%s ", fnd_cli_command_at(i)->name);
    fnd_text_str(out, "help");
}

/* ---- bash ---- */

static const char bash_begin[] =
    "# What `=` was cut at is joined again: --option=value and PATTERN=FORMAT are one word here.\n"
    "_foundry() {\n"
    "    local IFS=$' \\t\\n' word='' command='' option='' kind='' words='' arguments='' prefix='' i\n"
    "    local -a typed=()\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if ((i > 1)) && [[ $word == '=' || ${COMP_WORDS[i - 1]} == '=' ]]; then\n"
    "            typed[${#typed[@]} - 1]+=$word\n"
    "        else\n"
    "            typed+=(\"$word\")\n"
    "        fi\n"
    "    done\n"
    "    for ((i = 0; i + 1 < ${#typed[@]}; i++)); do\n"
    "        case ${typed[i]} in\n";

static const char bash_words[] =
    "        -*) ;;\n"
    "        *) command=${typed[i]} && break ;;\n"
    "        esac\n"
    "    done\n"
    "    word=${typed[${#typed[@]} - 1]}\n"
    "    if [[ $word == *=* && $COMP_WORDBREAKS != *=* ]]; then prefix=${word%=*}=; fi\n"
    "    if [[ $word == --*=* ]]; then\n"
    "        option=${word%%=*} word=${word#*=}\n"
    "    elif ((${#typed[@]} > 1)); then\n"
    "        option=${typed[${#typed[@]} - 2]}\n"
    "    fi\n"
    "    case $command in\n";

static const char bash_end[] =
    "    if [[ ! $kind && $word == -* ]]; then kind=words; fi\n"
    "    if [[ ! $kind && $arguments == files ]]; then kind=files; fi\n"
    "    if [[ ! $kind && $arguments ]]; then kind=words words=$arguments; fi\n"
    "    case $kind in\n"
    "    files) compopt -o default 2>/dev/null ;;\n"
    "    folders) compopt -o dirnames 2>/dev/null ;;\n"
    "    programs) COMPREPLY=($(compgen -c -- \"$word\")) ;;\n"
    "    list)\n"
    "        compopt -o nospace 2>/dev/null\n"
    "        prefix+=${word%\"${word##*,}\"} word=${word##*,} kind=words ;;\n"
    "    equals)\n"
    "        [[ $word == *=* ]] && word=${word##*=} kind=words ;;\n"
    "    esac\n"
    "    if [[ $kind == words ]]; then COMPREPLY=($(compgen -P \"$prefix\" -W \"$words\" -- \"$word\")); fi\n"
    "}\n"
    "# Where there is no compopt (bash 3.2), names of files are offered wherever nothing else is.\n"
    "if [[ $(type -t compopt) ]]; then complete -F _foundry foundry; else complete -o default -F _foundry foundry; fi\n";

static fnd_status bash_value(const fnd_cli_option *o, fnd_text *out, fnd_error *err) {
    static const char *const kinds[] = { "anything", "files", "folders", "programs", "words", "list", "equals" };
    fnd_cli_values v;
    if (!o->value) return FND_OK;
    FND_TRY(fnd_cli_option_values(o, &v, err));
    fnd_text_printf(out, "        %s%s) kind=%s", fnd_cli_dashes(o), o->name, kinds[v.kind]);
    if (v.words.bytes) fnd_text_printf(out, " words='%s'", fnd_text_get(&v.words));
    fnd_text_str(out, " ;;\n");
    fnd_text_free(&v.words);
    return FND_OK;
}

static fnd_status bash_command(const fnd_cli_command *c, fnd_text *out, fnd_error *err) {
    fnd_cli_option all;
    fnd_text_printf(out, "    %s)\n        words='", c->name);
    for (const fnd_cli_option *o = c->options; o->name; o++) fnd_text_printf(out, "%s%s ", fnd_cli_dashes(o), o->name);
    fnd_text_str(out, "'\n        case $option in\n");
    for (const fnd_cli_option *o = c->options; o->name; o++) FND_TRY(bash_value(o, out, err));
    for (size_t i = 0; fnd_cli_global_option(c, i, &all); i++) {
        if (all.value && c->machines && strcmp(all.value, c->machines) == 0) FND_TRY(bash_value(&all, out, err));
    }
    fnd_text_str(out, "        esac\n");
    if (c->positional) fnd_text_str(out, "        arguments=files\n");
    fnd_text_str(out, "        ;;\n");
    return FND_OK;
}

static fnd_status bash(fnd_text *out, fnd_error *err) {
    fnd_cli_option o;
    fnd_text_str(out, bash_begin);
    for (size_t i = 0; fnd_cli_global_option(NULL, i, &o); i++) {
        if (o.value) fnd_text_printf(out, "        --%s) ((i++)) ;;\n", o.name);
    }
    fnd_text_str(out, bash_words);
    for (size_t i = 0; fnd_cli_command_at(i); i++) FND_TRY(bash_command(fnd_cli_command_at(i), out, err));
    fnd_text_str(out, "    '' | help)\n        arguments='");
    add_commands(out);
    fnd_text_str(out, "' words='--completion --man '\n        case $option in\n        --completion) kind=words words='" SHELLS "' ;;\n"
                      "        --man) kind=words words=$arguments ;;\n        esac ;;\n    esac\n    if [[ ! $kind ]]; then\n        words+='");
    for (size_t i = 0; fnd_cli_global_option(NULL, i, &o); i++) fnd_text_printf(out, "--%s ", o.name);
    fnd_text_str(out, "'\n        case $option in\n");
    for (size_t i = 0; fnd_cli_global_option(NULL, i, &o); i++) FND_TRY(bash_value(&o, out, err));
    fnd_text_str(out, "        esac\n    fi\n");
    fnd_text_str(out, bash_end);
    return FND_OK;
}

/* ---- zsh ---- */

/* Inside '[...]' of a single-quoted word of zsh. */
static void zsh_quote(fnd_text *out, const char *text) {
    for (; *text; text++) {
        if (*text == '\'')
            fnd_text_str(out, "'\\''");
        else if (strchr("[]\\:", *text))
            fnd_text_printf(out, "\\%c", *text);
        else
            fnd_text_add(out, text, 1);
    }
}

static fnd_status zsh_option(const fnd_cli_option *o, fnd_text *out, fnd_error *err) {
    fnd_cli_values v;
    fnd_text_printf(out, " \\\n            '%s%s%s%s[", o->kind == FND_CLI_LIST ? "*" : "", fnd_cli_dashes(o), o->name, o->value && o->name[1] ? "=" : "");
    zsh_quote(out, o->doc);
    fnd_text_str(out, "]");
    if (o->value) {
        static const char *const actions[] = { " ", "_files", "_files -/", "_command_names -e", "(%s)", "_values -s , format %s", "{ compset -P \"*=\" && compadd %s }" };
        FND_TRY(fnd_cli_option_values(o, &v, err));
        const char *action = actions[v.kind], *hole = strstr(action, "%s");
        fnd_text_str(out, ":");
        zsh_quote(out, strchr(o->value, '|') ? o->name : o->value);
        fnd_text_str(out, ":");
        fnd_text_add(out, action, hole ? (size_t)(hole - action) : strlen(action));
        if (hole) fnd_text_printf(out, "%s%s", fnd_text_get(&v.words), hole + 2);
        fnd_text_free(&v.words);
    }
    fnd_text_str(out, "'");
    return FND_OK;
}

static fnd_status zsh_globals(const fnd_cli_command *c, fnd_text *out, fnd_error *err) {
    fnd_cli_option o;
    for (size_t i = 0; fnd_cli_global_option(c, i, &o); i++) FND_TRY(zsh_option(&o, out, err));
    return FND_OK;
}

static fnd_status zsh_command(const fnd_cli_command *c, fnd_text *out, fnd_error *err) {
    fnd_text_printf(out, "        %s)\n            _arguments -s", c->name);
    for (const fnd_cli_option *o = c->options; o->name; o++) FND_TRY(zsh_option(o, out, err));
    FND_TRY(zsh_globals(c, out, err));
    if (c->positional) fnd_text_str(out, " \\\n            ':file:_files'");
    if (c->second) fnd_text_str(out, " \\\n            ':file:_files'");
    fnd_text_str(out, " ;;\n");
    return FND_OK;
}

static fnd_status zsh(fnd_text *out, fnd_error *err) {
    fnd_text_str(out, "_foundry() {\n    local curcontext=$curcontext state state_descr line\n    typeset -A opt_args\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; fnd_cli_command_at(i); i++) {
        fnd_text_printf(out, "        '%s:", fnd_cli_command_at(i)->name);
        zsh_quote(out, fnd_cli_command_at(i)->doc);
        fnd_text_str(out, "'\n");
    }
    fnd_text_str(out, "        'help:how a command is used'\n    )\n    _arguments -C");
    FND_TRY(zsh_globals(NULL, out, err));
    fnd_text_str(out, " \\\n            '--completion[what a shell reads to complete these words]:shell:(" SHELLS ")' \\\n            '--man[the manual page]' \\\n"
                      "            '1:command:->command' '*::argument:->argument' && return\n"
                      "    case $state in\n    command) _describe -t commands command commands ;;\n    argument)\n"
                      "        curcontext=${curcontext%:*}-$line[1]:\n        case $line[1] in\n");
    for (size_t i = 0; fnd_cli_command_at(i); i++) FND_TRY(zsh_command(fnd_cli_command_at(i), out, err));
    fnd_text_str(out, "        help) _arguments '1:command:(");
    add_commands(out);
    fnd_text_str(out, ")' ;;\n        esac ;;\n    esac\n}\n"
                      "# As a file of $fpath it is called at once; read by `source` it is made known.\n"
                      "if [[ $funcstack[1] == _foundry ]]; then _foundry \"$@\"; else compdef _foundry foundry; fi\n");
    return FND_OK;
}

fnd_status fnd_cli_completion(const char *shell, fnd_error *err) {
    fnd_text out = { 0 };
    char shown[80];
    bool is_bash = strcmp(shell, "bash") == 0;
    if (!is_bash && strcmp(shell, "zsh") != 0) return fnd_fail(err, FND_ERR_USAGE, "--completion knows bash and zsh, not '%s'", fnd_span_quote((fnd_span){ shell, strlen(shell) }, shown, sizeof shown));
    fnd_text_printf(&out, "%s# Completion of foundry %s for %s; made by: foundry --completion %s\n\n", is_bash ? "" : "#compdef foundry\n", fnd_version(), shell, shell);
    fnd_status status = is_bash ? bash(&out, err) : zsh(&out, err);
    if (status == FND_OK) return fnd_cli_put_text(&out, err);
    fnd_text_free(&out);
    return status;
}
