"""Both catalogues are complete, agree in what they want said, and know every id that the program says."""

import ast
import re

import pytest
from tests.shape.sources import sources

from lemon_trader.backtest.metrics import UNITS
from lemon_trader.cli.app import COMMANDS
from lemon_trader.cli.flags import trading_groups
from lemon_trader.cli.journals import ACCOUNT
from lemon_trader.cli.plan import plan_groups
from lemon_trader.config.backtest import FILL_MODELS, QUEUES
from lemon_trader.config.sandbox import SANDBOX_PARAMETERS
from lemon_trader.core import reasons
from lemon_trader.core.units import FIRST_TERMINAL, MODE_NAMES, ROLE_NAMES, STATE_NAMES
from lemon_trader.database.statistics import LINES
from lemon_trader.market.faults import FAULTS
from lemon_trader.messages.catalogue import LOCALES, placeholders, texts
from lemon_trader.run import latch, looks
from lemon_trader.strategies.parameter import ACTS

EN = texts("en")
ID = re.compile(r"[a-z]+[a-z-]*([._][A-Za-z0-9_-]+)+\Z")

# Where commands come from: doors, and what ends a run.
ORIGINS = ("cli", "panel", "control", "dead-engine", "file", "duration", "signal", "command", "fault")

# Calls whose first words are message ids; the others take one as their second argument.
REFUSE_MARKETS = {"RecordingError", "UnknownMarket"}
SAYS = {"say", "ask", "complain", "tell", "BadSetting", "StrategyRefused", "StartRefused", "Doubt"} | REFUSE_MARKETS
SAYS_SECOND = {"confirm"}
NOT_WORDS = {"key", "ts_us", "grade"}


def said():
    """(place, id, names of the values given, True when more come by **) of every literal message in the sources."""
    for source in sources():
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name not in SAYS | SAYS_SECOND:
                continue
            for argument in node.args[:2]:
                for literal in branches(argument):
                    if ID.match(literal) or (name == "say" and literal in EN):
                        given = {k.arg for k in node.keywords if k.arg}
                        more = any(k.arg is None for k in node.keywords) or name in {"complain", "Doubt"}
                        yield f"{source.name}:{node.lineno}", literal, given - NOT_WORDS, more


def branches(node):
    """The texts that an expression of literals and conditions may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return branches(node.body) + branches(node.orelse)
    return []


def test_the_scan_finds_what_is_said():
    assert len({key for _, key, _, _ in said()}) > 100


def test_every_id_that_is_said_is_known():
    unknown = sorted({f"{place} {key}" for place, key, _, _ in said() if key not in EN})
    assert not unknown, "\n".join(unknown)


def test_every_text_gets_the_values_that_it_wants():
    wrong = [
        f"{place} {key}: wants {sorted(placeholders(EN[key]))}, gets {sorted(given)}"
        for place, key, given, more in said()
        if key in EN and not more and not placeholders(EN[key]) <= given
    ]
    assert not wrong, "\n".join(wrong)


def refused_markets():
    """(place, what it is raised with) of every raise of a market's or recording's refusal; None where that is not one message id."""
    for source in sources():
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Raise) or node.exc is None:
                continue
            called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if getattr(called, "id", None) in REFUSE_MARKETS:
                first = node.exc.args[0] if isinstance(node.exc, ast.Call) and node.exc.args else None
                yield f"{source.name}:{node.lineno}", first


@pytest.mark.parametrize("language", sorted(LOCALES))
def test_every_refused_recording_names_a_message_in_every_language(language):
    known = texts(language)
    raised = list(refused_markets())
    assert len(raised) > 40, "the scan finds what is raised"
    # Besides a literal there is only the refusal of a market that is handed on as it came: its `key`.
    wrong = [
        place
        for place, first in raised
        if not (isinstance(first, ast.Attribute) and first.attr == "key") and not (branches(first) and set(branches(first)) <= set(known))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("language", sorted(set(LOCALES) - {"en"}))
def test_both_catalogues_say_the_same_things(language):
    other = texts(language)
    assert set(other) == set(EN)
    differing = [key for key in EN if placeholders(EN[key]) != placeholders(other[key])]
    assert not differing


@pytest.mark.parametrize("language", sorted(LOCALES))
def test_placeholders_are_plain_names(language):
    # A text may not reach into a value: `{key.attribute}` and `{key!r}` would show more than was meant.
    for key, text in texts(language).items():
        assert all(name.isidentifier() for name in placeholders(text)), key
        assert "!" not in "".join(re.findall(r"\{[^}]*\}", text)), key


def made_by_rule():
    """Ids that are put together: from commands, declarations, codes and the report's table."""
    groups = [*trading_groups(faces=True), *plan_groups(), ("group.sandbox", SANDBOX_PARAMETERS), ("group.house", (ACCOUNT,))]
    yield from (command.summary for command in COMMANDS.values())
    yield from (command.section for command in COMMANDS.values())
    yield from (p.help for _, parameters in groups for p in parameters)
    yield from (f"reason.{name}" for name in reasons.NAMES)
    yield from (f"role.{name}" for name in (*ROLE_NAMES, "SYSTEM"))
    yield from (f"side.{name}" for name in ("BUY", "SELL"))
    yield from (f"state.{name.lower()}" for name in MODE_NAMES)
    yield from (f"order.{name}" for name in STATE_NAMES[:FIRST_TERMINAL])
    yield from (label for _, label, _ in LINES)
    yield from (f"figure.{name}" for name in UNITS)
    yield from (f"model.{model}" for model in dict.fromkeys((*FILL_MODELS, *QUEUES)))
    yield from (f"parity.{what}" for what in ("order", "cancel", "memory"))
    yield from (f"result.ended-{ending}" for ending in ("exit", "stop", "exchange", "open"))
    yield from (f"mode.{mode}" for mode in ("live", "paper", "sandbox"))
    yield from (f"{kind}.{action}" for action in ("stop", "cancel", "kill", "flatten", "resume") for kind in ("done",))
    yield from (f"act.{ending}.{action}" for action in ("cancel", "kill", "flatten") for ending in ("done", "not-done"))
    yield from (f"latch.{reason}" for reason in (*latch.COMMANDS, *latch.LIMITS))
    yield from (f"look.from-{source}" for source in (looks.JOURNAL, looks.EXCHANGE, looks.LAST_PICTURE))
    yield from (f"alert.command_{action}" for action in ("stop", "cancel", "kill", "flatten", "resume"))
    yield from (f"acts.{when}" for when in ACTS)
    yield from (f"alert.{what}_{how}" for what in ("stop", "flatten") for how in ("fired", "done"))
    yield from (f"origin.{door}" for door in ORIGINS)
    yield from (f"source.{source}" for source in ("public", "private", "account"))
    yield from (f"demo.feed.{feed}" for feed in ("public", "private"))
    yield from (f"fault.{kind}" for kind in FAULTS)


def test_every_id_that_is_made_by_rule_is_known():
    missing = sorted({key for key in made_by_rule() if key not in EN})
    assert not missing, "\n".join(missing)


def test_no_text_is_left_over():
    literals = {
        node.value
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    patterns = {
        key for key in EN if key.startswith(("status.", "report.position.", "sandbox.page."))
    }  # the page's own are held by its test
    left = sorted(set(EN) - literals - set(made_by_rule()) - patterns)
    assert not left, "\n".join(left)
