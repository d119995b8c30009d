"""The one gate between the venue's decimal text and our integers: a market's grid, and what it refuses.

Nothing is rounded here in silence. A value off the grid is refused with its nearest legal neighbours; a number whose text is hostile (F65)
is refused before it is computed with.
"""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from math import gcd
from typing import Final

import msgspec

from lemon_trader.core.units import ATOMS_PER_UNIT, INT64_MAX, PERP, PPM, SPOT

NUMBER: Final = re.compile(r"-?\d{1,18}(\.\d{1,40})?\Z", re.ASCII)
EXPONENT: Final = re.compile(r"-?\d(\.\d{1,20})?[eE][+-]?\d{1,2}\Z", re.ASCII)
_FAST_DIGITS: Final = 15  # below this many digits a float product, rounded, is exact; tests hold it against Decimal
_FAST_UNITS: Final = 2**50  # and only up to here: reading and product are each off by up to 2**-53 of the value, together below a quarter


class GateError(ValueError):
    """A value that may not pass the gate; the text names it and the way out."""


def decimal(text: str) -> Decimal:
    """The number that `text` spells: at most 18 digits before and 40 behind the point.

    Raises:
        GateError: NaN, infinities, signs other than a leading minus, blanks, long or wild exponents, anything not a number.
    """
    if type(text) is str and (NUMBER.match(text) or EXPONENT.match(text)):
        return Decimal(text)
    raise GateError(f"{str(text)[:60]!r} is not a number this program accepts; write it as 123.45")


def atoms(text: str) -> int:
    """`text` in atoms (10⁻⁹), digits finer than an atom cut off towards zero. Raises GateError."""
    value = int(decimal(text).scaleb(9))
    if abs(value) > INT64_MAX:
        raise GateError(f"{text} is more than this program counts ({INT64_MAX // ATOMS_PER_UNIT})")
    return value


def atoms_text(value: int) -> str:
    """Atoms as a decimal number without padding: 1500000000 is "1.5"."""
    sign, rest = ("-", -value) if value < 0 else ("", value)
    whole, fraction = divmod(rest, ATOMS_PER_UNIT)
    tail = f"{fraction:09d}".rstrip("0")
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"


def ppm(text: str) -> int:
    """A factor as parts per million ("1.25" is 1250000), cut towards zero. Raises GateError."""
    return int(decimal(text).scaleb(6))


