"""From parsed settings to the integers of a params record, refusing what cannot be with the way out.

The doors have checked kinds and bounds before (`config/values.py`). A strategy that is built by a program instead of a person passes here
alone, so signs and fractions are judged again.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from lemon_trader.core.instrument import GateError, Instrument, atoms, ppm
from lemon_trader.core.units import PPM, US_PER_S
from lemon_trader.strategies.parameter import Parameter, StrategyRefused, Value

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PPM_A_PERCENT: Final = PPM // 100
_STAMP_PRIME: Final = 2**61 - 1


class Settings:
    """The values of one strategy, with the declared default where none was given. Every reader raises StrategyRefused."""

    def __init__(self, values: Mapping[str, Value], parameters: Iterable[Parameter]) -> None:
        self._values = values
        self._declared = {parameter.name: parameter for parameter in parameters}

    def is_set(self, name: str) -> bool:
        """True when there is a value or a default."""
        return self._text(name) is not None

    def rate(self, name: str) -> int:
        """A percentage as ppm: "0.1" is 1,000. Finer than 1 ppm is refused."""
        text = self._needed(name)
        number = self._checked(name, text)
        if number % 100:
            raise StrategyRefused("setting.too-fine", name=self._flag(name), value=text, step="0.0001")
        return number // 100

    def factor(self, name: str) -> int:
        """A plain number as ppm: "1.25" is 1,250,000."""
        return self._checked(name, self._needed(name))

    def money(self, name: str) -> int:
        """An amount of quote as atoms; 0 when it is not set."""
        text = self._text(name)
        return 0 if text is None else self._amount(name, text)

    def lots(self, name: str, instrument: Instrument) -> int:
        """A quantity of base as lots; 0 when it is not set. Off the grid is refused with the nearest legal ones."""
        return self._on_grid(name, instrument.qty_lots)

    def ticks(self, name: str, instrument: Instrument) -> int:
        """A price as ticks; 0 when it is not set. Off the grid is refused with the nearest legal ones."""
        return self._on_grid(name, instrument.price_ticks)

    def whole(self, name: str) -> int:
        """A whole number."""
        text = self._needed(name)
        number = self._checked(name, text)
        if number % PPM:
            raise StrategyRefused("setting.not-whole", name=self._flag(name), value=text)
        return number // PPM

    def time_us(self, name: str) -> int:
        """A duration as µs: whole seconds as parsed, or a default like "5m"."""
        text = self._needed(name)
        unit = _UNITS.get(text[-1:], 0)
        digits = text[:-1] if unit else text
        if not digits.isascii() or not digits.isdigit():
            raise StrategyRefused("setting.not-a-duration", name=self._flag(name), value=text)
        return int(digits) * (unit or 1) * US_PER_S

    def word(self, name: str) -> int:
        """The place of a choice among the declared ones."""
        text = self._needed(name)
        choices = self._declared[name].choices
        if text not in choices:
            raise StrategyRefused("setting.not-a-choice", name=self._flag(name), value=text, choices=", ".join(choices))
        return choices.index(text)

    def switch(self, name: str) -> int:
        """1 when a switch is on."""
        value = self._values.get(name)
        if value is None:
            value = self._declared[name].default == "true"
        return 1 if value is True or value == "true" else 0

    def _text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None:
            return self._declared[name].default
        return value if isinstance(value, str) else f"{value:f}" if not isinstance(value, int) else str(value)

    def _needed(self, name: str) -> str:
        text = self._text(name)
        if text is None:
            raise StrategyRefused("setting.missing", name=self._flag(name))
        return text

    def _flag(self, name: str) -> str:
        return self._declared[name].flag

    def _checked(self, name: str, text: str) -> int:
        """`text` x 10**6, within the parameter's hard bounds."""
        parameter = self._declared[name]
        try:
            number = ppm(text)
        except GateError as error:
            raise StrategyRefused("setting.not-a-number", name=parameter.flag, value=text) from error
        if parameter.low is not None and number < ppm(parameter.low):
            meant = _meant(parameter, number)
            if meant is not None:
                raise StrategyRefused("setting.below.meant", name=parameter.flag, value=text, low=parameter.low, likely=meant)
            raise StrategyRefused("setting.below", name=parameter.flag, value=text, low=parameter.low)
        if parameter.high is not None and number > ppm(parameter.high):
            raise StrategyRefused("setting.above", name=parameter.flag, value=text, high=parameter.high)
        return number

    def _amount(self, name: str, text: str) -> int:
        try:
            amount = atoms(text)
        except GateError as error:
            raise StrategyRefused("setting.not-a-number", name=self._flag(name), value=text) from error
        if amount <= 0:
            raise StrategyRefused("setting.below", name=self._flag(name), value=text, low=self._declared[name].low or "0")
        return amount

    def _on_grid(self, name: str, read: object) -> int:
        text = self._text(name)
        if text is None:
            return 0
        assert callable(read)
        try:
            number = int(read(text))
        except GateError as error:
            raise StrategyRefused("setting.off-grid", name=self._flag(name), value=text, why=str(error)) from error
        if number <= 0:
            raise StrategyRefused("setting.below", name=self._flag(name), value=text, low=self._declared[name].low or "0")
        return number


def percent(rate_ppm: int) -> str:
    """A rate as a person types it, in percent: 12,000 is "1.2"."""
    sign, size = ("-", -rate_ppm) if rate_ppm < 0 else ("", rate_ppm)
    whole, parts = divmod(size, _PPM_A_PERCENT)
    return sign + (f"{whole}.{parts:04d}".rstrip("0") if parts else str(whole))


def stamp(numbers: Iterable[int]) -> int:
    """A number that differs for different parameters, never 0."""
    mixed = 1
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 1) % _STAMP_PRIME
    return mixed or 1


def _meant(parameter: Parameter, exact: int) -> str | None:
    """What a percentage below its bound was probably meant to be: without its sign, or that times a hundred (a fraction); else None."""
    if parameter.kind != "pct" or exact >= 0:
        return None
    low = ppm(parameter.sane_low or parameter.low or "0")
    high = ppm(parameter.sane_high or parameter.high or "100")
    for size in (-exact, -exact * 100):
        if low <= size <= high:
            whole, parts = divmod(size, PPM)
            return f"{whole}.{parts:06d}".rstrip("0").rstrip(".")
    return None
