"""Look: `status why orders balance report`. A running engine is asked; a dead one's journal is read, and with `--live` the exchange."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lemon_trader.cli.console import Console, json_line
from lemon_trader.cli.doors import DONE, FAILED
from lemon_trader.cli.flags import Typed
from lemon_trader.cli.report import clock, print_report, read_report
from lemon_trader.cli.running import ask_engine, keys_of, modes, named, place, running_stores
from lemon_trader.cli.screen import cell, print_table, print_text
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.settings import LIVE
from lemon_trader.database.chain import JournalError
from lemon_trader.messages.catalogue import say
from lemon_trader.messages.told import say_alert

US_PER_MS: Final = 1_000
ENGINE: Final = "engine"
WRITTEN: Final = "written"
MARKET_ROWS: Final = (
    "budget", "bid", "ask", "last", "mark", "position", "sellable", "average", "cost", "realised", "unrealised", "fees", "funding", "net",
    "take_profit", "stop",
)  # fmt: skip
RISK_ROWS: Final = ("day_loss", "drawdown")


def status(typed: Typed) -> int:
    """Show every mode used here: state and reason, position, profit, limits, what rests."""
    return _look(typed, _print_status)


def why(typed: Typed) -> int:
    """Show for every wanted order what was decided, and why; of a dead engine, why nothing is."""
    return _look(typed, _print_why)


def orders(typed: Typed) -> int:
    """Show every order that is not known to have ended."""
    return _look(typed, _print_orders)


def balance(typed: Typed) -> int:
    """Show what the account has available and locked, as of when and from where."""
    return _look(typed, _print_balance)


def report(typed: Typed) -> int:
    """Show what each mode used here has made, out of its records; an engine may run or not."""
    found: dict[str, Any] = {}
    for mode in modes(typed):
        statistics = read_report(place(typed) / mode)
        if statistics is not None:
            found[mode] = statistics
            print_report(statistics)
            print()
    if not found:
        print_text(say("report.none", place=place(typed), modes=", ".join(modes(typed))))
    if typed.flags.get("json"):
        print(json_line(found))
    return DONE if found else FAILED


def _look(typed: Typed, show: Callable[[Mapping[str, Any]], None]) -> int:
    """Show each mode's picture with where it comes from; 1 when there is none at all."""
    found: dict[str, dict[str, Any]] = {}
    for mode, store in running_stores(typed).items():
        reply = ask_engine(mode, store, "status")
        if reply is not None and "status" in reply:
            picture: dict[str, Any] | None = reply["status"] | {"source": ENGINE, "running": True}
        else:
            picture = _dead_picture(typed, mode, store)
        if picture is None:
            continue
        found[mode] = picture
        print_text(say("screen.mode", mode=mode.upper()) + (f"  {say('screen.real-money')}" if mode == LIVE else ""))
        if picture["source"] != ENGINE:
            at, prices = clock(picture["as_of_us"]), clock(picture["price_us"])
            print_text(say(f"look.from-{picture['source']}", mode=mode.upper(), at=at, prices=prices))
        show(picture)
    if not found:
        print_text(say("running.none", place=place(typed), modes=", ".join(modes(typed))))
    if typed.flags.get("json"):
        print(json_line(found))
    return DONE if found else FAILED


def _dead_picture(typed: Typed, mode: str, store: Any) -> dict[str, Any] | None:
    """What is known of a mode in which nothing runs. Keys are looked for where live is named, and nowhere else. Raises BadSetting."""
    from lemon_trader.run.looks import ask_exchange, journal_picture

    picture: dict[str, Any] | None = None
    try:
        if mode == LIVE and LIVE in named(typed):
            picture = ask_exchange(place(typed), mode, keys_of(typed), Console())
        if picture is None:
            picture = journal_picture(store, mode)
    except JournalError as error:
        raise BadSetting("look.journal", mode=mode, reason=error) from error
    return None if picture is None else picture | {"running": False}


