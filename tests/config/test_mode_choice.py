"""Which venue: the rules of the architecture as one table."""

from pathlib import Path

import pytest
from tests.config.declared import STRATEGIES

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request, choose_mode, resolve
from lemon_trader.config.sources import Layers

NOWHERE = Path("no-such-folder") / ".env"
KEYS = {"API_KEY": "x", "SECRET_KEY": "y"}

CASES = [
    # (sentence, flags, environment, seed's door, (mode, reason) or the refusal)
    ("a named mode is that mode", {"paper": "true"}, KEYS, False, ("paper", "")),
    ("a named mode wins over the environment's", {"paper": "true"}, {"LEMON_TRADER_MODE": "live"}, False, ("paper", "")),
    ("the environment may name it", {}, {"LEMON_TRADER_MODE": "sandbox"} | KEYS, False, ("sandbox", "")),
    ("the seed's doors choose live from keys", {}, KEYS, True, ("live", "mode.live-from-keys")),
    ("no other door chooses live from keys", {}, KEYS, False, "mode.keys-without-mode"),
    ("one half of the keys is keys enough to refuse", {}, {"SECRET_KEY": "y"}, False, "mode.keys-without-mode"),
    ("keys given as flags count", {"api_key": "x"}, {}, False, "mode.keys-without-mode"),
    ("without keys it is the sandbox, and says so", {}, {}, False, ("sandbox", "mode.sandbox-without-keys")),
    ("without keys the seed's doors say so too", {}, {}, True, ("sandbox", "mode.sandbox-without-keys")),
    ("empty keys are no keys", {}, {"API_KEY": "", "SECRET_KEY": ""}, True, ("sandbox", "mode.sandbox-without-keys")),
    ("two modes are none", {"paper": "true", "live": "true"}, {}, False, "mode.many"),
]


@pytest.mark.parametrize(("flags", "environment", "seed_door", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_mode(flags, environment, seed_door, expected):
    request = Request(flags=flags, environment=environment, seed_door=seed_door, dotenv=NOWHERE)
    layers = Layers(flags, environment, None, {})
    if isinstance(expected, str):
        with pytest.raises(BadSetting) as refused:
            choose_mode(request, layers)
        assert refused.value.key == expected
    else:
        assert choose_mode(request, layers) == expected


LIVE = [
    ("a terminal will be asked", {"live": "true"}, True, None),
    ("nobody there and no --yes", {"live": "true"}, False, "mode.live-needs-yes"),
    ("--yes without --live says nothing about live", {"yes": "true"}, False, "mode.live-needs-yes"),
    ("both flags", {"live": "true", "yes": "true"}, False, None),
]


@pytest.mark.parametrize("seed_door", [True, False])
@pytest.mark.parametrize(("flags", "terminal", "key"), [case[1:] for case in LIVE], ids=[case[0] for case in LIVE])
def test_live_without_a_terminal_needs_both_flags_at_every_door(flags, terminal, key, seed_door):
    environment = KEYS if seed_door else KEYS | {"LEMON_TRADER_MODE": "live"}
    request = Request(
        flags=flags, environment=environment, seed_door=seed_door, terminal=terminal, pairs=("quoter:SOL_USDC",), dotenv=NOWHERE
    )
    with pytest.raises(BadSetting) as refused:
        resolve(request, STRATEGIES)
    # Past the gate the made-up keys are looked at and refused: never a fallback to another mode.
    assert refused.value.key == (key or "keys.not-base64")
