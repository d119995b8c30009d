"""The maker of the features that strategies read, as the core calls it: one record, one function for every carrier."""

from lemon_trader.formulas.volatility import Features, update_features


class MarketFeatures:
    """Called with every touch; gives volatility and fall, ppm."""

    __slots__ = ("state",)

    def __init__(self, volatility_window_us: int, fall_window_us: int) -> None:
        self.state = Features(volatility_window_us, fall_window_us)

    @property
    def windows_us(self) -> tuple[int, int]:
        """Over which times volatility and fall are measured, µs."""
        return self.state.volatility_window_us, self.state.fall_window_us

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
