"""The doctor's questions to the exchange: reach, time, the key's rights, the account's switches, markets, streams. Nothing is traded."""

import asyncio
from collections.abc import Sequence
from typing import Final

from lemon_trader.api.client import ReadLost
from lemon_trader.config.reach import ReachSettings
from lemon_trader.config.settings import LIVE
from lemon_trader.core.commands import Cancel
from lemon_trader.core.events import AccountTerms, Balance, BookSnapshot, CancelAnswered, Event, FeedState
from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import US_PER_MS, US_PER_S
from lemon_trader.exchanges.dialect import AccountSwitches
from lemon_trader.matching.rules import Rules
from lemon_trader.run.doctor.lines import Lines
from lemon_trader.run.menu_figures import liquidity
from lemon_trader.run.reach import Asker, Reach
from lemon_trader.run.sheets import money, percent

OFFSET_US: Final = US_PER_S
SLOW_US: Final = US_PER_S // 2
STREAM_US: Final = 15 * US_PER_S
LOOK_US: Final = US_PER_S // 50
LEVERAGE: Final = 10
NO_ORDER: Final = "0"  # an order id that no order has
FEEDS: Final = {"public": "doctor.feed.public", "private": "doctor.feed.private"}
NO_RIGHT: Final = frozenset({"UNAUTHORIZED", "FORBIDDEN"})


async def examine(reach: Reach, settings: ReachSettings, symbols: Sequence[str], lines: Lines) -> None:
    """Ask everything there is to ask of the exchange about these markets; what depends on an answer that failed is left out."""
    if not await _host(reach, settings, lines):
        return
    if not await _clock(reach, lines):
        return
    terms = await _key(reach, settings, lines)
    markets = await _markets(reach, symbols, lines)
    traded = [markets[symbol] for symbol in symbols if symbol in markets]
    if terms is not None:
        if traded:
            await _permission(reach, traded[0], markets, lines)
        await _switches(reach, lines, has_perp=any(m.is_perp for m in traded))
        _fees(terms, traded, lines)
        await _balances(reach, traded, lines)
    if traded:
        await _streams(reach, markets, [m.symbol for m in traded], lines)
    for fault in reach.faults:
        lines.fail("program", "doctor.program", "doctor.program.fix", reason=fault)


