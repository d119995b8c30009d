"""The report says what was earned to the atom, for a session, a day and all time."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.database.tellers import DAY_US, NOW, PERP_SOL, SPOT_SOL, Teller, fill, placed

from lemon_trader.core.events import AccountTerms, CashMove, Started, Touch, Wake
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.units import BUY, EXIT, LAYER, QUOTE, REBALANCE, SELL, STOP
from lemon_trader.database.db import Database
from lemon_trader.database.fifo import Execution, Fifo
from lemon_trader.database.statistics import LINES, History, report

ATOMS = 10**9


def started(market, at_us: int = NOW, lots: int = 0, cost: int = 0) -> Started:
    return Started(at_us, "market-maker", market.symbol, 400 * ATOMS, lots, cost, {"a": "1"}, "sandbox")


def teller(*markets) -> Teller:
    return Teller(Database(":memory:"), *(markets or (SPOT_SOL, PERP_SOL)))


def only(made: Teller, now_us: int = NOW, **prices: int) -> dict:
    (market,) = report(made.commit(), now_us, prices)["markets"]
    return market


def figures(made: Teller, period: str = "all", now_us: int = NOW) -> dict:
    return only(made, now_us)["periods"][period]


# ---- the law: net is cash ----

TRADES = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL]),
        st.integers(1, 30_000),  # price, ticks
        st.integers(1, 500),  # quantity, lots
        st.integers(-2_000, 2_000),  # fee rate, ppm
        st.sampled_from(["base", "quote"]),
        st.booleans(),
    ),
    max_size=40,
)


def book(made: Teller, market, trades) -> tuple[Decimal, Decimal]:
    """Book trades; (quote, base) that changed hands, reckoned from the texts by somebody else's arithmetic."""
    cash = base = Decimal(0)
    held = 0
    for n, (side, price, wanted, ppm, paid_in, maker) in enumerate(trades):
        lots = wanted if market.is_perp or side == BUY else min(wanted, max(0, held) // market.lot_atoms)
        if not lots:
            continue
        in_base = paid_in == "base" and side == BUY and not market.is_perp
        whole = lots * market.lot_atoms if in_base else price * lots * market.tick_lot_atoms
        fee = whole * ppm // 1_000_000
        made.fill(fill(market, n, side, price, lots, fee_atoms=fee, fee_asset="SOL" if in_base else "USDC", maker=maker))
        held = made.ledgers[market.symbol].base_atoms
        quantity = Decimal(market.qty_text(lots)) * side
        cash -= quantity * Decimal(market.price_text(price))
        base += quantity
        cash -= 0 if in_base else Decimal(fee) / ATOMS
        base -= Decimal(fee) / ATOMS if in_base else 0
    return cash, base


@settings(max_examples=120, deadline=None)
@given(TRADES, st.booleans(), st.integers(1, 30_000), st.lists(st.integers(-(10**12), 10**12), max_size=3))
def test_net_equals_the_cash_difference_to_the_atom(trades, perp, last_ticks, funding):
    market = PERP_SOL if perp else SPOT_SOL
    made = teller(market)
    made.tell(started(market))
    cash, base = book(made, market, trades)
    for n, atoms in enumerate(funding):
        made.tell(CashMove(NOW, NOW, market.symbol, "funding", "USDC", atoms, atoms_text(atoms), f"f{n}"))
        made.ledgers[market.symbol].fund(f"f{n}", atoms)
        cash += Decimal(atoms) / ATOMS
    found = only(made, **{market.symbol: last_ticks})
    ledger = made.ledgers[market.symbol]
    total = found["periods"]["all"]
    # What somebody who bought and sold for cash would have now, selling what is held at the last price, rounded as values are.
    worth = base * Decimal(market.price_text(last_ticks))
    difference = Decimal(found["position"]["net_with_unrealised"]) - (cash + worth)
    assert Decimal(found["position"]["quantity"]) == base
    assert abs(difference) < Decimal(1) / ATOMS  # less than the one atom by which a value is cut: nothing adds up
    assert total["net"] == atoms_text(ledger.realised_atoms - ledger.fees_atoms + ledger.funding_atoms)
    assert found["position"]["net_with_unrealised"] == atoms_text(ledger.net_atoms(last_ticks))
    if not base:
        assert Decimal(total["net"]) == cash


@settings(max_examples=80, deadline=None)
@given(TRADES, st.booleans(), st.integers(0, 40))
def test_in_every_period_net_is_cash_plus_what_the_position_cost(trades, perp, split):
    market = PERP_SOL if perp else SPOT_SOL
    made = teller(market)
    made.tell(started(market))
    book(made, market, trades[:split])
    made.tell(started(market, NOW + 1))
    book(made, market, [(s, p, q, f, a, m) for s, p, q, f, a, m in trades[split:]])
    made.commit()
    row = made.db.query("SELECT * FROM symbols")[0]
    for total in History(made.db, row, NOW).periods.values():
        assert total.net_atoms == total.cash_atoms + total.cost_atoms


@settings(max_examples=120, deadline=None)
@given(TRADES, st.booleans())
def test_first_in_first_out_is_another_split_of_the_same_money(trades, perp):
    market = PERP_SOL if perp else SPOT_SOL
    made = teller(market)
    book(made, market, trades)
    fifo = Fifo(market.tick_lot_atoms, market.lot_atoms)
    for row in made.commit().query("SELECT * FROM fills ORDER BY id"):
        fee_base = row["fee_atoms"] if row["fee_asset"] == "SOL" else 0
        fifo.execute(Execution(row["at_us"], row["side"], row["price_ticks"], row["qty_lots"], fee_base))
    ledger = made.ledgers[market.symbol]
    assert fifo.base_atoms == ledger.base_atoms
    sign = 1 if ledger.base_atoms >= 0 else -1
    assert fifo.realised_atoms - sign * fifo.cost_atoms == ledger.realised_atoms - sign * ledger.cost_atoms
    if not ledger.base_atoms:
        assert fifo.realised_atoms == ledger.realised_atoms


def test_pairing_takes_the_oldest_first():
    fifo = Fifo(SPOT_SOL.tick_lot_atoms, SPOT_SOL.lot_atoms)
    executions = ((BUY, 10_000), (BUY, 12_000), (SELL, 11_000), (SELL, 11_000))
    results = [fifo.execute(Execution(0, side, ticks, 100, 0)) for side, ticks in executions]
    assert results == [0, 0, 10 * ATOMS, -10 * ATOMS]


# ---- round trips, by hand ----

ROUND_TRIPS = [
    ("a long earns the difference less both fees", [(BUY, 10_000, 100, 20), (SELL, 10_100, 100, 20)], "1", "0.04", "0.96"),
    ("a short earns when it falls", [(SELL, 10_100, 100, 0), (BUY, 10_000, 100, 0)], "1", "0", "1"),
    ("a short loses when it rises", [(SELL, 10_000, 100, 0), (BUY, 10_100, 100, 0)], "-1", "0", "-1"),
    ("through flat to the other side", [(BUY, 10_000, 100, 0), (SELL, 10_100, 200, 0), (BUY, 10_000, 100, 0)], "2", "0", "2"),
    ("a rebate is a negative fee", [(BUY, 10_000, 100, -10), (SELL, 10_000, 100, -10)], "0", "-0.02", "0.02"),
    ("what is bought later is not what was sold", [(BUY, 10_000, 100, 0), (SELL, 10_100, 100, 0), (BUY, 12_000, 100, 0)], "1", "0", "1"),
]


@pytest.mark.parametrize(("case", "trades", "gross", "fees", "net"), ROUND_TRIPS, ids=[case[0] for case in ROUND_TRIPS])
def test_round_trips(case, trades, gross, fees, net):
    made = teller(PERP_SOL)
    for n, (side, price, lots, fee_milli) in enumerate(trades):
        made.fill(fill(PERP_SOL, n, side, price, lots, fee_atoms=fee_milli * ATOMS // 1_000))
    found = figures(made)
    assert (found["gross"], found["fees"], found["net"]) == (gross, fees, net), case


def test_a_spot_buy_that_pays_its_fee_in_coins_loses_exactly_those_coins():
    made = teller(SPOT_SOL)
    made.fill(fill(SPOT_SOL, 1, BUY, 10_000, 100, fee_atoms=800_000, fee_asset="SOL"))  # 1 SOL at 100, fee 0.0008 SOL
    found = only(made, SOL_USDC=10_000)
    assert found["position"]["quantity"] == "0.9992"
    assert found["periods"]["all"]["fees"] == "0.08"
    assert found["periods"]["all"]["cash_change"] == "-100"
    assert found["position"]["net_with_unrealised"] == "-0.08"


# ---- periods ----


def test_a_day_is_the_utc_day_of_the_venues_time_and_days_are_never_cumulative():
    made = teller(SPOT_SOL)
    midnight = NOW // DAY_US * DAY_US
    trades = ((midnight - 2, 10_000), (midnight - 1, 11_000), (midnight, 10_000), (midnight + DAY_US - 1, 10_200))
    for n, (at_us, price) in enumerate(trades):
        made.fill(fill(SPOT_SOL, n, BUY if n % 2 == 0 else SELL, price, 100, at_us=at_us))
    assert [figures(made, "day", midnight + t)["net"] for t in (-1, 0, DAY_US - 1, DAY_US)] == ["10", "2", "2", "0"]
    assert figures(made)["net"] == "12"
    days = made.db.query("SELECT date, realized_profit, net_profit, trade_count, maker_buy_volume FROM trading_stats ORDER BY id")
    assert [tuple(day) for day in days] == [("2026-09-03", "10", "10", 2, "1"), ("2026-09-04", "2", "2", 2, "1")]


def test_a_session_begins_with_its_start_and_not_with_the_file():
    made = teller(SPOT_SOL)
    made.tell(started(SPOT_SOL))
    made.fill(fill(SPOT_SOL, 1, BUY, 10_000, 100))
    made.fill(fill(SPOT_SOL, 2, SELL, 10_100, 50))
    made.tell(started(SPOT_SOL, NOW + 10))
    made.fill(fill(SPOT_SOL, 3, SELL, 10_300, 50))
    made.tell(placed(4, SPOT_SOL))
    assert (figures(made, "session")["net"], figures(made)["net"]) == ("1.5", "2")
    assert (figures(made, "session")["placed"], figures(made, "session")["trades"]) == (1, 1)


def test_coins_given_at_the_start_are_not_profit():
    made = teller(SPOT_SOL)
    made.ledgers[SPOT_SOL.symbol].give(2 * ATOMS, 150 * ATOMS)
    made.tell(started(SPOT_SOL, lots=200, cost=150 * ATOMS))
    found = only(made, SOL_USDC=8_000)
    assert (found["position"]["quantity"], found["position"]["unrealised"], found["periods"]["all"]["net"]) == ("2", "10", "0")
    made.fill(fill(SPOT_SOL, 1, SELL, 10_000, 100))
    found = only(made, SOL_USDC=10_000)
    assert (found["periods"]["all"]["net"], found["periods"]["all"]["gross_fifo"]) == ("25", "25")
    assert found["periods"]["all"]["cash_change"] == "100"
    assert found["periods"]["all"]["cost_change"] == "-75"


# ---- figures ----


def test_volumes_and_shares_by_side_and_kind():
    made = teller(SPOT_SOL)
    for n, (side, lots, maker) in enumerate(((BUY, 300, True), (BUY, 100, False), (SELL, 200, True), (SELL, 50, False))):
        made.fill(fill(SPOT_SOL, n, side, 10_000, lots, maker=maker))
    found = figures(made)
    volumes = [found[f"{kind}_{side}_volume"] for kind in ("maker", "taker") for side in ("buy", "sell")]
    assert volumes == ["3", "2", "1", "0.5"]
    assert (found["turnover"], found["maker_share_pct"], found["trades"]) == ("650", "76.923", 4)


def test_wear_rate_is_net_over_turnover_and_negative_when_it_wears():
    made = teller(PERP_SOL)
    made.fill(fill(PERP_SOL, 1, BUY, 10_000, 100, fee_atoms=ATOMS // 50))
    made.fill(fill(PERP_SOL, 2, SELL, 9_990, 100, fee_atoms=ATOMS // 50))
    assert figures(made)["net"] == "-0.14"
    assert figures(made)["wear_rate_pct"] == "-0.07"


def test_average_spread_is_what_maker_fills_earned_against_the_mid():
    made = teller(SPOT_SOL)
    made.fill(fill(SPOT_SOL, 1, BUY, 9_990, 10), mid_ticks=10_000)  # 0.1 % below: a width of 0.2 %
    made.fill(fill(SPOT_SOL, 2, SELL, 10_020, 10), mid_ticks=10_000)  # 0.4 %
    made.fill(fill(SPOT_SOL, 3, SELL, 9_000, 1, maker=False), mid_ticks=10_000)  # a taker earns no spread
    made.fill(fill(SPOT_SOL, 4, BUY, 9_990, 1), mid_ticks=0)  # the mid was not known
    assert figures(made)["average_spread_pct"] == "0.3"


def test_what_is_unknown_is_none_and_never_zero():
    made = teller(SPOT_SOL)
    made.tell(started(SPOT_SOL))
    found = only(made)
    unknown = {"maker_share_pct", "average_spread_pct", "volatility_pct", "wear_rate_pct"}
    assert {name for name, value in found["periods"]["all"].items() if value is None} == unknown
    made.fill(fill(SPOT_SOL, 1, BUY, 10_000, 10))
    position = only(made)["position"]
    assert (position["price"], position["unrealised"], position["net_with_unrealised"]) == (None, None, None)


def test_volatility_is_of_one_second_returns():
    made = teller(SPOT_SOL)
    made.tell(started(SPOT_SOL))
    for second in range(61):
        bid = 10_000 + 10 * (second % 2)  # 0.1 % up, 0.1 % down
        made.tell(Touch(NOW + second * 10**6, 0, SPOT_SOL.symbol, bid - 1, 5, bid + 1, 6, second))
        made.tell(Wake(NOW + second * 10**6 + 1))
        made.tell(Wake(NOW + second * 10**6 + 500_000))  # a strategy's own wake in between changes nothing
    found = only(made)
    assert Decimal(found["periods"]["all"]["volatility_pct"]) == Decimal("0.1")
    assert found["position"]["price"] == "100"
    stored = made.db.query("SELECT sum(samples) AS n, max(ask_ticks - bid_ticks) AS spread FROM minutes")[0]
    assert (stored["n"], stored["spread"]) == (122, 2)


def test_the_cost_of_rebalancing_is_its_fees_and_its_distance_from_the_mid():
    made = teller(SPOT_SOL)
    made.fill(fill(SPOT_SOL, 1, BUY, 10_010, 100, fee_atoms=ATOMS // 10, maker=False), role=REBALANCE, mid_ticks=10_000)
    made.fill(fill(SPOT_SOL, 2, BUY, 9_990, 100, fee_atoms=ATOMS // 10), role=QUOTE, mid_ticks=10_000)
    assert figures(made)["rebalance_cost"] == "0.2"


def test_fees_in_a_third_asset_are_shown_apart():
    made = teller(SPOT_SOL)
    made.fill(fill(SPOT_SOL, 1, BUY, 10_000, 100, fee_atoms=3 * ATOMS, fee_asset="BP"))
    found = only(made)
    assert (found["other_fees"], found["periods"]["all"]["fees"]) == ({"BP": "3"}, "0")


def test_funding_counts_once_whatever_tells_it():
    made = teller(PERP_SOL)
    made.tell(started(PERP_SOL))
    move = CashMove(NOW, NOW, PERP_SOL.symbol, "funding", "USDC", -5 * ATOMS, "-5", "hour-1")
    made.tell(move)
    made.tell(move)
    assert (figures(made)["funding"], figures(made)["net"]) == ("-5", "-5")


def test_a_deposit_is_no_profit():
    made = teller(PERP_SOL)
    made.tell(started(PERP_SOL))
    made.tell(CashMove(NOW, NOW, PERP_SOL.symbol, "transfer", "USDC", 500 * ATOMS, "500", "in-1"))
    assert figures(made)["net"] == "0"


def test_the_break_even_is_twice_the_accounts_own_maker_rate():
    made = teller()
    for market in (SPOT_SOL, PERP_SOL):
        made.tell(started(market))
    assert {m["break_even_spread_pct"] for m in report(made.commit(), NOW)["markets"]} == {None}
    made.tell(AccountTerms(NOW, 800, 1_000, 200, 500, "5", auto_lend=False, liquidating=False))
    found = {m["kind"]: m["break_even_spread_pct"] for m in report(made.commit(), NOW)["markets"]}
    assert found == {"spot": "0.16", "perp": "0.04"}


def test_the_last_ten_fills_are_the_newest_first():
    made = teller(SPOT_SOL)
    for n in range(14):
        made.fill(fill(SPOT_SOL, n, BUY, 10_000 + n, 10), role=LAYER)
    found = only(made)["last_fills"]
    assert [f["price"] for f in found] == [f"100.{n:02d}".rstrip("0") for n in range(13, 3, -1)]
    assert found[0]["role"] == "LAYER"


def test_cycles_name_their_layers_their_stop_and_their_end():
    made = teller(SPOT_SOL)
    steps = [
        (BUY, LAYER, 1, 10_000),
        (BUY, LAYER, 1, 9_900),
        (SELL, EXIT, 1, 10_100),
        (BUY, LAYER, 2, 10_000),
        (SELL, STOP, 0, 9_000),
        (BUY, LAYER, 3, 9_000),
    ]
    for n, (side, role, generation, price) in enumerate(steps):
        lots = 200 if role == EXIT else 100
        made.fill(fill(SPOT_SOL, n, side, price, lots), role=role, generation=generation)
    made.commit()
    rows = made.db.query("SELECT cycle, layer_orders, stopped, closed, realised_atoms FROM cycles ORDER BY cycle")
    assert [tuple(row) for row in rows] == [(1, 2, 0, 1, 3 * ATOMS), (2, 1, 1, 1, -10 * ATOMS), (3, 1, 0, 0, 0)]


def test_every_line_of_the_report_is_there_and_it_is_json():
    made = teller(SPOT_SOL)
    made.tell(started(SPOT_SOL))
    made.fill(fill(SPOT_SOL, 1, BUY, 10_000, 10))
    whole = report(made.commit(), NOW)
    assert json.loads(json.dumps(whole)) == whole
    assert whole["mode"] == "sandbox"
    for period in ("session", "day", "all"):
        assert {name for name, _, _ in LINES} <= set(whole["markets"][0]["periods"][period])
    assert report(made.db, NOW, symbols=["BTC_USDC"])["markets"] == []
