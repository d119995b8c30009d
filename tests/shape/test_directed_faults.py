"""Every fault of the matrix has a test under its number that forces it (docs/reliability.md)."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FAULTS = range(1, 79)
# Without the part of the program that they are about there is nothing to force. Each line goes when that part comes.
ABSENT = {
    58: "there is no database server behind the records",
    72: "there is no dashboard in the browser",
    73: "there is no dashboard in the browser",
}
NAME = re.compile(r"test_F(\d\d)_\w+\Z")


def forced() -> dict[int, list[tuple[Path, ast.FunctionDef]]]:
    """The tests of each number."""
    found: dict[int, list[tuple[Path, ast.FunctionDef]]] = {number: [] for number in FAULTS}
    for path in TESTS.rglob("test_*.py"):
        if "test_F" not in (text := path.read_text()):
            continue
        for node in ast.walk(ast.parse(text)):
            match = NAME.match(node.name) if isinstance(node, ast.FunctionDef) else None
            if match is not None:
                found[int(match[1])].append((path, node))
    return found


FORCED = forced()


@pytest.mark.parametrize("number", FAULTS)
def test_each_fault_is_forced_by_a_test_under_its_number(number):
    if number in ABSENT:
        assert not FORCED[number], f"F{number} has a test now: take it off the list"
    else:
        assert FORCED[number], f"no test is named test_F{number:02}_…"


@pytest.mark.parametrize("number", [n for n in FAULTS if n not in ABSENT])
def test_each_of_them_asserts_something(number):
    """A script of the simulation is played against every checker; that its fault has happened it says itself."""
    for path, node in FORCED[number]:
        says = ast.unparse(node)
        asserts = any(word in says for word in ("assert ", "raises(", ".until(", "play_frames("))
        assert asserts, f"{path.name}: {node.name} does not say that its fault happened"


def test_the_faults_are_forced_on_both_strategies_and_both_kinds_of_market():
    """Over all of them; a single one may belong to one kind: a resting stop there is on perpetuals alone."""
    words = {
        n: {word for path, node in tests for word in re.findall(r"\b(WORLDS|MAKER|MARTINGALE|SPOT|PERP)\b", ast.unparse(node))}
        for n, tests in FORCED.items()
    }
    both = [n for n, said in words.items() if "WORLDS" in said or {"MAKER", "MARTINGALE"} <= said]
    kinds = [n for n, said in words.items() if "WORLDS" in said or {"SPOT", "PERP"} <= said]
    assert len(both) >= 30, both
    assert len(kinds) >= 35, kinds
