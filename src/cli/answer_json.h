/* answer_json.h - an answer as JSON, for run with --json and --batch. */
#ifndef CLI_ANSWER_JSON_H
#define CLI_ANSWER_JSON_H

#include "cli/cli.h"
#include "foundry/generate.h"

/* "text": ..., "stop_reason": ..., "prompt_tokens": ..., "tokens": [...], "dropped_tokens": ..., "seed": ... */
void fnd_cli_json_answer(fnd_text *out, const fnd_generate_desc *desc, const fnd_generated *answer, size_t prompt_tokens);
/* , "logprobs": [...] when there are some */
void fnd_cli_json_logprobs(fnd_text *out, const fnd_tokenizer *t, const fnd_generate_desc *desc, const fnd_generated *answer);

#endif
