#include "test.h"

#include "library/naming.h"

#include <string.h>

static void check(const char *name, const char *want) {
    bqb_buf b = {.max = 1 << 12};
    bqb_err err = {0};
    CHECK_OK(bqb_caption_of_name(&b, name, &err), err);
    CHECK_MSG(!strcmp(b.data, want), "\"%s\" gives \"%s\", expected \"%s\"", name, b.data, want);
    bqb_buf_free(&b);
}

TEST(naming_says_something) {
    check("好累.jpg", "好累");
    check("加班_好累啊 (2).png", "加班 好累啊");
    check("thumbs_up.gif", "thumbs up");
    check("没事.了.webp", "没事.了");
    check("no extension at all", "no extension at all");
    check("OK.gif", "OK");
    check("2023新年快乐.gif", "2023新年快乐");
    check("\xff\xfe坏.gif", "\xef\xbf\xbd\xef\xbf\xbd坏");
    check("a\x1b[31mb.gif", "a [31mb");
    check("好.averylongextension", "好.averylongextension");
}

TEST(naming_generic) {
    static const char *const generic[] = {
        "IMG_1234.jpg", "a00017.png", "0001.gif", "12-34 (5).jpg", "微信图片_20230101120000.jpg", "mmexport1600000000000.gif",
        "5d41402abc4b2a76b9719d911017c592.gif", "d41d8cd9-8f00-3204-a980-0998ecf8427e.webp", "IMG_0001 (1).JPG",
        "QQ图片20200101.png", "下载 (3).jpg", "表情12.gif", "image.png", "Screenshot_2023-01-01.png", ".gif", "FkX9aYzaM0E3qb.jpg",
        "DSC00042.jpg", "屏幕截图 2023-01-01.png", "sticker_17.webp", "___.png", "未命名.png",
    };
    for (size_t i = 0; i < sizeof generic / sizeof *generic; i++) check(generic[i], "");
}
