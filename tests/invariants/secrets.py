"""I8: no byte written or sent holds the secret, in any spelling, nor eight of its characters in a row. Imports nothing of the program."""

import base64
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

import numpy as np

WINDOW = 8
PAIRS = 1 << 16


class Canary:
    """Looks for one secret in whatever bytes it is shown."""

    def __init__(self, secret: str) -> None:
        raw = secret.encode()
        forms = {
            secret,
            raw.hex(),
            raw.hex().upper(),
            quote(secret, safe=""),
            quote_plus(secret),
            secret.replace("+", "-").replace("/", "_"),
        }
        forms |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
        try:
            inner = base64.b64decode(secret, validate=True)
        except ValueError:
            inner = b""
        if inner:
            forms |= {inner.hex(), inner.hex().upper(), base64.urlsafe_b64encode(inner).decode()}
        self._windows = {form[i : i + WINDOW].encode() for form in forms for i in range(len(form) - WINDOW + 1)}
        self._begins, self._ends = np.zeros(PAIRS, dtype=bool), np.zeros(PAIRS, dtype=bool)  # by two bytes: a window begins, or ends, so
        for window in self._windows:
            self._begins[window[0] << 8 | window[1]] = self._ends[window[-2] << 8 | window[-1]] = True
        self._raw = inner
        self._seen = bytearray()
        self.found: list[str] = []

    def sent(self, data: bytes) -> None:
        """Bytes that left; kept and looked through at the end."""
        self._seen += data + b"\n"

    def look(self, name: str, data: bytes) -> None:
        """Look through a file's bytes, or an output's."""
        if self._raw and self._raw in data:
            self.found.append(f"I8: {name} holds the raw secret")
        if len(data) < WINDOW:
            return
        codes = np.frombuffer(data, dtype=np.uint8).astype(np.uint16)
        pairs = codes[:-1] << 8 | codes[1:]
        places = np.nonzero(self._begins[pairs[: 2 - WINDOW]] & self._ends[pairs[WINDOW - 2 :]])[0]
        hits = sum(data[place : place + WINDOW] in self._windows for place in places.tolist())
        if hits:
            self.found.append(f"I8: {name} holds {hits} stretches of the secret")

    def end(self, files: Iterable[tuple[str, bytes]]) -> None:
        """On the finished run."""
        self.look("what was sent", bytes(self._seen))
        for name, data in files:
            self.look(name, data)
