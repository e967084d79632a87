#include "chat/followup.h"
#include "chat/wordings.h"
#include "base/fs.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static bqb_err err;

static void expect(const bqb_followups *f, const char *message, bqb_follow_kind kind, const char *what) {
    bqb_followup got;
    if (!CHECK_OK(bqb_followups_match(&got, f, message, &err), err)) return;
    CHECK_MSG(got.kind == kind && !strcmp(got.what, what), "\"%s\" is %s \"%s\", expected %s \"%s\"", message, bqb_follow_name(got.kind), got.what,
              bqb_follow_name(kind), what);
}

TEST(followups_are_understood) {
    bqb_followups *f;
    if (!CHECK_OK(bqb_followups_open(&f, "data/chat/followups.tsv", &err), err)) return;
    CHECK(bqb_followups_count(f) > 300);
    static const struct {
        const char *message;
        bqb_follow_kind kind;
        const char *what;
    } known[] = {
        {"换一张", BQB_FOLLOW_ANOTHER, ""}, {"換一張！", BQB_FOLLOW_ANOTHER, ""}, {"换一张吧，谢谢", BQB_FOLLOW_ANOTHER, ""},
        {"请再来一张", BQB_FOLLOW_ANOTHER, ""}, {"还有别的吗？", BQB_FOLLOW_ANOTHER, ""}, {"Another one, please!", BQB_FOLLOW_ANOTHER, ""},
        {"can you show me another one", BQB_FOLLOW_ANOTHER, ""}, {"NEXT", BQB_FOLLOW_ANOTHER, ""}, {"不要这张", BQB_FOLLOW_ANOTHER, ""},
        {"I don't like this one", BQB_FOLLOW_ANOTHER, ""},
        {"不要带字的", BQB_FOLLOW_WORDLESS, ""}, {"能不能不要带字的", BQB_FOLLOW_WORDLESS, ""}, {"来个没有字的吧", BQB_FOLLOW_WORDLESS, ""},
        {"without words", BQB_FOLLOW_WORDLESS, ""}, {"one without text please", BQB_FOLLOW_WORDLESS, ""},
        {"要带字的", BQB_FOLLOW_WORDED, ""}, {"with words", BQB_FOLLOW_WORDED, ""},
        {"有没有动图", BQB_FOLLOW_MOVING, ""}, {"an animated one please", BQB_FOLLOW_MOVING, ""},
        {"可爱一点的", BQB_FOLLOW_TOWARDS, "可爱"}, {"来个可爱一点的", BQB_FOLLOW_TOWARDS, "可爱"}, {"更开心的呢", BQB_FOLLOW_TOWARDS, "开心"},
        {"有没有搞笑一点的", BQB_FOLLOW_TOWARDS, "搞笑"}, {"换一张更可爱的", BQB_FOLLOW_TOWARDS, "可爱"}, {"a cuter one", BQB_FOLLOW_TOWARDS, "可爱"},
        {"Can I have a more elegant one?", BQB_FOLLOW_TOWARDS, "elegant"}, {"something sillier please", BQB_FOLLOW_TOWARDS, "搞怪"},
        {"不要这么可爱的", BQB_FOLLOW_AWAY, "可爱"}, {"太吵了", BQB_FOLLOW_AWAY, "吵"}, {"a less noisy one", BQB_FOLLOW_AWAY, "noisy"},
        {"", BQB_FOLLOW_NONE, ""}, {"。。。", BQB_FOLLOW_NONE, ""}, {"你好", BQB_FOLLOW_NONE, ""}, {"来一张小猫的表情", BQB_FOLLOW_NONE, ""},
        {"另一张桌子上有什么", BQB_FOLLOW_NONE, ""}, {"another day another dollar", BQB_FOLLOW_NONE, ""},
        {"我昨天买了一本更便宜也更好看的书，你要不要", BQB_FOLLOW_NONE, ""}, {"请", BQB_FOLLOW_NONE, ""}, {"{what}", BQB_FOLLOW_NONE, ""},
        {"你今天去过比这里更加安静也更加好看的地方一点的", BQB_FOLLOW_NONE, ""},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) expect(f, known[i].message, known[i].kind, known[i].what);
    char many[4096];
    memset(many, 'a', sizeof many);
    many[sizeof many - 1] = 0;
    expect(f, many, BQB_FOLLOW_NONE, "");
    bqb_followups_close(f);
}

/* What stands around a wording is taken off in every way that is possible: a message of nothing else ends soon, too. */
TEST(followups_end_soon) {
    bqb_followups *f;
    char many[201] = "";
    if (!CHECK_OK(bqb_followups_open(&f, "data/chat/followups.tsv", &err), err)) return;
    for (int i = 0; i < 33; i++) strcat(many, "来吧");
    expect(f, many, BQB_FOLLOW_NONE, "");
    bqb_followups_close(f);
}

static void refuse(const char *text, const char *message) {
    bqb_followups *f = NULL;
    char path[1100];
    snprintf(path, sizeof path, "%s/followups.tsv", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, text, strlen(text), &err), err);
    CHECK_MSG(bqb_followups_open(&f, path, &err) == BQB_EFORMAT && !f && strstr(err.msg, message), "%s: %s", message, err.msg);
}

TEST(followups_refuse_broken_tables) {
    refuse("kind\twording\n", "column 3");
    refuse("# x\nkind\twording\ttowards\nsing\tla\t\n", "kind \"sing\" is unknown");
    refuse("kind\twording\ttowards\nanother\t\t\n", "no words");
    refuse("kind\twording\ttowards\nanother\t。\t\n", "no words");
    refuse("kind\twording\ttowards\nanother\tmore {what}\t\n", "neither");
    refuse("kind\twording\ttowards\ntowards\tmore\t\n", "either");
    refuse("kind\twording\ttowards\ntowards\tmore {what}\tcute\n", "either");
}

TEST(wordings_are_tables_after_remarks) {
    static const char *const columns[] = {"task", "side", "wording"};
    bqb_table *t = NULL;
    if (CHECK_OK(bqb_wordings_open(&t, "data/chat/requests.tsv", columns, 3, &err), err)) CHECK(bqb_table_rows(t) > 100);
    bqb_table_close(t);
    CHECK_MSG(bqb_wordings_open(&t, "data/chat/answers.tsv", columns, 3, &err) == BQB_EFORMAT && strstr(err.msg, "column 1 must be \"task\""), "%s", err.msg);
    bqb_table_close(t);
    CHECK(bqb_wordings_open(&t, "data/chat/nowhere.tsv", columns, 3, &err) == BQB_EIO && !t);
}
