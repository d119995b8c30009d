"""What the handlers of the sandbox work with: the exchange, its accounts, what its markets have printed, and the switches of the edge."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from lemon_trader.core.instrument import Instrument, instrument
from lemon_trader.exchanges.backpack.server import Refusal
from lemon_trader.exchanges.backpack.server_account import PositionFigures, position_figures
from lemon_trader.exchanges.backpack.server_stream import WS_INVALID_SIGNATURE
from lemon_trader.exchanges.backpack.words import RESOURCE_NOT_FOUND
from lemon_trader.matching.effects import FundingSettled, Position
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.filters import Regrid
from lemon_trader.matching.margin import fraction_ppb, share
from lemon_trader.matching.orders import Refused
from lemon_trader.sandbox.accounts import DemoAccount, Verifier
from lemon_trader.sandbox.faults import Faults
from lemon_trader.sandbox.regrid import Outside
from lemon_trader.sandbox.tape import Tape
from lemon_trader.sandbox.tiers import tier_of

_FAR: Final = 1_000  # times the mark: no short's liquidation price is looked for beyond


_TIER_FIELDS: Final = 5
UPPER_SNAKE: Final = "upper_snake"
REST: Final = "rest"


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """The edge's own switches; those of the exchange behind it are `matching.orders.Rules`.

    Attributes:
        requests_per_minute: of an account, by exchange time; 0 = no limit.
        history_per_minute: of a peer on `/klines` and `/trades/history`; 0 = no limit.
        heartbeat_us: a book that somebody listens to and that has been silent for so long states its touch again under a new update id;
            a client that waits for its first eleven deltas gets them. 0 = a quiet book sends nothing, as on the venue.
        wapi_per_minute: of an account on the `/wapi` histories; 0 = they count with everything else only.
        batch_max: most orders of one batch.
        cancel_unknown_status: of a cancel or query of an order that is not live, 404 or 400.
        cancel_finished_status: of a cancel of an order that was live once; 0 = the same as of one that never was.
        unauthorized_status / unauthorized_code: of a request without authentication headers or with an unknown key.
        forbids_replay: whether a signature counts once only.
        signature_error: code of the error that answers a stream subscription with a bad or expired signature.
        signature_closes: whether a stream subscription with a bad signature ends its connection, with that code, beside the error.
        reason_spelling: of an order's `R` on the stream: "upper_snake", or as "rest" spells it.
        expired_has_trade_id: whether `orderExpired` carries `t` as an explicit null, as other events do.
        failed_taker_events: whether the stream tells of an IOC or FOK order that found nothing at once; its history does in any case.
        refuses_unknown_fields: whether an order's body may hold no field that the exchange does not know.
        klines_max / klines_newest_first: rows of one answer, and their order.
        klines_refuses_more: whether a range of more rows than that is refused instead of cut.
        klines_empty: whether a stretch without a trade between two with some has a row, with null prices, or none.
        klines_refuses_backwards: whether a range that ends before it begins (milliseconds where seconds are wanted) is refused, not empty.
        fee_tier_keys: what the five fields of a fee tier's row are called (name, maker, taker, stake, volume), with colons between.
        depth_levels: of a side, where no `limit` is asked for.
        funding_bound_bps: published bounds of an interval's funding rate.
        leverage_max: the highest leverage an account may ask for.
    """

    requests_per_minute: int = 2_000
    history_per_minute: int = 30
    wapi_per_minute: int = 0
    batch_max: int = 50
    cancel_unknown_status: int = 404
    cancel_finished_status: int = 0
    unauthorized_status: int = 401
    unauthorized_code: str = "UNAUTHORIZED"
    forbids_replay: bool = False
    signature_error: int = WS_INVALID_SIGNATURE[0]
    signature_closes: bool = False
    reason_spelling: str = UPPER_SNAKE
    expired_has_trade_id: bool = True
    failed_taker_events: bool = True
    refuses_unknown_fields: bool = False
    klines_max: int = 1_000
    klines_newest_first: bool = False
    klines_refuses_more: bool = False
    klines_empty: bool = True
    klines_refuses_backwards: bool = False
    fee_tier_keys: str = "tier:makerFee:takerFee:stake:volume30d"
    depth_levels: int = 5_000
    heartbeat_us: int = 200_000
    funding_bound_bps: int = 150
    leverage_max: int = 50

    def __post_init__(self) -> None:
        """Refuse a spelling that there is not, and keys that are not five. Raises ValueError."""
        if self.reason_spelling not in {UPPER_SNAKE, REST}:
            raise ValueError(f"reason_spelling is {self.reason_spelling!r}; it must be {UPPER_SNAKE} or {REST}")
        keys = self.fee_tier_keys.split(":")
        if len(set(keys)) != _TIER_FIELDS or not all(keys):
            raise ValueError(f"fee_tier_keys is {self.fee_tier_keys!r}; it must be {_TIER_FIELDS} different names with colons between")


class Desk:
    """The state behind the edge. Handlers read it; the exchange alone changes books and balances.

    Attributes:
        markets: what the exchange counts each market in: everything is printed with it.
        filters: what each market publishes. The same as `markets` until filters change.
        readers: what requests are read by: the filters, or their decimals alone where multiples of the steps are not asked for.
        outside: the outside world's doors, which go on in the units they began with.
    """

    def __init__(
        self, exchange: Exchange, markets: Sequence[Instrument], accounts: Sequence[DemoAccount], switches: Switches, faults: Faults
    ) -> None:
        """Open the accounts on the exchange, those that it does not hold yet."""
        self.exchange = exchange
        self.markets: dict[str, Instrument] = {market.symbol: market for market in markets}
        self.filters, self.readers = dict(self.markets), dict(self.markets)
        self.outside = Outside(exchange)
        self.accounts: dict[str, DemoAccount] = {account.api_key: account for account in accounts}
        self.verifiers: dict[str, Verifier] = {account.api_key: account.verifier() for account in accounts}
        self.switches = switches
        self.faults = faults
        self.tapes = {symbol: Tape() for symbol in self.markets}
        self.funding_rates: dict[str, deque[FundingSettled]] = {symbol: deque(maxlen=10_000) for symbol in self.markets}
        self.leverage: dict[str, str] = {}
        self.created_us = exchange.now_us
        for account in accounts:
            if account.name not in exchange.accounts:
                exchange.open_account(account.name, account.balances)
            if account.tier is not None:
                exchange.set_fees(account.name, tier_of(account.tier).fees_ppm)

    def change_filters(
        self, symbol: str, now_us: int, *, tick: str | None = None, lot: str | None = None, min_qty: str | None = None,
        max_qty: str | None = None, min_price: str | None = None, max_price: str | None = None, **ppm_bounds: int,
    ) -> None:  # fmt: skip
        """Give a market other filters while it trades; what is not named stays. `ppm_bounds`: the `_ppm` attributes of `Instrument`.

        A smallest order of one lot stays one lot, and a lowest price of one tick one tick. Orders off the new grid expire, everything
        booked keeps its value, and clients see the change in `/markets` and in the numbers of the streams. There is no frame for it, as on
        the venue.

        Raises:
            Refused: INVALID_MARKET.
            GateError: steps that are not positive, or in which the market's past is no whole number of atoms.
        """
        now = self.exchange.filters(symbol)
        kept = {name: getattr(now, name) for name in msgspec.structs.asdict(now) if name.endswith("_ppm")}
        bounds: dict[str, Any] = {
            "min_qty": min_qty or (now.qty_text(now.min_lots) if now.min_lots > 1 else None),
            "max_qty": max_qty or (now.qty_text(now.max_lots) if now.max_lots else None),
            "min_price": min_price or (now.price_text(now.min_ticks) if now.min_ticks > 1 else None),
            "max_price": max_price or (now.price_text(now.max_ticks) if now.max_ticks else None),
        }
        filters = instrument(
            symbol, now.base, now.quote, is_perp=now.is_perp, tick=tick or now.tick, lot=lot or now.lot, **bounds, **{**kept, **ppm_bounds}
        )
        before = self.exchange.outside_levels(symbol)
        way = self.exchange.change_filters(filters, now_us)
        self.publish_filters(symbol, filters, way, before)
        self.tapes[symbol].refine(way.ticks_by, way.lots_by)
        rows = self.funding_rates[symbol]
        for n, row in enumerate(rows):
            rows[n] = msgspec.structs.replace(row, mark_ticks=row.mark_ticks * way.ticks_by)

    def publish_filters(self, symbol: str, filters: Instrument, way: Regrid, before: Sequence[tuple[int, int, int]] = ()) -> None:
        """Speak of a market by other filters; `before`: the outside's levels in the units of before."""
        self.outside.change(symbol, way, list(before))
        self.markets[symbol], self.filters[symbol] = way.grid, filters
        self.readers[symbol] = filters if self.exchange.rules.step_multiples else decimals_of(filters)

    def steps(self, symbol: str) -> tuple[int, int]:
        """(ticks, lots) of the exchange in one tick and one lot of what requests are read by."""
        grid, published = self.markets[symbol], self.readers[symbol]
        if grid is published:
            return 1, 1
        return (
            published.tick_scale * 10**grid.price_decimals // (grid.tick_scale * 10**published.price_decimals),
            published.lot_scale * 10**grid.qty_decimals // (grid.lot_scale * 10**published.qty_decimals),
        )

    def market(self, symbol: str) -> Instrument:
        """The market, with its present book state. Raises Refused INVALID_MARKET."""
        return self.exchange.instrument(symbol)

    def mark_ticks(self, symbol: str) -> int:
        """The mark price; the last trade's where none was stated."""
        return self.exchange.reference(symbol)[0] or self.exchange.last_ticks(symbol)

    def figures(self, account: str, held: Position) -> PositionFigures:
        """What is derived of a position now."""
        buys = sells = 0
        for order in self.exchange.open_orders(account, held.symbol):
            if not order.reduce_only and not order.is_trigger:
                buys, sells = (buys + order.open_lots, sells) if order.side > 0 else (buys, sells + order.open_lots)
        exposure = max(abs(held.lots), abs(held.lots + buys), abs(held.lots - sells)) if buys or sells else abs(held.lots)
        market, mark, terms = self.markets[held.symbol], self.mark_ticks(held.symbol), self.exchange.terms(held.symbol)
        notional, floor = market.notional_atoms(mark, exposure), self.exchange.accounts[account].imf_floor_ppm
        fractions = (
            fraction_ppb(notional, max(market.imf_ppm, floor), terms.imf_factor_ppb),
            fraction_ppb(market.notional_atoms(mark, abs(held.lots)), market.mmf_ppm, terms.mmf_factor_ppb),
        )
        return position_figures(held, market, mark, exposure, fractions, (terms.imf_factor_ppb, terms.mmf_factor_ppb))

    def liquidation_ticks(self, account: str, held: Position) -> int:
        """The mark at which the account's equity would equal its maintenance margin, everything else standing still; 0 = none."""
        market, mark = self.markets[held.symbol], self.mark_ticks(held.symbol)
        margin, terms = self.exchange.margin(account), self.exchange.terms(held.symbol)

        def needs(ticks: int) -> int:
            return share(market.notional_atoms(ticks, abs(held.lots)), market.mmf_ppm, terms.mmf_factor_ppb)

        def stands(ticks: int) -> bool:
            equity = margin.equity_atoms + market.notional_atoms(ticks - mark, held.lots)
            return equity >= margin.maintenance_atoms - needs(mark) + needs(ticks)

        # Above the mark a short falls, below it a long; the margin grows slower than the loss, so the way there is found by halving.
        low, high = (0, mark) if held.lots > 0 else (mark, mark * _FAR)
        if stands(low if held.lots > 0 else high):
            return 0
        while high - low > 1:
            middle = (low + high) // 2
            if stands(middle) == (held.lots > 0):
                high = middle
            else:
                low = middle
        return low if held.lots > 0 else high


