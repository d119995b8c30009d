"""Measured times for a backtest: out of a file, or out of the journal that a session left."""

from pathlib import Path

from lemon_trader.backtest.from_journal import latency_of
from lemon_trader.backtest.latency import LatencyError, Measured, read_measured
from lemon_trader.config.errors import BadSetting
from lemon_trader.database.journal import JournalError, read_events
from lemon_trader.env_live import FolderStore


def measured(name: str) -> Measured:
    """Times out of a JSON file, or out of the journal of a store's folder. Raises BadSetting."""
    path = Path(name)
    try:
        return latency_of(read_events(FolderStore(path))) if path.is_dir() else read_measured(path.read_bytes())
    except (LatencyError, JournalError) as error:
        raise BadSetting("backtest.latency", file=name, reason=error) from error
    except OSError as error:
        raise BadSetting("backtest.latency", file=name, reason=error.strerror or type(error).__name__) from error
