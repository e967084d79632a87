#include "cli/model_llm.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/ram.h"
#include "chat/assistant.h"
#include "chat/template.h"
#include "model/adapter.h"
#include "model/decoder.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *path;
    bqb_decoder *m;
    const bqb_decoder_config *c;
    bqb_llm_tokenizer *tok; /* NULL: none, for the reason `why` */
    bqb_err why;
    bqb_decoder_bytes bytes;
    size_t positions;
    bool adapter; /* beside it */
} llm_info;

static const char *const formats[] = {[BQB_CHAT_CHATML] = "ChatML", [BQB_CHAT_LLAMA3] = "Llama 3", [BQB_CHAT_PLAIN] = "none (a base model)"};

static void print_text(const llm_info *i) {
    const bqb_decoder_config *c = i->c;
    printf("%s: language model, %s, %.2f million parameters\n", i->path, bqb_decoder_family_name(c->family), i->bytes.parameters / 1e6);
    printf("layers      %zu of width %zu, %zu heads of %zu, %zu for keys and values, MLP %zu\n", c->layers, c->width, c->heads, c->head_dim, c->kv_heads, c->mlp);
    printf("context     %zu tokens%s\n", c->context, c->rope_factor > 1 ? ", stretched positions" : "");
    if (i->tok)
        printf("vocabulary  %zu tokens, room for %zu; conversations: %s\n", bqb_llm_tokenizer_size(i->tok), c->vocab, formats[bqb_chat_format_of(i->tok)]);
    else printf("vocabulary  room for %zu; no tokenizer: %s\n", c->vocab, i->why.msg);
    printf("weights     %.3f GB, matrices:", i->bytes.weights / 1e9);
    for (int k = 0; k < BQB_ROW_KINDS; k++)
        if (i->bytes.matrices[k]) printf(" %zu %s", i->bytes.matrices[k], bqb_row_kind_name((bqb_row_kind)k));
    printf("\nmemory      %.2f GB for a conversation of %zu tokens: weights %.2f (mapped), keys and values %.2f, work %.2f at most; %.1f are there, %.1f free\n",
           i->bytes.total / 1e9, i->positions, i->bytes.weights / 1e9, i->bytes.past / 1e9, i->bytes.activations / 1e9, bqb_memory_there() / 1e9,
           bqb_memory_free() / 1e9);
    if (i->adapter) printf("stickers    has learnt to answer with them (adapter/)\n");
    printf("id          %s\n", bqb_decoder_id(i->m));
}

static void print_json(const llm_info *i) {
    const bqb_decoder_config *c = i->c;
    json_t *matrices = json_object(), *ends = json_array();
    for (int k = 0; k < BQB_ROW_KINDS; k++)
        if (i->bytes.matrices[k]) json_object_set_new(matrices, bqb_row_kind_name((bqb_row_kind)k), json_integer((json_int_t)i->bytes.matrices[k]));
    for (size_t k = 0; k < c->n_end; k++) json_array_append_new(ends, json_integer(c->end[k]));
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "path", i->path, "id", bqb_decoder_id(i->m), "kind", "language model",
                          "family", bqb_decoder_family_name(c->family), "parameters", (json_int_t)i->bytes.parameters, "layers", (json_int_t)c->layers,
                          "width", (json_int_t)c->width, "heads", (json_int_t)c->heads, "kv_heads", (json_int_t)c->kv_heads, "head_dim", (json_int_t)c->head_dim,
                          "mlp", (json_int_t)c->mlp, "vocab", (json_int_t)c->vocab, "context", (json_int_t)c->context, "matrices", matrices, "ends", ends);
    if (o) {
        json_object_set_new(o, "tokenizer", i->tok ? json_integer((json_int_t)bqb_llm_tokenizer_size(i->tok)) : json_null());
        json_object_set_new(o, "chat_format", i->tok ? json_string(formats[bqb_chat_format_of(i->tok)]) : json_null());
        json_object_set_new(o, "adapter", json_boolean(i->adapter));
        json_object_set_new(o, "memory", json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "positions", (json_int_t)i->positions, "weights", (json_int_t)i->bytes.weights,
                                                   "past", (json_int_t)i->bytes.past, "work", (json_int_t)i->bytes.activations, "total",
                                                   (json_int_t)i->bytes.total, "there", (json_int_t)bqb_memory_there()));
    }
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    if (text) puts(text);
    free(text);
    json_decref(o);
}

bqb_status cli_llm_info(const char *path, bool json, bqb_err *err) {
    llm_info i = {.path = path};
    bqb_status s = bqb_decoder_open(&i.m, path, bqb_precision_best(), 0, err);
    if (s) return s;
    i.c = bqb_decoder_get_config(i.m);
    i.positions = bqb_assistant_window(i.c);
    bqb_decoder_memory(&i.bytes, i.m, i.positions);
    bqb_llm_tokenizer_of(&i.tok, path, &i.why); /* weights alone are worth a look, too */
    char *adapter = bqb_is_dir(path) ? bqb_path_join(path, "adapter") : NULL;
    i.adapter = adapter && bqb_is_adapter(adapter);
    free(adapter);
    if (i.tok) s = bqb_llm_tokenizer_fits(i.tok, i.c->vocab, path, err);
    if (!s && json) print_json(&i);
    else if (!s) print_text(&i);
    bqb_llm_tokenizer_close(i.tok);
    bqb_decoder_free(i.m);
    return s;
}
