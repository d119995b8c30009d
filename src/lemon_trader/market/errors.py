"""What a recording is refused with. Apart from those who read recordings: a live run names it and loads no arrays."""


class RecordingError(ValueError):
    """A file that cannot be played as a market; the text names it, what is wrong and the way out."""
