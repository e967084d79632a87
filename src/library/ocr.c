#define _GNU_SOURCE
#include "library/ocr.h"

#include "base/utf8.h"
#include "image/apart.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* libtesseract's C interface, as far as it is needed; the numbers are its own. */
enum { LSTM_ONLY = 1, SINGLE_BLOCK = 6, SINGLE_LINE = 7, SPARSE_TEXT = 11, RAW_LINE = 13, TEXTLINE = 2, WORD = 3, SYMBOL = 4 };

#define FUNCTIONS(X)                                                                                            \
    X(const char *, TessVersion, (void))                                                                        \
    X(void *, TessBaseAPICreate, (void))                                                                        \
    X(void, TessBaseAPIDelete, (void *))                                                                        \
    X(int, TessBaseAPIInit2, (void *, const char *, const char *, int))                                         \
    X(int, TessBaseAPISetVariable, (void *, const char *, const char *))                                        \
    X(void, TessBaseAPISetPageSegMode, (void *, int))                                                           \
    X(void, TessBaseAPISetImage, (void *, const unsigned char *, int, int, int, int))                           \
    X(void, TessBaseAPISetSourceResolution, (void *, int))                                                      \
    X(int, TessBaseAPIRecognize, (void *, void *))                                                              \
    X(void *, TessBaseAPIGetIterator, (void *))                                                                 \
    X(void, TessBaseAPIClear, (void *))                                                                         \
    X(void, TessResultIteratorDelete, (void *))                                                                 \
    X(void *, TessResultIteratorGetPageIterator, (void *))                                                      \
    X(int, TessResultIteratorNext, (void *, int))                                                               \
    X(char *, TessResultIteratorGetUTF8Text, (const void *, int))                                               \
    X(float, TessResultIteratorConfidence, (const void *, int))                                                 \
    X(int, TessPageIteratorIsAtBeginningOf, (const void *, int))                                                \
    X(int, TessPageIteratorBoundingBox, (const void *, int, int *, int *, int *, int *))                        \
    X(void, TessDeleteText, (const char *))

#define MEMBER(type, name, args) type(*name) args;
static struct {
    FUNCTIONS(MEMBER)
    void (*omp_set_levels)(int); /* libgomp; NULL where Tesseract was built without */
} tess;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static bool loaded;

enum { MOST_SIDE = 10000, MOST_PIXELS = 16 << 20, MOST_LINES = 1024, EXTRA_MEMORY = 1 << 30 };

/* What can be asked for. */
enum { ASK_OPEN, ASK_READ };

/* The memory that both processes have: a picture to read, and what was read. */
typedef struct {
    uint32_t w, h;
    int32_t layout;
    uint32_t language; /* that it reads: LANGUAGES for none */
    double cpu_s;      /* that the process has taken */
    uint32_t n;
    bqb_read_line line[MOST_LINES];
    uint8_t px[MOST_PIXELS];
} desk;

static const char *const languages[] = {"chi_sim", "eng"}; /* the first knows Latin letters, too */
enum { CHI_SIM, LANGUAGES = sizeof languages / sizeof *languages };

struct bqb_ocr {
    bqb_apart *apart; /* NULL: to be started when it is next needed */
    bool hopeless;
    double cpu_s, cpu_before_s; /* of this process; of those before it */
    char name[80];
};

/* dlsym gives an object pointer; ISO C wants its bits in the function pointer. */
static bool find(void *lib, const char *name, void *function, size_t size) {
    void *p = dlsym(lib, name);
    memcpy(function, &p, size);
    return p != NULL;
}

static void load(void) {
    void *lib = dlopen("libtesseract.so.5", RTLD_NOW | RTLD_LOCAL);
    void (*severity)(int);
    loaded = lib != NULL;
#define FIND(type, name, args) loaded = loaded && find(lib, #name, &tess.name, sizeof tess.name);
    FUNCTIONS(FIND)
    if (!loaded) return;
    if (!find(lib, "omp_set_max_active_levels", &tess.omp_set_levels, sizeof tess.omp_set_levels)) tess.omp_set_levels = NULL;
    if (find(lib, "setMsgSeverity", &severity, sizeof severity)) severity(6); /* Leptonica: none */
}

static bqb_status need_library(bqb_err *err) {
    pthread_once(&load_once, load);
    if (loaded) return BQB_OK;
    return bqb_fail(err, BQB_EUNSUPPORTED, "reading words off pictures needs Tesseract 5, which is not here: "
                                           "apt-get install tesseract-ocr tesseract-ocr-chi-sim");
}

/* ---- in the process that reads ---- */

/* An API with this language, or NULL. */
static void *start(const char *language) {
    void *api = tess.TessBaseAPICreate();
    if (!api) return NULL;
    tess.TessBaseAPISetVariable(api, "debug_file", "/dev/null");
    if (!tess.TessBaseAPIInit2(api, NULL, language, LSTM_ONLY)) return api;
    tess.TessBaseAPIDelete(api);
    return NULL;
}

