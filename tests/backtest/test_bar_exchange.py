"""The exchange of bars: what moves of the price do to what rests, told as an exchange tells it."""

import pytest

from lemon_trader.backtest.bar_exchange import BarExchange
from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import Balance, CancelAnswered, CashMove, Fill, OrderUpdate, PlaceAccepted, PlaceRefused
from lemon_trader.core.units import BUY, LIMIT, POST_ONLY, REDUCE_ONLY, SELL, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.formulas.fill import TOUCH, FillRules
from lemon_trader.market.instruments import default_instrument

SPOT, PERP = default_instrument("SOL_USDC"), default_instrument("SOL_USDC_PERP")
USDC = 10**9
T = 1_700_000_000_000_000


def exchange(instrument=SPOT, *, cash=1_000, price=10_000, delay=0, **rules):
    made = BarExchange(instrument, FillRules(**rules), cash * USDC, delay_us=lambda _: delay)
    made.opening(T, price)
    made.move(T, price, 10**6, jumped=True)
    return made


def sent(made, *commands, at=T):
    made.send(commands)
    return made.answer(at)


def place(client_id, side, price, lots, kind=LIMIT, flags=0, trigger=0, symbol="SOL_USDC"):
    return Place(symbol, client_id, side, kind, flags, price, trigger, lots)


def fills(facts):
    return [(f.client_id, f.side, f.price_ticks, f.qty_lots) for f in facts if isinstance(f, Fill)]


def test_what_a_fall_reaches_fills_nearest_first_at_its_own_price():
    made = exchange()
    sent(made, place(1, BUY, 9_800, 10), place(2, BUY, 9_900, 10), place(3, BUY, 9_700, 10))
    facts = made.move(T + 1, 9_750, 10**6, jumped=False)
    assert fills(facts) == [(2, BUY, 9_900, 10), (1, BUY, 9_800, 10)]
    assert [o.client_id for o in made.orders] == [3]


def test_a_fill_moves_money_and_coins_with_the_fee_in_coins():
    made = exchange(maker_fee_ppm=1_000)
    sent(made, place(1, BUY, 9_900, 100))
    made.move(T + 1, 9_800, 10**6, jumped=False)
    assert made.cash_atoms == 1_000 * USDC - 99 * USDC
    assert made.base_atoms == 100 * SPOT.lot_atoms * 999 // 1_000


def test_what_rests_is_locked_and_told():
    made = exchange()
    facts = sent(made, place(1, BUY, 9_900, 100))
    told = [f for f in facts if isinstance(f, Balance) and f.asset == "USDC"]
    assert (told[-1].available_atoms, told[-1].locked_atoms) == (901 * USDC, 99 * USDC)


def test_a_share_of_the_volume_bounds_a_point_and_the_rest_is_met_by_the_next_move():
    made = exchange(share_ppm=100_000)
    sent(made, place(1, BUY, 9_900, 100))
    assert fills(made.move(T + 1, 9_800, 1_200, jumped=False)) == [(1, BUY, 9_900, 30)]
    assert fills(made.move(T + 2, 9_850, 1_200, jumped=False)) == [(1, BUY, 9_900, 30)]
    assert made.orders[0].open_lots == 40


def test_an_order_through_the_touch_takes_and_what_is_immediate_does_not_rest():
    made = exchange(taker_fee_ppm=0, share_ppm=100_000)
    made.move(T, 10_000, 400, jumped=False)
    facts = sent(made, place(1, BUY, 10_050, 25, kind=TAKE))
    assert fills(facts) == [(1, BUY, 10_001, 10)]
    assert [f.kind for f in facts if isinstance(f, OrderUpdate)] == ["expired"]
    assert [f.status for f in facts if isinstance(f, PlaceAccepted)] == ["expired"]
    assert not made.orders


@pytest.mark.parametrize(
    ("name", "instrument", "command", "code"),
    [
        ("a post-only order that would take", SPOT, place(1, BUY, 10_001, 1, kind=POST_ONLY), "INVALID_ORDER"),
        ("a buy that costs more than there is", SPOT, place(1, BUY, 9_000, 2_000), "INSUFFICIENT_FUNDS"),
        ("a sale of coins that are not there", SPOT, place(1, SELL, 11_000, 1), "INSUFFICIENT_FUNDS"),
        ("a position beyond the margin", PERP, place(1, BUY, 9_000, 60_000, symbol="SOL_USDC_PERP"), "INSUFFICIENT_MARGIN"),
    ],
)
def test_what_is_refused(name, instrument, command, code):
    facts = sent(exchange(instrument, cash=100, imf_ppm=20_000), command)
    assert [f.code for f in facts if isinstance(f, PlaceRefused)] == [code], name


