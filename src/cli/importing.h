/* What import and watch share. */
#ifndef BQB_CLI_IMPORTING_H
#define BQB_CLI_IMPORTING_H

#include "library/import.h"

#include <jansson.h>

/* A model that was asked for must open; the default one may be missing: then words can still
 * be searched, and a later import makes the vectors: *m NULL. The exit status to return, or 0. */
int cli_open_import_model(bqb_clip **m, const char *given);

/* The report as a JSON object. */
json_t *cli_json_import(const bqb_import_report *r);

#endif
