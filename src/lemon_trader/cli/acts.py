"""Act: `stop cancel kill flatten resume`. A running engine is told; where none runs, `lemon_trader.run` does it at the exchange."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lemon_trader.cli.console import Console
from lemon_trader.cli.doors import DONE, FAILED, REFUSED
from lemon_trader.cli.flags import Typed
from lemon_trader.cli.running import ask_engine, keys_of, modes, named, place, running_engine, running_stores
from lemon_trader.cli.screen import print_text
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import check_symbol
from lemon_trader.config.settings import LIVE, SANDBOX
from lemon_trader.core.units import ACTIVE, MODE_NAMES
from lemon_trader.database.chain import JournalError
from lemon_trader.env_live import FolderStore
from lemon_trader.messages.catalogue import say

STOP: Final = "stop"
FLATTEN: Final = "flatten"
RESUME: Final = "resume"
JOURNAL: Final = "journal-000001"


def act(action: str, typed: Typed) -> int:
    """Do it wherever it can be done; the exit code. Raises BadSetting when the flags leave open which mode is meant."""
    console = Console(yes=bool(typed.flags.get("yes")), as_json=bool(typed.flags.get("json")))
    if len(typed.words) > 1:
        raise BadSetting("flag.stray-word", value=typed.words[1][:60])
    symbol = check_symbol(typed.words[0], action) if typed.words else ""
    running = running_engine(typed)
    code = _act_alone(action, typed, running_stores(typed), console) if running is None else _tell_engine(action, symbol, *running, console)
    console.finish()
    return code


def _tell_engine(action: str, symbol: str, mode: str, store: FolderStore, picture: Mapping[str, Any], console: Console) -> int:
    if action == RESUME and not halted(picture):
        print_text(say("latch.none"))
        console.result({"action": action, "done": True, "mode": mode, "running": True})
        return DONE
    if not _may(action, mode, store, picture, console):
        print_text(say("act.declined"))
        return REFUSED
    reply = ask_engine(mode, store, action, symbol=symbol) or {}
    done = "done" in reply
    ended = {"symbol": reply["symbol"]} if "symbol" in reply else {}
    console.result({"action": action, "done": done, "mode": mode, "running": True} | ended)
    if not done:
        print_text(say("running.refused", action=action, reason=reply.get("error", "-")))
        return FAILED
    print_text(say("done.stop-pair" if ended else f"done.{action}", mode=mode.upper(), **ended))
    return DONE


def halted(picture: Mapping[str, Any]) -> bool:
    """Whether a `resume` would lift anything. Where it would not, it is not given: the loss limits would be counted anew from there."""
    return picture["state"] != MODE_NAMES[ACTIVE] or any(market["frozen"] for market in picture["markets"])


def _may(action: str, mode: str, store: FolderStore, picture: Mapping[str, Any], console: Console) -> bool:
    """Show what a `resume` lifts and places, and in live what a `flatten` sells; True once the word for it was typed."""
    from lemon_trader.run.latch import show_latch, show_preview

    if action == RESUME:
        wanted: Sequence[Mapping[str, Any]] = (ask_engine(mode, store, "preview") or {}).get("preview", ())
        show_latch(console, picture)
        show_preview(console, wanted)
        return console.confirm(RESUME, "latch.confirm")
    if action == FLATTEN and mode == LIVE:
        for market in picture["markets"]:
            print_text(
                say(
                    "act.would-sell", symbol=market["symbol"], held=market["position"], base=market["base"], price=market["bid"],
                    unrealised=market["unrealised"] or "-", quote=market["quote"],
                )
            )  # fmt: skip
        return console.confirm(FLATTEN, "act.confirm-flatten")
    return True


def _act_alone(action: str, typed: Typed, stores: Mapping[str, FolderStore], console: Console) -> int:
    """No engine runs: only what rests at an exchange, and the journal, can be acted on. Live is acted on where it was named."""
    print_text(say("running.none", place=place(typed), modes=", ".join(modes(typed))))
    console.result({"action": action, "done": False, "running": False})
    used = [mode for mode, store in stores.items() if JOURNAL in store.names()]
    for store in stores.values():
        store.close()
    if action == STOP:
        print_text(say("act.nothing-to-stop"))
        return FAILED
    if not used:
        return FAILED
    asked = named(typed)
    if not asked and LIVE in used:
        raise BadSetting("act.name-live", action=action)
    mode = asked[0] if asked else used[0]
    if mode not in used or mode == SANDBOX:
        print_text(say("act.sandbox-gone" if mode == SANDBOX else "act.nothing-traded", mode=mode.upper()))
        return FAILED
    from lemon_trader.run.acts import ActSettings, run_act

    proxy = typed.flags.get("ws_proxy")
    try:
        keys = keys_of(typed) if mode == LIVE else None
        return run_act(ActSettings(action, mode, place(typed), keys, proxy), console)
    except JournalError as error:
        raise BadSetting("look.journal", mode=mode, reason=error) from error
