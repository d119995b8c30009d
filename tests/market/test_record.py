"""The recorder against the sandbox: what it writes is what happened, and the sandbox plays it again trade by trade."""

import asyncio
import gzip
import json

import pytest

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.record import RecordSettings, resolve_record
from lemon_trader.config.resolve import Request
from lemon_trader.core.units import PPM
from lemon_trader.env_live import LiveEnv, Proxies
from lemon_trader.market.acts import Level
from lemon_trader.market.recordings import open_recording
from lemon_trader.run.record import Recorder
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions, make_world

SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
START_US = 1_790_000_000_000_000


def recorded(tmp_path, *, work=None, name="tape.jsonl.gz", seconds=1.2, symbols=(SPOT, PERP), part_bytes=1 << 30, speed=40):
    """Record a busy sandbox, let `work(sandbox, recorder)` happen in between; gives (tape, the sandbox's own prints, recorder)."""
    path = tmp_path / name

    async def main():
        options = ServerOptions(world=WorldOptions(symbols=(SPOT, PERP), activity_pct=600), speed_ppm=speed * PPM)
        sandbox = await start_sandbox(options)
        faults = []
        env = LiveEnv(tmp_path, lambda part, error: faults.append((part, error)), proxies=Proxies(environ={}))
        settings = RecordSettings(symbols, path, None, part_bytes, sandbox.rest_url, sandbox.ws_url, None, "en", json=True)
        recorder = Recorder(env, settings)
        try:
            assert await recorder.start() == ""
            await asyncio.sleep(seconds)
            if work is not None:
                await work(sandbox, recorder)
            recorder.stop("test")
        finally:
            await env.close()
            await sandbox.stop()
        assert not faults
        return {
            s: [(p.trade_id, p.ticks, p.lots, p.buyer_is_maker) for p in tape.prints] for s, tape in sandbox.app.desk.tapes.items()
        }, recorder

    prints, recorder = asyncio.run(main())
    return path, prints, recorder


def lines(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def trades_on(paths, symbol):
    found = [line["f"]["data"] for path in paths for line in lines(path) if line.get("f", {}).get("stream") == f"trade.{symbol}"]
    return [trade["t"] for trade in found]


def played(path, **options):
    """Every print of a sandbox that plays the tape, by market."""
    world = make_world(WorldOptions(market=str(path), symbols=(), **options), START_US)
    for act in world.source:
        world.app.act(act)
    world.app.desk.exchange.check_closed()
    return {s: [(p.ticks, p.lots, p.buyer_is_maker) for p in tape.prints] for s, tape in world.app.desk.tapes.items()}, world


def test_a_recorded_sandbox_plays_the_same_trades_in_the_same_order(tmp_path):
    path, prints, recorder = recorded(tmp_path)
    again, world = played(path)
    for symbol in (SPOT, PERP):
        ids = trades_on([path], symbol)
        assert len(ids) > 15
        assert ids == list(range(ids[0], ids[-1] + 1)), "no trade is missing on the tape"
        truth = [(ticks, lots, maker) for trade_id, ticks, lots, maker in prints[symbol] if ids[0] <= trade_id <= ids[-1]]
        assert again[symbol] == truth
    assert recorder.counts["gaps"] == 0
    assert lines(path)[-1]["end"] == "test"
    assert world.app.desk.exchange.reference(PERP)[1] > 0, "the index came with the tape"


def test_the_played_book_is_the_recorded_one_to_the_lot(tmp_path):
    async def remember(sandbox, recorder):
        sandbox.clock.set_speed(1)  # the market stands still, and what it said last arrives
        await asyncio.sleep(0.3)
        book = sandbox.app.desk.exchange.depth(SPOT)
        truth.append((book.bids, book.asks))

    truth = []
    path, _, _ = recorded(tmp_path, work=remember, name="tape.jsonl")
    _, world = played(path)
    book = world.app.desk.exchange.depth(SPOT)
    assert (book.bids, book.asks) == truth[0]


def test_a_lost_connection_leaves_a_gap_and_a_new_book(tmp_path):
    async def cut(sandbox, recorder):
        sandbox.app.hub.close_all(1001, "cut")
        while recorder.counts["books"] < 4:  # noqa: ASYNC110  the recorder tells nobody when it has read a book
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)

    path, _, recorder = recorded(tmp_path, work=cut)
    assert recorder.counts["gaps"] >= 1
    rows = lines(path)
    gap = next(n for n, row in enumerate(rows) if "gap" in row)
    assert {row["depth"] for row in rows[gap:] if "depth" in row} == {SPOT, PERP}
    again, _ = played(path)
    assert len(again[SPOT]) == len(trades_on([path], SPOT))


