#!/bin/sh
# Write the vocabulary of the bundled model (models/mini/vocab.txt) to stdout:
# one token a line, the first line is token 0.
#
#   tools/make-vocab.sh > models/mini/vocab.txt
#
# What is in it, in this order, each token once:
#   1. [PAD] [UNK] [CLS] [SEP] [MASK]
#   2. punctuation, digits, Latin letters, kana, the commonest emoji; where a
#      character does not stand alone for BERT, also as a ## piece
#   3. level 1 of GB 2312: the 3,755 commonest simplified characters
#   4. characters of chats and stickers that are not among them (list below)
#   5. the traditional forms of common characters (list below)
#   6. English and chat words, and ## pieces to spell others (lists below)
#   7. every further Han character in the Chinese emoji annotations of Unicode
#      CLDR (Debian: unicode-cldr-core), in code order; last, because a newer
#      CLDR may have more of them
#
# “ ” are not there: they are read as ". BERT strips accents before it looks a word up, so voiced kana (が, which is か
# and a mark) need no token of their own.
# Needs a POSIX shell, awk, iconv, od, sort, and CLDR. $CLDR names its folder.
set -eu
LC_ALL=C
export LC_ALL
CLDR=${CLDR:-/usr/share/unicode/cldr/common}

# Words of stdin, one a line; comments go.
words() { sed 's/#[ ].*//' | tr -s ' \t' '\n\n' | sed '/^$/d'; }

# The characters of stdin (UTF-8), one a line; blanks go.
chars() {
    tr -d ' \t\n' | od -An -v -tu1 | awk '
        { for (i = 1; i <= NF; i++) {
            if ($i < 128 || $i >= 192) printf "\n"
            printf "%c", $i
        } }
        END { printf "\n" }' | sed '/^$/d'
}

# Each line as it is, and as a piece.
with_piece() { awk '{ print; print "##" $0 }'; }

punctuation() {
    cat <<'END' | chars
! " # $ % & ' ( ) * + , - . / : ; < = > ? @ [ \ ] ^ _ ` { | } ~
， 。 ！ ？ ～ … ‘ ’ 《 》 ； ： 、 （ ） 【 】 「 」 『 』 〈 〉 — · ￥ ． － ＋ ＝ ＿ ｜ ／ ＠ ＃ ％ ＆ ＊ × ÷ ° ￣
END
}

symbols() {
    cat <<'END' | chars
— ° ￥ € ￣ ～ ω ε ∀ ╯ ╰ ╮ ╭ □ ○ ★ ☆ ♪ ♥ ♡ ❤ ✨ → ← ↑ ↓ √ × ÷ ≧ ≦ ▽ д
☀ ☁ ☔ ⚡ ❄ ☕ ✅ ❌ ❓ ❗ ⭐ 💔 💕 💖 💗 💩 💪 💯 💰 💤 💢 💦 🔥 🎉 🎂 🎁 🌹 🌚 🌝 🌙 🍉 🍺 🍻 🐶 🐱 🐭 🐰 🐷 🐮 🐔 🐵 🙈
😀 😁 😂 🤣 😃 😄 😅 😆 😉 😊 😋 😎 😍 😘 🥰 🙂 🤗 🤩 🤔 😐 😑 😶 🙄 😏 😣 😥 😮 😪 😫 😴 😌 😛 😜 😝 🤤 😒 😓 😔
🙃 😲 😞 😟 😤 😢 😭 😩 🤯 😬 😱 🥵 🥶 😳 🤪 😵 😡 😠 🤬 😷 🤢 🤮 😇 🥳 🥺 🤡 🤫 🤭 😈 👻 💀 👀 👌 👍 👎 👏 👋 🙏 🤝 ✌
END
}

digits_and_letters() {
    echo '0123456789abcdefghijklmnopqrstuvwxyz' | chars | with_piece
}

kana() {
    cat <<'END' | chars | with_piece
あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをんっゃゅょぁぃぅぇぉ
アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンッャュョァィゥェォー
END
}

# Rows 16 to 55; the last one is not full.
gb2312_level_1() {
    awk 'BEGIN {
        for (row = 176; row <= 215; row++)
            for (cell = 161; cell <= (row == 215 ? 249 : 254); cell++) printf "%c%c\n", row, cell
    }' | iconv -f GB2312 -t UTF-8
}

