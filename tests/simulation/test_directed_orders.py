"""Faults of submitting, cancelling and filling, one at a time, each forced and seen to have happened (fault matrix A and B)."""

import pytest
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, WORLDS, S, Stage, play

from lemon_trader.core.reasons import LIMIT_BUDGET, LIMIT_REPEAT
from lemon_trader.core.records import Row
from lemon_trader.core.units import BUY, CANCELLED, CANCELLING, EXIT, FILLED, PROVEN_ABSENT, QUOTE, REJECTED, UNKNOWN
from lemon_trader.matching.orders import Code, Refused
from lemon_trader.sandbox.faults import Kind

ORDER = "/api/v1/order"
ORDERS = "/api/v1/orders"


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F01_a_request_lost_on_its_way_is_proven_absent_and_only_then_sent_anew(strategy, symbol):
    async def script(s: Stage):
        s.fault(Kind.LOSE_REQUEST)
        await s.begin()
        await s.until(lambda: s.happened and bool(s.ever(UNKNOWN)), "an order is unknown")
        (lost,) = s.ever(UNKNOWN) if strategy == MARTINGALE else (min(s.ever(UNKNOWN)),)
        key = s.life.keys[lost]
        while s.order(lost).state == UNKNOWN:
            assert sum(k == key for k in s.life.keys.values()) == 1, "nothing is sent for this key meanwhile"
            await s.wait(0.1)
        assert s.order(lost).state == PROVEN_ABSENT
        await s.until(lambda: any(c > lost and k[2] == key[2] and s.of_client(c) for c, k in s.life.keys.items()), "the slot is used again")
        assert s.of_client(lost) == []

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F02_an_accepted_order_whose_reply_was_lost_is_found_and_not_sent_again(strategy, symbol):
    async def script(s: Stage):
        s.life.faults.silence("account", s.now_us + 60 * S)  # the stream would tell it at once
        s.fault(Kind.LOSE_REPLY)
        await s.begin()
        await s.until(lambda: bool(s.ever(UNKNOWN)), "an order is unknown")
        lost = min(s.ever(UNKNOWN))
        await s.until(lambda: s.order(lost).state != UNKNOWN, "it is found", 10)
        assert s.order(lost).order_id == str(s.of_client(lost)[0].order_id)
        assert len(s.of_client(lost)) == 1

    play(script, strategy, symbol)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F03_an_order_filled_at_once_whose_reply_was_lost_is_found_by_its_fills(symbol):
    async def script(s: Stage):
        s.life.faults.silence("account", s.now_us + 60 * S)
        s.fault(Kind.LOSE_REPLY)
        await s.begin()
        await s.until(lambda: bool(s.ever(UNKNOWN)), "the entry is unknown")
        (entry,) = s.ever(UNKNOWN)
        assert entry not in {o.client_id for o in s.account.live.values()}, "the list of open orders does not know it"
        assert s.held_lots() > 0
        await s.until(lambda: s.order(entry).state == FILLED, "found in the histories", 15)
        assert s.order(entry).filled_lots == s.held_lots()

    play(script, MARTINGALE, symbol)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F04_an_error_after_acceptance_is_no_refusal(symbol):
    async def script(s: Stage):
        s.life.faults.silence("account", s.now_us + 60 * S)  # the stream tells of the acceptance before the answer denies it
        s.fault(Kind.ERROR_AFTER, times=2)
        await s.begin()
        await s.until(lambda: s.happened and bool(s.ever(UNKNOWN)), "unknown, not refused")
        await s.until(lambda: s.calm, "found")
        assert s.ever(REJECTED) == set()
        assert s.ever(PROVEN_ABSENT) == set()

    play(script, MAKER, symbol)


def test_F05_an_error_before_acceptance_is_unknown_until_it_is_proven():
    async def script(s: Stage):
        s.fault(Kind.ERROR_BEFORE, times=2)
        await s.begin()
        await s.until(lambda: s.happened and bool(s.ever(UNKNOWN)), "unknown")
        await s.until(lambda: s.ever(UNKNOWN) <= s.ever(PROVEN_ABSENT), "proven absent")
        await s.quoting()

    play(script)


@pytest.mark.parametrize("delay_s", [2, 8])
def test_F06_a_reply_that_comes_late_leads_to_the_same_order(delay_s):
    async def script(s: Stage):
        s.life.faults.silence("account", s.now_us + 60 * S)
        s.fault(Kind.DELAY_REPLY, delay_us=delay_s * S)
        await s.begin()
        await s.until(lambda: s.happened and bool(s.life.keys), "sent")
        first = min(s.life.keys)
        await s.until(lambda: bool(s.order(first).order_id), "known by its name", 15)
        assert len(s.of_client(first)) == 1

    play(script)


