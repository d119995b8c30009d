"""The panes of the panel as lines: what it says about the engine. Plain functions of a scene and a size."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from lemon_trader.config.values import show
from lemon_trader.messages.catalogue import say
from lemon_trader.messages.width import width, wrap
from lemon_trader.panel.lines import (
    DASH,
    GAP,
    Line,
    Segment,
    age,
    fit,
    labelled,
    number,
    plain,
    rounded,
    sign_style,
    spread,
    table,
    time_of_day,
)
from lemon_trader.panel.scene import ACTIVE, Picture, Scene, mid, opening, rows_of, why_not

MONEY: Final = 2
LEVEL_STYLES: Final = {"INFO": "plain", "WARNING": "live", "ERROR": "bad", "COMMAND": "title", "SYSTEM": "dim"}
OLD_FEED_US: Final = 3_000_000
FILLS_WIDE: Final = 48  # columns from which a fill says its role, too
ORDERS_WIDE: Final = 60  # columns from which an order says how far from the price it rests


def head(scene: Scene, columns: int) -> list[Line]:
    """The first line: the mode before everything else, what runs, and as of when."""
    mode = scene.mode.upper() or DASH
    badge = plain(f" {mode} - {say('screen.real-money')} ", "live") if scene.is_live else plain(f" {mode} ", "banner")
    if scene.is_silent:
        doing = plain(say("panel.silent"), "bad")
    elif scene.is_running and scene.markets:
        doing = plain(say("panel.running", symbols=", ".join(m["symbol"] for m in scene.markets)), "good")
    elif scene.starting:
        doing = plain(say("panel.starting"), "title")
    else:
        doing = plain(say("panel.idle"), "title")
    at = time_of_day(scene.picture.get("as_of_us")) if scene.picture is not None else DASH
    as_of = say("panel.as-of" if scene.is_running else "panel.last-seen", at=at)
    right = [plain(as_of, "dim" if scene.is_running else "title")] if scene.picture is not None else []
    return [spread([badge, ("  ", "plain"), doing], right, columns)]


def quoting(scene: Scene, columns: int) -> list[Line]:
    """The answer to "am I quoting, and if not, why": one line."""
    if scene.picture is None or not scene.is_running:
        text = say("panel.quoting.idle") if scene.mode else say("panel.quoting.no-mode")
        return [fit([plain(text)], columns)]
    if scene.stranger:
        warning = [plain(say("panel.other-version", version=scene.stranger), "live")]
        return [fit(warning, columns), *_quoting(scene, columns)]
    return _quoting(scene, columns)


def _quoting(scene: Scene, columns: int) -> list[Line]:
    market = scene.market
    if market is None:
        return [fit([plain(say("panel.quoting.no-market"), "bad")], columns)]
    rest, wanted = opening(market)
    reasons = why_not(scene, market)
    if not reasons:
        return [fit([plain(say("panel.quoting.yes", rest=rest, wanted=wanted), "good")], columns)]
    # What still rests while the state or the market forbids it is on its way out.
    partly = rest and wanted and (scene.picture or {}).get("state") == ACTIVE and not market.get("frozen")
    text = say("panel.quoting.partly" if partly else "panel.quoting.no", rest=rest, wanted=wanted, why="; ".join(reasons))
    return [fit([plain(text, "title" if partly else "bad")], columns)]


def markets(scene: Scene, columns: int) -> list[Line]:
    """One line for each market: prices, spread, orders, position."""
    heads = [
        say(key) for key in (
            "panel.column.symbol", "panel.column.price", "panel.column.bid", "panel.column.ask", "panel.column.spread",
            "panel.column.buys", "panel.column.sells", "status.position",
        )
    ]  # fmt: skip
    rows = [_market_row(scene, m) for m in scene.markets]
    if not rows:
        symbol = scene.settings.symbol
        rows = [[plain(f" {symbol}" if symbol else DASH), *[plain(DASH)] * 7]]
    return table(heads, rows, columns, right=frozenset({1, 2, 3, 4, 5, 6}))


def _market_row(scene: Scene, market: Picture) -> list[Segment]:
    chosen = scene.market is market
    middle = mid(market)
    bid, ask = number(market.get("bid")), number(market.get("ask"))
    gap = rounded((ask - bid) * 100 / middle, 4) if middle and bid and ask else DASH
    sides = [o.get("side") for o in rows_of(market, "orders")]
    held = number(market.get("position")) or Decimal(0)
    word = say("panel.long") if held > 0 else say("panel.short") if held < 0 else say("panel.flat")
    return [
        plain(f"{'>' if chosen and len(scene.markets) > 1 else ' '}{market['symbol']}", "title" if chosen else "plain"),
        plain(f"{middle:f}" if middle is not None else DASH),
        plain(market.get("bid") or DASH, "buy"), plain(market.get("ask") or DASH, "sell"),
        plain(gap), plain(sides.count("BUY")), plain(sides.count("SELL")),
        plain(f"{word} {rounded(abs(held), 8)}" if held else word, "title" if held else "plain"),
    ]  # fmt: skip


def figures(scene: Scene, columns: int, *, full: bool) -> list[Line]:
    """Position, what was traded, profit and its parts, distances, limits, health; with `full` what the next start would use, too."""
    m = scene.market
    rows: list[tuple[str, Sequence[Segment]]] = []
    if m is not None:
        rows = [
            (say("status.position"), _position(m)),
            (say("panel.traded"), _traded(m)),
            (say("panel.profit"), _profit(m)),
            (say("panel.costs"), _costs(m)),
            (say("panel.exits"), _exits(m)),
            (say("panel.limits"), _limits(scene, m)),
            (say("panel.health"), _health(scene)),
        ]
    if full or m is None:
        rows.append((say("panel.next-start"), next_start(scene)))
    return labelled(rows, columns)


def _pairs(*pairs: tuple[str, str, str]) -> list[Segment]:
    """Words, each with its figure and the figure's style."""
    found: list[Segment] = []
    for n, (word, figure, style) in enumerate(pairs):
        found += [GAP] if n else []
        found += [plain(f"{word} ", "dim"), plain(figure, style)]
    return found


