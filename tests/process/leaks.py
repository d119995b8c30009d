"""Whether bytes hold a secret: in any of its spellings, or a stretch of one.

Eight characters of base64 are six bytes and no accident. Eight of hexadecimal may all be digits, and any price or time may be those: of
hexadecimal a stretch is eight bytes.
"""

import base64
from pathlib import Path
from urllib.parse import quote

WINDOW = 8
HEX_WINDOW = 2 * WINDOW


def leaks(data: bytes, secret: str) -> list[str]:
    """The stretches that were found. The API key, which is public, is no secret."""
    raw = secret.encode()
    seed = base64.b64decode(secret)
    forms = {secret, quote(secret, safe=""), base64.b64encode(raw).decode()}
    forms |= {form.replace("+", "-").replace("/", "_") for form in forms}
    hexes = {form for text in (raw.hex(), seed.hex()) for form in (text, text.upper())}
    windows = {window for form in forms for window in _windows(form.encode(), WINDOW)}
    windows |= {window for form in hexes for window in _windows(form.encode(), HEX_WINDOW)}
    windows |= set(_windows(seed, WINDOW))
    return [repr(window) for window in windows if window in data]


def _windows(form: bytes, length: int) -> list[bytes]:
    return [form[i : i + length] for i in range(len(form) - length + 1)]


def leaks_in(folder: Path, secret: str, *, besides: frozenset[str] = frozenset()) -> list[str]:
    """The same of every byte of every file under a folder, names included; `besides`: files that the user wrote the secret into."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in besides:
            found += [f"{path.name}: {where}" for where in leaks(path.read_bytes() + path.name.encode(), secret)]
    return found
