"""The paper account on the disk: it plays the exchange, so it forgets nothing that it has told.

One file of chained records. The first holds the whole account, each further one what has changed, synced before anybody hears of it:
neither a killed process nor a loss of power takes a fill back. Now and then the file is begun anew with the account as it is.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from lemon_trader.core.units import US_PER_S
from lemon_trader.database.chain import NO_HASH, Header, JournalCorrupt, JournalError, Segment, load, seal
from lemon_trader.database.chain import VERSION as CHAIN_VERSION
from lemon_trader.env import File, Store
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.effects import Effect, Funded, OrderChanged, Position, Settled
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.image import AccountImage, Prices
from lemon_trader.matching.orders import Fill, OrderState

FILE: Final = "paper-account"
SETTLEMENTS_KEPT: Final = 500  # they come every few seconds; what they moved stands in the balance
NAME: Final = "paper"
GROWTH_BYTES: Final = 16 * 1024 * 1024  # after so much news, and as much again as it began with, the file is begun anew
ORDERS_KEPT_US: Final = 3_600 * US_PER_S  # ended orders: a read looks back over an order whose end is not known, which is minutes


class PaperAccountError(JournalError):
    """The paper account cannot be gone on with; the text says why and the way out."""


class Beginning(msgspec.Struct, kw_only=True):
    """The whole account.

    Attributes:
        begun_us: when it was opened, exchange time.
        opened_with: its first balances, atoms by asset.
        grids: (tick, lot) of each market in which something of it is counted.
        image: everything else.
    """

    begun_us: int
    opened_with: dict[str, int]
    grids: dict[str, tuple[str, str]]
    image: AccountImage


class Change(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one act changed: new rows, and orders, balances, claims, flags, leverage and positions (0 lots = closed) as they are now."""

    orders: list[OrderState] = msgspec.field(default_factory=list)
    fills: list[Fill] = msgspec.field(default_factory=list)
    funding: list[Funded] = msgspec.field(default_factory=list)
    settlements: list[Settled] = msgspec.field(default_factory=list)
    lent: dict[str, int] = msgspec.field(default_factory=dict)
    interest: dict[str, int] = msgspec.field(default_factory=dict)
    flags: tuple[bool, bool, bool] | None = None
    imf_floor_ppm: int | None = None
    totals: dict[str, int] = msgspec.field(default_factory=dict)
    positions: dict[str, Position] = msgspec.field(default_factory=dict)
    prices: dict[str, Prices] = msgspec.field(default_factory=dict)
    grids: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Nothing changed."""
        has_rows = self.orders or self.fills or self.funding or self.settlements
        return not (has_rows or self.totals or self.positions or self.lent) and self.flags is None and self.imf_floor_ppm is None


class PaperAccount:
    """The file of one paper account.

    Attributes:
        is_new: this start opened the account.
        beginning: the account as the file holds it, after `open`.
    """

    def __init__(self, store: Store, balances: Mapping[str, int]) -> None:
        """Know the parts; nothing is read yet. `balances`: what a new account begins with, atoms by asset."""
        self._store = store
        self._balances = dict(balances)
        self._file: File | None = None
        self._hash = NO_HASH
        self._size = 0
        self._floor = 0
        self._news = Change()
        self._totals: dict[str, int] = {}
        self._positions: dict[str, Position] = {}
        self._lent: dict[str, int] = {}
        self._standing: tuple[tuple[bool, bool, bool], int] | None = None
        self._is_torn = False  # an append failed: part of it may stand in the file
        self._is_unsynced = False
        self.is_new = False
        self.beginning = Beginning(begun_us=0, opened_with=self._balances, grids={}, image=AccountImage())

    def open(self, now_us: int) -> AccountImage:
        """The account as it was left, or a new one. Raises PaperAccountError, OSError."""
        if not self._store.read(FILE):
            self.is_new = True
            self.beginning.begun_us = now_us
            self.beginning.image.totals = dict(self._balances)
            self._begin_anew(now_us)
            return self.beginning.image
        segment = self._load()
        if segment.clean < len(segment.data):
            self._store.truncate(FILE, segment.clean)  # what was not whole was told to nobody
        self._hash, self._size, self._floor = segment.end_hash, segment.clean, segment.spans[0][1]
        try:
            self.beginning = _BEGINNING.decode(_entries(segment, 0)[1])
            for index in range(1, len(segment.spans)):
                for entry in _entries(segment, index):
                    _apply(self.beginning, _CHANGE.decode(entry))
        except (msgspec.DecodeError, IndexError) as error:
            raise PaperAccountError(f"{FILE} says what this program does not know ({error}); use the program that wrote it") from error
        self._file = self._store.open_append(FILE)
        return self.beginning.image

    def note(self, effects: Iterable[Effect], exchange: Exchange) -> None:
        """Take in what the exchange did to the account; `commit` writes it."""
        news = self._news
        changed: dict[int, OrderState] = {order.order_id: order for order in news.orders}
        for e in effects:
            if isinstance(e, OrderChanged) and e.account == NAME:
                changed.pop(e.order.order_id, None)
                changed[e.order.order_id] = e.order
                if e.fill is not None:
                    news.fills.append(e.fill)
            elif isinstance(e, Funded) and e.account == NAME:
                news.funding.append(e)
            elif isinstance(e, Settled) and e.account == NAME:
                news.settlements.append(e)
        self._compare(exchange.accounts[NAME])
        news.orders = list(changed.values())
        for symbol in {order.symbol for order in news.orders}:
            news.prices[symbol] = _prices(exchange, symbol)
            if symbol not in self.beginning.grids:
                instrument = exchange.instrument(symbol)
                news.grids[symbol] = self.beginning.grids[symbol] = (instrument.tick, instrument.lot)

    def commit(self, exchange: Exchange) -> bool:
        """Make everything noted durable. False when the disk refuses: it stays noted, and may not be told before a later call succeeds."""
        assert self._file is not None
        try:
            if not self._news.is_empty:
                if self._is_torn:
                    self._store.truncate(FILE, self._size)
                data, digest = seal(self._hash, [_encode(self._news)])
                self._is_torn = self._is_unsynced = True
                self._file.append(data)
                self._is_torn = False
                self._hash, self._size, self._news = digest, self._size + len(data), Change()
            if self._is_unsynced:
                self._file.sync()
                self._is_unsynced = False
        except OSError:
            return False
        if self._size > self._floor + max(GROWTH_BYTES, self._floor):
            self._compact(exchange)
        return True

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()

    # -- inside --

    def _compare(self, account: Account) -> None:
        """Note every balance and position that is not as it was noted last, whatever has changed it."""
        for asset in account.assets:
            total = account.total(asset)
            if self._totals.get(asset) != total:
                self._totals[asset] = self._news.totals[asset] = total
        for asset, atoms in account.lent.items():
            if self._lent.get(asset, 0) != atoms:
                self._lent[asset] = self._news.lent[asset] = atoms
                self._news.interest[asset] = account.interest.get(asset, 0)
        standing = (_flags(account), account.imf_floor_ppm)
        if standing != self._standing:
            self._standing = standing
            self._news.flags, self._news.imf_floor_ppm = standing
        for symbol in {*self._positions, *account.positions}:
            held = account.positions.get(symbol)
            if held is None:
                self._news.positions[symbol] = msgspec.structs.replace(self._positions.pop(symbol), lots=0)
            elif held != self._positions.get(symbol):
                self._positions[symbol] = self._news.positions[symbol] = msgspec.structs.replace(held)

    def _load(self) -> Segment:
        try:
            return load(self._store, FILE, 0, None, is_last=True)
        except JournalCorrupt as error:
            raise PaperAccountError(
                f"{error.file} is damaged at byte {error.offset}: {error.why}; nothing was changed and nothing is traded. Put a copy of "
                f"the whole folder back, or move the folder away and begin with a new paper account"
            ) from error

    def _compact(self, exchange: Exchange) -> None:
        account = exchange.accounts[NAME]
        account.forget_orders(exchange.now_us - ORDERS_KEPT_US)
        self.beginning.image = image_of(exchange, NAME)
        try:
            self._begin_anew(exchange.now_us)
        except OSError:
            self._floor = self._size  # the old file is whole; tried again after as much news

    def _begin_anew(self, now_us: int) -> None:
        """Write the file whole, as one record. Raises OSError; then the old one stands."""
        header = Header(CHAIN_VERSION, "paper", NAME, 1, NO_HASH, now_us, 0)
        data, digest = seal(NO_HASH, [_encode(header), _encode(self.beginning)])
        self._store.replace(FILE, data)
        self.close()
        self._file = self._store.open_append(FILE)
        self._hash, self._size, self._floor = digest, len(data), len(data)


def image_of(exchange: Exchange, name: str) -> AccountImage:
    """An account as its exchange has it now."""
    account = exchange.accounts[name]
    live = {order.order_id: order for order in exchange.open_orders(name)}
    symbols = {order.symbol for order in live.values()} | account.positions.keys()
    rows = (*live, *(o.order_id for o in account.order_history), *(f.order_id for f in account.fills))
    return AccountImage(
        totals={asset: account.total(asset) for asset in account.assets}, live=live, positions=dict(account.positions),
        fills=account.fills, order_history=account.order_history, funding=account.funding, lent=dict(account.lent),
        interest=dict(account.interest), flags=_flags(account), imf_floor_ppm=account.imf_floor_ppm,
        settlements=list(account.settlements)[-SETTLEMENTS_KEPT:],
        prices={symbol: _prices(exchange, symbol) for symbol in symbols}, last_order_id=max(rows, default=0),
    )  # fmt: skip


def _flags(account: Account) -> tuple[bool, bool, bool]:
    return account.auto_lend, account.auto_borrow_settlements, account.auto_repay_borrows


def _prices(exchange: Exchange, symbol: str) -> Prices:
    return Prices(*exchange.reference(symbol), exchange.last_ticks(symbol))


def _apply(beginning: Beginning, change: Change) -> None:
    image = beginning.image
    for order in change.orders:
        image.last_order_id = max(image.last_order_id, order.order_id)
        if order.is_live:
            image.live[order.order_id] = order
        else:
            image.live.pop(order.order_id, None)
            image.order_history.append(order)
    image.fills += change.fills
    image.funding += change.funding
    image.settlements = [*image.settlements, *change.settlements][-SETTLEMENTS_KEPT:]
    image.lent.update(change.lent)
    image.interest.update(change.interest)
    image.flags = change.flags or image.flags
    image.imf_floor_ppm = image.imf_floor_ppm if change.imf_floor_ppm is None else change.imf_floor_ppm
    image.totals.update(change.totals)
    image.positions.update({s: p for s, p in change.positions.items() if p.lots})
    for symbol, position in change.positions.items():
        if not position.lots:
            image.positions.pop(symbol, None)
    image.prices.update(change.prices)
    beginning.grids.update(change.grids)


def _entries(segment: Segment, index: int) -> list[msgspec.Raw]:
    begin, end = segment.spans[index]
    return _RAW.decode(memoryview(segment.data)[begin:end])


_encode: Final = msgspec.msgpack.Encoder().encode
_RAW: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_BEGINNING: Final = msgspec.msgpack.Decoder(Beginning)
_CHANGE: Final = msgspec.msgpack.Decoder(Change)
