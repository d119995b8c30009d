"""Concrete parts made from settings: signer, venue, bindings, limits. Nothing here connects or trades."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from lemon_trader.config.settings import LimitSettings, PairSettings
from lemon_trader.config.values import default, parse
from lemon_trader.core.instrument import GateError, Instrument
from lemon_trader.core.market import Binding, MarketState
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import ATOMS_PER_UNIT, PPM
from lemon_trader.engine.startup import Plan, StartRefused
from lemon_trader.env import Env, Store
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.exchanges.dialect import Signer
from lemon_trader.exchanges.signers import Ed25519Signer, HmacSha256Signer
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market, Strategy, Value
from lemon_trader.strategies.reading import percent
from lemon_trader.venues.live import LiveVenue
from lemon_trader.venues.paper import PaperVenue
from lemon_trader.venues.venue import Sink

EXCHANGE: Final = "backpack"
# How far an order may reach through the touch: fields of params records, and their flags.
REACHES: Final = {"entry_slippage_ppm": "--entry-slippage-pct", "slippage_ppm": "--rebalance-slippage-pct"}
DERIVED_SHARE: Final = Decimal("0.5")  # of what is available, where no budget is given and the strategy needs one


def default_values(strategy: str, **changed: Value) -> Mapping[str, Value]:
    """Every parameter of a strategy at its default, except those named; for programs, which parse nothing."""
    parameters = STRATEGIES[strategy].parameters
    unknown = changed.keys() - {p.name for p in parameters}
    assert not unknown, f"{strategy} has no parameter {unknown}"
    return {**{p.name: default(p) for p in parameters}, **changed}


def texts_of(values: Mapping[str, Value]) -> dict[str, str]:
    """Values as a journal keeps them: text by name, without those that are off or derived."""
    return {name: str(value) for name, value in values.items() if value is not None}


def values_of(strategy: Strategy, texts: Mapping[str, str]) -> dict[str, Value]:
    """What `texts_of` kept, as values; what is not there is at its default. Raises BadSetting."""
    return {p.name: parse(p, texts[p.name]) if p.name in texts else default(p) for p in strategy.parameters}


def make_signer(api_key: str, secret: str, *, scheme: str = "ed25519") -> Signer:
    """The signer of this key pair. Raises SecretError."""
    signable = exchange(EXCHANGE).signable
    if scheme == "hmac-sha256":
        return HmacSha256Signer(api_key, secret, signable=signable)
    return Ed25519Signer(secret, signable=signable, api_key=api_key)


def make_venue(env: Env, signer: Signer, sink: Sink, *, rest_url: str = "", ws_url: str = "") -> LiveVenue:
    """The venue that speaks to the exchange, or to a sandbox at these addresses."""
    known = exchange(EXCHANGE)
    return LiveVenue(env, known.dialect(), signer, sink, rest_url=rest_url or known.rest_url, ws_url=ws_url or known.ws_url)


def make_paper(
    env: Env, store: Store, sink: Sink, balances: Mapping[str, Decimal], *, rest_url: str = "", ws_url: str = ""
) -> PaperVenue:  # fmt: skip
    """The venue over the exchange's public streams, or those of a sandbox at these addresses, with an account of its own in `store`."""
    known = exchange(EXCHANGE)
    return PaperVenue(
        env, known.dialect(), store, sink, rest_url=rest_url or known.rest_url, ws_url=ws_url or known.ws_url,
        balances={asset: to_atoms(amount) for asset, amount in balances.items()},
    )  # fmt: skip


def market_of(state: AccountState, instrument: Instrument) -> Market:
    """What a strategy may know when its parameters are built."""
    m = state.markets[instrument.symbol]
    return Market(instrument, m.view.maker_fee_ppm, m.view.taker_fee_ppm, m.reference_ticks())


def budget_of(pair: PairSettings, strategy: Strategy, market: Market, available_atoms: int) -> int:
    """Quote atoms reserved for this pair: as given, else what the strategy needs, else half of what is available."""
    if pair.budget is not None:
        return to_atoms(pair.budget)
    needed = getattr(strategy, "budget_needed", None)
    if needed is not None and pair.values.get("quantity") is not None:
        return int(needed(pair.values, market))
    return int(available_atoms * DERIVED_SHARE)


def make_plan(pair: PairSettings, state: AccountState, instrument: Instrument, available_atoms: int) -> Plan:
    """What this pair shall do, checked against the market as it is. Raises StrategyRefused, StartRefused.

    `available_atoms`: what a budget that nobody gave may be taken of; several such pairs have equal shares of what is there.
    """
    strategy = STRATEGIES[pair.strategy]
    market = market_of(state, instrument)
    budget = budget_of(pair, strategy, market, available_atoms)
    values: Mapping[str, Value] = {**pair.values, "budget": Decimal(budget) / ATOMS_PER_UNIT}
    params = strategy.build(values, market)
    lots = 0
    if pair.inventory:
        try:
            lots = instrument.qty_lots(f"{pair.inventory:f}")
        except GateError as error:
            raise StartRefused("start.inventory", symbol=pair.symbol, error=error) from error

    def bind(_: MarketState) -> Binding:
        features = strategy.features(params)

        def edit(binding: Binding, texts: Mapping[str, str]) -> None:
            binding.params = strategy.read(values_of(strategy, texts), market_of(state, state.markets[pair.symbol].instrument))
            features.resize(*strategy.features(binding.params).windows_us)

        return Binding(
            strategy.name, strategy.targets, params, strategy.memory_type(), features, budget,
            regrid=features.rescale, waiting=strategy.waiting, edit=edit,
        )  # fmt: skip

    cost = instrument.notional_atoms(market.price_ticks, lots)
    return Plan(pair.symbol, pair.strategy, texts_of(values), budget, lots, cost, params, bind)


def apply_limits(state: AccountState, limits: LimitSettings, plans: list[Plan]) -> None:
    """Write the limits of the settings into the state, in integers."""
    total = sum(p.budget_atoms for p in plans)
    state.day_loss_max = int(total * limits.daily_loss_pct / 100)
    state.drawdown_max = int(total * limits.drawdown_pct / 100)
    for plan in plans:
        of = state.markets[plan.symbol].limits
        of.orders_max = limits.open_orders
        of.order_notional_max = to_atoms(limits.order_notional) if limits.order_notional is not None else plan.budget_atoms
        of.position_notional_max = to_atoms(limits.position_notional) if limits.position_notional is not None else 0
        of.collar_ppm = int(limits.slippage_pct * PPM / 100)
        of.exit_collar_ppm = max(of.exit_collar_ppm, of.collar_ppm)
        check_reach(plan.symbol, plan.built, of.collar_ppm)


def check_reach(symbol: str, params: Any, collar_ppm: int) -> None:
    """Refuse an order that may reach further through the touch than the limits let any: it would be withheld. Raises StartRefused."""
    for name, flag in REACHES.items():
        reach_ppm = getattr(params, name, 0)
        if reach_ppm > collar_ppm:
            raise StartRefused("start.reach", symbol=symbol, name=flag, value=percent(reach_ppm), limit=percent(collar_ppm))


def to_atoms(amount: Decimal) -> int:
    """Quote units as atoms, towards zero."""
    return int(amount * ATOMS_PER_UNIT)
