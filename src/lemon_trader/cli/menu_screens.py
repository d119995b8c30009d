"""The menu's screens: markets, chains, a book with its liquidity, a market analysed."""

from collections.abc import Mapping, Sequence

from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.core.instrument import Instrument
from lemon_trader.exchanges.dialect import Token
from lemon_trader.messages.catalogue import say
from lemon_trader.run.menu import MarketLook
from lemon_trader.run.menu_figures import AVERAGES, Liquidity
from lemon_trader.run.sheets import percent


def print_markets(markets: Mapping[str, Instrument]) -> None:
    """Every market, numbered, with its grid."""
    rows: list[Sequence[object]] = [
        (
            number, m.symbol, f"{m.base}/{m.quote}", ("menu.perp" if m.is_perp else "menu.spot", {}), m.tick, m.lot, m.qty_text(m.min_lots),
            m.book_state,
        )
        for number, m in enumerate((markets[symbol] for symbol in sorted(markets)), 1)
    ]  # fmt: skip
    columns = ("", "menu.symbol", "menu.pair", "menu.kind", "menu.tick", "menu.lot", "menu.min", "column.state")
    print_table(say("menu.markets"), columns, rows)


def print_chains(chains: Mapping[str, Sequence[Token]]) -> None:
    """On which chains which asset can be sent in."""
    rows: list[Sequence[object]] = [
        (asset, token.chain, ("word.yes" if token.deposits_open else "word.no", {}), token.deposit_min)
        for asset in sorted(chains)
        for token in chains[asset]
    ]
    print_table(say("menu.chains"), ("menu.asset", "menu.chain", "menu.deposits-open", "menu.deposit-min"), rows)


def print_book(market: Instrument, near: Liquidity) -> None:
    """Ten levels on each side, asks above bids as books are drawn, and who presses."""
    rows: list[Sequence[object]] = [
        *(("menu.ask-side", p, q) for p, q in reversed(near.asks)),
        *(("menu.bid-side", p, q) for p, q in near.bids),
    ]
    drawn: list[Sequence[object]] = [((str(key), {}), market.price_text(int(str(p))), market.qty_text(int(str(q)))) for key, p, q in rows]
    print_table(say("menu.book-of", symbol=market.symbol), ("column.side", "column.price", "sheet.quantity"), drawn)
    if near.spread_ppm:
        print_text(say("menu.spread-now", spread=percent(near.spread_ppm)))
    print_liquidity(market, near)


def print_liquidity(market: Instrument, near: Liquidity) -> None:
    """Bids against asks near the touch."""
    hundredths = near.bid_lots * 100 // near.ask_lots if near.ask_lots else 0
    ratio = f"{hundredths // 100}.{hundredths % 100:02d}" if near.ask_lots else "-"
    pressure = {"buy": "menu.pressure-buy", "sell": "menu.pressure-sell", "balanced": "menu.pressure-balanced"}[near.pressure]
    print_text(
        say(
            "menu.liquidity", bids=market.qty_text(near.bid_lots), asks=market.qty_text(near.ask_lots), base=market.base, ratio=ratio,
            pressure=(pressure, {}),
        )
    )  # fmt: skip


def print_analysis(look: MarketLook) -> None:
    """Averages, trend, volatility, liquidity; a spread and a number of orders; what fees ask for."""
    market, found = look.instrument, look.analysis
    trend = {"up": "menu.trend-up", "down": "menu.trend-down", "sideways": "menu.trend-sideways", "unknown": "menu.trend-unknown"}[
        found.trend
    ]
    rows: list[Sequence[object]] = [
        (("menu.last-close", {}), market.price_text(found.close_ticks) if found.close_ticks else None),
        *(
            (("menu.average", {"count": count}), market.price_text(ticks) if ticks else None)
            for count, ticks in zip(AVERAGES, found.averages_ticks, strict=True)
        ),
        (("menu.trend", {}), (trend, {})),
        (("menu.volatility", {}), None if found.volatility_ppm < 0 else f"{percent(found.volatility_ppm)} %"),
        (("menu.from-long", {}), f"{percent(found.from_long_ppm)} %" if any(found.averages_ticks) else None),
    ]
    print_table(say("menu.analysis-of", symbol=market.symbol, count=found.candles, interval=look.interval), ("", ""), rows)
    if found.candles < AVERAGES[1]:
        print_text(say("menu.young-market", count=found.candles))
    print_liquidity(market, look.liquidity)
    print_text(say("menu.suggestion", spread=percent(found.spread_ppm), orders=found.orders))
    print_text(say("menu.own-fees" if look.own_fees else "menu.usual-fees", spread=percent(look.break_even_ppm)))
