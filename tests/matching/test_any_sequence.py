"""Whatever is done to the exchange in whatever order: its books close, its book stays a book, and its effects tell what happened."""

from contextlib import suppress
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace
from tests.matching.worlds import PERP, SPOT, UNIT, Exchange, T, perp, spot

from lemon_trader.core.instrument import instrument
from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import (
    BalanceChanged,
    BookChanged,
    Change,
    Effect,
    OrderChanged,
    PositionChanged,
    TouchChanged,
    Traded,
)
from lemon_trader.matching.exchange import BOOK_STATES
from lemon_trader.matching.orders import Attached, Leg, NewOrder, OrderType, Reason, Refused, SelfTrade, Status, TimeInForce, TriggerBy
from lemon_trader.matching.rules import COMPUTED, STATED, Loan, Rules, Terms

TIMES = (*TimeInForce, *[TimeInForce.GTC] * 4)
NAMES = ("ann", "bob", "poor")
symbols = st.sampled_from([SPOT, PERP, PERP])
sides = st.sampled_from([BUY, SELL])
names = st.sampled_from(NAMES)
prices = st.integers(97, 103).map(lambda n: n * 100)
lots = st.integers(1, 400)
legs = st.none() | st.builds(Leg, prices, st.just(0) | prices, st.none() | st.sampled_from(list(TriggerBy)))
pairs = st.none() | st.builds(Attached, legs, legs)


TICKS = ("0.01", "0.02", "0.03", "0.05", "0.005")
LOTS = ("0.01", "0.01", "0.05", "0.005")


def scaled(pair, ticks_by):
    """An attached pair in a finer grid."""
    if pair is None:
        return None
    both = [
        leg and Leg(leg.trigger_ticks * ticks_by, leg.limit_ticks * ticks_by, leg.trigger_by) for leg in (pair.take_profit, pair.stop_loss)
    ]
    return Attached(*both)


LOANS = {
    "USDC": Loan(weight_ppm=1_000_000, supply_atoms=9_000 * UNIT, demand_atoms=2_000 * UNIT),
    "SOL": Loan(weight_ppm=900_000, supply_atoms=90 * UNIT, demand_atoms=30 * UNIT),
}


