"""What the exchange says has happened, put into stream frames; and the frames that come by the clock.

Effects arrive in engine order and leave in it: an acceptance before its fills, a depth delta before the touch that it moved.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, SELL, US_PER_S
from lemon_trader.exchanges.backpack.server_stream import (
    DEPTH_WINDOWS,
    StreamName,
    balance_data,
    book_ticker_data,
    depth_data,
    kline_data,
    liquidation_data,
    mark_price_data,
    open_interest_data,
    order_data,
    parse_stream,
    position_data,
    ticker_data,
    trade_data,
)
from lemon_trader.exchanges.backpack.words import BALANCE_UPDATES, ORDER_UPDATES, POSITION_UPDATES, USER
from lemon_trader.matching.effects import (
    BalanceChanged,
    BookChanged,
    Change,
    Effect,
    FundingSettled,
    Liquidated,
    OrderChanged,
    PositionChanged,
    ReferenceChanged,
    TouchChanged,
    Traded,
)
from lemon_trader.matching.orders import TimeInForce
from lemon_trader.sandbox.desk import REST, Desk
from lemon_trader.sandbox.sessions import Hub, Session
from lemon_trader.sandbox.tape import DAY_US, Candle, bucket_end

OPEN_INTEREST_US: Final = 60 * US_PER_S


class _Window(msgspec.Struct, gc=False):
    """A depth stream that collects: what has changed since it last sent."""

    width_us: int
    due_us: int
    first_id: int = 0
    last_id: int = 0
    at_us: int = 0
    levels: dict[tuple[int, int], int] = {}


class Publisher:
    """Turns effects and time into frames."""

    def __init__(self, desk: Desk, hub: Hub) -> None:
        self._desk = desk
        self._hub = hub
        self._windows: dict[str, _Window] = {}
        self._klines: dict[tuple[str, str], bool] = {}  # (symbol, interval) -> something to say
        self._spoke_us: dict[str, int] = {}  # when a market's book last said something
        self._next_second_us = desk.created_us - desk.created_us % US_PER_S + US_PER_S
        self._next_interest_us = 0

    # ---- by effect ----

    def publish(self, effects: list[Effect], now_us: int) -> None:
        """Send what these effects mean to those who listen, and keep what will be asked for later."""
        silent = set() if self._desk.switches.failed_taker_events else _failed_takers(effects)
        for effect in effects:
            match effect:
                case OrderChanged() if effect.order.order_id in silent:
                    pass
                case BookChanged():
                    self._book(effect, now_us)
                case TouchChanged():
                    self._touch(effect, now_us)
                case Traded():
                    self._trade(effect, now_us)
                case OrderChanged():
                    self._order(effect, now_us)
                case Liquidated():
                    self._liquidated(effect.symbol, effect.side, effect.ticks, effect.lots, effect.at_us, now_us)
                case PositionChanged():
                    self._position(effect, now_us)
                case BalanceChanged():
                    data = balance_data(effect.asset, effect.available_atoms, effect.locked_atoms, now_us)
                    self._hub.publish(BALANCE_UPDATES, data, now_us, effect.account)
                case ReferenceChanged():
                    self._reference(effect)
                case FundingSettled():
                    self._desk.funding_rates[effect.symbol].append(effect)

    def _book(self, effect: BookChanged, now_us: int) -> None:
        self._spoke_us[effect.symbol] = now_us
        stream = f"depth.{effect.symbol}"
        if self._hub.has(stream):
            market = self._market(effect.symbol)
            data = depth_data(market, effect.levels, effect.first_id, effect.last_id, effect.at_us, now_us)
            self._hub.publish(stream, data, now_us)
        for width in DEPTH_WINDOWS:
            window = self._windows.get(f"depth.{width}.{effect.symbol}")
            if window is not None:
                window.first_id = window.first_id or effect.first_id
                window.last_id, window.at_us = effect.last_id, effect.at_us
                window.levels |= {(side, ticks): lots for side, ticks, lots in effect.levels}

    def _touch(self, effect: TouchChanged, now_us: int) -> None:
        stream = f"bookTicker.{effect.symbol}"
        if self._hub.has(stream):
            bid, ask = (effect.bid_ticks, effect.bid_lots), (effect.ask_ticks, effect.ask_lots)
            data = book_ticker_data(self._market(effect.symbol), bid, ask, effect.update_id, effect.at_us, now_us)
            self._hub.publish(stream, data, now_us)

    def _trade(self, effect: Traded, now_us: int) -> None:
        symbol, market = effect.symbol, self._market(effect.symbol)
        for interval, candle in self._desk.tapes[symbol].add(effect):
            self._kline(symbol, interval, candle, now_us, is_closed=True)
        for key in self._klines:
            if key[0] == symbol:
                self._klines[key] = True
        if self._hub.has(f"trade.{symbol}"):
            data = trade_data(
                market, trade_id=effect.trade_id, ticks=effect.ticks, lots=effect.lots, buy_order_id=effect.buy_order_id,
                sell_order_id=effect.sell_order_id, buyer_is_maker=effect.buyer_is_maker, at_us=effect.at_us, sent_us=now_us,
            )  # fmt: skip
            self._hub.publish(f"trade.{symbol}", data, now_us)
        if effect.origin != USER:
            self._liquidated(symbol, SELL if effect.buyer_is_maker else BUY, effect.ticks, effect.lots, effect.at_us, now_us)

    def _liquidated(self, symbol: str, side: int, ticks: int, lots: int, at_us: int, now_us: int) -> None:
        data = liquidation_data(self._market(symbol), side, ticks, lots, at_us, now_us)
        self._hub.publish("liquidation", data, now_us)
        self._hub.publish(f"liquidation.{symbol}", data, now_us)

    def _order(self, effect: OrderChanged, now_us: int) -> None:
        if effect.kind is Change.TRIGGERED:
            return  # the venue has no event for it: the child's acceptance follows
        order = effect.order
        if not self._anybody(ORDER_UPDATES, order.symbol, effect.account):
            return
        data = order_data(order, self._market(order.symbol), effect.kind, effect.at_us, now_us, effect.fill)
        switches = self._desk.switches
        if "R" in data and switches.reason_spelling == REST:
            data["R"] = order.reason
        if effect.kind is Change.EXPIRED and not switches.expired_has_trade_id:
            del data["t"]
        if effect.fill is not None and self._desk.faults.omit_trade_ids:
            data["t"] = None
        self._both(ORDER_UPDATES, order.symbol, data, now_us, effect.account)

    def _position(self, effect: PositionChanged, now_us: int) -> None:
        held = effect.position
        if not self._anybody(POSITION_UPDATES, held.symbol, effect.account):
            return
        figures = self._desk.figures(effect.account, held)
        data = position_data(held, self._market(held.symbol), figures, effect.kind, effect.at_us, now_us)
        self._both(POSITION_UPDATES, held.symbol, data, now_us, effect.account)

    def _anybody(self, stream: str, symbol: str, account: str) -> bool:
        return self._hub.has(stream, account) or self._hub.has(f"{stream}.{symbol}", account)

    def _both(self, stream: str, symbol: str, data: dict[str, object], now_us: int, account: str) -> None:
        """On the account's stream of all markets and on that of the one market."""
        self._hub.publish(stream, data, now_us, account)
        self._hub.publish(f"{stream}.{symbol}", data, now_us, account)

    def _reference(self, effect: ReferenceChanged) -> None:
        tape = self._desk.tapes[effect.symbol]
        if effect.mark_ticks:
            tape.mark.add(effect.at_us, effect.mark_ticks)
        if effect.index_ticks:
            tape.index.add(effect.at_us, effect.index_ticks)

    def regridded(self, symbol: str, before: Instrument) -> None:
        """A market counts in another grid now: what its windows have collected goes over to it."""
        now = self._market(symbol)
        ticks_by = before.tick_scale * 10**now.price_decimals // (now.tick_scale * 10**before.price_decimals)
        lots_by = before.lot_scale * 10**now.qty_decimals // (now.lot_scale * 10**before.qty_decimals)
        for stream, window in self._windows.items():
            if parse_stream(stream).symbol == symbol:
                window.levels = {(side, ticks * ticks_by): lots * lots_by for (side, ticks), lots in window.levels.items()}

    # ---- by subscription ----

    def subscribed(self, session: Session, name: StreamName, stream: str, account: str, now_us: int) -> None:
        """Begin to collect what a new listener needs; positions are told at once, without `e`."""
        if name.is_private:
            if name.kind == "positionUpdate":
                self._positions(session, name.symbol, account, now_us)
            return
        if name.symbol not in self._desk.markets:
            return
        if name.kind == "kline":
            self._desk.tapes[name.symbol].trades.follow(name.detail, now_us)
            self._klines.setdefault((name.symbol, name.detail), False)
        elif name.kind == "depth" and name.detail:
            width = DEPTH_WINDOWS[name.detail]
            self._windows.setdefault(stream, _Window(width, now_us - now_us % width + width))
        elif name.kind == "depth":
            self._spoke_us.setdefault(name.symbol, now_us)

    def _positions(self, session: Session, symbol: str, account: str, now_us: int) -> None:
        stream = f"{POSITION_UPDATES}.{symbol}" if symbol else POSITION_UPDATES
        for held in self._desk.exchange.accounts[account].positions.values():
            if held.lots and symbol in {"", held.symbol}:
                figures = self._desk.figures(account, held)
                session.tell(stream, position_data(held, self._market(held.symbol), figures, None, now_us, now_us))

    # ---- by the clock ----

    def tick(self, now_us: int) -> None:
        """Send what is due by now. A jump over several seconds sends once."""
        for stream, window in self._windows.items():
            if window.due_us <= now_us:
                self._flush(stream, window, now_us)
        if now_us >= self._next_second_us:
            self._next_second_us = now_us - now_us % US_PER_S + US_PER_S
            self._second(now_us)

    def next_due_us(self) -> int:
        """When `tick` or `quiet_books` has something to do next."""
        due = [self._next_second_us, *(window.due_us for window in self._windows.values())]
        heartbeat_us = self._desk.switches.heartbeat_us
        if heartbeat_us:
            due += [at + heartbeat_us for symbol, at in self._spoke_us.items() if self._hub.has(f"depth.{symbol}")]
        return min(due)

    def quiet_books(self, now_us: int) -> list[str]:
        """The markets that somebody watches and whose book has been silent for a heartbeat."""
        heartbeat_us = self._desk.switches.heartbeat_us
        if not heartbeat_us:
            return []
        return [s for s, at in self._spoke_us.items() if now_us - at >= heartbeat_us and self._hub.has(f"depth.{s}")]

    def _flush(self, stream: str, window: _Window, now_us: int) -> None:
        window.due_us = now_us - now_us % window.width_us + window.width_us
        if window.first_id:
            market = self._market(parse_stream(stream).symbol)
            levels = [(side, ticks, lots) for (side, ticks), lots in window.levels.items()]
            self._hub.publish(stream, depth_data(market, levels, window.first_id, window.last_id, window.at_us, now_us), now_us)
            window.first_id = 0
            window.levels = {}

    def _second(self, now_us: int) -> None:
        interest_is_due = now_us >= self._next_interest_us
        if interest_is_due:
            self._next_interest_us = now_us - now_us % OPEN_INTEREST_US + OPEN_INTEREST_US
        for symbol, market in self._desk.markets.items():
            for interval, candle in self._desk.tapes[symbol].trades.close_due(now_us):
                self._kline(symbol, interval, candle, now_us, is_closed=True)
                self._klines[symbol, interval] = False
            if self._hub.has(f"ticker.{symbol}"):
                self._ticker(symbol, market, now_us)
            if market.is_perp and self._hub.has(f"markPrice.{symbol}"):
                self._mark(symbol, market, now_us)
            if market.is_perp and interest_is_due and self._hub.has(f"openInterest.{symbol}"):
                lots = self._desk.exchange.open_interest_lots(symbol)
                self._hub.publish(f"openInterest.{symbol}", open_interest_data(market, lots, now_us), now_us)
        for (symbol, interval), has_news in self._klines.items():
            candle_now = self._desk.tapes[symbol].trades.running(interval)
            if has_news and candle_now is not None:
                self._kline(symbol, interval, candle_now, now_us, is_closed=False)
                self._klines[symbol, interval] = False

    def _ticker(self, symbol: str, market: Instrument, now_us: int) -> None:
        """The day so far; of a market that has not traded yet the price at which it opened, so that its stream is alive."""
        day = self._desk.tapes[symbol].trades.span(now_us, DAY_US)
        if day is None:
            ticks = self._desk.mark_ticks(symbol) or self._mid_ticks(symbol)
            if not ticks:
                return
            day = Candle(now_us, ticks, ticks, ticks, ticks)
        first, high, low, last = day.prices
        data = ticker_data(
            market, first_ticks=first, last_ticks=last, high_ticks=high, low_ticks=low, lots=day.lots, quote_atoms=day.quote_atoms,
            trades=day.trades, sent_us=now_us,
        )  # fmt: skip
        self._hub.publish(f"ticker.{symbol}", data, now_us)

    def _mark(self, symbol: str, market: Instrument, now_us: int) -> None:
        mark, index, funding_ppb = self._desk.exchange.reference(symbol)
        if mark:
            due = self._desk.exchange.next_funding_us(now_us)
            data = mark_price_data(
                market, mark_ticks=mark, index_ticks=index, funding_ppb=funding_ppb, next_funding_us=due, at_us=now_us, sent_us=now_us
            )
            self._hub.publish(f"markPrice.{symbol}", data, now_us)

    def _kline(self, symbol: str, interval: str, candle: Candle, now_us: int, *, is_closed: bool) -> None:
        stream = f"kline.{interval}.{symbol}"
        if self._hub.has(stream):
            data = kline_data(
                self._market(symbol), start_us=candle.start_us, end_us=bucket_end(candle.start_us, interval), prices=candle.prices,
                lots=candle.lots, trades=candle.trades, is_closed=is_closed, sent_us=now_us,
            )  # fmt: skip
            self._hub.publish(stream, data, now_us)

    def _market(self, symbol: str) -> Instrument:
        return self._desk.markets[symbol]

    def _mid_ticks(self, symbol: str) -> int:
        book = self._desk.exchange.depth(symbol, 1)
        return (book.bids[0][0] + book.asks[0][0]) // 2 if book.bids and book.asks else 0


def _failed_takers(effects: Sequence[Effect]) -> set[int]:
    """Orders that came and expired at once, without a fill, for not finding a counterpart."""
    changes = [effect for effect in effects if isinstance(effect, OrderChanged)]
    new = {change.order.order_id for change in changes if change.kind is Change.ACCEPTED}
    return {
        change.order.order_id
        for change in changes
        if change.kind is Change.EXPIRED and not change.order.executed_lots and change.order.time_in_force is not TimeInForce.GTC
    } & new
