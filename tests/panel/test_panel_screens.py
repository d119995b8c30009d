"""What the screen says, at both sizes, in both languages, without colour, with hostile text, and in every state of the engine."""

import asyncio
import json
import math
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.panel.kit import LARGE, PICTURE, SMALL, START_US, FakeDesk, fill, opened, order, picture, settings_in, want

from lemon_trader.config.settings import STATUS_FILE
from lemon_trader.engine.control import FILE as CONTROL_FILE
from lemon_trader.messages.catalogue import speak
from lemon_trader.messages.width import width
from lemon_trader.panel import chart, view
from lemon_trader.panel.lines import age, fit, number, rounded, time_of_day
from lemon_trader.panel.scene import Scene

WORDS = {"en": ("Running - SOL_USDC", "Quoting: yes, 6 of 6"), "zh-TW": ("運行中 - SOL_USDC", "報價中：是，6 張訂單中有 6 張")}
COLUMNS = {
    "en": ("BP mid", "Bid", "Ask", "Spread %", "Buys", "Sells", "Position"),
    "zh-TW": ("幣種", "BP價格", "買價", "賣價", "價差%", "買單數", "賣單數", "持倉", "多"),
}


def drive(place, scenario, **options):
    async def go():
        async with opened(place, **options) as panel:
            await scenario(panel)

    asyncio.run(go())


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "200x60"])
@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_one_screen_answers_every_question(tmp_path, size, language):
    async def scenario(panel):
        text = panel.text()
        lines = text.split("\n")
        assert len(lines) == size[1]
        assert max(width(line) for line in lines) <= size[0]
        assert lines[0].startswith(" SANDBOX "), "the mode comes before everything else"
        for word in (*WORDS[language], *COLUMNS[language]):
            assert word in text
        figures = (
            "149.99", "150.01", "1.25", "148.5",  # touch, position, average
            "3.98", "2.5", "1.88", "-0.4",  # net, realised, unrealised, fees
            "151.5", "138", "0/40", "1.5/80", "6/40",  # exits, limits
            "120 ms", "4.0 s", "148/150",  # ages, rate budget
            "150.2", "149.8", "150.05", "149.95",  # orders, fills
            "62.5 %",  # imbalance of what was traded
        )  # fmt: skip
        assert not [figure for figure in figures if figure not in text]

    drive(tmp_path, scenario, size=size, language=language, shown=picture())


def strip_of(panel, row):
    return list(panel.app.screen._compositor.render_strips()[row])


def colours(panel):
    """Every colour on the screen besides the terminal's own two."""
    styles = [s.style for n in range(SMALL[1]) for s in strip_of(panel, n) if s.style is not None]
    return {c.name for style in styles for c in (style.color, style.bgcolor) if c is not None and not c.is_default}


@pytest.mark.parametrize("wanted", [True, False], ids=["colour", "NO_COLOR"])
def test_without_colour_every_difference_is_still_there(tmp_path, monkeypatch, wanted):
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not wanted:
        monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(panel):
        await panel.pilot.press(":", *"kil")
        await panel.settle()
        assert bool(colours(panel)) is wanted
        assert any(s.style.reverse for s in strip_of(panel, 0) if s.style and "SANDBOX" in s.text), "the mode stands out by itself"
        assert any(s.style.reverse for s in strip_of(panel, SMALL[1] - 2) if s.style), "the cursor can be seen"
        assert "Running" in panel.text()
        assert "sell" in panel.text(), "sides are words"

    drive(tmp_path, scenario, shown=picture())


def test_live_says_real_money_in_the_first_line_whatever_runs(tmp_path):
    async def scenario(panel):
        assert panel.text().startswith(" LIVE - REAL MONEY ")

    drive(tmp_path, scenario, desk=FakeDesk(tmp_path, asked="live"))


