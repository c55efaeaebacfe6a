"""Runs kept in a file, and compared with a later run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import saved_run
from benchmarks.collection import JudgedQuery
from events.errors import InvalidInput

QUERIES = [JudgedQuery("1", "shoe", {"a": 1}), JudgedQuery("2", "hat", {"b": 1}), JudgedQuery("3", "belt", {"c": 1})]


def test_a_saved_run_is_read_back_and_compared(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "before.jsonl"
    saved_run.save(file, QUERIES[:2], [["a", "b"], ["a"]], np.array([1.0, 0.5]))
    before = saved_run.load(file)
    assert before["1"].hits == ["a", "b"]
    comparison = saved_run.compare(before, QUERIES, [["b"], ["b"], ["c"]], np.array([0.25, 1.0, 1.0]))
    assert comparison is not None
    assert (comparison["n_queries"], comparison["won"], comparison["lost"], comparison["same"]) == (2, 1, 1, 0)
    assert [row["query"] for row in comparison["biggest_losses"]] == ["shoe"]
    assert [row["change"] for row in comparison["biggest_wins"]] == [0.5]
    assert saved_run.compare({}, QUERIES, [], np.array([])) is None
    assert saved_run.compare(before, QUERIES[2:], [["c"]], np.array([1.0])) == {"n_queries": 0}


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("query_id\n")
    with pytest.raises(InvalidInput, match="is not a saved run"):
        saved_run.load(tmp_path / "other")
    assert saved_run.load(None) == {}
