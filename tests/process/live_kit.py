"""Live runs as processes of their own, and the sandbox that is their exchange, alive in a thread of the test's process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from lemon_trader.engine.control import ask
from lemon_trader.env_live import FolderStore
from lemon_trader.run.side_loop import SideLoop
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

ROOT = Path(__file__).resolve().parents[2]
PERP, SPOT = "SOL_USDC_PERP", "SOL_USDC"
LADDER = {
    "layers": 3, "step_pct": "0.5", "step_scale": "1", "take_profit_pct": "5", "resting": 2, "entry": "market", "stop_loss_pct": "9",
    "stop_by_layer": False,
}  # fmt: skip
QUOTES = {"spread": "0.4", "max_orders": 2, "interval": 3, "volatility_factor": "0"}


class Exchange:
    """The sandbox, looked into."""

    def __init__(self, loop, running):
        self.loop, self.running = loop, running
        self.account = running.accounts[0]

    def look(self, what):
        """`what(account, exchange)` on the exchange's own loop."""

        async def asked():
            exchange = self.running.app.desk.exchange
            return what(exchange.accounts[self.account.name], exchange)

        return self.loop.do(asked())

    def rests(self):
        """(symbol, is a trigger) of everything that rests."""
        return self.look(lambda account, _: sorted((o.symbol, o.is_trigger) for o in account.live.values()))

    def ids(self):
        """Client ids of every order that was ever taken."""
        return self.look(lambda account, _: [o.client_id for o in (*account.order_history, *account.live.values())])


@contextmanager
def exchange(**options):
    loop = SideLoop()
    try:
        running = loop.do(start_sandbox(ServerOptions(**({"world": WorldOptions(symbols=(PERP, SPOT), seed=3, accounts=1)} | options))))
        try:
            yield Exchange(loop, running)
        finally:
            loop.do(running.stop())
    finally:
        loop.close()


class Engine:
    """One live run."""

    def __init__(self, home, at, pairs, *, rest_url="", ws_url="", **more):
        home.mkdir(exist_ok=True)
        self.store = home / "data" / "live"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LEMON_", "API_", "SECRET_", "BACKPACK_"))}
        clean |= {"HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        running = at.running
        said = {
            "rest_url": rest_url or running.rest_url, "ws_url": ws_url or running.ws_url, "api_key": at.account.api_key,
            "secret": at.account.secret, "data_dir": str(home / "data"), "pairs": pairs, **more,
        }  # fmt: skip
        self.output = home / f"output-{time.monotonic_ns()}"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.process.live_engine"], cwd=ROOT, env=clean, stdin=subprocess.PIPE, stdout=file, stderr=file
            )
        self.process.stdin.write(json.dumps(said).encode() + b"\n")
        self.process.stdin.close()

    @property
    def text(self):
        return self.output.read_text()

    def status(self):
        """The engine's own picture; None where it does not answer."""
        try:
            reply = asyncio.run(ask(FolderStore(self.store), "status", wait_s=2)) if self.store.is_dir() else None
        except (TimeoutError, ValueError):
            return None
        return reply["status"] if reply else None

    def children(self):
        """Process ids of what it has started."""
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """An ordered end; what its last line said."""
        self.signal(signal.SIGINT)
        self.process.wait(40)
        return json.loads(self.text.strip().splitlines()[-1])

    def end(self):
        """Whatever state it is in: it must not outlive the test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def engine(*words, **more):
    started = Engine(*words, **more)
    try:
        yield started
    finally:
        started.end()


def until(what, says, within_s=30):
    """Wait until it holds; seconds that it took."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < within_s, f"never within {within_s} s: {says()}" if callable(says) else says
        time.sleep(0.05)
    return time.monotonic() - begun


def is_gone(pid):
    """No such process runs any more; a zombie runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
