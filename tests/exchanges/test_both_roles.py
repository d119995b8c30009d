"""Client and server share the exchange's words: what one role says, the other reads as it was meant.

This proves agreement, not truth: truth is in the vectors, the recordings and other people's clients.
"""

import json
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.exchanges.kit import BTC_PERP, ETH, MARKETS, NOW_MS, PERP, PUBLIC, SPOT, STABLE, TS_US, signer

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import NO_CLIENT_ID
from lemon_trader.core.units import BUY, LIMIT, POST_ONLY, REDUCE_ONLY, SELL, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.exchanges import catalog
from lemon_trader.exchanges.backpack import server, server_account, server_orders, server_public, server_stream, words
from lemon_trader.exchanges.backpack.client import Backpack

BACKPACK = Backpack()
SHARED = "a shared secret of ours"
SIGNING = [
    (signer(), catalog.verifier(PUBLIC)),
    (
        catalog.signer("backpack", SHARED, api_key="demo", signing="hmac-sha256"),
        catalog.verifier("demo", secret=SHARED, signing="hmac-sha256"),
    ),
]
AT_US = 1753626206762000

MARKET = st.sampled_from([SPOT, PERP, STABLE, ETH, BTC_PERP])
TICKS = st.integers(1, 10**7)
LOTS = st.integers(1, 10**9)
SIDE = st.sampled_from([BUY, SELL])
U32 = st.integers(0, 2**32 - 1)
MOMENT = st.integers(1_500_000_000_000, 1_900_000_000_000).map(lambda ms: ms * 1000)


@st.composite
def places(draw):
    market = draw(MARKET)
    kind = draw(st.sampled_from([POST_ONLY, LIMIT, TAKE, TRIGGER] if market.is_perp else [POST_ONLY, LIMIT, TAKE]))
    flags = draw(st.sampled_from([0, REDUCE_ONLY]))
    if kind == TRIGGER:
        flags = draw(st.sampled_from([REDUCE_ONLY, REDUCE_ONLY | WHOLE_POSITION]))
        return Place(market.symbol, draw(U32), draw(SIDE), kind, flags, 0, draw(TICKS), draw(LOTS))
    return Place(market.symbol, draw(U32), draw(SIDE), kind, flags, draw(TICKS), 0, draw(LOTS))


def authenticate(request, verifier, *, many=False):
    """What the sandbox does with a request, up to the parameters."""
    claim = server.claim_of(dict(request.headers))
    server.check_time(claim, [NOW_MS])
    path, query = server.split_target(request.path)
    body = server.parse_body(request.body, many=many)
    server.check_signature(claim, verifier.verify, words.INSTRUCTIONS[request.method, path], query, body)
    return path, dict(query), body


