"""The report on a terminal: session, day and all time side by side, the position, the last fills."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.config.settings import DATABASE_FILE
from lemon_trader.database.statistics import LINES, PERIODS
from lemon_trader.messages.catalogue import say

US_PER_S: Final = 1_000_000
POSITION: Final = (
    ("quantity", "base"),
    ("average_price", "quote"),
    ("price", "quote"),
    ("unrealised", "quote"),
    ("net_with_unrealised", "quote"),
)


def print_report(statistics: Mapping[str, Any]) -> None:
    """Print the report of `database/statistics.py`: the mode first, then each market."""
    print_text(say("report.title", mode=str(statistics["mode"]).upper(), at=clock(statistics["as_of_us"])))
    if not statistics["markets"]:
        print_text(say("report.nothing"))
    for market in statistics["markets"]:
        print()
        _print_market(market)


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report out of a store's database; None where nothing was ever recorded."""
    from lemon_trader.database.db import Reader
    from lemon_trader.database.statistics import report

    path = folder / DATABASE_FILE
    if not path.is_file():
        return None
    reader = Reader(str(path))
    try:
        return report(reader, time.time_ns() // 1_000)
    finally:
        reader.close()


def clock(at_us: int | None) -> str:
    """A time on a screen, UTC, to the second; a dash for none."""
    return datetime.fromtimestamp(at_us // US_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at_us else "-"


def _print_market(market: Mapping[str, Any]) -> None:
    units = {"base": market["base"], "quote": market["quote"], "pct": "%"}
    rows: list[Sequence[object]] = [
        ((label, {}), *(market["periods"][period][name] for period in PERIODS), units.get(unit, "")) for name, label, unit in LINES
    ]
    title = say("report.market", symbol=market["symbol"], strategy=market["strategy"] or "-", started=clock(market["session_started_us"]))
    print_table(title, ("", "report.session", "report.day", "report.all", ""), rows)
    if market.get("break_even_spread_pct") is not None:
        print_text(say("report.break-even", value=market["break_even_spread_pct"]))
    for asset, fee in market["other_fees"].items():
        print_text(say("report.other-fee", fee=fee, asset=asset))
    position = market["position"]
    held: list[Sequence[object]] = [((f"report.position.{name}", {}), position[name], units[unit]) for name, unit in POSITION]
    print()
    print_table(say("report.position"), ("", "", ""), held)
    if market["last_fills"]:
        print()
        columns = (
            "report.fill.at",
            "column.side",
            "column.price",
            "report.fill.quantity",
            "report.fill.maker",
            "column.role",
            "report.fill.fee",
            "",
        )
        fills: list[Sequence[object]] = [
            (
                clock(f["at_us"]), (f"side.{f['side']}", {}), f["price"], f["quantity"],
                ("word.maker" if f["maker"] else "word.taker", {}), (f"role.{f['role']}", {}), f["fee"], f["fee_asset"],
            )
            for f in market["last_fills"]
        ]  # fmt: skip
        print_table(say("report.fills"), columns, fills)
