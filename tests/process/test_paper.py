"""Paper by its door against a running sandbox, each a process of its own: real sockets, real signals, real files, and no key anywhere."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from tests.cli.typed import CLEAN, ROOT
from tests.process.live_kit import until

pytestmark = pytest.mark.process


@contextmanager
def started(words, folder, **pipes):
    environment = CLEAN | {
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "HOME": str(folder),
    }
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=folder, env=environment, text=True, **pipes)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_paper_trades_on_the_streams_of_a_running_exchange_and_is_looked_at_edited_and_stopped_by_its_doors(tmp_path):
    with started(["lemon_trader.main", "sandbox", "--json", "--seed", "3", "--speed", "4"], tmp_path, stdout=subprocess.PIPE) as sandbox:
        ready = json.loads(sandbox.stdout.readline())
        at = ["tests.process.paper_door", ready["rest_url"], ready["ws_url"]]
        data = ["--paper", "--lang", "en", "--data-dir", str(tmp_path / "data")]

        def door(*words):
            """(exit code, what it printed, its JSON) of another process."""
            with started([*at, *words, *data, "--json"], tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as one:
                out, _ = one.communicate(timeout=60)
            last = out.strip().splitlines()[-1] if out.strip() else ""
            return one.returncode, out, json.loads(last) if last[:1] == "{" else {}

        run = ["run", "market-maker:SOL_USDC", "--spread", "0.02", "--budget", "600", "--paper-balance", "USDC=700,SOL=1", "--json"]
        output = tmp_path / "output"
        with output.open("w") as file, started([*at, *run, *data], tmp_path, stdout=file, stderr=subprocess.STDOUT) as paper:
            until(lambda: "Ctrl-C stops in order" in output.read_text(), output.read_text, 60)
            assert "PAPER" in output.read_text().splitlines()[0]
            assert "700 USDC" in output.read_text()

            def filled():
                code, _, said = door("status")
                return code == 0 and said["paper"]["markets"][0]["session"]["bought"] != "0"

            until(filled, output.read_text, 60)
            code, out, said = door("edit", "--spread", "0.5", "--yes")
            assert (code, said.get("done")) == (0, True), out
            code, out, said = door("why")
            assert said["paper"]["running"] is True
            paper.send_signal(signal.SIGINT)
            assert paper.wait(40) == 0, output.read_text()
        lines = output.read_text()
        said = json.loads(lines.strip().splitlines()[-1])
        assert (said["clean"], said["faults"], said["equal"]) == (True, [], True)
        assert "parameters changed (the command line): spread 0.02 → 0.5" in lines
        assert "Stopped (Ctrl-C or a signal)" in lines
        book = json.loads((tmp_path / "data" / "paper" / "status.json").read_text())
        assert book["mode"] == "paper"
        for word in ("API_KEY", *(a["secret"] for a in ready["accounts"])):
            assert word not in lines
        code, out, said = door("stop")
        assert (code, said["running"]) == (1, False), "nothing runs any more, and that is said"


def test_paper_without_the_exchange_fails_and_falls_back_to_nothing(tmp_path):
    words = [
        "tests.process.paper_door",
        "http://127.0.0.1:9",
        "ws://127.0.0.1:9/",
        "run",
        "market-maker:SOL_USDC",
        "--paper",
        "--lang",
        "en",
    ]
    with started(
        [*words, "--budget", "600", "--data-dir", str(tmp_path / "d")], tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as one:
        out, _ = one.communicate(timeout=100)
    assert one.returncode == 1, out
    assert "PAPER" in out.splitlines()[0]
    assert "SANDBOX" not in out
    assert "Traceback" not in out
