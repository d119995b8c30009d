"""What passes with time: profit is settled, marks are made, funding follows the premium."""

import pytest
from msgspec.structs import replace
from tests.matching.worlds import FEELESS, HOUR, PERP, UNIT, T, limit, market, world

from lemon_trader.core.units import BUY, SELL, US_PER_S
from lemon_trader.matching.effects import ReferenceChanged, Settled
from lemon_trader.matching.rules import COMPUTED

TEN_S = 10 * US_PER_S
FIRST = (T // TEN_S + 1) * TEN_S


def holding(lots: int):
    exchange = world(FEELESS)
    side = BUY if lots > 0 else SELL
    exchange.set_outside(PERP, -side, 10_000, abs(lots), T)
    exchange.place("ann", limit(PERP, side, abs(lots), 10_000), T)
    exchange.take_effects()
    return exchange


@pytest.mark.parametrize(("lots", "amount"), [(1_000, 50 * UNIT), (-1_000, -50 * UNIT)])
def test_open_profit_moves_into_the_balance_every_ten_seconds_and_the_entry_stays(lots, amount):
    exchange = holding(lots)
    exchange.set_reference(PERP, 10_500, 10_500, 0, T)
    before = exchange.margin("ann").equity_atoms
    exchange.advance(FIRST - 1)
    ann = exchange.accounts["ann"]
    assert ann.total("USDC") == 10_000 * UNIT
    exchange.take_effects()
    exchange.advance(FIRST)
    position = ann.position(PERP)
    assert ann.total("USDC") == 10_000 * UNIT + amount
    assert (position.settled_atoms, position.cost_atoms, position.realised_atoms) == (amount, lots * 10_000 * 10**5, 0)
    assert (exchange.margin("ann").equity_atoms, exchange.margin("ann").unrealised_atoms) == (before, 0)
    told = [e for e in exchange.take_effects() if isinstance(e, Settled)]
    assert told == [Settled("ann", PERP, position.position_id, amount, 1, FIRST)] == list(ann.settlements)
    exchange.advance(FIRST + 100 * TEN_S)
    assert len(ann.settlements) == 1  # nothing has moved
    exchange.check_closed()


def test_what_was_settled_is_not_paid_again_when_the_position_is_reduced():
    exchange = holding(1_000)
    exchange.set_reference(PERP, 10_500, 10_500, 0, T)
    exchange.advance(FIRST)
    exchange.set_outside(PERP, BUY, 10_400, 1_000, FIRST)
    exchange.place("ann", market(PERP, SELL, 300), FIRST)
    ann = exchange.accounts["ann"]
    assert ann.position(PERP).realised_atoms == 12 * UNIT
    assert ann.position(PERP).settled_atoms == 35 * UNIT
    exchange.place("ann", market(PERP, SELL, 700), FIRST)
    assert ann.closed_positions[0].realised_atoms == 40 * UNIT
    assert ann.total("USDC") == 10_040 * UNIT
    exchange.check_closed()


def test_a_balance_below_zero_is_margin_called_only_by_its_margin():
    exchange = holding(400_000)
    exchange.accounts["ann"].add("USDC", -9_000 * UNIT)
    exchange.accounts["bob"].add("USDC", 9_000 * UNIT)
    exchange.set_imf_floor("ann", 0)
    exchange.set_reference(PERP, 10_500, 10_500, 0, T)
    exchange.set_reference(PERP, 10_200, 10_200, 0, T)
    exchange.advance(FIRST)
    assert exchange.accounts["ann"].total("USDC") == 9_000 * UNIT
    assert exchange.accounts["ann"].position_lots(PERP) == 400_000


def test_a_long_silence_is_settled_once_before_the_hour():
    exchange = holding(1_000)
    exchange.set_reference(PERP, 10_500, 10_500, 12_500, T)
    exchange.advance(T + 50 * HOUR)
    assert len(exchange.accounts["ann"].funding) == 50
    assert len(exchange.accounts["ann"].settlements) == 1


# Marks of the exchange's own.


def made(index: int = 10_000):
    exchange = world(replace(FEELESS, mark_rule=COMPUTED, settlement_interval_us=0))
    exchange.set_reference(PERP, 0, index, 0, T)
    exchange.take_effects()
    return exchange


def test_without_a_book_the_mark_is_the_index():
    exchange = made()
    exchange.advance(T + US_PER_S)
    assert exchange.reference(PERP) == (10_000, 10_000, 12_500)
    exchange.set_reference(PERP, 77, 9_000, 77, T + US_PER_S)
    exchange.advance(T + 2 * US_PER_S)
    assert exchange.reference(PERP)[:2] == (9_000, 9_000)  # what is stated of a mark does not count


def test_the_mark_follows_the_book_within_a_minute_or_so_and_no_further_than_the_band():
    exchange = made()
    exchange.set_outside(PERP, BUY, 10_099, 10, T)
    exchange.set_outside(PERP, SELL, 10_101, 10, T)
    marks = []
    for second in range(1, 301):
        exchange.advance(T + second * US_PER_S)
        marks.append(exchange.reference(PERP)[0])
    assert marks == sorted(marks)
    assert marks[0] == 10_002
    assert 10_060 <= marks[59] <= 10_065  # 1 - 1/e of the way
    assert marks[-1] in {10_099, 10_100}
    exchange.set_outside(PERP, SELL, 10_101, 0, T + 300 * US_PER_S)
    exchange.set_outside(PERP, SELL, 40_000, 1, T + 300 * US_PER_S)
    exchange.advance(T + 700 * US_PER_S)
    assert exchange.reference(PERP)[0] == 10_500
    assert exchange.set_book_state(PERP, "PostOnly", T + 700 * US_PER_S) is None
    exchange.advance(T + 701 * US_PER_S)
    assert exchange.reference(PERP)[0] == 10_000


@pytest.mark.parametrize(
    ("bid", "ask", "last", "mark"),
    [(9_900, 10_100, 0, 10_000), (9_900, 10_100, 9_950, 9_950), (9_900, 10_100, 9_000, 9_900), (0, 0, 9_000, 9_000)],
)
def test_without_an_index_the_book_and_the_last_trade_make_the_mark(bid, ask, last, mark):
    exchange = made(index=0)
    if last:
        exchange.set_outside(PERP, SELL, last, 1, T)
        exchange.outside_take(PERP, BUY, 1, 0, T)
    for side, ticks in ((BUY, bid), (SELL, ask)):
        if ticks:
            exchange.set_outside(PERP, side, ticks, 10, T)
    exchange.advance(T + US_PER_S)
    assert exchange.reference(PERP)[0] == mark


def test_funding_is_the_mean_premium_of_the_interval_and_the_interest_damped():
    exchange = made()
    exchange.advance(T + 30 * US_PER_S)
    assert exchange.reference(PERP)[2] == 12_500  # a quiet market pays 0.0000125 an hour
    exchange.set_outside(PERP, BUY, 10_399, 10, T + 30 * US_PER_S)
    exchange.set_outside(PERP, SELL, 10_401, 10, T + 30 * US_PER_S)
    exchange.advance(T + 1_000 * US_PER_S)
    premium = exchange.reference(PERP)[2] + 500_000
    assert 30_000_000 > premium > 14_500_000 or exchange.reference(PERP)[2] == 15_000_000
    assert exchange.reference(PERP)[2] == 15_000_000  # the cap
    hour = (T // HOUR + 1) * HOUR
    exchange.advance(hour + US_PER_S)  # a new interval begins with its own samples
    assert exchange.reference(PERP)[2] == 15_000_000
    assert next(e.funding_ppb for e in exchange.take_effects() if isinstance(e, ReferenceChanged)) == 12_500


@pytest.mark.parametrize("settles", [True, False], ids=["with settlements", "without"])
def test_hours_that_pass_in_one_leap_are_the_hours_second_by_second(settles):
    worlds = []
    for step_us in (US_PER_S, 3 * HOUR):
        exchange = world(replace(FEELESS, mark_rule=COMPUTED, settlement_interval_us=TEN_S if settles else 0))
        exchange.set_reference(PERP, 0, 10_000, 0, T)
        exchange.set_outside(PERP, BUY, 10_009, 1_000, T)
        exchange.set_outside(PERP, SELL, 10_011, 1_000, T)
        exchange.place("ann", market(PERP, BUY, 700), T)
        for at_us in range(T + step_us, T + 3 * HOUR + 1, step_us):
            exchange.advance(at_us)
        told = [e for e in exchange.take_effects() if not isinstance(e, Settled)]
        ann = exchange.accounts["ann"]
        worlds.append((exchange.reference(PERP), told, ann.total("USDC"), [f.amount_atoms for f in ann.funding], exchange.margin("ann")))
    assert worlds[0] == worlds[1]
    assert any(isinstance(e, ReferenceChanged) and e.at_us > T + 2_000 * US_PER_S for e in worlds[0][1])
