/* bqb synth: draw an annotated synthetic sticker set. */
#include "cli/cli.h"
#include "cli/spare.h"
#include "image/synth.h"

#include <stdio.h>
#include <string.h>

int cli_synth(const cli_env *env, int argc, char **argv) {
    const char *out = NULL, *sheet = NULL, *split = "all";
    size_t count = 1000, side = 160;
    uint64_t seed = 1;
    bool plain = false, words = false, force = false;
    cli_list art = {0};
    const cli_option options[] = {
        {"out", 'o', CLI_STRING, &out, "DIR", "where images/, captions.tsv and queries.tsv go"},
        {"count", 'n', CLI_SIZE, &count, "N", "how many stickers [1000]"},
        {"seed", 0, CLI_U64, &seed, "S", "the same seed draws the same stickers [1]"},
        {"split", 0, CLI_STRING, &split, "SIDE", "train, test or all: the first two share no combination of subject and phrase [all]"},
        {"art", 0, CLI_LIST, &art, "DIR", "emoji art by other hands (1f600.svg, grinning-face.svg …); may be repeated"},
        {"plain", 0, CLI_FLAG, &plain, NULL, "only the subject on white, captioned with its plain name"},
        {"words", 0, CLI_FLAG, &words, NULL, "only a phrase on white, captioned with itself"},
        {"force", 0, CLI_FLAG, &force, NULL, "remove another set that bqb drew into DIR (the same set is gone on with)"},
        {"sheet", 0, CLI_STRING, &sheet, "FILE.png", "also (or, without --out, only) a contact sheet of the first 100"},
        {"side", 0, CLI_SIZE, &side, "PX", "size of a picture on the sheet [160]"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL}};
    int n_words = 0;
    int status = cli_parse(options, "usage: bqb synth --out DIR [OPTION…]\n\nDraw a set of synthetic stickers with captions and queries.", argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error("synth", "\"%s\" is not expected", argv[1]);
    if (!out && !sheet) return cli_usage_error("synth", "--out DIR or --sheet FILE.png is needed");
    if (count < 1 || count > 10000000) return cli_usage_error("synth", "--count %zu: 1 to 10000000 are possible", count);
    if (side < 16 || side > 1024) return cli_usage_error("synth", "--side %zu: 16 to 1024 are possible", side);
    if (plain && words) return cli_usage_error("synth", "--plain and --words exclude each other");
    bqb_synth_options o = {.art = art.item, .n_art = art.n, .seed = seed, .plain = plain, .words = words};
    if (!strcmp(split, "train")) o.split = BQB_SYNTH_TRAIN;
    else if (!strcmp(split, "test")) o.split = BQB_SYNTH_TEST;
    else if (strcmp(split, "all")) return cli_usage_error("synth", "--split is \"%s\", must be train, test or all", split);

    if ((status = cli_spare(env, "synth", "sheet", sheet, CLI_DRAWING)) >= 0) return status;
    if ((status = cli_spare_folder("synth", "out", out)) >= 0) return status;
    bqb_err err = {0};
    bqb_synth *s = NULL;
    bqb_status st = bqb_synth_open(&s, &o, &err);
    cli_progress progress = {0};
    if (out) cli_catch_interrupts(); /* a sheet alone is soon drawn, and asks nobody */
    if (!st && out) st = bqb_synth_write(s, out, count, force, 0, cli_progress_show, &progress, &err);
    if (!st && sheet) st = bqb_synth_sheet(s, sheet, count < 100 ? count : 100, side, &err);
    bqb_synth_close(s);
    return st ? cli_fail(&err) : 0;
}