class Instrument(msgspec.Struct, frozen=True, gc=False):
    """A market's grid and bounds. Make it with `instrument()`, which checks it.

    Attributes:
        kind: SPOT or PERP.
        tick, lot: smallest price and quantity step, as the venue's text.
        tick_lot_atoms: quote atoms of one lot at a price of one tick; a whole number by construction.
        lot_atoms: base atoms of one lot.
        min_lots / max_lots, min_ticks / max_ticks: order bounds; a max of 0 = none.
        low_ppm / high_ppm: a limit price stays within last price x these; 0 = unbounded.
        impact_low_ppm / impact_high_ppm: a taking order reaches no further than touch x these; 0 = unbounded.
        band_low_ppm / band_high_ppm: of a perpetual, around the mean mark price; 0 = unbounded.
        imf_ppm / mmf_ppm: base initial and maintenance margin fraction; 0 on spot.
        tick_step / lot_step: an order's price and quantity are multiples of these; above 1 where the venue made its grid coarser and our
            numbers stay on the finer one (`refine`).
    """

    symbol: str
    base: str
    quote: str
    kind: int
    tick: str
    lot: str
    tick_lot_atoms: int
    lot_atoms: int
    price_decimals: int
    qty_decimals: int
    tick_scale: int  # ticks = price x 10**price_decimals / tick_scale
    lot_scale: int
    min_lots: int = 1
    max_lots: int = 0
    min_ticks: int = 1
    max_ticks: int = 0
    low_ppm: int = 0
    high_ppm: int = 0
    impact_low_ppm: int = 0
    impact_high_ppm: int = 0
    band_low_ppm: int = 0
    band_high_ppm: int = 0
    imf_ppm: int = 0
    mmf_ppm: int = 0
    book_state: str = "Open"
    tick_step: int = 1
    lot_step: int = 1

    @property
    def is_perp(self) -> bool:
        """True on a perpetual."""
        return self.kind == PERP

    @property
    def order_tick(self) -> str:
        """The smallest price step of an order, as the venue's text."""
        return self.price_text(self.tick_step)

    @property
    def order_lot(self) -> str:
        """The smallest quantity step of an order, as the venue's text."""
        return self.qty_text(self.lot_step)

    def price_ticks(self, text: str) -> int:
        """The price in ticks. Raises GateError when it is not a number, not positive, or off the grid (with the nearest legal ones)."""
        return self._steps(text, "price", self.tick, self.price_decimals, self.tick_scale)

    def qty_lots(self, text: str) -> int:
        """The quantity in lots, 0 allowed. Raises GateError as `price_ticks` does."""
        return self._steps(text, "quantity", self.lot, self.qty_decimals, self.lot_scale)

    def nearest_ticks(self, text: str) -> int:
        """A mark or index price in ticks, rounded half up: these come finer than the grid. Raises GateError."""
        return int((decimal(text).scaleb(self.price_decimals) / self.tick_scale).to_integral_value(ROUND_HALF_UP))

    def floor_lots(self, text: str) -> int:
        """A quantity in whole lots, rounded down. Raises GateError."""
        return int((decimal(text).scaleb(self.qty_decimals) / self.lot_scale).to_integral_value(ROUND_FLOOR))

    def price_text(self, ticks: int) -> str:
        """The price as the venue wants it in a request: no padding."""
        return _text(ticks * self.tick_scale, self.price_decimals)

    def qty_text(self, lots: int) -> str:
        """The quantity as the venue wants it in a request: no padding."""
        return _text(lots * self.lot_scale, self.qty_decimals)

    def price_padded(self, ticks: int) -> str:
        """The price padded to the tick's decimals, as streams print it."""
        return _padded(ticks * self.tick_scale, self.price_decimals)

    def qty_padded(self, lots: int) -> str:
        """The quantity padded to the step's decimals, as streams print it."""
        return _padded(lots * self.lot_scale, self.qty_decimals)

    def notional_atoms(self, ticks: int, lots: int) -> int:
        """Quote atoms of `lots` at `ticks`, exact."""
        return ticks * lots * self.tick_lot_atoms

    def _steps(self, text: str, what: str, step: str, decimals: int, scale: int) -> int:
        if type(text) is str and len(text) <= _FAST_DIGITS and NUMBER.match(text):
            scaled = float(text) * 10.0**decimals
            units = round(scaled)
            if abs(scaled - units) < 1e-3 and 0 <= units < _FAST_UNITS:
                steps, rest = divmod(units, scale)
                if not rest and _places(text) <= decimals and steps * self.tick_lot_atoms <= INT64_MAX:
                    return steps
        value = decimal(text)
        if value < 0:
            raise GateError(f"{what} {text} of {self.symbol} is negative; it must be 0 or more")
        exact = value.scaleb(decimals) / scale
        steps = int(exact)
        if exact != steps:
            below = int(exact.to_integral_value(ROUND_FLOOR))
            above = int(exact.to_integral_value(ROUND_CEILING))
            near = f"{_text(below * scale, decimals)} and {_text(above * scale, decimals)}"
            raise GateError(f"{what} {text} is not on {self.symbol}'s grid of {step}; nearest are {near}")
        if steps > INT64_MAX // max(1, self.tick_lot_atoms):
            raise GateError(f"{what} {text} of {self.symbol} is more than this program counts")
        return steps


