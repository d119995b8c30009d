"""The table of every setting, in both languages, out of the declarations: `python -m lemon_trader.cli.parameters docs` writes it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lemon_trader.cli.flags import KEYS, MODE_FLAGS, WHICH, Group, trading_groups
from lemon_trader.config.backtest import BACKTEST_ONLY
from lemon_trader.config.data import DATA_ONLY
from lemon_trader.config.parity import PARITY_ONLY
from lemon_trader.config.sandbox import SANDBOX_ONLY
from lemon_trader.config.sources import variable_of
from lemon_trader.config.sweep import SWEEP_ONLY
from lemon_trader.messages.catalogue import say, speak, spoken
from lemon_trader.strategies.parameter import Parameter

FILES: Final = {"en": "parameters.md", "zh-TW": "parameters.zh-TW.md"}
COLUMNS: Final = ("docs.flag", "docs.name", "docs.default", "docs.bounds", "docs.usual", "docs.meaning")
FLAG_ONLY: Final = frozenset(p.name for p in (*WHICH, *MODE_FLAGS, *KEYS)) | {"yes", "as_written", "help"}


def markdown(language: str) -> str:
    """The page in this language."""
    before = spoken()
    speak(language)
    try:
        groups: list[Group] = [*trading_groups(), ("group.sandbox", SANDBOX_ONLY), ("group.backtest", BACKTEST_ONLY)]
        groups += [("group.data", DATA_ONLY), ("group.sweep", SWEEP_ONLY), ("group.parity", PARITY_ONLY)]
        parts = [f"# {say('docs.title')}", say("docs.intro")]
        for title, parameters in groups:
            parts.append(f"## {say(title) if title.startswith('group.') else say('group.strategy', strategy=title)}")
            parts.append("\n".join(_table(parameters)))
        return "\n\n".join(parts) + "\n"
    finally:
        speak(before)


def _table(parameters: Sequence[Parameter]) -> list[str]:
    lines = [_row([say(column) for column in COLUMNS]), _row(["---"] * len(COLUMNS))]
    return lines + [_row(_cells(p)) for p in parameters if p.name != "help"]


def _cells(p: Parameter) -> list[str]:
    name = "" if p.name in FLAG_ONLY else f"`{p.name}`, `{variable_of(p.name)}`"
    default = "" if p.default is None else f"`{p.default}`"
    choices = ", ".join(f"`{c}`" for c in p.choices)
    return [f"`{p.flag}`", name, default, choices or _range(p.low, p.high), _range(p.sane_low, p.sane_high), say(p.help)]


def _range(low: str | None, high: str | None) -> str:
    if low is None and high is None:
        return ""
    return f"{low or ''} … {high or ''}".strip()


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(folder: Path) -> None:
    """Write both pages."""
    for language, name in FILES.items():
        (folder / name).write_text(markdown(language), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
