/* test_tensor.c - storage states, pools, views, and the two copies of a tensor's data. */
#include "base/base.h"
#include "base/memory.h"
#include "fake_backend.h"
#include "foundry/tensor.h"
#include "test.h"

#include <math.h>
#include <pthread.h>

static const float four[] = { 1, 2, 3, 4 };

TEST(tensor_starts_as_asked) {
    fnd_error e = { 0 }, *err = &e;
    for (int host_memory = 0; host_memory < 2; host_memory++) {
        foundry *f = fake_open(host_memory);
        REQUIRE(f);
        fnd_dedicated zeros, ones, copy, poison, halves;
        float got[4];
        CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, &zeros, err), err);
        CHECK_OK(fnd_tensor_read(f, &zeros.t, 0, got, sizeof got, err), err);
        CHECK(got[0] == 0 && got[3] == 0);
        CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape2(2, 2), FND_ONES, &ones, err), err);
        CHECK_OK(fnd_tensor_read(f, &ones.t, 0, got, sizeof got, err), err);
        CHECK(got[0] == 1 && got[3] == 1);
        CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_COPY(four, sizeof four), &copy, err), err);
        CHECK_OK(fnd_tensor_read(f, &copy.t, 4, got, 8, err), err);
        CHECK(got[0] == 2 && got[1] == 3);
        CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_POISON, &poison, err), err);
        CHECK_OK(fnd_tensor_read(f, &poison.t, 0, got, sizeof got, err), err);
        CHECK(isnan(got[0]) && isnan(got[3]));
        uint16_t h[3] = { 0 };
        CHECK_OK(fnd_alloc(f, FND_BF16, fnd_shape1(3), FND_ONES, &halves, err), err);
        CHECK_OK(fnd_tensor_read(f, &halves.t, 0, h, sizeof h, err), err);
        CHECK(h[0] == 0x3F80 && h[2] == 0x3F80);
        CHECK_OK(fnd_tensor_free(f, &copy, err), err);
        CHECK(copy.t.storage == 0);
        CHECK_OK(fnd_tensor_free(f, &copy, err), err); /* a zero tensor is fine */
        CHECK_OK(fnd_close(f, err), err);
        CHECK(fake.live == 0 && fake.closed == 1);
    }
}

TEST(tensor_large_is_filled_in_pieces) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(false);
    REQUIRE(f);
    enum { COUNT = 3 << 19 }; /* 6 MiB: beyond a mirror, no multiple of a piece after the odd row */
    fnd_dedicated x;
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(COUNT + 3), FND_ONES, &x, err), err);
    CHECK(fake.uploads == 7);
    float *got = fnd_alloc_zeroed(COUNT + 3, sizeof *got);
    REQUIRE(got);
    CHECK_OK(fnd_tensor_read(f, &x.t, 0, got, (COUNT + 3) * sizeof *got, err), err);
    size_t ones = 0;
    for (size_t i = 0; i < COUNT + 3; i++) ones += got[i] == 1.0f;
    CHECK(ones == COUNT + 3);
    fnd_free_memory(got);
    CHECK_OK(fnd_close(f, err), err);
}

TEST(tensor_shapes_are_checked) {
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_dedicated x;
    fnd_shape five = { .rank = 5, .dim = { 1, 1, 1, 1 } };
    FAILS(fnd_alloc(f, FND_F32, fnd_shape2(4, 0), FND_ZEROS, &x, &why), FND_ERR_SHAPE, "f32 [4, 0]: dimension 1 is 0");
    FAILS(fnd_alloc(f, FND_F32, five, FND_ZEROS, &x, &why), FND_ERR_SHAPE, "5 dimensions");
    FAILS(fnd_alloc(f, FND_F32, (fnd_shape){ 0 }, FND_ZEROS, &x, &why), FND_ERR_SHAPE, "0 dimensions");
    FAILS(fnd_alloc(f, FND_Q4_0, fnd_shape2(4, 33), FND_ZEROS, &x, &why), FND_ERR_SHAPE, "blocks of 32");
    FAILS(fnd_alloc(f, FND_F32, fnd_shape4(UINT64_MAX / 8, 8, 8, 8), FND_ZEROS, &x, &why), FND_ERR_SHAPE, "overflows");
    FAILS(fnd_alloc(f, FND_Q4_K, fnd_shape2((uint64_t)1 << 60, 256), FND_ZEROS, &x, &why), FND_ERR_SHAPE, "overflows");
    FAILS(fnd_alloc(f, (fnd_format)63, fnd_shape1(4), FND_ZEROS, &x, &why), FND_ERR_TYPE, "unknown format 63");
    FAILS(fnd_alloc(f, FND_Q8_0, fnd_shape1(32), FND_ONES, &x, &why), FND_ERR_UNSUPPORTED, "packed");
    FAILS(fnd_alloc(f, FND_F32, fnd_shape1(5), FND_COPY(four, sizeof four), &x, &why), FND_ERR_SHAPE, "20 bytes");
    FAILS(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_COPY(NULL, 16), &x, &why), FND_ERR_SHAPE, "copied from 0");
    FAILS(fnd_alloc_tiled(f, FND_F32, fnd_shape1(4), 0, &x, &why), FND_ERR_SHAPE, "tiles of 0 rows");
    FAILS(fnd_tensor_check(f, &x.t, &why), FND_ERR_USAGE, "never allocated");
    CHECK(fake.live == 0);
    fnd_close(f, NULL);
}

