"""Feeds over real sockets: a read's messages together, everything bounded, pings answered, every end told once."""

import asyncio
import base64
import hashlib
import struct

import pytest
from tests.env_live.real import LOOPS, HeardFeed, certificate, live_env, run, tcp_server, until
from tests.env_live.test_wire import Proxy

from lemon_trader.env_live import Proxies
from lemon_trader.env_live.feed import MESSAGE_BYTES_MAX, WORK_CAP

TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0


def frame(payload: bytes, kind: int = TEXT, *, fin: bool = True, rsv: int = 0) -> bytes:
    """One server's frame."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | kind])
    size = len(payload)
    if size < 126:
        return head + bytes([size]) + payload
    return head + (b"\x7e" + struct.pack(">H", size) if size < 65536 else b"\x7f" + struct.pack(">Q", size)) + payload


async def read_frame(reader):
    """(kind, payload) of a client's masked frame."""
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    assert head[1] & 0x80, "a client's frame is masked"
    if size == 126:
        size = struct.unpack(">H", await reader.readexactly(2))[0]
    mask = await reader.readexactly(4)
    payload = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(size)))
    return head[0] & 0x0F, payload


class Server:
    """A WebSocket server that says `script` after the handshake and keeps what it is told."""

    def __init__(self, script: bytes = b"", *, stay: bool = True, then=None) -> None:
        self.script = script
        self.stay = stay
        self.then = then
        self.frames: list[tuple[int, bytes]] = []
        self.head = b""

    async def __call__(self, reader, writer):
        self.head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in self.head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(self.script)
        await writer.drain()
        if self.then is not None:
            await self.then(reader, writer)
        while self.stay:
            self.frames.append(await read_frame(reader))


async def opened(env, port, heard):
    return await env.connect_feed(f"ws://127.0.0.1:{port}/", heard)


@LOOPS
def test_messages_of_one_read_come_in_one_call_in_their_order(tmp_path, make_loop):
    server = Server(b"".join(frame(b'{"n":%d}' % n) for n in range(50)))

    async def main():
        async with live_env(tmp_path) as env, tcp_server(server) as port:
            heard = HeardFeed()
            feed = await opened(env, port, heard)
            await until(lambda: heard.messages)
            assert heard.reads == [[b'{"n":%d}' % n for n in range(50)]]
            feed.send(b'{"method":"SUBSCRIBE"}')
            await until(lambda: server.frames)
            assert server.frames == [(TEXT, b'{"method":"SUBSCRIBE"}')]
            feed.close()
            await until(lambda: heard.closed)
            feed.send(b"into the void")
            feed.close()
            assert heard.closed == [(1000, "closed by us")]

    run(main, make_loop)


def test_compression_is_not_offered(tmp_path):
    server = Server()

    async def main():
        async with live_env(tmp_path) as env, tcp_server(server) as port:
            await opened(env, port, HeardFeed())
            assert b"sec-websocket-extensions" not in server.head.lower()

    run(main)


def test_a_ping_as_the_last_frame_of_a_read_is_answered_and_holds_nothing_back(tmp_path):
    server = Server(frame(b"one") + frame(b"two") + frame(b"are you there", PING))

    async def main():
        async with live_env(tmp_path) as env, tcp_server(server) as port:
            heard = HeardFeed()
            await opened(env, port, heard)
            await until(lambda: server.frames)
            assert heard.reads == [[b"one", b"two"]]
            assert server.frames == [(PONG, b"are you there")]

    run(main)


def test_a_message_in_fragments_is_put_together_around_control_frames(tmp_path):
    server = Server(
        frame(b"be", fin=False) + frame(b"", PING) + frame(b"gin", MORE, fin=False) + frame(b"ning", MORE) + frame(b"end", BINARY)
    )

    async def main():
        async with live_env(tmp_path) as env, tcp_server(server) as port:
            heard = HeardFeed()
            await opened(env, port, heard)
            await until(lambda: len(heard.messages) == 2)
            assert heard.messages == [b"beginning", b"end"]

    run(main)


HALF = b"x" * (MESSAGE_BYTES_MAX // 2 + 1)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (frame(b"x" * (MESSAGE_BYTES_MAX + 1)), 1009),
        (frame(HALF, fin=False) + frame(HALF, MORE), 1009),
        (frame(b"rest", MORE), 1002),
        (frame(b"one", fin=False) + frame(b"two"), 1002),
        (frame(b"compressed", rsv=4), 1002),
        (b"\xff\xff\xff\xff garbage of all kinds", 1002),
    ],
    ids=[
        "a frame too long",
        "fragments too long together",
        "a rest of nothing",
        "a message in a message",
        "an unasked extension",
        "garbage",
    ],
)
def test_what_is_no_honest_message_ends_the_connection_after_what_came_before(tmp_path, script, code):
    async def main():
        async with live_env(tmp_path) as env, tcp_server(Server(frame(b"before") + script)) as port:
            heard = HeardFeed()
            await opened(env, port, heard)
            await until(lambda: heard.closed)
            assert heard.messages == [b"before"]
            assert [c for c, _ in heard.closed] == [code]

    run(main)


