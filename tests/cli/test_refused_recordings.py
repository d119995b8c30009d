"""A recording that cannot be played is refused in the reader's language at every door that takes one."""

import pytest
from tests.cli.faces import stand_alone
from tests.cli.typed import run

from lemon_trader.cli.app import main

MISSING = {"en_US.UTF-8": "there is no recording nowhere.csv; check the path", "zh_TW.UTF-8": "找不到錄製檔 nowhere.csv；請檢查路徑"}

# (door, its words, what stands before and behind the refusal in either language)
DOORS = [
    ("a sandbox", ["sandbox", "--market", "nowhere.csv"], {"en_US.UTF-8": ("Not started: ", ""), "zh_TW.UTF-8": ("未啟動：", "")}),
    (
        "a run on a sandbox of its own",
        ["run", "market-maker:SOL_USDC", "--sandbox", "--market", "nowhere.csv"],
        {"en_US.UTF-8": ("Not started: ", ""), "zh_TW.UTF-8": ("未啟動：", "")},
    ),
    (
        "a backtest",
        ["backtest", "market-maker", "SOL_USDC", "--data", "nowhere.csv"],
        {"en_US.UTF-8": ("lemon-trader: The data cannot be played: ", "."), "zh_TW.UTF-8": ("lemon-trader：資料無法播放：", "。")},
    ),
    (
        "a file that is checked",
        ["data", "check", "nowhere.csv"],
        {"en_US.UTF-8": ("lemon-trader: ", ""), "zh_TW.UTF-8": ("lemon-trader：", "")},
    ),
    (
        "a file that is imported",
        ["data", "import", "nowhere.csv", "--symbol", "SOL_USDC"],
        {"en_US.UTF-8": ("lemon-trader: ", ""), "zh_TW.UTF-8": ("lemon-trader：", "")},
    ),
]


@pytest.mark.parametrize("language", sorted(MISSING))
@pytest.mark.parametrize(("words", "around"), [door[1:] for door in DOORS], ids=[door[0] for door in DOORS])
def test_a_missing_recording_is_named_in_the_readers_language(tmp_path, monkeypatch, capsys, words, around, language):
    stand_alone(monkeypatch, tmp_path, language)
    said = run(capsys, main, words)
    before, behind = around[language]
    assert said.code == 2
    assert f"{before}{MISSING[language]}{behind}" in (said.out + said.err).splitlines()


def test_what_a_sandbox_does_not_list_is_refused_in_the_readers_language(tmp_path, monkeypatch, capsys):
    stand_alone(monkeypatch, tmp_path, "zh_TW.UTF-8")
    said = run(capsys, main, ["sandbox", "--market", "calm", "--symbol", "PEPE_USDC"])
    assert said.code == 2
    assert "未啟動：模擬交易所沒有 PEPE_USDC 這個市場；它有 AVAX_USDC, " in said.out
