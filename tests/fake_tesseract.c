/* A libtesseract.so.5 for tests/e2e/annotate.sh: what it does follows from the proportions of the picture.
 * Wide: it crashes. Tall: it is out of time. Somewhat wide: it is killed. Else it reads 好. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MOOD(w, h) ((w) > 2 * (h) ? 'c' : (h) > 2 * (w) ? 'l' : 10 * (w) > 13 * (h) ? 'k' : 'r')

static int wide, high, thing;

const char *TessVersion(void) { return "0 (a fake)"; }
void *TessBaseAPICreate(void) { return &thing; }
void TessBaseAPIDelete(void *a) { (void)a; }
int TessBaseAPIInit2(void *a, const char *path, const char *language, int mode) { return (void)a, (void)path, (void)language, (void)mode, 0; }
int TessBaseAPISetVariable(void *a, const char *name, const char *value) { return (void)a, (void)name, (void)value, 1; }
void TessBaseAPISetPageSegMode(void *a, int mode) { (void)a, (void)mode; }
void TessBaseAPISetImage(void *a, const unsigned char *px, int w, int h, int bytes, int row) {
    (void)a, (void)px, (void)bytes, (void)row;
    wide = w, high = h;
}
void TessBaseAPISetSourceResolution(void *a, int dpi) { (void)a, (void)dpi; }
int TessBaseAPIRecognize(void *a, void *monitor) {
    (void)a, (void)monitor;
    switch (MOOD(wide, high)) {
    case 'c': abort();
    case 'l': raise(SIGXCPU); break;
    case 'k': kill(getpid(), SIGKILL); break;
    }
    return 0;
}
void *TessBaseAPIGetIterator(void *a) { return a; }
void TessBaseAPIClear(void *a) { (void)a; }
void TessResultIteratorDelete(void *it) { (void)it; }
void *TessResultIteratorGetPageIterator(void *it) { return it; }
int TessResultIteratorNext(void *it, int level) { return (void)it, (void)level, 0; }
char *TessResultIteratorGetUTF8Text(const void *it, int level) { return (void)it, (void)level, (char *)"\xE5\xA5\xBD"; }
float TessResultIteratorConfidence(const void *it, int level) { return (void)it, (void)level, 100; }
int TessPageIteratorIsAtBeginningOf(const void *it, int level) { return (void)it, (void)level, 1; }
int TessPageIteratorBoundingBox(const void *it, int level, int *x0, int *y0, int *x1, int *y1) {
    (void)it, (void)level;
    *x0 = *y0 = 0, *x1 = wide, *y1 = high;
    return 1;
}
void TessDeleteText(const char *text) { (void)text; }
