"""`config show | schema | validate`: what is set, where it comes from, and what may be set."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lemon_trader.cli.declared import declarations
from lemon_trader.cli.flags import Typed
from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.cli.trade import request_of
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import GENERAL, PAIR
from lemon_trader.config.model import file_schema
from lemon_trader.config.resolve import Preview, preview
from lemon_trader.config.values import show
from lemon_trader.messages.catalogue import say


def show_all(typed: Typed) -> int:
    """Print every value of the run that these flags, this environment and this file would give. Opens no `.env`. Raises BadSetting."""
    _print(preview(request_of(typed), declarations()))
    return 0


def validate(typed: Typed) -> int:
    """Check a settings file as a whole, as a run would. Raises BadSetting."""
    if len(typed.words) != 1:
        raise BadSetting("config.which-file")
    request = dataclasses.replace(request_of(typed), pairs=(), file=Path(typed.words[0]), environment={})
    resolved = preview(request, declarations())
    for doubt in resolved.doubts:
        print_text(say(doubt.key, **doubt.values), stream=sys.stderr)
    print_text(say("config.valid", file=typed.words[0], pairs=", ".join(f"{p.strategy}:{p.symbol}" for p in resolved.pairs)))
    return 0


def schema(_: Typed) -> int:
    """Print the JSON schema of a settings file, for editors."""
    described = file_schema(GENERAL, PAIR, declarations())
    print(json.dumps(_described(described), indent=2, ensure_ascii=False))
    return 0


def _described(node: object) -> object:
    """The schema with texts for its message ids."""
    if isinstance(node, dict):
        return {k: say(v) if k == "description" and isinstance(v, str) else _described(v) for k, v in node.items()}
    return [_described(item) for item in node] if isinstance(node, list) else node


def _print(found: Preview) -> None:
    for section, settings in found.shown:
        title = say("config.section", section=section) if section else say("config.program")
        rows: list[Sequence[object]] = [
            (s.parameter.name, show(s.parameter, s.value), s.origin or ("config.default", {}), (s.parameter.help, {})) for s in settings
        ]
        print_table(title, ("column.setting", "column.value", "column.origin", "column.meaning"), rows)
        print()
