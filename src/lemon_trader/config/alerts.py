"""What is told to whom: events, how loud each is, and where alerts go, out of checked settings.

An address is a secret: whoever has a hook's URL can write there. It is shown by a label, and never quoted in a refusal.
"""

import importlib.util
import re
import shlex
import shutil
from collections.abc import Collection, Mapping
from typing import Final, cast
from urllib.parse import urlsplit

from lemon_trader.config.errors import BadSetting, raise_all
from lemon_trader.config.settings import AlertSettings, AlertTarget, Secret
from lemon_trader.config.values import items
from lemon_trader.strategies.parameter import Parameter, Value

EVENTS: Final = (
    "start", "stop", "halt", "command", "unprotected", "stop_loss", "liquidation", "feed", "unknown", "sleep", "digest", "fill",
    "order", "account", "exchange", "fault",
)  # fmt: skip
ON: Final = "on"
SILENT: Final = "silent"
OFF: Final = "off"
USUAL: Final = {"fill": OFF, "command": SILENT, "digest": SILENT}  # every other event is on
EXTRA_LINE: Final = "python -m pip install -r requirements-notify.txt"
PARTED: Final = re.compile(r"[/?&=@:]")
NEEDED_LENGTH: Final = 4  # shorter parts of an address are words, no secrets
WORD_LENGTH: Final = 8  # below it, letters alone in the path of a web address are a word, as in /hooks/ or /beat

ALERTS: Final = (
    Parameter("on_alert", "--on-alert", "list", None, "help.on-alert", secret=True),
    Parameter("alerts", "--alerts", "levels", None, "help.alerts", choices=EVENTS),
    Parameter("heartbeat_url", "--heartbeat-url", "text", None, "help.heartbeat-url", secret=True),
    Parameter("heartbeat_every", "--heartbeat-every", "duration", "60s", "help.heartbeat-every", low="10s", high="1d"),
    Parameter("account_label", "--account-label", "text", None, "help.account-label"),
)


def alert_settings(values: Mapping[str, Value], origins: Mapping[str, str] | None = None) -> AlertSettings:
    """The checked values as one record; `origins`: where each came from, for refusals. Raises BadSetting."""
    places = {"on_alert": "--on-alert", "heartbeat_url": "--heartbeat-url"} | {k: v for k, v in (origins or {}).items() if v}
    refused: list[BadSetting] = []
    targets: list[AlertTarget] = []
    for item in items(str(values["on_alert"] or "")):
        try:
            targets.append(target(item, {t.label for t in targets}, places["on_alert"]))
        except BadSetting as error:
            refused.append(error)
    heartbeat = None
    if values["heartbeat_url"] is not None:
        try:
            heartbeat = Secret(_web_address(str(values["heartbeat_url"]), places["heartbeat_url"]))
        except BadSetting as error:
            refused.append(error)
    raise_all(refused)
    label = values["account_label"]
    return AlertSettings(
        targets=tuple(targets),
        levels=levels_of(values["alerts"]),
        heartbeat=heartbeat,
        heartbeat_s=cast("int", values["heartbeat_every"]),
        account_label="" if label is None else str(label),
    )


def levels_of(value: Value) -> dict[str, str]:
    """How loud every event is: as usual, but for what `value` says ("fill=on, digest=off", checked)."""
    levels = {event: USUAL.get(event, ON) for event in EVENTS}
    for item in items(str(value or "")):
        event, _, level = item.partition("=")
        levels[event] = level
    return levels


def target(text: str, taken: Collection[str] = (), place: str = "--on-alert") -> AlertTarget:
    """Where alerts go, out of one word of `--on-alert`: a web address, another service's address, or a command.

    Raises:
        BadSetting: no such address, no such program, or a service that wants the extra.
    """
    scheme, separator, _ = text.partition("://")
    if separator and scheme.lower() in {"http", "https"}:
        address = _web_address(text, place)
        return AlertTarget("web", _label(f"{scheme.lower()}://{urlsplit(address).netloc}", taken), Secret(address))
    if separator and scheme.replace("+", "").replace("-", "").isalnum():
        _check_service(text, scheme, place)
        return AlertTarget("service", _label(f"{scheme.lower()}://", taken), Secret(text))
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise BadSetting("alerts.command", name=place, reason=error) from error
    if not words or shutil.which(words[0]) is None:
        raise BadSetting("alerts.no-program", name=place, program=words[0] if words else "")
    return AlertTarget("command", _label(words[0].rsplit("/", 1)[-1], taken), Secret(text), words)


def secrets_of(settings: AlertSettings) -> list[str]:
    """The parts of addresses that no log may show. Host and scheme are none: they are what tells one target from another."""
    found: list[str] = []
    for secret in (*(t.address for t in settings.targets if t.kind != "command"), settings.heartbeat):
        if secret is None:
            continue
        address = urlsplit(secret.reveal())
        # Of another service's address even the host may be a token.
        is_web = address.scheme.lower() in {"http", "https"}
        hidden = f"{address.path}?{address.query}" if is_web else secret.reveal().partition("://")[2]
        found += [part for part in PARTED.split(hidden) if len(part) >= NEEDED_LENGTH and not (is_web and _is_word(part))]
    return found


def _is_word(part: str) -> bool:
    """Whether it is no token but a word, such as our own sentences hold."""
    return len(part) < WORD_LENGTH and part.isalpha() and part.islower()


def _web_address(text: str, name: str) -> str:
    """The address, if something can be sent there. Raises BadSetting."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadSetting("alerts.address", name=name) from error
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname or port == 0 or not text.isascii() or " " in text:
        raise BadSetting("alerts.address", name=name)
    if "@" in parts.netloc:
        raise BadSetting("alerts.password", name=name)
    return text


def _check_service(text: str, scheme: str, place: str) -> None:
    if importlib.util.find_spec("apprise") is None:
        raise BadSetting("alerts.needs-extra", scheme=f"{scheme}://", line=EXTRA_LINE)
    from apprise import Apprise  # noqa: PLC0415  a quarter of a second that only these addresses pay for

    if not Apprise().add(text):
        raise BadSetting("alerts.service", name=place, scheme=f"{scheme}://")


def _label(name: str, taken: Collection[str]) -> str:
    number = 2
    label = name
    while label in taken:
        label = f"{name} #{number}"
        number += 1
    return label
