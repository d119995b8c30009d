"""Whole backtests over made markets: funding, liquidation, fees, queues and latency end up in the figures, to the atom."""

import numpy as np
import pytest
from tests.agreement.tapes import PERP, SPOT

from lemon_trader.backtest.result import FUNDING, check
from lemon_trader.cli.declared import declarations
from lemon_trader.config.backtest import resolve_backtest
from lemon_trader.config.resolve import Request
from lemon_trader.core.units import BUY, SELL, US_PER_S
from lemon_trader.market.acts import Level, Reference, Source, Take
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.recordings import BOOK, TRADES
from lemon_trader.market.tables import FundingTable
from lemon_trader.run.backtest import fees_of, replay_acts
from lemon_trader.run.backtest_data import Data

HOUR = 3_600 * US_PER_S
T = 1_700_002_800 * US_PER_S - 600 * US_PER_S  # ten minutes before the hour


def wanted(strategy, symbol, **flags):
    request = Request(flags={"data": "made", "bounds": "false", **flags}, pairs=(strategy, symbol), environment={})
    return resolve_backtest(request, declarations(), symbol=symbol)


def tape(symbol, prices, every_s=5):
    """A book of one level a side around each price in turn, deep enough for everybody; on a perpetual the mark goes with it."""
    acts, before = [], 0
    for k, price in enumerate(prices):
        at_us = T + k * every_s * US_PER_S
        if before:
            acts += [Level(at_us, symbol, BUY, before - 1, 0), Level(at_us, symbol, SELL, before + 1, 0)]
            acts.append(Take(at_us, symbol, SELL if price < before else BUY, 10**6, price))
        acts += [Level(at_us, symbol, BUY, price - 1, 10**6), Level(at_us, symbol, SELL, price + 1, 10**6)]
        acts.append(Take(at_us, symbol, BUY, 1, price + 1))
        if symbol == PERP:
            acts.append(Reference(at_us, symbol, price, price, 12_500))
        before = price
    return acts


def data(symbol, acts, kind=BOOK, funding=None):
    instrument = default_instrument(symbol)
    return Data(kind, "made", instrument, open=lambda: Source({symbol: instrument}, acts[0].at_us, iter(acts)), funding=funding)


def play(settings, made, model="pessimistic"):
    result = replay_acts(settings, made, model, fees_of(settings, is_perp=made.instrument.is_perp))
    check(result)
    return result


FALL = [15_000 - 2 * k for k in range(400)]
LADDER = {"step_pct": "0.5", "entry": "market", "stop_loss_pct": "20", "budget": "400"}


