"""`init`: what it writes is what a run reads; keys are typed unseen, tried first, and readable by their owner alone."""

import getpass
import os
import pty
import select
import stat
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from tests.cli.faces import pipe, running_sandbox, stand_alone, type_in
from tests.cli.typed import CLEAN, ROOT, run

from lemon_trader.cli import init as inits
from lemon_trader.cli.app import main
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.flags import read_flags
from lemon_trader.config.general import LIMITS
from lemon_trader.config.keys import keys_for_live
from lemon_trader.config.resolve import Request, preview
from lemon_trader.messages.catalogue import say

DEFAULTS = ["", "", "", "", "", "."]  # language, mode, strategy, market, budget, limits
KEYS_FILE = "written.env"  # not `.env`, which no test opens


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    stand_alone(monkeypatch, tmp_path)
    monkeypatch.setattr("builtins.input", lambda prompt="": print(prompt, end="") or _line())


def _line():
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


@pytest.fixture(scope="module")
def sandbox():
    with running_sandbox() as running:
        yield running


def init(capsys, monkeypatch, tmp_path, *lines, secrets=(), rest_url="http://127.0.0.1:9"):
    type_in(monkeypatch, *lines)
    typed = iter(secrets)
    monkeypatch.setattr(getpass, "getpass", lambda prompt="": next(typed))
    flags = read_flags([], inits.init_groups(), words=False)
    return run(capsys, lambda _: inits.init(flags, dotenv=tmp_path / KEYS_FILE, rest_url=rest_url), [])


def limits(**given):
    """Answers to the questions about limits, in their order, for those that are given (a list = one answer after the other)."""
    last = max(i for i, p in enumerate(LIMITS) if p.name in given)
    found = [given.get(p.name, "") for p in LIMITS[: last + 1]]
    return [answer for one in found for answer in (one if isinstance(one, list) else [one])] + ["."]


def read(path):
    return preview(Request(file=path), declarations())


def test_without_a_terminal_it_refuses_and_says_how_to_write_the_file_by_hand(capsys, monkeypatch, tmp_path):
    pipe(monkeypatch, "1", "1")
    printed = run(capsys, main, ["init"])
    assert printed.code == 2
    assert "[[pair]]" in printed.err
    assert "chmod 600" in printed.err
    assert not list(tmp_path.iterdir())


def test_the_defaults_make_a_file_that_a_run_reads(capsys, monkeypatch, tmp_path):
    printed = init(capsys, monkeypatch, tmp_path, *DEFAULTS, "n")
    assert printed.code == 0
    found = read(tmp_path / "lemon.toml")
    (pair,) = found.pairs
    assert (pair.strategy, pair.symbol, pair.budget) == ("market-maker", "SOL_USDC", None)
    assert 'mode = "sandbox"' in (tmp_path / "lemon.toml").read_text()
    assert run(capsys, main, ["config", "validate", "lemon.toml"]).code == 0
    assert not (tmp_path / KEYS_FILE).exists()


def test_what_is_answered_is_written(capsys, monkeypatch, tmp_path):
    answers = limits(max_order_notional="100", daily_loss_pct="5%")
    init(capsys, monkeypatch, tmp_path, "zh-TW", "2", "martingale", "ETH_USDC_PERP", "250.5", *answers, "n")
    found = read(tmp_path / "lemon.toml")
    (pair,) = found.pairs
    assert (pair.strategy, pair.symbol, str(pair.budget)) == ("martingale", "ETH_USDC_PERP", "250.5")
    assert (str(found.house["max_order_notional"]), str(found.house["daily_loss_pct"]), found.house["lang"]) == ("100", "5", "zh-TW")
    assert 'mode = "paper"' in (tmp_path / "lemon.toml").read_text()


def test_a_wrong_answer_is_asked_again_in_the_words_of_every_door(capsys, monkeypatch, tmp_path):
    answers = ["", "", "", "sol-usdc", "SOL_USDC", "-5", "50", *limits(daily_loss_pct=["-5", "5"])]
    printed = init(capsys, monkeypatch, tmp_path, *answers, "n")
    assert "Did you mean SOL_USDC" in printed.err
    assert "--budget -5" in printed.err or "budget -5" in printed.err
    assert "Did you mean 5?" in printed.err
    assert str(read(tmp_path / "lemon.toml").house["daily_loss_pct"]) == "5"


@pytest.mark.parametrize(("answer", "is_new"), [("n", False), ("", False), ("y", True)])
def test_a_file_that_exists_is_never_written_over_unasked(capsys, monkeypatch, tmp_path, answer, is_new):
    (tmp_path / "lemon.toml").write_text("mine\n")
    printed = init(capsys, monkeypatch, tmp_path, *DEFAULTS, answer, "n")
    assert printed.code == 0
    assert "[[pair]]" in printed.out, "what would be written can be copied"
    assert ((tmp_path / "lemon.toml").read_text() != "mine\n") is is_new
    kept = [p for p in tmp_path.iterdir() if p.name.startswith("lemon.toml.")]
    assert [p.read_text() for p in kept] == (["mine\n"] if is_new else [])
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".new")]


def test_keys_that_the_exchange_knows_are_written_for_their_owner_alone(capsys, monkeypatch, sandbox, tmp_path):
    account = sandbox.accounts[0]
    old = os.umask(0)
    try:
        printed = init(
            capsys, monkeypatch, tmp_path, *DEFAULTS, "y", secrets=(account.api_key, account.secret, ""), rest_url=sandbox.rest_url
        )
    finally:
        os.umask(old)
    assert printed.code == 0
    path = tmp_path / KEYS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"API_KEY={account.api_key}\nSECRET_KEY={account.secret}\n"
    assert "The exchange knows the key" in printed.out
    assert account.secret not in printed.out + printed.err


