/* test_synth.c - random models: their sizes, that the same seed makes the same file, and that what is
 * made loads, tokenizes and runs. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "foundry/chat.h"
#include "foundry/model.h"
#include "foundry/synth.h"
#include "foundry/tokenizer.h"
#include "lm/synth.h"
#include "program.h"
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <unistd.h>

static fnd_synth_report counted(const char *architecture, const char *size, fnd_format format) {
    fnd_synth_report report;
    fnd_error err = { 0 };
    CHECK_OK(fnd_synth(&(fnd_synth_desc){ .architecture = architecture, .size = size, .format = format }, &report, &err), &err);
    return report;
}

TEST(synth_sizes) {
    static const struct {
        const char *architecture, *size;
        fnd_format format;
        double megabytes, millions;
    } known[] = {
        { "qwen2", "0.5b", FND_Q4_0, 346, 494 },
        { "qwen2", "1.5b", FND_Q4_K, 929, 1544 },
        { "qwen2", "0.5b", FND_F16, 988, 494 },
        { "qwen2", "7b", FND_F16, 15232, 7616 },
        { "qwen2", "3b", FND_Q8_0, 3280, 3086 },
        { "qwen3", "0.6b", FND_F16, 1192, 596 },
        { "llama", "135m", FND_F16, 269, 134.5 },
        { "llama", "1b", FND_F16, 2472, 1236 },
        { "llama", "8b", FND_F16, 16061, 8030 },
        { "phi3", "mini", FND_F16, 7643, 3821 },
    };
    for (size_t i = 0; i < FND_COUNT(known); i++) {
        fnd_synth_report r = counted(known[i].architecture, known[i].size, known[i].format);
        double megabytes = 1e-6 * (double)r.tensor_bytes, millions = 1e-6 * (double)r.weights;
        CHECK_MSG(fabs(megabytes - known[i].megabytes) <= 0.5 && fabs(millions - known[i].millions) <= 0.6, "%s %s: %.1f MB, %.1f million weights", known[i].architecture, known[i].size, megabytes, millions);
        CHECK(r.file_bytes == 0);
    }
}

typedef struct wanted {
    const char *name;
    fnd_format format;
} wanted;

static void check_tensor(void *ctx, const fnd_gguf_tensor *t) {
    const wanted *w = ctx;
    if (!fnd_span_equal(t->name, w->name)) return;
    CHECK_MSG(t->format == w->format, "%s is %s", w->name, fnd_format_get(t->format)->name);
    ((wanted *)ctx)->name = ""; /* seen */
}

TEST(synth_formats_of_tensors) {
    static const struct {
        const char *architecture, *size;
        fnd_format format;
        wanted w;
    } known[] = {
        { "qwen2", "0.5b", FND_Q4_K, { "blk.3.ffn_down.weight", FND_Q4_K } }, /* 4,864 = 19 x 256 */
        { "qwen2", "0.5b", FND_Q4_K, { "blk.3.attn_q.weight", FND_Q5_0 } },
        { "qwen2", "0.5b", FND_Q5_K, { "blk.3.attn_q.weight", FND_Q5_1 } },
        { "qwen2", "0.5b", FND_Q6_K, { "blk.3.attn_q.weight", FND_Q8_0 } },
        { "qwen2", "0.5b", FND_Q4_0, { "token_embd.weight", FND_Q8_0 } },
        { "qwen2", "1.5b", FND_Q4_0, { "token_embd.weight", FND_Q6_K } },
        { "qwen2", "7b", FND_Q4_K, { "token_embd.weight", FND_Q4_K } },
        { "qwen2", "7b", FND_Q4_K, { "output.weight", FND_Q6_K } },
        { "qwen2", "7b", FND_Q5_K, { "output.weight", FND_Q8_0 } },
        { "qwen2", "7b", FND_F16, { "output.weight", FND_F16 } },
        { "qwen2", "7b", FND_F16, { "blk.0.attn_v.bias", FND_F32 } },
        { "qwen3", "0.6b", FND_F16, { "blk.27.attn_k_norm.weight", FND_F32 } },
        { "llama", "1b", FND_Q4_0, { "rope_freqs.weight", FND_F32 } },
        { "phi3", "mini", FND_Q4_K, { "blk.31.attn_qkv.weight", FND_Q4_K } },
    };
    for (size_t i = 0; i < FND_COUNT(known); i++) {
        wanted w = known[i].w;
        fnd_error err = { 0 };
        CHECK_OK(fnd_synth(&(fnd_synth_desc){ .architecture = known[i].architecture, .size = known[i].size, .format = known[i].format, .tensor = check_tensor, .ctx = &w }, NULL, &err), &err);
        CHECK_MSG(!w.name[0], "%s %s has no %s", known[i].architecture, known[i].size, w.name);
    }
}