TEST(tensor_sizes_come_from_blocks) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_dedicated q, tiled;
    char text[128];
    CHECK_OK(fnd_alloc(f, FND_Q6_K, fnd_shape3(2, 3, 512), FND_POISON, &q, err), err);
    fnd_tensor_set_name(&q.t, "ffn_down");
    CHECK(fnd_tensor_bytes(&q.t) == 6 * 2 * 210 && fnd_tensor_rows(&q.t) == 6 && fnd_tensor_values(&q.t) == 3072);
    CHECK(q.t.stride[2] == 1 && q.t.stride[1] == 2 && q.t.stride[0] == 6);
    CHECK_STR(fnd_tensor_describe(&q.t, text, sizeof text), "'ffn_down' q6_k [2, 3, 512]");
    fnd_tensor_describe(&q.t, text, 8);
    CHECK_STR(text, "'ffn_do");
    CHECK_OK(fnd_alloc_tiled(f, FND_Q4_0, fnd_shape2(33, 32), 16, &tiled, err), err);
    CHECK(fnd_tensor_bytes(&tiled.t) == 3 * 320); /* 16 * 18 rounded up to 64, for 3 tiles */
    CHECK(tiled.t.layout == FND_LAYOUT_TILES && tiled.t.tile_rows == 16);
    fnd_view part;
    CHECK_OK(fnd_view_cut(&tiled.t, (fnd_cut){ 0, 16, 17 }, &part, err), err);
    CHECK(part.t.offset_bytes == 320 && fnd_tensor_bytes(&part.t) == 640);
    FAILS(fnd_view_cut(&tiled.t, (fnd_cut){ 0, 8, 16 }, &part, &why), FND_ERR_SHAPE, "tiles of 16 rows");
    FAILS(fnd_view_cut(&tiled.t, (fnd_cut){ 0, 16, 8 }, &part, &why), FND_ERR_SHAPE, "tiles of 16 rows");
    FAILS(fnd_view_shape(&tiled.t, fnd_shape2(11, 96), &part, &why), FND_ERR_SHAPE, "rows in tiles");
    FAILS(fnd_view_swap(&tiled.t, 0, 0, &part, &why), FND_ERR_SHAPE, "exchanged");
    fnd_close(f, NULL);
}

/* ---- storage that is gone ------------------------------------------------------------------------ */

TEST(tensor_use_after_free_is_a_sentence) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_dedicated x;
    fnd_storage_ref ref;
    float got[4];
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape2(2, 2), FND_ZEROS, &x, err), err);
    fnd_tensor_set_name(&x.t, "hidden");
    fnd_dedicated copy = x;
    fnd_view view = fnd_view_of(&x.t);
    CHECK_OK(fnd_tensor_free(f, &x, err), err);
    FAILS(fnd_tensor_free(f, &copy, &why), FND_ERR_STALE, "tensor 'hidden' f32 [2, 2] cannot be used: it was freed");
    FAILS(fnd_tensor_read(f, &view.t, 0, got, 4, &why), FND_ERR_STALE, "it was freed");
    FAILS(fnd_storage_for_write(f, &view.t, &ref, &why), FND_ERR_STALE, "it was freed");
    fnd_dedicated more[1500]; /* until the number is given again */
    for (size_t i = 0; i < FND_COUNT(more); i++) CHECK_OK(fnd_alloc(f, FND_U8, fnd_shape1(1), FND_ZEROS, &more[i], err), err);
    for (size_t i = 0; i < FND_COUNT(more); i++) fnd_tensor_free(f, &more[i], NULL);
    for (size_t i = 0; i < 3 * FND_COUNT(more); i++) {
        CHECK_OK(fnd_alloc(f, FND_U8, fnd_shape1(1), FND_ZEROS, &more[0], err), err);
        fnd_tensor_free(f, &more[0], NULL);
    }
    FAILS(fnd_tensor_check(f, &view.t, &why), FND_ERR_STALE, "cannot be used");
    fnd_tensor forged = view.t;
    forged.generation += 2000;
    FAILS(fnd_tensor_check(f, &forged, &why), FND_ERR_STALE, "it was never allocated");
    forged.storage = UINT32_MAX;
    FAILS(fnd_tensor_check(f, &forged, &why), FND_ERR_STALE, "it was never allocated");
    fnd_close(f, NULL);
}

