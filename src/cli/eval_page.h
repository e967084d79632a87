/* Parts of bqb eval's page: its style, and pictures that are written once and shown often. */
#ifndef BQB_CLI_EVAL_PAGE_H
#define BQB_CLI_EVAL_PAGE_H

#include "base/fs.h"
#include "train/gallery.h"

#include <stdbool.h>

extern const char *const cli_eval_style[]; /* CSS, piece by piece; NULL ends it */

/* A file that is written piece by piece; after a failure nothing more happens. */
typedef struct {
    bqb_outfile f;
    bqb_status status;
    bqb_err *err;
} cli_page;

void cli_page_put(cli_page *p, const char *html);
void cli_page_putf(cli_page *p, const char *fmt, ...) BQB_PRINTF(2, 3);
void cli_page_text(cli_page *p, const char *text); /* escaped; control characters and broken UTF-8 as U+FFFD */

/* Write the CSS classes .p0, .p1 … of the wanted pictures [g->n]: thumbnails as
 * WebP, moving ones too. A picture that would need more than 48 KiB stands
 * still; after 32 MiB no more are written. Those written stay true in `wanted`. */
void cli_page_pictures(cli_page *p, const bqb_gallery *g, bool *wanted, int threads, bqb_progress_fn progress, void *ctx);

#endif
