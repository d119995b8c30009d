"""Fee tiers, and the limits that markets and accounts publish, over the wire."""

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.loopback.sandbox_kit import PERP, SPOT, STATED_MARKS, Client, Sandbox

from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.sandbox.tiers import TIER_NAMES, UnknownTier, tier_of


@pytest.mark.parametrize(
    ("tier", "rates"),
    [
        (None, ("8", "10", "2", "5")),
        ("Tier 2", ("7", "9", "1.9", "4.5")),
        ("tier6", ("3", "5", "1", "2.8")),
        ("VIP3", ("0", "3.5", "0", "2.2")),
        ("VIP5", ("0", "2.5", "0", "1.8")),
    ],
)
def test_an_account_pays_by_its_tier_and_says_so(tier, rates):
    box = Sandbox(tier=tier)
    box.quote()
    box.quote(PERP)
    me = Client(box)
    row = me.ok("GET", "/api/v1/account")
    assert tuple(row[name] for name in ("spotMakerFee", "spotTakerFee", "futuresMakerFee", "futuresTakerFee")) == rates
    me.place(SPOT, "Ask", price="150", quantity="1")
    me.place(PERP, price="150.1", quantity="1")
    perp, spot = me.ok("GET", "/wapi/v1/history/fills")
    assert Decimal(spot["fee"]) == Decimal(150) * Decimal(rates[1]) / 10_000
    assert Decimal(perp["fee"]) == Decimal("150.1") * Decimal(rates[3]) / 10_000


def test_the_list_of_tiers_falls_from_row_to_row():
    body = Sandbox().public("/wapi/v1/feeTiers")[1]
    for kind in ("spot", "futures"):
        assert [row["tier"] for row in body[kind]] == list(TIER_NAMES)
        for name in ("makerFee", "takerFee"):
            fees = [Decimal(row[name]) for row in body[kind]]
            assert fees == sorted(fees, reverse=True)


def test_a_tier_that_there_is_not_is_refused_with_those_that_are():
    with pytest.raises(UnknownTier, match=r"'VIP9' is no fee tier; give one of Tier 1, .*VIP5"):
        tier_of("VIP9")
    with pytest.raises(UnknownTier):
        Sandbox(tier="gold")


def test_markets_and_collateral_publish_their_limits():
    box = Sandbox()
    rows = {row["symbol"]: row for row in box.public("/api/v1/markets")[1]}
    assert (rows[PERP]["openInterestLimit"], rows[PERP]["positionLimitWeight"]) == ("4000000", "1")
    assert rows[PERP]["filters"]["price"]["meanPremiumBand"] == {"tolerancePct": "0.05"}
    assert (rows[SPOT]["openInterestLimit"], rows[SPOT]["filters"]["price"]["meanPremiumBand"]) == ("0", None)
    haircuts = {row["symbol"]: row["haircutFunction"] for row in box.public("/api/v1/collateral")[1]}
    assert haircuts["SOL"] == {"weight": "0.9", "kind": {"type": "inverseSqrt", "base": "1.1", "positiveCurvePenalty": "0.00222"}}
    assert haircuts["USDC"] == {"weight": "1", "kind": {"type": "identity"}}
    box.app.change_filters(PERP, box.now_us, lot="0.001")
    assert {row["symbol"]: row for row in box.public("/api/v1/markets")[1]}[PERP]["openInterestLimit"] == "4000000"


def test_an_accounts_limits_are_published_and_kept():
    rules = replace(STATED_MARKS, position_limit_atoms=1_000 * ATOMS_PER_UNIT, borrow_limit_atoms=500 * ATOMS_PER_UNIT)
    box = Sandbox(rules=rules)
    box.quote(PERP)
    box.mark(15_005)
    me = Client(box)
    row = me.ok("GET", "/api/v1/account")
    assert (row["positionLimit"], row["borrowLimit"]) == ("1000", "500")
    order = {"symbol": PERP, "side": "Bid", "orderType": "Limit", "price": "149", "quantity": "7"}
    assert me.call("POST", "/api/v1/order", order)[1]["code"] == "POSITION_LIMIT"
    assert me.call("POST", "/api/v1/order", {**order, "quantity": "6"})[0] == 200
    far = {**order, "quantity": "0.1", "price": "158"}
    assert me.call("POST", "/api/v1/order", far)[1] == {"code": "INVALID_PRICE", "message": "Price is too far from the mean premium"}


def test_the_sandbox_makes_its_own_marks():
    from lemon_trader.sandbox.terms import sandbox_rules

    box = Sandbox(rules=sandbox_rules())
    box.quote(PERP, bid=15_100, ask=15_110)
    box.mark(15_000)
    for _ in range(60):
        box.wait(1_000_000)
    (row,) = (row for row in box.public("/api/v1/markPrices")[1] if row["symbol"] == PERP)
    assert row["indexPrice"] == "150"
    assert Decimal("150.5") < Decimal(row["markPrice"]) < Decimal(151)