TEST(tensor_pool_ends_are_noticed) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_pool pool;
    fnd_pooled a, b, c;
    fnd_pool_usage usage;
    CHECK_OK(fnd_pool_create(f, 1024, "scratch", &pool, err), err);
    CHECK_OK(fnd_pool_alloc(&pool, FND_F32, fnd_shape1(4), FND_COPY(four, sizeof four), &a, err), err);
    CHECK_OK(fnd_pool_alloc(&pool, FND_F32, fnd_shape1(100), FND_ONES, &b, err), err);
    fnd_tensor_set_name(&b.t, "gate");
    CHECK_OK(fnd_pool_info(&pool, &usage, err), err);
    CHECK(usage.bytes == 1024 && usage.used_bytes == 128 + 512 && usage.tensors == 2);
    FAILS(fnd_pool_alloc(&pool, FND_F32, fnd_shape1(97), FND_ZEROS, &c, &why), FND_ERR_LIMIT, "pool 'scratch' has 384 of its 1024 bytes left; a tensor f32 [97] needs 388");
    CHECK_OK(fnd_pool_alloc(&pool, FND_F32, fnd_shape1(96), FND_ZEROS, &c, err), err);
    FAILS(fnd_pool_alloc(&pool, FND_U8, fnd_shape1(1), FND_ZEROS, &c, &why), FND_ERR_LIMIT, "0 of its 1024 bytes left");
    float got[4];
    CHECK_OK(fnd_tensor_read(f, &a.t, 0, got, 16, err), err);
    CHECK(memcmp(got, four, 16) == 0);
    CHECK_OK(fnd_pool_reset(&pool, err), err);
    FAILS(fnd_tensor_read(f, &b.t, 0, got, 4, &why), FND_ERR_STALE, "tensor 'gate' f32 [100] cannot be used: its pool 'scratch' was reset");
    CHECK_OK(fnd_pool_alloc(&pool, FND_F32, fnd_shape1(4), FND_ZEROS, &c, err), err);
    CHECK_OK(fnd_tensor_read(f, &c.t, 0, got, 16, err), err);
    CHECK(got[0] == 0 && got[3] == 0); /* not what was there before */
    fnd_pool copy = pool;
    CHECK_OK(fnd_pool_destroy(&pool, err), err);
    CHECK_OK(fnd_pool_destroy(&pool, err), err);
    FAILS(fnd_tensor_check(f, &c.t, &why), FND_ERR_STALE, "its pool 'scratch' was destroyed");
    FAILS(fnd_pool_reset(&copy, &why), FND_ERR_STALE, "pool 'scratch' cannot be used: it was destroyed");
    FAILS(fnd_pool_alloc(&pool, FND_U8, fnd_shape1(1), FND_ZEROS, &c, &why), FND_ERR_USAGE, "never created");
    FAILS(fnd_pool_create(f, 0, "none", &pool, &why), FND_ERR_LIMIT, "0 bytes");
    CHECK(fake.live == 0);
    fnd_close(f, NULL);
}

TEST(tensor_context_end_is_noticed) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_dedicated x, y;
    fnd_pooled p;
    fnd_pool pool;
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, &x, err), err);
    CHECK_OK(fnd_pool_create(f, 1024, "scratch", &pool, err), err);
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, &y, err), err);
    CHECK_OK(fnd_pool_alloc(&pool, FND_F32, fnd_shape1(4), FND_ZEROS, &p, err), err);
    fnd_storage_ref rx, ry;
    CHECK_OK(fnd_storage_for_read(f, &x.t, &rx, err), err);
    CHECK_OK(fnd_storage_for_read(f, &y.t, &ry, err), err);
    CHECK_OK(fnd_close(f, err), err);
    CHECK(fake.live == 0 && fake.released_count == 3);
    CHECK(fake.released[0] == ry.address && fake.released[2] == rx.address); /* newest first */
    FAILS(fnd_tensor_check(f, &x.t, &why), FND_ERR_STALE, "its context (fake) was closed");
    FAILS(fnd_tensor_check(f, &p.t, &why), FND_ERR_STALE, "its context (fake) was closed");
    FAILS(fnd_pool_reset(&pool, &why), FND_ERR_STALE, "its context (fake) was closed");
    FAILS(fnd_tensor_free(f, &y, &why), FND_ERR_STALE, "its context (fake) was closed");
    FAILS(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, &x, &why), FND_ERR_USAGE, "the context is closed");
    FAILS(fnd_alloc(NULL, FND_F32, fnd_shape1(4), FND_ZEROS, &x, &why), FND_ERR_USAGE, "no context was given");
    FAILS(fnd_close(f, &why), FND_ERR_USAGE, "the context is closed");
    CHECK(fnd_close(NULL, NULL) == FND_OK);
}

TEST(tensor_of_another_context_is_refused) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true), *g = NULL;
    REQUIRE(f);
    CHECK_OK(fnd_open_with_backend(&fake_backend, NULL, &g, err), err);
    fnd_dedicated x;
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, &x, err), err);
    FAILS(fnd_tensor_write(g, &x.t, 0, four, 16, &why), FND_ERR_USAGE, "belongs to another context");
    fnd_close(f, NULL);
    FAILS(fnd_tensor_write(g, &x.t, 0, four, 16, &why), FND_ERR_STALE, "its context (fake) was closed");
    fnd_close(g, NULL);
}

