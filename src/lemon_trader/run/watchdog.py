"""The watchdog as a process: how an engine starts one beside it and shows it its pulse, and what that process does.

What it must know, the keys among it, goes through a pipe and stands in no file, no argument and no environment. The same pipe carries the
pulse: a byte each second, a goodbye at an ordered end, and its own end when the engine's process is gone, whatever ended that.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import lemon_trader
from lemon_trader.config.alerts import secrets_of
from lemon_trader.config.keys import NAMES
from lemon_trader.config.settings import LIVE, AlertSettings, AlertTarget, Keys, PairSettings, RunSettings, Secret
from lemon_trader.core.state import AccountState, Alert
from lemon_trader.core.units import US_PER_S
from lemon_trader.database.journal import JournalError
from lemon_trader.engine.startup import StartRefused
from lemon_trader.engine.watchdog import Hands, Tell, Watchdog
from lemon_trader.env import Env
from lemon_trader.env_live import LiveEnv, Proxies, new_loop
from lemon_trader.exchanges.dialect import Signer
from lemon_trader.logger import Redactor
from lemon_trader.messages.catalogue import say, speak
from lemon_trader.run.errand import KILL, carry_out
from lemon_trader.run.parts import make_signer
from lemon_trader.run.session import Session
from lemon_trader.run.telling import Telling
from lemon_trader.venues.venue import VenueLost

BEAT: Final = b"."
GOODBYE: Final = b"q"
LINE_MAX: Final = 1 << 20
DEAF_US: Final = 30 * US_PER_S  # a watchdog that answers no beat for so long is replaced; its start is within it
AGAIN_US: Final = 60 * US_PER_S  # between two starts of one
LEAVE_S: Final = 3  # it is given so long to hear the goodbye
WAIT_US: Final = 30 * US_PER_S  # of one try at the exchange; then everything is looked at anew


@dataclass(frozen=True, slots=True)
class Watch:
    """What the watchdog's process is told.

    Attributes:
        settings: of the live run that it watches.
        rest_url, ws_url: of the exchange; "" = its own.
    """

    settings: RunSettings
    rest_url: str = ""
    ws_url: str = ""

    def as_line(self) -> bytes:
        """One JSON object for the pipe, secrets revealed; for nothing else."""
        s = self.settings
        assert s.keys is not None
        alerts = s.alerts
        return json.dumps({
            "pairs": [[p.strategy, p.symbol] for p in s.pairs],
            "keys": [s.keys.api_key, s.keys.secret_key.reveal(), s.keys.source],
            "data_dir": str(s.data_dir.absolute()), "lang": s.lang, "ws_proxy": s.ws_proxy, "hung_s": s.watchdog_after_s,
            "alerts": {
                "targets": [[t.kind, t.label, t.address.reveal(), list(t.words)] for t in alerts.targets],
                "levels": dict(alerts.levels), "account_label": alerts.account_label,
            },
            "rest_url": self.rest_url, "ws_url": self.ws_url,
        }).encode() + b"\n"  # fmt: skip


def read_watch(line: bytes) -> Watch:
    """What `Watch.as_line` wrote. Raises ValueError, KeyError, TypeError for anything else."""
    said: dict[str, Any] = json.loads(line)
    api_key, secret, source = said["keys"]
    told = said["alerts"]
    targets = tuple(AlertTarget(kind, label, Secret(address), tuple(words)) for kind, label, address, words in told["targets"])
    settings = RunSettings(
        LIVE, tuple(PairSettings(strategy, symbol, {}) for strategy, symbol in said["pairs"]), keys=Keys(api_key, Secret(secret), source),
        data_dir=Path(said["data_dir"]), lang=said["lang"], ws_proxy=said["ws_proxy"], watchdog_after_s=int(said["hung_s"]),
        alerts=AlertSettings(targets, told["levels"], account_label=told["account_label"]),
    )  # fmt: skip
    return Watch(settings, said["rest_url"], said["ws_url"])


@dataclass(slots=True)
class Guard:
    """The engine's side: keeps a watchdog beside it, shows it the pulse, and notices when it is gone.

    Attributes:
        env: of the engine's process.
        watch: what the watchdog is told.
        tell: the engine's operator: message id, grade, and the values by name.
        pid: of the watchdog; 0 = none runs.
    """

    env: Env
    watch: Watch
    tell: Tell
    pid: int = 0
    _process: asyncio.subprocess.Process | None = None
    _heard_us: int = 0
    _has_left: bool = False
    _has_beaten: bool = False
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        """Start one and keep one; returns at once."""
        self.env.spawn(self._keep(), "watchdog")

    def beat(self, now_us: int) -> None:
        """The engine's loop has turned: each second."""
        del now_us
        self._has_beaten = True
        if self._process is None or self._has_left:
            return
        pipe = self._process.stdin
        assert pipe is not None
        if not pipe.is_closing():
            pipe.write(BEAT)
        if self.env.now_us() - self._heard_us > DEAF_US:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def leave(self) -> None:
        """The engine ends in order: let the watchdog go."""
        self._has_left = True
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        if not process.stdin.is_closing():
            process.stdin.write(GOODBYE)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._ended.wait()
        if self._process is not None:
            with suppress(ProcessLookupError):
                process.kill()

    async def _keep(self) -> None:
        while not self._has_left:
            reason = await self._one_life()
            self._process, self.pid = None, 0
            if not self._has_left:
                self.tell("alert.watchdog_lost", "grave", reason=reason, seconds=AGAIN_US // US_PER_S)
                await self.env.sleep(AGAIN_US)
        self._ended.set()

    async def _one_life(self) -> str:
        """Start a watchdog and listen until it has ended; why it did."""
        ours = {k: v for k, v in os.environ.items() if k not in NAMES}
        # A clone's door found the sources by itself; the new process is told where they are.
        source = str(Path(lemon_trader.__file__).parents[1])
        ours["PYTHONPATH"] = os.pathsep.join(filter(None, (source, ours.get("PYTHONPATH", ""))))
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "lemon_trader.run.watchdog", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env=ours, start_new_session=True,  # Ctrl-C and a closed terminal are for the engine
            )  # fmt: skip
        except OSError as error:
            return error.strerror or type(error).__name__
        assert process.stdin is not None
        assert process.stdout is not None
        self._heard_us = self.env.now_us()
        process.stdin.write(self.watch.as_line() + (BEAT if self._has_beaten else b""))
        self._process, self.pid = process, process.pid
        while await process.stdout.read(64):
            self._heard_us = self.env.now_us()
        return f"exit code {await process.wait()}"


