"""Mutation testing of the arithmetic that money hangs on: change one thing in a module, and see whether its tests notice.

    python -m tests.mutation [--module core/ledger] [--sample 60] [--seed 1] [--workers 2]

A mutant is one change of the syntax tree: a comparison, an operator, a constant, a boolean, a condition, a statement that is left out. Each runs
in a forked process in which an import hook gives the module changed. What costs time is loaded once, before the forks: everybody else's libraries
stay, the program and its tests are imported anew. A mutant that no test notices survives and is printed with its line; those that stay are argued
in survivors.md beside this file, and what stands there is not printed again.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "core/orders": [
        "tests/core/test_order_table.py",
        "tests/core/test_unknown_outcome.py",
        "tests/core/test_tombstones.py",
        "tests/core/test_order_path_races.py",
        "tests/core/test_checkpoint.py",
        "tests/core/test_diff.py",
    ],
    "core/ledger": ["tests/core/test_ledger.py", "tests/core/test_ledger_model.py"],
    "core/limits": ["tests/core/test_limits.py", "tests/core/test_limits_model.py"],
    "formulas/rounding": ["tests/formulas/test_rounding.py"],
}
SURVIVORS = Path(__file__).with_name("survivors.md")
OURS = ("lemon_trader", "tests")
LONGEST = 4  # times what the unchanged module takes: a mutant that never ends is noticed too
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def mutants(source: str) -> Iterator[tuple[str, ast.Module]]:
    """(what was changed where, the changed module), each once and in the order of the text."""
    tree, lines = ast.parse(source), source.splitlines()
    for number, node in enumerate(ast.walk(tree)):
        for say, change in changes(node):
            mutant = copy.deepcopy(tree)
            change(next(found for at, found in enumerate(ast.walk(mutant)) if at == number))
            line = getattr(node, "lineno", 1)
            yield f"line {line}: {say}  @  {lines[line - 1].strip()}", ast.fix_missing_locations(mutant)


def changes(node: ast.AST):
    """What may be changed in one node, as (words, what does it)."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            new = SWAPS[type(op)]
            yield f"{ast.unparse(node)}  ->  {new.__name__}", lambda n: n.ops.__setitem__(0, new())
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op) if type(op) in SWAPS:
            new = SWAPS[type(op)]
            yield f"{ast.unparse(node)}  ->  {new.__name__}", lambda n: setattr(n, "op", new())
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield f"{ast.unparse(node)}  ->  without {type(node.op).__name__}", lambda n: setattr(n, "op", ast.UAdd())
        case ast.Constant(value=bool(value)):
            yield f"{value}  ->  {not value}", lambda n: setattr(n, "value", not n.value)
        case ast.Constant(value=int(value)):
            yield f"{value}  ->  {value + 1}", lambda n: setattr(n, "value", n.value + 1)
        case ast.If() | ast.IfExp():
            test = ast.unparse(node.test)
            yield f"if {test}  ->  if True", lambda n: setattr(n, "test", ast.Constant(True))
            yield f"if {test}  ->  if False", lambda n: setattr(n, "test", ast.Constant(False))
    body = getattr(node, "body", None)
    if isinstance(node, (ast.FunctionDef, ast.If, ast.For, ast.While)) and isinstance(body, list):
        for at, statement in enumerate(body):
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr)) and not is_text:
                yield f"left out: {ast.unparse(statement)}", lambda n, at=at: n.body.__setitem__(at, ast.Pass())


class Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module changed."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, fullname, path=None, target=None):
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self.path)) if fullname == self.name else None

    def exec_module(self, module) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


