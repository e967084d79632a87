/* bqb embed: unit vectors of texts or pictures. */
#define _GNU_SOURCE
#include "cli/cli.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "cli/output.h"
#include "cli/spare.h"
#include "file/npy.h"
#include "image/decode.h"
#include "train/evaluate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 32, TEXT_MAX = 1 << 20, MAX_DEPTH = 64 };

static const char usage[] =
    "usage: bqb embed text  [--model MODEL] [OPTION…] TEXT… | -\n"
    "       bqb embed image [--model MODEL] [OPTION…] FILE-or-FOLDER… | -\n\n"
    "One JSON line for each input: {\"text\":…,\"feature\":[…]} or {\"image\":…,\"feature\":[…]}, unit\n"
    "vectors whose numbers read back to the same bits. \"-\" reads texts, or names of pictures,\n"
    "from standard input, one a line. With --npy the numbers go to a float32 array instead and\n"
    "each line says its row. What cannot be embedded is named on stderr and left out; the exit\n"
    "status is then 1.";

typedef struct {
    bool images;
    bqb_clip *m;
    size_t D, R;
    bqb_image_limits limits;
    char *item[BLOCK]; /* waiting to be embedded */
    size_t n;
    float *out;
    uint8_t *rgb;
    bool ok[BLOCK];
    bqb_err errs[BLOCK];
    bqb_npy_writer npy;
    bool to_npy;
    uint64_t done;
    size_t failed;
    cli_progress bar;
    bool show;
} work;

static void complain(work *w, const char *thing, const char *problem) {
    cli_progress_end(&w->bar);
    fputs("bqb: ", stderr);
    cli_puts_safe(stderr, thing);
    fprintf(stderr, "%s%s\n", problem ? ": " : "", problem ? problem : "");
    w->failed++;
}

/* A JSON string; bytes that are no UTF-8 (in file names) as U+FFFD. */
static void print_string(const char *s) {
    size_t n = strlen(s);
    putchar('"');
    while (n) {
        uint32_t cp;
        bool ok;
        size_t k = bqb_utf8_next(s, n, &cp, &ok);
        if (!ok) fputs("\xef\xbf\xbd", stdout);
        else if (cp == '"' || cp == '\\') printf("\\%c", (char)cp);
        else if (bqb_is_control(cp)) printf("\\u%04x", (unsigned)cp);
        else fwrite(s, 1, k, stdout);
        s += k;
        n -= k;
    }
    putchar('"');
}

static bqb_status put(work *w, const char *name, const float *v, bqb_err *err) {
    printf("{\"%s\":", w->images ? "image" : "text");
    print_string(name);
    if (w->to_npy) {
        printf(",\"row\":%llu}\n", (unsigned long long)w->done);
        bqb_status s = bqb_npy_writer_add(&w->npy, v, 1, err);
        if (s) return s;
    } else {
        fputs(",\"feature\":[", stdout);
        for (size_t d = 0; d < w->D; d++) printf("%s%.9g", d ? "," : "", (double)v[d]);
        puts("]}");
    }
    w->done++;
    return ferror(stdout) ? bqb_fail_errno(err, "standard output") : BQB_OK;
}

static void decode_one(void *ctx, size_t k, int worker) {
    (void)worker;
    work *w = ctx;
    w->ok[k] = !bqb_image_frames_file(w->rgb + k * 9 * w->R * w->R, NULL, w->item[k], w->R, &w->limits, &w->errs[k]);
}

