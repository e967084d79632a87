/* JSON with bounds on depth and items. */
#include "file/json.h"
#include "target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *j = NULL;
    bqb_err err = {0};
    bqb_status s = bqb_json_parse(&j, (const char *)data, size, 16, 1000, &err);
    if (s ? !err.msg[0] : !j) abort();
    json_decref(j);
    return 0;
}
