"""An exchange that refuses: at its edge, again and again, for want of money, in the middle of a replacement (fault matrix A, B and E)."""

import json

import pytest
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, WORLDS, S, Stage, has_trigger, play

from lemon_trader.core.reasons import LIMIT_REPEAT
from lemon_trader.core.units import ARMED, BUY, EXIT, PROVEN_ABSENT, REJECTED, SELL, UNKNOWN
from lemon_trader.matching.orders import Code, NewOrder, Reason, Refused
from lemon_trader.sandbox.app import Response
from lemon_trader.sandbox.faults import OUTAGE, Kind


def refuse(s: Stage, fits, code: Code, message: str, times: int = 10**9) -> list[int]:
    """The exchange refuses the orders of ours that fit, so often; the times at which it did."""
    place, refused = s.exchange.place, []

    def picky(account, new, now_us):
        if account == s.life.account.name and len(refused) < times and fits(new):
            refused.append(now_us)
            raise Refused(code, message)
        return place(account, new, now_us)

    s.exchange.place = picky
    return refused


def deny_cancels(s: Stage, order_ids: set[int]) -> list[int]:
    """No cancel of these orders gets through, until `edge.before` is cleared; those that were asked for."""
    asked: list[int] = []

    def deny(method, path, body):
        if method != "DELETE" or path != "/api/v1/order":
            return None
        wanted = json.loads(body)
        for order_id in order_ids & s.account.live.keys():
            if str(order_id) == wanted.get("orderId") or s.account.live[order_id].client_id == wanted.get("clientId"):
                asked.append(order_id)
                return Response(503, (), OUTAGE.encode())
        return None

    s.life.edge.before.append(deny)
    return asked


def opens(s: Stage, new: NewOrder) -> bool:
    return not new.trigger_ticks and not new.reduce_only and (new.side == BUY or s.symbol == PERP)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F07_a_request_that_comes_after_its_window_is_refused_at_the_edge_and_never_lives(strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        s.life.edge.held_us = 7 * S
        await s.until(lambda: bool(s.ever(UNKNOWN)), "nobody answers", 60)
        late = min(s.ever(UNKNOWN))
        answers: list[int] = []
        s.life.edge.on_request.append(lambda method, _path, _body, status, _answer: answers.append(status) if method == "POST" else None)
        await s.until(lambda: bool(answers), "it arrives at last", 10)
        assert answers[0] == 400
        await s.until(lambda: s.order(late).state in {PROVEN_ABSENT, REJECTED}, "proven", 40)
        assert s.of_client(late) == []

    play(script, strategy, symbol)


@pytest.mark.parametrize(
    ("strategy", "symbol", "code", "message", "at_most"),
    [
        (MAKER, PERP, Code.INVALID_PRICE, "Price is not a multiple of the tick size", 5),
        (MARTINGALE, SPOT, Code.INVALID_QUANTITY, "Quantity is below the minimum", 5),
        (MARTINGALE, PERP, Code.INSUFFICIENT_FUNDS, "Insufficient funds", 8),
        (MAKER, SPOT, Code.INVALID_ORDER, "Price is outside of the band", 5),
    ],
)
def test_F13_the_same_refusal_again_and_again_is_probed_once_a_minute_and_told(strategy, symbol, code, message, at_most):
    async def script(s: Stage):
        await s.begin()
        refused = refuse(s, lambda new: new.side == BUY and opens(s, new), code, message)
        for order in [o for o in s.live if o.side == BUY and not o.is_trigger]:
            s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        await s.until(lambda: len(refused) >= 3, "refused three times", 60)
        began = len(refused)
        await s.wait(60)
        assert len(refused) - began <= at_most
        assert "alert.refused_again" in s.alerts
        assert LIMIT_REPEAT in {r.reason for r in s.market.out[1 : s.market.rows_used]} or code is Code.INSUFFICIENT_FUNDS
        if (strategy, symbol) == (MAKER, PERP):
            assert any(o.side == SELL for o in s.live), "the other side is quoted on"
        del s.exchange.place
        await s.until(lambda: any(o.side == BUY for o in s.live), "taken again", 80)

    play(script, strategy, symbol, max_orders=1) if strategy == MAKER else play(script, strategy, symbol)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F15_a_sale_that_meets_our_own_bid_removes_the_bid_and_goes_on(symbol):
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        mine = {o.order_id: o for o in s.live if o.side == BUY and not o.is_trigger}
        assert mine
        best = max(o.ticks for o in mine.values())
        s.life.edge.follow(iter(()))  # nobody else moves
        deny_cancels(s, set(mine))
        for side, ticks, lots in s.exchange.outside_levels(s.symbol):
            if side == BUY and ticks >= best:
                s.exchange.set_outside(s.symbol, side, ticks, 0, s.now_us)
                s.exchange.set_outside(s.symbol, side, best - 1, lots, s.now_us)
        s.command("flatten")
        await s.until(lambda: s.market.ledger.lots < s.market.view.min_lots, "sold", 30)
        met = [o for o in s.account.order_history if o.order_id in mine and o.reason is Reason.SELF_TRADE_PREVENTION]
        assert met, "the sale has met our own bid"
        s.life.edge.before.clear()
        await s.until(lambda: s.calm and not s.live, "booked, and nothing is left", 40)

    play(script, MARTINGALE, symbol, forgiven=("I16",))  # the cancels of its bids do not get through


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, SPOT), (MAKER, PERP), (MARTINGALE, SPOT)])
def test_F20_an_order_that_is_refused_after_its_predecessor_is_gone_is_wanted_again(strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        await (s.quoting() if strategy == MAKER else s.holding())
        role = EXIT if strategy == MARTINGALE else None
        old = next(o for o in s.live if role is None or s.order(o.client_id).role == role)
        key = s.life.keys[old.client_id]
        side = old.side
        refused = refuse(s, lambda new: new.side == side and not new.trigger_ticks, Code.INVALID_ORDER, "Order would immediately match", 1)
        s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=old.order_id)
        await s.until(lambda: bool(refused), "refused", 20)
        await s.until(lambda: any(s.life.keys[o.client_id][2] == key[2] for o in s.live), "and there again", 20)

    play(script, strategy, symbol)


