/* answer_json.c - text, tokens, why it ended, probabilities. */
#include "cli/answer_json.h"

void fnd_cli_json_answer(fnd_text *out, const fnd_generate_desc *desc, const fnd_generated *answer, size_t prompt_tokens) {
    fnd_text_str(out, "\"text\": ");
    fnd_cli_json_text(out, answer->text, answer->bytes);
    fnd_text_printf(out, ", \"stop_reason\": \"%s\", \"prompt_tokens\": %zu, \"tokens\": [", fnd_ending_name(answer->ending), prompt_tokens);
    for (size_t i = 0; i < answer->ids.count; i++) fnd_text_printf(out, "%s%u", i ? ", " : "", answer->ids.data[i]);
    fnd_text_printf(out, "], \"dropped_tokens\": %u, \"guessed\": %llu, \"guessed_right\": %llu, \"seed\": ", answer->dropped, (unsigned long long)answer->guessed, (unsigned long long)answer->guessed_right);
    if (desc->sampling.temperature > 0)
        fnd_text_printf(out, "%llu", (unsigned long long)desc->sampling.seed);
    else
        fnd_text_str(out, "null");
}

static void put_logprob(const fnd_tokenizer *t, const fnd_logprob *p, fnd_text *out) {
    fnd_span text = fnd_token_text(t, p->id);
    fnd_text_printf(out, "{\"id\": %u, \"text\": ", p->id);
    fnd_cli_json_text(out, text.data, text.bytes);
    fnd_text_str(out, ", \"logprob\": ");
    fnd_cli_json_float(out, p->logprob);
}

void fnd_cli_json_logprobs(fnd_text *out, const fnd_tokenizer *t, const fnd_generate_desc *desc, const fnd_generated *answer) {
    size_t each = (size_t)desc->logprobs + 1;
    if (!desc->logprobs) return;
    fnd_text_str(out, ", \"logprobs\": [");
    for (size_t i = 0; i < answer->ids.count; i++) {
        const fnd_logprob *all = answer->logprobs + i * each;
        fnd_text_str(out, i ? ", " : "");
        put_logprob(t, all, out);
        fnd_text_str(out, ", \"top\": [");
        for (size_t k = 1; k < each; k++) {
            fnd_text_str(out, k > 1 ? ", " : "");
            put_logprob(t, all + k, out);
            fnd_text_str(out, "}");
        }
        fnd_text_str(out, "]}");
    }
    fnd_text_str(out, "]");
}
