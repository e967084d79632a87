#include "train/out_folder.h"
#include "base/fs.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Another process's try: its lock is that of a process. */
static int other_process(const char *dir) {
    pid_t child = fork();
    if (!child) {
        int fd;
        bqb_err err = {0};
        _exit(bqb_out_lock(&fd, dir, "training", &err) == BQB_OK ? 0 : strstr(err.msg, ": another training is writing here") && fd < 0 ? 1 : 2);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(out_folder_is_for_one_at_a_time) {
    int fd;
    bqb_err err = {0};
    if (!CHECK_OK(bqb_out_lock(&fd, test_tmp_dir(), "training", &err), err)) return;
    CHECK(other_process(test_tmp_dir()) == 1);
    close(fd);
    CHECK(other_process(test_tmp_dir()) == 0);
    CHECK(bqb_out_lock(&fd, "/nonexistent", "training", &err) == BQB_EIO && fd == -1);
}

static uint64_t last_number(const char *line) {
    const char *at = strrchr(line, ' ');
    return at ? strtoull(at, NULL, 10) : UINT64_MAX;
}

TEST(out_folder_log_ends_with_the_checkpoint) {
    char path[1100], *text = NULL;
    bqb_err err = {0};
    static const char old[] = "a 1\n\nb 2\nno number\nc 3\nd 2\ne 1";
    snprintf(path, sizeof path, "%s/log", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, old, sizeof old - 1, &err), err);
    CHECK_OK(bqb_out_log(test_tmp_dir(), "log", NULL, true, 2, last_number, &err), err);
    CHECK_OK(bqb_file_read(&text, NULL, path, 4096, &err), err);
    CHECK_STR(text, "a 1\nb 2\nno number\nd 2\n"); /* "number" is step 0; the last line has no end: it was being written */
    free(text);
    CHECK_OK(bqb_out_log(test_tmp_dir(), "log", "head", false, 2, last_number, &err), err);
    CHECK_OK(bqb_file_read(&text, NULL, path, 4096, &err), err);
    CHECK_STR(text, "head\n");
    free(text);
    CHECK(bqb_csv_step("12,3") == 12 && bqb_csv_step("step,loss") == UINT64_MAX && bqb_csv_step("") == UINT64_MAX);
}
