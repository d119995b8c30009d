"""Doors in this process over a sandbox that lives beside them, and answers given line by line."""

import asyncio
import io
import sys
from contextlib import contextmanager

from msgspec.structs import replace

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import Level, Reference
from lemon_trader.matching.rules import STATED
from lemon_trader.messages import catalogue
from lemon_trader.run.side_loop import SideLoop
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.terms import sandbox_rules
from lemon_trader.sandbox.world import WorldOptions

KEY_NAMES = ("API_KEY", "SECRET_KEY", "BACKPACK_KEY", "BACKPACK_SECRET", "LEMON_TRADER_LANG", "LC_ALL", "LC_MESSAGES")


def stand_alone(monkeypatch, folder, language="en_US.UTF-8"):
    """In a folder of its own, in this language, with no key anywhere."""
    monkeypatch.chdir(folder)
    for name in KEY_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", language)
    monkeypatch.setattr(catalogue, "_spoken", "en")  # given back afterwards: a door speaks for its whole process


class Terminal(io.StringIO):
    """A standard input at which somebody sits; its lines are what is typed."""

    def isatty(self):
        return True


def pipe(monkeypatch, *lines):
    """These lines come from a pipe."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def type_in(monkeypatch, *lines):
    """Somebody types these lines, and then ends the input."""
    monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{line}\n" for line in lines)))
    monkeypatch.setattr("lemon_trader.cli.console.is_attended", lambda: True)
    for module in ("init", "doctor"):
        monkeypatch.setattr(f"lemon_trader.cli.{module}.is_attended", lambda: True)


@contextmanager
def running_sandbox(**world):
    """A sandbox with these options, alive in a thread of its own."""
    loop = SideLoop()
    try:
        sandbox = loop.do(start_sandbox(ServerOptions(world=WorldOptions(**world))))
        try:
            yield sandbox
        finally:
            loop.do(sandbox.stop())
    finally:
        loop.close()


SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
MARK, DIP, PAUSE_S = 15_005, 14_900, 0.3


@contextmanager
def dipping_sandbox(*, still=False, **world):
    """A sandbox of still books in which only the perpetual's mark dips for an instant, a few times a second: a stop near it fires soon."""
    loop = SideLoop()
    world.setdefault("rules", replace(sandbox_rules(), mark_rule=STATED))  # an average over a minute would not dip
    try:
        sandbox = loop.do(start_sandbox(ServerOptions(world=WorldOptions(market="empty", **world))))

        def mark(ticks):
            sandbox.app.act(Reference(sandbox.clock.now_us(), PERP, ticks, ticks, 0))

        async def begin():
            for symbol in (SPOT, PERP):
                for side, ticks in ((BUY, 15_000), (SELL, 15_010)):
                    sandbox.app.act(Level(sandbox.clock.now_us(), symbol, side, ticks, 100_000))
            mark(MARK)
            return None if still else asyncio.get_running_loop().create_task(dip())

        async def dip():
            while True:
                await asyncio.sleep(PAUSE_S)
                mark(DIP)
                mark(MARK)

        loop.do(begin())
        try:
            yield sandbox
        finally:
            loop.do(sandbox.stop())
    finally:
        loop.close()
