"""The market maker as a person sets it up: parameters, what is refused, what is warned of."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.records import LEVELS_MAX, Row, View, as_row
from lemon_trader.core.records import Position as PositionRecord
from lemon_trader.core.units import PPM, US_PER_S
from lemon_trader.formulas.rounding import ceil_div, root
from lemon_trader.strategies.features import MarketFeatures
from lemon_trader.strategies.market_maker import MarketMakerMemory, MarketMakerParams, targets
from lemon_trader.strategies.parameter import QUOTE, START, Market, Parameter, StrategyRefused, Value
from lemon_trader.strategies.reading import Settings, percent, stamp

SPOT_TARGET_PPM: Final = 500_000  # half coins, half money: both sides can be quoted from the first minute
PERP_TARGET_PPM: Final = 0
TOLERANCE_PARTS: Final = 10  # a derived tolerance is a tenth of the spread

PARAMETERS: Final = (
    Parameter("spread", "--spread", "pct", "0.4", "help.spread", low="0.0001", high="50", sane_low="0.01", sane_high="10"),
    Parameter("budget", "--budget", "quote", None, "help.budget", low="1", sane_high="1000000", acts=START),
    Parameter("quantity", "--quantity", "qty", None, "help.quantity", acts=QUOTE),
    Parameter("max_orders", "--max-orders", "int", "3", "help.max-orders", low="1", high=str(LEVELS_MAX)),
    Parameter("level_step_pct", "--level-step-pct", "pct", None, "help.level-step-pct", low="0.0001", high="20", sane_high="5"),
    Parameter("duration", "--duration", "duration", "1h", "help.duration", low="1s", sane_high="366d", acts=START),
    Parameter("interval", "--interval", "duration", "60s", "help.interval", low="1s", sane_high="1h"),
    Parameter("requote_pct", "--requote-pct", "pct", None, "help.requote-pct", low="0", high="10", sane_high="2"),
    Parameter("pull_pause", "--pull-pause", "duration", "1s", "help.pull-pause", low="0s", sane_high="5m"),
    Parameter("target_share_pct", "--target-share-pct", "pct", None, "help.target-share-pct", low="-100", high="100"),
    Parameter("rebalance", "--rebalance", "choice", "passive", "help.rebalance", choices=("off", "passive", "take")),
    Parameter(
        "rebalance_threshold_pct", "--rebalance-threshold-pct", "pct", "15", "help.rebalance-threshold-pct",
        low="0.1", high="100", sane_low="1", sane_high="60",
    ),
    Parameter(
        "rebalance_slippage_pct", "--rebalance-slippage-pct", "pct", "0.1", "help.rebalance-slippage-pct",
        low="0", high="5", sane_high="1",
    ),
    Parameter("skew_pct", "--skew-pct", "pct", "50", "help.skew-pct", low="0", high="100"),
    Parameter("volatility_factor", "--volatility-factor", "number", "1", "help.volatility-factor", low="0", high="100"),
    Parameter("volatility_horizon", "--volatility-horizon", "duration", "1s", "help.volatility-horizon", low="1s", sane_high="1h"),
    Parameter("volatility_window", "--volatility-window", "duration", "5m", "help.volatility-window", low="1s", sane_high="1d"),
    Parameter("fall_limit_pct", "--fall-limit-pct", "pct", "1", "help.fall-limit-pct", low="0", high="100", sane_high="20"),
    Parameter("fall_window", "--fall-window", "duration", "60s", "help.fall-window", low="1s", sane_high="1h"),
)  # fmt: skip


class MarketMaker:
    """The strategy `market-maker`, as `strategies/parameter.py` describes one."""

    name: str = "market-maker"
    parameters: tuple[Parameter, ...] = PARAMETERS
    params_type: type = MarketMakerParams
    memory_type: type = MarketMakerMemory
    targets: Callable[[Any, View, PositionRecord, Any, list[Row]], int] = staticmethod(targets)

    def build(self, values: Mapping[str, Value], market: Market) -> MarketMakerParams:
        """The params record. Raises StrategyRefused."""
        params = self.read(values, market)
        instrument = market.instrument
        if params.target_ppm < 0 and not instrument.is_perp:
            raise StrategyRefused(
                "quote.short-on-spot", name="--target-share-pct", value=percent(params.target_ppm), symbol=instrument.symbol
            )
        if params.quantity_lots:
            quantity = instrument.qty_text(params.quantity_lots)
            if params.quantity_lots < instrument.min_lots:
                least = instrument.qty_text(instrument.min_lots)
                raise StrategyRefused("quote.below-minimum", value=quantity, minimum=least, symbol=instrument.symbol)
            if instrument.max_lots and params.quantity_lots > instrument.max_lots:
                most = instrument.qty_text(instrument.max_lots)
                raise StrategyRefused("quote.above-maximum", value=quantity, maximum=most, symbol=instrument.symbol)
        farthest = params.spread_ppm // 2 + (params.levels - 1) * params.level_step_ppm
        if farthest >= PPM:
            raise StrategyRefused(
                "quote.too-far", levels=params.levels, value=percent(params.level_step_ppm),
                largest=percent((PPM - 1 - params.spread_ppm // 2) // (params.levels - 1)),
            )  # fmt: skip
        budget = Settings(values, self.parameters).money("budget")
        needed = self._budget_needed(params, market)
        if 0 < budget < needed:
            raise StrategyRefused(
                "quote.budget-too-small",
                value=atoms_text(budget),
                smallest=atoms_text(needed),
                levels=params.levels,
                symbol=instrument.symbol,
            )
        return params

    def budget_needed(self, values: Mapping[str, Value], market: Market) -> int:
        """The smallest budget with which all levels of both sides can rest, quote atoms; 0 while the price is unknown."""
        return self._budget_needed(self.read(values, market), market)

    def features(self, params: MarketMakerParams) -> MarketFeatures:
        """A fresh maker of volatility and fall over the windows of `params`."""
        return MarketFeatures(params.volatility_window_us, params.fall_window_us)

    def waiting(self, params: MarketMakerParams, view: View, position: PositionRecord, memory: MarketMakerMemory) -> str:
        """Message id of what keeps quotes away now; "" = nothing."""
        del params, position
        if memory.bids_paused:
            return "wait.bids-paused"
        return "wait.pulled" if memory.pulled_side and view.now_us < memory.calm_us else ""

    def warnings(self, values: Mapping[str, Value], market: Market) -> list[tuple[str, dict[str, object]]]:
        """What works and ought to be said: a spread that cannot earn its fees, one below a tick, orders below the minimum."""
        params = self.read(values, market)
        found: list[tuple[str, dict[str, object]]] = []
        fees = break_even_ppm(market)
        if params.spread_ppm < fees:
            found.append(("quote.spread-below-fees", {"spread": percent(params.spread_ppm), "break_even": percent(fees)}))
        if market.price_ticks and params.spread_ppm * market.price_ticks < PPM:
            found.append(("quote.spread-below-tick", {"spread": percent(params.spread_ppm), "tick": market.instrument.tick}))
        if params.tolerance_ppm * 2 > params.spread_ppm:
            found.append(("quote.tolerance-wide", {"value": percent(params.tolerance_ppm), "half": percent(params.spread_ppm // 2)}))
        return found

    def read(self, values: Mapping[str, Value], market: Market) -> MarketMakerParams:
        """The params record of values that were checked before. Raises StrategyRefused for one that is none."""
        settings = Settings(values, self.parameters)
        perp = market.instrument.is_perp
        spread = settings.rate("spread")
        target = PERP_TARGET_PPM if perp else SPOT_TARGET_PPM
        horizon_s = settings.time_us("volatility_horizon") // US_PER_S
        params = MarketMakerParams(
            spread_ppm=spread,
            levels=settings.whole("max_orders"),
            level_step_ppm=settings.rate("level_step_pct") if settings.is_set("level_step_pct") else max(spread // 2, 1),
            quantity_lots=settings.lots("quantity", market.instrument),
            target_ppm=settings.rate("target_share_pct") if settings.is_set("target_share_pct") else target,
            skew_ppm=settings.rate("skew_pct"),
            widening_ppm=settings.factor("volatility_factor") * root(horizon_s * PPM * PPM) // PPM,
            tolerance_ppm=settings.rate("requote_pct") if settings.is_set("requote_pct") else spread // TOLERANCE_PARTS,
            interval_us=settings.time_us("interval"),
            pull_us=settings.time_us("pull_pause"),
            fall_limit_ppm=settings.rate("fall_limit_pct"),
            rebalance=settings.word("rebalance"),
            threshold_ppm=settings.rate("rebalance_threshold_pct"),
            slippage_ppm=settings.rate("rebalance_slippage_pct"),
            volatility_window_us=settings.time_us("volatility_window"),
            fall_window_us=settings.time_us("fall_window"),
        )
        params.stamp = stamp(as_row(params))
        return params

    def _budget_needed(self, params: MarketMakerParams, market: Market) -> int:
        if not market.price_ticks:
            return 0
        lots = max(params.quantity_lots, market.instrument.min_lots)
        side = market.instrument.notional_atoms(market.price_ticks, lots) * params.levels
        # On spot the bids are money and the asks are coins, both out of the budget; a tick of movement in between is allowed for.
        return 2 * side + ceil_div(2 * side, 100)


def break_even_ppm(market: Market) -> int:
    """The spread at which a buy and a sell, both as maker, end at zero after fees: twice the account's own maker rate, ppm."""
    return max(2 * market.maker_fee_ppm, 0)