/* ---- two copies ------------------------------------------------------------------------------------ */

TEST(tensor_inputs_upload_and_outputs_download) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(false);
    REQUIRE(f);
    fnd_dedicated x;
    fnd_storage_ref ref;
    float got[4];
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_COPY(four, sizeof four), &x, err), err);
    CHECK(fake.uploads == 0); /* nobody on the device wants it yet */
    CHECK_OK(fnd_tensor_read(f, &x.t, 0, got, 16, err), err);
    CHECK(memcmp(got, four, 16) == 0 && fake.downloads == 0);
    CHECK_OK(fnd_storage_for_read(f, &x.t, &ref, err), err);
    CHECK(fake.uploads == 1 && ref.host == NULL && ref.bytes == 16);
    CHECK(memcmp(fake_bytes(ref.address), four, 16) == 0);
    CHECK_OK(fnd_storage_for_read(f, &x.t, &ref, err), err);
    CHECK(fake.uploads == 1);
    CHECK_OK(fnd_storage_for_write(f, &x.t, &ref, err), err);
    ((float *)fake_bytes(ref.address))[2] = 30; /* what a kernel would do */
    unsigned waits = fake.waits;
    CHECK_OK(fnd_tensor_read(f, &x.t, 8, got, 4, err), err);
    CHECK(got[0] == 30 && fake.downloads == 1 && fake.waits == waits + 1);
    CHECK_OK(fnd_tensor_read(f, &x.t, 0, got, 16, err), err);
    CHECK(got[1] == 2 && fake.downloads == 1 && fake.waits == waits + 1);
    /* the device writes all of it, the host one value of it */
    CHECK_OK(fnd_storage_for_write(f, &x.t, &ref, err), err);
    for (int i = 0; i < 4; i++) ((float *)fake_bytes(ref.address))[i] = (float)(100 + i);
    CHECK_OK(fnd_tensor_write(f, &x.t, 4, four, 4, err), err);
    CHECK_OK(fnd_tensor_write(f, &x.t, 12, four, 4, err), err); /* apart from the first: must not upload what lies between */
    CHECK_OK(fnd_tensor_read(f, &x.t, 0, got, 16, err), err);
    CHECK(got[0] == 100 && got[1] == 1 && got[2] == 102 && got[3] == 1);
    CHECK_OK(fnd_storage_for_read(f, &x.t, &ref, err), err);
    CHECK(memcmp(fake_bytes(ref.address), got, 16) == 0);
    fnd_close(f, NULL);
}

/* Random reads, writes and "launches" against a plain array. */
TEST(tensor_copies_stay_in_step) {
    fnd_error e = { 0 }, *err = &e;
    uint32_t seed = 7;
    for (int big = 0; big < 2; big++) {
        foundry *f = fake_open(false);
        REQUIRE(f);
        size_t size = big ? FND_PATH_BYTES * 4200 : 300; /* with and without a mirror */
        uint8_t *model = fnd_alloc_zeroed(size, 1), *got = fnd_alloc_zeroed(size, 1);
        fnd_dedicated x;
        fnd_storage_ref ref;
        CHECK_OK(fnd_alloc(f, FND_U8, fnd_shape1(size), FND_ZEROS, &x, err), err);
        for (int step = 0; step < (big ? 60 : 3000); step++) {
            seed = seed * 1664525u + 1013904223u;
            size_t lo = (seed >> 8) % size, n = 1 + (seed >> 20) % (size - lo > 64 ? 64 : size - lo);
            switch (seed >> 30) {
            case 0:
                for (size_t i = 0; i < n; i++) model[lo + i] = (uint8_t)(seed >> (i & 15));
                CHECK_OK(fnd_tensor_write(f, &x.t, lo, model + lo, n, err), err);
                break;
            case 1:
                CHECK_OK(fnd_tensor_read(f, &x.t, lo, got, n, err), err);
                CHECK(memcmp(got, model + lo, n) == 0);
                break;
            case 2:
                CHECK_OK(fnd_storage_for_read(f, &x.t, &ref, err), err);
                CHECK(memcmp(fake_bytes(ref.address), model, size) == 0);
                break;
            default:
                CHECK_OK(fnd_storage_for_write(f, &x.t, &ref, err), err);
                for (size_t i = 0; i < n; i++) ((uint8_t *)fake_bytes(ref.address))[lo + i] = model[lo + i] = (uint8_t)(seed >> (i & 7));
            }
        }
        fnd_free_memory(model);
        fnd_free_memory(got);
        fnd_close(f, NULL);
    }
}

