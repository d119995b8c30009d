"""The report is one file that needs nothing, runs nothing, tells no lies by its drawing, and stays small."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backtest.made import DAY, SECOND, START, USDC, fill, result, rows

from lemon_trader.backtest.charts import Surface, price_chart, resting, surface_chart
from lemon_trader.backtest.metrics import metrics
from lemon_trader.backtest.report import page
from lemon_trader.backtest.result import CANCELLED, ORDER, PLACED, Note
from lemon_trader.backtest.svg import LEFT, RIGHT, WIDTH, time_chart, time_ticks, value_ticks
from lemon_trader.backtest.tables import as_json, in_unit, sections
from lemon_trader.backtest.thin import extremes, fewest
from lemon_trader.messages.catalogue import speak

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=y>&'


@pytest.fixture(autouse=True)
def _english():
    yield
    speak("en")


def long_run(bars: int = 3_000):
    """Ladders one after the other over a price that swings, with a stop now and then."""
    closes = [10_000 + int(400 * np.sin(n / 40)) - (n % 7) * 3 for n in range(bars)]
    fills = []
    for n in range(0, bars - 30, 30):
        g = n // 30
        fills += [
            fill(60 * n + 30, "layer", "buy", closes[n], 10, generation=g, slot=0, mid_half=2 * closes[n] + 1),
            fill(60 * n + 330, "layer", "buy", closes[n + 5], 20, generation=g, slot=1, mid_half=2 * closes[n] + 1),
            fill(60 * n + 930, "stop" if g % 9 == 0 else "exit", "sell", closes[n + 15], 30, generation=g, slot=32, maker=int(g % 9 != 0)),
        ]
    return result(fills, closes, bars=[(c, c + 9, c - 9, c) for c in closes])


class Reader(HTMLParser):
    """Every tag with its attributes; what is not closed stays in `open`."""

    VOID = frozenset({"meta", "br"})

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


def written(*results, surfaces=()):
    return page(results, [metrics(r) for r in results], surfaces)


@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_a_report_is_one_file_that_needs_and_runs_nothing(language):
    speak(language)
    text = written(long_run(), replace(long_run(), fill_model="touch"))
    reader = read(text)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base"})
    for _, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "href", "action", "style"}]
    assert "default-src 'none'" in text
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "url(" not in text
    assert "@import" not in text
    assert f'<html lang="{language}">' in text
    assert not re.findall(r"\b(?:page|result|figures?)\.[a-z_-]+\b", " ".join(reader.words)), "a message that is not in the catalogue"
    assert "prefers-color-scheme:dark" in text


def test_nothing_that_came_from_outside_becomes_markup():
    made = replace(
        long_run(600), source=HOSTILE, strategy=HOSTILE, symbol=HOSTILE, fill_model=HOSTILE, params={HOSTILE: HOSTILE},
        settings={HOSTILE: HOSTILE}, notes=(Note(HOSTILE, {"x": HOSTILE}),),
    )  # fmt: skip
    surface = Surface(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), (HOSTILE,), ((1.0,),), HOSTILE)
    text = written(made, surfaces=[surface])
    reader = read(text)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "img"})
    assert text.count("&lt;script&gt;") > 8


def test_every_chart_is_well_formed_and_stays_in_its_box():
    text = written(long_run())
    charts = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(charts) == 6
    for chart in charts:
        tree = ET.fromstring(chart)
        _, _, width, height = (float(n) for n in tree.get("viewBox").split())
        for path in tree.iter("{http://www.w3.org/2000/svg}path"):
            for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d")):
                assert 0 <= float(x) <= width
                assert 0 <= float(y) <= height
        for box in tree.iter("{http://www.w3.org/2000/svg}rect"):
            assert float(box.get("x")) + float(box.get("width")) <= width + 1
            assert 0 <= float(box.get("y")) <= float(box.get("y")) + float(box.get("height")) <= height


def test_a_long_run_makes_no_larger_file_than_a_middling_one():
    sizes = [len(written(long_run(bars))) for bars in (6_000, 40_000)]
    assert sizes[1] < 1_200_000
    assert sizes[1] < 2 * sizes[0]


def test_a_run_without_a_fill_still_has_a_report():
    text = written(result((), [10_000, 10_100, 9_900]))
    assert text.count("<svg") == 5
    assert not re.search(r'="[^"]*(?:nan|inf)\b[^"]*"', text)


def test_the_deepest_fall_is_drawn_although_most_rows_are_not():
    at = START + np.arange(100_000) * SECOND
    values = np.full(100_000, 1_000 * USDC)
    values[70_001] = 400 * USDC
    kept = extremes(at, values, START, int(at[-1]), 600)
    assert len(kept) <= 2_400
    assert 70_001 in kept
    assert {0, 99_999} <= set(kept.tolist())


@given(st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=400), st.integers(1, 20))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_thinning_keeps_order_and_the_extremes_of_every_column(values, columns):
    at, numbers = START + np.arange(len(values)) * 7, np.array(values)
    end = int(at[-1])
    for thin, most in ((extremes, 4), (fewest, 2)):
        kept = thin(at, numbers, START, end, columns)
        assert (np.diff(kept) > 0).all()
        assert len(kept) <= max(most * columns, 4 * columns if thin is extremes else 2 * columns)
        assert numbers[kept].min() == numbers.min()
        assert numbers[kept].max() == numbers.max()


def test_a_mark_stands_where_its_fill_was():
    made = result(
        [fill(60, "layer", "buy", 10_000, 10, generation=1)],
        [10_000, 10_200],
        bars=[(10_000, 10_100, 9_900, 10_000), (10_000, 10_200, 10_000, 10_200)],
    )
    tree = ET.fromstring(price_chart(made, "price"))
    mark = next(p for p in tree.iter("{http://www.w3.org/2000/svg}path") if p.get("class") == "mark buy")
    x, y = (float(n) for n in re.match(r"M([\d.]+) ([\d.]+)", mark.get("d")).groups())
    blank = time_chart("price", (made.start_us, made.end_us), (99.0, 102.0), height=340)
    assert x == pytest.approx((LEFT + WIDTH - RIGHT) / 2, abs=0.1)
    assert y == pytest.approx(blank.y.at(100.0), abs=0.1)
    assert mark.find("{http://www.w3.org/2000/svg}title").text == "2023-11-15 00:01 LAYER 0 BUY 0.1 @ 100"


def test_an_order_rests_until_it_is_cancelled_replaced_or_filled():
    def order(at_s, what, slot, ticks, side=1):
        return (START + at_s * SECOND, what, side, 1, slot, 1, ticks, 10)

    orders = [
        order(0, PLACED, 0, 9_900), order(0, PLACED, 1, 9_800), order(5, PLACED, 2, 9_700), order(20, CANCELLED, 1, 9_800),
        order(30, PLACED, 2, 9_750),
    ]  # fmt: skip
    fills = [fill(10, "layer", "buy", 9_900, 4, slot=0), fill(12, "layer", "buy", 9_900, 6, slot=0)]
    made = replace(result(fills, [10_000]), orders=rows(ORDER, orders))
    seconds = {(price, (a - START) // SECOND, (b - START) // SECOND) for a, b, _, price in resting(made.orders, made.fills, made.end_us)}
    assert seconds == {(9_900, 0, 12), (9_800, 0, 20), (9_700, 5, 30), (9_750, 30, 60)}


def test_a_resting_order_is_a_line_at_its_price_for_its_time():
    orders = rows(ORDER, [(START + 60 * SECOND, PLACED, 1, 1, 0, 1, 9_950, 10), (START + 120 * SECOND, CANCELLED, 1, 1, 0, 1, 9_950, 10)])
    made = replace(result((), [10_000] * 4, bars=[(10_000, 10_100, 9_900, 10_000)] * 4), orders=orders)
    blank = time_chart("price", (made.start_us, made.end_us), (99.0, 101.0), height=340)
    for span in (None, (START + 90 * SECOND, made.end_us)):
        chart = price_chart(made, "price", span)
        ((a, y, b),) = re.findall(r'class="rest buy" d="M([\d.]+) ([\d.]+)H([\d.]+)"', chart)
        assert float(y) == pytest.approx(blank.y.at(99.5), abs=0.1)
        assert float(a) < float(b)
    assert price_chart(made, "price", (START + 130 * SECOND, made.end_us)).count('class="rest') == 0


def test_orders_too_many_to_be_told_apart_are_not_drawn():
    many = [(START + n * 1_000, PLACED if n % 2 == 0 else CANCELLED, 1, 1, 0, n // 2, 9_950, 10) for n in range(6_000)]
    made = replace(result((), [10_000] * 4, bars=[(10_000, 10_100, 9_900, 10_000)] * 4), orders=rows(ORDER, many))
    assert 'class="rest' not in price_chart(made, "price")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (98.7, 101.3, [99.0, 99.5, 100.0, 100.5, 101.0]), (-2_000, 0, [-2_000, -1_500, -1_000, -500, 0])],
)
def test_axes_have_round_values(low, high, expected):
    assert value_ticks(low, high) == pytest.approx(expected)


def test_axes_have_round_moments():
    assert [label for _, label in time_ticks(START, START + 4 * 3_600 * SECOND)] == ["00:00", "01:00", "02:00", "03:00", "04:00"]
    assert [label for _, label in time_ticks(START + 1, START + 3 * DAY)] == [
        "11-15 12:00",
        "11-16 00:00",
        "11-16 12:00",
        "11-17 00:00",
        "11-17 12:00",
        "11-18 00:00",
    ]


def test_a_surface_shows_every_cell_that_was_tried():
    surface = Surface("gain", "step", "layers", ("0.5", "1"), ("3", "4", "5"), ((1.0, -2.0), (None, 0.5), (4.0, 0.0)), "%")
    tree = ET.fromstring(surface_chart(surface))
    cells = list(tree.iter("{http://www.w3.org/2000/svg}rect"))
    assert [box.get("class") for box in cells] == ["good", "bad", "good", "good", "good"]
    tips = [box.find("{http://www.w3.org/2000/svg}title").text for box in cells]
    assert tips[1] == "step 1, layers 3: -2%"
    assert len({box.get("fill-opacity") for box in cells}) == 5


# -- the same figures as text --


def test_json_is_exact_and_has_no_number_that_json_does_not_know():
    made = long_run()
    found = as_json(made, metrics(made))
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["totals"]["net"] == again["figures"]["net"]
    assert len(again["cycles"]) == again["figures"]["cycles"]
    assert again["hold"]["gain_pct"] is not None
    assert again["cash"]["gain_pct"] == 0


def test_terminal_and_report_show_the_same_cells():
    made = long_run()
    judged = [metrics(made)]
    words = read(written(made)).words
    for _, lines in sections(judged, "USDC"):
        for line in lines:
            assert set(line.cells) <= set(words), line.name


def test_a_figure_that_no_run_has_is_left_out():
    names = [line.name for _, lines in sections([metrics(replace(result((), [10_000]), layers=0))], "USDC") for line in lines]
    assert "cycles" not in names
    assert "markout_1s_bp" not in names
    assert "net" in names


@pytest.mark.parametrize(
    ("values", "unit", "texts", "word"),
    [
        ([90, 100_000], "seconds", ["0.0", "27.8"], "h"),
        ([59, None], "seconds", ["59", "-"], "s"),
        ([3 * 86_400], "seconds", ["3.0"], "d"),
        ([123_456_789, -1], "money", ["0.1235", "0.0000"], "USDC"),
        ([123_456_789_000, -5 * 10**9], "money", ["123.46", "-5.00"], "USDC"),
        ([0.01234, 0.5], "pct", ["0.0123", "0.5000"], "%"),
        ([12.3456], "pct", ["12.35"], "%"),
        ([7], "count", ["7"], ""),
    ],
)
def test_a_line_has_one_unit_and_enough_decimals(values, unit, texts, word):
    assert in_unit(values, unit, "USDC") == (texts, word)
