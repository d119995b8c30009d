"""The client's half of Backpack's protocol, put together: orders, reads and streams."""

from lemon_trader.exchanges.backpack import words
from lemon_trader.exchanges.backpack.grid import Grids
from lemon_trader.exchanges.backpack.orders import OrderWords
from lemon_trader.exchanges.backpack.reads import ReadWords
from lemon_trader.exchanges.backpack.streams import StreamWords


class Backpack(OrderWords, ReadWords, StreamWords):
    """The dialect of Backpack Exchange; `exchanges/dialect.py` says what each call promises.

    Attributes:
        window_ms: how long a signed request stays valid, ms, 1 … 60,000.
    """

    name = words.NAME

    def __init__(self, window_ms: int = words.WINDOW_MS) -> None:
        """Set the signing window. Raises ValueError when the exchange would refuse it."""
        if not 0 < window_ms <= words.WINDOW_MS_MAX:
            raise ValueError(f"a signing window of {window_ms} ms is refused by the exchange; it takes 1 to {words.WINDOW_MS_MAX}")
        self.window_ms = window_ms
        self._grids = Grids()
        self._templates = {}
