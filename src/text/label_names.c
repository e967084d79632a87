#include "text/label_names.h"

static const char *const emotions[] = {
    "开心", "大笑", "得意", "喜爱", "害羞", "感动", "委屈", "难过", "大哭", "生气", "抓狂", "无语", "尴尬", "惊讶", "害怕",
    "疑惑", "嫌弃", "困倦", "期待", "加油", "赞同", "拒绝", "感谢", "道歉", "祝福", "问候", "告别", "撒娇", "调皮",
};
static const char *const styles[] = {
    "卡通扁平", "白边贴纸", "手绘素描", "像素风", "霓虹灯光", "写实照片", "灰度梗图",
    "水彩画", "漫画网点", "红色剪纸", "黑板粉笔", "水墨国风", "故障艺术", "复古怀旧",
};

const char *const *bqb_label_names(bqb_field f, size_t *n) {
    *n = f == BQB_EMOTION ? sizeof emotions / sizeof *emotions : f == BQB_STYLE ? sizeof styles / sizeof *styles : 0;
    return f == BQB_EMOTION ? emotions : f == BQB_STYLE ? styles : NULL;
}
