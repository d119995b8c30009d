"""`backtest --calibrate STORE`: the queue models beside what really filled."""

from typing import Final

from lemon_trader.backtest.calibrate import Fit, own_orders, put_again
from lemon_trader.config.backtest import QUEUES, BacktestSettings
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.settings import Face
from lemon_trader.core.instrument import Instrument
from lemon_trader.database.journal import JournalError, read_events
from lemon_trader.env_live import FolderStore
from lemon_trader.market.recordings import TRADES
from lemon_trader.run.backtest import queueing_of
from lemon_trader.run.backtest_data import load

POWERS: Final = (0, 2, 3, 5)  # of `probability`; the power 1 is `proportional`
COLUMNS: Final = (
    "column.queue",
    "column.orders",
    "column.model-filled",
    "column.own-filled",
    "column.missed",
    "column.invented",
    "column.off",
)


def run_calibration(settings: BacktestSettings, face: Face) -> None:
    """Say how near each queue model comes to a session's own fills.

    Raises:
        BadSetting: data without a book, a store without a journal, another grid, or no order of it within the recording.
    """
    store, data = settings.calibrate, load(settings)
    assert store is not None
    if data.open is None or data.kind == TRADES:
        raise BadSetting("calibrate.no-book", file=data.name)
    try:
        orders, grid = own_orders(read_events(FolderStore(store)) if store.is_dir() else (), data.instrument.symbol)
    except JournalError as error:
        raise BadSetting("calibrate.journal", folder=store, reason=error) from error
    if not orders:
        raise BadSetting("calibrate.no-orders", folder=store, symbol=data.instrument.symbol)
    _check_grid(grid, data.instrument)
    fits = {}
    for queue in QUEUES:
        for power in POWERS if queue == "probability" else (0,):
            name = f"{queue} {power}" if queue == "probability" else queue
            face.say("backtest.playing", model=name, source=data.name, engine="replay")
            fits[name] = put_again(data.open(), orders, queueing_of(queue, power))
    _show(face, fits, data.instrument)


def _show(face: Face, fits: dict[str, Fit], instrument: Instrument) -> None:
    if not next(iter(fits.values())).orders:
        raise BadSetting("calibrate.other-time", symbol=instrument.symbol)
    text = instrument.qty_text
    rows = [(n, f.orders, text(f.filled_lots), text(f.own_lots), f.missed, f.invented, text(f.off_lots)) for n, f in fits.items()]
    face.table("calibrate.title", COLUMNS, rows)
    best = min(fits, key=lambda name: fits[name].off_lots)
    queue, _, power = best.partition(" ")
    face.say("calibrate.best", queue=best, flags=f"--queue {queue}" + (f" --queue-power {power}" if power else ""))
    face.result({"best": best, "fits": {name: {k: getattr(f, k) for k in f.__struct_fields__} for name, f in fits.items()}})


def _check_grid(grid: Instrument | None, played: Instrument) -> None:
    if grid is not None and (grid.tick, grid.lot) != (played.tick, played.lot):
        raise BadSetting("calibrate.grid", symbol=played.symbol, theirs=f"{played.tick} x {played.lot}", ours=f"{grid.tick} x {grid.lot}")