def test_the_largest_message_allowed_is_taken(tmp_path):
    async def main():
        async with live_env(tmp_path) as env, tcp_server(Server(frame(b"y" * MESSAGE_BYTES_MAX))) as port:
            heard = HeardFeed()
            await opened(env, port, heard)
            await until(lambda: heard.messages)
            assert [len(m) for m in heard.messages] == [MESSAGE_BYTES_MAX]

    run(main)


@LOOPS
def test_a_flood_is_handled_in_bounded_pieces_without_loss(tmp_path, make_loop):
    count = 50_000
    flood = b"".join(frame(b"%d" % n) for n in range(count))
    # A big message first makes the read buffer grow, so that thousands of small ones come in one read.
    server = Server(frame(b"x" * 900_000) + flood)

    async def main():
        async with live_env(tmp_path) as env, tcp_server(server) as port:
            heard = HeardFeed()
            await opened(env, port, heard)
            await until(lambda: len(heard.messages) == count + 1)
            assert heard.messages[1:] == [b"%d" % n for n in range(count)]
            assert max(map(len, heard.reads)) == WORK_CAP

    run(main, make_loop)


def test_everything_that_arrived_is_told_before_the_end_is(tmp_path):
    count = 5_000
    script = frame(b"x" * 900_000) + b"".join(frame(b"%d" % n) for n in range(count)) + frame(struct.pack(">H", 1001) + b"restart", CLOSE)

    async def main():
        async with live_env(tmp_path) as env, tcp_server(Server(script)) as port:
            heard = HeardFeed()
            await opened(env, port, heard)
            await until(lambda: heard.closed)
            assert len(heard.messages) == count + 1
            assert heard.closed == [(1001, "restart")]

    run(main)


def test_a_close_frame_is_answered_and_told_with_its_code_even_an_unknown_one(tmp_path):
    server = Server(frame(struct.pack(">H", 4321) + "grüße".encode(), CLOSE))

    async def main():
        async with live_env(tmp_path) as env, tcp_server(server) as port:
            heard = HeardFeed()
            await opened(env, port, heard)
            await until(lambda: heard.closed)
            assert heard.closed == [(4321, "grüße")]
            await until(lambda: server.frames)
            assert server.frames[0][0] == CLOSE

    run(main)


def test_a_connection_cut_without_a_word_is_told_as_such(tmp_path):
    async def main():
        async with live_env(tmp_path) as env, tcp_server(Server(frame(b"one") + frame(b"half")[:3], stay=False)) as port:
            heard = HeardFeed()
            await opened(env, port, heard)
            await until(lambda: heard.closed)
            assert heard.messages == [b"one"]
            assert heard.closed == [(1006, "connection lost")]

    run(main)


def test_a_listener_that_fails_ends_its_stream_and_is_reported(tmp_path):
    class Broken(HeardFeed):
        def on_messages(self, payloads):
            raise ValueError("a fault of ours")

    async def main():
        fails = []
        async with live_env(tmp_path, fails=fails) as env, tcp_server(Server(frame(b"x"))) as port:
            heard = Broken()
            await opened(env, port, heard)
            await until(lambda: heard.closed)
            assert heard.closed[0][0] == 1011
        assert fails == ["feed: a fault of ours"]

    run(main)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", b"\x00" * 100, b""],
    ids=["refused", "sent elsewhere", "garbage", "hung up"],
)
def test_a_handshake_that_fails_raises_an_error_of_the_system(tmp_path, answer):
    async def no(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async def main():
        async with live_env(tmp_path) as env, tcp_server(no) as port:
            with pytest.raises(OSError):
                await opened(env, port, HeardFeed())

    run(main)


def test_a_handshake_that_never_comes_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("lemon_trader.env_live.feed.CONNECT_S", 0.1)

    async def mute(reader, _writer):
        await reader.read()

    async def main():
        async with live_env(tmp_path) as env, tcp_server(mute) as port:
            with pytest.raises(OSError):
                await opened(env, port, HeardFeed())

    run(main)


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls through the proxy"])
def test_a_stream_goes_through_the_proxy_that_was_given(tmp_path, is_tls):
    server_tls, client_tls = certificate(tmp_path) if is_tls else (None, None)
    proxy = Proxy()

    async def main():
        async with tcp_server(Server(frame(b"hello")), tls=server_tls) as port, tcp_server(proxy) as door:
            async with live_env(tmp_path / "data", Proxies(stream=f"http://127.0.0.1:{door}", environ={}), tls=client_tls) as env:
                heard = HeardFeed()
                feed = await env.connect_feed(f"{'wss' if is_tls else 'ws'}://localhost:{port}/", heard)
                await until(lambda: heard.messages == [b"hello"])
                feed.close()
                await until(lambda: heard.closed)
            assert proxy.heads[0].startswith(f"CONNECT localhost:{port}".encode())

    run(main)


def test_a_proxy_that_refuses_a_stream_raises_an_error_of_the_system(tmp_path):
    async def main():
        async with (
            tcp_server(Proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n")) as door,
            live_env(tmp_path, Proxies(stream=f"http://user:hunter2@127.0.0.1:{door}", environ={})) as env,
        ):
            with pytest.raises(OSError) as caught:
                await env.connect_feed("wss://ws.invalid/", HeardFeed())
            assert "hunter2" not in str(caught.value)

    run(main)
