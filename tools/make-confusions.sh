#!/bin/sh
# usage: tools/make-confusions.sh [WORK_DIR] >src/text/confusions_table.h
# Which character Tesseract takes for which other: everyday characters are drawn small, in five fonts and five sizes,
# read, and what was read is laid beside what stands there; pairs that came up twice at least are kept. Their share of
# the times that a character was read is judged with some doubt: four readings more, all right, are thought up.
# Needs tesseract-ocr, tesseract-ocr-chi-sim, libvips-tools and the fonts of packages.txt, and about ten minutes of one
# processor. What is in WORK_DIR already is not drawn or read again.
set -eu
LC_ALL=C
export LC_ALL
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"
export OMP_THREAD_LIMIT=1

# The 3,755 characters of GB 2312's first level, and what stickers say beside them.
{
    awk 'BEGIN { for (a = 176; a <= 215; a++) for (b = 161; b <= (a == 215 ? 249 : 254); b++) printf "%c%c\n", a, b }' |
        iconv -f GB2312 -t UTF-8
    sed '/^#/d' "$root/data/phrases.tsv" | awk '{
        for (i = 1; i <= length($0); i += k) {
            c = substr($0, i, 1)
            k = c < "\200" ? 1 : c < "\340" ? 2 : c < "\360" ? 3 : 4
            if (k == 3 && c >= "\344" && c <= "\351") print substr($0, i, 3)
        } }'
    printf '%s\n' 哒 呗 咩 喵 嗷 嗨 哟 呵 呃 嘤 噗 嘞 咱 啥 嗯 唔 嗝 嘿 咪 吖 哎 呐 嘎 噢 啵 囧 嘚 瑟
} | sort -u >characters

# draw NAME FONT SIZE SEED: pages of 20 characters a line, 24 lines, in random order; small letters blown up again
draw() {
    awk -v seed="$4" 'BEGIN { srand(seed) } { printf "%.9f\t%s\n", rand(), $0 }' characters | sort | cut -f2 |
        awk -v name="$1" '
            { line = line $0; file = sprintf("%s-%03d.txt", name, int((NR - 1) / 480)) }
            NR % 20 == 0 { print line >file; line = "" }
            END { if (line != "") print line >file }'
    for text in "$1"-*.txt; do
        page=${text%.txt}
        vips text "$page.a.png" "$(cat "$text")" --font "$2 $3" --dpi 72 --spacing 6
        vips invert "$page.a.png" "$page.b.png"
        vips embed "$page.b.png" "$page.a.png" 12 12 $(($(vipsheader -f width "$page.a.png") + 24)) \
            $(($(vipsheader -f height "$page.a.png") + 24)) --extend white
        vips resize "$page.a.png" "$page.jpg[Q=30]" "$(awk "BEGIN { print 36 / $3 }")"
        rm "$page.a.png" "$page.b.png"
    done
    ls "$1"-*.jpg >"$1.list"
}

seed=0
while IFS='|' read -r name font; do
    for size in 10 11 12 14 17; do
        seed=$((seed + 1))
        run=$name-$size
        [ -s "$run.list" ] || draw "$run" "$font" "$size" "$seed"
        [ -s "$run.read" ] || {
            tesseract "$run.list" "$run" -l chi_sim --psm 6 >/dev/null 2>&1
            mv "$run.txt" "$run.read"
        }
    done
done <<'END'
sans|Noto Sans CJK SC Bold
micro|WenQuanYi Micro Hei
kai|AR PL UKai CN
serif|Noto Serif CJK SC Bold
zen|WenQuanYi Zen Hei
END

# Truth and reading of each page, one after the other.
for list in *.list; do
    i=0
    while read -r picture; do
        i=$((i + 1))
        cat "${picture%.jpg}.txt"
        printf '\f'
        awk -v RS='\f' -v i="$i" 'NR == i' "${list%.list}.read"
        printf '\f'
    done <"$list"
done | awk '
function characters(s, a,   n, i, k, c) {
    n = 0
    for (i = 1; i <= length(s); i += k) {
        c = substr(s, i, 1)
        k = c < "\200" ? 1 : c < "\340" ? 2 : c < "\360" ? 3 : 4
        if (c != " " && c != "\n") a[++n] = substr(s, i, k)
    }
    return n
}
# The cheapest way from the truth to the reading; a swap counts where both neighbours were aligned, and one of them right.
function align(truth, read,   n, m, i, j, lo, hi, d, best, k, how) {
    n = characters(truth, T)
    m = characters(read, R)
    for (i = 0; i <= n; i++) {
        lo = i < WIDE ? 0 : i - WIDE
        hi = i + WIDE > m ? m : i + WIDE
        for (j = lo; j <= hi; j++) {
            best = 1e9
            if (!i) { best = j; step[0, j] = "read" }
            if (i && j) { best = before[j - 1] + (T[i] != R[j]); step[i, j] = "both" }
            if (i && j < i + WIDE && before[j] + 1 < best) { best = before[j] + 1; step[i, j] = "truth" }
            if (i && j > lo && now[j - 1] + 1 < best) { best = now[j - 1] + 1; step[i, j] = "read" }
            now[j] = best
        }
        for (j = lo; j <= hi; j++) before[j] = now[j]
    }
    i = n
    j = m
    for (k = 0; i > 0 || j > 0;) {
        how = i && j ? step[i, j] : i ? "truth" : "read"
        t[++k] = how == "read" ? "" : T[i]
        r[k] = how == "truth" ? "" : R[j]
        if (how != "read") i--
        if (how != "truth") j--
    }
    for (i = 2; i < k; i++) {
        if (t[i] == "" || r[i] == "") continue
        if (t[i] != r[i] && (t[i - 1] == "" || r[i - 1] == "" || t[i + 1] == "" || r[i + 1] == "" ||
                             (t[i - 1] != r[i - 1] && t[i + 1] != r[i + 1]))) continue
        total++
        seen[r[i]]++
        if (t[i] == r[i]) right++
        else swapped[t[i] r[i]]++
    }
}
function ideograph(c) { return length(c) == 3 && c >= "\344\270\200" && c <= "\351\277\277" }
BEGIN { RS = "\f"; WIDE = 60; LEAST = 2; DOUBT = 4 }
NR % 2 { truth = $0 }
NR % 2 == 0 { align(truth, $0) }
END {
    printf "%d of %d aligned characters were read right\n", right, total >"/dev/stderr"
    for (p in swapped) {
        t1 = substr(p, 1, 3)
        r1 = substr(p, 4)
        if (!ideograph(t1) || !ideograph(r1)) continue
        if (swapped[p] < LEAST) continue
        share = swapped[p] / (seen[r1] + DOUBT)
        level = int(10 * share + 0.5)
        if (level < 1) level = 1
        printf "%s %.4f %s%d\n", t1, 1 - share, p, level
    }
}' | sort >pairs
cut -d' ' -f3 pairs | awk '
    BEGIN {
        print "/* Made by tools/make-confusions.sh: what stands there, what was read, how often in tenths of the times that it was read;"
        print " * in the order of bytes, the most frequent first. */"
        print "/* clang-format off */"
    }
    { line = line "\"" $0 "\"," (NR % 12 ? " " : "") }
    NR % 12 == 0 { print line; line = "" }
    END { if (line != "") { sub(/ $/, "", line); print line } }'