chat_characters() {
    cat <<'END' | chars
嘚嗷嘤囧槑喵呜嘿噗哒萌嗨嗯噢喔呃嘞咩哞嘎咔啾咻嘭砰嗖嗝呸呵哟嘻嗤吱唧咕噜叽喳咚嘟唔呐咯嘀嗒嚯嚎吼呱咦呦噻嗲嘣噔嗡嗑嘬呲龇咧
怂尬尴懵逼屌犇骉羴猋焱垚奀嫑巭烎兲氼砳甴壕撩撸怼嗦噌噎哔唠嗓瞅瞄眯睨瞪眨瞌蹦跶蹭踹跺蹲趴躺扒揍掐揪捏搓揉戳拽薅扛拎撅攥揣捂掰
飙飚癫痞瘪憨猥琐婊囍祟魑魅魍魉狸獭鲸鲨鳄蟾蜥蜻蜓蝴蝶蟑螂糍粑粽馄饨煲榴莲柠檬椰芒莓淇薯萨韭鲤鹦鹉柯仨侃俏俐俨倩偎傀儡兢冥凰
剔剽匕匿厮叭叱叮叼吆吒吠吭吮呕咀咄咋咎咏咙咪咣哄哆哎哏哐哗哼唆唉啃啐啤啥啧啪啰啵喀喃喏喘喧喱喻嗅嗔嗜嗟嗣嗽嘘嘛嘱嘲噤噩嚏嚣嚼囔囤
圳坨垃圾埃堕塌墩夭奕妍妞妩妮姗姥娅娜娟娲娴婀婉婧婷媚媛嫂嫌嬉孬宸寅寐寞寥寰屁岚峨崽嵌巅巫幂幌彗彪彷徊徘徙忐忑忏怅怡恍恙恬悍悚悸
惆惬惭惮惺愣愫慵憋憔憧憬懈懊扼抠拗拧拮挠捋捎捅掂掣揄揽搂搐搔搪摁摞撇撬擂攒斟旖旎旮旯昊昕昙晏晗晦晾暧昧曦朦胧杏枭枷柒栀栩桀桦梵棠
棱榜槟橘歆殇毽氓氛汐汪沐沮泯洱浣涅淼渺湃湮溜溯溺滂滔漪漾潇潺濛瀑灸炙炯炽烬烨烹焉煊煎煞熙熠熹燎牦犟狒狞狩狰猕猖猝獗獠玖玺珑珺
琉琦琪琳瑕瑞瑟瑶璀璃璨瓢甄甩疙瘩疚痂痣痿瘫瘾癖癞皎皑眸睫睿睽瞎瞥瞻矜硌磕祀祺禧禹秃秉稚稣穹窈窕窟窿笃笙筐筷箍箩篓篮簇簪粼糗糯
紊絮纨绔绊绚绮绯缀缤缱绻罄羁羔羡羲翘翡翩翱耄耷耸聆肋肘肴胚胯胳膊脐腆腮腼腩膨臀舀舔艾芊芙芥芭芸苑苔苛苟茉茜荔莎莞莹莺菇菠萃萝萤
葩葫芦蒂蒿蓓蓬蔓蔚蔫蕉蕾薇薛藕藤蘑虐虔虱蚁蚌蚣蚪蚯蚓蛆蛊蛾蜈蜇蜕蜘蛛蜢蜷蝉蝌蝎蝙蝠蝗螃蟹螳螺蟒衅衍裆裔褂褪襟觊觎觑讥讪诅诋诌诙诠诡
诧诩谄谑谚谛谬豁豚貂貔貅赘赳趾跋跤踉跄踌躇踮蹂躏蹉跎蹊蹙蹩蹬躁辄辍辗迂迸逍遥逗逞逛遁遏遛遢邂逅邋酌酥酩酊酿醺鎏钗锵镖阙隅雏霄霎霓
靓靡靥鞠颅颊颐颓颦飒飓馁馈馋馍馨驭驮骁骇骷髅魇鲶鳅鳗鳝鸢鸥鸯鸳鹃鹊鹌鹑麒麟黛黝鼾齁龊龌龋咆哮咳呛呻吟呓喽喇叭唢呐琵琶唏嘘骰匣瓷
啷哧嗞嗬嗳嗵噼嚓嘢嘅咗啱冇睇掂哋佢嚟喺咁啲嗰瞓攰靚叻噉俾畀揾逗豌蚝鲍鱿鲑鳕蛤蜊馒饺饽饵饷馅麸糖粿豉酱酪醪糟煨炖焗焖涮烩熘
END
}

