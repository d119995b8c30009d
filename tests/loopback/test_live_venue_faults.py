"""The live venue when the way to the exchange breaks: a faulty TCP proxy between real sockets."""

import asyncio

import pytest
from tests.env_live.real import run, until
from tests.loopback.live_kit import SPOT, live_rig

from lemon_trader.core.commands import Cancel
from lemon_trader.core.events import BookSnapshot, FeedState, PlaceAccepted, PlaceRefused, PlaceUnknown
from lemon_trader.sandbox.faults import Fault, Kind
from lemon_trader.venues.venue import VenueLost


def test_a_cut_stream_is_told_and_comes_back_with_a_fresh_book(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            rig.stream.cut()
            await until(lambda: {f.feed for f in rig.of(FeedState) if not f.up} == {"public", "private"})
            await until(lambda: len([f for f in rig.of(FeedState) if f.up]) == 4 and rig.book.valid)

    run(main)


def test_a_half_open_stream_is_found_by_its_age(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            rig.stream.is_silent = True
            await until(lambda: any("silent for" in f.reason for f in rig.of(FeedState)))
            rig.stream.is_silent = False
            await until(lambda: rig.of(FeedState)[-1].up and rig.book.valid)

    run(main)


def test_while_the_stream_is_down_books_come_by_rest_and_are_not_called_a_stream(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            rig.stream.shut()
            await until(lambda: [f.up for f in rig.of(FeedState)].count(False) >= 2)
            before = len(rig.of(BookSnapshot))
            await until(lambda: len(rig.of(BookSnapshot)) > before)
            assert not any(f.up for f in rig.of(FeedState)[2:])

    run(main)


def test_orders_whose_connection_was_cut_are_unknown_and_are_found_by_reading(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            rig.sandbox.app.faults.order(Fault(Kind.LOSE_REPLY, "POST", "/api/v1/order"))
            rig.send(rig.quote(1))
            await until(rig.answers)
            assert rig.answers() == {1: PlaceUnknown}
            read = await rig.venue.read_account([SPOT], 0)
            assert [row.client_id for row in read.open_orders] == [1]
            rig.send(Cancel(SPOT, 1))
            await until(lambda: rig.cancels() == {1: "cancelled"})

    run(main)


@pytest.mark.parametrize(
    ("kind", "expected", "is_there"),
    [
        (Kind.ERROR_BEFORE, PlaceUnknown, False),
        (Kind.ERROR_AFTER, PlaceUnknown, True),
        (Kind.LOSE_REQUEST, PlaceUnknown, False),
        (Kind.LOSE_REPLY, PlaceUnknown, True),
    ],
)
def test_a_fault_of_the_gateway_is_never_a_rejection(tmp_path, kind, expected, is_there):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            rig.sandbox.app.faults.order(Fault(kind, "POST", "/api/v1/orders"))
            rig.send(rig.quote(1), rig.quote(2))
            await until(lambda: len(rig.answers()) == 2)
            assert set(rig.answers().values()) == {expected}
            read = await rig.venue.read_account([SPOT], 0)
            assert {row.client_id for row in read.open_orders} == ({1, 2} if is_there else set())

    run(main)


def test_with_the_exchange_gone_places_are_not_sent_and_with_it_back_they_are(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            quote, later = rig.quote(1), rig.quote(2)
            rig.rest.shut()
            await asyncio.sleep(0.02)
            rig.send(quote, Cancel(SPOT, 50))
            await until(lambda: rig.answers() and rig.cancels())
            assert rig.answers() == {1: PlaceRefused}
            assert rig.cancels() == {50: "unknown"}
            assert rig.of(PlaceRefused)[0].code == "NOT_SENT"
            with pytest.raises(VenueLost):
                await rig.venue.read_account([SPOT], 0)
            await rig.rest.start()
            await until(lambda: rig.venue._orders.lanes[0].is_open)
            rig.send(later)
            await until(lambda: rig.answers().get(2) is PlaceAccepted)

    run(main)


def test_a_read_survives_a_connection_that_was_reset(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            await rig.venue.read_account([SPOT], 0)
            rig.rest.cut()
            assert (await rig.venue.read_account([SPOT], 0)).symbols == (SPOT,)

    run(main)


def test_a_maintenance_fails_reads_and_leaves_places_unknown(tmp_path):
    async def main():
        async with live_rig(tmp_path) as rig:
            await rig.up()
            rig.sandbox.app.faults.maintenance = True
            with pytest.raises(VenueLost, match="503"):
                await rig.venue.terms()
            rig.send(rig.quote(1))
            await until(rig.answers)
            assert rig.answers() == {1: PlaceUnknown}

    run(main)
