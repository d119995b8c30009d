"""Imports point the allowed way: `May import` of the architecture, as a table."""

from graphlib import CycleError, TopologicalSorter

import pytest
from tests.shape.sources import imports, sources

# From the ground up. A room imports rooms of lower rows and itself; siblings in one row do not know one another.
ROWS = (
    ("formulas",),
    ("core",),
    ("strategies", "exchanges", "matching"),
    ("env", "env_live", "utils", "config", "logger", "messages"),
    ("database", "api", "websocket", "market"),
    ("sandbox", "venues", "notify"),
    ("engine",),
    ("backtest",),
    ("optimize",),
    ("panel", "web"),
    ("run",),
    ("cli",),
    ("main",),
)
RANK = {room: rank for rank, row in enumerate(ROWS) for room in row}

SIBLINGS = {
    ("env_live", "env"): "it implements the port",
}

# The simulated exchange is a witness: what it shares with the program it tests is the grid and the names of the codes.
MATCHING_OF_CORE = {"core/units", "core/instrument"}

# Who may name one strategy or one exchange; for everybody else there are the catalogs and the ports.
SHARED = {
    "strategies": {"strategies", "strategies/parameter", "strategies/catalog", "strategies/sheet"},
    "exchanges": {"exchanges", "exchanges/dialect", "exchanges/catalog", "exchanges/signers"},
}
MAY_NAME = {"strategies": {"strategies", "run"}, "exchanges": {"exchanges", "run", "sandbox"}}

NAMES = {source.name for source in sources()}


def module_of(dotted: str) -> str | None:
    """The module of ours that a dotted import names, or None: names inside a module belong to it."""
    head, _, rest = dotted.partition(".")
    if head != "lemon_trader":
        return None
    name = rest.replace(".", "/")
    return name if name in NAMES else None


def arrows() -> list[tuple[str, str, int]]:
    found = []
    for source in sources():
        for line, dotted in imports(source.tree):
            target = module_of(dotted)
            if target and target != source.name:
                found.append((source.name, target, line))
    return found


def room(name: str) -> str:
    return name.split("/", maxsplit=1)[0]


def test_every_room_stands_in_the_map():
    unknown = {room(source.name) for source in sources() if source.name != "."} - set(RANK)
    assert not unknown, f"rooms that the map does not know: {sorted(unknown)}"


def test_the_package_itself_imports_nothing_of_ours():
    assert not [a for a in arrows() if a[0] == "."]


def allowed(source: str, target: str) -> bool:
    here, there = room(source), room(target)
    if here == there or target == ".":
        return True
    if here == "matching" and there == "core":
        return target in MATCHING_OF_CORE or target == "core"
    return RANK[there] < RANK[here] or (here, there) in SIBLINGS


def test_imports_go_only_down_the_map():
    wrong = [f"{source}:{line} imports {target}" for source, target, line in arrows() if not allowed(source, target)]
    assert not wrong, "\n".join(wrong)


def test_only_composition_and_catalogs_name_a_strategy_or_an_exchange():
    wrong = [
        f"{source}:{line} names {target}"
        for source, target, line in arrows()
        if room(target) in SHARED and target not in SHARED[room(target)] and room(source) not in MAY_NAME[room(target)]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_through_others():
    graph: dict[str, set[str]] = {}
    for source, target, _ in arrows():
        # A package that re-exports its own modules is not a circle; one that its modules need is.
        graph.setdefault(source, set()).add(target)
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("core/book", "formulas/quote", True),
        ("formulas/quote", "core/units", False),
        ("strategies/martingale", "exchanges/dialect", False),
        ("matching/book", "core/units", True),
        ("matching/book", "core/ledger", False),
        ("engine/turn", "venues/venue", True),
        ("cli/app", "run", True),
        ("run", "cli/app", False),
    ],
)
def test_the_rule_itself_tells_right_from_wrong(source, target, expected):
    assert allowed(source, target) is expected