REASONS = [
    ("halted", {"state": "HALTED", "reason": "DAILY_LOSS", "detail": "41 >= 40"}, "no: HALTED: "),
    ("waiting", {"wants": [], "orders": [], "waiting": "wait.cooldown"}, "no: rests between two cycles"),
    ("one side paused", {"wants": [], "orders": [order("SELL", "151")], "waiting": "wait.bids-paused"}, "bids pause"),
    ("frozen", {"frozen": "LIQUIDATION"}, "no: frozen: LIQUIDATION"),
    ("old data", {"fresh": False}, "missing or too old"),
    ("nothing wanted", {"wants": [], "orders": []}, "wants nothing"),
    ("not yet", {"orders": []}, "on their way"),
    ("a limit", {"orders": [order("BUY", "149")], "withheld": ["LIMIT_BUDGET"]}, "partly, 1 of 6 orders rest: limit: budget"),
]


@pytest.mark.parametrize(("changed", "says"), [case[1:] for case in REASONS], ids=[case[0] for case in REASONS])
def test_why_it_does_not_quote_is_said(tmp_path, changed, says):
    scene = scene_of(tmp_path, [], **changed)
    scene.take(picture(**changed), running=True)
    (line,) = view.quoting(scene, 80)
    text = "".join(part for part, _ in line)
    assert text.startswith("Quoting: ")
    assert says in text


HOSTILE = "[red]x[/red]\x1b[2J\x9b31m\n\u202e$(rm)[/]"


def test_text_from_outside_is_only_text(tmp_path):
    shown = picture(frozen=HOSTILE, reason=HOSTILE, venue_status=HOSTILE, journal=HOSTILE, strategy=HOSTILE)
    shown["markets"][0]["orders"] = [order(HOSTILE, HOSTILE, role=HOSTILE, state=HOSTILE, reason=HOSTILE, open_=HOSTILE)]
    shown["markets"][0]["fills"] = [fill(START_US, HOSTILE, HOSTILE, HOSTILE)]
    shown["markets"][0]["base"] = HOSTILE
    shown["alerts"] = [{"at_us": 5, "key": HOSTILE, "grade": HOSTILE, "values": {"a": HOSTILE}}]

    async def scenario(panel):
        text = panel.text()
        assert "[red]x[/red]\\x1b[2J" in text, "a bracket is a bracket"
        assert not set(text) & {"\x1b", "\x9b", "\u202e", "\r"}
        assert len(text.split("\n")) == LARGE[1]

    drive(tmp_path, scenario, size=LARGE, shown=shown)


def test_a_page_of_hostile_text_is_only_text(tmp_path):
    desk = FakeDesk(tmp_path)
    desk.says = type(desk.says)(0, f"{HOSTILE}\nend")

    async def scenario(panel):
        await panel.type("logs")
        assert "[red]x[/red]\\x1b[2J" in panel.text()
        assert not set(panel.text()) & {"\x1b", "\x9b", "\u202e"}

    drive(tmp_path, scenario, desk=desk)


def test_a_terminal_that_is_too_small_says_so_and_still_takes_commands(tmp_path):
    async def scenario(panel):
        for size in ((79, 24), (80, 23), (20, 5), (1, 1)):
            await panel.pilot.resize_terminal(*size)
            await panel.settle()
            if size[0] > 60:
                assert f"{size[0]}×{size[1]}" in panel.text()
                assert "80×24" in panel.text()
            await panel.type("stop")
            assert panel.told.pop() == ("stop", "panel", "")
        await panel.pilot.resize_terminal(*SMALL)
        await panel.settle()
        assert "Quoting: yes" in panel.text(), "and it is a panel again when it grows"

    drive(tmp_path, scenario, size=(20, 5), shown=picture())


