"""The files that `judge` keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import rich_click as click

from searchsvc.cli.judge import add_queries, read_graded


def test_new_queries_get_free_ids_and_known_ones_are_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"id": "q2", "text": "lamp"}\n\n')
    queries = add_queries(file, ["shoe", "lamp", "shoe", "hat"])
    assert [(query.id, query.text) for query in queries] == [("q2", "lamp"), ("q1", "shoe"), ("q3", "hat")]
    assert add_queries(file, []) == queries


def test_a_line_that_is_no_query_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"id": "q1"}\n')
    with pytest.raises(click.ClickException, match="has a line that is not"):
        add_queries(file, [])


def test_grades_are_read_and_a_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "qrels.tsv"
    assert read_graded(file) == set()
    file.write_text("query_id\tdoc_id\tgrade\nq1\td1\t3\n")
    assert ("q1", "d1") in read_graded(file)
    file.write_text("query_id\tdoc_id\tgrade\nq1 d1 3\n")
    with pytest.raises(click.ClickException, match="line 2 is not query_id, doc_id, grade"):
        read_graded(file)
