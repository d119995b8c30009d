"""One connection, one request in the air: a whole answer or a loss, never both, never anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.servers import URL, MemoryServer, answer
from tests.env_live.real import live_env, tcp_server, until
from tests.env_live.real import run as run_real
from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.api.http_wire import BODY_BYTES_MAX, HEADER_BYTES_MAX, HttpWire, request_bytes
from lemon_trader.exchanges.dialect import Request

GET = Request("GET", "/api/v1/time", (), b"")
POST = Request("POST", "/api/v1/order", (("X-A", "b"),), b'{"a":1}')


class Owner:
    def __init__(self):
        self.ended = []

    def wire_ended(self, wire, reason):
        self.ended.append(reason)


class Told:
    """What the two callbacks of a request said."""

    def __init__(self):
        self.answers = []
        self.losses = []

    def answered(self, status, headers, body):
        self.answers.append((status, headers, body))

    def lost(self, reason):
        self.losses.append(reason)

    @property
    def count(self):
        return len(self.answers) + len(self.losses)


async def opened(env, **options):
    owner = Owner()
    wire = HttpWire(env, URL, owner, **options)
    await wire.open()
    return wire, owner


def play(script, *, request=GET, body_max=BODY_BYTES_MAX, seconds=20):
    """Send one request to a server that answers with `script(asked)`; everything that was told."""

    async def main():
        import asyncio

        env = FakeEnv(asyncio.get_running_loop())
        server = MemoryServer(env, script)
        wire, owner = await opened(env, body_max=body_max)
        told = Told()
        wire.send(request, told.answered, told.lost)
        assert told.count == 0
        await env.sleep(seconds * 1_000_000)
        assert told.count == 1
        return told, owner, server, wire

    return run(main)


def says(*pieces):
    """Say these pieces, each in a read of its own."""

    def script(asked):
        for number, piece in enumerate(pieces):
            asked.end._env.call_later(number * 100, lambda piece=piece: asked.end.write(piece))

    return script


def test_the_request_stands_on_the_wire_as_http_wants_it():
    assert request_bytes(POST, "api.x:1") == (b'POST /api/v1/order HTTP/1.1\r\nHost: api.x:1\r\nX-A: b\r\nContent-Length: 7\r\n\r\n{"a":1}')
    assert request_bytes(GET, "h") == b"GET /api/v1/time HTTP/1.1\r\nHost: h\r\n\r\n"
    assert b"Content-Length: 0" in request_bytes(Request("DELETE", "/x", (), b""), "h")


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/a HTTP/1.1\r\nX: y", (), b""),
        Request("GET", "/a b", (), b""),
        Request("GET", "/ä", (), b""),
        Request("GET", "a", (), b""),
        Request("GET", "/a", (("X", "a\r\nY: z"),), b""),
        Request("GET", "/a", (("X", "ä"),), b""),
    ],
)
def test_a_request_that_could_smuggle_another_is_not_sent(request_):
    with pytest.raises(ValueError):
        request_bytes(request_, "h")


@pytest.mark.parametrize(
    ("pieces", "status", "body"),
    [
        ((answer(200, b"17"),), 200, b"17"),
        ((answer(202),), 202, b""),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), 204, b""),
        ((answer(400, b'{"code":"X"}'),), 400, b'{"code":"X"}'),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n"), 200, b"abcde"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, b"x"),), 200, b"x"),
        (tuple(bytes([b]) for b in answer(200, b"drip")), 200, b"drip"),
    ],
    ids=["plain", "empty", "without a body", "a refusal", "in chunks", "after a continue", "byte by byte"],
)
def test_an_answer_is_told_whole_and_the_connection_stays(pieces, status, body):
    told, owner, _, wire = play(says(*pieces))
    assert [(s, b) for s, _, b in told.answers] == [(status, body)]
    assert wire.is_idle
    assert owner.ended == []


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ((b"<html>not http</html>",), "not an HTTP answer"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",), "not an HTTP answer"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",), "not an HTTP answer"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",), "not an HTTP answer"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), "not an HTTP answer"),
        ((b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",), "not an HTTP answer"),
        ((answer(200, b"a") + answer(200, b"b"),), "a second answer"),
        ((b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"z" * 9_000] * 20), "a head above"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",), "a body above"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",), "a body above"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1ff\r\n" + b"x" * 511 + b"\r\n"] * 3), "a body above"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",), "no answer in time"),
        ((b"HTTP/1.1 200 OK\r\n\r\nuntil I close",), "no answer in time"),
        ((), "no answer in time"),
    ],
    ids=[
        "a page", "a negative length", "two lengths", "length and chunks", "a chunk of no size", "another protocol", "two answers",
        "a head without end", "a huge body announced", "a body too long", "chunks without end", "half a body", "no length", "silence",
    ],
)  # fmt: skip
def test_what_is_no_whole_answer_is_a_loss_and_ends_the_connection(pieces, reason):
    told, owner, _, wire = play(says(*pieces), body_max=1_000)
    assert reason in told.losses[0]
    assert len(owner.ended) == 1
    assert not wire.is_open


@pytest.mark.parametrize(
    ("pieces", "where"),
    [((), "before the answer"), ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",), "in the middle of the answer")],
)
def test_a_connection_that_ends_first_says_how_far_the_answer_was(pieces, where):
    def script(asked):
        for piece in pieces:
            asked.end.write(piece)
        asked.end.close()

    told, owner, _, _ = play(script)
    assert told.losses == [f"closed by the other side, {where}"]
    assert owner.ended == ["closed by the other side"]


def test_a_server_that_wants_to_close_gives_its_answer_first():
    told, owner, _, wire = play(says(answer(200, b"x", "Connection: close\r\n")))
    assert told.answers[0][2] == b"x"
    assert owner.ended == ["the server ended the connection after its answer"]
    assert not wire.is_open


def test_a_late_answer_meets_nobody():
    """After a time-out the connection goes: an answer that comes later must not be taken for the next request's."""

    def script(asked):
        asked.end._env.call_later(6_000_000, lambda: asked.answer(200, b"late"))

    told, owner, _, _ = play(script)
    assert told.losses == ["no answer in time, before the answer"]
    assert told.answers == []
    assert len(owner.ended) == 1