static bool make(const char *path, const char *architecture, fnd_format format, uint64_t seed, uint32_t threads) {
    fnd_error err = { 0 };
    fnd_synth_desc d = { .architecture = architecture, .size = "tiny", .format = format, .seed = seed, .to = path, .replace = true, .threads = threads };
    CHECK_OK(fnd_synth(&d, NULL, &err), &err);
    return err.status == FND_OK;
}

static bool same_file(const char *a, const char *b) {
    fnd_map x, y;
    fnd_error err = { 0 };
    CHECK_OK(fnd_map_open(a, &x, &err), &err);
    CHECK_OK(fnd_map_open(b, &y, &err), &err);
    bool same = x.bytes == y.bytes && memcmp(x.data, y.data, x.bytes) == 0;
    fnd_map_close(&x);
    fnd_map_close(&y);
    return same;
}

static const char text[] = "The weather in Zürich is nice; 日本語 too. \t\r\n    if (x == 1024) { }\n\n🙂\xff\xfe";

static void check_tokenizer(const fnd_gguf *g) {
    fnd_tokenizer *t;
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    char *back = NULL;
    size_t bytes = 0;
    CHECK_OK(fnd_tokenizer_open(g, &t, &err), &err);
    REQUIRE(t);
    CHECK(fnd_tokenizer_get_info(t)->token_count == 1024);
    CHECK_OK(fnd_tokenize(t, text, sizeof text - 1, FND_TOKENIZE_SPECIAL, &ids, &err), &err);
    CHECK(ids.count < sizeof text - 10); /* something was merged */
    CHECK_OK(fnd_detokenize(t, ids.data, ids.count, &back, &bytes, &err), &err);
    CHECK(back && bytes == sizeof text - 1 && memcmp(back, text, bytes) == 0);
    CHECK(fnd_tokenizer_get_info(t)->eos >= 0 && fnd_token_is_end(t, (uint32_t)fnd_tokenizer_get_info(t)->eos));
    fnd_text_release(back);
    fnd_ids_free(&ids);
    fnd_tokenizer_close(t);
}

TEST(synth_makes_the_same_file_again) {
    char a[512], b[512];
    snprintf(a, sizeof a, "%s", program_temp("synth-a.gguf"));
    snprintf(b, sizeof b, "%s", program_temp("synth-b.gguf"));
    const char *architecture, *size;
    for (size_t i = 0; fnd_synth_at(i, &architecture, &size); i++) {
        if (strcmp(size, "tiny") != 0) continue;
        if (!make(a, architecture, FND_Q4_K, 7, 1) || !make(b, architecture, FND_Q4_K, 7, 3)) continue;
        CHECK_MSG(same_file(a, b), "%s: another file with 3 threads", architecture);
        CHECK(make(b, architecture, FND_Q4_K, 8, 1) && !same_file(a, b));
        fnd_gguf *g;
        fnd_error err = { 0 };
        CHECK_OK(fnd_gguf_open(a, 0, &g, &err), &err);
        if (!g) continue;
        check_tokenizer(g);
        fnd_gguf_close(g);
    }
    for (fnd_format f = FND_F32; f < FND_FORMAT_COUNT && fnd_format_get(f)->is_weight; f++) {
        fnd_gguf *g;
        fnd_model_info info;
        fnd_error err = { 0 };
        uint32_t type = 99;
        if (!make(a, "qwen2", f, 0, 2)) continue;
        CHECK_OK(fnd_gguf_open(a, 0, &g, &err), &err);
        REQUIRE(g);
        CHECK_OK(fnd_model_read_info(g, &info, &err), &err);
        CHECK_OK(fnd_gguf_get_u32(g, "general.file_type", &type, &err), &err);
        CHECK(type != 99 && fnd_gguf_find_tensor(g, "blk.1.ffn_down.weight")->format == f);
        fnd_gguf_close(g);
    }
    unlink(a);
    unlink(b);
}