def _money(value: object) -> str:
    return rounded(value, MONEY)


def _position(m: Picture) -> list[Segment]:
    held = number(m.get("position"))
    base, quote = str(m.get("base", "")), str(m.get("quote", ""))
    first = plain(f"{rounded(m.get('position'), 8)} {base}", "title") if held else plain(say("panel.flat"))
    pairs = [
        (say("status.sellable"), str(m.get("sellable") or DASH), "plain"),
        (say("status.budget"), f"{_money(m.get('budget'))} {quote}", "plain"),
    ]
    if held:
        pairs.insert(0, (say("status.average"), str(m.get("average") or DASH), "plain"))
    return [first, GAP, *_pairs(*pairs)]


def _traded(m: Picture) -> list[Segment]:
    session = m.get("session")
    if not isinstance(session, dict):
        return [plain(DASH)]
    bought, sold = number(session.get("bought")) or Decimal(0), number(session.get("sold")) or Decimal(0)
    most = max(bought, sold)
    uneven = rounded(abs(bought - sold) * 100 / most, 1) if most else "0"
    return _pairs(
        (say("panel.bought"), f"{bought:f}", "buy"),
        (say("panel.sold"), f"{sold:f}", "sell"),
        (say("panel.net-bought"), f"{bought - sold:f}", "plain"),
        (say("panel.imbalance"), f"{uneven} %", "plain"),
    )


def _profit(m: Picture) -> list[Segment]:
    session = m.get("session")
    of_session = session.get("net") if isinstance(session, dict) else None
    return _pairs(
        (say("panel.net"), _money(m.get("net")), sign_style(m.get("net"))),
        (say("panel.session"), _money(of_session), sign_style(of_session)),
        (say("panel.realised"), _money(m.get("realised")), "plain"),
        (say("panel.unrealised"), _money(m.get("unrealised")), "plain"),
    )


