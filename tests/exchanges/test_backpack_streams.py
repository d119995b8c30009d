"""Stream messages in: one fact each, or a record of why not."""

import json

import pytest
from tests.exchanges.kit import MARKETS, PERP, SPOT, TS_US

from lemon_trader.core.events import (
    NO_CLIENT_ID,
    NO_TRADE_ID,
    BadFact,
    Balance,
    BookDelta,
    Fill,
    LastPrice,
    MarkPrice,
    OrderUpdate,
    PublicTrade,
    Touch,
    VenuePosition,
)
from lemon_trader.core.units import BUY, SELL
from lemon_trader.exchanges.backpack.client import Backpack
from lemon_trader.exchanges.backpack.untrusted import BYTES_MAX, RAW_MAX

BACKPACK = Backpack()
T = 1790134357267074


def frame(stream, data, markets=MARKETS):
    raw = data if isinstance(data, bytes) else json.dumps({"data": data, "stream": stream}).encode()
    return BACKPACK.frame(raw, markets, TS_US)


def depth(**change):
    return {
        "E": T + 5,
        "T": T,
        "U": 10,
        "a": [["98.97", "22.39"]],
        "b": [["98.96", "0.00"]],
        "e": "depth",
        "s": "SOL_USDC",
        "u": 12,
    } | change


def touch(**change):
    return {"A": "2.5", "B": "1.25", "E": T, "T": T, "a": "98.97", "b": "98.96", "e": "bookTicker", "s": "SOL_USDC", "u": 77} | change


def trade(**change):
    return {
        "E": T,
        "T": T,
        "a": "1",
        "b": "2",
        "e": "trade",
        "m": True,
        "p": "218.50",
        "q": "0.07",
        "s": "SOL_USDC",
        "t": 341399899,
    } | change


def mark(**change):
    return {
        "E": T,
        "T": T,
        "e": "markPrice",
        "f": "-0.0000125",
        "i": "173.445",
        "n": 1747296000000,
        "p": "173.354",
        "s": "SOL_USDC_PERP",
    } | change


def ticker(**change):
    return {"E": T, "V": "1", "c": "86.25", "e": "ticker", "h": "1", "l": "1", "n": 3, "o": "1", "s": "SOL_USDC", "v": "1"} | change


FACTS = [
    ("a depth change; zero deletes", "depth.SOL_USDC", depth(), BookDelta(TS_US, T, "SOL_USDC", 10, 12, ((9896, 0),), ((9897, 2239),))),
    (
        "an aggregated depth change",
        "depth.200ms.SOL_USDC",
        depth(b=[]),
        BookDelta(TS_US, T, "SOL_USDC", 10, 12, (), ((9897, 2239),)),
    ),
    ("the touch, id as a number", "bookTicker.SOL_USDC", touch(), Touch(TS_US, T, "SOL_USDC", 9896, 125, 9897, 250, 77)),
    ("the touch, id as text", "bookTicker.SOL_USDC", touch(u="78"), Touch(TS_US, T, "SOL_USDC", 9896, 125, 9897, 250, 78)),
    ("an empty side of the touch", "bookTicker.SOL_USDC", touch(a=None, A=None), Touch(TS_US, T, "SOL_USDC", 9896, 125, 0, 0, 77)),
    ("a print", "trade.SOL_USDC", trade(), PublicTrade(TS_US, T, "SOL_USDC", 21850, 7, True, 341399899)),
    ("the ticker", "ticker.SOL_USDC", ticker(), LastPrice(TS_US, T, "SOL_USDC", 8625)),
    ("the ticker of a market without a trade", "ticker.SOL_USDC", ticker(c=None), LastPrice(TS_US, T, "SOL_USDC", 0)),
    (
        "a mark finer than the grid, half up",
        "markPrice.SOL_USDC_PERP",
        mark(),
        MarkPrice(TS_US, T, "SOL_USDC_PERP", 17335, 17345, -12_500, 1747296000000000),
    ),
    (
        "a mark alone",
        "markPrice.SOL_USDC_PERP",
        {"E": T, "s": "SOL_USDC_PERP", "p": "173.355"},
        MarkPrice(TS_US, T, "SOL_USDC_PERP", 17336, 0, 0, 0),
    ),
]


@pytest.mark.parametrize(("stream", "data", "fact"), [row[1:] for row in FACTS], ids=[row[0] for row in FACTS])
def test_a_market_fact(stream, data, fact):
    assert frame(stream, data) == [fact]


