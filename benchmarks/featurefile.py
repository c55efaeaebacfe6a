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
    parts: dict[str, list[JudgedList]] = {part: [] for part in PARTS}
    for number, (begin, end) in enumerate(zip(starts, np.r_[starts[1:], len(queries)], strict=True)):
        _add(parts[PARTS[int(held["qsplit"][number])]], features[begin:end], grades[begin:end])
    names = [str(one) for one in held["names"]] if "names" in held else _numbered(features.shape[1])
    production = held["production"].astype(np.float64) if "production" in held else None
    return FeatureFile(name, names, production, parts)


def _read_folder(path: Path) -> FeatureFile:
    parts: dict[str, list[JudgedList]] = {}
    width = 0
    rows: dict[str, list[tuple[list[int], list[dict[int, float]]]]] = {}
    for part, stems in FILES.items():
        file = next((one for one in sorted(path.iterdir()) if one.stem.lower() in stems and one.is_file()), None)
        if file is None:
            limit = "a folder with train, vali and test"
            raise InvalidInput(f"{path} has no file {stems[0]}", field="FILE", value=str(path), limit=limit)
        rows[part] = list(_svmlight(file))
        width = max([width, *(max(row, default=0) for _, query in rows[part] for row in query)])
    for part, queries in rows.items():
        parts[part] = []
        for grades, query in queries:
            features = np.zeros((len(query), width))
            for at, row in enumerate(query):
                features[at, [number - 1 for number in row]] = list(row.values())
            _add(parts[part], features, np.array(grades))
    return FeatureFile(path.name, _numbered(width), None, parts)


def _svmlight(file: Path) -> Iterator[tuple[list[int], list[dict[int, float]]]]:
    """Query by query: grades, and of each document the numbers of its features, from 1, and their values."""
    query, grades, rows = "", list[int](), list[dict[int, float]]()
    with file.open() as lines:
        for number, line in enumerate(lines, start=1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            try:
                grade, of = int(float(words[0])), words[1].removeprefix("qid:")
                row = {int(k): float(v) for k, _, v in (word.partition(":") for word in words[2:])}
            except (ValueError, IndexError) as error:
                limit = "grade qid:1 1:0.5 2:0 ..."
                raise InvalidInput(f"{file} line {number}: {error}", field="FILE", value=line, limit=limit) from error
            if of != query and rows:
                yield grades, rows
                grades, rows = [], []
            query = of
            grades.append(grade)
            rows.append(row)
    if rows:
        yield grades, rows


def _add(lists: list[JudgedList], features: ScoreArray, grades: IntArray) -> None:
    if not (grades > 0).any():
        return
    scaled = features.astype(np.float64)
    low, high = scaled.min(axis=0), scaled.max(axis=0)
    if (low < 0.0).any() or (high > 1.0).any():
        # Within the query, as the .npz files have it.
        scaled = (scaled - low) / np.where(high > low, high - low, 1.0)
    lists.append(JudgedList(np.ascontiguousarray(scaled), grades.astype(np.int64)))


def _numbered(n: int) -> list[str]:
    return [f"feature_{number}" for number in range(1, n + 1)]
