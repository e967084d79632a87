/* Imports that share one library take turns: a second process waits until the first gives its turn, or ends. */
#include "library/lock_file.h"
#include "library/turns.h"
#include "library_help.h"
#include "test.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int give_up(void *ctx) {
    ++*(int *)ctx;
    return 1;
}

static int go_on(void *ctx) {
    char c = 'w';
    return write(*(int *)ctx, &c, 1) != 1;
}

TEST(turns_go_from_one_to_the_other) {
    const char *dir = test_tmp_dir();
    bqb_err err = {0};
    bqb_turns *t = NULL;
    if (!CHECK_OK(bqb_turns_open(&t, dir, &err), err)) return;
    CHECK_OK(bqb_turns_take(t, NULL, NULL, &err), err);
    for (int killed = 0; killed < 2; killed++) {
        int up[2];
        char said = 0;
        CHECK(!pipe(up));
        pid_t child = fork();
        if (!child) {
            bqb_turns *mine = NULL;
            int waited = 0;
            bool ok = !bqb_turns_open(&mine, dir, NULL) && bqb_turns_take(mine, give_up, &waited, NULL) == BQB_ECANCEL && waited == 1 &&
                      !bqb_turns_take(mine, go_on, &up[1], NULL);
            said = ok ? 'd' : 'x';
            ok = write(up[1], &said, 1) == 1 && ok;
            if (killed) _exit(0); /* with the turn in hand */
            bqb_turns_give(mine);
            bqb_turns_close(mine);
            _exit(ok ? 0 : 1);
        }
        CHECK(read(up[0], &said, 1) == 1 && said == 'w'); /* it waits: we have the turn */
        bqb_turns_give(t);
        CHECK(read(up[0], &said, 1) == 1 && said == 'd');
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK_OK(bqb_turns_take(t, NULL, NULL, &err), err); /* given back, or its owner is gone */
        close(up[0]);
        close(up[1]);
    }
    bqb_turns_close(t);
    char missing[600];
    snprintf(missing, sizeof missing, "%s/not/here", dir);
    CHECK(bqb_turns_open(&t, missing, &err) == BQB_ENOTFOUND && !t);
}

TEST(lock_file_bytes_are_had_by_one) {
    int a, b;
    bqb_err err;
    CHECK_OK(bqb_lock_file_open(&a, test_tmp_dir(), "x.lock", &err), err);
    CHECK_OK(bqb_lock_file_open(&b, test_tmp_dir(), "x.lock", &err), err);
    off_t far = (off_t)1 << 40;
    CHECK(bqb_lock_byte(a, 7, false) && bqb_lock_byte(a, far, false) && bqb_lock_byte(a, 7, false));
    CHECK(!bqb_lock_byte(b, 7, false) && !bqb_lock_byte(b, far, false) && bqb_lock_byte(b, 8, false));
    bqb_unlock_byte(a, 7);
    CHECK(bqb_lock_byte(b, 7, false) && !bqb_lock_byte(a, 7, false));
    bqb_unlock_all(b);
    CHECK(bqb_lock_byte(a, 8, true));
    close(a); /* as the system does for a process that dies */
    CHECK(bqb_lock_byte(b, far, false));
    close(b);
    CHECK(bqb_lock_file_open(&a, help_path(test_tmp_dir(), "nowhere"), "x.lock", &err) == BQB_ENOTFOUND && strstr(err.msg, "nowhere: the library was deleted or moved away"));
}
