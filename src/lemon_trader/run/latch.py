"""Why an account is halted, with its figures, and what a `resume` would place: said the same at a start, by `resume`, and by the looks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lemon_trader.config.settings import Face
from lemon_trader.core.authority import WATCHDOG
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import ACTIVE, REDUCING

LIMITS: Final = ("DAILY_LOSS", "DRAWDOWN")
COMMANDS: Final = ("kill", "flatten", "cancel", "stop")


def is_latched(state: AccountState) -> bool:
    """Whether a `resume` would lift anything; an ordered stop is lifted by the next start."""
    return state.mode not in (ACTIVE, REDUCING) or any(m.frozen for m in state.markets.values())


def reason_of(reason: str, detail: str) -> tuple[str, dict[str, object]]:
    """Message id and values of a mode's reason."""
    if reason in LIMITS:
        return f"latch.{reason}", {"figures": detail or "-"}
    if reason == WATCHDOG:
        return "latch.WATCHDOG", {"figures": detail or "-"}
    if reason in COMMANDS:
        return f"latch.{reason}", {}
    return "latch.other", {"reason": " ".join(filter(None, (reason, detail))) or "-"}


def show_latch(face: Face, picture: Mapping[str, Any]) -> None:
    """Say the state, its reason and its figures: profit, loss limits, and what is held and rests in every market."""
    reason = reason_of(str(picture["reason"] or ""), str(picture["detail"] or ""))
    face.say("latch.state", state=(f"state.{str(picture['state']).lower()}", {}), reason=reason)
    risk = picture.get("risk") or {}
    face.say(
        "latch.figures", net=picture["net"] or "-", day=risk.get("day_loss") or "-", day_max=risk.get("day_loss_max") or "-",
        drawdown=risk.get("drawdown") or "-", drawdown_max=risk.get("drawdown_max") or "-",
    )  # fmt: skip
    for market in picture["markets"]:
        if market["frozen"]:
            face.say("latch.frozen", symbol=market["symbol"], reason=market["frozen"])
        face.say(
            "latch.market", symbol=market["symbol"], position=market["position"], average=market["average"],
            unrealised=market["unrealised"] or "-", orders=len(market["orders"]),
        )  # fmt: skip


def show_preview(face: Face, wanted: Sequence[Mapping[str, Any]]) -> None:
    """Say what would rest if nothing were latched, market by market."""
    columns = ("column.role", "column.side", "column.price", "column.open", "latch.rests")
    for market in wanted:
        if market["price"] is None:
            face.say("latch.unseen", symbol=market["symbol"])
        elif not market["orders"]:
            face.say("latch.places-nothing", symbol=market["symbol"], strategy=market["strategy"])
        else:
            face.say("latch.places", symbol=market["symbol"], strategy=market["strategy"], price=market["price"])
            rows: list[Sequence[object]] = [
                (
                    (f"role.{o['role']}", {}), (f"side.{o['side']}", {}), o["price"], o["open"],
                    ("word.yes" if o["rests"] else "word.no", {}),
                )
                for o in market["orders"]
            ]  # fmt: skip
            face.table("latch.orders", columns, rows)
