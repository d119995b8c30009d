"""Tables line up in both languages, numbers to the right, and nothing in a cell is obeyed."""

import io
import json
from decimal import Decimal

import pytest
from tests.config.declared import STRATEGIES

from lemon_trader.cli import console as consoles
from lemon_trader.cli.console import Console, json_line
from lemon_trader.cli.report import clock, print_report
from lemon_trader.cli.screen import print_table, table_lines
from lemon_trader.cli.trade import settle_doubts
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request, resolve
from lemon_trader.messages.catalogue import speak, spoken
from lemon_trader.messages.width import width

ROWS = [(("side.BUY", {}), "150.25", "1"), (("side.SELL", {}), "9.5", None), ("\x1b[31mred", "-1", "-")]


@pytest.fixture(params=["en", "zh-TW"])
def _both(request):
    before = spoken()
    speak(request.param)
    yield
    speak(before)


@pytest.mark.usefixtures("_both")
def test_columns_of_a_plain_table_line_up():
    title, *lines = table_lines("T", ("column.side", "column.price", "column.open"), ROWS)
    assert title == "T"
    ends = {width(line) for line in lines}
    assert len(ends) == 1, "every line ends where its last number ends"
    assert all("\x1b" not in line for line in lines)


def test_a_pipe_gets_no_colour_and_no_frame():
    out = io.StringIO()
    print_table("T", ("column.side", "column.price", "column.open"), ROWS, out)
    assert "\x1b" not in out.getvalue()
    assert "─" not in out.getvalue()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_gets_a_drawn_table_in_which_a_bracket_is_a_bracket(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Terminal()
    print_table("T", ("column.side", "column.price"), [("[red]text[/red]", "1")], out)
    assert "[red]text[/red]" in out.getvalue()
    assert "─" in out.getvalue()


def test_no_color_is_obeyed(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    print_table("T", ("column.side", "column.price"), [("a", "1")], out)
    assert "\x1b" not in out.getvalue()


PERIOD = {
    "maker_buy_volume": "1.5", "maker_sell_volume": "1", "taker_buy_volume": "0", "taker_sell_volume": "0", "turnover": "375.5",
    "maker_share_pct": "100", "average_spread_pct": "0.4", "volatility_pct": None, "gross": "1.25", "fees": "0.3", "funding": "0",
    "net": "0.95", "wear_rate_pct": "0.253", "gross_fifo": "1.2", "rebalance_cost": "0", "trades": 5, "placed": 40, "cancelled": 33,
    "refused": 2,
}  # fmt: skip
REPORT = {
    "mode": "sandbox", "as_of_us": 1_790_000_000_000_000,
    "markets": [{
        "symbol": "SOL_USDC", "base": "SOL", "quote": "USDC", "kind": "spot", "strategy": "market-maker",
        "session_started_us": 1_790_000_000_000_000, "periods": {"session": PERIOD, "day": PERIOD, "all": PERIOD},
        "position": {
            "quantity": "0.5", "average_price": "150.1", "cost": "75.05", "price": "151",
            "unrealised": "0.45", "net_with_unrealised": "1.4",
        },
        "other_fees": {}, "break_even_spread_pct": "0.16",
        "last_fills": [{
            "at_us": 1_790_000_000_000_000, "side": "BUY", "price": "150.1", "quantity": "0.5", "maker": True, "role": "QUOTE",
            "fee": "0.0004", "fee_asset": "SOL", "realised": "0", "order_id": "1",
        }],
    }],
}  # fmt: skip


@pytest.mark.usefixtures("_both")
def test_a_report_shows_every_figure_with_its_mode_and_time(capsys):
    print_report(REPORT)
    out = capsys.readouterr().out
    assert out.splitlines()[0].count("SANDBOX") == 1
    assert "2026-09-21" in out.splitlines()[0]
    for figure in ("375.5", "0.95", "0.253", "0.45", "1.4", "0.0004", "0.16"):
        assert figure in out
    assert "report." not in out, "every label has its text"
    assert "column." not in out


def test_a_clock_says_its_zone():
    assert clock(1_790_000_000_000_000).endswith(" UTC")
    assert clock(None) == "-"


def test_a_json_result_is_one_line_that_loses_no_digit(capsys):
    console = Console(as_json=True)
    console.say("word.yes")
    console.result({"net": Decimal("0.10"), "text": "交易\n對"})
    console.finish()
    *_, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == {"net": "0.1", "text": "交易\n對"}
    assert last.isascii()


def test_what_is_no_plain_value_has_no_place_in_a_result():
    with pytest.raises(TypeError):
        json_line({"x": object()})


class TestAnswers:
    """Questions need somebody; `--yes` answers the sheet of a live start and nothing else."""

    @pytest.fixture
    def typing(self, monkeypatch):
        def answer(*texts):
            answers = iter(texts)
            monkeypatch.setattr(consoles, "is_attended", lambda: True)
            monkeypatch.setattr("lemon_trader.cli.trade.is_attended", lambda: True)
            monkeypatch.setattr("builtins.input", lambda _: next(answers))

        return answer

    def test_nobody_there_is_no(self):
        assert not Console().ask("start.fee_loss_ask")
        assert not Console().confirm("SOL_USDC", "start.confirm", symbol="SOL_USDC", budget="1")

    def test_yes_confirms_the_sheet_and_answers_no_question(self):
        assert Console(yes=True).confirm("SOL_USDC", "start.confirm", symbol="SOL_USDC", budget="1")
        assert not Console(yes=True).ask("start.fee_loss_ask")

    @pytest.mark.parametrize(
        ("answer", "expected"), [("SOL_USDC", True), (" SOL_USDC ", True), ("sol_usdc", False), ("yes", False), ("", False)]
    )
    def test_the_word_itself_must_be_typed(self, typing, answer, expected):
        typing(answer)
        assert Console().confirm("SOL_USDC", "start.confirm", symbol="SOL_USDC", budget="1") is expected

    @pytest.mark.parametrize(("answer", "expected"), [("y", True), ("YES", True), ("n", False), ("", False), ("ok", False)])
    def test_a_question_is_yes_only_by_yes(self, typing, answer, expected):
        typing(answer)
        assert Console().ask("start.fee_loss_ask") is expected

    def test_a_doubtful_value_is_refused_where_nobody_answers(self, tmp_path):
        request = Request(flags={"spread": "0.004", "sandbox": "true"}, pairs=("quoter:SOL_USDC",), dotenv=tmp_path / ".env")
        resolved = resolve(request, STRATEGIES)
        with pytest.raises(BadSetting) as refused:
            settle_doubts(resolved, Console(), as_written=False)
        assert refused.value.key == "doubt.unanswered"
        assert "0.4" in str(refused.value.values["question"])
        settle_doubts(resolved, Console(), as_written=True)

    def test_a_doubtful_value_is_asked_where_somebody_does(self, typing, tmp_path):
        request = Request(flags={"spread": "0.004", "sandbox": "true"}, pairs=("quoter:SOL_USDC",), dotenv=tmp_path / ".env")
        resolved = resolve(request, STRATEGIES)
        typing("y")
        settle_doubts(resolved, Console(), as_written=False)
        typing("n")
        with pytest.raises(BadSetting, match=r"doubt\.declined"):
            settle_doubts(resolved, Console(), as_written=False)
