"""Reads: bodies as records; a body that is something else is unavailable, never empty."""

import json

import pytest
from tests.exchanges.kit import MARKETS, NOW_MS, PERP, SPOT, TS_US, signer

from lemon_trader.core.events import (
    NO_CLIENT_ID,
    NO_TRADE_ID,
    AccountTerms,
    Balance,
    BookSnapshot,
    CashMove,
    Fill,
    LastPrice,
    MarkPrice,
    OrderRow,
    PublicTrade,
    VenuePosition,
)
from lemon_trader.core.units import BUY, SELL
from lemon_trader.exchanges.backpack import words
from lemon_trader.exchanges.backpack.client import Backpack
from lemon_trader.exchanges.backpack.reads import READS
from lemon_trader.exchanges.dialect import Candle, Token, WireError

BACKPACK = Backpack()
WHEN = "2025-07-27T17:39:00.092"
WHEN_US = 1753637940092000


def body(value):
    return json.dumps(value).encode()


MARKET = {
    "symbol": "SOL_USDC_PERP",
    "baseSymbol": "SOL",
    "quoteSymbol": "USDC",
    "marketType": "PERP",
    "orderBookState": "PostOnly",
    "visible": True,
    "filters": {
        "price": {
            "tickSize": "0.01",
            "minPrice": "0.01",
            "maxPrice": "1000",
            "maxMultiplier": "2",
            "minMultiplier": "0.25",
            "maxImpactMultiplier": "1.01",
            "minImpactMultiplier": "0.99",
            "meanMarkPriceBand": {"maxMultiplier": "1.1", "minMultiplier": "0.9"},
        },
        "quantity": {"minQuantity": "0.05", "maxQuantity": None, "stepSize": "0.01"},
    },
    "imfFunction": {"base": "0.02", "factor": "0.00006", "type": "sqrt"},
    "mmfFunction": {"base": "0.0135", "factor": "0.000036", "type": "sqrt"},
}
SPOT_MARKET = MARKET | {
    "symbol": "SOL_USDC",
    "marketType": "SPOT",
    "imfFunction": None,
    "mmfFunction": None,
    "orderBookState": "Open",
    "filters": {"price": {"tickSize": "0.01", "minPrice": "0.01"}, "quantity": {"minQuantity": "0.01", "stepSize": "0.01"}},
}


def without(row, *path):
    copy = json.loads(json.dumps(row))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


def test_markets_bring_their_grid_bounds_and_bands():
    taken, refused = BACKPACK.markets(body([MARKET, SPOT_MARKET]))
    assert refused == {}
    perp, spot = taken["SOL_USDC_PERP"], taken["SOL_USDC"]
    assert (perp.is_perp, perp.tick, perp.lot, perp.min_lots, perp.max_lots, perp.min_ticks, perp.max_ticks) == (
        True,
        "0.01",
        "0.01",
        5,
        0,
        1,
        100_000,
    )
    assert (perp.low_ppm, perp.high_ppm, perp.impact_low_ppm, perp.impact_high_ppm) == (250_000, 2_000_000, 990_000, 1_010_000)
    assert (perp.band_low_ppm, perp.band_high_ppm, perp.imf_ppm, perp.mmf_ppm) == (900_000, 1_100_000, 20_000, 13_500)
    assert perp.book_state == "PostOnly"
    assert (spot.is_perp, spot.book_state, spot.low_ppm, spot.band_low_ppm, spot.imf_ppm, spot.max_ticks) == (False, "Open", 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (MARKET | {"marketType": "PREDICTION"}, "not traded"),
        (MARKET | {"marketType": None}, "marketType is missing"),
        (MARKET | {"symbol": "A&B=C"}, "cannot stand in a request"),
        (MARKET | {"symbol": 'X","side":"Ask'}, "cannot stand in a request"),
        (MARKET | {"symbol": "X%sY"}, "cannot stand in a request"),
        (without(MARKET, "filters", "price", "tickSize"), "tickSize is missing"),
        (MARKET | {"filters": None}, "an object was expected"),
        (MARKET | {"filters": {"price": {"tickSize": "0"}, "quantity": {"stepSize": "1"}}}, "above 0"),
        (MARKET | {"filters": {"price": {"tickSize": "0.000001"}, "quantity": {"stepSize": "0.00001"}}}, "whole number"),
        (MARKET | {"filters": {"price": {"tickSize": "NaN"}, "quantity": {"stepSize": "1"}}}, "not a number"),
        (MARKET | {"filters": {"price": {"tickSize": "1", "maxPrice": "1E+30"}, "quantity": {"stepSize": "1"}}}, "more than"),
        (MARKET | {"filters": {"price": {"tickSize": "1", "maxMultiplier": "-1"}, "quantity": {"stepSize": "1"}}}, "no factor"),
    ],
)
def test_a_market_we_cannot_trade_is_refused_by_name_and_spares_the_others(row, reason):
    taken, refused = BACKPACK.markets(body([row, SPOT_MARKET, 5]))
    assert list(taken) == ["SOL_USDC"]
    assert reason in refused[row["symbol"]]
    assert "object" in refused["row 2"]


