"""Wires over real sockets: bytes leave at once, TLS is verified, proxies are passed through, every end is told once."""

import asyncio
import base64
import socket
import ssl
import struct
import threading
import time

import pytest
from tests.env_live.real import LOOPS, Heard, certificate, live_env, run, tcp_server, until

from lemon_trader.env_live import Proxies


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@LOOPS
def test_bytes_go_out_and_come_back(tmp_path, make_loop):
    async def main():
        async with live_env(tmp_path) as env, tcp_server(echo) as port:
            heard = Heard()
            wire = await env.connect_wire(f"http://127.0.0.1:{port}", heard)
            wire.write(b"hello")
            await until(lambda: heard.data == b"hello")
            wire.write(b"x" * 3_000_000)
            await until(lambda: len(heard.data) == 3_000_005)
            wire.close()
            assert heard.lost == []
            await until(lambda: heard.lost)
            wire.close()
            wire.write(b"into the void")
            await asyncio.sleep(0.01)
            assert heard.lost == ["closed by us"]

    run(main, make_loop)


@LOOPS
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_what_is_written_leaves_before_the_callback_ends(tmp_path, make_loop, is_tls):
    """A thread reads while the loop is busy: what it gets then did not wait for the loop."""
    server_tls, client_tls = certificate(tmp_path) if is_tls else (None, None)
    arrived: dict[str, float] = {}
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        peer, _ = listener.accept()
        with server_tls.wrap_socket(peer, server_side=True) if server_tls else peer as talk:
            talk.recv(100)
            arrived["at"] = time.monotonic()

    reader = threading.Thread(target=serve)
    reader.start()

    async def main():
        async with live_env(tmp_path / "data", tls=client_tls) as env:
            scheme = "https" if is_tls else "http"
            wire = await env.connect_wire(f"{scheme}://localhost:{listener.getsockname()[1]}", Heard())
            await asyncio.sleep(0.05)  # the server's half of the TLS handshake
            wire.write(b"order")
            time.sleep(0.2)  # noqa: ASYNC251  the decision that the order must not wait for
            arrived["after"] = time.monotonic()

    try:
        run(main, make_loop)
    finally:
        listener.close()
        reader.join(5)
    assert arrived["after"] - arrived["at"] > 0.15


@LOOPS
@pytest.mark.parametrize(("how", "says"), [("end", "closed by the other side"), ("reset", "lost: ")])
def test_the_other_sides_end_is_told_once_after_what_it_said(tmp_path, make_loop, how, says):
    async def bye(reader, writer):
        await reader.read(1)
        writer.write(b"bye")
        await writer.drain()
        if how == "reset":
            await asyncio.sleep(0.05)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def main():
        async with live_env(tmp_path) as env, tcp_server(bye) as port:
            heard = Heard()
            wire = await env.connect_wire(f"http://127.0.0.1:{port}", heard)
            wire.write(b"x")
            await until(lambda: heard.lost)
            assert heard.data == b"bye"
            assert len(heard.lost) == 1
            assert heard.lost[0].startswith(says)

    run(main, make_loop)


def test_a_listener_that_fails_ends_its_connection_and_is_reported(tmp_path):
    class Broken(Heard):
        def data_received(self, data):
            super().data_received(data)
            raise ValueError("a fault of ours")

    async def main():
        fails = []
        async with live_env(tmp_path, fails=fails) as env, tcp_server(echo) as port:
            heard = Broken()
            wire = await env.connect_wire(f"http://127.0.0.1:{port}", heard)
            wire.write(b"x")
            await until(lambda: heard.lost)
            assert heard.lost == ["closed by us"]
        assert fails == ["wire: a fault of ours"]

    run(main)


def test_what_cannot_be_connected_to_raises_an_error_of_the_system(tmp_path):
    async def main():
        async with live_env(tmp_path) as env:
            for url in ("http://127.0.0.1:1", "ftp://127.0.0.1", "http://", "nonsense", "http://127.0.0.1:notaport"):
                with pytest.raises(OSError):
                    await env.connect_wire(url, Heard())

    run(main)


def test_a_server_that_never_finishes_its_handshake_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("lemon_trader.env_live.wire.CONNECT_S", 0.1)

    async def mute(reader, _writer):
        await reader.read()

    async def main():
        async with live_env(tmp_path) as env, tcp_server(mute) as port:
            with pytest.raises(OSError):
                await env.connect_wire(f"https://localhost:{port}", Heard())

    run(main)


# ---- TLS ----


