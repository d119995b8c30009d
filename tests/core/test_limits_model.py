"""The limits against a second telling of them: lists and fractions, one rule a line, small numbers so that every edge is met."""

from fractions import Fraction
from math import ceil, floor
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.make import empty_view, holding, want

from lemon_trader.core.diff import CANCEL, PLACE, action_array
from lemon_trader.core.limits import RATE_UNIT, Limits, collar_ticks, is_closing, is_masked, mask, review
from lemon_trader.core.reasons import NAMES
from lemon_trader.core.records import Working, row_array
from lemon_trader.core.units import (
    ACTIVE,
    BUY,
    EXIT,
    HALTED,
    LAYER,
    LIMIT,
    POST_ONLY,
    QUOTE,
    REBALANCE,
    REDUCING,
    SELL,
    STOP,
    TAKE,
    TRIGGER,
    UNKNOWN,
    WORKING,
)

ROLES = (QUOTE, LAYER, EXIT, STOP, REBALANCE)
OPENING = (QUOTE, LAYER, REBALANCE)
few = st.integers(0, 6)
side = st.sampled_from([BUY, SELL])
order = st.builds(
    dict,
    side=side,
    ticks=st.integers(98, 103),
    lots=few,
    kind=st.sampled_from([LIMIT, POST_ONLY, TRIGGER]),
    state=st.sampled_from([WORKING, UNKNOWN]),
)
place = st.builds(
    dict, side=side, ticks=st.integers(97, 104), lots=st.integers(1, 5), role=st.sampled_from(ROLES), kind=st.sampled_from([POST_ONLY, LIMIT, TAKE, TRIGGER]),
    what=st.sampled_from([PLACE, PLACE, PLACE, CANCEL]),
)  # fmt: skip
limits = st.builds(
    dict, order_lots_max=st.sampled_from([0, 0, 2, 3]), order_notional_max=st.sampled_from([0, 0, 200, 303]), orders_max=st.integers(2, 6),
    position_notional_max=st.sampled_from([0, 0, 300, 505, 707]), budget_atoms=st.sampled_from([0, 0, 303, 505, 1010]),
    rate_tokens=st.sampled_from([0, RATE_UNIT - 1, RATE_UNIT, 3 * RATE_UNIT, 50 * RATE_UNIT, 50 * RATE_UNIT]), rate_reserve=st.sampled_from([0, RATE_UNIT, 2 * RATE_UNIT]),
    mode=st.sampled_from([ACTIVE, ACTIVE, ACTIVE, REDUCING, HALTED]), exit_masked=st.sampled_from([0, 0, 1]),
    collar_ppm=st.sampled_from([10_000, 0]), exit_collar_ppm=st.sampled_from([30_000, 20_000]),
    foreign_orders=st.sampled_from([0, 0, 2]), foreign_buys=st.sampled_from([0, 0, 2]), foreign_sells=st.sampled_from([0, 0, 2]),
)  # fmt: skip
opener = st.builds(
    dict, side=side, ticks=st.integers(98, 103), lots=st.integers(1, 5), role=st.sampled_from(OPENING), kind=st.sampled_from([POST_ONLY, LIMIT]), what=st.just(PLACE),
)  # fmt: skip
exposures = st.builds(
    dict, position_notional_max=st.sampled_from([0, 0, 99, 300, 505]), budget_atoms=st.sampled_from([0, 99, 205, 303, 505]),
    foreign_buys=st.sampled_from([0, 2]), foreign_sells=st.sampled_from([0, 2]),
)  # fmt: skip
seen = st.builds(
    dict, bid_ticks=st.sampled_from([100, 100, 100, 1, 0]), ask_ticks=st.sampled_from([101, 101, 101, 1, 0]), fresh=st.sampled_from([1, 1, 1, 0]),
    may_open=st.sampled_from([1, 1, 1, 0]), is_perp=st.sampled_from([0, 1]), low_ticks=st.sampled_from([0, 0, 99]), high_ticks=st.sampled_from([0, 0, 102]),
)  # fmt: skip


def farthest(view: Any, of: int, ppm: int) -> int | None:
    """Through the touch and no further; None = nobody stands there."""
    if of == BUY:
        return floor(view.ask_ticks * (1 + Fraction(ppm, 1_000_000))) if view.ask_ticks else None
    return ceil(view.bid_ticks * (1 - Fraction(ppm, 1_000_000))) if view.bid_ticks else None