def update(**change):
    return {
        "E": T + 9, "O": "USER", "S": "Ask", "T": T, "V": "RejectTaker", "X": "New", "Z": "0", "c": 77, "e": "orderAccepted", "f": "GTC",
        "i": "114575842681290753", "o": "LIMIT", "p": "178.15", "q": "20.03", "r": False, "s": "SOL_USDC_PERP", "t": None, "z": "0",
    } | change  # fmt: skip


def told(kind, **change):
    fields = {
        "ts_us": TS_US, "venue_us": T, "symbol": "SOL_USDC_PERP", "kind": kind, "order_id": "114575842681290753", "client_id": 77,
        "related_id": "", "side": SELL, "price_ticks": 17815, "trigger_ticks": 0, "qty_lots": 2003, "filled_lots": 0, "reason": "",
        "origin": "USER",
    } | change  # fmt: skip
    return OrderUpdate(**fields)


UPDATES = [
    ("accepted", update(), told("accepted")),
    ("without a client id", update(c=None), told("accepted", client_id=NO_CLIENT_ID)),
    ("cancelled with a part filled", update(e="orderCancelled", X="Cancelled", z="1.5"), told("cancelled", filled_lots=150)),
    ("expired, with the reason raw", update(e="orderExpired", X="Expired", R="PRICE_BAND"), told("expired", reason="PRICE_BAND")),
    ("shrunk", update(e="orderModified", q="10"), told("modified", qty_lots=1000)),
    (
        "an armed trigger's size is its trigger quantity",
        update(e="triggerPlaced", X="TriggerPending", q="0", P="178.05", Y="20.03", B="MarkPrice"),
        told("trigger_placed", trigger_ticks=17805),
    ),
    (
        "a share of the position is no quantity",
        update(e="triggerPlaced", X="TriggerPending", q="0", P="178.05", Y="100%", p=None, o="MARKET"),
        told("trigger_placed", trigger_ticks=17805, qty_lots=0, price_ticks=0),
    ),
    ("a trigger that failed", update(e="triggerFailed", X="TriggerFailed", R="NoPosition"), told("trigger_failed", reason="NoPosition")),
    ("the child of a trigger", update(c=None, I="99", O="USER"), told("accepted", client_id=NO_CLIENT_ID, related_id="99")),
    ("a related id as a number", update(I=99), told("accepted", related_id="99")),
    ("the exchange's own order", update(O="LIQUIDATION_AUTOCLOSE"), told("accepted", origin="LIQUIDATION_AUTOCLOSE")),
    ("an event nobody knows keeps its name", update(e="orderTeleported"), told("orderTeleported")),
    ("a status nobody knows stands for the event", update(X="Hibernating"), told("Hibernating")),
]  # fmt: skip


@pytest.mark.parametrize("stream", ["account.orderUpdate", "account.orderUpdate.SOL_USDC_PERP"])
@pytest.mark.parametrize(("data", "fact"), [row[1:] for row in UPDATES], ids=[row[0] for row in UPDATES])
def test_what_became_of_an_order(stream, data, fact):
    assert frame(stream, data) == [fact]


def fill(**change):
    return update(e="orderFill", X="PartiallyFilled", l="5", L="178.15", m=True, n="0.0712345678912", N="USDC", t=2888471, z="7.5") | change


def booked(**change):
    fields = {
        "ts_us": TS_US, "venue_us": T, "symbol": "SOL_USDC_PERP", "order_id": "114575842681290753", "client_id": 77, "related_id": "",
        "trade_id": 2888471, "side": SELL, "price_ticks": 17815, "qty_lots": 500, "fee_atoms": 71_234_567, "fee_asset": "USDC",
        "fee_text": "0.0712345678912", "is_maker": True, "filled_lots": 750, "origin": "USER", "done": False,
    } | change  # fmt: skip
    return Fill(**fields)


