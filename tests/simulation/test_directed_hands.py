"""What others do to the account: a person at the exchange, the exchange itself, and an exchange that refuses protection (F23, F25, F29, F48)."""

import json

import msgspec
import pytest
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, S, Stage, play

from lemon_trader.core.reasons import LIMIT_ORDERS, LIMIT_POSITION
from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.orders import Code, NewOrder, OrderType, Refused


def by_hand(s: Stage, side: int, lots: int) -> None:
    """The person whose account it is trades at the exchange, at the market."""
    s.exchange.place(s.life.account.name, NewOrder(symbol=s.symbol, side=side, lots=lots, order_type=OrderType.MARKET), s.now_us)


def hide(s: Stage, symbol: str) -> None:
    """The exchange lists this market no more and refuses to speak of it, until `handle` is deleted."""
    app = s.life.edge.world.app
    handle = app.handle

    def hidden(method, target, *rest, **more):
        answer = handle(method, target, *rest, **more)
        if target.partition("?")[0].endswith("/markets"):
            rows = [row for row in json.loads(answer.body) if row["symbol"] != symbol]
            return msgspec.structs.replace(answer, body=json.dumps(rows).encode())
        if f"symbol={symbol}&" in f"{target}&":
            return msgspec.structs.replace(answer, status=400, body=b'{"code":"INVALID_MARKET","message":"Invalid market"}')
        return answer

    app.handle = hidden


def refuse_triggers(s: Stage) -> list[int]:
    """The exchange takes no trigger of ours; the times at which it was asked."""
    place, asked = s.exchange.place, []

    def refused(account, new, now_us):
        if new.trigger_ticks and account == s.life.account.name:
            asked.append(now_us)
            raise Refused(Code.ORDER_LIMIT, "Too many trigger orders")
        return place(account, new, now_us)

    s.exchange.place = refused
    return asked


def test_F25_a_perpetual_that_cannot_be_protected_is_closed_and_stays_closed():
    async def script(s: Stage):
        asked = refuse_triggers(s)
        await s.begin()
        await s.until(lambda: s.held_lots() > 0, "it holds something")
        began_us = s.now_us
        await s.until(lambda: s.held_lots() == 0, "given up and sold", 20)
        assert s.now_us - began_us >= 5 * S, "it is tried for as long as may be"
        assert len(asked) >= 2
        assert "alert.market_closing" in s.alerts
        await s.until(lambda: s.market.ledger.lots == 0 and s.calm, "booked", 10)
        sent = s.sent()
        await s.again()
        await s.wait(15)
        assert s.market.closing, "the latch outlives the process"
        assert s.sent() == sent, "nothing is begun again"
        del s.exchange.place
        s.command("resume")
        await s.holding()

    play(script, MARTINGALE, PERP, forgiven=("I6",))  # for as long as it is tried, and while it sells


@pytest.mark.parametrize("strategy", [MAKER, MARTINGALE])
def test_F23_a_liquidation_is_booked_freezes_the_market_and_is_told(strategy):
    async def script(s: Stage):
        await s.begin()
        if strategy == MARTINGALE:
            await s.holding()
        else:
            await s.quoting()
            s.take(next(o for o in s.live if o.side == BUY))
            await s.until(lambda: s.market.ledger.lots > 0, "it holds something")
        s.life.ruin()
        await s.until(lambda: s.held_lots() == 0, "the exchange closes it", 20)
        assert any(f.client_id is None for f in s.fills), "by an order of its own"
        await s.until(lambda: s.market.ledger.lots == 0 and s.calm, "booked", 30)
        assert s.market.frozen
        assert "alert.system_order" in s.alerts
        s.account.add("USDC", s.life.ruined)
        sent = s.sent()
        await s.again()
        await s.wait(15)
        assert s.sent() == sent, "nothing is begun while it is frozen, in another life neither"
        s.command("resume")
        await s.until(lambda: not s.market.frozen and bool(s.live), "and on again", 60)

    play(script, strategy, PERP, forgiven=("I6",))  # the exchange expires every order of an account that it liquidates, the stop too


