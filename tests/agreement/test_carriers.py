"""Equal commands in every carrier: live over a stepped loopback against replay, on the same tape with the same parameters."""

import pytest
from msgspec.structs import replace
from tests.agreement.tapes import CASES, Case
from tests.fake_env import START_US
from tests.replay_rig import NAME, Rig, bare, books_of_bot, books_of_exchange, replay, without_id
from tests.stepped_loopback import SteppedVenue

from lemon_trader.market.instruments import default_instrument
from lemon_trader.matching.rules import STATED
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.terms import sandbox_rules
from lemon_trader.sandbox.world import EMPTY, WorldOptions, make_world


def live(case: Case) -> Rig:
    """The tape through the client, the protocol and the sandbox; bytes on every way."""
    options = WorldOptions(
        market=EMPTY, symbols=(case.symbol,), accounts=1, balances={"USDC": "10000"}, switches=Switches(heartbeat_us=0),
        rules=replace(sandbox_rules(), mark_rule=STATED),  # the tape says where the mark is, as in replay
    )  # fmt: skip
    world = make_world(options, START_US)
    venue = SteppedVenue(world)
    rig = Rig(bare(case.pair, default_instrument(case.symbol), venue), venue, world.app.desk.exchange, START_US)
    try:
        rig.open()
        rig.play(case.source())
    finally:
        venue.close()
    return rig


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_live_over_stepped_loopback_sends_what_replay_sends(case: Case):
    replayed, lived = replay(case.source(), case.pair), live(case)
    sent, expected = [[without_id(c) for c in rig.venue.commands] for rig in (lived, replayed)]
    assert len(expected) >= case.least, "nothing happened on this tape, so it proves nothing"
    differ = next((n for n, (a, b) in enumerate(zip(sent, expected, strict=False)) if a != b), None)
    assert differ is None, f"command {differ}: live {sent[differ]}, replay {expected[differ]}"
    assert len(sent) == len(expected)
    books = [books_of_bot(rig.bot.market) for rig in (lived, replayed)]
    assert books[0] == books[1]
    assert books[0] == books_of_exchange(lived.exchange, NAME, lived.bot.instrument)
    assert lived.account.fills, "a tape without a fill compares too little"


def test_the_same_tape_gives_the_same_commands_with_their_ids_and_the_same_journal():
    case = CASES[-1]
    first, second = replay(case.source(), case.pair), replay(case.source(), case.pair)
    assert first.venue.commands == second.venue.commands
    assert first.bot.journal.events == second.bot.journal.events
