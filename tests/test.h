/* A small test runner. A test is a function; a failed check is counted and
 * printed, and the test goes on unless it returns. Every test program ends
 * with the line that the Makefile adds up: "PROGRAM: N passed, N failed, N skipped". */
#ifndef BQB_TEST_H
#define BQB_TEST_H

#include <stdbool.h>
#include <stddef.h>

typedef void (*test_fn)(void);
void test_register(const char *name, test_fn fn);
bool test_check(bool ok, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void test_skip(const char *why);

/* A folder that is empty at the start of each test and removed at its end. */
const char *test_tmp_dir(void);

/* tests/NAME in the source tree, in a static buffer that the next call reuses. */
const char *test_path(const char *name);

#define TEST(name)                                                             \
    static void name(void);                                                    \
    __attribute__((constructor)) static void register_##name(void) {           \
        test_register(#name, name);                                            \
    }                                                                          \
    static void name(void)

#define CHECK(cond) test_check((cond), __FILE__, __LINE__, "%s", #cond)
#define CHECK_MSG(cond, ...) test_check((cond), __FILE__, __LINE__, __VA_ARGS__)
#define CHECK_STR(got, want)                                                   \
    test_check(strcmp((got), (want)) == 0, __FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", \
               #got, (got), (want))
#define CHECK_OK(call, err)                                                    \
    test_check((call) == BQB_OK, __FILE__, __LINE__, "%s: %s", #call, (err).msg)

#endif