class Model:
    """What may still be sold and bought, order by order."""

    def __init__(self, resting: list[dict], view: Any, lots: int, cost: int, free: int, bounds: Limits) -> None:
        self.view, self.lots, self.cost, self.free, self.bounds = view, lots, cost, free, bounds
        self.working = [(o["side"], o["lots"], o["ticks"]) for o in resting if o["kind"] != TRIGGER]
        self.count = len(resting) + bounds.foreign_orders
        self.tokens = bounds.rate_tokens

    def why(self, p: dict) -> tuple[str, int]:
        """(reason, figure); ("", 0) = it may leave."""
        b, v = self.bounds, self.view
        price, closing = p["ticks"], p["role"] in {EXIT, STOP}
        worth = p["lots"] * price
        if (p["role"] in OPENING and b.mode != ACTIVE) or (p["role"] == EXIT and b.exit_masked):
            return "MASKED", b.mode
        if closing and self.tokens < RATE_UNIT:
            return "LIMIT_RATE", 0
        if not closing:
            if not (v.fresh and v.may_open):
                return "MISSING_INPUT", 0
            if b.order_lots_max and p["lots"] > b.order_lots_max:
                return "LIMIT_QTY", b.order_lots_max
            if b.order_notional_max and worth > b.order_notional_max:
                return "LIMIT_NOTIONAL", worth
            if self.count >= b.orders_max:
                return "LIMIT_ORDERS", self.count
            if self.tokens - b.rate_reserve < RATE_UNIT:
                return "LIMIT_RATE", self.tokens // RATE_UNIT
        if p["kind"] != TRIGGER:
            edge = farthest(v, p["side"], b.exit_collar_ppm if closing else b.collar_ppm)
            if edge is None and p["kind"] == TAKE:
                return "MISSING_INPUT", 0
            if edge is not None and (price > edge if p["side"] == BUY else price < edge):
                return "LIMIT_COLLAR", edge
            if price < v.low_ticks:
                return "OUT_OF_BAND", v.low_ticks
            if v.high_ticks and price > v.high_ticks:
                return "OUT_OF_BAND", v.high_ticks
        return ("", 0) if closing else self.exposure(p, price, worth)

    def exposure(self, p: dict, price: int, worth: int) -> tuple[str, int]:
        b, buys = self.bounds, p["side"] == BUY
        same = [(lots, ticks) for of, lots, ticks in self.working if of == p["side"]]
        after = sum(lots for lots, _ in same) + p["lots"] + (b.foreign_buys + self.lots if buys else b.foreign_sells - self.lots)
        if after <= 0 or (not buys and not self.view.is_perp):
            return "", 0  # it only makes smaller what is held
        spent = sum(lots * ticks for lots, ticks in same) + worth
        if buys:
            spent += self.cost if self.lots > 0 or not self.view.is_perp else 0
        else:
            spent += self.cost if self.lots < 0 else -self.lots * price if self.lots > 0 else 0
        if b.position_notional_max and after * price > b.position_notional_max:
            return "LIMIT_POSITION", after * price
        if b.budget_atoms and spent > b.budget_atoms:
            return "LIMIT_BUDGET", spent
        if buys and not self.view.is_perp and worth > self.free:
            return "WAIT_FUNDS", self.free
        return "", 0

    def sent(self, p: dict) -> None:
        self.tokens -= RATE_UNIT
        self.count += 1
        if p["kind"] != TRIGGER:
            self.working.append((p["side"], p["lots"], p["ticks"]))
            self.free -= p["lots"] * p["ticks"] if p["side"] == BUY else 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(order, max_size=4),
    st.lists(place, min_size=1, max_size=4),
    limits,
    seen,
    st.integers(-4, 6),
    st.sampled_from([0, 100, 400]),
    st.sampled_from([10**6, 10**6, 300, 205]),
)
def test_every_verdict_is_the_one_of_the_second_telling(resting, places, bounds, sight, lots, cost, free):
    compare(resting, places, bounds, sight, lots, cost, free)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(order, max_size=3),
    st.lists(opener, min_size=1, max_size=3),
    exposures,
    st.booleans(),
    st.integers(-4, 6),
    st.sampled_from([0, 100, 400]),
    st.sampled_from([10**6, 205]),
)
def test_every_sum_of_what_may_be_held_is_the_one_of_the_second_telling(resting, places, bounds, is_perp, lots, cost, free):
    """Nothing but exposure forbids anything here, so that no other limit hides it."""
    plenty = {"rate_tokens": 50 * RATE_UNIT, "collar_ppm": 200_000, **bounds}
    sight = {"bid_ticks": 100, "ask_ticks": 101, "fresh": 1, "may_open": 1, "is_perp": int(is_perp), "low_ticks": 0, "high_ticks": 0}
    compare(resting, places, plenty, sight, lots, cost, free)


