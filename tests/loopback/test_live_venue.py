"""The live venue against our own exchange over real sockets: streams, orders, fills, reads."""

import asyncio

import pytest
from tests.env_live.real import LOOPS, run, until
from tests.loopback.live_kit import PERP, SPOT, live_rig

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import (
    BadFact,
    Balance,
    Fill,
    LastPrice,
    MarkPrice,
    OrderUpdate,
    PlaceAccepted,
    PlaceRefused,
    Touch,
    VenueStatus,
)
from lemon_trader.core.units import BUY, POST_ONLY, SELL, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.venues.venue import VenueLost


@LOOPS
def test_markets_terms_and_streams_arrive_and_the_book_is_the_exchanges(tmp_path, make_loop):
    async def main():
        async with live_rig(tmp_path) as rig:
            markets = await rig.venue.instruments()
            assert {SPOT, PERP} <= set(markets)
            assert (await rig.venue.terms()).spot_maker_ppm == 800
            await rig.up(SPOT, PERP)
            await until(lambda: all(rig.of(kind) for kind in (Touch, LastPrice, MarkPrice, VenueStatus)))
            await until(lambda: rig.of(Touch)[-1].update_id == rig.book.last_id and rig.of(Touch)[-1].symbol == SPOT)
            touch = rig.of(Touch)[-1]
            assert (touch.bid_ticks, touch.ask_ticks) == (rig.book.bid_ticks, rig.book.ask_ticks)
            assert rig.of(BadFact) == []
            assert abs(rig.venue.clock.offset_us) < 50_000

    run(main, make_loop)


@LOOPS
def test_orders_are_placed_filled_and_cancelled_and_both_sides_agree(tmp_path, make_loop):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            rig.send(
                rig.quote(1), rig.quote(2, away=200), Place(SPOT, 3, BUY, TAKE, 0, rig.book.ask_ticks + 500, 0, 150),
                Place(SPOT, 4, SELL, POST_ONLY, 0, rig.book.bid_ticks - 10, 0, 100),
            )  # fmt: skip
            await until(lambda: len(rig.answers()) == 4)
            assert rig.answers() == {1: PlaceAccepted, 2: PlaceAccepted, 3: PlaceAccepted, 4: PlaceRefused}
            rig.send(Cancel(SPOT, 1), Cancel(SPOT, 99))
            await until(lambda: len(rig.cancels()) == 2)
            assert rig.cancels() == {1: "cancelled", 99: "not_found"}
            await until(lambda: rig.fills() == rig.exchange_fills() and rig.fills())
            assert {f.client_id for f in rig.of(Fill)} == {3}
            expected = {(1, "accepted"), (1, "cancelled"), (2, "accepted"), (3, "accepted")}
            await until(lambda: {(u.client_id, u.kind) for u in rig.of(OrderUpdate)} >= expected)
            assert {b.asset for b in rig.of(Balance)} >= {"SOL", "USDC"}
            read = await rig.venue.read_account([SPOT], rig.env.now_us() - 60_000_000)
            assert [row.client_id for row in read.open_orders] == [2]
            assert {row.client_id: row.status for row in read.history if row.client_id != 2} == {1: "cancelled", 3: "filled"}
            assert {(f.order_id, f.trade_id): (f.price_ticks, f.qty_lots, f.fee_atoms) for f in read.fills} == rig.exchange_fills()
            held = {b.asset: b.available_atoms + b.locked_atoms for b in read.balances}
            assert held == {asset: rig.ledger.total(asset) for asset in held}

    run(main, make_loop)


def test_a_stop_of_a_perpetual_is_armed_and_the_position_is_read(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up(PERP, SPOT)
            await until(lambda: any(t.symbol == PERP for t in rig.of(Touch)))
            touch = [t for t in rig.of(Touch) if t.symbol == PERP][-1]
            rig.send(Place(PERP, 1, BUY, TAKE, 0, touch.ask_ticks + 500, 0, 100))
            await until(rig.answers)
            rig.send(Place(PERP, 2, SELL, TRIGGER, WHOLE_POSITION, 0, touch.bid_ticks // 2, 100))
            await until(lambda: len(rig.answers()) == 2)
            assert rig.of(PlaceAccepted)[-1].status == "armed"
            read = await rig.venue.read_account([PERP], rig.env.now_us() - 60_000_000)
            assert [(p.symbol, p.lots) for p in read.positions] == [(PERP, 100)]
            assert [(row.client_id, row.is_trigger, row.status) for row in read.open_orders] == [(2, True, "armed")]

    run(main)


def test_histories_longer_than_a_page_are_read_whole(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            rig.venue._account._page, rig.venue._account._overlap = 10, 3
            await rig.up()
            for first in range(1, 60, 10):
                rig.send(*(rig.quote(n, lots=2) for n in range(first, first + 10)))
                await until(lambda first=first: len(rig.answers()) == first + 9)
                rig.send(*(Cancel(SPOT, n) for n in range(first, first + 10)))
                await until(lambda first=first: len(rig.cancels()) == first + 9)
            read = await rig.venue.read_account([SPOT], rig.env.now_us() - 60_000_000)
            assert sorted(row.client_id for row in read.history) == list(range(1, 61))

    run(main)


def test_everything_a_signature_expires_by_is_known_before_it_is_given(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            now_us = rig.env.now_us()
            assert 4_900_000 < rig.venue.expires_us(now_us) - now_us < 5_100_000

    run(main)


def test_a_market_that_does_not_exist_is_said(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            with pytest.raises(VenueLost, match="NO_SUCH"):
                await rig.venue.connect(["NO_SUCH"])
            with pytest.raises(VenueLost, match="NO_SUCH"):
                await rig.venue.read_account([SPOT, "NO_SUCH"], 0)

    run(main)


def test_after_closing_nothing_is_told_and_nothing_stays_connected(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            await rig.venue.close()
            await asyncio.sleep(0.05)
            told, accepted = len(rig.calls), rig.rest.accepted + rig.stream.accepted
            assert not rig.rest._open
            assert not rig.stream._open
            await asyncio.sleep(0.5)
            assert (len(rig.calls), rig.rest.accepted + rig.stream.accepted) == (told, accepted)

    run(main)
