"""What a market or a recording is refused with. Apart from those who read recordings: a live run names it and loads no arrays."""

from lemon_trader.messages.catalogue import say


class MarketRefused(ValueError):
    """A market that cannot be played. Its text is said when it is read, in the language that is spoken then.

    Attributes:
        key: message id; the text names what is wrong and the way out.
        values: what the message's placeholders stand for.
    """

    def __init__(self, key: str, /, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values

    def __str__(self) -> str:
        return say(self.key, **self.values)


class RecordingError(MarketRefused):
    """A file that cannot be played as a market; the text names it, what is wrong and the way out."""
