"""Feature files for simulations of learning: the judged candidates of many queries, in three parts.

`.npz`: X (n, n_features), y (n,) grades, qid (n,) ascending, qsplit (n_queries,) 0 train, 1 validation, 2 test; names
and production if they are known. A folder: train, validation (vali) and test as svmlight files with lines
`grade qid:1 1:0.5 ...`, as the LETOR collections have them.
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
FORMATS: Final = "an .npz with X, y, qid and qsplit, or a folder with train, vali and test as svmlight"
LINE_FORMAT: Final = "grade qid:1 1:0.5 2:0 ..."


class JudgedList(msgspec.Struct, frozen=True):
    """The candidates of one query.

    features: (n, n_features), each in [0, 1]
    grades: (n,)
    """

    features: ScoreArray
    grades: IntArray


class FeatureFile(msgspec.Struct, frozen=True):
    """A collection of judged candidates.

    name: of the collection
    names: of the features
    production: (n_features,) weights to start from; None if the file has none
    parts: queries with at least one relevant candidate, by part
    """

    name: str
    names: list[str]
    production: ScoreArray | None
    parts: dict[str, list[JudgedList]]

    @property
    def max_grade(self) -> int:
        return max(int(query.grades.max()) for queries in self.parts.values() for query in queries)


def read(path: Path) -> FeatureFile:
    """Read a feature file of either format. Raises InvalidInput if it is neither."""
    if path.is_dir():
        return _read_folder(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _from_arrays(path.stem, {name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError) as error:
        message = f"{path} is not a feature file: {error}; required: {FORMATS}"
        raise InvalidInput(message, field="FILE", value=str(path), limit=FORMATS) from error


def _from_arrays(name: str, arrays: dict[str, np.ndarray]) -> FeatureFile:
    features, grades, queries = arrays["X"], arrays["y"], arrays["qid"]
    starts = np.flatnonzero(np.r_[True, queries[1:] != queries[:-1]])
    lists: dict[str, list[JudgedList]] = {part: [] for part in PARTS}
    for number, (begin, end) in enumerate(zip(starts, np.r_[starts[1:], len(queries)], strict=True)):
        judged = JudgedList(features[begin:end].astype(np.float64), grades[begin:end].astype(np.int64))
        lists[PARTS[int(arrays["qsplit"][number])]].append(judged)
    names = [str(name) for name in arrays["names"]] if "names" in arrays else _numbered(features.shape[1])
    production = arrays["production"].astype(np.float64) if "production" in arrays else None
    return FeatureFile(name, names, production, _usable(lists))


def _read_folder(path: Path) -> FeatureFile:
    lists = dict[str, list[JudgedList]]()
    for part, stems in FILES.items():
        candidates = (file for file in sorted(path.iterdir()) if file.stem.lower() in stems and file.is_file())
        file = next(candidates, None)
        if file is None:
            limit = "a folder with train, vali and test"
            raise InvalidInput(f"{path} has no file {stems[0]}", field="FILE", value=str(path), limit=limit)
        lists[part] = list(_read_svmlight(file))
    width = max((query.features.shape[1] for queries in lists.values() for query in queries), default=0)
    for part, queries in lists.items():
        lists[part] = [msgspec.structs.replace(query, features=_padded(query.features, width)) for query in queries]
    return FeatureFile(path.name, _numbered(width), None, _usable(lists))


def _read_svmlight(file: Path) -> Iterator[JudgedList]:
    """Read query by query, each with features up to the last that one of its documents has."""
    query, grades, rows = "", list[int](), list[ScoreArray]()
    with file.open() as lines:
        for number, line in enumerate(lines, start=1):
            words = line.partition("#")[0].replace(":", " ").split()
            if not words:
                continue
            try:
                grade, line_query, row = _parse_line(words)
            except (ValueError, IndexError) as error:
                message = f"{file} line {number}: {error}; required: {LINE_FORMAT}"
                raise InvalidInput(message, field="FILE", value=line, limit=LINE_FORMAT) from error
            if line_query != query and rows:
                yield _judged_list(grades, rows)
                grades, rows = [], []
            query = line_query
            grades.append(grade)
            rows.append(row)
    if rows:
        yield _judged_list(grades, rows)


def _parse_line(words: list[str]) -> tuple[int, str, ScoreArray]:
    """Return (grade, query id, features) of a line whose colons are replaced by spaces."""
    grade, query = int(float(words[0])), words[2]
    if words[1] != "qid":
        raise ValueError("no qid")
    columns, values = np.array(words[3::2], dtype=np.int64), np.array(words[4::2], dtype=np.float64)
    if columns.min(initial=1) < 1:
        raise ValueError("features are numbered from 1")
    row = np.zeros(columns.max(initial=0))
    row[columns - 1] = values
    return grade, query, row


def _judged_list(grades: list[int], rows: list[ScoreArray]) -> JudgedList:
    width = max(len(row) for row in rows)
    return JudgedList(np.array([_padded(row, width) for row in rows]), np.array(grades))


def _padded(features: ScoreArray, width: int) -> ScoreArray:
    """Append zeros up to a width: features that a line leaves out are zero."""
    return np.pad(features, [(0, 0)] * (features.ndim - 1) + [(0, width - features.shape[-1])])


def _usable(lists: dict[str, list[JudgedList]]) -> dict[str, list[JudgedList]]:
    """Keep the queries with a relevant candidate, and scale features to [0, 1] per query if any is outside.

    Raises InvalidInput if a feature is not finite.
    """
    arrays = [query.features for queries in lists.values() for query in queries]
    if not all(np.isfinite(features).all() for features in arrays):
        raise InvalidInput("a feature is not a finite number", field="FILE", value="nan", limit="finite numbers")
    scaled = all((features >= 0.0).all() and (features <= 1.0).all() for features in arrays)
    return {
        part: [query if scaled else _scaled(query) for query in queries if (query.grades > 0).any()]
        for part, queries in lists.items()
    }


def _scaled(query: JudgedList) -> JudgedList:
    low, high = query.features.min(axis=0), query.features.max(axis=0)
    return JudgedList((query.features - low) / np.where(high > low, high - low, 1.0), query.grades)


def _numbered(n: int) -> list[str]:
    return [f"feature_{number}" for number in range(1, n + 1)]
