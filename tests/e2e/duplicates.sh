#!/bin/bash
# Near copies from outside: found at import, listed, folded in results, hidden behind a keeper.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh

mkdir "$tmp/in"
cp tests/golden/images/wide.png "$tmp/in/a.png"
cp tests/golden/images/wide.png "$tmp/in/b.png" && printf 'saved again' >>"$tmp/in/b.png" # other bytes, the same picture
cp tests/golden/images/tall.webp "$tmp/in/c.webp"
cp tests/golden/images/square.jpg "$tmp/in/d.jpg"
{
    printf 'file\tcaption\temotion\n'
    printf 'a.png\t加班好累\t\n'
    printf 'b.png\t加班好累啊\t难过\n'
    printf 'c.webp\t一只小猫\t\n'
    printf 'd.jpg\t大哭的小猫\t\n'
} >"$tmp/in/captions.tsv"
run "$bqb" import "$tmp/in"
is "import" $status 0
has "import tells of the copy" "$tmp/out" '^1 near copy of another sticker'

run "$bqb" duplicates --json
is "duplicates" $status 0
json "one group of two, the better annotated one first" '[.groups[].stickers[].file|split("/")[-1]]' '["b.png","a.png"]'
json "nobody was chosen" '[.groups[0].keeper,.groups[0].stickers[0].hidden]' '[null,false]'
json "nothing has other words" '.other_words|length' 0
first=$(jq -r '.groups[0].stickers[0].id' "$tmp/out") second=$(jq -r '.groups[0].stickers[1].id' "$tmp/out")
run "$bqb" duplicates
has "as lines" "$tmp/out" '^group 1: 2 stickers'
has "with sizes" "$tmp/out" "^  $first .*png"

# Folded in results.
run "$bqb" search --json 加班好累
json "one is shown, one stands behind it" '[.results[]|select(.caption|startswith("加班"))|.folded]' '[1]'
json "others have none behind them" '[.results[]|select(.caption|startswith("加班")|not)|.folded]|unique|tostring|.=="[0]" or .=="[]"' true
run "$bqb" search 加班好累
has "as a note" "$tmp/out" 'and 1 near copy'
run "$bqb" search --all --json 加班好累
json "--all shows both" '[.results[]|select(.caption|startswith("加班"))|.folded]' '[0,0]'

# A keeper.
run "$bqb" duplicates --keep "$second"
is "keep" $status 0
has "keep counts" "$tmp/out" '^1 group, 1 with a keeper; 1 sticker hidden'
run "$bqb" search --json 加班好累啊
json "the keeper is shown for both" '[.results[0].id,.results[0].folded]' "[\"$second\",1]"
run "$bqb" duplicates --json
json "the keeper comes first" '[.groups[0].keeper,.groups[0].stickers[1].hidden]' "[\"$second\",true]"
run "$bqb" show --json "$first"
json "show tells" '[.near_copies,.keeper,.hidden]' '[1,false,true]'
run "$bqb" show "$first"
has "show tells in words" "$tmp/out" 'near copies +1; hidden'
run "$bqb" duplicates --keep-best
run "$bqb" duplicates --json
json "keep-best leaves what was chosen" '.groups[0].keeper' "$second"
run "$bqb" duplicates --undo "$first" # any of the group
has "undo" "$tmp/out" '^1 group, 0 with a keeper'
run "$bqb" duplicates --keep-best
run "$bqb" duplicates --json
json "keep-best takes the best annotated" '.groups[0].keeper' "$first"
run "$bqb" duplicates --keep "$(sha256sum "$tmp/in/d.jpg" | cut -c1-12)"
is "keep of what has no copies" $status 1
has "keep of what has no copies says so" "$tmp/err" 'no near copies'
run "$bqb" duplicates --keep 0000
is "keep of nobody" $status 1
run "$bqb" duplicates extra
is "words are wrong usage" $status 2

# A sheet.
run "$bqb" duplicates --sheet "$tmp/sheet.png"
is "sheet" $status 0
is "sheet is a PNG" "$(head -c 4 "$tmp/sheet.png" | tail -c 3)" PNG

BQB_LIBRARY=$tmp/alone run "$bqb" import "$tmp/in/c.webp"
BQB_LIBRARY=$tmp/alone run "$bqb" duplicates --sheet "$tmp/none.png"
is "a sheet of nothing is no failure" $status 0
has "a sheet of nothing says so" "$tmp/err" '^no near copies: no sheet is drawn$'
[ ! -e "$tmp/none.png" ] && ok || fail "a sheet of nothing was drawn"

# A copy that comes later is hidden, too; files are never touched.
cp tests/golden/images/wide.png "$tmp/in/e.png" && printf 'and again' >>"$tmp/in/e.png"
run "$bqb" import "$tmp/in"
has "a later copy is told" "$tmp/out" '^1 near copy'
run "$bqb" duplicates --json
json "and hidden behind the keeper" '[.groups[0].keeper,(.groups[0].stickers|map(select(.hidden))|length)]' "[\"$first\",2]"
run "$bqb" remove "$first"
run "$bqb" duplicates --json
json "a keeper that is removed hides nobody" '[.groups[0].keeper,(.groups[0].stickers|length)]' '[null,2]'
is "all files are there" "$(ls "$tmp/in" | wc -l)" 6

# No output is written over something else: a sticker, the library, a picture.
before=$(sha256sum "$tmp/in/a.png" "$tmp/in/d.jpg")
run "$bqb" duplicates --sheet "$tmp/in/a.png"
is "a sheet over a sticker" $status 2
has "is refused by name" "$tmp/err" 'a.png: is there and is no picture that bqb made'
run "$bqb" duplicates --sheet "$BQB_LIBRARY/library.db"
is "a sheet over the library" $status 2
run "$bqb" stats --chart "$tmp/in/d.jpg"
is "a chart over a picture" $status 2
run "$bqb" embed text --npy "$tmp/in/d.jpg" 猫
is "an array over a picture" $status 2
run "$bqb" eval --data "$tmp/in/captions.tsv" --html "$tmp/in/d.jpg"
is "a page over a picture" $status 2
has "it is left as it is" "$tmp/err" 'is no page that bqb made; it is left as it is'
is "all of them are as they were" "$(sha256sum "$tmp/in/a.png" "$tmp/in/d.jpg")" "$before"

# A library that nobody may write to is listed as it is known.
if [ "$(id -u)" != 0 ]; then
    chmod -R a-w "$BQB_LIBRARY"
    run "$bqb" duplicates --json
    is "read-only" $status 0
    json "read-only: what is known" '.groups|length' 1
    chmod -R u+w "$BQB_LIBRARY"
fi

summary duplicates