FILLS = [
    ("a part; the fee's text is kept where it is finer than an atom", fill(), booked()),
    ("the last part says that the order is done", fill(X="Filled"), booked(done=True)),
    ("a rebate", fill(n="-0.01"), booked(fee_atoms=-10_000_000, fee_text="-0.01")),
    ("without a trade id", fill(t=None), booked(trade_id=NO_TRADE_ID)),
    ("a trade id of zero is none", fill(t=0), booked(trade_id=NO_TRADE_ID)),
    ("without the cumulative quantity", fill(z=None), booked(filled_lots=-1)),
    ("of a trigger's child", fill(c=None, I="42"), booked(client_id=NO_CLIENT_ID, related_id="42")),
    ("a liquidation", fill(c=None, O="ADL_AUTOCLOSE"), booked(client_id=NO_CLIENT_ID, origin="ADL_AUTOCLOSE")),
    ("a buy", fill(S="Bid", N="SOL"), booked(side=BUY, fee_asset="SOL")),
]


@pytest.mark.parametrize(("data", "fact"), [row[1:] for row in FILLS], ids=[row[0] for row in FILLS])
def test_a_fill(data, fact):
    assert frame("account.orderUpdate", data) == [fact]


def position(**change):
    return {
        "B": "1",
        "E": T,
        "M": "1",
        "P": "0",
        "Q": "0.5",
        "T": T,
        "i": 5411399049,
        "p": "0",
        "q": "-0.50",
        "s": "SOL_USDC_PERP",
    } | change


@pytest.mark.parametrize(
    ("data", "lots"),
    [
        (position(), -50),
        (position(e="positionAdjusted", q="1.25"), 125),
        (position(e="positionClosed", q="0"), 0),
        (position(q="0.00"), 0),
    ],
    ids=["told on subscribing, without an event", "adjusted", "closed", "zero in padding"],
)
def test_a_position_as_the_exchange_sees_it(data, lots):
    assert frame("account.positionUpdate", data) == [VenuePosition(TS_US, T, "SOL_USDC_PERP", lots)]


def test_a_balance():
    data = {"A": "10.5", "E": T + 1, "L": "20", "S": "0", "T": T, "a": "USDT", "e": "balanceUpdate"}
    assert frame("account.balanceUpdate", data) == [Balance(TS_US, T, "USDT", 10_500_000_000, 20_000_000_000)]
    assert frame("account.balanceUpdate", {k: v for k, v in data.items() if k != "T"}) == [
        Balance(TS_US, T + 1, "USDT", 10_500_000_000, 20_000_000_000)
    ]


