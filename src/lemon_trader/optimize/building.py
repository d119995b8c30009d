"""The loop compiled for one strategy, and kept on disk under a name that changes with everything it is made of.

numba does not see that a function which a kept one calls was changed in another file, and would silently run the old one. So the folder's
name carries a fingerprint of every function that goes into it: its code, its constants, and the values of the names it reads.
"""

import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, cast

import numba
import numpy as np

from lemon_trader.formulas.compilable import is_compilable

CACHE_VARIABLE: Final = "LEMON_TRADER_KERNELS"

Function = Callable[..., Any]
_built: dict[tuple[str, Function, Function], Any] = {}


def build(entry: Function, given: Mapping[Function, Function], name: str) -> Any:
    """The compiled form of `entry`, in which the stand-in of `given` is replaced by the function beside it. Made once, kept on disk.

    Args:
        entry: marked `@compilable`.
        given: one stand-in and what takes its place, both marked.
        name: of the strategy: what is kept for one is never taken for another.
    """
    ((_, real),) = given.items()
    key = (name, entry, real)
    if key not in _built:
        config: Any = numba.config  # made while it is imported: type checkers do not see its names
        before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder() / name / fingerprint(entry, given))
        try:
            _built[key] = _Builder(given).compiled(entry, cache=True)
        finally:
            config.CACHE_DIR = before
    return _built[key]


def cache_folder() -> Path:
    """Where compiled kernels are kept: `LEMON_TRADER_KERNELS`, else the user's folder for what can be made again."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lemon-trader" / "kernels"


def fingerprint(entry: Function, given: Mapping[Function, Function]) -> str:
    """What all functions behind `entry`, and the tools that compile them, amount to, sixteen hexadecimal digits."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {platform.python_version()}".encode())
    for function in functions_of(entry, given):
        digest.update(f"{function.__module__}.{function.__qualname__}".encode())
        _add_code(digest, function.__code__)
        for name in sorted(set(function.__code__.co_names)):
            value = function.__globals__.get(name)
            if isinstance(value, int | tuple):
                digest.update(f"{name}={value}".encode())
            elif isinstance(value, type):
                digest.update(f"{name}={value.__qualname__}{getattr(value, '_fields', '')}".encode())
    return digest.hexdigest()[:16]


def _add_code(digest: Any, code: CodeType) -> None:
    digest.update(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, [c for c in code.co_consts if isinstance(c, int | tuple)])).encode())


def functions_of(entry: Function, given: Mapping[Function, Function]) -> list[FunctionType]:
    """Every marked function that `entry` needs, itself first, each once."""
    found: dict[FunctionType, None] = {}
    waiting = [entry]
    while waiting:
        one = given.get(waiting[-1], waiting[-1])
        waiting.pop()
        assert isinstance(one, FunctionType), f"{one!r} is not a plain function"
        if one not in found:
            found[one] = None
            names = set(one.__code__.co_names)
            waiting += [v for k, v in sorted(one.__globals__.items()) if k in names and is_compilable(v)]
    return list(found)


def names_of(entry: Function) -> set[str]:
    """Every name that a marked function, and the marked functions it calls, read: fields of records among them."""
    return {name for function in functions_of(entry, {}) for name in function.__code__.co_names}


class _Builder:
    def __init__(self, given: Mapping[Function, Function]) -> None:
        self._given = given
        self._done: dict[Function, Any] = {}

    def compiled(self, function: Function, *, cache: bool = False) -> Any:
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
            # Nobody calls the inner functions from Python: their wrappers would cost half of the time again. Nothing here divides by what
            # may be zero; without the check every division is a plain one.
            inner: Any = {} if cache else {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
            done = self._done[function] = numba.njit(rebound, cache=cache, error_model="numpy", nogil=True, **inner)
            _see_no_literals(done)
        return done


def _see_no_literals(dispatcher: Any) -> None:
    """Let a call with a literal number be the call with any number: else each literal is a function of its own, compiled again."""
    found, plain_of = dispatcher.get_call_template, cast("Any", numba.types).unliteral

    def get_call_template(args: Any, kws: Any) -> Any:
        return found([plain_of(a) for a in args], {name: plain_of(a) for name, a in kws.items()})

    dispatcher.get_call_template = get_call_template
