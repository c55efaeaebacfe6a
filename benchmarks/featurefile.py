"""Feature files for simulations of learning: judged candidates of many queries, in three parts.

`.npz`: X (n, n_features), y (n,) grades, qid (n,) ascending, qsplit (n_queries,) 0 train, 1 validation, 2 test; names
and production where they are known. A folder: train, validation (vali) and test as svmlight files, whose lines are
`grade qid:1 1:0.5 ...`, as the LETOR collections come.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from events.errors import InvalidInput
from tuning.arrays import IntArray, ScoreArray

PARTS: Final = ("train", "validation", "test")
FILES: Final = {"train": ("train",), "validation": ("vali", "valid", "validation"), "test": ("test",)}


class JudgedList(msgspec.Struct, frozen=True):
    """One query. features: (n, n_features) in [0, 1]. grades: (n,)."""

    features: ScoreArray
    grades: IntArray


class FeatureFile(msgspec.Struct, frozen=True):
    """name: of the collection. production: (n_features,) weights, None where the file has none. parts: those queries of
    which anything is relevant, by part."""

    name: str
    names: list[str]
    production: ScoreArray | None
    parts: dict[str, list[JudgedList]]

    @property
    def max_grade(self) -> int:
        return max(int(one.grades.max()) for lists in self.parts.values() for one in lists)


def read(path: Path) -> FeatureFile:
    """Raises InvalidInput where it is neither kind."""
    if path.is_dir():
        return _read_folder(path)
    try:
        with np.load(path, allow_pickle=False) as held:
            return _from_arrays(path.stem, {name: held[name] for name in held.files})
    except (OSError, ValueError, KeyError) as error:
        limit = "an .npz with X, y, qid and qsplit, or a folder with train, vali and test as svmlight"
        raise InvalidInput(f"{path} is no feature file: {error}", field="FILE", value=str(path), limit=limit) from error


def _from_arrays(name: str, held: dict[str, np.ndarray]) -> FeatureFile:
    features, grades, queries = held["X"], held["y"], held["qid"]
    starts = np.flatnonzero(np.r_[True, queries[1:] != queries[:-1]])
    lists: dict[str, list[JudgedList]] = {part: [] for part in PARTS}
    for number, (begin, end) in enumerate(zip(starts, np.r_[starts[1:], len(queries)], strict=True)):
        one = JudgedList(features[begin:end].astype(np.float64), grades[begin:end].astype(np.int64))
        lists[PARTS[int(held["qsplit"][number])]].append(one)
    names = [str(one) for one in held["names"]] if "names" in held else _numbered(features.shape[1])
    production = held["production"].astype(np.float64) if "production" in held else None
    return FeatureFile(name, names, production, _usable(lists))


def _read_folder(path: Path) -> FeatureFile:
    lists = dict[str, list[JudgedList]]()
    for part, stems in FILES.items():
        file = next((one for one in sorted(path.iterdir()) if one.stem.lower() in stems and one.is_file()), None)
        if file is None:
            limit = "a folder with train, vali and test"
            raise InvalidInput(f"{path} has no file {stems[0]}", field="FILE", value=str(path), limit=limit)
        lists[part] = list(_svmlight(file))
    width = max((one.features.shape[1] for queries in lists.values() for one in queries), default=0)
    for part, queries in lists.items():
        lists[part] = [msgspec.structs.replace(one, features=_widened(one.features, width)) for one in queries]
    return FeatureFile(path.name, _numbered(width), None, _usable(lists))


def _svmlight(file: Path) -> Iterator[JudgedList]:
    """Query by query, with features as far as the last that one of its documents has."""
    query, grades, rows = "", list[int](), list[ScoreArray]()
    with file.open() as lines:
        for number, line in enumerate(lines, start=1):
            words = line.partition("#")[0].replace(":", " ").split()
            if not words:
                continue
            try:
                grade, of = int(float(words[0])), words[2]
                if words[1] != "qid":
                    raise ValueError("no qid")
                columns, values = np.array(words[3::2], dtype=np.int64), np.array(words[4::2], dtype=np.float64)
                if columns.min(initial=1) < 1:
                    raise ValueError("features are numbered from 1")
                row = np.zeros(columns.max(initial=0))
                row[columns - 1] = values
            except (ValueError, IndexError) as error:
                limit = "grade qid:1 1:0.5 2:0 ..."
                raise InvalidInput(f"{file} line {number}: {error}", field="FILE", value=line, limit=limit) from error
            if of != query and rows:
                yield _query(grades, rows)
                grades, rows = [], []
            query = of
            grades.append(grade)
            rows.append(row)
    if rows:
        yield _query(grades, rows)


def _query(grades: list[int], rows: list[ScoreArray]) -> JudgedList:
    width = max(len(row) for row in rows)
    return JudgedList(np.array([_widened(row, width) for row in rows]), np.array(grades))


def _widened(features: ScoreArray, width: int) -> ScoreArray:
    """With zeros behind, as what a file leaves out is zero."""
    return np.pad(features, [(0, 0)] * (features.ndim - 1) + [(0, width - features.shape[-1])])


def _usable(lists: dict[str, list[JudgedList]]) -> dict[str, list[JudgedList]]:
    """Those of which anything is relevant; scaled within each query, as the .npz files have it, where the collection is
    not. Raises InvalidInput where a number is none."""
    every = [one.features for queries in lists.values() for one in queries]
    if not all(np.isfinite(features).all() for features in every):
        raise InvalidInput("a feature is no number", field="FILE", value="nan", limit="finite numbers")
    scaled = all((features >= 0.0).all() and (features <= 1.0).all() for features in every)
    return {
        part: [one if scaled else _scaled(one) for one in queries if (one.grades > 0).any()]
        for part, queries in lists.items()
    }


def _scaled(one: JudgedList) -> JudgedList:
    low, high = one.features.min(axis=0), one.features.max(axis=0)
    return JudgedList((one.features - low) / np.where(high > low, high - low, 1.0), one.grades)


def _numbered(n: int) -> list[str]:
    return [f"feature_{number}" for number in range(1, n + 1)]
