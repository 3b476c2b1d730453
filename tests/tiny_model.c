/* tiny_model.c - writing a tiny model. */
#include "tiny_model.h"
#include "base/memory.h"
#include "gguf_writer.h"
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 2,
       DIM = 64,
       HIDDEN = 128,
       HEADS = 2,
       KV_HEADS = 1,
       HEAD_DIM = 32,
       BLOCK = 32,
       BLOCK_BYTES = 34 };

static const char template[] =
    "{% if tools %}<|start|>tools\n{{ tools | tojson }}<|end|>\n{% endif %}"
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

/* Rows of Q8_0: a scale of 2^-8 and codes -127 .. 127 in each block; row `zero` is all zeros. */
static void add_weights(gguf_writer *w, const char *name, uint64_t cols, uint64_t rows, uint64_t zero) {
    size_t row_bytes = cols / BLOCK * BLOCK_BYTES;
    uint8_t *data = fnd_alloc_zeroed(rows, row_bytes);
    uint64_t state = cols * 31 + rows;
    if (!data) abort();
    for (const char *p = name; *p; p++) state = state * 131 + (uint8_t)*p;
    for (uint64_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < row_bytes && r != zero; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            int code = (int)(state >> 40) % 128 * (state >> 63 ? -1 : 1);
            size_t at = i % BLOCK_BYTES;
            data[r * row_bytes + i] = at == 0 ? 0x00 : at == 1 ? 0x1C
                                                               : (uint8_t)(int8_t)code;
        }
    }
    uint64_t dims[2] = { cols, rows };
    gguf_add_tensor(w, name, FND_Q8_0, 2, dims, data, rows * row_bytes);
    fnd_free_memory(data);
}

static void add_norm(gguf_writer *w, const char *name) {
    float ones[DIM];
    uint64_t dims[1] = { DIM };
    for (int i = 0; i < DIM; i++) ones[i] = 1.0f;
    gguf_add_tensor(w, name, FND_F32, 1, dims, ones, sizeof ones);
}

static void add_layer(gguf_writer *w, int layer) {
    static const struct {
        const char *name;
        uint64_t cols, rows;
    } weights[] = {
        { "attn_q", DIM, HEADS * HEAD_DIM },
        { "attn_k", DIM, KV_HEADS * HEAD_DIM },
        { "attn_v", DIM, KV_HEADS * HEAD_DIM },
        { "attn_output", HEADS * HEAD_DIM, DIM },
        { "ffn_gate", DIM, HIDDEN },
        { "ffn_up", DIM, HIDDEN },
        { "ffn_down", HIDDEN, DIM },
    };
    char name[64];
    snprintf(name, sizeof name, "blk.%d.attn_norm.weight", layer);
    add_norm(w, name);
    snprintf(name, sizeof name, "blk.%d.ffn_norm.weight", layer);
    add_norm(w, name);
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, weights[i].name);
        add_weights(w, name, weights[i].cols, weights[i].rows, UINT64_MAX);
    }
}

void tiny_model_save_as(const char *path, const tiny_model_desc *desc) {
    gguf_writer w = { 0 };
    gguf_add_str(&w, "general.architecture", "llama");
    gguf_add_str(&w, "general.name", "tiny \"model\"");
    gguf_add_u32(&w, "llama.block_count", LAYERS);
    gguf_add_u32(&w, "llama.embedding_length", DIM);
    gguf_add_u32(&w, "llama.feed_forward_length", HIDDEN);
    gguf_add_u32(&w, "llama.attention.head_count", HEADS);
    gguf_add_u32(&w, "llama.attention.head_count_kv", KV_HEADS);
    gguf_add_u32(&w, "llama.context_length", desc->context);
    gguf_add_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    if (desc->window) gguf_add_u32(&w, "llama.attention.sliding_window", desc->window);
    gguf_add_byte_tokenizer(&w, desc->lacks_pre ? NULL : "qwen2");
    if (desc->has_bos) gguf_add_bool(&w, "tokenizer.ggml.add_bos_token", true);
    if (!desc->lacks_template) gguf_add_str(&w, "tokenizer.chat_template", desc->chat_template ? desc->chat_template : template);
    /* The logit of <|end|> is 0, and of 269 others one is larger. */
    add_weights(&w, "token_embd.weight", DIM, TINY_MODEL_VOCAB, 256);
    for (int i = 0; i < LAYERS; i++) add_layer(&w, i);
    add_norm(&w, "output_norm.weight");
    gguf_save(&w, path);
    gguf_free(&w);
}

void tiny_model_save(const char *path, uint32_t context) { tiny_model_save_as(path, &(tiny_model_desc){ .context = context }); }

const char *tiny_model(void) {
    static bool saved;
    if (!saved) tiny_model_save(program_temp("tiny.gguf"), 512);
    saved = true;
    return program_temp("tiny.gguf");
}