def test_the_book_is_read_wherever_its_best_bid_stands():
    raw = body(
        {
            "asks": [["101.01", "2"], ["101.02", "1"]],
            "bids": [["100.96", "1"], ["100.97", "3"]],
            "lastUpdateId": "4324",
            "timestamp": 1788283696669335,
        }
    )
    book = BACKPACK.depth("SOL_USDC", raw, SPOT, TS_US)
    assert book == BookSnapshot(TS_US, 1788283696669335, "SOL_USDC", 4324, ((10096, 100), (10097, 300)), ((10101, 200), (10102, 100)))
    assert max(book.bids)[0] == 10097


DEPTH = {"asks": [], "bids": [], "lastUpdateId": "1", "timestamp": 1788283696669335}


@pytest.mark.parametrize(
    "change",
    [
        {"asks": None}, {"asks": {}}, {"asks": [["1"]]}, {"asks": [["1", "1", "1"]]}, {"asks": ["11"]}, {"asks": [["1.001", "1"]]},
        {"bids": [["0", "1"]]}, {"bids": [["1", "-1"]]}, {"bids": [["NaN", "1"]]}, {"lastUpdateId": None}, {"lastUpdateId": "-1"},
        {"lastUpdateId": "9" * 30}, {"timestamp": None}, {"timestamp": 1788283696669}, {"bids": [["1", "1"]] * 10_001},
    ],
)  # fmt: skip
def test_a_book_with_anything_wrong_is_no_book(change):
    with pytest.raises(WireError, match="depth of SOL_USDC"):
        BACKPACK.depth("SOL_USDC", body(DEPTH | change), SPOT, TS_US)


def test_the_clock():
    assert BACKPACK.time_ms(b"1790133798064\n") == 1790133798064


@pytest.mark.parametrize(
    "raw", [b"", b"1", b"-1790133798064", b"1790133798", b"1790133798064000", b"<html>", b"NaN", b"1" * 5000, "１７".encode()]
)
def test_a_clock_that_says_no_time_is_unavailable(raw):
    with pytest.raises(WireError, match="time"):
        BACKPACK.time_ms(raw)


def test_the_status_is_its_word():
    assert BACKPACK.status(b'{"message":null,"status":"Ok"}') == "Ok"
    assert BACKPACK.status(b'{"message":null,"status":"Waltzing"}') == "Waltzing"
    with pytest.raises(WireError):
        BACKPACK.status(b"{}")


ACCOUNT = {
    "autoBorrowSettlements": True, "autoLend": True, "autoRealizePnl": True, "autoRepayBorrows": True, "borrowLimit": "500000",
    "futuresMakerFee": "2", "futuresTakerFee": "5", "leverageLimit": "10.0", "limitOrders": 3, "liquidating": False, "positionLimit": "1",
    "spotMakerFee": "-0.5", "spotTakerFee": "9.505", "triggerOrders": 0,
}  # fmt: skip


def test_rates_come_in_basis_points_and_are_rounded_against_us():
    assert BACKPACK.account(body(ACCOUNT), TS_US) == AccountTerms(TS_US, -50, 951, 200, 500, "10", True, False)


@pytest.mark.parametrize(
    "change", [{"spotMakerFee": None}, {"spotMakerFee": "free"}, {"autoLend": None}, {"autoLend": "yes"}, {"leverageLimit": []}]
)
def test_an_account_with_a_missing_term_is_unavailable(change):
    with pytest.raises(WireError, match="account"):
        BACKPACK.account(body(ACCOUNT | change), TS_US)