static bqb_status embed_block(work *w, bqb_err *err) {
    bqb_status s = BQB_OK;
    size_t held = 0, frames = 9 * w->R * w->R;
    if (w->images) {
        bqb_parallel_for(w->n, bqb_clip_threads(w->m), decode_one, w);
        for (size_t k = 0; k < w->n; k++) {
            if (!w->ok[k]) {
                complain(w, w->errs[k].msg, NULL);
                continue;
            }
            if (held != k) {
                char *t = w->item[held];
                w->item[held] = w->item[k];
                w->item[k] = t;
                memcpy(w->rgb + held * frames, w->rgb + k * frames, frames);
            }
            held++;
        }
        if (held) s = bqb_clip_encode_images(w->m, w->out, w->rgb, held, err);
    } else {
        held = w->n;
        s = bqb_embed_texts(w->out, w->m, bqb_clip_tokenizer(w->m), (const char *const *)w->item, held, NULL, NULL, err);
    }
    for (size_t k = 0; k < held && !s; k++) s = put(w, w->item[k], w->out + k * w->D, err);
    for (size_t k = 0; k < w->n; k++) free(w->item[k]);
    w->n = 0;
    if (!s && w->show) cli_progress_show(&w->bar, w->images ? "pictures" : "texts", w->done, 0);
    if (!s && cli_interrupted()) s = bqb_fail(err, BQB_ECANCEL, "stopped after %llu", (unsigned long long)w->done);
    return s;
}

static bqb_status add(work *w, const char *item, size_t n, bqb_err *err) {
    if (!w->images && bqb_utf8_check(item, n) < n) {
        char *shown = bqb_strndup(item, n < 60 ? n : 60);
        complain(w, shown ? shown : "a text", "not valid UTF-8");
        free(shown);
        return BQB_OK;
    }
    w->item[w->n] = bqb_strndup(item, n);
    if (!w->item[w->n]) return bqb_fail_nomem(err, "input", n);
    return ++w->n == BLOCK ? embed_block(w, err) : BQB_OK;
}

static int not_hidden(const struct dirent *e) { return e->d_name[0] != '.'; }
static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static bool named_like_a_picture(const char *name) {
    static const char *const ends[] = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif"};
    const char *dot = strrchr(name, '.');
    for (size_t k = 0; dot && k < sizeof ends / sizeof *ends; k++)
        if (!strcasecmp(dot, ends[k])) return true;
    return false;
}

/* A picture, or all files named like pictures below a folder, in name order. */
static bqb_status add_path(work *w, const char *path, int depth, bqb_err *err) {
    if (!bqb_is_dir(path)) return depth && !named_like_a_picture(path) ? BQB_OK : add(w, path, strlen(path), err);
    struct dirent **list;
    int n = depth < MAX_DEPTH ? scandir(path, &list, not_hidden, by_bytes) : -1;
    if (n < 0) {
        complain(w, path, depth < MAX_DEPTH ? strerror(errno) : "folders nested too deeply");
        return BQB_OK;
    }
    bqb_status s = BQB_OK;
    for (int i = 0; i < n; i++) {
        char *full = s ? NULL : bqb_path_join(path, list[i]->d_name);
        struct stat st;
        if (!s && !full) s = bqb_fail_nomem(err, path, strlen(path));
        /* A link to a folder could lead round in a circle. */
        if (!s && (lstat(full, &st) || !S_ISLNK(st.st_mode) || !bqb_is_dir(full))) s = add_path(w, full, depth + 1, err);
        free(full);
        free(list[i]);
    }
    free(list);
    return s;
}

static bqb_status add_lines(work *w, bqb_err *err) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bqb_status s = BQB_OK;
    while (!s && (n = getline(&line, &cap, stdin)) >= 0) {
        if (n && line[n - 1] == '\n') n--;
        if (n && line[n - 1] == '\r') n--;
        line[n] = 0;
        if (n > TEXT_MAX) complain(w, "a line of standard input", "longer than 1 MiB");
        else if (memchr(line, 0, (size_t)n)) complain(w, "a line of standard input", "holds a zero byte");
        else s = w->images ? add_path(w, line, 0, err) : add(w, line, (size_t)n, err);
        /* Somebody may be waiting for the answer before asking again. */
        if (!s && w->n && isatty(STDIN_FILENO)) {
            s = embed_block(w, err);
            fflush(stdout);
        }
    }
    if (!s && ferror(stdin)) s = bqb_fail_errno(err, "standard input");
    free(line);
    return s;
}

