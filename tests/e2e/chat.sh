#!/bin/bash
# bqb chat and bqb reply with a model that always says 好的 and sends a sticker (tests/fixtures/chat: what it means is wide.png).
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh
shopt -s lastpipe # a status that the end of a pipe sets is ours

mkdir "$tmp/in"
cp tests/golden/images/wide.png tests/golden/images/tall.webp tests/golden/images/animated.gif tests/golden/images/square.jpg "$tmp/in"
{
    printf 'file\tcaption\temotion\tocr\n'
    printf 'wide.png\t加班好累\t难过\t\n'
    printf 'tall.webp\t一只小猫在睡觉\t平静\t晚安\n'
    printf 'animated.gif\t开心到飞起\t开心\t\n'
    printf 'square.jpg\t大哭的小猫\t难过\t呜呜\n'
} >"$tmp/in/captions.tsv"
export BQB_LLM=tests/fixtures/chat
unset BQB_ADAPTER

# Before there is anything to send.
run "$bqb" chat
is "no library: status" $status 1
run "$bqb" import "$tmp/in"
is "import" $status 0

# talk OPTION…: messages from standard input.
talk() {
    "$bqb" chat --temperature 0 --anyway "$@" >"$tmp/out" 2>"$tmp/err"
    status=$?
}

printf '来一张\n换一张\nanother one\n' | talk
is "a conversation: status" $status 0
is "a conversation: the words" "$(grep -c '^好的$' "$tmp/out")" 1
is "a conversation: three stickers" "$(grep -cE '^\[[0-9a-f]{12}\] ' "$tmp/out")" 3
is "a conversation: none twice" "$(grep -E '^    /' "$tmp/out" | sort | uniq | wc -l)" 3
has "a conversation: the right one first" "$tmp/out" '^\[[0-9a-f]*\] 加班好累$'
is "a conversation: nothing but answers" "$(grep -cvE '^(好的|\[[0-9a-f]{12}\] .*|    /.*)$' "$tmp/out")" 0
is "a conversation: no raw tokens" "$(grep -c 'RET\|PRET\|IMG\|im_end' "$tmp/out")" 0
is "a pipe is not prompted" "$(cat "$tmp/err")" ""
cp "$tmp/out" "$tmp/first"
printf '来一张\n换一张\nanother one\n' | talk
same "the same seed, the same conversation" "$tmp/out" "$tmp/first"

printf '来一张\n不要带字的\n带字的\n动图\n' | talk
has "without words" "$tmp/out" '开心到飞起'
is "with words: both are left" "$(grep -c '“' "$tmp/out")" 1
is "nothing is left" "$(tail -1 "$tmp/out")" "没有别的合适的表情了。"
printf '/image %s\n像这张\n/again\n/reset\n换一张\n' "$tmp/in/tall.webp" | talk
is "a picture in the question: status" $status 0
is "a picture, again, and anew" "$(grep -c '^好的$' "$tmp/out")" 3
printf '[RET] <|im_end|> [PRET]\n//slash\n\n/pret\n好\n/pret 好\n/help\n/quit\n来一张\n' | talk
is "commands: status" $status 0
is "commands: four answers" "$(grep -c '^好的$' "$tmp/out")" 4
has "help is on standard error" "$tmp/err" '/image FILE'
printf '来一张\xff\xfe\xe5\n' | talk
is "bytes that are no text: status" $status 0
iconv -f UTF-8 -t UTF-8 "$tmp/out" >"$tmp/mended" 2>&1
is "bytes that are no text: none come out" $? 0

printf '/nope\n/image %s\n/image /nowhere\n/image\n来一张\n' "$tmp/in/captions.tsv" | talk
is "bad commands: status" $status 1
is "bad commands: four messages" "$(grep -c '^bqb: ' "$tmp/err")" 4
is "bad commands: it goes on" "$(grep -c '^好的$' "$tmp/out")" 1
{ head -c 1048577 /dev/zero | tr '\0' 'a'; printf '\n'; head -c 1000000 /dev/zero | tr '\0' 'b'; printf '\nx\0y\n来一张\n'; } | talk
is "messages too long: status" $status 1
has "a message too long: said" "$tmp/err" 'longer than 1 MiB'
has "more than the window: said" "$tmp/err" 'tokens, [0-9]+ fit'
has "a zero byte: said" "$tmp/err" 'zero byte'
is "messages too long: it goes on" "$(grep -c '^好的$' "$tmp/out")" 1

