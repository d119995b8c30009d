"""How a report looks: one style sheet, light and dark as the reader's system wants it, and on paper."""

from typing import Final

STYLE: Final = """
:root{--bg:#fbfbfa;--card:#fff;--ink:#1d2329;--soft:#66707a;--rule:#e2e5e8;--own0:#1769aa;--own1:#b35c00;--own2:#6a3d9a;--hold:#9aa3ab;
--buy:#14804a;--sell:#b3261e;--stop:#c2185b;--heat:#1769aa;--price:#8a949d}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--card:#1b1f23;--ink:#e6e9ec;--soft:#98a2ab;--rule:#30363c;--own0:#66b3f0;
--own1:#f0a35a;--own2:#b794e6;--hold:#6f7a84;--buy:#4cc38a;--sell:#f2766c;--stop:#f48fb1;--heat:#66b3f0;--price:#7f8b95}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,"Noto Sans TC","PingFang TC","Microsoft JhengHei",sans-serif}
main{max-width:1040px;margin:0 auto;padding:24px 16px 48px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:32px 0 8px}p{margin:4px 0}.soft{color:var(--soft)}
section{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px 16px;margin:12px 0;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:3px 10px 3px 0;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
th{font-weight:600;color:var(--soft)}td:first-child,th:first-child,td.word{text-align:left}tr:last-child td{border-bottom:0}
td.good{color:var(--buy)}td.bad{color:var(--sell)}
svg{display:block;width:100%;height:auto;font:11px system-ui,sans-serif}
.grid{stroke:var(--rule);fill:none}.tick{fill:var(--soft)}.cell{fill:var(--ink);font-size:10px}
.line{fill:none;stroke-width:1.4;stroke-linejoin:round}.area{fill-opacity:.16}.mark{stroke:none}.rest{fill:none;stroke-width:1;stroke-opacity:.55}
.own0{stroke:var(--own0)}.own1{stroke:var(--own1)}.own2{stroke:var(--own2)}.hold{stroke:var(--hold)}
.area.own0{fill:var(--own0);stroke:none}.area.own1{fill:var(--own1);stroke:none}.area.own2{fill:var(--own2);stroke:none}
.line.price{stroke:var(--price);stroke-width:.8}.area.price{fill:var(--price);fill-opacity:.25}
.mark.buy,.rose{fill:var(--buy)}.mark.sell,.fell{fill:var(--sell)}.mark.stop{fill:var(--stop)}.wick{fill:var(--price)}
.rest.buy{stroke:var(--buy)}.rest.sell{stroke:var(--sell)}.heat{fill:var(--heat)}rect.good{fill:var(--buy)}rect.bad{fill:var(--sell)}
.key{display:inline-block;width:14px;height:3px;margin:0 6px 3px 14px;vertical-align:middle}.key.own0{background:var(--own0)}
.key.own1{background:var(--own1)}.key.own2{background:var(--own2)}.key.hold{background:var(--hold)}
details{margin:8px 0}summary{cursor:pointer;color:var(--soft)}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
