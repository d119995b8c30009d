"""Published clients that nobody here wrote, unmodified, in an environment of their own, trade on a running sandbox.

    make strangers                    every client's session once
    make strangers ARGS="--only ccxt --rounds 5"

Each session gets two fresh sandboxes: one with a living market, one with empty books. A client that tries to leave loopback fails.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SESSIONS = {
    "bpx": ("bpx_session.py", "sync"),
    "bpx-async": ("bpx_session.py", "async"),
    "sdk": ("sdk_session.py",),
    "ccxt": ("ccxt_session.py",),
    "docs": ("docs_snippets.py",),
}
LIMIT_S = 120  # of one session
AT_ONCE = 2


class Sandbox:
    """The program's own sandbox command, as a user starts it."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "lemon_trader.main", "sandbox", "--json", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True)
        assert self._process.stdout is not None
        self.ready = self._process.stdout.readline()
        if not self.ready:
            raise SystemExit(f"the sandbox did not start: {' '.join(command)}")

    def end(self) -> None:
        """Stop it. A sandbox that has died meanwhile is an error."""
        code = self._process.poll()
        self._process.terminate()
        self._process.wait(10)
        if code is not None:
            raise SystemExit(f"a sandbox ended by itself with exit code {code}")


def session(python: str, name: str) -> bool:
    """Let one client trade and print what it says; True when all its checks held."""
    sandboxes = [Sandbox("--seed", "7"), Sandbox("--market", "empty")]
    try:
        script, *rest = SESSIONS[name]
        # Nothing of the project, and no proxy, gets into the client's process.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" and not key.lower().endswith("_proxy")}
        begun = time.monotonic()
        try:
            done = subprocess.run(
                [python, str(HERE / script), *rest], input="".join(box.ready for box in sandboxes), env=environment, timeout=LIMIT_S,
                check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            print(f"{late.stdout}\nBAD {name}: not ready after {LIMIT_S} s", flush=True)
            return False
        print(f"{done.stdout.rstrip()} in {time.monotonic() - begun:.1f} s", flush=True)
        return done.returncode == 0
    finally:
        for box in sandboxes:
            box.end()


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--python", default=str(ROOT / ".venv-strangers" / "bin" / "python"), help="the interpreter of the clients")
    asked.add_argument("--only", choices=sorted(SESSIONS), action="append", help="this client alone; may be given more than once")
    asked.add_argument("--rounds", type=int, default=1, help="how often each client trades")
    given = asked.parse_args()
    names = [name for _ in range(given.rounds) for name in given.only or SESSIONS]
    with ThreadPoolExecutor(AT_ONCE) as several:  # a session waits most of its time for its market
        bad = [name for name, is_content in zip(names, several.map(partial(session, given.python), names), strict=True) if not is_content]
    if bad:
        raise SystemExit(f"not as its users expect: {', '.join(bad)}")
    print("all strangers are content")


if __name__ == "__main__":
    main()
