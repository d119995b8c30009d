"""The account's keys: read only for a live start, checked for form, never shown.

`keys_for_live` is the one caller of `read_dotenv`. It is called where the mode is live: for a run, for `doctor` and the menu, for looks and
acts that name live, and by `init` for keys that were just typed. No other mode can open `.env` or a key file; a test holds files there that
nobody may open.

Where a half of the pair is looked for, in this order: its flag; the environment; the encrypted file that `KEY_FILE` names; the system's
keyring, where `KEY_RING` names an entry; an encrypted `keys.box` beside `.env`; `.env`.
"""

import base64
import binascii
import getpass
import os
import stat
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Final

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.keys_box import unseal
from lemon_trader.config.settings import Keys, Secret

API_NAMES: Final = ("API_KEY", "BACKPACK_KEY")
SECRET_NAMES: Final = ("SECRET_KEY", "BACKPACK_SECRET")
FILE_NAME: Final = "KEY_FILE"
RING_NAME: Final = "KEY_RING"
PHRASE_NAME: Final = "KEY_PASSPHRASE"
PRESENT: Final = (*API_NAMES, *SECRET_NAMES, FILE_NAME, RING_NAME)
NAMES: Final = (*PRESENT, PHRASE_NAME)  # what no program that we start finds in its environment
BOX: Final = "keys.box"
BOX_BYTES_MAX: Final = 16_384
SERVICE: Final = "lemon-trader"  # in the system's keyring; users are `ENTRY api-key` and `ENTRY secret-key`
RING_EXTRA: Final = "python -m pip install -r requirements-keyring.txt"
DOTENV: Final = Path(".env")
DOTENV_BYTES_MAX: Final = 65_536
KEY_BYTES: Final = 32
OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO


def keys_are_present(flags: Mapping[str, object], environment: Mapping[str, str], dotenv: Path = DOTENV) -> bool:
    """True when keys were given, or when a `.env` or an encrypted file lies there; neither is opened to find out."""
    named = any(flags.get(name) for name in ("api_key", "secret_key")) or any(environment.get(name) for name in PRESENT)
    return named or os.path.lexists(dotenv) or os.path.lexists(dotenv.with_name(BOX))


def keys_for_live(flags: Mapping[str, object], environment: Mapping[str, str], dotenv: Path = DOTENV) -> Keys:
    """The key pair: each half from the first place that has it; a file is opened only for a half that is missing.

    Raises:
        BadSetting: missing, unreadable, readable by others, malformed, the wrong passphrase, or not the two halves of one pair.
    """
    given = {"api_key": (str(flags.get("api_key") or ""), "--api-key"), "secret_key": (str(flags.get("secret_key") or ""), "--secret-key")}
    found = {half: pair for half, pair in given.items() if pair[0]}
    _fill(found, environment, "environment")
    if len(found) < len(given) and environment.get(FILE_NAME):
        _fill(found, read_box(Path(environment[FILE_NAME]), environment), environment[FILE_NAME])
    if len(found) < len(given) and environment.get(RING_NAME):
        _fill(found, read_ring(environment[RING_NAME]), f"{RING_NAME} {environment[RING_NAME]}")
    box = dotenv.with_name(BOX)
    if len(found) < len(given) and os.path.lexists(box):
        _fill(found, read_box(box, environment), str(box))
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

    raw = _read_tight(path, DOTENV_BYTES_MAX)
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


def read_box(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Names and values of an encrypted key file. Its passphrase is asked for where somebody sits, else it stands in the environment.

    Raises:
        BadSetting: as `read_dotenv`; nobody to ask; the wrong passphrase; another kind of file.
    """
    raw = _read_tight(path, BOX_BYTES_MAX)
    passphrase = environment.get(PHRASE_NAME, "")
    if not passphrase:
        if not sys.stdin.isatty():
            raise BadSetting("keys.no-passphrase", file=path, name=PHRASE_NAME)
        passphrase = getpass.getpass(f"{PHRASE_NAME} ({path}): ")
    api_key, secret = unseal(raw, passphrase, str(path))
    return {API_NAMES[0]: api_key, SECRET_NAMES[0]: secret}


def read_ring(entry: str) -> dict[str, str]:
    """Names and values of an entry of the system's keyring. Raises BadSetting: the library or the entry is not there."""
    try:
        import keyring  # noqa: PLC0415  the extra
        import keyring.errors  # noqa: PLC0415
    except ImportError as error:
        raise BadSetting("keys.no-keyring", name=RING_NAME, command=RING_EXTRA) from error
    try:
        halves = [keyring.get_password(SERVICE, f"{entry} {half}") for half in ("api-key", "secret-key")]
    except keyring.errors.KeyringError as error:
        raise BadSetting("keys.ring-locked", name=RING_NAME, entry=entry, reason=type(error).__name__) from error
    if None in halves:
        command = f'keyring set {SERVICE} "{entry} api-key"'
        raise BadSetting("keys.ring-empty", name=RING_NAME, entry=entry, command=command, second=command.replace("api-key", "secret-key"))
    return {API_NAMES[0]: str(halves[0]), SECRET_NAMES[0]: str(halves[1])}


def _read_tight(path: Path, bytes_max: int) -> bytes:
    """A short file that nobody else may read or write, up to one byte more than `bytes_max`. Raises BadSetting."""
    try:
        with path.open("rb") as file:
            # Asked of the open file and not of the name, so that nothing can be put in its place in between.
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & OTHERS_MAY:
                raise BadSetting("keys.loose", file=path, mode=f"{stat.S_IMODE(mode):04o}", command=f"chmod 600 {path}")
            return file.read(bytes_max + 1)
    except OSError as error:
        raise BadSetting("keys.unreadable", file=path, reason=error.strerror or type(error).__name__) from error


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
