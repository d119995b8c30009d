"""What takes a position off an account that the book cannot save: the backstop, and as a last resort the winners on the other side.

The backstop belongs to the outside world and takes positions at the mark. Deleveraging sets a losing position against the accounts that
gained most with most leverage, at the price at which the loser is worth nothing; what they do not hold, the outside world does.
"""

from collections.abc import Mapping

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.desk import Desk
from lemon_trader.matching.effects import Change, Effect, Liquidated
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.margin import margin
from lemon_trader.matching.matcher import Matcher
from lemon_trader.matching.orders import NewOrder, OrderType, Origin, Status, TimeInForce
from lemon_trader.matching.rules import Rules


class TakeOver:
    """The end of the road."""

    def __init__(
        self, rules: Rules, listings: Mapping[str, Listing], settlement: str, clearing: Clearing, matcher: Matcher, desk: Desk,
        effects: list[Effect],
    ) -> None:  # fmt: skip
        self._rules = rules
        self._listings = listings
        self._settlement = settlement
        self._clearing = clearing
        self._matcher = matcher
        self._desk = desk
        self._effects = effects

    def take(self, account: Account, now: int) -> None:
        """Close every position of the account off the book."""
        standing = margin(account, self._listings, self._settlement)
        deleverages = standing.equity_atoms < 0 or not self._rules.has_backstop
        notionals = {
            symbol: self._listings[symbol].instrument.notional_atoms(self._listings[symbol].margin_ticks, abs(position.lots))
            for symbol, position in account.positions.items()
        }
        whole = sum(notionals.values())
        for symbol, notional in notionals.items():
            listing, position = self._listings[symbol], account.positions[symbol]
            ticks = listing.margin_ticks
            if not ticks:
                continue
            if not deleverages:
                self._close(account, listing, -position.lots, ticks, Origin.BACKSTOP_LIQUIDITY_PROVIDER, now)
                continue
            # Each position bears its part of what is left, so that nothing of it is left when all are gone.
            spread = standing.equity_atoms * notional // max(1, whole)
            side = BUY if position.lots > 0 else SELL
            unit = listing.instrument.notional_atoms(1, abs(position.lots))
            self._deleverage(account, listing, max(1, ticks - side * (spread // unit)), now)

    def _deleverage(self, account: Account, listing: Listing, ticks: int, now: int) -> None:
        left = account.position_lots(listing.instrument.symbol)
        side = BUY if left > 0 else SELL
        others = [other for other in listing.holders.values() if other.position_lots(listing.instrument.symbol) * side < 0]
        for other in sorted(others, key=lambda o: (-self._rank(o, listing), o.name)):
            held = other.position_lots(listing.instrument.symbol)
            lots = min(abs(left), abs(held))
            if not lots:
                break
            self._fill(account, listing, -side, ticks, lots, Origin.ADL_AUTOCLOSE, now)
            self._fill(other, listing, side, ticks, lots, Origin.ADL_AUTOCLOSE, now)
            self._effects.append(Liquidated(listing.instrument.symbol, -side, ticks, lots, Origin.ADL_AUTOCLOSE, now))
            left -= side * lots
        if left:
            self._close(account, listing, -left, ticks, Origin.ADL_AUTOCLOSE, now)

    def _rank(self, other: Account, listing: Listing) -> int:
        """Profit on the entry x leverage, of an account that may have to give its position up."""
        position = other.positions[listing.instrument.symbol]
        worth = listing.instrument.notional_atoms(listing.margin_ticks, position.lots)
        equity = margin(other, self._listings, self._settlement).equity_atoms
        return (worth - position.cost_atoms) * PPM // max(1, abs(position.cost_atoms)) * abs(worth) // max(1, equity)

    def _close(self, account: Account, listing: Listing, lots: int, ticks: int, origin: Origin, now: int) -> None:
        """Let the outside world take the other side of `lots` (signed: what the account trades)."""
        side = BUY if lots > 0 else SELL
        self._fill(account, listing, side, ticks, abs(lots), origin, now)
        self._clearing.fill_outside(listing, -side, abs(lots), listing.instrument.notional_atoms(ticks, abs(lots)))
        self._effects.append(Liquidated(listing.instrument.symbol, side, ticks, abs(lots), origin, now))

    def _fill(self, account: Account, listing: Listing, side: int, ticks: int, lots: int, origin: Origin, now: int) -> None:
        new = NewOrder(
            symbol=listing.instrument.symbol, side=side, order_type=OrderType.MARKET, lots=lots, time_in_force=TimeInForce.IOC,
            reduce_only=True,
        )  # fmt: skip
        order = self._desk.order_of(new, account, Status.NEW, now, origin)
        account.begin(order)
        self._clearing.changed(order, Change.ACCEPTED, now)
        quote = listing.instrument.notional_atoms(ticks, lots)
        self._clearing.fill(order, listing, ticks, lots, quote, 0, now, is_maker=False)
        self._matcher.fit_reducing(account, listing, now)
        self._desk.act(listing)
