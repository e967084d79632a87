#include "cli/chat_session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

cli_chat_options cli_chat_defaults(void) { return (cli_chat_options){.d = bqb_dialogue_defaults()}; }

int cli_chat_check(cli_chat_options *o, const char *command) {
    bqb_err err;
    if (bqb_sampling_check(&o->d.sampling, &err)) return cli_usage_error(command, "%s", err.msg);
    if (!(o->d.choice.beta >= 0 && o->d.choice.beta <= 10)) return cli_usage_error(command, "--beta %g: 0 to 10 are possible", o->d.choice.beta);
    if (o->precision && strcmp(o->precision, "f32") && strcmp(o->precision, "bf16"))
        return cli_usage_error(command, "--precision %s: f32 or bf16 are possible", o->precision);
    if (o->anyway) o->d.choice.least = -INFINITY;
    return -1;
}

bqb_status cli_chat_open(bqb_assistant **a, bqb_catalogue **c, const cli_chat_options *o, const char *library, bqb_err *err) {
    const char *env = getenv("BQB_ADAPTER");
    bqb_assistant_options ao = {.llm = cli_llm_dir(o->llm), .adapter = o->adapter ? o->adapter : env && *env ? env : NULL, .clip = cli_model_dir(o->model),
                                .window = o->window, .precision = bqb_precision_best()};
    if (o->precision) ao.precision = strcmp(o->precision, "f32") ? BQB_PREC_BF16 : BQB_PREC_F32;
    *a = NULL;
    bqb_status s = bqb_catalogue_open(c, library, BQB_CATALOGUE_READ, err); /* soon known, before gigabytes are read */
    return s ? s : bqb_assistant_open(a, &ao, err);
}
