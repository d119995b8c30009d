"""What a strategy answers when a face asks why it wants less than usual."""

import pytest

from lemon_trader.core.records import Position, View
from lemon_trader.core.units import BUY
from lemon_trader.messages.catalogue import knows
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.market_maker import MarketMakerMemory, MarketMakerParams
from lemon_trader.strategies.martingale_records import CLOSE, LADDER, STOPPED, WAIT_NAMES, MartingaleMemory, MartingaleParams
from lemon_trader.strategies.martingale_setup import WAITS

MAKER, MARTINGALE = STRATEGIES["market-maker"], STRATEGIES["martingale"]


def test_every_reason_to_wait_has_its_own_words():
    assert [text.removeprefix("wait.").replace("-", "_").upper() for text in WAITS[1:]] == list(WAIT_NAMES[1:])
    assert all(knows(text) for text in WAITS[1:])


IDLE_CASES = [
    ("after a cycle", {}, {"next_us": 11}, {}, "wait.cooldown"),
    ("when all cycles are done", {"cycles": 2}, {"cycles_done": 2}, {}, "wait.cycles"),
    ("while winding down", {"winding_down": 1}, {}, {}, "wait.winding-down"),
    ("while halted", {}, {}, {"may_open": 0}, "wait.masked"),
    ("with old data", {}, {}, {"fresh": 0}, "wait.fresh"),
    ("while it buys", {}, {"phase": LADDER}, {}, ""),
    ("while it closes", {}, {"phase": CLOSE}, {}, "wait.close"),
    ("at its stop", {}, {"phase": STOPPED}, {}, "wait.stopped"),
]


@pytest.mark.parametrize(("params", "memory", "view", "expected"), [case[1:] for case in IDLE_CASES], ids=[case[0] for case in IDLE_CASES])
def test_a_martingale_says_why_it_buys_nothing(params, memory, view, expected):
    seen = View(now_us=10, **({"may_open": 1, "fresh": 1} | view))
    assert MARTINGALE.waiting(MartingaleParams(**params), seen, Position(), MartingaleMemory(**memory)) == expected


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({}, ""),
        ({"bids_paused": 1}, "wait.bids-paused"),
        ({"pulled_side": BUY, "calm_us": 11}, "wait.pulled"),
        ({"pulled_side": BUY, "calm_us": 10}, ""),
    ],
)
def test_a_maker_says_why_a_side_is_missing(memory, expected):
    assert MAKER.waiting(MarketMakerParams(), View(now_us=10), Position(), MarketMakerMemory(**memory)) == expected
    assert not expected or knows(expected)