def test_funding_is_booked_by_the_rates_that_were_given():
    settings = wanted("martingale", PERP, **LADDER)
    acts = tape(PERP, FALL)
    ends = np.array([T + 600 * US_PER_S, T + 1_200 * US_PER_S], np.int64)
    paid = play(settings, data(PERP, acts, funding=FundingTable(PERP, ends, np.array([1_000_000, -500_000], np.int64))))
    kinds = paid.moves["kind"].tolist()
    assert kinds == [FUNDING, FUNDING, FUNDING]
    first, second, behind = paid.moves["quote_atoms"].tolist()
    assert behind == 0, "behind the table's end nothing is paid"
    assert first < 0 < second, "a positive rate is paid by the long, a negative one is received"
    assert paid.totals.funding_atoms == first + second
    held = int(paid.equity["base_atoms"][paid.equity["at_us"] <= ends[0]][-1]) // 10**7
    mark = 15_000 - 2 * 119  # of the act before the hour; the rate of the interval that ends then
    assert abs(-first - 1_000_000 * held * mark * 100_000 // 10**9) <= 1_000_000 * held * 4 * 100_000 // 10**9
    none = play(wanted("martingale", PERP, **LADDER, funding="none"), data(PERP, acts, funding=FundingTable(PERP, ends, ends * 0)))
    assert none.totals.funding_atoms == 0
    published = play(settings, data(PERP, acts))
    assert published.totals.funding_atoms < 0


def test_a_position_that_the_margin_does_not_carry_is_taken_away_and_the_reader_is_told():
    crash = [15_000 - 12 * k for k in range(300)]
    settings = wanted(
        "martingale", PERP, **(LADDER | {"budget": "1000", "stop_loss_pct": "40"}), capital="60", daily_loss_pct="100", drawdown_pct="100"
    )
    result = play(settings, data(PERP, crash_acts := tape(PERP, crash)))
    assert crash_acts
    assert result.counters.liquidations > 0
    assert (result.fills["role"] == -1).sum() == result.counters.liquidations
    assert "backtest.note.liquidated" in [note.key for note in result.notes]
    assert result.totals.net_atoms < -30 * 10**9


def test_a_limit_that_stops_the_program_is_told_with_its_moment():
    settings = wanted("martingale", SPOT, **LADDER, daily_loss_pct="1")
    result = play(settings, data(SPOT, tape(SPOT, [15_000 - 10 * k for k in range(200)])))
    (note,) = (note for note in result.notes if note.key == "backtest.note.halted")
    assert note.values["reason"] == "DAILY_LOSS"
    assert result.base_atoms > 0, "what is held is not sold by it"


def swings(seconds=400):
    """A bid that others join and leave without trading, and small takers: who is filled depends on who leaves the queue."""
    acts = [Level(T, SPOT, BUY, 14_990, 4_000), Level(T, SPOT, SELL, 15_010, 4_000), Take(T, SPOT, BUY, 1, 15_010)]
    for second in range(1, seconds):
        at_us = T + second * US_PER_S
        for side, ticks in ((BUY, 14_990), (SELL, 15_010)):
            acts += [Level(at_us, SPOT, side, ticks, 4_000 - 37 * (second % 60)), Take(at_us + 1, SPOT, -side, 25, ticks)]
            acts.append(Level(at_us + 2, SPOT, side, ticks, 4_000))
    return acts


MAKER = {
    "spread": "0.1333",
    "max_orders": "1",
    "budget": "800",
    "interval": "1h",
    "requote_pct": "5",
    "skew_pct": "0",
    "volatility_factor": "0",
}


def test_who_leaves_the_queue_decides_who_is_filled():
    settings = wanted("market-maker", SPOT, **MAKER)
    made = data(SPOT, swings())
    filled = {m: play(settings, made, m).fills for m in ("pessimistic", "proportional", "probability", "optimistic")}
    first_s = {m: (int(rows["at_us"][0]) - T) // US_PER_S for m, rows in filled.items()}
    assert first_s["optimistic"] <= first_s["proportional"] <= first_s["pessimistic"]
    assert first_s["optimistic"] < first_s["pessimistic"]


def test_trades_alone_fill_by_touch_what_they_do_not_fill_by_going_through():
    settings = wanted("market-maker", SPOT, **MAKER)
    made = data(SPOT, swings(), kind=TRADES)
    strict, touched = (int(play(settings, made, model).fills["lots"].sum()) for model in ("pessimistic", "touch"))
    assert strict == 0 < touched


@pytest.mark.parametrize("late_ms", ["0", "400"])
def test_the_same_run_twice_is_the_same_to_the_last_row(late_ms):
    settings = wanted("martingale", SPOT, **LADDER, latency_ms=late_ms)
    acts = tape(SPOT, FALL)
    first, second = play(settings, data(SPOT, acts)), play(settings, data(SPOT, acts))
    assert len(first.fills)
    assert (first.fills == second.fills).all()
    assert (first.equity == second.equity).all()
    assert first.settings["latency"] == f"{late_ms} + {late_ms} + {late_ms} ms"


def test_latency_moves_fills_to_later():
    acts = tape(SPOT, FALL)
    at_once, late = (play(wanted("martingale", SPOT, **LADDER, latency_ms=ms), data(SPOT, acts)) for ms in ("0", "400"))
    assert int(late.fills["at_us"][0]) >= int(at_once.fills["at_us"][0]) + 400_000


def test_what_the_program_would_have_told_its_operator_gravely_is_noted():
    crash = [15_000 - 12 * k for k in range(300)]
    settings = wanted("martingale", PERP, **(LADDER | {"budget": "1000", "stop_loss_pct": "40"}), capital="60")
    (told,) = (n for n in play(settings, data(PERP, tape(PERP, crash))).notes if n.key == "backtest.note.told")
    assert told.values["what"][0] == "alert.refused_account"
    calm = play(wanted("martingale", SPOT, **LADDER), data(SPOT, tape(SPOT, FALL)))
    assert "backtest.note.told" not in [n.key for n in calm.notes]
