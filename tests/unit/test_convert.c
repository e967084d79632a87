/* Weights from one form to another and back, and what their shapes tell. */
#include "model_folder.h"
#include "test.h"

#include "base/fs.h"
#include "base/rand.h"
#include "model/layout.h"

#include <stdio.h>
#include <string.h>

static const char *in_tmp(const char *name) {
    static char path[4][512];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], "%s/%s", test_tmp_dir(), name);
    return path[k];
}

static void save(const bqb_clip_config *c, bqb_clip *m, const char *path, bool half, bool ofa) {
    bqb_layout_map map;
    bqb_err err;
    if (!CHECK_OK(bqb_layout_new(&map, c, &err), err)) return;
    CHECK_OK(bqb_layout_save(&map, bqb_clip_weights(m), path, half, ofa, &err), err);
    bqb_layout_free(&map);
}

static void check_same(const bqb_clip_config *c, bqb_clip *m, const char *path, bool expected) {
    bqb_clip *back;
    bqb_err err;
    if (!CHECK_OK(bqb_clip_new(&back, c, path, 0, BQB_PREC_F32, 1, &err), err)) return;
    bool same = !memcmp(bqb_clip_weights(m), bqb_clip_weights(back), bqb_clip_float_count(m) * sizeof(float));
    CHECK_MSG(same == expected, "%s: the weights are %s", path, same ? "the same" : "not the same");
    bqb_clip_free(back);
}

/* To every form and back, bit for bit, for all floats there are: infinities, NaN with payload, subnormals. */
TEST(convert_round_trips_are_bit_identical) {
    static const char *const name[] = {"hf.safetensors", "ofa.safetensors", "hf.pt", "ofa.pt"};
    bqb_clip *m = model_new(3, BQB_PREC_F32, 1);
    bqb_rand r = bqb_rand_seed(5, 0);
    for (size_t i = 0; i < bqb_clip_param_count(m); i++) {
        const bqb_param *p = bqb_clip_param(m, i);
        for (size_t k = 0; k < p->n; k++) {
            uint32_t bits = (uint32_t)bqb_rand_u64(&r);
            memcpy(bqb_clip_weights(m) + p->offset + k, &bits, sizeof bits);
        }
    }
    for (int k = 0; k < 4; k++) {
        save(&MODEL_CONFIG, m, in_tmp(name[k]), false, k % 2);
        check_same(&MODEL_CONFIG, m, in_tmp(name[k]), true);
    }
    /* And the check sees one changed bit. */
    uint32_t *bits = (uint32_t *)(void *)bqb_clip_weights(m);
    bits[bqb_clip_param(m, 7)->offset] ^= 1;
    check_same(&MODEL_CONFIG, m, in_tmp("ofa.pt"), false);
    bqb_clip_free(m);
}

/* A folder of PyTorch weights is a model folder like any other. */
TEST(convert_folders_with_pytorch_weights_open) {
    static const char *const name[] = {"model.pt", "pytorch_model.bin"};
    bqb_err err;
    const char *text = "开心的猫";
    float want[16], got[16];
    model_folder(in_tmp("hf"), 4);
    bqb_clip *m, *hf;
    if (!CHECK_OK(bqb_clip_open(&hf, in_tmp("hf"), BQB_TOWER_BOTH, BQB_PREC_F32, 1, &err), err)) return;
    CHECK_OK(bqb_clip_encode_texts(hf, want, &text, 1, &err), err);
    for (int k = 0; k < 2; k++) {
        save(&MODEL_CONFIG, hf, in_tmp("hf/weights.pt"), false, k == 0);
        remove(in_tmp("hf/model.safetensors"));
        CHECK(!rename(in_tmp("hf/weights.pt"), in_tmp(k ? "hf/pytorch_model.bin" : "hf/model.pt")));
        memset(got, 0, sizeof got);
        if (CHECK_OK(bqb_clip_open(&m, in_tmp("hf"), BQB_TOWER_TEXT, BQB_PREC_F32, 1, &err), err)) {
            CHECK_OK(bqb_clip_encode_texts(m, got, &text, 1, &err), err);
            CHECK_MSG(!memcmp(want, got, sizeof want), "%s: another vector", name[k]);
            bqb_clip_free(m);
        }
        remove(in_tmp("hf/model.pt"));
    }
    bqb_clip_free(hf);
}

TEST(convert_infers_the_config_from_shapes) {
    bqb_clip_config want = {.resolution = 24, .patch = 8, .v_width = 128, .v_layers = 2, .v_heads = 2, .v_mlp = 96, .v_eps = 1e-5f,
                            .v_act = BQB_ACT_QUICK_GELU, .vocab = 20, .t_width = 64, .t_layers = 3, .t_heads = 1, .t_mlp = 72,
                            .t_positions = 12, .t_types = 2, .t_eps = 1e-12f, .t_act = BQB_ACT_GELU, .context = 12, .embed = 48};
    static const char *const name[] = {"ofa.pt", "ofa.safetensors"};
    bqb_clip *m;
    bqb_clip_config c;
    bqb_err err;
    if (!CHECK_OK(bqb_clip_new(&m, &want, NULL, 1, BQB_PREC_F32, 1, &err), err)) return;
    for (int k = 0; k < 2; k++) {
        save(&want, m, in_tmp(name[k]), k, true);
        if (!CHECK_OK(bqb_clip_config_infer(&c, in_tmp(name[k]), &err), err)) continue;
        CHECK(c.resolution == want.resolution && c.patch == want.patch && c.v_width == want.v_width);
        CHECK(c.v_layers == want.v_layers && c.v_heads == want.v_heads && c.v_mlp == want.v_mlp);
        CHECK(c.vocab == want.vocab && c.t_width == want.t_width && c.t_layers == want.t_layers);
        CHECK(c.t_heads == want.t_heads && c.t_mlp == want.t_mlp && c.t_positions == want.t_positions);
        CHECK(c.t_types == want.t_types && c.context == want.context && c.embed == want.embed);
        CHECK(c.v_eps == want.v_eps && c.t_eps == want.t_eps && c.v_act == want.v_act && c.t_act == want.t_act);
    }
    save(&want, m, in_tmp("hf.pt"), false, false);
    CHECK(bqb_clip_config_infer(&c, in_tmp("hf.pt"), &err) == BQB_EFORMAT && strstr(err.msg, "Chinese-CLIP's own key names"));
    bqb_clip_free(m);
    m = model_new(1, BQB_PREC_F32, 1); /* width 24: how many heads? */
    save(&MODEL_CONFIG, m, in_tmp("odd.pt"), false, true);
    CHECK(bqb_clip_config_infer(&c, in_tmp("odd.pt"), &err) == BQB_EFORMAT && strstr(err.msg, "width of 24"));
    bqb_clip_free(m);
}
