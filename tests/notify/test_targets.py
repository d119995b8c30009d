"""Where alerts go, over real sockets, processes and threads of this machine alone."""

import asyncio
import json
import os
import stat
import sys
import time

import pytest
from tests.env_live.real import live_env, run, tcp_server

from lemon_trader.config.settings import Secret
from lemon_trader.core.state import Alert
from lemon_trader.logger import Redactor
from lemon_trader.notify import local
from lemon_trader.notify.local import CommandTarget, ServiceTarget
from lemon_trader.notify.notice import notice_of
from lemon_trader.notify.web import Undelivered, WebTarget, fetch

ALERT = Alert(1_790_000_000_000_000, "alert.stop_done", "warn", {"symbol": "SOL_USDC", "realised": "-12.5", "quote": "USDC"})
NOTICE = notice_of(ALERT, mode="live", account="main", redactor=Redactor(), silent=False)


class Hook:
    """A web server that keeps what it is sent and answers as it is told."""

    def __init__(self, status="200 OK", headers="", body=b"ok"):
        self.status, self.headers, self.body = status, headers, body
        self.got = []

    async def __call__(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0)
        self.got.append((head.split("\r\n")[0], head, await reader.readexactly(length)))
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n{self.headers}\r\n".encode() + self.body)
        await writer.drain()


def test_a_web_address_gets_a_json_post(tmp_path):
    async def main():
        hook = Hook("204 No Content", body=b"")
        async with tcp_server(hook) as port, live_env(tmp_path) as env:
            await WebTarget(env, Secret(f"http://127.0.0.1:{port}/hooks/T0?a=b")).deliver(NOTICE)
        ((line, head, body),) = hook.got
        assert line == "POST /hooks/T0?a=b HTTP/1.1"
        assert "application/json" in head
        assert json.loads(body)["values"]["realised"] == "-12.5"

    run(main)


ANSWERS = [
    ("a server that is unwell", "503 Service Unavailable", False),
    ("one that wants fewer", "429 Too Many Requests", False),
    ("an address that is not there", "404 Not Found", True),
    ("a move elsewhere, which is not followed", "302 Found", True),
]


@pytest.mark.parametrize(("says", "status", "for_good"), ANSWERS, ids=[a[0] for a in ANSWERS])
def test_whether_a_refusal_is_for_good(tmp_path, says, status, for_good):
    async def main():
        async with tcp_server(Hook(status)) as port, live_env(tmp_path) as env:
            with pytest.raises(Undelivered) as refused:
                await WebTarget(env, Secret(f"http://127.0.0.1:{port}/hooks/TOKEN")).deliver(NOTICE)
        assert refused.value.for_good is for_good
        assert status[:3] in str(refused.value)
        assert "TOKEN" not in str(refused.value)

    run(main)


def test_nobody_there_and_somebody_who_hangs_up_are_undelivered(tmp_path):
    async def hangs_up(reader, writer):
        await reader.read(1)

    async def main():
        async with live_env(tmp_path) as env:
            async with tcp_server(hangs_up) as port:
                with pytest.raises(Undelivered):
                    await fetch(env, Secret(f"http://127.0.0.1:{port}/"), "GET")
            with pytest.raises(Undelivered):
                await fetch(env, Secret(f"http://127.0.0.1:{port}/"), "GET")

    run(main)


def test_an_old_server_that_ends_its_answer_by_hanging_up_has_answered(tmp_path):
    """HTTP/1.0 names no length: what was told must not be told again because the answer has no other end."""
    status = "200 OK"

    async def old(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.0 {status}\r\nServer: old\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def main():
        nonlocal status
        async with tcp_server(old) as port, live_env(tmp_path) as env:
            await fetch(env, Secret(f"http://127.0.0.1:{port}/beat"), "GET")
            status = "503 Service Unavailable"
            with pytest.raises(Undelivered) as refused:
                await fetch(env, Secret(f"http://127.0.0.1:{port}/beat"), "GET")
        assert "503" in str(refused.value)

    run(main)


def script(folder, text):
    path = folder / "told.py"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_program_gets_the_text_and_the_fields_and_none_of_our_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do-not-tell")
    monkeypatch.setenv("LEMON_TRADER_ON_ALERT", "https://hook/do-not-tell")
    out = tmp_path / "out.json"
    path = script(
        tmp_path,
        f"import json, os, sys\njson.dump([sys.stdin.read(), dict(os.environ), sys.argv[1:]], open({str(out)!r}, 'w'))\n",
    )
    run(lambda: CommandTarget((str(path), "a; b", "$(c)")).deliver(NOTICE))
    text, environment, arguments = json.loads(out.read_text())
    assert text == NOTICE.text + "\n"
    assert arguments == ["a; b", "$(c)"], "no shell reads them"
    assert environment["LEMON_ALERT_EVENT"] == "stop_loss"
    assert json.loads(environment["LEMON_ALERT_VALUES"])["symbol"] == "SOL_USDC"
    assert not [v for v in environment.values() if "do-not-tell" in v]
    assert environment["PATH"] == os.environ["PATH"]


def test_a_program_that_fails_is_undelivered_with_what_it_says(tmp_path):
    path = script(tmp_path, "import sys\nsys.exit('no such channel')\n")
    with pytest.raises(Undelivered, match="no such channel"):
        run(lambda: CommandTarget((str(path),)).deliver(NOTICE))


def test_a_program_that_is_gone_is_undelivered(tmp_path):
    with pytest.raises(Undelivered, match="No such file"):
        run(lambda: CommandTarget((str(tmp_path / "gone"),)).deliver(NOTICE))


def test_a_program_that_does_not_end_is_ended_and_the_loop_goes_on_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "COMMAND_S", 0.3)
    mark = tmp_path / "pid"
    path = script(tmp_path, f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n")

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        task = asyncio.ensure_future(tick())
        with pytest.raises(Undelivered, match="not done"):
            await CommandTarget((str(path),)).deliver(NOTICE)
        task.cancel()
        assert ticks > 5

    run(main)
    if mark.exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)


def test_a_program_that_reads_nothing_is_no_trouble(tmp_path):
    run(lambda: CommandTarget((str(script(tmp_path, "pass\n")),)).deliver(NOTICE))


# A module of the standard library that apprise still looks for warns that it will go.
SERVICES = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@SERVICES
def test_a_service_is_told_and_says_when_it_is_not():
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")

    async def main():
        hook = Hook()
        async with tcp_server(hook) as port:
            target = ServiceTarget(Secret(f"json://127.0.0.1:{port}/told"))
            await target.deliver(NOTICE)
            hook.status = "500 Oops"
            with pytest.raises(Undelivered):
                await target.deliver(NOTICE)
        assert json.loads(hook.got[0][2])["message"] == NOTICE.text

    run(main)


@SERVICES
def test_a_silent_notice_makes_no_sound_where_the_service_knows_such_a_thing():
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    target = ServiceTarget(Secret("tgram://123456789:abcdefg_hijklmnop/12345"))
    assert (target._loud[0].silent, target._quiet[0].silent) == (False, True)


@SERVICES
def test_a_slow_service_does_not_stop_the_loop(monkeypatch):
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    target = ServiceTarget(Secret("json://127.0.0.1:9/told"))
    monkeypatch.setattr(target._loud, "notify", lambda **_: time.sleep(0.2) or True)

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        task = asyncio.ensure_future(tick())
        await target.deliver(NOTICE)
        task.cancel()
        assert ticks > 5

    run(main)
