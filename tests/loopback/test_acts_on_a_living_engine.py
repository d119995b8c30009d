"""The command line beside a living engine, and a paper account whose engine died: the doors, real sockets, real files."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.env_live.real import live_env, until

from lemon_trader.cli.app import main
from lemon_trader.config.settings import PAPER, SANDBOX, PairSettings, RunSettings
from lemon_trader.core.units import ACTIVE, EXIT, HALTED, LAYER
from lemon_trader.run.acts import act_on
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

SYMBOL = "SOL_USDC"
VALUES = {"layers": 3, "step_pct": Decimal("0.5"), "take_profit_pct": Decimal(5), "stop_loss_pct": Decimal(9), "stop_by_layer": False}
PAIR = PairSettings("martingale", SYMBOL, default_values("martingale", entry="market", **VALUES), budget=Decimal(400))
WORLD = WorldOptions(symbols=(SYMBOL,), seed=3, accounts=1)


class Told:
    """A face that remembers, and types the word or not."""

    def __init__(self, *, types: bool = False) -> None:
        self.said: list[str] = []
        self.types = types

    def say(self, key: str, **values: object) -> None:
        self.said.append(key)

    def table(self, key: str, columns: object, rows: object) -> None:
        self.said.append(key)

    def confirm(self, word: str, key: str, **values: object) -> bool:
        self.said.append(key)
        return self.types

    def result(self, facts: object) -> None:
        self.facts = facts


@pytest.fixture
def door(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LEMON_TRADER_LANG", "en")
    monkeypatch.chdir(tmp_path)

    async def call(*words):
        code = await asyncio.to_thread(main, [*words, "--json", "--data-dir", str(tmp_path)])
        printed = capsys.readouterr()
        return code, printed.out, json.loads(printed.out.strip().splitlines()[-1])

    return call


def roles(session: Session) -> set[int]:
    return {o.role for o in session.state.markets[SYMBOL].orders.live}


async def settled(session: Session, rest: set[int]) -> None:
    """Trading, with orders of these roles acknowledged and nothing else."""
    await session.recover()
    await session.plan()
    await session.trade()
    await until(lambda: roles(session) == rest and all(o.acked for o in session.state.markets[SYMBOL].orders.live), 30)


def test_a_living_engine_is_asked_told_and_resumed_by_the_word(tmp_path, door):
    async def story():
        sandbox = await start_sandbox(ServerOptions(world=WORLD))
        account = sandbox.accounts[0]
        async with live_env(tmp_path) as env:
            run = RunSettings(SANDBOX, (PAIR,), data_dir=tmp_path)
            session = Session(run, env, make_signer(account.api_key, account.secret), rest_url=sandbox.rest_url, ws_url=sandbox.ws_url)
            try:
                await settled(session, {LAYER, EXIT})
                code, text, said = await door("status")
                assert code == 0
                assert (said["sandbox"]["source"], said["sandbox"]["running"]) == ("engine", True)
                code, text, said = await door("balance")
                assert float(said["sandbox"]["balances"]["USDC"]["available"]) > 0
                anchored = session.state.has_anchor
                code, text, said = await door("resume", "--yes")
                assert (code, "nothing to resume" in text) == (0, True), text
                assert session.state.has_anchor == anchored, "the loss limits are not counted anew"
                assert "alert.command_resume" not in [a.key for a in session.state.told]
                code, text, said = await door("kill")
                assert (code, said["done"]) == (0, True), text
                await until(lambda: not roles(session))
                assert session.state.mode == HALTED
                code, text, said = await door("resume")
                assert code == 2, "nobody typed the word"
                assert "the operator said kill" in text
                assert "take profit" in text, "what it would place"
                assert session.state.mode == HALTED
                code, text, said = await door("resume", "--yes")
                assert (code, said["done"]) == (0, True), text
                await until(lambda: roles(session) == {LAYER, EXIT})
                assert session.state.mode == ACTIVE
                code, text, said = await door("cancel")
                await until(lambda: not roles(session))
                assert session.state.markets[SYMBOL].ledger.lots > 0, "cancel sells nothing"
                code, text, said = await door("flatten")
                assert (code, said["done"]) == (0, True), text
                await until(lambda: session.state.markets[SYMBOL].position.sellable_lots < session.state.markets[SYMBOL].view.min_lots, 30)
                await session.stop("test")
            finally:
                await session.close()
        code, text, said = await door("cancel", "--sandbox")
        assert code == 1
        assert "There is no exchange any more" in text
        await sandbox.stop()

    asyncio.run(asyncio.wait_for(story(), 60))


ACTS = [
    pytest.param("cancel", "offset", {LAYER}, id="cancel"),
    pytest.param("flatten", "market", {LAYER, EXIT}, id="flatten", marks=pytest.mark.slow),  # paper fills no sooner than the market proves
]


@pytest.mark.parametrize(("action", "entry", "rest"), ACTS)
def test_a_paper_account_is_acted_on_without_its_engine(tmp_path, action: str, entry: str, rest: set[int]):
    async def story():
        sandbox = await start_sandbox(ServerOptions(world=WORLD))
        pair = replace(PAIR, values=default_values("martingale", entry=entry, entry_offset_pct=Decimal(1), **VALUES))
        run = RunSettings(PAPER, (pair,), data_dir=tmp_path, paper_balances={"USDC": Decimal(1_000)})
        async with live_env(tmp_path) as env:
            session = Session(run, env, None, rest_url=sandbox.rest_url, ws_url=sandbox.ws_url)
            await settled(session, rest)
            assert session.runner is not None
            for task in session.runner._tasks:
                task.cancel()
            await session.close()  # no stop came before it: what rests, rests
        face = Told()
        async with live_env(tmp_path) as env:
            assert await act_on(run, action, face, env, None, rest_url=sandbox.rest_url, ws_url=sandbox.ws_url) == 0, face.said
        assert f"act.done.{action}" in face.said
        left = face.facts["status"]["markets"][0]
        assert not left["orders"]
        assert float(left["position"]) < 0.01
        await sandbox.stop()

    asyncio.run(asyncio.wait_for(story(), 60))