@pytest.mark.parametrize("version", ["9.9.9", None])
def test_an_engine_of_another_version_is_said_and_shown_as_far_as_it_goes(tmp_path, version):
    shown = picture()
    shown["version"] = version
    if version is None:
        del shown["version"]
    for name in ("risk", "rate", "balances"):
        del shown[name]
    for name in ("session", "limits", "fills", "take_profit", "stop"):
        del shown["markets"][0][name]

    async def scenario(panel):
        lines = panel.text().split("\n")
        assert f"version {version or '?'}" in lines[1]
        assert "Quoting: yes" in lines[2]
        await panel.type("stop")
        assert panel.told == [("stop", "panel", "")]

    drive(tmp_path, scenario, shown=shown)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(string.printable, max_size=6) | st.just("1e999999"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_lowercase, max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(sorted(PICTURE)), json_values),
    st.dictionaries(st.sampled_from(sorted(PICTURE["markets"][0])), json_values),
)
def test_whatever_a_picture_holds_no_pane_grows_or_hangs(tmp_path, of_engine, of_market):
    shown = picture()
    shown["markets"][0].update(of_market)
    shown.update(of_engine)
    scene = Scene(settings_in(tmp_path), mode="sandbox")
    panes = (
        lambda: scene.take(shown, running=True), lambda: view.head(scene, 80), lambda: view.quoting(scene, 80), lambda: view.markets(scene, 80),
        lambda: view.figures(scene, 80, full=True), lambda: view.orders(scene, 40, 8), lambda: view.fills(scene, 40, 5),
        lambda: chart.chart(scene, 40, 8),
    )  # fmt: skip
    for make in panes:
        try:
            lines = make()
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError):
            continue  # what the screen catches for each pane
        assert all(width("".join(text for text, _ in line)) <= 80 for line in lines or ())


def test_a_pane_that_cannot_be_made_says_so_and_the_others_go_on(tmp_path):
    shown = picture()
    shown["markets"][0]["wants"][0]["role"] = ["a", "list"]

    async def scenario(panel):
        text = panel.text()
        assert "cannot be shown" in text
        assert "148.5" in text
        await panel.type("kill")
        await panel.reply("kill")
        assert panel.told == [("kill", "panel", "")]

    drive(tmp_path, scenario, shown=shown)


def test_a_second_panel_is_allowed_and_said(tmp_path):
    async def scenario(panel):
        assert any("Another panel" in text for text in panel.log)
        await panel.type("stop")
        assert panel.told == [("stop", "panel", "")]

    drive(tmp_path, scenario, shown=picture(), alone=False)


def test_an_engine_that_ends_is_said_and_its_last_picture_stays(tmp_path):
    async def scenario(panel):
        panel.desk.store("sandbox").replace(STATUS_FILE, json.dumps(picture(position="0.5") | {"as_of_us": START_US + 5_000_000}).encode())
        await panel.server.stop()
        await panel.until(lambda: not panel.app.scene.is_running)
        await panel.settle()
        text = panel.text()
        assert "last seen 00:00:05" in text
        assert "0.5 SOL" in text, "its own last words count, not what was seen before them"
        assert "no engine runs" in text

    drive(tmp_path, scenario, shown=picture())


def test_an_engine_that_keeps_silent_is_not_taken_for_a_dead_one(tmp_path, monkeypatch):
    async def silence(*_, **__):
        raise TimeoutError

    async def scenario(panel):
        monkeypatch.setattr("lemon_trader.panel.app.ask", silence)
        await panel.until(lambda: panel.app.scene.is_silent)
        await panel.settle()
        assert "does not answer" in panel.text().split("\n")[0]
        await panel.type("start SOL_USDC")
        assert panel.desk.launches == [], "a second engine beside it would be worse"

    drive(tmp_path, scenario, shown=picture())


def test_a_channel_file_that_cannot_be_read_is_said_once(tmp_path):
    desk = FakeDesk(tmp_path)

    async def scenario(panel):
        for content in (b"{", b"[]", b'{"port": "x", "token": 1}'):
            desk.store("sandbox").replace(CONTROL_FILE, content)
            panel.app.scene.log.clear()
            for _ in range(3):
                panel.app._tick()
                await panel.pilot.pause(0.05)
            assert sum("cannot be read" in text for text in panel.log) == 1, content

    drive(tmp_path, scenario, desk=desk)


def test_what_the_engine_tells_stands_in_the_log_once(tmp_path):
    shown = picture()
    shown["alerts"] = [{"at_us": 7, "key": "alert.command_kill", "grade": "warn", "values": {"origin": "cli", "detail": ""}}]

    async def scenario(panel):
        for _ in range(3):
            panel.app._tick()
            await panel.pilot.pause(0.05)
        assert sum(level == "WARNING" for level, _ in panel.app.scene.log) == 1

    drive(tmp_path, scenario, shown=shown)