traditional_characters() {
    cat <<'END' | chars
愛擺敗辦幫寶報貝備筆畢邊變標別賓補財參殘慘側測層產長場嘗償車塵稱遲衝蟲醜處觸傳創純詞從聰錯達帶單膽擔當導燈敵點電調頂訂東動凍鬥獨讀賭斷對隊頓
鵝額惡餓兒爾發髮罰範飯訪飛廢費憤豐風瘋鳳婦復複負該蓋幹趕剛鋼個給溝構購夠顧關觀館慣廣歸龜規貴國過還漢號賀紅後壺護戶畫劃話懷壞歡環換黃揮會夥貨
獲禍擊機積雞極級幾濟計記際繼紀夾價駕間監見劍將獎講醬腳較階節結潔緊錦僅進盡勁經驚靜鏡競舊舉劇據絕覺決軍開顆殼課懇褲誇塊寬況虧蠟來蘭藍籃懶爛勞
樂淚類離裡裏禮麗勵歷連聯憐臉練戀糧涼兩輛諒臨鄰靈領劉龍樓嚕錄綠亂輪論羅媽馬嗎罵買賣麥滿貓門悶們夢謎綿麵滅鳴納難腦惱鬧內擬鳥寧農濃諾賠噴騙飄
貧憑評蘋撲樸齊騎豈啟氣棄遷謙錢淺強牆搶橋竊親輕傾請慶窮區趨權勸卻確讓擾熱認軟潤灑賽傘喪掃殺紗曬閃傷賞燒紹設攝誰聲勝聖師獅濕詩時識實視試釋飾適
勢壽獸書輸屬術樹數帥雙順說絲鬆訴蘇雖隨歲孫損縮鎖態貪談嘆湯討騰題體條貼鐵聽銅統頭圖團脫駝灣萬網為圍衛謂溫聞穩問窩臥烏無誤務霧習襲戲細蝦嚇鮮閒
賢鹹顯險現獻縣線鄉詳響項曉嘯寫謝興兇繡虛須許續選學詢尋訓訊壓鴨亞啞煙鹽嚴顏陽養樣搖藥爺業葉頁醫遺儀億憶義藝議異譯陰銀飲隱應營贏優憂郵猶遊魚語
與譽預園員圓遠願約躍閱雲運雜災載暫讚髒責擇則賊贈債戰張漲這針陣鎮爭睜證鄭職執紙質誌製鐘終種眾晝豬諸燭囑築專轉賺莊裝壯狀準資總縱組鑽妳麼係嗚嘩
END
}

