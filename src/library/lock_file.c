#define _GNU_SOURCE
#include "library/lock_file.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

bqb_status bqb_lock_file_open(int *fd, const char *dir, const char *name, bqb_err *err) {
    *fd = -1;
    char *path = bqb_path_join(dir, name);
    if (!path) return bqb_fail_nomem(err, dir, strlen(dir));
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
    bqb_status s = BQB_OK;
    if (*fd < 0 && errno == ENOENT) s = bqb_fail(err, BQB_ENOTFOUND, "%s: the library was deleted or moved away", dir);
    else if (*fd < 0) s = bqb_fail_errno(err, "%s", path);
    free(path);
    return s;
}

static int lock(int fd, int command, short type, off_t first, off_t n) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = n};
    return fcntl(fd, command, &l);
}

bool bqb_lock_byte(int fd, off_t byte, bool wait) {
    if (!lock(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, F_WRLCK, byte, 1)) return true;
    return errno != EAGAIN && errno != EACCES && errno != EINTR;
}

void bqb_unlock_byte(int fd, off_t byte) { (void)lock(fd, F_OFD_SETLK, F_UNLCK, byte, 1); }
void bqb_unlock_all(int fd) { (void)lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0); }
