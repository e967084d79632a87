#include "library/id_set.h"
#include "test.h"

TEST(id_set_sorts_and_finds) {
    bqb_id_set s = {0};
    CHECK(!bqb_id_set_has(&s, 1) && bqb_id_set_place(&s, 1) == SIZE_MAX);
    bqb_id_set_sort(&s);
    CHECK(s.n == 0);
    for (bqb_sticker_id id = 1; id <= 1000; id++) CHECK(!bqb_id_set_add(&s, id * 7 % 501)); /* nearly all twice */
    CHECK(s.n == 1000 && s.id[0] == 7);                                                     /* a list as it came */
    bqb_id_set_sort(&s);
    CHECK(s.n == 501);
    for (size_t i = 0; i < s.n; i++) CHECK(s.id[i] == (bqb_sticker_id)i && bqb_id_set_place(&s, s.id[i]) == i);
    CHECK(bqb_id_set_has(&s, 500) && !bqb_id_set_has(&s, 501) && !bqb_id_set_has(&s, -1));
    bqb_id_set_free(&s);
    CHECK(!s.id && !s.n && !s.cap);
}