@pytest.mark.parametrize(("side", "lots", "says"), [(SELL, 0, "closed by hand"), (SELL, 3, "made smaller"), (BUY, 5, "made larger")])
def test_F29_a_position_that_was_changed_by_hand_is_taken_over_by_resume(side, lots, says):
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        ours = s.held_lots()
        by_hand(s, side, lots or ours)
        await s.until(lambda: s.market.frozen == "POSITION_MISMATCH", "noticed, and frozen", 60)
        assert "alert.position_mismatch" in s.alerts
        assert s.market.ledger.lots == ours, "nothing is believed unasked"
        await s.again()
        await s.until(lambda: s.market.venue_lots is not None, "read again in another life", 20)
        assert s.market.frozen == "POSITION_MISMATCH"
        s.command("resume")
        await s.until(lambda: s.market.ledger.lots == s.held_lots() and s.calm and not s.market.frozen, says, 60)
        assert "alert.position_adopted" in s.alerts
        await s.until(lambda: any(o.side == BUY for o in s.live) or s.held_lots() > 0, "it goes on", 60)

    play(script, MARTINGALE, PERP)


def test_F29_a_difference_that_no_fill_explains_is_not_taken_over():
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        ours = s.held_lots()
        by_hand(s, SELL, 2)
        await s.until(lambda: s.market.frozen == "POSITION_MISMATCH", "frozen", 60)
        s.market.strangers.clear()  # as if the histories had never told it
        s.command("resume")
        assert s.market.ledger.lots == ours
        assert s.market.frozen == "POSITION_MISMATCH"
        assert "alert.position_unproven" in s.alerts
        by_hand(s, BUY, 2)
        await s.until(lambda: not s.market.frozen and s.calm, "put right at the exchange", 60)

    play(script, MARTINGALE, PERP, forgiven=("I1: cash", "I1: fill"))  # what the person's own two trades made is not ours


@pytest.mark.parametrize(("limit", "reason"), [({"orders_max": 3}, LIMIT_ORDERS), ({"position_notional_max": 60 * 10**9}, LIMIT_POSITION)])
def test_F29_orders_that_are_not_ours_count_in_the_limits(limit, reason):
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        bid = s.exchange.touch(s.symbol)[0]
        for n in range(3):
            s.exchange.place(s.life.account.name, NewOrder(symbol=s.symbol, side=BUY, lots=20, ticks=bid * (90 - n) // 100), s.now_us)
        await s.until(lambda: len(s.market.foreign) == 3, "noticed", 20)
        for name, value in limit.items():
            setattr(s.market.limits, name, value)
        for order in s.live:
            s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        withheld = lambda: any(r.reason == reason for r in s.market.out[1 : s.market.rows_used])  # noqa: E731  asked again and again
        await s.until(withheld, "what they leave no room for is withheld", 20)

    play(script, MAKER, SPOT)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_a_restart_with_an_open_cycle_goes_on_although_less_is_left_than_its_budget(symbol):
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        s.life.die(power=False)
        s.account.add("USDC", 200 * 10**9 - s.account.available("USDC"))
        lives = s.life.out.lives
        await s.wait(1)
        await s.begin()
        assert s.life.out.notes == [], "not refused"
        assert s.life.out.lives == lives + 1
        await s.until(lambda: s.market.ledger.lots > 0 and any(o.side == SELL for o in s.live), "guarded as before", 20)

    play(script, MARTINGALE, symbol)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F48_a_market_that_is_gone_keeps_no_other_from_starting(symbol):
    other = "BTC_USDC"

    async def script(s: Stage):
        await s.begin()
        await s.holding()
        held = s.market.ledger.base_atoms
        s.session.engine.checkpoint(s.now_us)
        s.life.die(power=False)
        hide(s, symbol)
        s.life.drawn.symbol = s.symbol = other
        await s.wait(1)
        await s.begin()
        market = s.session.state.markets[symbol]
        assert market.instrument.book_state == "Delisted"
        assert market.ledger.base_atoms == held
        assert "alert.unbound_market" in {a.key for a in s.session.state.told} | set(s.alerts)
        await s.until(lambda: any(o.symbol == other for o in s.account.live.values()), "the other one trades", 30)
        assert s.session.state.net_pnl() is not None, "and is limited"
        await s.wait(20)
        s.life.die(power=False)
        s.exchange.cancel_all(s.life.account.name, other, s.now_us)  # nobody looks after that market in the last life
        del s.life.edge.world.app.handle
        s.life.drawn.symbol = s.symbol = symbol
        await s.begin()
        await s.until(lambda: s.market.ledger.base_atoms > 0 and s.calm, "listed again", 40)

    play(script, MARTINGALE, symbol, besides=(other,), forgiven=("I5: ",))  # that check knows one market only
