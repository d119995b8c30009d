"""Commands: what a turn sends to a venue. The venue's shell turns them into bytes; nothing else leaves the program."""

import msgspec


class Place(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One order to place.

    Attributes:
        client_id: ours, unsigned 32 bit, never used before.
        side, kind, flags: codes of `core/units.py`. LIMIT rests (GTC), POST_ONLY rests or is refused, TAKE is a limit IOC at
            `price_ticks` that removes our own resting orders (self-trade rule RejectMaker), TRIGGER is a reduce-only market order
            fired by mark price.
        price_ticks: limit; 0 for a TRIGGER.
        trigger_ticks: of a TRIGGER; else 0.
        qty_lots: to place now. With WHOLE_POSITION the venue is asked for 100 %, and this is what that is at most.
    """

    symbol: str
    client_id: int
    side: int
    kind: int
    flags: int
    price_ticks: int
    trigger_ticks: int
    qty_lots: int


class Cancel(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One of our own orders to cancel, by client id (`order_id` is known for children of a trigger, which carry none)."""

    symbol: str
    client_id: int
    order_id: str = ""


Command = Place | Cancel
