"""What the view says of a martingale's cycle: what its layers have filled, what may still be bought, what lives, what may be sold."""

from lemon_trader.core.records import EXIT_SLOT, LAYERS_MAX, SLOTS, STOP_SLOT, Position, View
from lemon_trader.formulas.compilable import compilable
from lemon_trader.strategies.martingale_records import MartingaleMemory, MartingaleParams


@compilable
def layer_is_open(view: View, memory: MartingaleMemory, layer: int, deepest: int, minimum: int) -> int:
    """1 when something of a layer may still be bought: its order lives, or it is no shallower than what has filled and worth an order."""
    rest = memory.total[layer]
    if view.generation[layer] == memory.cycle:
        rest -= view.filled[layer]
    if rest <= 0:
        return 0
    if view.live_orders[layer] > 0:
        return 1
    return 1 if layer >= deepest and rest >= minimum else 0


@compilable
def ladder_is_used_up(view: View, memory: MartingaleMemory) -> int:
    """1 when nothing lives and no layer may be bought any more: what is held then is too little to sell."""
    if orders_alive(view):
        return 0
    deepest = deepest_layer(view, memory)
    for layer in range(memory.layers):
        if layer_is_open(view, memory, layer, deepest, max(view.min_lots, 1)):
            return 0
    return 1


@compilable
def deepest_layer(view: View, memory: MartingaleMemory) -> int:
    """The deepest layer of this cycle with a fill; -1 = nothing is bought yet."""
    filled = view.filled
    for layer in range(memory.layers - 1, -1, -1):
        if filled[layer] > 0 and view.generation[layer] == memory.cycle:
            return layer
    return -1


@compilable
def filled_of_cycle(view: View, memory: MartingaleMemory, slot: int) -> int:
    """Lots filled under this cycle's key of a slot."""
    return view.filled[slot] if view.generation[slot] == memory.cycle else 0


@compilable
def lots_bought(view: View, memory: MartingaleMemory) -> int:
    """Lots ever filled in the layers' slots: it grows with every buy, whichever cycle it belongs to."""
    bought = 0
    ever = view.filled_ever
    for layer in range(memory.layers):
        bought += ever[layer]
    return bought


@compilable
def closable_lots(params: MartingaleParams, position: Position) -> int:
    """What may be sold of a position on our side."""
    return position.sellable_lots if position.base_atoms * params.side > 0 else 0


@compilable
def latest_generation(view: View, cycle: int) -> int:
    """The highest of `cycle` and what was ever attempted under this strategy's cycle keys."""
    for slot in range(LAYERS_MAX):
        cycle = max(cycle, view.generation[slot])
    return max(cycle, view.generation[EXIT_SLOT], view.generation[STOP_SLOT])


@compilable
def layers_alive(view: View) -> int:
    """1 when an order that buys has not ended: until then it may have bought something that nobody has told us of."""
    for layer in range(LAYERS_MAX):
        if view.live_orders[layer] > 0:
            return 1
    return 0


@compilable
def orders_alive(view: View) -> int:
    """1 when an order of any slot has not ended."""
    for slot in range(SLOTS):
        if view.live_orders[slot] > 0:
            return 1
    return 0
