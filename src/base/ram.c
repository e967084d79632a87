#include "base/ram.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A control group's number out of a small file; "max" is none. */
static double number_in(const char *path, double otherwise) {
    char *text = NULL;
    if (bqb_file_read(&text, NULL, path, 64, NULL)) return otherwise;
    double x = *text >= '0' && *text <= '9' ? strtod(text, NULL) : otherwise;
    free(text);
    return x;
}

static double less(double a, double b) { return a < b ? a : b; }

static double limit_in(const char *path, double most) {
    double x = number_in(path, most);
    return x > 0 ? less(x, most) : most;
}

static const char group[] = "/sys/fs/cgroup/memory.max", old_group[] = "/sys/fs/cgroup/memory/memory.limit_in_bytes";

double bqb_memory_there(void) {
    double most = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    most = limit_in(old_group, limit_in(group, most));
    struct rlimit l;
    if (!getrlimit(RLIMIT_AS, &l) && l.rlim_cur != RLIM_INFINITY) most = less(most, (double)l.rlim_cur);
    return most;
}

double bqb_memory_free(void) {
    double there = bqb_memory_there(), free_kb = -1;
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    while (f && free_kb < 0 && fgets(line, sizeof line, f)) sscanf(line, "MemAvailable: %lf", &free_kb);
    if (f) fclose(f);
    double machine = free_kb >= 0 ? less(1024 * free_kb, there) : there;
    double limit = number_in(group, -1), used = number_in("/sys/fs/cgroup/memory.current", -1);
    if (limit < 0) limit = number_in(old_group, -1), used = number_in("/sys/fs/cgroup/memory/memory.usage_in_bytes", -1);
    if (limit <= 0 || used < 0 || limit < used) return machine;
    /* Cached files count as used there, but give way. */
    double cached = 0;
    f = fopen("/sys/fs/cgroup/memory.stat", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "inactive_file %lf", &cached) == 1) break;
    if (f) fclose(f);
    return less(machine, limit - used + cached);
}