def test_F20_a_stop_that_is_refused_leaves_its_predecessor_where_it_is():
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        (old,) = s.triggers
        refused = refuse(s, lambda new: bool(new.trigger_ticks), Code.ORDER_LIMIT, "Too many trigger orders", 1)
        s.take(next(o for o in s.live if o.side == BUY and not o.is_trigger))  # the average moves, and the stop with it
        await s.until(lambda: bool(refused), "its successor is refused", 20)
        assert old.order_id in s.account.live
        await s.until(lambda: bool(s.triggers) and old.order_id not in {o.order_id for o in s.triggers}, "replaced all the same", 20)

    play(script, MARTINGALE, PERP)


def test_F27_a_position_that_grows_while_its_stop_is_on_its_way_stays_covered():
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        before = s.held_lots()
        layer = next(o for o in s.live if o.side == BUY and not o.is_trigger)
        asked = deny_cancels(s, {o.order_id for o in s.triggers})
        s.take(layer, layer.open_lots // 2)
        await s.until(lambda: bool(asked) and len(s.triggers) == 2, "the next stop rests, the old one as well", 10)
        s.take(layer)
        assert s.held_lots() > before
        lots = s.held_lots()
        assert all(o.trigger_ppm == 1_000_000 for o in s.triggers), f"each covers all {lots} lots"
        s.life.edge.before.clear()
        await s.until(lambda: len(s.triggers) == 1 and len(s.ours(ARMED)) == 1 and s.calm, "one of them stays", 20)

    play(script, MARTINGALE, PERP)


@pytest.mark.parametrize(
    ("strategy", "symbol", "status", "code"),
    [
        (MAKER, SPOT, 401, "UNAUTHORIZED"),
        (MARTINGALE, PERP, 403, "FORBIDDEN"),
        (MAKER, PERP, 400, "INVALID_SIGNATURE"),
        (MARTINGALE, SPOT, 400, "ACCOUNT_DEACTIVATED"),
        (MARTINGALE, PERP, 400, "ACCOUNT_LIQUIDATING"),
    ],
)
def test_F49_an_account_that_is_refused_stops_trading_at_once_and_is_told(strategy, symbol, status, code):
    async def script(s: Stage):
        await s.begin()
        await (s.quoting() if strategy == MAKER else s.holding())
        s.fault(Kind.ERROR_BEFORE, times=100, status=status, body=f'{{"code":"{code}","message":"no"}}')
        s.fault(Kind.ERROR_BEFORE, method="DELETE", times=2, status=status, body=f'{{"code":"{code}","message":"no"}}')
        for order in [o for o in s.live if not o.is_trigger]:
            s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        await s.until(lambda: s.market.frozen == code, "frozen", 20)
        assert "alert.refused_account" in s.alerts
        sent = s.asked("POST", "/api/v1/order") + s.asked("POST", "/api/v1/orders")
        await s.wait(20)
        closing = 25 if strategy == MARTINGALE else 1  # what protects and what closes is asked for on
        assert s.asked("POST", "/api/v1/order") + s.asked("POST", "/api/v1/orders") - sent <= closing
        s.life.faults._waiting.clear()
        s.command("resume")
        await s.until(lambda: any(not o.is_trigger for o in s.live), "and on again", 60)
        if (strategy, symbol) == (MARTINGALE, PERP):
            await s.until(lambda: has_trigger(s), "protected", 20)

    play(script, strategy, symbol)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F51_a_ladder_that_cannot_be_paid_whole_is_not_begun(symbol):
    async def script(s: Stage):
        leverage = 50 if symbol == PERP else 1
        s.account.add("USDC", 400 * 10**9 // leverage - s.account.available("USDC"))  # the budget is 500
        birth = s.life.loop.create_task(s.begin())
        await s.wait(30)
        assert any("start.budget_too_large" in note for note in s.life.out.notes), s.life.out.notes
        assert s.sent() == 0, "not even its first layer"
        s.account.add("USDC", 1_000 * 10**9)
        await birth
        await s.holding()

    play(script, MARTINGALE, symbol)


@pytest.mark.parametrize(
    ("symbol", "code"), [(SPOT, Code.INSUFFICIENT_FUNDS), (PERP, Code.INSUFFICIENT_MARGIN), (PERP, Code.POSITION_LIMIT)]
)
def test_F51_money_that_is_gone_in_the_middle_pauses_what_opens_and_nothing_that_closes(symbol, code):
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        refused = refuse(s, lambda new: opens(s, new) and new.side == BUY, code, "not enough")
        exits = [o.order_id for o in s.live if o.side == SELL]
        for order in [o for o in s.live if o.side == BUY and not o.is_trigger]:
            s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        await s.until(lambda: bool(refused), "refused", 20)
        sent = s.sent()
        await s.wait(30)
        assert s.sent() - sent <= 10
        assert set(exits) <= {o.order_id for o in s.live}, "what closes and protects rests as before"
        del s.exchange.place
        await s.until(lambda: any(o.side == BUY for o in s.live), "and on again", 80)

    play(script, MARTINGALE, symbol)
