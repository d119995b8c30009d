"""The one way in which a setting is refused."""

from collections.abc import Sequence


class BadSetting(ValueError):
    """Something that a person set, and that cannot be. Nothing has been sent; every door answers with exit code 2.

    Attributes:
        key: message id; the text names the value and the way out in the reader's language.
        values: what the message's placeholders stand for. Never a secret.
        others: further refusals of the same reading, so that all are told at once.
    """

    def __init__(self, key: str, /, **values: object) -> None:
        super().__init__(f"{key}: " + ", ".join(f"{k}={v}" for k, v in values.items()))
        self.key = key
        self.values = values
        self.others: tuple[BadSetting, ...] = ()


def raise_all(refused: Sequence[BadSetting]) -> None:
    """Raise the first of `refused` with the rest as its `others`; nothing when there is none."""
    if refused:
        first, *rest = refused
        first.others = tuple(rest)
        raise first