english_words() {
    cat <<'END' | words
# chat
ok okay lol lmao rofl omg wtf wow yeah yes no nope hi hey hello bye thx thanks thank pls plz please sorry welcome
emo cp yyds xswl awsl dbq nsdd gkd u1s1 srds yygq ky dd hh hhh hhhh haha hahaha hehe xixi wuwu qaq qwq tat orz
233 2333 666 6666 520 1314 521 88 886 996 007 985 211 555 100 10 12 20 24 50 60 360 404 500 1000 2023 2024 2025 2026
www com http qq vx wx tiktok up vip vs pk cue get bug ip id ui ai pc tv kpi ppt ceo boss bgm cos live show skr freestyle rap dj db atm app wifi
vlog bot gif jpg png emoji meme sticker gg btw idk rip nb sb mm tt xx ww oo zz pro plus max mini new old top boy girl baby bro man men
woman lady guy kid mom dad
# feelings
i me my you your he him his she her it its we our they them who what when where why how that this these
happy sad angry mad glad good bad great nice fine cool cute lovely sweet funny fun tired sleepy hungry thirsty sick hot cold warm shy
love like hate miss want need know think feel hope wish laugh cry smile grin wink kiss hug tears joy fear scared shock surprised
bored boring lonely alone excited proud brave crazy silly lazy busy free lucky calm worried confused jealous rich poor smart stupid
beautiful pretty ugly strong big little tall long fat thin fast slow young real true right wrong easy hard
heart face eyes eye nose mouth ear hair head hand hands thumb foot leg tongue tooth tail
# animals and things
cat cats kitty dog dogs puppy doge husky corgi bear panda rabbit bunny tiger lion fox wolf monkey pig cow ox horse sheep goat
chicken chick duck bird penguin parrot owl frog turtle snake dragon dinosaur fish shark whale dolphin octopus crab snail bee
ant butterfly spider mouse rat hamster squirrel koala deer elephant unicorn robot ghost alien monster clown devil angel santa king queen
prince princess doctor teacher student police hero
sun moon star sky cloud rain rainbow snow wind fire water ice earth sea tree flower rose leaf grass
apple banana orange lemon peach cherry strawberry grape watermelon pear tomato potato corn mushroom rice noodles bread
cake cookie candy chocolate cream pizza burger egg meat milk tea coffee juice beer wine cola sugar hotpot
house home school work shop hospital city street road car bus taxi train plane ship boat bike rocket phone computer
camera clock watch book pen paper bag hat shirt dress shoes glasses umbrella gift balloon party birthday
music song dance game ball football basketball guitar movie photo picture video money gold door window bed chair cup bottle box knife
bomb gun sword trophy flag letter
# doing and saying
go come back stop start wait run walk jump fly swim sit stand sleep wake eat drink cook play study read write draw sing say tell talk
ask answer look see watch listen hear call open close give take make do did done be am is are was have has can could
will would should let help buy sell win lose find keep try use meet join leave live die fight hit push throw catch fix clap wave
a an the and or but not so if then too very much many more most some all every each only just still again never always
up down in out on off over to of for from with at by about into as here there now today tomorrow day night morning
week month year time monday friday sunday christmas halloween
one two three four five first last next other both
red yellow green blue purple pink black white gray brown dark light color
merry congratulations congrats luck goodnight nothing something everything everyone nobody
way thing life friend friends family people person word name question idea dream god oh ah um hmm
ugh aww ouch oops yay yo huh shh zzz boom bang meow woof wow
END
}

pieces() {
    cat <<'END' | words | sed 's/^/##/'
s es ed er ers est ing ings ly y ies ied ion ions tion ation ment ness less ful able al ial ic ical ive ous ist ity ty
ance ence ant ent ate ated ating ize ise ish ship ward man men woman ball book day time room side way work land house
line light one body thing where some ever like out up down over in on off back head hand eye fish fly bird bear cat dog boy girl berry
bow phone net web tube gram talk th ch sh ck ng nd nt st rt ld ll ss tt ff mm nn pp rr ee oo ea ou ai ay oy ey ow aw ew au ie ei io ia ua ue ui
ang eng ong ing iang iong uang ian uan iao uai ao iu zh zi shi chi zhi 33 333 66 666 55 88 99 00 000 11 22 44 77 20 23 24 25 26
hh hhh ha haha aa aaa mmm zz zzz ww www xx yy
END
    awk 'BEGIN {
        n = split("b c d f g h j k l m n p r s t v w z", c, " "); m = split("a e i o u", v, " ")
        for (i = 1; i <= n; i++) for (k = 1; k <= m; k++) print "##" c[i] v[k]
        n = split("d g l m n r s t", c, " ")
        for (i = 1; i <= n; i++) for (k = 1; k <= m; k++) print "##" v[k] c[i]
    }'
}

cldr_characters() {
    for file in "$CLDR/annotations/zh.xml" "$CLDR/annotationsDerived/zh.xml"; do
        sed -n 's/.*<annotation [^>]*>\([^<]*\)<.*/\1/p' "$file"
    done | chars | sort -u | iconv -f UTF-8 -t UTF-16BE | od -An -v -tx1 | tr -d ' \n' | fold -w 4 |
        sed -n '/^[4-9]/p' | awk '
            function hex(s, i, n) { n = 0; for (i = 1; i <= length(s); i++) n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1; return n }
            { c = hex($0); if (c >= 19968 && c <= 40959) printf "%c%c%c\n", 224 + int(c / 4096), 128 + int(c / 64) % 64, 128 + c % 64 }'
}

{
    printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]'
    punctuation
    digits_and_letters
    kana
    symbols | with_piece
    gb2312_level_1
    chat_characters
    traditional_characters
    english_words
    pieces
    cldr_characters
} | awk '!seen[$0]++'
