"""One command carried out by a life of its own: without strategies, through the engine that trades, until it is done and proven."""

from collections.abc import Callable
from typing import Final

from lemon_trader.core.events import UserCommand, Wake
from lemon_trader.core.units import STOP, US_PER_S
from lemon_trader.run.session import Session

CANCEL: Final = "cancel"
KILL: Final = "kill"
FLATTEN: Final = "flatten"
RESUME: Final = "resume"
CANCEL_WAIT_US: Final = 60 * US_PER_S  # an outcome that nobody knows takes some fifteen seconds to resolve
FLATTEN_WAIT_US: Final = 180 * US_PER_S
LOOK_US: Final = 50_000
ORIGIN: Final = "dead-engine"


async def carry_out(session: Session, action: str, wait_us: int = 0, go_on: Callable[[], bool] = lambda: True) -> bool:
    """Write the command, then live until it is done, the wait is over or `go_on` says no; True when it is done. The session has recovered.

    The command stands in the journal before anything is asked or sent: whatever comes, the next life knows it. Raises VenueLost.
    """
    env = session.env
    session.engine.record(UserCommand(env.now_us(), action, "", ORIGIN))
    await session.attend()
    if not go_on():
        return False
    session.engine.turn([Wake(env.now_us())])
    until = env.now_us() + (wait_us or (FLATTEN_WAIT_US if action == FLATTEN else CANCEL_WAIT_US))
    while not is_done(session, action) and env.now_us() < until and go_on():
        await env.sleep(LOOK_US)
    done = is_done(session, action)
    session.leave()
    return done


def is_done(session: Session, action: str) -> bool:
    """Only what the act leaves is left: no order but a STOP after `cancel` and `kill`; no order and nothing sellable after `flatten`."""
    state = session.state
    session.engine.look(session.env.now_us())
    live = [o for m in state.markets.values() for o in m.orders.live]
    if action != FLATTEN:
        return not any(o.role != STOP for o in live)
    held = any(m.position.sellable_lots >= max(1, m.view.min_lots) for m in state.markets.values())
    return not live and not held and not state.want_read
