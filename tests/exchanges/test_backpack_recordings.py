"""Messages recorded from the real exchange: every line of every file is read, and what it became is counted."""

import itertools
import json
from collections import Counter

import pytest
from tests import recordings
from tests.exchanges.kit import MARKETS, STABLE, TS_US

from lemon_trader.core.events import NO_CLIENT_ID, BadFact, Balance, BookDelta, OrderUpdate, Touch
from lemon_trader.core.units import SELL
from lemon_trader.exchanges.backpack.client import Backpack

pytestmark = pytest.mark.data

BACKPACK = Backpack()


def frames(name):
    return recordings.path(f"backpack/{name}").read_bytes().splitlines()


def facts_of(lines):
    return [BACKPACK.frame(line, MARKETS, TS_US) for line in lines]


# (file, what its lines become)
FILES = [
    ("bbgo_ws_public_head.jsonl", {"Touch": 18, "BookDelta": 71, "MarkPrice": 2, "LastPrice": 2}),
    ("bbgo_ws_public_late.jsonl", {"Touch": 29, "MarkPrice": 7, "LastPrice": 7}),
    ("bbgo_ws_private.jsonl", {"OrderUpdate": 2, "Balance": 2}),
    ("ws_frames_2025_01.jsonl", {"Touch": 3, "BookDelta": 2, "PublicTrade": 1}),
    ("ws_frames_2026_09.jsonl", {"BookDelta": 3, "Touch": 1, "MarkPrice": 1, "LastPrice": 1, "BadFact": 3}),
]


@pytest.mark.parametrize(("name", "expected"), FILES, ids=[row[0] for row in FILES])
def test_every_line_becomes_one_fact_of_its_kind(name, expected):
    lines = frames(name)
    told = facts_of(lines)
    assert all(len(facts) == 1 for facts in told)
    assert Counter(type(facts[0]).__name__ for facts in told) == Counter(expected)
    assert sum(expected.values()) == len(lines)


def test_only_the_known_error_frames_are_bad():
    bad = [fact for name, _ in FILES for facts in facts_of(frames(name)) for fact in facts if isinstance(fact, BadFact)]
    assert [fact.reason for fact in bad] == ["4006 Invalid stream", "4002 Parse error", "4008 Invalid depth window"]
    assert {fact.source for fact in bad} == {"stream error"}


@pytest.mark.parametrize("name", [row[0] for row in FILES])
def test_a_fact_says_what_the_recorded_message_says(name):
    """Held against `json` and `Decimal`, which the decoder does not use for prices."""
    from decimal import Decimal

    for line, (fact,) in zip(frames(name), facts_of(frames(name)), strict=True):
        data = json.loads(line).get("data")
        if isinstance(fact, (BookDelta, Touch)):
            market = MARKETS[data["s"]]
            tick, lot = Decimal(market.tick), Decimal(market.lot)
            assert (fact.symbol, fact.venue_us) == (data["s"], data["T"])
            if isinstance(fact, Touch):
                assert (fact.bid_ticks * tick, fact.ask_ticks * tick) == (Decimal(data["b"]), Decimal(data["a"]))
                assert (fact.bid_lots * lot, fact.ask_lots * lot) == (Decimal(data["B"]), Decimal(data["A"]))
                assert fact.update_id == data["u"]
            else:
                assert (fact.first_id, fact.last_id) == (data["U"], data["u"])
                for levels, raw in ((fact.bids, data["b"]), (fact.asks, data["a"])):
                    assert [(p * tick, q * lot) for p, q in levels] == [(Decimal(p), Decimal(q)) for p, q in raw]


def test_the_private_session_is_one_order_placed_and_cancelled():
    accepted, first, cancelled, last = (facts[0] for facts in facts_of(frames("bbgo_ws_private.jsonl")))
    for update, kind in ((accepted, "accepted"), (cancelled, "cancelled")):
        assert isinstance(update, OrderUpdate)
        assert (update.kind, update.symbol, update.side, update.order_id) == (kind, "USDT_USDC", SELL, "59887375336")
        assert (update.price_ticks, update.qty_lots, update.filled_lots, update.client_id) == (10076, 20, 0, NO_CLIENT_ID)
    assert isinstance(first, Balance)
    assert isinstance(last, Balance)
    assert (first.available_atoms, first.locked_atoms) == (10_000_000_000, 20_000_000_000)
    assert (last.available_atoms, last.locked_atoms) == (30_000_000_000, 0)