def hands(settings: RunSettings, env: Env, signer: Signer, *, rest_url: str = "", ws_url: str = "") -> Hands:
    """What cancels: a short life of the engine beside the journal of the one that is hung or dead, which is only read."""

    async def act(go_on: Callable[[], bool]) -> str:
        session = Session(settings, env, signer, rest_url=rest_url, ws_url=ws_url, alone=True, beside=True)
        try:
            await session.recover()
            if await carry_out(session, KILL, WAIT_US, go_on):
                return ""
            return say("watchdog.unproven", count=sum(len(m.orders.live) for m in session.state.markets.values()))
        except (VenueLost, StartRefused, JournalError, OSError) as error:
            return str(error)
        finally:
            session.leave()
            await session.close()

    return act


async def _live() -> int:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    watch = read_watch(await reader.readline())
    settings, keys = watch.settings, watch.settings.keys
    assert keys is not None
    speak(settings.lang)
    secret = keys.secret_key.reveal()
    redactor = Redactor([secret, *secrets_of(settings.alerts)])

    def failed(name: str, error: BaseException) -> None:
        _print(redactor.clean(f"watchdog: {name}: {error!r}"))

    env = LiveEnv(settings.data_dir, failed, proxies=Proxies(stream=settings.ws_proxy or "", environ=os.environ))
    telling = Telling(
        env, replace(settings.alerts, heartbeat=None), AccountState(), env.now_us, mode=LIVE, api_key=keys.api_key, redactor=redactor,
    )  # fmt: skip

    def tell(key: str, grade: str, **values: object) -> None:
        alert = Alert(env.now_us(), key, grade, {name: redactor.clean(str(value)) for name, value in values.items()})
        _print(say(key, **alert.values))
        telling.alert(alert)

    act = hands(settings, env, make_signer(keys.api_key, secret), rest_url=watch.rest_url, ws_url=watch.ws_url)
    dog = Watchdog(env, env.store(LIVE), act, tell, hung_us=settings.watchdog_after_s * US_PER_S)
    env.spawn(_hear(reader, dog), "pulse")
    try:
        await dog.run()
    finally:
        await telling.close()
        await env.close()
    return 0


async def _hear(reader: asyncio.StreamReader, dog: Watchdog) -> None:
    """Take the pulse and answer it, so that the engine hears that it is heard."""
    while pulse := await reader.read(64):
        if GOODBYE in pulse:
            dog.left()
            return
        dog.beat()
        with suppress(OSError):  # nobody listens any more: the pipe's other end says so next
            os.write(sys.stdout.fileno(), BEAT)
    dog.lost()


def _print(text: str) -> None:
    """One line on the terminal of the engine, if there still is one."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201  it has no other screen


def main() -> int:
    """Watch until the engine says goodbye or everything is done; the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, signal.SIG_IGN)  # a service manager ends every process of a service at once: the engine's goodbye comes first
    loop = new_loop()
    try:
        return loop.run_until_complete(_live())
    finally:
        loop.close()


if __name__ == "__main__":
    sys.exit(main())
