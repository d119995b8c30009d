"""`plan` as one JSON object and from the exchange's public side; `logs` in lines for people."""

import asyncio
import json

import msgspec
import pytest
from tests.cli.typed import run

from lemon_trader.cli.app import main
from lemon_trader.cli.logs import for_people
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.logger import FILE, Log, Redactor
from lemon_trader.run import reach
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEMON_TRADER_LANG", "en")
    for name in ("API_KEY", "SECRET_KEY", "BACKPACK_KEY", "BACKPACK_SECRET"):
        monkeypatch.delenv(name, raising=False)


def test_the_plan_as_json_has_what_the_screen_has(capsys):
    flags = ["--price", "150", "--budget", "400", "--equity", "1000", "--json"]
    printed = run(capsys, main, ["plan", "martingale:SOL_USDC_PERP", *flags])
    assert printed.code == 0
    plan = json.loads(printed.out.splitlines()[-1])["plans"][0]
    assert (plan["symbol"], plan["price"], plan["equity"]) == ("SOL_USDC_PERP", "150", "1000")
    assert len(plan["lines"]) == 6
    assert {"average_price", "break_even_price", "stop_price", "loss", "margin", "liquidation_price"} <= set(plan["lines"][0])
    assert [fall["fall_pct"] for fall in plan["falls"]] == ["20", "40", "60"]
    assert float(plan["falls"][0]["left"]) > float(plan["falls"][2]["left"]) > 0
    assert "If this machine dies" in printed.out
    assert "of the account" in printed.out


def test_a_makers_plan_says_what_it_buys_first_and_that_nothing_stops_it(capsys):
    printed = run(capsys, main, ["plan", "market-maker:SOL_USDC", "--price", "150", "--budget", "500"])
    assert printed.code == 0
    assert "First order: buys 1.66 SOL at 150" in printed.out
    assert "has no stop" in printed.out


def test_a_paper_plan_takes_grid_and_price_from_the_public_side_and_looks_for_no_key(capsys, monkeypatch, tmp_path):
    (tmp_path / ".env").mkdir()  # whoever opened it would fail

    async def story():
        sandbox = await start_sandbox(ServerOptions(world=WorldOptions(symbols=("SOL_USDC",), seed=1)))
        try:
            known = msgspec.structs.replace(exchange("backpack"), rest_url=sandbox.rest_url)
            monkeypatch.setattr(reach, "exchange", lambda _: known)
            right = await asyncio.to_thread(main, ["plan", "martingale:SOL_USDC", "--paper", "--json"])
            touch = sandbox.app.desk.exchange.touch("SOL_USDC")
            wrong = await asyncio.to_thread(main, ["plan", "martingale:SLO_USDC", "--paper"])
        finally:
            await sandbox.stop()
        return right, touch, wrong, await asyncio.to_thread(main, ["plan", "martingale:SOL_USDC", "--paper"])

    right, (bid, _, ask, _), wrong, away = asyncio.run(story())
    printed = capsys.readouterr()
    assert (right, wrong, away) == (0, 2, 2)
    plan = json.loads(next(line for line in printed.out.splitlines() if line.startswith("{")))["plans"][0]
    assert abs(float(plan["price"]) * 100 - (bid + ask) / 2) < 0.02 * bid
    assert "SLO_USDC" in printed.err
    assert "--price" in printed.err, "the way out where nobody answers"


def written(folder, *notes):
    from lemon_trader.env_live import FolderStore

    times = iter(range(1_790_000_000_000_000, 1_790_000_100_000_000, 1_000_000))
    log = Log(FolderStore(folder), mode=folder.name, wall_us=lambda: next(times), redactor=Redactor())
    for level, event, fields in notes:
        log.note(level, event, fields)
    log.close()


def test_the_log_is_told_in_sentences_by_level_and_by_mode(capsys, tmp_path):
    data = tmp_path / "data-store"
    written(
        data / "live",
        ("info", "start", {"symbol": "SOL_USDC"}),
        ("error", "alert.refused_again", {"symbol": "SOL_USDC", "code": "X", "message": "m", "count": 3}),
    )
    written(data / "sandbox", ("warning", "something odd", {"figure": 7}))
    printed = run(capsys, main, ["logs"])
    assert printed.code == 0
    assert len(printed.out.splitlines()) == 3
    assert "start symbol=SOL_USDC" in printed.out
    assert "alert.refused_again" not in printed.out, "an id of ours is told as its sentence"
    graver = run(capsys, main, ["logs", "--level", "error", "--live"])
    assert [line.split()[3] for line in graver.out.splitlines()] == ["ERROR"]
    lines = run(capsys, main, ["logs", "--json", "--lines", "1", "--sandbox"]).out.splitlines()
    assert [json.loads(line)["figure"] for line in lines] == [7]


def test_a_log_line_cannot_move_the_cursor_and_a_torn_one_is_passed_over(capsys, tmp_path):
    folder = tmp_path / "data-store" / "live"
    written(folder, ("info", "one", {}))
    with (folder / FILE).open("ab") as file:
        file.write(b'{"at":"2026-01-01T00:00:00","event":"\\u001b[2Jtwo","level":"info","mode":"live"}\n{"torn')
    printed = run(capsys, main, ["logs"])
    assert len(printed.out.splitlines()) == 2
    assert "\x1b" not in printed.out
    assert "-" in for_people({})


def test_without_a_log_it_says_so(capsys):
    printed = run(capsys, main, ["logs"])
    assert printed.code == 1
    assert "There is no log" in printed.out