def test_F08_an_order_that_the_engine_takes_long_after_its_window_is_adopted():
    async def script(s: Stage):
        s.fault(Kind.EXECUTE_LATE, path=ORDER, delay_us=7 * S)
        await s.begin()
        await s.until(lambda: s.happened and bool(s.ever(UNKNOWN)), "unknown")
        (late,) = s.ever(UNKNOWN)
        sent_us = s.order(late).sent_us
        await s.until(lambda: s.order(late).state != UNKNOWN, "it turns up")
        assert sum(k == s.life.keys[late] for k in s.life.keys.values()) == 1, "never sent again meanwhile"
        (taken,) = s.of_client(late)
        assert taken.created_us - sent_us >= 7 * S

    play(script, MARTINGALE, PERP, entry="offset", entry_offset_pct=1)


def test_F09_a_held_request_that_its_fence_overtook_is_caught_by_its_tombstone():
    async def script(s: Stage):
        s.fault(Kind.EXECUTE_LATE, delay_us=40 * S)
        await s.begin()
        await s.until(lambda: bool(s.ours(PROVEN_ABSENT)), "every proof says that it is not there", 38)
        late = s.ours(PROVEN_ABSENT)[0].client_id
        await s.until(lambda: bool(s.of_client(late)), "and there it is")
        came_us = s.now_us
        await s.until(lambda: s.order(late).state != PROVEN_ABSENT, "adopted", 15)
        await s.until(lambda: len([o for o in s.live if s.life.keys[o.client_id][2] == 0]) <= 1, "the surplus goes", 15)
        assert s.now_us - came_us <= 15 * S

    play(script, MARTINGALE, SPOT, forgiven=("I2", "I5"), entry="offset", entry_offset_pct=1, entry_wait=600)


def test_F10_client_id_exists_means_found():
    async def script(s: Stage):
        s.life.faults.silence("account", s.now_us + 60 * S)
        s.life.edge.doubles, s.life.edge.second_answer = 1, True
        await s.begin()
        await s.until(lambda: bool(s.ever(UNKNOWN)), "the second answer says that the id exists")
        first = min(s.ever(UNKNOWN))
        await s.until(lambda: s.order(first).state != UNKNOWN, "found", 10)
        assert len(s.of_client(first)) == 1
        assert s.ever(REJECTED) == set()

    play(script)


def test_F11_each_order_of_a_batch_is_resolved_alone():
    async def script(s: Stage):
        place, count = s.exchange.place, 0

        def second_refused(account, new, now_us):
            nonlocal count
            count += 1
            if count == 2:
                raise Refused(Code.INVALID_ORDER, "Order would immediately match and take liquidity")
            return place(account, new, now_us)

        s.exchange.place = second_refused
        s.life.faults.silence("account", s.now_us + 60 * S)
        s.fault(Kind.LOSE_REPLY, path=ORDERS)
        await s.begin()
        await s.until(lambda: len(s.ever(UNKNOWN)) == 4, "a batch of four is unknown")
        batch = sorted(s.ever(UNKNOWN))
        await s.until(lambda: s.calm, "all of them resolved")
        absent = [c for c in batch if s.order(c).state == PROVEN_ABSENT]
        assert absent == [batch[1]]
        assert all(len(s.of_client(c)) == 1 for c in batch if c not in absent)

    play(script, MAKER, PERP, max_orders=2)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F12_a_request_executed_twice_is_booked_twice_and_its_surplus_goes(symbol):
    async def script(s: Stage):
        s.life.edge.doubles = 1  # an order that fills at once: the exchange's rule forgets its id, and takes it again
        await s.begin()
        await s.until(lambda: len([c for c in s.life.keys if len(s.of_client(c)) == 2]) == 1, "accepted twice")
        await s.until(lambda: sum(o.filled_lots for o in s.market.orders if o.side == BUY) == s.held_lots(), "both are booked", 15)
        assert "alert.second_order" in s.alerts

    play(script, MARTINGALE, symbol, forgiven=("I2",))


