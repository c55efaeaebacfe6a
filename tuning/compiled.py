"""Compiled loops: functions over thousands of small values, compiled by numba.

In numpy such a loop is hundreds of calls, each of which costs more than its work, and all of them hold the
interpreter's lock. Compiled it is one call, without the lock. numba caches the machine code beside the module, or in
the user's cache where that folder is not writable; `warm_up` compiles or loads it before it is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
_compiling = threading.Lock()
# By module, what compiles each of its loops.
_loops: Final[dict[str, list[Callable[[], Any]]]] = {}


def compiled(*signatures: str) -> Callable[[F], F]:
    """Decorate a function to be compiled at its first call: importing numba takes a fifth of a second.

    signatures: each lists the types of the parameters: `dtype` for a number, `dtype[ndim]` for an array that is read,
        `dtype[ndim]!` for one that is written. Calls with other types raise TypeError; they are never compiled.
    """

    def decorate(function: F) -> F:
        # Empty until the function is compiled.
        result: list[Any] = []

        def compile_once() -> Any:
            with _compiling:
                if not result:
                    result.append(_compile(function, signatures))
            return result[0]

        @wraps(function)
        def call(*arguments: Any) -> Any:
            return (result[0] if result else compile_once())(*arguments)

        _loops.setdefault(function.__module__, []).append(compile_once)
        return call  # type: ignore[return-value]  # it has the same signature

    return decorate


def warm_up(package: str) -> None:
    """Compile the loops of a package, or load them from the cache. Blocks, for seconds where it compiles."""
    for module, loops in list(_loops.items()):
        if module.startswith(f"{package}."):
            for compile_once in loops:
                compile_once()


def _compile(function: Callable[..., Any], signatures: tuple[str, ...]) -> Any:
    import numba

    def numba_type(name: str) -> Any:
        dtype, _, dimensions = name.partition("[")
        element = numba.from_dtype(np.dtype(dtype))
        if not dimensions:
            return element
        return numba.types.Array(element, int(dimensions[0]), "C", readonly=not dimensions.endswith("!"))

    types = [tuple(numba_type(name) for name in signature.split()) for signature in signatures]
    try:
        return numba.njit(types, cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        # Neither folder is writable: each start compiles again.
        return numba.njit(types, nogil=True, error_model="numpy")(function)
