"""Feature files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import featurefile
from events.errors import InvalidInput


def test_letor_folders_are_read_query_by_query_and_scaled_within_each(tmp_path: Path) -> None:
    lines = "2 qid:1 1:10 3:5 # a\n0 qid:1 1:20\n0 qid:2 1:1\n1 qid:3 2:0.5\n"
    for name in ("train", "vali", "test"):
        (tmp_path / f"{name}.txt").write_text(lines)
    file = featurefile.read(tmp_path)
    first, second = file.parts["train"]
    # The second query has nothing that is relevant.
    assert first.features.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert (first.grades.tolist(), second.grades.tolist()) == ([2, 0], [1])
    assert (file.names, file.production, file.max_grade) == (["feature_1", "feature_2", "feature_3"], None, 2)
    for broken in ("one qid:1 1:2", "1 1:2 2:3", "1 qid:1 0:2", "1 qid:1 1:", "1"):
        (tmp_path / "vali.txt").write_text(f"1 qid:1 1:2\n{broken}\n")
        with pytest.raises(InvalidInput, match=r"vali\.txt line 2"):
            featurefile.read(tmp_path)
    (tmp_path / "vali.txt").write_text("1 qid:1 1:nan\n")
    with pytest.raises(InvalidInput, match="not a finite number"):
        featurefile.read(tmp_path)
    (tmp_path / "vali.txt").unlink()
    with pytest.raises(InvalidInput, match="has no file vali"):
        featurefile.read(tmp_path)


def test_a_collection_is_scaled_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    for name in ("train", "vali"):
        (tmp_path / f"{name}.txt").write_text("1 qid:1 1:0.2\n0 qid:1 1:0.4\n")
    (tmp_path / "test.txt").write_text("1 qid:1 1:0.1\n")
    assert featurefile.read(tmp_path).parts["train"][0].features.tolist() == [[0.2], [0.4]]
    (tmp_path / "test.txt").write_text("1 qid:1 1:7\n")
    assert featurefile.read(tmp_path).parts["train"][0].features.tolist() == [[0.0], [1.0]]


def test_a_malformed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(InvalidInput, match="is not a feature file"):
        featurefile.read(tmp_path / "broken.npz")
