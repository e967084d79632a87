/* bqb stats: what the library holds. */
#include "cli/cli.h"

#include "cli/output.h"
#include "library/catalogue.h"

#include <stdio.h>

static const char usage[] = "usage: bqb stats [--json]\n\nWhat the library holds.";

int cli_stats(const cli_env *env, int argc, char **argv) {
    bool json = false;
    int n_words;
    const cli_option options[] = {
        {"json", 0, CLI_FLAG, &json, NULL, "as JSON"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (n_words) return cli_usage_error(argv[0], "stats takes no \"%s\"", argv[1]);

    bqb_catalogue *c = NULL;
    bqb_catalogue_stats t;
    bqb_err err;
    bqb_status s = bqb_catalogue_open(&c, env->library, BQB_CATALOGUE_READ, &err);
    if (!s) s = bqb_catalogue_get_stats(c, &t, &err);
    bqb_catalogue_close(c);
    if (s) return cli_fail(&err);
    const struct {
        const char *key, *one, *many;
        uint64_t n;
    } rows[] = {
        {"stickers", "sticker", "stickers", t.stickers},
        {"animated", "of them animated", "of them animated", t.animated},
        {"with_caption", "with a caption", "with a caption", t.with_field[BQB_CAPTION]},
        {"with_ocr", "with text on them", "with text on them", t.with_field[BQB_OCR]},
        {"with_emotion", "with an emotion", "with an emotion", t.with_field[BQB_EMOTION]},
        {"with_emotion_label", "with an emotion label", "with an emotion label", t.with_field[BQB_EMOTION_LABEL]},
        {"with_style", "with a style", "with a style", t.with_field[BQB_STYLE]},
        {"with_embedding", "with a vector", "with a vector", t.with_embedding},
        {"files", "file", "files", t.files},
        {"bytes", "byte", "bytes", t.bytes},
        {"missing", "sticker whose files are gone", "stickers whose files are gone", t.missing},
        {"models", "model with vectors", "models with vectors", t.models},
    };
    json_t *o = json ? json_object() : NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (json) cli_json_set(o, rows[i].key, json_integer((json_int_t)rows[i].n));
        else printf("%12llu  %s\n", (unsigned long long)rows[i].n,
                    rows[i].n == 1 ? rows[i].one : rows[i].many);
    }
    return json ? cli_json_print(o) : 0;
}