class AnySequence(RuleBasedStateMachine):
    """Several accounts and the outside world act at random; a second book is rebuilt from effects alone and must equal the exchange's."""

    @initialize(delay=st.sampled_from([0, 0, 100]), partial=st.sampled_from([Status.EXPIRED, Status.PARTIALLY_FILLED]), keeps=st.booleans())
    def begin(self, delay, partial, keeps):
        rules = Rules(
            taker_delay_us=delay, funding_interval_us=5_000, partial_market_status=partial, child_keeps_client_id=keeps,
            max_triggers=8 if keeps else 20, attached_arms="end" if keeps else "fill", post_only_rejection_events=keeps,
            settlement_interval_us=500, interest_interval_us=3_000, mark_rule=COMPUTED if keeps else STATED,
            liquidation_pause_us=200 if keeps else 0, has_backstop=not keeps, loans=LOANS, auto_borrow_settlements=keeps,
        )  # fmt: skip
        bounds = {"impact_low_ppm": 970_000, "impact_high_ppm": 1_030_000, "low_ppm": 900_000, "high_ppm": 1_100_000}
        terms = {PERP: Terms(imf_factor_ppb=60_000, mmf_factor_ppb=36_000)}
        self.exchange = Exchange([spot(**bounds), perp(**bounds)], rules, terms)
        self.exchange.open_account("ann", {"USDC": 5_000 * UNIT, "SOL": 50 * UNIT})
        self.exchange.open_account("bob", {"USDC": 5_000 * UNIT, "SOL": 50 * UNIT})
        self.exchange.open_account("poor", {"USDC": 20 * UNIT})
        self.now = T
        self.client_id = 0
        self.books = {SPOT: {}, PERP: {}}
        self.update_ids = {SPOT: 0, PERP: 0}
        self.trade_ids = {SPOT: 0, PERP: 0}
        self.balances = {}
        self.positions = {}
        self.orders = {}  # live ones
        self.newest_id = 0
        self.executed = {}
        self.bounds = bounds
        self.by = {SPOT: (1, 1), PERP: (1, 1)}  # ticks and lots of the exchange in one of those below
        self.steps = {SPOT: (1, 1), PERP: (1, 1)}
        self.exchange.set_reference(PERP, 10_000, 10_000, 20_000, T)
        for symbol in (SPOT, PERP):
            self.exchange.set_outside(symbol, BUY, 9_900, 300, T)
            self.exchange.set_outside(symbol, SELL, 10_100, 300, T)
        self.drain()

    def later(self):
        self.now += 37
        return self.now

    def place(self, name, new):
        ticks_by, lots_by = self.by.get(new.symbol, (1, 1))
        new = replace(
            new, ticks=new.ticks * ticks_by, trigger_ticks=new.trigger_ticks * ticks_by, lots=new.lots * lots_by,
            trigger_lots=new.trigger_lots * lots_by, attached=scaled(new.attached, ticks_by),
            slippage_ticks=None if new.slippage_ticks is None else new.slippage_ticks * ticks_by,
        )  # fmt: skip
        queued = self.queue(new)
        try:
            order = self.exchange.place(name, new, self.later())
        except Refused:
            return
        if order.status is Status.NEW and not self.exchange.due_us(order.order_id) and queued is not None:
            after = self.queue(new)
            ids = [entry for entry in after if entry[0] == "order"]
            assert ids[-1] == ("order", order.order_id), "a new order did not queue last"

    def queue(self, new):
        """Who waits at a price, first first: ("order", id) or ("outside", lots)."""
        if new.order_type is not OrderType.LIMIT:
            return None
        level = self.exchange._listings[new.symbol].resting(new.side).at(new.ticks)
        return [] if level is None else [("outside", e) if isinstance(e, int) else ("order", e.order_id) for e in level.entries()]

    @rule(
        name=names, symbol=symbols, side=sides, lots=lots, ticks=prices, tif=st.sampled_from(list(TimeInForce)),
        post_only=st.booleans(), reduce_only=st.booleans(), mode=st.sampled_from(list(SelfTrade)), pair=pairs,
    )  # fmt: skip
    def place_limit(self, name, symbol, side, lots, ticks, tif, post_only, reduce_only, mode, pair=None):
        self.client_id += 1
        self.place(name, NewOrder(
            symbol=symbol, side=side, lots=lots, ticks=ticks, time_in_force=TimeInForce.GTC if post_only else tif, post_only=post_only,
            reduce_only=reduce_only and symbol == PERP, self_trade=mode, client_id=self.client_id % 50, attached=pair,
        ))  # fmt: skip

    @rule(
        name=names, symbol=symbols, side=sides, lots=lots, by_quote=st.booleans(), reduce_only=st.booleans(),
        mode=st.sampled_from(list(SelfTrade)), tif=st.sampled_from(list(TimeInForce)), slip=st.sampled_from([None, 100]), pair=pairs,
    )  # fmt: skip
    def place_market(self, name, symbol, side, lots, by_quote, reduce_only, mode, tif, slip, pair=None):
        self.place(name, NewOrder(
            symbol=symbol, side=side, order_type=OrderType.MARKET, lots=0 if by_quote else lots, time_in_force=tif,
            quote_atoms=lots * UNIT if by_quote else 0, reduce_only=reduce_only and symbol == PERP, self_trade=mode, slippage_ticks=slip,
            attached=pair,
        ))  # fmt: skip

    @rule(
        name=names, symbol=symbols, side=sides, lots=lots, trigger=prices, by=st.sampled_from(list(TriggerBy)), is_market=st.booleans(),
        ticks=prices, share=st.sampled_from([0, 0, 500_000, 1_000_000]), reduce_only=st.booleans(), post_only=st.booleans(),
    )  # fmt: skip
    def place_trigger(self, name, symbol, side, lots, trigger, by, is_market, ticks, share, reduce_only, post_only):
        self.client_id += 1
        self.place(name, NewOrder(
            symbol=symbol, side=side, order_type=OrderType.MARKET if is_market else OrderType.LIMIT, ticks=0 if is_market else ticks,
            trigger_ticks=trigger, trigger_lots=0 if share else lots, trigger_ppm=share, trigger_by=by,
            reduce_only=reduce_only and symbol == PERP, post_only=post_only and not is_market, client_id=100 + self.client_id % 50,
        ))  # fmt: skip

    @rule(name=names, pick=st.integers(0, 50))
    def cancel(self, name, pick):
        self.exchange.advance(self.later())
        orders = self.exchange.open_orders(name)
        if orders:
            order = orders[pick % len(orders)]
            gone = self.exchange.cancel(name, order.symbol, self.now, order_id=order.order_id)
            assert gone.status is Status.CANCELLED
            assert order.order_id not in {o.order_id for o in self.exchange.open_orders(name)}

    @rule(name=names, symbol=symbols, is_trigger=st.sampled_from([None, True, False]))
    def cancel_all(self, name, symbol, is_trigger):
        self.exchange.advance(self.later())
        before = {order.order_id for order in self.exchange.open_orders(name, symbol)}
        self.exchange.cancel_all(name, symbol, self.now, is_trigger=is_trigger)
        # A parent that is cancelled may arm what it brings along, and that may fire at once.
        left = [order for order in self.exchange.open_orders(name, symbol) if order.order_id in before]
        assert not [o for o in left if is_trigger is None or o.is_trigger == is_trigger]

    @rule(symbol=symbols, side=sides, ticks=prices, lots=st.integers(0, 600))
    def set_outside(self, symbol, side, ticks, lots):
        (ticks_by, lots_by), (price_step, lot_step) = self.by[symbol], self.steps[symbol]
        ticks, lots = ticks * ticks_by, lots * lots_by
        ticks = ticks // price_step * price_step if side == BUY else -(-ticks // price_step) * price_step
        self.exchange.set_outside(symbol, side, ticks, lots - lots % lot_step, self.later())

    @rule(symbol=symbols, side=sides, lots=lots, limit=st.sampled_from([0, 0, 9_800, 10_000, 10_200]))
    def outside_take(self, symbol, side, lots, limit):
        lots, limit = lots * self.by[symbol][1], limit * self.by[symbol][0]
        lots -= lots % self.steps[symbol][1]
        assert 0 <= self.exchange.outside_take(symbol, side, lots, limit, self.later()) <= lots

    @rule(mark=st.integers(9_000, 11_000), index=prices, rate=st.integers(-50_000, 50_000))
    def set_reference(self, mark, index, rate):
        self.exchange.set_reference(PERP, mark * self.by[PERP][0], index * self.by[PERP][0], rate, self.later())

    @rule(symbol=symbols, tick=st.sampled_from(TICKS), lot=st.sampled_from(LOTS))
    def change_filters(self, symbol, tick, lot):
        self.exchange.advance(self.later())
        self.drain()  # what was told before is in the grid of before
        now = self.exchange.instrument(symbol)
        bare = instrument(symbol, "SOL", "USDC", is_perp=symbol == PERP, tick=tick, lot=lot)
        fractions = {"imf_ppm": now.imf_ppm, "mmf_ppm": now.mmf_ppm}
        way = self.exchange.change_filters(replace(bare, **self.bounds, **fractions), self.now)
        ticks_by, lots_by = self.by[symbol]
        self.by[symbol], self.steps[symbol] = (ticks_by * way.ticks_by, lots_by * way.lots_by), (way.price_step, way.lot_step)
        self.books[symbol] = {(side, ticks * way.ticks_by): lots * way.lots_by for (side, ticks), lots in self.books[symbol].items()}
        self.positions = {key: lots * (way.lots_by if key[1] == symbol else 1) for key, lots in self.positions.items()}
        for order_id, order in self.orders.items():
            if order.symbol == symbol and order_id in self.executed:
                self.executed[order_id] *= way.lots_by

    @rule(symbol=symbols, state=st.sampled_from(["Open", "Open", *BOOK_STATES]))
    def change_state(self, symbol, state):
        self.exchange.set_book_state(symbol, state, self.later())

    @rule(wait=st.integers(1, 9_000))
    def advance(self, wait):
        self.now += wait
        self.exchange.advance(self.now)

    @rule(name=names, asset=st.sampled_from(["USDC", "SOL"]), units=st.integers(-200, 200))
    def borrow_lend(self, name, asset, units):
        with suppress(Refused):
            self.exchange.borrow_lend(name, asset, units * UNIT, self.later())

    @rule(name=names, lends=st.booleans(), repays=st.booleans())
    def set_flags(self, name, lends, repays):
        self.exchange.set_flags(name, self.later(), auto_lend=lends, auto_repay_borrows=repays)

    @rule(name=names, side=sides, lots=lots, borrows=st.booleans(), redeems=st.booleans(), repays=st.booleans(), lends=st.booleans())
    def place_on_margin(self, name, side, lots, borrows, redeems, repays, lends):
        self.place(name, NewOrder(
            symbol=SPOT, side=side, order_type=OrderType.MARKET, lots=lots, auto_borrow=borrows, auto_lend_redeem=redeems,
            auto_borrow_repay=repays, auto_lend=lends,
        ))  # fmt: skip

    @rule()
    def convert_dust(self):
        self.exchange.convert_dust("ann", self.later())

    @rule(name=names)
    def deposit(self, name):
        self.exchange.deposit(name, "USDC", UNIT, self.later())

    def drain(self) -> None:
        for effect in self.exchange.take_effects():
            self.believe(effect)

    def believe(self, effect: Effect) -> None:
        match effect:
            case BookChanged():
                assert effect.first_id == self.update_ids[effect.symbol] + 1, "update ids have a gap"
                assert effect.last_id >= effect.first_id
                self.update_ids[effect.symbol] = effect.last_id
                book = self.books[effect.symbol]
                for side, ticks, quantity in effect.levels:
                    book[side, ticks] = quantity
                    if not quantity:
                        del book[side, ticks]
            case TouchChanged():
                bids = [ticks for side, ticks in self.books[effect.symbol] if side == BUY]
                asks = [ticks for side, ticks in self.books[effect.symbol] if side == SELL]
                assert effect.bid_ticks == max(bids, default=0)
                assert effect.ask_ticks == min(asks, default=0)
            case Traded():
                assert effect.trade_id == self.trade_ids[effect.symbol] + 1
                self.trade_ids[effect.symbol] = effect.trade_id
                assert effect.lots > 0
                assert effect.buyer is None or effect.buyer != effect.seller, "an account traded with itself"
            case BalanceChanged():
                self.balances[effect.account, effect.asset] = (effect.available_atoms, effect.locked_atoms)
            case PositionChanged():
                self.positions[effect.account, effect.position.symbol] = effect.position.lots
            case OrderChanged():
                self.believe_order(effect)
            case _:
                pass

    def believe_order(self, effect: OrderChanged) -> None:
        order = effect.order
        known = self.orders.get(order.order_id)
        if effect.kind in {Change.ACCEPTED, Change.TRIGGER_PLACED}:
            self.orders[order.order_id] = order
            assert order.order_id > self.newest_id, "an order was accepted twice"
            self.newest_id = order.order_id
        else:
            assert known is not None, f"{effect.kind} before acceptance or after the end"
        assert (effect.fill is not None) == (effect.kind is Change.FILLED)
        if effect.fill is not None:
            self.executed[order.order_id] = self.executed.get(order.order_id, 0) + effect.fill.lots
            assert order.executed_lots == self.executed[order.order_id]
            assert order.side * effect.fill.ticks <= order.side * order.ticks or order.order_type is OrderType.MARKET, (
                "worse than its limit"
            )
        if not order.is_live and order.time_in_force is TimeInForce.FOK and not order.is_trigger:
            assert order.executed_lots in {0, order.lots}, "a fill-or-kill was filled in part"
        if order.is_live:
            self.orders[order.order_id] = order
        else:
            del self.orders[order.order_id]

    @invariant()
    def the_books_close(self):
        self.exchange.check_closed()

    @invariant()
    def effects_tell_the_state(self):
        self.drain()
        for symbol in (SPOT, PERP):
            depth = self.exchange.depth(symbol)
            assert {(BUY, t): q for t, q in depth.bids} | {(SELL, t): q for t, q in depth.asks} == self.books[symbol]
            assert depth.update_id == self.update_ids[symbol]
            assert [t for t, _ in depth.bids] == sorted((t for t, _ in depth.bids), reverse=True)
            assert [t for t, _ in depth.asks] == sorted(t for t, _ in depth.asks)
            assert not depth.bids or not depth.asks or depth.bids[0][0] < depth.asks[0][0], "the book is crossed"
            assert all(quantity > 0 for _, quantity in depth.bids + depth.asks)
        assert set(self.orders) == {order.order_id for name in NAMES for order in self.exchange.open_orders(name)}
        for (name, asset), (available, locked) in self.balances.items():
            account = self.exchange.accounts[name]
            assert (account.available(asset), account.locked(asset)) == (available, locked)
        for (name, symbol), held in self.positions.items():
            assert self.exchange.accounts[name].position_lots(symbol) == held

    @invariant()
    def orders_and_accounts_agree(self):
        for name in NAMES:
            account = self.exchange.accounts[name]
            live = self.exchange.open_orders(name)
            for asset in account.assets:
                held_side = SELL if asset == "SOL" else BUY
                assert account.locked(asset) == sum(o.locked_atoms for o in live if o.side == held_side and o.symbol == SPOT)
            assert account.available("SOL") >= 0
            assert not account.locked("SOL") < 0
            buys, sells = account.exposed_lots(PERP)
            risky = [o for o in live if o.symbol == PERP and not o.reduce_only and o.status is not Status.TRIGGER_PENDING]
            assert buys == sum(o.open_lots for o in risky if o.side == BUY)
            assert sells == sum(o.open_lots for o in risky if o.side == SELL)
            for order in live:
                assert 0 <= order.executed_lots <= order.lots or order.is_trigger
                waits = self.exchange.due_us(order.order_id) is not None
                if order.reduce_only and not order.is_trigger and not waits:
                    assert order.open_lots <= -order.side * account.position_lots(PERP), "a resting reduce-only order could flip"
            for row in account.order_history[-40:]:
                assert not row.is_live
                assert row.locked_atoms == row.exposed_lots == 0

    @invariant()
    def what_rests_is_what_the_levels_hold(self):
        for symbol in (SPOT, PERP):
            listing = self.exchange._listings[symbol]
            resting = set()
            for side in (listing.bids, listing.asks):
                for level in side:
                    entries = list(level.entries())
                    orders = [e for e in entries if not isinstance(e, int)]
                    assert level.outside == sum(e for e in entries if isinstance(e, int))
                    assert level.lots == level.outside + sum(o.open_lots for o in orders)
                    assert [o.order_id for o in orders] == sorted(o.order_id for o in orders) or self.exchange.rules.taker_delay_us
                    assert all(o.ticks == level.ticks and o.side == side.side for o in orders)
                    resting |= {o.order_id for o in orders}
            live = [o for name in NAMES for o in self.exchange.open_orders(name, symbol)]
            waiting = {o.order_id for o in live if o.is_trigger or self.exchange.due_us(o.order_id) is not None}
            assert resting == {o.order_id for o in live} - waiting


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("seed", range(6))
def test_a_long_life_of_an_exchange_keeps_every_invariant(seed):
    """Short sequences shrink well but stay near the start; this one reaches large positions and liquidations. The seed replays it."""
    chance = Random(seed)
    life = AnySequence()
    life.begin(delay=(0, 0, 100)[seed % 3], partial=(Status.EXPIRED, Status.PARTIALLY_FILLED)[seed % 2], keeps=seed % 4 == 0)
    for step in range(4_000):
        act(life, chance)
        if step % 5 == 0:
            life.effects_tell_the_state()
            life.the_books_close()
            life.orders_and_accounts_agree()
            life.what_rests_is_what_the_levels_hold()
    assert set(life.by.values()) != {(1, 1)}, "no market went over to a finer grid"
    kinds = {order.reason for name in NAMES for order in life.exchange.accounts[name].order_history}
    assert {Reason.SELF_TRADE_PREVENTION, Reason.REDUCE_ONLY_NOT_REDUCED, Reason.STOP_WITHOUT_POSITION, Reason.LIQUIDATION} <= kinds


