"""What an alert says, in the reader's words: its values are codes, which are the same in every language and in the journal."""

from collections.abc import Mapping
from typing import Final

from lemon_trader.messages.catalogue import knows, say

# Names of values that hold codes, and where their words stand.
WORDS: Final = {"role": "role.{}", "side": "side.{}", "origin": "origin.{}", "source": "source.{}", "mode": "state.{}"}


def worded(values: Mapping[str, object]) -> dict[str, object]:
    """The values of an alert with words for codes; what there is no word for (the exchange's own codes) stays as it is."""
    found = dict(values)
    for name, form in WORDS.items():
        code = str(values.get(name, ""))
        key = form.format(code.lower() if name == "mode" else code)
        if code and knows(key):
            found[name] = (key, {})
    if "reason" in values and "detail" in values:  # of a latch
        figures = str(values["detail"])
        known = f"latch.{values['reason']}"
        found["reason"] = (known, {"figures": figures or "-"}) if knows(known) else f"{values['reason']} {figures}".strip()
    return found


def say_alert(key: str, values: Mapping[str, object]) -> str:
    """The text of an alert."""
    return say(key, **{name: value for name, value in worded(values).items() if name != "key"})
