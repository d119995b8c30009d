"""A replay gives nobody anything that the recording did not have: no look ahead, and no volume beside the recorded one.

What is allowed is reckoned here from the recording's own rows, not from the acts that play it.
"""

from dataclasses import dataclass
from itertools import pairwise, takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import apply
from lemon_trader.market.bars import Bars, play_bars
from lemon_trader.market.depth import Batches, play_depth
from lemon_trader.market.instruments import INSTRUMENTS
from lemon_trader.market.prints import Prints, play_prints
from lemon_trader.matching.effects import Traded
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder, Refused, TimeInForce
from lemon_trader.matching.rules import Rules

SOL = INSTRUMENTS["SOL_USDC"]
ATOMS = 10**9
T = 1_722_859_200_000_000
MINUTE = 60_000_000
STEP = 1_000
MID = 10_000
FREE = Rules(spot_maker_ppm=0, spot_taker_ppm=0)  # so that what a law says of volumes and prices is not hidden by fees


@dataclass
class Recording:
    """A book of ten levels a side whose touch wanders, and trades that take from it; both as rows, and as what they are played from."""

    first: list
    rows: list  # (at_us, kind, what): kind "book" with (side, ticks, lots) rows, or "trade" with (side, ticks, lots)

    def cut(self, at_us):
        """What would have been recorded by then."""
        return Recording(self.first, [row for row in self.rows if row[0] <= at_us])

    def acts(self):
        batches = [(at, what) for at, kind, what in self.rows if kind == "book"]
        trades = [(at, *what) for at, kind, what in self.rows if kind == "trade"]
        ends, flat = [], []
        for _, rows in batches:
            flat += rows
            ends.append(len(flat))
        sides, prices, lots = ([row[k] for row in flat] for k in range(3))
        book = Batches(1, T, self.first, [at for at, _ in batches], ends, sides, prices, lots)
        return play_depth(book, Prints(*([row[k] for row in trades] for k in range(4))), SOL, MINUTE)