def test_F02_a_lost_reply_counts_in_every_limit_although_the_strategy_forgets_it():
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        market, half = s.market, 0

        def greedy(_params, view, position, _memory, out):
            """Two fifths of the budget in one bid, and in another slot whenever the last one is in doubt."""
            nonlocal half
            slot = next((n for n in range(8) if not view.unknown[n]), 7)
            half = half or position.budget_atoms * 2 // 5 // (view.bid_ticks * view.tick_lot_atoms)
            out[1] = Row(slot=slot, generation=1_000, role=QUOTE, side=BUY, price_ticks=view.bid_ticks * 99 // 100, qty_lots=half)
            return 2

        s.life.faults.silence("account", s.now_us + 60 * S)
        s.fault(Kind.LOSE_REPLY, times=5)
        s.fault(Kind.ERROR_BEFORE, method="GET", path=ORDERS, times=100)  # nothing is found for a while
        market.binding.targets = greedy
        await s.until(lambda: any(r.reason == LIMIT_BUDGET for r in market.out[1 : market.rows_used]), "the third one is withheld")
        assert len(s.ours(UNKNOWN)) == 2
        await s.wait(6)
        assert len(s.ours(UNKNOWN)) == 2
        s.life.faults._waiting.clear()

    play(script, MAKER, SPOT)


def test_F14_a_post_only_order_that_would_take_is_not_tried_in_a_tight_loop():
    async def script(s: Stage):
        place = s.exchange.place
        tries: list[int] = []

        def refused(account, new, now_us):
            if new.post_only and account == s.life.account.name:
                tries.append(now_us)
                raise Refused(Code.INVALID_ORDER, "Order would immediately match and take liquidity")
            return place(account, new, now_us)

        s.exchange.place = refused
        await s.begin()
        await s.until(lambda: len(tries) >= 2, "refused")
        await s.wait(30)
        assert len(tries) <= 6, "two sides, three times each, then one probe a minute"
        assert "alert.refused_again" in s.alerts
        assert {r.reason for r in s.market.out[1 : s.market.rows_used]} == {LIMIT_REPEAT}, "and `why` says so"
        s.exchange.place = place

    play(script, MAKER, PERP)


def test_F16_a_fill_that_overtakes_its_cancel_is_booked():
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        cancel, met = s.exchange.cancel, []

        def overtaken(account, symbol, now_us, *, order_id=None, client_id=None):
            order = s.account.live.get(order_id) if order_id is not None else None
            if order is not None and not met:
                s.take(order)
                met.append(order.client_id)
            return cancel(account, symbol, now_us, order_id=order_id, client_id=client_id)

        s.exchange.cancel = overtaken
        await s.until(lambda: bool(met), "a cancel comes too late")
        await s.until(lambda: s.order(met[0]).state == FILLED, "filled, not cancelled", 20)
        assert met[0] in s.ever(CANCELLING)

    play(script, MAKER, PERP)


@pytest.mark.parametrize("kind", [Kind.ACCEPT_NEVER, Kind.ACCEPT_LATE])
def test_F17_a_cancel_that_was_only_accepted_is_polled_and_nothing_replaces_the_order_meanwhile(kind):
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        s.fault(kind, method="DELETE", delay_us=6 * S)
        await s.until(lambda: s.happened and bool(s.ours(CANCELLING)), "in the air")
        client = s.ours(CANCELLING)[0].client_id
        while s.order(client).state == CANCELLING:
            assert sum(s.life.keys[o.client_id][2] == s.life.keys[client][2] for o in s.live) == 1
            await s.wait(0.1)
        assert s.order(client).state == CANCELLED

    play(script, MAKER, PERP)


def test_F18_a_cancel_whose_reply_was_lost_is_sent_again():
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        s.life.faults.silence("account", s.now_us + 30 * S)
        s.fault(Kind.LOSE_REQUEST, method="DELETE", times=2)
        s.fault(Kind.LOSE_REPLY, method="DELETE")
        await s.until(lambda: s.happened, "lost three times", 60)
        client = s.ours(CANCELLING)[0].client_id
        await s.until(lambda: s.order(client).state == CANCELLED, "and ended", 20)

    play(script, MAKER, PERP)


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, SPOT), (MARTINGALE, PERP)])
def test_F19_the_filled_part_of_a_cancelled_order_stays_booked(strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        await s.until(lambda: any(o.side == BUY and o.open_lots > 3 for o in s.live), "a buy rests")
        order = next(o for o in s.live if o.side == BUY and o.open_lots > 3)
        before = s.market.ledger.bought_atoms
        s.take(order, 3)
        s.command("stop")
        await s.until(lambda: s.order(order.client_id).state == CANCELLED, "partly filled, then cancelled")
        assert s.order(order.client_id).filled_lots >= 3
        assert s.market.ledger.bought_atoms > before

    play(script, strategy, symbol)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F21_a_fill_before_its_acceptance_leads_to_the_same_state(symbol):
    async def script(s: Stage):
        s.fault(Kind.DELAY_REPLY, delay_us=2 * S)
        await s.begin()
        await s.until(lambda: s.market.ledger.lots > 0, "the stream is faster than the answer")
        entry = min(s.life.keys)
        assert s.happened
        await s.wait(3)
        assert s.order(entry).state == FILLED
        assert s.order(entry).filled_lots == s.held_lots()

    play(script, MARTINGALE, symbol)


def test_F22_two_equal_fills_without_a_trade_id_stay_two():
    async def script(s: Stage):
        s.life.faults.omit_trade_ids = True
        await s.begin()
        await s.until(lambda: any(o.side == BUY and o.open_lots > 3 for o in s.live), "a bid rests")
        order = next(o for o in s.live if o.side == BUY and o.open_lots > 3)
        s.nibble(order, 2)  # in the same instant, at the same price
        assert len([f for f in s.fills if f.order_id == order.order_id]) == 2
        await s.until(lambda: s.order(order.client_id).filled_lots >= 2 and s.calm, "both are booked", 20)

    play(script, MAKER, SPOT)


def test_F24_a_reduce_only_exit_follows_a_position_that_shrank_at_the_exchange():
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        exit_order = next(o for o in s.live if o.side < 0 and not o.is_trigger)
        ours = s.order(exit_order.client_id)
        assert ours.role == EXIT
        s.take(exit_order, 2)
        await s.wait(5)
        sent = s.sent()
        await s.wait(20)
        assert s.sent() - sent <= 2, "nothing is placed and cancelled in turn"
        assert s.market.ledger.lots == s.held_lots()

    play(script, MARTINGALE, PERP)