TEST(tensor_host_memory_is_not_copied) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_dedicated x;
    fnd_storage_ref ref;
    float got[4];
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_COPY(four, sizeof four), &x, err), err);
    CHECK_OK(fnd_storage_for_write(f, &x.t, &ref, err), err);
    CHECK(ref.host && memcmp(ref.host, four, 16) == 0);
    CHECK(fake.waits == 0);
    CHECK_OK(fnd_tensor_read(f, &x.t, 0, got, 16, err), err);
    CHECK(fake.waits == 1 && fake.uploads == 0 && fake.downloads == 0);
    CHECK_OK(fnd_tensor_read(f, &x.t, 0, got, 16, err), err);
    CHECK(fake.waits == 1); /* nothing was launched since */
    fake.fail_wait = true;
    CHECK_OK(fnd_storage_for_write(f, &x.t, &ref, err), err);
    FAILS(fnd_tensor_read(f, &x.t, 0, got, 16, &why), FND_ERR_DEVICE, "a launch failed");
    fake.fail_wait = false;
    uint64_t before = fnd_memory_allocations();
    for (int i = 0; i < 100; i++) {
        CHECK_OK(fnd_storage_for_read(f, &x.t, &ref, err), err);
        CHECK_OK(fnd_tensor_write(f, &x.t, 0, four, 16, err), err);
    }
    CHECK(fnd_memory_allocations() == before);
    fnd_close(f, NULL);
}

TEST(tensor_ranges_are_checked) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_dedicated x;
    float got[4];
    fnd_storage_ref ref;
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, &x, err), err);
    FAILS(fnd_tensor_read(f, &x.t, 4, got, 16, &why), FND_ERR_SHAPE, "16 bytes; 16 from 4 on do not fit");
    FAILS(fnd_tensor_write(f, &x.t, UINT64_MAX, got, 16, &why), FND_ERR_SHAPE, "do not fit");
    CHECK_OK(fnd_tensor_read(f, &x.t, 16, got, 0, err), err);
    fnd_tensor forged = x.t;
    forged.shape[0] = 5;
    FAILS(fnd_tensor_read(f, &forged, 0, got, 4, &why), FND_ERR_USAGE, "reaches beyond the 16 bytes");
    FAILS(fnd_storage_for_read(f, &forged, &ref, &why), FND_ERR_USAGE, "reaches beyond");
    forged = x.t;
    forged.offset_bytes = UINT64_MAX - 3;
    FAILS(fnd_storage_for_read(f, &forged, &ref, &why), FND_ERR_USAGE, "reaches beyond");
    forged = x.t;
    forged.rank = 9;
    FAILS(fnd_storage_for_read(f, &forged, &ref, &why), FND_ERR_USAGE, "reaches beyond");
    fnd_close(f, NULL);
}

/* ---- views ------------------------------------------------------------------------------------------ */

TEST(tensor_views_share_storage) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(false);
    REQUIRE(f);
    float data[2 * 3 * 4], got[24], swapped[24];
    for (int i = 0; i < 24; i++) data[i] = (float)i;
    fnd_dedicated x;
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape3(2, 3, 4), FND_COPY(data, sizeof data), &x, err), err);
    fnd_view middle, heads, flat;
    CHECK_OK(fnd_view_cut(&x.t, (fnd_cut){ 1, 1, 1 }, &middle, err), err);
    CHECK(!fnd_tensor_contiguous(&middle.t) && fnd_tensor_bytes(&middle.t) == 32 && fnd_tensor_extent_bytes(&middle.t) == 64);
    CHECK_OK(fnd_tensor_read(f, &middle.t, 0, got, 32, err), err);
    CHECK(got[0] == 4 && got[3] == 7 && got[4] == 16 && got[7] == 19);
    CHECK_OK(fnd_tensor_read(f, &middle.t, 12, got, 8, err), err);
    CHECK(got[0] == 7 && got[1] == 16);
    CHECK_OK(fnd_view_swap(&x.t, 0, 1, &heads, err), err);
    CHECK_OK(fnd_tensor_read(f, &heads.t, 0, swapped, sizeof swapped, err), err);
    for (int h = 0; h < 3; h++) {
        for (int t = 0; t < 2; t++) CHECK(memcmp(&swapped[(h * 2 + t) * 4], &data[(t * 3 + h) * 4], 16) == 0);
    }
    CHECK_OK(fnd_tensor_write(f, &heads.t, 16, four, 16, err), err);
    CHECK_OK(fnd_view_shape(&x.t, fnd_shape2(6, 4), &flat, err), err);
    CHECK_OK(fnd_tensor_read(f, &flat.t, 0, got, sizeof got, err), err);
    CHECK(memcmp(&got[12], four, 16) == 0 && got[11] == 11 && got[16] == 16);
    FAILS(fnd_view_shape(&heads.t, fnd_shape2(6, 4), &flat, &why), FND_ERR_SHAPE, "gaps between its rows");
    FAILS(fnd_view_shape(&x.t, fnd_shape2(5, 4), &flat, &why), FND_ERR_SHAPE, "f32 [2, 3, 4] cannot be seen as f32 [5, 4]: it has another number");
    FAILS(fnd_view_cut(&x.t, (fnd_cut){ 1, 2, 2 }, &flat, &why), FND_ERR_SHAPE, "no 2 places from 2 on in dimension 1");
    FAILS(fnd_view_cut(&x.t, (fnd_cut){ 3, 0, 1 }, &flat, &why), FND_ERR_SHAPE, "dimension 3");
    FAILS(fnd_view_cut(&x.t, (fnd_cut){ 0, 1, 0 }, &flat, &why), FND_ERR_SHAPE, "no 0 places");
    FAILS(fnd_view_swap(&x.t, 1, 2, &flat, &why), FND_ERR_SHAPE, "only those outside");
    FAILS(fnd_view_of(&flat.t).t.rank == 0 ? fnd_view_cut(&flat.t, (fnd_cut){ 0, 0, 1 }, &heads, &why) : FND_OK, FND_ERR_USAGE, "a view of no tensor");
    fnd_dedicated q;
    CHECK_OK(fnd_alloc(f, FND_Q8_0, fnd_shape2(2, 96), FND_ZEROS, &q, err), err);
    CHECK_OK(fnd_view_cut(&q.t, (fnd_cut){ 1, 32, 64 }, &flat, err), err);
    CHECK(flat.t.offset_bytes == 34 && flat.t.stride[0] == 3 && fnd_tensor_extent_bytes(&flat.t) == 5 * 34);
    FAILS(fnd_view_cut(&q.t, (fnd_cut){ 1, 16, 32 }, &flat, &why), FND_ERR_SHAPE, "blocks of 32 values");
    fnd_close(f, NULL);
}

