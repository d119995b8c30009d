"""Alerts of a whole run, as a user asks for them: the program started as a process, a hook on loopback, and nothing secret anywhere."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.process
TOKEN = "T0K3N-that-nobody-may-see"
PING = "PING-that-nobody-may-see"


class Hook(ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.posts, self.pings = [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.posts.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self._done()

    def do_GET(self):
        self.server.pings.append(self.path)
        self._done()

    def _done(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hook():
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run(home, *words, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LEMON_", "API_", "SECRET_", "BACKPACK_"))}
    clean |= {"HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT / "src"), **environment}
    done = subprocess.run(
        [sys.executable, *words], check=False, cwd=ROOT, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_run_tells_start_and_end_with_figures_and_gives_signs_of_life(tmp_path, hook):
    told = tmp_path / "told.txt"
    teller = tmp_path / "teller"
    teller.write_text(f'#!/bin/sh\ncat >> "{told}"\n')
    teller.chmod(0o700)
    code, out = run(
        tmp_path, "run.py", "--symbol", "SOL_USDC", "--spread", "0.2", "--duration", "12", "--speed", "4", "--sandbox", "--lang", "en",
        "--data-dir", str(tmp_path / "data"), "--account-label", "practice", "--alerts", "command=off,fill=off",
        "--on-alert", str(teller), "--on-alert", f"{hook.url}/hooks/{TOKEN}", "--heartbeat-url", f"{hook.url}/{PING}",
    )  # fmt: skip
    assert code == 0, out
    assert {path for path, _ in hook.posts} == {f"/hooks/{TOKEN}"}
    assert [(body["event"], body["mode"], body["account"]) for _, body in hook.posts] == [
        ("start", "sandbox", "practice"),
        ("stop", "sandbox", "practice"),
    ]
    last = hook.posts[-1][1]
    assert last["text"].startswith("[SANDBOX practice] Stopped")
    assert float(last["values"]["net"]) != 0 or last["values"]["held"] == "-"
    assert told.read_text().splitlines() == [body["text"] for _, body in hook.posts]
    assert set(hook.pings) == {f"/{PING}"}
    everything = out + "".join(p.read_text(errors="replace") for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert not [word for word in (TOKEN, PING, TOKEN[:12]) if word in everything]
    assert "alert.started" in everything, "the journal and the log have it"


def test_a_hook_that_is_gone_stops_nothing_and_is_said(tmp_path, hook):
    gone = hook.url
    hook.shutdown()
    hook.server_close()
    code, out = run(
        tmp_path, "run.py", "--symbol", "SOL_USDC", "--spread", "0.2", "--duration", "8", "--speed", "4", "--sandbox", "--lang", "en", "--json",
        "--data-dir", str(tmp_path / "data"), LEMON_TRADER_ON_ALERT=f"{gone}/hooks/{TOKEN}",
    )  # fmt: skip
    said = json.loads(out.strip().splitlines()[-1])
    assert code == 0, out
    assert said["equal"] is True
    assert "alert.undelivered" in [alert["key"] for alert in said["status"]["alerts"]]
    assert "Alerts do not arrive at http://127.0.0.1" in out
    assert TOKEN not in out


REFUSED = [
    ("a program that is not there", ["--on-alert", "no-such-program -x"], "no-such-program"),
    ("an address without a host", ["--on-alert", "https:///x"], "--on-alert"),
    ("an event that does not exist", ["--alerts", "fil=off"], "fill"),
    ("a level that does not exist", ["--alerts", "fill=quiet"], "fill=quiet"),
    ("a heartbeat to nowhere", ["--heartbeat-url", "ftp://x/y"], "--heartbeat-url"),
]


@pytest.mark.parametrize(("says", "flags", "value"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_cannot_be_told_is_refused_before_anything_is_sent(tmp_path, says, flags, value):
    code, out = run(
        tmp_path, "run.py", "--symbol", "SOL_USDC", "--spread", "0.2", "--sandbox", *flags, "--data-dir", str(tmp_path / "data")
    )
    assert code == 2, f"{says}: {out}"
    assert value in out
    assert "Traceback" not in out
    assert not (tmp_path / "data").exists()