# Options.
for o in '--temperature -1' '--top-p 0' '--beta -1' '--precision int4' 'words'; do
    run "$bqb" chat $o
    is "chat $o: status" $status 2
done
printf '来一张\n' | talk --emotion 平静
has "only one emotion" "$tmp/out" '一只小猫在睡觉'
printf '来一张\n' | talk --emotion 没有
is "an unknown emotion: status" $status 1
printf '来一张\n' | talk --window 100000
has "a window too large" "$tmp/err" 'trained for 256'
printf '来一张\n' | talk --adapter "$tmp/in"
has "no adapter there" "$tmp/err" 'no adapter there'
mkdir "$tmp/lm"
cp tests/fixtures/chat/*.* "$tmp/lm"
printf '来一张\n' | talk --llm "$tmp/lm"
has "not tuned yet: how to" "$tmp/err" 'bqb tune --llm .*/lm --out'
printf '来一张\n' | talk --llm "$tmp/lm" --adapter tests/fixtures/chat/adapter
is "an adapter from elsewhere" "$status$(grep -c '^好的$' "$tmp/out")" 01
printf '来一张\n' | talk --llm "$tmp/nowhere"
has "no such model" "$tmp/err" 'no such language model'
printf '来一张\n' | talk --model models/mini
has "the wrong StickerCLIP is named" "$tmp/err" 'belongs to the StickerCLIP'
sed 's/"vocab_size":[0-9]*/"vocab_size":900/' tests/fixtures/chat/config.json >"$tmp/lm/config.json"
printf '来一张\n' | talk --llm "$tmp/lm" --adapter tests/fixtures/chat/adapter
is "a vocabulary that is too small: status" $status 1
"$bqb" -L "$tmp/none" import "$tmp/in" --no-embed >"$tmp/out" 2>&1 || "$bqb" -L "$tmp/none" --model "$tmp/nowhere" import "$tmp/in" >"$tmp/out" 2>&1
printf '来一张\n' | "$bqb" -L "$tmp/none" chat >"$tmp/out" 2>"$tmp/err"
has "a library without vectors" "$tmp/err" 'no (stickers|vectors)|not there|no library'

# Ctrl-C: in a pipe it ends everything, and what was said stays said.
mkfifo "$tmp/fifo"
"$bqb" chat --temperature 0 --anyway <"$tmp/fifo" >"$tmp/out" 2>"$tmp/err" &
pid=$!
exec 9>"$tmp/fifo"
printf '来一张\n' >&9
for _ in $(seq 100); do grep -q 加班 "$tmp/out" && break; sleep 0.05; done
kill -INT $pid
exec 9>&-
wait $pid
is "an answer comes at once, before the input ends" "$(grep -c '^好的$' "$tmp/out")" 1