async def _host(reach: Reach, settings: ReachSettings, lines: Lines) -> bool:
    asker = Asker(reach.env, reach.rest_url)
    try:
        for _ in range(2):  # the first pays for the connection; the second is what an order would take
            reply = await asker.ask(reach.dialect.read("status", None, 0))
    except OSError as error:
        fix = "doctor.host.fix-sandbox" if settings.mode not in {LIVE, "paper"} else "doctor.host.fix"
        lines.fail("host", "doctor.host.lost", fix, url=reach.rest_url, reason=str(error) or type(error).__name__)
        return False
    finally:
        asker.close()
    took_us = reply.received_us - reply.sent_us
    try:
        status = reach.dialect.status(reply.body)
    except ValueError as error:
        lines.fail("host", "doctor.host.strange", "doctor.host.fix", url=reach.rest_url, reason=f"HTTP {reply.status}, {error}")
        return False
    if took_us > SLOW_US:
        lines.warn("host", "doctor.host.slow", "doctor.host.slow-fix", url=reach.rest_url, ms=took_us // US_PER_MS)
    else:
        lines.ok("host", "doctor.host.ok", url=reach.rest_url, ms=took_us // US_PER_MS)
    if status == "Ok":
        lines.ok("status", "doctor.status.ok", status=status)
    else:
        lines.warn("status", "doctor.status.not-ok", "doctor.status.fix", status=status)
    return True


async def _clock(reach: Reach, lines: Lines) -> bool:
    try:
        await reach.client.sync_time()
    except ReadLost as error:
        lines.fail("clock", "doctor.clock.lost", "doctor.clock.lost-fix", reason=str(error))
        return False
    offset_us = reach.clock.offset_us
    give_us = reach.clock.uncertainty_us(reach.env.now_us())
    if abs(offset_us) > OFFSET_US:
        lines.warn("clock", "doctor.clock.off", "doctor.clock.fix", offset=offset_us // US_PER_MS, give=give_us // US_PER_MS)
    else:
        lines.ok("clock", "doctor.clock.ok", offset=offset_us // US_PER_MS, give=give_us // US_PER_MS)
    return True


async def _key(reach: Reach, settings: ReachSettings, lines: Lines) -> AccountTerms | None:
    if reach.signer is None:
        if settings.mode != LIVE:
            lines.ok("key", "doctor.key.none-needed")
        elif settings.keys_refused is not None:
            lines.fail("key", "doctor.key.refused", "", reason=(settings.keys_refused.key, settings.keys_refused.values))
        return None
    try:
        terms = await reach.client.terms()
    except ReadLost as error:
        lines.fail("key", "doctor.key.lost", "doctor.key.fix", reason=str(error))
        return None
    lines.ok("key", "doctor.key.ok", beginning=reach.signer.api_key[:6])
    if terms.liquidating:
        lines.fail("liquidation", "doctor.liquidating", "doctor.liquidating.fix")
    return terms


async def _permission(reach: Reach, market: Instrument, markets: dict[str, Instrument], lines: Lines) -> None:
    """Whether the key may trade: it asks for the end of an order that cannot exist, and the answer to a key without the right differs."""
    assert reach.signer is not None
    asker = Asker(reach.env, reach.rest_url)
    order = Cancel(market.symbol, 0, NO_ORDER)
    try:
        await reach.fresh_clock()
        reply = await asker.ask(reach.dialect.cancel(order, reach.signer, reach.venue_ms()))
    except (OSError, ReadLost) as error:
        lines.warn("permission", "doctor.permission.unclear", "doctor.permission.unclear-fix", reason=str(error))
        return
    finally:
        asker.close()
    answer = reach.dialect.cancel_answer(order, reply.status, reply.body, markets, reply.received_us)[0]
    assert isinstance(answer, CancelAnswered)
    if answer.outcome == "not_found":
        lines.ok("permission", "doctor.permission.ok")
    elif answer.reason in NO_RIGHT:
        lines.fail("permission", "doctor.permission.none", "doctor.permission.fix", reason=answer.reason)
    else:
        said = answer.reason or answer.outcome
        lines.warn("permission", "doctor.permission.unclear", "doctor.permission.unclear-fix", reason=f"HTTP {reply.status}, {said}")


async def _switches(reach: Reach, lines: Lines, *, has_perp: bool) -> None:
    try:
        switches: AccountSwitches = await reach.client.get("account", lambda _status, body, _ts: reach.dialect.account_switches(body))
    except ReadLost as error:
        lines.warn("auto-lend", "doctor.switches.lost", reason=str(error))
        return
    if switches.auto_lend:
        lines.warn("auto-lend", "doctor.auto-lend.on", "doctor.auto-lend.fix")
    else:
        lines.ok("auto-lend", "doctor.auto-lend.ok")
    if switches.auto_borrow:
        lines.warn("auto-borrow", "doctor.auto-borrow.on", "doctor.auto-borrow.fix")
    else:
        lines.ok("auto-borrow", "doctor.auto-borrow.ok")
    whole = switches.leverage_limit.partition(".")[0]
    if has_perp and whole.isdigit() and int(whole) > LEVERAGE:
        lines.warn("leverage", "doctor.leverage.high", "doctor.leverage.fix", leverage=switches.leverage_limit, usual=LEVERAGE)
    else:
        lines.ok("leverage", "doctor.leverage.ok", leverage=switches.leverage_limit)


def _fees(terms: AccountTerms, traded: Sequence[Instrument], lines: Lines) -> None:
    rates = Rules()
    for is_perp in sorted({m.is_perp for m in traded}):
        maker, taker, usual_maker, usual_taker = (
            (terms.perp_maker_ppm, terms.perp_taker_ppm, rates.perp_maker_ppm, rates.perp_taker_ppm)
            if is_perp
            else (terms.spot_maker_ppm, terms.spot_taker_ppm, rates.spot_maker_ppm, rates.spot_taker_ppm)
        )
        values: dict[str, object] = {
            "kind": ("menu.perp" if is_perp else "menu.spot", {}), "maker": percent(maker), "taker": percent(taker),
            "usual_maker": percent(usual_maker), "usual_taker": percent(usual_taker),
        }  # fmt: skip
        if maker > usual_maker or taker > usual_taker:
            lines.warn("fees", "doctor.fees.higher", "doctor.fees.fix", **values)
        else:
            lines.ok("fees", "doctor.fees.ok", **values)


async def _balances(reach: Reach, traded: Sequence[Instrument], lines: Lines) -> None:
    def decode(_status: int, body: bytes, ts_us: int) -> list[Balance]:
        return reach.dialect.balances(body, ts_us)

    try:
        rows = {row.asset: row for row in await reach.client.get("capital", decode)}
    except ReadLost as error:
        lines.fail("balances", "doctor.balances.lost", "doctor.key.fix", reason=str(error))
        return
    for asset in sorted({m.quote for m in traded}):
        row = rows.get(asset)
        free, locked = (row.available_atoms, row.locked_atoms) if row is not None else (0, 0)
        if free > 0:
            lines.ok("balances", "doctor.balances.ok", asset=asset, free=atoms_text(free), locked=atoms_text(locked))
        else:
            lines.warn("balances", "doctor.balances.none", "doctor.balances.fix", asset=asset, locked=atoms_text(locked))


async def _markets(reach: Reach, symbols: Sequence[str], lines: Lines) -> dict[str, Instrument]:
    try:
        markets, strange = await reach.client.markets()
    except ReadLost as error:
        lines.fail("markets", "doctor.markets.lost", "doctor.host.fix", reason=str(error))
        return {}
    for symbol in symbols:
        m = markets.get(symbol)
        if m is None and symbol in strange:
            lines.fail("market", "doctor.market.unusable", "doctor.market.unusable-fix", symbol=symbol, reason=strange[symbol])
            continue
        if m is None:
            base = symbol.split("_", maxsplit=1)[0]
            near = [s for s in sorted(markets) if s.split("_", maxsplit=1)[0] == base] or sorted(markets)
            lines.fail("market", "doctor.market.unknown", "doctor.market.unknown-fix", symbol=symbol, near=", ".join(near[:6]))
            continue
        await _market(reach, m, lines)
    return markets


async def _market(reach: Reach, m: Instrument, lines: Lines) -> None:
    try:
        book = await reach.client.depth(m)
    except ReadLost as error:
        lines.fail("market", "doctor.market.no-book", "doctor.market.no-book-fix", symbol=m.symbol, state=m.book_state, reason=str(error))
        return
    near = liquidity(book.bids, book.asks)
    price = near.asks[0][0] if near.asks else near.bids[0][0] if near.bids else 0
    values: dict[str, object] = {
        "symbol": m.symbol, "tick": m.tick, "lot": m.lot, "least": m.qty_text(m.min_lots), "base": m.base, "quote": m.quote,
        "worth": money(m.notional_atoms(price, m.min_lots)), "state": m.book_state,
    }  # fmt: skip
    if m.book_state != "Open":
        lines.warn("market", "doctor.market.not-open", "doctor.market.not-open-fix", **values)
    elif not near.bids or not near.asks:
        lines.warn("market", "doctor.market.one-sided", "doctor.market.one-sided-fix", **values)
    else:
        lines.ok("market", "doctor.market.ok", **values)


async def _streams(reach: Reach, markets: dict[str, Instrument], symbols: Sequence[str], lines: Lines) -> None:
    """Connect both streams as an engine would, until each has spoken and every book has come."""
    begun_us = reach.env.now_us()
    up: dict[str, int] = {}
    reasons: dict[str, str] = {}
    books: set[str] = set()

    def sink(facts: Sequence[Event]) -> None:
        for fact in facts:
            if isinstance(fact, FeedState):
                if fact.up:
                    up.setdefault(fact.feed, reach.env.now_us() - begun_us)
                else:
                    reasons[fact.feed] = fact.reason
            elif isinstance(fact, BookSnapshot):
                books.add(fact.symbol)

    public = reach.market_feed(markets, symbols, sink)
    private = reach.account_feed(markets, symbols[0], sink) if reach.signer is not None else None
    wanted = {"public"} | ({"private"} if private is not None else set())
    public.start()
    if private is not None:
        private.start()
    while not (wanted <= up.keys() and books >= set(symbols)) and reach.env.now_us() - begun_us < STREAM_US:
        await reach.env.sleep(LOOK_US)
    public.close()
    if private is not None:
        private.close()
    for feed in sorted(wanted, reverse=True):
        values: dict[str, object] = {"feed": (FEEDS[feed], {}), "url": reach.ws_url, "ms": up.get(feed, 0) // US_PER_MS}
        if feed not in up:
            lines.fail(f"{feed}-stream", "doctor.stream.lost", "doctor.stream.fix", reason=reasons.get(feed, "-"), **values)
        elif feed == "public" and not books >= set(symbols):
            missing = ", ".join(sorted(set(symbols) - books))
            lines.fail(f"{feed}-stream", "doctor.stream.no-book", "doctor.stream.fix", missing=missing, **values)
        else:
            lines.ok(f"{feed}-stream", "doctor.stream.ok", **values)
    await asyncio.sleep(0)  # what the closed sockets still have to say is said before anybody looks at the faults
