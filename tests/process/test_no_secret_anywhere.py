"""I8 over real processes: a key pair whose secret is put wherever a user might put it, and every byte that is written or printed afterwards."""

import base64
import os
import subprocess
import sys

import pytest
from nacl.signing import SigningKey
from tests.process.leaks import leaks, leaks_in
from tests.process.live_kit import QUOTES, ROOT, SPOT, engine, exchange, until

pytestmark = pytest.mark.process

SECRET = base64.b64encode(bytes(range(7, 39))).decode()
API = base64.b64encode(bytes(SigningKey(base64.b64decode(SECRET)).verify_key)).decode()
PAIR = ["run", "market-maker:SOL_USDC", "--spread", "0.4"]
LIVE = [*PAIR, "--live", "--yes"]
NOWHERE = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # loopback's discard port: nobody listens


def run(home, words, file="", mode=0o600, **environment):
    if file:
        (home / ".env").write_text(file)
        (home / ".env").chmod(mode)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LEMON_", "API_", "SECRET_", "BACKPACK_", "KEY_"))}
    clean |= {"HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT / "src"), "PYTHONDEVMODE": "1", **NOWHERE, **environment}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "lemon_trader.main", *words, "--data-dir", str(home / "data")], check=False, cwd=home, env=clean,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


CASES = [
    ("an exchange that cannot be reached", LIVE, {"API_KEY": API, "SECRET_KEY": SECRET}, "", 0o600),
    ("halves swapped", LIVE, {"API_KEY": SECRET, "SECRET_KEY": API}, "", 0o600),
    ("one character too many", LIVE, {"API_KEY": API, "SECRET_KEY": SECRET + "A"}, "", 0o600),
    ("another key's secret", LIVE, {"API_KEY": base64.b64encode(bytes(32)).decode(), "SECRET_KEY": SECRET}, "", 0o600),
    ("a file that others may read", LIVE, {}, f"API_KEY={API}\nSECRET_KEY={SECRET}\n", 0o644),
    ("a line of a file that cannot be read", LIVE, {}, f"API_KEY={API}\n{SECRET} =\n'{SECRET}\n", 0o600),
    ("a key file that is none", LIVE, {"KEY_FILE": ".env", "KEY_PASSPHRASE": SECRET}, f"{SECRET}\n", 0o600),
    ("as an address of alerts", [*PAIR, "--sandbox", "--on-alert", f"https:///{SECRET}"], {}, "", 0o600),
]


@pytest.mark.parametrize(("words", "environment", "file", "mode"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_no_refusal_and_no_fault_shows_a_stretch_of_the_secret(tmp_path, words, environment, file, mode):
    code, out = run(tmp_path, words, file, mode, **environment)
    assert code in {1, 2}, out.decode()
    assert b"Traceback" not in out
    assert leaks(out, SECRET) == []
    assert leaks_in(tmp_path, SECRET, besides=frozenset({".env"})) == []


def test_a_run_a_crash_a_refused_key_and_a_restart_write_the_secret_nowhere(tmp_path):
    with exchange() as at:
        secret = at.account.secret
        pairs = [["market-maker", SPOT, QUOTES]]
        with engine(tmp_path, at, pairs) as first:
            until(lambda: len(at.rests()) >= 2 and first.status() is not None, lambda: first.text, 40)
            first.process.kill()
            until(lambda: at.rests() == [], lambda: first.text, 20)
        with engine(tmp_path, at, pairs) as second:
            until(lambda: (second.status() or {}).get("state") == "HALTED", lambda: second.text, 40)
            second.stop()
        assert (tmp_path / "data" / "live" / "journal-000001").stat().st_size > 1_000
        assert leaks_in(tmp_path, secret) == []