static void add_char(bqb_read_line *l, uint32_t cp, float belief) {
    if (l->n < BQB_LINE_MOST) l->c[l->n++] = (bqb_read_char){.cp = cp, .belief = belief};
}

/* The characters of the symbol that the iterator stands on. */
static void add_symbol(bqb_read_line *l, void *it) {
    char *text = tess.TessResultIteratorGetUTF8Text(it, SYMBOL);
    if (!text) return;
    /* Its confidence is 100 + 5 times the logarithm of a probability, cut at 0. */
    float confidence = tess.TessResultIteratorConfidence(it, SYMBOL);
    float belief = confidence >= 0 && confidence <= 100 ? expf((confidence - 100) / 5) : 0; /* NaN, too: 0 */
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t cp;
        i += bqb_utf8_next(text + i, n - i, &cp, NULL);
        add_char(l, cp, belief);
    }
    tess.TessDeleteText(text);
}

/* A line is finished: there may be room for another. */
static void put_line(desk *d, const bqb_read_line *l) {
    if (l->n && d->n < MOST_LINES) d->line[d->n++] = *l;
}

static void read_lines(desk *d, void *it) {
    void *page = tess.TessResultIteratorGetPageIterator(it);
    bqb_read_line l = {.n = 0};
    float w = (float)d->w, h = (float)d->h;
    do {
        if (tess.TessPageIteratorIsAtBeginningOf(page, TEXTLINE)) {
            int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
            put_line(d, &l);
            tess.TessPageIteratorBoundingBox(page, TEXTLINE, &x0, &y0, &x1, &y1);
            l = (bqb_read_line){.x0 = (float)x0 / w, .y0 = (float)y0 / h, .x1 = (float)x1 / w, .y1 = (float)y1 / h};
        } else if (tess.TessPageIteratorIsAtBeginningOf(page, WORD)) add_char(&l, ' ', 1);
        add_symbol(&l, it);
    } while (tess.TessResultIteratorNext(it, SYMBOL));
    put_line(d, &l);
}

static void read_picture(desk *d, void *api) {
    bool line = d->layout == BQB_OCR_LINE || d->layout == BQB_OCR_RAW;
    d->n = 0;
    tess.TessBaseAPISetPageSegMode(api, d->layout == BQB_OCR_PAGE ? SINGLE_BLOCK : d->layout == BQB_OCR_SPARSE ? SPARSE_TEXT : d->layout == BQB_OCR_LINE ? SINGLE_LINE : RAW_LINE);
    /* Cut-out lines are dark on white; on whole pictures what it doubts may be light on dark. */
    tess.TessBaseAPISetVariable(api, "tessedit_do_invert", line ? "0" : "1");
    tess.TessBaseAPISetImage(api, d->px, (int)d->w, (int)d->h, 1, (int)d->w);
    tess.TessBaseAPISetSourceResolution(api, 300);
    void *it = tess.TessBaseAPIRecognize(api, NULL) ? NULL : tess.TessBaseAPIGetIterator(api);
    if (it) read_lines(d, it);
    if (it) tess.TessResultIteratorDelete(it);
    tess.TessBaseAPIClear(api);
}

static bool serve(void *ctx, uint8_t *shared, size_t ask) {
    static void *api; /* of this process */
    desk *d = (desk *)(void *)shared;
    struct timespec t;
    (void)ctx;
    if (ask == ASK_OPEN) {
        /* It asks for four threads by number, whatever omp_set_num_threads says; but of no level none may be active. */
        if (tess.omp_set_levels) tess.omp_set_levels(0);
        for (d->language = 0; d->language < LANGUAGES && !(api = start(languages[d->language]));) d->language++;
    } else read_picture(d, api);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    d->cpu_s = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    return true;
}

/* ---- here ---- */

static desk *desk_of(const bqb_ocr *o) { return (desk *)(void *)bqb_apart_shared(o->apart); }

static void stop(bqb_ocr *o) {
    bqb_apart_stop(o->apart);
    o->apart = NULL;
    o->cpu_before_s += o->cpu_s;
    o->cpu_s = 0;
}

static void count_time(bqb_ocr *o) {
    double cpu_s = desk_of(o)->cpu_s;
    if (isfinite(cpu_s) && cpu_s >= 0) o->cpu_s = cpu_s;
}

/* A process that can read; language: one of languages[]. */
static bqb_status launch(bqb_ocr *o, size_t *language, bqb_err *err) {
    static const bqb_apart_limits limits = {.bytes = sizeof(desk), .extra = EXTRA_MEMORY, .timeout_ms = BQB_OCR_LIMIT_MS,
                                            .many_threads = true};
    int signal_number;
    bqb_status s = need_library(err);
    if (!s) s = bqb_apart_start(&o->apart, serve, NULL, &limits, err);
    if (s) return s;
    bqb_apart_end end = bqb_apart_ask(o->apart, ASK_OPEN, &signal_number);
    *language = end == BQB_APART_DONE ? desk_of(o)->language : LANGUAGES;
    if (*language < LANGUAGES) {
        count_time(o);
        return BQB_OK;
    }
    stop(o);
    if (end == BQB_APART_DONE)
        return bqb_fail(err, BQB_EUNSUPPORTED, "Tesseract has no language to read: "
                                               "apt-get install tesseract-ocr-chi-sim tesseract-ocr-eng");
    if (end == BQB_APART_KILLED) return bqb_fail(err, BQB_EIO, "Tesseract was killed when it began; is there memory enough?");
    return bqb_fail(err, BQB_EFORMAT, "a language file of Tesseract (chi_sim.traineddata or eng.traineddata) is damaged: "
                                      "apt-get install --reinstall tesseract-ocr-chi-sim tesseract-ocr-eng");
}