def test_parts_follow_one_another_and_each_can_be_played_alone(tmp_path):
    path, prints, recorder = recorded(tmp_path, part_bytes=100_000, name="tape.jsonl")
    assert [part.name for part in recorder.parts[:3]] == ["tape.jsonl", "tape.2.jsonl", "tape.3.jsonl"]
    again, _ = played(path)
    ids = trades_on(recorder.parts, SPOT)
    assert again[SPOT] == [(t, q, m) for trade_id, t, q, m in prints[SPOT] if ids[0] <= trade_id <= ids[-1]]
    alone, _ = played(recorder.parts[1])
    assert alone[SPOT] == again[SPOT][len(trades_on(recorder.parts[:1], SPOT)) :]


def test_a_tape_that_was_cut_off_is_played_as_far_as_it_goes(tmp_path):
    path, _, _ = recorded(tmp_path, seconds=0.6)
    whole, _ = played(path)
    path.write_bytes(path.read_bytes()[:-2_000])
    torn, _ = played(path)
    assert 0 < len(torn[SPOT]) < len(whole[SPOT])
    assert torn[SPOT] == whole[SPOT][: len(torn[SPOT])]


def test_a_later_start_finds_the_book_that_stood_then(tmp_path):
    path, _, _ = recorded(tmp_path, seconds=0.6, symbols=(SPOT,))
    acts = list(open_recording(path))
    middle = acts[len(acts) // 2].at_us
    late = open_recording(path, start=middle, shift_to_us=START_US)
    first = next(late)
    assert isinstance(first, Level)
    assert abs(late.start_us - START_US) <= 0
    assert len(list(open_recording(path, limit=10))) < len(acts)


def test_one_market_of_a_tape_can_be_played_and_a_lone_one_may_stand_for_its_twin(tmp_path):
    path, _, _ = recorded(tmp_path, seconds=0.6)
    assert set(open_recording(path, symbol=PERP).instruments) == {PERP}
    alone, _, _ = recorded(tmp_path, seconds=0.6, symbols=(SPOT,), name="spot.jsonl.gz")
    again, world = played(alone, symbol=SPOT, twins=(PERP,))
    assert again[SPOT] == again[PERP]
    assert world.app.desk.exchange.reference(PERP)[0] > 0
    with pytest.raises(ValueError, match="holds SOL_USDC and not BTC_USDC"):
        open_recording(alone, symbol="BTC_USDC")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not a tape"),
        (b'{"r": 1}\n', "is not a tape"),
        (b'{"tape":2,"exchange":"backpack","symbols":["SOL_USDC"],"part":1,"begun_us":1,"markets":[]}\n', "version 2"),
        (b'{"tape":1,"exchange":"other","symbols":["SOL_USDC"],"part":1,"begun_us":1,"markets":[]}\n', "other"),
        (b'{"tape":1,"exchange":"backpack","symbols":["SOL_USDC"],"part":1,"begun_us":1,"markets":[]}\n', "no market"),
    ],
)
def test_what_is_no_tape_is_refused_with_its_name(tmp_path, content, says):
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says) as refused:
        open_recording(path)
    assert "odd.jsonl" in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"out": "x.jsonl"}, "record.no-symbol"),
        ({"symbol": "SOL_USDC"}, "record.no-out"),
        ({"symbol": "SOL-USDC", "out": "x.jsonl"}, "pair.symbol-meant"),
        ({"symbol": "SOL_USDC", "out": "x.parquet"}, "record.ending"),
        ({"symbol": "SOL_USDC", "out": "no/such/x.jsonl"}, "record.no-folder"),
        ({"symbol": "SOL_USDC", "out": "x.jsonl", "rest_url": "file:///etc"}, "record.address"),
        ({"symbol": "SOL_USDC", "out": "x.jsonl", "ws_url": "http://127.0.0.1:1"}, "record.address"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(tmp_path, monkeypatch, flags, key):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSetting) as refused:
        resolve_record(Request(flags=flags))
    assert refused.value.key == key


def test_a_tape_is_never_written_over(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(BadSetting) as refused:
        resolve_record(Request(flags={"symbol": SPOT, "out": str(path)}))
    assert refused.value.key == "record.exists"
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_market_that_is_not_listed_leaves_no_file(tmp_path):
    async def main():
        sandbox = await start_sandbox(ServerOptions(world=WorldOptions(symbols=(SPOT,))))
        env = LiveEnv(tmp_path, lambda *_: None, proxies=Proxies(environ={}))
        path = tmp_path / "x.jsonl"
        recorder = Recorder(env, RecordSettings(("XRP_USDC",), path, None, 1, sandbox.rest_url, sandbox.ws_url, None, "en", json=True))
        try:
            return await recorder.start(), path.exists()
        finally:
            await env.close()
            await sandbox.stop()

    assert asyncio.run(main()) == ("XRP_USDC", False)
