"""`edit` and `stop SYMBOL` beside a living engine with two pairs: the doors, real sockets, a real journal."""

import asyncio
import json
import sys
from decimal import Decimal

import pytest
from tests.cli.faces import type_in
from tests.env_live.real import live_env, until

from lemon_trader.cli.app import main
from lemon_trader.config.settings import SANDBOX, PairSettings, RunSettings
from lemon_trader.core.units import EXIT, LAYER, QUOTE
from lemon_trader.env_live import FolderStore
from lemon_trader.run.looks import folded
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
MAKER = PairSettings("market-maker", SPOT, default_values("market-maker"), budget=Decimal(900))
LADDER = PairSettings("martingale", PERP, default_values("martingale", entry_offset_pct=Decimal(3), entry_wait=3600), budget=Decimal(400))
WORLD = WorldOptions(symbols=(SPOT, PERP), seed=3, accounts=1)


@pytest.fixture
def door(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LEMON_TRADER_LANG", "en")
    monkeypatch.chdir(tmp_path)

    async def call(*words):
        """(exit code, what was printed, the JSON of the last line where there is one)."""
        code = await asyncio.to_thread(main, [*words, "--json", "--data-dir", str(tmp_path)])
        printed = capsys.readouterr()
        last = printed.out.strip().splitlines()[-1:]
        return code, " ".join((printed.out + printed.err).split()), json.loads(last[0]) if last and last[0][:1] == "{" else {}

    async def menu(*lines):
        """What the menu prints to somebody who types these lines."""
        type_in(monkeypatch, *lines)
        monkeypatch.setattr("builtins.input", lambda prompt="": print(prompt) or sys.stdin.readline().rstrip("\n"))
        code = await asyncio.to_thread(main, ["menu", "--sandbox", "--data-dir", str(tmp_path)])
        monkeypatch.undo()
        monkeypatch.setenv("LEMON_TRADER_LANG", "en")
        monkeypatch.chdir(tmp_path)
        assert code == 0
        return " ".join(capsys.readouterr().out.split())

    call.menu = menu
    return call


def test_a_pair_is_edited_and_stopped_while_the_other_goes_on(tmp_path, door):
    async def story():
        sandbox = await start_sandbox(ServerOptions(world=WORLD))
        account = sandbox.accounts[0]
        async with live_env(tmp_path) as env:
            run = RunSettings(SANDBOX, (MAKER, LADDER), data_dir=tmp_path)
            session = Session(run, env, make_signer(account.api_key, account.secret), rest_url=sandbox.rest_url, ws_url=sandbox.ws_url)
            state = session.state

            def orders(symbol):
                return [o for o in state.markets[symbol].orders.live if o.acked]

            def params(symbol):
                return state.markets[symbol].binding.params

            try:
                await session.recover()
                await session.plan()
                await session.trade()
                await until(lambda: {o.role for o in orders(SPOT)} == {QUOTE} and {o.role for o in orders(PERP)} == {LAYER}, 30)

                code, text, _ = await door("edit", "--spread", "1")
                assert (code, "Name one" in text) == (2, True), text
                code, text, said = await door("edit", SPOT)
                assert code == 0
                assert {row["name"]: row["now"] for row in said["parameters"]}["spread"] == "0.4"
                assert {row["name"]: row["acts"] for row in said["parameters"]}["budget"] == "start"
                for words, refusal in (
                    (("--spread", "0"), "the smallest is 0.0001"),
                    (("--spread", "40"), "--as-written"),
                    (("--layers", "4"), "layers is no parameter of market-maker"),
                    (("--budget", "800"), "settled when a run starts"),
                    (("--spread", "0.4"), "nothing would change"),
                    (("--quantity", "0.001"), "0.01"),
                    (("--spread", "1"), "Nothing was changed"),
                ):
                    code, text, _ = await door("edit", SPOT, *words)
                    assert (code, refusal in text) == (2, True), (words, text)
                assert params(SPOT).spread_ppm == 4_000, "what was refused or not confirmed has changed nothing"

                code, text, said = await door("edit", SPOT, "--spread", "1", "--max-orders", "2", "--yes")
                assert (code, said["done"]) == (0, True), text
                assert "spread 0.4 1 now" in text
                assert (params(SPOT).spread_ppm, params(SPOT).levels) == (10_000, 2)
                await until(lambda: len(orders(SPOT)) == 2 or len(orders(SPOT)) == 4)
                mid = state.markets[SPOT].reference_ticks()
                assert all(abs(o.price_ticks - mid) * 1_000 > 4 * mid for o in orders(SPOT)), "half a percent away, not a fifth"

                text = await door.menu("19", SPOT, "1.2", ".", "n", "19", SPOT, "", "", "3", ".", "edit", "8")
                assert "Nothing was changed" in text, "another word than the one that was asked for"
                assert "max_orders 2 3 now" in text
                assert (params(SPOT).spread_ppm, params(SPOT).levels) == (10_000, 3)

                cycle = state.markets[PERP].binding.memory.cycle
                code, text, said = await door("edit", PERP, "--layers", "3", "--take-profit-pct", "2", "--yes")
                assert code == 0, text
                assert "with the next cycle" in text
                assert "when the next layer fills" in text
                await until(lambda: state.markets[PERP].binding.memory.cycle > cycle and len(orders(PERP)) == 2)
                assert state.markets[PERP].binding.memory.layers == 3, "nothing was bought: the ladder was planned anew"

                code, text, _ = await door("stop", "BTC_USDC")
                assert (code, "not traded" in text) == (2, True), text
                code, text, said = await door("stop", SPOT)
                assert (code, said["symbol"]) == (0, SPOT), text
                await until(lambda: not orders(SPOT))
                assert {o.role for o in orders(PERP)} <= {LAYER, EXIT}
                assert orders(PERP), "the other pair goes on"
                assert not session.runner._ended.is_set()
                code, text, said = await door("stop", PERP)
                assert (code, "symbol" in said) == (0, False), "the last pair's stop is the run's"
                assert session.runner._ended.is_set()
                await session.stop("test")
            finally:
                await session.close()
        await sandbox.stop()
        code, text, _ = await door("edit", SPOT, "--spread", "1", "--yes")
        assert (code, "give them to the next start" in text) == (1, True), text
        started = folded(FolderStore(tmp_path / SANDBOX), SANDBOX).state.started
        assert (started[SPOT].params["spread"], started[PERP].params["layers"]) == ("1", "3"), "the journal knows what held last"

    asyncio.run(asyncio.wait_for(story(), 90))
