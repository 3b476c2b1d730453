/* test.h - a test is a function that registers itself.
 *
 *     TEST(text_grows) { CHECK(1 + 1 == 2); }
 *
 * build/tests [word...] runs the tests whose name contains any of the words (all without words) and
 * ends with the line "N passed, N failed". NEED(cond, why) skips the rest of a test that needs
 * something this machine lacks and reports it as skipped. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct fnd_test {
    const char      *name, *file;
    void           (*run)(void);
    struct fnd_test *next;
} fnd_test;

void fnd_test_add(fnd_test *test);
void fnd_test_failed(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void fnd_test_skip(const char *why);

#define TEST(id)                                                  \
    static void id(void);                                         \
    __attribute__((constructor)) static void id##_register(void) { \
        static fnd_test test = { #id, __FILE__, id, NULL };       \
        fnd_test_add(&test);                                      \
    }                                                             \
    static void id(void)

#define CHECK(cond)       ((cond) ? (void)0 : fnd_test_failed(__FILE__, __LINE__, "%s", #cond))
#define CHECK_MSG(cond, ...) ((cond) ? (void)0 : fnd_test_failed(__FILE__, __LINE__, __VA_ARGS__))
#define REQUIRE(cond)                                              \
    do {                                                           \
        if (!(cond)) {                                             \
            fnd_test_failed(__FILE__, __LINE__, "%s", #cond);      \
            return;                                                \
        }                                                          \
    } while (0)
#define NEED(cond, why)             \
    do {                            \
        if (!(cond)) {              \
            fnd_test_skip(why);     \
            return;                 \
        }                           \
    } while (0)
/* CHECK_OK(status, &err): FND_OK, else the error's text is shown. */
#define CHECK_OK(expr, err) CHECK_MSG((expr) == 0, "%s: %s", #expr, (err)->text)
#define CHECK_STR(got, want) CHECK_MSG(strcmp((got), (want)) == 0, "got \"%s\", want \"%s\"", (got), (want))
#define CHECK_HAS(text, part) CHECK_MSG(strstr((text), (part)) != NULL, "\"%s\" lacks \"%s\"", (text), (part))

#endif
