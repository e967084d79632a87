#include "cli/search_explain.h"

#include "search/explain.h"

#include <stdio.h>

enum { MOST_MATCHES = 5 };

static json_t *json_of_part(const bqb_reason *r) {
    if (!r->known) return json_null();
    json_t *o = json_object();
    cli_json_set(o, "value", json_real(r->raw));
    cli_json_set(o, "z", json_real(r->z));
    cli_json_set(o, "weight", json_real(r->weight));
    cli_json_set(o, "gain", json_real(r->gain));
    return o;
}

static json_t *json_of_match(const bqb_word_reason *w) {
    json_t *o = json_object();
    cli_json_set(o, "field", json_string(bqb_field_name(w->field)));
    cli_json_set(o, "origin", json_string(bqb_origin_name(w->origin)));
    cli_json_set(o, "belief", json_real(w->belief));
    cli_json_set(o, "text", cli_json_text(w->text));
    cli_json_set(o, "match", cli_json_text(w->match));
    return o;
}

json_t *cli_json_explain(const bqb_found *f, bqb_catalogue *c, const char *query) {
    json_t *o = json_object(), *list = json_array();
    bqb_word_reasons words = {0};
    cli_json_set(o, "sum", json_real(f->sum));
    for (int p = 0; p < BQB_PARTS; p++)
        if (f->reason[p].asked) cli_json_set(o, bqb_part_name((bqb_part)p), json_of_part(&f->reason[p]));
    if (*query && bqb_explain_words(&words, c, f->sticker.id, query, MOST_MATCHES, NULL)) words.n = 0;
    for (size_t i = 0; list && i < words.n; i++)
        if (json_array_append_new(list, json_of_match(&words.item[i]))) {
            json_decref(list);
            list = NULL;
        }
    bqb_word_reasons_free(&words);
    cli_json_set(o, "matches", list);
    return o;
}

static void print_parts(const bqb_found *f) {
    printf("      %-8s %8s %7s %7s %7s\n", "", "value", "z", "weight", "gain");
    for (int p = 0; p < BQB_PARTS; p++) {
        const bqb_reason *r = &f->reason[p];
        if (!r->asked) continue;
        if (!r->known) printf("      %-8s %8s %7s %7s %7.2f\n", bqb_part_name((bqb_part)p), "none", "", "", 0.0);
        else if (p == BQB_PART_WORDS) printf("      %-8s %8.4f %7s %7.2f %7.2f\n", "words", r->raw, "", r->weight, r->gain);
        else printf("      %-8s %8.4f %7.2f %7.2f %7.2f\n", bqb_part_name((bqb_part)p), r->raw, r->z, r->weight, r->gain);
    }
    printf("      %-8s %32.2f\n", "sum", f->sum);
}

bqb_status cli_show_explained(const bqb_search_results *r, bqb_catalogue *c, const char *query, bqb_err *err) {
    for (size_t i = 0; i < r->n; i++) {
        const bqb_found *f = &r->item[i];
        bqb_word_reasons words = {0};
        bqb_status s = *query ? bqb_explain_words(&words, c, f->sticker.id, query, MOST_MATCHES, err) : BQB_OK;
        if (s) return s;
        cli_show_line(f, i + 1);
        print_parts(f);
        for (size_t k = 0; k < words.n; k++) {
            const bqb_word_reason *w = &words.item[k];
            printf("      %s (%s %.2f): ", bqb_field_name(w->field), bqb_origin_name(w->origin), w->belief);
            cli_puts_safe(stdout, w->match);
            fputs(" in \"", stdout);
            cli_puts_safe(stdout, w->text);
            puts("\"");
        }
        bqb_word_reasons_free(&words);
    }
    return BQB_OK;
}