def _costs(m: Picture) -> list[Segment]:
    session, fees = m.get("session"), number(m.get("fees"))
    session = session if isinstance(session, dict) else {}
    return _pairs(
        (say("panel.fees"), _money(-fees if fees is not None else None), "plain"),
        (say("panel.funding"), _money(m.get("funding")), "plain"),
        (say("panel.maker-buy"), str(session.get("maker_buy", DASH)), "plain"),
        (say("panel.maker-sell"), str(session.get("maker_sell", DASH)), "plain"),
    )


def _exits(m: Picture) -> list[Segment]:
    if m.get("take_profit") is None and m.get("stop") is None:
        return [plain(say("panel.exits.none"))]

    def away(name: str) -> str:
        price = m.get(name)
        return DASH if price is None else say("panel.away", price=price, pct=rounded(m.get(f"to_{name}_pct"), 2))

    return _pairs((say("role.EXIT"), away("take_profit"), "good"), (say("role.STOP"), away("stop"), "bad"))


def _limits(scene: Scene, m: Picture) -> list[Segment]:
    risk = (scene.picture or {}).get("risk")
    risk = risk if isinstance(risk, dict) else {}
    limits = m.get("limits")
    limits = limits if isinstance(limits, dict) else {}

    def used(name: str, of: Picture, most: object) -> str:
        return f"{_money(of.get(name))}/{_money(most)}"

    return _pairs(
        (say("panel.limit.day"), used("day_loss", risk, risk.get("day_loss_max")), "plain"),
        (say("panel.limit.drawdown"), used("drawdown", risk, risk.get("drawdown_max")), "plain"),
        (say("panel.limit.position"), used("position", limits, limits.get("position_max") or m.get("budget")), "plain"),
        (say("panel.limit.orders"), f"{limits.get('orders', DASH)}/{limits.get('orders_max', DASH)}", "plain"),
    )


def _health(scene: Scene) -> list[Segment]:
    picture = scene.picture or {}
    rate = picture.get("rate")
    rate = rate if isinstance(rate, dict) else {}
    feed = picture.get("feed_age_us")
    old = not isinstance(feed, int) or feed > OLD_FEED_US or not picture.get("public_up")
    written = picture.get("journal") == "written"
    pairs = [
        (say("panel.feed"), age(feed), "bad" if old else "plain"),
        (say("panel.account"), age(picture.get("account_age_us")), "plain" if picture.get("private_up") else "bad"),
        (say("panel.rate"), f"{rate.get('left', DASH)}/{rate.get('most', DASH)}", "plain"),
        (say("panel.venue"), str(picture.get("venue_status", DASH)), "plain"),
        (
            say("panel.journal"),
            say("panel.journal.written") if written else str(picture.get("journal", DASH)),
            "plain" if written else "bad",
        ),
    ]
    return _pairs(*pairs)


def next_start(scene: Scene) -> list[Segment]:
    """What `start` would start: strategy, symbol, and every setting that is not the default; the first two are always named."""
    settings = scene.settings
    shown = [f"{settings.strategy}:{settings.symbol or '?'}"]
    rows = list(settings.rows())
    for n, (place, value, origin) in enumerate(rows):
        if origin or n < 3:
            shown.append(f"{place.parameter.name} {show(place.parameter, value)}")
    return [plain("  ".join(shown))]


def orders(scene: Scene, columns: int, height: int) -> list[Line]:
    """What rests, as a ladder from the highest price down, and what is wanted and does not rest, each with its reason."""
    m = scene.market
    heads = [say(key) for key in ("column.role", "column.side", "column.price", "panel.column.away", "column.open", "column.reason")]
    found = [(number(o.get("price")), _order_row(o)) for o in rows_of(m, "orders")]
    lives = {(o.get("role"), o.get("side"), o.get("price")) for o in rows_of(m, "orders")}
    found += [
        (number(w.get("price")), _want_row(w))
        for w in rows_of(m, "wants")
        if (w.get("role"), w.get("side"), w.get("price")) not in lives and w.get("reason") in (m or {}).get("withheld", ())
    ]
    if not found:
        return [fit([plain(say("panel.orders"), "title")], columns), fit([plain(say("panel.orders.none"), "dim")], columns)]
    middle = (mid(m) if m is not None else None) or Decimal(0)
    room = max(1, height - 1)
    hidden = 0
    if len(found) > room:
        kept = sorted(found, key=lambda row: abs((row[0] or Decimal(0)) - middle))[: max(1, room - 1)]
        hidden, found = len(found) - len(kept), kept
    found = sorted(found, key=lambda row: row[0] or Decimal(0), reverse=True)
    rows = [[*row[:3], plain(_away(price, middle)), *row[3:]] for price, row in found]
    if columns < ORDERS_WIDE:
        heads, rows = [*heads[:3], *heads[4:]], [[*row[:3], *row[4:]] for row in rows]
    lines = table(heads, rows, columns, right=frozenset({2, 3, 4} if columns >= ORDERS_WIDE else {2, 3}))
    if hidden:
        lines.append(fit([plain(say("panel.more", count=hidden), "dim")], columns))
    return lines


