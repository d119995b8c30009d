"""The exchange's switches, all in one place.

Where the API reference (§10) could not establish what the venue does, the guess has a name here and may be turned; `docs/sandbox.md` lists
them. What concerns requests and frames alone stands in `sandbox.desk.Switches`.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from lemon_trader.core.units import PPM, US_PER_S
from lemon_trader.matching.orders import SelfTrade, Status, TriggerBy

STATED: Final = "stated"
COMPUTED: Final = "computed"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a market has beside its filters.

    Attributes:
        imf_factor_ppb / mmf_factor_ppb: margin fraction = max(base, factor x sqrt(notional in quote units)); 0 = the base alone.
        open_interest_lots: no order may bring open interest above it; 0 = no limit.
        position_weight_ppm: how much a position here counts towards an account's position limit.
        premium_band_ppm: how far a limit price's premium over the index may be from the mark's, of the index; 0 = no band.
        funding_cap_ppb: bound of an interval's funding rate, both ways.
    """

    imf_factor_ppb: int = 0
    mmf_factor_ppb: int = 0
    open_interest_lots: int = 0
    position_weight_ppm: int = PPM
    premium_band_ppm: int = 0
    funding_cap_ppb: int = 15_000_000


class Loan(msgspec.Struct, frozen=True, kw_only=True):
    """How an asset counts as collateral and how it is lent.

    Attributes:
        weight_ppm: what a unit counts as margin beside its price; the settlement asset is always whole.
        curve_base_ppm / curve_ppb: of much of it a unit counts less, at most base / (1 + curve x sqrt(quantity)); base 0 = no curve.
        supply_atoms: what the outside world lends to the pool, for ever.
        demand_atoms: what the outside world has borrowed of it.
        rate_ppm: yearly interest at the optimal utilisation.
        optimal_ppm / bound_ppm: utilisation where the rate bends upwards, and above which nothing more can be borrowed.
        fee_ppm: share of the interest that lenders do not get.
        imf_ppm / mmf_ppm: margin fractions of a debt.
    """

    weight_ppm: int = 0
    curve_base_ppm: int = 0
    curve_ppb: int = 0
    supply_atoms: int = 0
    demand_atoms: int = 0
    rate_ppm: int = 50_000
    optimal_ppm: int = 800_000
    bound_ppm: int = 950_000
    fee_ppm: int = 100_000
    imf_ppm: int = 20_000
    mmf_ppm: int = 12_500


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's switches.

    Attributes:
        spot_maker_ppm .. perp_taker_ppm: fees, tier 1; negative = rebate. Rounded up to an atom against the payer.
        perp_fee_step_atoms: fees of perpetuals are whole multiples of it, rounded up: the wire shows six decimals of USDC; 1 = to the atom.
        taker_delay_us: how long an order that would take waits before it meets the book; the venue's own is 100,000 (reference §5.4).
        client_id_rule: "live" refuses a client id that a live order carries; "forever" one that was ever used; "none" refuses nothing,
            and the newest live order is meant.
        default_self_trade: for orders that name none.
        default_trigger_by_perp / _spot: for triggers that name none.
        partial_market_status: EXPIRED or PARTIALLY_FILLED, of a market or IOC order that filled in part and then ended.
        child_keeps_client_id: whether a fired trigger's child carries the trigger's client id.
        step_multiples: whether prices and quantities must be multiples of tick and step where those are no powers of ten; without it
            their decimals alone are looked at.
        close_expires_orders: whether a market that closes lets all that rests and waits in it expire.
        max_open_orders: live orders of an account in a market; 0 = no limit.
        position_limit_atoms: of an account, positions and the orders that enlarge them, weighted, at mark, settlement asset; 0 = no limit.
        borrow_limit_atoms: of an account, what all its debts are worth; 0 = no limit.
        premium_band_sides: "taking" holds only bids from above and asks from below to the premium band, "both" every limit price.
        max_triggers: pending triggers of an account in a market, attached ones included; 0 = no limit.
        attached_arms: "fill" arms attached take-profit and stop-loss with the parent's first fill, "end" when the parent is over.
        attached_cancel_one_another: whether one of the pair ends the other when it fires.
        post_only_rejection_events: whether a post-only order that would take is told in the stream and history, beside its refusal.
        liquidation_fee_ppm: instead of the taker fee on each fill of a liquidation.
        liquidation_chunk_ppm: share of a position that one liquidation order takes off; 1,000,000 = all at once.
        liquidation_pause_us: between two such orders.
        auto_close_ppm: below this share of the maintenance margin the book is left alone and the backstop takes the position over;
            0 = it never does, the book has to.
        has_backstop: whether there is one; without it, and below zero equity, positions are deleveraged against those who won.
        imf_floor_ppm: initial margin fraction of every account is at least this: 1 / its leverage limit; 0 = the market's own alone.
        funding_interval_us: funding falls due at every multiple of it since the epoch.
        settlement_interval_us: how often unrealised profit moves into the balance; 0 = only when a position is reduced.
        interest_interval_us: how often lending interest is paid.
        mark_rule: "computed" makes mark, premium and funding from book and index once a second; "stated" takes them from outside.
        mark_band_ppm: how far a computed mark may be from the index.
        loans: collateral weights and lending pools by asset; an asset without an entry is neither lent nor collateral.
        auto_lend, auto_borrow_settlements, auto_repay_borrows: what a new account's flags are.
    """

    spot_maker_ppm: int = 800
    spot_taker_ppm: int = 1_000
    perp_maker_ppm: int = 200
    perp_taker_ppm: int = 500
    perp_fee_step_atoms: int = 1_000
    taker_delay_us: int = 0
    client_id_rule: str = "live"
    default_self_trade: SelfTrade = SelfTrade.REJECT_TAKER
    default_trigger_by_perp: TriggerBy = TriggerBy.MARK
    default_trigger_by_spot: TriggerBy = TriggerBy.LAST
    partial_market_status: Status = Status.EXPIRED
    child_keeps_client_id: bool = False
    step_multiples: bool = True
    close_expires_orders: bool = False
    max_open_orders: int = 0
    position_limit_atoms: int = 0
    borrow_limit_atoms: int = 0
    premium_band_sides: str = "taking"
    max_triggers: int = 20
    attached_arms: str = "fill"
    attached_cancel_one_another: bool = True
    post_only_rejection_events: bool = False
    liquidation_fee_ppm: int = 10_000
    liquidation_chunk_ppm: int = 100_000
    liquidation_pause_us: int = US_PER_S
    auto_close_ppm: int = 500_000
    has_backstop: bool = True
    imf_floor_ppm: int = 0
    funding_interval_us: int = 3_600 * US_PER_S
    settlement_interval_us: int = 10 * US_PER_S
    interest_interval_us: int = 3_600 * US_PER_S
    mark_rule: str = STATED
    mark_band_ppm: int = 50_000
    loans: Mapping[str, Loan] = msgspec.field(default_factory=dict)
    auto_lend: bool = False
    auto_borrow_settlements: bool = False
    auto_repay_borrows: bool = False
    first_order_id: int = 8_000_000_001
    first_trade_id: int = 1
    first_update_id: int = 1
    first_position_id: int = 5_000_000_001

    def __post_init__(self) -> None:
        """Refuse a switch that names no rule. Raises ValueError."""
        _check("client_id_rule", self.client_id_rule, ("live", "forever", "none"))
        _check("partial_market_status", self.partial_market_status, (Status.EXPIRED, Status.PARTIALLY_FILLED))
        _check("attached_arms", self.attached_arms, ("fill", "end"))
        _check("premium_band_sides", self.premium_band_sides, ("taking", "both"))
        _check("mark_rule", self.mark_rule, (STATED, COMPUTED))
        for name in (
            "taker_delay_us",
            "settlement_interval_us",
            "liquidation_pause_us",
            "max_triggers",
            "max_open_orders",
            "position_limit_atoms",
            "borrow_limit_atoms",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("funding_interval_us", "interest_interval_us", "liquidation_chunk_ppm", "perp_fee_step_atoms"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.liquidation_chunk_ppm > PPM:
            raise ValueError(f"liquidation_chunk_ppm is {self.liquidation_chunk_ppm}; it must be at most {PPM}")


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
