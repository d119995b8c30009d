"""The account's keys: read only for a live start, checked for form, never shown.

`keys_for_live` is the one caller of `read_dotenv`. It is called where the mode is live: for a run, for `doctor` and the menu, for looks and
acts that name live, and by `init` for keys that were just typed. No other mode can open `.env`; a test holds a file there that nobody may
open.
"""

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Final

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.settings import Keys, Secret

API_NAMES: Final = ("API_KEY", "BACKPACK_KEY")
SECRET_NAMES: Final = ("SECRET_KEY", "BACKPACK_SECRET")
NAMES: Final = API_NAMES + SECRET_NAMES
DOTENV: Final = Path(".env")
DOTENV_BYTES_MAX: Final = 65_536
KEY_BYTES: Final = 32
OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO


def keys_are_present(flags: Mapping[str, object], environment: Mapping[str, str], dotenv: Path = DOTENV) -> bool:
    """True when keys were given, or when a `.env` lies there; it is not opened to find out."""
    named = any(flags.get(name) for name in ("api_key", "secret_key")) or any(environment.get(name) for name in NAMES)
    return named or os.path.lexists(dotenv)


def keys_for_live(flags: Mapping[str, object], environment: Mapping[str, str], dotenv: Path = DOTENV) -> Keys:
    """The key pair: each half from its flag, else the environment, else `.env`, which is opened only for a half that is missing.

    Raises:
        BadSetting: missing, unreadable, readable by others, malformed, or not the two halves of one pair.
    """
    given = {"api_key": (str(flags.get("api_key") or ""), "--api-key"), "secret_key": (str(flags.get("secret_key") or ""), "--secret-key")}
    found = {half: pair for half, pair in given.items() if pair[0]}
    _fill(found, environment, "environment")
    if len(found) < len(given) and os.path.lexists(dotenv):
        _fill(found, read_dotenv(dotenv), str(dotenv))
    if not found:
        raise BadSetting("keys.missing", api=API_NAMES[0], secret=SECRET_NAMES[0], file=dotenv)
    if len(found) < len(given):
        half, missing = (API_NAMES[0], SECRET_NAMES[0]) if "api_key" in found else (SECRET_NAMES[0], API_NAMES[0])
        raise BadSetting("keys.half", have=half, missing=missing)
    (api_key, api_source), (secret, secret_source) = found["api_key"], found["secret_key"]
    _check(api_key, secret, api_source, secret_source)
    return Keys(api_key, Secret(secret), api_source if api_source == secret_source else f"{api_source}, {secret_source}")


def read_dotenv(path: Path) -> dict[str, str]:
    """The names and values of a `.env`.

    Raises:
        BadSetting: not readable, readable or writable by others (with the exact chmod), or not lines of NAME=value.
    """
    from dotenv.parser import parse_stream  # noqa: PLC0415  only a live start pays for it

    try:
        with path.open("rb") as file:
            # Asked of the open file and not of the name, so that nothing can be put in its place in between.
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & OTHERS_MAY:
                raise BadSetting("keys.loose", file=path, mode=f"{stat.S_IMODE(mode):04o}", command=f"chmod 600 {path}")
            raw = file.read(DOTENV_BYTES_MAX + 1)
    except OSError as error:
        raise BadSetting("keys.unreadable", file=path, reason=error.strerror or type(error).__name__) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSetting("keys.not-text", file=path) from error
    if len(raw) > DOTENV_BYTES_MAX:
        raise BadSetting("keys.not-text", file=path)
    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            raise BadSetting("keys.bad-line", file=path, line=binding.original.line)
        if binding.key is not None and binding.value:
            values[binding.key] = binding.value
    return values


def _fill(found: dict[str, tuple[str, str]], values: Mapping[str, str], source: str) -> None:
    for half, names in (("api_key", API_NAMES), ("secret_key", SECRET_NAMES)):
        if half not in found:
            text = next((values[name] for name in names if values.get(name)), "")
            if text:
                found[half] = (text.strip(), source)


def _check(api_key: str, secret: str, api_source: str, secret_source: str) -> None:
    from nacl.bindings import crypto_sign_seed_keypair  # noqa: PLC0415  only a live start pays for it

    halves = []
    for text, name, source in ((api_key, API_NAMES[0], api_source), (secret, SECRET_NAMES[0], secret_source)):
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadSetting("keys.not-base64", name=name, source=source, length=len(text)) from error
        if len(raw) != KEY_BYTES:
            raise BadSetting("keys.wrong-length", name=name, source=source, bytes=len(raw), wanted=KEY_BYTES)
        halves.append(raw)
    public, seed = halves
    if crypto_sign_seed_keypair(seed)[0] != public:
        swapped = crypto_sign_seed_keypair(public)[0] == seed
        raise BadSetting("keys.swapped" if swapped else "keys.not-a-pair", api=API_NAMES[0], secret=SECRET_NAMES[0])
