#!/bin/bash
# search in all its forms, from outside: many queries at once, by words or by picture.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh

mkdir "$tmp/in"
cp tests/golden/images/wide.png "$tmp/in/IMG_0001.png"
cp tests/golden/images/tall.webp "$tmp/in/IMG_0002.webp"
cp tests/golden/images/animated.gif "$tmp/in/IMG_0003.gif"
cp tests/golden/images/square.jpg "$tmp/in/IMG_0004.jpg"
{
    printf 'file\tcaption\temotion\tocr\n'
    printf 'IMG_0001.png\t加班好累\t难过\t\n'
    printf 'IMG_0002.webp\t一只小猫在睡觉\t平静\t晚安\n'
    printf 'IMG_0003.gif\t开心到飞起\t开心\t\n'
    printf 'IMG_0004.jpg\t大哭的小猫\t难过\t呜呜\n'
} >"$tmp/in/captions.tsv"
run "$bqb" import "$tmp/in"
is "import" $status 0

# Many queries: one answer a line, in order, and a bad line ends nothing.
printf '晚安\n开心\xff\n\n加班好累\r\n呜呜' >"$tmp/queries"
run "$bqb" search --json --queries "$tmp/queries"
is "queries: status with a bad line" $status 1
is "queries: an object a line" "$(wc -l <"$tmp/out")" 5
is "queries: order" "$(jq -c .query "$tmp/out" | tr "\n" " ")" "\"晚安\" \"开心�\" \"\" \"加班好累\" \"呜呜\" "
is "queries: answers" "$(jq -rc '[.results[0]?.caption, .line, .error]' "$tmp/out" | tr '\n' ' ')" \
    '["一只小猫在睡觉",null,null] [null,2,"not valid UTF-8"] [null,3,"the query is empty"] ["加班好累",null,null] ["大哭的小猫",null,null] '
jq -c 'select(.results)|[.query,[.results[]|[.id,.score]]]' "$tmp/out" >"$tmp/many"
for q in 晚安 加班好累 呜呜; do "$bqb" search --json "$q"; done | jq -c '[.query,[.results[]|[.id,.score]]]' >"$tmp/single"
is "queries: the same as one by one" "$(cat "$tmp/many")" "$(cat "$tmp/single")"
printf '晚安\n加班\n' | "$bqb" search --queries - -n 1 >"$tmp/out" 2>"$tmp/err"
is "queries from a pipe: status" $? 0
has "queries as text: headed by the query" "$tmp/out" '^# 加班$'
is "queries as text: two answers" "$(grep -c '^ 1  0' "$tmp/out")" 2
printf '晚\0安\n' | "$bqb" search --queries - >"$tmp/out" 2>"$tmp/err"
is "a zero byte: status" $? 1
has "a zero byte: the line is named" "$tmp/err" '^bqb: line 1: holds a zero byte$'
: >"$tmp/empty"
run "$bqb" search --json --queries "$tmp/empty"
is "no queries, no answers" "$status$(cat "$tmp/out")" 0
run "$bqb" search --queries "$tmp/nowhere"
is "a file of queries that is not there: status" $status 1
has "a file of queries that is not there" "$tmp/err" 'nowhere: No such file'
run "$bqb" search --queries "$tmp/queries" 晚安
is "queries from two sides: status" $status 2

# One rule for words to look for, wherever they come from.
long=$(head -c 16385 /dev/zero | tr '\0' a)
for o in "" --not --emotion --style; do
    expect "no UTF-8 ${o:-query}" 2 - 'is not valid UTF-8' "$bqb" search 猫 $o $'\xe5\x8a'
    expect "a long ${o:-query}" 2 - 'is longer than 16 KiB' "$bqb" search 猫 $o "$long"
done
printf '%s\n晚安\n' "$long" >"$tmp/queries"
run "$bqb" search --json --queries "$tmp/queries"
is "queries: a long line" "$(jq -rc '[.error, .results[0]?.ocr]' "$tmp/out" | tr '\n' ' ')" '["longer than 16 KiB",null] [null,"晚安"] '

# A filter's value that nothing has: a failure that lists what there is.
expect "an unknown emotion" 1 - 'no sticker has the emotion "nonsense"; there are: 难过 \(2\), (平静|开心) \(1\)' "$bqb" search --emotion nonsense 猫
expect "an unknown style" 1 - 'no sticker has the style "nonsense"; none has any' "$bqb" search --style nonsense 猫
expect "similar, an unknown emotion" 1 - 'there are: 难过' "$bqb" similar --emotion nonsense "$tmp/in/IMG_0001.png"
run "$bqb" search --json --emotion nonsense 猫
is "an unknown emotion as JSON: status" $status 1
json "an unknown emotion as JSON" '[.query,.results,(.error|contains("there are: 难过 (2)"))]' '["猫",[],true]'
printf '猫\n狗\n' >"$tmp/queries"
run "$bqb" search --json --style nonsense --queries "$tmp/queries"
is "an unknown style and many queries" "$status $(jq -rc '[.query,(.error|contains("no sticker has the style"))]' "$tmp/out" | tr '\n' ' ')" '1 ["猫",true] ["狗",true] '
run "$bqb" search --json --emotion 平静 --animated 猫
is "nothing passes two filters: no failure" $status 0

# What ranks.
run "$bqb" search --json --by words 晚安
json "by words: only who has them" '[.results[].ocr]' '["晚安"]'
run env BQB_MODEL="$tmp/nowhere" "$bqb" search --json --by words 晚安
json "by words: no model is looked for" '[.results[].ocr]' '["晚安"]'
run "$bqb" search --json --by picture 完全没有
json "by picture: all" '.results|length' 4
run "$bqb" search --by smell 晚安
is "by something else: status" $status 2
run "$bqb" search --by words --image "$tmp/in/IMG_0004.jpg"
is "a picture by words: status" $status 2

