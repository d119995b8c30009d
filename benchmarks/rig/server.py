"""The far side of the rig: a depth stream that moves every half millisecond, and a door that takes the clock when it has read an order.

One process, one thread, plain sockets under `select`, so that what it adds is small and the same for everybody. The market is scripted: in
each cycle one frame brings the asks back at a new price (ON: whoever makes a market places now), one takes them away (OFF: he cancels),
and the frames between change a level far away, which is nobody's business. The account behind the door is the sandbox's: real orders, real
checks of signatures, real answers and account streams.

    python benchmarks/rig/server.py --cycles 1000

prints one line with the addresses and the account when ready, and one with all times when it has seen its cycles.
"""

import argparse
import base64
import hashlib
import json
import select
import socket
import struct
import sys
import time
from typing import Any

from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.world import EMPTY, World, WorldOptions, make_world

SYMBOL = "SOL_USDC"
FRAMES = 8  # in a cycle; ON is the first, OFF the one in the middle
WARM = 150  # cycles with an order that are thrown away
GIVE_UP_S = 60
BID, ASK, MOVE = 15_000, 15_010, 20  # ticks of 0.01; every other cycle is MOVE higher: beyond a maker's tolerance, below his half spread
ORDER_PATHS = ("/api/v1/order", "/api/v1/orders")
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Market:
    """The scripted book and its frames."""

    def __init__(self, frames: int = FRAMES) -> None:
        self.frames = frames
        self.update_id = 1_000_000
        self.bids = {BID - 10 * n: 500 + n for n in range(20)}
        self.asks = {ASK + 2_000 + 10 * n: 500 + n for n in range(20)}
        self._near: list[int] = []
        self.cycle = 0

    def frame(self, number: int) -> bytes:
        """The frame `number` of the current cycle."""
        bids: list[tuple[int, int]] = []
        asks: list[tuple[int, int]] = []
        if number == 0:
            shift = MOVE * (self.cycle % 2)
            self._near = [ASK + shift + 10 * n for n in range(3)]
            asks = [(price, 700) for price in self._near]
            bids = [(BID + shift, 400 + self.cycle % 50)]
        elif number == self.frames // 2:
            asks = [(price, 0) for price in self._near] + [(price, 0) for price in self.asks if price not in self._near]
            bids = [(BID + MOVE, 0)] if self.cycle % 2 else []
        elif number == self.frames // 2 + 1:
            pass
        else:
            bids = [(BID - 150, 300 + self.cycle % 90 + number)]
        self.update_id += 1
        for book, changes in ((self.bids, bids), (self.asks, asks)):
            for price, lots in changes:
                if lots:
                    book[price] = lots
                else:
                    book.pop(price, None)
        now_us = time.time_ns() // 1_000
        data = {
            "e": "depth", "E": now_us, "T": now_us, "s": SYMBOL, "U": self.update_id, "u": self.update_id,
            "a": _levels(asks), "b": _levels(bids),
        }  # fmt: skip
        return json.dumps({"data": data, "stream": f"depth.{SYMBOL}"}, separators=(",", ":")).encode()

    def ticker(self) -> bytes:
        """What the exchange says each second."""
        data = {
            "e": "ticker",
            "E": time.time_ns() // 1_000,
            "s": SYMBOL,
            "o": "150.00",
            "c": "150.05",
            "h": "151",
            "l": "149",
            "v": "1",
            "V": "1",
            "n": 1,
        }
        return json.dumps({"data": data, "stream": f"ticker.{SYMBOL}"}, separators=(",", ":")).encode()

    def depth(self) -> bytes:
        """The whole book, as a read gives it."""
        bids, asks = sorted(self.bids.items()), sorted(self.asks.items())
        body = {"lastUpdateId": str(self.update_id), "timestamp": time.time_ns() // 1_000, "bids": _levels(bids), "asks": _levels(asks)}
        return json.dumps(body).encode()


def _levels(rows: list[tuple[int, int]]) -> list[list[str]]:
    return [[f"{ticks // 100}.{ticks % 100:02d}", f"{lots // 100}.{lots % 100:02d}"] for ticks, lots in rows]


class Peer:
    """One connection, whatever it speaks."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.is_stream = False
        self.wants: set[str] = set()
        self.account: Any = None

    def put(self, payload: bytes) -> None:
        """Send one text message."""
        size = len(payload)
        head = struct.pack("!BB", 0x81, size) if size < 126 else struct.pack("!BBH", 0x81, 126, size)
        self.sock.sendall((head if size < 65_536 else struct.pack("!BBQ", 0x81, 127, size)) + payload)


class Rig:
    """Server, market and stopwatch."""

    def __init__(self, world: World, cycles: int, pace_us: int, frames: int) -> None:
        self.world = world
        self.market = Market(frames)
        self.cycles = cycles
        self.pace_ns = pace_us * 1_000
        self.door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.peers: dict[socket.socket, Peer] = {}
        self.begun_ns = time.monotonic_ns()
        self.on_ns = self.off_ns = 0
        self.places: list[int] = []  # arrivals in this cycle
        self.cancels: list[int] = []
        self.rows: list[tuple[int, int, int, int, int]] = []  # first and last place, how many; first and last cancel
        self.seen = 0
        self.refused = 0
        self.empty = 0

    def now_us(self) -> int:
        return self.world.start_us + (time.monotonic_ns() - self.begun_ns) // 1_000

    def run(self) -> None:
        number = 0
        next_ns = time.monotonic_ns()
        next_second = 0
        until = time.monotonic() + GIVE_UP_S
        while len(self.rows) < self.cycles and time.monotonic() < until:
            now_ns = time.monotonic_ns()
            if now_ns >= next_ns:
                listeners = [p for p in self.peers.values() if f"depth.{SYMBOL}" in p.wants]
                if listeners:
                    if number == 0:
                        self._close_cycle()
                        if now_ns >= next_second:
                            next_second = now_ns + 1_000_000_000
                            for peer in listeners:
                                peer.put(self.market.ticker())
                    payload = self.market.frame(number)
                    at_ns = time.monotonic_ns()
                    for peer in listeners:
                        peer.put(payload)
                    if number == 0:
                        self.on_ns = at_ns
                    elif number == self.market.frames // 2:
                        self.off_ns = at_ns
                    number = (number + 1) % self.market.frames
                next_ns = max(next_ns + self.pace_ns, time.monotonic_ns() + self.pace_ns // 2)
            ready, _, _ = select.select([self.door, *self.peers], [], [], max(0, next_ns - time.monotonic_ns()) / 1e9)
            for sock in ready:
                if sock is self.door:
                    fresh, _ = self.door.accept()
                    fresh.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.peers[fresh] = Peer(fresh)
                else:
                    self._read(self.peers[sock])

    def _close_cycle(self) -> None:
        """Book what came since the last ON, and begin the next."""
        if self.on_ns and self.places:
            self.seen += 1
            if self.seen > WARM:
                on, off = self.on_ns, self.off_ns
                cancels = [at - off for at in self.cancels if at > off] or [0]
                self.rows.append((self.places[0] - on, self.places[-1] - on, len(self.places), cancels[0], cancels[-1]))
        elif self.seen:
            self.empty += 1
        self.places, self.cancels = [], []
        self.market.cycle += 1

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(262_144)
            at_ns = time.monotonic_ns()  # the order, if it is one and whole, has been read
            if data:
                peer.buffer += data
                while (self._message if peer.is_stream else self._request)(peer, at_ns):
                    pass
                return
        except (ConnectionError, BrokenPipeError):
            pass
        self._gone(peer)

    def _gone(self, peer: Peer) -> None:
        if peer.account is not None:
            peer.account.gone()
        self.peers.pop(peer.sock, None)
        peer.sock.close()

    def _request(self, peer: Peer, at_ns: int) -> bool:
        head, found, rest = peer.buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return False
        body, peer.buffer = rest[:length], rest[length:]
        method, target, _ = lines[0].split(" ")
        if headers.get("upgrade", "").lower() == "websocket":
            proof = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + GUID).digest()).decode()
            head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            peer.sock.sendall(f"{head}{proof}\r\n\r\n".encode())
            peer.is_stream = True
            return True
        path = target.partition("?")[0]
        is_order = path in ORDER_PATHS
        if is_order and method == "POST":
            self.places.append(at_ns)
        elif is_order and method == "DELETE":
            self.cancels.append(at_ns)
        if path == "/api/v1/depth":
            status, kind, answer = 200, "application/json", self.market.depth()
        else:
            reply = self.world.app.handle(method, target, headers, body, self.now_us(), wall_us=time.time_ns() // 1_000)
            status, answer = reply.status, reply.body
            kind = dict(reply.headers).get("Content-Type", "text/plain")
        if is_order and status != 200:
            self.refused += 1
            if self.refused <= 3:
                print(method, target, body[:300], status, answer[:200], file=sys.stderr)
        peer.sock.sendall(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        return True

    def _message(self, peer: Peer, _: int) -> bool:
        data = peer.buffer
        if len(data) < 6:
            return False
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = struct.unpack_from("!H", data, 2)[0], 4
        if len(data) < at + 4 + size:
            return False
        mask, masked = data[at : at + 4], data[at + 4 : at + 4 + size]
        peer.buffer = data[at + 4 + size :]
        text = bytes(b ^ mask[n % 4] for n, b in enumerate(masked))
        kind = data[0] & 0x0F
        if kind == 8:
            self._gone(peer)
            return False
        if kind == 9:
            peer.sock.sendall(struct.pack("!BB", 0x8A, len(text)) + text)
        if kind == 1:
            self._subscribe(peer, text)
        return True

    def _subscribe(self, peer: Peer, text: bytes) -> None:
        names = json.loads(text)["params"]
        if any(name.startswith("account.") for name in names):
            peer.account = self.world.app.open_stream(peer.put, _never)
            peer.account.receive(text.decode(), self.now_us(), time.time_ns() // 1_000)
        else:
            peer.wants.update(names)


def _never(code: int, reason: str) -> None:
    raise RuntimeError(f"the account's stream was ended: {code} {reason}")


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--cycles", type=int, default=1_000)
    asked.add_argument("--pace-us", type=int, default=500)
    asked.add_argument("--frames", type=int, default=FRAMES, help="in a cycle")
    given = asked.parse_args()
    options = WorldOptions(
        market=EMPTY,
        switches=Switches(requests_per_minute=0, history_per_minute=0, heartbeat_us=0),
        balances={"USDC": "1000000"},
        accounts=1,
    )
    rig = Rig(make_world(options, time.time_ns() // 1_000), given.cycles, given.pace_us, given.frames)
    port, account = rig.door.getsockname()[1], rig.world.accounts[0]
    ready = {
        "rest_url": f"http://127.0.0.1:{port}",
        "ws_url": f"ws://127.0.0.1:{port}/",
        "api_key": account.api_key,
        "secret": account.secret,
    }
    print(json.dumps(ready), flush=True)
    rig.run()
    print(json.dumps({"rows": rig.rows, "refused": rig.refused, "empty": rig.empty}), flush=True)


if __name__ == "__main__":
    main()
