/* test_gguf.c - right files are read, wrong ones are refused with a sentence. */
#include "base/base.h"
#include "base/memory.h"
#include "foundry/gguf.h"
#include "gguf_writer.h"
#include "test.h"

#include <unistd.h>

static const uint64_t dims_2x64[] = { 64, 2 };

/* Two tensors, every type of entry. */
static void small_file(gguf_writer *w) {
    static const float row[128] = { 1, 2, 3 };
    static const uint8_t q8[2 * 2 * 34] = { 0 };
    static const char *const words[] = { "one", "", "three" };
    static const int32_t numbers[] = { -1, 2, 3 };
    static const float scores[] = { 0.5f, -1.5f };
    gguf_add_str(w, "general.architecture", "llama");
    gguf_add_u32(w, "llama.block_count", 7);
    gguf_add_f32(w, "llama.epsilon", 1e-5f);
    gguf_add_bool(w, "flag", true);
    gguf_add_strs(w, "words", words, 3);
    gguf_add_i32s(w, "numbers", numbers, 3);
    gguf_add_f32s(w, "scores", scores, 2);
    gguf_add_raw(w, "wide", FND_GGUF_U64, "\xff\xff\xff\xff\xff\0\0\0", 8);
    gguf_add_raw(w, "negative", FND_GGUF_I64, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    gguf_add_raw(w, "byte", FND_GGUF_I8, "\x05", 1);
    gguf_add_raw(w, "double", FND_GGUF_F64, "\0\0\0\0\0\0\xf8\x3f", 8);
    gguf_add_raw(w, "infinite", FND_GGUF_F32, "\0\0\x80\x7f", 4);
    gguf_add_tensor(w, "a.weight", FND_F32, 2, dims_2x64, row, sizeof row);
    gguf_add_tensor(w, "b.weight", FND_Q8_0, 2, dims_2x64, q8, sizeof q8);
}

static fnd_status open_written(const gguf_writer *w, unsigned flags, fnd_gguf **g, uint8_t **file, fnd_error *err) {
    size_t bytes;
    *file = gguf_finish(w, &bytes);
    *err = (fnd_error){ 0 };
    return fnd_gguf_open_memory(*file, bytes, "test.gguf", flags, g, err);
}

/* The file must be refused, and the sentence must contain `part`. */
static void refuse(gguf_writer *w, fnd_status status, const char *part) {
    fnd_gguf *g;
    uint8_t *file;
    fnd_error err;
    fnd_status got = open_written(w, 0, &g, &file, &err);
    CHECK_MSG(got == status, "status %d (%s), expected %d (%s)", got, err.text, status, part);
    CHECK(g == NULL);
    CHECK_HAS(err.text, part);
    CHECK_HAS(err.text, "test.gguf");
    fnd_gguf_close(g);
    fnd_free_memory(file);
    gguf_free(w);
}

TEST(gguf_reads_metadata_and_tensors) {
    gguf_writer w = { 0 };
    small_file(&w);
    fnd_gguf *g;
    uint8_t *file;
    fnd_error err;
    CHECK_OK(open_written(&w, 0, &g, &file, &err), &err);
    REQUIRE(g);
    CHECK(fnd_gguf_version(g) == 3 && fnd_gguf_alignment(g) == 32);
    CHECK(fnd_gguf_value_count(g) == 12 && fnd_gguf_tensor_count(g) == 2);
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    float f32 = 0;
    bool flag = false;
    fnd_span text = { 0 };
    CHECK(fnd_gguf_get_u32(g, "llama.block_count", &u32, &err) == FND_OK && u32 == 7);
    CHECK(fnd_gguf_get_u32(g, "byte", &u32, &err) == FND_OK && u32 == 5);
    CHECK(fnd_gguf_get_u64(g, "wide", &u64, &err) == FND_OK && u64 == 0xffffffffffull);
    CHECK(fnd_gguf_get_f32(g, "llama.epsilon", &f32, &err) == FND_OK && f32 == 1e-5f);
    CHECK(fnd_gguf_get_f32(g, "double", &f32, &err) == FND_OK && f32 == 1.5f);
    CHECK(fnd_gguf_get_bool(g, "flag", &flag, &err) == FND_OK && flag);
    CHECK(fnd_gguf_get_str(g, "general.architecture", &text, &err) == FND_OK && fnd_span_equal(text, "llama"));
    u32 = 99;
    CHECK(fnd_gguf_maybe_u32(g, "absent", &u32, &err) == FND_OK && u32 == 99);

    const fnd_gguf_value *v = NULL;
    CHECK_OK(fnd_gguf_get_array(g, "words", FND_GGUF_STRINGS, &v, &err), &err);
    fnd_gguf_cursor cursor = { .value = v };
    const char *const words[] = { "one", "", "three" };
    for (int i = 0; i < 3; i++) CHECK(fnd_gguf_next_string(&cursor, &text) && fnd_span_equal(text, words[i]));
    CHECK(!fnd_gguf_next_string(&cursor, &text));
    CHECK_OK(fnd_gguf_get_array(g, "numbers", FND_GGUF_INTEGERS, &v, &err), &err);
    CHECK(v->count == 3 && fnd_gguf_integer_at(v, 0) == -1 && fnd_gguf_integer_at(v, 2) == 3 && fnd_gguf_integer_at(v, 3) == 0);
    CHECK_OK(fnd_gguf_get_array(g, "scores", FND_GGUF_FLOATS, &v, &err), &err);
    CHECK(fnd_gguf_float_at(v, 1) == -1.5);

    const fnd_gguf_tensor *t = NULL;
    CHECK_OK(fnd_gguf_get_tensor(g, "b.weight", &t, &err), &err);
    REQUIRE(t);
    CHECK(t->format == FND_Q8_0 && t->dim_count == 2 && t->dims[0] == 64 && t->dims[1] == 2 && t->dims[2] == 1 && t->bytes == 136);
    t = fnd_gguf_find_tensor(g, "a.weight");
    float second = 0;
    if (t) memcpy(&second, (const char *)t->data + 4, 4);
    CHECK(second == 2.0f);
    CHECK(fnd_gguf_find_tensor(g, "a.weigh") == NULL);
    CHECK(fnd_gguf_tensor_at(g, 1) != NULL && fnd_gguf_tensor_at(g, 2) == NULL && fnd_gguf_value_at(g, 12) == NULL);
    fnd_gguf_close(g);
    fnd_free_memory(file);
    gguf_free(&w);
}

TEST(gguf_getters_name_key_expected_and_found) {
    gguf_writer w = { 0 };
    small_file(&w);
    fnd_gguf *g;
    uint8_t *file;
    fnd_error err;
    CHECK_OK(open_written(&w, 0, &g, &file, &err), &err);
    REQUIRE(g);
    uint32_t u32;
    float f32;
    bool flag;
    fnd_span text;
    const fnd_gguf_value *v;
    const fnd_gguf_tensor *t;
#define WRONG(call, part1, part2) \
    err = (fnd_error){ 0 }; \
    CHECK((call) != FND_OK); \
    CHECK_HAS(err.text, part1); \
    CHECK_HAS(err.text, part2)
    WRONG(fnd_gguf_get_u32(g, "absent", &u32, &err), "absent", "no metadata key");
    WRONG(fnd_gguf_get_u32(g, "flag", &u32, &err), "of type bool", "an integer");
    WRONG(fnd_gguf_get_u32(g, "wide", &u32, &err), "1099511627775", "2^32");
    WRONG(fnd_gguf_get_u32(g, "negative", &u32, &err), "-1", "negative");
    WRONG(fnd_gguf_get_u32(g, "numbers", &u32, &err), "an array of i32", "an integer");
    WRONG(fnd_gguf_get_f32(g, "llama.block_count", &f32, &err), "of type u32", "a float");
    WRONG(fnd_gguf_get_f32(g, "infinite", &f32, &err), "infinite", "finite");
    WRONG(fnd_gguf_get_bool(g, "byte", &flag, &err), "of type i8", "a bool");
    WRONG(fnd_gguf_get_str(g, "words", &text, &err), "an array of string", "a string");
    WRONG(fnd_gguf_get_array(g, "flag", FND_GGUF_BOOLS, &v, &err), "of type bool", "an array of bools");
    WRONG(fnd_gguf_get_array(g, "words", FND_GGUF_INTEGERS, &v, &err), "an array of string", "an array of integers");
    WRONG(fnd_gguf_get_tensor(g, "c.weight", &t, &err), "c.weight", "no tensor");
    fnd_gguf_close(g);
    fnd_free_memory(file);
    gguf_free(&w);
}

TEST(gguf_truncated_at_any_byte_is_refused) {
    gguf_writer w = { 0 };
    small_file(&w);
    size_t bytes;
    uint8_t *file = gguf_finish(&w, &bytes);
    for (size_t cut = 0; cut < bytes; cut++) {
        /* An exact copy, so that the sanitizer sees a read past its end. */
        uint8_t *part = fnd_alloc_resized(NULL, cut, 1);
        REQUIRE(part);
        memcpy(part, file, cut);
        fnd_gguf *g;
        fnd_error err = { 0 };
        CHECK_MSG(fnd_gguf_open_memory(part, cut, "cut.gguf", 0, &g, &err) != FND_OK, "cut at %zu", cut);
        CHECK(g == NULL && err.text[0] && err.status != FND_OK);
        err = (fnd_error){ 0 };
        if (fnd_gguf_open_memory(part, cut, "cut.gguf", FND_GGUF_METADATA_ONLY, &g, &err) == FND_OK) fnd_gguf_close(g);
        fnd_free_memory(part);
    }
    fnd_free_memory(file);
    gguf_free(&w);
}

/* Any one byte replaced by extreme values: an error or a file whose contents can all be walked. */
TEST(gguf_damaged_bytes_never_crash) {
    gguf_writer w = { 0 };
    small_file(&w);
    size_t bytes;
    uint8_t *file = gguf_finish(&w, &bytes);
    static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes; i++) {
        uint8_t old = file[i];
        for (size_t k = 0; k < FND_COUNT(values); k++) {
            file[i] = values[k];
            fnd_gguf *g;
            fnd_error err = { 0 };
            if (fnd_gguf_open_memory(file, bytes, "x", 0, &g, &err) != FND_OK) {
                CHECK(err.text[0] != 0);
                continue;
            }
            for (size_t t = 0; t < fnd_gguf_tensor_count(g); t++) {
                const fnd_gguf_tensor *tensor = fnd_gguf_tensor_at(g, t);
                sum += ((const uint8_t *)tensor->data)[tensor->bytes - 1];
            }
            fnd_gguf_close(g);
        }
        file[i] = old;
    }
    CHECK(sum < UINT64_MAX);
    fnd_free_memory(file);
    gguf_free(&w);
}

