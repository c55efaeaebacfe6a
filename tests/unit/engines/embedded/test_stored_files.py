"""Structures of arrays on disk: read back as they were written, whole or in part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import pytest

from searchsvc.engines.embedded.stored_files import VALUES, load_stored, save_stored
from tuning.arrays import AnyArray


class Pair(NamedTuple):
    left: Annotated[AnyArray, "i4[1]"]
    right: AnyArray


class Inner(msgspec.Struct, frozen=True):
    pair: Pair
    counts: dict[str, int]


class Outer(msgspec.Struct, frozen=True):
    seq: int
    rows: AnyArray
    inner: Inner
    names: list[str]


STORED = Outer(
    7,
    np.arange(6, dtype=np.float32).reshape(3, 2),
    Inner(Pair(np.array([1, 2], np.int32), np.empty(0, np.bool_)), {"é": 3, "": 0}),
    ["a", "b"],
)


def as_lists(value: Any) -> Any:
    """Return a structure as lists, arrays with their types."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.tolist()
    if isinstance(value, msgspec.Struct):
        return [as_lists(getattr(value, name)) for name in value.__struct_fields__]
    return [as_lists(item) for item in value] if isinstance(value, tuple) else value


def test_a_structure_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    save_stored(STORED, tmp_path)
    loaded = load_stored(Outer, tmp_path)
    assert as_lists(loaded) == as_lists(STORED)
    assert type(loaded.rows) is np.ndarray
    assert not loaded.rows.flags.writeable


def test_each_array_has_a_file_named_by_its_path(tmp_path: Path) -> None:
    save_stored(STORED, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        ["rows.npy", "inner.pair.left.npy", "inner.pair.right.npy", VALUES]
    )


def test_a_part_can_be_read_alone(tmp_path: Path) -> None:
    save_stored(STORED, tmp_path)
    (tmp_path / "rows.npy").unlink()
    assert as_lists(load_stored(Inner, tmp_path, "inner")) == as_lists(STORED.inner)
    with pytest.raises(FileNotFoundError, match=r"rows\.npy"):
        load_stored(Outer, tmp_path)
