/* bqb model: look into a model folder, or convert it. */
#include "cli/cli.h"
#include "cli/convert.h"
#include "cli/model_llm.h"
#include "cli/output.h"

#include "base/fs.h"
#include "base/mem.h"
#include "file/torch.h"
#include "model/clip.h"
#include "model/decoder.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "usage: bqb model info PATH [--json]\n"
    "       bqb model convert SRC DST [--half] [--to hf|ofa|pt] [--config FILE] [--vocab FILE]\n\n"
    "info: configuration, parameters of each tower, number formats, vocabulary, files; of a language\n"
    "model (a folder or a GGUF file) also its context and the memory that it needs.\n"
    "convert: write SRC to the folder DST as a Hugging Face model (hf), or with the key names of\n"
    "the original Chinese-CLIP and StickerCLIP code as safetensors (ofa) or as a PyTorch\n"
    "checkpoint model.pt (pt), in f32 or f16. SRC is a model folder, or a file of weights: a\n"
    "PyTorch checkpoint (nothing in it is run) or safetensors, with config.json and vocab.txt\n"
    "(or vocab.json and merges.txt, or a tokenizer.json) beside it; without a config.json the shapes of the tensors tell.";

typedef struct {
    size_t image, text, other, tensors, dtype[BQB_DTYPES];
} counts;

static bool starts(const char *s, const char *with) { return !strncmp(s, with, strlen(with)); }

static bqb_status count(counts *n, const bqb_clip *m, const char *dir, bqb_err *err) {
    *n = (counts){0};
    for (size_t i = 0; i < bqb_clip_param_count(m); i++) {
        const bqb_param *p = bqb_clip_param(m, i);
        if (starts(p->name, "visual.")) n->image += p->n;
        else if (starts(p->name, "logit_scale")) n->other += p->n;
        else n->text += p->n;
    }
    bqb_safetensors *st;
    bqb_status s = bqb_weights_open_folder(&st, dir, err);
    if (s) return s;
    n->tensors = bqb_safetensors_count(st);
    for (size_t i = 0; i < n->tensors; i++) n->dtype[bqb_safetensors_at(st, i)->dtype]++;
    bqb_safetensors_close(st);
    return BQB_OK;
}

static const char *const known_files[] = {"config.json",       "model.safetensors", "model.safetensors.index.json", "model.pt",
                                          "pytorch_model.bin", "vocab.txt",         "vocab.json",                   "merges.txt",
                                          "tokenizer.json"};
enum { N_FILES = sizeof known_files / sizeof *known_files };

static long long size_of(const char *dir, const char *name) {
    char *path = bqb_path_join(dir, name);
    struct stat st;
    long long n = path && !stat(path, &st) ? (long long)st.st_size : -1;
    free(path);
    return n;
}

static void print_info(const char *dir, const bqb_clip_config *c, const counts *n, size_t vocab) {
    printf("%s: StickerCLIP, %.2f million parameters\n", dir, (double)(n->image + n->text + n->other) / 1e6);
    printf("pictures    %.2f million: %zu px, patch %zu, width %zu, %zu layers, %zu heads\n", (double)n->image / 1e6,
           c->resolution, c->patch, c->v_width, c->v_layers, c->v_heads);
    printf("texts       %.2f million: %s, %zu tokens at most, width %zu, %zu layers, %zu heads\n", (double)n->text / 1e6,
           c->t_kind == BQB_TEXT_CAUSAL ? "causal" : "BERT", c->context, c->t_width, c->t_layers, c->t_heads);
    printf("shared      %zu dimensions\n", c->embed);
    printf("vocabulary  %zu tokens, room for %zu\n", vocab, c->vocab);
    printf("weights     %zu tensors:", n->tensors);
    for (int d = 0; d < BQB_DTYPES; d++)
        if (n->dtype[d]) printf(" %zu %s", n->dtype[d], bqb_dtype_name((bqb_dtype)d));
    putchar('\n');
    printf("computes    %s on this machine\n", bqb_precision_name(bqb_precision_best()));
    for (size_t k = 0; k < N_FILES; k++)
        if (size_of(dir, known_files[k]) >= 0) printf("%11lld  %s\n", size_of(dir, known_files[k]), known_files[k]);
}

