"""What a seed draws: market, strategy, parameters, the day, which faults, how strong and when. Printed with a failure, replayed by the seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lemon_trader.core.units import US_PER_S

S = US_PER_S
MINUTE = 60 * S
DAY_US = 86_400 * S
TAIL_AWAKE = (130 * S, 60 * S)  # of the last five minutes, before and after a sleep: what wakes up has no faults to excuse it
TAIL_NIGHT_US = 110 * S
SPARE_US = 700 * S  # what stops take, and a thin day's further minutes; the tail's own night takes what is left of it

# name -> acts that switch it on and off, as (act on, act off); drawn strengths are filled in.
FAULTS = {
    "F01": ("odds:lose_request={p}", "calm"),
    "F02": ("odds:lose_reply={p}", "calm"),
    "F03": ("filled-unheard", ""),
    "F03b": ("hidden", "shown"),
    "F04": ("odds:error_after={p}", "calm"),
    "F05": ("odds:error_before={p}", "calm"),
    "F06": ("odds:delay_reply={p}", "calm"),
    "F07": ("held:{held}", ""),
    "F08": ("odds:execute_late={p}", "calm"),
    "F09": ("overtaken:{overtaken}", ""),
    "F10": ("double:second", ""),
    "F11": ("batch", ""),
    "F12": ("double:first", ""),
    "F13": ("refuse:INVALID_PRICE", ""),
    "F14": ("refuse:POST_ONLY_TAKER", ""),
    "F16": ("race:2", "race:0"),
    "F17": ("odds:accept_late={p}", "calm"),
    "F17b": ("odds:accept_never={p}", "calm"),
    "F18": ("unheard-cancels", ""),
    "F19": ("nibble", "nibble"),
    "F20": ("refuse:INSUFFICIENT_FUNDS", ""),
    "F21": ("frames:repeat", "frames:"),
    "F21b": ("frames:reverse", "frames:"),
    "F22": ("nameless:on", "nameless:off"),
    "F23": ("ruin", "mend"),
    "F28": ("command:stop", "command:resume"),
    "F28b": ("pair", "restart"),  # the pair's own duration is over; a start lifts it
    "F29": ("hand:cancel", "hand:cancel"),
    "F29b": ("hand:order", "hand:withdraw"),
    "F30": ("deposit", ""),
    "F31": ("drop:depth", "calm"),
    "F32": ("cut", ""),
    "F33": ("silence:depth", "calm"),
    "F34": ("silence:account", "calm"),
    "F35": ("leave", ""),
    "F36": ("tick:{tick}", ""),
    "F40": ("wall:{w}", ""),
    "F42": ("time:{time}", "time:0"),
    "F43": ("night:{nap}:still", ""),
    "F45": ("throttle:{many}", ""),
    "F46": ("maintenance:on", "maintenance:off"),
    "F46b": ("state:{state}", "state:Open"),
    "F47": ("filters:0.05,0.1", "filters:0.01,0.01"),
    "F49": ("refuse:UNAUTHORIZED", "command:resume"),
    "F50": ("down", "up"),
    "F50b": ("cut", ""),
    "F50c": ("storm", "calm"),
    "F52": ("kill", ""),
    "F53": ("kills:3", ""),
    "F54": ("power", ""),
    "F55": ("disk:full", "disk:well"),
    "F56": ("disk:slow", "disk:well"),
    "F63": ("restart", ""),
    "F65": ("say:numbers", ""),
    "F66": ("say:bytes", ""),
    "F67": ("say:words", ""),
    "F67b": ("answer:status", "answer:"),
    "F68": ("answer:html", "answer:"),
    "F69": ("lag:{lag}", "lag:0"),
    "F69b": ("answer:empty", "answer:"),
    "F69c": ("lag:{far}", "lag:0"),
    "F76": ("command:kill", "command:resume"),
    "F77": ("errand:{errand}", "command:resume"),  # kill -9, then the user acts on the dead engine, then it starts again
}  # fmt: skip


@dataclass
class Drawn:
    """One seed's plan.

    Attributes:
        acts: (µs of awake time, act); `tags` says of each which fault it belongs to, "" = the day itself.
        night_us: slept in the middle of the quiet tail; 0 = the tail is one piece.
        shuffled: whether task steps that are ready together change places (mode 2).
        limits: bounds in the send path that the checkers keep a copy of.
        bare: what a shrinker has taken away: no random delays, no shuffled steps, no story.
    """

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
    tags: list[str] = field(default_factory=list)
    night_us: int = 0
    shuffled: bool = False
    limits: dict[str, Any] = field(default_factory=dict)
    client_ids: str = "live"
    marks: str = "computed"
    nameless: bool = False  # this exchange never names a trade
    is_day: bool = False

    def keep(self, wanted: Sequence[int]) -> None:
        """Leave out every act of a fault but these, by their place in the list; what the day itself does stays."""
        kept = [n for n, tag in enumerate(self.tags) if not tag or n in set(wanted)]
        self.acts, self.tags = [self.acts[n] for n in kept], [self.tags[n] for n in kept]


def draw(
    seed: int, *, only: list[str] | None = None, active_us: int = 4 * MINUTE, quiet_us: int = sum(TAIL_AWAKE), is_day: bool = False
) -> Drawn:
    """The plan of this seed; `only` restricts it to these faults. A day has nights between its active hours; without, all is one piece."""
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
        strategy, symbol, values, chance.choice((35, 60)) if is_day else chance.choice((100, 300)), {symbol: story} if story and not is_day else {}, chance.choice((1_000, (500, 40_000))),
        chance.random() < 0.2, active_us, quiet_us, list(faults),
    )  # fmt: skip
    drawn.scheme = chance.choice(("ed25519", "ed25519", "ed25519", "hmac-sha256"))
    drawn.shuffled = chance.random() < 0.5
    drawn.client_ids = chance.choice(("live", "forever"))
    drawn.marks = chance.choice(("stated", "stated", "computed"))
    if chance.random() < 0.3:
        drawn.limits["open_orders"] = chance.choice((3, 6))
    planned: list[tuple[int, str, str]] = []
    for name in faults:
        planned += [(at, act, name) for at, act in _fault(name, chance, active_us)]
    drawn.nameless = is_day and chance.random() < 0.1
    if drawn.nameless:  # equal fills that only the histories tell, and only by their number
        for _ in range(4):
            at = chance.randint(5 * S, active_us - 30 * S)
            planned += [(at, "silence:account", "F22"), (at + S, "nibble", "F22"), (at + 2 * S, "nibble", "F22")]
    if is_day:
        drawn.is_day = True
        drawn.night_us = TAIL_NIGHT_US
        naps_us = sum(int(act.split(":")[1]) for _, act, _ in planned if act.startswith("night:"))
        planned += [(at, act, "") for at, act in _day(chance, active_us, quiet_us + naps_us)]
    planned.sort(key=lambda row: row[0])
    drawn.acts = [(at, act) for at, act, _ in planned]
    drawn.tags = [tag for *_, tag in planned]
    return drawn


def _fault(name: str, chance: random.Random, active_us: int) -> list[tuple[int, str]]:
    """When this fault begins and ends, one to three times."""
    acts: list[tuple[int, str]] = []
    on, off = FAULTS[name]
    for _ in range(chance.randint(1, 3)):
        begin = chance.randint(5 * S, active_us - 30 * S)
        fill = {
            "p": chance.choice((30_000, 100_000, 300_000)),
            "w": chance.choice((-3_600 * S, 3_600 * S)),
            "lag": chance.choice((2 * S, 4 * S)),
            "far": chance.choice((15 * S, 30 * S)),
            "errand": chance.choice(("cancel", "kill", "flatten")),
            "held": chance.choice((2 * S, 4 * S, 7 * S)),
            "overtaken": chance.choice((18 * S, 25 * S, 40 * S)),
            "tick": chance.choice(("zero", "negative", "tenfold", "tenth", "crossed")),
            "time": chance.choice((-3_600, 3_600, 40)),
            "nap": chance.randint(20, 900) * S,
            "many": chance.choice((1, 5, 40)),
            "state": chance.choice(("CancelOnly", "PostOnly", "Closed", "LimitOnly")),
        }
        acts.append((begin, on.format(**fill)))
        end = min(active_us, begin + chance.randint(3 * S, 40 * S))
        if off:
            acts.append((end, off))
        if name == "F22":  # equal fills in one instant, which only their number tells apart
            acts += [(chance.randint(begin, end), "nibble") for _ in range(6)]
    return acts


def _day(chance: random.Random, active_us: int, quiet_us: int) -> list[tuple[int, str]]:
    """Active hours of a minute or so, with nights between them that together make a day of 86,400 s; and who comes to trade with us."""
    hours = chance.randint(4, 6)
    ends = [active_us * n // hours for n in range(1, hours)]
    left_us = DAY_US - active_us - quiet_us - TAIL_NIGHT_US - SPARE_US
    cuts = sorted(chance.sample(range(1, 1_000), len(ends) - 1))
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, 1_000], strict=True)]
    nights = [left_us * share // 1_000 for share in shares]
    nights[-1] += left_us - sum(nights)
    acts = [(at, f"night:{us}:{chance.choice(('still', 'cut', 'stop', 'kill'))}") for at, us in zip(ends, nights, strict=True)]
    return acts + [(chance.randint(8 * S, active_us), "visit") for _ in range(24)]
