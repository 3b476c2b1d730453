/* test_file_rows_models.c - models whose weights are used as the file has them (--repack off). */
#include "foundry/model.h"
#include "foundry/profile.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"
#include "toy_model.h"

enum { IDS = 43 };

typedef struct answers {
    float logits[3][TOY_VOCAB]; /* behind a prompt read in batches, behind single tokens, behind the same in pieces */
    uint64_t held;
    bool repacked;
} answers;

static fnd_status eval_pieces(fnd_session *s, const uint32_t *ids, size_t count, size_t piece, fnd_error *err) {
    fnd_status status = FND_OK;
    for (size_t i = 0; i < count && status == FND_OK; i += piece) status = fnd_session_eval(s, ids + i, piece < count - i ? piece : count - i, err);
    return status;
}

static void answer(foundry *f, const char *path, fnd_repacking repack, answers *out) {
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    fnd_error err = { 0 };
    uint32_t ids[IDS];
    for (uint32_t i = 0; i < IDS; i++) ids[i] = (i * 37 + 11) % 256;
    uint64_t before = fnd_counter_get(f, FND_COUNTER_BYTES_HELD);
    CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = path, .repack = repack }, &m, &err), &err);
    REQUIRE(m);
    out->held = fnd_counter_get(f, FND_COUNTER_BYTES_HELD) - before;
    out->repacked = fnd_model_get_info(m)->repacked;
    CHECK_OK(fnd_session_open(m, &(fnd_session_desc){ .batch = 32 }, &s, &err), &err);
    if (s) {
        CHECK_OK(fnd_session_eval(s, ids, IDS - 4, &err), &err);
        CHECK_OK(fnd_session_logits(s, out->logits[0], &err), &err);
        CHECK_OK(eval_pieces(s, ids + IDS - 4, 4, 1, &err), &err);
        CHECK_OK(fnd_session_logits(s, out->logits[1], &err), &err);
        CHECK_OK(fnd_session_truncate(s, 0, &err), &err);
        CHECK_OK(eval_pieces(s, ids, IDS, 7, &err), &err);
        CHECK_OK(fnd_session_logits(s, out->logits[2], &err), &err);
    }
    fnd_session_close(s);
    fnd_model_free(m);
}

/* Formats mixed in a layer, and one text that reads all of them: the bits of tiles, however a prompt was cut, and no
 * memory for a copy. */
TEST(file_rows_of_models_answer_as_tiles_do) {
    toy_model t;
    foundry *f = NULL;
    fnd_error err = { 0 };
    fnd_context_info info;
    char path[256];
    snprintf(path, sizeof path, "%s", program_temp("file-rows.gguf"));
    toy_make(&t, &(toy_desc){ .architecture = "qwen2", .layers = 2, .dim = 64, .hidden_dim = 96, .heads = 4, .kv_heads = 2, .context = 64, .bias = true, .embedding = FND_Q8_0, .head = FND_Q8_0, .matrices = FND_Q4_0, .v = FND_F16, .down = FND_Q5_1 }, path);
    toy_free(&t);
    CHECK_OK(fnd_open(&(fnd_desc){ .threads = 2, .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" }, &f, &err), &err);
    REQUIRE(f);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    if (!info.can_build || !info.tile_rows) {
        CHECK_OK(fnd_close(f, &err), &err);
        NEED(false, "no texts for this machine's instructions can be compiled");
    }
    static answers on, off;
    answer(f, path, FND_REPACK_ON, &on);
    answer(f, path, FND_REPACK_OFF, &off);
    CHECK(on.repacked && !off.repacked);
    CHECK_MSG(on.held > off.held + 20000, "%llu bytes with tiles, %llu without", (unsigned long long)on.held, (unsigned long long)off.held);
    for (size_t i = 0; i < 3; i++) CHECK_MSG(memcmp(on.logits[i], off.logits[i], sizeof on.logits[i]) == 0, "other logits (%zu)", i);
    CHECK(memcmp(off.logits[1], off.logits[2], sizeof off.logits[1]) == 0);
    CHECK_OK(fnd_close(f, &err), &err);
}

TEST(file_rows_can_be_all_that_a_device_reads) {
    foundry *f = NULL;
    fnd_model *m = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_open(&(fnd_desc){ .isa = "generic", .threads = 1, .no_cache = true }, &f, &err), &err);
    REQUIRE(f);
    CHECK(fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model(), .repack = FND_REPACK_ON }, &m, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "its kernels read them as the file has them");
    err = (fnd_error){ 0 };
    CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model(), .repack = FND_REPACK_OFF }, &m, &err), &err);
    CHECK(m && !fnd_model_get_info(m)->repacked);
    fnd_model_free(m);
    CHECK_OK(fnd_close(f, &err), &err);
}