static void print_json(const char *dir, const bqb_clip_config *c, const counts *n, size_t vocab, const char *id) {
    json_t *dtypes = json_object(), *files = json_object();
    for (int d = 0; d < BQB_DTYPES; d++)
        if (n->dtype[d]) json_object_set_new(dtypes, bqb_dtype_name((bqb_dtype)d), json_integer((json_int_t)n->dtype[d]));
    for (size_t k = 0; k < N_FILES; k++)
        if (size_of(dir, known_files[k]) >= 0)
            json_object_set_new(files, known_files[k], json_integer(size_of(dir, known_files[k])));
    json_t *o = json_pack(
        "{s:s,s:s,s:s,s:I,s:{s:I,s:I,s:I,s:I,s:I,s:I},s:{s:I,s:I,s:I,s:I,s:I,s:I,s:I},s:I,s:I,s:s,s:o,s:o}", "dir", dir, "id", id,
        "kind", c->t_kind == BQB_TEXT_CAUSAL ? "clip" : "chinese_clip", "parameters", (json_int_t)(n->image + n->text + n->other), "image", "parameters", (json_int_t)n->image, "resolution",
        (json_int_t)c->resolution, "patch", (json_int_t)c->patch, "width", (json_int_t)c->v_width, "layers",
        (json_int_t)c->v_layers, "heads", (json_int_t)c->v_heads, "text", "parameters", (json_int_t)n->text, "context",
        (json_int_t)c->context, "width", (json_int_t)c->t_width, "layers", (json_int_t)c->t_layers, "heads",
        (json_int_t)c->t_heads, "positions", (json_int_t)c->t_positions, "vocab", (json_int_t)c->vocab, "embed",
        (json_int_t)c->embed, "vocabulary", (json_int_t)vocab, "computes", bqb_precision_name(bqb_precision_best()), "dtypes",
        dtypes, "files", files);
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    if (text) cli_puts_json(text);
    free(text);
    json_decref(o);
}

static bqb_status info(const char *dir, bool json, bqb_err *err) {
    bqb_clip *m;
    counts n;
    bqb_status s = bqb_clip_open(&m, dir, BQB_TOWER_BOTH, BQB_PREC_F32, 1, err);
    if (s) return s;
    s = count(&n, m, dir, err);
    size_t vocab = bqb_tokenizer_size(bqb_clip_tokenizer(m));
    if (!s && json) print_json(dir, bqb_clip_get_config(m), &n, vocab, bqb_clip_id(m));
    else if (!s) print_info(dir, bqb_clip_get_config(m), &n, vocab);
    bqb_clip_free(m);
    return s;
}

int cli_model(const cli_env *env, int argc, char **argv) {
    (void)env;
    bool json = false, half = false;
    const char *to = "hf", *config = NULL, *vocab = NULL;
    const cli_option options[] = {
        {"json", 0, CLI_FLAG, &json, NULL, "info: print JSON"},
        {"half", 0, CLI_FLAG, &half, NULL, "convert: write f16 instead of f32"},
        {"to", 0, CLI_STRING, &to, "hf|ofa|pt", "convert: key names to write, pt: as model.pt (hf)"},
        {"config", 0, CLI_STRING, &config, "FILE", "convert: config.json of a SRC that is a file"},
        {"vocab", 0, CLI_STRING, &vocab, "FILE", "convert: vocab.txt, vocab.json or tokenizer.json of a SRC that is a file"},
        {"", 0, CLI_FLAG, NULL, NULL, NULL},
    };
    int n_words, status = cli_parse(options, usage, argc, argv, &n_words);
    if (status >= 0) return status;
    if (!n_words) return cli_usage_error("model", "info or convert is needed");
    bqb_err err = {0};
    bqb_status s;
    if (!strcmp(argv[1], "info")) {
        if (n_words > 2) return cli_usage_error("model", "info takes one model");
        const char *path = cli_model_dir(n_words == 2 ? argv[2] : NULL);
        s = bqb_is_decoder(path) ? cli_llm_info(path, json, &err) : info(path, json, &err);
    } else if (!strcmp(argv[1], "convert")) {
        if (n_words != 3) return cli_usage_error("model", "convert takes a model and a folder");
        if (strcmp(to, "hf") != 0 && strcmp(to, "ofa") != 0 && strcmp(to, "pt") != 0)
            return cli_usage_error("model", "--to %s: hf, ofa or pt is needed", to);
        s = cli_convert(argv[2], argv[3], half, to, config, vocab, &err);
    } else return cli_usage_error("model", "\"%s\" is neither info nor convert", argv[1]);
    return s ? cli_fail(&err) : 0;
}
