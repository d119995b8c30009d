"""`doctor`: everything that must be right before money trades, line by line with its way out; `--live-checks` asks the exchange itself."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lemon_trader.cli.console import Console, is_attended, json_line
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doctor_local import is_loose, look_at_machine
from lemon_trader.cli.doors import DONE, FAILED, complain
from lemon_trader.cli.flags import HELP, KEYS, MODE_FLAGS, WHICH, Group, Typed, two_columns
from lemon_trader.cli.screen import columns_of, is_plain, print_text
from lemon_trader.cli.trade import check_writable, request_of
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import ANSWERS, HOUSE, MARKET
from lemon_trader.config.keys import DOTENV
from lemon_trader.config.reach import SANDBOX_URL, ReachSettings, resolve_reach
from lemon_trader.config.settings import SANDBOX
from lemon_trader.core.instrument import GateError
from lemon_trader.exchanges.signers import SecretError
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.instruments import UnknownMarket
from lemon_trader.messages.catalogue import say, speak
from lemon_trader.messages.width import pad, width
from lemon_trader.run.doctor.bench import CheckFailed
from lemon_trader.run.doctor.lines import FAIL, OK, WARN, Line, Lines
from lemon_trader.run.doctor.record import Result
from lemon_trader.run.doctor.visit import CHECKS, AccountBusy, Doctor
from lemon_trader.run.menu import ReadLost
from lemon_trader.sandbox.server import PortInUse
from lemon_trader.strategies.parameter import Parameter

LIVE_CHECKS: Final = Parameter("live_checks", "--live-checks", "bool", None, "help.live-checks")
USUAL: Final = ("SOL_USDC", "SOL_USDC_PERP")
GRADES: Final = {OK: "doctor.grade.ok", WARN: "doctor.grade.warn", FAIL: "doctor.grade.fail"}
STYLES: Final = {OK: "green", WARN: "yellow", FAIL: "bold red"}
HOUSE_NAMES: Final = frozenset({"lang", "data_dir", "ws_proxy", "json"})


def doctor_groups() -> Sequence[Group]:
    """The flags of `doctor`."""
    house = (*(p for p in HOUSE if p.name in HOUSE_NAMES), *(p for p in ANSWERS if p.name == "yes"))
    return [
        ("group.which", (*WHICH, *MODE_FLAGS, SANDBOX_URL, LIVE_CHECKS, *KEYS)),
        ("group.market", MARKET),
        ("group.house", (*house, HELP)),
    ]


def doctor(typed: Typed, *, rest_url: str = "", ws_url: str = "", locks: Path | None = None) -> int:
    """Look at everything, say it, and do the live checks where they are asked for; 1 when something fails.

    Args:
        typed: the command line.
        rest_url: of requests, instead of the real exchange's, for tests.
        ws_url: of streams, likewise.
        locks: folder where an account's engine is known machine-wide; None = this user's.

    Raises:
        BadSetting: settings that cannot be.
    """
    settings, pairs = _resolve(typed)
    lines = Lines()
    face = Face(settings)
    face.head()
    look_at_machine(settings, lines)
    symbols = tuple(pairs) or USUAL
    checked: dict[str, Result] = {}
    try:
        visit = Doctor(settings, symbols, rest_url=rest_url, ws_url=ws_url, locks=locks)
    except (SecretError, UnknownMarket, RecordingError, GateError, PortInUse) as error:
        raise BadSetting("start.refused", reason=str(error)) from error
    try:
        visit.examine(lines)
        _clean(visit, lines)
        face.lines(lines)
        if typed.flags.get("live_checks"):
            if lines.has_failed:
                complain("doctor.first-mend", {})
            else:
                checked = _live_checks(visit, settings, face, yes=bool(typed.flags.get("yes")))
    finally:
        visit.close()
    code = FAILED if lines.has_failed or not all(result.passed for result in checked.values()) else DONE
    if typed.flags.get("live_checks") and not checked:
        code = FAILED
    face.result(lines, checked, code)
    return code


def _resolve(typed: Typed) -> tuple[ReachSettings, list[str]]:
    """The settings and the markets that are named; a loose `.env` is offered to be closed first. Raises BadSetting."""
    request = request_of(typed)
    settings, found = resolve_reach(request, declarations())
    speak(settings.lang)
    if is_loose(DOTENV) and is_attended() and not settings.json:
        command = f"chmod 600 {DOTENV}"
        if Console().ask("doctor.env.offer", file=DOTENV, command=command):
            DOTENV.chmod(0o600)
            settings, found = resolve_reach(request, declarations())
    return settings, [pair.symbol for pair in found.pairs]


def _clean(visit: Doctor, lines: Lines) -> None:
    """End what interrupted checks left, as soon as anybody looks."""
    try:
        if not visit.has_leftovers():
            return
        done = visit.clean()
        lines.warn("leftovers", "doctor.leftovers.cleaned", orders=done.orders, lots=done.lots)
    except AccountBusy:
        lines.fail("leftovers", "doctor.leftovers.busy", "doctor.leftovers.busy-fix")
    except CheckFailed as failed:
        lines.fail("leftovers", "doctor.leftovers.stuck", "doctor.leftovers.stuck-fix", reason=(failed.key, failed.values))
    except (ReadLost, OSError, ValueError) as error:
        lines.fail("leftovers", "doctor.leftovers.stuck", "doctor.leftovers.stuck-fix", reason=str(error))


def _live_checks(visit: Doctor, settings: ReachSettings, face: "Face", *, yes: bool) -> dict[str, Result]:
    """Each check after its consent; what was done, by name. In the sandbox nothing is at stake and nobody is asked."""
    if not visit.has_account:
        complain("doctor.checks.no-account", {})
        return {}
    if settings.mode != SANDBOX and not yes and not is_attended():
        raise BadSetting("doctor.checks.needs-yes")
    check_writable(settings.store_dir)
    console = Console(yes=yes or settings.mode == SANDBOX)
    done: dict[str, Result] = {}
    try:
        record = visit.record()
        face.say("doctor.checks.head", symbols=", ".join(visit.symbols))
        for number, check in enumerate(CHECKS, 1):
            about = say(check.about)
            face.say("doctor.checks.next", number=number, count=len(CHECKS), name=check.name, about=about)
            if not console.confirm(check.name, "doctor.checks.ask"):
                face.say("doctor.checks.skipped", name=check.name)
                continue
            result = visit.check(check, record)
            done[check.name] = result
            face.line(Line(check.name, OK if result.passed else FAIL, result.key, result.values))
        face.say("doctor.checks.all-passed" if record.passed else "doctor.checks.not-all")
    except AccountBusy:
        complain("doctor.checks.busy", {})
    return done


class Face:
    """What is printed; with `--json` only the last line is."""

    def __init__(self, settings: ReachSettings) -> None:
        """Know how wide the screen is."""
        self._settings = settings
        self._columns = columns_of(sys.stdout)

    def head(self) -> None:
        """The mode comes first."""
        self.say(f"mode.{self._settings.mode}", place=self._settings.store_dir)
        if self._settings.mode_reason:
            self.say(self._settings.mode_reason)

    def say(self, key: str, **values: object) -> None:
        """A line, unless a program reads."""
        if not self._settings.json:
            print_text(say(key, **values), flush=True)

    def lines(self, lines: Lines) -> None:
        """All findings, and how many of each grade."""
        for line in lines.found:
            self.line(line)
        count = {grade: sum(line.grade == grade for line in lines.found) for grade in (OK, WARN, FAIL)}
        self.say("doctor.summary", ok=count[OK], warn=count[WARN], fail=count[FAIL])

    def line(self, line: Line) -> None:
        """One finding with its grade, and below it the way out."""
        if self._settings.json:
            return
        grades = {grade: say(key) for grade, key in GRADES.items()}
        first = max(width(word) for word in grades.values()) + 2
        text = two_columns(pad(grades[line.grade], first - 2), say(line.key, **line.values), first, self._columns)
        if line.fix:
            text += two_columns("", "→ " + say(line.fix, **line.values), first, self._columns)
        _print_graded(text, line.grade, len(grades[line.grade]))

    def result(self, lines: Lines, checked: dict[str, Result], code: int) -> None:
        """The one line of `--json`."""
        if not self._settings.json:
            return
        facts: dict[str, Any] = {
            "mode": self._settings.mode,
            "ok": code == DONE,
            "lines": [
                {"name": f.name, "grade": f.grade, "text": say(f.key, **f.values), "fix": say(f.fix, **f.values) if f.fix else ""}
                for f in lines.found
            ],
            "checks": [
                {"name": name, "passed": r.passed, "text": say(r.key, **r.values), "findings": r.findings} for name, r in checked.items()
            ],
        }
        print(json_line(facts))


def _print_graded(text: list[str], grade: str, length: int) -> None:
    if is_plain(sys.stdout, os.environ):
        print("\n".join(text), flush=True)
        return
    from rich.console import Console as Screen
    from rich.text import Text

    drawn = Text("\n".join(text))
    drawn.stylize(STYLES[grade], 0, length)
    Screen(highlight=False, soft_wrap=True).print(drawn)