/* Phi-3's vocabulary is SentencePiece's, with the special tokens where the real one has them. */
TEST(synth_phi3_has_its_own_kind_of_tokenizer) {
    static const struct {
        const char *text;
        uint32_t id;
    } special[] = { { "<s>", 1 }, { "<|endoftext|>", 32000 }, { "<|assistant|>", 32001 }, { "<|system|>", 32006 }, { "<|end|>", 32007 }, { "<|user|>", 32010 } };
    const char *path = program_temp("phi3-vocab.gguf");
    fnd_gguf_writer *w;
    fnd_gguf *g = NULL;
    fnd_tokenizer *t = NULL;
    fnd_chat_template *template = NULL;
    fnd_chat_prompt prompt = { 0 };
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    CHECK_OK(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = path, .replace = true }, &w, &err), &err);
    REQUIRE(w);
    fnd_gguf_put_str(w, "general.architecture", "phi3");
    CHECK_OK(fnd_synth_put_tokenizer(w, FND_SYNTH_PHI3, 32064, &err), &err);
    CHECK_OK(fnd_gguf_writer_begin(w, &err), &err);
    CHECK_OK(fnd_gguf_writer_finish(w, &err), &err);
    fnd_gguf_writer_close(w);
    CHECK_OK(fnd_gguf_open(path, FND_GGUF_METADATA_ONLY, &g, &err), &err);
    CHECK_OK(fnd_tokenizer_open(g, &t, &err), &err);
    CHECK_OK(fnd_chat_template_from_gguf(g, &template, &err), &err);
    REQUIRE(t && template);
    const fnd_tokenizer_info *info = fnd_tokenizer_get_info(t);
    CHECK_STR(info->model, "llama");
    CHECK(info->token_count == 32064 && info->bos == 1 && info->eos == 32000 && info->unknown == 0 && !info->add_bos && fnd_token_is_end(t, 32007));
    for (size_t i = 0; i < FND_COUNT(special); i++) {
        CHECK(fnd_span_equal(fnd_token_text(t, special[i].id), special[i].text) && fnd_token_is_control(t, special[i].id));
    }
    const fnd_chat_message user = { .role = "user", .content = "Tell the weather<|end|>" };
    CHECK_OK(fnd_chat_render(template, &(fnd_chat_desc){ .messages = &user, .message_count = 1, .tokenizer = t }, &prompt, &err), &err);
    CHECK_OK(fnd_chat_tokenize(t, &prompt, 0, &ids, &err), &err);
    size_t ends = 0;
    for (size_t i = 0; i < ids.count; i++) ends += ids.data[i] == 32007;
    CHECK_MSG(ids.count > 5 && ids.count < 24 && ids.data[0] == 32010 && ids.data[ids.count - 1] == 32001 && ends == 1, "%zu tokens, %zu ends, %u ... %u", ids.count, ends, ids.data[0], ids.data[ids.count - 1]); /* the user's is text */
    fnd_ids_free(&ids);
    fnd_chat_prompt_free(&prompt);
    fnd_chat_template_close(template);
    fnd_tokenizer_close(t);
    fnd_gguf_close(g);
    unlink(path);
}

enum { LONG = 4096,
       PIECE = 512 };

/* The mean square of the logits behind each PIECE of LONG tokens of a tiny model: what is not finite in the keys and
 * values of any token reaches them. */
static void check_activations(const char *architecture) {
    static uint32_t ids[LONG];
    static float logits[1024];
    const char *path = program_temp("synth-run.gguf");
    foundry *f = NULL;
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    fnd_desc desc = { 0 };
    fnd_error err = { 0 };
    if (!make(path, architecture, FND_Q4_K, 0, 1)) return;
    for (uint32_t i = 0; i < LONG; i++) ids[i] = i * 7919 % 1000;
    CHECK_OK(fnd_options_from_environment(&desc, &err), &err);
    CHECK_OK(fnd_open(&desc, &f, &err), &err);
    if (f) CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = path }, &m, &err), &err);
    if (m) CHECK_OK(fnd_session_open(m, &(fnd_session_desc){ .context = LONG }, &s, &err), &err);
    for (uint32_t at = 0; s && at < LONG; at += PIECE) {
        double squares = 0;
        CHECK_OK(fnd_session_eval(s, ids + at, PIECE, &err), &err);
        CHECK_OK(fnd_session_logits(s, logits, &err), &err);
        for (size_t i = 0; i < FND_COUNT(logits); i++) squares += (double)logits[i] * (double)logits[i] / (double)FND_COUNT(logits);
        CHECK_MSG(squares > 0.25 && squares < 4, "%s: the mean square of the logits behind %u tokens is %g", architecture, at + PIECE, squares);
    }
    fnd_session_close(s);
    fnd_model_free(m);
    CHECK_OK(fnd_close(f, &err), &err);
    unlink(path);
}

