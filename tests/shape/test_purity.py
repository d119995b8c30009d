"""Pure rooms name no clock, socket, file, thread or random; below them only the listed shells do."""

import ast
import sys

import pytest
from tests.shape.sources import Source, imports, sources

PURE = {"formulas", "core", "strategies", "exchanges", "matching"}

# Everything that a pure room may import besides the program itself.
PURE_IMPORTS = {
    "__future__", "base64", "bisect", "binascii", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum",
    "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math", "operator", "re", "struct", "sys", "types", "typing",
    "urllib.parse", "msgspec", "nacl", "numba", "numpy",
}  # fmt: skip

# Calls that would reach the world without an import.
WORLDLY_NAMES = {"open", "input", "print", "exec", "eval", "__import__", "breakpoint"}

# Below the pure rooms: what only a shell that is named here may import, with its reason.
WORLDLY_MODULES = {
    "time", "random", "secrets", "uuid", "socket", "select", "selectors", "ssl", "threading", "multiprocessing", "concurrent", "signal",
    "subprocess", "socketserver", "http", "urllib.request", "requests", "aiohttp", "picows", "uvloop", "tempfile", "queue", "sched",
}  # fmt: skip
SHELLS = {
    "env_live": "the one seam: clocks, sockets, files, signals and tasks of the real world",
    "engine/control": "the control channel's own loopback socket and its token",
    "sandbox/server": "the exchange's own sockets, and the pacer of its clock",
    "sandbox/admin": "the operator's own socket and its token",
    "optimize/kernel": "plays parameter sets on threads, for compiled code runs on all cores without the interpreter's lock",
    "notify/local": "starts the operator's own program, and gives a service's library a thread",
    "cli": "a command line talks to a terminal, to the control channel and to processes",
    "run": "composition starts the event loop",
    "main": "the program's door",
}
CLOCK_CALLS = {"now", "utcnow", "today", "time_ns", "monotonic_ns"}
TASK_CALLS = {"create_task", "ensure_future", "sleep", "to_thread", "open_connection", "start_server", "run_in_executor", "get_event_loop"}

FILES = {
    "env_live": "the store",
    "cli": "reads what the reader names on the command line",
    "run": "composition",
    "config/keys": "the one place that opens .env",
    "config/sources": "reads the settings file",
    "messages": "reads its own catalogues",
    "market/recordings": "reads the recordings that the user names",
    "optimize/store": "a study is a folder of files that Arrow writes and reads",
    "sandbox/page": "reads its own page",
    "database/db": "SQLite keeps its own file",
    "database/records": "SQLite keeps its own file",
    "database/history": "market data in files that Arrow writes and reads; they are no part of a life, so no simulation tears them",
}
FILE_CALLS = {"read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir", "rename", "rmdir"}


def is_one_of(source: Source, table: dict[str, str]) -> bool:
    return any(source.name == name or source.name.startswith(f"{name}/") for name in table)


def heads(tree: ast.AST) -> list[tuple[int, str]]:
    """Imports of other people's modules: both the top name and, where it matters, the dotted one."""
    return [(line, dotted) for line, dotted in imports(tree) if not dotted.startswith("lemon_trader")]


def matches(dotted: str, names: set[str]) -> bool:
    return any(dotted == name or dotted.startswith(f"{name}.") for name in names)


def calls(tree: ast.AST) -> list[tuple[int, str, str]]:
    """(line, "name" or "attribute", what is called)."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                found.append((node.lineno, "name", node.func.id))
            elif isinstance(node.func, ast.Attribute):
                found.append((node.lineno, "attribute", node.func.attr))
    return found


def impurities(tree: ast.AST) -> list[str]:
    wrong = [f"{line} imports {dotted}" for line, dotted in heads(tree) if not matches(dotted, PURE_IMPORTS) and not is_parent(dotted)]
    wrong += [f"{line} calls {name}" for line, kind, name in calls(tree) if kind == "name" and name in WORLDLY_NAMES]
    wrong += [f"{line} asks the clock with .{name}()" for line, kind, name in calls(tree) if kind == "attribute" and name in CLOCK_CALLS]
    wrong += [f"{node.lineno} waits" for node in ast.walk(tree) if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith))]
    return wrong


def is_parent(dotted: str) -> bool:
    """`urllib` alone, as the parent of an allowed `urllib.parse`, in `from urllib import parse`."""
    return any(name.startswith(f"{dotted}.") for name in PURE_IMPORTS)


def test_pure_rooms_import_only_what_cannot_reach_the_world():
    wrong = [f"{s.name}:{what}" for s in sources() if s.room in PURE for what in impurities(s.tree)]
    assert not wrong, "\n".join(wrong)


def test_pure_rooms_exist():
    assert {s.room for s in sources()} >= {"formulas", "core", "strategies", "exchanges"}


def worldly(tree: ast.AST) -> list[str]:
    wrong = [f"{line} imports {dotted}" for line, dotted in heads(tree) if matches(dotted, WORLDLY_MODULES)]
    wrong += [f"{line} calls .{name}()" for line, kind, name in calls(tree) if kind == "attribute" and name in CLOCK_CALLS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncio" and node.attr in TASK_CALLS:
            wrong.append(f"{node.lineno} asyncio.{node.attr}")
    return wrong


def test_only_the_seam_touches_clock_network_randomness_and_tasks():
    wrong = [f"{s.name}:{what}" for s in sources() if s.room not in PURE and not is_one_of(s, SHELLS) for what in worldly(s.tree)]
    assert not wrong, "take these through Env, or name the shell with its reason:\n" + "\n".join(wrong)


def test_only_the_listed_shells_open_files():
    wrong = [
        f"{s.name}:{line} {name}()"
        for s in sources()
        if not is_one_of(s, FILES)
        for line, kind, name in calls(s.tree)
        if (kind == "name" and name == "open") or (kind == "attribute" and name in FILE_CALLS)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_name_of_the_lists_is_a_misspelling():
    stdlib = {name.split(".")[0] for name in PURE_IMPORTS | WORLDLY_MODULES}
    assert stdlib - set(sys.stdlib_module_names) == {"msgspec", "nacl", "numba", "numpy", "requests", "aiohttp", "picows", "uvloop"}


@pytest.mark.parametrize(
    ("text", "pure"),
    [
        ("import time", False),
        ("from time import time_ns", False),
        ("import os", False),
        ("def f():\n    import random", False),
        ("x = open('a')", False),
        ("from urllib.parse import urlencode", True),
        ("from urllib.request import urlopen", False),
        ("import math\nfrom collections.abc import Sequence", True),
        ("import datetime\nx = datetime.datetime.now(datetime.UTC)", False),
        ("import datetime\nx = datetime.timedelta(milliseconds=1)", True),
        ("async def f(g):\n    await g()", False),
    ],
)
def test_the_rule_itself_tells_pure_from_impure(text, pure):
    assert (not impurities(ast.parse(text))) is pure
