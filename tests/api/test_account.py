"""A reconciliation is whole or it is not: pages that fit together, every row that may matter readable."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.servers import URL, MemoryServer
from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.api.account import AccountReader, join_pages
from lemon_trader.api.client import ApiClient, ReadLost
from lemon_trader.core.instrument import instrument
from lemon_trader.exchanges.backpack.times import us_of_iso
from lemon_trader.exchanges.catalog import exchange, signer
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget

SECRET = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01")
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01")
DAY_US = us_of_iso("2026-01-01T00:00:00")


def iso(n):
    return f"2026-01-01T00:{n // 60:02d}:{n % 60:02d}.500"


def order(n, symbol="SOL_USDC", **more):
    row = {"id": str(n), "clientId": n, "symbol": symbol, "side": "Bid", "status": "Filled", "orderType": "Limit", "price": "100"}
    return {**row, "quantity": "1", "executedQuantity": "1", "createdAt": iso(n), "timeInForce": "GTC", **more}


def fill(n, symbol="SOL_USDC", **more):
    row = {"orderId": str(n), "clientId": str(n), "tradeId": n + 1, "symbol": symbol, "side": "Bid", "price": "100", "quantity": "1"}
    return {**row, "fee": "0.08", "feeSymbol": "USDC", "isMaker": True, "systemOrderType": None, "timestamp": iso(n), **more}


class Exchange:
    """Histories that page, newest first, and may grow while they are read."""

    def __init__(self):
        self.open = []
        self.orders = []
        self.fills = []
        self.funding = []
        self.capital = {"SOL": {"available": "1", "locked": "0", "staked": "0"}, "USDC": {"available": "5", "locked": "2", "staked": "0"}}
        self.positions = []
        self.before_page = lambda _asked: None

    def __call__(self, asked):
        query = asked.query
        name = asked.path.rsplit("/", 1)[-1]
        if name == "time":
            asked.answer(200, str(asked.end._env.now_us() // 1_000).encode())
            return
        if name == "position" and not self.positions:
            asked.answer(404, b'{"code":"RESOURCE_NOT_FOUND","message":"Not Found"}')
            return
        if asked.path.startswith("/wapi"):
            self.before_page(asked)
            rows = {"orders": self.orders, "fills": self.fills, "funding": self.funding}[name]
            rows = [row for row in rows if row.get("symbol") in {query["symbol"], None}]
            rows = rows[::-1][int(query["offset"]) : int(query["offset"]) + int(query["limit"])]
        else:
            rows = {"orders": self.open, "capital": self.capital, "position": self.positions}[name]
            if name == "orders":
                rows = [row for row in rows if row["symbol"] == query["symbol"]]
        asked.answer(200, json.dumps(rows).encode())


def play(script, venue, **options):
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        server = MemoryServer(env, venue)
        clock = VenueClock()
        dialect = exchange("backpack").dialect()
        client = ApiClient(env, URL, dialect, signer("backpack", SECRET), clock, RateBudget())
        await client.sync_time()
        result = await script(AccountReader(env, client, dialect, clock, **options), server, env)
        env.check()
        return result

    return run(main)


def read(venue, markets=(SPOT,), since_us=DAY_US, **options):
    return play(lambda reader, _server, _env: reader.read({m.symbol: m for m in markets}, since_us), venue, **options)


def test_everything_is_read_and_stands_in_its_order():
    venue = Exchange()
    venue.open = [order(9, status="New", executedQuantity="0")]
    venue.orders = [order(1), order(2), order(3)]
    venue.fills = [fill(1), fill(2)]
    found = read(venue)
    assert [row.order_id for row in found.open_orders] == ["9"]
    assert [row.order_id for row in found.history] == ["3", "2", "1"]
    assert [row.order_id for row in found.fills] == ["1", "2"]
    assert {b.asset: (b.available_atoms, b.locked_atoms) for b in found.balances} == {"SOL": (10**9, 0), "USDC": (5 * 10**9, 2 * 10**9)}
    assert found.positions == ()
    assert found.symbols == ("SOL_USDC",)
    assert found.begun_us < found.ts_us
    assert abs(found.venue_us - found.begun_us) < 2_000


def test_open_orders_are_read_before_histories_and_every_read_begins_after_the_stamp():
    async def script(reader, server, env):
        del server.asked[:]
        found = await reader.read({SPOT.symbol: SPOT, PERP.symbol: PERP}, DAY_US)
        names = [asked.path.rsplit("/", 2)[-2] + "/" + asked.path.rsplit("/", 1)[-1] for asked in server.asked]
        assert names == [
            "v1/orders", "v1/orders", "history/orders", "history/orders", "history/fills", "history/fills", "history/funding",
            "v1/capital", "v1/position",
        ]  # fmt: skip
        assert all(asked.at_us >= found.begun_us for asked in server.asked)

    play(script, Exchange())


def test_a_perpetual_brings_its_position_and_its_funding_with_a_key_that_counts_once():
    venue = Exchange()
    venue.positions = [{"symbol": "SOL_USDC_PERP", "netQuantity": "-1.5"}]
    hours = ["2026-01-01T01:00:00", "2026-01-01T02:00:00"]
    venue.funding = [
        {"symbol": "SOL_USDC_PERP", "quantity": q, "intervalEndTimestamp": at} for q, at in zip(("-0.1", "0.2"), hours, strict=True)
    ]
    found = read(venue, (PERP,))
    assert [(p.symbol, p.lots) for p in found.positions] == [("SOL_USDC_PERP", -150)]
    assert [m.quantity_atoms for m in found.moves] == [-100_000_000, 200_000_000]
    assert len({m.key for m in found.moves}) == 2


def test_a_perpetual_without_a_position_is_flat():
    assert read(Exchange(), (PERP,)).positions == ()


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 18, 19, 26, 27, 100])
def test_histories_of_any_length_are_read_whole(count):
    venue = Exchange()
    venue.orders = [order(n) for n in range(count)]
    venue.fills = [fill(n) for n in range(count)]
    found = read(venue, page=10, overlap=2)
    assert [row.order_id for row in found.history] == [str(n) for n in reversed(range(count))]
    assert [row.trade_id for row in found.fills] == list(range(1, count + 1))


def test_reading_stops_at_the_time_asked_for_and_keeps_its_whole_millisecond():
    venue = Exchange()
    venue.orders = [order(n) for n in range(100)]
    venue.fills = [fill(n) for n in range(100)]

    async def script(reader, server, env):
        found = await reader.read({SPOT.symbol: SPOT}, us_of_iso(iso(80)) + 999)
        assert [row.order_id for row in found.history] == [str(n) for n in range(99, 79, -1)]
        assert [row.trade_id for row in found.fills] == list(range(81, 101))
        assert sum("history/orders" in asked.target for asked in server.asked) == 3
        wanted = str(us_of_iso(iso(80)) // 1_000)
        assert all(asked.query["from"] == wanted for asked in server.asked if "history/fills" in asked.target)

    play(script, venue, page=10, overlap=2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 7), max_size=12), st.integers(0, 60))
def test_rows_that_arrive_while_pages_are_read_hide_none_of_the_old_ones(arrivals, count):
    venue = Exchange()
    venue.fills = [fill(n) for n in range(count)]
    left = list(arrivals)

    def grow(asked):
        if "fills" in asked.target and left:
            start = len(venue.fills)
            venue.fills += [fill(start + n) for n in range(left.pop(0))]

    venue.before_page = grow
    found = read(venue, page=10, overlap=3)
    trades = [row.trade_id for row in found.fills]
    assert trades == sorted(set(trades))
    assert set(range(1, count + 1)) <= set(trades)


def test_equal_fills_without_an_id_stay_as_many_as_they_are_over_pages():
    venue = Exchange()
    venue.fills = [fill(n, tradeId=None, orderId="7", clientId="7", timestamp=iso(n // 4)) for n in range(28)]
    found = read(venue, page=10, overlap=2)
    assert len(found.fills) == 28


def test_an_exchange_that_ignores_the_offset_is_given_up():
    venue = Exchange()
    venue.orders = [order(n) for n in range(60)]

    def respond(asked):
        asked.target = "&".join("offset=0" if part.startswith("offset=") else part for part in asked.target.split("&"))
        venue(asked)

    with pytest.raises(ReadLost, match="pages did not reach"):
        read(respond, page=10, overlap=2)


def test_pages_that_lose_rows_between_them_are_read_again_and_then_given_up():
    venue = Exchange()
    venue.orders = [order(n) for n in range(60)]

    def shrink(asked):
        if "orders" in asked.target and asked.query["offset"] != "0":
            del venue.orders[-9:]

    venue.before_page = shrink
    with pytest.raises(ReadLost, match="do not fit together"):
        read(venue, page=10, overlap=2)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda v: v.fills.append(fill(1, price="NaN")), "could not be read"),
        (lambda v: v.fills.append(fill(1, quantity="1E+1000000")), "could not be read"),
        (lambda v: v.orders.append("text"), "could not be read"),
        (lambda v: v.open.append(order(1, side="Both")), "could not be read"),
        (lambda v: v.capital.update(SOL={"available": "-"}), "could not be read"),
        (lambda v: setattr(v, "positions", [{"symbol": "SOL_USDC_PERP"}]), "could not be read"),
    ],
    ids=[
        "a price that is none",
        "a bomb of a number",
        "a row that is none",
        "a side nobody knows",
        "a balance that is none",
        "no quantity",
    ],
)
def test_a_row_that_may_be_ours_and_cannot_be_read_makes_the_read_unavailable(spoil, says):
    venue = Exchange()
    query = Exchange.__call__
    spoil(venue)

    class Tolerant(Exchange):
        def __call__(self, asked):
            if venue.orders == ["text"] and "history/orders" in asked.target:
                asked.answer(200, b'["text"]')
            else:
                query(venue, asked)

    with pytest.raises(ReadLost, match=says):
        read(Tolerant(), (SPOT, PERP))


def test_a_row_of_another_asset_that_cannot_be_read_harms_nobody():
    venue = Exchange()
    venue.capital["STRANGE"] = {"available": "much"}
    assert {b.asset for b in read(venue).balances} == {"SOL", "USDC"}


@pytest.mark.parametrize("name", ["v1/orders", "history/orders", "history/fills", "history/funding", "capital", "position"])
def test_one_read_that_fails_fails_the_whole(name):
    venue = Exchange()

    def respond(asked):
        if asked.path.endswith(name):
            asked.answer(200, b"<html>")
        else:
            venue(asked)

    with pytest.raises(ReadLost):
        read(respond, (PERP,))


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 30), st.integers(1, 5), st.integers(1, 12))
def test_a_page_continues_the_rows_exactly_or_not_at_all(rows, cut, overlap, size):
    """Equal rows are the hard case: with no rows moved, what comes out is what was there."""
    have = rows[:cut]
    start = max(0, len(have) - overlap)
    page = rows[start : start + overlap + size]
    joined = join_pages(have, page, len(have) - start)
    assert joined == rows[: start + len(page)]