@st.composite
def recordings(draw, steps=12):
    """Levels change by others' orders and by trades alone; a trade takes at most what stands at the touch."""
    mid = MID
    book = {BUY: {mid - k: draw(st.integers(5, 40)) for k in range(1, 8)}, SELL: {mid + k: draw(st.integers(5, 40)) for k in range(1, 8)}}
    first = [(side, ticks, lots) for side, levels in book.items() for ticks, lots in levels.items()]
    rows, now = [], T
    for _ in range(steps):
        now += STEP
        side = draw(st.sampled_from([BUY, SELL]))
        levels = book[-side]
        touch = (min if side == BUY else max)(levels)
        if draw(st.booleans()) and len(levels) > 2:
            lots = draw(st.integers(1, levels[touch]))
            rows.append((now, "trade", (side, touch, lots)))
            levels[touch] -= lots
            rows.append((now + STEP // 2, "book", [(-side, touch, levels[touch])]))
            if not levels[touch]:
                del levels[touch]
        else:
            ticks = draw(st.sampled_from(sorted(levels)))
            levels[ticks] = draw(st.integers(1, 40))
            rows.append((now, "book", [(-side, ticks, levels[ticks])]))
    return Recording(first, rows)


def trader():
    exchange = Exchange([SOL], FREE)
    exchange.open_account("a", {"USDC": 10**7 * ATOMS, "SOL": 10**5 * ATOMS})
    return exchange


def played(recording, orders):
    """Let the recording happen and place the orders (at_us, side, ticks, lots) in it; (exchange, order -> its state, prints)."""
    exchange, prints, placed = trader(), [], {}
    waiting = sorted(orders)

    def place_until(at_us):
        while waiting and waiting[0][0] < at_us:
            order = waiting.pop(0)
            try:
                placed[order] = exchange.place(
                    "a", NewOrder(symbol="SOL_USDC", side=order[1], ticks=order[2], lots=order[3], post_only=True), order[0]
                )
            except Refused:
                placed[order] = None  # it would have taken
        prints.extend(effect for effect in exchange.take_effects() if isinstance(effect, Traded))

    for act in recording.acts():
        place_until(act.at_us)
        apply(act, exchange)
    place_until(T + 10**9)
    exchange.check_closed()
    return exchange, placed, prints


def filled(exchange, order):
    return sum(f.lots for f in exchange.accounts["a"].fills if order is not None and f.order_id == order.order_id)


ORDERS = st.lists(
    st.tuples(
        st.integers(0, 11).map(lambda k: T + k * STEP + STEP // 4),
        st.sampled_from([BUY, SELL]),
        st.integers(MID - 6, MID + 6),
        st.integers(1, 60),
    ),
    max_size=4,
    unique=True,
)


@given(recordings(), ORDERS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_resting_order_gets_no_more_than_was_traded_or_offered_at_its_price_or_beyond(recording, orders):
    exchange, placed, _ = played(recording, orders)
    for (at_us, side, ticks, _), order in placed.items():
        later = [row for row in recording.rows if row[0] > at_us]
        traded = sum(lots for _, kind, row in later if kind == "trade" for s, p, lots in [row] if s == -side and side * (ticks - p) >= 0)
        offered = sum(
            lots for _, kind, rows in later if kind == "book" for s, p, lots in rows if s == -side and side * (ticks - p) >= 0
        )  # fmt: skip
        assert filled(exchange, order) <= traded + offered


@given(recordings(), ORDERS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_recorded_trade_is_as_large_as_it_was_whoever_stood_in_its_way(recording, orders):
    """What an account gets of a trade, others do not get: nothing is added to what was traded."""
    _, _, prints = played(recording, orders)
    for at_us, kind, what in recording.rows:
        if kind == "trade":
            side, ticks, lots = what
            seen = [p for p in prints if p.at_us == at_us and p.buyer_is_maker == (side == SELL)]
            assert sum(p.lots for p in seen) == lots
            assert all(side * (p.ticks - ticks) <= 0 for p in seen), "an order that stood nearer was met first"


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=14),
    st.sampled_from([BUY, SELL]),
    st.integers(1, 80),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_order_waits_for_all_who_stood_before_it_and_for_nobody_who_came_later(before, acts, side, lots):
    """Exactly what is traded at its price beyond what stood there first."""
    ticks, level, traded, rows, now = MID - side, before, 0, [], T
    for joins, n in acts:
        now += STEP
        if joins:
            level += n
        elif n < level:
            rows.append((now, "trade", (-side, ticks, n)))
            level, traded = level - n, traded + n
        rows.append((now + 1, "book", [(side, ticks, level)]))
    recording = Recording([(side, ticks, before), (-side, MID + side, 50)], rows)
    exchange, placed, _ = played(recording, [(T, side, ticks, lots)])
    assert [filled(exchange, order) for order in placed.values()] == [min(lots, max(0, traded - before))]


@given(recordings(), st.integers(0, 11), st.sampled_from([BUY, SELL]), st.integers(1, 400))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_taker_gets_what_was_shown_when_it_came_and_again_only_what_is_shown_anew(recording, step, side, lots):
    at_us = T + step * STEP + STEP * 3 // 4
    shown = {ticks: n for s, ticks, n in recording.first if s == -side}
    for when, kind, what in recording.rows:
        if when <= at_us and kind == "book":
            shown |= {ticks: n for s, ticks, n in what if s == -side}
    exchange = trader()
    for act in takewhile(lambda act: act.at_us <= at_us, recording.acts()):
        apply(act, exchange)
    for _ in range(2):
        exchange.place("a", NewOrder(symbol="SOL_USDC", side=side, ticks=MID + side * 20, lots=lots, time_in_force=TimeInForce.IOC), at_us)
    got = {}
    for fill in exchange.accounts["a"].fills:
        got[fill.ticks] = got.get(fill.ticks, 0) + fill.lots
    assert sum(got.values()) == min(2 * lots, sum(shown.values()))
    assert all(n <= shown[ticks] for ticks, n in got.items())
    assert all(got.get(p, 0) == shown[p] for p in shown if shown[p] and any(side * (q - p) > 0 for q in got)), "the best prices first"


@given(recordings(), ORDERS)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_nobody_earns_more_than_the_recorded_takers_and_quotes_gave_away(recording, orders):
    """Valued at the price where the recording ends: what each recorded trade and quote was worse than it, and not an atom more."""
    exchange, _, _ = played(recording, orders)
    bid, _, ask, _ = exchange.touch("SOL_USDC")
    last = (bid + ask) / 2
    given_away = [what for _, kind, what in recording.rows if kind == "trade"]
    given_away += [row for _, kind, rows in recording.rows if kind == "book" for row in rows]
    most = sum(lots * max(0, side * (ticks - last)) for side, ticks, lots in given_away)
    assert sum(f.side * f.lots * (last - f.ticks) for f in exchange.accounts["a"].fills) <= most


@given(recordings(), st.integers(0, 11))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_book_as_it_is_played_knows_nothing_of_what_comes(recording, step):
    at_us = T + step * STEP + STEP * 3 // 4
    assert [a for a in recording.acts() if a.at_us <= at_us] == [a for a in recording.cut(at_us).acts() if a.at_us <= at_us]


PRICES = st.lists(st.integers(MID - 40, MID + 40), min_size=3, max_size=12)


@given(PRICES, st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_trades_as_they_are_played_know_nothing_of_what_comes(prices, data):
    count = len(prices)
    sides = data.draw(st.lists(st.sampled_from([BUY, SELL]), min_size=count, max_size=count))
    lots = data.draw(st.lists(st.integers(1, 50), min_size=count, max_size=count))
    times = [T + k * STEP for k in range(count)]
    whole = list(play_prints(Prints(times, sides, prices, lots), SOL, 1, MINUTE))
    for n in range(1, count):
        cut = list(play_prints(Prints(times[:n], sides[:n], prices[:n], lots[:n]), SOL, 1, MINUTE))
        assert cut == [a for a in whole if a.at_us < times[n]]


@given(PRICES)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_bars_as_they_are_played_know_nothing_of_the_bars_that_come(prices):
    """Within a bar the path knows its own extremes and its close: a bar says no more."""
    rows = list(pairwise(prices))
    columns = (
        [T + k * MINUTE for k in range(len(rows))],
        MINUTE,
        [a for a, _ in rows],
        [max(r) + 3 for r in rows],
        [min(r) - 3 for r in rows],
        [b for _, b in rows],
        [90] * len(rows),
    )

    def acts(n):
        at, every, *rest = columns
        return list(play_bars(Bars(at[:n], every, *(column[:n] for column in rest)), SOL, 1, MINUTE))

    whole = acts(len(rows))
    for n in range(1, len(rows)):
        assert acts(n) == [a for a in whole if a.at_us < columns[0][n]]
