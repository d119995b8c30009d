"""Reads: retried within a bound, given up with a reason, never mistaken for "nothing there"; and the clock they keep."""

import asyncio
import itertools

import pytest
from tests.api.servers import URL, MemoryServer
from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.api.client import ATTEMPTS, ApiClient, ReadLost
from lemon_trader.core.instrument import instrument
from lemon_trader.exchanges.catalog import exchange, signer
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import READ, RateBudget

SECRET = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
SOL = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01")
OK = b'{"status":"Ok","message":null}'
S = 1_000_000


class Rig:
    def __init__(self, respond, **options):
        self.env = FakeEnv(asyncio.get_running_loop())
        self.server = MemoryServer(self.env, respond)
        self.clock = VenueClock()
        self.rate = RateBudget()
        self.client = ApiClient(
            self.env, URL, exchange("backpack").dialect(), signer("backpack", SECRET), self.clock, self.rate, **options
        )  # fmt: skip


def play(script, respond):
    async def main():
        rig = Rig(respond)
        result = await script(rig)
        rig.env.check()
        return result

    return run(main)


def turns(*acts):
    """A server that does one act after the other; the last for ever."""
    left = list(acts)

    def respond(asked):
        act = left.pop(0) if len(left) > 1 else left[0]
        act(asked)

    return respond


def says(status, body=b""):
    return lambda asked: asked.answer(status, body)


def cut(asked):
    asked.end.cut()


def silent(_asked):
    pass


@pytest.mark.parametrize(
    "first",
    [says(500), says(503, b"down"), says(429), cut, silent, says(200, b"<html>"), says(200), lambda asked: asked.end.write(b"garbage")],
    ids=["500", "503", "429", "cut", "silence", "a page", "nothing", "garbage"],
)
def test_a_read_that_was_lost_is_asked_again(first):
    async def script(rig):
        assert await rig.client.status() == "Ok"
        assert len(rig.server.asked) == 2

    play(script, turns(first, says(200, OK)))


@pytest.mark.parametrize("act", [says(500), cut, silent, says(200, b"{}"), says(429)])
def test_a_read_is_given_up_after_its_attempts_with_the_last_reason(act):
    async def script(rig):
        with pytest.raises(ReadLost, match=r"status: .+ \(4 attempts\)"):
            await rig.client.status()
        assert len(rig.server.asked) == ATTEMPTS

    play(script, act)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
def test_a_refusal_is_not_asked_again_and_its_text_is_harmless(status):
    async def script(rig):
        with pytest.raises(ReadLost) as caught:
            await rig.client.status()
        assert f"HTTP {status}" in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert len(rig.server.asked) == 1

    play(script, says(status, b"no \x1b[31m red"))


def test_waits_between_attempts_grow():
    async def script(rig):
        with pytest.raises(ReadLost):
            await rig.client.status()
        stamps = [asked.at_us for asked in rig.server.asked]
        assert stamps[-1] - stamps[0] < 8 * S
        assert all(b - a >= 50_000 for a, b in itertools.pairwise(stamps))

    play(script, says(500))


def test_one_connection_is_kept_for_reads_one_after_the_other_and_others_for_reads_at_once():
    async def script(rig):
        for _ in range(5):
            await rig.client.status()
        assert len(rig.server.ends) == 1
        await asyncio.gather(*(rig.client.status() for _ in range(6)))
        assert len(rig.server.ends) == 2

    play(script, says(200, OK))


def test_a_kept_connection_that_went_stale_costs_one_more_attempt_and_nothing_else():
    async def script(rig):
        await rig.client.status()
        rig.server.ends[0].is_silent = True
        rig.server.ends[0].cut()
        assert await rig.client.status() == "Ok"
        await rig.env.sleep(30 * S)

    play(script, says(200, OK))


def test_a_read_that_is_cancelled_leaves_no_answer_for_the_next_one():
    async def script(rig):
        task = asyncio.ensure_future(rig.client.status())
        await rig.env.sleep(3_500)
        assert len(rig.server.asked) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await rig.client.markets() == ({}, {})
        assert len(rig.server.ends) == 2

    play(script, lambda asked: asked.answer(200, b"[]" if "markets" in asked.target else OK))


def test_reads_wait_for_the_budget_and_are_lost_when_it_takes_too_long():
    async def script(rig):
        while rig.rate.take(READ, rig.env.now_us()):
            pass
        before = rig.env.now_us()
        assert await rig.client.status() == "Ok"
        assert rig.env.now_us() > before + 30_000
        rig.rate.throttled(rig.env.now_us(), 60 * S)
        with pytest.raises(ReadLost, match="budget"):
            await rig.client.status()

    play(script, says(200, OK))


