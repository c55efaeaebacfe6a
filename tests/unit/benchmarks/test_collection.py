"""Collections: what is read, and how errors in them are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.collection import documents_file, judged_queries, lines
from events.errors import InvalidInput


def test_a_judged_query_has_its_grades(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"id": "1", "text": "shoe"}\n{"id": "2", "text": "hat"}\n')
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\tgrade\n1\ta\t2\n1\tb\t0\n2\ta\t0\n")
    (query,) = judged_queries(tmp_path)
    assert (query.text, query.grades) == ("shoe", {"a": 2, "b": 0})


@pytest.mark.parametrize(
    ("queries", "grades", "message"),
    [
        ('{"text": "shoe"}', "1\ta\t2", "a line is not"),
        ("not JSON", "1\ta\t2", "a line is not"),
        ('{"id": "1", "text": "shoe"}', "1\ta", "qrels.tsv line 1"),
        ('{"id": "1", "text": "shoe"}', "1\ta\t0", "no query with a positive judgment"),
        (None, "1\ta\t2", "has no queries.jsonl"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, queries: str | None, grades: str, message: str) -> None:
    if queries is not None:
        (tmp_path / "queries.jsonl").write_text(queries)
    (tmp_path / "qrels.tsv").write_text(grades)
    with pytest.raises(InvalidInput, match=message.replace(".", r"\.")):
        judged_queries(tmp_path)


def test_a_broken_archive_is_reported(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(InvalidInput, match="cannot be read"):
        list(lines(documents_file(tmp_path)))
