"""One source for a function that runs plain (live) and compiled (sweep).

`@compilable` only marks; `compiled(function)` makes the numba form on demand and rebinds the marked functions it calls to their
compiled forms. numba is imported there and nowhere else, so that a live engine never pays for it.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_marked: dict[Any, None] = {}
_compiled: dict[Any, Any] = {}


def compilable(function: F) -> F:
    """Mark a function whose source is legal for both carriers: integers, fixed records, no objects made, no exceptions."""
    _marked[function] = None
    return function


def is_compilable(function: object) -> bool:
    """Whether `function` was marked."""
    return isinstance(function, FunctionType) and function in _marked


def compiled(function: F) -> F:
    """The compiled form of a marked function. The first call with new argument types takes a second or so.

    Raises:
        ValueError: when `function` is not marked.
    """
    if not is_compilable(function):
        raise ValueError(f"{function!r} is not marked @compilable")
    done = _compiled.get(function)
    if done is None:
        import numba  # noqa: PLC0415  only sweeps and the agreement tests compile

        assert isinstance(function, FunctionType)
        # The names of a code object are its globals and its attributes alike: a function that reads a field of its own name calls nobody.
        used = {k: v for k, v in function.__globals__.items() if k in _names(function) and v is not function}
        scope = {k: compiled(v) if is_compilable(v) else v for k, v in used.items()}
        rebound = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
        done = _compiled[function] = numba.njit(rebound)
    return cast("F", done)


def _names(function: FunctionType) -> set[str]:
    return set(function.__code__.co_names)
