#include "chat/wordings.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static bqb_status open_text(bqb_table **t, const char *text, bqb_err *err) {
    static const char *const columns[] = {"side", "words"};
    char path[1100];
    snprintf(path, sizeof path, "%s/w.tsv", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, text, strlen(text), err), *err);
    return bqb_wordings_open(t, path, columns, 2, err);
}

TEST(wordings_pass_over_remarks) {
    bqb_table *t = NULL;
    bqb_err err = {0};
    if (CHECK_OK(open_text(&t, "# one\n# two\tcells\nside\twords\tmore\nlearn\t你好\t\n", &err), err)) {
        CHECK(bqb_table_rows(t) == 1);
        CHECK_STR(bqb_table_cell(t, 0, 1), "你好");
    }
    bqb_table_close(t);
}

TEST(wordings_name_what_is_wrong) {
    static const struct {
        const char *text, *says;
    } bad[] = {{"side\tword\nlearn\tx\n", "column 2 must be \"words\""}, {"words\tside\n", "column 1"}, {"# only a remark", ""},
               {"side\twords\nlearn\tx\ny\tz\t1\n", "line 3 is broken"}, {"side\twords\nlearn\t\xFF\n", "line 2 is broken"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bqb_table *t = NULL;
        bqb_err err = {0};
        CHECK_MSG(open_text(&t, bad[i].text, &err) == BQB_EFORMAT && strstr(err.msg, bad[i].says), "%zu: %s", i, err.msg);
        bqb_table_close(t);
    }
}
