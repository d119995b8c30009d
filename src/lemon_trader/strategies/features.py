"""The maker of the features that strategies read, as the core calls it: one record, one function for every carrier."""

from lemon_trader.core.units import US_PER_S
from lemon_trader.formulas.volatility import BUCKETS, Features, update_features


class MarketFeatures:
    """Called with every touch; gives volatility and fall, ppm."""

    __slots__ = ("state",)

    def __init__(self, volatility_window_us: int, fall_window_us: int) -> None:
        self.state = Features(volatility_window_us, fall_window_us)

    @property
    def windows_us(self) -> tuple[int, int]:
        """Over which times volatility and fall are measured, µs."""
        return self.state.volatility_window_us, self.state.fall_window_us

    def resize(self, volatility_us: int, fall_us: int) -> None:
        """Measure over other times from now on. What was measured goes on: a quote must not forget that the market trembles or falls."""
        state = self.state
        state.volatility_window_us = volatility_us
        state.weight = min(state.weight, max(volatility_us // US_PER_S, 1))
        if fall_us != state.fall_window_us and state.mid2:
            # The highest mid of the old window counts as one of every part of the new one, and leaves it with them.
            state.bucket = state.second * US_PER_S * BUCKETS // fall_us
            state.high2 = [state.highest2] * BUCKETS
        state.fall_window_us = fall_us

    def rescale(self, tick_factor: int) -> None:
        """Go on in ticks that are smaller by this factor; what the features say does not change."""
        state = self.state
        state.mid2 *= tick_factor
        state.second_mid2 *= tick_factor
        state.highest2 *= tick_factor
        state.high2 = [high * tick_factor for high in state.high2]

    def __call__(self, now_us: int, bid_ticks: int, ask_ticks: int) -> tuple[int, int]:
        """(volatility_ppm, fall_ppm) after this touch; times never go back."""
        update_features(self.state, now_us, bid_ticks, ask_ticks)
        return self.state.volatility_ppm, self.state.fall_ppm
