"""Money, quantity and time are integers: no Decimal outside gate, configuration and screens, no float outside formulas and backtest."""

import ast

import pytest
from tests.shape.sources import imports, sources

DECIMAL = {
    "core/instrument": "the gate",
    "config": "what a person typed",
    "strategies/parameter": "the type of a parsed parameter",
    "run": "composition makes integers of what a person typed",
    "messages": "prints what a screen is given",
    "cli": "a screen",
    "panel": "a screen",
    "web": "a screen",
}

FLOAT = {
    "formulas": "a model's coefficients; what becomes a price or a quantity is rounded there, once",
    "backtest": "research figures",
    "optimize": "research figures",
    "core/instrument": "the gate's fast path: below 15 digits a rounded float product is exact; tests hold it against Decimal",
    "env": "the seam's random numbers and the seconds of a clock, as their own libraries give them",
    "run/scaled": "hands the seam's random numbers on",
    "engine/control": "asyncio takes its time-outs as floats",
    "env_live": "event loops take seconds as floats",
}

# `a / b` of integers is a float; these rooms divide with //, and Decimals only in the modules above.
NO_DIVISION = {"core", "strategies", "exchanges", "matching", "engine", "venues"}
EXACT_MATH = {"isqrt", "gcd", "lcm", "comb", "prod", "ceil", "floor"}  # ceil and floor give an integer, of a Decimal exactly


def is_listed(name: str, table: dict[str, str]) -> bool:
    return any(name == entry or name.startswith(f"{entry}/") for entry in table)


def floats(tree: ast.AST) -> list[str]:
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            wrong.append(f"{node.lineno} the literal {node.value}")
        elif isinstance(node, ast.Name) and node.id == "float":
            wrong.append(f"{node.lineno} names float")
        elif (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "math" and node.attr not in EXACT_MATH
        ):
            wrong.append(f"{node.lineno} math.{node.attr}")
    return wrong


def divisions(tree: ast.AST) -> list[str]:
    return [f"{n.lineno} divides with /" for n in ast.walk(tree) if isinstance(n, (ast.BinOp, ast.AugAssign)) and isinstance(n.op, ast.Div)]


def test_decimal_stays_at_the_gate_in_configuration_and_on_screens():
    wrong = [
        f"{s.name}:{line} imports {dotted}"
        for s in sources()
        if not is_listed(s.name, DECIMAL)
        for line, dotted in imports(s.tree)
        if dotted.split(".")[0] == "decimal"
    ]
    assert not wrong, "\n".join(wrong)


def test_no_float_outside_formulas_and_research():
    wrong = [f"{s.name}:{what}" for s in sources() if not is_listed(s.name, FLOAT) for what in floats(s.tree)]
    assert not wrong, "\n".join(wrong)


def test_integers_are_not_divided_into_floats():
    wrong = [
        f"{s.name}:{what}"
        for s in sources()
        if s.room in NO_DIVISION and not is_listed(s.name, FLOAT) and not is_listed(s.name, DECIMAL)
        for what in divisions(s.tree)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("text", ["x = 1.5", "x = float(y)", "x: float = y", "x = math.sqrt(2)", "x = 1e6"])
def test_the_rule_itself_sees_a_float(text):
    assert floats(ast.parse(text))


@pytest.mark.parametrize("text", ["x = 15", "x = math.isqrt(2)", "x = a // b"])
def test_the_rule_itself_lets_integers_pass(text):
    assert not floats(ast.parse(text))
    assert not divisions(ast.parse(text))
