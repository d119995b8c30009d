"""Tables line up in both languages, numbers to the right, and nothing in a cell is obeyed."""

import io
import json
import os
from decimal import Decimal

import pytest
from tests.config.declared import STRATEGIES

from lemon_trader.cli import console as consoles
from lemon_trader.cli.console import Console, json_line
from lemon_trader.cli.report import clock, print_report
from lemon_trader.cli.screen import print_table, print_text, table_lines
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


LADDER = ("sheet.layer", "sheet.price", "sheet.quantity", "sheet.cost", "sheet.spent", "sheet.average", "sheet.zero", "sheet.exit",
          "sheet.stop", "sheet.bounce", "sheet.loss")  # fmt: skip
LAYERS = [(n, "149.85", "0.16", "123.98", "393.83", "149.85", "150.1", "151.65", "143.85", "1.2013", "39.66") for n in range(3)]


@pytest.mark.usefixtures("_both")
def test_a_table_wider_than_the_screen_breaks_no_number_and_goes_on_below_under_its_first_column():
    lines = table_lines("T", LADDER, LAYERS, room=60, rule="─")
    assert max(width(line) for line in lines) <= 60
    figures = [text for line in lines for text in line.split()]
    for figure in ("149.85", "123.98", "393.83", "1.2013", "39.66"):
        assert figures.count(figure) == 3 * sum(cell == figure for cell in LAYERS[0]), "whole, once for each layer and column"
    assert sum(line.split()[:1] == ["2"] for line in lines) == 2, "both parts name the layer"


@pytest.mark.usefixtures("_both")
def test_words_in_a_narrow_table_break_at_blanks():
    reason = "kept: the strategy's price moved by 6 ticks, which is inside of what it tolerates"
    rows = [(("side.BUY", {}), "149.85", reason)]
    lines = table_lines("T", ("column.side", "column.price", "column.reason"), rows, room=50)
    assert max(width(line) for line in lines) <= 50
    said = " ".join(word for line in lines for word in line.split())
    assert all(word in said.split() for word in reason.split()), "no word is cut"


def test_heads_take_as_few_lines_as_the_screen_has_room_for():
    rows = [("-20", "119.99", "4999.17", "3992.90", "79.85", "89.92", "-")]
    heads = ("sheet.fall", "sheet.price", "sheet.spent", "sheet.left", "sheet.left-budget", "sheet.left-equity", "sheet.left-stopped")
    assert len(table_lines("T", heads, rows, room=80)) == 1 + 2 + 1
    assert len(table_lines("T", heads, rows, room=120)) == 1 + 1 + 1


def test_a_sentence_breaks_at_blanks_on_a_terminal_and_keeps_its_indent_and_is_whole_in_a_pipe(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda _: os.terminal_size((40, 24)))
    text = "Next:\n  lemon-trader plan martingale:SOL_USDC and so on and on"
    screen, pipe = Terminal(), io.StringIO()
    print_text(text, stream=screen)
    print_text(text, stream=pipe)
    assert screen.getvalue().split("\n") == ["Next:", "  lemon-trader plan martingale:SOL_USDC", "  and so on and on", ""]
    assert pipe.getvalue() == text + "\n"
    monkeypatch.setenv("COLUMNS", "40")
    told = io.StringIO()
    print_text(text, stream=told)
    assert told.getvalue() == screen.getvalue(), "a pipe that was told how wide it is, as the panel's pages are"


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
            settle_doubts(resolved.doubts, Console(), as_written=False)
        assert refused.value.key == "doubt.unanswered"
        assert "0.4" in str(refused.value.values["question"])
        settle_doubts(resolved.doubts, Console(), as_written=True)

    def test_a_doubtful_value_is_asked_where_somebody_does(self, typing, tmp_path):
        request = Request(flags={"spread": "0.004", "sandbox": "true"}, pairs=("quoter:SOL_USDC",), dotenv=tmp_path / ".env")
        resolved = resolve(request, STRATEGIES)
        typing("y")
        settle_doubts(resolved.doubts, Console(), as_written=False)
        typing("n")
        with pytest.raises(BadSetting, match=r"doubt\.declined"):
            settle_doubts(resolved.doubts, Console(), as_written=False)
