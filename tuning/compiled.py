"""Loops over thousands of small things, compiled.

In numpy they are hundreds of calls, each of which costs more than its work, and all of them hold Python's lock.
Compiled they are one call each, without it. numba keeps the code beside its module, or in the user's cache where that
folder cannot be written; `warm_up` makes or loads it before it is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
_compiling = threading.Lock()
_all: Final[dict[str, list[Callable[[], Any]]]] = {}


def compiled(*signatures: str) -> Callable[[F], F]:
    """Compiled once, for these types: importing numba takes a fifth of a second that few commands need.

    signatures: the type of each parameter, `dtype` for a number, `dtype[ndim]` for an array to read, and with a `!`
    behind it for one to write. Anything else is refused, and never compiled when it is called.
    """

    def decorate(function: F) -> F:
        made: list[Any] = []

        def once() -> Any:
            with _compiling:
                if not made:
                    made.append(_compile(function, signatures))
            return made[0]

        @wraps(function)
        def call(*arguments: Any) -> Any:
            return (made[0] if made else once())(*arguments)

        _all.setdefault(function.__module__, []).append(once)
        return call  # type: ignore[return-value]  # of the same signature

    return decorate


def _compile(function: Callable[..., Any], signatures: tuple[str, ...]) -> Any:
    import numba

    def kind(name: str) -> Any:
        dtype, _, rest = name.partition("[")
        element = numba.from_dtype(np.dtype(dtype))
        if not rest:
            return element
        return numba.types.Array(element, int(rest[0]), "C", readonly=not rest.endswith("!"))

    wanted = [tuple(kind(name) for name in one.split()) for one in signatures]
    try:
        return numba.njit(wanted, cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        # Neither the module's folder nor the user's can be written: each start compiles anew.
        return numba.njit(wanted, nogil=True, error_model="numpy")(function)


def warm_up(package: str) -> None:
    """Compile the loops of a package, or load what was compiled before. Blocks, for seconds where it compiles."""
    for module, loops in list(_all.items()):
        if module.startswith(f"{package}."):
            for once in loops:
                once()