BAD = [
    ("a stream nobody asked for", "kline.1m.SOL_USDC", {"s": "SOL_USDC"}, "no stream", "SOL_USDC", False),
    ("an account stream nobody asked for", "account.rfqUpdate", {"s": "SOL_USDC"}, "no stream", "SOL_USDC", True),
    ("a market nobody knows", "depth.X_Y", depth(s="X_Y"), "no market we know", "X_Y", False),
    ("one level off the grid spoils the change", "depth.SOL_USDC", depth(a=[["98.97", "1"], ["98.975", "1"]]), "grid", "SOL_USDC", False),
    ("a level of price zero", "depth.SOL_USDC", depth(a=[["0.00", "1"]]), "price of 0", "SOL_USDC", False),
    ("a negative quantity", "depth.SOL_USDC", depth(a=[["98.97", "-1"]]), "negative", "SOL_USDC", False),
    ("ids that run backwards", "depth.SOL_USDC", depth(U=13), "after the last", "SOL_USDC", False),
    ("no time", "depth.SOL_USDC", depth(T=None), "int", "SOL_USDC", False),
    ("a time in ms", "depth.SOL_USDC", depth(T=T // 1000), "int", "SOL_USDC", False),
    ("more levels than one callback may handle", "depth.SOL_USDC", depth(a=[["1", "1"]] * 5001), "more than", "SOL_USDC", False),
    ("a touch of price zero", "bookTicker.SOL_USDC", touch(b="0"), "price of 0", "SOL_USDC", False),
    ("a print off the grid", "trade.SOL_USDC", trade(p="1.001"), "grid", "SOL_USDC", False),
    ("a mark of zero", "markPrice.SOL_USDC_PERP", mark(p="0"), "no prices", "SOL_USDC_PERP", False),
    ("a negative index", "markPrice.SOL_USDC_PERP", mark(i="-5"), "no prices", "SOL_USDC_PERP", False),
    ("an order without id", "account.orderUpdate", update(i=None), "i is missing", "SOL_USDC_PERP", True),
    ("an order without status", "account.orderUpdate", update(X=None), "X is missing", "SOL_USDC_PERP", True),
    ("an order of neither side", "account.orderUpdate", update(S="Both"), "neither Bid nor Ask", "SOL_USDC_PERP", True),
    ("a client id beyond 32 bits", "account.orderUpdate", update(c=2**32), "beyond 32 bits", "SOL_USDC_PERP", True),
    ("a fill without its price", "account.orderUpdate", fill(L=None), "L is missing", "SOL_USDC_PERP", True),
    ("a fill without its fee is not booked without one", "account.orderUpdate", fill(n=None), "n is missing", "SOL_USDC_PERP", True),
    ("a fill of nothing", "account.orderUpdate", fill(l="0"), "fill of nothing", "SOL_USDC_PERP", True),
    ("a fill at no price", "account.orderUpdate", fill(L="0"), "price of 0", "SOL_USDC_PERP", True),
    ("an account fact of an unknown market", "account.orderUpdate", update(s="X_Y"), "no market we know", "X_Y", True),
    ("a position off the grid", "account.positionUpdate", position(q="0.001"), "grid", "SOL_USDC_PERP", True),
    ("a balance that is no number", "account.balanceUpdate", {"a": "X", "A": "lots", "L": "0", "T": T}, "not a number", "", True),
    ("data that is no object", "account.orderUpdate", [], "an object was expected", "", True),
]


@pytest.mark.parametrize(("stream", "data", "reason", "symbol", "account"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_cannot_be_read_is_kept_and_says_why(stream, data, reason, symbol, account):
    (fact,) = frame(stream, data)
    assert isinstance(fact, BadFact)
    assert reason in fact.reason
    assert (fact.ts_us, fact.source, fact.symbol, fact.account) == (TS_US, stream, symbol, account)
    assert 0 < len(fact.raw) <= RAW_MAX


@pytest.mark.parametrize(
    ("payload", "source", "reason"),
    [
        (b'{"id":null,"error":{"code":4006,"message":"Invalid stream"}}', "stream error", "4006 Invalid stream"),
        (b'{"id":null,"error":{"code":4002,"message":"Parse error"}}', "stream error", "4002 Parse error"),
        (b'{"id":null,"error":null}', "stream", "stream"),
        (b"", "stream", "truncated"),
        (b"hello", "stream", "malformed"),
        (b"[]", "stream", "object"),
        (b'{"stream":"depth.SOL_USDC"}', "depth.SOL_USDC", "data"),
        (b'{"stream":5,"data":{}}', "stream", "str"),
        (b'{"stream":"","data":{}}', "stream", "no stream"),
        (b" " * (BYTES_MAX + 1), "stream", "more than"),
    ],
)
def test_what_is_no_data_message_says_what_it_is(payload, source, reason):
    (fact,) = BACKPACK.frame(payload, MARKETS, TS_US)
    assert isinstance(fact, BadFact)
    assert fact.source == source
    assert reason in fact.reason
    assert not fact.account
    assert len(fact.raw) <= RAW_MAX


def test_a_market_whose_grid_changes_is_read_on_the_new_grid():
    dialect = Backpack()
    finer = type(SPOT)(**{f: getattr(SPOT, f) for f in SPOT.__struct_fields__} | {"price_decimals": 3})
    payload = json.dumps({"data": trade(), "stream": "trade.SOL_USDC"}).encode()
    (before,) = dialect.frame(payload, {"SOL_USDC": SPOT}, TS_US)
    (after,) = dialect.frame(payload, {"SOL_USDC": finer}, TS_US)
    assert (before.price_ticks, after.price_ticks) == (21850, 218500)


def test_remembered_texts_are_bounded():
    dialect = Backpack()
    for n in range(1, 10_000):
        dialect.frame(json.dumps({"data": trade(p=f"{n}", q=f"{n}"), "stream": "trade.SOL_USDC"}).encode(), MARKETS, TS_US)
    grid = dialect._grids.of("SOL_USDC", MARKETS)
    assert 0 < len(grid.ticks) <= 4096
    assert 0 < len(grid.lots) <= 4096


def test_the_streams_a_strategy_needs():
    assert BACKPACK.public_streams("SOL_USDC", SPOT) == ["depth.SOL_USDC", "bookTicker.SOL_USDC", "trade.SOL_USDC", "ticker.SOL_USDC"]
    assert "markPrice.SOL_USDC_PERP" in BACKPACK.public_streams("SOL_USDC_PERP", PERP)
    assert BACKPACK.private_streams() == ["account.orderUpdate", "account.positionUpdate", "account.balanceUpdate"]
