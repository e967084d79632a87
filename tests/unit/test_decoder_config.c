/* config.json as real checkpoints have it, and as nobody should believe it. */
#include "base/fs.h"
#include "model/decoder.h"
#include "model/decoder_random.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static char path[1100];

static bqb_status read_json(bqb_decoder_config *c, const char *text, bqb_err *err) {
    snprintf(path, sizeof path, "%s/config.json", test_tmp_dir());
    CHECK_OK(bqb_file_write(path, text, strlen(text), err), *err);
    return bqb_decoder_config_read(c, path, err);
}

#define SIZES "\"vocab_size\":100,\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"intermediate_size\":96"

TEST(decoder_config_of_real_checkpoints) {
    bqb_decoder_config c;
    bqb_err err = {0};
    /* Qwen2.5-Instruct */
    CHECK_OK(read_json(&c, "{\"architectures\":[\"Qwen2ForCausalLM\"],\"attention_dropout\":0.0,\"bos_token_id\":43,\"eos_token_id\":45,\"hidden_act\":\"silu\","
                           "\"max_position_embeddings\":32768,\"max_window_layers\":21,\"model_type\":\"qwen2\",\"num_key_value_heads\":2,\"rms_norm_eps\":1e-06,"
                           "\"rope_theta\":1000000.0,\"sliding_window\":32768,\"tie_word_embeddings\":true,\"torch_dtype\":\"bfloat16\",\"use_cache\":true,"
                           "\"use_mrope\":false,\"use_sliding_window\":false," SIZES "}", &err), err);
    CHECK(c.family == BQB_QWEN2 && c.tied && c.rope_theta == 1e6 && c.rope_factor == 1 && c.head_dim == 16 && c.kv_heads == 2 && c.bos == 43 &&
          c.n_end == 1 && c.end[0] == 45 && c.context == 32768);
    /* and what its generation_config.json adds */
    snprintf(path, sizeof path, "%s/generation_config.json", test_tmp_dir());
    const char *more = "{\"bos_token_id\":43,\"do_sample\":true,\"eos_token_id\":[45,43],\"pad_token_id\":43,\"temperature\":0.7}";
    CHECK_OK(bqb_file_write(path, more, strlen(more), &err), err);
    CHECK_OK(bqb_decoder_config_more_ends(&c, path, &err), err);
    CHECK(c.n_end == 2 && c.end[0] == 45 && c.end[1] == 43);
    /* Llama-3.2-Instruct */
    CHECK_OK(read_json(&c, "{\"model_type\":\"llama\",\"attention_bias\":false,\"mlp_bias\":false,\"bos_token_id\":80,\"eos_token_id\":[81,88,89],\"head_dim\":32,"
                           "\"num_key_value_heads\":1,\"pretraining_tp\":1,\"rms_norm_eps\":1e-05,\"rope_scaling\":{\"factor\":32.0,\"high_freq_factor\":4.0,"
                           "\"low_freq_factor\":1.0,\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"},\"rope_theta\":500000.0," SIZES "}", &err), err);
    CHECK(c.family == BQB_LLAMA && !c.tied && c.rope_llama3 && c.rope_factor == 32 && c.rope_high == 4 && c.head_dim == 32 && c.n_end == 3 && c.end[2] == 89);
    /* Qwen3, and as newer programs write it: one object for the positions */
    CHECK_OK(read_json(&c, "{\"model_type\":\"qwen3\",\"attention_bias\":false,\"head_dim\":128,\"rope_scaling\":null,\"sliding_window\":null,"
                           "\"rope_parameters\":{\"rope_theta\":1000000,\"rope_type\":\"default\"},\"dtype\":\"bfloat16\"," SIZES "}", &err), err);
    CHECK(c.family == BQB_QWEN3 && c.rope_theta == 1e6 && c.rope_factor == 1 && c.head_dim == 128 && c.kv_heads == 4);
    CHECK_OK(read_json(&c, "{\"model_type\":\"llama\",\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"linear\",\"factor\":4}," SIZES "}", &err), err);
    CHECK(c.rope_factor == 4 && !c.rope_llama3 && c.n_end == 0 && c.bos == -1);
}

