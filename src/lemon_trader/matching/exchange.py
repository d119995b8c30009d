"""The whole exchange behind one door: places, cancels, the outside world and the passing of time come in, effects go out.

No clock: every call takes `now_us`, engine time in microseconds UTC. Time never runs backwards here: an earlier `now_us` counts as the
latest seen. Every mutating call first lets everything happen that was due by then, at its own time, then acts, then fires the triggers and
checks the margins that the act has touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, INT64_MAX, PPM, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.book import FAIR, Queueing
from lemon_trader.matching.carry import Carry
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.desk import Desk
from lemon_trader.matching.effects import BookChanged, Change, Effect, FiltersChanged, ReferenceChanged, StateChanged
from lemon_trader.matching.filters import Regrid, is_off_grid, regrid
from lemon_trader.matching.image import AccountImage, Books, books_of, restore, restore_books
from lemon_trader.matching.lending import Lending
from lemon_trader.matching.liquidation import Liquidator
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.margin import Margin, exposure_lots, margin, missing_atoms, spendable_atoms, worth_atoms
from lemon_trader.matching.matcher import Matcher, reducible_lots
from lemon_trader.matching.orders import Code, NewOrder, OrderState, Reason, Refused, Status
from lemon_trader.matching.rules import COMPUTED, Rules, Terms
from lemon_trader.matching.takeover import TakeOver

_PLAIN: Final = Terms()
_MOST_LOTS: Final = 1 << 48  # where a market without margin stops being unlimited
BOOK_STATES: Final = ("Open", "Closed", "CancelOnly", "LimitOnly", "PostOnly")


class Depth(msgspec.Struct, frozen=True, gc=False):
    """A snapshot of a book: (ticks, lots) per level, best first on both sides; `update_id` is that of the last BookChanged."""

    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    update_id: int
    at_us: int


class Exchange:
    """An exchange as pure state. Its effects wait in `effects` until `take_effects` drains them."""

    def __init__(
        self, instruments: Sequence[Instrument], rules: Rules | None = None, terms: Mapping[str, Terms] | None = None,
        queueing: Queueing = FAIR,
    ) -> None:  # fmt: skip
        """Open these markets; `terms` by symbol. Raises ValueError when a symbol comes twice or perpetuals settle in different assets.

        `queueing`: how accounts' orders stand among anonymous quantity; only a replay of a recorded market has reason to change it.
        """
        self.rules = rules or Rules()
        self.effects: list[Effect] = []
        self.now_us = 0
        self._listings = {
            instrument.symbol: Listing(instrument, self.rules, (terms or {}).get(instrument.symbol, _PLAIN), queueing)
            for instrument in instruments
        }
        if len(self._listings) != len(instruments):
            raise ValueError("a symbol is listed twice; name each market once")
        settlements = {instrument.quote for instrument in instruments if instrument.is_perp}
        if len(settlements) > 1:
            raise ValueError(f"perpetuals settle in {sorted(settlements)}; cross margin knows one settlement asset")
        self._settlement = next(iter(settlements), None)
        self._clearing = Clearing(self.rules, self.effects, self._listings)
        self._matcher = Matcher(self.rules, self._clearing, self.effects)
        self.lending = Lending(self.rules, self._clearing, self._listings, self._settlement, self.effects)
        self._desk = Desk(self.rules, self._listings, self._settlement, self._clearing, self._matcher, self.lending)
        self._carry = Carry(self.rules, self._listings, self._settlement, self._clearing, self.lending, self._desk, self.effects)
        self._liquidator: Liquidator | None = None
        if self._settlement is not None:
            parts = (self.rules, self._listings, self._settlement, self._clearing)
            takeover = TakeOver(*parts, self._matcher, self._desk, self.effects)
            self._liquidator = Liquidator(*parts, self._desk, takeover, self.lending, self.effects)
        self._due_us = 0
        self.accounts = self._clearing.accounts

    # The caller's side.

    def take_effects(self) -> list[Effect]:
        """All effects since the last call, in engine order; the exchange keeps none of them."""
        taken = self.effects[:]
        self.effects.clear()
        return taken

    @property
    def symbols(self) -> tuple[str, ...]:
        """All markets, in the order they were given."""
        return tuple(self._listings)

    @property
    def next_due_us(self) -> int | None:
        """When `advance` has something to do at the earliest: funding, or a taker that waits out its delay. None when nothing is ahead."""
        return self._due_us if 0 < self._due_us < INT64_MAX else None

    def instrument(self, symbol: str) -> Instrument:
        """The market's grid and bounds, with its present book_state. Raises Refused INVALID_MARKET."""
        listing = self._listing(symbol)
        if listing.book_state == listing.instrument.book_state:
            return listing.instrument
        return msgspec.structs.replace(listing.instrument, book_state=listing.book_state)

    def open_account(self, name: str, balances: Mapping[str, int]) -> Account:
        """A new account with these balances, atoms by asset. Raises ValueError when the name is taken or a balance is negative."""
        return self._clearing.open_account(name, balances)

    def deposit(self, account: str, asset: str, atoms: int, now_us: int) -> None:
        """Credit an account from outside the exchange. Raises ValueError unless `atoms` is above 0."""
        if atoms <= 0:
            raise ValueError(f"a deposit of {atoms} atoms of {asset}; give more than 0")
        now = self._begin(now_us)
        self._clearing.deposit(self.accounts[account], asset, atoms)
        self._clearing.unsettled[account] = None
        self._finish(now)

    def place(self, account: str, new: NewOrder, now_us: int) -> OrderState:
        """Place an order and give back what became of it, immediate fills included. Raises Refused, and then no order exists."""
        now = self._begin(now_us)
        owner, listing = self.accounts[account], self._listing(new.symbol)
        try:
            order = self._desk.place(new, owner, listing, now)
        except Refused:
            if self._desk.acted:
                self._finish(now)
            raise
        self._finish(now)
        return order.copied()

    def cancel(self, account: str, symbol: str, now_us: int, *, order_id: int | None = None, client_id: int | None = None) -> OrderState:
        """Cancel one live order by exactly one of the ids.

        Raises:
            Refused: RESOURCE_NOT_FOUND when it has ended or never was; INVALID_CLIENT_REQUEST for none or both ids.
        """
        now = self._begin(now_us)
        listing = self._listing(symbol)
        order = self.accounts[account].find(symbol, order_id, client_id)
        self._desk.withdraw(order, listing, Status.CANCELLED, Change.CANCELLED, None, now)
        self._finish(now)
        return copy(order)

    def cancel_all(self, account: str, symbol: str, now_us: int, *, is_trigger: bool | None = None) -> list[OrderState]:
        """Cancel the account's live orders in a market: all, only pending triggers (True) or only the others (False)."""
        now = self._begin(now_us)
        listing = self._listing(symbol)
        orders = [
            order for order in self.accounts[account].live.values()
            if order.symbol == symbol and (is_trigger is None or order.is_trigger == is_trigger)
        ]  # fmt: skip
        for order in orders:
            self._desk.withdraw(order, listing, Status.CANCELLED, Change.CANCELLED, None, now)
        self._finish(now)
        return [copy(order) for order in orders]

    def open_order(self, account: str, symbol: str, *, order_id: int | None = None, client_id: int | None = None) -> OrderState:
        """One live order. Raises Refused RESOURCE_NOT_FOUND when it has ended or never was."""
        self._listing(symbol)
        return copy(self.accounts[account].find(symbol, order_id, client_id))

    def open_orders(self, account: str, symbol: str | None = None) -> list[OrderState]:
        """All live orders of an account, oldest first, pending triggers and waiting takers included."""
        return [copy(order) for order in self.accounts[account].live.values() if symbol is None or order.symbol == symbol]

    def due_us(self, order_id: int) -> int | None:
        """When an order that waits out the taker delay reaches the book; None when it does not wait."""
        return self._matcher.held.get(order_id)

    def depth(self, symbol: str, limit: int | None = None) -> Depth:
        """The book, at most `limit` levels a side. Raises Refused INVALID_MARKET."""
        listing = self._listing(symbol)
        bids, asks = listing.bids.top(limit), listing.asks.top(limit)
        return Depth(bids, asks, listing.update_id, self.now_us)

    def touch(self, symbol: str) -> tuple[int, int, int, int]:
        """(bid_ticks, bid_lots, ask_ticks, ask_lots), 0 where a side is empty."""
        return self._listing(symbol).touch()

    def last_ticks(self, symbol: str) -> int:
        """The price of the last trade; 0 before the first."""
        return self._listing(symbol).last_ticks

    def reference(self, symbol: str) -> tuple[int, int, int]:
        """(mark_ticks, index_ticks, funding_ppb), 0 where never stated."""
        listing = self._listing(symbol)
        return listing.mark_ticks, listing.index_ticks, listing.funding_ppb

    def next_funding_us(self, now_us: int) -> int:
        """The end of the funding interval that contains `now_us`."""
        interval = self.rules.funding_interval_us
        return (now_us // interval + 1) * interval

    def open_interest_lots(self, symbol: str) -> int:
        """Σ of what accounts hold long or short, whichever is more. Raises Refused INVALID_MARKET."""
        return self._listing(symbol).open_interest_lots()

    def margin(self, account: str) -> Margin:
        """The account's equity and margin at the present marks. Without perpetuals, its balance of the first market's quote."""
        asset = self._settlement or next(iter(self._listings.values())).instrument.quote
        return margin(self.accounts[account], self._listings, asset)

    def free_atoms(self, account: str, asset: str, *, redeems: bool = False, borrows: bool = False) -> int:
        """What an account may spend of an asset: available, and no more than margin leaves free; with what it may redeem and borrow."""
        owner = self.accounts[account]
        free = spendable_atoms(owner, self._listings, self._settlement, asset, redeems=redeems)
        return free + (self.lending.borrowable_atoms(owner, asset) if borrows else 0)

    def max_order_lots(
        self, account: str, symbol: str, side: int, ticks: int = 0, *, reduce_only: bool = False, redeems: bool = False,
        borrows: bool = False,
    ) -> int:  # fmt: skip
        """The largest quantity the account could place now; `ticks` 0 = at the touch. 0 when there is no price to reckon with.

        On spot with what it may redeem and borrow for the order.
        """
        owner, listing = self.accounts[account], self._listing(symbol)
        instrument = listing.instrument
        if reduce_only:
            lots = reducible_lots(owner, symbol, side)
        elif not instrument.is_perp and side == SELL:
            lots = self.free_atoms(account, instrument.base, redeems=redeems, borrows=borrows) // instrument.lot_atoms
        else:
            best = listing.facing(side).best()
            price = ticks or (best.ticks if best else listing.margin_ticks)
            if not price:
                return 0
            if instrument.is_perp:
                lots = self._carriable_lots(owner, listing, side, price)
            else:
                free = self.free_atoms(account, instrument.quote, redeems=redeems, borrows=borrows)
                lots = free // instrument.notional_atoms(price, 1)
        return min(lots, instrument.max_lots) if instrument.max_lots else lots

    def borrow_lend(self, account: str, asset: str, atoms: int, now_us: int) -> None:
        """Lend, or repay first (atoms > 0); redeem what is lent, then borrow (< 0). Raises Refused, and then nothing has changed."""
        now = self._begin(now_us)
        self.lending.borrow_lend(self.accounts[account], asset, atoms, now)
        self._clearing.unsettled[account] = None
        self._finish(now)

    def set_flags(
        self, account: str, now_us: int, *, auto_lend: bool | None = None, auto_borrow_settlements: bool | None = None,
        auto_repay_borrows: bool | None = None,
    ) -> None:  # fmt: skip
        """Change what the exchange does by itself for an account; None leaves a flag. It begins at once."""
        now = self._begin(now_us)
        owner = self.accounts[account]
        owner.auto_lend = owner.auto_lend if auto_lend is None else auto_lend
        owner.auto_borrow_settlements = owner.auto_borrow_settlements if auto_borrow_settlements is None else auto_borrow_settlements
        owner.auto_repay_borrows = owner.auto_repay_borrows if auto_repay_borrows is None else auto_repay_borrows
        self._clearing.stale.update(dict.fromkeys((account, asset) for asset in owner.assets))
        self._clearing.unsettled[account] = None
        self._finish(now)

    def convert_dust(self, account: str, now_us: int, asset: str | None = None) -> int:
        """Turn rests that are smaller than their spot market's smallest order into its quote; the number of rests."""
        now = self._begin(now_us)
        owner, done = self.accounts[account], 0
        for listing in self._listings.values():
            of = listing.instrument
            rest = owner.available(of.base)
            if of.is_perp or asset not in {None, of.base} or not listing.margin_ticks:
                continue
            if 0 < rest < of.min_lots * of.lot_atoms:
                self._clearing.convert(owner, listing, rest, now)
                done += 1
        self._finish(now)
        return done

    def set_imf_floor(self, account: str, floor_ppm: int) -> None:
        """Ask at least this initial margin fraction of an account: 1 / its leverage limit. Raises ValueError outside 0..1,000,000 ppm."""
        if not 0 <= floor_ppm <= PPM:
            raise ValueError(f"an initial margin floor of {floor_ppm} ppm; give 0 to {PPM}")
        self.accounts[account].imf_floor_ppm = floor_ppm

    def set_fees(self, account: str, fees_ppm: tuple[int, int, int, int]) -> None:
        """Fees of an account from now on: spot maker, spot taker, perpetual maker, perpetual taker; ppm, negative = rebate."""
        self.accounts[account].fees_ppm = fees_ppm

    def books(self) -> Books:
        """The exchange's own side of everything, as it stands."""
        return books_of(self._clearing, self._matcher, self._listings)

    def restore_books(self, books: Books) -> None:
        """Go on with these books, once every account of theirs was restored."""
        restore_books(books, self._clearing, self._matcher, self._listings)

    def check_closed(self) -> None:
        """Assert that the books close: nothing of any asset or position has appeared or vanished, to the atom and lot."""
        self._clearing.check_closed()

    # The outside world: everything that is not an account.

    def set_outside(self, symbol: str, side: int, ticks: int, lots: int, now_us: int) -> None:
        """State the anonymous quantity of a level, absolute; BUY = bid level, SELL = ask level, 0 lots = none.

        An increase queues behind what is there; a decrease takes from the queue's back. Account orders keep their place. A level that
        reaches account orders on the other side trades with them first, as taker up to `ticks`; only the rest rests. Outside levels on the
        other side that it crosses are older and wrong by now: they go. Raises ValueError for ticks below 1 or lots below 0.
        """
        if ticks < 1 or lots < 0:
            raise ValueError(f"an outside level of {lots} lots at {ticks} ticks; give ticks of 1 or more and lots of 0 or more")
        now = self._begin(now_us)
        listing = self._listing(symbol)
        facing = listing.facing(side)
        if lots and facing.is_reached(ticks):
            facing.drop_outside(ticks)
            if facing.is_reached(ticks):
                lots = self._matcher.sweep(listing, side, lots, ticks, now)[0] if listing.is_matching else 0
        listing.resting(side).set_outside(ticks, lots)
        self._desk.act(listing)
        self._finish(now)

    def outside_take(self, symbol: str, side: int, lots: int, limit_ticks: int, now_us: int) -> int:
        """Anonymous taker flow, BUY lifts asks: trades in price-time order up to `limit_ticks` (0 = none). Raises ValueError below 0 lots.

        Returns:
            The lots executed; what finds no liquidity, or a book whose state takes no such order, vanishes.
        """
        if lots < 0:
            raise ValueError(f"an outside taker of {lots} lots; give 0 or more")
        now = self._begin(now_us)
        listing = self._listing(symbol)
        left = lots
        if listing.book_state == "Open" or (listing.is_matching and limit_ticks):
            left, _ = self._matcher.sweep(listing, side, lots, limit_ticks, now)
        self._desk.act(listing)
        self._finish(now)
        return lots - left

    def state_book(self, symbol: str, levels: Iterable[tuple[int, int, int]], now_us: int) -> None:
        """State what others show, (side, ticks, lots), absolute; 0 lots = nobody. Nothing trades by it, even across an order.

        For a market that happens elsewhere: what trades with an order is said by `trade_with` alone.
        """
        now = self._begin(now_us)
        listing = self._listing(symbol)
        for side, ticks, lots in levels:
            listing.resting(side).set_outside(ticks, lots)
        self._desk.act(listing)
        self._finish(now)

    def state_last(self, symbol: str, ticks: int, now_us: int) -> None:
        """Others traded at this price: price bands and triggers by the last price follow it."""
        now = self._begin(now_us)
        listing = self._listing(symbol)
        listing.printed(ticks)
        self._desk.act(listing)
        self._finish(now)

    def trade_with(self, account: str, order_id: int, lots: int, now_us: int) -> None:
        """Let the outside world trade with one resting order at its own price, wherever it stands in the queue.

        Raises:
            Refused: RESOURCE_NOT_FOUND when the order does not rest in the book.
            ValueError: `lots` is not between 1 and what is open.
        """
        now = self._begin(now_us)
        order = self.accounts[account].live.get(order_id)
        if order is None or order.is_trigger or order_id in self._matcher.held:
            raise Refused(Code.RESOURCE_NOT_FOUND, "Not Found")
        if not 0 < lots <= order.open_lots:
            raise ValueError(f"a trade of {lots} lots with an order of which {order.open_lots} are open; give 1 to {order.open_lots}")
        listing = self._listing(order.symbol)
        self._matcher.trade_with(order, listing, lots, now)
        self._desk.act(listing)
        self._finish(now)

    def restore_account(self, name: str, image: AccountImage, now_us: int) -> Account:
        """An account as it stood when its exchange ended, with its orders resting again behind whatever stands at their prices.

        An order that waited out the taker delay and may not rest has expired with it. Raises ValueError when the name is taken.
        """
        now = self._begin(now_us)
        account = restore(image, name, self._clearing, self._matcher, self.lending, self._listings, now)
        for symbol in {order.symbol for order in image.live.values()}:
            self._desk.act(self._listing(symbol))
        self._finish(now)
        return account

    def set_reference(self, symbol: str, mark_ticks: int, index_ticks: int, funding_ppb: int, now_us: int) -> None:
        """State mark and index (0 = unknown) and the running interval's funding rate; triggers and margins follow at once.

        Where the exchange makes its own marks, the index alone is taken, and a mark as long as there is none.
        """
        now = self._begin(now_us)
        listing = self._listing(symbol)
        if self.rules.mark_rule == COMPUTED:
            mark_ticks, funding_ppb = listing.mark_ticks or mark_ticks, listing.funding_ppb if listing.mark_ticks else funding_ppb
        listing.stated(mark_ticks, index_ticks, funding_ppb)
        self.effects.append(ReferenceChanged(symbol, mark_ticks, index_ticks, funding_ppb, now))
        self._clearing.unsettled.update(dict.fromkeys(listing.holders))
        if self.lending.loans:  # other coins are worth something else now
            self._clearing.unsettled.update({name: None for name, owner in self.accounts.items() if owner.positions or owner.owes})
        self._desk.act(listing)
        self._finish(now)

    def set_book_state(self, symbol: str, book_state: str, now_us: int) -> None:
        """Open, Closed, CancelOnly, LimitOnly or PostOnly; resting orders stay, or expire where a market closes and the rules say so.

        Raises ValueError for another word.
        """
        if book_state not in BOOK_STATES:
            raise ValueError(f"book state {book_state!r}; it must be one of {', '.join(BOOK_STATES)}")
        now = self._begin(now_us)
        listing = self._listing(symbol)
        listing.book_state = book_state
        self.effects.append(StateChanged(symbol, book_state, now))
        if book_state == "Closed" and self.rules.close_expires_orders:
            for account in self.accounts.values():
                for order in [order for order in account.live.values() if order.symbol == symbol]:
                    self._desk.withdraw(order, listing, Status.EXPIRED, Change.EXPIRED, Reason.UNKNOWN, now)
        self._finish(now)

    def change_filters(self, filters: Instrument, now_us: int) -> Regrid:
        """Give a market other filters while it trades; its state stays what it is.

        Orders that are no multiples of the new steps expire. Prices and quantities of this market are counted in the grid that is given
        back from now on, also those that come in; everything that was booked has been expressed in it.

        Raises:
            Refused: INVALID_MARKET.
            GateError: the filters do not go with the market's past in whole atoms.
        """
        listing = self._listing(filters.symbol)
        way = regrid(listing.instrument, filters, step_multiples=self.rules.step_multiples)
        now = self._begin(now_us)
        for account in self.accounts.values():
            account.refine(filters.symbol, way.ticks_by, way.lots_by)
        listing.change_filters(filters, way)
        if filters.symbol in self._carry.pricing:
            self._carry.pricing[filters.symbol].refine(way.ticks_by)
        for account in self.accounts.values():
            for order in tuple(account.live.values()):
                if order.symbol == filters.symbol and is_off_grid(order, way.price_step, way.lot_step):
                    off_price = order.ticks % way.price_step or order.trigger_ticks % way.price_step
                    reason = Reason.INVALID_PRICE if off_price else Reason.INVALID_QUANTITY
                    self._desk.withdraw(order, listing, Status.EXPIRED, Change.EXPIRED, reason, now)
        for side in (listing.bids, listing.asks):
            side.coarsen_outside(way.price_step, way.lot_step)
        self.effects.append(FiltersChanged(filters.symbol, now))
        self._desk.act(listing)
        self._finish(now)
        return way

    def filters(self, symbol: str) -> Instrument:
        """What the market publishes as its filters; `instrument` is what the exchange counts it in. Raises Refused INVALID_MARKET."""
        return self._listing(symbol).filters

    def terms(self, symbol: str) -> Terms:
        """What the market has beside its filters. Raises Refused INVALID_MARKET."""
        return self._listing(symbol).terms

    def worth_atoms(self, asset: str, atoms: int) -> int:
        """An amount of an asset in what perpetuals settle in, at present prices; 0 where there is none."""
        return worth_atoms(self._listings, self._settlement or next(iter(self._listings.values())).instrument.quote, asset, atoms)

    def outside_levels(self, symbol: str) -> list[tuple[int, int, int]]:
        """(side, ticks, lots) of the anonymous quantity. Raises Refused INVALID_MARKET."""
        listing = self._listing(symbol)
        return [(side.side, level.ticks, level.outside) for side in (listing.bids, listing.asks) for level in side if level.outside]

    def restate(self, symbol: str, now_us: int) -> None:
        """Publish the touch's levels again, unchanged, under a new update id: a heartbeat for readers that count deltas."""
        now = self._begin(now_us)
        listing = self._listing(symbol)
        listing.update_id += 1
        bid_ticks, bid_lots, ask_ticks, ask_lots = listing.touch()
        levels = tuple(level for level in ((BUY, bid_ticks, bid_lots), (SELL, ask_ticks, ask_lots)) if level[1])
        self.effects.append(BookChanged(symbol, listing.update_id, listing.update_id, levels, now))
        self._finish(now)

    def advance(self, now_us: int) -> None:
        """Let time pass: takers whose delay is over and funding that fell due, in time order, with all that they cause."""
        self._finish(self._begin(now_us))

    # Time, triggers and margins.

    def _begin(self, now_us: int) -> int:
        """Let everything happen that is due by `now_us`; gives the engine time of the act."""
        while self._due_us <= now_us:
            self._pass_due(now_us)
        self.now_us = max(self.now_us, now_us)
        return self.now_us

    def _pass_due(self, now_us: int) -> None:
        if not self._carry.due_us:  # time begins
            self._carry.begin(now_us)
        else:
            now = self.now_us = max(self.now_us, self._due_us)
            held_us = self._desk.due_us
            if 0 < held_us <= now:
                self._desk.arrive(now)
            elif self._carry.due_us <= now:
                troubled = self._liquidator is not None and self._liquidator.troubled
                now = self.now_us = self._carry.run(now, now if troubled else min(now_us, held_us or now_us))
            self._finish(now)  # the next chunk of a liquidation comes by itself
        self._reckon_due()

    def _reckon_due(self) -> None:
        due = self._carry.due_us
        held_us = self._desk.due_us
        if held_us and held_us < due:
            due = held_us
        if self._liquidator is not None and self._liquidator.troubled:
            chunk_us = self._liquidator.due_us
            due = min(due, chunk_us) if chunk_us > self.now_us else due
        self._due_us = due

    def _finish(self, now: int) -> None:
        """Follow an act to its end: publish books, fire triggers, check margins, until nothing moves any more; then publish balances."""
        acted, unsettled, liquidator = self._desk.acted, self._clearing.unsettled, self._liquidator
        if liquidator is not None and liquidator.troubled:
            unsettled.update(dict.fromkeys(liquidator.troubled))
        while acted or unsettled:
            while acted:
                _, listing = acted.popitem()
                listing.publish(self.effects, now)
                if self._clearing.bracketed:
                    self._desk.arm_attached(now)
                if not listing.mark_ticks and listing.holders:  # valued by trades as long as no mark is known
                    unsettled.update(dict.fromkeys(listing.holders))
                for trigger in listing.due_triggers():
                    self._desk.fire(trigger, listing, now)
                    if self._clearing.bracketed:
                        self._desk.arm_attached(now)
                    listing.publish(self.effects, now)
            if self.lending.loans:
                self.lending.sweep(now)
            while unsettled:
                name, _ = unsettled.popitem()
                if liquidator is not None:
                    liquidator.check(self.accounts[name], now)
        if self.lending.loans:
            self.lending.sweep(now)
        self._clearing.publish(now)
        self._reckon_due()

    def _carriable_lots(self, owner: Account, listing: Listing, side: int, price_ticks: int) -> int:
        """The largest quantity of a perpetual that the account's equity carries at this price, found by halving with the rule itself."""
        instrument = listing.instrument
        asset, symbol = instrument.quote, instrument.symbol

        def fits(lots: int) -> bool:
            quote = instrument.notional_atoms(price_ticks, lots)
            return missing_atoms(owner, self._listings, asset, listing, side, lots, price_ticks, quote) <= 0

        low, high = 0, 1 + exposure_lots(owner.position_lots(symbol), *owner.exposed_lots(symbol))
        while high < _MOST_LOTS and fits(high):
            high *= 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def _listing(self, symbol: str) -> Listing:
        listing = self._listings.get(symbol)
        if listing is None:
            raise Refused(Code.INVALID_MARKET, f"Invalid market symbol: {symbol}")
        return listing
