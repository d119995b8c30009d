"""Clocks that drift and lie, machines that sleep, boundaries that pass while nobody is there (fault matrix D), and figures that are missing (F77)."""

import pytest
from tests.simulation.day import wake_up
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, WORLDS, S, Stage, has_trigger, play

from lemon_trader.core.units import ACTIVE, BUY, REJECTED, SELL
from lemon_trader.sandbox.faults import Kind

HOUR = 3_600 * S
DAY = 24 * HOUR
OPEN_ORDERS = "/api/v1/orders"


def opening(s: Stage) -> list:
    """What rests at the exchange under our ids and can open something."""
    return [o for o in s.live if not o.is_trigger and not o.reduce_only and (o.side == BUY or s.symbol == PERP)]


async def something_rests(s: Stage, strategy: str) -> None:
    await s.begin()
    await (s.holding() if strategy == MARTINGALE else s.quoting())


@pytest.mark.parametrize(("strategy", "symbol", "ppm"), [(MAKER, SPOT, 30_000), (MARTINGALE, PERP, -30_000)])
def test_F41_a_clock_that_drifts_is_followed_before_requests_expire(strategy, symbol, ppm):
    async def script(s: Stage):
        await something_rests(s, strategy)
        clock, since = s.life.edge.clock, s.life.loop.now_us
        s.life.edge.clock = lambda: clock() + max(0, s.life.loop.now_us - since) * ppm // 1_000_000
        answers: list[int] = []
        s.life.edge.on_request.append(lambda method, _path, _body, status, _answer: answers.append(status) if method == "POST" else None)
        for _ in range(4):
            await s.wait(60)
            for order in opening(s):
                s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        apart_s = abs(s.life.edge.clock() - clock()) / S
        assert apart_s > 5, "without looking at it again every request would have expired by now"
        assert answers
        assert answers.count(200) >= len(answers) - 2, "asked for anew at the latest when one expires"
        frozen = round(apart_s * S) * (1 if ppm > 0 else -1)
        s.life.edge.clock = lambda: clock() + frozen
        await s.until(lambda: s.calm and bool(s.live), "and on", 60)

    play(script, strategy, symbol, forgiven=("I17: a picture",))  # by whose clock?


