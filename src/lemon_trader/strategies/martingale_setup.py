"""The martingale as a person sets it up: parameters, what is refused with the nearest values that work, what is warned of."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.records import LAYERS_MAX, Position, Row, View
from lemon_trader.core.units import ATOMS_PER_UNIT, BUY, PPM
from lemon_trader.formulas.cost import active_stop_ppm, average_atoms, round_trip_ppm, stop_loss_ticks
from lemon_trader.formulas.ladder import layer_depths_ppm, layer_shares_ppb, layer_ticks
from lemon_trader.formulas.rounding import PPB, ceil_div
from lemon_trader.strategies.features import MarketFeatures
from lemon_trader.strategies.martingale import targets, waiting
from lemon_trader.strategies.martingale_records import CLOSE, IDLE, MANUAL, STOPPED, MartingaleMemory, MartingaleParams
from lemon_trader.strategies.parameter import CYCLE, FILL, START, Market, Parameter, StrategyRefused, Value
from lemon_trader.strategies.reading import Settings, percent, stamp
from lemon_trader.strategies.sheet import anchors, plan_lots

DEEPEST_PPM: Final = 950_000  # a layer 95 % under the anchor: deeper is a mistake, not a plan
GRAIN_PPM: Final = 100  # suggested steps and stops are whole hundredths of a percent
STOP_MOST_GRAINS: Final = 990_000 // GRAIN_PPM
CENT_ATOMS: Final = ATOMS_PER_UNIT // 100
UNKNOWN_PRICE_TICKS: Final = 10**8  # where no price is known, stops are judged on a grid this fine
UNKNOWN_BUDGET_ATOMS: Final = 10**17
VOLATILITY_WINDOW_US: Final = 300_000_000
FALL_WINDOW_US: Final = 60_000_000

# In the order of the WAIT_ codes.
WAITS: Final = (
    "", "wait.masked", "wait.fresh", "wait.signal", "wait.cooldown", "wait.cycles", "wait.winding-down", "wait.orders", "wait.price",
    "wait.budget",
)  # fmt: skip
PHASES: Final = {CLOSE: "wait.close", STOPPED: "wait.stopped"}

# A STOP reaches no further than the 3 % that the limits let a closing order reach: one that they withheld would protect nothing.
PARAMETERS: Final = (
    Parameter("budget", "--budget", "quote", "400", "help.budget", low="1", sane_high="1000000", acts=START),
    Parameter("layers", "--layers", "int", "6", "help.layers", low="1", high=str(LAYERS_MAX), sane_high="12", acts=CYCLE),
    Parameter("multiplier", "--multiplier", "number", "1.4", "help.multiplier", low="1", high="10", sane_high="2.5", acts=CYCLE),
    Parameter("step_pct", "--step-pct", "pct", "1.5", "help.step-pct", low="0.001", high="50", sane_low="0.05", sane_high="10", acts=CYCLE),
    Parameter("step_scale", "--step-scale", "number", "1.25", "help.step-scale", low="0.5", high="5", sane_high="2.5", acts=CYCLE),
    Parameter("resting", "--resting", "int", "2", "help.resting", low="1", high=str(LAYERS_MAX)),
    Parameter(
        "take_profit_pct", "--take-profit-pct", "pct", "1.2", "help.take-profit-pct",
        low="0.001", high="1000", sane_low="0.1", sane_high="20", acts=FILL,
    ),
    Parameter(
        "stop_loss_pct", "--stop-loss-pct", "pct", "8", "help.stop-loss-pct",
        low="0.01", high="99", sane_low="1", sane_high="60", acts=FILL,
    ),
    Parameter("stop_by_layer", "--stop-by-layer", "bool", "true", "help.stop-by-layer", acts=FILL),
    Parameter("stop_inside_ladder", "--stop-inside-ladder", "bool", "false", "help.stop-inside-ladder"),
    Parameter("stop_slippage_pct", "--stop-slippage-pct", "pct", "2", "help.stop-slippage-pct", low="0.01", high="3", sane_low="0.1"),
    Parameter("protect_beyond_pct", "--protect-beyond-pct", "pct", "0.5", "help.protect-beyond-pct", low="0.01", high="20", sane_high="5"),
    Parameter("entry", "--entry", "choice", "offset", "help.entry", choices=("offset", "market", "manual"), acts=CYCLE),
    Parameter(
        "entry_offset_pct", "--entry-offset-pct", "pct", "0.1", "help.entry-offset-pct",
        low="0", high="50", sane_high="5", acts=CYCLE,
    ),
    Parameter("entry_price", "--entry-price", "price", None, "help.entry-price", acts=CYCLE),
    Parameter("entry_attempts", "--entry-attempts", "int", "3", "help.entry-attempts", low="0", high="1000"),
    Parameter("entry_wait", "--entry-wait", "duration", "60s", "help.entry-wait", low="1s", sane_high="1d"),
    Parameter("entry_chase_pct", "--entry-chase-pct", "pct", "0.5", "help.entry-chase-pct", low="0", high="20", sane_high="3", acts=CYCLE),
    Parameter("entry_fallback", "--entry-fallback", "choice", "market", "help.entry-fallback", choices=("skip", "market")),
    Parameter("entry_slippage_pct", "--entry-slippage-pct", "pct", "0.2", "help.entry-slippage-pct", low="0", high="5", sane_high="1"),
    Parameter("cooldown", "--cooldown", "duration", "30s", "help.cooldown", low="0s", sane_high="7d"),
    Parameter("pause_after_stop", "--pause-after-stop", "duration", "1h", "help.pause-after-stop", low="0s", sane_high="30d"),
    Parameter("cycles", "--cycles", "int", "0", "help.cycles", low="0", high="1000000"),
    Parameter("wind_down", "--wind-down", "bool", "false", "help.wind-down"),
)  # fmt: skip


class Martingale:
    """The strategy `martingale`, long, as `strategies/parameter.py` describes one."""

    name: str = "martingale"
    parameters: tuple[Parameter, ...] = PARAMETERS
    params_type: type = MartingaleParams
    memory_type: type = MartingaleMemory
    targets: Callable[[Any, View, Position, Any, list[Row]], int] = staticmethod(targets)

    def build(self, values: Mapping[str, Value], market: Market) -> MartingaleParams:
        """The params record. Raises StrategyRefused."""
        settings = Settings(values, self.parameters)
        params = self.read(values, market)
        _check_depth(params, settings)
        if not settings.switch("stop_inside_ladder"):
            _check_stop(params, market, settings)
        _check_orders(params, market, settings)
        return params

    def budget_needed(self, values: Mapping[str, Value], market: Market) -> int:
        """The smallest budget with which every layer reaches the market's minimum, quote atoms; 0 while the price is unknown."""
        return smallest_budget(self.read(values, market), market)

    def features(self, params: MartingaleParams) -> MarketFeatures:
        """A fresh maker of volatility and fall; a martingale decides by neither, the screens show them."""
        assert isinstance(params, MartingaleParams)
        return MarketFeatures(VOLATILITY_WINDOW_US, FALL_WINDOW_US)

    def waiting(self, params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory) -> str:
        """Message id of why no cycle begins, or why a running one buys no more; "" = nothing holds it back."""
        return WAITS[waiting(params, view, position, memory)] if memory.phase == IDLE else PHASES.get(memory.phase, "")

    def warnings(self, values: Mapping[str, Value], market: Market) -> list[tuple[str, dict[str, object]]]:
        """What works and ought to be said: a profit that does not pay its fees, a stop inside the ladder, an entry above the market."""
        settings = Settings(values, self.parameters)
        params = self.read(values, market)
        found: list[tuple[str, dict[str, object]]] = []
        fees = round_trip_ppm(market.maker_fee_ppm, market.maker_fee_ppm, 0 if market.instrument.is_perp else 1)
        if params.take_profit_ppm <= fees:
            found.append(("ladder.profit-below-fees", {"value": percent(params.take_profit_ppm), "break_even": percent(fees)}))
        layer = stop_inside(params, market, settings.money("budget"))
        if layer >= 0:
            found.append(("ladder.stop-inside.warning", {"layers": layer + 1, "next": layer + 1}))
        if params.entry == MANUAL and 0 < market.price_ticks < params.entry_ticks:
            price = market.instrument.price_text
            found.append(("ladder.entry-above-market", {"value": price(params.entry_ticks), "price": price(market.price_ticks)}))
        return found

    def read(self, values: Mapping[str, Value], market: Market) -> MartingaleParams:
        """The params record of values that were checked before. Raises StrategyRefused for one that is none."""
        settings = Settings(values, self.parameters)
        layers = settings.whole("layers")
        entry = settings.word("entry")
        if entry == MANUAL and not settings.is_set("entry_price"):
            raise StrategyRefused("ladder.entry-price-missing", name="--entry-price")
        params = MartingaleParams(
            side=BUY,
            layers=layers,
            resting=min(settings.whole("resting"), layers),
            entry=entry,
            offset_ppm=settings.rate("entry_offset_pct"),
            entry_ticks=settings.ticks("entry_price", market.instrument) if entry == MANUAL else 0,
            attempts=settings.whole("entry_attempts"),
            entry_wait_us=settings.time_us("entry_wait"),
            chase_ppm=settings.rate("entry_chase_pct"),
            fallback=settings.word("entry_fallback"),
            entry_slippage_ppm=settings.rate("entry_slippage_pct"),
            take_profit_ppm=settings.rate("take_profit_pct"),
            stop_ppm=settings.rate("stop_loss_pct"),
            stop_by_layer=settings.switch("stop_by_layer"),
            stop_slippage_ppm=settings.rate("stop_slippage_pct"),
            protect_ppm=settings.rate("protect_beyond_pct"),
            cooldown_us=settings.time_us("cooldown"),
            pause_us=settings.time_us("pause_after_stop"),
            cycles=settings.whole("cycles"),
            winding_down=settings.switch("wind_down"),
        )
        _fill(params.share_ppb, layer_shares_ppb(layers, settings.factor("multiplier")))
        _fill(params.depth_ppm, layer_depths_ppm(layers, settings.rate("step_pct"), settings.factor("step_scale")))
        plan = (layers, entry, params.offset_ppm, params.entry_ticks, params.chase_ppm, *params.share_ppb, *params.depth_ppm)
        params.stamp = stamp(plan)
        return params