def test_with_a_passphrase_the_keys_are_kept_encrypted_and_open_with_it_alone(capsys, monkeypatch, sandbox, tmp_path):
    monkeypatch.setattr("lemon_trader.config.keys_box.MEMORY_BYTES", 8192)
    account = sandbox.accounts[0]
    typed = (account.api_key, account.secret, "short", "correct horse", "correct hoarse", "correct horse", "correct horse")
    printed = init(capsys, monkeypatch, tmp_path, *DEFAULTS, "y", secrets=typed, rest_url=sandbox.rest_url)
    assert printed.code == 0
    path = tmp_path / "keys.box"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (tmp_path / KEYS_FILE).exists()
    assert not [s for s in (account.secret, account.api_key, "horse") if s in path.read_text() + printed.out + printed.err]
    found = keys_for_live({}, {"KEY_PASSPHRASE": "correct horse"}, tmp_path / KEYS_FILE)
    assert (found.api_key, found.secret_key.reveal(), found.source) == (account.api_key, account.secret, str(path))
    printed = init(capsys, monkeypatch, tmp_path, *DEFAULTS, "n")
    assert say("init.env-exists", file=path) in printed.out


def test_keys_that_the_exchange_refuses_are_not_written(capsys, monkeypatch, sandbox, tmp_path):
    from lemon_trader.sandbox.accounts import demo_accounts

    stranger = demo_accounts(99, 1)[0]
    secrets = (stranger.api_key, stranger.secret, "", "")
    printed = init(capsys, monkeypatch, tmp_path, *DEFAULTS, "y", "n", secrets=secrets, rest_url=sandbox.rest_url)
    assert printed.code == 0
    assert "401" in printed.err
    assert stranger.secret not in printed.out + printed.err
    assert not (tmp_path / KEYS_FILE).exists()


MALFORMED = [
    ("not base64 at all", ("a b", "c d"), "base64"),
    ("one half only", ("", "c2VjcmV0"), "SECRET_KEY"),
    ("too short", ("c2hvcnQ=", "c2hvcnQ="), "bytes"),
]


@pytest.mark.parametrize(("keys", "words"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_malformed_keys_are_asked_again_before_anybody_is_asked(capsys, monkeypatch, tmp_path, keys, words):
    monkeypatch.setattr(inits, "ask_terms", None)
    printed = init(capsys, monkeypatch, tmp_path, *DEFAULTS, "y", secrets=(*keys, "", ""))
    assert printed.code == 0
    assert words in printed.err
    assert not (tmp_path / KEYS_FILE).exists()


def test_keys_that_could_not_be_tried_are_written_only_when_that_is_wanted(capsys, monkeypatch, sandbox, tmp_path):
    monkeypatch.setattr("lemon_trader.api.client.ATTEMPTS", 1)
    account = sandbox.accounts[0]
    init(capsys, monkeypatch, tmp_path, *DEFAULTS, "y", "y", secrets=(account.api_key, account.secret, ""))
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600


def test_keys_that_exist_are_not_touched(capsys, monkeypatch, tmp_path):
    (tmp_path / KEYS_FILE).write_text("mine\n")
    printed = init(capsys, monkeypatch, tmp_path, *DEFAULTS)
    assert say("init.env-exists", file=tmp_path / KEYS_FILE) in printed.out
    assert (tmp_path / KEYS_FILE).read_text() == "mine\n"


def test_answers_that_end_early_write_nothing(capsys, monkeypatch, tmp_path):
    printed = init(capsys, monkeypatch, tmp_path, "", "")
    assert printed.code == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX's")
def test_on_a_real_terminal_typed_keys_never_appear(tmp_path):
    """The program on a terminal of its own; two wrong keys are typed, and then none."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "lemon_trader.main", "init"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, start_new_session=True,
        env=CLEAN | {"PYTHONPATH": str(ROOT / "src"), "LANG": "en_US.UTF-8", "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    answers = [("Language", ""), ("Mode", ""), ("Strategy", ""), ("Market", ""), ("budget", ""), (LIMITS[0].name, "."), ("API keys", "y"),
               ("API_KEY:", "not-a-key-1"), ("SECRET_KEY:", "not-a-secret-2"), ("API_KEY:", ""), ("SECRET_KEY:", "")]  # fmt: skip
    seen = 0
    deadline = time.monotonic() + 60
    try:
        for prompt, reply in answers:
            while (at := shown.find(prompt.encode(), seen)) < 0:
                assert time.monotonic() < deadline, shown.decode(errors="replace")
                if select.select([ours], [], [], 0.2)[0]:
                    shown += os.read(ours, 4096)
            seen = at + len(prompt)
            time.sleep(0.05)  # the prompt stands before the terminal stops to echo
            os.write(ours, reply.encode() + b"\n")
        with suppress(OSError):  # a terminal whose last program has gone reads as an error
            while time.monotonic() < deadline and select.select([ours], [], [], 5)[0]:
                shown += os.read(ours, 4096)
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    text = shown.decode(errors="replace")
    assert "not-a-key-1" not in text
    assert "not-a-secret-2" not in text
    assert (tmp_path / "lemon.toml").exists()
    assert not (tmp_path / ".env").exists()
