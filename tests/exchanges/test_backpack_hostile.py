"""Hostile input (F65 … F68): bounded, refused row by row, and never an exception where facts are made."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.exchanges.kit import MARKETS, SPOT, STABLE, TS_US

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import BadFact, CancelAnswered, Event, PlaceAccepted, PlaceRefused, PlaceUnknown
from lemon_trader.core.units import BUY, POST_ONLY
from lemon_trader.exchanges.backpack.client import Backpack
from lemon_trader.exchanges.backpack.untrusted import BYTES_MAX, NESTING_MAX, decode
from lemon_trader.exchanges.dialect import WireError

BACKPACK = Backpack()
INT64 = 2**63 - 1

# JSON texts that stand where a number or a name is expected.
HOSTILE = {
    "NaN": "NaN",
    "NaN as text": '"NaN"',
    "infinity": "Infinity",
    "minus infinity as text": '"-Infinity"',
    "a huge float": "1e308",
    "a huge float as text": '"1e308"',
    "an exponent of a million": "1E+1000000",
    "an exponent of a million as text": '"1E+1000000"',
    "a tiny exponent as text": '"1E-1000000"',
    "five thousand digits": "9" * 5000,
    "five thousand digits as text": '"' + "9" * 5000 + '"',
    "five thousand decimals as text": '"0.' + "1" * 5000 + '"',
    "a plus sign": '"+5"',
    "blanks around": '" 5 "',
    "an underscore": '"1_000"',
    "a comma": '"1,5"',
    "digits of another script": '"٥"',
    "hexadecimal": '"0x10"',
    "empty text": '""',
    "true": "true",
    "null": "null",
    "a list": "[]",
    "an object": "{}",
    "a lone surrogate": '"\\ud800"',
    "a null byte": '"\\u0000"',
    "negative": '"-5"',
    "beyond 64 bits": str(2**64),
    "beyond 64 bits, negative": str(-(2**64)),
    "long text": '"' + "x" * 100_000 + '"',
}

NO_NUMBERS = {
    "an exponent of a million",
    "an exponent of a million as text",
    "five thousand digits as text",
    "a plus sign",
    "blanks around",
}

FRAMES = {
    "depth price": '{"data":{"T":1790134357267074,"U":1,"u":1,"s":"SOL_USDC","a":[[@,"1"]],"b":[],"e":"depth"},"stream":"depth.SOL_USDC"}',
    "depth quantity": '{"data":{"T":1790134357267074,"U":1,"u":1,"s":"SOL_USDC","a":[["1",@]],"b":[]},"stream":"depth.SOL_USDC"}',
    "depth id": '{"data":{"T":1790134357267074,"U":1,"u":@,"s":"SOL_USDC","a":[],"b":[],"e":"depth"},"stream":"depth.SOL_USDC"}',
    "depth time": '{"data":{"T":@,"U":1,"u":1,"s":"SOL_USDC","a":[],"b":[],"e":"depth"},"stream":"depth.SOL_USDC"}',
    "touch price": '{"data":{"T":1790134357267074,"u":1,"s":"SOL_USDC","a":@,"A":"1","b":null},"stream":"bookTicker.SOL_USDC"}',
    "touch id": '{"data":{"T":1790134357267074,"u":@,"s":"SOL_USDC"},"stream":"bookTicker.SOL_USDC"}',
    "trade quantity": '{"data":{"T":1790134357267074,"t":1,"m":true,"s":"SOL_USDC","p":"1","q":@},"stream":"trade.SOL_USDC"}',
    "symbol": '{"data":{"T":1790134357267074,"t":1,"m":true,"s":@,"p":"1","q":"1"},"stream":"trade.SOL_USDC"}',
    "stream": '{"data":{},"stream":@}',
    "mark": '{"data":{"E":1790134357267074,"s":"SOL_USDC_PERP","p":@},"stream":"markPrice.SOL_USDC_PERP"}',
    "funding rate": '{"data":{"E":1790134357267074,"s":"SOL_USDC_PERP","p":"1","f":@},"stream":"markPrice.SOL_USDC_PERP"}',
    "fill price": (
        '{"data":{"e":"orderFill","X":"New","S":"Bid","T":1790134357267074,"i":"1","s":"SOL_USDC","l":"1","L":@,"m":true,"n":"0","N":"USDC","t":1,"z":"1"},'
        '"stream":"account.orderUpdate"}'
    ),
    "fill fee": (
        '{"data":{"e":"orderFill","X":"New","S":"Bid","T":1790134357267074,"i":"1","s":"SOL_USDC","l":"1","L":"1","m":true,"n":@,"N":"USDC","t":1,"z":"1"},'
        '"stream":"account.orderUpdate"}'
    ),
    "order quantity": (
        '{"data":{"e":"orderAccepted","X":"New","S":"Bid","T":1790134357267074,"i":"1","s":"SOL_USDC","q":@,"c":1},"stream":"account.orderUpdate"}'
    ),
    "client id": '{"data":{"e":"x","X":"New","S":"Bid","T":1790134357267074,"i":"1","s":"SOL_USDC","c":@},"stream":"account.orderUpdate"}',
    "status": '{"data":{"e":"orderAccepted","X":@,"S":"Bid","T":1790134357267074,"i":"1","s":"SOL_USDC"},"stream":"account.orderUpdate"}',
    "position": '{"data":{"s":"SOL_USDC_PERP","q":@,"T":1790134357267074},"stream":"account.positionUpdate"}',
    "balance": '{"data":{"a":"SOL","A":@,"L":"0","T":1790134357267074},"stream":"account.balanceUpdate"}',
    "error": '{"id":null,"error":{"code":@,"message":@}}',
}


def bounded(fact):
    """Every number of a fact fits an int64 and every text can be written."""
    assert isinstance(fact, Event)
    for name in fact.__struct_fields__:
        value = getattr(fact, name)
        if isinstance(value, int):
            assert -INT64 <= value <= INT64, name
        elif isinstance(value, str):
            value.encode()
            assert len(value) <= 1000, name
    return fact


@pytest.mark.parametrize("place", FRAMES, ids=str)
@pytest.mark.parametrize("value", HOSTILE, ids=str)
def test_a_hostile_value_in_a_frame_is_a_fact_within_bounds_or_none(place, value):
    began = time.process_time()
    payload = FRAMES[place].replace("@", HOSTILE[value]).encode()
    (fact,) = BACKPACK.frame(payload, MARKETS, TS_US)
    bounded(fact)
    if value in {"NaN", "infinity", "five thousand digits", "a lone surrogate"} or (
        value in NO_NUMBERS and place not in {"status", "stream"}
    ):
        assert isinstance(fact, BadFact)
    assert time.process_time() - began < 0.5


NUMBERS = ("price", "quantity", "executedQuantity", "createdAt", "clientId", "id", "status", "side", "symbol")
ROW = {
    "id": "1", "clientId": 5, "symbol": "SOL_USDC", "side": "Bid", "status": "New", "price": "1.25", "quantity": "2",
    "executedQuantity": "0", "createdAt": 1753626206762, "orderType": "Limit", "timeInForce": "GTC",
}  # fmt: skip


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", HOSTILE, ids=str)
def test_a_hostile_row_is_refused_alone(field, value):
    if value in {"NaN", "infinity"}:
        return  # not JSON at all: the whole body is refused, below
    good = json.dumps(ROW)
    hostile = json.dumps(ROW | {field: "@"}).replace('"@"', HOSTILE[value])
    bad = []
    rows = BACKPACK.orders(f"[{good},{hostile},{good}]".encode(), MARKETS, is_open=True, bad=bad)
    assert rows[0] == rows[-1]
    assert len(rows) + len(bad) in {2, 3}, "refused, read, or of a market that was not asked for"
    for fact in bad:
        bounded(fact)
    for row in rows:
        assert all(-INT64 <= v <= INT64 for v in (row.client_id, row.price_ticks, row.qty_lots, row.filled_lots, row.created_us))
        row.status.encode()


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_constant_that_is_not_json_makes_a_body_unreadable(word):
    with pytest.raises(WireError):
        BACKPACK.orders(f"[{word}]".encode(), MARKETS, is_open=True, bad=[])


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 200_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'[{"x":' * 1000,
        b"[" * (NESTING_MAX + 1) + b"]" * (NESTING_MAX + 1),
        b"[]" * 300_000 + b"[" * 100,
        b" " * BYTES_MAX + b"1",
        b"\xff\xfe\x00",
        b'"\xed\xa0\x80"',
        b"\x00" * 1000,
        b'{"a":"' + b"\\" * 100_001,
        b"[" + b"1," * 400_000,
        b"-",
        b'{"a":1,,}',
    ],
    ids=[
        "brackets without end", "deep lists", "deep objects", "deep mixture", "one level too deep", "many pairs and a tail", "too long",
        "not UTF-8", "a surrogate in UTF-8", "null bytes", "backslashes", "a list without end", "half a number", "a stray comma",
    ],
)  # fmt: skip
def test_a_hostile_body_costs_little_and_is_unreadable(raw):
    began = time.process_time()
    with pytest.raises(WireError):
        decode(raw)
    (fact,) = BACKPACK.frame(raw, MARKETS, TS_US)
    assert isinstance(bounded(fact), BadFact)
    nested = b'{"stream":"depth.SOL_USDC","data":' + raw[:BYTES_MAX] + b"}"
    assert isinstance(BACKPACK.frame(nested, MARKETS, TS_US)[0], BadFact)
    in_account = b'{"stream":"account.orderUpdate","data":' + raw[: BYTES_MAX - 100] + b"}"
    assert isinstance(BACKPACK.frame(in_account, MARKETS, TS_US)[0], BadFact)
    assert time.process_time() - began < 2


def test_nesting_up_to_the_cap_and_brackets_inside_text_are_read():
    assert decode(b"[" * NESTING_MAX + b"]" * NESTING_MAX)
    assert decode(json.dumps({"message": "expected ] before { " * 3, "list": [[1]] * 100}).encode())["list"][0] == [1]


def test_a_duplicate_key_counts_once_and_the_last_one_wins():
    assert decode(b'{"a":1,"a":2}') == {"a": 2}
    payload = (
        b'{"stream":"x","data":{"T":1790134357267074,"t":1,"m":true,"s":"SOL_USDC","p":"9","p":"1.5","q":"1"},"stream":"trade.SOL_USDC"}'
    )
    assert BACKPACK.frame(payload, MARKETS, TS_US)[0].price_ticks == 150


def test_numbers_keep_their_text_where_money_may_stand():
    assert decode(b"[1.10,1e5,0.1,12345678901234567890123]") == ["1.10", "1e5", "0.1", 12345678901234567890123]
    assert BACKPACK.balances(b'{"SOL":{"available":0.1,"locked":3}}', TS_US)[0].available_atoms == 100_000_000


PLACE = Place("SOL_USDC", 5, BUY, POST_ONLY, 0, 125, 0, 200)


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", HOSTILE, ids=str)
def test_a_hostile_answer_is_no_refusal_and_no_exception(field, value):
    hostile = json.dumps(ROW | {field: "@"}).replace('"@"', HOSTILE[value]).encode()
    (told,) = BACKPACK.place_answer([PLACE], 200, hostile, MARKETS, TS_US)
    assert isinstance(bounded(told), (PlaceAccepted, PlaceUnknown))
    (ended,) = BACKPACK.cancel_answer(Cancel("SOL_USDC", 5), 200, hostile, MARKETS, TS_US)
    assert bounded(ended).outcome in {"unknown", "accepted"}


# ---- anything at all ----

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(["SOL_USDC", "Bid", "Ask", "New", "Filled", "1.25", "0", "-1", "1e5", "100%", "orderFill", "orderAccepted", "Err"]),
    st.integers(10**14, 10**17), st.decimals(allow_nan=True).map(str),
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "e",
        "E",
        "T",
        "s",
        "S",
        "i",
        "c",
        "o",
        "f",
        "q",
        "Q",
        "p",
        "P",
        "Y",
        "X",
        "R",
        "t",
        "l",
        "L",
        "m",
        "n",
        "N",
        "z",
        "Z",
        "V",
        "O",
        "I",
        "a",
        "A",
        "b",
        "B",
        "u",
        "U",
        "id",
        "clientId",
        "symbol",
        "side",
        "status",
        "price",
        "quantity",
        "executedQuantity",
        "createdAt",
        "code",
        "message",
        "operation",
        "stream",
        "data",
        "error",
        "triggerPrice",
        "triggerQuantity",
        "timeInForce",
        "orderType",
    ]
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=8), max_leaves=30)
STREAMS = st.sampled_from([
    "depth.SOL_USDC", "bookTicker.SOL_USDC", "trade.SOL_USDC", "ticker.SOL_USDC", "markPrice.SOL_USDC", "account.orderUpdate",
    "account.positionUpdate", "account.balanceUpdate", "account.orderUpdate.SOL_USDC", "kline.1m.SOL_USDC", "", ".", "account.",
])  # fmt: skip
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)


@given(STREAMS, st.dictionaries(KEYS, SCALARS, min_size=5, max_size=20) | VALUES)
@settings(max_examples=150, deadline=None)
def test_no_frame_raises(stream, data):
    (fact,) = BACKPACK.frame(json.dumps({"stream": stream, "data": data}).encode(), MARKETS, TS_US)
    bounded(fact)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_bytes_raise(payload):
    (fact,) = BACKPACK.frame(payload, MARKETS, TS_US)
    bounded(fact)


@given(st.sampled_from([200, 201, 202, 302, 400, 401, 404, 409, 429, 500, 503]), BODIES, st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_every_place_gets_exactly_one_answer_whatever_comes(status, raw, count):
    orders = [Place("SOL_USDC", n, BUY, POST_ONLY, 0, 125, 0, 200) for n in range(count)]
    told = BACKPACK.place_answer(orders, status, raw, MARKETS, TS_US)
    assert [fact.client_id for fact in told] == list(range(count))
    for fact in told:
        assert isinstance(bounded(fact), (PlaceAccepted, PlaceRefused, PlaceUnknown))
        assert status not in {202, 302, 500, 503} or isinstance(fact, PlaceUnknown)


@given(st.sampled_from([200, 202, 302, 400, 404, 429, 500]), BODIES)
@settings(max_examples=100, deadline=None)
def test_every_cancel_gets_exactly_one_answer_whatever_comes(status, raw):
    (told,) = BACKPACK.cancel_answer(Cancel("SOL_USDC", 5), status, raw, MARKETS, TS_US)
    assert isinstance(bounded(told), CancelAnswered)
    assert told.outcome in {"cancelled", "accepted", "not_found", "unknown"}
    assert status not in {302, 429, 500} or told.outcome == "unknown"


@given(BODIES)
@settings(max_examples=150, deadline=None)
def test_a_read_gives_rows_or_says_that_it_is_unavailable(raw):
    bad = []
    for call in (
        lambda: BACKPACK.markets(raw),
        lambda: BACKPACK.orders(raw, MARKETS, is_open=False, bad=bad),
        lambda: BACKPACK.fills(raw, MARKETS, TS_US, bad),
        lambda: BACKPACK.funding(raw, TS_US, bad),
        lambda: BACKPACK.balances(raw, TS_US, bad),
        lambda: BACKPACK.positions(200, raw, MARKETS, TS_US, bad),
        lambda: BACKPACK.positions(404, raw, MARKETS, TS_US, bad),
        lambda: BACKPACK.depth("SOL_USDC", raw, SPOT, TS_US),
        lambda: BACKPACK.account(raw, TS_US),
        lambda: BACKPACK.trades("SOL_USDC", raw, SPOT, TS_US, bad),
        lambda: BACKPACK.klines(raw, STABLE, bad),
        lambda: BACKPACK.mark_prices(raw, MARKETS, TS_US, bad),
        lambda: BACKPACK.assets(raw, bad),
        lambda: BACKPACK.ticker("SOL_USDC", 200, raw, SPOT, TS_US),
        lambda: BACKPACK.time_ms(raw),
        lambda: BACKPACK.status(raw),
        lambda: BACKPACK.deposit_address(raw),
    ):
        try:
            call()
        except WireError as told:
            str(told).encode()
    for fact in bad:
        bounded(fact)


@pytest.mark.parametrize(
    ("status", "raw"),
    [(200, b"<html><body>Please wait</body></html>"), (200, b""), (302, b""), (301, b'{"id":"1"}'), (200, b'{"id":"1"')],
    ids=["a page with 200", "an empty 200", "a redirect", "a redirect with a body", "a truncated body"],
)
def test_what_is_not_a_result_leaves_a_command_unknown(status, raw):
    assert isinstance(BACKPACK.place_answer([PLACE], status, raw, MARKETS, TS_US)[0], PlaceUnknown)
    assert BACKPACK.cancel_answer(Cancel("SOL_USDC", 5), status, raw, MARKETS, TS_US)[0].outcome == "unknown"
