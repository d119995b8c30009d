"""What a person sets: defaults, what is refused with the way out, what is warned of."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemon_trader.core.instrument import instrument
from lemon_trader.core.records import as_row, dtype_of
from lemon_trader.strategies.catalog import DEFAULT, STRATEGIES
from lemon_trader.strategies.parameter import KINDS, Market, StrategyRefused

SOL = instrument(
    "SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.01", max_qty="5000", min_price="0.01"
)  # fmt: skip
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01", min_qty="0.01")
MARKET = Market(SOL, 800, 1_000, 15_000)
UNKNOWN = Market(SOL, 800, 1_000, 0)
ON_PERP = Market(PERP, 200, 500, 15_000)
SEED = {"step_scale": Decimal(1), "layers": 3, "multiplier": Decimal("1.3"), "stop_loss_pct": Decimal(33)}
LADDER, MAKER = STRATEGIES["martingale"], STRATEGIES["market-maker"]


def refusal(strategy, values, market=MARKET):
    with pytest.raises(StrategyRefused) as refused:
        strategy.build(values, market)
    return refused.value


class TestCatalog:
    """What the doors may rely on."""

    def test_the_market_maker_is_the_default(self):
        assert DEFAULT == "market-maker"
        assert set(STRATEGIES) == {"market-maker", "martingale"}

    @pytest.mark.parametrize("name", sorted(STRATEGIES))
    def test_every_parameter_is_declared_whole(self, name):
        strategy = STRATEGIES[name]
        assert strategy.name == name
        flags = [parameter.flag for parameter in strategy.parameters]
        assert len(set(flags)) == len(flags)
        for parameter in strategy.parameters:
            assert parameter.flag == "--" + parameter.name.replace("_", "-")
            assert parameter.kind in KINDS
            assert parameter.help == "help." + parameter.name.replace("_", "-")
            assert (parameter.kind == "choice") == bool(parameter.choices)
            assert parameter.kind != "pct" or parameter.name.endswith("_pct") or parameter.name == "spread"

    @pytest.mark.parametrize("name", sorted(STRATEGIES))
    def test_the_defaults_work_and_nothing_needs_saying_about_them(self, name):
        strategy = STRATEGIES[name]
        for market in (MARKET, UNKNOWN, ON_PERP):
            params = strategy.build({}, market)
            assert type(params) is strategy.params_type
            assert strategy.warnings({}, market) == []

    @pytest.mark.parametrize("name", sorted(STRATEGIES))
    def test_records_are_integers_for_both_carriers(self, name):
        strategy = STRATEGIES[name]
        for kind in (strategy.params_type, strategy.memory_type):
            for value in as_row(kind()):
                assert all(type(number) is int for number in (value if isinstance(value, tuple) else (value,)))
            assert dtype_of(kind).names

    def test_the_seeds_flags_keep_their_defaults(self):
        declared = {parameter.flag: parameter.default for parameter in MAKER.parameters}
        assert (declared["--max-orders"], declared["--interval"], declared["--quantity"]) == ("3", "60s", None)
        assert declared["--duration"] == "1h"
        assert "--duration" not in {parameter.flag for parameter in LADDER.parameters}, "a martingale ends when it is flat, not on the hour"

    @pytest.mark.parametrize("name", sorted(STRATEGIES))
    def test_features_are_made_fresh_for_each_binding(self, name):
        strategy = STRATEGIES[name]
        params = strategy.build({}, MARKET)
        one, other = strategy.features(params), strategy.features(params)
        one(1_000_000, 14_999, 15_001)
        assert one(2_500_000, 13_499, 13_501) == (0, 100_000)
        assert other(2_500_000, 13_499, 13_501) == (0, 0)
        assert one(4_500_000, 13_499, 13_501)[0] > 0


class TestRefusedPercentages:
    """A percentage that cannot be meant says what probably was."""

    @pytest.mark.parametrize(
        ("value", "meant"),
        [("-0.33", "33"), ("-33", "33"), ("-8", "8"), ("-0.08", "8")],
    )
    def test_a_negative_stop_asks_whether_its_size_was_meant(self, value, meant):
        refused = refusal(LADDER, {"stop_loss_pct": Decimal(value)})
        assert refused.key == "setting.below.meant"
        assert refused.values["likely"] == meant
        assert refused.values["value"] == value

    def test_a_negative_without_a_likely_size_is_refused_plainly(self):
        assert refusal(LADDER, {"stop_loss_pct": Decimal("-0.00001")}).key == "setting.below"

    @pytest.mark.parametrize(
        ("values", "key"),
        [
            ({"spread": Decimal("-0.1")}, "setting.below.meant"),
            ({"spread": Decimal(0)}, "setting.below"),
            ({"spread": Decimal(51)}, "setting.above"),
            ({"spread": Decimal("0.12345")}, "setting.too-fine"),
            ({"spread": "a lot"}, "setting.not-a-number"),
            ({"max_orders": 0}, "setting.below"),
            ({"max_orders": 17}, "setting.above"),
            ({"max_orders": Decimal("2.5")}, "setting.not-whole"),
            ({"interval": "soon"}, "setting.not-a-duration"),
            ({"rebalance": "sometimes"}, "setting.not-a-choice"),
            ({"quantity": Decimal("0.015")}, "setting.off-grid"),
            ({"quantity": Decimal(-1)}, "setting.off-grid"),
            ({"quantity": Decimal(0)}, "setting.below"),
            ({"quantity": Decimal(6000)}, "quote.above-maximum"),
            ({"target_share_pct": Decimal(-10)}, "quote.short-on-spot"),
            ({"level_step_pct": Decimal(20), "max_orders": 16}, "quote.too-far"),
            ({"budget": Decimal(5), "quantity": Decimal("0.5")}, "quote.budget-too-small"),
            ({"budget": Decimal(0)}, "setting.below"),
        ],
    )
    def test_the_maker_refuses(self, values, key):
        assert refusal(MAKER, values).key == key

    def test_a_quantity_off_the_grid_names_its_neighbours(self):
        refused = refusal(MAKER, {"quantity": Decimal("0.015")})
        assert "0.01 and 0.02" in str(refused)


class TestMakersBudget:
    """Too little money is refused with what would do."""

    def test_the_smallest_budget_named_works_and_a_cent_less_does_not(self):
        values = {"quantity": Decimal("0.5"), "budget": Decimal(5)}
        smallest = Decimal(str(refusal(MAKER, values).values["smallest"]))
        assert MAKER.budget_needed(values, MARKET) == int(smallest * 10**9)
        MAKER.build(values | {"budget": smallest}, MARKET)
        assert refusal(MAKER, values | {"budget": smallest - Decimal("0.01")}).key == "quote.budget-too-small"

    def test_a_perpetual_may_have_a_short_target(self):
        assert MAKER.build({"target_share_pct": Decimal(-10)}, ON_PERP).target_ppm == -100_000

    def test_spot_wants_half_in_coins_and_a_perpetual_nothing(self):
        assert MAKER.build({}, MARKET).target_ppm == 500_000
        assert MAKER.build({}, ON_PERP).target_ppm == 0


class TestWarnings:
    """What works and ought to be said."""

    @pytest.mark.parametrize(
        ("sentence", "market", "spread", "said"),
        [
            ("the seed's own sample loses on spot by construction", MARKET, "0.1", True),
            ("twice the maker rate is enough", MARKET, "0.16", False),
            ("on a perpetual 0.1 earns", ON_PERP, "0.1", False),
            ("and 0.03 does not", ON_PERP, "0.03", True),
        ],
    )
    def test_a_spread_below_the_fees(self, sentence, market, spread, said):
        keys = [key for key, _ in MAKER.warnings({"spread": Decimal(spread)}, market)]
        assert ("quote.spread-below-fees" in keys) == said, sentence

    def test_a_spread_below_a_tick_and_a_tolerance_wider_than_half_of_it(self):
        found = dict(MAKER.warnings({"spread": Decimal("0.005"), "requote_pct": Decimal("0.004")}, ON_PERP))
        assert found["quote.spread-below-tick"]["tick"] == "0.01"
        assert found["quote.tolerance-wide"]["value"] == "0.004"

    @pytest.mark.parametrize(
        ("market", "profit", "said"),
        [(MARKET, "0.16", True), (MARKET, "0.17", False), (ON_PERP, "0.04", True), (ON_PERP, "0.05", False)],
    )
    def test_a_take_profit_below_the_round_trip(self, market, profit, said):
        keys = [key for key, _ in LADDER.warnings({"take_profit_pct": Decimal(profit)}, market)]
        assert ("ladder.profit-below-fees" in keys) == said

    def test_an_entry_above_the_market(self):
        values = {"entry": "manual", "entry_price": Decimal(160)}
        assert LADDER.warnings(values, MARKET) == [("ladder.entry-above-market", {"value": "160", "price": "150"})]


class TestStopInsideLadder:
    """A stop that sells before the next layer buys makes no martingale."""

    @pytest.mark.parametrize(
        ("sentence", "values"),
        [
            ("the defaults for 400 on SOL_USDC", {}),
            (
                "the launcher's numbers: 0.8 % steps under a stop of 4 % a layer",
                SEED | {"step_pct": Decimal("0.8")},
            ),
        ],
    )
    def test_these_fit(self, sentence, values):
        assert LADDER.build(values, MARKET), sentence

    def test_the_classes_own_numbers_stop_out_before_the_second_layer_fills(self):
        seed = SEED | {"step_pct": Decimal(5)}
        refused = refusal(LADDER, seed)
        assert refused.key == "ladder.stop-inside.by-layer"
        assert (refused.values["filled"], refused.values["stop"], refused.values["depth"]) == (1, "4", "5")
        LADDER.build(seed | {"stop_inside_ladder": True}, MARKET)
        assert dict(LADDER.warnings(seed | {"stop_inside_ladder": True}, MARKET))["ladder.stop-inside.warning"]["layers"] == 1

    @given(
        step=st.integers(20, 600), scale=st.sampled_from(["1", "1.25", "1.6"]), layers=st.integers(2, 10),
        multiplier=st.sampled_from(["1", "1.4", "2"]), stop=st.integers(100, 4000), by_layer=st.booleans(), known=st.booleans(),
    )  # fmt: skip
    @settings(max_examples=40, deadline=None)
    def test_what_is_suggested_works_and_the_next_grain_does_not(self, step, scale, layers, multiplier, stop, by_layer, known):
        values = {
            "step_pct": Decimal(step) / 100, "step_scale": Decimal(scale), "layers": layers, "multiplier": Decimal(multiplier),
            "stop_loss_pct": Decimal(stop) / 100, "stop_by_layer": by_layer, "budget": Decimal(900_000),
        }  # fmt: skip
        market = Market(PERP, 800, 1_000, 15_000 if known else 0)
        try:
            LADDER.build(values, market)
        except StrategyRefused as refused:
            if not refused.key.startswith("ladder.stop-inside"):
                return
            told = refused.values
        else:
            return
        if told["largest_step"] != "0":
            LADDER.build(values | {"step_pct": Decimal(told["largest_step"])}, market)
        wider = Decimal(told["largest_step"]) + Decimal("0.01")
        if wider < Decimal(step) / 100:
            assert refusal(LADDER, values | {"step_pct": wider}, market).key.startswith("ladder.stop-inside")
        if told["smallest_stop"] != "0":
            kept = by_layer and not refused_without_layers(told, values, market)
            LADDER.build(values | {"stop_loss_pct": Decimal(told["smallest_stop"]), "stop_by_layer": kept}, market)
            tighter = Decimal(told["smallest_stop"]) - Decimal("0.01")
            assert refusal(LADDER, values | {"stop_loss_pct": tighter, "stop_by_layer": kept}, market).key.startswith("ladder.stop-inside")


def refused_without_layers(told, values, market):
    """True when the suggested stop works only with the stop by layer switched off, as the refusal then says."""
    try:
        LADDER.build(values | {"stop_loss_pct": Decimal(told["smallest_stop"])}, market)
    except StrategyRefused:
        return True
    return False


class TestLadderInItsMarket:
    """Layers that the market would not take are refused before anything is sent."""

    def test_the_smallest_budget_named_works_and_a_cent_less_does_not(self):
        smallest = Decimal(str(refusal(LADDER, {"budget": Decimal(5)}).values["smallest"]))
        LADDER.build({"budget": smallest}, MARKET)
        assert refusal(LADDER, {"budget": smallest - Decimal("0.01")}).key == "ladder.budget-too-small"
        assert LADDER.budget_needed({}, MARKET) == int(smallest * 10**9)
        assert LADDER.budget_needed({}, UNKNOWN) == 0

    @pytest.mark.parametrize(
        ("sentence", "values", "market", "key"),
        [
            ("layers that reach below every price", {"layers": 20, "step_pct": Decimal(10)}, MARKET, "ladder.too-deep"),
            (
                "prices below the market's minimum",
                {"layers": 8, "step_pct": Decimal(10), "step_scale": Decimal(1), "stop_inside_ladder": True},
                Market(instrument("X_USDC", "X", "USDC", is_perp=False, tick="0.01", lot="0.01", min_price="60"), 800, 1_000, 15_000),
                "ladder.below-minimum-price",
            ),
            (
                "two layers at one price",
                {"step_pct": Decimal("0.001"), "step_scale": Decimal(1)},
                Market(SOL, 800, 1_000, 500),
                "ladder.step-below-tick",
            ),
            ("a layer above the market's maximum", {"budget": Decimal(10_000_000)}, MARKET, "ladder.layer-above-maximum"),
            ("a manual entry without a price", {"entry": "manual"}, MARKET, "ladder.entry-price-missing"),
            ("a manual entry off the grid", {"entry": "manual", "entry_price": Decimal("150.005")}, MARKET, "setting.off-grid"),
            ("a multiplier below one", {"multiplier": Decimal("0.9")}, MARKET, "setting.below"),
        ],
    )
    def test_refused(self, sentence, values, market, key):
        assert refusal(LADDER, values, market).key == key, sentence

    def test_what_too_deep_suggests_works(self):
        values = {"layers": 20, "step_pct": Decimal(10), "stop_inside_ladder": True, "budget": Decimal(400_000)}
        told = refusal(LADDER, values).values
        LADDER.build(values | {"step_pct": Decimal(str(told["largest_step"]))}, UNKNOWN)
        LADDER.build(values | {"layers": told["fitting_layers"]}, UNKNOWN)

    def test_what_step_below_tick_suggests_works(self):
        market = Market(SOL, 800, 1_000, 500)
        values = {"step_pct": Decimal("0.001"), "step_scale": Decimal(1)}
        told = refusal(LADDER, values, market).values
        LADDER.build(values | {"step_pct": Decimal(str(told["smallest_step"]))}, market)

    def test_more_resting_than_layers_means_all(self):
        assert LADDER.build({"layers": 3, "resting": 9}, MARKET).resting == 3