def run_tests(module: str) -> int:
    """Give pytest's answer to this module's tests, which stops at the first that fails."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    quiet = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:logging"]
    return int(pytest.main([*quiet, *TESTS[module]], plugins=[Quickest()]))


def survives(module: str, tree: ast.Module, longest_s: int) -> bool:
    """Run one mutant in this process, which forgets the program that it has loaded."""
    path = ROOT / "src" / "lemon_trader" / f"{module}.py"
    for name in [name for name in sys.modules if name.split(".")[0] in OURS and name != __name__]:
        del sys.modules[name]
    sys.meta_path.insert(0, Hook(f"lemon_trader.{module.replace('/', '.')}", path, tree))
    signal.alarm(longest_s)
    from hypothesis import Phase, settings  # not before pytest has met it

    settings.register_profile(
        "mutation", phases=[Phase.explicit, Phase.generate], database=None, derandomize=True
    )  # nobody reads the smallest example
    settings.load_profile("mutation")
    return run_tests(module) == 0


def fork(work: Callable[[], bool]) -> tuple[int, int]:
    """(process id, file to read one byte from: 1 = yes) of a child that does this work."""
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"0"
        try:
            os.close(hear)
            answer = b"1" if work() else b"0"
        finally:
            os.write(tell, answer)
            os._exit(0)
    os.close(tell)
    return child, hear


def answer(child: int, hear: int) -> bool:
    """What the child says; one that has died of its change says no."""
    with os.fdopen(hear, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    return said == b"1"


def argued() -> set[str]:
    """Survivors that are argued already: the lines in code quotes."""
    return set(re.findall(r"^- `(.+)`", SURVIVORS.read_text(), re.MULTILINE)) if SURVIVORS.exists() else set()


def look(module: str, *, sample: int, seed: int, workers: int) -> tuple[int, int, list[str]]:
    """(mutants there are, mutants that were run, those that survived)."""
    source = (ROOT / "src" / "lemon_trader" / f"{module}.py").read_text()
    begun = time.monotonic()
    assert answer(*fork(lambda: survives(module, ast.parse(source), 600))), f"the tests of {module} fail without any change"
    longest_s = 5 + int(LONGEST * (time.monotonic() - begun))
    every = list(mutants(source))
    chosen = sorted(random.Random(seed).sample(range(len(every)), sample)) if 0 < sample < len(every) else range(len(every))
    waiting, running, found = list(chosen), [], []
    while waiting or running:
        while waiting and len(running) < workers:
            words, tree = every[waiting.pop(0)]
            running.append((words, *fork(lambda tree=tree: survives(module, tree, longest_s))))
        words, child, hear = running.pop(0)
        if answer(child, hear):
            found.append(f"{module} {words}")
    return len(every), len(chosen), found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--module", choices=TESTS)
    parser.add_argument("--sample", type=int, default=0, help="so many of each module; 0 = all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    modules = [asked.module] if asked.module else list(TESTS)
    out = os.dup(1), os.dup(2)
    pytest.main(
        ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *sorted({t for m in modules for t in TESTS[m]})],
        plugins=[Silent()],
    )
    os.dup2(out[0], 1)
    os.dup2(out[1], 2)
    known, new = argued(), 0
    for module in modules:
        begun = time.monotonic()
        count, run, found = look(module, sample=asked.sample, seed=asked.seed, workers=asked.workers)
        unargued = [words for words in found if without_line(words) not in known]
        for words in unargued:
            print(f"  {words}")
        new += len(unargued)
        took = time.monotonic() - begun
        print(
            f"{module}: {run} of {count} mutants, {run - len(found)} noticed, {len(found)} survived, {len(unargued)} of them not argued; {took:.0f} s",
            flush=True,
        )
    return 1 if new else 0


class Quickest:
    """Lets examples go before searches: most mutants fall to the first example."""

    def pytest_collection_modifyitems(self, items) -> None:
        items.sort(key=lambda item: getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


class Silent:
    """Says nothing of a collection."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)


def without_line(words: str) -> str:
    """The words without the number of their line, which changes with every edit above it."""
    return re.sub(r" line \d+:", ":", words, count=1)


if __name__ == "__main__":
    sys.exit(main())
