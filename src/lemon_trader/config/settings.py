"""Everything a person decided before a start, resolved and typed: what the doors hand to `lemon_trader.run`.

Percentages are `Decimal` in percent, money is `Decimal` in quote units, durations are whole seconds. They become integers in
`run.py`, where the instrument is known. Nothing in here is read from a file or an environment any more, and nothing changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final, NoReturn, Protocol

from lemon_trader.strategies.parameter import Value

LIVE: Final = "live"
PAPER: Final = "paper"
SANDBOX: Final = "sandbox"
MODES: Final = (LIVE, PAPER, SANDBOX)

DATABASE_FILE: Final = "records.db"
STATUS_FILE: Final = "status.json"  # the last picture that an engine left, for faces that find none running
GRIDS_FILE: Final = "markets.json"  # what a tick and a lot of the journal mean, for whoever reads it without the exchange
LOCK_FILE: Final = "engine.lock"  # held by the one engine of a store, and by a repair


class Secret:
    """A text that never shows itself: `***` in every string, log, traceback and pickle. `reveal()` is called by the signer alone."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself."""
        return self.__text

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


@dataclass(frozen=True, slots=True)
class Keys:
    """The account's key pair, checked for form. It exists only where the mode is live.

    Attributes:
        api_key: public half, base64 of 32 bytes.
        secret_key: seed of the private half, base64 of 32 bytes.
        source: where both came from, for the start's lines: `--api-key`, `environment`, `.env`.
    """

    api_key: str
    secret_key: Secret
    source: str


