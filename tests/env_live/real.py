"""Real loops and little servers on loopback, for tests of the shells over sockets."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lemon_trader.env_live import LiveEnv, Proxies, new_loop

LOOPS = pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, new_loop], ids=["asyncio", "uvloop"])
LIMIT_S = 10


def run(
    main: Callable[[], Coroutine[Any, Any, Any]], make_loop: Callable[[], asyncio.AbstractEventLoop] = new_loop, limit_s: float = LIMIT_S
) -> Any:
    """Run one coroutine on a real loop, bounded."""
    loop = make_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main(), limit_s))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@asynccontextmanager
async def live_env(folder: Path, proxies: Proxies | None = None, tls: ssl.SSLContext | None = None, fails: list[str] | None = None):
    """An environment whose failures fail the test, or are collected in `fails`."""
    failures: list[tuple[str, BaseException]] = []
    env = LiveEnv(folder, lambda name, fault: failures.append((name, fault)), proxies=proxies or Proxies(environ={}), tls=tls)
    yield env
    await env.close()
    for name, fault in failures:
        if fails is None:
            raise AssertionError(f"{name} failed") from fault
        fails.append(f"{name}: {fault}")


@asynccontextmanager
async def tcp_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]], tls: ssl.SSLContext | None = None
):
    """A server on a free port; gives the port. Handlers still running at the end are cancelled."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went, or the test is over; a cancelled handler must not look like a failed one
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def until(true: Callable[[], Any], limit_s: float = 5) -> None:
    """Wait for something that happens on other tasks."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.002)


class Heard:
    """A listener of a wire that remembers."""

    def __init__(self) -> None:
        self.data = b""
        self.reads: list[bytes] = []
        self.lost: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.reads.append(data)

    def connection_lost(self, reason: str) -> None:
        self.lost.append(reason)


class HeardFeed:
    """A listener of a feed that remembers."""

    def __init__(self) -> None:
        self.reads: list[list[bytes]] = []
        self.closed: list[tuple[int, str]] = []

    @property
    def messages(self) -> list[bytes]:
        return [message for read in self.reads for message in read]

    def on_messages(self, payloads: list[bytes]) -> None:
        self.reads.append(payloads)

    def on_closed(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(a server's context, a client's that trusts it) for localhost, made on the spot."""
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("no openssl here to make a certificate with")
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = "subjectAltName=DNS:localhost"  # not the address, so that a name that does not fit can be tried
    make = [tool, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-addext", names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))
