"""Who may pass the operator's door: judged from a request's head alone, before anything of it is read.

The door listens on loopback, and that is not enough: any page that a browser on this machine shows may send requests there, and a foreign
name may be made to lead to 127.0.0.1. So the host must be ours by name, the origin ours where one is told, the token right, and what acts
must be JSON, which no foreign page can send without asking first. Nothing is ever allowed to other origins.
"""

import hmac
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lemon_trader.core.units import US_PER_MS, US_PER_S

TOKEN_HEADER: Final = "X-Admin-Token"  # noqa: S105  the name of a header
TRIES_A_MINUTE: Final = 30  # wrong tokens before the door stays shut for the rest of it
KEPT: Final = 50
MINUTE_US: Final = 60 * US_PER_S
HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


class Refused(msgspec.Struct, frozen=True):
    """Why a request does not pass."""

    status: int
    reason: str


class Door:
    """One door with its token.

    Attributes:
        refused: how often, by reason.
        log: the newest refusals.
    """

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._minute = (0, 0)  # (which, wrong tokens in it)
        self.refused: Counter[str] = Counter()
        self.log: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def refuses(self, method: str, path: str, headers: Mapping[str, str], wall_us: int, *, is_open: bool = False) -> Refused | None:
        """Why this request may not pass; None = it may. `is_open`: what it asks for tells nothing and needs no token."""
        found = self._judged(method, headers, wall_us, is_open=is_open)
        if found is not None:
            self.refused[found.reason] += 1
            shown = "".join(c for c in path[:80] if c.isprintable())
            self.log.appendleft({"at_ms": wall_us // US_PER_MS, "reason": found.reason, "method": method[:10], "path": shown})
        return found

    def _judged(self, method: str, headers: Mapping[str, str], wall_us: int, *, is_open: bool) -> Refused | None:
        if headers.get("Host", "") not in self._hosts:
            return Refused(421, "foreign host name")
        origin = headers.get("Origin")
        if origin is not None and origin not in self._origins:
            return Refused(403, "foreign origin")
        if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            return Refused(403, "foreign page")
        if method not in {"GET", "HEAD", "POST"}:
            return Refused(405, "method")
        if is_open:
            return None
        minute, tries = self._minute
        if minute == wall_us // MINUTE_US and tries >= TRIES_A_MINUTE:
            return Refused(429, "too many wrong tokens")
        given = headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            self._minute = (wall_us // MINUTE_US, tries + 1 if minute == wall_us // MINUTE_US else 1)
            return Refused(401, "wrong token" if given else "no token")
        if method == "POST" and headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            return Refused(415, "not JSON")
        return None