def holding(lots=100, **rules):
    """A perpetual's account that is long `lots` from 10,001."""
    made = exchange(PERP, cash=1_000, **rules)
    sent(made, place(1, BUY, 10_100, lots, kind=TAKE, symbol="SOL_USDC_PERP"))
    return made


def stop(client_id, trigger):
    return place(client_id, SELL, 0, 500, kind=TRIGGER, flags=REDUCE_ONLY | WHOLE_POSITION, trigger=trigger, symbol="SOL_USDC_PERP")


@pytest.mark.parametrize(("name", "jumped", "price"), [("on a way through it", False, 9_500), ("over a gap", True, 9_000)])
def test_a_stop_sells_everything(name, jumped, price):
    made = holding()
    sent(made, stop(2, 9_500))
    assert fills(made.move(T + 1, 9_000, 10**6, jumped=jumped)) == [(-1, SELL, price, 100)], name
    assert (made.lots, made.orders) == (0, [])


def test_a_stop_with_nothing_to_sell_fails():
    made = exchange(PERP)
    sent(made, stop(2, 9_500))
    facts = made.move(T + 1, 9_000, 10**6, jumped=False)
    assert [f.kind for f in facts if isinstance(f, OrderUpdate)] == ["trigger_failed"]


def test_what_only_reduces_sells_no_more_than_is_held():
    made = holding(lots=10)
    sent(made, place(2, SELL, 10_100, 50, flags=REDUCE_ONLY, symbol="SOL_USDC_PERP"))
    assert fills(made.move(T + 1, 10_200, 10**6, jumped=False)) == [(2, SELL, 10_100, 10)]
    assert made.lots == 0


def test_funding_is_paid_on_what_is_held_at_the_price_now():
    made = holding()
    before = made.cash_atoms
    moves = [f for f in made.fund(T + 1, T, 1_000_000) if isinstance(f, CashMove)]
    assert moves[0].quantity_atoms == made.cash_atoms - before == -100_000_000  # 100 USDC at a thousandth
    assert exchange(PERP).fund(T + 1, T, 1_000_000) == []


def test_an_account_that_does_not_cover_its_margin_is_closed():
    made = exchange(PERP, cash=100, mmf_ppm=13_500, liquidation_fee_ppm=10_000)
    sent(made, place(1, BUY, 10_100, 1_000, kind=TAKE, symbol="SOL_USDC_PERP"), stop(2, 8_000))
    made.move(T + 1, 9_200, 10**6, jumped=False)
    assert made.check_margin(T + 1) == []
    made.move(T + 2, 9_100, 10**6, jumped=False)
    facts = made.check_margin(T + 2)
    assert [f.origin for f in facts if isinstance(f, Fill)] == ["LIQUIDATION_AUTOCLOSE"]
    assert (made.lots, made.orders, made.liquidations) == (0, [], 1)


def test_a_command_that_is_under_way_changes_nothing_until_it_arrives():
    made = exchange(model=TOUCH, delay=1_000)
    made.send([place(1, BUY, 9_900, 10)])
    assert not made.is_due(T + 999)
    assert made.answer(T + 999) == []
    assert fills(made.move(T + 500, 9_900, 10**6, jumped=False)) == []
    assert next(type(f) for f in made.answer(T + 1_000)) is PlaceAccepted


def test_a_cancel_of_what_is_gone_finds_nothing():
    made = exchange()
    sent(made, place(1, BUY, 9_900, 10))
    first, second = (sent(made, Cancel("SOL_USDC", 1))[0] for _ in range(2))
    assert isinstance(first, CancelAnswered)
    assert isinstance(second, CancelAnswered)
    assert (first.outcome, second.outcome) == ("cancelled", "not_found")


def test_a_read_says_what_rests_and_what_is_there():
    made = exchange()
    sent(made, place(1, BUY, 9_900, 10))
    read = made.read(T + 5)
    assert [(r.client_id, r.price_ticks, r.qty_lots, r.is_open) for r in read.open_orders] == [(1, 9_900, 10, True)]
    assert {b.asset: b.available_atoms + b.locked_atoms for b in read.balances} == {"USDC": 1_000 * USDC, "SOL": 0}
