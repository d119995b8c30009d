"""The watchdog as it is: a process beside a live run, real signals, real sockets, an exchange that goes on living."""

import json
import os
import signal
import sys

import pytest
from tests.process.live_kit import LADDER, PERP, QUOTES, SPOT, engine, exchange, is_gone, until

from lemon_trader.engine.watchdog import KILL_FILE, LATCH_FILE

pytestmark = [pytest.mark.process, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")]

PAIRS = [["martingale", PERP, LADDER], ["market-maker", SPOT, QUOTES]]
AFTER_S = 3
BOUND_S = AFTER_S + 8  # hung after 3 s; then an engine is made, the account read, and the ends of its cancels proven


def settled(at):
    """Quotes rest, and so do layers, take profit and stop."""
    rests = at.rests()
    return rests.count((SPOT, False)) >= 2 and rests.count((PERP, False)) >= 3 and (PERP, True) in rests


def only_the_stop(at):
    return at.rests() == [(PERP, True)]


def test_F61_killed_then_only_the_stop_rests_and_the_restart_is_halted_and_converges(tmp_path):
    with exchange() as at:
        with engine(tmp_path, at, PAIRS, after_s=AFTER_S) as first:
            until(lambda: settled(at), lambda: first.text, 40)
            (dog,) = first.children()
            first.signal(signal.SIGKILL)
            took = until(lambda: only_the_stop(at), lambda: f"{at.rests()} {first.text}", BOUND_S)
            print(f"only the stop rested {took:.1f} s after kill -9")
            until(lambda: is_gone(dog), "the watchdog has nothing left to watch", 30)
            assert "The watchdog is done" in first.text
        assert json.loads((first.store / LATCH_FILE).read_text())["reason"] == "dead"
        before = len(at.ids())
        with engine(tmp_path, at, PAIRS, after_s=AFTER_S) as second:
            until(lambda: (second.status() or {}).get("state") == "HALTED", lambda: second.text, 40)
            assert "the watchdog cancelled what opens (dead" in second.text
            assert not (second.store / LATCH_FILE).exists()
            assert only_the_stop(at)
            said = second.stop()
        assert said["clean"] is True
        assert said["faults"] == []
        assert [m["unknown"] for m in said["status"]["markets"] if "unknown" in m] in ([], [0, 0])
        assert len(at.ids()) - before <= 1, "nothing was placed but, perhaps, a stop of another generation"
        assert len(set(at.ids())) == len(at.ids()), "no id twice"


def test_F61_hung_then_only_the_stop_rests_and_when_it_goes_on_it_halts_itself(tmp_path):
    with exchange() as at, engine(tmp_path, at, PAIRS, after_s=AFTER_S) as one:
        until(lambda: settled(at), lambda: one.text, 40)
        until(lambda: one.status() is not None, lambda: one.text)
        one.signal(signal.SIGSTOP)
        took = until(lambda: only_the_stop(at), lambda: f"{at.rests()} {one.text}", BOUND_S)
        print(f"only the stop rested {took:.1f} s after it hung")
        assert took >= AFTER_S - 1.5, "it was given its time"
        until(lambda: "The watchdog is done" in one.text, lambda: one.text, 20)
        sent = len(at.ids())
        one.signal(signal.SIGCONT)
        until(lambda: (one.status() or {}).get("state") == "HALTED", lambda: one.text, 10)
        assert not (one.store / LATCH_FILE).exists()
        assert [o for o in at.look(lambda account, _: list(account.order_history))[sent:] if not o.is_trigger] == []
        assert only_the_stop(at)
        said = one.stop()
        assert (said["clean"], said["status"]["reason"]) == (True, "WATCHDOG")


def test_a_healthy_run_is_left_alone_and_told_when_nobody_watches_it(tmp_path):
    with exchange() as at, engine(tmp_path, at, [["market-maker", SPOT, QUOTES]], after_s=AFTER_S) as one:
        until(lambda: len(at.rests()) >= 2 and one.status() is not None, lambda: one.text, 40)
        (dog,) = one.children()
        os.kill(dog, signal.SIGKILL)
        until(lambda: "The watchdog has ended (exit code -9)" in one.text, lambda: one.text, 10)
        assert one.status()["state"] == "ACTIVE"
        one.signal(signal.SIGUSR1)
        until(lambda: at.rests() == [] and one.status()["state"] == "HALTED", lambda: one.text, 10)
        assert "kill (Ctrl-C or a signal)" in one.text
        said = one.stop()
        assert said["clean"] is True
    with exchange() as at, engine(tmp_path / "other", at, [["market-maker", SPOT, QUOTES]], after_s=AFTER_S) as two:
        until(lambda: len(at.rests()) >= 2 and two.status() is not None, lambda: two.text, 40)
        (dog,) = two.children()
        (two.store / KILL_FILE).touch()
        until(lambda: at.rests() == [], lambda: two.text, 10)
        assert "kill (a kill file)" in two.text
        assert not (two.store / KILL_FILE).exists()
        two.stop()
        until(lambda: is_gone(dog), "it was told goodbye", 10)
        assert not (two.store / LATCH_FILE).exists()
        assert "watchdog cancels" not in two.text
