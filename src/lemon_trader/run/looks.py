"""Looks at an account whose engine is dead: from its journal alone, and where keys are at hand from the exchange, by reads only.

The picture has the shape of a running engine's (`engine/snapshot.py`), with `source` and `as_of_us` saying what it is. Nothing is written:
a look takes no lock, appends nothing to the journal and sends no order.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from lemon_trader.config.settings import GRIDS_FILE, SANDBOX, STATUS_FILE, Face, Keys
from lemon_trader.core.commands import Command
from lemon_trader.core.events import AnyEvent, Decided
from lemon_trader.core.instrument import GateError, Instrument
from lemon_trader.core.market import MarketState
from lemon_trader.core.records import View, unpack
from lemon_trader.core.state import AccountState
from lemon_trader.core.step import recover, step
from lemon_trader.database.journal import peek
from lemon_trader.engine.snapshot import snapshot
from lemon_trader.engine.startup import OVERLAP_US, fold, reach_us
from lemon_trader.engine.turn import Engine
from lemon_trader.env import Env, Store
from lemon_trader.env_live import FolderStore, LiveEnv, Proxies
from lemon_trader.exchanges.dialect import Signer
from lemon_trader.market.instruments import UnknownMarket, default_instrument
from lemon_trader.run.parts import make_signer, make_venue
from lemon_trader.run.trading import OK, carry
from lemon_trader.venues.live import LiveVenue

ENGINE: Final = "engine"
JOURNAL: Final = "journal"
EXCHANGE: Final = "exchange"
LAST_PICTURE: Final = "last-picture"


@dataclass(frozen=True, slots=True)
class Folded:
    """A journal, folded.

    Attributes:
        as_of_us: of its last fact, engine time; price_us: of the prices in it, 0 = none.
        last: the last picture that the engine left.
        is_whole: False when a market could not be folded because nobody knows its grid.
    """

    state: AccountState
    as_of_us: int
    price_us: int
    last: Mapping[str, Any]
    is_whole: bool


class _Nobody:
    """The journal and the venue of an engine that only looks."""

    sequence = 0

    def append(self, event: AnyEvent) -> None:
        raise AssertionError(f"a look writes nothing, least of all {type(event).__name__}")

    def checkpoint(self, ts_us: int, state: bytes) -> None:
        raise AssertionError(f"a look writes no checkpoint of {len(state)} bytes at {ts_us}")

    def send(self, commands: Sequence[Command]) -> None:
        raise AssertionError(f"a look sends nothing, least of all {len(commands)} commands")

    def expires_us(self, now_us: int) -> int:
        return now_us


def folded(store: Store, mode: str) -> Folded | None:
    """The journal of this store, folded; None where there is none. Raises JournalError, OSError."""
    opened = peek(store)
    if opened is None:
        return None
    last = _last_picture(store)
    events = opened.events
    state = AccountState()
    grids = grids_of(store, mode, {symbol for e in events if (symbol := getattr(e, "symbol", ""))})
    fold(state, opened.state, events, grids)
    missing = {e.symbol for e in events if isinstance(e, Decided)} - state.markets.keys()
    price_us = _prices(state, events, last)
    as_of_us = events[-1].ts_us if events else max(state.venue_us, int(last.get("as_of_us", 0)))
    return Folded(state, as_of_us, price_us, last, not missing)


def journal_picture(store: Store, mode: str) -> dict[str, Any] | None:
    """The picture out of the journal alone; the last picture as it was where the journal cannot be read without the exchange."""
    found = folded(store, mode)
    if found is None:
        return None
    if not found.is_whole:
        return {**found.last, "source": LAST_PICTURE, "price_us": found.last.get("as_of_us", 0)} if found.last else None
    picture = _picture(found.state, found.as_of_us, mode)
    if not picture["balances"]:  # a journal that ends with a checkpoint holds none: the exchange's own are read anew at every start
        picture["balances"] = found.last.get("balances", {})
    return picture | {"source": JOURNAL, "price_us": found.price_us}


async def exchange_picture(store: Store, mode: str, venue: LiveVenue, env: Env) -> dict[str, Any] | None:
    """The account as the exchange tells it now, with what the journal knows of it; None without a journal. Raises VenueLost."""
    opened = peek(store)
    if opened is None:
        return None
    grids = await venue.instruments()
    state = AccountState()
    fold(state, opened.state, opened.events, grids)
    symbols = sorted(state.markets)
    last_us = opened.events[-1].ts_us if opened.events else state.venue_us
    since_us = max(0, min([last_us - OVERLAP_US, *(reach_us(o) for m in state.markets.values() for o in m.orders.live)]))
    recover(state, env.now_us())
    step(state, await venue.terms())
    if symbols:
        step(state, await venue.read_account(symbols, since_us))
        for symbol in symbols:
            step(state, await venue.depth(symbol))
    return _picture(state, env.now_us(), mode) | {"source": EXCHANGE, "price_us": env.now_us()}


def ask_exchange(data_dir: Path, mode: str, keys: Keys, face: Face, ws_proxy: str | None = None) -> dict[str, Any] | None:
    """`exchange_picture` with these keys, on a loop of its own; None, and said, where the exchange cannot be asked."""
    found: list[dict[str, Any] | None] = []

    async def look() -> int:
        env = LiveEnv(data_dir, lambda name, error: face.say("run.fault", part=name, error=repr(error)),
                      proxies=Proxies(stream=ws_proxy or "", environ=os.environ))  # fmt: skip
        venue = reader(env, make_signer(keys.api_key, keys.secret_key.reveal()))
        try:
            found.append(await exchange_picture(FolderStore(data_dir / mode), mode, venue, env))
        finally:
            await venue.close()
            await env.close()
        return OK

    return found[0] if carry(look(), face) == OK and found else None


def reader(env: Env, signer: Signer, *, rest_url: str = "", ws_url: str = "") -> LiveVenue:
    """A venue that is only asked."""
    return make_venue(env, signer, lambda _: None, rest_url=rest_url, ws_url=ws_url)


def _picture(state: AccountState, now_us: int, mode: str) -> dict[str, Any]:
    nobody = _Nobody()
    picture = snapshot(Engine(state, nobody, nobody), now_us, mode)
    for market in picture["markets"]:
        started = state.started.get(market["symbol"])
        if started is not None:
            market["strategy"] = started.strategy
    return picture


def grids_of(store: Store, mode: str, symbols: set[str]) -> dict[str, Instrument]:
    """The grids that the journal's numbers stand on, as the last start wrote them down; a sandbox always lists the same."""
    kept: dict[str, Any] = json.loads(store.read(GRIDS_FILE) or b"{}")
    grids = {symbol: msgspec.convert(grid, Instrument) for symbol, grid in kept.items()}
    if mode == SANDBOX:
        for symbol in symbols - grids.keys():
            try:
                grids[symbol] = default_instrument(symbol)
            except UnknownMarket:
                continue
    return grids


