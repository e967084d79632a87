/* bqb export DIR: the library as a folder of pictures with a captions.tsv. */
#include "cli/cli.h"

#include "cli/output.h"
#include "library/export.h"

#include <stdio.h>

static const char usage[] = "usage: bqb export DIR\n\n"
                            "Copy every sticker to DIR/images and write DIR/captions.tsv with all that is known of\n"
                            "them: what `bqb import DIR` and `bqb train --data DIR` read.";

static void tell_skipped(void *ctx, const char *path, const char *reason) {
    cli_progress_end(ctx);
    cli_tell_skipped(path, reason);
}

int cli_export(const cli_env *env, int argc, char **argv) {
    int n_words;
    const cli_option options[] = {{"", 0, CLI_FLAG, NULL, NULL, NULL}};
    int status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words != 1 || !*argv[1]) return cli_usage_error(argv[0], "into which folder?");

    bqb_catalogue *c = NULL;
    bqb_export_report report = {0};
    bqb_err err;
    cli_progress bar = {0};
    cli_catch_interrupts();
    bqb_status s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_READ, &err);
    if (!s) s = bqb_library_export(c, argv[1], tell_skipped, cli_progress_show, &bar, &report, &err);
    cli_progress_end(&bar);
    bqb_catalogue_close(c);
    if (s) return cli_fail(&err);
    printf("%zu written, %zu skipped\n", report.written, report.skipped);
    return report.skipped && !report.written;
}