@LOOPS
def test_tls_is_verified_by_certificate_and_by_name(tmp_path, make_loop):
    server, client = certificate(tmp_path)

    async def main():
        async with tcp_server(echo, tls=server) as port:
            async with live_env(tmp_path / "trusting", tls=client) as env:
                heard = Heard()
                wire = await env.connect_wire(f"https://localhost:{port}", heard)
                wire.write(b"secret")
                await until(lambda: heard.data == b"secret")
                wire.close()
                await until(lambda: heard.lost)
            async with live_env(tmp_path / "careful") as env:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await env.connect_wire(f"https://localhost:{port}", Heard())
            async with live_env(tmp_path / "other", tls=client) as env:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await env.connect_wire(f"https://127.0.0.1:{port}", Heard())

    run(main, make_loop)


# ---- proxies ----


class Proxy:
    """A CONNECT proxy with a password, that remembers what it was asked."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.heads: list[bytes] = []

    async def __call__(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        writer.write(self.answer)
        await writer.drain()
        if b" 200 " not in self.answer:
            return
        port = int(head.split()[1].rsplit(b":", 1)[1])
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(self.pump(reader, there_writer), self.pump(there_reader, writer))
        finally:
            there_writer.close()

    @staticmethod
    async def pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls through the proxy"])
def test_a_wire_goes_through_the_proxy_that_was_given(tmp_path, is_tls):
    server_tls, client_tls = certificate(tmp_path) if is_tls else (None, None)
    proxy = Proxy()

    async def main():
        async with tcp_server(echo, tls=server_tls) as port, tcp_server(proxy) as door:
            proxies = Proxies(rest=f"http://user:p%40ss@127.0.0.1:{door}", environ={})
            async with live_env(tmp_path / "data", proxies, tls=client_tls) as env:
                heard = Heard()
                wire = await env.connect_wire(f"{'https' if is_tls else 'http'}://localhost:{port}", heard)
                wire.write(b"through")
                await until(lambda: heard.data == b"through")
                wire.close()
                await until(lambda: heard.lost)
            assert proxy.heads[0].startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n".encode())
            assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss") in proxy.heads[0]

    run(main)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "status 407"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "did not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK", "before the server could"),
        (b"x" * 20_000, "did not answer in HTTP"),
        (b"", "closed the connection"),
    ],
    ids=["it wants a password", "it is no proxy", "it speaks for the server", "it never ends", "it hangs up"],
)
def test_a_proxy_that_refuses_is_named_without_its_password(tmp_path, answer, says):
    async def main():
        async with (
            tcp_server(Proxy(answer)) as door,
            live_env(tmp_path, Proxies(rest=f"http://user:hunter2@127.0.0.1:{door}", environ={})) as env,
        ):
            with pytest.raises(OSError) as caught:
                await env.connect_wire("https://api.invalid", Heard())
            assert says in str(caught.value)
            assert f"127.0.0.1:{door}" in str(caught.value)
            assert "hunter2" not in str(caught.value)

    run(main)


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, "https://api.x", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "wss://ws.x", "http://p:1"),
        ({"HTTP_PROXY": "http://p:2"}, "http://api.x", "http://p:2"),
        ({"HTTP_PROXY": "http://p:2"}, "https://api.x", ""),
        ({"ALL_PROXY": "http://p:3"}, "https://api.x", "http://p:3"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x"}, "https://api.x", ""),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".x, y"}, "https://api.x", ""),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "pi.x"}, "https://api.x", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://api.x", ""),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:8000", ""),
        ({"HTTP_PROXY": "http://p:1"}, "http://localhost:8000", ""),
        ({"HTTP_PROXY": "http://p:1"}, "ws://[::1]:8000", ""),
        ({}, "https://api.x", ""),
    ],
)
def test_the_environments_proxy_is_taken_as_other_programs_take_it_and_never_to_loopback(environ, url, expected):
    assert Proxies(environ=environ).choose(url, is_stream=url.startswith("ws")) == expected


def test_an_explicit_proxy_is_taken_always_and_streams_have_their_own():
    proxies = Proxies(rest="http://r:1", stream="http://s:2", environ={"HTTPS_PROXY": "http://e:3", "NO_PROXY": "*"})
    assert proxies.choose("https://api.x", is_stream=False) == "http://r:1"
    assert proxies.choose("ws://127.0.0.1:1", is_stream=True) == "http://s:2"


@pytest.mark.parametrize("url", ["p:1", "socks5://p:1", "http://", "http://user:hunter2", "http://p:port", "hunter2"])
def test_a_proxy_that_cannot_be_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="proxy's address") as caught:
        Proxies(stream=url)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(OSError, match="proxy's address") as caught:
        Proxies(environ={"HTTPS_PROXY": url}).choose("https://api.x", is_stream=False)
    assert "hunter2" not in str(caught.value)
