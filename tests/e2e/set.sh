#!/bin/bash
# bqb set: a person's words, believed before all else and kept through imports; ids from standard input.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh

mkdir -p "$tmp/in"
cp tests/golden/images/wide.png "$tmp/in/加班好累.png"
cp tests/golden/images/tall.webp "$tmp/in/IMG_0001.webp"
cp tests/golden/images/square.jpg "$tmp/in/a00001.jpg"
printf 'file\tcaption\temotion\tstyle\tocr\na00001.jpg\t一只猫在睡觉\t平静\t像素\t晚安\n' >"$tmp/in/captions.tsv"
cat="$tmp/in/a00001.jpg"

run "$bqb" set --caption x "$cat"
is "set without a library: status" $status 1
has "set without a library" "$tmp/err" 'no library here yet'
[ ! -e "$tmp/lib" ] && ok || fail "set made a library"
run "$bqb" import "$tmp/in"

# One sticker, several fields.
run "$bqb" set "$cat" --caption 橘猫翻身 --emotion 困倦 --emotion-label 累瘫
is "set: status" $status 0
is "set: says so" "$(cat "$tmp/out")" "1 sticker changed"
run "$bqb" show --json "$cat"
json "set" '[.caption,.emotion,.emotion_label,.style]' '["橘猫翻身","困倦","累瘫","像素"]'
json "set: origins" '[.origin.caption,.origin.emotion,.origin.style,.confidence.caption]' '["edited","edited","given",1]'
run "$bqb" show "$cat"
has "show says who" "$tmp/out" '^emotion +困倦  \(edited\)$'
has "show says who, of a table" "$tmp/out" '^style +像素  \(given\)$'
run "$bqb" search --json 橘猫 -n 1
json "what is set is found" '.results[0].caption' 橘猫翻身
run "$bqb" search --json 一只猫在睡觉 -n 3
json "what it replaced is not" '[.results[].caption]|index("一只猫在睡觉")' null
run "$bqb" search --json --emotion 困倦 x
json "the filter sees it" '[.results[].caption]' '["橘猫翻身"]'
run "$bqb" search --json --emotion 平静 x
json "and what it replaced is gone" '.results' '[]'
run "$bqb" set "$cat" --caption 橘猫翻身
is "set again: nothing changes" "$(cat "$tmp/out")" "$(printf '0 stickers changed\n1 was so already')"

run "$bqb" search --emotion 困卷 x
has "an emotion that nothing has: the near one is named" "$tmp/err" 'no sticker has the emotion "困卷"; near it: 困倦 \(1\); there are: '
run "$bqb" set "$tmp/in/IMG_0001.webp" --emotion 困卷
has "a new emotion: the near one is named" "$tmp/err" 'no sticker had the emotion "困卷" before; near it: 困倦 \(1\)$'
run "$bqb" set "$tmp/in/IMG_0001.webp" --emotion 困倦
is "one that is known: nothing is said" "$(cat "$tmp/err")" ""
run "$bqb" set "$tmp/in/IMG_0001.webp" --clear emotion

# What would steer a terminal or break a line does neither: a value is one line, and names are shown with U+FFFD.
esc=$(printf '\033') csi=$(printf '\302\233')
run "$bqb" set "$tmp/in/IMG_0001.webp" --caption "两${esc}[31m行"$'\n\t'"字${csi}2J"
run "$bqb" show --json "$tmp/in/IMG_0001.webp"
json "a caption is one line" .caption '两 [31m行 字 2J'
run "$bqb" set "$tmp/in/IMG_0001.webp" --caption $'\t\n'
run "$bqb" show --json "$tmp/in/IMG_0001.webp"
json "nothing but control characters takes back" .caption ''
mkdir "$tmp/evil"
evil="$tmp/evil/看${esc}[31m${csi}2J${esc}]0;x$(printf '\a')"$'\n'".png"
cp tests/golden/images/gray.png "$evil"
printf 'file\tcaption\temotion\n%s\t字\033[31m色\\n二\t怕\302\2332J\n' "$(basename "$evil" | sed 's/$/\\n/' | tr -d '\n' | sed 's/\\n$//')" >"$tmp/evil/captions.tsv"
cp tests/golden/images/cmyk.jpg "$tmp/evil/broken${esc}[2J.png"
head -c 99 tests/golden/images/wide.png >"$tmp/evil/broken${csi}2J.png"
# What the program says of them, all of it.
tell() {
    "$bqb" import "$tmp/evil"
    "$bqb" search --no-pictures -n 9 --explain 看
    "$bqb" search --json 看
    "$bqb" search "$esc[31m"
    "$bqb" search --emotion "${csi}2J" x
    "$bqb" show "$evil"
    "$bqb" show --json "$evil"
    "$bqb" stats
    "$bqb" duplicates
    "$bqb" show "/no$esc[31m/where${csi}2J"
    "$bqb" "${csi}2J"
    "$bqb" "--${csi}2J"
    "$bqb" set "--${esc}[31m"
    "$bqb" set --clear "${csi}2J" x
    "$bqb" import "$tmp/no${csi}2J"
    "$bqb" embed text "${csi}2J" | cut -c1-40
    "$bqb" embed image "$tmp/evil/broken${csi}2J.png"
    "$bqb" stats --data "$tmp/evil/captions.tsv"
    "$bqb" annotate "/no${csi}2J"
}
tell >"$tmp/told" 2>&1
has "it was told of" "$tmp/told" '^ 1  .*'
is "nothing steers the terminal" "$(LC_ALL=C grep -anE "$esc|$(printf '\302[\200-\237]')|$(printf '\a')" "$tmp/told" | head -n 3 | cat -v)" ""
run "$bqb" search --json --style x 看
run "$bqb" show --json "$evil"
json "as JSON the name is whole" .file "$(realpath "$evil")"
run "$bqb" remove "$evil" "$tmp/evil/broken${esc}[2J.png"

