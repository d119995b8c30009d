"""Mutation testing of the arithmetic that money hangs on: change one thing in a module, and see whether its tests notice.

    python -m tests.mutation [--module core/ledger] [--sample 60] [--seed 1] [--workers 2]

A mutant is one change of the syntax tree: a comparison, an operator, a constant, a boolean, a condition, a statement that is left out. Each runs
in a forked process in which an import hook gives the module changed. A mutant that no test notices survives and is printed with its line; what those
are that stay is argued in docs/reliability.md.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "core/orders": [
        "tests/core/test_unknown_outcome.py",
        "tests/core/test_tombstones.py",
        "tests/core/test_order_path_races.py",
        "tests/core/test_checkpoint.py",
        "tests/core/test_diff.py",
    ],
    "core/ledger": ["tests/core/test_ledger.py"],
    "core/limits": ["tests/core/test_limits.py"],
    "formulas/rounding": ["tests/formulas/test_rounding.py"],
}
LONGEST_S = 60
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def mutants(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """(what was changed where, the changed module), each once and in the order of the text."""
    for number, node in enumerate(ast.walk(tree)):
        for say, change in changes(node):
            mutant = copy.deepcopy(tree)
            change(next(found for at, found in enumerate(ast.walk(mutant)) if at == number))
            yield f"line {getattr(node, 'lineno', '?')}: {say}", ast.fix_missing_locations(mutant)


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
                yield f"left out: {ast.unparse(statement)}  (line {statement.lineno})", lambda n, at=at: n.body.__setitem__(at, ast.Pass())


class Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module changed."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, fullname, path=None, target=None):
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self.path)) if fullname == self.name else None

    def exec_module(self, module) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


def survives(job: tuple[str, int]) -> str | None:
    """Run one mutant in this process, which has imported nothing of the program; its words when no test notices."""
    module, number = job
    path = ROOT / "src" / "lemon_trader" / f"{module}.py"
    words, tree = next(m for at, m in enumerate(mutants(ast.parse(path.read_text()))) if at == number)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    sys.meta_path.insert(0, Hook(f"lemon_trader.{module.replace('/', '.')}", path, tree))
    signal.alarm(LONGEST_S)  # a mutant that never ends is noticed too: the process dies
    null = os.open(os.devnull, os.O_WRONLY)
    out = os.dup(1)
    os.dup2(null, 1)
    os.dup2(null, 2)
    import pytest

    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS[module]])
    os.dup2(out, 1)
    return f"{module} {words}" if code == 0 else None


def _one(job: tuple[str, int], tell) -> None:
    tell.send(survives(job))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--module", choices=TESTS)
    parser.add_argument("--sample", type=int, default=0, help="so many of each module; 0 = all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    os.chdir(ROOT)
    context = multiprocessing.get_context("fork")
    left = 0
    for module in [asked.module] if asked.module else TESTS:
        count = sum(1 for _ in mutants(ast.parse((ROOT / "src" / "lemon_trader" / f"{module}.py").read_text())))
        numbers = list(range(count))
        if 0 < asked.sample < count:
            numbers = sorted(random.Random(asked.seed).sample(numbers, asked.sample))
        found, waiting, running = [], list(numbers), []
        while waiting or running:
            while waiting and len(running) < asked.workers:
                hear, tell = context.Pipe(duplex=False)
                process = context.Process(target=_one, args=((module, waiting.pop(0)), tell))
                process.start()
                tell.close()
                running.append((process, hear))
            process, hear = running.pop(0)
            process.join()
            if hear.poll():
                try:
                    words = hear.recv()
                except EOFError:
                    words = None  # it died of its change
                if words:
                    found.append(words)
                    print(f"  {words}", flush=True)
        left += len(found)
        print(f"{module}: {len(numbers)} of {count} mutants, {len(numbers) - len(found)} noticed, {len(found)} survived", flush=True)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
