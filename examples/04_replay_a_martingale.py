"""A martingale on a scripted market, without network, clock or loop: the engine is a function of facts.

    python examples/04_replay_a_martingale.py

The script dips, recovers, and then falls through the whole ladder and its stop. A hundred seconds of market take a moment here, and
the same facts lead to the same decisions as they would live.
"""

from collections.abc import Sequence
from decimal import Decimal

from lemon_trader.config.settings import PairSettings
from lemon_trader.core.events import AnyEvent, IdsReserved
from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.state import IDS_BLOCK, AccountState, Recorded
from lemon_trader.core.units import ATOMS_PER_UNIT, ROLE_NAMES, US_PER_S, side_name
from lemon_trader.engine.startup import bind
from lemon_trader.engine.turn import Engine
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.scenarios import SCENARIOS, play_scenario
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Rules
from lemon_trader.run.parts import default_values, make_plan
from lemon_trader.venues.replay import ReplayVenue, play

SYMBOL = "SOL_USDC"
START_US = 1_790_000_000 * US_PER_S
FUNDS = 10_000 * ATOMS_PER_UNIT


class Journal:
    """A journal that only counts; a real one writes before anything leaves."""

    sequence = 0

    def append(self, _: AnyEvent) -> None:
        self.sequence += 1

    def checkpoint(self, ts_us: int, state: bytes) -> None:
        """Nothing to keep."""


def show(fills: Sequence[Recorded], market: Instrument) -> None:
    for f in fills:
        at_s = (f.fill.ts_us - START_US) // US_PER_S
        what = f"{ROLE_NAMES[f.role]:<5}  {side_name(f.fill.side):<4}"
        print(f"{at_s:>3} s  {what}  {market.qty_text(f.fill.qty_lots):>5} at {market.price_text(f.fill.price_ticks)}")


def main() -> None:
    market = default_instrument(SYMBOL)
    exchange = Exchange([market], Rules())
    exchange.advance(START_US)
    exchange.open_account("me", {"USDC": FUNDS})
    venue = ReplayVenue(exchange, "me")
    state = AccountState()
    m = state.add_market(market)
    engine = Engine(state, Journal(), venue)
    # A start: terms, ids, a first look at the book and the account.
    engine.record(venue.terms(START_US))
    engine.record(IdsReserved(START_US, 1, 1 + IDS_BLOCK))
    engine.turn([*venue.opening([SYMBOL], START_US), venue.read([SYMBOL], 0, START_US)])
    values = default_values("martingale", entry_wait=5, cooldown=5, pause_after_stop=600)
    bind(state, make_plan(PairSettings("martingale", SYMBOL, values, budget=Decimal(400)), state, market, FUNDS))
    engine.deciding = True
    engine.on_fact = lambda _number, _event, fills: show(fills, market)
    play(play_scenario(SCENARIOS["demo"], market, start_us=START_US), venue, engine.turn, [SYMBOL])
    print(f"net {atoms_text(m.ledger.net_atoms(m.reference_ticks()))}, of it fees {atoms_text(-m.ledger.fees_atoms)}")


if __name__ == "__main__":
    main()
