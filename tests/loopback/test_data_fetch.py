"""Bars and trades fetched from our exchange over a real socket: what is stored is what happened, and nothing is asked twice."""

import asyncio

import pytest

from lemon_trader.core.units import BUY
from lemon_trader.database.history import History, Series
from lemon_trader.env_live import LiveEnv, Proxies
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.run.data_fetch import SETTLE_US, Fetcher
from lemon_trader.run.parts import EXCHANGE
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions
from lemon_trader.utils.rate import RateBudget

SPOT = "SOL_USDC"
MINUTE_US = 60_000_000
MINUTES = 25
BARS = Series(SPOT, "bars", MINUTE_US)
TRADES = Series(SPOT, "trades")


def lived(tmp_path, work, **switches):
    """Let a sandbox live for some minutes, stop its clock, then `work(sandbox, fetcher)`; `fetcher(**kw)` makes one over the same store."""

    async def main():
        world = WorldOptions(symbols=(SPOT,), activity_pct=60, switches=Switches(history_per_minute=0, **switches))
        sandbox = await start_sandbox(ServerOptions(world=world))
        env = LiveEnv(tmp_path, lambda part, error: pytest.fail(f"{part}: {error!r}"), proxies=Proxies(environ={}))
        made = []

        def fetcher(**options):
            made.append(
                Fetcher(env, sandbox.rest_url, exchange(EXCHANGE).dialect(), History(tmp_path / "history"), rate=RateBudget(), **options)
            )
            return made[-1]

        try:
            live_on(sandbox, MINUTES * MINUTE_US)
            await work(sandbox, fetcher)
        finally:
            for one in made:
                one.close()
            await env.close()
            await sandbox.stop()

    asyncio.run(main())
    return History(tmp_path / "history")


def live_on(sandbox, for_us):
    """Let so much exchange time pass, and everything happen that falls into it; from then on the clock all but stands."""
    sandbox.clock.hold(sandbox.clock.now_us() + for_us)
    sandbox.catch_up()
    sandbox.clock.set_speed(1)


def candles(sandbox, end_us):
    found = sandbox.app.desk.tapes[SPOT].trades.candles("1m", 0, end_us)
    return [(c.start_us, *c.prices, c.lots) for c in found if c.start_us + MINUTE_US <= end_us]


def stored_bars(history):
    rows = history.read(BARS)[1]
    return list(zip(*(rows[name].tolist() for name in ("at_us", "open", "high", "low", "close", "lots")), strict=True))


def stored_trades(history):
    rows = history.read(TRADES)[1]
    return list(zip(*(rows[name].tolist() for name in ("id", "side", "ticks", "lots")), strict=True))


def prints(sandbox):
    return [(p.trade_id, -BUY if p.buyer_is_maker else BUY, p.ticks, p.lots) for p in sandbox.app.desk.tapes[SPOT].prints]


@pytest.mark.parametrize(
    ("why", "switches"),
    [
        ("every page is answered whole", {}),
        ("the exchange cuts a page to its oldest bars", {"klines_max": 4}),
        ("the exchange tells the newest bars first", {"klines_max": 4, "klines_newest_first": True}),
    ],
)
def test_every_bar_that_has_ended_is_stored_as_it_was_and_never_asked_for_again(tmp_path, why, switches):
    async def work(sandbox, fetcher):
        now_us = sandbox.clock.now_us()
        of = sandbox.app.desk.markets[SPOT]
        first = fetcher(page_rows=10)
        await first.bars(of, "1m", MINUTE_US, now_us - MINUTES * 2 * MINUTE_US, now_us + MINUTE_US)
        truth.extend(candles(sandbox, now_us - SETTLE_US))
        assert first.done.new == len(truth) > MINUTES - 3
        again = fetcher(page_rows=10)
        await again.bars(of, "1m", MINUTE_US, now_us - MINUTES * 2 * MINUTE_US, now_us + MINUTE_US)
        assert (again.done.requests, again.done.new) == (0, 0), "all of it is there"

    truth = []
    assert stored_bars(lived(tmp_path, work, **switches)) == truth


def test_a_fetch_that_was_stopped_goes_on_with_the_page_it_had_not_kept(tmp_path):
    async def work(sandbox, fetcher):
        now_us = sandbox.clock.now_us()
        of, begin_us = sandbox.app.desk.markets[SPOT], now_us - MINUTES * MINUTE_US
        first = fetcher(page_rows=5, told=lambda *_: setattr(first, "is_stopping", True))
        await first.bars(of, "1m", MINUTE_US, begin_us, now_us)
        assert first.done.requests <= 3
        assert 0 < first.done.new <= 5
        rest = fetcher(page_rows=5)
        await rest.bars(of, "1m", MINUTE_US, begin_us, now_us)
        assert rest.done.repeated == 0, "no bar came twice"
        truth.extend(bar for bar in candles(sandbox, now_us - SETTLE_US) if bar[0] >= begin_us)

    truth = []
    assert stored_bars(lived(tmp_path, work)) == truth


def test_trades_are_walked_from_the_newest_back_and_what_is_stored_is_leapt_over(tmp_path):
    async def work(sandbox, fetcher):
        of = sandbox.app.desk.markets[SPOT]
        whole = prints(sandbox)
        assert len(whole) > 120
        first = fetcher(page_rows=20, told=lambda *_: setattr(first, "is_stopping", first.done.requests >= 3))
        await first.trades(of, 0)
        assert first.done.new == 60
        live_on(sandbox, MINUTE_US)
        assert len(prints(sandbox)) > len(whole), "new trades came in at the front meanwhile"
        second = fetcher(page_rows=20)
        await second.trades(of, 0)
        truth.extend(prints(sandbox))
        pages = -(-len(truth) // 20)
        assert second.done.requests <= pages, "what was there is not fetched again"
        third = fetcher(page_rows=20)
        await third.trades(of, 0)
        assert third.done.new == 0
        assert third.done.requests <= 4

    truth = []
    assert stored_trades(lived(tmp_path, work)) == truth


def test_a_market_that_the_exchange_forgot_is_stored_as_far_as_it_goes(tmp_path):
    async def work(sandbox, fetcher):
        fetch = fetcher(page_rows=1_000)
        await fetch.trades(sandbox.app.desk.markets[SPOT], 0)
        assert fetch.done.new == len(prints(sandbox))

    assert lived(tmp_path, work).listed()[0].rows > 100
