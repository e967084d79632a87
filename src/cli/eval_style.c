#include "cli/eval_page.h"

/* Colours are named once for light and once for dark. Marks carry a sign as well as a colour. */
const char *const cli_eval_style[] = {
    ":root{color-scheme:light dark;--bg:#f7f6f3;--card:#fff;--ink:#1d1c1a;--dim:#6b675f;--line:#e2ddd3;--ok:#12724a;"
    "--okbg:#dff3e8;--warn:#855600;--warnbg:#fbedcc;--bad:#ad2a20;--badbg:#fbe3e0;--bar:#d9e6f7;--heat:28 94 176;--on:#fff}\n",
    "@media(prefers-color-scheme:dark){:root{--bg:#161618;--card:#202023;--ink:#ece9e4;--dim:#a09b93;--line:#38373a;"
    "--ok:#5fd39d;--okbg:#133625;--warn:#f0bf57;--warnbg:#3a2d0e;--bad:#ff948a;--badbg:#431d1a;--bar:#263b57;"
    "--heat:106 168 247;--on:#0d1520}}\n",
    "*{box-sizing:border-box}\n",
    "body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,"
    "\"Noto Sans CJK SC\",\"PingFang SC\",\"Microsoft YaHei\",sans-serif;-webkit-text-size-adjust:100%}\n",
    "main{max-width:76rem;margin:auto;padding:1.5rem clamp(.8rem,3vw,2rem) 4rem}\n",
    "h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.25rem;margin:2.5rem 0 .6rem}"
    "h3{font-size:1rem;margin:1.6rem 0 .5rem}h3 span,.dim{color:var(--dim);font-weight:400}\n",
    "p{margin:.4rem 0;max-width:48rem}code{overflow-wrap:anywhere}\n",
    ".scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.7rem}\n",
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n",
    ".sum{width:100%;font-size:.9rem}.sum th,.sum td{padding:.42rem .38rem;text-align:right;white-space:nowrap}"
    ".sum thead th{color:var(--dim);font-weight:500;white-space:normal;vertical-align:bottom}.sum th:first-child,.sum .g{text-align:left}"
    ".sum tr>th:first-child:not(.l){position:sticky;left:0;background:var(--card)}"
    ".sum tbody tr{border-top:1px solid var(--line)}.sum .l{border-left:1px solid var(--line)}"
    ".sum .mr{font-weight:600;background:linear-gradient(to right,var(--bar) calc(var(--v)*1%),transparent 0)}\n",
    ".tiles{display:flex;flex-wrap:wrap;gap:.6rem;margin:.6rem 0}"
    ".tiles div{background:var(--card);border:1px solid var(--line);border-radius:.7rem;padding:.5rem .9rem;flex:0 1 8.5rem;min-width:6.6rem}"
    ".tiles b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}.tiles span{color:var(--dim);font-size:.85rem}\n",
    ".heat{font-size:.72rem;line-height:1;margin:.5rem}.heat td{width:1.75rem;min-width:1.75rem;height:1.75rem;text-align:center;"
    "padding:0;background:rgb(var(--heat)/calc(var(--p,0)*100%));border:1px solid var(--card);border-radius:3px}"
    ".heat td.h{color:var(--on)}.heat td.d{outline:1px solid var(--dim);outline-offset:-2px}"
    ".heat th{font-weight:500;padding:.1rem .5rem;white-space:nowrap;text-align:right;position:sticky;left:0;"
    "background:var(--card)}.heat thead th{writing-mode:vertical-rl;text-align:right;padding:.4rem 0;position:static;"
    "text-orientation:upright;letter-spacing:-.05em}.heat thead th:first-child{writing-mode:horizontal-tb}"
    ".heat .acc{color:var(--dim);padding-left:.6rem;background:none;width:auto;border:0}\n",
    ".row{display:grid;grid-template-columns:minmax(9rem,14rem) 5.2rem 1fr;gap:.9rem;align-items:center;background:var(--card);"
    "border:1px solid var(--line);border-radius:.8rem;padding:.7rem .9rem;margin:.55rem 0}\n",
    ".q{margin:0 0 .35rem;overflow-wrap:anywhere}.chip{display:inline-block;border-radius:1rem;padding:.05rem .6rem;font-size:.82rem;"
    "font-variant-numeric:tabular-nums}.ok{color:var(--ok);background:var(--okbg)}.warn{color:var(--warn);background:var(--warnbg)}"
    ".bad{color:var(--bad);background:var(--badbg)}\n",
    ".p{display:block;aspect-ratio:1;background:#fff center/contain no-repeat;border:1px solid var(--line);border-radius:.5rem;"
    "position:relative}.none{background:repeating-linear-gradient(45deg,var(--line) 0 6px,transparent 6px 12px)}\n",
    ".right{text-align:center;font-size:.75rem;color:var(--dim);border-right:1px solid var(--line);padding-right:.9rem}\n",
    ".ten{list-style:none;margin:0;padding:0;display:grid;grid-template-columns:repeat(10,minmax(0,1fr));gap:.4rem}\n",
    ".hit{outline:3px solid var(--ok);outline-offset:1px}.same{outline:3px dotted var(--warn);outline-offset:1px}"
    ".hit::after,.same::after{position:absolute;right:-.35rem;top:-.45rem;width:1.15rem;height:1.15rem;line-height:1.15rem;"
    "text-align:center;border-radius:50%;font-size:.75rem;font-weight:700;content:\"\\2713\";background:var(--ok);color:var(--card)}"
    ".same::after{content:\"=\";background:var(--warn)}\n",
    ".key{position:relative;display:inline-block;width:1rem;height:1rem;border-radius:.25rem;vertical-align:-.15rem;margin:0 .7rem 0 .8rem}\n",
    "@media(max-width:56rem){.row{grid-template-columns:1fr 4.4rem;gap:.6rem}.right{border:0;padding:0}.ten{grid-column:1/-1;"
    "grid-template-columns:repeat(5,minmax(0,1fr))}}\n",
    "@media(prefers-reduced-motion:no-preference){.row:hover{border-color:var(--dim)}}\n",
    "footer{margin-top:3rem;color:var(--dim);font-size:.85rem}\n",
    NULL};