def _away(price: Decimal | None, middle: Decimal) -> str:
    """How far from the middle of the market, percent with its sign."""
    return f"{(price - middle) * 100 / middle:+.2f}" if price is not None and middle else DASH


def _side(row: Picture) -> Segment:
    return plain(say(f"side.{row.get('side')}"), "buy" if row.get("side") == "BUY" else "sell")


def _order_row(o: Picture) -> list[Segment]:
    state = str(o.get("state"))
    why = say(f"reason.{o.get('reason')}", figure=o.get("figure", DASH)) if state == "WORKING" else say(f"order.{state}")
    return [plain(say(f"role.{o.get('role')}")), _side(o), plain(o.get("price", DASH)), plain(o.get("open", DASH)), plain(why, "dim")]


def _want_row(w: Picture) -> list[Segment]:
    why = say(f"reason.{w.get('reason')}", figure=w.get("figure", DASH))
    return [plain(say(f"role.{w.get('role')}"), "dim"), _side(w), plain(w.get("price", DASH), "dim"), plain(DASH), plain(why, "bad")]


def fills(scene: Scene, columns: int, height: int) -> list[Line]:
    """The last fills, the newest first."""
    found = rows_of(scene.market, "fills")
    if not found:
        return [fit([plain(say("panel.fills"), "title")], columns), fit([plain(say("panel.fills.none"), "dim")], columns)]
    heads = [say(k) for k in ("panel.fills", "column.side", "column.price", "panel.quantity", "report.fill.maker", "column.role")]
    rows = [
        [
            plain(time_of_day(f.get("at_us"))), _side(f), plain(f.get("price", DASH)), plain(f.get("quantity", DASH)),
            plain(say("word.maker" if f.get("maker") else "word.taker"), "dim"), plain(say(f"role.{f.get('role')}"), "dim"),
        ]
        for f in found[: max(1, height - 1)]
    ]  # fmt: skip
    shown = len(heads) if columns >= FILLS_WIDE else len(heads) - 2
    return table(heads[:shown], [row[:shown] for row in rows], columns, right=frozenset({2, 3}))


def log(scene: Scene, columns: int, height: int) -> list[Line]:
    """The newest entries that fit, wrapped, the newest last."""
    lines: list[Line] = []
    for level, text in reversed(scene.log):
        style = LEVEL_STYLES.get(level, "plain")
        room = max(8, columns - len(level) - 1)
        wrapped = wrap(text, room)
        entry: list[Line] = [fit([plain(f"{level} ", style), plain(wrapped[0])], columns)]
        entry += [fit([(" " * (len(level) + 1), "plain"), plain(part)], columns) for part in wrapped[1:]]
        if len(lines) + len(entry) > max(1, height - 1) and lines:
            break
        lines[:0] = entry
    return [fit([plain(say("panel.log"), "title")], columns), *lines[: max(1, height - 1)]]


def keys(columns: int) -> list[Line]:
    """The last line: what can be pressed."""
    text = say("panel.keys")
    return [fit([plain(text, "dim")], columns)] if width(text) <= columns else [fit([plain(say("panel.keys-short"), "dim")], columns)]


def question(text: str, columns: int) -> list[Line]:
    """What is asked, above the command line; as many lines as it takes."""
    return [fit([plain(part, "live")], columns) for part in wrap(text, max(8, columns - 1))] if text else []
