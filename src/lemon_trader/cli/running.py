"""Find the stores that engines used here, and talk to the engine of one, if it lives."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lemon_trader.cli.flags import HELP, KEYS, MODE_FLAGS, Group, Typed
from lemon_trader.cli.trade import request_of
from lemon_trader.config.errors import BadSetting, raise_all
from lemon_trader.config.general import ANSWERS, HOUSE
from lemon_trader.config.keys import keys_for_live
from lemon_trader.config.model import read
from lemon_trader.config.settings import LOCK_FILE, MODES, Keys
from lemon_trader.config.sources import Layers
from lemon_trader.engine.control import ask
from lemon_trader.env_live import FolderStore

OURS: Final = tuple(p for p in HOUSE if p.name in {"lang", "data_dir", "json"})
PROXY: Final = tuple(p for p in HOUSE if p.name == "ws_proxy")
YES: Final = tuple(p for p in ANSWERS if p.name == "yes")


def groups() -> Sequence[Group]:
    """The flags of a command that looks at what an engine left on this machine."""
    return [("group.house", (*MODE_FLAGS, *OURS, HELP))]


def look_groups() -> Sequence[Group]:
    """The flags of a command that may also ask the exchange."""
    return [("group.house", (*MODE_FLAGS, *KEYS, *OURS, HELP))]


def act_groups() -> Sequence[Group]:
    """The flags of a command that acts."""
    return [("group.house", (*MODE_FLAGS, *KEYS, *OURS, *PROXY, *YES, HELP))]


def running_stores(typed: Typed) -> dict[str, FolderStore]:
    """The store of each mode that was ever used here, or of the one that the flags name."""
    return {mode: FolderStore(place(typed) / mode) for mode in modes(typed) if (place(typed) / mode).is_dir()}


def modes(typed: Typed) -> Sequence[str]:
    """The modes that the flags name; all of them where they name none."""
    return named(typed) or MODES


def named(typed: Typed) -> Sequence[str]:
    """The modes that the flags name. Raises BadSetting for two."""
    found = [mode for mode in MODES if typed.flags.get(mode)]
    if len(found) > 1:
        raise BadSetting("mode.many", modes=", ".join(f"--{mode}" for mode in found))
    return found


def keys_of(typed: Typed) -> Keys:
    """The account's keys, for a command that names live. Raises BadSetting."""
    request = request_of(typed)
    return keys_for_live(request.flags, request.environment, request.dotenv)


def running_engine(typed: Typed) -> tuple[str, FolderStore, dict[str, Any]] | None:
    """(mode, store, picture) of the one engine that runs here; None where none does. Raises BadSetting where several do."""
    stores = running_stores(typed)
    pictures = {mode: reply["status"] for mode, store in stores.items() if (reply := ask_engine(mode, store, "status")) is not None}
    if len(pictures) > 1:
        raise BadSetting("running.several", modes=", ".join(f"--{mode}" for mode in pictures))
    return next(((mode, stores[mode], picture) for mode, picture in pictures.items()), None)


def ask_engine(mode: str, store: FolderStore, action: str, **more: Any) -> dict[str, Any] | None:
    """The engine's reply; None where none runs.

    Raises:
        BadSetting: one is there and keeps silent, so its state is not known; or it refuses.
    """
    try:
        reply = asyncio.run(ask(store, action, **more))
    except (
        TimeoutError,
        ValueError,
    ) as error:  # silent, or not one of ours: an engine that died leaves its address, and ports are used again
        if is_dead(store):
            return None
        raise BadSetting("running.silent", mode=mode.upper()) from error
    raise_all([BadSetting(str(key), **values) for key, values in (reply or {}).get("refused", ())])
    return reply


def is_dead(store: FolderStore) -> bool:
    """True when nobody holds the engine's lock of this store."""
    free = store.lock(LOCK_FILE)
    if free:
        store.close()
    return free


def place(typed: Typed) -> Path:
    """The folder of everything written. Raises BadSetting."""
    request = request_of(typed)
    given = Layers(request.flags, request.environment, None, request.flag_words).collect(["data_dir"])
    parameter = tuple(p for p in OURS if p.name == "data_dir")
    values = read("place", parameter, {k: g.value for k, g in given.items()}, {k: g.origin for k, g in given.items()})
    return Path(str(values["data_dir"]))