TEST(gguf_refuses_hostile_headers) {
    uint8_t huge[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0";
    fnd_gguf *g;
    fnd_error err = { 0 };
    CHECK(fnd_gguf_open_memory(huge, 24, "x", 0, &g, &err) == FND_ERR_FORMAT);
    CHECK_HAS(err.text, "1152921504606846976 tensors");
    err = (fnd_error){ 0 };
    CHECK(fnd_gguf_open_memory("GGML\0\0\0\0", 8, "x", 0, &g, &err) == FND_ERR_FORMAT);
    CHECK_HAS(err.text, "begins with \"GGML\"");
    err = (fnd_error){ 0 };
    CHECK(fnd_gguf_open_memory("GGUF\0\0\0\3", 8, "x", 0, &g, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "big-endian");
    err = (fnd_error){ 0 };
    CHECK(fnd_gguf_open_memory(NULL, 0, "x", 0, &g, &err) == FND_ERR_FORMAT);
    CHECK_HAS(err.text, "empty");
    err = (fnd_error){ 0 };
    CHECK(fnd_gguf_open("/nonexistent/model.gguf", 0, &g, &err) == FND_ERR_FILE);
    CHECK_HAS(err.text, "/nonexistent/model.gguf");
    gguf_writer w = { .version = 1 };
    refuse(&w, FND_ERR_UNSUPPORTED, "version 1");
    w = (gguf_writer){ .version = 4 };
    refuse(&w, FND_ERR_UNSUPPORTED, "version 4");
}

TEST(gguf_refuses_hostile_metadata) {
    gguf_writer w = { 0 };
    gguf_add_u32(&w, "twice", 1);
    gguf_add_u32(&w, "twice", 1);
    refuse(&w, FND_ERR_FORMAT, "\"twice\" appears twice");
    w = (gguf_writer){ 0 };
    gguf_add_raw(&w, "k", 13, "\0", 1);
    refuse(&w, FND_ERR_FORMAT, "value type 13");
    w = (gguf_writer){ 0 };
    gguf_add_raw(&w, "k", FND_GGUF_STRING, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    refuse(&w, FND_ERR_FORMAT, "\"k\" needs 18446744073709551615 bytes");
    w = (gguf_writer){ 0 };
    gguf_add_raw(&w, "k", FND_GGUF_ARRAY, "\6\0\0\0\0\0\0\0\0\0\0\x40", 12); /* 2^62 floats: 2^64 bytes */
    refuse(&w, FND_ERR_FORMAT, "\"k\" needs 18446744073709551615 bytes");
    w = (gguf_writer){ 0 };
    gguf_add_raw(&w, "k", FND_GGUF_ARRAY, "\x8\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    refuse(&w, FND_ERR_FORMAT, "needs 18446744073709551615 bytes");
    w = (gguf_writer){ 0 };
    gguf_add_raw(&w, "k", FND_GGUF_ARRAY, "\x9\0\0\0\1\0\0\0\0\0\0\0", 12);
    refuse(&w, FND_ERR_FORMAT, "element type 9");
    w = (gguf_writer){ 0 };
    gguf_add_raw(&w, "k", FND_GGUF_BOOL, "\x2", 1);
    refuse(&w, FND_ERR_FORMAT, "holds the byte 2");
    w = (gguf_writer){ 0 };
    gguf_add_u32(&w, "", 1);
    refuse(&w, FND_ERR_FORMAT, "has 0 bytes");
    w = (gguf_writer){ 0 };
    gguf_add_u32(&w, "split.count", 3);
    refuse(&w, FND_ERR_UNSUPPORTED, "one of 3 parts");
    static const uint32_t alignments[] = { 1, 4, 24, 1u << 31, 131072 };
    for (size_t i = 0; i < FND_COUNT(alignments); i++) {
        w = (gguf_writer){ 0 };
        gguf_add_u32(&w, "general.alignment", alignments[i]);
        refuse(&w, FND_ERR_FORMAT, "general.alignment is");
    }
    w = (gguf_writer){ 0 };
    gguf_add_u32(&w, "general.alignment", 0);
    refuse(&w, FND_ERR_FORMAT, "general.alignment is 0");
    w = (gguf_writer){ 0 };
    gguf_add_str(&w, "general.alignment", "32");
    refuse(&w, FND_ERR_TYPE, "of type string");
}

static void refuse_tensor(uint32_t type, uint32_t dim_count, const uint64_t *dims, uint64_t offset, fnd_status status, const char *part) {
    static const uint8_t data[64] = { 0 };
    gguf_writer w = { 0 };
    gguf_add_tensor_raw(&w, "odd\n", type, dim_count, dims, offset, data, sizeof data);
    refuse(&w, status, part);
}

TEST(gguf_refuses_hostile_tensors) {
    uint64_t one[] = { 16 }, five[] = { 1, 1, 1, 1, 1 }, zero[] = { 16, 0 };
    uint64_t wraps[] = { 1ull << 32, 1ull << 32 }, bytes_wrap[] = { 1ull << 62 }, ragged[] = { 33 };
    refuse_tensor(0, 5, five, 0, FND_ERR_FORMAT, "has 5 dimensions");
    refuse_tensor(0, 0, five, 0, FND_ERR_FORMAT, "has 0 dimensions");
    refuse_tensor(0, 2, zero, 0, FND_ERR_FORMAT, "dimension 1");
    refuse_tensor(0, 2, wraps, 0, FND_ERR_FORMAT, "no possible size");
    refuse_tensor(0, 1, bytes_wrap, 0, FND_ERR_FORMAT, "beyond 64 bits");
    refuse_tensor(8, 1, ragged, 0, FND_ERR_FORMAT, "blocks of 32");
    refuse_tensor(0, 1, one, 16, FND_ERR_FORMAT, "no multiple of the alignment");
    refuse_tensor(0, 1, one, 32, FND_ERR_FORMAT, "needs 64 bytes at offset 32");
    refuse_tensor(0, 1, one, UINT64_MAX - 31, FND_ERR_FORMAT, "needs 64 bytes");
    refuse_tensor(16, 1, one, 0, FND_ERR_UNSUPPORTED, "type 16 (IQ2_XXS)");
    refuse_tensor(4096, 1, one, 0, FND_ERR_UNSUPPORTED, "\"odd\\x0a\" has type 4096 (unknown)");
    gguf_writer w = { 0 };
    gguf_add_tensor(&w, "same", FND_F32, 1, one, five, 0);
    gguf_add_tensor(&w, "same", FND_F32, 1, one, five, 0);
    refuse(&w, FND_ERR_FORMAT, "\"same\" appears twice");
    static const uint8_t data[128] = { 0 };
    gguf_add_tensor_raw(&w, "x", 0, 1, one, 0, data, 64);
    gguf_add_tensor_raw(&w, "y", 0, 1, one, 32, data, 64);
    refuse(&w, FND_ERR_FORMAT, "\"x\" and \"y\" overlap");
}

TEST(gguf_metadata_only_needs_no_tensors) {
    uint64_t dims[] = { 256, 4 };
    gguf_writer w = { .version = 2, .alignment = 64 };
    gguf_add_u32(&w, "k", 5);
    gguf_add_tensor_raw(&w, "strange", 777, 2, dims, 0, NULL, 0);
    gguf_add_tensor_raw(&w, "absent", 0, 2, dims, 64, NULL, 0);
    fnd_gguf *g;
    uint8_t *file;
    fnd_error err;
    CHECK_OK(open_written(&w, FND_GGUF_METADATA_ONLY, &g, &file, &err), &err);
    REQUIRE(g);
    CHECK(fnd_gguf_alignment(g) == 64 && fnd_gguf_version(g) == 2);
    const fnd_gguf_tensor *t = fnd_gguf_find_tensor(g, "strange");
    CHECK(t && t->format == FND_FORMAT_NONE && !t->data && t->ggml_type == 777);
    t = fnd_gguf_find_tensor(g, "absent");
    CHECK(t && t->format == FND_F32 && !t->data && t->bytes == 4096);
    fnd_gguf_close(g);
    fnd_free_memory(file);
    gguf_free(&w);
}

TEST(gguf_open_survives_failed_allocations) {
    gguf_writer w = { 0 };
    small_file(&w);
    char path[] = "/tmp/foundry-gguf-XXXXXX";
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    close(fd);
    gguf_save(&w, path);
    gguf_free(&w);
    fnd_status status = FND_ERR_MEMORY;
    int n = 1;
    for (; status != FND_OK && n < 100; n++) {
        fnd_gguf *g;
        fnd_error err = { 0 };
        fnd_memory_fail_after((uint64_t)n);
        status = fnd_gguf_open(path, 0, &g, &err);
        fnd_memory_fail_after(0);
        CHECK(status == FND_OK || (status == FND_ERR_MEMORY && g == NULL));
        fnd_gguf_close(g);
    }
    CHECK(status == FND_OK && n > 5);
    unlink(path);
}

TEST(gguf_span_quote_escapes_and_cuts) {
    char text[16];
    CHECK_STR(fnd_span_quote((fnd_span){ "a\n\xff", 3 }, text, sizeof text), "a\\x0a\\xff");
    CHECK_STR(fnd_span_quote((fnd_span){ "0123456789abcdefgh", 18 }, text, sizeof text), "0123456789ab...");
    CHECK_STR(fnd_span_quote((fnd_span){ "0123456789ab", 12 }, text, sizeof text), "0123456789ab");
    CHECK_STR(fnd_span_quote((fnd_span){ "", 0 }, text, sizeof text), "");
}
