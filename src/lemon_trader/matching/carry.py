"""What passes with time alone: marks are made, profit is settled, funding and interest are paid, each at multiples of its interval.

At one moment the order is marks, settlement, interest, funding: funding is paid on the mark of its own moment.
"""

from collections.abc import Mapping
from typing import Final

from lemon_trader.core.units import INT64_MAX
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.desk import Desk
from lemon_trader.matching.effects import Effect, FundingSettled, ReferenceChanged
from lemon_trader.matching.lending import Lending
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.pricing import SAMPLE_US, Pricing
from lemon_trader.matching.rules import COMPUTED, Rules

_MARKS: Final = "marks"
_SETTLEMENT: Final = "settlement"
_INTEREST: Final = "interest"
_FUNDING: Final = "funding"


class Carry:
    """The exchange's calendar.

    Attributes:
        due_us: when something falls due next; 0 = time has not begun, INT64_MAX = nothing ever.
        pricing: what each perpetual's mark is made from, where the exchange makes it.
    """

    def __init__(
        self, rules: Rules, listings: Mapping[str, Listing], settlement: str | None, clearing: Clearing, lending: Lending, desk: Desk,
        effects: list[Effect],
    ) -> None:  # fmt: skip
        self.due_us = 0
        self._rules = rules
        self._perps = [listing for listing in listings.values() if listing.instrument.is_perp]
        self._clearing = clearing
        self._lending = lending
        self._desk = desk
        self._effects = effects
        self.pricing = {listing.instrument.symbol: Pricing() for listing in self._perps} if rules.mark_rule == COMPUTED else {}
        self._every_us: dict[str, int] = {}
        if self.pricing:
            self._every_us[_MARKS] = SAMPLE_US
        if settlement is not None and rules.settlement_interval_us:
            self._every_us[_SETTLEMENT] = rules.settlement_interval_us
        if lending.loans:
            self._every_us[_INTEREST] = rules.interest_interval_us
        if settlement is not None:
            self._every_us[_FUNDING] = rules.funding_interval_us
        self._next_us: dict[str, int] = {}

    def begin(self, now_us: int) -> None:
        """Time begins: everything falls due at its next multiple."""
        self._next_us = {name: (now_us // every + 1) * every for name, every in self._every_us.items()}
        self.due_us = min(self._next_us.values(), default=INT64_MAX)

    def run(self, now: int, until_us: int) -> int:
        """Do what is due first; the time at which it was done last.

        `until_us`: nothing else happens before it, so settlements between now and then would find nothing new.
        """
        due_us = self.due_us
        name = next(name for name, at_us in self._next_us.items() if at_us == due_us)
        every = self._every_us[name]
        self._next_us[name] = due_us + every
        match name:
            case "marks":
                others = min((at_us for other, at_us in self._next_us.items() if other != name), default=INT64_MAX)
                while not self._mark(now) and self._next_us[name] <= until_us and self._next_us[name] < others:
                    now = self._next_us[name]  # a market that says nothing for hours is sampled without being acted upon
                    self._next_us[name] += every
            case "settlement":
                self._settle(now)
                others = min((at_us for other, at_us in self._next_us.items() if other != name), default=until_us)
                self._next_us[name] = max(due_us + every, min(until_us, others) // every * every)
            case "interest":
                self._lending.accrue(every, due_us, now)
            case _:
                self._fund(due_us, now)
        self.due_us = min(self._next_us.values())
        return now

    def _mark(self, now: int) -> bool:
        """Sample every perpetual; True when one of them states something new."""
        is_new = False
        for listing in self._perps:
            mark, rate = self.pricing[listing.instrument.symbol].sample(listing, self._rules, now)
            if (mark, rate) != (listing.mark_ticks, listing.funding_ppb):
                is_new = True
                listing.stated(mark, listing.index_ticks, rate)
                self._effects.append(ReferenceChanged(listing.instrument.symbol, mark, listing.index_ticks, rate, now))
                self._clearing.unsettled.update(dict.fromkeys(listing.holders))
                self._desk.act(listing)
        return is_new

    def _settle(self, now: int) -> None:
        for listing in self._perps:
            if listing.margin_ticks:
                for account in listing.holders.values():
                    self._clearing.settle(account, listing, now)

    def _fund(self, interval_end_us: int, now: int) -> None:
        for listing in self._perps:
            if not listing.mark_ticks:
                continue
            symbol = listing.instrument.symbol
            self._effects.append(FundingSettled(symbol, listing.funding_ppb, listing.mark_ticks, interval_end_us, now))
            for account in listing.holders.values():
                self._clearing.fund(account, listing, interval_end_us, now)
