/* test_metal_api.c - the metal backend's table of methods by itself: needs neither Metal nor the stand-in. */
#include "backend/metal/api.h"
#include "test.h"

/* What Apple's compiler writes for a type. */
/* clang-format off */
#define TYPE(type)                                                                                  \
    _Generic((type *)0, void *: "v", fnd_id *: "@", bool *: "B", uint64_t *: "Q", int64_t *: "q",   \
             double *: "d", uint8_t *: "C", const char **: "*", void **: "^v", const void **: "^v", \
             fnd_id **: "^@", fnd_mtl_size *: "{?=QQQ}", fnd_ns_range *: "{_NSRange=QQ}",           \
             fnd_completion_block **: "@?", fnd_any_block **: "@?")
/* clang-format on */
#define TYPES_A0()
#define TYPES_A1(a)             TYPE(a)
#define TYPES_A2(a, b)          TYPE(a), TYPE(b)
#define TYPES_A3(a, b, c)       TYPE(a), TYPE(b), TYPE(c)
#define TYPES_A4(a, b, c, d)    TYPE(a), TYPE(b), TYPE(c), TYPE(d)
#define TYPES_A5(a, b, c, d, e) TYPE(a), TYPE(b), TYPE(c), TYPE(d), TYPE(e)

/* The call is made with the C types of a row, and doctor compares its encoding: they say the same. */
TEST(metal_calls_with_the_types_that_doctor_compares) {
    static const struct {
        const char *selector, *encoding, *types[9]; /* NULL behind the last */
    } rows[] = {
#define ROW(name, owner, selector, returns, encoding, shape) { selector, encoding, { TYPE(returns), "@", ":", TYPES_##shape } },
        FND_METAL_METHODS(ROW) FND_METAL_STRUCT_METHODS(ROW)
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char made[64] = "";
        size_t colons = 0, types = 0;
        for (; rows[i].types[types]; types++) strncat(made, rows[i].types[types], sizeof made - strlen(made) - 1);
        for (const char *p = rows[i].selector; *p; p++) colons += *p == ':';
        CHECK_MSG(strcmp(made, rows[i].encoding) == 0, "%s: its C types are %s, its encoding is %s", rows[i].selector, made, rows[i].encoding);
        CHECK_MSG(colons + 3 == types, "%s takes %zu parameters and has %zu", rows[i].selector, colons, types - 3);
    }
}

TEST(metal_reads_encodings) {
    static const char *const cases[][2] = {
        { "v40@0:8r^v16Q24Q32", "v@:^vQQ" },
        { "Vv16@0:8", "v@:" },
        { "@24@0:8@\"NSString\"16", "@@:@" },
        { "v24@0:8@?<v@?@\"<MTLCommandBuffer>\">16", "v@:@?" },
        { "c24@0:8q16", "B@:q" },
        { "v64@0:8{?=QQQ}16{?=QQQ}40", "v@:{?=QQQ}{?=QQQ}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char plain[64];
        fnd_metal_plain_encoding(cases[i][0], plain, sizeof plain);
        CHECK_STR(plain, cases[i][1]);
    }
}