def test_balances_by_asset_and_one_absurd_coin_does_not_hide_the_others():
    raw = body(
        {"SOL": {"available": "1.5", "locked": "0.5", "staked": "0"}, "JUNK": {"available": "99999999999", "locked": "0"}, "X": None}
    )
    bad = []
    assert BACKPACK.balances(raw, TS_US, bad) == [Balance(TS_US, 0, "SOL", 1_500_000_000, 500_000_000)]
    assert [fact.symbol for fact in bad] == ["JUNK", ""]
    assert all(fact.account for fact in bad)


POSITION = {"symbol": "SOL_USDC_PERP", "netQuantity": "-1.25", "netCost": "-200", "entryPrice": "160", "userId": 1}


def test_positions_and_what_is_flat():
    others = [POSITION, POSITION | {"symbol": "DOGE_USDC_PERP", "netQuantity": "0.3"}]
    assert BACKPACK.positions(200, body(others), MARKETS, TS_US) == [VenuePosition(TS_US, 0, "SOL_USDC_PERP", -125)]
    assert BACKPACK.positions(200, b"[]", MARKETS, TS_US) == []
    assert BACKPACK.positions(404, body({"code": "RESOURCE_NOT_FOUND", "message": "Not Found"}), MARKETS, TS_US) == []


@pytest.mark.parametrize(
    ("status", "raw"),
    [(404, b"not found"), (404, b"<html>"), (404, b'{"code":"OTHER"}'), (500, b"[]"), (200, b""), (200, b"{}"), (302, b""), (200, b"[{}]")],
    ids=["a wrong path", "a page", "another code", "5xx", "empty", "an object", "redirect", "a row without symbol"],
)
def test_flat_needs_proof(status, raw):
    with pytest.raises(WireError):
        BACKPACK.positions(status, raw, MARKETS, TS_US)


ORDER = {
    "clientId": 77, "createdAt": 1753637940092, "executedQuantity": "1.5", "id": "59669039887", "orderType": "Limit", "postOnly": True,
    "price": "140.25", "quantity": "20", "reduceOnly": None, "relatedOrderId": None, "selfTradePrevention": "RejectTaker", "side": "Ask",
    "status": "PartiallyFilled", "symbol": "SOL_USDC_PERP", "timeInForce": "GTC", "triggerPrice": None, "triggerQuantity": None,
}  # fmt: skip


def test_an_open_order():
    expected = OrderRow("SOL_USDC_PERP", "59669039887", 77, "", SELL, "working", 14025, 0, 2000, 150, WHEN_US, True, False, "", "USER")
    assert BACKPACK.orders(body([ORDER]), MARKETS, is_open=True) == [expected]


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"clientId": "77"}, "client_id", 77),
        ({"clientId": None}, "client_id", NO_CLIENT_ID),
        ({"createdAt": WHEN}, "created_us", WHEN_US),
        ({"status": "TriggerPending", "triggerPrice": "130", "triggerQuantity": "5", "quantity": "0"}, "qty_lots", 500),
        ({"status": "TriggerPending", "triggerPrice": "130", "triggerQuantity": "100%", "quantity": "0"}, "qty_lots", 0),
        ({"status": "TriggerPending", "triggerPrice": "130", "triggerQuantity": "100%", "quantity": None}, "status", "armed"),
        ({"status": "TriggerPending", "triggerPrice": "130", "price": None}, "is_trigger", True),
        ({"status": "Expired", "expiryReason": "PriceOutOfBounds"}, "reason", "PriceOutOfBounds"),
        ({"systemOrderType": "LiquidatePositionOnBook"}, "origin", "LiquidatePositionOnBook"),
        ({"relatedOrderId": "59669039880"}, "related_id", "59669039880"),
        ({"timeInForce": "IOC"}, "status", "expired"),
        ({"orderType": "Market", "status": "PartiallyFilled"}, "status", "expired"),
        ({"timeInForce": "IOC", "status": "New"}, "status", "working"),
        ({"status": "Triggered"}, "status", "triggered"),
        ({"status": "Hibernating"}, "status", "Hibernating"),
    ],
)
def test_how_an_order_may_differ(change, field, value):
    (row,) = BACKPACK.orders(body([ORDER | change]), MARKETS, is_open=False)
    assert getattr(row, field) == value
    assert not row.is_open