def test_bytes_that_nobody_asked_for_end_the_connection():
    async def main():
        import asyncio

        env = FakeEnv(asyncio.get_running_loop())
        server = MemoryServer(env)
        wire, owner = await opened(env)
        server.ends[0].write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await env.sleep(10_000)
        assert owner.ended == ["bytes that no request asked for"]
        assert not wire.is_open

    run(main)


def test_an_answers_listener_may_send_the_next_request_at_once():
    async def main():
        import asyncio

        env = FakeEnv(asyncio.get_running_loop())
        server = MemoryServer(env, lambda asked: asked.answer(200, asked.target.encode()))
        wire, _ = await opened(env)
        bodies = []

        def answered(_status, _headers, body):
            bodies.append(body)
            if len(bodies) < 5:
                wire.send(Request("GET", f"/{len(bodies)}", (), b""), answered, bodies.append)

        wire.send(Request("GET", "/0", (), b""), answered, bodies.append)
        await env.sleep(100_000)
        assert bodies == [b"/0", b"/1", b"/2", b"/3", b"/4"]
        assert len(server.ends) == 1
        assert wire.answered == 5

    run(main)


def test_closing_while_it_connects_opens_nothing():
    async def main():
        import asyncio

        env = FakeEnv(asyncio.get_running_loop())
        server = MemoryServer(env)
        wire = HttpWire(env, URL, Owner())
        opening = asyncio.ensure_future(wire.open())
        await env.sleep(500)
        wire.close()
        with pytest.raises(OSError, match="closed by us"):
            await opening
        await env.sleep(10_000)
        assert server.open_ends == []

    run(main)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_no_bytes_of_a_server_break_us(noise, cuts):
    data = b"HTTP/1.1 200 OK\r\n" + noise
    pieces = [data[a:b] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True)]
    told, _, _, _ = play(says(*[piece for piece in pieces if piece]))
    assert told.count == 1


# ---- the same over real sockets ----


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([answer(200, b"x" * 3_000_000)], (200, 3_000_000)),
        ([answer(200, b"slow")[:9], 0.02, answer(200, b"slow")[9:]], (200, 4)),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "reset"], "in the middle of the answer"),
        (["reset"], "before the answer"),
        ([b"\x15\x03\x01\x00\x02\x02"], "not an HTTP answer"),
        ([b"HTTP/1.1 200 OK\r\n" + b"A" * (HEADER_BYTES_MAX * 3)], "a head above"),
        (["silence"], "no answer in time"),
    ],
    ids=["a big body", "a slow drip", "reset in the body", "reset at once", "garbage", "an endless head", "half open"],
)
def test_over_a_real_socket_too(tmp_path, script, expected):
    import asyncio

    async def server(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for step in script:
            if step == "reset":
                await writer.drain()
                writer.transport.abort()
                return
            if step == "silence":
                await asyncio.sleep(60)
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                writer.write(step)
                await writer.drain()
        await reader.read()

    async def main():
        async with live_env(tmp_path) as env, tcp_server(server) as port:
            wire = HttpWire(env, f"http://127.0.0.1:{port}", Owner())
            await wire.open()
            told = Told()
            wire.send(GET, told.answered, told.lost, 300_000)
            await until(lambda: told.count)
            if isinstance(expected, tuple):
                assert [(s, len(b)) for s, _, b in told.answers] == [expected]
            else:
                assert expected in told.losses[0]
            wire.close()

    run_real(main)
