"""Find the running engine and talk to it: `status why orders` look, `stop cancel kill flatten resume` act; `report` reads its records."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lemon_trader.cli.console import json_line
from lemon_trader.cli.doors import DONE, FAILED
from lemon_trader.cli.flags import HELP, MODE_FLAGS, Group, Typed
from lemon_trader.cli.report import clock, print_report, read_report
from lemon_trader.cli.screen import cell, print_table
from lemon_trader.cli.trade import request_of
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE
from lemon_trader.config.model import read
from lemon_trader.config.settings import LIVE, MODES, STATUS_FILE
from lemon_trader.config.sources import Layers
from lemon_trader.engine.control import ask
from lemon_trader.env_live import FolderStore
from lemon_trader.messages.catalogue import say

OURS: Final = tuple(p for p in HOUSE if p.name in {"lang", "data_dir", "json"})
US_PER_MS: Final = 1_000


def groups() -> Sequence[Group]:
    """The flags of every command that talks to a running engine."""
    return [("group.house", (*MODE_FLAGS, *OURS, HELP))]


def status(typed: Typed) -> int:
    """Show every running engine: mode, state, position, profit, what rests."""
    return _look(typed, _print_status)


def why(typed: Typed) -> int:
    """Show for every wanted order what was decided, and why."""
    return _look(typed, _print_why)


def orders(typed: Typed) -> int:
    """Show every order that is not known to have ended."""
    return _look(typed, _print_orders)


def report(typed: Typed) -> int:
    """Show what each mode used here has made, out of its records; an engine may run or not."""
    found: dict[str, Any] = {}
    for mode in _modes(typed):
        statistics = read_report(_place(typed) / mode)
        if statistics is not None:
            found[mode] = statistics
            print_report(statistics)
            print()
    if not found:
        print(say("report.none", place=_place(typed), modes=", ".join(_modes(typed))))
    if typed.flags.get("json"):
        print(json_line(found))
    return DONE if found else FAILED


def act(action: str, typed: Typed) -> int:
    """Give the one running engine a command. Raises BadSetting when several run and no mode says which."""
    stores = running_stores(typed)
    found = [mode for mode, store in stores.items() if _ask(mode, store, "status") is not None]
    if not found:
        print(say("running.none", place=_place(typed), modes=", ".join(_modes(typed))))
        return FAILED
    if len(found) > 1:
        raise BadSetting("running.several", modes=", ".join(f"--{mode}" for mode in found))
    mode = found[0]
    reply = _ask(mode, stores[mode], action) or {}
    if "done" not in reply:
        print(say("running.refused", action=action, reason=reply.get("error", "-")))
        return FAILED
    print(say(f"done.{action}", mode=mode.upper()))
    return DONE


def running_stores(typed: Typed) -> dict[str, FolderStore]:
    """The store of each mode that was ever used here, or of the one that the flags name."""
    return {mode: FolderStore(_place(typed) / mode) for mode in _modes(typed) if (_place(typed) / mode).is_dir()}


def _modes(typed: Typed) -> Sequence[str]:
    return [mode for mode in MODES if typed.flags.get(mode)] or MODES


def _ask(mode: str, store: FolderStore, action: str) -> dict[str, Any] | None:
    """The engine's reply; None where none runs. Raises BadSetting when one is there and keeps silent: its state is not known."""
    try:
        return asyncio.run(ask(store, action))
    except TimeoutError as error:
        raise BadSetting("running.silent", mode=mode.upper()) from error


def _place(typed: Typed) -> Path:
    request = request_of(typed)
    given = Layers(request.flags, request.environment, None, request.flag_words).collect(["data_dir"])
    parameter = tuple(p for p in OURS if p.name == "data_dir")
    values = read("place", parameter, {k: g.value for k, g in given.items()}, {k: g.origin for k, g in given.items()})
    return Path(str(values["data_dir"]))


