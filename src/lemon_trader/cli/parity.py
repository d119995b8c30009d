"""`report parity`: each decision and each fill of a session that this program would make or get otherwise, with the cause."""

from collections.abc import Sequence
from typing import Any, Final

from lemon_trader.backtest.parity import Difference, Session
from lemon_trader.backtest.parity_fills import FillDifference, FillParity, Got
from lemon_trader.cli.console import Console, json_line
from lemon_trader.cli.doors import DONE, FAILED
from lemon_trader.cli.flags import HELP, MODE_FLAGS, Group, Typed
from lemon_trader.cli.report import clock
from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.cli.trade import request_of
from lemon_trader.config.parity import LIMIT_PARAMETERS, PARITY_ONLY, PARITY_PARAMETERS, resolve_parity
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import ROLE_NAMES, US_PER_MS, side_name
from lemon_trader.messages.catalogue import say

SHOWN: Final = 20


def parity_groups() -> Sequence[Group]:
    """Its flags."""
    house = tuple(p for p in PARITY_PARAMETERS if p not in PARITY_ONLY and p not in LIMIT_PARAMETERS)
    return [("group.parity", PARITY_ONLY), ("group.limits", LIMIT_PARAMETERS), ("group.house", (*MODE_FLAGS, *house, HELP))]


def parity(typed: Typed) -> int:
    """Compare, and say what differs; 0 when no decision does, 1 when one does or nothing was ever traded. Raises BadSetting."""
    from lemon_trader.run.parity import fill_parity, sessions_of

    settings = resolve_parity(request_of(typed))
    console = Console(as_json=settings.json)
    found: dict[str, Any] = {}
    differing = False
    for mode in settings.modes:
        sessions = sessions_of(settings, mode) if (settings.data_dir / mode).is_dir() else {}
        for symbol, session in sessions.items():
            print_text(say("parity.title", mode=mode.upper(), strategy=session.started.strategy, symbol=symbol))
            _print_decisions(session)
            differing = differing or session.differing > 0
            fills = fill_parity(settings, mode, session, console) if settings.tape is not None else None
            if fills is not None:
                _print_fills(session, fills)
            found.setdefault(mode, {})[symbol] = _as_json(session, fills)
            print()
    if not found:
        print_text(say("parity.nothing", place=settings.data_dir, modes=", ".join(settings.modes)))
    elif settings.tape is None:
        print_text(say("parity.no-fills"))
    if settings.json:
        print(json_line(found))
    return DONE if found and not differing else FAILED


def _print_decisions(session: Session) -> None:
    print_text(
        say(
            "parity.decisions", count=session.decisions, orders=session.orders, cancels=session.cancels, differing=session.differing,
            start=clock(session.begin_us), end=clock(session.end_us),
        )
    )  # fmt: skip
    if not session.differences:
        return
    rows: list[Sequence[object]] = [
        (clock(d.at_us), (f"parity.{d.what}", {}), d.then or None, d.now or None, (d.cause[0], d.cause[1]))
        for d in session.differences[:SHOWN]
    ]
    title = say("parity.differences", shown=len(rows), count=len(session.differences))
    print_table(title, ("parity.at", "parity.what", "parity.then", "parity.now", "parity.cause"), rows)


def _print_fills(session: Session, fills: FillParity) -> None:
    print_text(say("parity.fills", then=fills.then, now=fills.now, matched=fills.matched, later=fills.later_us // US_PER_MS))
    if session.held_lots:
        print_text(say("parity.held", held=session.instrument.qty_text(session.held_lots), base=session.instrument.base))
    if not fills.differences:
        return
    rows: list[Sequence[object]] = [
        (clock(d.at_us), _words(d.then, session.instrument), _words(d.now, session.instrument), (d.cause[0], d.cause[1]))
        for d in fills.differences[:SHOWN]
    ]
    title = say("parity.fill-differences", shown=len(rows), count=len(fills.differences))
    print_table(title, ("parity.at", "parity.then", "parity.replay", "parity.cause"), rows)


def _words(got: Got | None, i: Instrument) -> str | None:
    if got is None:
        return None
    role = ROLE_NAMES[got.role] if got.role >= 0 else "SYSTEM"
    return f"{role} {got.slot} {side_name(got.side)} {i.qty_text(got.lots)} @ {i.price_text(got.ticks)}"


def _as_json(session: Session, fills: FillParity | None) -> dict[str, Any]:
    i = session.instrument
    return {
        "strategy": session.started.strategy,
        "start_us": session.begin_us,
        "end_us": session.end_us,
        "decisions": session.decisions,
        "orders": session.orders,
        "cancels": session.cancels,
        "differing": session.differing,
        "differences": [_decision_json(d) for d in session.differences],
        "fills": None
        if fills is None
        else {
            "then": fills.then,
            "now": fills.now,
            "matched": fills.matched,
            "later_us": fills.later_us,
            "differences": [_fill_json(d, i) for d in fills.differences],
        },
    }


def _decision_json(d: Difference) -> dict[str, Any]:
    return {
        "at_us": d.at_us, "number": d.number, "what": d.what, "then": d.then, "now": d.now, "cause": d.cause[0],
        "detail": say(d.cause[0], **d.cause[1]),
    }  # fmt: skip


def _fill_json(d: FillDifference, i: Instrument) -> dict[str, Any]:
    return {
        "at_us": d.at_us, "then": _words(d.then, i), "now": _words(d.now, i), "cause": d.cause[0], "detail": say(d.cause[0], **d.cause[1])
    }  # fmt: skip
