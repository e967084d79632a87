/* `bqb model info` of a language model. */
#ifndef BQB_CLI_MODEL_LLM_H
#define BQB_CLI_MODEL_LLM_H

#include "base/err.h"

#include <stdbool.h>

/* What it is, what its weights are stored in, and what it needs here; on stdout. */
bqb_status cli_llm_info(const char *path, bool json, bqb_err *err);

#endif