def test_many_requests_refused_slow_the_next_ones_down():
    async def script(rig):
        with pytest.raises(ReadLost, match="429"):
            await rig.client.status()
        stamps = [asked.at_us for asked in rig.server.asked]
        assert [b - a >= pause * S for (a, b), pause in zip(itertools.pairwise(stamps), (1, 2, 4), strict=False)] == [True] * 3

    play(script, says(429))


def test_the_book_is_read_with_its_own_id_and_time():
    body = b'{"asks":[["101","2"]],"bids":[["99","1"],["100","3"]],"lastUpdateId":"77","timestamp":1790000000000000}'

    async def script(rig):
        book = await rig.client.depth(SOL)
        assert (book.last_id, book.bids, book.asks) == (77, ((9_900, 100), (10_000, 300)), ((10_100, 200),))
        assert rig.server.targets() == ["GET /api/v1/depth?limit=1000&symbol=SOL_USDC"]

    play(script, says(200, body))


def test_after_closing_reads_are_lost_at_once():
    async def script(rig):
        await rig.client.status()
        rig.client.close()
        with pytest.raises(ReadLost, match="closed by us"):
            await rig.client.status()

    play(script, says(200, OK))


# ---- the clock ----


def venue_time(offset_us, ok=lambda _n: True):
    count = iter(range(10**9))

    def respond(asked):
        if "time" not in asked.target:
            asked.answer(200, OK)
        elif ok(next(count)):
            asked.answer(200, str((asked.end._env.now_us() + offset_us) // 1_000).encode())
        else:
            asked.answer(500)

    return respond


def test_the_clock_is_set_from_a_few_samples():
    async def script(rig):
        await rig.client.sync_time()
        assert abs(rig.clock.offset_us - 5 * S) < 2_000
        assert len(rig.server.asked) == 3

    play(script, venue_time(5 * S))


def test_a_clock_that_cannot_be_read_is_said_so():
    async def script(rig):
        with pytest.raises(ReadLost, match="clock could not be read: time: HTTP 500"):
            await rig.client.sync_time()

    play(script, venue_time(0, ok=lambda _n: False))


def test_a_clock_whose_answers_all_come_too_late_is_said_so():
    async def script(rig):
        rig.env.delay_us = 1_200_000
        with pytest.raises(ReadLost, match="too late"):
            await rig.client.sync_time()
        assert rig.clock.ignored == 8

    play(script, venue_time(0))


def test_time_is_kept_once_a_minute_and_at_once_after_a_doubt():
    async def script(rig):
        task = rig.env.spawn(rig.client.keep_time(), "time")
        await rig.env.sleep(1 * S)
        assert len(rig.server.asked) == 3
        await rig.env.sleep(600 * S)
        assert 12 <= len(rig.server.asked) <= 14
        before = len(rig.server.asked)
        rig.clock.doubt()
        await rig.env.sleep(1 * S)
        assert len(rig.server.asked) == before + 3
        assert not rig.clock.wants_sample
        task.cancel()

    play(script, venue_time(7))


def test_keeping_time_survives_an_exchange_that_is_down_and_does_not_hammer_it():
    async def script(rig):
        task = rig.env.spawn(rig.client.keep_time(), "time")
        await rig.env.sleep(600 * S)
        assert len(rig.server.asked) < 700
        rig.server.respond = venue_time(3 * S)
        await rig.env.sleep(60 * S)
        assert abs(rig.clock.offset_us - 3 * S) < 2_000
        task.cancel()

    play(script, lambda asked: asked.answer(503))


def test_a_signed_read_that_is_refused_once_is_asked_again_with_a_fresh_clock():
    account = (
        b'{"spotMakerFee":"8","spotTakerFee":"10","futuresMakerFee":"2","futuresTakerFee":"5","leverageLimit":"10","autoLend":false,'
        b'"liquidating":false,"autoBorrowSettlements":false}'
    )

    def respond(asked):
        now_ms = (asked.end._env.now_us() + 3_600 * S) // 1_000
        if "time" in asked.target:
            asked.answer(200, str(now_ms).encode())
        elif abs(int(asked.headers["x-timestamp"]) - now_ms) > 5_000:
            asked.answer(400, b'{"code":"INVALID_CLIENT_REQUEST","message":"Request has expired"}')
        else:
            asked.answer(200, account)

    async def script(rig):
        assert (await rig.client.terms()).spot_maker_ppm == 800
        assert abs(rig.clock.offset_us - 3_600 * S) < 2_000

    play(script, respond)


def test_a_signed_read_that_is_refused_twice_is_lost():
    async def script(rig):
        with pytest.raises(ReadLost, match="refused with HTTP 400"):
            await rig.client.terms()
        assert [asked.path for asked in rig.server.asked].count("/api/v1/account") == 2

    play(script, lambda asked: venue_time(0)(asked) if "time" in asked.target else asked.answer(400, b"{}"))
