"""`lemon-trader`: the table of commands, and what each hands to whom. Everything is imported when its command runs, so help is quick."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from lemon_trader import __version__
from lemon_trader.cli.doors import DONE, REFUSED, answer
from lemon_trader.cli.flags import HELP, Group, Typed, help_text, read_flags, trading_groups, two_columns
from lemon_trader.cli.screen import columns_of
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE
from lemon_trader.config.values import nearest
from lemon_trader.messages.catalogue import say

PROGRAM: Final = "lemon-trader"
HELP_FLAGS: Final = frozenset({"-h", "--help"})
NAME_COLUMNS: Final = 20
_LANG: Final = next(p for p in HOUSE if p.name == "lang")


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: one word, or two as in `journal verify`; its sentence is the message `command.<name>` with dashes for blanks.
        section: where it stands in the list of commands.
        operands: what it takes beside flags, as its usage line shows it; "" = nothing.
        groups: its flags.
        call: what runs it; None = it comes with a later version, and says so.
    """

    name: str
    section: str
    operands: str
    groups: Callable[[], Sequence[Group]]
    call: Callable[[Typed], int] | None

    @property
    def summary(self) -> str:
        """Message id of what it does."""
        return f"command.{self.name.replace(' ', '-')}"


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; the exit code: 0 done, 1 failed, 2 refused with nothing sent."""
    return answer(arguments, os.environ, lambda: dispatch(arguments))


def dispatch(arguments: Sequence[str]) -> int:
    """Find the command and run it. Raises BadSetting."""
    if not arguments or arguments[0] in HELP_FLAGS:
        print(overview(columns_of(sys.stdout)))
        return DONE
    if arguments[0] == "--version":
        print(f"{PROGRAM} {__version__}")
        return DONE
    if arguments[0].startswith("-"):
        # `lemon-trader --lang zh-TW` and the like: a flag without a command is a question about the program.
        read_flags(arguments, [("group.house", (_LANG, HELP))], words=False)
        print(overview(columns_of(sys.stdout)))
        return DONE
    command, rest = find(arguments)
    if HELP_FLAGS & set(rest):
        print(say(command.summary))
        usage = " ".join(word for word in (PROGRAM, command.name, command.operands, say("help.flags")) if word)
        print(help_text(usage, command.groups(), columns_of(sys.stdout)))
        return DONE
    if command.call is None:
        print(say("command.later", command=command.name), file=sys.stderr)
        return REFUSED
    return command.call(read_flags(rest, command.groups(), words=bool(command.operands)))


def find(arguments: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that the first one or two words name, and what follows. Raises BadSetting with the nearest name."""
    for length in (2, 1):
        name = " ".join(arguments[:length])
        if name in COMMANDS and len(arguments) >= length:
            return COMMANDS[name], arguments[length:]
    word = arguments[0]
    subs = [name for name in COMMANDS if name.startswith(f"{word} ")]
    if subs:
        raise BadSetting("command.which", command=word, choices=", ".join(subs))
    likely = nearest(word, COMMANDS)
    raise BadSetting("command.unknown.meant" if likely else "command.unknown", name=word[:60], likely=likely or "", program=PROGRAM)


def flags_of(name: str) -> set[str]:
    """The flags that a command knows."""
    return {p.flag for _, parameters in COMMANDS[name].groups() for p in parameters}


def overview(columns: int) -> str:
    """The list of commands."""
    lines = [say("help.program", version=__version__), "", f"{say('help.usage')} {PROGRAM} {say('help.command')}"]
    for section in dict.fromkeys(command.section for command in COMMANDS.values()):
        lines += ["", say(section)]
        for command in COMMANDS.values():
            if command.section == section:
                text = say(command.summary) + ("" if command.call else f" {say('help.later')}")
                lines += two_columns(f"  {command.name}", text, NAME_COLUMNS, columns)
    return "\n".join([*lines, "", say("help.more", program=PROGRAM)])


def _bare() -> Sequence[Group]:
    return [("group.house", (_LANG, HELP))]


def _run(typed: Typed) -> int:
    from lemon_trader.cli.trade import start

    return start(typed)


