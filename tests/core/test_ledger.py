"""The ledger's law: net profit equals the cash difference, to the atom, whatever is traded and whatever the fee is taken in."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.make import T0, USDC, fill, perp, spot

from lemon_trader.core.ledger import Ledger
from lemon_trader.core.units import BUY, SELL

trades = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL]), st.integers(1, 50_000), st.integers(1, 5_000), st.integers(-10**6, 10**7), st.sampled_from(["USDC", "SOL", "BP"])
    ),
    max_size=30,
)  # fmt: skip


@given(trades, st.integers(1, 50_000))
@settings(max_examples=200)
def test_net_equals_the_cash_difference_on_spot(rows, mark):
    ledger = Ledger(spot())
    cash = base = 0
    for n, (side, ticks, lots, fee, asset) in enumerate(rows):
        lots = min(lots, max(0, base) // 10**7) if side == SELL else lots
        if lots == 0:
            continue
        booked = ledger.book(fill(side, ticks, lots, trade=n + 1, fee=fee, fee_asset=asset))
        cash -= side * ticks * lots * 100_000 + (fee if asset == "USDC" else 0)
        base += side * lots * 10**7 - (fee if asset == "SOL" else 0)
        assert booked.base_atoms == ledger.base_atoms == base
    assert ledger.cash_atoms == cash
    assert ledger.net_atoms(mark) == cash + ledger.value_atoms(mark)


@given(trades, st.integers(1, 50_000))
@settings(max_examples=200)
def test_net_equals_the_cash_difference_on_a_perpetual_through_long_flat_and_short(rows, mark):
    ledger = Ledger(perp())
    flow = held = 0
    for n, (side, ticks, lots, fee, _) in enumerate(rows):
        ledger.book(fill(side, ticks, lots, trade=n + 1, fee=fee, symbol="SOL_USDC_PERP"))
        flow -= side * ticks * lots * 100_000 + fee
        held += side * lots
    assert ledger.lots == held
    assert ledger.net_atoms(mark) == flow + held * mark * 100_000
    assert ledger.cash_atoms == ledger.realised_atoms - ledger.fees_atoms
    assert ledger.flow_atoms() == flow


@given(trades, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_fills_that_are_told_late_change_the_split_and_not_the_net(rows, chance):
    fills = [fill(side, ticks, lots, trade=n + 1, fee=fee, symbol="SOL_USDC_PERP") for n, (side, ticks, lots, fee, _) in enumerate(rows)]
    one, other = Ledger(perp()), Ledger(perp())
    for f in fills:
        one.book(f)
    chance.shuffle(fills)
    for f in fills:
        other.book(f)
    assert (one.base_atoms, one.flow_atoms(), one.net_atoms(9_999)) == (other.base_atoms, other.flow_atoms(), other.net_atoms(9_999))


def test_a_round_trip_by_hand():
    ledger = Ledger(spot())
    ledger.book(fill(BUY, 10_000, 100, trade=1, fee=10**6, fee_asset="SOL"))  # buys 1 SOL at 100, fee 0.001 SOL
    assert (ledger.base_atoms, ledger.cost_atoms) == (999_000_000, 100 * USDC - 100_000_000)
    assert ledger.lots == 99, "what a fee left of the last lot is dust, not a lot"
    ledger.book(fill(SELL, 10_200, 99, trade=2, fee=80_000_000))
    assert ledger.realised_atoms - ledger.fees_atoms + ledger.unrealised_atoms(10_200) == ledger.cash_atoms + ledger.value_atoms(10_200)
    assert ledger.base_atoms == 9_000_000


def test_a_reduction_takes_the_floor_of_its_part_of_the_cost_and_the_rest_stays():
    ledger = Ledger(perp())
    for n, ticks in enumerate((10_000, 10_001, 10_001)):
        ledger.book(fill(BUY, ticks, 1, trade=n + 1, symbol="SOL_USDC_PERP"))
    cost = 30_002 * 100_000
    ledger.book(fill(SELL, 10_100, 1, trade=9, symbol="SOL_USDC_PERP"))
    assert ledger.cost_atoms == cost - cost // 3
    assert ledger.realised_atoms == 10_100 * 100_000 - cost // 3


def test_a_fill_is_booked_once_by_its_trade_id_wherever_it_comes_from():
    ledger = Ledger(spot())
    first = fill(BUY, 10_000, 1, trade=7)
    assert not ledger.seen(first)
    ledger.book(first)
    assert ledger.seen(fill(BUY, 10_000, 1, trade=7, at_us=T0 + 900))


def test_two_equal_fills_without_trade_ids_remain_two():
    ledger = Ledger(spot())
    one = fill(BUY, 10_000, 1, trade=0)
    assert not ledger.seen(one, 0)
    ledger.book(one)
    assert ledger.seen(one, 0)
    assert not ledger.seen(one, 1)
    ledger.book(one)
    assert ledger.seen(one, 1)
    assert ledger.lots == 2


def test_a_fill_told_without_and_then_with_its_trade_id_is_one():
    ledger = Ledger(spot())
    ledger.book(fill(BUY, 10_000, 1, trade=0, at_us=T0 + 123))
    named = fill(BUY, 10_000, 1, trade=55, at_us=T0)
    assert not ledger.seen(named)
    assert ledger.renamed(named)
    assert ledger.seen(named)
    assert ledger.lots == 1


def test_funding_counts_once_by_its_key():
    ledger = Ledger(perp())
    assert ledger.fund("f1", -5)
    assert not ledger.fund("f1", -5)
    assert ledger.funding_atoms == -5


def test_an_image_restores_everything_that_a_duplicate_is_known_by():
    ledger = Ledger(spot())
    ledger.give(10**9, 90 * USDC)
    ledger.book(fill(BUY, 10_000, 1, trade=7))
    ledger.book(fill(BUY, 10_000, 2, trade=0))
    again = Ledger(spot())
    again.restore(ledger.image())
    assert again.image() == ledger.image()
    assert again.seen(fill(BUY, 10_000, 1, trade=7))
    assert again.seen(fill(BUY, 10_000, 2, trade=0))
    assert again.net_atoms(9_999) == ledger.net_atoms(9_999)
