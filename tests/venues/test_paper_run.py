"""Paper from end to end over real loopback sockets: the sandbox's public side is the market, and nobody there knows of us."""

import asyncio
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from tests.env_live.real import run

from lemon_trader.config.settings import PAPER, PairSettings, RunSettings
from lemon_trader.run import trading
from lemon_trader.run.parts import default_values
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 2.5
PATIENCE_S = 60


class Heard:
    """A face that keeps what it was told."""

    def __init__(self):
        self.said = []
        self.facts = {}

    def say(self, key, **values):
        self.said.append((key, values))

    def ask(self, key, **values):
        raise AssertionError(f"asked {key}")

    confirm = ask

    def table(self, key, columns, rows):
        self.said.append((key, {}))

    def report(self, statistics):
        self.said.append(("report", statistics))

    def result(self, facts):
        self.facts = dict(facts)

    @property
    def words(self):
        return [key for key, _ in self.said]


def settings(place, strategy, symbol, **values):
    pair = PairSettings(strategy, symbol, default_values(strategy, **values), budget=Decimal(400))
    return RunSettings(mode=PAPER, pairs=(pair,), data_dir=place, paper_balances={"USDC": Decimal(1_000)})


MAKER = {"spread": Decimal("0.02"), "max_orders": 3, "interval": 2, "volatility_factor": Decimal(0)}
LADDER = {"entry": "market", "step_pct": Decimal("0.2"), "take_profit_pct": Decimal("0.2"), "cooldown": 1}


def volume(face):
    """Base units traded in all lives."""
    period = face.facts["report"]["markets"][0]["periods"]["all"]
    return sum(Decimal(period[f"{who}_{side}_volume"]) for who in ("maker", "taker") for side in ("buy", "sell"))


class Outcome:
    def __init__(self):
        self.requests = []
        self.frames = []
        self.faces = []


def fills_so_far(place):
    """How many the journal holds: a fact is written there before anybody reacts to it."""
    journal = place / "paper" / "journal-000001"
    return journal.read_bytes().count(b"Fill") if journal.exists() else 0


async def interrupt_when_it_has_traded(place):
    """Ctrl-C after a while, and not before this life has filled something, however slow the machine is."""
    before = fills_so_far(place)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.sleep(SECONDS)
    while fills_so_far(place) <= before and loop.time() - begun < PATIENCE_S:  # noqa: ASYNC110  a file cannot say that it grew
        await asyncio.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)


def traded(place, strategy, symbol, lives=1, **values):
    """So many lives of a paper program against one sandbox."""
    out = Outcome()

    async def main():
        sandbox = await start_sandbox(ServerOptions(world=WorldOptions(symbols=(symbol,), seed=4, activity_pct=1_500)))
        handle, open_stream = sandbox.app.handle, sandbox.app.open_stream

        def heard(method, target, headers, body, now_us, **more):
            out.requests.append((method, target, {k.lower() for k in headers}))
            return handle(method, target, headers, body, now_us, **more)

        def listened(*ends):
            session = open_stream(*ends)
            receive = session.receive
            session.receive = lambda text, *times: (out.frames.append(text), receive(text, *times))[1]
            return session

        sandbox.app.handle, sandbox.app.open_stream = heard, listened
        try:
            for _ in range(lives):
                out.faces.append(Heard())
                chosen = settings(place, strategy, symbol, **values)
                interrupt = asyncio.create_task(interrupt_when_it_has_traded(place))
                assert await trading._trade(chosen, out.faces[-1], sandbox.rest_url, sandbox.ws_url) == trading.OK, out.faces[-1].said
                await interrupt
            for account in sandbox.accounts:
                assert not sandbox.app.desk.exchange.accounts[account.name].order_history
                assert not sandbox.app.desk.exchange.accounts[account.name].live
        finally:
            await sandbox.stop()

    run(main, limit_s=2 * PATIENCE_S)
    return out


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    """Two lives of a market maker on spot."""
    place = tmp_path_factory.mktemp("maker")
    with pytest.MonkeyPatch.context() as patch:
        # A lock ends with its process, and both lives are in one.
        patch.setattr("lemon_trader.env_live.store._try_lock", lambda _: True)
        out = traded(place, "market-maker", "SOL_USDC", lives=2, **MAKER)
    out.place = place
    return out


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """One life of a ladder on a perpetual."""
    out = traded(tmp_path_factory.mktemp("ladder"), "martingale", "SOL_USDC_PERP", **LADDER)
    out.place = None
    return out


@pytest.mark.parametrize("who", ["maker", "ladder"])
def test_a_paper_run_trades_and_ends_with_books_equal_to_the_paper_accounts(who, request):
    face = request.getfixturevalue(who).faces[0]
    assert face.words[0] == "mode.paper"
    assert "paper.account_new" in face.words
    assert "paper.equal_yes" in face.words
    assert face.facts["equal"] is True
    assert face.facts["faults"] == []
    assert face.facts["status"]["sent"] > 0
    assert volume(face) > 0, "a run without a fill compares too little"


def test_paper_has_a_store_of_its_own(maker):
    assert (maker.place / "paper" / "paper-account").exists()
    assert sorted(p.name for p in maker.place.iterdir()) == ["paper"]


def test_nothing_that_leaves_is_signed_or_private(maker):
    assert {method for method, _, _ in maker.requests} == {"GET"}
    signed = [r for r in maker.requests if r[2] & {"x-signature", "x-api-key", "x-timestamp", "x-window"}]
    assert signed == []
    paths = {target.split("?")[0] for _, target, _ in maker.requests}
    assert paths == {"/api/v1/markets", "/api/v1/time", "/api/v1/depth", "/api/v1/status"}
    assert maker.frames
    assert not [frame for frame in maker.frames if "signature" in frame or "account." in frame]


def test_the_paper_account_goes_on_where_the_last_life_left_it(maker):
    second = maker.faces[1]
    assert "paper.account_kept" in second.words
    assert "paper.account_new" not in second.words
    assert second.facts["equal"] is True
    first, both = map(volume, maker.faces)
    assert 0 < first < both


def test_without_a_network_paper_fails_with_one_message_and_falls_back_to_nothing(tmp_path):
    face = Heard()
    code = trading.run_trading(
        settings(tmp_path, "market-maker", "SOL_USDC", **MAKER), face, rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9/"
    )
    assert code == trading.FAILED
    assert face.words == ["mode.paper", "start.venue_lost"]


WATCHED = """
import sys
seen = []
def hook(event, args):
    if event == "open" and str(args[0]).endswith(".env"):
        seen.append(f"opened {args[0]}")
    if event == "socket.connect" and args[1][0] not in ("127.0.0.1", "::1"):
        seen.append(f"connected to {args[1]}")
sys.addaudithook(hook)
import runpy
sys.argv = [sys.argv[1], "--strategy", "market-maker", "--symbol", "SOL_USDC", "--paper", "--duration", "2"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    print("SEEN", seen, "CODE", ended.code)
"""


@pytest.mark.process
def test_the_door_opens_no_dotenv_and_fails_without_the_internet(tmp_path):
    (tmp_path / ".env").write_text("API_KEY=not-to-be-read\nSECRET_KEY=not-to-be-read\n")
    (tmp_path / ".env").chmod(0o600)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LEMON_", "API_", "SECRET_", "BACKPACK_"))}
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "WSS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(ROOT / "run.py")], check=False, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        env={**clean, **nowhere, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    said = (done.stdout + done.stderr).strip().splitlines()
    assert said[-1] == "SEEN [] CODE 1", said
    assert said[0].startswith("PAPER")
    assert len(said) == 3, said
