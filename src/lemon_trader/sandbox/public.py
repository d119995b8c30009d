"""Handlers of the public endpoints: what anybody may ask of the exchange and its markets."""

from typing import Any

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_MS, US_PER_S
from lemon_trader.exchanges.backpack.server import Refusal, choice, parameter_error, required, whole
from lemon_trader.exchanges.backpack.server_public import (
    INTERVALS,
    asset_row,
    bps_text,
    collateral_asset_row,
    depth_body,
    funding_rate_row,
    kline_row,
    mark_price_row,
    market_row,
    open_interest_row,
    ticker_row,
    trade_row,
)
from lemon_trader.exchanges.backpack.words import (
    DEPTH_LIMITS,
    INVALID_CLIENT_REQUEST,
    MARKET_TYPES,
    RESOURCE_NOT_FOUND,
    SAYS_BAD_SYMBOL,
    SAYS_NO_SYMBOL,
    SAYS_NOT_FOUND,
    TEXT_TYPE,
)
from lemon_trader.sandbox.desk import Answer, Call, Desk
from lemon_trader.sandbox.tape import DAY_US, WEEK_US, bucket_end, bucket_start, with_empty
from lemon_trader.sandbox.tiers import TIERS

Json = dict[str, Any]


def ping(desk: Desk, call: Call) -> Answer:
    """`pong`."""
    del desk, call
    return Answer(body=b"pong", content_type=TEXT_TYPE)


