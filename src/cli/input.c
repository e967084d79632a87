#define _GNU_SOURCE
#include "cli/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef BQB_WITH_libedit
#include <histedit.h>
#include <langinfo.h>
#include <wchar.h>
#endif

bool cli_read_line(bqb_buf *line, bool *cut, FILE *in) {
    char part[4096];
    size_t n = 0;
    bool any = false;
    int c = 0;
    line->len = 0;
    *cut = false;
    while (c != '\n' && (c = getc_unlocked(in)) != EOF) {
        any = true;
        if (c != '\n') part[n++] = (char)c;
        if (n < sizeof part && c != '\n') continue;
        if (!*cut && bqb_buf_append(line, part, n, NULL)) *cut = true;
        n = 0;
    }
    if (n && !*cut && bqb_buf_append(line, part, n, NULL)) *cut = true;
    if (!any && !*cut) return false;
    if (!line->len && bqb_buf_append(line, "", 0, NULL)) return false;
    if (line->len && !*cut && line->data[line->len - 1] == '\r') line->data[--line->len] = 0;
    return any && (c == '\n' || !ferror(in));
}

/* ---- at a terminal ---- */

struct cli_prompt {
    const char *text;
    const volatile sig_atomic_t *pressed;
#ifdef BQB_WITH_libedit
    EditLine *edit; /* NULL: plain lines */
    History *past;
#endif
};

#ifdef BQB_WITH_libedit

static char *prompt_of(EditLine *e) {
    static char text[16];
    cli_prompt *p = NULL;
    el_get(e, EL_CLIENTDATA, &p);
    snprintf(text, sizeof text, "%s", p->text);
    return text;
}

/* A character as it is typed. libedit's own function goes on reading after the first signal. */
static int get_character(EditLine *e, wchar_t *c) {
    cli_prompt *p = NULL;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    el_get(e, EL_CLIENTDATA, &p);
    for (;;) {
        char byte;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR && !*p->pressed) continue;
        if (n <= 0) return (int)n;
        size_t used = mbrtowc(c, &byte, 1, &state);
        if (used == (size_t)-2) continue; /* more to come */
        if (used == (size_t)-1) *c = 0xFFFD;
        return 1;
    }
}

static void open_editor(cli_prompt *p) {
    const char *term = getenv("TERM");
    HistEvent event;
    if (!term || !*term || !strcmp(term, "dumb") || strcmp(nl_langinfo(CODESET), "UTF-8")) return;
    p->edit = el_init("bqb", stdin, stderr, stderr);
    p->past = p->edit ? history_init() : NULL;
    if (!p->past) return;
    history(p->past, &event, H_SETSIZE, 500);
    el_set(p->edit, EL_CLIENTDATA, p);
    el_set(p->edit, EL_PROMPT, prompt_of);
    el_set(p->edit, EL_EDITOR, "emacs");
    el_set(p->edit, EL_HIST, history, p->past);
    el_set(p->edit, EL_GETCFN, get_character);
}

static bool edit_line(cli_prompt *p, bqb_buf *line, bool *cut) {
    HistEvent event;
    int n = 0;
    errno = 0;
    const char *text = el_gets(p->edit, &n);
    line->len = 0;
    *cut = false;
    if (!text || n <= 0) return false;
    history(p->past, &event, H_ENTER, text);
    size_t size = (size_t)n;
    while (size && (text[size - 1] == '\n' || text[size - 1] == '\r')) size--;
    *cut = bqb_buf_append(line, text, size, NULL) != BQB_OK;
    return true;
}

#endif

cli_prompt *cli_prompt_new(const char *prompt, const volatile sig_atomic_t *pressed) {
    cli_prompt *p = bqb_calloc(1, sizeof *p);
    if (!p) return NULL;
    p->text = prompt;
    p->pressed = pressed;
#ifdef BQB_WITH_libedit
    open_editor(p);
#endif
    return p;
}

void cli_prompt_free(cli_prompt *p) {
    if (!p) return;
#ifdef BQB_WITH_libedit
    if (p->edit) el_end(p->edit);
    if (p->past) history_end(p->past);
#endif
    free(p);
}

bool cli_prompt_read(cli_prompt *p, bqb_buf *line, bool *cut) {
#ifdef BQB_WITH_libedit
    if (p->past) return edit_line(p, line, cut);
#endif
    fputs(p->text, stderr);
    return cli_read_line(line, cut, stdin);
}
