"""One thing to tell: an alert with the words, the account and the mode that it leaves the program with."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from lemon_trader.core.state import Alert
from lemon_trader.logger import Redactor
from lemon_trader.messages.catalogue import say
from lemon_trader.messages.told import say_alert

PROGRAM: Final = "lemon-trader"
NUMBER: Final = re.compile(r"[-+]?[\d.,]+%?")
VALUE_MAX: Final = 200  # characters of one value: other people's texts are in them
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# What kind of event each alert is; `config/alerts.EVENTS` names them, and a test keeps the table whole.
EVENT_OF: Final = {
    "alert.started": "start",
    "alert.stopped": "stop",
    "alert.pair_ended": "stop",
    "alert.latched": "halt",
    "alert.command_kill": "halt",
    "alert.command_flatten": "halt",
    "alert.watchdog_hung": "halt",
    "alert.watchdog_dead": "halt",
    "alert.watchdog_done": "halt",
    "alert.watchdog_not_done": "halt",
    "alert.command_stop": "command",
    "alert.command_cancel": "command",
    "alert.command_resume": "command",
    "alert.command_edit": "command",
    "alert.unprotected": "unprotected",
    "alert.protected": "unprotected",
    "alert.market_closing": "unprotected",
    "alert.stop_fired": "stop_loss",
    "alert.stop_done": "stop_loss",
    "alert.flatten_fired": "command",
    "alert.flatten_done": "command",
    "alert.system_order": "liquidation",
    "alert.feed_lost": "feed",
    "alert.feed_back": "feed",
    "alert.unknown_long": "unknown",
    "alert.woke": "sleep",
    "alert.clock_jumped": "sleep",
    "alert.digest": "digest",
    "alert.fill": "fill",
    "alert.second_order": "order",
    "alert.order_missing": "order",
    "alert.foreign_orders": "order",
    "alert.refused_again": "order",
    "alert.refused_account": "account",
    "alert.auto_lend": "account",
    "alert.transfer": "account",
    "alert.position_mismatch": "account",
    "alert.position_adopted": "account",
    "alert.position_unproven": "account",
    "alert.unbound_market": "account",
    "alert.book_state": "exchange",
    "alert.grid_changed": "exchange",
    "alert.bounds_changed": "exchange",
    "alert.venue_status": "exchange",
    "alert.strategy_fault": "fault",
    "alert.part_failed": "fault",
    "alert.journal_unwritable": "fault",
    "alert.journal_writable": "fault",
    "alert.records_unusable": "fault",
    "alert.undelivered": "fault",
    "alert.delivered": "fault",
    "alert.heartbeat_lost": "fault",
    "alert.watchdog_lost": "fault",
    "alert.watchdog_no_latch": "fault",
}


def event_of(key: str) -> str:
    """What kind of event this alert is; one that the table does not know is a fault, which is told."""
    return EVENT_OF.get(key, "fault")


def likeness(alert: Alert) -> tuple[object, ...]:
    """What makes two alerts the same thing said twice: everything but their figures."""
    return (alert.key, *((name, value) for name, value in sorted(alert.values.items()) if not NUMBER.fullmatch(value)))


class Notice(msgspec.Struct, frozen=True):
    """An alert as it leaves the program.

    Attributes:
        event: its kind, a word of `config/alerts.EVENTS`.
        grade: info, warn, grave.
        key, values: the message's id and values, for programs.
        text: for people, in the reader's language, with mode and account before it.
        at: when it happened, ISO 8601 UTC.
        mode, account: of the engine that says so.
        repeats: how many more like it are left out with it.
        silent: to be delivered without a sound, where the receiver knows what that is.
    """

    event: str
    grade: str
    key: str
    values: dict[str, str]
    text: str
    at: str
    mode: str
    account: str
    repeats: int
    silent: bool

    def as_json(self) -> bytes:
        """The body of a POST; `text` is what chat hooks show."""
        return msgspec.json.encode({"program": PROGRAM, **msgspec.to_builtins(self)})

    def as_environment(self) -> dict[str, str]:
        """What a program finds in its environment."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        values = json.dumps(fields.pop("values"), ensure_ascii=False)
        words = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in fields.items()}
        return {f"LEMON_ALERT_{k.upper()}": v for k, v in words.items()} | {"LEMON_ALERT_VALUES": values}


def notice_of(alert: Alert, *, mode: str, account: str, redactor: Redactor, silent: bool, repeats: int = 0) -> Notice:
    """The notice of an alert; whatever secret came into its values is taken out here, last before it leaves."""
    values = {name: redactor.clean(value[:VALUE_MAX]) for name, value in alert.values.items()}
    text = say_alert(alert.key, values)
    if repeats:
        text = say("alert.repeated", text=text, count=repeats)
    return Notice(
        event=event_of(alert.key),
        grade=alert.grade,
        key=alert.key,
        values=values,
        text=redactor.clean(f"[{mode.upper()} {account}] {text}"),
        at=(_EPOCH + timedelta(microseconds=alert.ts_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        mode=mode,
        account=account,
        repeats=repeats,
        silent=silent,
    )