TEST(decoder_config_refuses_by_name) {
    static const struct {
        const char *text, *message;
        bqb_status want;
    } bad[] = {
        {"{\"model_type\":\"mamba\"," SIZES "}", "mamba", BQB_EUNSUPPORTED},
        {"{" SIZES "}", "missing", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"llama\",\"rope_theta\":0," SIZES "}", "rope_theta", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"rope_theta\":-5," SIZES "}", "rope_theta", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"rope_theta\":NaN," SIZES "}", "config.json", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"rope_theta\":\"fast\"," SIZES "}", "rope_theta", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"rope_parameters\":{\"rope_theta\":0}," SIZES "}", "rope_theta", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"rms_norm_eps\":0," SIZES "}", "rms_norm_eps", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"num_key_value_heads\":3," SIZES "}", "4 heads cannot share 3", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"head_dim\":15," SIZES "}", "odd", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}," SIZES "}", "yarn", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":4}," SIZES "}", "dynamic", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"llama\",\"rope_parameters\":{\"rope_type\":\"longrope\"}," SIZES "}", "longrope", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"llama\",\"partial_rotary_factor\":0.5," SIZES "}", "part of each head", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"llama\",\"mlp_bias\":true," SIZES "}", "biases", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"llama\",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}," SIZES "}", "gptq", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"qwen2\",\"use_sliding_window\":true," SIZES "}", "sliding window", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"qwen2\",\"hidden_act\":\"gelu\"," SIZES "}", "gelu", BQB_EUNSUPPORTED},
        {"{\"model_type\":\"llama\",\"eos_token_id\":-7," SIZES "}", "eos_token_id", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"eos_token_id\":[1,\"x\"]," SIZES "}", "eos_token_id", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,\"num_hidden_layers\":1000000000,\"num_attention_heads\":4,\"intermediate_size\":96}",
         "num_hidden_layers", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,\"num_hidden_layers\":5000,\"num_attention_heads\":4,\"intermediate_size\":96}",
         "layers 5000", BQB_EFORMAT},
        {"{\"model_type\":\"llama\",\"vocab_size\":0,\"hidden_size\":64,\"num_hidden_layers\":1,\"num_attention_heads\":4,\"intermediate_size\":96}", "vocab_size",
         BQB_EFORMAT},
        {"{\"model_type\":\"llama\"}", "is missing", BQB_EFORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bqb_decoder_config c;
        bqb_err err = {0};
        bqb_status s = read_json(&c, bad[i].text, &err);
        CHECK_MSG(s == bad[i].want && strstr(err.msg, bad[i].message) && strstr(err.msg, "config.json"), "%s: status %d, %s", bad[i].text, (int)s, err.msg);
    }
}

/* A folder whose two files disagree. */
TEST(decoder_config_and_weights_disagree) {
    bqb_decoder_config c = {.family = BQB_LLAMA, .vocab = 60, .width = 32, .layers = 2, .heads = 2, .kv_heads = 1, .head_dim = 16, .mlp = 48,
                            .context = 64, .eps = 1e-6f, .rope_theta = 1e4, .rope_factor = 1, .tied = true, .bos = -1};
    static const struct {
        const char *from, *to, *message;
    } lies[] = {{"\"num_hidden_layers\":2", "\"num_hidden_layers\":4000", "4000 layers"}, {"\"vocab_size\":60", "\"vocab_size\":61", "61 × 32"},
                {"\"tie_word_embeddings\":true", "\"tie_word_embeddings\":false", "lm_head.weight"}, {"\"intermediate_size\":48", "\"intermediate_size\":47", "mlp"},
                {"\"model_type\":\"llama\"", "\"model_type\":\"qwen3\"", "q_norm"}};
    char dir[1000], config[1100], text[2048], changed[2400];
    bqb_err err = {0};
    snprintf(dir, sizeof dir, "%s/model", test_tmp_dir());
    snprintf(config, sizeof config, "%s/config.json", dir);
    if (!CHECK_OK(bqb_decoder_write_random(dir, &c, BQB_ROW_BF16, &err), err)) return;
    FILE *f = fopen(config, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    text[n] = 0;
    bqb_decoder *m = NULL;
    CHECK_OK(bqb_decoder_open(&m, dir, BQB_PREC_F32, 1, &err), err);
    bqb_decoder_free(m);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char *at = strstr(text, lies[i].from);
        if (!CHECK(at != NULL)) continue;
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, lies[i].to, at + strlen(lies[i].from));
        CHECK_OK(bqb_file_write(config, changed, strlen(changed), &err), err);
        bqb_status s = bqb_decoder_open(&m, dir, BQB_PREC_F32, 1, &err);
        CHECK_MSG(s == BQB_EFORMAT && !m && strstr(err.msg, lies[i].message), "%s: status %d, %s", lies[i].to, (int)s, err.msg);
    }
}