# For programs.
reply() {
    "$bqb" reply --temperature 0 "$@" >"$tmp/out" 2>"$tmp/err"
    status=$?
}
echo '{"messages":[{"role":"user","content":"来一张"}],"anyway":true,"n":3}' | reply
is "reply: status" $status 0
json "reply: text" .text 好的
json "reply: three, one of them sent" '[.stickers[]|.sent]' '[true,false,false]'
json "reply: the right one first" '.stickers[0]|[.caption,.id|type]' '["string","string"]'
json "reply: caption" '.stickers[0].caption' 加班好累
json "reply: scores fall" '[.stickers[].score]|(. == (sort|reverse))' true
json "reply: why it stopped" '[.stopped,(.took_ms|type),.tokens.said]' '["end","number",5]'
id=$(jq -r '.stickers[0].id' "$tmp/out")
second=$(jq -r '.stickers[1].id' "$tmp/out")
{
    echo '{"messages":[{"role":"user","content":"来一张"},{"role":"assistant","content":"好","stickers":["'$id'"]},{"role":"user","content":"换一张"}],"anyway":true}'
    echo
    echo '{"messages":[{"role":"system","content":"s"},{"role":"user","content":"来"}],"anyway":true,"exclude":["'$id'"]}'
    echo '{"messages":[{"role":"user","content":["像这张",{"type":"image","image":"'$tmp'/in/tall.webp"},{"text":"的"}]}],"anyway":true,"pret":true,"filters":{"emotion":"平静"}}'
    echo '{"messages":[{"role":"user","content":[{"image":"data:image/webp;base64,'$(base64 -w0 "$tmp/in/tall.webp")'"}]}],"anyway":true}'
    printf '{"messages":\n [{"role":"user",\n   "content":"来{一[张"}],\n "anyway":true}\n'
} | reply
is "reply, many: status" $status 0
is "reply, many: a line each" "$(wc -l <"$tmp/out")" 5
is "reply: another one" "$(sed -n 1p "$tmp/out" | jq -c '[.rule,.text,(.stickers[0].id != "'$id'")]')" '["another","",true]'
is "reply: excluded" "$(sed -n 2p "$tmp/out" | jq -c '.stickers[0].id == "'$second'"')" true
is "reply: filtered" "$(sed -n 3p "$tmp/out" | jq -c '[.stickers[].caption]')" '["一只小猫在睡觉"]'
is "reply: a picture as base64, and over several lines" "$(sed -n '4,5p' "$tmp/out" | jq -c '.stickers|length' | tr '\n' ' ')" "1 1 "

# error NAME PATTERN REQUEST: an error object that names the place, and the next request is answered.
error() {
    printf '%s\n{"messages":[{"role":"user","content":"好"}]}\n' "$3" | reply
    is "$1: status" $status 1
    is "$1: an object each" "$(jq -c '[(.error|type),(.text|type)]' "$tmp/out" 2>&1 | tr '\n' ' ')" '["string","null"] ["null","string"] '
    has "$1: the place" "$tmp/out" "$2"
}
error "cut JSON" '"error": "invalid JSON.*"line": 1, "position": [0-9]+' '{"messages":[{"role":"us'
error "no messages" 'messages: a list' '{}'
error "an unknown key" 'messages\[0\].contents' '{"messages":[{"role":"user","contents":"x"}]}'
error "an unknown role" 'messages\[0\].role' '{"messages":[{"role":"dog","content":"x"}]}'
error "the assistant last" 'messages\[1\].role: the last' '{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"x"}]}'
error "a sticker that is not there" 'messages\[0\].stickers|messages\[1\].stickers' '{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"x","stickers":["ffffffffffffffff"]},{"role":"user","content":"x"}]}'
error "a picture that is not there" 'messages\[0\].content: .*neither a file' '{"messages":[{"role":"user","content":[{"image":"nowhere.png"}]}]}'
error "a picture that is none" 'messages\[0\]: .*needed a picture' '{"messages":[{"role":"user","content":[{"image":"'$tmp'/in/captions.tsv"}]}]}'
error "an empty message" 'messages\[0\]: the message is empty' '{"messages":[{"role":"user","content":""}]}'
error "a number that is text" 'temperature: is no number' '{"messages":[{"role":"user","content":"x"}],"temperature":"hot"}'
error "out of range" 'temperature' '{"messages":[{"role":"user","content":"x"}],"temperature":-3}'
error "an unknown emotion" 'no sticker has the emotion' '{"messages":[{"role":"user","content":"x"}],"filters":{"emotion":"没有"}}'
error "too deep" 'deeper' '{"messages":'"$(printf '[%.0s' $(seq 40))$(printf ']%.0s' $(seq 40))"'}'
run "$bqb" reply extra
is "reply with words: status" $status 2
run "$bqb" reply -n 0
is "reply -n 0: status" $status 2

summary chat
