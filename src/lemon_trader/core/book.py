"""The public book of one market, held only while its chain of update ids is unbroken.

A book that missed an update is worse than none: it is dropped, and says so, until the next snapshot.
"""

from lemon_trader.core.events import BookDelta, BookSnapshot, Touch


class Book:
    """Levels by price. `touch` costs a scan only when the best level vanished.

    Attributes:
        valid: a snapshot was taken and every delta since followed it.
        last_id: the id of the last update applied.
        bid_ticks / ask_ticks: best prices; 0 = that side is empty or the book is not valid.
    """

    __slots__ = ("ask_ticks", "asks", "bid_ticks", "bids", "last_id", "valid")

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.drop()

    def drop(self) -> None:
        """Forget everything: a connection ended, or the chain broke."""
        self.bids.clear()
        self.asks.clear()
        self.valid = False
        self.last_id = -1
        self.bid_ticks = 0
        self.ask_ticks = 0

    @property
    def crossed(self) -> bool:
        """Both sides present and the bid not under the ask: nothing may be decided by it."""
        return self.bid_ticks > 0 and self.ask_ticks > 0 and self.bid_ticks >= self.ask_ticks

    def snapshot(self, event: BookSnapshot) -> None:
        """Start anew from a whole book. An older one than what is held is ignored."""
        if self.valid and event.last_id < self.last_id:
            return
        self.bids = {p: q for p, q in event.bids if q > 0}
        self.asks = {p: q for p, q in event.asks if q > 0}
        self.bid_ticks = max(self.bids, default=0)
        self.ask_ticks = min(self.asks, default=0)
        self.last_id = event.last_id
        self.valid = True

    def delta(self, event: BookDelta) -> bool:
        """Apply one delta. False when it did not follow: the book is dropped then. A repeated or old delta changes nothing."""
        if not self.valid:
            return False
        if event.last_id <= self.last_id:
            return True
        if event.first_id > self.last_id + 1:
            self.drop()
            return False
        self.last_id = event.last_id
        if event.bids:
            bids = self.bids
            best = self.bid_ticks
            rescan = False
            for price, qty in event.bids:
                if qty > 0:
                    bids[price] = qty
                    best = max(best, price)
                elif bids.pop(price, None) is not None and price == best:
                    rescan = True
            self.bid_ticks = max(bids, default=0) if rescan else best
        if event.asks:
            asks = self.asks
            best = self.ask_ticks
            rescan = False
            for price, qty in event.asks:
                if qty > 0:
                    asks[price] = qty
                    if price < best or best == 0:
                        best = price
                elif asks.pop(price, None) is not None and price == best:
                    rescan = True
            self.ask_ticks = min(asks, default=0) if rescan else best
        return True

    def agrees(self, event: Touch) -> bool:
        """Whether a touch of the same update id is ours; True when the ids differ (they race each other)."""
        return not self.valid or event.update_id != self.last_id or (event.bid_ticks, event.ask_ticks) == (self.bid_ticks, self.ask_ticks)