def _plan(typed: Typed) -> int:
    from lemon_trader.cli.plan import plan

    return plan(typed)


def _plan_groups() -> Sequence[Group]:
    from lemon_trader.cli.plan import plan_groups

    return plan_groups()


def _sandbox(typed: Typed) -> int:
    from lemon_trader.cli.exchange import sandbox

    return sandbox(typed)


def _sandbox_groups() -> Sequence[Group]:
    from lemon_trader.config.sandbox import SANDBOX_PARAMETERS

    return [("group.sandbox", (*SANDBOX_PARAMETERS, HELP))]


def _demo(typed: Typed) -> int:
    from lemon_trader.cli.exchange import demo

    return demo(typed)


def _demo_groups() -> Sequence[Group]:
    from lemon_trader.config.sandbox import DEMO_PARAMETERS

    return [("group.sandbox", (*DEMO_PARAMETERS, HELP))]


def _config(action: str) -> Callable[[Typed], int]:
    def call(typed: Typed) -> int:
        from lemon_trader.cli import settings

        return {"show": settings.show_all, "schema": settings.schema, "validate": settings.validate}[action](typed)

    return call


def _look(name: str) -> Callable[[Typed], int]:
    def call(typed: Typed) -> int:
        from lemon_trader.cli import looks

        shown = {"status": looks.status, "why": looks.why, "orders": looks.orders, "balance": looks.balance, "report": looks.report}
        return shown[name](typed)

    return call


def _act(action: str) -> Callable[[Typed], int]:
    def call(typed: Typed) -> int:
        from lemon_trader.cli.acts import act

        return act(action, typed)

    return call


def _edit(typed: Typed) -> int:
    from lemon_trader.cli.edit import edit

    return edit(typed)


def _edit_groups() -> Sequence[Group]:
    from lemon_trader.cli.edit import edit_groups

    return edit_groups()


def _logs(typed: Typed) -> int:
    from lemon_trader.cli.logs import logs

    return logs(typed)


def _log_groups() -> Sequence[Group]:
    from lemon_trader.cli.logs import groups

    return groups()


def _record_groups() -> Sequence[Group]:
    from lemon_trader.cli.running import groups

    return groups()


def _look_groups() -> Sequence[Group]:
    from lemon_trader.cli.running import look_groups

    return look_groups()


def _act_groups() -> Sequence[Group]:
    from lemon_trader.cli.running import act_groups

    return act_groups()


def _backtest(typed: Typed) -> int:
    from lemon_trader.cli.backtest import backtest

    return backtest(typed)


def _backtest_groups() -> Sequence[Group]:
    from lemon_trader.cli.backtest import backtest_groups

    return backtest_groups()


def _record(typed: Typed) -> int:
    from lemon_trader.cli.record import record

    return record(typed)


def _tape_groups() -> Sequence[Group]:
    from lemon_trader.cli.record import record_groups

    return record_groups()


def _sweep(typed: Typed) -> int:
    from lemon_trader.cli.sweep import sweep

    return sweep(typed)


def _sweep_groups() -> Sequence[Group]:
    from lemon_trader.cli.sweep import sweep_groups

    return sweep_groups()


def _data(action: str) -> Callable[[Typed], int]:
    def call(typed: Typed) -> int:
        from lemon_trader.cli.data import data

        return data(action, typed)

    return call


def _data_groups(action: str) -> Callable[[], Sequence[Group]]:
    def groups() -> Sequence[Group]:
        from lemon_trader.cli.data import groups_of

        return groups_of(action)

    return groups


def _parity(typed: Typed) -> int:
    from lemon_trader.cli.parity import parity

    return parity(typed)


def _parity_groups() -> Sequence[Group]:
    from lemon_trader.cli.parity import parity_groups

    return parity_groups()


def _menu(typed: Typed) -> int:
    from lemon_trader.cli.menu import menu

    return menu(typed, dispatch)


def _init(typed: Typed) -> int:
    from lemon_trader.cli.init import init

    return init(typed)