def stop_inside(params: MartingaleParams, market: Market, budget_atoms: int) -> int:
    """The first depth whose stop would sell before the next layer could buy; -1 = none. In ticks and lots, as the cycle would have them."""
    instrument = market.instrument
    lot_worth = instrument.tick_lot_atoms
    anchor, most = anchors(params, market.price_ticks)
    lots = plan_lots(params, market, budget_atoms, most) if anchor > 0 else []
    if not lots or min(lots) == 0:
        # Price or budget are not known yet, or too small: then the shares alone decide, on a grid that rounds nothing away.
        anchor, lot_worth = UNKNOWN_PRICE_TICKS, 1
        prices = [layer_ticks(anchor, depth, params.side) for depth in params.depth_ppm[: params.layers]]
        lots = [UNKNOWN_BUDGET_ATOMS * share // PPB // max(price, 1) for share, price in zip(params.share_ppb, prices, strict=False)]
    held = spent = 0
    for layer in range(params.layers - 1):
        held += lots[layer]
        spent += layer_ticks(anchor, params.depth_ppm[layer], params.side) * lots[layer] * lot_worth
        stop_ppm = active_stop_ppm(params.stop_ppm, params.stop_by_layer, layer)
        stop = stop_loss_ticks(average_atoms(spent, held, 1), stop_ppm, lot_worth, params.side)
        if (stop - layer_ticks(anchor, params.depth_ppm[layer + 1], params.side)) * params.side >= 0:
            return layer
    return -1


def smallest_budget(params: MartingaleParams, market: Market) -> int:
    """The smallest budget with which each layer buys the market's minimum at this price, quote atoms in whole cents; 0 = price unknown."""
    instrument = market.instrument
    anchor, most = anchors(params, market.price_ticks)
    if anchor <= 0:
        return 0
    fee = max(market.maker_fee_ppm, market.taker_fee_ppm, 0)
    spend = 0
    for layer in range(params.layers):
        price = max(layer_ticks(most, params.depth_ppm[layer], params.side), 1)
        spend = max(spend, ceil_div(instrument.notional_atoms(price, instrument.min_lots) * PPB, params.share_ppb[layer]))
    return ceil_div(ceil_div(spend * (PPM + fee), PPM), CENT_ATOMS) * CENT_ATOMS


def _check_depth(params: MartingaleParams, settings: Settings) -> None:
    deepest = params.depth_ppm[params.layers - 1]
    if deepest <= DEEPEST_PPM:
        return
    step, scale = settings.rate("step_pct"), settings.factor("step_scale")
    largest = _largest(step // GRAIN_PPM, lambda n: layer_depths_ppm(params.layers, n * GRAIN_PPM, scale)[-1] <= DEEPEST_PPM)
    raise StrategyRefused(
        "ladder.too-deep", layers=params.layers, depth=percent(deepest), most=percent(DEEPEST_PPM), step=percent(step),
        largest_step=percent(largest * GRAIN_PPM), fitting_layers=sum(1 for d in params.depth_ppm[: params.layers] if d <= DEEPEST_PPM),
    )  # fmt: skip


def _check_stop(params: MartingaleParams, market: Market, settings: Settings) -> None:
    """Refuse a ladder that would be given up before it is used, with the largest step and the smallest stop that work."""
    budget = settings.money("budget")
    layer = stop_inside(params, market, budget)
    if layer < 0:
        return
    step, scale = settings.rate("step_pct"), settings.factor("step_scale")

    def step_fits(grains: int) -> bool:
        depths = layer_depths_ppm(params.layers, grains * GRAIN_PPM, scale)
        return stop_inside(replace(params, depth_ppm=depths), market, budget) < 0

    def stop_fits(grains: int, by_layer: int) -> bool:
        return stop_inside(replace(params, stop_ppm=grains * GRAIN_PPM, stop_by_layer=by_layer), market, budget) < 0

    by_layer = params.stop_by_layer
    smallest = _smallest(params.stop_ppm // GRAIN_PPM, STOP_MOST_GRAINS, lambda n: stop_fits(n, by_layer))
    if smallest == 0 and by_layer:  # 4 % a layer is the tighter one, and no configured stop changes that
        by_layer = 0
        smallest = _smallest(1, STOP_MOST_GRAINS, lambda n: stop_fits(n, 0))
    raise StrategyRefused(
        "ladder.stop-inside" if by_layer == params.stop_by_layer else "ladder.stop-inside.by-layer",
        filled=layer + 1,
        next=layer + 1,
        stop=percent(active_stop_ppm(params.stop_ppm, params.stop_by_layer, layer)),
        depth=percent(params.depth_ppm[layer + 1]),
        step=percent(step),
        largest_step=percent(_largest(step // GRAIN_PPM, step_fits) * GRAIN_PPM),
        smallest_stop=percent(smallest * GRAIN_PPM),
        override="--stop-inside-ladder",
    )


def _check_orders(params: MartingaleParams, market: Market, settings: Settings) -> None:
    """Refuse layers that the market would not take: too small, too large, too cheap, or two at one price."""
    instrument = market.instrument
    budget = settings.money("budget")
    anchor, most = anchors(params, market.price_ticks)
    if anchor <= 0:
        return  # no price yet: a cycle that does not fit will not arm, and says so
    prices = [layer_ticks(anchor, depth, params.side) for depth in params.depth_ppm[: params.layers]]
    lowest = max(instrument.min_ticks, 1)
    if min(prices) < lowest:
        fitting = sum(1 for price in prices if price >= lowest)
        raise StrategyRefused(
            "ladder.below-minimum-price", layer=fitting, price=instrument.price_text(max(min(prices), 0)),
            minimum=instrument.price_text(lowest), fitting_layers=fitting, symbol=instrument.symbol,
        )  # fmt: skip
    for layer in range(1, params.layers):
        if prices[layer] == prices[layer - 1]:
            raise StrategyRefused(
                "ladder.step-below-tick", step=percent(settings.rate("step_pct")), layer=layer, tick=instrument.tick,
                smallest_step=percent(ceil_div(2 * PPM, anchor)),
            )  # fmt: skip
    lots = plan_lots(params, market, budget, most)
    if min(lots) < max(instrument.min_lots, 1):
        needed = smallest_budget(params, market)
        raise StrategyRefused(
            "ladder.budget-too-small", value=atoms_text(budget), smallest=atoms_text(needed), layers=params.layers,
            layer=lots.index(min(lots)), quantity=instrument.qty_text(min(lots)), minimum=instrument.qty_text(instrument.min_lots),
            symbol=instrument.symbol,
        )  # fmt: skip
    if instrument.max_lots and max(lots) > instrument.max_lots:
        raise StrategyRefused(
            "ladder.layer-above-maximum", layer=lots.index(max(lots)), quantity=instrument.qty_text(max(lots)),
            maximum=instrument.qty_text(instrument.max_lots), symbol=instrument.symbol,
        )  # fmt: skip


def _largest(high: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `high` that fits, when all below it fit too; 0 = none."""
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _smallest(low: int, high: int, fits: Callable[[int], bool]) -> int:
    """The smallest number from `low` to `high` that fits, when all above it fit too; 0 = none."""
    if not fits(high):
        return 0
    while low < high:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _fill(target: list[int], values: list[int]) -> None:
    target[: len(values)] = values
