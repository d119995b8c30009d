"""`backtest --calibrate`: a session's journal beside a recorded book, through the door."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.backtest.test_calibrate import MODELS, SYMBOL, T, accepted, attempt, crowd, fill, lived
from tests.cli.typed import run

from lemon_trader.cli.app import main
from lemon_trader.core.events import CancelAnswered
from lemon_trader.core.units import BUY
from lemon_trader.database.journal import Journal
from lemon_trader.env_live import FolderStore
from lemon_trader.market.acts import Level
from lemon_trader.messages.catalogue import speak


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEMON_TRADER_LANG", raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    yield
    speak("en")


def recorded(folder):
    """The crowd's book as a recording of depth, with its trades beside."""
    book, trades, number = [], [], 1
    for act in crowd():
        ms = act.at_us // 1_000
        if isinstance(act, Level):
            number += act.at_us > T
            kind = "update" if act.at_us > T else "snapshot"
            word = "bid" if act.side == BUY else "ask"
            book.append({"event_ms": ms, "kind": kind, "last_id": number, "side": word, "price": act.ticks / 100, "qty": act.lots / 100})
        else:
            trades.append({"event_ms": ms, "price": act.limit_ticks / 100, "qty": act.lots / 100, "side": "sell"})
    parquet.write_table(pa.Table.from_pylist(book), folder / "mine_depth.parquet")
    parquet.write_table(pa.Table.from_pylist(trades), folder / "mine_trades.parquet")
    return str(folder / "mine_depth.parquet")


def session(folder, orders):
    """A store with the journal that these orders left."""
    journal = Journal(FolderStore(folder), mode="live", account="us")
    journal.open(T)
    events = []
    for o in orders:
        made = attempt(o.client_id)
        made = type(made)(made.ts_us, SYMBOL, b"", b"", b"", (type(made.attempts[0])(*_sized(made.attempts[0], o)),), ())
        events += [(o.placed_us - 2, made), (o.placed_us, accepted(o.client_id, o.placed_us))]
        if o.filled_lots:
            events.append((o.filled_us, fill(o.client_id, o.filled_us, o.filled_lots, o.client_id)))
        if o.ended_us and o.filled_lots < o.lots:
            events.append((o.ended_us, CancelAnswered(o.ended_us, o.ended_us, SYMBOL, o.client_id, "cancelled", o.filled_lots)))
    for _, event in sorted(events, key=lambda pair: pair[0]):
        journal.append(event)
    journal.close()
    return str(folder)


def _sized(row, order):
    return [order.lots if name == "qty_lots" else getattr(row, name) for name in row.__struct_fields__]


def calibrate(capsys, file, store, *more):
    return run(capsys, main, ["backtest", "market-maker", SYMBOL, "--data", file, "--calibrate", store, *more])


def test_the_nearest_model_is_named_with_the_flags_that_choose_it(capsys, tmp_path):
    store = session(tmp_path / "live", lived(MODELS["optimistic"]))
    printed = calibrate(capsys, recorded(tmp_path), store, "--json")
    assert printed.code == 0, printed.err
    found = json.loads(printed.out.splitlines()[-1])
    assert found["best"] == "optimistic"
    assert "--queue optimistic" in printed.out
    assert found["fits"]["optimistic"]["off_lots"] < found["fits"]["pessimistic"]["off_lots"]


# (what the case says, is there a journal, the file, words of the refusal)
CASES = [
    ("a store without a session", False, "book", ["no resting order of SOL_USDC"]),
    ("a folder that is not there", False, "nowhere", ["no resting order of SOL_USDC"]),
    ("bars have no queue", True, "bars", ["no order book", "record"]),
    ("a session of another day", True, "other day", ["No order of the session"]),
]


@pytest.mark.parametrize(("has_journal", "what", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_cannot_be_compared_is_refused(capsys, tmp_path, has_journal, what, words):
    store = tmp_path / "live"
    orders = lived(MODELS["pessimistic"])[:4] if has_journal else []
    if what == "other day":
        for o in orders:
            o.placed_us -= 86_400_000_000
            o.ended_us = o.ended_us and o.ended_us - 86_400_000_000
    if what != "nowhere":
        session(store, orders)
    file = recorded(tmp_path)
    if what == "bars":
        file = str(tmp_path / "bars.csv")
        (tmp_path / "bars.csv").write_text("ts_ms,open,high,low,close,volume\n1700006400000,99,99,99,99,5\n")
    printed = calibrate(capsys, file, str(store))
    assert printed.code == 2, printed.out
    for word in words:
        assert word in printed.err