def scene_of(tmp_path, mids, **market):
    speak("en")
    scene = Scene(settings_in(tmp_path), mode="sandbox")
    for n, mid in enumerate(mids):
        shown = picture(**market) | {"as_of_us": START_US + n * 500_000}
        shown["markets"][0] |= {"bid": f"{mid - 0.01:.2f}", "ask": f"{mid + 0.01:.2f}"}
        scene.take(shown, running=True)
    return scene


def plotted(scene, columns=60, height=12):
    return ["".join(text for text, _ in line) for line in chart.chart(scene, columns, height)]


def test_the_price_line_shows_orders_at_their_prices_and_fills_where_they_happened(tmp_path):
    fills = [fill(START_US + 10_000_000, "BUY", "149.95"), fill(START_US + 25_000_000, "SELL", "150.08"), fill(START_US - 99, "BUY", "150")]
    scene = scene_of(tmp_path, [150 + 0.08 * math.sin(n / 6) for n in range(60)], fills=fills)
    lines = plotted(scene)
    for price in ("150.20", "149.80"):
        assert any(line.endswith(price) and "- -" in line for line in lines), price
    field = "\n".join(line[:-10] for line in lines[1:])
    assert field.count("B") == 1
    assert field.count("S") == 1, "the fill from before the line began is not in it"
    buy = next(line for line in lines[1:] if "B" in line[:-10]).index("B")
    sell = next(line for line in lines[1:] if "S" in line[:-10]).index("S")
    assert sell - buy == pytest.approx(15, abs=1), "time runs to the right: fifteen seconds are thirty looks, two a column"
    assert all(width(line) <= 60 for line in lines)


def test_a_price_that_stands_still_and_a_ladder_far_below_are_drawn_all_the_same(tmp_path):
    orders = [order("SELL", "150.1"), order("BUY", "80", role="LAYER"), order("BUY", "120", role="LAYER")]
    lines = plotted(scene_of(tmp_path, [150] * 10, orders=orders))
    assert any("\u2800" < c <= "\u28ff" for line in lines for c in line)
    assert len(lines) == 12
    assert lines[-1].endswith("Bv120.00"), "an order beyond the edge says so, and its own price"
    assert "- -" not in lines[-1]


def test_orders_stand_as_a_ladder_and_say_what_is_hidden_and_what_is_withheld(tmp_path):
    many = [order("SELL" if n > 150 else "BUY", str(n)) for n in range(140, 160)]
    scene = scene_of(tmp_path, [150], orders=many, wants=[want("BUY", "139", reason="LIMIT_BUDGET")], withheld=["LIMIT_BUDGET"])
    lines = ["".join(t for t, _ in line) for line in view.orders(scene, 70, 8)]
    assert len(lines) == 8
    prices = [float(line.split()[2]) for line in lines[1:-1]]
    assert prices == sorted(prices, reverse=True)
    assert lines[-1].startswith("15 more")
    all_of_them = ["".join(t for t, _ in line) for line in view.orders(scene, 70, 30)]
    assert all_of_them[-1].split()[2] == "139"
    assert "limit: budget" in all_of_them[-1]
    assert "+6.00" in all_of_them[1], "how far from the price it rests"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: rounded("2.345", 2), "2.35"),
        (lambda: rounded("-2.345", 2), "-2.35"),
        (lambda: rounded("-0.001", 2), "0"),
        (lambda: rounded("100", 2), "100"),
        (lambda: rounded(None, 2), "-"),
        (lambda: rounded("1e999999", 2), "1e999999"),
        (lambda: number("NaN"), None),
        (lambda: number("1e999999"), None),
        (lambda: age(999_999), "999 ms"),
        (lambda: age(1_000_000), "1.0 s"),
        (lambda: age(None), "-"),
        (lambda: time_of_day("x"), "-"),
        (lambda: fit([("報價中", "plain")], 4), (("報…", "plain"),)),
    ],
)
def test_figures_are_rounded_and_cut_in_one_way(call, expected):
    assert call() == expected
