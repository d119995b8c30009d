"""What a session tells beyond its own screen: alerts to where the operator is, a heartbeat, and that the machine stood still."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from lemon_trader.config.settings import AlertSettings, AlertTarget
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.market import ACCOUNT_AGE_US, FEED_AGE_US
from lemon_trader.core.state import AccountState, Alert, Recorded
from lemon_trader.core.units import ROLE_NAMES, US_PER_S, side_name
from lemon_trader.engine.awake import LOOK_US, Awake
from lemon_trader.env import Env
from lemon_trader.logger import Redactor
from lemon_trader.notify.courier import Courier, Target
from lemon_trader.notify.heartbeat import Heartbeat
from lemon_trader.notify.local import CommandTarget, ServiceTarget
from lemon_trader.notify.web import WebTarget

LAST_WORDS_US: Final = 5 * US_PER_S  # an end waits no longer until its last alerts have left
ALIVE_US: Final = 10 * US_PER_S  # an engine that has not woken for so long is not well
FINGERPRINT: Final = 8  # characters


class Telling:
    """Made when a session begins to trade, closed with it."""

    def __init__(
        self, world: Env, settings: AlertSettings, state: AccountState, now_us: Callable[[], int], *, mode: str, api_key: str,
        redactor: Redactor,
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            world: the machine's own time and network, whatever speed a sandbox has.
            settings: who is told what.
            state: the session's; alerts of our own go into it, and so into journal, log and screens.
            now_us: the engine's time.
            mode: of the session.
            api_key: its fingerprint names the account where no label does.
            redactor: knows the secrets.
        """
        self._world = world
        self._state = state
        self._now_us = now_us
        self._wants_fills = settings.levels.get("fill", "on") != "off"
        self._ticked_us = world.now_us()
        targets = [(target.label, _target(world, target)) for target in settings.targets]
        account = settings.account_label or fingerprint(api_key)
        self.courier = Courier(world, settings, targets, mode=mode, account=account, redactor=redactor, on_trouble=self._trouble)
        self.heartbeat: Heartbeat | None = None
        if settings.heartbeat is not None:
            self.heartbeat = Heartbeat(world, settings.heartbeat, settings.heartbeat_s * US_PER_S, self.is_well, self._trouble)
        self._looking = world.spawn(self._look(), "awake")

    def alert(self, alert: Alert) -> None:
        """An alert of the engine, as it is handed out."""
        self.courier.tell(alert)

    def fills(self, recorded: Sequence[Recorded]) -> None:
        """Fills as they are booked; told only where somebody asked for them."""
        if not self._wants_fills:
            return
        for entry in recorded:
            fill, market = entry.fill, self._state.markets[entry.fill.symbol]
            values = {
                "symbol": fill.symbol,
                "side": side_name(fill.side),
                "role": ROLE_NAMES[entry.role] if entry.role >= 0 else "SYSTEM",
                "quantity": market.instrument.qty_text(fill.qty_lots),
                "price": market.instrument.price_text(fill.price_ticks),
                "realised": atoms_text(entry.booked.realised_atoms),
                "held": atoms_text(market.ledger.base_atoms),
            }
            self.courier.tell(Alert(fill.ts_us, "alert.fill", "info", values))

    def ticked(self) -> None:
        """The engine has woken."""
        self._ticked_us = self._world.now_us()

    def is_well(self) -> bool:
        """Whether the engine wakes, hears the exchange, reads the account and writes its journal; a halted one that does is well."""
        state, now_us = self._state, self._now_us()
        return (
            self._world.now_us() - self._ticked_us <= ALIVE_US
            and state.public_up
            and state.private_up
            and now_us - state.public_us <= FEED_AGE_US
            and now_us - state.account_us <= ACCOUNT_AGE_US
            and state.store_ok
        )

    async def close(self) -> None:
        """Give the last alerts a moment, and end."""
        self._looking.cancel()
        if self.heartbeat is not None:
            self.heartbeat.close()
        await self.courier.close(LAST_WORDS_US)

    def _trouble(self, key: str, grade: str, values: dict[str, str]) -> None:
        self._state.tell(self._now_us(), key, grade, **values)

    async def _look(self) -> None:
        awake = Awake(self._world.now_us(), self._world.wall_us())
        while True:
            await self._world.sleep(LOOK_US)
            found = awake.look(self._world.now_us(), self._world.wall_us())
            if found is not None:
                key, seconds = found
                self._state.tell(self._now_us(), key, "warn", seconds=seconds)


def fingerprint(api_key: str) -> str:
    """What a key is called where its own text must not stand."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:FINGERPRINT]


def _target(env: Env, target: AlertTarget) -> Target:
    match target.kind:
        case "web":
            return WebTarget(env, target.address)
        case "command":
            return CommandTarget(target.words)
        case _:
            return ServiceTarget(target.address)