def test_orders_of_other_markets_are_left_out():
    assert BACKPACK.orders(body([ORDER | {"symbol": "DOGE_USDC", "price": "0.0000001"}]), MARKETS, is_open=True) == []


def test_a_row_that_cannot_be_read_is_told_or_spoils_the_read_but_is_never_lost():
    rows = body([ORDER, ORDER | {"id": None}, ORDER | {"price": "140.255"}, None])
    bad = []
    assert len(BACKPACK.orders(rows, MARKETS, is_open=True, bad=bad)) == 1
    assert [fact.reason.split(":")[0] for fact in bad] == ["row 1 of open orders", "row 2 of open orders", "row 3 of open orders"]
    assert [fact.symbol for fact in bad] == ["SOL_USDC_PERP", "SOL_USDC_PERP", ""]
    with pytest.raises(WireError, match="row 1 of open orders: id is missing"):
        BACKPACK.orders(rows, MARKETS, is_open=True)


FILL = {
    "clientId": "77",
    "fee": "0.0049741234567",
    "feeSymbol": "USDC",
    "isMaker": False,
    "orderId": "4238907375",
    "price": "140.25",
    "quantity": "2.5",
    "side": "Bid",
    "symbol": "SOL_USDC_PERP",
    "systemOrderType": None,
    "timestamp": WHEN,
    "tradeId": 9748827,
}


def test_a_fill_of_the_history():
    expected = Fill(
        ts_us=TS_US,
        venue_us=WHEN_US,
        symbol="SOL_USDC_PERP",
        order_id="4238907375",
        client_id=77,
        related_id="",
        trade_id=9748827,
        side=BUY,
        price_ticks=14025,
        qty_lots=250,
        fee_atoms=4_974_123,
        fee_asset="USDC",
        fee_text="0.0049741234567",
        is_maker=False,
        filled_lots=-1,
        origin="USER",
    )
    assert BACKPACK.fills(body([FILL]), MARKETS, TS_US) == [expected]


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"clientId": None}, "client_id", NO_CLIENT_ID),
        ({"clientId": 77}, "client_id", 77),
        ({"tradeId": None}, "trade_id", NO_TRADE_ID),
        ({"tradeId": 0}, "trade_id", NO_TRADE_ID),
        ({"systemOrderType": "LiquidatePositionOnAdl"}, "origin", "LiquidatePositionOnAdl"),
        ({"fee": "-0.5"}, "fee_atoms", -500_000_000),
    ],
)
def test_how_a_fill_may_differ(change, field, value):
    assert getattr(BACKPACK.fills(body([FILL | change]), MARKETS, TS_US)[0], field) == value


def test_funding_is_counted_once_by_market_and_interval():
    row = {
        "fundingRate": "0.0000125",
        "intervalEndTimestamp": "2025-07-27T17:00:00",
        "quantity": "-0.0123456789123",
        "symbol": "SOL_USDC_PERP",
        "userId": 1,
    }
    when_us = 1753635600000000
    expected = CashMove(
        TS_US, when_us, "SOL_USDC_PERP", "funding", "USDC", -12_345_678, "-0.0123456789123", f"funding:SOL_USDC_PERP:{when_us}"
    )
    assert BACKPACK.funding(body([row]), TS_US) == [expected]


