"""A kept stream: subscribed afresh on every connection, replaced when it falls silent, never a storm."""

import asyncio

import pytest
from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.websocket.client import StreamClient

URL = "ws://exchange/"
S = 1_000_000


class User:
    def __init__(self, env):
        self.env = env
        self.hellos = 0
        self.told = []

    def hello(self):
        self.hellos += 1
        return [b"subscribe %d" % self.hellos, b"more"]

    def stream_messages(self, payloads, ts_us, *, is_first):
        assert ts_us == self.env.now_us()
        self.told.append((is_first, list(payloads)))

    def stream_ended(self, reason, ts_us):
        assert ts_us == self.env.now_us()
        self.told.append(reason)

    @property
    def ends(self):
        return [entry for entry in self.told if isinstance(entry, str)]


class Server:
    """Speaks every `every_us` until told otherwise."""

    def __init__(self, env, every_us=S):
        self.env = env
        self.every_us = every_us
        self.ends = []
        self.heard = []
        env.serve_feed(URL, self.accept)

    def accept(self, end):
        self.ends.append(end)
        peer = Peer(self)
        self.beat(end)
        return peer

    def beat(self, end):
        if self.every_us and end.is_open:
            end.send(b"tick")
            self.env.call_later(self.every_us, lambda: self.beat(end))


class Peer:
    def __init__(self, server):
        self.server = server

    def on_messages(self, payloads):
        self.server.heard.append(payloads)

    def on_closed(self, code, reason):
        pass


def play(script, every_us=S, **options):
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        server, user = Server(env, every_us), User(env)
        client = StreamClient(env, URL, "public", user, **options)
        await script(client, server, user, env)
        client.close()
        await env.sleep(60 * S)
        assert not [end for end in server.ends if end.is_open]
        env.check()

    run(main)


def test_it_subscribes_and_is_up_with_the_first_message():
    async def script(client, server, user, env):
        client.start()
        await env.sleep(10_500_000)
        assert client.is_up
        assert server.heard == [[b"subscribe 1", b"more"]]
        assert user.told[0] == (True, [b"tick"])
        assert user.told[1:] == [(False, [b"tick"])] * (len(user.told) - 1)
        assert len(user.told) == 11

    play(script)


def test_a_silent_connection_is_given_up_after_its_age_and_replaced_with_a_fresh_subscription():
    async def script(client, server, user, env):
        client.start()
        await env.sleep(20 * S + 100_000)
        server.ends[0].is_silent = True
        heard_us = env.now_us() - 100_000
        while not user.ends:
            await env.sleep(10_000)
        assert 2_900_000 <= env.now_us() - heard_us <= 3_100_000
        assert user.ends[0].startswith("silent for 3")
        assert not client.is_up
        await env.sleep(1 * S)
        assert client.is_up
        assert user.hellos == 2
        assert not server.ends[0].is_open

    play(script)


def test_a_connection_that_never_speaks_is_never_up():
    async def script(client, server, user, env):
        client.start()
        await env.sleep(60 * S)
        assert not client.is_up
        assert {entry for entry in user.told if not isinstance(entry, str)} == set()
        assert 3 <= len(server.ends) <= 20

    play(script, every_us=0)


@pytest.mark.parametrize("how", ["close", "cut"])
def test_an_end_is_told_once_with_its_reason_and_the_stream_comes_back(how):
    async def script(client, server, user, env):
        client.start()
        await env.sleep(20 * S)
        if how == "close":
            server.ends[0].close(1001, "restart")
        else:
            server.ends[0].cut()
        await env.sleep(5 * S)
        assert user.ends == ["1001 restart" if how == "close" else "1006 connection reset"]
        assert client.is_up
        assert client.epoch == 2

    play(script)


def test_what_a_given_up_connection_still_says_is_not_told():
    async def script(client, server, user, env):
        client.start()
        await env.sleep(20 * S)
        client.restart("a doubt")
        client.restart("another")
        before = len(user.told)
        server.ends[0].send(b"ghost")
        await env.sleep(1_000)
        assert user.told[before - 1 :] == ["a doubt"]

    play(script)


def test_a_good_connections_end_is_forgiven_and_a_bad_ones_waits_grow():
    async def script(client, server, user, env):
        client.start()
        await env.sleep(20 * S)
        server.ends[0].cut()
        await env.sleep(600_000)
        assert len(server.ends) == 2
        opened = []
        for _ in range(12):
            end = server.ends[-1]
            end.cut()
            begun = env.now_us()
            while server.ends[-1] is end:
                await env.sleep(10_000)
            opened.append(env.now_us() - begun)
        assert max(opened) > 4 * S
        assert max(opened) < 31 * S

    play(script)


def test_vain_attempts_are_told_once_for_each_reason_and_bounded_in_number():
    async def script(client, server, user, env):
        env.refused.add(URL)
        client.start()
        await env.sleep(600 * S)
        assert user.ends == [f"refused by {URL}"]
        env.refused.clear()
        await env.sleep(60 * S)
        assert client.is_up

    play(script)


def test_a_machine_that_slept_replaces_the_connection_before_it_believes_anything():
    async def script(client, server, user, env):
        client.start()
        await env.sleep(20 * S)
        told = len(user.told)
        env.asleep_us += 3_600 * S
        await env.sleep(3 * S)
        assert user.told[told].startswith("silent for 360")
        assert user.told[told + 1] == (True, [b"tick"])
        assert user.hellos == 2
        assert client.is_up

    play(script)


def test_closing_ends_it_without_a_word():
    async def script(client, server, user, env):
        client.start()
        await env.sleep(5 * S)
        told = len(user.told)
        client.close()
        await env.sleep(60 * S)
        assert len(user.told) == told
        assert len(server.ends) == 1

    play(script)


def test_closing_while_it_connects_leaves_nothing_open():
    async def script(client, server, user, env):
        client.start()
        await env.sleep(100)
        client.close()
        await env.sleep(60 * S)
        assert user.told == []

    play(script)
