/* Is there a library, and is it still the one that was opened? */
#include "library/catalogue_db.h"

#include "base/fs.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is there anything in this folder of the library? */
static bool has_files(const bqb_catalogue *c, const char *folder) {
    char *path = bqb_path_join(c->dir, folder);
    DIR *d = path ? opendir(path) : NULL;
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) found = e->d_name[0] != '.';
    if (d) closedir(d);
    free(path);
    return found;
}

bqb_status bqb_db_check_not_lost(const bqb_catalogue *c, bqb_err *err) {
    struct stat st, log;
    if (stat(c->path, &st) || st.st_size) return BQB_OK;
    char *name = bqb_asprintf("%s-wal", c->path);
    if (!name) return bqb_fail_nomem(err, c->path, strlen(c->path));
    bool logged = !stat(name, &log) && log.st_size;
    free(name);
    if (!(name = bqb_path_join(c->dir, "import.lock"))) return bqb_fail_nomem(err, c->path, strlen(c->path));
    bool imported = !access(name, F_OK); /* made by the first import, which finds the tables made */
    free(name);
    if (!logged && !imported && !has_files(c, "cache") && !has_files(c, "files")) return BQB_OK;
    return bqb_fail(err, BQB_EFORMAT, "%s: empty (0 bytes), but what lies beside it says that it was filled: it was cut off or "
                    "overwritten. Your pictures are untouched: put a copy of it back, or move this file away and import again", c->path);
}

bqb_status bqb_db_check_there(const bqb_catalogue *c, bqb_err *err) {
    struct stat st;
    if (stat(c->path, &st)) {
        if (errno == ENOENT)
            return bqb_fail(err, BQB_ENOTFOUND, "%s: there is no library here yet; `bqb import FOLDER` makes one", c->dir);
        return bqb_fail_errno(err, "%s: cannot be read as a library", c->dir);
    }
    if (!S_ISREG(st.st_mode)) return bqb_fail(err, BQB_EFORMAT, "%s: not a regular file", c->path);
    return access(c->path, R_OK) ? bqb_fail_errno(err, "%s", c->path) : bqb_db_check_not_lost(c, err);
}

bqb_status bqb_catalogue_check_place(const bqb_catalogue *c, bqb_err *err) {
    struct stat st;
    if (stat(c->path, &st)) {
        if (errno != ENOENT && errno != ENOTDIR) return bqb_fail_errno(err, "%s", c->path);
        return bqb_fail(err, BQB_ENOTFOUND, "%s: the library was deleted or moved away", c->path);
    }
    if (st.st_dev != c->dev || st.st_ino != c->ino)
        return bqb_fail(err, BQB_ENOTFOUND, "%s: another library has taken the place of the one that was opened", c->path);
    return BQB_OK;
}