def _look(typed: Typed, show: Callable[[Mapping[str, Any]], None]) -> int:
    """Show each running engine; where none answers, what it was last seen to be, with its time."""
    pictures: dict[str, dict[str, Any]] = {}
    running = False
    for mode, store in running_stores(typed).items():
        reply = _ask(mode, store, "status")
        if reply is not None and "status" in reply:
            pictures[mode] = reply["status"]
            running = True
        elif last := store.read(STATUS_FILE):
            pictures[mode] = json.loads(last)
            print(say("status.last-seen", mode=mode.upper(), at=clock(pictures[mode]["as_of_us"])))
        else:
            continue
        print(say("screen.mode", mode=mode.upper()) + (f"  {say('screen.real-money')}" if mode == LIVE else ""))
        show(pictures[mode])
    if not pictures:
        print(say("running.none", place=_place(typed), modes=", ".join(_modes(typed))))
    if typed.flags.get("json"):
        print(json_line(pictures))
    return DONE if running else FAILED


def _age(picture: Mapping[str, Any], name: str) -> object:
    age = picture.get(name)
    return None if age is None else ("status.age", {"ms": int(age) // US_PER_MS})


def _yes(value: object) -> tuple[str, dict[str, object]]:
    return ("word.yes" if value else "word.no", {})


def _print_status(picture: Mapping[str, Any]) -> None:
    rows: list[Sequence[object]] = [
        (("status.state", {}), (f"state.{str(picture['state']).lower()}", {})),
        (("status.reason", {}), " ".join(filter(None, (str(picture["reason"] or ""), str(picture["detail"] or "")))) or None),
        (("status.net", {}), picture["net"]),
        (("status.public", {}), _yes(picture["public_up"])),
        (("status.private", {}), _yes(picture["private_up"])),
        (("status.feed-age", {}), _age(picture, "feed_age_us")),
        (("status.account-age", {}), _age(picture, "account_age_us")),
        (("status.venue", {}), picture["venue_status"]),
        (("status.journal", {}), picture["journal"]),
    ]
    print_table(say("status.title"), ("", ""), rows)
    for market in picture["markets"]:
        print()
        print_table(
            say("status.market", symbol=market["symbol"], strategy=market["strategy"] or "-"),
            ("", ""),
            [((f"status.{name}", {}), market[name]) for name in MARKET_ROWS if market.get(name) is not None],
        )
        if market["orders"]:
            _print_market_orders(market)


MARKET_ROWS: Final = (
    "budget", "bid", "ask", "last", "mark", "position", "sellable", "average", "cost", "realised", "unrealised", "fees", "funding", "net",
)  # fmt: skip


def _print_orders(picture: Mapping[str, Any]) -> None:
    for market in picture["markets"]:
        if market["orders"]:
            _print_market_orders(market)
        else:
            print(say("orders.none", symbol=market["symbol"]))
        if market["foreign_orders"]:
            print(say("orders.foreign", symbol=market["symbol"], count=market["foreign_orders"]))


def _print_market_orders(market: Mapping[str, Any]) -> None:
    columns = ("column.role", "column.side", "column.price", "column.open", "column.filled", "column.state", "column.reason")
    rows: list[Sequence[object]] = [
        ((f"role.{o['role']}", {}), (f"side.{o['side']}", {}), o["price"], o["open"], o["filled"], (f"order.{o['state']}", {}), _reason(o))
        for o in market["orders"]
    ]
    print_table(say("orders.title", symbol=market["symbol"]), columns, rows)


def _print_why(picture: Mapping[str, Any]) -> None:
    print(say("why.state", state=cell((f"state.{str(picture['state']).lower()}", {})), reason=picture["reason"] or "-"))
    for market in picture["markets"]:
        if not market["fresh"]:
            print(say("why.not-fresh", symbol=market["symbol"]))
        if market["frozen"]:
            print(say("why.frozen", symbol=market["symbol"], reason=market["frozen"]))
        columns = ("column.role", "column.side", "column.price", "column.total", "column.reason")
        rows: list[Sequence[object]] = [
            ((f"role.{w['role']}", {}), (f"side.{w['side']}", {}), w["price"], w["total"], _reason(w)) for w in market["wants"]
        ]
        if rows:
            print_table(say("why.title", symbol=market["symbol"]), columns, rows)
        else:
            print(say("why.nothing", symbol=market["symbol"]))


def _reason(row: Mapping[str, Any]) -> tuple[str, dict[str, object]]:
    return (f"reason.{row['reason']}", {"figure": row["figure"]})
