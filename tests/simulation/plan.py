"""What a seed draws: market, strategy, parameters, which faults, how strong and when, crashes. Printed with every failure; replayed by the seed."""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lemon_trader.core.units import US_PER_S

S = US_PER_S
MINUTE = 60 * S

# name -> acts that switch it on and off, as (act on, act off); drawn strengths are filled in.
FAULTS = {
    "F01": ("odds:lose_request={p}", "calm"),
    "F02": ("odds:lose_reply={p}", "calm"),
    "F04": ("odds:error_after={p}", "calm"),
    "F05": ("odds:error_before={p}", "calm"),
    "F06": ("odds:delay_reply={p}", "calm"),
    "F08": ("odds:execute_late={p}", "calm"),
    "F17": ("odds:accept_late={p}", "calm"),
    "F17b": ("odds:accept_never={p}", "calm"),
    "F19": ("nibble", "nibble"),
    "F22": ("nameless:on", "nameless:off"),
    "F31": ("drop:depth", "calm"),
    "F33": ("silence:depth", "calm"),
    "F34": ("silence:account", "calm"),
    "F40": ("wall:{w}", "calm"),
    "F46": ("maintenance:on", "maintenance:off"),
    "F47": ("filters:0.05,0.1", "filters:0.01,0.01"),
    "F50": ("down", "up"),
    "F50b": ("cut", "calm"),
    "F52": ("kill", "calm"),
    "F54": ("power", "calm"),
    "F63": ("restart", "calm"),
    "F69": ("lag:{lag}", "lag:0"),
    "F23": ("ruin", "mend"),
    "F28": ("command:stop", "command:resume"),
    "F28b": ("pair", "restart"),  # the pair's own duration is over; a start lifts it
    "F76": ("command:kill", "command:resume"),
    "F77": ("errand:{errand}", "command:resume"),  # kill -9, then the user acts on the dead engine, then it starts again
}


@dataclass
class Drawn:
    """One seed's plan."""

    strategy: str
    symbol: str
    values: dict[str, Any]
    activity_pct: int
    stories: dict[str, str]
    delay_us: int | tuple[int, int]
    strict: bool
    active_us: int
    quiet_us: int
    faults: list[str]
    scheme: str = "ed25519"
    acts: list[tuple[int, str]] = field(default_factory=list)
    besides: tuple[str, ...] = ()  # further markets that the exchange lists


def draw(seed: int, *, only: list[str] | None = None, active_us: int = 4 * MINUTE, quiet_us: int = 90 * S) -> Drawn:
    """The plan of this seed; `only` restricts it to these faults."""
    chance = random.Random(f"plan {seed}")
    strategy = ("market-maker", "martingale")[seed % 2]
    symbol = ("SOL_USDC", "SOL_USDC_PERP")[seed // 2 % 2]
    if strategy == "market-maker":
        values: dict[str, Any] = {
            "spread": Decimal(chance.choice(("0.05", "0.1", "0.3"))), "max_orders": chance.choice((1, 2, 4)), "interval": chance.choice((3, 20)),
            "volatility_factor": Decimal(0),
        }  # fmt: skip
    else:
        values = {
            "layers": chance.choice((3, 5)), "step_pct": Decimal(chance.choice(("0.4", "1"))), "take_profit_pct": Decimal("0.4"),
            "stop_loss_pct": Decimal(chance.choice(("6", "9"))), "entry": chance.choice(("offset", "market")), "entry_wait": 5, "cooldown": 3,
            "pause_after_stop": 10, "stop_by_layer": False, "resting": chance.choice((1, 2, 3)),
        }  # fmt: skip
    story = chance.choice(("", "demo", "ripple", "spike", "crash"))
    faults = only if only is not None else chance.sample(sorted(FAULTS), chance.randint(1, 5))
    drawn = Drawn(
        strategy, symbol, values, chance.choice((100, 300)), {symbol: story} if story else {}, chance.choice((1_000, (500, 40_000))),
        chance.random() < 0.2, active_us, quiet_us, list(faults),
    )  # fmt: skip
    drawn.scheme = chance.choice(("ed25519", "ed25519", "ed25519", "hmac-sha256"))
    for name in faults:
        on, off = FAULTS[name]
        for _ in range(chance.randint(1, 3)):
            begin = chance.randint(5 * S, active_us - 30 * S)
            fill = {
                "p": chance.choice((30_000, 100_000, 300_000)),
                "w": chance.choice((-3_600 * S, 3_600 * S)),
                "lag": chance.choice((2 * S, 4 * S)),
                "errand": chance.choice(("cancel", "kill", "flatten")),
            }
            drawn.acts.append((begin, on.format(**fill)))
            end = min(active_us, begin + chance.randint(3 * S, 40 * S))
            drawn.acts.append((end, off))
            if name == "F22":  # equal fills in one instant, which only their number tells apart
                drawn.acts += [(chance.randint(begin, end), "nibble") for _ in range(6)]
    drawn.acts.sort(key=lambda pair: pair[0])
    return drawn