@pytest.mark.parametrize(("by", "verifier"), SIGNING, ids=["ED25519", "HMAC-SHA256"])
@given(st.lists(places(), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_an_order_arrives_as_it_was_wanted(by, verifier, orders):
    request = BACKPACK.place(orders, MARKETS, by, NOW_MS)
    _, _, body = authenticate(request, verifier, many=len(orders) > 1)
    for order, row in zip(orders, body if len(orders) > 1 else [body], strict=True):
        read = server_orders.read_order(row, MARKETS)
        assert (read.symbol, read.side, read.client_id) == (order.symbol, order.side, order.client_id)
        is_perp = MARKETS[order.symbol].is_perp
        assert read.reduce_only is (is_perp and bool(order.flags & REDUCE_ONLY))
        if order.kind == TRIGGER:
            share = 1_000_000 if order.flags & WHOLE_POSITION else 0
            assert (read.kind, read.trigger_by, read.trigger_ticks, read.trigger_ppm) == ("Market", "MarkPrice", order.trigger_ticks, share)
            assert read.trigger_lots == (0 if share else order.qty_lots)
        else:
            tif = "IOC" if order.kind == TAKE else "GTC"
            assert (read.kind, read.time_in_force, read.price_ticks, read.qty_lots) == ("Limit", tif, order.price_ticks, order.qty_lots)
            assert read.post_only is (order.kind == POST_ONLY)
            assert (read.self_trade == "RejectMaker") is (order.kind == TAKE)


@pytest.mark.parametrize(("by", "verifier"), SIGNING, ids=["ED25519", "HMAC-SHA256"])
def test_cancels_reads_and_subscriptions_are_believed(by, verifier):
    _, _, body = authenticate(BACKPACK.cancel(Cancel("SOL_USDC", 5), by, NOW_MS), verifier)
    assert server_orders.read_name(body, MARKETS).client_id == 5
    _, _, body = authenticate(BACKPACK.cancel(Cancel("SOL_USDC", 5, "99"), by, NOW_MS), verifier)
    assert (server_orders.read_name(body, MARKETS).order_id, server_orders.read_name(body, MARKETS).client_id) == ("99", None)
    path, query, _ = authenticate(BACKPACK.read("fill_history", by, NOW_MS, symbol="SOL_USDC", limit="100"), verifier)
    assert (path, query) == ("/wapi/v1/history/fills", {"symbol": "SOL_USDC", "limit": "100"})
    asked = server_stream.read_request(BACKPACK.subscribe(BACKPACK.private_streams(), by, NOW_MS))
    server.check_signature(asked.claim, verifier.verify, words.SUBSCRIBE, (), {})
    assert [server_stream.parse_stream(name).kind for name in asked.streams] == ["orderUpdate", "positionUpdate", "balanceUpdate"]


@pytest.mark.parametrize(
    "spoil", [lambda b: b.replace(b"141.05", b"141.06"), lambda b: b.replace(b"Bid", b"Ask"), lambda b: b.replace(b":7", b":8")]
)
def test_an_order_changed_on_the_way_is_not_believed(spoil):
    request = BACKPACK.place([Place("SOL_USDC", 7, BUY, POST_ONLY, 0, 14105, 0, 100)], MARKETS, signer(), NOW_MS)
    spoilt = msgspec.structs.replace(request, body=spoil(request.body))
    assert spoilt.body != request.body
    with pytest.raises(server.Refusal, match="Invalid signature"):
        authenticate(spoilt, catalog.verifier(PUBLIC))


@pytest.mark.parametrize(("late_ms", "code"), [(5_001, "EXPIRED"), (700_000, "EXPIRED"), (-700_000, "EXPIRED")])
def test_a_refusal_for_its_time_tells_our_clock(late_ms, code):
    order = Place("SOL_USDC", 7, BUY, POST_ONLY, 0, 14105, 0, 100)
    claim = server.claim_of(dict(BACKPACK.place([order], MARKETS, signer(), NOW_MS).headers))
    with pytest.raises(server.Refusal) as caught:
        server.check_time(claim, [NOW_MS + late_ms])
    _, raw = caught.value.encode()
    assert BACKPACK.place_answer([order], caught.value.status, raw, MARKETS, TS_US)[0].code == code


# ---- rows and frames ----


def text(value):
    return msgspec.json.encode(value)


@st.composite
def states(draw):
    market = draw(MARKET)
    kind = draw(st.sampled_from(["Limit", "Market"]))
    trigger = draw(st.booleans())
    share = draw(st.booleans())
    lots = 0 if trigger else draw(LOTS)
    return SimpleNamespace(
        order_id=draw(st.integers(1, 2**63)), symbol=market.symbol, side=draw(SIDE), order_type=kind,
        status=draw(st.sampled_from(words.STATUSES)), time_in_force=draw(st.sampled_from(words.TIMES_IN_FORCE)), self_trade="RejectTaker",
        origin=draw(st.sampled_from(["USER", "LIQUIDATION_AUTOCLOSE"])), reason=draw(st.sampled_from([None, "PriceOutOfBounds"])),
        client_id=draw(st.none() | U32), related_id=draw(st.none() | st.integers(1, 2**63)), ticks=draw(TICKS), lots=lots, quote_atoms=0,
        executed_lots=draw(st.integers(0, lots)), executed_quote_atoms=0, post_only=draw(st.booleans()), reduce_only=draw(st.booleans()),
        trigger_ticks=draw(TICKS) if trigger else 0, trigger_lots=draw(LOTS) if trigger and not share else 0,
        trigger_ppm=1_000_000 if trigger and share else 0, trigger_by="MarkPrice" if trigger else None, triggered_us=None,
        created_us=draw(MOMENT),
        slippage_ticks=None,
        slippage_ppm=None,
        attached=None,
    )  # fmt: skip


def id_or(value):
    return NO_CLIENT_ID if value is None else value


@given(states())
@settings(max_examples=150, deadline=None)
def test_an_order_is_read_as_it_stands(order):
    market = MARKETS[order.symbol]
    for is_open, row in (
        (True, server_account.order_row(order, market)),
        (False, server_account.order_history_row(order, market)),
    ):
        (read,) = BACKPACK.orders(text([row]), MARKETS, is_open=is_open)
        cannot_rest = order.status == "PartiallyFilled" and (order.order_type == "Market" or order.time_in_force != "GTC")
        assert read.status == ("expired" if cannot_rest else words.STATUS_WORDS[order.status])
        assert (read.order_id, read.client_id, read.side) == (str(order.order_id), id_or(order.client_id), order.side)
        assert read.related_id == ("" if order.related_id is None else str(order.related_id))
        assert read.price_ticks == (order.ticks if order.order_type == "Limit" else 0)
        assert (read.trigger_ticks, read.is_trigger) == (order.trigger_ticks, order.trigger_ticks > 0)
        assert read.qty_lots == (order.lots or order.trigger_lots)
        assert (read.filled_lots, read.created_us) == (order.executed_lots, order.created_us)
        if not is_open:
            assert read.reason == (order.reason or "")
            assert (read.origin == "USER") is (order.origin == "USER")


@given(states(), st.sampled_from(sorted(server_stream.EVENT_WORDS.keys() - {"filled"})))
@settings(max_examples=150, deadline=None)
def test_an_order_event_is_read_as_it_happened(order, kind):
    data = server_stream.order_data(order, MARKETS[order.symbol], kind, AT_US, AT_US + 5)
    (read,) = BACKPACK.frame(server_stream.envelope("account.orderUpdate", data), MARKETS, TS_US)
    assert (read.kind, read.order_id, read.client_id, read.side) == (kind, str(order.order_id), id_or(order.client_id), order.side)
    assert (read.venue_us, read.qty_lots, read.filled_lots) == (AT_US, order.lots or order.trigger_lots, order.executed_lots)
    assert (read.trigger_ticks, read.origin) == (order.trigger_ticks, order.origin)


@given(states().filter(lambda o: o.lots), TICKS, LOTS, st.integers(-(10**15), 10**15), st.booleans(), st.integers(1, 2**62))
@settings(max_examples=150, deadline=None)
def test_a_fill_is_the_same_from_stream_and_history(order, ticks, lots, fee_atoms, is_maker, trade_id):
    market = MARKETS[order.symbol]
    fill = SimpleNamespace(
        symbol=order.symbol, order_id=order.order_id, client_id=order.client_id, trade_id=trade_id, side=order.side, ticks=ticks, lots=lots,
        fee_atoms=fee_atoms, fee_asset=market.quote, is_maker=is_maker, origin=order.origin, at_us=AT_US,
    )  # fmt: skip
    data = server_stream.order_data(order, market, "filled", AT_US, AT_US, fill)
    (told,) = BACKPACK.frame(server_stream.envelope("account.orderUpdate", data), MARKETS, TS_US)
    (listed,) = BACKPACK.fills(text([server_account.fill_row(fill, market)]), MARKETS, TS_US)
    for read in (told, listed):
        assert (read.order_id, read.client_id, read.trade_id, read.side) == (
            str(order.order_id),
            id_or(order.client_id),
            trade_id,
            order.side,
        )
        assert (read.price_ticks, read.qty_lots, read.fee_atoms, read.fee_asset) == (ticks, lots, fee_atoms, market.quote)
        assert (read.is_maker, read.venue_us) == (is_maker, AT_US)
    assert told.done is (order.status == "Filled")
    assert told.filled_lots == order.executed_lots


@given(MARKET, st.lists(st.tuples(SIDE, TICKS, st.integers(0, 10**9)), max_size=20), st.integers(1, 2**53), MOMENT)
@settings(max_examples=100, deadline=None)
def test_a_book_is_the_same_from_stream_and_read(market, levels, last_id, at_us):
    data = server_stream.depth_data(market, levels, last_id, last_id, at_us, at_us)
    (delta,) = BACKPACK.frame(server_stream.envelope(f"depth.{market.symbol}", data), MARKETS, TS_US)
    bids = tuple((ticks, lots) for side, ticks, lots in levels if side == BUY)
    asks = tuple((ticks, lots) for side, ticks, lots in levels if side == SELL)
    assert (delta.bids, delta.asks, delta.first_id, delta.last_id, delta.venue_us) == (bids, asks, last_id, last_id, at_us)
    raw = text(server_public.depth_body(market, bids, asks, last_id=last_id, at_us=at_us, limit=1000))
    book = BACKPACK.depth(market.symbol, raw, market, TS_US)
    assert (sorted(book.bids), sorted(book.asks), book.last_id) == (sorted(bids), sorted(asks), last_id)


@given(MARKET, st.tuples(st.integers(0, 10**7), LOTS), st.tuples(st.integers(0, 10**7), LOTS), st.integers(1, 2**53))
@settings(max_examples=50, deadline=None)
def test_a_touch_is_read_with_its_empty_sides(market, bid, ask, update_id):
    data = server_stream.book_ticker_data(market, bid, ask, update_id, AT_US, AT_US)
    (touch,) = BACKPACK.frame(server_stream.envelope(f"bookTicker.{market.symbol}", data), MARKETS, TS_US)
    assert (touch.bid_ticks, touch.bid_lots) == (bid if bid[0] else (0, 0))
    assert (touch.ask_ticks, touch.ask_lots, touch.update_id) == (*(ask if ask[0] else (0, 0)), update_id)


@given(MARKET, TICKS, LOTS, st.booleans(), st.integers(-(10**6), 10**6))
@settings(max_examples=50, deadline=None)
def test_prints_marks_and_tickers_are_the_same_from_stream_and_read(market, ticks, lots, is_maker, ppb):
    told = server_stream.trade_data(
        market, trade_id=5, ticks=ticks, lots=lots, buy_order_id=1, sell_order_id=2, buyer_is_maker=is_maker, at_us=AT_US, sent_us=AT_US
    )
    listed = server_public.trade_row(market, trade_id=5, ticks=ticks, lots=lots, is_buyer_maker=is_maker, at_us=AT_US)
    (streamed,) = BACKPACK.frame(server_stream.envelope(f"trade.{market.symbol}", told), MARKETS, TS_US)
    assert BACKPACK.trades(market.symbol, text([listed]), market, TS_US) == [streamed]
    assert (streamed.price_ticks, streamed.qty_lots, streamed.buyer_is_maker, streamed.trade_id) == (ticks, lots, is_maker, 5)

    told = server_stream.mark_price_data(
        market, mark_ticks=ticks, index_ticks=ticks + 1, funding_ppb=ppb, next_funding_us=AT_US, at_us=AT_US, sent_us=AT_US
    )
    listed = server_public.mark_price_row(market, mark_ticks=ticks, index_ticks=ticks + 1, funding_ppb=ppb, next_funding_us=AT_US)
    (mark,) = BACKPACK.frame(server_stream.envelope(f"markPrice.{market.symbol}", told), MARKETS, TS_US)
    assert BACKPACK.mark_prices(text([listed]), MARKETS, TS_US) == [msgspec.structs.replace(mark, venue_us=0)]
    assert (mark.mark_ticks, mark.index_ticks, mark.funding_ppb) == (ticks, ticks + 1, ppb)

    day = {
        "first_ticks": ticks,
        "last_ticks": ticks + 2,
        "high_ticks": ticks,
        "low_ticks": ticks,
        "lots": lots,
        "quote_atoms": 1,
        "trades": 1,
    }
    (last,) = BACKPACK.frame(
        server_stream.envelope(f"ticker.{market.symbol}", server_stream.ticker_data(market, **day, sent_us=AT_US)), MARKETS, TS_US
    )
    asked = BACKPACK.ticker(market.symbol, 200, text(server_public.ticker_row(market, **day)), market, TS_US)
    assert last.last_ticks == asked.last_ticks == ticks + 2


@given(st.sampled_from([PERP, BTC_PERP]), st.integers(-(10**9), 10**9))
@settings(max_examples=50, deadline=None)
def test_a_position_is_the_same_from_stream_and_read(market, lots):
    held = SimpleNamespace(
        settled_atoms=0,
        position_id=9,
        symbol=market.symbol,
        lots=lots,
        cost_atoms=lots * 1_000,
        realised_atoms=5,
        fee_atoms=1,
        funding_atoms=-2,
    )
    figures = server_account.position_figures(held, market, 14_000, abs(lots))
    for kind in (None, "adjusted"):
        data = server_stream.position_data(held, market, figures, kind, AT_US, AT_US)
        (told,) = BACKPACK.frame(server_stream.envelope("account.positionUpdate", data), MARKETS, TS_US)
        assert (told.symbol, told.lots) == (market.symbol, lots)
    raw = text([server_account.position_row(held, market, figures)])
    assert [row.lots for row in BACKPACK.positions(200, raw, MARKETS, TS_US)] == [lots]


@given(st.integers(0, 10**17), st.integers(0, 10**17))
@settings(max_examples=50, deadline=None)
def test_a_balance_is_the_same_from_stream_and_read(available, locked):
    data = server_stream.balance_data("SOL", available, locked, AT_US)
    (told,) = BACKPACK.frame(server_stream.envelope("account.balanceUpdate", data), MARKETS, TS_US)
    (listed,) = BACKPACK.balances(text(server_account.capital_body([("SOL", available, locked)])), TS_US)
    for read in (told, listed):
        assert (read.asset, read.available_atoms, read.locked_atoms) == ("SOL", available, locked)


@given(st.integers(-(10**12), 10**12), st.integers(400_000, 500_000).map(lambda hour: hour * 3_600_000_000))
@settings(max_examples=50, deadline=None)
def test_funding_is_read_to_the_atom(amount, end_us):
    paid = SimpleNamespace(symbol="SOL_USDC_PERP", rate_ppb=-12_500, amount_atoms=amount, interval_end_us=end_us)
    (move,) = BACKPACK.funding(text([server_account.funding_row(paid)]), TS_US)
    assert (move.symbol, move.asset, move.quantity_atoms, move.venue_us) == ("SOL_USDC_PERP", "USDC", amount, end_us)


@pytest.mark.parametrize("market", MARKETS.values(), ids=MARKETS)
def test_a_market_is_read_as_it_is_listed(market):
    listed = msgspec.structs.replace(
        market, max_lots=10**6, max_ticks=10**7, low_ppm=250_000, high_ppm=2_000_000, impact_low_ppm=970_000,
        impact_high_ppm=1_030_000, band_low_ppm=900_000, band_high_ppm=1_100_000, imf_ppm=20_000 * market.is_perp,
        mmf_ppm=12_500 * market.is_perp, book_state="PostOnly",
    )  # fmt: skip
    row = server_public.market_row(listed, created_us=AT_US, state="PostOnly", funding_interval_us=3_600_000_000, funding_bound_bps=100)
    assert BACKPACK.markets(text([row])) == ({market.symbol: listed}, {})


def test_an_account_is_read_as_it_is_told():
    row = server_account.account_row(
        maker_taker_ppm=(800, 1000, -50, 505), leverage_limit="10", limit_orders=1, trigger_orders=2, is_liquidating=True
    )
    terms = BACKPACK.account(text(row), TS_US)
    assert (terms.spot_maker_ppm, terms.spot_taker_ppm, terms.perp_maker_ppm, terms.perp_taker_ppm) == (800, 1000, -50, 505)
    assert (terms.leverage_limit, terms.auto_lend, terms.liquidating) == ("10", False, True)


def test_every_word_of_the_events_has_its_counterpart():
    assert set(server_stream.EVENT_WORDS) - {"filled"} == set(words.ORDER_EVENTS.values())
    assert json.loads(server_stream.StreamRefusal(words.WS_INVALID_STREAM).encode())["error"]["code"] == 4006
