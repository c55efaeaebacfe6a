"""Write a structure of arrays to files, and read it back.

The structure is a `Stored*` struct or a NamedTuple. Its fields are arrays, structures of the same kind, or values that
JSON can hold. An array goes to a file named by the path to it, `forward.lexicon.lengths.npy`. All other values go to
`values.json`, by their paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar, get_origin, get_type_hints

import msgspec
import numpy as np

VALUES: Final = "values.json"
T = TypeVar("T")


def save_stored(stored: object, folder: Path) -> None:
    """Write a structure to the files of a folder."""
    values: dict[str, object] = {}
    _save(stored, folder, "", values)
    (folder / VALUES).write_bytes(msgspec.json.encode(values))


def load_stored(kind: type[T], folder: Path, path: str = "") -> T:
    """Read a structure, or the part of one at a path such as `forward.lexicon`.

    Arrays are mapped, so what no search reads need not be in memory.
    """
    values = msgspec.json.decode((folder / VALUES).read_bytes(), type=dict[str, msgspec.Raw])
    stored: T = _load(kind, folder, path, values)
    return stored


def _save(value: object, folder: Path, path: str, values: dict[str, object]) -> None:
    fields = _fields(type(value))
    if fields:
        for field in fields:
            _save(getattr(value, field), folder, _join(path, field), values)
    elif isinstance(value, np.ndarray):
        np.save(folder / f"{path}.npy", value)
    else:
        values[path] = value


def _load(kind: Any, folder: Path, path: str, values: dict[str, msgspec.Raw]) -> Any:
    fields = _fields(kind)
    if fields:
        hints = get_type_hints(kind)
        return kind(*(_load(hints[field], folder, _join(path, field), values) for field in fields))
    if get_origin(kind) is np.ndarray:
        # As a plain array: slicing a memmap is slow.
        return np.asarray(np.load(folder / f"{path}.npy", mmap_mode="r"))
    return msgspec.json.decode(values[path], type=kind)


def _fields(kind: Any) -> tuple[str, ...]:
    """Return the fields of a struct or NamedTuple, none for other types."""
    fields: tuple[str, ...] = getattr(kind, "__struct_fields__", getattr(kind, "_fields", ()))
    return fields


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field
