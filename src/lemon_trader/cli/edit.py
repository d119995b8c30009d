"""`lemon-trader edit`: show what a pair that trades goes by, and let it go on by something else."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lemon_trader.cli.console import Console
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doors import DONE, FAILED, REFUSED
from lemon_trader.cli.flags import HELP, MODE_FLAGS, Group, Typed
from lemon_trader.cli.running import OURS, ask_engine, modes, place, running_engine
from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.cli.trade import settle_doubts
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import ANSWERS
from lemon_trader.config.resolve import check_symbol
from lemon_trader.config.settings import LIVE
from lemon_trader.config.values import doubt, parse
from lemon_trader.env_live import FolderStore
from lemon_trader.messages.catalogue import say

WORD: Final = "edit"


def edit_groups() -> Sequence[Group]:
    """The flags: every strategy's parameters, and where the engine is."""
    return [
        *((name, tuple(parameters)) for name, parameters in declarations().items()),
        ("group.house", (*MODE_FLAGS, *OURS, *ANSWERS, HELP)),
    ]


def edit(typed: Typed) -> int:
    """Change what was named, or show everything where nothing was; the exit code. Raises BadSetting for what cannot be."""
    console = Console(yes=bool(typed.flags.get("yes")), as_json=bool(typed.flags.get("json")))
    code = _edit(typed, console)
    console.finish()
    return code


def _edit(typed: Typed, console: Console) -> int:
    if len(typed.words) > 1:
        raise BadSetting("flag.stray-word", value=typed.words[1][:60])
    symbol = check_symbol(typed.words[0], WORD) if typed.words else ""
    declared = {p.name: p for parameters in declarations().values() for p in parameters}
    texts = {name: text for name, text in typed.flags.items() if name in declared}
    running = running_engine(typed)
    if running is None:
        print_text(say("running.none", place=place(typed), modes=", ".join(modes(typed))))
        print_text(say("edit.none-runs"))
        console.result({"action": WORD, "done": False, "running": False})
        return FAILED
    mode, store, _ = running
    asked = ask_edit(mode, store, symbol, texts)
    show_edit(asked, whole=not texts)
    if not texts:
        console.result({"action": WORD, "done": False, "running": True, "mode": mode} | asked)
        return DONE
    if not changed(asked):
        raise BadSetting("edit.nothing", symbol=asked["symbol"])
    own = {p.name: p for p in declarations()[asked["strategy"]]}
    doubts = (doubt(own[row["name"]], parse(own[row["name"]], row["then"])) for row in changed(asked))
    settle_doubts([d for d in doubts if d is not None], console, as_written=bool(typed.flags.get("as_written")))
    if not console.confirm(asked["symbol"] if mode == LIVE else WORD, "edit.confirm", mode=mode.upper(), symbol=asked["symbol"]):
        print_text(say("edit.declined"))
        console.result({"action": WORD, "done": False, "running": True, "mode": mode} | asked)
        return REFUSED
    done = ask_edit(mode, store, asked["symbol"], texts, apply=True)
    print_text(say("edit.done", mode=mode.upper(), symbol=done["symbol"]))
    console.result({"action": WORD, "running": True, "mode": mode} | done)
    return DONE


def changed(edit_: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parameters that would be others."""
    return [row for row in edit_["parameters"] if row["then"] is not None]


def show_edit(edit_: Mapping[str, Any], *, whole: bool) -> None:
    """What is now and what would be, and when each acts; `whole`: the parameters that stay as well."""
    rows: list[Sequence[object]] = [
        (row["name"], row["now"], row["then"] or "", (f"acts.{row['acts']}", {}))
        for row in edit_["parameters"]
        if whole or row["then"] is not None
    ]
    if rows:
        columns = ("column.setting", "column.value", "column.then", "column.acts")
        print_table(say("edit.title", strategy=edit_["strategy"], symbol=edit_["symbol"]), columns, rows)
    if whole:
        print_text(say("edit.how", symbol=edit_["symbol"], flag=edit_["parameters"][0]["flag"]))
    for key, values in edit_["warnings"]:
        print_text(say(key, **values))


def ask_edit(mode: str, store: FolderStore, symbol: str, texts: Mapping[str, str], *, apply: bool = False) -> dict[str, Any]:
    """What the engine says to this change. Raises BadSetting for what it refuses."""
    reply = ask_engine(mode, store, WORD, symbol=symbol, params=texts, apply=apply)
    if reply is None or "edit" not in reply:
        raise BadSetting("running.refused", action=WORD, reason=(reply or {}).get("error", "-"))
    return dict(reply["edit"])
