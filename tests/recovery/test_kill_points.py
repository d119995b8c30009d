"""Killed between any two records: the next life finds every order and every fill, sends nothing twice, and its books are the exchange's."""

import pytest
from tests.agreement.tapes import CASES, PERP, SPOT, Case
from tests.recovery.mortal import NEVER, Killed, Life, World
from tests.replay_rig import NAME, books_of_bot, books_of_exchange, durable

from lemon_trader.core.state import AccountState
from lemon_trader.core.units import EXIT, FIRST_TERMINAL, LAYER, UNKNOWN, US_PER_S
from lemon_trader.database.journal import read_events
from lemon_trader.engine.startup import fold

QUIET_US = 45 * US_PER_S  # no kill in the last part of a tape: an unknown outcome takes a lease, a fence and a read to resolve
KILLS = 40  # at most; a ladder writes too few records for so many
POINTS = 40
SHORT = {"entry": "market", "cooldown": 2, "pause_after_stop": 5, "resting": 3}


def die_at(world: World, records: int, until_us: int) -> bool:
    """One life of so many records; False when it reached `until_us` alive."""
    life = Life(world, records=records)
    try:
        life.begin()
        life.trade(until_us)
    except Killed:
        life.die()
        return True
    world.disk.kill()
    return False


def live_on(world: World, until_us: int = NEVER) -> Life:
    """The last life, to the end of the tape."""
    life = Life(world)
    life.begin()
    life.trade(until_us)
    return life


def check_end(world: World, life: Life) -> None:
    """Nothing lost, nothing twice, nothing unknown; and a start at this moment changes nothing."""
    instrument = world.instrument
    assert books_of_bot(life.market) == books_of_exchange(world.exchange, NAME, instrument)
    assert life.market.ledger.lots == (
        world.account.position_lots(instrument.symbol)
        if instrument.is_perp
        else world.account.total(instrument.base) // instrument.lot_atoms
    )
    known = {o.order_id: o for o in life.market.orders.live}
    assert not [o for o in known.values() if o.state == UNKNOWN], "an unknown outcome is not resolved in the quiet end"
    assert {str(number) for number in world.account.live} == set(known), "orders at the exchange and orders here"
    ids = [o.client_id for o in [*world.account.order_history, *world.account.live.values()] if o.client_id is not None]
    assert len(ids) == len(set(ids)), "the exchange saw a client id twice"
    filled: dict[tuple[int, int], int] = {}
    for fill in world.account.fills:
        if fill.client_id is not None:
            slot, generation, _ = world.keys[fill.client_id]
            filled[slot, generation] = filled.get((slot, generation), 0) + fill.lots
    table = life.market.orders
    assert sum(table.filled_ever) == sum(fill.lots for fill in world.account.fills)
    for (slot, generation), lots in filled.items():
        if table.generation[slot] == generation:
            assert table.filled[slot] == lots
    before = list(world.sent)
    world.disk.kill()
    folded = AccountState()
    fold(folded, None, list(read_events(world.disk.store())), {instrument.symbol: instrument})
    assert durable(folded) == durable(life.state), "the journal of all lives folds to the state of the last"
    again = Life(world)
    again.begin()
    again.engine.turn(again.venue.opening([instrument.symbol], again.now_us))
    assert world.sent == before
    assert not again.venue.commands
    assert books_of_bot(again.market) == books_of_bot(life.market)
    live = [o for o in again.market.orders.live if o.state < FIRST_TERMINAL]
    assert {o.order_id for o in live} == set(known)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", [c for c in CASES if c.story in {"demo", "ripple", "synthetic"}], ids=lambda case: case.name)
def test_many_kills_on_one_tape(case: Case, seed: int):
    world = World(case, seed)
    until_us = world.tape[-1].at_us - QUIET_US
    kills = 0
    while kills < KILLS and world.exchange.now_us < until_us:
        if die_at(world, world.chance.choice((1, 2, 3, 5, 8, 13, 21, 34, 55, 89)), until_us):
            kills += 1
            world.pass_alone(world.chance.choice((0, 0, 200_000, US_PER_S, 3 * US_PER_S)))
    assert kills >= 6, "too few kills prove too little"
    check_end(world, live_on(world))


@pytest.mark.slow
@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_one_kill_between_two_records_of_a_ladder_that_buys_closes_and_stops(symbol: str):
    case = Case("a ladder buys, closes and stops", "martingale", symbol, "demo", SHORT)
    whole = World(case, 0)
    life = live_on(whole, whole.tape[-1].at_us - QUIET_US)
    roles = {a.role for d in life.decided() for a in d.attempts}
    assert {LAYER, EXIT} <= roles, "a life without them proves too little"
    for records in range(1, whole.records, max(1, whole.records // POINTS)):
        world = World(case, records)
        assert die_at(world, records, world.tape[-1].at_us), records
        world.pass_alone(world.chance.choice((0, US_PER_S)))
        check_end(world, live_on(world))