@dataclass(frozen=True, slots=True)
class PairSettings:
    """One strategy in one market.

    Attributes:
        strategy: a name of `strategies/catalog.py`.
        symbol: as the exchange writes it, `SOL_USDC`.
        values: every parameter the strategy declares, by name, parsed; what `Strategy.build` takes.
        given: names of `values` and of this record that somebody set; the rest are defaults.
        budget: quote units reserved for this pair; None = the strategy derives it from what is available.
        duration_s: end of the run, seconds after its start; None = until it is stopped.
        inventory: base units held before that are given to the program; 0 = only what it buys itself is its own.
    """

    strategy: str
    symbol: str
    values: Mapping[str, Value]
    given: frozenset[str] = frozenset()
    budget: Decimal | None = None
    duration_s: int | None = None
    inventory: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Bounds in the send path, over what any strategy asks for. None = the pair's budget is the bound.

    Attributes:
        order_notional: of one order, quote units.
        position_notional: of the worst-case position, working orders counted, quote units.
        open_orders: non-terminal orders of a pair, TRIGGERs included.
        daily_loss_pct: net loss of a UTC day, percent of the budgets together; reaching it halts.
        drawdown_pct: net profit under its durable peak, percent of the budgets together; reaching it halts.
        slippage_pct: how far through the touch a TAKE may reach.
    """

    order_notional: Decimal | None = None
    position_notional: Decimal | None = None
    open_orders: int = 40
    daily_loss_pct: Decimal = Decimal(10)
    drawdown_pct: Decimal = Decimal(20)
    slippage_pct: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """Where a simulated market comes from; of no use in live and paper.

    Attributes:
        source: a recording's path, or `synthetic`.
        seed: of the synthetic order flow.
        speed: exchange seconds in one second of wall clock, > 0.
    """

    source: str = "synthetic"
    seed: int = 1
    speed: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class AlertTarget:
    """Somewhere to tell an alert.

    Attributes:
        kind: `web` (a JSON POST), `command` (a program of this machine), `service` (an address that the extra `notify` understands).
        label: what it is called on screens and in logs; unique, and no secret.
        address: as it was given.
        words: of a command, program first.
    """

    kind: str
    label: str
    address: Secret
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Who is told what.

    Attributes:
        targets: where alerts go.
        levels: by event, `on`, `silent` or `off`; an event that is missing is on.
        heartbeat: address that is asked while all is well; None = none.
        heartbeat_s: how often, seconds.
        account_label: what the account is called in an alert; "" = its key's fingerprint.
    """

    targets: tuple[AlertTarget, ...] = ()
    levels: Mapping[str, str] = field(default_factory=dict)
    heartbeat: Secret | None = None
    heartbeat_s: int = 60
    account_label: str = ""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """A run that trades: what `run_trading` gets.

    Attributes:
        mode: LIVE, PAPER or SANDBOX.
        mode_reason: message id of why this mode, said in the first line; "" when it was asked for by name.
        pairs: at least one, at most one for each symbol.
        keys: present in LIVE, None in every other mode.
        paper_balances: what a new paper account begins with, units by asset.
        data_dir: root of everything written; `store_dir` is this mode's own.
        yes: the sheet of a live start is confirmed without asking; it answers nothing else.
        keep: changed parameters of an open cycle are accepted without asking.
        accept_fee_loss: a spread below the fee break-even is accepted in live without asking.
        unproven: lifts the live cap on the budget of an account whose `doctor --live-checks` has not passed.
        strict: sync each attempt to the disk before it is sent (`--durability strict`).
        journal_days: closed parts of the journal are packed when they are so old; nothing of it is removed.
        ws_proxy: proxy URL for the streams; None = as HTTPS_PROXY says.
        json: the last line of output is one JSON object.
        alerts: who is told what.
        watchdog: a live run has a watchdog beside it, in a process of its own.
        watchdog_after_s: an engine silent for so many seconds is hung.
    """

    mode: str
    pairs: tuple[PairSettings, ...]
    mode_reason: str = ""
    keys: Keys | None = None
    limits: LimitSettings = field(default_factory=LimitSettings)
    market: MarketSettings = field(default_factory=MarketSettings)
    paper_balances: Mapping[str, Decimal] = field(default_factory=dict)
    data_dir: Path = Path("data-store")
    lang: str = "en"
    yes: bool = False
    keep: bool = False
    accept_fee_loss: bool = False
    unproven: bool = False
    strict: bool = False
    journal_days: int = 7
    ws_proxy: str | None = None
    json: bool = False
    alerts: AlertSettings = field(default_factory=AlertSettings)
    watchdog: bool = True
    watchdog_after_s: int = 10

    def __post_init__(self) -> None:
        assert self.mode in MODES
        assert (self.keys is not None) == (self.mode == LIVE), "keys exist in live and nowhere else"
        assert self.pairs

    @property
    def store_dir(self) -> Path:
        """The folder of this mode alone: no mode ever reads what another wrote."""
        return self.data_dir / self.mode

    @property
    def database_path(self) -> Path:
        """The records that are derived from this mode's journal, for reports."""
        return self.store_dir / DATABASE_FILE


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """An account of the exchange alone whose keys somebody chose.

    Attributes:
        api_key: ED25519 public key, base64; with HMAC-SHA256 any name.
        secret: of HMAC-SHA256; "" with ED25519, where the public key is enough.
        balances: decimal text by asset.
    """

    name: str
    api_key: str
    secret: str
    balances: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """The exchange alone: what `run_sandbox` gets.

    Attributes:
        port: of loopback, where it listens; 0 = any free one.
        market: what its market is made of.
        symbol: the market that a recording or story plays; None = the program's table says it.
        is_followed: exchange time goes on as fast as the clients follow, instead of at the market's speed.
        signatures: `ed25519`, as the exchange expects, or `hmac-sha256`.
        accounts: how many demo accounts there are.
        balances: of each demo account, and of an own one that names none, decimal text by asset.
        own: accounts with keys of the user's.
        state: file in which accounts, orders and histories outlive the process; None = they end with it.
        fee_tier: of the demo accounts; None = the first.
        switches: of the exchange, text by name; the rest as they are.
        admin_port: of loopback, where the operator's door and the status page are; 0 = any free one.
        json: one JSON line with addresses and demo accounts when ready.
    """

    port: int = 0
    market: MarketSettings = field(default_factory=MarketSettings)
    symbol: str | None = None
    is_followed: bool = False
    signatures: str = "ed25519"
    accounts: int = 2
    balances: Mapping[str, str] = field(default_factory=dict)
    own: tuple[OwnAccount, ...] = ()
    state: Path | None = None
    fee_tier: str | None = None
    switches: Mapping[str, str] = field(default_factory=dict)
    admin_port: int = 0
    lang: str = "en"
    json: bool = False


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The minute that shows everything over loopback: what `run_demo` gets. Its market is synthetic unless a recording is named."""

    market: MarketSettings = field(default_factory=MarketSettings)
    lang: str = "en"
    json: bool = False


class Face(Protocol):
    """Who a run speaks to. `lemon_trader.run` says message ids with values and never prints; `cli/console.py` is the terminal's."""

    def say(self, key: str, **values: object) -> None:
        """One line in the reader's language."""

    def ask(self, key: str, **values: object) -> bool:
        """A yes-or-no question; False where nobody can answer."""

    def confirm(self, word: str, key: str, **values: object) -> bool:
        """True once the reader has typed `word`; False where nobody can answer."""

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table under the title `key`; columns are message ids, a cell that is `("id", {values})` is a message."""

    def report(self, statistics: Mapping[str, object]) -> None:
        """The report of `database/statistics.py`."""

    def result(self, facts: Mapping[str, object]) -> None:
        """What `--json` prints as one object in the last line; silent without it."""
