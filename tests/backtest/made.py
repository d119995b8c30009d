"""Results made by hand: fills in the words of a table, booked by the program's own ledger."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lemon_trader.backtest.result import EQUITY, FILL, KERNEL, MID, MOVE, PRICE, Result, Totals
from lemon_trader.core.events import Fill
from lemon_trader.core.instrument import Instrument, instrument
from lemon_trader.core.ledger import Ledger
from lemon_trader.core.units import BUY, EXIT, LAYER, QUOTE, SELL, STOP

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_700_006_400 * SECOND  # 2023-11-15 00:00 UTC
SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01")  # a lot at a tick is 100,000 atoms
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01")
USDC = 10**9
ROLES = {"quote": QUOTE, "layer": LAYER, "exit": EXIT, "stop": STOP}


def rows(kind: Any, values: Sequence[Sequence[int]]) -> Any:
    return np.array([tuple(row) for row in values], kind)


def fill(at_s: int, role: str, side: str, ticks: int, lots: int, **more: int) -> dict[str, int]:
    """One fill, `at_s` after the start; `fee`, `base_fee` in atoms, `maker`, `mid_half`, `slot`, `generation`."""
    return {
        "at_us": START + at_s * SECOND,
        "role": ROLES[role],
        "side": BUY if side == "buy" else SELL,
        "ticks": ticks,
        "lots": lots,
    } | more


def result(
    fills: Sequence[dict[str, int]] = (),
    closes: Sequence[int] = (10_000, 10_000),
    *,
    every_s: int = 60,
    grid: Instrument = SPOT,
    budget: int = 1_000 * USDC,
    moves: Sequence[tuple[int, int, int]] = (),
    mids: Sequence[tuple[int, int]] = (),
    bars: Sequence[Sequence[int]] = (),
    **more: Any,
) -> Result:
    """A result whose prices close at these ticks, one row each `every_s`; equity has a row at each close and at each fill."""
    ledger, kept, equity = Ledger(grid), [], [(START, budget, 0, 0)]
    steps = [(START + (n + 1) * every_s * SECOND, 2, ticks) for n, ticks in enumerate(closes)]
    steps += [(f["at_us"], 0, n) for n, f in enumerate(fills)]
    steps += [(at, 1, n) for n, (at, _, _) in enumerate(moves)]
    for at, what, n in sorted(steps):
        price = n
        if what == 0:
            f = fills[n]
            base = f.get("base_fee", 0)
            fee = base or f.get("fee", 0)
            asset = grid.base if base else grid.quote
            ledger.book(
                Fill(
                    at,
                    at,
                    grid.symbol,
                    "o",
                    n,
                    "",
                    n + 1,
                    f["side"],
                    f["ticks"],
                    f["lots"],
                    fee,
                    asset,
                    "",
                    bool(f.get("maker", 1)),
                    -1,
                    "",
                )
            )
            worth = f["ticks"] * f["lots"] * grid.tick_lot_atoms
            key = (f["role"], f.get("slot", 0), f.get("generation", 0))
            kept.append((at, f["side"], *key, f["ticks"], f["lots"], worth, fee, int(bool(base)), f.get("maker", 1), f.get("mid_half", 0)))
            price = f["ticks"]
        elif what == 1:
            ledger.fund(str(n), moves[n][2])
            continue
        equity.append((at, budget + ledger.net_atoms(price), ledger.base_atoms, ledger.cost_atoms))
    end = START + len(closes) * every_s * SECOND
    mark = closes[-1]
    drawn = bars or [(c, c, c, c) for c in closes]
    totals = Totals(ledger.realised_atoms, ledger.unrealised_atoms(mark), ledger.fees_atoms, ledger.funding_atoms, 0)
    return Result(
        strategy=more.pop("strategy", "martingale"),
        symbol=grid.symbol,
        instrument=grid,
        params=more.pop("params", {"layers": "3"}),
        engine=more.pop("engine", KERNEL),
        fill_model=more.pop("fill_model", "pessimistic"),
        settings=more.pop("settings", {}),
        source=more.pop("source", "made by hand"),
        start_us=START,
        end_us=end,
        events=len(closes),
        budget_atoms=budget,
        mark_ticks=mark,
        totals=totals,
        fills=rows(FILL, kept),
        equity=rows(EQUITY, equity),
        prices=rows(PRICE, [(START + n * every_s * SECOND, *bar) for n, bar in enumerate(drawn)]),
        price_every_us=every_s * SECOND,
        moves=rows(MOVE, moves),
        mids=rows(MID, mids),
        layers=more.pop("layers", 3),
        **more,
    )