# A table that says otherwise, later: before and after it, the file read anew and copied.
printf 'file\tcaption\temotion\tstyle\tocr\na00001.jpg\t一只狗\t生气\t水墨\t早安\n' >"$tmp/in/captions.tsv"
cp "$cat" "$tmp/in/copy.jpg"
touch "$cat"
run "$bqb" import "$tmp/in"
run "$bqb" show --json "$cat"
json "an import does not change what is set" '[.caption,.emotion,.style,.ocr]' '["橘猫翻身","困倦","水墨","早安"]'
run "$bqb" search --json 一只狗 -n 1
json "the table's word is not found meanwhile" '[.results[0].caption]|index("一只狗")' null

# Taking back: the table's word of now counts again.
run "$bqb" set "$cat" --caption "" --clear emotion --json
json "clear" '[.changed,.unchanged]' '[1,0]'
json "clear: what is believed then" '.results[0]|[.caption,.emotion,.emotion_label,.origin.caption]' \
    '["一只狗","生气","累瘫","given"]'
run "$bqb" search --json 一只狗 -n 1
json "and it is found" '.results[0].caption' 一只狗
run "$bqb" set "$cat" --clear all
run "$bqb" show --json "$cat"
json "clear all" '.emotion_label' null
run "$bqb" set "$cat" --clear all
is "clear again: nothing changes" "$(sed -n 1p "$tmp/out")" "0 stickers changed"

# Several at once, all or none; names from standard input.
run "$bqb" set --emotion 开心 "$tmp/in/加班好累.png" ffffffffffff
is "set is all or nothing: status" $status 1
has "set names what is not there" "$tmp/err" 'no sticker ffffffffffff'
run "$bqb" show --json "$tmp/in/加班好累.png"
json "set is all or nothing" '[.emotion]' '[""]'
"$bqb" search x -n 3 --json | jq -r '.results[].id' | "$bqb" set - --emotion 开心 --json >"$tmp/out" 2>"$tmp/err"
json "ids from standard input" '[.changed,(.results|length)]' '[3,3]'
run "$bqb" search --json --emotion 开心 x
json "all of them" '.results|length' 3
printf '\n  %s  \r\n%s\n\n' "$cat" "$cat" | "$bqb" show - --json >"$tmp/out" 2>"$tmp/err"
is "a sticker that is named twice is shown once" "$(wc -l <"$tmp/out")" 1
printf '%s\nzzz\n' "$cat" | "$bqb" remove - >"$tmp/out" 2>"$tmp/err"
is "remove from standard input is all or nothing" "$?" 1
run "$bqb" set --emotion x -
is "nobody: status" $status 0
is "nobody" "$(cat "$tmp/out")" "0 stickers changed"
run "$bqb" stats --json
json "none was removed" .stickers 3
printf '%s\n' "$cat" | "$bqb" remove - >"$tmp/out" 2>"$tmp/err"
is "remove from standard input" "$(cat "$tmp/out")" "1 removed"

# Wrong usage.
expect "no sticker" 2 - 'which sticker' "$bqb" set --emotion x
expect "nothing to set" 2 - 'nothing to set' "$bqb" set "$tmp/in/加班好累.png"
expect "an unknown field" 2 - '--clear colour: needs caption' "$bqb" set --clear colour "$tmp/in/加班好累.png"
expect "both" 2 - 'both set and cleared' "$bqb" set --style x --clear style "$tmp/in/加班好累.png"
expect "no UTF-8" 2 - 'the caption is no UTF-8' "$bqb" set --caption $'\xff' "$tmp/in/加班好累.png"
expect "too long" 2 - '5000 bytes, 4096 are the most' "$bqb" set --ocr "$(printf 'a%.0s' {1..5000})" "$tmp/in/加班好累.png"
expect "a file of elsewhere" 1 - 'no file of this library' "$bqb" set --ocr x tests/golden/images/alpha.png

summary set