def test_consecutive_recorded_depth_changes_follow_one_another_by_id():
    deltas = [facts[0] for facts in facts_of(frames("bbgo_ws_public_head.jsonl")) if isinstance(facts[0], BookDelta)]
    assert all(after.first_id == before.last_id + 1 for before, after in itertools.pairwise(deltas))


def test_every_recorded_rest_body_decodes():
    groups = json.loads(recordings.path("backpack/rest_responses.json").read_bytes())
    bodies = {name: json.dumps(value).encode() for group in groups.values() for name, value in group.items()}

    def one_row(name):
        return b"[" + bodies.pop(name) + b"]"

    market = one_row("GET /api/v1/market spot")
    taken, refused = BACKPACK.markets(market)
    assert refused == {}
    sol = taken["SOL_USDC"]
    assert (sol.tick, sol.lot, sol.min_lots, sol.high_ppm, sol.band_high_ppm, sol.book_state) == (
        "0.01",
        "0.01",
        1,
        2_000_000,
        1_030_000,
        "Open",
    )
    perp = BACKPACK.markets(one_row("GET /api/v1/market perp (shortened by the source)"))[0]["SOL_USDC_PERP"]
    assert (perp.is_perp, perp.imf_ppm, perp.mmf_ppm) == (True, 20_000, 0)

    book = BACKPACK.depth("SOL_USDC", bodies.pop("GET /api/v1/depth"), sol, TS_US)
    assert (max(book.bids), min(book.asks), book.last_id) == ((10097, 3676), (10101, 19166), 4324419962)
    (candle,) = BACKPACK.klines(bodies.pop("GET /api/v1/klines"), sol)
    assert (candle.open_ticks, candle.high_ticks, candle.low_ticks, candle.close_ticks, candle.volume_lots) == (
        10113,
        10113,
        10110,
        10110,
        44,
    )
    (quiet,) = BACKPACK.klines(bodies.pop("GET /api/v1/klines, an interval without trades"), sol)
    assert (quiet.open_ticks, quiet.volume_lots, quiet.start_us) == (0, 0, candle.start_us)
    assert BACKPACK.ticker("SOL_USDC", 200, bodies.pop("GET /api/v1/ticker"), sol, TS_US).last_ticks == 10104
    assert BACKPACK.status(bodies.pop("GET /api/v1/status")) == "Ok"

    stable = {"USDT_USDC": STABLE}
    (working,) = BACKPACK.orders(one_row("order object"), stable, is_open=True)
    assert (working.order_id, working.status, working.price_ticks, working.qty_lots, working.client_id) == (
        "59669039887", "working", 10077, 20, NO_CLIENT_ID,
    )  # fmt: skip
    (ended,) = BACKPACK.orders(one_row("GET /wapi/v1/history/orders entry"), stable, is_open=False)
    assert (ended.status, ended.created_us, ended.filled_lots) == ("cancelled", 1788285244094000, 0)
    (fill,) = BACKPACK.fills(one_row("fill"), stable, TS_US)
    assert (fill.trade_id, fill.price_ticks, fill.qty_lots, fill.fee_atoms, fill.fee_asset) == (381731330, 10077, 20, 10_000_000, "USDC")
    balances = {b.asset: (b.available_atoms, b.locked_atoms) for b in BACKPACK.balances(bodies.pop("GET /api/v1/capital"), TS_US)}
    assert balances == {"SOL": (1_500_000_000, 500_000_000), "USDC": (100_000_000_000, 0)}

    # Nothing of ours reads the history of funding rates; the batch error is the element that the tests of orders quote.
    assert set(bodies) == {"GET /api/v1/fundingRates", "batch order result, error"}