def instrument(
    symbol: str, base: str, quote: str, *, is_perp: bool, tick: str, lot: str, min_qty: str | None = None, max_qty: str | None = None,
    min_price: str | None = None, max_price: str | None = None, **ppm_bounds: int,
) -> Instrument:  # fmt: skip
    """The instrument with this grid, checked. `ppm_bounds` are the `_ppm` attributes of `Instrument`.

    Raises:
        GateError: a step that is not positive, or a tick x lot that is not a whole number of atoms.
    """
    tick_d, lot_d = decimal(tick), decimal(lot)
    if tick_d <= 0 or lot_d <= 0:
        raise GateError(f"{symbol}: tick {tick} and lot {lot} must both be above 0")
    tick_lot = (tick_d * lot_d).scaleb(9)
    lot_atoms = lot_d.scaleb(9)
    if tick_lot != int(tick_lot) or lot_atoms != int(lot_atoms):
        raise GateError(f"{symbol}: tick {tick} x lot {lot} is not a whole number of 10^-9; this program cannot keep its books exactly")
    price_decimals, tick_scale = _scale(tick_d)
    qty_decimals, lot_scale = _scale(lot_d)
    bare = Instrument(
        symbol, base, quote, PERP if is_perp else SPOT, _plain(tick_d), _plain(lot_d), int(tick_lot), int(lot_atoms),
        price_decimals, qty_decimals, tick_scale, lot_scale,
    )  # fmt: skip
    return msgspec.structs.replace(
        bare,
        min_lots=max(1, -(-_units(min_qty, qty_decimals) // lot_scale)),
        max_lots=_units(max_qty, qty_decimals) // lot_scale,
        min_ticks=max(1, -(-_units(min_price, price_decimals) // tick_scale)),
        max_ticks=_units(max_price, price_decimals) // tick_scale,
        **ppm_bounds,
    )


def refine(known: Instrument, listed: Instrument) -> Instrument:
    """`listed` on a grid on which every number of `known` is a whole one too: the largest step that divides both, orders in multiples.

    So a changed grid rounds nothing that is held, rests or is remembered; only what is ordered from now on keeps to the new steps.

    Raises:
        GateError: another kind or asset, or a common grid too fine to count atoms on.
    """
    if (known.kind, known.base, known.quote) != (listed.kind, listed.base, listed.quote):
        raise GateError(f"{listed.symbol} is another market now: {known.base}/{known.quote} became {listed.base}/{listed.quote}")
    tick, lot = _common(known.tick, listed.tick), _common(known.lot, listed.lot)
    fine = instrument(listed.symbol, listed.base, listed.quote, is_perp=listed.is_perp, tick=tick, lot=lot)
    ticks, lots = steps_between(listed, fine)
    return msgspec.structs.replace(
        listed, tick=fine.tick, lot=fine.lot, tick_lot_atoms=fine.tick_lot_atoms, lot_atoms=fine.lot_atoms,
        price_decimals=fine.price_decimals, qty_decimals=fine.qty_decimals, tick_scale=fine.tick_scale, lot_scale=fine.lot_scale,
        min_lots=listed.min_lots * lots, max_lots=listed.max_lots * lots, min_ticks=listed.min_ticks * ticks,
        max_ticks=listed.max_ticks * ticks, tick_step=listed.tick_step * ticks, lot_step=listed.lot_step * lots,
    )  # fmt: skip


def steps_between(coarse: Instrument, fine: Instrument) -> tuple[int, int]:
    """How many ticks and lots of `fine` are one of `coarse`. Raises GateError unless both are whole."""
    ticks, tick_rest = divmod(coarse.tick_lot_atoms * fine.lot_atoms, fine.tick_lot_atoms * coarse.lot_atoms)
    lots, lot_rest = divmod(coarse.lot_atoms, fine.lot_atoms)
    if tick_rest or lot_rest or not ticks or not lots:
        grids = f"tick {coarse.tick}, lot {coarse.lot} and tick {fine.tick}, lot {fine.lot}"
        raise GateError(f"{fine.symbol}: numbers of one grid are not whole on the other ({grids})")
    return ticks, lots


def within_ppm(value: int, factor_ppm: int) -> int:
    """Value x factor, floored; helper of the price bands."""
    return value * factor_ppm // PPM


def _units(text: str | None, decimals: int) -> int:
    return 0 if text is None else int(decimal(text).scaleb(decimals).to_integral_value(ROUND_CEILING))


def _scale(step: Decimal) -> tuple[int, int]:
    """(decimals, step in units of 10**-decimals): 0.05 is (2, 5), 100 is (0, 100)."""
    step = step.normalize()
    exponent = step.as_tuple().exponent
    assert isinstance(exponent, int)
    decimals = max(0, -exponent)
    return decimals, int(step.scaleb(decimals))


def _common(one: str, other: str) -> str:
    """The largest step of which both steps are multiples."""
    first, second = decimal(one), decimal(other)
    places = max(_scale(first)[0], _scale(second)[0])
    return _plain(Decimal(gcd(int(first.scaleb(places)), int(second.scaleb(places)))).scaleb(-places))


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _places(text: str) -> int:
    point = text.find(".")
    return 0 if point < 0 else len(text.rstrip("0")) - point - 1


def _text(units: int, decimals: int) -> str:
    padded = _padded(units, decimals)
    return padded.rstrip("0").rstrip(".") if decimals else padded


def _padded(units: int, decimals: int) -> str:
    if not decimals:
        return str(units)
    sign, rest = ("-", -units) if units < 0 else ("", units)
    whole, fraction = divmod(rest, 10**decimals)
    return f"{sign}{whole}.{fraction:0{decimals}d}"