def _init_groups() -> Sequence[Group]:
    from lemon_trader.cli.init import init_groups

    return init_groups()


def _doctor(typed: Typed) -> int:
    from lemon_trader.cli.doctor import doctor

    return doctor(typed)


def _doctor_groups() -> Sequence[Group]:
    from lemon_trader.cli.doctor import doctor_groups

    return doctor_groups()


def _menu_groups() -> Sequence[Group]:
    from lemon_trader.cli.menu import menu_groups

    return menu_groups()


def _journal(action: str) -> Callable[[Typed], int]:
    def call(typed: Typed) -> int:
        from lemon_trader.cli import journals

        return {"verify": journals.verify_all, "repair": journals.repair_one}[action](typed)

    return call


def _journal_groups() -> Sequence[Group]:
    from lemon_trader.cli.journals import groups

    return groups()


def _panel(typed: Typed) -> int:
    from lemon_trader.cli.panel import panel

    return panel(typed, flags_of)


def _panel_groups() -> Sequence[Group]:
    from lemon_trader.cli.panel import panel_groups

    return panel_groups()


_TRADE, _LOOKS, _ACTS, _RESEARCH, _CARE, _FACES = (f"section.{s}" for s in ("trade", "look", "act", "research", "care", "faces"))
_PAIRS: Final = "[STRATEGY:SYMBOL …]"

COMMANDS: Final = {
    command.name: command
    for command in (
        Command("run", _TRADE, _PAIRS, trading_groups, _run),
        Command("plan", _TRADE, _PAIRS, _plan_groups, _plan),
        Command("sandbox", _TRADE, "", _sandbox_groups, _sandbox),
        Command("demo", _TRADE, "", _demo_groups, _demo),
        Command("status", _LOOKS, "", _look_groups, _look("status")),
        Command("report", _LOOKS, "", _record_groups, _look("report")),
        Command("why", _LOOKS, "", _look_groups, _look("why")),
        Command("orders", _LOOKS, "", _look_groups, _look("orders")),
        Command("balance", _LOOKS, "", _look_groups, _look("balance")),
        Command("logs", _LOOKS, "", _log_groups, _logs),
        Command("stop", _ACTS, "[SYMBOL]", _act_groups, _act("stop")),
        Command("kill", _ACTS, "", _act_groups, _act("kill")),
        Command("flatten", _ACTS, "", _act_groups, _act("flatten")),
        Command("resume", _ACTS, "", _act_groups, _act("resume")),
        Command("cancel", _ACTS, "", _act_groups, _act("cancel")),
        Command("edit", _ACTS, "[SYMBOL]", _edit_groups, _edit),
        Command("backtest", _RESEARCH, "STRATEGY [SYMBOL]", _backtest_groups, _backtest),
        Command("sweep", _RESEARCH, "STRATEGY [SYMBOL]", _sweep_groups, _sweep),
        Command("data fetch", _RESEARCH, "SYMBOL …", _data_groups("fetch"), _data("fetch")),
        Command("data import", _RESEARCH, "FILE …", _data_groups("import"), _data("import")),
        Command("data list", _RESEARCH, "", _data_groups("list"), _data("list")),
        Command("data check", _RESEARCH, "[FILE …]", _data_groups("check"), _data("check")),
        Command("record", _RESEARCH, "", _tape_groups, _record),
        Command("report parity", _RESEARCH, "", _parity_groups, _parity),
        Command("config show", _CARE, _PAIRS, trading_groups, _config("show")),
        Command("config schema", _CARE, "", _bare, _config("schema")),
        Command("config validate", _CARE, "FILE", _bare, _config("validate")),
        Command("journal verify", _CARE, "", _journal_groups, _journal("verify")),
        Command("journal repair", _CARE, "", _journal_groups, _journal("repair")),
        Command("doctor", _CARE, _PAIRS, _doctor_groups, _doctor),
        Command("init", _CARE, "", _init_groups, _init),
        Command("panel", _FACES, "", _panel_groups, _panel),
        Command("menu", _FACES, "", _menu_groups, _menu),
        Command("web", _FACES, "", _bare, None),
    )
}
