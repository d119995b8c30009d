"""A TCP proxy that spoils what passes: resets, stalls, half-open connections, a slow drip, bytes twice. By a seeded draw for each piece.

It knows nothing of HTTP or WebSocket. What was spoiled is counted by its name, so that a test can assert that it happened.
"""

import asyncio
import random
import socket
import struct
from collections import Counter, deque
from urllib.parse import urlsplit

RESET, STALL, HALF_OPEN, DRIP, TWICE, CUT = "reset", "stall", "half-open", "drip", "twice", "cut in the middle"
HONEST = 4  # pieces between two faults that are owed
FAULTS = (RESET, STALL, HALF_OPEN, DRIP, TWICE, CUT)


class TcpProxy:
    """Stands before one address.

    Attributes:
        odds: the part of the pieces that is spoiled, 0 … 1; 0 = an honest proxy.
        owed: what happens before chance has its say, one fault after every few pieces: a slow machine sends too few for chance alone.
        faults: what may happen to one.
        met: how often each did.
        passed: every byte that went through, both ways, for whoever looks for something in it.
    """

    def __init__(self, url: str, seed: int, faults: tuple[str, ...] = FAULTS) -> None:
        parts = urlsplit(url)
        self._scheme, self._path = parts.scheme, parts.path
        self._target = (parts.hostname, parts.port)
        self._chance = random.Random(seed)
        self.odds = 0.0
        self.owed: deque[str] = deque()
        self._honest = 0  # pieces since the last one that was owed
        self.faults = faults
        self.met: Counter[str] = Counter()
        self.passed = bytearray()
        self._open: set[asyncio.StreamWriter] = set()
        self._half: set[asyncio.StreamWriter] = set()  # their other side is cut off and does not know

    async def start(self) -> str:
        """Listen; the address to use instead."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"{self._scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._path}"

    async def stop(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    def heal(self) -> None:
        """From now on everything passes; what is half open is ended, as a router does after a while."""
        self.odds = 0.0
        for writer in list(self._half):
            writer.transport.abort()

    def owe(self) -> None:
        """Let each fault happen once, in a drawn order."""
        self.owed.extend(self._chance.sample(self.faults, len(self.faults)))

    def _draw(self) -> str:
        self._honest += 1
        if self.owed and self._honest > HONEST:
            self._honest = 0
            return self.owed.popleft()
        return self._chance.choice(self.faults) if self._chance.random() < self.odds else ""

    async def _accept(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection(*self._target)
        except OSError:
            near.transport.abort()
            return
        both = {near, far}
        self._open |= both
        try:
            await asyncio.gather(self._pass(near_reader, far, near), self._pass(far_reader, near, far))
        except (ConnectionError, EOFError):
            pass  # the end of a connection is nothing special here
        finally:
            for writer in both:
                writer.transport.abort()
            self._open -= both
            self._half -= both

    async def _pass(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        while piece := await reader.read(16_384):
            self.passed += piece
            fault = self._draw() if self.odds else ""
            if fault:
                self.met[fault] += 1
            match fault:
                case "reset":
                    for writer in (to, back):
                        _reset(writer)
                    raise ConnectionResetError
                case "cut in the middle":
                    to.write(piece[: self._chance.randrange(len(piece))])
                    await to.drain()
                    raise EOFError
                case "half-open":
                    self._half |= {to, back}
                    while await reader.read(16_384):
                        continue  # swallowed: this side thinks all is well
                    raise EOFError
                case "stall":
                    await asyncio.sleep(self._chance.uniform(0.1, 1.0))
                    to.write(piece)
                case "drip":
                    for at in range(min(len(piece), 200)):
                        to.write(piece[at : at + 1])
                        await asyncio.sleep(0.001)
                    to.write(piece[200:])
                case "twice":
                    to.write(piece + piece)
                case _:
                    to.write(piece)
            await to.drain()
        raise EOFError


def _reset(writer: asyncio.StreamWriter) -> None:
    """End it with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
