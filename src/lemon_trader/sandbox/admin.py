"""The operator's door on a port of its own: the status page, looks, acts, and the document of the exchange's protocol.

    GET  /                        the page; it tells nothing by itself
    GET  /openapi.json            the protocol that the exchange speaks
    GET  /api/look?symbol=&interval=   /api/accounts   /api/ledger   /api/fills?account=&limit=   /api/faults   /api/acts
    POST /api/<act>               a JSON object; `GET /api/acts` names the acts and their fields

Everything under /api wants the token, which is made anew at each start and stands behind the # of the address that is printed: a browser
sends that part to nobody.
"""

import asyncio
import errno
import secrets
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from lemon_trader.exchanges.backpack.server import to_json
from lemon_trader.sandbox import looks
from lemon_trader.sandbox.door import HEADERS, Door, Refused
from lemon_trader.sandbox.openapi import document
from lemon_trader.sandbox.operator import Operator, OperatorRefused
from lemon_trader.sandbox.page import page
from lemon_trader.sandbox.server import HOST, PortInUse, RunningSandbox

BODY_BYTES_MAX: Final = 64 * 1024
QUERY_FIELDS_MAX: Final = 10
REQUEST_S: Final = 5  # a request that takes longer to arrive is a slow client's
AT_ONCE: Final = 32
CLOSE_S: Final = 1
API: Final = "/api/"
OPEN: Final = frozenset({"/", "/openapi.json"})


class AdminServer:
    """The door of one sandbox.

    Attributes:
        token: what everybody must show.
        door: who was refused, and why.
    """

    def __init__(self, sandbox: RunningSandbox, language: str = "en") -> None:
        self._sandbox = sandbox
        self._language = language
        self._operator = Operator(sandbox.app, sandbox.steering, sandbox.clock, sandbox.catch_up)
        self._runner: web.ServerRunner | None = None
        self._busy = 0
        self.token = secrets.token_urlsafe(24)
        self.port = 0
        self.door = Door(self.token, 0)

    @property
    def url(self) -> str:
        """The page's address without its token."""
        return f"http://{HOST}:{self.port}/"

    async def listen(self, port: int) -> None:
        """Open the door. Raises PortInUse."""
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=CLOSE_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port, reuse_address=True).start()
        except OSError as error:
            await self._runner.cleanup()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"port {port} is already in use; choose another with --admin-port, or 0 for any free one") from None
            raise
        self.port = self._runner.addresses[0][1]
        self.door = Door(self.token, self.port)

    async def stop(self) -> None:
        """Close it. Harmless when called again."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        refused = self.door.refuses(request.method, path, request.headers, self._sandbox.clock.wall_us(), is_open=path in OPEN)
        if refused is None and self._busy >= AT_ONCE:
            refused = Refused(503, "busy")
        if refused is not None:
            return _json({"error": refused.reason}, refused.status, close=True)
        self._busy += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                body = await _body(request)
        except (TimeoutError, ConnectionError):
            return _json({"error": "the request took too long"}, 408, close=True)
        finally:
            self._busy -= 1
        if body is None:
            return _json({"error": f"a body of more than {BODY_BYTES_MAX} bytes"}, 413, close=True)
        if path == "/":
            return self._page()
        try:
            fields = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX))
        except ValueError:
            return _json({"error": "too many parameters"}, 400)
        if path == "/openapi.json":
            return _json(document(self._sandbox.rest_url, self._sandbox.ws_url))
        if not path.startswith(API):
            return _json({"error": "there is nothing here"}, 404)
        name = path.removeprefix(API)
        return self._act(name, body) if request.method == "POST" else self._look(name, fields)

    def _page(self) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = (*HEADERS, ("Content-Security-Policy", policy))
        return web.Response(text=page(self._language, nonce), content_type="text/html", headers=headers)

    def _act(self, name: str, body: bytes) -> web.Response:
        if name not in self._operator.acts:
            return _json({"error": f"no act is called {name[:40]!r}; there are {', '.join(self._operator.acts)}"}, 404)
        try:
            self._operator.do(name, body)
        except OperatorRefused as refused:
            return _json({"error": str(refused)}, 400)
        return _json({"done": name})

    def _look(self, name: str, fields: dict[str, str]) -> web.Response:
        app = self._sandbox.app
        match name:
            case "look":
                self._sandbox.catch_up()
                seen = looks.picture(
                    app, self._sandbox.steering, self._sandbox.clock.speed_ppm, fields.get("symbol", ""), fields.get("interval", "")
                )
                return _json(seen | {"refused": dict(self.door.refused), "refusals": list(self.door.log)})
            case "accounts":
                return _json(looks.accounts(app.desk))
            case "ledger":
                return _json(looks.ledger(app.desk))
            case "fills":
                limit = fields.get("limit", "100")
                if not limit.isascii() or not limit.isdigit() or not 0 < int(limit[:9]) <= looks.ROWS_MAX:
                    return _json({"error": f"limit must be 1 to {looks.ROWS_MAX}"}, 400)
                return _json(looks.fills(app.desk, fields.get("account", ""), int(limit)))
            case "faults":
                return _json(looks.faults(app))
            case "acts":
                shapes = {act: msgspec.json.schema(shape) for act, shape in self._operator.acts.items()}
                return _json(shapes)
            case _:
                return _json({"error": "there is nothing here"}, 404)


async def _body(request: web.BaseRequest) -> bytes | None:
    """The body; None when it is too large."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)


def _json(value: Any, status: int = 200, *, close: bool = False) -> web.Response:
    headers = (*HEADERS, ("Content-Security-Policy", "default-src 'none'"))
    response = web.Response(body=to_json(value), status=status, content_type="application/json", headers=headers)
    if close:
        response.force_close()
    return response
