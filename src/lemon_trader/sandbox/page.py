"""The status page: one file without anything from elsewhere, given its texts in every language and the nonce that lets it run."""

import json
from functools import cache
from pathlib import Path
from typing import Final

from lemon_trader.messages.catalogue import LOCALES, texts

FILE: Final = Path(__file__).parent / "page.html"
PREFIX: Final = "sandbox.page."
# What stands between script tags must not be able to end them, whatever a catalogue says.
_SAFE: Final = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def page(language: str, nonce: str) -> str:
    """The page, opened in `language`; the reader may change it there."""
    return _file().replace("%TEXTS%", _texts()).replace("%LANG%", language).replace("%NONCE%", nonce)


@cache
def _file() -> str:
    return FILE.read_text(encoding="utf-8")


@cache
def _texts() -> str:
    said = {language: {k.removeprefix(PREFIX): v for k, v in texts(language).items() if k.startswith(PREFIX)} for language in LOCALES}
    return json.dumps(said, ensure_ascii=False).translate(_SAFE)
