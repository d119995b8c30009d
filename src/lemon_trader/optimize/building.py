"""The loop compiled for one strategy, and kept on disk under a name that changes with every source it is made of.

numba does not see that a function which a kept one calls was changed in another file, and would silently run the old one. So the folder's
name carries a fingerprint of all sources that can be in it.
"""

import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import numba
import numpy as np

from lemon_trader.formulas.compilable import is_compilable

PACKAGE: Final = Path(__file__).parents[1]
SOURCES: Final = ("formulas", "core", "strategies", "optimize")
CACHE_VARIABLE: Final = "LEMON_TRADER_KERNELS"

Function = Callable[..., Any]
_built: dict[tuple[str, Function, Function], Any] = {}


def fingerprint(package: Path = PACKAGE) -> str:
    """What the sources under `package` and the tools that compile them amount to, sixteen hexadecimal digits."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {platform.python_version()}".encode())
    for room in SOURCES:
        for path in sorted((package / room).rglob("*.py")):
            digest.update(str(path.relative_to(package)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled kernels of exactly these sources are kept; `LEMON_TRADER_KERNELS` names another place."""
    given = os.environ.get(CACHE_VARIABLE)
    root = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lemon-trader" / "kernels"
    return root / fingerprint()


def build(entry: Function, given: Mapping[Function, Function], name: str, *, parallel: bool = False) -> Any:
    """The compiled form of `entry`, in which every function of `given` is replaced by the one beside it. Made once, kept on disk.

    Args:
        entry: marked `@compilable`.
        given: stand-ins and what takes their place, both marked.
        name: of the strategy: what is kept for one is never taken for another.
        parallel: whether its `prange` loops run on all cores.
    """
    stand, real = next(iter(given.items()))
    key = (name, entry, real)
    if key not in _built:
        config: Any = numba.config  # made while it is imported: type checkers do not see its names
        before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder() / name)
        try:
            _built[key] = _Builder(given).compiled(entry, cache=True, parallel=parallel)
        finally:
            config.CACHE_DIR = before
    del stand
    return _built[key]


def names_of(function: Function) -> set[str]:
    """Every name that a marked function, and the marked functions it calls, read: fields of records among them."""
    seen: set[Function] = set()
    names: set[str] = set()
    waiting = [function]
    while waiting:
        one = waiting.pop()
        if one in seen or not isinstance(one, FunctionType):
            continue
        seen.add(one)
        found = set(one.__code__.co_names)
        names |= found
        waiting += [v for k, v in one.__globals__.items() if k in found and is_compilable(v)]
    return names


class _Builder:
    def __init__(self, given: Mapping[Function, Function]) -> None:
        self._given = given
        self._done: dict[Function, Any] = {}

    def compiled(self, function: Function, *, cache: bool = False, parallel: bool = False) -> Any:
        function = self._given.get(function, function)
        done = self._done.get(function)
        if done is None:
            assert isinstance(function, FunctionType), f"{function!r} is not a plain function"
            names = set(function.__code__.co_names)
            used = {k: v for k, v in function.__globals__.items() if k in names and v is not function}
            scope = {k: self.compiled(v) if is_compilable(v) else v for k, v in used.items()}
            rebound = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
            rebound.__module__ = function.__module__
            rebound.__qualname__ = function.__qualname__
            # Nothing here divides by what may be zero; without the check every division is a plain one.
            # Nobody calls the inner functions from Python: their wrappers would cost half of the time again.
            inner: Any = {} if cache else {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
            done = self._done[function] = numba.njit(rebound, cache=cache, parallel=parallel, error_model="numpy", nogil=True, **inner)
        return done
