"""The door of the compiled code: many parameter sets one after the other, each in the same room made blank again."""

from typing import Any

from lemon_trader.formulas.compilable import compilable
from lemon_trader.optimize.desk import Room
from lemon_trader.optimize.loop import play


@compilable
def play_sets(
    first: int, step: int, sets: Any, made_features: Any, rules: Any, grid: Any, tape: Any, blank_view: Any, blank_position: Any,
    blank_memory: Any, blank_desk: Any, blank_limits: Any, fills: Any, equity: Any, summary: Any, view: Any, position: Any, memory: Any,
    features: Any, scratch: Any, desk: Any, limits: Any, out: Any, orders: Any, actions: Any,
) -> None:  # fmt: skip
    """Play the parameter sets `first`, `first + step` ...; records come as arrays of one row, because only these can be written whole."""
    for k in range(first, len(sets), step):
        view[0] = blank_view[0]
        position[0] = blank_position[0]
        memory[0] = blank_memory[0]
        features[0] = made_features[k]
        desk[0] = blank_desk[0]
        limits[0] = blank_limits[0]
        room = Room(
            sets[k], rules[0], grid[0], limits[0], view[0], position[0], memory[0], features[0], out, orders, actions, scratch[0], desk[0],
            fills, equity,
        )  # fmt: skip
        play(room, tape)
        note(summary[k], desk[0])


@compilable
def note(row: Any, desk: Any) -> None:
    """Write the line of figures of one run."""
    row.equity_atoms = desk.equity_atoms
    row.drawdown_atoms = desk.drawdown_atoms
    row.lowest_atoms = desk.lowest_atoms
    row.realised_atoms = desk.realised_atoms
    row.fees_atoms = desk.fees_atoms
    row.funding_atoms = desk.funding_atoms
    row.turnover_atoms = desk.turnover_atoms
    row.fills = desk.fills
    row.trips = desk.trips
    row.stopped = desk.stopped
    row.placed = desk.placed
    row.cancelled = desk.cancelled
    row.refused = desk.refused
    row.liquidations = desk.liquidations
    row.held_us = desk.held_us
    row.base_atoms = desk.base_atoms
    row.status = desk.status