def decimals_of(filters: Instrument) -> Instrument:
    """The filters with steps of one in their last decimal, where an order may stand at any price and quantity of so many decimals."""
    fine = instrument(
        filters.symbol, filters.base, filters.quote, is_perp=filters.is_perp,
        tick=_last_place(filters.price_decimals), lot=_last_place(filters.qty_decimals),
    )  # fmt: skip
    return msgspec.structs.replace(
        fine,
        min_lots=filters.min_lots * filters.lot_scale,
        max_lots=filters.max_lots * filters.lot_scale,
    )


def _last_place(decimals: int) -> str:
    return f"0.{1:0{decimals}d}" if decimals else "1"


def refusal(refused: Refused) -> Refusal:
    """How the edge words what the exchange refuses."""
    return Refusal(404 if refused.code == RESOURCE_NOT_FOUND else 400, refused.code, refused.message)


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request that has passed the edge.

    Attributes:
        query: parameters of the query, the last of each name.
        pairs: the same as they were sent.
        params: query and body together, the body's winning.
        rows: of a batch, its objects.
        account: who signed it; "" on public requests.
    """

    now_us: int
    query: Mapping[str, str]
    pairs: Sequence[tuple[str, str]]
    params: Mapping[str, object]
    rows: Sequence[Mapping[str, object]] = ()
    account: str = ""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What goes back. A handler that gives another value means 200 with that value as JSON.

    Attributes:
        delay_us: the shell waits for so long before it answers.
        is_lost: the shell answers nothing and ends the connection.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    delay_us: int = 0
    is_lost: bool = False
