"""A visit of the doctor: the exchange within reach for as long as it lasts, and the account's lock while anything is sent."""

from collections.abc import Sequence
from pathlib import Path

from lemon_trader.config.reach import ReachSettings
from lemon_trader.config.settings import LIVE, LOCK_FILE
from lemon_trader.env_live import FolderStore
from lemon_trader.run.doctor.bench import Bench, Check, Leftovers
from lemon_trader.run.doctor.checks import CHECKS
from lemon_trader.run.doctor.exchange import examine
from lemon_trader.run.doctor.lines import Lines
from lemon_trader.run.doctor.record import OUT_FILE, Record, Result, fingerprint, read_out, read_record, write_record
from lemon_trader.run.reach import Reach, open_reach
from lemon_trader.run.side_loop import SideLoop


class AccountBusy(Exception):
    """An engine runs on this account: its orders are not to be met."""


class Doctor:
    """One visit. Its calls block.

    Attributes:
        symbols: the markets that are looked at.
        reach: the exchange.
    """

    def __init__(
        self, settings: ReachSettings, symbols: Sequence[str], *, rest_url: str = "", ws_url: str = "", locks: Path | None = None
    ) -> None:
        """Come within reach. Raises what `open_reach` raises.

        Args:
            settings: the mode and its keys.
            symbols: markets to look at.
            rest_url: of requests, instead of the real exchange's, for tests.
            ws_url: of streams, likewise.
            locks: folder where an account's engine is known machine-wide; None = this user's.
        """
        self._settings = settings
        self.symbols = symbols
        self._locks_folder = locks or Path.home() / ".lemon-trader" / "locks"
        self._held: list[FolderStore] = []
        self._loop = SideLoop()
        try:
            self.reach: Reach = self._loop.do(open_reach(settings, rest_url=rest_url, ws_url=ws_url))
        except BaseException:  # a thread of ours does not outlive a start that failed; raised again
            self._loop.close()
            raise

    @property
    def has_account(self) -> bool:
        """There is an account to check."""
        return self.reach.signer is not None

    def close(self) -> None:
        """Give everything back, the lock last."""
        try:
            self._loop.do(self.reach.close())
        finally:
            self._loop.close()
            for store in self._held:
                store.close()
            self._held.clear()

    def examine(self, lines: Lines) -> None:
        """Ask the exchange everything there is to ask without trading."""
        self._loop.do(examine(self.reach, self._settings, self.symbols, lines))

    # -- live checks --

    def has_leftovers(self) -> bool:
        """Whether earlier checks were interrupted and may have left something. Raises ValueError, OSError."""
        if self.reach.signer is None or not (self._settings.store_dir / OUT_FILE).exists():
            return False
        store = FolderStore(self._settings.store_dir)
        try:
            out = read_out(store, self.reach.signer.api_key)
            return bool(out.orders or out.perp)
        finally:
            store.close()

    def clean(self) -> Leftovers:
        """End what earlier checks may have left. Raises AccountBusy, ReadLost, ValueError, OSError."""
        return self._loop.do(self._bench().clean())

    def record(self) -> Record:
        """The account's results so far. Raises OSError."""
        assert self.reach.signer is not None
        return read_record(self._store(), self.reach.signer.api_key)

    def check(self, check: Check, record: Record) -> Result:
        """Do one check to its end and write down how it went, whatever way it ends. Raises AccountBusy, ReadLost, ValueError, OSError."""
        bench = self._bench()
        result = self._loop.do(bench.carry(check))
        record.results[check.name] = result
        write_record(self._store(), record)
        return result

    # -- inside --

    def _store(self) -> FolderStore:
        """The account's store, locked as an engine would. Raises AccountBusy."""
        if not self._held:
            store = FolderStore(self._settings.store_dir)
            self._held.append(store)
            taken = store.lock(LOCK_FILE)
            if taken and self._settings.mode == LIVE:
                assert self.reach.signer is not None
                locks = FolderStore(self._locks_folder)
                self._held.append(locks)
                taken = locks.lock(f"{fingerprint(self.reach.signer.api_key)}.lock")
            if not taken:
                for one in self._held:
                    one.close()
                self._held.clear()
                raise AccountBusy
        return self._held[0]

    def _bench(self) -> Bench:
        return Bench(self.reach, self._store(), self.symbols)


__all__ = ["CHECKS", "AccountBusy", "Doctor"]