def test_prints_marks_candles_assets_and_address():
    trade = {"id": 7558558, "isBuyerMaker": True, "price": "162.15", "quantity": "0.33", "quoteQuantity": "1", "timestamp": 1781067801978}
    assert BACKPACK.trades("SOL_USDC", body([trade]), SPOT, TS_US) == [
        PublicTrade(TS_US, 1781067801978000, "SOL_USDC", 16215, 33, True, 7558558)
    ]
    mark = {
        "fundingRate": "0.0000125",
        "indexPrice": "86.444",
        "markPrice": "86.646",
        "nextFundingTimestamp": 1790136000000,
        "symbol": "SOL_USDC_PERP",
    }
    assert BACKPACK.mark_prices(body([mark, mark | {"symbol": "Z_USDC_PERP"}]), MARKETS, TS_US) == [
        MarkPrice(TS_US, 0, "SOL_USDC_PERP", 8665, 8644, 12_500, 1790136000000000)
    ]
    candle = {
        "start": "2025-09-11 15:33:00",
        "end": "2025-09-11T15:34:00",
        "open": "4.42",
        "high": "4.43",
        "low": "4.41",
        "close": "4.42",
        "volume": "0.176",
        "trades": "2",
    }
    assert BACKPACK.klines(body([candle]), SPOT) == [Candle(1757604780000000, 1757604840000000, 442, 443, 441, 442, 17, 2)]
    empty = candle | {"open": None, "high": None, "low": None, "close": None, "volume": "0", "trades": "0"}
    assert BACKPACK.klines(body([empty]), SPOT)[0].open_ticks == 0
    with pytest.raises(WireError, match="some of its prices"):
        BACKPACK.klines(body([candle | {"open": None}]), SPOT)
    token = {
        "blockchain": "Solana",
        "depositEnabled": True,
        "minimumDeposit": "0.01",
        "minimumWithdrawal": "0.02",
        "withdrawEnabled": False,
        "withdrawalFee": "0.01",
    }
    assert BACKPACK.assets(body([{"symbol": "SOL", "tokens": [token]}])) == {"SOL": [Token("Solana", True, "0.01", False, "0.02", "0.01")]}
    assert BACKPACK.deposit_address(b'{"address":"9xQe"}') == "9xQe"


def test_the_last_price_and_a_market_without_one():
    raw = body({"symbol": "SOL_USDC", "lastPrice": "86.25"})
    assert BACKPACK.ticker("SOL_USDC", 200, raw, SPOT, TS_US) == LastPrice(TS_US, 0, "SOL_USDC", 8625)
    assert BACKPACK.ticker("SOL_USDC", 204, b"", SPOT, TS_US) == LastPrice(TS_US, 0, "SOL_USDC", 0)
    with pytest.raises(WireError):
        BACKPACK.ticker("SOL_USDC", 200, b"", SPOT, TS_US)


# ---- requests ----


@pytest.mark.parametrize("what", list(READS))
def test_a_read_is_signed_exactly_when_the_exchange_asks_for_it(what):
    private = ("GET", READS[what]) in words.INSTRUCTIONS
    request = BACKPACK.read(what, signer() if private else None, NOW_MS, symbol="SOL_USDC")
    assert (request.method, request.path, request.body) == ("GET", READS[what] + "?symbol=SOL_USDC", b"")
    assert bool(request.headers) is private
    if private:
        with pytest.raises(ValueError, match="pass a signer"):
            BACKPACK.read(what, None, NOW_MS)


def test_a_read_that_is_not_in_the_table_names_those_that_are():
    with pytest.raises(ValueError, match="no read is called 'withdraw'; there are: ping, time"):
        BACKPACK.read("withdraw", signer(), NOW_MS)


@pytest.mark.parametrize(
    "call",
    [
        BACKPACK.markets,
        lambda b: BACKPACK.orders(b, MARKETS, is_open=True),
        lambda b: BACKPACK.fills(b, MARKETS, TS_US),
        lambda b: BACKPACK.funding(b, TS_US),
        lambda b: BACKPACK.balances(b, TS_US),
        lambda b: BACKPACK.positions(200, b, MARKETS, TS_US),
        lambda b: BACKPACK.depth("SOL_USDC", b, SPOT, TS_US),
        lambda b: BACKPACK.account(b, TS_US),
        BACKPACK.status,
        lambda b: BACKPACK.trades("SOL_USDC", b, SPOT, TS_US),
        lambda b: BACKPACK.klines(b, PERP),
        lambda b: BACKPACK.mark_prices(b, MARKETS, TS_US),
        BACKPACK.assets,
        BACKPACK.deposit_address,
        BACKPACK.time_ms,
        lambda b: BACKPACK.ticker("SOL_USDC", 200, b, SPOT, TS_US),
    ],
)
@pytest.mark.parametrize("raw", [b"", b"<html>Moved</html>", b"null", b"5 5", b'"x"', b"[", b"\xff\xfe", b"{"])
def test_a_page_or_half_a_body_is_unavailable_and_never_an_empty_answer(call, raw):
    with pytest.raises(WireError):
        call(raw)
