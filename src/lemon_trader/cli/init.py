"""`init`: questions that end in a settings file, and in a `.env` that nobody else can read. What exists is never written over unasked."""

import getpass
import json
import os
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lemon_trader.api.client import ReadLost
from lemon_trader.cli.console import is_attended
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doors import DONE, complain
from lemon_trader.cli.flags import HELP, WHICH, Group, Typed
from lemon_trader.cli.prompts import Prompts
from lemon_trader.cli.screen import print_text
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE, LANGUAGES, LIMITS, PAIR
from lemon_trader.config.keys import API_NAMES, BOX, DOTENV, SECRET_NAMES, keys_for_live
from lemon_trader.config.keys_box import PASSPHRASE_MIN, SALT_BYTES, seal
from lemon_trader.config.resolve import Request, check_symbol, preview
from lemon_trader.config.settings import LIVE, PAPER, SANDBOX, Keys
from lemon_trader.exchanges.signers import SecretError
from lemon_trader.messages.catalogue import say, speak, spoken
from lemon_trader.run.doctor.keys import ask_terms
from lemon_trader.run.sheets import percent
from lemon_trader.strategies.parameter import Parameter

FILE: Final = "lemon.toml"
BARE_KINDS: Final = frozenset({"pct", "quote", "price", "qty", "number", "int", "bool"})


def init_groups() -> Sequence[Group]:
    """The flags of `init`."""
    file = tuple(p for p in WHICH if p.name == "file")
    return [("group.house", (*file, *(p for p in HOUSE if p.name == "lang"), HELP))]


def init(typed: Typed, *, dotenv: Path = DOTENV, rest_url: str = "") -> int:
    """Ask, write, and say how to go on. `rest_url`: where keys are tried instead of at the real exchange, for tests. Raises BadSetting."""
    path = Path(typed.flags.get("file", FILE))
    if not is_attended():
        raise BadSetting("init.no-terminal", file=path, dotenv=dotenv)
    prompts = Prompts()
    print_text(say("init.head", file=path))
    try:
        language = prompts.choice("init.language", LANGUAGES, spoken())
        speak(language)
        mode = prompts.choice("init.mode", (SANDBOX, PAPER, LIVE), SANDBOX)
        text = _ask_text(prompts, language, mode)
        _write(prompts, path, text)
        _offer_keys(prompts, dotenv, rest_url)
    except EOFError:
        print()
        complain("init.unfinished", {})
        return DONE
    print_text(say("init.next", file=path))
    return DONE


def _ask_text(prompts: Prompts, language: str, mode: str) -> str:
    """The text of the settings file, asked for."""
    known = declarations()
    strategy = prompts.choice("menu.which-strategy", list(known), next(iter(known)))
    symbol = _ask_symbol(prompts)
    budget = next(p for p in (*known[strategy], *PAIR) if p.name == "budget")
    given = prompts.value(budget, None)
    print_text(say("init.limits"))
    limits = prompts.values(LIMITS, {})
    top = {"lang": json.dumps(language), "mode": json.dumps(mode)} | {p.name: _toml(p, limits[p.name]) for p in LIMITS if p.name in limits}
    pair = {"strategy": json.dumps(strategy), "symbol": json.dumps(symbol)}
    if given and given != ".":
        pair["budget"] = _toml(budget, given)
    return f"{_lines(top)}\n[[pair]]\n{_lines(pair)}"


def _ask_symbol(prompts: Prompts) -> str:
    while True:
        answer = prompts.line(f"{say('menu.which-market')} [SOL_USDC]: ") or "SOL_USDC"
        try:
            return check_symbol(answer, say("menu.which-market"))
        except BadSetting as error:
            prompts.refused(error)


def _toml(parameter: Parameter, text: str) -> str:
    """A checked value as TOML has it: numbers bare, everything else quoted."""
    bare = text.strip().removesuffix("%").strip().lstrip("+")
    return bare.lower() if parameter.kind in BARE_KINDS and bare[:1].isdigit() else json.dumps(text)


def _lines(values: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def _write(prompts: Prompts, path: Path, text: str) -> None:
    """Write the file once the resolver that a run uses has taken it; an old one is kept beside. Raises BadSetting."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        preview(Request(file=draft), declarations())
        print(f"\n{text}")
        if os.path.lexists(path):
            kept = path.with_name(f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}")
            if not prompts.yes("init.exists", file=path, kept=kept.name):
                print_text(say("init.not-written", file=path))
                return
            path.rename(kept)
        draft.rename(path)
        print_text(say("init.written", file=path))
    finally:
        draft.unlink(missing_ok=True)


def _offer_keys(prompts: Prompts, dotenv: Path, rest_url: str) -> None:
    """Write a file with keys that the exchange knows, where the reader wants that and there is none."""
    for path in (dotenv.with_name(BOX), dotenv):
        if os.path.lexists(path):
            print_text(say("init.env-exists", file=path))
            return
    if not prompts.yes("init.env-ask", file=dotenv):
        return
    while True:
        print_text(say("init.keys-hidden"))
        typed = {"api_key": getpass.getpass(f"{API_NAMES[0]}: ").strip(), "secret_key": getpass.getpass(f"{SECRET_NAMES[0]}: ").strip()}
        if not any(typed.values()):
            print_text(say("init.env-left-out", file=dotenv))
            return
        keys = _checked(typed, dotenv)
        if keys is not None and _is_known(prompts, keys, rest_url):
            path = _keep(dotenv, keys)
            print_text(say("init.env-written", file=path))
            return


def _keep(dotenv: Path, keys: Keys) -> Path:
    """Write the keys where the reader wants them: encrypted with a passphrase, or without one into `.env`; which file it was."""
    box = dotenv.with_name(BOX)
    print_text(say("init.passphrase-why", box=box, file=dotenv, least=PASSPHRASE_MIN))
    while True:
        passphrase = getpass.getpass(f"{say('init.passphrase')} ")
        if not passphrase:
            write_private(dotenv, f"{API_NAMES[0]}={keys.api_key}\n{SECRET_NAMES[0]}={keys.secret_key.reveal()}\n".encode())
            return dotenv
        if len(passphrase) < PASSPHRASE_MIN:
            complain("init.passphrase-short", {"least": PASSPHRASE_MIN})
        elif getpass.getpass(f"{say('init.passphrase-again')} ") != passphrase:
            complain("init.passphrase-differs", {})
        else:
            write_private(box, seal(keys.api_key, keys.secret_key.reveal(), passphrase, secrets.token_bytes(SALT_BYTES)))
            return box


def _checked(typed: Mapping[str, str], dotenv: Path) -> Keys | None:
    """The keys if their form is right; else what is wrong is said."""
    try:
        return keys_for_live(typed, {}, dotenv)
    except BadSetting as error:
        complain(error.key, error.values | {"source": say("init.typed")} if "source" in error.values else error.values)
        return None


def _is_known(prompts: Prompts, keys: Keys, rest_url: str) -> bool:
    """Whether the exchange knows the keys, or the reader wants them written although it could not be asked."""
    try:
        terms = ask_terms(keys, rest_url=rest_url)
    except (ReadLost, SecretError, OSError) as error:
        complain("init.keys-not-taken", {"reason": str(error)})
        return prompts.yes("init.keys-anyway")
    print_text(say("init.keys-work", maker=percent(terms.spot_maker_ppm), taker=percent(terms.spot_taker_ppm)))
    return True


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that its owner alone can read. Raises OSError, also where the file exists."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