def _age(picture: Mapping[str, Any], name: str) -> object:
    age = picture.get(name)
    return None if age is None else ("status.age", {"ms": int(age) // US_PER_MS})


def _yes(value: object) -> tuple[str, dict[str, object]]:
    return ("word.yes" if value else "word.no", {})


ALERTS_SHOWN: Final = 5


def _print_status(picture: Mapping[str, Any]) -> None:
    from lemon_trader.run.latch import reason_of

    reason = reason_of(str(picture["reason"] or ""), str(picture["detail"] or "")) if picture["reason"] else None
    rows: list[Sequence[object]] = [
        (("status.state", {}), (f"state.{str(picture['state']).lower()}", {})),
        (("status.reason", {}), reason),
        (("status.net", {}), picture["net"]),
    ]
    risk = picture.get("risk") or {}
    rows += [
        ((f"status.{name}", {}), ("status.of", {"used": risk[name] or "-", "most": risk[f"{name}_max"]}))
        for name in RISK_ROWS
        if risk.get(f"{name}_max")
    ]
    if picture["source"] == ENGINE:
        rows += [
            (("status.public", {}), _yes(picture["public_up"])),
            (("status.private", {}), _yes(picture["private_up"])),
            (("status.feed-age", {}), _age(picture, "feed_age_us")),
            (("status.account-age", {}), _age(picture, "account_age_us")),
            (("status.venue", {}), picture["venue_status"]),
            (("status.journal", {}), ("panel.journal.written", {}) if picture["journal"] == WRITTEN else picture["journal"]),
        ]
    print_table(say("status.title"), ("", ""), rows)
    for alert in (picture.get("alerts") or ())[:ALERTS_SHOWN]:  # the newest first
        print_text(say("status.alert", at=clock(alert["at_us"]), text=say_alert(alert["key"], alert["values"])))
    for market in picture["markets"]:
        print()
        print_table(
            say("status.market", symbol=market["symbol"], strategy=market["strategy"] or "-"),
            ("", ""),
            [
                ((f"status.{name}", {}), market[name])
                for name in MARKET_ROWS
                if market.get(name) is not None and (picture["source"] == ENGINE or name != "budget")
            ],
        )
        if market["orders"]:
            _print_market_orders(market)


def _print_orders(picture: Mapping[str, Any]) -> None:
    for market in picture["markets"]:
        if market["orders"]:
            _print_market_orders(market)
        else:
            print_text(say("orders.none", symbol=market["symbol"]))
        if market["foreign_orders"]:
            print_text(say("orders.foreign", symbol=market["symbol"], count=market["foreign_orders"]))


def _print_balance(picture: Mapping[str, Any]) -> None:
    balances = picture.get("balances") or {}
    if not balances:
        print_text(say("balance.unknown"))
        return
    rows = [(asset, row["available"], row["locked"]) for asset, row in balances.items()]
    print_table(say("balance.title", at=clock(picture["as_of_us"])), ("balance.asset", "balance.available", "balance.locked"), rows)


def _print_market_orders(market: Mapping[str, Any]) -> None:
    columns = ("column.role", "column.side", "column.price", "column.open", "column.filled", "column.state", "column.reason")
    rows: list[Sequence[object]] = [
        ((f"role.{o['role']}", {}), (f"side.{o['side']}", {}), o["price"], o["open"], o["filled"], (f"order.{o['state']}", {}), _reason(o))
        for o in market["orders"]
    ]
    print_table(say("orders.title", symbol=market["symbol"]), columns, rows)


def _print_why(picture: Mapping[str, Any]) -> None:
    from lemon_trader.run.latch import reason_of

    reason = reason_of(str(picture["reason"] or ""), str(picture["detail"] or "")) if picture["reason"] else "-"
    print_text(say("why.state", state=cell((f"state.{str(picture['state']).lower()}", {})), reason=cell(reason)))
    if picture["source"] != ENGINE:
        print_text(say("why.dead"))
    for market in picture["markets"]:
        if market["frozen"]:
            print_text(say("why.frozen", symbol=market["symbol"], reason=market["frozen"]))
        if picture["source"] != ENGINE:
            continue
        if not market["fresh"]:
            print_text(say("why.not-fresh", symbol=market["symbol"]))
        if market.get("waiting"):
            print_text(say("why.waiting", symbol=market["symbol"], reason=(market["waiting"], {})))
        columns = ("column.role", "column.side", "column.price", "column.total", "column.reason")
        rows: list[Sequence[object]] = [
            ((f"role.{w['role']}", {}), (f"side.{w['side']}", {}), w["price"], w["total"], _reason(w)) for w in market["wants"]
        ]
        if rows:
            print_table(say("why.title", symbol=market["symbol"]), columns, rows)
        else:
            print_text(say("why.nothing", symbol=market["symbol"]))


def _reason(row: Mapping[str, Any]) -> tuple[str, dict[str, object]]:
    return (f"reason.{row['reason']}", {"figure": row["figure"]})
