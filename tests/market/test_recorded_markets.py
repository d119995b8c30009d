"""Every recording that the program knows opens and is played as it was."""

from collections import defaultdict
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

import pyarrow.parquet as pq
import pytest
from tests import recordings
from tests.market.tiny_book import TinyBook

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import Level, Reference, Take
from lemon_trader.market.files import RECORDINGS
from lemon_trader.market.recordings import RecordingError, open_recording

pytestmark = pytest.mark.data

BARS = recordings.names("bars")
TRADES = recordings.names("trades")
L2 = recordings.names("l2")
INVERSE = [n for n in L2 if "coinm" in n]
BOOKS = [n for n in L2 if n.endswith("_depth.parquet") and n not in INVERSE]
SLICE = 300


def rows(name, first=0, count=None):
    return pq.read_table(recordings.path(name)).slice(first, count).to_pylist()


def to_ticks(price, instrument, scale=1, rounding=ROUND_HALF_UP):
    return int((Decimal(repr(price)) * scale / Decimal(instrument.tick)).to_integral_value(rounding))


def played(name, **wanted):
    """The source, its book after all acts, and its prints."""
    source = open_recording(recordings.path(name), **wanted)
    (instrument,) = source.instruments.values()
    return source, instrument, TinyBook().play(source)


@pytest.mark.parametrize("name", [*BARS, *TRADES, *(n for n in L2 if n not in INVERSE)])
def test_a_recording_opens_as_its_market_and_begins_with_its_start(name):
    source = open_recording(recordings.path(name), limit=20)
    (symbol,) = source.instruments
    assert symbol.endswith("_PERP") == any(word in name for word in ("perp", "usdm"))
    assert symbol.split("_")[0].lower() == name.split("/")[1][: len(symbol.split("_")[0])]
    acts = list(source)
    assert acts[0].at_us == source.start_us
    assert any(isinstance(a, Level) for a in acts)
    assert any(isinstance(a, Reference) for a in acts) == symbol.endswith("_PERP")
    assert {a.symbol for a in acts} == {symbol}


def test_the_table_names_exactly_the_recordings_there_are():
    recordings.path(BARS[0])
    stems = {n.split("/")[1].removesuffix(".parquet") for n in (*BARS, *TRADES, *L2) if n not in INVERSE}
    for ending in ("_depth", "_bbo", "_trades"):
        stems = {s.removesuffix(ending) for s in stems}
    assert stems == set(RECORDINGS)