def _last_picture(store: Store) -> Mapping[str, Any]:
    raw = store.read(STATUS_FILE)
    return dict(json.loads(raw)) if raw else {}


def _prices(state: AccountState, events: Sequence[AnyEvent], last: Mapping[str, Any]) -> int:
    """Give each market the youngest price that anybody wrote down: a journal holds no market facts but the view of each turn."""
    price_us = int(last.get("as_of_us", 0))
    for row in last.get("markets", ()):
        market = state.markets.get(row["symbol"])
        if market is not None:
            _take_texts(market, row)
    seen: set[str] = set()
    for event in reversed(events):
        if event.ts_us <= price_us:
            break
        if isinstance(event, Decided) and event.view and event.symbol not in seen and event.symbol in state.markets:
            seen.add(event.symbol)
            _take_view(state.markets[event.symbol], unpack(View, event.view))
            price_us = max(price_us, event.ts_us)
    return price_us


def _take_texts(market: MarketState, row: Mapping[str, Any]) -> None:
    i = market.instrument
    try:
        bid, ask, last, mark = (i.price_ticks(row[name]) if row.get(name) else 0 for name in ("bid", "ask", "last", "mark"))
    except GateError:
        return  # of another grid: no price is better than a wrong one
    market.view.bid_ticks, market.view.ask_ticks, market.last_ticks, market.mark_ticks = bid, ask, last, mark


def _take_view(market: MarketState, view: View) -> None:
    market.view.bid_ticks, market.view.ask_ticks = view.bid_ticks, view.ask_ticks
    market.last_ticks, market.mark_ticks = view.last_ticks, view.mark_ticks