TEST(tensor_read_only_cannot_be_output) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_dedicated x;
    fnd_storage_ref ref;
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, &x, err), err);
    fnd_const_view view = fnd_const_view_of(&x.t);
    fnd_weight_tensor weight = fnd_as_weight(fnd_view_tensor(&view));
    CHECK_OK(fnd_storage_for_read(f, fnd_view_tensor(&view), &ref, err), err);
    FAILS(fnd_storage_for_write(f, fnd_view_tensor(&view), &ref, &why), FND_ERR_USAGE, "read-only and cannot be an output");
    FAILS(fnd_storage_for_write(f, &weight.t, &ref, &why), FND_ERR_USAGE, "read-only");
    FAILS(fnd_tensor_write(f, &weight.t, 0, four, 4, &why), FND_ERR_USAGE, "read-only and cannot be written");
    fnd_view part;
    CHECK_OK(fnd_view_cut(&weight.t, (fnd_cut){ 0, 1, 2 }, &part, err), err);
    FAILS(fnd_storage_for_write(f, &part.t, &ref, &why), FND_ERR_USAGE, "read-only");
    fnd_dedicated fake_owner = { .t = part.t }; /* freeing goes by the storage */
    CHECK_OK(fnd_tensor_free(f, &fake_owner, err), err);
    FAILS(fnd_storage_for_read(f, fnd_view_tensor(&view), &ref, &why), FND_ERR_STALE, "it was freed");
    fnd_close(f, NULL);
}

TEST(tensor_adopts_host_memory) {
    fnd_error e = { 0 }, *err = &e;
    static const struct {
        uint8_t header[64];
        float values[4];
    } file = { { 1 }, { 1, 2, 3, 4 } };
    for (int adopts = 0; adopts < 2; adopts++) {
        foundry *f = NULL;
        fake = (fake_device){ .host_memory = adopts != 0 };
        CHECK_OK(fnd_open_with_backend(adopts ? &fake_backend_adopts : &fake_backend, NULL, &f, err), err);
        REQUIRE(f);
        fnd_const_view whole, values, copy;
        fnd_storage_ref ref;
        float got[4];
        fnd_adopt_desc desc = { .host = &file, .bytes = sizeof file, .format = FND_U8, .shape = fnd_shape1(sizeof file), .name = "model file" };
        CHECK_OK(fnd_tensor_adopt(f, &desc, &whole, err), err);
        CHECK(fake.uploads == (adopts ? 0 : 1));
        fnd_typed as = { .offset_bytes = 64, .format = FND_F32, .shape = fnd_shape2(2, 2), .name = "w" };
        CHECK_OK(fnd_const_view_typed(fnd_view_tensor(&whole), &as, &values, err), err);
        CHECK_OK(fnd_storage_for_read(f, fnd_view_tensor(&values), &ref, err), err);
        CHECK(adopts ? ref.host == file.values : memcmp(fake_bytes(ref.address), file.values, 16) == 0);
        CHECK_OK(fnd_tensor_read(f, fnd_view_tensor(&values), 0, got, 16, err), err);
        CHECK(memcmp(got, four, 16) == 0);
        FAILS(fnd_storage_for_write(f, fnd_view_tensor(&values), &ref, &why), FND_ERR_USAGE, "'w' f32 [2, 2] is read-only");
        as.offset_bytes = 68;
        FAILS(fnd_const_view_typed(fnd_view_tensor(&whole), &as, &copy, &why), FND_ERR_SHAPE, "no 16 bytes from 68 on for 'w' f32 [2, 2]");
        FAILS(fnd_const_view_typed(fnd_view_tensor(&values), &as, &copy, &why), FND_ERR_TYPE, "is not plain bytes");
        desc.bytes = 79;
        FAILS(fnd_tensor_adopt(f, &desc, &copy, &why), FND_ERR_SHAPE, "needs 80 bytes of host memory, 79 were given");
        copy = whole;
        CHECK_OK(fnd_tensor_unadopt(f, &whole, err), err);
        CHECK(fake.live == 0);
        FAILS(fnd_tensor_check(f, fnd_view_tensor(&values), &why), FND_ERR_STALE, "its host memory was given back");
        FAILS(fnd_tensor_unadopt(f, &copy, &why), FND_ERR_STALE, "given back");
        fnd_close(f, NULL);
    }
}