PAIRS = (None, None, Attached(Leg(10_200), Leg(9_800)), Attached(None, Leg(9_700, 9_600, TriggerBy.LAST)))


def act(life: AnySequence, chance: Random) -> None:
    """One act, small moves near the touch more often than the rest."""
    name, symbol, side = chance.choice(NAMES), chance.choice([SPOT, PERP, PERP]), chance.choice([BUY, SELL])
    ticks, lots = 100 * chance.randint(97, 103), chance.randint(1, 200)
    match chance.randrange(14):
        case 12:
            life.borrow_lend(name, chance.choice(["USDC", "SOL"]), chance.randint(-50, 50))
            if chance.random() < 0.2:
                life.set_flags(name, chance.random() < 0.5, chance.random() < 0.5)
        case 13:
            life.place_on_margin(name, side, lots, *(chance.random() < 0.5 for _ in range(4)))
        case 0 | 1 | 2:
            life.place_limit(
                name, symbol, side, lots, 100 * (100 - side * chance.randint(-1, 3)), chance.choice(TIMES),
                chance.random() < 0.3, chance.random() < 0.3, chance.choice(list(SelfTrade)), chance.choice(PAIRS),
            )  # fmt: skip
        case 3:
            life.place_market(
                name, symbol, side, lots, chance.random() < 0.3, chance.random() < 0.3, chance.choice(list(SelfTrade)),
                chance.choice(list(TimeInForce)), chance.choice([None, 100]), chance.choice(PAIRS),
            )  # fmt: skip
        case 4:
            life.place_trigger(
                name, symbol, side, lots, ticks, chance.choice(list(TriggerBy)), chance.random() < 0.5, 100 * chance.randint(97, 103),
                chance.choice([0, 0, 500_000, 1_000_000]), chance.random() < 0.5, chance.random() < 0.3,
            )  # fmt: skip
        case 5:
            life.cancel(name, chance.randrange(50))
        case 6 | 7 | 8:
            life.set_outside(symbol, side, 100 * (100 - side * chance.randint(-1, 3)), chance.randint(0, 400))
        case 9:
            life.outside_take(symbol, side, lots, chance.choice([0, 9_800, 10_000, 10_200]))
        case 10:
            life.set_reference(
                chance.randint(9_700, 10_300) if chance.random() < 0.98 else chance.choice([7_000, 13_000]), ticks, lots * 100
            )
        case _:
            if chance.random() < 0.1:
                life.cancel_all(name, symbol, chance.choice([None, True, False]))
            life.advance(chance.randint(1, 500))
            if chance.random() < 0.06:
                life.change_filters(symbol, chance.choice(TICKS), chance.choice(LOTS))
            if chance.random() < 0.05:
                life.change_state(symbol, chance.choice(BOOK_STATES))
            elif chance.random() < 0.5:
                life.change_state(symbol, "Open")
            if chance.random() < 0.1:
                life.deposit(name)