bqb_status bqb_ocr_open(bqb_ocr **out, char advice[BQB_OCR_ADVICE], bqb_err *err) {
    size_t language;
    *out = NULL;
    if (advice) *advice = 0;
    bqb_ocr *o = bqb_calloc(1, sizeof *o);
    if (!o) return bqb_fail_nomem(err, "Tesseract", sizeof *o);
    bqb_status s = launch(o, &language, err);
    if (s) {
        free(o);
        return s;
    }
    snprintf(o->name, sizeof o->name, "tesseract %.40s %s", tess.TessVersion(), languages[language]);
    if (advice && language != CHI_SIM)
        snprintf(advice, BQB_OCR_ADVICE, "Chinese cannot be read: tesseract-ocr-chi-sim is not installed; English is");
    *out = o;
    return BQB_OK;
}

void bqb_ocr_close(bqb_ocr *o) {
    if (!o) return;
    stop(o);
    free(o);
}

const char *bqb_ocr_name(const bqb_ocr *o) { return o->name; }

void bqb_ocr_begin(bqb_ocr *o) {
    o->hopeless = false;
    if (o->apart) bqb_apart_renew(o->apart);
}

bool bqb_ocr_hopeless(const bqb_ocr *o) { return o->hopeless; }
double bqb_ocr_cpu_s(const bqb_ocr *o) { return o->cpu_before_s + o->cpu_s; }

/* What a process says that a hostile picture may have in its hands. */
static void make_sound(bqb_read_line *l) {
    float *place[] = {&l->x0, &l->y0, &l->x1, &l->y1};
    for (size_t i = 0; i < 4; i++)
        if (!(*place[i] >= -1 && *place[i] <= 2)) *place[i] = 0;
    if (l->n > BQB_LINE_MOST) l->n = BQB_LINE_MOST;
    for (size_t i = 0; i < l->n; i++) {
        bqb_read_char *c = &l->c[i];
        if (!(c->belief >= 0 && c->belief <= 1)) c->belief = 0;
        if (!c->cp || c->cp > 0x10FFFF || (c->cp >= 0xD800 && c->cp < 0xE000)) c->cp = ' ';
    }
}

static bqb_status take_lines(bqb_readout *out, const desk *d, uint8_t frame, uint8_t reader, bqb_err *err) {
    size_t n = d->n < MOST_LINES ? d->n : MOST_LINES;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++) {
        bqb_read_line l = d->line[i];
        make_sound(&l);
        l.frame = frame;
        l.reader = reader;
        bqb_line_clean(&l);
        if (l.n) s = bqb_readout_add(out, &l, err);
    }
    return s;
}

static bqb_status failure(bqb_ocr *o, bqb_apart_end end, int signal_number, bqb_err *err) {
    stop(o);
    o->hopeless = end != BQB_APART_KILLED;
    if (end == BQB_APART_KILLED) return bqb_fail(err, BQB_EIO, "Tesseract was killed while it read it; is there memory enough?");
    if (end == BQB_APART_LATE) return bqb_fail(err, BQB_ELIMIT, "Tesseract takes longer than %d s for it", BQB_OCR_LIMIT_MS / 1000);
    if (end == BQB_APART_CRASHED) return bqb_fail(err, BQB_EFORMAT, "Tesseract crashes on it (signal %d)", signal_number);
    return bqb_fail(err, BQB_EFORMAT, "Tesseract gives up on it");
}

bqb_status bqb_ocr_read(bqb_ocr *o, bqb_readout *out, const uint8_t *gray, size_t w, size_t h, bqb_ocr_layout layout,
                        uint8_t frame, uint8_t reader, bqb_err *err) {
    size_t language;
    int signal_number;
    if (!w || !h || w > MOST_SIDE || h > MOST_SIDE || w * h > MOST_PIXELS)
        return bqb_fail(err, BQB_EINVAL, "a picture of %zu x %zu to read", w, h);
    bqb_status s = o->apart ? BQB_OK : launch(o, &language, err);
    if (s) return s;
    desk *d = desk_of(o);
    d->w = (uint32_t)w;
    d->h = (uint32_t)h;
    d->layout = (int32_t)layout;
    memcpy(d->px, gray, w * h);
    bqb_apart_end end = bqb_apart_ask(o->apart, ASK_READ, &signal_number);
    if (end != BQB_APART_DONE) return failure(o, end, signal_number, err);
    count_time(o);
    return take_lines(out, d, frame, reader, err);
}