/* ---- growing ----------------------------------------------------------------------------------------- */

TEST(tensor_grows_in_place) {
    fnd_error e = { 0 }, *err = &e;
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_dedicated kv;
    fnd_storage_ref first, ref;
    CHECK_OK(fnd_reserve(f, FND_F16, fnd_shape2(32768, 128), &kv, err), err);
    fnd_tensor_set_name(&kv.t, "k.0");
    CHECK(fnd_usable(&kv.t) == 0);
    uint16_t v = 1;
    FAILS(fnd_tensor_write(f, &kv.t, 0, &v, 2, &why), FND_ERR_LIMIT, "'k.0' f16 [32768, 128] has not grown that far: 0");
    CHECK_OK(fnd_storage_for_read(f, &kv.t, &first, err), err);
    CHECK(first.bytes == 0);
    for (uint64_t n = 1; n <= 32768; n += 61) CHECK_OK(fnd_grow(f, &kv, n, err), err);
    CHECK(fake.commits == 8); /* 64 KiB doubled up to 8 MiB */
    CHECK(fnd_usable(&kv.t) == 32768);
    CHECK_OK(fnd_storage_for_read(f, &kv.t, &ref, err), err);
    CHECK(ref.address == first.address && ref.bytes == 32768 * 256);
    CHECK_OK(fnd_tensor_write(f, &kv.t, 32768 * 256 - 2, &v, 2, err), err);
    FAILS(fnd_grow(f, &kv, 32769, &why), FND_ERR_LIMIT, "cannot grow to 32769: 32768 is its limit");
    CHECK(fnd_counter_get(f, FND_COUNTER_BYTES_HELD) == 32768 * 256);
    CHECK_OK(fnd_tensor_free(f, &kv, err), err);
    CHECK(fnd_counter_get(f, FND_COUNTER_BYTES_HELD) == 0 && fnd_counter_get(f, FND_COUNTER_BYTES_PEAK) == 32768 * 256);
    /* no room to double, then no room at all */
    CHECK_OK(fnd_reserve(f, FND_U8, fnd_shape1(1 << 20), &kv, err), err);
    CHECK_OK(fnd_grow(f, &kv, 1, err), err);
    CHECK(fnd_usable(&kv.t) == 65536);
    fake.fail_commit_above = true;
    fake.commit_limit_bytes = 100000;
    CHECK_OK(fnd_grow(f, &kv, 100000, err), err);
    CHECK(fnd_usable(&kv.t) == 100000);
    FAILS(fnd_grow(f, &kv, 100001, &why), FND_ERR_MEMORY, "cannot grow to 100001: no more than 100000 bytes");
    fnd_dedicated fixed;
    CHECK_OK(fnd_alloc(f, FND_U8, fnd_shape1(16), FND_ZEROS, &fixed, err), err);
    CHECK_OK(fnd_grow(f, &fixed, 16, err), err);
    CHECK(fnd_usable(&fixed.t) == 16);
    FAILS(fnd_grow(f, &fixed, 17, &why), FND_ERR_LIMIT, "16 is its limit");
    fnd_close(f, NULL);
}