# Why.
run "$bqb" search --json --explain 小猫晚安 -n 2
json "explain: parts" '[.results[0].explain|keys_unsorted]' '[["sum","picture","text","words","matches"]]'
json "explain: figures" '[.results[].explain|(.picture,.text,.words)|[has("value","z","weight","gain")]|all]|all' true
json "explain: gains add up" '[.results[].explain|(.sum-.picture.gain-.text.gain-.words.gain)|fabs < 1e-3]|all' true
json "explain: best first" '[.results[].explain.sum]|. == (sort|reverse)' true
json "explain: matches" '[.results[0].explain.matches[]|[.field,.match]]|sort' '[["caption","小猫"],["ocr","晚安"]]'
run "$bqb" search --json 小猫晚安 -n 1
json "no explanation unasked" '.results[0]|has("explain")' false
run "$bqb" search --explain 小猫晚安 -n 1
has "explain as text: a table" "$tmp/out" '^ +words +[01]\.[0-9]{4} +7\.00 +[0-9.]+$'
has "explain as text: words" "$tmp/out" 'ocr \(given 1\.00\): 晚安 in "晚安"'
run "$bqb" search --json --explain --by words 晚安
json "explain by words" '[.results[0].explain|keys_unsorted]' '[["sum","words","matches"]]'
run "$bqb" search --json --explain --image "$tmp/in/IMG_0004.jpg"
json "explain of a picture" '.results[0].explain|[keys_unsorted,(.like.value > 0.999)]' '[["sum","like","matches"],true]'

# Several pictures, and minus.
run "$bqb" search --json --image "$tmp/in/IMG_0001.png" --image "$tmp/in/IMG_0003.gif" -n 2
json "two pictures: both are found" '[.results[].caption]|sort' '["加班好累","开心到飞起"]'
run "$bqb" search --json 小猫 --not 大哭
json "--not leaves out" '[.results[].caption]|index("大哭的小猫")' null
json "--not leaves the rest" '.results[0].caption' 一只小猫在睡觉
run "$bqb" search --json 小猫 --not 大哭 --not 晚安 --not 微积分
json "--not twice" '[.results[].caption]|sort' '["加班好累","开心到飞起"]'
run "$bqb" search --json 小猫 --not 难过
json "--not by a label" '[.results[].caption]|sort' '["一只小猫在睡觉","开心到飞起"]'
run "$bqb" search --json 小猫 --not 😭
json "--not by an emoji" '[.results[].caption]|index("大哭的小猫")' null
run "$bqb" search --json --explain --image "$tmp/in/IMG_0001.png" --not-image "$tmp/in/IMG_0001.png"
json "--not-image takes away" '[.results[]|select(.caption == "加班好累").explain|(.unlike.gain < 0)]' '[true]'
run "$bqb" search --json --explain 小猫 --not-image "$tmp/in/IMG_0004.jpg" --image "$tmp/in/IMG_0002.webp" --not 加班
json "all at once" '[(.results|length),.results[0].caption,([.results[0].explain|has("like","unlike","picture")]|all)]' '[3,"一只小猫在睡觉",true]'
run env BQB_MODEL="$tmp/nowhere" "$bqb" search --json --by words 小猫 --not 大哭
json "--not by words alone" '[.results[].caption]' '["一只小猫在睡觉"]'
run "$bqb" search --json --by picture 小猫 --not 大哭
json "--not by picture" '[(.results|length),([.results[].caption]|index("大哭的小猫"))]' '[3,null]'
run "$bqb" search --not 哭
is "--not alone: status" $status 2
run "$bqb" search 猫 --not '，'
is "--not without a word: status" $status 1
has "--not without a word" "$tmp/err" 'is no word to leave out'
run "$bqb" search 猫 --image "$tmp/nowhere.png"
is "a picture that is not there: status" $status 1
run "$bqb" search --json --emotion 平静 --animated 猫
json "nothing passes: no judgement" '[.fits,.results]' '[null,[]]'

# Words that change: their vector follows.
run "$bqb" search --json --explain 早起 -n 4
before=$(jq -c '[.results[]|select(.ocr == "晚安").explain.text.value]' "$tmp/out")
id=$(jq -r '.results[]|select(.ocr == "晚安").id' "$tmp/out")
run "$bqb" set "$id" --ocr 早起
run "$bqb" search --json --explain 早起 -n 4
json "set: the words' vector is made again" '.results[0]|[.ocr,(.explain.text.value > 0.999)]' '["早起",true]'
[ "$before" != '[1.0]' ] && ok || fail "the words were not others before"

# The measure of search: every sticker is found by its own caption, none by another's.
BQB=$bqb run tools/measure-search.sh "$tmp/lib" "$tmp/in/captions.tsv"
is "measure: status" $status 0
has "measure: all four by their words" "$tmp/out" '^exact +all +4  100\.0 100\.0 100\.0 100\.0  100\.0'
has "measure: one character missing" "$tmp/out" '^missing +all +4  100\.0'
printf 'file\tcaption\nIMG_0001.png\t大哭的小猫\nIMG_0002.webp\t飞到\n' >"$tmp/in/wrong.tsv"
BQB=$bqb run tools/measure-search.sh "$tmp/lib" "$tmp/in/wrong.tsv"
has "measure: wrong captions are not found" "$tmp/out" '^exact +all +2    0\.0   0\.0   0\.0   0\.0  '

summary search
