"""The control channel: faces in other processes ask for a picture or give a command. Loopback only; only the owner can read the token.

One JSON object a line in, one a line out. A face can come and go; nothing it does can stall the engine's turn.
"""

import asyncio
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any, Final

from lemon_trader.env import Store

LINE_MAX: Final = 4_096
PICTURE_S: Final = 0.25  # however many faces ask, a picture is made at most four times a second
ACTIONS: Final = ("stop", "cancel", "kill", "flatten", "resume")
WORDS: Final = (("origin", "control", 40), ("detail", "", 200), ("symbol", "", 60))  # of an action: name, usual value, longest
FILE: Final = "control.json"


class ControlServer:
    """Listens on a free loopback port and writes where, with the token, into the store."""

    def __init__(
        self, store: Store, picture: Callable[[], dict[str, Any]], command: Callable[[str, str, str, str], dict[str, Any]],
        preview: Callable[[], list[dict[str, Any]]] = list, edit: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> None:  # fmt: skip
        """Know who answers.

        Args:
            store: where the address is written.
            picture: gives a snapshot.
            command: `(action, origin, detail, symbol)` acts, and gives the answer.
            preview: says what a resume would place.
            edit: changes a pair's parameters, or says what that would change; takes the whole request and gives the answer.
        """
        self._store = store
        self._picture = picture
        self._preview = preview
        self._command = command
        self._edit = edit
        self._token = secrets.token_urlsafe(32)
        self._server: asyncio.Server | None = None
        self._shown: tuple[float, dict[str, Any]] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LINE_MAX)
        port = self._server.sockets[0].getsockname()[1]
        self._store.replace(FILE, json.dumps({"port": port, "token": self._token}).encode())

    async def stop(self) -> None:
        """Stop listening and forget the token."""
        if self._server is not None:
            self._server.close()
            self._store.replace(FILE, b"")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError):
            pass  # a face that sends too much, or went away: its own loss
        finally:
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"error": "not one JSON object a line"}
        if not isinstance(request, dict) or not hmac.compare_digest(str(request.get("token", "")), self._token):
            return {"error": "wrong token"}
        action = request.get("action")
        if action == "status":
            return {"status": self._recent_picture()}
        if action == "preview":
            return {"preview": self._preview(), "status": self._picture()}
        if action in ACTIONS:
            self._shown = None  # whoever commands sees what came of it
            words = (str(request.get(name, usual))[:most] for name, usual, most in WORDS)
            return self._command(str(action), *words)
        if action == "edit":
            self._shown = None
            return self._edit(request)
        return {"error": f"unknown action {str(action)[:40]!r}; known are status, preview, edit, {', '.join(ACTIONS)}"}

    def _recent_picture(self) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        if self._shown is None or not 0 <= now - self._shown[0] < PICTURE_S:
            self._shown = (now, self._picture())
        return self._shown[1]


async def ask(store: Store, action: str, *, origin: str = "cli", wait_s: float = 5.0, **more: Any) -> dict[str, Any] | None:
    """One question to the running engine of this store, `more` in it as it is; None when none runs.

    Raises:
        TimeoutError: it runs and does not answer within `wait_s`.
    """
    where = store.read(FILE)
    if not where:
        return None
    address = json.loads(where)
    async with asyncio.timeout(wait_s):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(address["port"]), limit=4_000_000)
        except ConnectionError:
            return None
        try:
            writer.write(json.dumps({"token": address["token"], "action": action, "origin": origin, **more}).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
    return dict(json.loads(line)) if line else None
