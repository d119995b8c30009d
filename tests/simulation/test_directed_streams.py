"""Streams that leave, lie, disagree or flood (fault matrix C)."""

import json

import pytest
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, WORLDS, S, Stage, has_trigger, play
from tests.simulation.exchange import STREAM
from tests.simulation.mishaps import TICKS

from lemon_trader.core.units import BUY, SELL, STOP


def opening(s: Stage) -> list:
    """What rests at the exchange under our ids and can open something."""
    return [o for o in s.live if not o.is_trigger and not o.reduce_only and (o.side == BUY or s.symbol == PERP)]


async def something_rests(s: Stage, strategy: str) -> None:
    await s.begin()
    await (s.holding() if strategy == MARTINGALE else s.quoting())


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F35_streams_that_take_leave_are_followed_by_others_and_a_storm_of_leaves_by_no_storm_of_connections(strategy, symbol):
    async def script(s: Stage):
        await something_rests(s, strategy)
        connected = s.life.env.connected.count(STREAM)
        s.life.edge.end_streams()
        await s.until(lambda: s.life.env.connected.count(STREAM) >= connected + 2, "both are new", 10)
        await s.until(lambda: s.market.view.fresh == 1 and bool(s.live), "and heard")
        began_us, connected = s.now_us, s.life.env.connected.count(STREAM)
        while s.now_us - began_us < 60 * S:
            s.life.edge.end_streams()
            await s.wait(0.2)
        tried = s.life.env.connected.count(STREAM) - connected
        assert 8 <= tried <= 80, "it goes on trying, further and further apart"
        assert not s.blind
        if (strategy, symbol) == (MARTINGALE, PERP):
            assert has_trigger(s)
        await s.until(lambda: s.market.view.fresh == 1 and s.session.state.private_up and bool(opening(s)), "whole again", 80)

    play(script, strategy, symbol)


def test_F35_two_lives_do_not_wait_in_step():
    waits: list[list[int]] = []
    for seed in (1, 2):
        at: list[int] = []

        async def script(s: Stage, at=at):
            await s.begin()
            await s.quoting()
            for _ in range(40):
                s.life.edge.end_streams()
                count = s.life.env.connected.count(STREAM)
                await s.wait(0.5)
                at.append(s.life.env.connected.count(STREAM) - count)

        play(script, MAKER, PERP, seed=seed)
        waits.append(at)
    assert waits[0] != waits[1]


@pytest.mark.parametrize("how", TICKS)
@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, SPOT), (MARTINGALE, SPOT), (MARTINGALE, PERP)])
def test_F36_one_bad_price_destroys_nothing(strategy, symbol, how):
    async def script(s: Stage):
        await something_rests(s, strategy)
        arrived: list[bytes] = []
        marks = [f'"b":"{TICKS[how][0]}"'.encode(), f'"b": "{TICKS[how][0]}"'.encode()]
        tap = s.life.env.tap
        heard = tap.arrived

        def listen(end, payloads):
            arrived.extend(p for p in payloads if any(mark in p for mark in marks))
            heard(end, payloads)

        tap.arrived = listen
        held, exits = s.held_lots(), {o.order_id for o in s.live if o.side == SELL}
        await s.life._act(f"tick:{how}")
        await s.wait(5)
        assert arrived, "it was said, and heard"
        if strategy == MARTINGALE:
            assert s.held_lots() == held, "nothing is sold for one word"
            assert exits <= {o.order_id for o in s.live}
            assert not [
                o for o in s.market.orders if o.role == STOP and o.kind != s.market.orders.live[0].kind and o.side == SELL and o.filled_lots
            ]
        assert not s.blind
        await s.until(lambda: s.market.view.fresh == 1 and bool(s.live), "believed again", 20)

    play(script, strategy, symbol)


def set_apart(s: Stage, pct: int) -> None:
    """Mark and index go away from the book, which stays where it is."""

    def twist(payload: bytes) -> list[bytes]:
        if b'"markPrice' not in payload:
            return [payload]
        row = json.loads(payload)
        for name in ("p", "i"):
            places = len(row["data"][name].partition(".")[2])
            row["data"][name] = f"{float(row['data'][name]) * (100 + pct) / 100:.{places}f}"
        return [json.dumps(row).encode()]

    s.life.edge.frames.append(twist)


@pytest.mark.parametrize("pct", [8, -7])
@pytest.mark.parametrize("strategy", [MAKER, MARTINGALE])
def test_F37_while_mark_and_book_are_far_apart_nothing_opens_and_what_protects_stays(strategy, pct):
    async def script(s: Stage):
        await something_rests(s, strategy)
        triggers = {o.order_id for o in s.triggers}
        set_apart(s, pct)
        await s.until(lambda: s.market.view.fresh == 0, "not believed", 5)
        await s.until(lambda: opening(s) == [], "what opens is gone", 10)
        sent_us = s.now_us
        await s.wait(20)
        opened = [o for o in s.market.orders if o.sent_us > sent_us and o.client_id > 0 and o.role != STOP and o.side == BUY]
        assert opened == []
        if strategy == MARTINGALE and pct > 0:
            assert triggers <= {o.order_id for o in s.triggers}, "protection is left alone"
        s.life.edge.frames.clear()
        await s.until(lambda: s.market.view.fresh == 1 and bool(s.live), "agreed again", 20)

    play(script, strategy, PERP)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F38_prices_that_come_late_leave_a_gap_and_no_zero(strategy, symbol):
    """The program makes its own figures of the past out of the book: what it did not see is unavailable, and no move that nobody made."""

    async def script(s: Stage):
        await something_rests(s, strategy)
        await s.wait(20)
        before = s.market.sigma_ppm
        s.life.faults.silence("", s.now_us + 20 * S)
        await s.until(lambda: s.market.view.fresh == 0, "nothing is heard", 10)
        await s.wait(15)
        assert s.market.sigma_ppm == before or s.market.sigma_ppm > 0, "silence is no calm"
        await s.until(lambda: s.market.view.fresh == 1 and bool(s.live), "heard again", 30)
        assert s.market.sigma_ppm < 20 * max(before, 500), "the step over the gap is no return of one second"

    play(script, strategy, symbol)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F39_a_flood_of_prices_loses_no_fill(symbol):
    async def script(s: Stage):
        await s.begin()
        await s.until(lambda: any(o.side == BUY and o.open_lots > 3 for o in s.live), "a bid rests")
        flooded = 0

        def flood(payload: bytes) -> list[bytes]:
            nonlocal flooded
            if b'"depth.' in payload or b'"bookTicker.' in payload:
                flooded += 40
                return [payload] * 40
            return [payload]

        s.life.edge.frames.append(flood)
        order = next(o for o in s.live if o.side == BUY and o.open_lots > 3)
        for _ in range(3):
            s.nibble(order, 1)
            await s.wait(0.5)
        await s.wait(10)
        assert flooded > 1_000
        s.life.edge.frames.clear()
        await s.until(lambda: s.order(order.client_id).filled_lots >= 3 and s.calm, "every fill is booked", 20)
        assert sum(o.filled_lots * o.side for o in s.market.orders) == s.held_lots()

    play(script, MAKER, symbol)