def compare(resting, places, bounds, sight, lots, cost, free):
    view = empty_view(**sight)
    view.tick_lot_atoms = 1
    lots = lots if sight["is_perp"] else max(0, lots)
    position = holding(0)
    position.lots, position.cost_atoms, position.free_quote_atoms = lots, cost, free
    given_limits = Limits(**bounds)
    model = Model(resting, view, lots, cost, free, Limits(**bounds))
    out, actions = row_array(), action_array()
    for n, p in enumerate(places):
        out[n + 1] = want(
            n,
            p["side"],
            0 if p["kind"] == TRIGGER else p["ticks"],
            p["lots"],
            role=p["role"],
            kind=p["kind"],
            trigger_ticks=p["ticks"] if p["kind"] == TRIGGER else 0,
        )
        actions[n].what, actions[n].index, actions[n].qty_lots = p["what"], n + 1, p["lots"]
    orders = [Working(side=o["side"], price_ticks=o["ticks"], open_lots=o["lots"], state=o["state"], kind=o["kind"]) for o in resting]
    left = review(out, orders, len(orders), view, position, given_limits, actions, len(places))
    verdicts = []
    for p in places:
        why = ("", 0) if p["what"] == CANCEL else model.why(p)
        if p["what"] == PLACE and not why[0]:
            model.sent(p)
        verdicts.append(why)
    for n, (p, (reason, figure)) in enumerate(zip(places, verdicts, strict=True)):
        if reason:
            assert actions[n].what == 0
            assert (NAMES[actions[n].reason], actions[n].figure) == (reason, figure)
            assert (NAMES[out[n + 1].reason], out[n + 1].figure) == (reason, figure)
        else:
            assert actions[n].what == p["what"]
    assert left == sum(not reason for reason, _ in verdicts)
    assert given_limits.rate_tokens == model.tokens
    assert position.free_quote_atoms == model.free


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(ROLES), max_size=6), st.sampled_from([ACTIVE, REDUCING, HALTED]), st.sampled_from([0, 1]))
def test_what_a_mode_drops_leaves_the_rest_as_it_was_and_in_order(roles, mode, exit_masked):
    out = row_array()
    rows = [want(n, SELL if n % 2 else BUY, 9_900 + n, 10 + n, role=role, kind=LIMIT, trigger_ticks=n) for n, role in enumerate(roles)]
    for n, row in enumerate(rows):
        row.generation, row.flags, row.tolerance_ticks, row.tolerance_ppm = n + 1, n % 2, n + 2, n + 3
        out[n + 1] = row
    names = (
        "slot",
        "generation",
        "role",
        "side",
        "kind",
        "flags",
        "price_ticks",
        "trigger_ticks",
        "qty_lots",
        "tolerance_ticks",
        "tolerance_ppm",
    )
    before = [tuple(getattr(row, name) for name in names) for row in rows]
    used = mask(out, len(rows) + 1, Limits(mode=mode, exit_masked=exit_masked))
    kept = [
        b for b, role in zip(before, roles, strict=True) if not ((role in OPENING and mode != ACTIVE) or (role == EXIT and exit_masked))
    ]
    assert [tuple(getattr(row, name) for name in names) for row in out[1:used]] == kept
    assert all(is_closing(role) == (role in {EXIT, STOP}) for role in ROLES)
    assert all(is_masked(STOP, m, e) == 0 for m in (ACTIVE, REDUCING, HALTED) for e in (0, 1))


def test_a_collar_without_a_touch_is_none():
    for bid, ask in ((0, 0), (1, 1), (100, 101)):
        view = empty_view(bid_ticks=bid, ask_ticks=ask)
        assert collar_ticks(view, BUY, 10_000) == (farthest(view, BUY, 10_000) or 0)
        assert collar_ticks(view, SELL, 10_000) == (farthest(view, SELL, 10_000) or 0)


def test_a_price_beyond_the_venues_band_says_where_the_band_ends():
    for of, ticks, edge in ((SELL, 104, 102), (BUY, 98, 99)):
        compare([], [{"side": of, "ticks": ticks, "lots": 1, "role": QUOTE, "kind": POST_ONLY, "what": PLACE}], {"rate_tokens": 50 * RATE_UNIT},
                {"bid_ticks": 100, "ask_ticks": 101, "fresh": 1, "may_open": 1, "is_perp": 1, "low_ticks": 99, "high_ticks": 102}, 0, 0, 10**6)  # fmt: skip
        view = empty_view(low_ticks=99, high_ticks=102, bid_ticks=100, ask_ticks=101, is_perp=1)
        model = Model([], view, 0, 0, 10**6, Limits(rate_tokens=50 * RATE_UNIT))
        assert model.why({"side": of, "ticks": ticks, "lots": 1, "role": QUOTE, "kind": POST_ONLY}) == ("OUT_OF_BAND", edge)
