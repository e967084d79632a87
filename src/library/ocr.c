#define _GNU_SOURCE
#include "library/ocr.h"

#include "base/utf8.h"

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
    int (*omp_get_levels)(void);
} tess;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static bool loaded;

struct bqb_ocr {
    void *api;
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
    if (!find(lib, "omp_set_max_active_levels", &tess.omp_set_levels, sizeof tess.omp_set_levels) ||
        !find(lib, "omp_get_max_active_levels", &tess.omp_get_levels, sizeof tess.omp_get_levels))
        tess.omp_set_levels = NULL;
    if (find(lib, "setMsgSeverity", &severity, sizeof severity)) severity(6); /* Leptonica: none */
}

static bqb_status need_library(bqb_err *err) {
    pthread_once(&load_once, load);
    if (loaded) return BQB_OK;
    return bqb_fail(err, BQB_EUNSUPPORTED, "reading words off pictures needs Tesseract 5, which is not here: "
                                           "apt-get install tesseract-ocr tesseract-ocr-chi-sim");
}

/* An API with this language, or NULL. */
static void *start(const char *language) {
    void *api = tess.TessBaseAPICreate();
    if (!api) return NULL;
    tess.TessBaseAPISetVariable(api, "debug_file", "/dev/null");
    if (!tess.TessBaseAPIInit2(api, NULL, language, LSTM_ONLY)) return api;
    tess.TessBaseAPIDelete(api);
    return NULL;
}

enum { CHI_SIM = 1, ENG = 2 };

/* Which of the two languages there are, in a process of its own; the signal that ended it, else 0. */
static int try_languages(int *there) {
    *there = 0;
    pid_t child = fork();
    if (child < 0) return 0;
    if (!child) {
        if (!freopen("/dev/null", "w", stderr)) _exit(0);
        if (tess.omp_set_levels) tess.omp_set_levels(0); /* threads that the parent had are not here */
        int found = 0;
        const char *const language[] = {"chi_sim", "eng"};
        for (int i = 0; i < 2; i++) {
            void *api = start(language[i]);
            if (api) found |= 1 << i;
        }
        _exit(found);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return 0;
    if (WIFSIGNALED(status)) return WTERMSIG(status);
    *there = WEXITSTATUS(status);
    return 0;
}

bqb_status bqb_ocr_check(char advice[BQB_OCR_ADVICE], bqb_err *err) {
    int there;
    *advice = 0;
    bqb_status s = need_library(err);
    if (s) return s;
    if (try_languages(&there))
        return bqb_fail(err, BQB_EFORMAT, "a language file of Tesseract (chi_sim.traineddata or eng.traineddata) is damaged: "
                                          "apt-get install --reinstall tesseract-ocr-chi-sim tesseract-ocr-eng");
    if (!there)
        return bqb_fail(err, BQB_EUNSUPPORTED, "Tesseract has no language to read: "
                                               "apt-get install tesseract-ocr-chi-sim tesseract-ocr-eng");
    if (!(there & CHI_SIM))
        snprintf(advice, BQB_OCR_ADVICE, "Chinese cannot be read: tesseract-ocr-chi-sim is not installed; English is");
    return BQB_OK;
}

bqb_status bqb_ocr_open(bqb_ocr **out, bqb_err *err) {
    *out = NULL;
    bqb_status s = need_library(err);
    if (s) return s;
    bqb_ocr *o = bqb_calloc(1, sizeof *o);
    if (!o) return bqb_fail_nomem(err, "Tesseract", sizeof *o);
    const char *language = "chi_sim"; /* it knows Latin letters, too */
    if (!(o->api = start(language))) o->api = start(language = "eng");
    if (!o->api) {
        free(o);
        return bqb_fail(err, BQB_EUNSUPPORTED, "Tesseract has no language to read: "
                                               "apt-get install tesseract-ocr-chi-sim tesseract-ocr-eng");
    }
    snprintf(o->name, sizeof o->name, "tesseract %.40s %s", tess.TessVersion(), language);
    *out = o;
    return BQB_OK;
}

void bqb_ocr_close(bqb_ocr *o) {
    if (!o) return;
    tess.TessBaseAPIDelete(o->api);
    free(o);
}

const char *bqb_ocr_name(const bqb_ocr *o) { return o->name; }

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

static bqb_status finish_line(bqb_readout *out, bqb_read_line *l, bqb_err *err) {
    bqb_line_clean(l);
    return l->n ? bqb_readout_add(out, l, err) : BQB_OK;
}

bqb_status bqb_ocr_read(bqb_ocr *o, bqb_readout *out, const uint8_t *gray, size_t w, size_t h, bqb_ocr_layout layout,
                        uint8_t frame, uint8_t reader, bqb_err *err) {
    if (!w || !h || w > 10000 || h > 10000) return bqb_fail(err, BQB_EINVAL, "a picture of %zu x %zu to read", w, h);
    /* It asks for four threads by number, whatever omp_set_num_threads says; but of no level none may be active. */
    int levels = tess.omp_set_levels ? tess.omp_get_levels() : 0;
    if (tess.omp_set_levels) tess.omp_set_levels(0);
    tess.TessBaseAPISetPageSegMode(o->api, layout == BQB_OCR_PAGE ? SINGLE_BLOCK : layout == BQB_OCR_SPARSE ? SPARSE_TEXT : layout == BQB_OCR_LINE ? SINGLE_LINE : RAW_LINE);
    /* Cut-out lines are dark on white; on whole pictures what it doubts may be light on dark. */
    tess.TessBaseAPISetVariable(o->api, "tessedit_do_invert", layout == BQB_OCR_LINE || layout == BQB_OCR_RAW ? "0" : "1");
    tess.TessBaseAPISetImage(o->api, gray, (int)w, (int)h, 1, (int)w);
    tess.TessBaseAPISetSourceResolution(o->api, 300);
    bqb_status s = BQB_OK;
    void *it = tess.TessBaseAPIRecognize(o->api, NULL) ? NULL : tess.TessBaseAPIGetIterator(o->api);
    if (it) {
        void *page = tess.TessResultIteratorGetPageIterator(it);
        bqb_read_line l = {.n = 0};
        do {
            if (tess.TessPageIteratorIsAtBeginningOf(page, TEXTLINE)) {
                int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
                if (l.n) s = finish_line(out, &l, err);
                if (s) break;
                tess.TessPageIteratorBoundingBox(page, TEXTLINE, &x0, &y0, &x1, &y1);
                l = (bqb_read_line){.x0 = (float)x0 / (float)w, .y0 = (float)y0 / (float)h, .x1 = (float)x1 / (float)w,
                                    .y1 = (float)y1 / (float)h, .frame = frame, .reader = reader};
            } else if (tess.TessPageIteratorIsAtBeginningOf(page, WORD)) add_char(&l, ' ', 1);
            add_symbol(&l, it);
        } while (tess.TessResultIteratorNext(it, SYMBOL));
        if (!s && l.n) s = finish_line(out, &l, err);
        tess.TessResultIteratorDelete(it);
    }
    tess.TessBaseAPIClear(o->api);
    if (tess.omp_set_levels) tess.omp_set_levels(levels);
    return s;
}