@pytest.mark.parametrize("off_s", [3_600, -3_600])
@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F42_a_wrong_and_late_answer_about_the_time_is_not_believed(symbol, off_s):
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        offset = s.session.venue.clock.offset_us
        await s.life._act(f"time:{off_s}")
        asked = s.asked("GET", "/api/v1/time")
        await s.until(lambda: s.asked("GET", "/api/v1/time") > asked, "asked for", 120)
        await s.wait(10)
        assert abs(s.session.venue.clock.offset_us - offset) < S
        assert s.ever(REJECTED) == set()
        assert s.live

    play(script, MAKER, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F43_after_hours_of_sleep_the_account_is_read_before_anything_opens(strategy, symbol):
    async def script(s: Stage):
        await something_rests(s, strategy)
        if strategy == MARTINGALE:
            buy = next(o for o in s.live if o.side == BUY and not o.is_trigger)
        else:
            buy = next(o for o in s.live if o.side == BUY)
        await s.life._act("down")  # the sockets of a machine that sleeps are dead when it wakes
        s.exchange.trade_with(s.life.account.name, buy.order_id, buy.open_lots, s.now_us)  # filled in the night
        wake_up(s.life, 3 * HOUR, pace=50)
        woke_us = s.now_us
        await s.life._act("up")
        met: list[str] = []

        def order_of_requests(method, path, body, *_):
            if method == "GET" and path.split("?")[0] == OPEN_ORDERS:
                met.append("read")
            elif (
                method == "POST"
                and (b'"Bid"' in body or s.symbol == PERP)
                and b"triggerPrice" not in body
                and b'"reduceOnly":true' not in body
            ):
                met.append("opens")

        s.life.edge.on_request.append(order_of_requests)
        await s.until(lambda: s.order(buy.client_id).filled_lots == buy.executed_lots, "the fill of the night is booked", 60)
        await s.until(lambda: "opens" in met or bool(opening(s)), "something opens again", 80)
        assert met[0] == "read"
        assert s.session.state.account_us >= woke_us
        if (strategy, symbol) == (MARTINGALE, PERP):
            await s.until(lambda: has_trigger(s), "protected", 10)

    play(script, strategy, symbol)


@pytest.mark.parametrize("outage", ["the network is away", "the program is dead"])
@pytest.mark.parametrize("strategy", [MAKER, MARTINGALE])
def test_F44_days_and_fundings_that_pass_in_an_outage_are_booked_once_each(strategy, outage):
    async def script(s: Stage):
        await something_rests(s, strategy)
        if strategy == MAKER:
            s.take(next(o for o in s.live if o.side == BUY))
            await s.until(lambda: s.market.ledger.lots != 0, "held")
        day = s.session.state.day
        if outage == "the program is dead":
            s.life.die(power=False)
        else:
            await s.life._act("down")
        for _ in range(5):
            wake_up(s.life, 5 * HOUR, pace=50)
        if outage == "the program is dead":
            await s.wait(1)
            await s.begin()
        else:
            await s.life._act("up")
        await s.until(lambda: s.session.state.day > day and s.calm, "another day", 80)
        assert s.session.state.day == day + 1 == s.now_us // DAY
        assert len(s.account.funding) >= 2, "fundings have passed"
        await s.until(lambda: len(s.market.ledger.moves) == len(s.account.funding), "booked", 40)
        await s.again()
        await s.until(lambda: s.calm, "and read again")
        anchors = [row for _, row in s.life.watch.chain.entries if row["type"] == "Anchor" and row["name"] == "day"]
        assert [row["day"] for row in anchors] == [day, day + 1], "each day begins once"

    play(script, strategy, PERP)


@pytest.mark.parametrize("path", ["/api/v1/capital", OPEN_ORDERS, "/wapi/v1/history/fills"])
@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, SPOT), (MARTINGALE, PERP)])
def test_F77_without_a_figure_of_the_account_nothing_opens_and_nothing_is_sold(strategy, symbol, path):
    async def script(s: Stage):
        await something_rests(s, strategy)
        held, day, peak = s.held_lots(), s.session.state.day_pnl, s.session.state.peak_pnl
        s.fault(Kind.ERROR_BEFORE, method="GET", path=path, times=1_000)
        await s.until(lambda: s.market.view.fresh == 0, "too old to open by", 60)
        await s.until(lambda: opening(s) == [], "what opens is gone", 20)
        assert s.held_lots() == held
        assert s.session.state.mode == ACTIVE, "no limit is judged by what is not known"
        exits = [o for o in s.live if o.side == SELL]
        assert bool(exits) == (strategy == MARTINGALE)
        s.life.faults._waiting.clear()
        await s.until(lambda: bool(opening(s)), "and on again", 60)
        await s.again()
        assert (s.session.state.day_pnl, s.session.state.peak_pnl >= peak) == (day, True), "the anchors are those of before"

    play(script, strategy, symbol)


def test_F77_a_mark_that_is_missing_halts_nothing_and_opens_nothing():
    async def script(s: Stage):
        await something_rests(s, MARTINGALE)
        held, triggers = s.held_lots(), {o.order_id for o in s.triggers}
        s.life.faults.silence("markPrice", s.now_us + 40 * S)
        await s.until(lambda: s.market.view.fresh == 0, "the mark is old", 20)
        await s.until(lambda: opening(s) == [], "what opens is gone", 20)
        await s.wait(10)
        assert s.session.state.mode == ACTIVE
        assert s.held_lots() == held
        assert {o.order_id for o in s.triggers} == triggers
        await s.until(lambda: bool(opening(s)), "and on again", 60)

    play(script, MARTINGALE, PERP)
