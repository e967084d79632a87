#include "base/data.h"

#include "base/fs.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool take_if_there(char **path, const char *dir, const char *name) {
    char *p = *name ? bqb_path_join(dir, name) : bqb_strdup(dir);
    if (p && access(p, R_OK) == 0) {
        *path = p;
        return true;
    }
    free(p);
    return false;
}

bqb_status bqb_data_path(char **path, const char *name, bqb_err *err) {
    *path = NULL;
    const char *env = getenv("BQB_DATA");
    if (env && *env) {
        if (take_if_there(path, env, name)) return BQB_OK;
        if (!*name) return bqb_fail(err, BQB_ENOTFOUND, "$BQB_DATA (%s) is no folder", env);
        return bqb_fail(err, BQB_ENOTFOUND, "data file \"%s\" is not in $BQB_DATA (%s)", name, env);
    }
    char program[4096], dir[4200];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash) {
        *slash = 0;
        static const char *const beside[] = {"data", "../data", "../share/bqb/data"};
        for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
            snprintf(dir, sizeof dir, "%s/%s", program, beside[i]);
            if (take_if_there(path, dir, name)) return BQB_OK;
        }
    }
#ifdef BQB_PREFIX
    if (take_if_there(path, BQB_PREFIX "/share/bqb/data", name)) return BQB_OK;
#endif
    return bqb_fail(err, BQB_ENOTFOUND,
                    "data file \"%s\" is not in data, ../data or ../share/bqb/data beside the program (%s); "
                    "set $BQB_DATA to the folder that has it", name, program);
}