@pytest.mark.parametrize("name", BARS)
def test_around_its_deepest_bar_a_market_of_bars_prints_each_high_and_low_and_nothing_beyond(name):
    table = pq.read_table(recordings.path(name))
    falls = [(low / first, k) for k, (first, low) in enumerate(zip(table["open"].to_pylist(), table["low"].to_pylist(), strict=True))]
    deepest = max(0, min(min(falls)[1] - SLICE // 2, len(falls) - SLICE))
    bars = rows(name, deepest, SLICE)
    _, instrument, book = played(name, start=bars[0]["ts_ms"] * 1000, limit=SLICE, reference_us=60_000_000)
    scale = RECORDINGS[name.split("/")[1].removesuffix(".parquet")].scale
    starts = [bar["ts_ms"] * 1000 for bar in bars]
    got = defaultdict(list)
    k = 0
    for at_us, _, _, ticks, _ in book.prints:
        while k + 1 < len(starts) and at_us >= starts[k + 1]:
            k += 1
        got[k].append(ticks)
    for k, bar in enumerate(bars):
        if not bar["volume"]:
            assert k not in got
            continue
        assert max(got[k]) == to_ticks(bar["high"], instrument, scale)
        assert min(got[k]) == to_ticks(bar["low"], instrument, scale)
        assert got[k][-1] == to_ticks(bar["close"], instrument, scale)


@pytest.mark.parametrize("name", BARS)
def test_the_invented_depth_of_a_bar_market_is_a_sane_part_of_its_turnover(name):
    bars = rows(name, 0, SLICE)
    _, instrument, book = played(name, limit=SLICE, reference_us=60_000_000)
    traded = sum(lots for *_, lots in book.prints)
    scale = RECORDINGS[name.split("/")[1].removesuffix(".parquet")].scale
    is_quote = RECORDINGS[name.split("/")[1].removesuffix(".parquet")].is_quote_volume
    lot = Decimal(instrument.lot)
    recorded = sum(Decimal(repr(b["volume"])) / (Decimal(repr(b["close"])) if is_quote else 1) / scale / lot for b in bars)
    assert recorded / 3 < traded < recorded * 3


@pytest.mark.parametrize("name", TRADES)
def test_recorded_trades_are_traded_again_at_their_prices_sizes_and_times(name):
    trades = rows(name, 0, 3_000)
    _, instrument, book = played(name, limit=3_000)
    lot = Decimal(instrument.lot)
    expected = [
        (
            t["ts_us"],
            BUY if t["side"] == "buy" else SELL,
            to_ticks(t["price"], instrument, rounding=ROUND_CEILING if t["side"] == "buy" else ROUND_FLOOR),
            max(1, int(Decimal(repr(t["qty"])) / lot)),
        )
        for t in trades
    ]
    assert [(at, side, ticks, lots) for at, _, side, ticks, lots in book.prints] == expected


@pytest.mark.parametrize("name", BOOKS)
def test_a_recorded_book_is_rebuilt_to_the_last_level_and_every_trade_happens_at_its_price(name):
    limit = 700
    source, instrument, book = played(name, limit=limit)
    true, last_us = rebuilt(name, limit, instrument)
    assert {side: dict(levels) for side, levels in book.books[instrument.symbol].items()} == true
    trades = [t for t in rows(name.replace("_depth", "_trades")) if source.start_us <= t["trans_ms"] * 1000 <= last_us]
    assert len(trades) > 100
    expected = defaultdict(int)
    for t in trades:
        is_buy = t["side"] == "buy"
        ticks = to_ticks(t["price"], instrument, rounding=ROUND_CEILING if is_buy else ROUND_FLOOR)
        expected[t["trans_ms"] * 1000, BUY if is_buy else SELL, ticks] += max(1, int(Decimal(repr(t["qty"])) / Decimal(instrument.lot)))
    got = defaultdict(int)
    for at_us, _, side, ticks, lots in book.prints:
        got[at_us, side, ticks] += lots
    assert got == expected


def rebuilt(name, limit, instrument):
    """The book after `limit` batches newer than the snapshot, merged onto the grid, by a reading of the file that shares no code."""
    updates = rows(name, 0, 80_000)  # more than `limit` batches need
    snapshot_id = next(r["last_id"] for r in updates if r["kind"] == "snapshot")
    fine = {(r["side"], r["price"]): r["qty"] for r in updates if r["kind"] == "snapshot"}
    seen = []
    for r in updates:
        if r["kind"] == "snapshot" or r["last_id"] <= snapshot_id:
            continue
        if not seen or seen[-1] != r["last_id"]:
            if len(seen) == limit:
                break
            seen.append(r["last_id"])
        fine[r["side"], r["price"]] = r["qty"]
        assert r is not updates[-1]
        last_us = (r["trans_ms"] or r["event_ms"]) * 1000
    book = {BUY: defaultdict(int), SELL: defaultdict(int)}
    for (side, price), qty in fine.items():
        is_bid = side == "bid"
        ticks = to_ticks(price, instrument, rounding=ROUND_FLOOR if is_bid else ROUND_CEILING)
        if qty:
            book[BUY if is_bid else SELL][ticks] += max(1, int(Decimal(repr(qty)) / Decimal(instrument.lot)))
    return {side: dict(levels) for side, levels in book.items()}, last_us


@pytest.mark.parametrize("name", BOOKS)
def test_a_whole_recorded_book_is_never_crossed(name):
    _, instrument, book = played(name)
    bid, ask = book.touch(instrument.symbol)
    assert 0 < bid < ask


def test_a_book_opened_later_begins_as_the_book_that_was_played_up_to_then():
    name = "l2/btcusdt_binance_usdm_20240808_depth.parquet"
    whole = open_recording(recordings.path(name), limit=500)
    (symbol,) = whole.instruments
    cut_us = whole.start_us + 10_000_000
    early = TinyBook()
    late = open_recording(recordings.path(name), start=cut_us, limit=1)
    early.play(a for a in whole if a.at_us < late.start_us or (a.at_us == late.start_us and not isinstance(a, Take)))
    begun = TinyBook().play(a for a in late if a.at_us == late.start_us and isinstance(a, Level))
    assert late.start_us <= cut_us
    assert begun.books[symbol] == early.books[symbol]


@pytest.mark.parametrize(
    "name", ["bars/solusdt_binance_perp_1m_202505.parquet", TRADES[0], "l2/ethusdt_binance_usdm_20240808_depth.parquet"]
)
def test_a_shifted_recording_is_the_same_at_another_time(name):
    plain = open_recording(recordings.path(name), limit=200)
    now_us = 1_800_000_000_000_000 + plain.start_us % 1_000_000  # whole seconds apart, so that marks fall alike
    shifted = open_recording(recordings.path(name), limit=200, shift_to_us=now_us)
    by = now_us - plain.start_us
    assert shifted.start_us == now_us
    assert [(type(a), a.at_us) for a in shifted] == [(type(a), a.at_us + by) for a in plain]


def test_a_known_recording_can_be_played_as_another_market():
    source = open_recording(recordings.path("bars/solusdt_binance_spot_1m_202109.parquet"), symbol="SOL_USDC_PERP", limit=5)
    assert source.instruments["SOL_USDC_PERP"].is_perp
    assert any(isinstance(a, Reference) for a in source)


@pytest.mark.parametrize("name", INVERSE)
def test_an_inverse_contract_is_refused_with_a_recording_that_works_instead(name):
    with pytest.raises(RecordingError, match=r"inverse \(COIN-M\).*btcusdt_binance_usdm"):
        open_recording(recordings.path(name))


def test_funding_histories_are_refused_as_what_they_are():
    with pytest.raises(RecordingError, match="history of funding rates, not a market"):
        open_recording(recordings.path("funding/solusdt_binance_funding_2024.parquet"))
