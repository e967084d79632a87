/* Options, messages, and where the model is. */
#include "cli/cli.h"

#include "base/fs.h"
#include "base/utf8.h"
#include "cli/output.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLI_LIST_MAX = sizeof((cli_list *)0)->item / sizeof(char *) };

int cli_fail(const bqb_err *err) {
    fprintf(stderr, "bqb: %s\n", err->msg);
    return 1;
}

int cli_usage_error(const char *command, const char *fmt, ...) {
    va_list args;
    char text[1024]; /* it may repeat what was typed, which may be anything */
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "bqb %s: ", command);
    cli_puts_safe(stderr, text);
    fprintf(stderr, "\nTry `bqb %s --help`.\n", command);
    return 2;
}

static const cli_option *find_long(const cli_option *o, const char *name, size_t n) {
    for (; *o->name; o++)
        if (strlen(o->name) == n && !memcmp(o->name, name, n)) return o;
    return NULL;
}

static const cli_option *find_letter(const cli_option *o, char letter) {
    for (; *o->name; o++)
        if (o->letter && o->letter == letter) return o;
    return NULL;
}

static void print_help(const cli_option *o, const char *usage) {
    printf("%s\n\n", usage);
    for (; *o->name; o++) {
        char left[80];
        snprintf(left, sizeof left, "  %c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->kind == CLI_FLAG ? "" : " ",
                 o->kind == CLI_FLAG ? "" : o->metavar ? o->metavar : "X");
        printf("%-30s %s%s\n", left, strlen(left) >= 30 ? "\n                               " : "", o->help);
    }
    printf("%-30s this text\n", "  -h, --help");
}

/* Decimal digits only: strtoull alone would take "-1" and " 7". */
static bool read_u64(uint64_t *out, const char *s) {
    if (*s < '0' || *s > '9') return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    *out = v;
    return !errno && !*end;
}

static const char *need_number(const char *s) {
    return s[strspn(s, "0123456789")] || !*s ? "a whole number, 0 or more" : "a smaller number";
}

/* NULL when the value was taken, else what was needed. */
static const char *set_value(const cli_option *o, const char *s) {
    uint64_t u;
    if ((o->kind == CLI_STRING || o->kind == CLI_LIST) && !*s) return "a value that is not empty";
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->value = true;
        return NULL;
    case CLI_STRING:
    case CLI_TEXT:
        *(const char **)o->value = s;
        return NULL;
    case CLI_SIZE:
        if (!read_u64(&u, s) || u > SIZE_MAX) return need_number(s);
        *(size_t *)o->value = (size_t)u;
        return NULL;
    case CLI_U64:
        if (!read_u64(&u, s)) return need_number(s);
        *(uint64_t *)o->value = u;
        return NULL;
    case CLI_FLOAT: {
        char *end;
        double d = strtod(s, &end);
        if (end == s || *end || !isfinite(d)) return "a number";
        *(double *)o->value = d;
        return NULL;
    }
    case CLI_LIST: {
        cli_list *list = o->value;
        if (list->n == CLI_LIST_MAX) return "fewer of them";
        list->item[list->n++] = s;
        return NULL;
    }
    }
    return "an option that this program knows";
}

int cli_parse(const cli_option *options, const char *usage, int argc, char **argv, int *n_words) {
    const char *command = argv[0];
    bool open = true;
    *n_words = 0;
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        if (!open || a[0] != '-' || !a[1]) {
            argv[++*n_words] = a;
            continue;
        }
        if (!strcmp(a, "--")) {
            open = false;
            continue;
        }
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
            print_help(options, usage);
            return 0;
        }
        const cli_option *o;
        const char *value = NULL;
        size_t shown; /* how much of the word names the option */
        if (a[1] == '-') {
            shown = strcspn(a, "=");
            o = find_long(options, a + 2, shown - 2);
            if (a[shown]) value = a + shown + 1;
        } else {
            shown = 2;
            o = find_letter(options, a[1]);
            if (a[2]) value = a + 2;
        }
        if (!o) return cli_usage_error(command, "unknown option %s", a);
        if (o->kind == CLI_FLAG && value)
            return cli_usage_error(command, "%.*s takes no value", (int)shown, a);
        if (o->kind != CLI_FLAG && !value) {
            if (i + 1 == argc) return cli_usage_error(command, "%s needs a value", a);
            value = argv[++i];
        }
        const char *needed = set_value(o, value);
        if (needed) return cli_usage_error(command, "%.*s %s: needs %s", (int)shown, a, value, needed);
    }
    if (*n_words + 1 < argc) argv[*n_words + 1] = NULL;
    return -1;
}

/* The program's own folder with a slash, or "". */
static void program_folder(char *out, size_t size) {
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = 0;
    char *slash = strrchr(out, '/');
    if (slash) slash[1] = 0;
    else out[0] = 0;
}

bool cli_model_named(const char *given) {
    const char *env = getenv("BQB_MODEL");
    return given || (env && *env);
}

/* models/NAME beside the program, in its build tree or under its PREFIX/share/bqb. */
static const char *bundled(char path[PATH_MAX + 64], const char *name) {
    static const char *const places[] = {"models/", "../models/", "../share/bqb/models/"};
    char folder[PATH_MAX];
    program_folder(folder, sizeof folder);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, PATH_MAX + 64, "%s%s%s", folder, places[i], name);
        if (bqb_is_dir(path)) return path;
    }
    snprintf(path, PATH_MAX + 64, "%s%s%s", folder, places[1], name); /* missing: name the likeliest in the message */
    return path;
}

static const char *model_or(const char *given, const char *variable, char path[PATH_MAX + 64], const char *name) {
    const char *env = getenv(variable);
    if (given) return given;
    return env && *env ? env : bundled(path, name);
}

const char *cli_model_dir(const char *given) {
    static char path[PATH_MAX + 64];
    return model_or(given, "BQB_MODEL", path, "mini");
}

const char *cli_llm_dir(const char *given) {
    static char path[PATH_MAX + 64];
    return model_or(given, "BQB_LLM", path, "mini-lm");
}
