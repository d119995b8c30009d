"""Whether bytes hold a secret: in any of its spellings, or eight characters in a row of one."""

import base64
from pathlib import Path
from urllib.parse import quote

WINDOW = 8


def leaks(data: bytes, secret: str) -> list[str]:
    """The stretches that were found. The API key, which is public, is no secret."""
    raw = secret.encode()
    seed = base64.b64decode(secret)
    forms = {secret, raw.hex(), quote(secret, safe=""), base64.b64encode(raw).decode(), seed.hex()}
    forms |= {form.replace("+", "-").replace("/", "_") for form in forms} | {form.upper() for form in (raw.hex(), seed.hex())}
    windows = {form[i : i + WINDOW].encode() for form in forms for i in range(len(form) - WINDOW + 1)}
    windows |= {seed[i : i + WINDOW] for i in range(len(seed) - WINDOW + 1)}
    return [repr(window) for window in windows if window in data]


def leaks_in(folder: Path, secret: str, *, besides: frozenset[str] = frozenset()) -> list[str]:
    """The same of every byte of every file under a folder, names included; `besides`: files that the user wrote the secret into."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in besides:
            found += [f"{path.name}: {where}" for where in leaks(path.read_bytes() + path.name.encode(), secret)]
    return found