/* Activations neither grow nor fade over a long context, in any architecture. */
TEST(synth_runs) {
    const char *architecture, *size;
    size_t count = 0;
    for (size_t i = 0; fnd_synth_at(i, &architecture, &size); i++) {
        if (strcmp(size, "tiny") != 0) continue;
        check_activations(architecture);
        count++;
    }
    CHECK(count >= 4);
}

TEST(synth_cancelled_leaves_nothing) {
    static const volatile bool yes = true;
    const char *path = program_temp("synth-cancelled.gguf");
    fnd_error err = { 0 };
    CHECK(fnd_synth(&(fnd_synth_desc){ .architecture = "llama", .size = "tiny", .format = FND_F16, .to = path, .cancel = &yes }, NULL, &err) == FND_ERR_CANCELLED);
    CHECK(access(path, F_OK) != 0);
}

TEST(cli_synth) {
    NEED(program_there(), "the program is not built beside the tests");
    program_result r;
    const char *path = program_temp("cli-synth.gguf");
    unlink(path);
    PROGRAM_REFUSED(2, "synth needs --arch", "synth", "--size", "tiny", "--format", "q4_0", "-o", "x.gguf");
    PROGRAM_REFUSED(2, "synth needs -o", "synth", "--arch", "qwen2", "--size", "tiny", "--format", "q4_0");
    PROGRAM_REFUSED(2, "-o needs a value: -o F", "synth", "--arch", "qwen2", "-o");
    PROGRAM_REFUSED(2, "no architecture 'gpt9' is made; there are: qwen2, qwen3, llama, phi3", "synth", "--arch", "gpt9", "--size", "tiny", "--format", "q4_0", "-o", "x.gguf");
    PROGRAM_REFUSED(2, "qwen3 is made in the sizes tiny, 0.6b, not '70b'", "synth", "--arch", "qwen3", "--size", "70b", "--format", "q4_0", "-o", "x.gguf");
    PROGRAM_REFUSED(2, "there is no weight format 'i32'; there are: f32 f16", "synth", "--arch", "qwen2", "--size", "tiny", "--format", "i32", "-o", "x.gguf");
    PROGRAM_REFUSED(1, "cannot write no-such-dir/x.gguf: No such file", "synth", "--arch", "qwen2", "--size", "tiny", "--format", "q4_0", "-o", "no-such-dir/x.gguf");
    for (int i = 0; i < 2; i++) {
        program_run(&r, (const char *const[]){ "synth", "--arch", "qwen2", "--size", "tiny", "--format", "q4_0", "--seed", "3", "-o", path, i ? "--force" : "--json", NULL });
        CHECK_MSG(r.exit_code == 0, "%s", r.err);
        program_free(&r);
    }
    PROGRAM_REFUSED(1, "exists already", "synth", "--arch", "qwen2", "--size", "tiny", "--format", "q4_0", "-o", path);
    program_run(&r, (const char *const[]){ "synth", "--arch", "qwen2", "--size", "0.5b", "--format", "q4_0", "--dry-run", "--json", NULL });
    json_t *json = json_loads(r.out, 0, NULL);
    CHECK(r.exit_code == 0 && json_array_size(json_object_get(json, "list")) == 290 && json_integer_value(json_object_get(json, "tensor_bytes")) / 1000000 == 346);
    json_decref(json);
    program_free(&r);
    program_run(&r, (const char *const[]){ "synth", "--arch", "llama", "--size", "tiny", "--format", "q4_0", "--dry-run", NULL });
    CHECK(r.exit_code == 0);
    CHECK_HAS(r.out, "blk.1.ffn_down.weight");
    program_free(&r);
    unlink(path);
}
