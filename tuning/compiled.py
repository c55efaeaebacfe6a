"""Compiled loops: functions over thousands of small values, compiled by numba.

In numpy such a loop is hundreds of calls, each of which costs more than its work, and all of them hold the
interpreter's lock. Compiled it is one call, without the lock. numba caches the machine code beside the module, or in
the user's cache where that folder is not writable; `warm_up` compiles or loads it before it is needed.

A compiled function may take NamedTuples of arrays. Passing one to numba costs a microsecond or more, so the fields are
passed one by one and put together again in machine code.

The steps of a compiled function are inner functions, which numba inlines. A step that is a function of its own counts
references to its arrays at each call, which doubles the time of a short loop.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Final, TypeVar, get_type_hints
from zlib import crc32

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
_compiling = threading.Lock()
# By module, what compiles each of its loops.
_loops: Final[dict[str, list[Callable[[], Any]]]] = {}


def compiled(*signatures: str) -> Callable[[F], F]:
    """Decorate a function to be compiled at its first call: importing numba takes a fifth of a second.

    signatures: each lists the types of the parameters: `dtype` for a number, `dtype[ndim]` for an array that is read,
        `Name` for a NamedTuple that the function's module imports, with fields annotated `Annotated[AnyArray, "f8[2]"]`
        or NamedTuples themselves. A `!` after an array or NamedTuple marks arrays that are written. Calls with other
        types raise TypeError; they are never compiled. A function that takes NamedTuples has one signature.
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
    """Compile the loops of a package, or load them from the cache. Blocks, for seconds if it compiles."""
    for module, loops in list(_loops.items()):
        if module.startswith(f"{package}."):
            for compile_once in loops:
                compile_once()


def _compile(function: Callable[..., Any], signatures: Sequence[str]) -> Any:
    names = function.__globals__
    types = [tuple(kind for word in signature.split() for kind in _types(word, names)) for signature in signatures]
    if not any(word.rstrip("!") in names for word in signatures[0].split()):
        return _cached(function, types)
    flat, caller = _flatten(function, signatures[0].split())
    return caller(_cached(flat, types))


def _cached(function: Callable[..., Any], types: list[tuple[Any, ...]]) -> Any:
    import numba

    try:
        return numba.njit(types, cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        # Neither folder is writable: each start compiles again.
        return numba.njit(types, nogil=True, error_model="numpy")(function)


def _flatten(function: Callable[..., Any], words: Sequence[str]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make a function that takes the fields of NamedTuples one by one, and what calls it with them.

    words: type of each parameter

    Returns the function, to be compiled; and one that takes the compiled function and returns its caller.
    """
    import numba

    name, parameters = function.__name__, list(inspect.signature(function).parameters)
    structs = [function.__globals__.get(word.rstrip("!")) for word in words]
    paths = [path for parameter, struct in zip(parameters, structs, strict=True) for path in _paths(parameter, struct)]
    values = [_construction(parameter, struct) for parameter, struct in zip(parameters, structs, strict=True)]
    # numba's cache is keyed by name and as old as the function's file. The name has a hash of the fields, which another
    # file defines.
    flat = f"{name}_{crc32(' '.join(paths).encode()):08x}"
    source = (
        f"def {flat}({', '.join(path.replace('.', '_') for path in paths)}):\n"
        f"    return {name}({', '.join(values)})\n"
        f"def caller(flat):\n"
        f"    return lambda {', '.join(parameters)}: flat({', '.join(paths)})\n"
    )
    code = compile(source, function.__code__.co_filename, "exec")
    scope = {**function.__globals__, name: numba.njit(nogil=True, error_model="numpy")(function)}
    exec(code, scope)  # noqa: S102  # only names from our own code
    return scope[flat], scope["caller"]


def _paths(name: str, struct: type | None) -> list[str]:
    """Return the paths to all values of a parameter, such as `run.entries.slots`. struct: None for a plain value."""
    if struct is None:
        return [name]
    return [path for field, part, _ in _fields(struct) for path in _paths(f"{name}.{field}", part)]


def _construction(name: str, struct: type | None) -> str:
    """Return the expression that makes a parameter from its values, such as `Spans(spans_begins, spans_ends)`."""
    if struct is None:
        return name
    values = [_construction(f"{name}_{field}", part) for field, part, _ in _fields(struct)]
    return f"{struct.__name__}({', '.join(values)})"


def _types(word: str, names: Mapping[str, Any]) -> list[Any]:
    """Return the numba types of all values that a word of a signature stands for. names: globals of the function."""
    import numba

    writable, struct = word.endswith("!"), names.get(word.rstrip("!"))
    if struct is not None:
        words = [part.__name__ if part else value for _, part, value in _fields(struct)]
        return [kind for inner in words for kind in _types(f"{inner}!" if writable else inner, names)]
    dtype, _, dimensions = word.rstrip("!").partition("[")
    element = numba.from_dtype(np.dtype(dtype))
    return [numba.types.Array(element, int(dimensions[0]), "C", readonly=not writable) if dimensions else element]


def _fields(struct: type) -> list[tuple[str, Any, str]]:
    """Return name, NamedTuple (or None) and type of each field of a NamedTuple."""
    hints = get_type_hints(struct, include_extras=True).items()
    return [(name, None, h.__metadata__[0]) if hasattr(h, "__metadata__") else (name, h, "") for name, h in hints]