/* The same calls on the machines there are. */
TEST(tensor_lives_on_every_backend) {
    static const uint8_t file[4096] = { 1, 2, 3, 4 };
    for (size_t i = 0; fnd_backend_name(i); i++) {
        fnd_error e = { 0 }, *err = &e;
        foundry *f = NULL;
        if (fnd_open(&(fnd_desc){ .backend = fnd_backend_name(i), .threads = 2 }, &f, err) == FND_ERR_UNSUPPORTED) continue;
        REQUIRE(f);
        fnd_dedicated x, kv;
        fnd_const_view adopted;
        fnd_pool pool;
        fnd_pooled p;
        float got[4] = { 0 };
        CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(4), FND_COPY(four, sizeof four), &x, err), err);
        CHECK_OK(fnd_tensor_read(f, &x.t, 0, got, 16, err), err);
        CHECK(memcmp(got, four, 16) == 0);
        CHECK_OK(fnd_reserve(f, FND_F32, fnd_shape2(1 << 20, 256), &kv, err), err);
        for (uint64_t n = 1; n < 2000; n += 97) {
            CHECK_OK(fnd_grow(f, &kv, n, err), err);
            CHECK_OK(fnd_tensor_read(f, &kv.t, n * 1024 - 16, got, 16, err), err);
            CHECK(got[0] == 0 && got[3] == 0);
            CHECK_OK(fnd_tensor_write(f, &kv.t, n * 1024 - 16, four, 16, err), err);
        }
        CHECK_OK(fnd_tensor_read(f, &kv.t, 1024 - 16, got, 16, err), err);
        CHECK(memcmp(got, four, 16) == 0); /* still there after growing */
        CHECK_OK(fnd_pool_create(f, 4096, "pool", &pool, err), err);
        CHECK_OK(fnd_pool_alloc(&pool, FND_F32, fnd_shape1(4), FND_ONES, &p, err), err);
        CHECK_OK(fnd_tensor_read(f, &p.t, 0, got, 16, err), err);
        CHECK(got[0] == 1 && got[3] == 1);
        fnd_adopt_desc desc = { .host = file, .bytes = sizeof file, .format = FND_U8, .shape = fnd_shape1(sizeof file) };
        CHECK_OK(fnd_tensor_adopt(f, &desc, &adopted, err), err);
        uint8_t bytes[4];
        CHECK_OK(fnd_tensor_read(f, fnd_view_tensor(&adopted), 0, bytes, 4, err), err);
        CHECK(bytes[0] == 1 && bytes[3] == 4);
        CHECK_OK(fnd_tensor_unadopt(f, &adopted, err), err);
        CHECK_OK(fnd_close(f, err), err);
        FAILS(fnd_tensor_check(NULL, &x.t, &why), FND_ERR_STALE, "was closed");
    }
}

/* ---- no memory, many threads ---------------------------------------------------------------------------- */

TEST(tensor_survives_no_memory) {
    for (uint64_t n = 1; n < 12; n++) {
        foundry *f = fake_open(false);
        REQUIRE(f);
        fnd_dedicated x = { 0 };
        fnd_pool pool = { 0 };
        fnd_pooled p = { 0 };
        fnd_error err = { 0 };
        fnd_memory_fail_after(n);
        fnd_status status = fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ONES, &x, &err);
        if (status == FND_OK) status = fnd_pool_create(f, 4096, "p", &pool, &err);
        if (status == FND_OK) status = fnd_pool_alloc(&pool, FND_F32, fnd_shape1(4), FND_POISON, &p, &err);
        fnd_memory_fail_after(0);
        CHECK_MSG(status == FND_OK || status == FND_ERR_MEMORY, "%s", err.text);
        CHECK(status == FND_OK || err.text[0]);
        fnd_close(f, NULL);
        CHECK(fake.live == 0);
    }
}

static void *churn(void *argument) {
    foundry *f = argument;
    float got[4];
    for (int i = 0; i < 500; i++) {
        fnd_dedicated x;
        fnd_storage_ref ref;
        if (fnd_alloc(f, FND_F32, fnd_shape1(4), FND_COPY(four, sizeof four), &x, NULL) != FND_OK) return "alloc";
        if (fnd_storage_for_write(f, &x.t, &ref, NULL) != FND_OK) return "bind";
        if (fnd_tensor_read(f, &x.t, 0, got, 16, NULL) != FND_OK || memcmp(got, four, 16) != 0) return "read";
        fnd_dedicated copy = x;
        if (fnd_tensor_free(f, &x, NULL) != FND_OK) return "free";
        if (fnd_tensor_check(f, &copy.t, NULL) != FND_ERR_STALE) return "stale";
    }
    return NULL;
}

TEST(tensor_table_is_shared_by_threads) {
    foundry *f = fake_open(false);
    REQUIRE(f);
    pthread_t threads[4];
    for (size_t i = 0; i < FND_COUNT(threads); i++) REQUIRE(pthread_create(&threads[i], NULL, churn, f) == 0);
    for (size_t i = 0; i < FND_COUNT(threads); i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        CHECK_MSG(!failed, "%s failed", failed ? (const char *)failed : "");
    }
    CHECK(fake.live == 0);
    fnd_close(f, NULL);
}

/* ---- what must not compile --------------------------------------------------------------------------------- */

TEST(tensor_misuse_does_not_compile) {
    FILE *script = fopen("scripts/check-compile-fail.sh", "r");
    NEED(script, "scripts/check-compile-fail.sh is not in this folder");
    fclose(script);
    NEED(system("command -v cc >/dev/null 2>&1 && command -v bash >/dev/null 2>&1") == 0, "no C compiler");
    CHECK(system("CC=cc scripts/check-compile-fail.sh >/dev/null") == 0);
}
