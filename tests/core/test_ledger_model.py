"""The ledger against a second telling of it: every fill kept in a list, every sum made anew from the list, every word of the figures compared."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.make import T0, fill, perp, spot

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.ledger import Ledger
from lemon_trader.core.units import BUY, SELL, US_PER_S

KEEP_US = 48 * 3_600 * US_PER_S
MOVES_MAX = 5_000
TICK_LOT, LOT = 100_000, 10_000_000  # atoms, of the grid of `make`

deal = st.builds(
    dict, side=st.sampled_from([BUY, SELL]), ticks=st.sampled_from([1, 7, 10_000, 10_001]), lots=st.sampled_from([1, 2, 3]), trade=st.sampled_from([-1, 0, 1, 2, 3]),
    order=st.sampled_from(["1", "2"]), fee=st.sampled_from([0, -30_000, 77_777, LOT, LOT - 1]), asset=st.sampled_from(["USDC", "SOL", "BP"]),
    later=st.sampled_from([0, 0, 0, 999, 1_000, KEEP_US // 2, KEEP_US - 1, KEEP_US, KEEP_US + 1]), earlier=st.sampled_from([0, 0, 0, 0, 1_000, KEEP_US - 1_000, KEEP_US, KEEP_US + 1_000]), ordinal=st.integers(0, 2),
)  # fmt: skip
acts = st.lists(
    st.one_of(
        st.tuples(st.just("deal"), deal), st.tuples(st.just("deal"), deal), st.tuples(st.just("deal"), deal),
        st.tuples(st.just("fund"), st.tuples(st.sampled_from("abc"), st.sampled_from([-5, 0, 9]))),
        st.tuples(st.just("give"), st.tuples(st.sampled_from([LOT, 3 * LOT]), st.sampled_from([0, 777]))), st.tuples(st.just("again"), st.none()),
    ),
    max_size=14,
)  # fmt: skip


class Told:
    """The same account, told anew each time it is asked."""

    def __init__(self, i: Instrument) -> None:
        self.i = i
        self.steps: list[tuple[int, int]] = []  # (base, notional) in the order in which they moved the position
        self.base = self.cost = self.realised = self.fees = self.fees_base = self.funding = self.cash = self.bought = self.sold = (
            self.given
        ) = 0
        self.other: Counter[str] = Counter()
        self.moves: dict[str, int] = {}
        self.kept: list[tuple[int, tuple[str, int] | None, tuple]] = []
        self.forgotten = 0

    def key(self, f: Any) -> tuple:
        return f.order_id, f.price_ticks * f.qty_lots * TICK_LOT, f.qty_lots * LOT, f.venue_us // 1_000

    def seen(self, f: Any, ordinal: int) -> bool:
        if f.venue_us // 1_000 <= self.forgotten // 1_000:
            return True
        if f.trade_id > 0:
            return (f.order_id, f.trade_id) in {name for _, name, _ in self.kept}
        return sum(back == self.key(f) for _, _, back in self.kept) > ordinal

    def moved(self, change: int, notional: int) -> int:
        """Average cost: a part of the position takes its share of the cost with it, floored; what goes through flat opens the other side."""
        if self.base * change >= 0:
            self.base, self.cost = self.base + change, self.cost + notional
            return 0
        part = min(abs(change), abs(self.base))
        got, paid = notional * part // abs(change), self.cost * part // abs(self.base)
        was_long = self.base > 0
        self.base, self.cost = self.base + change, self.cost - paid + (notional - got if part < abs(change) else 0)
        return got - paid if was_long else paid - got

    def book(self, f: Any) -> tuple[int, ...]:
        self.kept.append((f.venue_us, (f.order_id, f.trade_id) if f.trade_id > 0 else None, self.key(f)))
        while self.kept[0][0] < f.venue_us - KEEP_US:
            self.forgotten = max(self.forgotten, self.kept.pop(0)[0])
        worth = f.price_ticks * f.qty_lots * TICK_LOT
        realised = self.moved(f.side * f.qty_lots * LOT, worth)
        self.bought, self.sold = self.bought + worth * (f.side > 0), self.sold + worth * (f.side < 0)
        fee = 0
        if f.fee_asset == "USDC" or f.fee_atoms == 0:
            fee = f.fee_atoms
        elif f.fee_asset == "SOL":
            fee = f.fee_atoms * f.price_ticks * TICK_LOT // LOT
            realised += self.moved(-f.fee_atoms, abs(fee))
            self.fees_base += f.fee_atoms
        else:
            self.other[f.fee_asset] += f.fee_atoms
        cash = realised - fee if self.i.is_perp else -f.side * worth - (fee if f.fee_asset != "SOL" else 0)
        self.realised, self.fees, self.cash = self.realised + realised, self.fees + fee, self.cash + cash
        return realised, fee, cash, self.base, self.cost

    def sums(self) -> tuple[int, ...]:
        return (
            self.base, self.cost, self.realised, self.fees, self.fees_base, self.funding, self.cash, self.bought, self.sold, self.given, self.forgotten,
        )  # fmt: skip


def sums(ledger: Ledger) -> tuple[int, ...]:
    return (
        ledger.base_atoms, ledger.cost_atoms, ledger.realised_atoms, ledger.fees_atoms, ledger.fees_base_atoms, ledger.funding_atoms, ledger.cash_atoms,
        ledger.bought_atoms, ledger.sold_atoms, ledger.given_atoms, ledger.forgotten_us,
    )  # fmt: skip


def again(ledger: Ledger) -> Ledger:
    """As a checkpoint brings it into another life."""
    fresh = Ledger(ledger.instrument)
    fresh.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(ledger.image()), strict=False))
    return fresh


def compare(ledger: Ledger, told: Told, price: int) -> None:
    assert sums(ledger) == told.sums()
    assert {a: n for a, n in ledger.other_fees.items() if n} == {a: n for a, n in told.other.items() if n}
    assert ledger.moves == told.moves
    lots = abs(told.base) // LOT * (1 if told.base >= 0 else -1)
    worth = abs(told.base) * price * TICK_LOT // LOT * (1 if told.base >= 0 else -1)
    unrealised = worth - told.cost if told.base >= 0 else worth + told.cost
    assert (ledger.lots, ledger.value_atoms(price), ledger.unrealised_atoms(price)) == (lots, worth, unrealised)
    assert ledger.net_atoms(price) == told.realised + unrealised - told.fees + told.funding
    assert ledger.flow_atoms() == told.realised - told.fees + told.funding - (told.cost if told.base >= 0 else -told.cost)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.sampled_from([spot, perp]), acts, st.sampled_from([1, 10_000]))
def test_every_figure_is_the_one_of_the_second_telling(market, script, price):
    ledger, told, at_us = Ledger(market()), Told(market()), T0
    for what, given_ in script:
        if what == "deal":
            at_us += given_["later"]
            asset = "USDC" if market is perp else given_["asset"]
            f = fill(
                given_["side"],
                given_["ticks"],
                given_["lots"],
                trade=given_["trade"],
                order=given_["order"],
                fee=given_["fee"],
                fee_asset=asset,
                at_us=at_us - given_["earlier"],
            )
            is_known = told.seen(f, given_["ordinal"])
            assert ledger.seen(f, given_["ordinal"]) == is_known
            if not is_known:
                booked = ledger.book(f)
                assert (
                    booked.realised_atoms,
                    booked.fee_quote_atoms,
                    booked.cash_atoms,
                    booked.base_atoms,
                    booked.cost_atoms,
                ) == told.book(f)
        elif what == "fund":
            key, quantity = given_
            assert ledger.fund(key, quantity) == (key not in told.moves)
            if key not in told.moves:
                told.moves[key] = quantity
                told.funding, told.cash = told.funding + quantity, told.cash + quantity
        elif what == "give":
            ledger.give(*given_)
            if not told.given:
                told.given = given_[0]
                told.moved(*given_)
        else:
            ledger = again(ledger)
        compare(ledger, told, price)


def test_moves_are_remembered_up_to_a_number_and_the_oldest_goes_first():
    ledger = Ledger(perp())
    for n in range(MOVES_MAX + 1):
        assert ledger.fund(f"f{n}", 1)
    assert len(ledger.moves) == MOVES_MAX
    assert "f0" not in ledger.moves
    assert "f1" in ledger.moves
    assert ledger.funding_atoms == MOVES_MAX + 1


def test_a_fill_that_was_booked_without_its_name_is_known_by_it_once():
    ledger = Ledger(spot())
    nameless = [fill(BUY, 10_000, 3, trade=0, at_us=T0 + n) for n in (0, 1)]  # one millisecond: equal to whoever reads a history
    for f in nameless:
        ledger.book(f)
    one, two, three = (fill(BUY, 10_000, 3, trade=n, at_us=T0) for n in (1, 2, 3))
    assert not ledger.renamed(nameless[0])
    assert [ledger.renamed(one), ledger.renamed(two), ledger.renamed(three)] == [True, True, False]
    assert ledger.seen(one)
    assert ledger.seen(two)
    assert not ledger.seen(three), "a third one is another fill"
    assert ledger.seen(nameless[0], 1), "told without its name again it counts as one of both"
    assert not ledger.seen(nameless[0], 2)
    fresh = again(ledger)
    assert fresh.seen(one)
    assert fresh.seen(two)
    assert not fresh.renamed(three)


def test_a_named_fill_is_known_without_its_name_in_another_life_too():
    ledger = Ledger(spot())
    ledger.book(fill(BUY, 10_000, 3, trade=7))
    for known in (ledger, again(ledger)):
        assert known.seen(fill(BUY, 10_000, 3, trade=0), 0)
        assert not known.seen(fill(BUY, 10_000, 3, trade=0), 1)


def test_what_is_older_than_what_is_remembered_counts_as_booked():
    ledger = Ledger(spot())
    ledger.book(fill(BUY, 10_000, 3, trade=1, at_us=T0))
    ledger.book(fill(BUY, 10_000, 3, trade=2, at_us=T0 + KEEP_US + 1))
    for known in (ledger, again(ledger)):
        assert known.forgotten_us == T0
        assert known.seen(fill(BUY, 10_000, 3, trade=9, at_us=T0)), "nobody can tell any more"
        assert not known.seen(fill(BUY, 10_000, 3, trade=9, at_us=T0 + 1_000))
        assert known.seen(fill(BUY, 10_000, 3, trade=2, at_us=T0 + KEEP_US + 1))
