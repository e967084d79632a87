/* Values of a config.json: what is taken, what is refused, and that the first complaint stays. */
#include "test.h"

#include "model/config_read.h"

#include <string.h>

TEST(config_values_are_checked_one_by_one) {
    json_t *o = json_pack("{s:i,s:i,s:f,s:s,s:n,s:{}}", "width", 8, "zero", 0, "eps", 0.5, "word", "x", "none", "part");
    bqb_err err = {0};
    bqb_config_reader r = {.path = "c.json", .err = &err};
    CHECK(bqb_config_size(&r, o, "width", 0) == 8 && bqb_config_size(&r, o, "none", 5) == 5 && bqb_config_size(&r, o, "gone", 6) == 6);
    CHECK(bqb_config_id(&r, o, "zero", 3) == 0 && bqb_config_id(&r, o, "none", -1) == -1);
    CHECK(bqb_config_real(&r, o, "eps", 1, 1) == 0.5 && bqb_config_real(&r, o, "gone", 0.25, 1) == 0.25);
    CHECK(json_is_object(bqb_config_object(&r, o, "part")) && !bqb_config_at(o, "none") && !r.status);
    /* A size that is refused is 1: nobody divides by zero on the way out. */
    CHECK(bqb_config_size(&r, o, "zero", 4) == 1 && r.status == BQB_EFORMAT && strstr(err.msg, "c.json: \"zero\" is 0, must be 1"));
    CHECK(bqb_config_size(&r, o, "word", 0) == 1 && bqb_config_real(&r, o, "word", 0.5, 1) == 0.5 && strstr(err.msg, "\"zero\""));
    static const char *const bad[] = {"\"gone\" is missing", "\"word\" must be a whole number", "\"word\" must be a token's id",
                                      "\"width\" must be a number between 0 and 1", "\"word\" is missing"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        r.status = BQB_OK;
        if (k == 0) bqb_config_size(&r, o, "gone", 0);
        if (k == 1) bqb_config_size(&r, o, "word", 3);
        if (k == 2) bqb_config_id(&r, o, "word", 3);
        if (k == 3) bqb_config_real(&r, o, "width", 0.5, 1);
        if (k == 4) bqb_config_object(&r, o, "word");
        CHECK_MSG(r.status == BQB_EFORMAT && strstr(err.msg, bad[k]), "%zu: %s", k, err.msg);
    }
    json_decref(o);
}
