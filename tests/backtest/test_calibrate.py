"""Queue models beside what really filled: a market whose queue is known tells which model it follows."""

import pytest

from lemon_trader.backtest.calibrate import OwnOrder, own_orders, put_again
from lemon_trader.core.events import Attempted, CancelAnswered, Decided, Fill, OrderUpdate, PlaceAccepted
from lemon_trader.core.instrument import instrument
from lemon_trader.core.units import BUY, POST_ONLY, QUOTE, SELL, TAKE
from lemon_trader.formulas.queue import AHEAD, BEHIND, SPREAD, left_ahead
from lemon_trader.market.acts import Level, Source, Take, apply
from lemon_trader.market.chance import Chance
from lemon_trader.matching.book import Queueing
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder

T = 1_700_000_000_000_000
S = 1_000_000
SYMBOL = "SOL_USDC"
GRID = instrument(SYMBOL, "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01")
PLENTY = {"USDC": 10**18, "SOL": 10**18}


def model(code, power=1):
    return Queueing(leaving=lambda ahead, behind, left: left_ahead(code, power, ahead, behind, left))


MODELS = {"pessimistic": model(BEHIND), "proportional": model(SPREAD), "high power": model(SPREAD, 6), "optimistic": model(AHEAD)}


def crowd(seconds=1_500):
    """A bid of some hundred lots at 99.00 that people join, leave and trade with; an ask that stands."""
    chance = Chance("crowd", 5)
    acts, bid = [Level(T, SYMBOL, BUY, 9_900, 200), Level(T, SYMBOL, SELL, 10_000, 500)], 200
    for second in range(1, seconds):
        at_us, draw = T + second * S, chance.below(10)
        if draw < 4:
            bid += 20 + chance.below(60)
        elif draw < 8:
            bid = max(bid - 20 - chance.below(60), 5)
        else:
            traded = min(10 + chance.below(40), bid)
            acts.append(Take(at_us, SYMBOL, SELL, traded, 9_900))
            bid -= traded
            bid = max(bid, 5)
        acts.append(Level(at_us, SYMBOL, BUY, 9_900, bid))
    return Source({SYMBOL: GRID}, T, iter(acts))


def lived(truth):
    """The crowd with orders of ours in it, each for half a minute, under a queue that is known: what our journal would tell."""
    exchange = Exchange([GRID], queueing=truth)
    exchange.advance(T)
    exchange.open_account("us", PLENTY)
    orders = []
    for act in crowd():
        apply(act, exchange)
        if (act.at_us - T) % (30 * S) or not isinstance(act, Level) or act.side != BUY:
            continue
        for order in [o for o in orders if not o.ended_us]:
            if any(o.client_id == order.client_id for o in exchange.accounts["us"].live.values()):
                exchange.cancel("us", SYMBOL, act.at_us, client_id=order.client_id)
                order.ended_us = act.at_us
        number = len(orders) + 1
        exchange.place("us", NewOrder(symbol=SYMBOL, side=BUY, lots=12, ticks=9_900, post_only=True, client_id=number), act.at_us)
        orders.append(OwnOrder(number, BUY, 9_900, 12, act.at_us))
    for row in exchange.accounts["us"].fills:
        order = orders[row.client_id - 1]
        order.filled_lots += row.lots
        order.filled_us = order.filled_us or row.at_us
        if order.filled_lots == order.lots:
            order.ended_us = row.at_us
    return orders


@pytest.mark.parametrize("truth", MODELS)
def test_the_model_that_the_market_followed_fits_best(truth):
    orders = lived(MODELS[truth])
    assert sum(o.filled_lots > 0 for o in orders) > 3
    fits = {name: put_again(crowd(), orders, queueing) for name, queueing in MODELS.items()}
    assert {fit.orders for fit in fits.values()} == {len(orders)}
    assert fits[truth].off_lots == min(fit.off_lots for fit in fits.values())
    # An order that filled whole is left for as long again, so that a model that is later than the truth is not punished for that.
    assert fits[truth].missed == 0
    assert fits["pessimistic"].filled_lots <= fits["proportional"].filled_lots <= fits["optimistic"].filled_lots


def attempt(client_id, kind=POST_ONLY, symbol=SYMBOL):
    row = Attempted(T, symbol, client_id, 0, 0, QUOTE, BUY, kind, 0, 9_900, 0, 10, 10, T + 5 * S)
    return Decided(T, symbol, b"", b"", b"", (row,), ())


def accepted(client_id, at_us, status="working", filled=0):
    return PlaceAccepted(at_us, at_us, SYMBOL, client_id, f"o{client_id}", status, filled)


def fill(client_id, at_us, lots, trade_id, *, done=False):
    return Fill(at_us, at_us, SYMBOL, f"o{client_id}", client_id, "", trade_id, BUY, 9_900, lots, 0, "SOL", "0", True, lots, "USER", done)


def test_a_journal_tells_what_rested_and_what_became_of_it():
    events = [
        attempt(1), accepted(1, T + 5), fill(1, T + 50, 4, 1), fill(1, T + 60, 6, 2), fill(1, T + 60, 6, 2),
        attempt(2), accepted(2, T + 6), CancelAnswered(T + 70, T + 70, SYMBOL, 2, "cancelled", 0),
        attempt(3), accepted(3, T + 7), OrderUpdate(T + 80, T + 80, SYMBOL, "expired", "o3", 3, "", BUY, 9_900, 0, 10, 0, "", "USER"),
        attempt(4), accepted(4, T + 8),
        attempt(5, kind=TAKE), accepted(5, T + 9),
        attempt(6), accepted(6, T + 10, "filled", 10),
        attempt(7, symbol="BTC_USDC"),
        attempt(8),
    ]  # fmt: skip
    found, grid = own_orders(events, SYMBOL)
    assert grid is None
    assert [(o.client_id, o.placed_us - T, o.ended_us and o.ended_us - T, o.filled_lots) for o in found] == [
        (1, 5, 60, 10), (2, 6, 70, 0), (3, 7, 80, 0), (4, 8, 0, 0),
    ]  # fmt: skip


def test_orders_outside_of_the_recording_are_not_judged():
    orders = [OwnOrder(1, BUY, 9_900, 12, T - 5 * S, T + 5 * S), OwnOrder(2, BUY, 9_900, 12, T + 10**6 * S)]
    assert put_again(crowd(60), orders, MODELS["pessimistic"]).orders == 0


def test_an_order_that_the_recorded_market_would_have_traded_with_is_left_out():
    assert put_again(crowd(60), [OwnOrder(1, BUY, 10_000, 12, T + 5 * S, T + 9 * S)], MODELS["pessimistic"]).orders == 0
