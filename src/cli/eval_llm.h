/* bqb eval --llm: the paper's experiment with the language model. */
#ifndef BQB_CLI_EVAL_LLM_H
#define BQB_CLI_EVAL_LLM_H

#include "cli/cli.h"
#include "model/clip.h"

typedef struct {
    const char *llm, *adapter; /* adapter NULL: $BQB_ADAPTER, else the folder "adapter" in llm's */
    const char *model, *prose; /* StickerCLIP's folder; more ordinary text for the perplexity, or NULL */
    const cli_list *data;
    size_t limit, asks, threads; /* asks: questions of each kind for the triggers */
    bqb_precision precision;
    bool drop_alpha, json;
} cli_llm_trial;

int cli_eval_llm(const cli_llm_trial *o); /* the exit status */

#endif
