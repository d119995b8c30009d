"""The tapes on which carriers are compared: little markets with everything in them that makes a strategy act."""

import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.fake_env import START_US
from tests.replay_rig import pair_of

from lemon_trader.config.settings import PairSettings
from lemon_trader.core.units import US_PER_S
from lemon_trader.market.acts import Source
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.scenarios import SCENARIOS, play_scenario
from lemon_trader.market.synthetic import synthetic

SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"


@dataclass(frozen=True)
class Case:
    """One strategy on one tape.

    Attributes:
        story: a scenario's name, or "synthetic".
        least: commands that it must come to, so that a tape on which nothing happens proves nothing.
    """

    name: str
    strategy: str
    symbol: str
    story: str
    values: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    seconds: int = 100
    least: int = 20

    @property
    def pair(self) -> PairSettings:
        return pair_of(self.strategy, self.symbol, **self.values)

    def source(self) -> Source:
        """The tape from its beginning; equal each time."""
        instrument = default_instrument(self.symbol)
        if self.story == "synthetic":
            whole = synthetic([instrument], seed=self.seed, start_us=START_US, activity_pct=200)
        else:
            whole = play_scenario(SCENARIOS[self.story], instrument, start_us=START_US, seed=self.seed)
        end = START_US + self.seconds * US_PER_S
        return Source(whole.instruments, START_US, itertools.takewhile(lambda act: act.at_us < end, whole))


_TAKING = {"spread": Decimal("0.1"), "rebalance": "take"}
_TIGHT = {"spread": Decimal("0.03"), "max_orders": 4, "interval": 3}
_QUICK = {"entry_wait": 5, "cooldown": 2, "pause_after_stop": 5}
_FINE = {
    "layers": 4, "step_pct": Decimal("0.05"), "step_scale": Decimal(1), "take_profit_pct": Decimal("0.05"), "stop_loss_pct": Decimal(1),
    "stop_by_layer": False, "entry": "market", "cooldown": 1, "pause_after_stop": 3, "resting": 3,
}  # fmt: skip

CASES = [
    Case("maker on spot is filled by large takers", "market-maker", SPOT, "ripple", {"spread": Decimal("0.1")}, least=300),
    Case("maker on a perpetual is filled by large takers", "market-maker", PERP, "ripple", {"spread": Decimal("0.1")}, least=300),
    Case("maker with four narrow levels follows a busy spot market", "market-maker", SPOT, "synthetic", _TIGHT, seconds=60, least=400),
    Case("maker rebalances by taking while a market falls", "market-maker", SPOT, "demo", _TAKING, least=200),
    Case("ladder on spot closes a cycle and stops another", "martingale", SPOT, "demo", _QUICK),
    Case("ladder on a perpetual closes a cycle and stops another", "martingale", PERP, "demo", _QUICK),
    Case("fine ladder on a busy perpetual cycles by market entries", "martingale", PERP, "synthetic", _FINE, seed=10, least=25),
    Case("ladder meets a crash", "martingale", SPOT, "crash", {**_QUICK, "entry": "market"}, seconds=60, least=10),
]  # fmt: skip
