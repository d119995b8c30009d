"""A market that happens elsewhere: its book is stated, its trades with our orders are said one by one, and an account can be taken back."""

import pytest
from tests.matching.worlds import PERP, SPOT, T, limit, perp, spot, world

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import OrderChanged, PositionChanged
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.image import AccountImage, Prices
from lemon_trader.matching.orders import NewOrder, OrderState, OrderType, Refused, Status, TimeInForce


def image_of(exchange, name, symbols=(SPOT, PERP)):
    account = exchange.accounts[name]
    prices = {s: Prices(*exchange.reference(s), exchange.last_ticks(s)) for s in symbols}
    return AccountImage(
        totals={asset: account.total(asset) for asset in account.assets}, live={o.order_id: o for o in exchange.open_orders(name)},
        positions=dict(account.positions), fills=account.fills, order_history=account.order_history, funding=account.funding,
        prices=prices, last_order_id=max([o.order_id for o in account.live.values()], default=0),
    )  # fmt: skip


def test_a_stated_book_never_trades_by_itself_even_across_our_order():
    exchange = world()
    order = exchange.place("ann", limit(SPOT, BUY, 5, 10_000), T)
    exchange.state_book(SPOT, [(SELL, 9_950, 8), (SELL, 10_000, 4), (BUY, 9_900, 7)], T)
    assert exchange.open_orders("ann")[0].executed_lots == 0
    assert exchange.touch(SPOT) == (10_000, 5, 9_950, 8)
    exchange.state_book(SPOT, [(SELL, 9_950, 0)], T)
    assert exchange.touch(SPOT) == (10_000, 5, 10_000, 4)
    with pytest.raises(Refused, match="immediately match"):
        exchange.place("ann", limit(SPOT, BUY, 5, 10_000, post_only=True), T)
    assert order.order_id in exchange.accounts["ann"].live
    exchange.check_closed()


def test_a_stated_trade_fills_the_named_order_at_its_price_whatever_stands_before_it():
    exchange = world()
    exchange.state_book(SPOT, [(BUY, 10_000, 50)], T)
    first = exchange.place("ann", limit(SPOT, BUY, 5, 10_000), T)
    second = exchange.place("ann", limit(SPOT, BUY, 5, 10_000), T)
    exchange.trade_with("ann", second.order_id, 3, T + 1)
    exchange.trade_with("ann", second.order_id, 2, T + 2)
    fills = exchange.accounts["ann"].fills
    assert [(f.order_id, f.ticks, f.lots, f.is_maker) for f in fills] == [
        (second.order_id, 10_000, 3, True), (second.order_id, 10_000, 2, True),
    ]  # fmt: skip
    assert list(exchange.accounts["ann"].live) == [first.order_id]
    assert exchange.depth(SPOT).bids == ((10_000, 55),)
    exchange.check_closed()


@pytest.mark.parametrize("lots", [0, 6])
def test_more_than_is_open_or_nothing_cannot_trade(lots):
    exchange = world()
    order = exchange.place("ann", limit(SPOT, BUY, 5, 10_000), T)
    with pytest.raises(ValueError, match="5 are open"):
        exchange.trade_with("ann", order.order_id, lots, T)


def test_a_trigger_and_an_order_that_has_ended_trade_with_nobody():
    exchange = world()
    exchange.set_reference(PERP, 10_000, 10_000, 0, T)
    trigger = exchange.place("ann", NewOrder(symbol=PERP, side=SELL, order_type=OrderType.MARKET, trigger_ticks=9_000, trigger_lots=1), T)
    gone = exchange.place("ann", limit(SPOT, BUY, 5, 10_000), T)
    exchange.cancel("ann", SPOT, T, order_id=gone.order_id)
    for order in (trigger, gone):
        with pytest.raises(Refused, match="Not Found"):
            exchange.trade_with("ann", order.order_id, 1, T)


def test_a_price_stated_elsewhere_moves_the_band():
    exchange = world()
    exchange.state_last(SPOT, 12_345, T)
    assert exchange.last_ticks(SPOT) == 12_345


def test_a_restored_account_owns_rests_and_goes_on_as_before():
    before = world()
    before.set_reference(PERP, 10_000, 10_000, 0, T)
    before.state_book(PERP, [(SELL, 10_000, 10), (BUY, 9_990, 10)], T)
    before.place("ann", limit(PERP, BUY, 6, 10_000), T)
    before.place("ann", limit(PERP, SELL, 6, 10_500, reduce_only=True), T)
    before.place("ann", limit(SPOT, BUY, 5, 9_000), T)
    stop = before.place("ann", NewOrder(symbol=PERP, side=SELL, order_type=OrderType.MARKET, trigger_ticks=9_500, trigger_ppm=1_000_000), T)
    after = Exchange((spot(), perp()))
    account = after.restore_account("ann", image_of(before, "ann"), T + 9)
    old = before.accounts["ann"]
    for asset in old.assets:
        assert (account.available(asset), account.locked(asset)) == (old.available(asset), old.locked(asset))
    assert account.position_lots(PERP) == 6
    assert list(account.live) == list(old.live)
    assert [(f.trade_id, f.lots) for f in account.fills] == [(f.trade_id, f.lots) for f in old.fills]
    after.check_closed()
    # A mark that fell while nobody looked fires the stop, which closes the position and ends the reduce-only order.
    after.state_book(PERP, [(BUY, 9_400, 10)], T + 10)
    after.set_reference(PERP, 9_400, 9_400, 0, T + 10)
    assert account.position_lots(PERP) == 0
    assert stop.order_id not in account.live
    assert [o.symbol for o in after.open_orders("ann")] == [SPOT]
    assert any(isinstance(e, PositionChanged) for e in after.take_effects())
    new = after.place("ann", limit(SPOT, BUY, 1, 9_000), T + 11)
    assert new.order_id > max(old.live), "ids go on"
    assert len({f.trade_id for f in account.fills}) == len(account.fills)
    after.check_closed()


def test_what_waited_out_its_delay_when_the_exchange_ended_has_expired():
    exchange = world()
    order = OrderState(
        order_id=9_000_000_000, account="cat", symbol=SPOT, side=BUY, order_type=OrderType.LIMIT, lots=5, quote_atoms=0, ticks=9_000,
        time_in_force=TimeInForce.IOC, post_only=False, reduce_only=False, client_id=7, self_trade="RejectMaker", trigger_ticks=0,
        trigger_lots=0, trigger_ppm=0, trigger_by=None, slippage_ticks=None, slippage_ppm=None, origin="USER", status=Status.NEW,
        created_us=T, updated_us=T,
    )  # fmt: skip
    account = exchange.restore_account("cat", AccountImage(totals={"USDC": 10**15}, live={order.order_id: order}), T)
    assert not account.live
    assert account.order_history[0].status is Status.EXPIRED
    assert [e.kind for e in exchange.take_effects() if isinstance(e, OrderChanged)] == ["expired"]
    account.forget_orders(T + 1)
    assert not account.order_history