static int run(work *w, const char *npy, int n_inputs, char **inputs) {
    bqb_err err = {0};
    bqb_status s = BQB_OK;
    const bqb_clip_config *c = bqb_clip_get_config(w->m);
    w->D = c->embed;
    w->R = c->resolution;
    w->out = bqb_calloc(BLOCK * w->D, sizeof *w->out);
    w->rgb = w->images ? bqb_alloc_aligned(BLOCK, 9 * w->R * w->R) : NULL;
    if (!w->out || (w->images && !w->rgb)) s = bqb_fail_nomem(&err, "pictures", BLOCK * 9 * w->R * w->R);
    if (!s && w->images) s = bqb_image_init(&err);
    w->to_npy = npy != NULL;
    w->show = !isatty(STDOUT_FILENO);
    if (!s && npy) s = bqb_npy_writer_open(&w->npy, npy, BQB_F32, w->D, &err);
    for (int i = 0; i < n_inputs && !s; i++) {
        if (!strcmp(inputs[i], "-")) s = add_lines(w, &err);
        else if (w->images) s = add_path(w, inputs[i], 0, &err);
        else s = add(w, inputs[i], strlen(inputs[i]), &err);
    }
    if (!s && w->n) s = embed_block(w, &err);
    if (!s && npy) s = bqb_npy_writer_commit(&w->npy, &err);
    bqb_npy_writer_abort(&w->npy);
    cli_progress_end(&w->bar);
    for (size_t k = 0; k < w->n; k++) free(w->item[k]);
    free(w->out);
    free(w->rgb);
    return s ? cli_fail(&err) : w->failed > 0;
}

int cli_embed(const cli_env *env, int argc, char **argv) {
    const char *model = NULL, *precision = "f32", *npy = NULL;
    size_t threads = 0;
    bool drop_alpha = false;
    const cli_option options[] = {
        {"model", 'm', CLI_STRING, &model, "MODEL", "model folder ($BQB_MODEL, else the bundled one)"},
        {"precision", 0, CLI_STRING, &precision, "P", "f32, bf16, int8 or auto (f32)"},
        {"npy", 0, CLI_STRING, &npy, "FILE", "write a float32 array [inputs, dimensions]"},
        {"threads", 't', CLI_SIZE, &threads, "N", "processors to use (all)"},
        {"drop-alpha", 0, CLI_FLAG, &drop_alpha, NULL, "ignore transparency instead of laying it on white"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (!n_words) return cli_usage_error("embed", "text or image is needed");
    bool images = !strcmp(argv[1], "image");
    if (!images && strcmp(argv[1], "text") != 0) return cli_usage_error("embed", "\"%s\" is neither text nor image", argv[1]);
    if (n_words < 2) return cli_usage_error("embed", "nothing to embed; \"-\" reads standard input");
    if (threads > 1024) return cli_usage_error("embed", "--threads %zu is more than 1024", threads);
    if ((status = cli_spare(env, "embed", "npy", npy, CLI_ARRAY)) >= 0) return status;
    bqb_precision p = BQB_PREC_F32;
    if (!strcmp(precision, "auto")) p = bqb_precision_best();
    else if (!strcmp(precision, "bf16")) p = BQB_PREC_BF16;
    else if (!strcmp(precision, "int8")) {
        fputs("bqb: int8 is not supported by this build\n", stderr);
        return 1;
    } else if (strcmp(precision, "f32") != 0) return cli_usage_error("embed", "--precision %s is not known", precision);

    cli_catch_interrupts();
    work *w = bqb_calloc(1, sizeof *w);
    bqb_err err = {0};
    bqb_status s = w ? BQB_OK : bqb_fail_nomem(&err, "embed", sizeof *w);
    if (!s) s = bqb_clip_open(&w->m, cli_model_dir(model), images ? BQB_TOWER_IMAGE : BQB_TOWER_TEXT, p, (int)threads, &err);
    if (s) status = cli_fail(&err);
    else {
        w->images = images;
        w->limits.drop_alpha = drop_alpha;
        status = run(w, npy, n_words - 1, argv + 2);
    }
    if (w) bqb_clip_free(w->m);
    free(w);
    return status;
}
