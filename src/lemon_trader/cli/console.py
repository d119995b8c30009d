"""The terminal as the face of a run: it says, asks and confirms; in a pipe it says only."""

import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from lemon_trader.cli.report import print_report
from lemon_trader.cli.screen import print_table, print_text, prompted
from lemon_trader.messages.catalogue import say, shown


class Console:
    """What `run.py` speaks to. Messages go to standard output as they come; questions need somebody at both ends."""

    def __init__(self, *, yes: bool = False, as_json: bool = False) -> None:
        self._yes = yes
        self._as_json = as_json
        self._result: Mapping[str, object] | None = None

    def say(self, key: str, **values: object) -> None:
        """One line in the reader's language."""
        print_text(say(key, **values).rstrip(), flush=True)

    def ask(self, key: str, **values: object) -> bool:
        """A yes-or-no question; False where nobody can answer. `--yes` does not answer it."""
        if not is_attended():
            return False
        answer = _typed(f"{say(key, **values)} {say('ask.yes-no')} ")
        return answer.strip().lower() in say("ask.yes-words").split()

    def confirm(self, word: str, key: str, **values: object) -> bool:
        """True once the reader has typed `word`, or has said `--yes`; False where nobody can answer."""
        if self._yes:
            return True
        if not is_attended():
            return False
        return _typed(f"{say(key, **values)} {say('ask.type-word', word=word)} ").strip() == word

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table under the title `key`."""
        print_table(say(key), columns, rows)

    def report(self, statistics: Mapping[str, object]) -> None:
        """The report of `database/statistics.py`."""
        print_report(statistics)

    def result(self, facts: Mapping[str, object]) -> None:
        """What `--json` prints in the last line; the last call counts."""
        self._result = facts

    def finish(self) -> None:
        """Print the last line, where one was asked for."""
        if self._as_json:
            print(json_line(self._result or {}), flush=True)


def is_attended() -> bool:
    """True when somebody reads and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def json_line(facts: Mapping[str, object]) -> str:
    """One JSON object in one line; decimals as text, so that no digit is lost."""
    return json.dumps(facts, ensure_ascii=True, default=_plain, separators=(", ", ": "))


def _plain(value: object) -> object:
    if isinstance(value, (Decimal, Path)):
        return shown(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON result")


def _typed(prompt: str) -> str:
    try:
        return input(prompted(prompt))
    except EOFError:
        print()
        return ""
