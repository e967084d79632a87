#define _GNU_SOURCE
#include "test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TESTS = 2000 };
static struct {
    const char *name;
    test_fn fn;
} tests[MAX_TESTS];
static size_t n_tests;
static int failures_here, skipped_here;
static char tmp_dir[256];

void test_register(const char *name, test_fn fn) {
    if (n_tests == MAX_TESTS) abort();
    tests[n_tests].name = name;
    tests[n_tests++].fn = fn;
}

bool test_check(bool ok, const char *file, int line, const char *fmt, ...) {
    if (ok) return true;
    failures_here++;
    if (failures_here > 20) return false;
    va_list args;
    va_start(args, fmt);
    printf("  %s:%d: ", file, line);
    vprintf(fmt, args);
    putchar('\n');
    va_end(args);
    return false;
}

void test_skip(const char *why) {
    skipped_here = 1;
    printf("  skipped: %s\n", why);
}

static void remove_tmp_dir(void) {
    if (!tmp_dir[0]) return;
    char *cmd = NULL;
    if (asprintf(&cmd, "rm -rf '%s'", tmp_dir) > 0 && system(cmd) != 0)
        printf("  cannot remove %s\n", tmp_dir);
    free(cmd);
    tmp_dir[0] = 0;
}

const char *test_tmp_dir(void) {
    if (!tmp_dir[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(tmp_dir, sizeof tmp_dir, "%s/bqb-test-XXXXXX", base && *base ? base : "/tmp");
        if (!mkdtemp(tmp_dir)) {
            perror(tmp_dir);
            exit(2);
        }
    }
    return tmp_dir;
}

const char *test_path(const char *name) {
    static char path[4096];
    const char *root = getenv("BQB_TESTS");
    snprintf(path, sizeof path, "%s/%s", root && *root ? root : "tests", name);
    return path;
}

/* Whether the arguments ask for this test: PART, those whose name contains one of
 * the parts; -PART, not those. */
static int is_wanted(const char *name, int argc, char **argv) {
    int asked = 0, found = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && strstr(name, argv[i] + 1)) return 0;
        if (argv[i][0] == '-') continue;
        asked = 1;
        found |= strstr(name, argv[i]) != NULL;
    }
    return found || !asked;
}

/* Usage: PROGRAM [PART | -PART]… */
int main(int argc, char **argv) {
    int passed = 0, failed = 0, skipped = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < n_tests; i++) {
        if (!is_wanted(tests[i].name, argc, argv)) continue;
        failures_here = skipped_here = 0;
        tests[i].fn();
        remove_tmp_dir();
        if (failures_here) {
            printf("FAIL %s (%d)\n", tests[i].name, failures_here);
            failed++;
        } else if (skipped_here) {
            printf("SKIP %s\n", tests[i].name);
            skipped++;
        } else passed++;
    }
    const char *base = strrchr(argv[0], '/');
    printf("%s: %d passed, %d failed, %d skipped\n", base ? base + 1 : argv[0], passed, failed,
           skipped);
    return failed || passed + skipped == 0;
}
