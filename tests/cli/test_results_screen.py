"""What a backtest made, on a screen of eighty columns in both languages, and as a file."""

import json
from dataclasses import replace

import pytest
from tests.backtest.made import USDC, fill, result
from tests.backtest.test_figures import CLOSES, LADDER
from tests.backtest.test_report import long_run

from lemon_trader.backtest.result import Note
from lemon_trader.cli.results import show
from lemon_trader.config.errors import BadSetting
from lemon_trader.messages.catalogue import say, speak
from lemon_trader.messages.width import width


@pytest.fixture(autouse=True)
def _screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    yield
    speak("en")


@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_every_line_fits_eighty_columns(capsys, language):
    speak(language)
    first = long_run(3 * 1_440)
    show([first, replace(first, fill_model="touch", totals=first.totals)])
    lines = capsys.readouterr().out.splitlines()
    assert max(width(line) for line in lines) <= 80
    for key in ("figure.sharpe", "figure.ladder_exhausted", "result.ended-stop"):
        assert any(say(key) in line for line in lines), key


def test_holding_and_cash_stand_in_every_table(capsys):
    show([result(LADDER, CLOSES)])
    heads = [line.split() for line in capsys.readouterr().out.splitlines() if line.endswith("cash")]
    assert len(heads) >= 5
    assert all(head == ["pessimistic", "hold", "cash"] for head in heads)


def test_months_are_listed_when_there_is_more_than_one(capsys):
    made = result([fill(100, "layer", "buy", 10_000, 5_000, generation=1)], [10_000 + 40 * n for n in range(40)], every_s=86_400)
    show([made])
    out = capsys.readouterr().out
    assert "Gain by month" in out
    assert "2023-12" in out


def test_a_note_is_said_once_however_many_runs_have_it(capsys):
    made = replace(result(LADDER, CLOSES), notes=(Note("backtest.note.invented-book"),))
    show([made, replace(made, fill_model="touch")])
    out = capsys.readouterr().out.replace("\n", " ")
    assert out.count(say("backtest.note.invented-book")) == 1


def test_what_is_printed_can_be_read_back(capsys):
    (found,) = show([result(LADDER, CLOSES)])
    capsys.readouterr()
    again = json.loads(json.dumps(found, allow_nan=False))
    net = sum((30 * 9_900, 70 * 9_000, -10 * 10_000, -20 * 9_800, -10 * 9_900, -20 * 9_700, -40 * 9_500)) * 100_000 - 22_000_000
    assert float(again["totals"]["net"]) * USDC == pytest.approx(net)
    assert [c["ended"] for c in again["cycles"]] == ["exit", "stop"]


def test_a_report_that_cannot_be_written_says_where_and_why(tmp_path):
    with pytest.raises(BadSetting) as refused:
        show([result(LADDER, CLOSES)], html=tmp_path / "nowhere" / "result.html")
    assert refused.value.key == "result.not-written"
    assert str(refused.value.values["file"]).endswith("result.html")


def test_a_report_replaces_the_one_before(tmp_path, capsys):
    path = tmp_path / "result.html"
    path.write_text("old")
    show([result(LADDER, CLOSES)], html=path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert f"Report: {path}" in capsys.readouterr().out.replace("\n", " ")