def time(desk: Desk, call: Call) -> Answer:
    """The exchange's clock, bare milliseconds."""
    del desk
    return Answer(body=str(call.now_us // US_PER_MS).encode(), content_type=TEXT_TYPE)


def status(desk: Desk, call: Call) -> Json:
    """Whether the exchange is open."""
    del call
    return {"status": "Maintenance" if desk.faults.maintenance else "Ok", "message": None}


def nothing(desk: Desk, call: Call) -> list[Json]:
    """An empty list: this exchange has none of them (wallets, securities, predictions, vaults, rules for some countries)."""
    del desk, call
    return []


def assets(desk: Desk, call: Call) -> list[Json]:
    """Every asset of every market."""
    del call
    return [asset_row(asset) for asset in _assets(desk)]


def collateral(desk: Desk, call: Call) -> list[Json]:
    """What counts as margin, and at which weight: the quote assets whole."""
    del call
    haircuts = {
        asset: (loan.weight_ppm, loan.curve_base_ppm, loan.curve_ppb)
        for asset, loan in desk.exchange.rules.loans.items()
        if asset in _assets(desk)
    }
    haircuts |= {market.quote: (1_000_000, 0, 0) for market in desk.markets.values()}
    return [collateral_asset_row(asset, *haircuts[asset]) for asset in sorted(haircuts)]


def markets(desk: Desk, call: Call) -> list[Json]:
    """All markets, or those of the kinds asked for."""
    kinds = {value for name, value in call.pairs if name == "marketType"}
    if not kinds <= set(MARKET_TYPES):
        raise parameter_error("marketType", "MarketType", "Expect a valid enumeration value.")
    return [_market(desk, m) for m in desk.markets.values() if not kinds or ("PERP" if m.is_perp else "SPOT") in kinds]


def market(desk: Desk, call: Call) -> Json:
    """One market."""
    return _market(desk, _asked(desk, call))


def tickers(desk: Desk, call: Call) -> list[Json]:
    """Statistics of every market that has traded."""
    rows = (_ticker(desk, of, call) for of in desk.markets.values())
    return [row for row in rows if row is not None]


def ticker(desk: Desk, call: Call) -> Answer | Json:
    """Statistics of one market; 204 when it has not traded."""
    row = _ticker(desk, _asked(desk, call), call)
    return Answer(status=204) if row is None else row


def depth(desk: Desk, call: Call) -> Json:
    """The book."""
    symbol = required(call.query, "symbol")
    limit = int(choice(call.query, "limit", "DepthLimit", [str(n) for n in DEPTH_LIMITS]) or desk.switches.depth_levels)
    of = _known(desk, symbol)
    if desk.market(symbol).book_state == "Closed":
        raise Refusal(404, RESOURCE_NOT_FOUND, SAYS_NOT_FOUND)
    book = desk.exchange.depth(symbol, limit)
    return depth_body(of, book.bids, book.asks, last_id=book.update_id, at_us=book.at_us or call.now_us, limit=limit)


def klines(desk: Desk, call: Call) -> list[Json]:
    """Candles that start within the range, oldest first; times of the request are seconds."""
    of = _asked(desk, call)
    required(call.query, "interval", "KlineInterval")
    interval = choice(call.query, "interval", "KlineInterval", tuple(INTERVALS)) or ""
    required(call.query, "startTime", "integer(int64)")
    start_s = whole(call.query, "startTime", 0)
    end_s = whole(call.query, "endTime", call.now_us // US_PER_S)
    price = choice(call.query, "priceType", "KlinePriceType", ("Last", "Index", "Mark"), "Last")
    if end_s < start_s and desk.switches.klines_refuses_backwards:
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Invalid range: endTime must not be before startTime")
    tape = desk.tapes[of.symbol]
    series = {"Last": tape.trades, "Index": tape.index, "Mark": tape.mark}[price or ""]
    found = series.candles(interval, bucket_start(start_s * US_PER_S, interval), end_s * US_PER_S)
    most = desk.switches.klines_max
    if desk.switches.klines_empty:
        found = with_empty(found, interval, most)
    if len(found) > most and desk.switches.klines_refuses_more:
        raise Refusal(400, INVALID_CLIENT_REQUEST, f"Invalid range: at most {most} candles")
    found = found[:most]
    if desk.switches.klines_newest_first:
        found.reverse()
    return [
        kline_row(
            of, start_us=c.start_us, end_us=bucket_end(c.start_us, interval), prices=c.prices if c.open_ticks else None,
            lots=c.lots, quote_atoms=c.quote_atoms, trades=c.trades,
        )
        for c in found
    ]  # fmt: skip


def trades(desk: Desk, call: Call) -> list[Json]:
    """The last prints, newest first."""
    of = _asked(desk, call)
    limit, offset = whole(call.query, "limit", 100, high=1_000), whole(call.query, "offset", 0)
    prints = desk.tapes[of.symbol].prints
    newest = len(prints) - 1 - offset
    rows = (prints[i] for i in range(newest, max(-1, newest - limit), -1))
    return [trade_row(of, trade_id=p.trade_id, ticks=p.ticks, lots=p.lots, is_buyer_maker=p.buyer_is_maker, at_us=p.at_us) for p in rows]


def mark_prices(desk: Desk, call: Call) -> list[Json]:
    """Mark, index and funding of the perpetuals, or of one symbol; closed markets are left out."""
    symbol = call.query.get("symbol")
    kind = choice(call.query, "marketType", "MarketType", MARKET_TYPES)
    if symbol is not None:
        of = desk.markets.get(symbol)
        if of is None or not of.is_perp or desk.market(symbol).book_state == "Closed":
            raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_NO_SYMBOL)
        wanted = [of]
    else:
        perps = [m for m in desk.markets.values() if m.is_perp and kind in {None, "PERP"}]
        wanted = [m for m in perps if desk.market(m.symbol).book_state != "Closed"]
    return [row for row in (_mark_price(desk, of, call.now_us) for of in wanted) if row is not None]


def open_interest(desk: Desk, call: Call) -> list[Json]:
    """Open interest of the perpetuals, or of one symbol."""
    wanted = [_asked(desk, call)] if "symbol" in call.query else [m for m in desk.markets.values() if m.is_perp]
    return [open_interest_row(of, desk.exchange.open_interest_lots(of.symbol), call.now_us) for of in wanted if of.is_perp]


def funding_rates(desk: Desk, call: Call) -> list[Json]:
    """Funding intervals, newest first; the first is still in progress."""
    of = _asked(desk, call)
    limit, offset = whole(call.query, "limit", 100, high=10_000), whole(call.query, "offset", 0)
    if not of.is_perp:
        return []
    running = funding_rate_row(of.symbol, desk.exchange.reference(of.symbol)[2], desk.exchange.next_funding_us(call.now_us))
    past = [funding_rate_row(of.symbol, f.rate_ppb, f.interval_end_us) for f in reversed(desk.funding_rates[of.symbol])]
    return [running, *past][offset : offset + limit]


def fee_tiers(desk: Desk, call: Call) -> Json:
    """What accounts of every tier pay, basis points. The names of the rows' keys are not established: a switch has others."""
    del call
    keys = desk.switches.fee_tier_keys.split(":")
    return {
        kind: [
            dict(
                zip(
                    keys,
                    (tier.name, bps_text(tier.fees_ppm[at]), bps_text(tier.fees_ppm[at + 1]), str(tier.stake), str(tier.volume)),
                    strict=True,
                )
            )
            for tier in TIERS
        ]
        for kind, at in (("spot", 0), ("futures", 2))
    }


def _asked(desk: Desk, call: Call) -> Instrument:
    return _known(desk, required(call.query, "symbol"))


def _known(desk: Desk, symbol: str) -> Instrument:
    found = desk.markets.get(symbol)
    if found is None:
        raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_BAD_SYMBOL)
    return found


def _assets(desk: Desk) -> list[str]:
    return sorted({asset for of in desk.markets.values() for asset in (of.base, of.quote)})


def _market(desk: Desk, of: Instrument) -> Json:
    terms = desk.exchange.terms(of.symbol)
    return market_row(
        desk.filters[of.symbol], created_us=desk.created_us, state=desk.market(of.symbol).book_state,
        funding_interval_us=desk.exchange.rules.funding_interval_us, funding_bound_bps=desk.switches.funding_bound_bps,
        factors_ppb=(terms.imf_factor_ppb, terms.mmf_factor_ppb), premium_band_ppm=terms.premium_band_ppm,
        open_interest=of.qty_text(terms.open_interest_lots) if terms.open_interest_lots else None, weight_ppm=terms.position_weight_ppm,
    )  # fmt: skip


def _ticker(desk: Desk, of: Instrument, call: Call) -> Json | None:
    span = WEEK_US if choice(call.query, "interval", "TickerInterval", ("1d", "1w"), "1d") == "1w" else DAY_US
    whole_span = desk.tapes[of.symbol].trades.span(call.now_us, span)
    if whole_span is None:
        return None
    first, high, low, last = whole_span.prices
    return ticker_row(
        of, first_ticks=first, last_ticks=last, high_ticks=high, low_ticks=low, lots=whole_span.lots,
        quote_atoms=whole_span.quote_atoms, trades=whole_span.trades,
    )  # fmt: skip


def _mark_price(desk: Desk, of: Instrument, now_us: int) -> Json | None:
    mark, index, funding_ppb = desk.exchange.reference(of.symbol)
    if not mark:
        return None
    due = desk.exchange.next_funding_us(now_us)
    return mark_price_row(of, mark_ticks=mark, index_ticks=index, funding_ppb=funding_ppb, next_funding_us=due)
